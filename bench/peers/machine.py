"""What the numbers were measured on: processor, instruction sets, cores, commit."""

import os
import platform
import subprocess
from pathlib import Path

INTERESTING = ["avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16", "asimd", "bf16", "sve"]


def _cpuinfo() -> dict[str, str]:
    found = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return found


def facts() -> dict:
    info = _cpuinfo()
    flags = info.get("flags", info.get("Features", "")).split()
    return {
        "cpu": info.get("model name", platform.machine()),
        "family_model": f"{info.get('cpu family', '?')}-{info.get('model', '?')}",
        "isa": [f for f in INTERESTING if f in flags],
        "cores_available": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "load_average": [round(x, 2) for x in os.getloadavg()],
    }


def distinct_cores(count: int) -> set[int]:
    """The first `count` processors this process may use, one per physical core while they last."""
    allowed = sorted(os.sched_getaffinity(0))
    first, second, seen = [], [], set()
    for cpu in allowed:
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = path.read_text() if path.exists() else str(cpu)
        (second if core in seen else first).append(cpu)
        seen.add(core)
    if count > len(allowed):
        raise SystemExit(f"--threads: got {count}, this process may use {len(allowed)} processors")
    return set((first + second)[:count])


def commit(folder: Path) -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + (" with local changes" if changed else "")
