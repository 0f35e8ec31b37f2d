#!/usr/bin/env python3
"""Writes sharpen.txt and sharpen.f32: sharpened random pictures.

Each line of sharpen.txt: `kind sigma x1 y2 y3 m1 m2 amount c h w in out`, offsets in floats. lab: libvips'
sharpen on 8-bit pictures, values v / 255. unsharp: scikit-image's unsharp_mask on floats, not clipped. Needs
numpy, pyvips (written with libvips 8.18) and scikit-image (0.26.0).
"""
import pathlib

import numpy as np
import pyvips
from skimage.filters import unsharp_mask


def main():
    rng = np.random.default_rng(11)
    data, index, size = [], [], 0

    def store(a):
        nonlocal size
        a = np.ascontiguousarray(a, "<f4").ravel()
        data.append(a)
        size += a.size
        return size - a.size

    def smooth(h, w, c, spread):
        y, x = np.mgrid[0:h, 0:w]
        base = 128 + 70 * np.sin(x / 3)[..., None] * np.cos(y[..., None] / 4 + np.arange(c))
        return np.clip(base + rng.normal(0, spread, (h, w, c)), 0, 255).astype(np.uint8)

    for sigma, x1, y2, y3, m1, m2 in ((0.5, 2, 10, 20, 0, 3), (1.5, 2, 10, 20, 0, 3), (3, 1, 15, 5, 0.5, 1.5),
                                      (0.2, 2, 10, 20, 0, 3)):
        for c, h, w in ((3, 19, 16), (1, 14, 25), (3, 2, 7)):
            a = smooth(h, w, c, 12)
            image = pyvips.Image.new_from_array(a).copy(interpretation="srgb" if c == 3 else "b-w")
            out = image.sharpen(sigma=sigma, x1=x1, y2=y2, y3=y3, m1=m1, m2=m2).numpy().reshape(h, w, -1)
            assert out.dtype == np.uint8 and out.shape[2] == c, out.shape
            index.append(f"lab {sigma} {x1} {y2} {y3} {m1} {m2} 0 {c} {h} {w} {store(a / 255)} {store(out / 255)}")
    for sigma, amount in ((1, 1), (2.5, 0.6), (0.4, 2)):
        for c, h, w in ((3, 19, 16), (1, 14, 25), (1, 3, 2)):
            a = rng.random((h, w, c))
            # By channel: with channel_axis=-1, version 0.26 leaves most of its result uninitialised.
            out = np.stack([unsharp_mask(a[..., k], radius=sigma, amount=amount, preserve_range=True)
                            for k in range(c)], -1)
            index.append(f"unsharp {sigma} 0 0 0 0 0 {amount} {c} {h} {w} {store(a)} {store(out)}")

    folder = pathlib.Path(__file__).parent
    (folder / "sharpen.txt").write_text("\n".join(index) + "\n")
    np.concatenate(data).tofile(folder / "sharpen.f32")


if __name__ == "__main__":
    main()
