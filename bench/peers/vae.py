#!/usr/bin/env python3
"""Decodes one latent by PyTorch (diffusers' AutoencoderKL) and by upscale, and compares time, memory and pixels.

    python bench/peers/vae.py --vae FILE --upscale build/upscale [--side 64] [--threads N]

FILE: weights in diffusers' keys. Prints processor seconds (user + system), wall seconds and peak resident memory of
each whole process, and the peak signal-to-noise ratio between the two pictures.
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
weights, latent, out, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
with torch.no_grad():
    net = AutoencoderKL(down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
                        block_out_channels=(128, 256, 512, 512), layers_per_block=2)
    net.load_state_dict(safetensors.torch.load_file(weights))
    z = safetensors.torch.load_file(latent)["latent"] / 0.18215
    y = net.decode(z).sample / 2 + 0.5
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
    parser.add_argument("--side", type=int, default=64, help="of the latent")
    parser.add_argument("--threads", type=int, default=1)
    a = parser.parse_args()
    import numpy as np
    import safetensors.numpy
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        latent = np.random.default_rng(1).standard_normal((1, 4, a.side, a.side)).astype(np.float32)
        safetensors.numpy.save_file({"latent": latent}, folder / "latent.safetensors")
        runs = {
            "upscale": [a.upscale, "decode", str(folder / "latent.safetensors"), str(folder / "ours.png"), "--vae",
                        a.vae, "--scaling", "0.18215", "--threads", str(a.threads)],
            "PyTorch": [sys.executable, "-c", PEER, a.vae, str(folder / "latent.safetensors"), str(folder / "peer.npy"),
                        str(a.threads)],
        }
        for name, command in runs.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            memory, wall = peak(command)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(f"{name}: {cpu:.2f} s processor time, {wall:.2f} s wall, {memory:.0f} MiB peak", flush=True)
        ours = np.asarray(Image.open(folder / "ours.png").convert("RGB")).astype(float)
        error = np.mean((ours - np.load(folder / "peer.npy")) ** 2)
        print(f"PSNR {10 * np.log10(255**2 / max(error, 1e-12)):.1f} dB")


if __name__ == "__main__":
    main()
