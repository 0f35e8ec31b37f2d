#!/usr/bin/env python3
"""Code outside the per-ISA namespaces runs on every x86-64: it touches no AVX register.

Kernels are compiled once per instruction set inside Highway's namespaces (N_AVX2, N_AVX3 ...). If a function of the
standard library or of ours were compiled for AVX outside them, the linker could keep that copy for everybody, and an
older processor would stop with an illegal instruction. Exit status 77 (skipped) where objdump or x86-64 is missing.
"""

import platform
import re
import shutil
import subprocess
import sys

FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
PER_ISA = re.compile(r"N_(?:AVX|SSE)\w*")
WIDE = re.compile(r"%[yz]mm\d|\tv[a-z0-9]+ +.*%xmm")


def offenders(listing):
    function, found = "", {}
    for line in listing:
        if match := FUNCTION.match(line):
            function = match.group(1)
        elif WIDE.search(line) and not PER_ISA.search(function):
            found.setdefault(function, line.strip())
    return found


if __name__ == "__main__":
    if platform.machine() not in ("x86_64", "AMD64") or shutil.which("objdump") is None:
        print("skipped: needs x86-64 and objdump")
        sys.exit(77)
    with subprocess.Popen(
        ["objdump", "--disassemble", "--no-show-raw-insn", sys.argv[1]], stdout=subprocess.PIPE, text=True
    ) as listing:
        found = offenders(listing.stdout)
    for function, line in found.items():
        print(f"{function}: {line}")
    if listing.returncode:
        sys.exit(f"objdump failed on {sys.argv[1]}")
    print(f"{len(found)} functions outside the per-ISA namespaces use AVX")
    sys.exit(bool(found))
