#!/usr/bin/env python3
"""Writes resize.txt and resize.f32: what Pillow's resampler makes of random images.

resize.f32 is little-endian float32. Each line of resize.txt is one case:
  filter depth c in_h in_w out_h out_w in_offset out_offset
with offsets in floats and pixels interleaved. depth f32: each channel resized as mode F. depth u8: mode RGB,
values 0..255. Needs numpy and Pillow (written with 13.0.0).
"""
import pathlib

import numpy as np
from PIL import Image

FILTERS = {
    "lanczos3": Image.LANCZOS,
    "bicubic": Image.BICUBIC,
    "bilinear": Image.BILINEAR,
    "box": Image.BOX,
    "nearest": Image.NEAREST,
}
F32_CASES = [  # in_h, in_w, out_h, out_w, c
    (1, 1, 5, 7, 1), (1, 13, 1, 4, 1), (13, 1, 29, 1, 1), (7, 11, 14, 22, 3), (14, 22, 7, 11, 1),
    (17, 19, 5, 7, 3), (5, 7, 17, 23, 1), (31, 37, 13, 41, 1), (97, 3, 2, 3, 1), (8, 8, 8, 8, 1),
    (41, 29, 1, 1, 1), (23, 16, 23, 5, 4), (9, 9, 36, 36, 1), (2, 307, 3, 11, 2), (13, 2, 31, 7, 1),
]
U8_CASES = [(21, 17, 9, 11, 3), (9, 7, 20, 18, 3)]


def main():
    rng = np.random.default_rng(20240501)
    data, index, size = [], [], 0

    def store(array):
        nonlocal size
        array = np.ascontiguousarray(array, "<f4").ravel()
        data.append(array)
        size += array.size
        return size - array.size

    for in_h, in_w, out_h, out_w, c in F32_CASES:
        image = rng.random((in_h, in_w, c), np.float32)
        at = store(image)
        for name, method in FILTERS.items():
            planes = [Image.fromarray(image[..., k]).resize((out_w, out_h), method) for k in range(c)]
            out = store(np.stack([np.asarray(p) for p in planes], -1))
            index.append(f"{name} f32 {c} {in_h} {in_w} {out_h} {out_w} {at} {out}")
    for in_h, in_w, out_h, out_w, c in U8_CASES:
        # 64..191, so that Pillow's 8-bit rows between the passes do not clip.
        image = rng.integers(64, 192, (in_h, in_w, c), np.uint8)
        at = store(image)
        for name, method in FILTERS.items():
            out = store(np.asarray(Image.fromarray(image).resize((out_w, out_h), method)))
            index.append(f"{name} u8 {c} {in_h} {in_w} {out_h} {out_w} {at} {out}")

    folder = pathlib.Path(__file__).parent
    (folder / "resize.txt").write_text("\n".join(index) + "\n")
    np.concatenate(data).tofile(folder / "resize.f32")


if __name__ == "__main__":
    main()
