#!/usr/bin/env python3
"""Every source file is formatted as .clang-format says. Exit status 77 (skipped) where clang-format is missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import source

tool = shutil.which("clang-format-14") or shutil.which("clang-format")
if tool is None:
    print("skipped: clang-format is not installed")
    sys.exit(77)
root = Path(sys.argv[1]).resolve()
paths = list(source.files(root, *source.ROOMS, "tests", "bench"))
result = subprocess.run([tool, "--dry-run", "--Werror", "--ferror-limit=1", *map(str, paths)], cwd=root)
print(f"{len(paths)} files, {'not all formatted (clang-format -i FILE)' if result.returncode else 'all formatted'}")
sys.exit(result.returncode != 0)
