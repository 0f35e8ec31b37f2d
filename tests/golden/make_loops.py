#!/usr/bin/env python3
"""Writes loops.txt: the sizes that the loops of other systems pass through, from their published formulas.

Each line: `mode w h factor steps curve sizes...`, sizes as WxH, of the picture that leaves each step. Written
from the descriptions (docs/loops.md), not from our code; Python's float is what those systems compute with.
"""
import math
import pathlib


def crop8(side):
    return side // 8 * 8


def impact(mode, w, h, f, steps):
    """Impact Pack: absolute sizes from the 8-cropped picture, int(), then the encoder's crop to 8."""
    w, h = crop8(w), crop8(h)
    unit = pow(f, 1.0 / steps) if mode == "geometric" else max(0, (f - 1.0) / steps)
    scale, sizes = 1, []
    for _ in range(steps - 1):
        scale = scale * unit if mode == "geometric" else scale + unit
        sizes.append((crop8(int(w * scale)), crop8(int(h * scale))))
    if scale < f:
        sizes.append((crop8(int(w * f)), crop8(int(h * f))))
    return sizes


def a1111(w, h, f):
    return [(int((w * f) // 8 * 8), int((h * f) // 8 * 8))]


def out(fn):
    return lambda p: 1 - fn(1 - p)


def in_out(fn):
    return lambda p: fn(2 * p) / 2 if p < 0.5 else 1 - fn(2 - 2 * p) / 2


SINE = lambda p: 1 - math.cos(p * math.pi / 2)
CUBIC = lambda p: p ** 3
FIFTH = lambda p: p ** 5
CIRC = lambda p: 1 - math.sqrt(1 - p ** 2)
CURVES = {
    "linear": lambda p: p,
    "in-sine": SINE, "out-sine": out(SINE), "in-out-sine": in_out(SINE),
    "in-cubic": CUBIC, "out-cubic": out(CUBIC), "in-out-cubic": in_out(CUBIC),
    "in-quint": lambda p: p ** 4, "out-quint": out(FIFTH), "in-out-quint": in_out(FIFTH),
    "in-circ": CIRC, "out-circ": out(CIRC), "in-out-circ": in_out(CIRC),
}


def loopback(w0, h0, f, loops, curve, faithful):
    if faithful:
        wf, hf = math.floor(w0 * f), math.floor(h0 * f)
    else:
        wf, hf = math.floor(w0 * f + 0.5), math.floor(h0 * f + 0.5)
    r, sizes = h0 / w0, []
    for i in range(loops):
        if i < loops - 1:
            e = CURVES[curve](i / loops)
            h, w = int((hf - h0) * e + h0), int((wf - w0) * e + w0)
        else:
            h, w = hf, wf
            if not faithful:
                sizes.append((w, h))
                break
        follow = math.floor if faithful else lambda v: math.floor(v + 0.5)
        if r >= hf / wf:
            w = follow(h / r)
        else:
            h = follow(w * r)
        if faithful:
            aspect = max(w0, h0) / min(w0, h0)
            a = math.ceil(min(w, h) / 8) * 8
            b = math.ceil(round(a * aspect) / 8) * 8
            w, h = (b, a) if w >= h else (a, b)
        sizes.append((w, h))
    return sizes


def adaptive(w0, h0, f, loops, a, means):
    wf, hf = math.floor(w0 * f + 0.5), math.floor(h0 * f + 0.5)
    ratio = h0 / w0
    by_height = ratio >= hf / wf
    increment = math.floor(((hf - h0) if by_height else (wf - w0)) / loops)
    w, h, sizes = w0, h0, []
    for i in range(loops):
        if i == loops - 1:
            sizes.append((wf, hf))
            break
        step = int(increment * (means[i] / 255) * a)
        if by_height:
            h = min(h + step, hf)
            w = math.floor(h / ratio)
        else:
            w = min(w + step, wf)
            h = math.floor(w * ratio)
        sizes.append((w, h))
    return sizes


def main():
    lines = []

    def add(mode, w, h, f, steps, curve, sizes):
        lines.append(" ".join([mode, str(w), str(h), repr(float(f)), str(steps), curve] +
                              [f"{a}x{b}" for a, b in sizes]))

    for w, h, f, n in ((683, 512, 1.5, 3), (683, 512, 2, 3), (640, 480, 4, 4), (512, 512, 1, 3), (512, 768, 1, 1),
                       (1023, 769, 1.1, 2), (100, 60, 2.3, 5), (1920, 1080, 1.7, 6), (65, 9, 10, 3),
                       (512, 512, 3, 1)):
        for mode in ("simple", "geometric"):
            add(mode, w, h, f, n, "-", impact(mode, w, h, f, n))
    for w, h, f in ((683, 512, 2), (640, 480, 4), (683, 512, 1), (1001, 999, 1.5), (33, 17, 8), (1920, 1080, 0.5)):
        add("native", w, h, f, 1, "-", a1111(w, h, f))
    for curve in CURVES:
        add("loopback", 683, 512, 2, 4, curve, loopback(683, 512, 2, 4, curve, False))
        add("loopback-faithful", 683, 512, 2, 4, curve, loopback(683, 512, 2, 4, curve, True))
        add("loopback-faithful", 512, 768, 1.7, 5, curve, loopback(512, 768, 1.7, 5, curve, True))
        add("loopback", 300, 401, 3.3, 3, curve, loopback(300, 401, 3.3, 3, curve, False))
    add("loopback", 64, 64, 2, 1, "linear", loopback(64, 64, 2, 1, "linear", False))
    for w, h, f, n, a, means in ((512, 512, 2, 4, 1.0, (100, 120, 140)), (683, 512, 2, 4, 0.5, (255, 255, 255)),
                                 (512, 683, 1.5, 5, 2.0, (200.5, 210.25, 90, 30)), (300, 200, 3, 3, 1.3, (0, 77))):
        add("adaptive:" + str(a) + ":" + ",".join(map(str, means)), w, h, f, n, "-", adaptive(w, h, f, n, a, means))
    (pathlib.Path(__file__).parent / "loops.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
