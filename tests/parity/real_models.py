#!/usr/bin/env python3
"""Compares the built `upscale` binary with PyTorch on released Real-ESRGAN models and real pictures.

    python tests/parity/real_models.py --binary build/upscale --models FOLDER PICTURE...

Not part of the fast tests: it needs numpy, Pillow, torch and spandrel, and the models in ncnn form (NAME.param and
NAME.bin as released with Real-ESRGAN, e.g. realesrgan-x4plus). This script parses the .bin by itself, names the tensors as
PyTorch does, runs spandrel's module in float32 and rounds to 8 bits; `upscale` gets the .param, and the same tensors as
.safetensors and .pth. Each picture is cropped to --crop pixels (centre, odd sizes on purpose). A comparison passes with
a PSNR of at least 60 dB and no sample more than 2 levels off; exit status 1 if any fails.
"""

import argparse
import math
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import safetensors.torch
import spandrel
import torch
from PIL import Image

FP16_TAG = 0x01306B47


def ncnn_layers(param):
    """(type, {id: value}) of each layer; ncnn's text format: magic, counts, then one layer a line."""
    lines = Path(param).read_text().split("\n")
    assert lines[0].strip() == "7767517", param
    for line in lines[2:]:
        words = line.split()
        if not words:
            continue
        n_in, n_out = int(words[2]), int(words[3])
        values = dict(w.split("=", 1) for w in words[4 + n_in + n_out :])
        yield words[0], {int(k): v for k, v in values.items()}


def ncnn_tensors(param, binary):
    """Learned tensors in file order: ("conv", weight [o, i, k, k], bias) or ("prelu", slopes)."""
    data, at = Path(binary).read_bytes(), 0

    def floats(count):
        nonlocal at
        at += 4 * count
        return np.frombuffer(data, "<f4", count, at - 4 * count).copy()

    for kind, p in ncnn_layers(param):
        if kind == "Convolution":
            out, k, size = int(p[0]), int(p[1]), int(p[6])
            (tag,) = struct.unpack_from("<I", data, at)
            at += 4
            if tag == FP16_TAG:
                weight = np.frombuffer(data, "<f2", size, at).astype(np.float32)
                at += (2 * size + 3) // 4 * 4
            else:
                assert tag == 0, hex(tag)
                weight = floats(size)
            yield "conv", weight.reshape(out, -1, k, k), floats(out)
        elif kind == "PReLU":
            yield "prelu", floats(int(p[0])), None
    assert at == len(data), (at, len(data))


def pytorch_state_dict(param, binary):
    tensors = list(ncnn_tensors(param, binary))
    convs = [t for t in tensors if t[0] == "conv"]
    sd = {}
    if len(convs) < len(tensors):  # Compact: convolutions and slopes take turns
        names = [f"body.{i}" for i in range(len(tensors))]
    else:
        blocks, rest = divmod(len(convs) - 6, 15)
        assert rest == 0, len(convs)
        names = ["conv_first"]
        names += [f"body.{i}.rdb{r}.conv{j}" for i in range(blocks) for r in (1, 2, 3) for j in range(1, 6)]
        names += ["conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    for name, (_, weight, bias) in zip(names, tensors, strict=True):
        sd[name + ".weight"] = torch.from_numpy(weight)
        if bias is not None:
            sd[name + ".bias"] = torch.from_numpy(bias)
    return sd


def centre_crop(picture, side):
    w, h = picture.size
    cw, ch = min(w, side), min(h, side - 7)
    x, y = (w - cw) // 2, (h - ch) // 2
    return picture.crop((x, y, x + cw, y + ch))


def reference(net, picture):
    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        y = net.model(x)[0].clamp(0, 1)
    return (y * 255).round().byte().permute(1, 2, 0).numpy()


def compare(a, b):
    difference = a.astype(np.int32) - b.astype(np.int32)
    mse = float((difference**2).mean())
    return (math.inf if mse == 0 else 10 * math.log10(255**2 / mse)), int(np.abs(difference).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--models", required=True, help="folder of NAME.param and NAME.bin")
    parser.add_argument("--names", default="realesr-animevideov3-x4,realesrgan-x4plus-anime,realesrgan-x4plus")
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--extra", default="", help="further arguments of the binary, e.g. '--tile 32'")
    parser.add_argument("pictures", nargs="+")
    args = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name in args.names.split(","):
            param = Path(args.models) / f"{name}.param"
            sd = pytorch_state_dict(param, param.with_suffix(".bin"))
            safetensors.torch.save_file(sd, folder / f"{name}.safetensors")
            torch.save({"params_ema": sd}, folder / f"{name}.pth")
            net = spandrel.ModelLoader().load_from_state_dict(dict(sd))
            net.model.eval()
            for k, path in enumerate(args.pictures):
                lr = centre_crop(Image.open(path).convert("RGB"), args.crop)
                lr.save(folder / "lr.png")
                expected = reference(net, lr)
                containers = [param, folder / f"{name}.safetensors", folder / f"{name}.pth"]
                for model in containers if k == 0 else containers[:1]:
                    hr = folder / "hr.png"
                    hr.unlink(missing_ok=True)
                    command = [args.binary, str(folder / "lr.png"), "-o", str(hr), "-m", str(model)]
                    subprocess.run(command + args.extra.split(), check=True, stdout=subprocess.DEVNULL)
                    got = np.asarray(Image.open(hr).convert("RGB"))
                    assert got.shape == expected.shape, (got.shape, expected.shape)
                    psnr, worst = compare(got, expected)
                    ok = psnr >= 60 and worst <= 2
                    failed |= not ok
                    print(f"{'ok  ' if ok else 'FAIL'} {name}{model.suffix} {Path(path).name} {lr.size[0]}x{lr.size[1]}: "
                          f"{psnr:.2f} dB, at most {worst} levels", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
