#!/usr/bin/env python3
"""Writes resize_opencv.txt and resize_opencv.f32: what OpenCV's resize makes of random float images.

The format is that of resize.txt (make_resize.py). area: INTER_AREA, shrinking only, for enlarging it is another
filter there. bilinear: INTER_LINEAR, enlarging only, for shrinking it skips pixels there. lanczos4, cubic:
INTER_LANCZOS4 and INTER_CUBIC. Needs numpy and OpenCV (written with 5.0.0).
"""
import pathlib

import cv2
import numpy as np

BOTH = {"lanczos4": cv2.INTER_LANCZOS4, "cubic": cv2.INTER_CUBIC}
CASES = [  # in_h, in_w, out_h, out_w, c
    (17, 19, 5, 7, 3), (31, 27, 13, 20, 1), (14, 22, 7, 11, 1), (9, 7, 20, 18, 3), (13, 2, 31, 7, 1), (6, 5, 24, 20, 3),
    (12, 30, 9, 4, 1),
]


def main():
    rng = np.random.default_rng(20240620)
    data, index, size = [], [], 0

    def store(array):
        nonlocal size
        array = np.ascontiguousarray(array, "<f4").ravel()
        data.append(array)
        size += array.size
        return size - array.size

    for in_h, in_w, out_h, out_w, c in CASES:
        image = rng.random((in_h, in_w, c), np.float32)
        at = store(image)
        only = {"area": cv2.INTER_AREA} if out_h < in_h and out_w < in_w else {"bilinear": cv2.INTER_LINEAR}
        for name, method in {**BOTH, **only}.items():
            out = store(cv2.resize(image, (out_w, out_h), interpolation=method))
            index.append(f"{name} f32 {c} {in_h} {in_w} {out_h} {out_w} {at} {out}")

    folder = pathlib.Path(__file__).parent
    (folder / "resize_opencv.txt").write_text("\n".join(index) + "\n")
    np.concatenate(data).tofile(folder / "resize_opencv.f32")


if __name__ == "__main__":
    main()
