"""Tables: Markdown for people, JSON for scripts. Times are minima over alternating rounds."""

import json
import re
from pathlib import Path

OURS = "upscale"
AGREE_DB = 50.0  # against PyTorch in fp32; a runner below this computes something else
FP32_DB = 100.0  # rounding of fp32 stays above this, bf16 and fp16 arithmetic do not


def ours(rows: list[dict]) -> dict | None:
    return next((r for r in rows if r["runner"] == OURS), None)


def is_fp32(row: dict) -> bool:
    """A runtime left to its own choice of precision counts as fp32 only if its result shows it."""
    return not row["runner"].endswith("-default") or (row["psnr_db"] or 0) >= FP32_DB


def fastest_peer(rows: list[dict], fp32: bool) -> dict | None:
    """The fastest peer whose result agrees, among those in fp32 or among those in reduced precision."""
    peers = [r for r in rows if r["runner"] != OURS and is_fp32(r) == fp32]
    peers = [r for r in peers if r["psnr_db"] is None or r["psnr_db"] >= AGREE_DB]
    return min(peers, key=lambda r: r["ms"], default=None)


def ratio(rows: list[dict], fp32: bool, key: str = "ms") -> float | None:
    """How many times as long that peer takes as we do; None without either."""
    mine, best = ours(rows), fastest_peer(rows, fp32)
    return best[key] / mine[key] if mine and best else None


def mib(row: dict | None) -> str:
    return f"{row['peak_rss_bytes'] / 2**20:.0f}" if row else "-"


def ms(row: dict | None) -> str:
    return f"{row['ms']:.1f}" if row else "-"


def times(value: float | None) -> str:
    return f"{value:.2f}" if value else "-"


def agreement(row: dict) -> str:
    db = row["psnr_db"]
    if db is None:
        return "-"
    text = "exact" if db >= 200 else f"{db:.1f}"
    return text if db >= AGREE_DB else text + " (disagrees)"


def table(t: dict) -> str:
    weights = " (seeded random weights)" if t["random_weights"] else ""
    what = "network only" if t["part"] == "network" else "whole process, PNG to PNG"
    plural = "" if t["threads"] == 1 else "s"
    lines = [f"### {t['case']}{weights}, {what}, {t['threads']} thread{plural}, {t['gflop']:.1f} GFLOP", "",
             "| runner | ms | CPU ms | GFLOP/s | peak MiB | PSNR dB | time / ours |", "|---|--:|--:|--:|--:|--:|--:|"]
    mine = ours(t["rows"])
    marked = [mine, fastest_peer(t["rows"], True)]
    for r in sorted(t["rows"], key=lambda r: r["ms"]):
        name = r["runner"] if is_fp32(r) else r["runner"] + " (reduced precision)"
        name = f"**{name}**" if any(r is m for m in marked) else name
        to_ours = times(r["ms"] / mine["ms"]) if mine else "-"
        lines.append(f"| {name} | {ms(r)} | {r['cpu_ms']:.1f} | {r['gflops']:.0f} | {mib(r)} | {agreement(r)} | {to_ours} |")
    return "\n".join(lines) + "\n"


def summary(tables: list[dict]) -> str:
    lines = ["| case | part | threads | ours ms | fastest fp32 peer ms | peer | peer / ours | in CPU time | our MiB | its MiB "
             "| reduced-precision peer ms | it / ours |",
             "|---|---|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|"]
    for t in tables:
        mine, best, reduced = ours(t["rows"]), fastest_peer(t["rows"], True), fastest_peer(t["rows"], False)
        lines.append(f"| {t['case']} | {t['part']} | {t['threads']} | {ms(mine)} | {ms(best)} | "
                     f"{best['runner'] if best else '-'} | {times(ratio(t['rows'], True))} | "
                     f"{times(ratio(t['rows'], True, 'cpu_ms'))} | {mib(mine)} | {mib(best)} | "
                     f"{ms(reduced)} | {times(ratio(t['rows'], False))} |")
    return "\n".join(lines) + "\n"


def markdown(results: dict) -> str:
    m = results["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in sorted(results["versions"].items()))
    return "\n".join([
        f"# Peers on {m['cpu']}, {results['date']}", "",
        f"Commit {results['commit']}. {m['cpu']} (family-model {m['family_model']}; {', '.join(m['isa'])}), "
        f"{m['cores_available']} processors, {m['memory_gib']} GiB; {m['system']}. Load average at the start: "
        f"{', '.join(map(str, m['load_average']))}.",
        f"{versions}.", "",
        f"Times are minima over {results['rounds']} rounds in which the runners alternate, each confined to as many "
        "cores as it has threads. `NAME-default` is that runtime with its own choice of precision, the plain name is "
        "fp32. GFLOP/s count direct convolution, so Winograd may exceed the arithmetic peak. CPU ms is processor time "
        "of all threads: with one thread, time well above it means that the machine was busy with something else. "
        f"PSNR is against PyTorch fp32 on the same input; a runner below {AGREE_DB:.0f} dB is never the fastest peer. "
        "Peak memory is the resident set; that of peers includes the Python interpreter. Whole process: start, load "
        "the model, read a PNG, upscale, write a PNG; a peer's program is the least Python script "
        "(bench/peers/whole).", "",
        summary(results["tables"]), *(table(t) for t in results["tables"])])


def write(results: dict, folder: Path) -> None:
    """peers-CPU-DATE.json and .md."""
    m = results["machine"]
    slug = re.sub(r"[^a-z0-9]+", "-", f"{m['cpu']} {m['family_model']}".lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"peers-{slug}-{results['date']}"
    for t in results["tables"]:
        t["fastest_fp32_peer_over_ours"] = ratio(t["rows"], True)
        t["fastest_reduced_precision_peer_over_ours"] = ratio(t["rows"], False)
    stem.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    stem.with_suffix(".md").write_text(markdown(results))
