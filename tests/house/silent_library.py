#!/usr/bin/env python3
"""The library never prints, exits or aborts: no such call in kernels, weights, runtime and arch."""

import re
import sys
from pathlib import Path

import source

FORBIDDEN = re.compile(
    r"(?<![\w.>])(?:v?f?printf|puts|fputs|putchar|perror|abort|_?exit|quick_exit|_Exit|terminate|assert)\s*\("
    r"|\bstd::(?:cout|cerr|clog)\b"
    r"|\b(?:stdout|stderr)\b"
)


def violations(root):
    root = Path(root)
    for path in source.files(root, "kernels", "weights", "runtime", "arch"):
        text = source.code_only(path.read_text())
        for match in FORBIDDEN.finditer(text):
            where = f"{path.relative_to(root)}:{source.line_of(text, match.start())}"
            yield f"{where}: {match.group().strip()} in the library (throw ups::Error instead)"


if __name__ == "__main__":
    found = list(violations(sys.argv[1]))
    print("\n".join(found) if found else "the library is silent")
    sys.exit(bool(found))
