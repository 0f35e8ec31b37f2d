"""The driver: prepares cases, runs all runtimes in alternation, collects times, memory and agreement.

Standard library only. A child's peak memory is never read below that of the process it was forked from, so
this one must stay small; all that needs numpy or torch happens in children.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import machine  # noqa: E402
import report  # noqa: E402

OURS = "upscale"
PEERS = ["ncnn", "ncnn-default", "onnxruntime", "openvino", "openvino-default", "torch"]
WHOLE_PEERS = {"ncnn": "param", "onnxruntime": "model.onnx", "openvino": "model.onnx", "torch": "model.safetensors"}

RRDB23, RRDB6 = {"kind": "rrdb", "n": 23}, {"kind": "rrdb", "n": 6}
CASES = [
    ("x4plus", "realesrgan-x4plus", RRDB23, (64, 64)),
    ("x4plus", "realesrgan-x4plus", RRDB23, (128, 128)),
    ("anime-6B", "realesrgan-x4plus-anime", RRDB6, (128, 128)),
    ("animevideov3-x4", "realesr-animevideov3-x4", {"kind": "srvgg", "n": 16}, (256, 256)),
    ("general-x4v3", "realesr-general-x4v3", {"kind": "srvgg", "n": 32}, (256, 256)),
    ("swinir-m-x4", "", {"kind": "swinir", "n": 6}, (64, 64)),
    ("hat-x4", "", {"kind": "hat", "n": 6}, (64, 64)),
    ("dat-x4", "", {"kind": "dat", "n": 6}, (64, 64)),
    ("edsr-x4", "", {"kind": "edsr", "n": 32}, (64, 64)),
    ("rcan-x4", "", {"kind": "rcan", "n": 10}, (64, 64)),
    ("span-x4", "", {"kind": "span", "n": 6}, (256, 256)),
]


def parse() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ncnn-models", type=Path, required=True, help="folder with the .param/.bin pairs")
    p.add_argument("--build", type=Path, help="folder with bench_model and upscale; without it only peers run")
    p.add_argument("--cases", default="", help="only cases whose label (x4plus-64x64) contains one of these, by comma")
    p.add_argument("--threads", default="1,2")
    p.add_argument("--rounds", type=int, default=5, help="per runner; times are minima")
    p.add_argument("--peers", default=",".join(PEERS), help="any of these and torch-compile")
    p.add_argument("--part", choices=["network", "whole", "both"], default="both")
    p.add_argument("--pause-ms", type=int, default=60, help="before each run, so that idle spinning threads sleep")
    p.add_argument("--work", type=Path, default=Path("peers-work"), help="folder for prepared cases")
    p.add_argument("--reuse", action="store_true", help="take the cases that --work holds already, and leave them there")
    p.add_argument("--out", type=Path, default=HERE.parent / "results")
    p.add_argument("--interpreter", default=sys.executable, help=argparse.SUPPRESS)
    return p.parse_args()


class Children:
    """Starts processes confined to the first `threads` cores."""

    def __init__(self, threads: int):
        self.cpus = machine.distinct_cores(threads)
        self.env = dict(os.environ, OMP_NUM_THREADS=str(threads))

    def start(self, command: list[str], **kwargs) -> subprocess.Popen:
        return subprocess.Popen(command, env=self.env, preexec_fn=lambda: os.sched_setaffinity(0, self.cpus), **kwargs)


class Runner:
    """A runtime that is ready and runs the network when told to (worker.py, bench_model --serve)."""

    def __init__(self, name: str, command: list[str], children: Children, log: Path):
        self.name, self.ms, self.cpu_ms, self.log = name, [], [], log
        with open(log, "w") as errors:
            self.process = children.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.ready = json.loads(self._answer())

    def _answer(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            tail = self.log.read_text().strip().split("\n")[-1]
            raise RuntimeError(f"{self.name}: ended with status {self.process.returncode}: {tail}")
        return line

    def ask(self, line: str) -> str:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._answer()

    def quit(self) -> dict:
        facts = json.loads(self.ask("quit"))
        self.process.stdin.close()
        self.process.wait()
        return facts


def psnr(interpreter: str, files: list[Path]) -> list:
    done = subprocess.run([interpreter, str(HERE / "prepare.py"), "--check", *map(str, files)],
                          check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def run_network(args, names: list[str], folder: Path, facts: dict, threads: int) -> list[dict]:
    children, runners = Children(threads), []
    height, width = facts["size"]
    for name in names:
        if name == OURS:
            command = [str(args.build / "bench_model"), str(folder / "model.safetensors"), "--size", f"{height}x{width}",
                       "--threads", str(threads), "--input", str(folder / "input.f32"), "--serve"]
        else:
            command = [args.interpreter, str(HERE / "worker.py"), name, str(folder), str(threads)]
        try:
            runners.append(Runner(name, command, children, folder / f"{name}.log"))
        except (RuntimeError, OSError, ValueError) as problem:
            print(f"  {name}: left out: {problem}", file=sys.stderr)
    for _ in range(args.rounds):
        for runner in runners:
            time.sleep(args.pause_ms / 1e3)
            ms, cpu_ms = map(float, runner.ask("go").split())
            runner.ms.append(ms)
            runner.cpu_ms.append(cpu_ms)
    outputs = [folder / f"{r.name}.f32" for r in runners]
    for runner, output in zip(runners, outputs):
        runner.ask(f"dump {output}")
    reference = folder / "torch.f32"
    agree = psnr(args.interpreter, [reference, *outputs])[1:] if reference in outputs else [None] * len(outputs)
    rows = []
    for runner, db in zip(runners, agree):
        best = min(runner.ms)
        rows.append({"runner": runner.name, "ms": best, "median_ms": sorted(runner.ms)[len(runner.ms) // 2],
                     "cpu_ms": min(runner.cpu_ms), "rounds_ms": runner.ms, "gflops": facts["flop"] / best / 1e6, "psnr_db": db,
                     "peak_rss_bytes": runner.quit()["peak_rss_bytes"], **runner.ready})
    return rows


def run_whole(args, names: list[str], folder: Path, facts: dict, threads: int) -> list[dict]:
    children, commands = Children(threads), {}
    for name in names:
        target = folder / f"{name}.png"
        if name == OURS:
            commands[name] = [str(args.build / "upscale"), str(folder / "input.png"), str(target), "--quiet", "-m",
                              str(folder / "model.safetensors"), "-j", str(threads)]
        elif name in WHOLE_PEERS:
            model = facts["param"] if name == "ncnn" else str(folder / WHOLE_PEERS[name])
            commands[name] = [args.interpreter, str(HERE / "whole" / f"with_{name}.py"), model,
                              str(folder / "input.png"), str(target), str(threads)]
    seconds, cpu, peak = {n: [] for n in commands}, {n: [] for n in commands}, dict.fromkeys(commands, 0)
    for _ in range(args.rounds):
        for name, command in list(commands.items()):
            (folder / f"{name}.png").unlink(missing_ok=True)
            with open(folder / f"{name}.log", "w") as log:
                start = time.perf_counter()
                process = children.start(command, stdout=log, stderr=log)
                _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                print(f"  {name}: left out: ended with status {process.returncode}", file=sys.stderr)
                del commands[name]
                continue
            seconds[name].append(time.perf_counter() - start)
            cpu[name].append(usage.ru_utime + usage.ru_stime)
            peak[name] = max(peak[name], usage.ru_maxrss * 1024)
    pictures = [folder / f"{n}.png" for n in commands]
    agree = psnr(args.interpreter, [folder / "torch.png", *pictures])[1:] if "torch" in commands else [None] * len(pictures)
    return [{"runner": n, "ms": min(seconds[n]) * 1e3, "cpu_ms": min(cpu[n]) * 1e3, "rounds_ms": [s * 1e3 for s in seconds[n]], "psnr_db": db,
             "gflops": facts["flop"] / min(seconds[n]) / 1e9, "peak_rss_bytes": peak[n]}
            for n, db in zip(commands, agree)]


def main() -> None:
    args = parse()
    names = args.peers.split(",")
    if args.build:
        names.insert(0, OURS)
        for tool in ("bench_model", "upscale"):
            if not (args.build / tool).exists():
                print(f"{args.build / tool} does not exist: its part is left out", file=sys.stderr)
    wanted = [w for w in args.cases.split(",") if w]
    args.work.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine.facts(), "commit": machine.commit(HERE), "date": time.strftime("%Y-%m-%d"),
               "rounds": args.rounds, "versions": {}, "tables": []}
    for name, model, arch, size in CASES:
        label = f"{name}-{size[0]}x{size[1]}"
        if wanted and not any(w in label for w in wanted):
            continue
        param = (args.ncnn_models / f"{model}.param").resolve()
        real = bool(model) and param.exists() and param.with_suffix(".bin").exists()
        if not real and arch["kind"] == "rrdb":
            print(f"{label}: left out: {param.name} or its .bin is not in the folder", file=sys.stderr)
            continue
        folder = args.work / label
        case = args.work / f"{label}.json"
        case.write_text(json.dumps({"param": str(param) if real else "", "arch": arch, "size": size}))
        if not args.reuse or not (folder / "facts.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([args.interpreter, "-W", "ignore", str(HERE / "prepare.py"), str(case), str(folder)], check=True)
        facts = json.loads((folder / "facts.json").read_text())
        for part, run in (("network", run_network), ("whole", run_whole)):
            if args.part not in (part, "both"):
                continue
            for threads in map(int, args.threads.split(",")):
                print(f"{label}, {part}, {threads} thread(s) ...", file=sys.stderr)
                rows = run(args, names, folder, facts, threads)
                table = {"case": label, "random_weights": not real, "part": part, "threads": threads,
                         "gflop": facts["flop"] / 1e9, "rows": rows}
                results["tables"].append(table)
                results["versions"].update({r["runner"].split("-")[0]: r["version"] for r in rows if "version" in r})
                results["versions"].pop(OURS, None)
                print(report.table(table), flush=True)
                report.write(results, args.out)
        if not args.reuse:
            shutil.rmtree(folder)


main()
