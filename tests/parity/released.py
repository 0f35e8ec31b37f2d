#!/usr/bin/env python3
"""Runs a released checkpoint through `upscale` and through spandrel, on pictures, 8 bits out.

    python tests/parity/released.py build/upscale net.pth LR.png[=HR.png]...

For every file that spandrel opens by itself; which ones a package carries is in docs/networks.md. Untiled, in float32.
Prints for each picture the PSNR of one result to the other and, where the original is given, the PSNR of ours to it, on
luma without a border of `scale` pixels, as papers state it; then the means. Exit status 1 if a result is more than one
level off, or less than 70 dB from the other.
"""

import subprocess
import sys
import tempfile

import numpy as np
import spandrel
import torch
from PIL import Image


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def psnr(a, b):
    return 10 * np.log10(255**2 / max(np.mean((a.astype(np.float64) - b) ** 2), 1e-12))


def luma(x):
    return 16 + x.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255


def main():
    program, weights, *pairs = sys.argv[1:]
    net = spandrel.ModelLoader().load_from_file(weights)
    border = np.s_[net.scale : -net.scale, net.scale : -net.scale]
    failed, to_original = False, []
    for low, _, high in (pair.partition("=") for pair in pairs):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([program, low, f"{folder}/out.png", "-m", weights, "-t", "none", "--quiet"], check=True)
            ours = pixels(f"{folder}/out.png")
        x = torch.from_numpy(pixels(low).copy()).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            y = net(x)[0].permute(1, 2, 0).clamp(0, 1).mul(255).round().numpy().astype(np.uint8)
        db, levels = psnr(ours, y), np.abs(ours.astype(int) - y).max()
        failed |= db < 70 or levels > 1
        line = f"{low}: {db:.1f} dB to PyTorch, at most {levels} levels off"
        if high:
            original = pixels(high)[: ours.shape[0], : ours.shape[1]]
            to_original.append(psnr(luma(ours)[border], luma(original)[border]))
            line += f"; {to_original[-1]:.2f} dB to the original"
        print(line, flush=True)
    if to_original:
        print(f"mean {np.mean(to_original):.2f} dB to the originals")
    return failed


if __name__ == "__main__":
    sys.exit(int(main()))
