#!/usr/bin/env python3
"""What other programs say of the files upscale writes: exiftool, pngcheck and ImageMagick, as far as they are there.

  tests/apps/independent_tools.py build/upscale model.pth

One PNG with a text chunk, EXIF and a resolution goes to every format of the build. Exit code 77 (skipped) without
any of the tools.
"""

import json
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

SIDE = 24
# What each format carries of: the camera's name, the resolution, our own name.
CARRIES = {
    "png": {"Make", "XResolution", "Software"},
    "jpg": {"Make", "XResolution", "Software"},
    "webp": {"Make", "Software"},
    "tif": {"Make", "XResolution", "Software"},
    "avif": {"Make", "Software"},
    "jxl": {"Make", "Software"},
    "bmp": set(), "tga": set(), "ppm": set(),
}
MAGICK_READS = {"png", "jpg", "webp", "tif", "bmp", "tga", "ppm"}


def exif():
    """Make and a resolution of 300 dpi, little-endian."""
    entries = [(0x010F, 2, 10, 8 + 2 + 4 * 12 + 4), (0x011A, 5, 1, 72), (0x011B, 5, 1, 72), (0x0128, 3, 1, 2)]
    out = b"II*\0" + struct.pack("<IH", 8, len(entries))
    out += b"".join(struct.pack("<HHII", *e) for e in entries) + struct.pack("<I", 0)
    return out + b"Camera Co\0" + struct.pack("<II", 300, 1)


def png():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    noise = random.Random(1)
    rows = b"".join(b"\0" + noise.randbytes(SIDE * 3) for _ in range(SIDE))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)) +
            chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1)) + chunk(b"eXIf", exif()) +
            chunk(b"tEXt", b"parameters\0a cat, 20 steps") + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def main():
    upscale, model = sys.argv[1:]
    tools = {name: shutil.which(name) for name in ("exiftool", "pngcheck", "identify")}
    if not any(tools.values()):
        print("none of exiftool, pngcheck and identify is installed")
        return 77
    failures = []

    def check(ok, what):
        if not ok:
            failures.append(what)
            print("FAILED:", what)

    def output(*command):
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in.png")
        source.write_bytes(png())
        built = output(upscale, "formats")[1]
        for extension, carried in CARRIES.items():
            line = next((l for l in built.splitlines() if f" {extension} " in l), "")
            if "write" not in line:
                continue
            target = Path(folder, "out." + extension)
            code, text = output(upscale, str(source), str(target), "-m", model)
            check(code == 0, f"{extension}: upscale ended with {code}: {text}")
            if tools["exiftool"] and carried:
                code, text = output("exiftool", "-j", "-n", "-G1", str(target))
                tags = {key.split(":")[-1]: value for key, value in json.loads(text)[0].items()} if code == 0 else {}
                wanted = {"Make": "Camera Co", "XResolution": 300, "Software": "upscale"}
                for tag in sorted(carried):
                    value = tags.get(tag, "")
                    if tag == "XResolution":
                        value = round(tags.get("PixelsPerUnitX", 0) * 0.0254 if extension == "png" else value or 0)
                    fits = value == wanted[tag] if tag != "Software" else str(value).startswith("upscale")
                    check(fits, f"{extension}: exiftool says {tag} is {value!r}")
                if extension == "png":
                    check(tags.get("Parameters") == "a cat, 20 steps", "png: exiftool finds no parameters")
            if tools["identify"] and extension in MAGICK_READS:
                code, text = output("identify", "-format", "%w %h %z", str(target))
                check(text.split() == [str(2 * SIDE), str(2 * SIDE), "8"], f"{extension}: identify says {text}")
            if tools["pngcheck"] and extension == "png":
                code, text = output("pngcheck", "-q", str(target))
                check(code == 0, f"png: pngcheck says {text}")
    print(f"{len(failures)} failures, with", ", ".join(name for name, path in tools.items() if path))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
