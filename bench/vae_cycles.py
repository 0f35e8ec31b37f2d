#!/usr/bin/env python3
"""Encodes and decodes pictures again and again with released weights, with and without the colour anchor, and compares
ComfyUI's tiled decoding with the exact one. Prints the tables of docs/vae.md; --strip writes docs/vae_cycles.jpg.

    python bench/vae_cycles.py build/upscale FOLDER PICTURE... [--strip OUT.jpg] [--only NAME]   # needs pillow, numpy

FOLDER holds NAME_encoder.* and NAME_decoder.* (TAESD). A cycle is a step of `upscale latent --scale 1 --refine noise
--denoise 0`: the picture is encoded and decoded, and stays in float between cycles. Figures are PSNR to the original and
the mean shift of R, G and B in steps of 1/255. The strip shows a part of the first picture by the first network after 0, 1, 2, 4 and 8 cycles,
without the anchor above and with it below.
"""

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

CYCLES = (1, 2, 4, 8)


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(np.float64)


def psnr(a, b):
    return 10 * np.log10(255**2 / max(float(np.mean((a - b) ** 2)), 1e-12))


def shift(a, b):
    return " ".join(f"{v:+.1f}" for v in (a - b).mean(axis=(0, 1)))


def run(program, *words):
    subprocess.run([program, *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def cycles(program, files, picture, anchor, folder):
    """The pictures after 1, 2, .. 8 cycles."""
    prefix = Path(folder) / "c"
    run(program, "latent", picture, f"{prefix}8.png", "--taesd", files, "--scale", 1, "--latent-steps", 8, "--refine",
        "noise", "--denoise", 0, "--anchor", anchor, "--save-steps", prefix)
    return {n: pixels(f"{prefix}{n}.png") for n in range(1, 9)}


def tiled(program, files, picture, folder):
    latent, exact, other = (Path(folder) / n for n in ("l.safetensors", "exact.pfm", "tiled.png"))
    run(program, "encode", picture, latent, "--taesd", files)
    run(program, "decode", latent, Path(folder) / "exact.png", "--taesd", files)
    run(program, "decode", latent, exact, "--taesd", files)
    reference = pixels(Path(folder) / "exact.png")
    strips = Path(folder) / "strips.pfm"
    refused = subprocess.run([program, "decode", latent, strips, "--taesd", files, "--max-ram", "1M"], capture_output=True,
                             text=True).stderr
    least = int(re.search(r"at least (\d+) MiB", refused)[1])
    run(program, "decode", latent, strips, "--taesd", files, "--max-ram", f"{least}M")
    yield f"strips in {least} MiB, the least", "equal" if strips.read_bytes() == exact.read_bytes() else "DIFFERS"
    for mode in ("feather", "mean-of-three"):
        for tile, overlap in ((512, 128), (256, 64)):
            run(program, "decode", latent, other, "--taesd", files, "--vae-tiling", f"{mode},{tile},{overlap}")
            got = pixels(other)
            yield (f"{mode}, {tile}, {overlap}", f"{psnr(got, reference):.1f} dB | {shift(got, reference)} | "
                   f"{np.abs(got - reference).max():.0f}")


def strip(picture, without, anchored, out):
    whole = pixels(picture)
    h, w = whole.shape[:2]
    y, x, side = max(0, (h - 224) // 3), max(0, (w - 224) // 3), 224
    rows = []
    for images in (without, anchored):
        shown = [whole] + [images[n] for n in CYCLES]
        rows.append(np.concatenate([s[y : y + side, x : x + side] for s in shown], 1))
    Image.fromarray(np.concatenate(rows).round().astype(np.uint8)).save(out, quality=88)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("folder", type=Path)
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--strip")
    parser.add_argument("--only")
    a = parser.parse_args()
    for name in [a.only] if a.only else ["taesd", "taesdxl", "taesd3", "taef1", "taef2"]:
        halves = [sorted(a.folder.glob(f"{name}_{half}.*")) for half in ("encoder", "decoder")]
        if not all(halves):
            continue
        files = ",".join(str(h[0]) for h in halves)
        for picture in a.pictures:
            original = pixels(picture)
            with tempfile.TemporaryDirectory() as folder:
                without = cycles(a.program, files, picture, 0, folder)
                anchored = cycles(a.program, files, picture, 1, folder)
                for n in CYCLES:
                    cells = [f"{psnr(v[n], original):.2f} dB, {shift(v[n], original)}" for v in (without, anchored)]
                    print(f"| {name} | {Path(picture).name} | {n} | {cells[0]} | {cells[1]} |", flush=True)
                if a.strip:
                    strip(picture, without, anchored, a.strip)
                    a.strip = None
                for what, figures in tiled(a.program, files, picture, folder):
                    print(f"| {name} | {Path(picture).name} | {what} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
