#!/usr/bin/env python3
"""Decodes one latent, or encodes one picture, by PyTorch (diffusers' AutoencoderKL) and by upscale, and compares time,
memory and results.

    python bench/peers/vae.py --vae FILE --upscale build/upscale [--encode] [--side 64] [--threads N] [--rounds N]

FILE: weights in diffusers' keys at the widths of Stable Diffusion. Prints processor seconds (user + system), wall seconds
(the least of the rounds, which alternate) and peak resident memory of each whole process, and the peak signal-to-noise
ratio between the two pictures or the largest relative error between the two latents.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEER = """
import sys, torch, safetensors.torch, numpy as np
from diffusers import AutoencoderKL
weights, given, out, threads, encode = sys.argv[1:]
torch.set_num_threads(int(threads))
with torch.no_grad():
    net = AutoencoderKL(down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
                        block_out_channels=(128, 256, 512, 512), layers_per_block=2)
    net.load_state_dict(safetensors.torch.load_file(weights))
    given = safetensors.torch.load_file(given)
    if encode == "1":
        np.save(out, (net.encode(given["picture"] * 2 - 1).latent_dist.mean * 0.18215).numpy())
    else:
        y = net.decode(given["latent"] / 0.18215).sample / 2 + 0.5
        np.save(out, (y.clamp(0, 1) * 255).round().byte().numpy()[0].transpose(1, 2, 0))
"""


def peak(command):
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); " \
           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    start = time.monotonic()
    out = subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True, text=True)
    return int(out.stdout) / 1024, time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vae", required=True)
    parser.add_argument("--upscale", default="build/upscale")
    parser.add_argument("--side", type=int, default=64, help="of the latent; of the picture, an eighth")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--encode", action="store_true")
    parser.add_argument("--max-ram", help="a further run of upscale under this limit")
    a = parser.parse_args()
    import numpy as np
    import safetensors.numpy
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        random = np.random.default_rng(1)
        latent = random.standard_normal((1, 4, a.side, a.side)).astype(np.float32)
        # Smooth, with detail: a random picture of few frequencies.
        coarse = Image.fromarray(random.integers(0, 256, (a.side // 2, a.side // 2, 3), dtype=np.uint8))
        picture = np.asarray(coarse.resize((8 * a.side, 8 * a.side), Image.Resampling.BICUBIC))
        Image.fromarray(picture).save(folder / "in.png")
        given = {"latent": latent, "picture": np.ascontiguousarray(picture.transpose(2, 0, 1)[None] / np.float32(255))}
        safetensors.numpy.save_file({k: v.astype(np.float32) for k, v in given.items()}, folder / "given.safetensors")
        names = ["encode", folder / "in.png", folder / "ours.safetensors"] if a.encode else \
            ["decode", folder / "given.safetensors", folder / "ours.png"]
        ours = [a.upscale, *map(str, names), "--vae", a.vae, "--scaling", "0.18215", "--threads", str(a.threads)]
        runs = {
            "upscale": ours,
            "PyTorch": [sys.executable, "-c", PEER, a.vae, str(folder / "given.safetensors"), str(folder / "peer.npy"),
                        str(a.threads), str(int(a.encode))],
        }
        if a.max_ram:
            runs[f"upscale --max-ram {a.max_ram}"] = [*ours, "--max-ram", a.max_ram]
        best = {name: (np.inf, np.inf, 0) for name in runs}
        for _ in range(a.rounds):
            for name, command in runs.items():
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                memory, wall = peak(command)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                best[name] = min(cpu, best[name][0]), min(wall, best[name][1]), max(memory, best[name][2])
        what = f"{'encode' if a.encode else 'decode'} {8 * a.side}x{8 * a.side}, {a.threads} threads"
        for name, (cpu, wall, memory) in best.items():
            print(f"{what}: {name}: {cpu:.2f} s processor time, {wall:.2f} s wall, {memory:.0f} MiB peak", flush=True)
        peer = np.load(folder / "peer.npy")
        if a.encode:
            got = safetensors.numpy.load_file(folder / "ours.safetensors")["latent"]
            print(f"largest error {np.abs(got - peer).max() / np.abs(peer).max():.1e} of the largest value")
        else:
            got = np.asarray(Image.open(folder / "ours.png").convert("RGB")).astype(float)
            print(f"PSNR {10 * np.log10(255**2 / max(np.mean((got - peer) ** 2), 1e-12)):.1f} dB")


if __name__ == "__main__":
    main()
