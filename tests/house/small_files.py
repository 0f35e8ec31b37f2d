#!/usr/bin/env python3
"""Small rooms: at most 400 lines a source file (600 in tests and bench), and no file whose name says nothing."""

import sys
from pathlib import Path

import source

NAMELESS = {"utils", "util", "common", "helpers", "helper", "misc"}


def violations(root):
    root = Path(root)
    for path in source.files(root, *source.ROOMS, "tests", "bench"):
        name = path.relative_to(root)
        limit = 600 if name.parts[0] in ("tests", "bench") else 400
        lines = path.read_text().count("\n")
        if lines > limit:
            yield f"{name}: has {lines} lines, at most {limit} are allowed (split it by purpose)"
        if path.stem in NAMELESS:
            yield f"{name}: a file called {path.stem} has no purpose (name it after what it computes or owns)"


if __name__ == "__main__":
    found = list(violations(sys.argv[1]))
    print("\n".join(found) if found else "every file is small and named")
    sys.exit(bool(found))
