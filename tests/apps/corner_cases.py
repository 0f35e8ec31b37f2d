#!/usr/bin/env python3
"""Pictures of every kind a format can have: what we decode against the pixels that were put in, and against ImageMagick.

  tests/apps/corner_cases.py build/decode_pictures [SEED]

PNG (as PngSuite has them), BMP, TGA and Netpbm files are made here, byte by byte; TIFF, JPEG, WebP and GIF by
ImageMagick 6 or 7. Without it only the former are looked at, against their known pixels.
"""

import array
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import corner_png
import corner_simple

# Made by ImageMagick: file name, the options that make it of a picture, how many levels of 16 bits may differ. JPEG:
# two decoders that round the inverse DCT and the colour conversion; ink: 8 bits here, 16 there. GIF, WebP and
# TIFF leave nothing to choice.
FLOAT = ["-depth", "32", "-define", "quantum:format=floating-point"]
GRAY = ["-colorspace", "Gray", "-type", "Grayscale"]
ALPHA = ["(", "+clone", "-colorspace", "Gray", ")", "-alpha", "off", "-compose", "CopyOpacity", "-composite"]
TIFFS = [(f"{depth}-{colours}-{compress}{layout}-{endian}.tif",
          ["-alpha", "off", *depths, *space, "-compress", compress, *layouts, "-define", f"tiff:endian={endian}"])
         for depth, depths in (("8", ["-depth", "8"]), ("16", ["-depth", "16"]), ("32f", FLOAT))
         for colours, space in (("rgb", ["-type", "TrueColor"]), ("gray", GRAY))
         for compress in ("None", "LZW", "Zip", "RLE")
         for layout, layouts in (("", []), ("-tiles", ["-define", "tiff:tile-geometry=16x16"]),
                                 ("-planes", ["-interlace", "Plane"]))
         for endian in ("lsb", "msb")]
WHITE = ["-define", "quantum:polarity=min-is-white"]
TIFFS += [("white.tif", [*GRAY, "-depth", "8", *WHITE]), ("white16.tif", [*GRAY, "-depth", "16", *WHITE]),
          ("bilevel.tif", ["-colorspace", "Gray", "-type", "Bilevel", "-compress", "Group4"]),
          ("palette.tif", ["-type", "Palette", "-colors", "200"]), ("palette4.tif", ["-type", "Palette", "-colors", "16"]),
          ("rows.tif", ["-define", "tiff:rows-per-strip=3", "-depth", "8", "-type", "TrueColor"]),
          ("alpha.tif", ["-depth", "8", *ALPHA]), ("alpha16.tif", ["-depth", "16", *ALPHA])]
JPEGS = [(f"{q}-{sampling}-{mode}.jpg", ["-quality", q, "-sampling-factor", sampling, "-interlace", mode])
         for q in ("40", "95") for sampling in ("4:4:4", "4:2:2", "4:2:0") for mode in ("None", "JPEG")]
JPEGS += [("gray.jpg", ["-colorspace", "Gray"]), ("cmyk.jpg", ["-colorspace", "CMYK"])]
WEBPS = [("lossy.webp", ["-quality", "70"]), ("lossless.webp", ["-define", "webp:lossless=true"]),
         ("alpha.webp", [*ALPHA, "-quality", "80"]), ("exact.webp", [*ALPHA, "-define", "webp:lossless=true"])]
GIFS = [("plain.gif", []), ("few.gif", ["-colors", "3"]), ("interlaced.gif", ["-interlace", "GIF"]),
        ("clear.gif", ["-colors", "30", "-alpha", "on", "-fuzz", "10%", "-transparent", "#a0a0a0"])]
MADE = ([(n, o, 257 if "palette" in n else 1 if "32f" in n else 0) for n, o in TIFFS] + [(n, o, 257 * 3 if "cmyk" in n else 257 * 2) for n, o in JPEGS] +
        [(n, o, 0) for n, o in WEBPS + GIFS])


def decoded(decoder, paths):
    """[(width, height, array of RGBA of 16 bits), or the sentence it failed with]"""
    run = subprocess.run([decoder], input=("\n".join(map(str, paths)) + "\n").encode(), stdout=subprocess.PIPE, check=True)
    data, at, out = run.stdout, 0, []
    for _ in paths:
        end = data.index(b"\n", at)
        line, at = data[at:end].decode(), end + 1
        if line.startswith("failed "):
            out.append(line[7:])
            continue
        width, height = map(int, line.split()[:2])
        out.append((width, height, native(data[at:at + 8 * width * height])))
        at += 8 * width * height
    return out


def native(little):
    pixels = array.array("H", little)
    if sys.byteorder == "big":
        pixels.byteswap()
    return pixels


def magick_decoded(convert, paths, sizes):
    """As decoded, with sizes given; many files a call, one where that fails."""
    run = subprocess.run([*convert, *map(str, paths), "-auto-orient", "-depth", "16", "-endian", "LSB", "RGBA:-"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    total = sum(8 * w * h for w, h in sizes)
    if len(run.stdout) != total:
        if len(paths) == 1:
            return [None]
        half = len(paths) // 2
        return (magick_decoded(convert, paths[:half], sizes[:half]) +
                magick_decoded(convert, paths[half:], sizes[half:]))
    out, at = [], 0
    for w, h in sizes:
        out.append(native(run.stdout[at:at + 8 * w * h]))
        at += 8 * w * h
    return out


def worst(a, b):
    """The largest difference, where alpha is 0 in both of alpha only: those colours are nobody's."""
    if a == b:
        return 0
    most = 0
    for i in range(0, len(a), 4):
        if a[i + 3] == b[i + 3] == 0:
            continue
        most = max(most, *(abs(a[k] - b[k]) for k in range(i, i + 4)))
    return most


def magick():
    """The command, or None."""
    for name in ("magick", "convert-im6.q16", "convert"):
        if shutil.which(name) and b"ImageMagick" in subprocess.run([name, "-version"], capture_output=True).stdout:
            return [name]
    return None


def main():
    os.environ["MAGICK_THREAD_LIMIT"] = "1"
    decoder = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    convert, failures = magick(), []

    def check(ok, what):
        if not ok:
            failures.append(what)
            print("FAILED:", what)

    with tempfile.TemporaryDirectory() as folder:
        known = [*corner_png.pictures(seed), *corner_simple.pictures(seed)]
        paths = []
        for name, data, *_ in known:
            paths.append(Path(folder, name))
            paths[-1].write_bytes(data)
        sizes = [(w, h) for _, _, w, h, _ in known]
        theirs = magick_decoded(convert, paths, sizes) if convert else [None] * len(paths)
        compared = 0
        for (name, _, w, h, want), ours, other in zip(known, decoded(decoder, paths), theirs):
            if isinstance(ours, str):
                check(False, f"{name}: {ours}")
                continue
            want = array.array("H", (v for pixel in want for v in pixel))
            check(ours[:2] == (w, h), f"{name}: is {ours[:2]}, not {(w, h)}")
            # Their 5 bits become 8 by another rounding than ours; 8-bit samples of an odd maxval round to 8 bits here.
            bound = 257 if "555" in name or "565" in name or "2-16" in name else 0
            check(worst(ours[2], want) <= bound, f"{name}: off by {worst(ours[2], want)} from what it was made of")
            if other is not None and not (name.endswith(".pam") and name[2] in "24"):  # whose alpha it turns around
                compared += 1
                check(worst(ours[2], other) <= max(bound, 129 if name.endswith("m") else 0),
                      f"{name}: off by {worst(ours[2], other)} from ImageMagick")
        print(f"{len(known)} files made here, {compared} of them read by ImageMagick")

        if convert:
            r = random.Random(seed)
            w, h = r.randint(20, 50), r.randint(20, 50)
            source = Path(folder, "source.ppm")
            smooth = [[int(128 + 60 * ((x * 7 + c * 50) % 97) / 97 + 60 * ((y * 5) % 83) / 83) & 255 for x in range(w)
                       for c in range(3)] for y in range(h)]
            source.write_bytes(b"P6 %d %d 255\n" % (w, h) + bytes(v for row in smooth for v in row))
            made = []
            for name, options, bound in MADE:
                path = Path(folder, name)
                subprocess.run([*convert, str(source), *options, str(path)], capture_output=True)
                if path.exists():  # some warnings come with an exit code
                    made.append((name, path, bound))
            big = Path(folder, "big.tif")
            subprocess.run([*convert, str(source), "TIFF64:" + str(big)], capture_output=True)
            if big.exists():
                made.append(("big.tif", big, 0))
            paths = [path for _, path, _ in made]
            for (name, _, bound), ours, other in zip(made, decoded(decoder, paths),
                                                     magick_decoded(convert, paths, [(w, h)] * len(paths))):
                if isinstance(ours, str):
                    check(False, f"{name}: {ours}")
                    continue
                check(other is not None and ours[:2] == (w, h), f"{name}: is {ours[:2]}, not {(w, h)}")
                if other is not None and ours[:2] == (w, h):
                    check(worst(ours[2], other) <= bound, f"{name}: off by {worst(ours[2], other)} from ImageMagick")
            print(f"{len(made)} files made and read by ImageMagick")
        else:
            print("ImageMagick is not installed: TIFF, JPEG, WebP and GIF are left out")
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
