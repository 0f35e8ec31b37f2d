#!/usr/bin/env python3
"""Measures the resident memory of one `upscale` process over a folder of many small pictures.

  bench/batch_memory.py build/upscale [--count 10000] [--side 16] [--model fast] [--limit-mib 8] [--svg out.svg]

Prints how many files were done and the resident memory, at about forty moments, and fails when the memory at the
end is more than the limit above that after the first tenth.
"""

import argparse
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path


def png(side, seed):
    rows = random.Random(seed)
    raw = b"".join(b"\0" + rows.randbytes(side * 3) for _ in range(side))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def resident_kib(pid):
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def svg(samples, title):
    """Resident memory over files done: a line, its axes and the last value."""
    width, height, left, right, top, bottom = 640, 260, 56, 70, 34, 42
    most_files = samples[-1][0]
    most_mib = max(kib for _, kib in samples) / 1024
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if most_mib * 1.25 / s <= 6)
    limit = (int(most_mib * 1.25 / step) + 1) * step

    def x(files):
        return left + (width - left - right) * files / most_files

    def y(mib):
        return height - bottom - (height - top - bottom) * mib / limit

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
           f'font-size="12" fill="#333">', f'<rect width="{width}" height="{height}" fill="#fff"/>',
           f'<text x="{left}" y="18">{title}</text>']
    for mib in range(0, limit + 1, step):
        out.append(f'<path d="M{left} {y(mib):.1f}H{width - right}" stroke="#ddd"/>'
                   f'<text x="{left - 8}" y="{y(mib) + 4:.1f}" text-anchor="end">{mib}</text>')
    for part in range(6):
        files = most_files * part // 5
        out.append(f'<text x="{x(files):.1f}" y="{height - bottom + 18}" text-anchor="middle">{files}</text>')
    out.append(f'<text x="{(left + width - right) / 2:.0f}" y="{height - 6}" text-anchor="middle">files done</text>'
               f'<text x="14" y="{(top + height - bottom) / 2:.0f}" text-anchor="middle" '
               f'transform="rotate(-90 14 {(top + height - bottom) / 2:.0f})">MiB resident</text>')
    line = " ".join(f"{x(files):.1f},{y(kib / 1024):.1f}" for files, kib in samples)
    files, kib = samples[-1]
    out.append(f'<polyline points="{line}" fill="none" stroke="#0a62a9" stroke-width="2"/>'
               f'<text x="{x(files) + 6:.1f}" y="{y(kib / 1024) + 4:.1f}" fill="#0a62a9">{kib / 1024:.1f} MiB</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("upscale", type=Path)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--limit-mib", type=float, default=8)
    parser.add_argument("--svg", type=Path, help="draw the samples into this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = Path(folder, "in"), Path(folder, "out")
        inputs.mkdir()
        outputs.mkdir()
        for i in range(args.count):
            (inputs / f"{i:06}.png").write_bytes(png(args.side, i))
        # Results are reported on stdout, one a line: counting them tells how far the run is.
        process = subprocess.Popen([str(args.upscale), str(inputs), str(outputs), "-m", args.model],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=1 << 20)
        samples, done, began = [], 0, time.monotonic()
        step = max(args.count // 40, 1)
        for _ in process.stdout:
            done += 1
            if done % step == 0 and done <= args.count:
                samples.append((done, resident_kib(process.pid)))
        code = process.wait()
        seconds = time.monotonic() - began
        made = sum(1 for _ in outputs.iterdir())
    print(f"# {args.count} files of {args.side}x{args.side}, model {args.model}: exit code {code}, "
          f"{made} results, {seconds:.0f} s on {os.cpu_count()} cores")
    print("# files done, resident MiB")
    samples = [s for s in samples if s[1] > 0]
    for n, kib in samples:
        print(f"{n:7} {kib / 1024:8.1f}")
    if args.svg and samples:
        args.svg.write_text(svg(samples, f"{args.count} pictures of {args.side}x{args.side} pixels, model {args.model}"))
    early = max((kib for n, kib in samples if n <= args.count // 10), default=0)
    late = max(kib for n, kib in samples if n > args.count // 10)
    print(f"# growth after the first tenth: {(late - early) / 1024:.1f} MiB, limit {args.limit_mib:g}")
    return 0 if code == 0 and made == args.count and late - early <= args.limit_mib * 1024 else 1


if __name__ == "__main__":
    sys.exit(main())
