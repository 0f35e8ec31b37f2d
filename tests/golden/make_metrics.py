#!/usr/bin/env python3
"""Writes tests/golden/metrics/: pairs of small pictures and their PSNR and SSIM.

Two references that share no code: scikit-image, and BasicSR's published definitions (basicsr/metrics/psnr_ssim.py:
border cropped, Y in 16..235 not rounded, SSIM with an 11-pixel Gaussian window where it fits) written out in NumPy.
The script fails when they differ by more than 1e-6. Needs numpy, scikit-image and Pillow.
"""

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

OUT = Path(__file__).parent / "metrics"


def luma(rgb):
    return rgb.astype(np.float64) / 255 @ np.array([65.481, 128.553, 24.966]) + 16


def cropped(a, border):
    return a[border:a.shape[0] - border, border:a.shape[1] - border] if border else a


def psnr(a, b):
    mse = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return math.inf if mse == 0 else 10 * math.log10(255 ** 2 / mse)


def window():
    x = np.arange(11) - 5.0
    g = np.exp(-x * x / (2 * 1.5 ** 2))
    g /= g.sum()
    return np.outer(g, g)


def filtered(plane, w):
    views = np.lib.stride_tricks.sliding_window_view(plane, w.shape)
    return np.einsum("ijkl,kl->ij", views, w)


def ssim(a, b):
    if a.ndim == 3:
        return float(np.mean([ssim(a[..., c], b[..., c]) for c in range(a.shape[2])]))
    a, b, w = a.astype(np.float64), b.astype(np.float64), window()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mu_a, mu_b = filtered(a, w), filtered(b, w)
    aa, bb, ab = filtered(a * a, w) - mu_a ** 2, filtered(b * b, w) - mu_b ** 2, filtered(a * b, w) - mu_a * mu_b
    return float(np.mean((2 * mu_a * mu_b + c1) * (2 * ab + c2) / ((mu_a ** 2 + mu_b ** 2 + c1) * (aa + bb + c2))))


def skimage_ssim(a, b):
    return structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255,
                                 channel_axis=2 if a.ndim == 3 else None)


def pair(seed, height, width, strength):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([128 + 90 * np.sin(x / 5 + c) * np.cos(y / 7 - c) + 20 * np.sign(np.sin(x * y / 97))
                     for c in range(3)], axis=2)
    a = np.clip(np.round(base), 0, 255).astype(np.uint8)
    b = np.clip(np.round(base + rng.normal(0, strength, base.shape)), 0, 255).astype(np.uint8)
    return a, b


def main():
    OUT.mkdir(exist_ok=True)
    cases = []
    for name, seed, height, width, strength in [("slight", 1, 45, 61, 2), ("strong", 2, 40, 33, 30), ("small", 3, 19, 19, 8)]:
        a, b = pair(seed, height, width, strength)
        Image.fromarray(a).save(OUT / f"{name}_a.png", optimize=True)
        Image.fromarray(b).save(OUT / f"{name}_b.png", optimize=True)
        for border in (0, 4):
            p, q = cropped(a, border), cropped(b, border)
            case = {"name": name, "border": border, "psnr": psnr(p, q), "psnr_y": psnr(luma(p), luma(q)),
                    "ssim": ssim(p, q), "ssim_y": ssim(luma(p), luma(q)),
                    "largest": int(np.abs(p.astype(int) - q.astype(int)).max())}
            for got, want in [(case["psnr"], peak_signal_noise_ratio(p, q, data_range=255)),
                              (case["psnr_y"], peak_signal_noise_ratio(luma(p), luma(q), data_range=255)),
                              (case["ssim"], skimage_ssim(p, q)), (case["ssim_y"], skimage_ssim(luma(p), luma(q)))]:
                assert abs(got - want) < 1e-6, (case, want)
            cases.append(case)
    (OUT / "metrics.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
