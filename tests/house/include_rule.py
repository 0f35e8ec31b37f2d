#!/usr/bin/env python3
"""Who may include whom: kernels <- weights <- runtime <- arch, each room sees the rooms to its left.

weights sees only the vocabulary of kernels (error.h, tensor.h). apps see include/upscale.h, their own files and
libraries: the command line tool proves that the C API is enough. include/ sees nothing but the C standard library.
"""

import re
import sys
from pathlib import Path

import source

SEES = {
    "kernels": {"kernels"},
    "weights": {"weights"},
    "runtime": {"runtime", "weights", "kernels", "include"},
    "arch": {"arch", "runtime", "weights", "kernels"},
    "apps": {"apps", "include"},
    "include": set(),
}
VOCABULARY = {"kernels/error.h", "kernels/tensor.h"}
C99_HEADERS = {"stddef.h", "stdint.h"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*(?:include|define[ \t]+HWY_TARGET_INCLUDE)[ \t]*(["<])([^">\n]+)[">]', re.M)


def room_of(name, path, root):
    """The room an include names, or None for a file that is not of this house."""
    first = name.split("/")[0]
    if first in ("tests", "bench"):
        return first
    if first in source.ROOMS and "/" in name:
        return first
    if name == "upscale.h":
        return "include"
    beside = (path.parent / name).resolve()  # "../room/file.h" and "file.h"
    if beside.is_file() and beside.is_relative_to(Path(root).resolve()):
        return beside.relative_to(Path(root).resolve()).parts[0]
    return None


def violations(root):
    root = Path(root)
    for path in source.files(root, *source.ROOMS):
        text = source.without_comments(path.read_text())
        room = path.relative_to(root).parts[0]
        for match in INCLUDE.finditer(text):
            quote, name = match.groups()
            where = f"{path.relative_to(root)}:{source.line_of(text, match.start())}"
            target = room_of(name, path, root)
            if target is None:
                if quote == '"':
                    yield f'{where}: includes "{name}", which is not in the tree (use <> for libraries)'
                elif room == "include" and name not in C99_HEADERS:
                    yield f"{where}: includes <{name}>, the public header sees only {', '.join(sorted(C99_HEADERS))}"
                continue
            if target in SEES[room] or (room == "weights" and name in VOCABULARY):
                continue
            yield f"{where}: {room} must not include {name}"


if __name__ == "__main__":
    found = list(violations(sys.argv[1]))
    print("\n".join(found) if found else "every include follows the rule")
    sys.exit(bool(found))
