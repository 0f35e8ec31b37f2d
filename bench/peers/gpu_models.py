"""PyTorch on the same GPU, networks and sizes as bench_gpu: JSON lines on stdout.

gpu_models.py eager|compile|convs|transformers|autoencoder MODELS [--model NAME] [--sizes WxH,...]

MODELS is a folder as written by bench_gpu --prepare. Everything is fp16 (transformers also in bf16) in channels_last under
torch.inference_mode with cudnn.benchmark; times are medians between CUDA events of the network alone, the input being on
the device. Needs torch, numpy and safetensors, and no network.
"""

import argparse
import itertools
import json
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import nets
import swin_nets
import vae_net

ARCHS = {"x4": ("rrdb", 23), "anime": ("rrdb", 6), "video": ("srvgg", 16), "general": ("srvgg", 32)}
TRANSFORMERS = {"swinir": swin_nets.swinir, "hat": swin_nets.hat}
# As in bench/gpu/conv_shapes.cpp: name, channels, input size of the bare convolution.
CONVS = [("64x32@512", 64, 32, 512), ("96x32@512", 96, 32, 512), ("128x32@512", 128, 32, 512),
         ("160x32@512", 160, 32, 512), ("192x64@512", 192, 64, 512), ("64x64@512", 64, 64, 512),
         ("64x64up2@512", 64, 64, 1024), ("64x64@2048", 64, 64, 2048), ("3x64@512", 3, 64, 512),
         ("64x3@2048", 64, 3, 2048), ("64x48s4@512", 64, 48, 512)]


def put(line: dict) -> None:
    print(json.dumps(line), flush=True)


def median_ms(run, seconds: float, batch: int = 1) -> tuple[float, float, float, int]:
    """Median and quartiles of the milliseconds of one run(i), and how many were taken."""
    for i in range(3):
        run(i)
    torch.cuda.synchronize()
    samples, until = [], time.monotonic() + seconds
    while (time.monotonic() < until or len(samples) < 5) and len(samples) < 200:
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for i in range(batch):
            run(i)
        end.record()
        end.synchronize()
        samples.append(begin.elapsed_time(end) / batch)
    low, mid, high = statistics.quantiles(samples, n=4)
    return mid, low, high, len(samples)


def load(folder: Path, name: str) -> torch.nn.Module:
    kind, depth = ARCHS[name]
    net = nets.build({"kind": kind, "n": depth})
    net.load_state_dict({k: v.float() for k, v in load_file(folder / f"{name}.safetensors").items()})
    return net.half().cuda().to(memory_format=torch.channels_last)


def picture(width: int, height: int, dtype: torch.dtype = torch.float16) -> torch.Tensor:
    torch.manual_seed(7)
    coarse = torch.rand(1, 3, 33, 33)
    x = F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1) * 0.9 + torch.rand(1, 3, height, width) * 0.1
    return x.to(dtype).cuda().contiguous(memory_format=torch.channels_last)


def measure(runner: str, run, name: str, width: int, height: int, dtype: torch.dtype = torch.float16) -> None:
    x = picture(width, height, dtype)
    torch.cuda.synchronize()
    run(x)  # chooses algorithms, compiles
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    run(x)
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated()
    mid, low, high, count = median_ms(lambda _: run(x), 0.6)
    put({"kind": "model", "model": name, "runner": runner, "precision": str(dtype).removeprefix("torch."),
         "size": [width, height], "network_ms": mid, "network_ms_quartiles": [low, high], "samples": count, "own_peak_bytes": peak,
         "reserved_bytes": torch.cuda.max_memory_reserved()})


def eager(folder: Path, names: list[str], sizes: list[tuple[int, int]]) -> None:
    models = {name: load(folder, name) for name in names}
    for width, height in sizes:
        for name, net in models.items():
            others = [m for n, m in models.items() if n != name]
            for m in others:  # so that they do not count as memory
                m.cpu()
            net.cuda()
            measure("torch eager", net, name, width, height)


def eager_transformers(folder: Path, names: list[str], sizes: list[tuple[int, int]]) -> None:
    for name in names:
        weights = {k: v.float() for k, v in load_file(folder / f"{name}.safetensors").items()}
        for dtype in (torch.bfloat16, torch.float16):
            net = TRANSFORMERS[name]().eval()
            net.load_state_dict(weights)
            net = net.to(dtype).cuda().to(memory_format=torch.channels_last)
            for width, height in sizes:
                try:
                    measure(f"torch eager {str(dtype).removeprefix('torch.')}", net, name, width, height, dtype)
                except torch.OutOfMemoryError as error:
                    put({"kind": "failure", "model": name, "runner": "torch eager", "why": str(error)[:300]})
            del net
            torch.cuda.empty_cache()


def compiled(folder: Path, names: list[str], sizes: list[tuple[int, int]]) -> None:
    for name in names:
        for width, height in sizes:
            net = load(folder, name)
            torch.compiler.reset()
            began = time.monotonic()
            for mode in ("reduce-overhead", "default"):
                try:
                    fast = torch.compile(net, mode=mode, dynamic=False)
                    x = picture(width, height)
                    for _ in range(3):  # compiles, warms up, records
                        fast(x)
                    torch.cuda.synchronize()
                    put({"kind": "note", "text": f"torch.compile {mode} of {name} {width}x{height}: "
                                                 f"{time.monotonic() - began:.0f} s"})
                    measure(f"torch.compile {mode}", fast, name, width, height)
                    break
                except Exception as error:  # noqa: BLE001  whatever the compiler raises
                    put({"kind": "failure", "model": name, "runner": f"torch.compile {mode}", "why": str(error)[:300]})


def autoencoder(folder: Path, sizes: list[tuple[int, int]]) -> None:
    """Decoding to pictures of these sizes and encoding of them, bf16."""
    weights = {k: v.bfloat16().cuda() for k, v in load_file(folder / "vae.safetensors").items()}
    for k, v in weights.items():
        if v.dim() == 4:
            weights[k] = v.contiguous(memory_format=torch.channels_last)
    decode, encode = vae_net.coders(weights)
    for (width, height), (name, run, channels, factor) in itertools.product(
            sizes, (("vae decode", decode, 4, 8), ("vae encode", encode, 3, 1))):
        try:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            x = torch.randn(1, channels, height // factor, width // factor, device="cuda", dtype=torch.bfloat16).contiguous(
                memory_format=torch.channels_last)
            mid, low, high, count = median_ms(lambda _: run(x), 0.6)
            put({"kind": "autoencoder", "model": name, "runner": "torch eager", "precision": "bf16",
                 "size": [width, height], "network_ms": mid, "network_ms_quartiles": [low, high], "samples": count,
                 "own_peak_bytes": torch.cuda.max_memory_allocated(), "driver_peak_bytes": torch.cuda.max_memory_reserved()})
        except torch.cuda.OutOfMemoryError as error:
            put({"kind": "failure", "model": name, "runner": "torch eager", "why": str(error)[:300]})


def convs() -> None:
    n = 8192
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.float16) for _ in range(2))
    mid, *_ = median_ms(lambda _: torch.mm(a, b), 0.3, 4)
    put({"kind": "peak", "dtype": "f16", "tflops": 2 * n**3 / mid * 1e-9, "by": "torch.mm 8192^3"})
    del a, b
    l2 = getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 64 << 20)
    for shape, cin, cout, side in CONVS:
        one = 2 * side * side * (cin + cout)
        sets = max(2, min(16, 3 * l2 // one + 1))
        xs = [torch.randn(1, cin, side, side, device="cuda", dtype=torch.float16).contiguous(
            memory_format=torch.channels_last) for _ in range(sets)]
        w = torch.randn(cout, cin, 3, 3, device="cuda", dtype=torch.float16).contiguous(memory_format=torch.channels_last)
        keep: list = [None] * sets

        def run(i: int) -> None:
            keep[i % sets] = F.conv2d(xs[i % sets], w, padding=1)

        batch = sets * max(1, 32 // sets)
        mid, low, high, count = median_ms(run, 0.2, batch)
        gflop = 2 * side * side * cin * cout * 9 * 1e-9
        put({"kind": "kernel", "op": "conv2d", "shape": shape, "dtype": "f16", "variant": "torch conv2d", "ms": mid,
             "ms_quartiles": [low, high], "samples": count, "batch": batch, "gflop": gflop, "tflops": gflop / mid})
        del xs, w, keep
        torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["eager", "compile", "convs", "transformers", "autoencoder"])
    parser.add_argument("models", type=Path)
    parser.add_argument("--model", action="append", choices=[*ARCHS, *TRANSFORMERS])
    parser.add_argument("--sizes", default="512x512,256x256,1280x720")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu_models: skipped: PyTorch sees no GPU", file=sys.stderr)
        sys.exit(77)
    if options.what != "transformers" and set(options.model or []) & set(TRANSFORMERS):
        parser.error(f"{options.what} has no swinir and hat: they are measured by 'transformers'")
    torch.backends.cudnn.benchmark = True
    names = options.model or list(ARCHS)
    sizes = [(int(w), int(h)) for w, h in (s.split("x") for s in options.sizes.split(","))]
    put({"kind": "torch", "version": torch.__version__, "cudnn": torch.backends.cudnn.version()})
    with torch.inference_mode():
        if options.what == "eager":
            eager(options.models, names, sizes)
        elif options.what == "transformers":
            eager_transformers(options.models, options.model or list(TRANSFORMERS), sizes)
        elif options.what == "autoencoder":
            autoencoder(options.models, sizes)
        elif options.what == "compile":
            compiled(options.models, names, sizes)
        else:
            convs()


if __name__ == "__main__":
    main()
