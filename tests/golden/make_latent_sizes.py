#!/usr/bin/env python3
"""Writes tests/golden/latent_sizes.txt: the sizes that Impact Pack's IterativeImageUpscale passes through.

    python tests/golden/make_latent_sizes.py

A line per case: width height factor steps mode | WxH WxH ... (resized to) | WxH ... (seen by the encoder) | WxH (result).
The rule is the one its node publishes: the base is 8 times the latent's size; a unit of factor^(1/steps) or
max(0, (factor - 1) / steps) is multiplied or added once per step but the last, which uses the exact factor and happens
only if the accumulated one is below it; sizes are cut to whole pixels, and the encoder crops to multiples of 8.
"""

import random
from pathlib import Path


def sizes(width, height, factor, steps, mode):
    w, h = width // 8 * 8, height // 8 * 8
    unit = pow(factor, 1 / steps) if mode == "geometric" else max(0, (factor - 1.0) / steps)
    scale, out = 1.0, []
    for _ in range(steps - 1):
        scale = scale * unit if mode == "geometric" else scale + unit
        out.append((int(w * scale), int(h * scale)))
    if scale < factor:
        out.append((int(w * factor), int(h * factor)))
    return out


def cases():
    yield from [(683, 512, 1.5, 3, "simple"), (512, 512, 2.0, 3, "simple"), (512, 512, 2.0, 3, "geometric"),
                (640, 480, 4.0, 4, "simple"), (640, 480, 4.0, 4, "geometric"), (100, 60, 1.0, 1, "simple"),
                (100, 60, 1.0, 3, "simple"), (100, 60, 1.0, 3, "geometric"), (8, 8, 1.1, 2, "simple"),
                (9, 15, 3.0, 1, "geometric")]
    rng = random.Random(20)
    for i in range(70):
        yield (rng.randint(8, 2000), rng.randint(8, 2000), round(rng.uniform(1, 6), 1 + i % 2), rng.randint(1, 12),
               rng.choice(["simple", "geometric"]))


with open(Path(__file__).parent / "latent_sizes.txt", "w") as file:
    for case in cases():
        steps = sizes(*case)
        seen = [(w // 8 * 8, h // 8 * 8) for w, h in steps]
        last = seen[-1] if seen else (case[0] // 8 * 8, case[1] // 8 * 8)
        text = [" ".join(f"{w}x{h}" for w, h in part) for part in (steps, seen, [last])]
        file.write(" ".join(map(str, case)) + " | " + " | ".join(text) + "\n")
