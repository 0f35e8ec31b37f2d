"""Turns the JSON lines of gpu_check.sh into one JSON file and a Markdown table, and prints the table.

gpu_report.py LINES OUT_STEM
"""

import json
import sys
from pathlib import Path


ORDER = ["x4", "anime", "video", "general", "swinir", "hat"]


def read(path: Path) -> list[dict]:
    lines = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue  # cut off while it was written
    return lines


def of(lines: list[dict], kind: str) -> list[dict]:
    return [line for line in lines if line.get("kind") == kind]


def number(value, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def mib(value) -> str:
    return "-" if value is None else f"{value / 2**20:.0f}"


def times(value, ours) -> str:
    return f"{value / ours:.2f}" if value and ours else "-"


def head(lines: list[dict]) -> list[str]:
    run = next(iter(of(lines, "run")), {})
    device = next(iter(of(lines, "device")), {})
    torch = next(iter(of(lines, "torch")), {})
    vendor = next(iter(of(lines, "vendor")), {})
    peaks = [f"{p['tflops']:.0f} TFLOP/s ({p['by']})" for p in of(lines, "peak")]
    facts = [
        ("GPU", f"{device.get('name', run.get('gpu', '?'))}, sm_{device.get('sm', '?')}"),
        ("driver, CUDA", f"{run.get('driver', '?')}, {device.get('cuda') or run.get('cuda') or '?'}"),
        ("commit", run.get("commit", "unknown")),
        ("date", run.get("date", "?")),
        ("measured f16 matmul peak", "; ".join(peaks) or "not measured"),
        ("cuDNN", vendor.get("version") or f"not measured: {vendor.get('why', 'the stage did not run')}"),
        ("PyTorch", f"{torch.get('version', '-')}, cuDNN {torch.get('cudnn', '-')}"),
    ]
    return [f"# GPU check: {facts[0][1]}", "", "| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in facts), ""]


def stages(lines: list[dict]) -> list[str]:
    rows = [f"| {s['stage']} | {s['outcome']} | {s['seconds']} | {s.get('summary', '')} |" for s in of(lines, "stage")]
    return ["## Stages", "", "| stage | outcome | s | |", "|---|---|--:|---|", *rows, ""] if rows else []


def autoencoders(lines: list[dict]) -> list[str]:
    rows = of(lines, "autoencoder")
    if not rows:
        return []
    text = ["## Autoencoders", "", "AutoencoderKL at full width, bf16, network only; seeded random weights.", "",
            "| | picture | runner | limit MiB | network ms | pass ms | own peak MiB | driver peak MiB |",
            "|---|---|---|--:|--:|--:|--:|--:|"]
    for r in rows:
        text.append(f"| {r['model']} | {r['size'][0]}x{r['size'][1]} | {r['runner']} | {mib(r.get('limit_bytes') or None)} | "
                    f"{number(r.get('network_ms'))} | {number(r.get('pass_ms'))} | {mib(r.get('own_peak_bytes'))} | "
                    f"{mib(r.get('driver_peak_bytes'))} |")
    return [*text, ""]


def kernels(lines: list[dict]) -> list[str]:
    rows = of(lines, "kernel")
    if not rows:
        return []
    peak = max((p["tflops"] for p in of(lines, "peak")), default=None)
    text = ["## Kernels", "",
            "Medians. Convolutions: ours with activation, addends and slices of the network's buffers; cuDNN and PyTorch "
            "the bare convolution on dense tensors.", "",
            "| shape | dtype | variant | ms | TFLOP/s | % of peak | cuDNN ms | cuDNN / ours | torch conv2d ms | torch / ours |",
            "|---|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    foreign = {"cudnn", "torch conv2d"}
    for r in rows:
        if r["variant"] in foreign:
            continue
        peers = {p["variant"]: p["ms"] for p in rows
                 if p["variant"] in foreign and (p["shape"], p["dtype"]) == (r["shape"], r["dtype"])}
        share = 100 * r["tflops"] / peak if peak and r["tflops"] and r["dtype"] != "f32" else None
        cudnn, torch = peers.get("cudnn"), peers.get("torch conv2d")
        text.append(f"| {r['shape']} | {r['dtype']} | {r['variant']} | {number(r['ms'], 4)} | {number(r['tflops'], 1)} | "
                    f"{number(share, 1)} | {number(cudnn, 4)} | {times(cudnn, r['ms'])} | {number(torch, 4)} | "
                    f"{times(torch, r['ms'])} |")
    return [*text, ""]


def models(lines: list[dict]) -> list[str]:
    rows = of(lines, "model")
    if not rows:
        return []
    text = ["## Networks, fp16 where nothing else is said", "",
            "network: on the device alone. pass: 8-bit picture in host memory to 8-bit picture. Memory of ours: asked "
            "for by the library, and taken from the driver; of PyTorch: max_memory_allocated.", "",
            "| network | size | runner | network ms | / ours | pass ms | TFLOP/s | MiB | driver MiB | PSNR to fp32 dB | worst / 255 |",
            "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    cases = sorted({(r["model"], tuple(r["size"])) for r in rows},
                   key=lambda c: (ORDER.index(c[0]) if c[0] in ORDER else len(ORDER), c[1][0] * c[1][1]))
    for name, size in cases:
        same = [r for r in rows if (r["model"], tuple(r["size"])) == (name, size)]
        ours = next((r.get("network_ms") for r in same if r["runner"] == "upscale"), None)
        for r in same:
            weights = " (random weights)" if r.get("weights") == "random" else ""
            text.append(f"| {name}{weights} | {size[0]}x{size[1]} | {r['runner']} | {number(r.get('network_ms'), 3)} | "
                        f"{times(r.get('network_ms'), ours)} | {number(r.get('pass_ms'), 2)} | {number(r.get('tflops'), 0)} | "
                        f"{mib(r.get('own_peak_bytes'))} | {mib(r.get('driver_peak_bytes'))} | "
                        f"{number(r.get('psnr_db'), 1)} | {number(r.get('worst_of_255'))} |")
    return [*text, ""]


def processes(lines: list[dict]) -> list[str]:
    rows = of(lines, "process")
    if not rows:
        return []
    text = ["## Whole processes, milliseconds", "",
            "x4plus in fp16, 512x512 PNG to 2048x2048 PNG, files in memory. steps: what such a process does of a GPU, one thing after "
            "the other, without decoding and encoding.", "", "| | median | least | runs | says of itself |", "|---|--:|--:|--:|---|"]
    for r in rows:
        text.append(f"| {r['what']} | {number(r['ms'], 0)} | {number(r['least_ms'], 0)} | {r['runs']} | {r.get('says', '')} |")
    for r in rows:
        if r.get("steps"):
            text += ["", f"| {r['what']} | median |", "|---|--:|", *(f"| {k} | {number(v, 1)} |" for k, v in r["steps"].items())]
    return [*text, ""]


def failures(lines: list[dict]) -> list[str]:
    rows = of(lines, "failure")
    text = []
    for r in rows:
        what = " ".join(str(r[k]) for k in ("model", "runner", "shape", "variant") if k in r)
        text.append(f"- {what}: {r['why'].splitlines()[0] if r['why'] else '?'}")
    return ["## Failures", "", *text, ""] if text else []


def main() -> None:
    lines, stem = read(Path(sys.argv[1])), sys.argv[2]
    text = "\n".join([*head(lines), *stages(lines), *kernels(lines), *models(lines), *autoencoders(lines), *processes(lines),
                      *failures(lines)])
    Path(stem + ".json").write_text(json.dumps(lines, indent=1) + "\n")
    Path(stem + ".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
