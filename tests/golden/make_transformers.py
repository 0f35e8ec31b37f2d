#!/usr/bin/env python3
"""Writes the tiny random-weight transformers of tests/golden/transformers and their reference outputs.

    python tests/golden/make_transformers.py [NAME...]   # needs torch, safetensors, spandrel (all on PyPI)

For every net NAME there are two files:
  NAME.safetensors       weights as the published files hold them, buffers included where they are small
  NAME.io.safetensors    "input0", "output0", "input1", ...: [1, c, h, w], f32; metadata: what a loader must find out

The nets are spandrel's modules of SwinIR, Swin2SR and HAT, run in float64, with few channels, windows of 4 (JPEG: 7)
and a narrow upsampler in the place of the 64 channels that these classes fix. Sizes are odd, one is smaller than a
window. Every weight is redrawn: position biases and logit scales must matter. Seeds are fixed.
"""

import math
import sys
import zlib
from pathlib import Path

import safetensors.torch
import torch
from spandrel.architectures.HAT.__arch.HAT import HAT
from spandrel.architectures.Swin2SR.__arch.Swin2SR import Swin2SR
from spandrel.architectures.SwinIR.__arch.SwinIR import SwinIR, Upsample
from torch import nn

FOLDER = Path(__file__).parent / "transformers"
FEATURES = 3  # of the upsampler


def conv(cin, cout):
    return nn.Conv2d(cin, cout, 3, 1, 1)


def narrow(model, embed_dim, colours, upscale):
    """Replaces the 64 channels between trunk and output."""
    if hasattr(model, "conv_before_upsample"):
        model.conv_before_upsample = nn.Sequential(conv(embed_dim, FEATURES), nn.LeakyReLU())
        model.conv_last = conv(FEATURES, colours)
    if isinstance(getattr(model, "upsample", None), Upsample) or type(getattr(model, "upsample", None)).__name__ == "Upsample":
        model.upsample = Upsample(upscale, FEATURES)
    for name in ("conv_up1", "conv_up2", "conv_up3", "conv_hr"):
        if hasattr(model, name):
            setattr(model, name, conv(FEATURES, FEATURES))
    if hasattr(model, "conv_bicubic"):
        model.conv_bicubic = conv(colours, FEATURES)
        model.conv_aux = conv(FEATURES, colours)
        model.conv_after_aux = nn.Sequential(conv(3, FEATURES), nn.LeakyReLU())
    return model


def redraw(model, g):
    for name, p in model.named_parameters():
        if name.endswith("logit_scale"):
            p.data = torch.rand(p.shape, generator=g) * 5  # some beyond the limit of ln 100
        elif "position_bias_table" in name or name.endswith(("q_bias", "v_bias")):
            p.data = torch.randn(p.shape, generator=g)
        elif name.endswith("attention.1.bias"):
            p.data = torch.rand(p.shape, generator=g) + 0.5  # in front of a ReLU: alive
        elif p.dim() == 1:
            scale = name.endswith("weight")  # of a norm
            p.data = torch.randn(p.shape, generator=g) * (0.3 if scale else 0.1) + (1 if scale else 0)
        else:
            fan_in = p[0].numel()
            gain = 1.4
            if name.endswith("cab.2.weight"):
                gain = 100  # HAT multiplies this branch by 0.01 ..
            if name.endswith("attention.1.weight"):
                gain = 0.02  # .. and its means must leave the sigmoid unsaturated
            p.data = torch.randn(p.shape, generator=g) * (gain / math.sqrt(fan_in))


def swinir(upsampler, upscale=1, colours=3, window=4, resi="1conv", dims=8, depths=(2,), heads=(2,), unshuffle=1, **io):
    model = SwinIR(img_size=3 * window, in_chans=colours, embed_dim=dims, depths=depths, num_heads=heads,
                   window_size=window, mlp_ratio=2, upscale=upscale, img_range=255.0 if window == 7 else 1.0,
                   upsampler=upsampler, resi_connection=resi, start_unshuffle=unshuffle)
    expect = dict(family="SwinIR", scale=upscale // unshuffle, channels=colours, embed_dim=dims, window_size=window,
                  num_layers=len(depths), depth=depths[0], num_heads=heads[0], multiple_of=window * unshuffle)
    return narrow(model, dims, colours, upscale), expect, io


def swin2sr(upsampler, upscale=1, colours=3, window=4, dims=8, depths=(2,), heads=(2,), **io):
    model = Swin2SR(img_size=3 * window, in_chans=colours, embed_dim=dims, depths=depths, num_heads=heads,
                    window_size=window, mlp_ratio=2, upscale=upscale, img_range=255.0 if window == 7 else 1.0,
                    upsampler=upsampler, resi_connection="1conv")
    for module in model.modules():  # 512 hidden units of the position bias, of which the shapes do not depend
        if hasattr(module, "cpb_mlp"):
            module.cpb_mlp = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, heads[0], bias=False))
    expect = dict(family="Swin2SR", scale=upscale, channels=colours, embed_dim=dims, window_size=window,
                  num_layers=len(depths), depth=depths[0], num_heads=heads[0], multiple_of=window)
    return narrow(model, dims, colours, upscale), expect, io


def hat(upscale, dims=9, depths=(2,), heads=(3,), compress=3, squeeze=3, window=4, resi="1conv", **io):
    model = HAT(img_size=3 * window, in_chans=3, embed_dim=dims, depths=depths, num_heads=heads, window_size=window,
                compress_ratio=compress, squeeze_factor=squeeze, conv_scale=0.01, overlap_ratio=0.5, mlp_ratio=2,
                upscale=upscale, img_range=1.0, upsampler="pixelshuffle", resi_connection=resi, num_feat=FEATURES)
    expect = dict(family="HAT", scale=upscale, channels=3, embed_dim=dims, window_size=window, num_layers=len(depths),
                  depth=depths[0], num_heads=heads[0], multiple_of=window)
    return model, expect, io


NETS = {
    "swinir_classical_x2": lambda: swinir("pixelshuffle", 2, depths=(1, 2), heads=(2, 2), buffers=True),
    "swinir_classical_x3": lambda: swinir("pixelshuffle", 3, heads=(1,)),
    "swinir_classical_x4": lambda: swinir("pixelshuffle", 4, dims=9, heads=(3,), depths=(3,)),
    "swinir_lightweight_x2": lambda: swinir("pixelshuffledirect", 2),
    "swinir_lightweight_x3": lambda: swinir("pixelshuffledirect", 3),
    "swinir_real_x4": lambda: swinir("nearest+conv", 4),
    "swinir_real_large_x4": lambda: swinir("nearest+conv", 4, resi="3conv", dims=12, heads=(2, 2), depths=(1, 2)),
    "swinir_real_x2": lambda: swinir("nearest+conv", 2, resi="3conv"),
    "swinir_denoise_grey": lambda: swinir("", colours=1),
    "swinir_denoise_colour": lambda: swinir("", window=8, sizes=((9, 7), (5, 8))),
    "swinir_jpeg_grey": lambda: swinir("", colours=1, window=7, sizes=((8, 17), (5, 12))),
    "swinir_jpeg_colour": lambda: swinir("", window=7, sizes=((8, 9), (5, 12))),
    "swinir_window7_x2": lambda: swinir("pixelshuffle", 2, window=7, sizes=((8, 9),)),  # computes on 0..255
    "swinir_unshuffle_x1": lambda: swinir("nearest+conv", 2, unshuffle=2, sizes=((16, 24),)),
    "swin2sr_classical_x2": lambda: swin2sr("pixelshuffle", 2, depths=(2, 3), heads=(2, 2), buffers=True),
    "swin2sr_classical_x4": lambda: swin2sr("pixelshuffle", 4, dims=12, heads=(3,)),
    "swin2sr_lightweight_x2": lambda: swin2sr("pixelshuffledirect", 2),
    "swin2sr_real_x4": lambda: swin2sr("nearest+conv", 4),
    "swin2sr_compressed_x4": lambda: swin2sr("pixelshuffle_aux", 4, sizes=((8, 12), (4, 4))),
    "swin2sr_jpeg_grey": lambda: swin2sr("", colours=1, window=7, sizes=((8, 9),)),
    "hat_x2": lambda: hat(2, depths=(1, 2), heads=(3, 3), buffers=True),
    "hat_x3": lambda: hat(3),
    "hat_x4": lambda: hat(4, dims=8, heads=(2,), squeeze=4),
    "hat_small_x4": lambda: hat(4, compress=9, squeeze=3, window=8, sizes=((9, 8), (5, 9))),
    "hat_large_x4": lambda: hat(4, depths=(1, 1, 2), heads=(3, 3, 3)),
}


def has_index(name):
    """Detection hangs on these, whoever computes them afresh."""
    return "relative_position_index" in name or "relative_coords_table" in name


def make(name):
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    model, expect, io = NETS[name]()
    redraw(model, g)
    model = model.double().eval()
    sizes = io.get("sizes", ((9, 7), (3, 5)))
    inputs = [torch.rand(1, expect["channels"], *size, generator=g) for size in sizes]

    def forward(x):
        with torch.no_grad():
            return model(x.double())

    last = "upsample.0" if not hasattr(model, "conv_last") else "conv_last"
    module = dict(model.named_modules())[last]
    plain = inputs[0].mean().item()
    spread = (forward(inputs[0]) - plain).std().item()
    module.weight.data *= min(1, 0.5 / spread)
    dtype = torch.float32 if name.endswith("classical_x4") or name == "hat_x4" else torch.float16
    for p in model.parameters():  # as the file holds them; buffers stay f32
        p.data = p.data.to(dtype).double()
    outputs = [forward(x) for x in inputs]
    assert all(0.05 < y.std() < 3 for y in outputs), (name, [y.std() for y in outputs])

    for key, p in model.named_parameters():  # every tensor must matter: a loader that swaps one must not pass
        saved = p.data.clone()
        p.data *= 1.5
        change = (forward(inputs[0]) - outputs[0]).abs().max().item()
        p.data = saved
        if change < 1e-4 and "conv_scale" not in key:
            print(f"{name}: {key} hardly matters ({change:.1e})")

    keep = io.get("buffers", False)
    buffers = {k for k, _ in model.named_buffers()}
    state = {k: v.float() if k in buffers and v.is_floating_point() else v.to(dtype) if v.is_floating_point() else v
             for k, v in model.state_dict().items()}
    state = {k: v.contiguous() for k, v in state.items()
             if k not in buffers or keep or (has_index(k) and v.numel() <= 400)}
    if "unshuffle" in name:  # as DiffBIR's files have it; spandrel renames it
        state = {k.replace("conv_first.", "conv_first.1."): v for k, v in state.items()}
    FOLDER.mkdir(exist_ok=True)
    safetensors.torch.save_file(state, FOLDER / f"{name}.safetensors")
    tensors = {f"input{i}": x for i, x in enumerate(inputs)}
    tensors |= {f"output{i}": y.float() for i, y in enumerate(outputs)}
    learned = sum(p.numel() for p in model.parameters())
    metadata = {k: str(v) for k, v in (expect | {"parameters": learned}).items()}
    safetensors.torch.save_file(tensors, FOLDER / f"{name}.io.safetensors", metadata)


def main():
    for name in sys.argv[1:] or NETS:
        make(name)
    files = sorted(FOLDER.iterdir())
    for f in files:
        f.chmod(0o644)
    total = sum(f.stat().st_size for f in files)
    print(f"{len(files)} files, {total} bytes")
    assert total < 1e6, total


if __name__ == "__main__":
    main()
