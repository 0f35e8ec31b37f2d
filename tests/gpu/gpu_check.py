#!/usr/bin/env python3
"""bench/gpu_check.sh without a GPU: stand-ins for nvidia-smi and for the programs of gpu_pack.sh, which print what those
print. What it runs in which order, what it records, and that nothing outlives a stage that is cut off.

gpu_check.py REPOSITORY
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NVIDIA_SMI = """case "$*" in *name*) echo "NVIDIA Stand-in 1";; *driver_version*) echo 1.2;; *compute_cap*) echo 9.0;; esac"""
TEST_GPU = """
case "$*" in *--list-tags*)
  [ -n "${NO_TESTS:-}" ] || printf '   3  [#first]\\n   2  [#second]\\n'
  exit 2 ;;
esac
if [ -n "${HANG:-}" ]; then echo $$ >>"$HANG"; exec sleep 60; fi
echo "All tests passed (9 assertions in 3 test cases)"
"""
BENCH_GPU = """
echo "NVIDIA Stand-in 1, sm_90, 2 multiprocessors, 1 MiB of L2"
json=/dev/null
for word in "$@"; do [ "${before:-}" = --json ] && json=$word; before=$word; done
case "$*" in
  *--prepare*) mkdir -p "$2" ;;
  *--has-vendor*) echo "bench_gpu: skipped: built without UPS_VENDOR"; exit 77 ;;
  *"--only process"*) echo '{"kind": "process", "what": "upscale", "ms": 441.2, "least_ms": 439, "runs": 7, "says": "read 9 ms", "steps": {"context": 201.5}}' >>"$json" ;;
  *"--only models"*) echo '{"kind": "model", "model": "x4", "runner": "'"upscale${UPSCALE_VARIANT:+, $UPSCALE_VARIANT}"'", "size": [512, 512],
    "network_ms": 20.5}' | tr -d '\\n' >>"$json"; echo >>"$json" ;;
esac
"""
SANITIZER = 'echo "========= ERROR SUMMARY: 0 errors"'
STAGES = ["writing networks", "tests, small", "tests, others", "networks", "processes", "x4 by wgmma-stream",
          "x4 by wgmma-phases", "x4 by wgmma-narrow", "layers of transformers", "autoencoders", "convolutions", "networks by cuDNN",
          "compute-sanitizer memcheck", "compute-sanitizer racecheck", "compute-sanitizer synccheck"]

passed = failed = 0


def check(what: str, good: bool, saw: str = "") -> None:
    global passed, failed
    passed, failed = passed + good, failed + (not good)
    if not good:
        print(f"FAILED: {what}\n{saw}")


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/bash\n" + text + "\n")
    path.chmod(0o755)


class Machine:
    def __init__(self, root: Path, folder: Path):
        self.packed, self.tools, self.out = folder / "packed", folder / "tools", folder / "out"
        script(self.tools / "nvidia-smi", NVIDIA_SMI)
        script(self.tools / "compute-sanitizer", SANITIZER)
        script(self.tools / "python3", f'exec {sys.executable} -S "$@"')  # none of its packages: no PyTorch
        script(self.packed / "bin/test_gpu", TEST_GPU)
        script(self.packed / "bin/bench_gpu", BENCH_GPU)
        shutil.copy(root / "bench/gpu_check.sh", self.packed)
        shutil.copytree(root / "bench/peers", self.packed / "peers")

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        names = {**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}", "OUT": str(self.out), **environment}
        return subprocess.run(["bash", self.packed / "gpu_check.sh", "--prebuilt", self.packed, *arguments], env=names,
                              capture_output=True, text=True, timeout=300, check=False)

    def records(self, number: int = 0) -> list[dict]:
        files = sorted(self.out.glob("*.json"), key=lambda p: p.stat().st_mtime_ns)
        return json.loads(files[number].read_text())


def main() -> None:
    root = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(root, Path(folder))
        run = machine.run()
        said = run.stdout + run.stderr
        check("status 0", run.returncode == 0, said)
        records = machine.records()
        stages = {r["stage"]: r for r in records if r["kind"] == "stage"}
        check("all stages, in their order", list(stages) == STAGES, str(list(stages)))
        outcomes = {name: "skipped" if "cuDNN" in name else "passed" for name in STAGES}
        check("how they ended", {k: v["outcome"] for k, v in stages.items()} == outcomes, str(stages))
        check("passed tests are counted", stages["tests, small"]["summary"] == "6 test cases passed, 0 failed")
        runners = [r["runner"] for r in records if r["kind"] == "model"]
        others = [f"upscale, conv2d~wgmma-{name}" for name in ("stream", "phases", "narrow")]
        check("what the programs record", runners == ["upscale", *others], str(runners))
        check("the table is printed", "| x4 | 512x512 | upscale | 20.500 | 1.00 |" in run.stdout, said)

        check("processes are in the table", "| upscale | 441 | 439 | 7 | read 9 ms |" in run.stdout and
              "| context | 201.5 |" in run.stdout, said)

        run = machine.run("--only", "process", OUT=str(Path(folder) / "process"))
        check("a stage alone brings what it needs", run.returncode == 0 and "writing networks" in run.stdout and
              "| processes | passed |" in run.stdout and "tests, small" not in run.stdout, run.stdout)

        run = machine.run("--only", "tests", "--quick", NO_TESTS="1")
        check("no test is a failure", run.returncode == 1, run.stdout)
        check("the earlier run of the day stays", machine.records() == records and len(list(machine.out.glob("*.md"))) == 2)

        pids = Path(folder) / "pids"
        run = machine.run("--only", "tests", GPU_CHECK_BUDGET="10", HANG=str(pids))
        check("a test that hangs is a failure", run.returncode == 1, run.stdout)
        stages = [r for r in machine.records(-1) if r["kind"] == "stage"]
        check("what was cut off, what not run", [s["outcome"].split(" after")[0] for s in stages] ==
              ["cut off", "not run: no time left"], str(stages))
        time.sleep(0.2)
        left = [pid for pid in pids.read_text().split() if Path(f"/proc/{pid}").exists()]
        check("no test outlives its stage", not left, str(left))

        (machine.packed / "peers/gpu_report.py").unlink()
        machine.run("--only", "tests", "--quick")
        check("without a report the records are kept", any(machine.out.glob("*.jsonl")))
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
