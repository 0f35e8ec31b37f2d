#!/usr/bin/env python3
"""Writes colour_fix.txt and colour_fix.f32: pictures whose colours are held to those of a reference.

Each line of colour_fix.txt: `fix c ref_h ref_w h w reference picture out`, the last three offsets in floats.
mean: numpy. histogram: scikit-image's match_histograms on values of 16 bits. lowfreq: Pillow's BOX to cells of 8
reference pixels, the difference back by BILINEAR. Needs numpy, Pillow and scikit-image (written with 0.26.0).
"""
import pathlib

import numpy as np
from PIL import Image
from skimage.exposure import match_histograms


def resized(a, h, w, method):
    planes = [Image.fromarray(np.ascontiguousarray(a[..., k])).resize((w, h), method) for k in range(a.shape[2])]
    return np.stack([np.asarray(p) for p in planes], -1)


def main():
    rng = np.random.default_rng(7)
    data, index, size = [], [], 0

    def store(a):
        nonlocal size
        a = np.ascontiguousarray(a, "<f4").ravel()
        data.append(a)
        size += a.size
        return size - a.size

    for c, (rh, rw), (h, w) in ((3, (19, 13), (25, 21)), (1, (30, 17), (41, 23)), (3, (5, 6), (10, 14))):
        reference = np.round(rng.beta(2, 3, (rh, rw, c)) * 65535).astype(np.float64) / 65535
        picture = np.round(rng.beta(3, 2, (h, w, c)) * 0.8 * 65535).astype(np.float64) / 65535
        at, of = store(reference), store(picture)
        r, p = reference.astype(np.float32), picture.astype(np.float32)
        grid = (rh + 7) // 8, (rw + 7) // 8
        difference = resized(r, *grid, Image.BOX) - resized(p, *grid, Image.BOX)
        results = {
            "mean": picture + (reference.mean((0, 1)) - picture.mean((0, 1))),
            "histogram": match_histograms(picture, reference, channel_axis=-1),
            "lowfreq": p + resized(difference, h, w, Image.BILINEAR),
        }
        for fix, out in results.items():
            index.append(f"{fix} {c} {rh} {rw} {h} {w} {at} {of} {store(out)}")

    folder = pathlib.Path(__file__).parent
    (folder / "colour_fix.txt").write_text("\n".join(index) + "\n")
    np.concatenate(data).tofile(folder / "colour_fix.f32")


if __name__ == "__main__":
    main()
