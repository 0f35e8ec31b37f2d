#!/usr/bin/env python3
"""Writes enhance.txt and enhance.u8: what Pillow's ImageEnhance and ImageFilter make of random pictures.

Each line of enhance.txt is one case: `what parameters c h w in_offset out_offset`, parameters joined by commas,
offsets in bytes into enhance.u8, pixels interleaved. Needs numpy and Pillow (written with 13.0.0).
"""
import pathlib

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

FACTORS = (0.0, 0.35, 1.0, 1.15, 2.0)
SIZES = ((23, 31), (40, 3), (2, 9), (1, 1), (5, 5), (37, 6))  # h, w


def picture(rng, h, w, c):
    """Noise on a ramp, so that flat and steep places occur; the corners saturate."""
    ramp = np.linspace(-40, 300, h * w * c).reshape(h, w, c)
    noise = rng.normal(0, rng.choice([2, 60]), (h, w, c))
    return np.clip(ramp + noise, 0, 255).astype(np.uint8)


def main():
    rng = np.random.default_rng(20240612)
    data, index, size = [], [], 0

    def store(array):
        nonlocal size
        array = np.ascontiguousarray(array, np.uint8).ravel()
        data.append(array)
        size += array.size
        return size - array.size

    for h, w in SIZES:
        for c in (1, 3):
            array = picture(rng, h, w, c)
            image = Image.fromarray(array[..., 0] if c == 1 else array)
            at = store(array)

            def add(what, parameters, out):
                index.append(f"{what} {parameters} {c} {h} {w} {at} {store(np.asarray(out))}")

            for name in ("Sharpness", "Brightness", "Color", "Contrast"):
                for factor in FACTORS:
                    add(name.lower(), factor, getattr(ImageEnhance, name)(image).enhance(factor))
            for name in ("SMOOTH", "DETAIL", "BLUR", "CONTOUR"):
                add(name.lower(), 0, image.filter(getattr(ImageFilter, name)))
            for radius, percent, threshold in ((2, 150, 3), (0.3, 80, 0), (5.5, 220, 9), (0, 100, 0)):
                add("unsharp", f"{radius},{percent},{threshold}",
                    image.filter(ImageFilter.UnsharpMask(radius, percent, threshold)))

    folder = pathlib.Path(__file__).parent
    (folder / "enhance.txt").write_text("\n".join(index) + "\n")
    np.concatenate(data).tofile(folder / "enhance.u8")


if __name__ == "__main__":
    main()
