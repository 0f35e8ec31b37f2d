#!/usr/bin/env python3
"""Compares the built `upscale` binary with PyTorch on full-size transformers with seeded random weights.

    python tests/parity/transformers.py --binary build/upscale [--names swinir_m_x4,hat_x4] [--keep FOLDER]

Not part of the fast tests: it needs numpy, safetensors, torch and spandrel, and minutes. Each net is spandrel's module in
float64, saved as the published files are (buffers included); the picture is a random 72x56 in float32, handed over and
fetched as PFM. A net passes when no sample is off by more than 1e-4 of the largest; exit status 1 if any fails. Also
prints the processor time and the peak memory of `upscale` and, with --memory, that of PyTorch in float32.
"""

import argparse
import math
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from spandrel.architectures.HAT.__arch.HAT import HAT
from spandrel.architectures.Swin2SR.__arch.Swin2SR import Swin2SR
from spandrel.architectures.SwinIR.__arch.SwinIR import SwinIR


def swinir(upsampler, scale, dims=180, depth=6, groups=6, heads=6, resi="1conv", window=8, colours=3):
    return SwinIR(img_size=8 * window, in_chans=colours, embed_dim=dims, depths=[depth] * groups, num_heads=[heads] * groups,
                  window_size=window, mlp_ratio=2, upscale=scale, img_range=255.0 if window == 7 else 1.0,
                  upsampler=upsampler, resi_connection=resi)


def swin2sr(upsampler, scale, dims=180, depth=6, groups=6, heads=6):
    return Swin2SR(img_size=64, in_chans=3, embed_dim=dims, depths=[depth] * groups, num_heads=[heads] * groups,
                   window_size=8, mlp_ratio=2, upscale=scale, img_range=1.0, upsampler=upsampler)


def hat(scale, groups=6, dims=180, compress=3, squeeze=30):
    return HAT(img_size=64, in_chans=3, embed_dim=dims, depths=[6] * groups, num_heads=[6] * groups, window_size=16,
               compress_ratio=compress, squeeze_factor=squeeze, overlap_ratio=0.5, mlp_ratio=2, upscale=scale,
               upsampler="pixelshuffle", resi_connection="1conv")


NETS = {
    "swinir_m_x4": lambda: swinir("pixelshuffle", 4),
    "swinir_s_x2": lambda: swinir("pixelshuffledirect", 2, dims=60, groups=4),
    "swinir_l_real_x4": lambda: swinir("nearest+conv", 4, dims=240, groups=9, heads=8, resi="3conv"),
    "swinir_jpeg": lambda: swinir("", 1, window=7),
    "swin2sr_m_x4": lambda: swin2sr("pixelshuffle", 4),
    "hat_s_x4": lambda: hat(4, dims=144, compress=24, squeeze=24),
    "hat_x4": lambda: hat(4),
    "hat_l_x4": lambda: hat(4, groups=12),
}


def make(name):
    """The net with weights that matter: wide position biases, norms and logit scales that differ."""
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    net = NETS[name]().eval()
    for key, p in net.named_parameters():
        if "position_bias_table" in key:
            p.data = torch.randn(p.shape, generator=g)
        elif key.endswith("logit_scale"):
            p.data = torch.rand(p.shape, generator=g) * 4
        elif p.dim() == 1:
            p.data = torch.randn(p.shape, generator=g) * 0.1 + (1 if key.endswith("weight") else 0)
        else:
            p.data = torch.randn(p.shape, generator=g) / math.sqrt(p[0].numel())
    return net


def write_pfm(path, picture):
    h, w, c = picture.shape
    with open(path, "wb") as f:
        f.write(f"{'PF' if c == 3 else 'Pf'}\n{w} {h}\n-1.0\n".encode())
        f.write(np.ascontiguousarray(picture[::-1], dtype="<f4").tobytes())


def read_pfm(path):
    with open(path, "rb") as f:
        kind, size, order = (f.readline().split() for _ in range(3))
        w, h = map(int, size)
        c = 3 if kind == [b"PF"] else 1
        values = np.frombuffer(f.read(), "<f4" if float(order[0]) < 0 else ">f4")
    return values.reshape(h, w, c)[::-1]


def torch_peak(folder):
    """Peak resident bytes of PyTorch in float32 on the weights and the picture in `folder`."""
    code = (
        "import sys, torch, numpy as np, safetensors.torch\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import transformers as t\n"
        "net = t.NETS[sys.argv[1]]().eval()\n"
        "net.load_state_dict(safetensors.torch.load_file(sys.argv[2] + '/net.safetensors'))\n"
        "x = torch.from_numpy(t.read_pfm(sys.argv[2] + '/lr.pfm').copy()).permute(2, 0, 1)[None]\n"
        "with torch.inference_mode(): net(x)\n"
        "print(next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM:')) * 1024)\n"
    )
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code, folder[1], str(folder[0])], check=True,
                         capture_output=True, text=True)
    return int(run.stdout.split()[-1])


def run(command):
    """User seconds and peak KiB. Through a small process: a child's peak is never below that of its parent."""
    code = ("import resource, subprocess, sys\nsubprocess.run(sys.argv[1:], check=True)\n"
            "u = resource.getrusage(resource.RUSAGE_CHILDREN)\nprint(u.ru_utime, u.ru_maxrss)")
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, *command], check=True, capture_output=True, text=True)
    return tuple(float(word) for word in done.stdout.split())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--names", default=",".join(NETS))
    parser.add_argument("--size", default="72x56", help="HxW")
    parser.add_argument("--memory", action="store_true", help="also measure PyTorch's peak memory")
    parser.add_argument("--keep", help="folder to leave the weights in")
    args = parser.parse_args()
    h, w = map(int, args.size.split("x"))
    failed = False
    for name in args.names.split(","):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            net = make(name)
            state = {k: v.contiguous() for k, v in net.state_dict().items()}
            safetensors.torch.save_file(state, folder / "net.safetensors")
            if args.keep:
                safetensors.torch.save_file(state, Path(args.keep) / f"{name}.safetensors")
            g = torch.Generator().manual_seed(1)
            x = torch.rand(1, 3, h, w, generator=g)
            write_pfm(folder / "lr.pfm", x[0].permute(1, 2, 0).numpy())
            with torch.inference_mode():
                expected = net.double()(x.double())[0].permute(1, 2, 0).numpy()
            command = [args.binary, str(folder / "lr.pfm"), "-o", str(folder / "hr.pfm"), "-m", str(folder / "net.safetensors"),
                       "--tile", "none", "--quiet"]
            seconds, peak = run(command)
            got = read_pfm(folder / "hr.pfm")
            assert got.shape == expected.shape, (got.shape, expected.shape)
            error = np.abs(got - expected).max() / np.abs(expected).max()
            ok = error <= 1e-4
            failed |= not ok
            line = f"{'ok  ' if ok else 'FAIL'} {name}: relative error {error:.1e}, {seconds:.2f} s of processor time, "
            line += f"peak {peak / 1024:.0f} MiB"
            if args.memory:
                line += f", PyTorch {torch_peak((folder, name)) / 2**20:.0f} MiB"
            print(line, flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
