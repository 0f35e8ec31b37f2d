#!/usr/bin/env python3
"""Runs released TAESD weights through `upscale encode` and `decode` and through PyTorch.

    python tests/parity/taesd_released.py build/upscale FOLDER PICTURE...   # needs torch, diffusers, safetensors, pillow

FOLDER: NAME_encoder.{pth,safetensors} and NAME_decoder.{pth,safetensors}, NAME one of taesd, taesdxl, taesd3, taef1,
taef2, with the keys of the release; those that are absent are left out. Each picture is cropped to multiples of 8.
Prints the largest error of the latent and of the decoded picture relative to the largest value of the reference (which
must stay below 1e-4), the PSNR between the two decoded pictures, that of each with 8 bits, and that of the decoded
picture to the original.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

# This folder has a transformers.py, which diffusers must not take for the library.
sys.path[0] = str(Path(__file__).parent.parent / "golden")

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from diffusers import AutoencoderTiny
from make_vae import flux2
from PIL import Image


CHANNELS = {"taesd": 4, "taesdxl": 4, "taesd3": 16, "taef1": 16, "taef2": 32}


def load(folder, name):
    paths, state = [], {}
    for half, shift in (("encoder", 0), ("decoder", 1)):
        path = next((p for p in folder.glob(f"{name}_{half}.*") if p.suffix in (".pth", ".safetensors")), None)
        if not path:
            return None
        paths.append(str(path))
        tensors = safetensors.torch.load_file(path) if path.suffix == ".safetensors" else \
            torch.load(path, map_location="cpu", weights_only=True)
        for key, t in tensors.items():
            index, rest = key.split(".", 1)
            state[f"{half}.layers.{int(index) - shift}.{rest}"] = t
    z = CHANNELS[name]
    net = flux2(z) if name == "taef2" else AutoencoderTiny(latent_channels=z)
    net.load_state_dict(state)
    return ",".join(paths), net.float().eval()


def read_pfm(path):
    header, size, order, rest = Path(path).read_bytes().split(b"\n", 3)
    w, h = map(int, size.split())
    assert header == b"PF" and float(order) < 0
    return np.frombuffer(rest, "<f4").reshape(h, w, 3)[::-1]


def relative(a, b):
    return float(np.abs(a.astype(np.float64) - b).max() / np.abs(b).max())


def psnr(a, b):
    return 10 * np.log10(1 / max(float(np.mean((a.astype(np.float64) - b) ** 2)), 1e-20))


def main():
    program, folder, pictures = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    failed = False
    for name in CHANNELS:
        found = load(folder, name)
        if not found:
            continue
        files, net = found
        for picture in pictures:
            image = np.asarray(Image.open(picture).convert("RGB"))
            image = image[: image.shape[0] // 8 * 8, : image.shape[1] // 8 * 8]
            x = torch.from_numpy(image.transpose(2, 0, 1)[None] / np.float32(255)).float()
            with torch.no_grad():
                latent = net.encoder(2 * x - 1)
                decoded = (net.decoder(latent) / 2 + 0.5).numpy()[0].transpose(1, 2, 0)
            with tempfile.TemporaryDirectory() as t:
                Image.fromarray(image).save(f"{t}/in.png")
                safetensors.torch.save_file({"latent": latent.contiguous()}, f"{t}/theirs.safetensors")
                for command in (["encode", f"{t}/in.png", f"{t}/ours.safetensors"],
                                ["decode", f"{t}/theirs.safetensors", f"{t}/out.pfm"],
                                ["decode", f"{t}/ours.safetensors", f"{t}/round.pfm"]):
                    subprocess.run([program, *command, "--taesd", files], check=True, stdout=subprocess.DEVNULL)
                ours = safetensors.numpy.load_file(f"{t}/ours.safetensors")["latent"]
                out, both = read_pfm(f"{t}/out.pfm"), read_pfm(f"{t}/round.pfm")
            errors = relative(ours, latent.numpy()), relative(out, decoded)
            failed |= max(errors) > 1e-4
            bits = [np.round(v.clip(0, 1) * 255) / 255 for v in (both, decoded)]
            print(f"{name} {Path(picture).name} {image.shape[1]}x{image.shape[0]}: latent {errors[0]:.1e}, picture "
                  f"{errors[1]:.1e}, {psnr(out, decoded):.1f} dB; 8 bits, both halves {psnr(*bits):.1f} dB, at most "
                  f"{round(float(np.abs(bits[0] - bits[1]).max() * 255))} off; to the original {psnr(bits[0], image / 255):.2f} dB",
                  flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
