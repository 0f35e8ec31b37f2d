#!/usr/bin/env python3
"""Writes the tiny random-weight DAT nets of tests/golden/dat and their reference outputs.

    python tests/golden/make_dat.py     # needs torch, safetensors, spandrel (all on PyPI)

For every net NAME there are two files:
  NAME.safetensors       weights in the keys of the published files, buffers included, f16 (their values are exact)
  NAME.io.safetensors    "input0", "output0", "input1", ...: [1, c, h, w], f32; metadata: what a loader must find out

The nets are spandrel's modules, run in float64, with small windows and a narrow upsampler in the place of the 64
channels that the class fixes. Sizes are odd, smaller than a window, and that of the stored masks. Every weight and
statistic is redrawn. Seeds are fixed.
"""

import zlib
from pathlib import Path

import safetensors.torch
import torch
from spandrel.architectures.DAT.__arch.DAT import DAT, DynamicPosBias, Spatial_Attention, Upsample
from torch import nn

FOLDER = Path(__file__).parent / "dat"
DIM, FEATURES = 16, 3  # of the trunk and of the upsampler
SIZES = ((7, 13), (3, 5), (8, 8))


def redraw(model, g):
    for name, t in [*model.named_parameters(), *model.named_buffers()]:
        if not t.is_floating_point() or "rpe_biases" in name or "attn_mask" in name:
            continue
        if name.endswith("running_var"):
            t.data = torch.rand(t.shape, generator=g) + 0.5
        elif name.endswith("temperature"):
            t.data = torch.rand(t.shape, generator=g) * 4 + 1
        elif t.dim() == 1:
            norm = name.endswith("weight")
            alive = name.endswith(".0.bias") and ".pos." in name  # in front of a ReLU
            t.data = torch.randn(t.shape, generator=g) * (0.2 if norm else 0.3) + (1 if norm or alive else 0)
        else:
            t.data = torch.randn(t.shape, generator=g) * (1.2 * t[0].numel() ** -0.5)
            if ".pos." in name or "spatial_interaction" in name:
                t.data *= 2
        t.data = t.data.half().float()


def save(name, variant, scale, depth, split=(2, 4), factor=2, light=False, heads=2, channels=3):
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    model = DAT(img_size=max(8, split[1]), in_chans=channels, embed_dim=DIM, split_size=list(split), depth=list(depth),
                num_heads=[heads] * len(depth), expansion_factor=factor, upscale=scale,
                resi_connection="3conv" if light else "1conv", upsampler="pixelshuffledirect" if light else "pixelshuffle")
    if not light:
        model.conv_before_upsample[0] = nn.Conv2d(DIM, FEATURES, 3, 1, 1)
        model.upsample = Upsample(scale, FEATURES)
        model.conv_last = nn.Conv2d(FEATURES, channels, 3, 1, 1)
    # So few channels give the bias no hidden units. DAT-light has one, which its normalisation silences.
    for module in model.modules():
        if isinstance(module, Spatial_Attention):
            module.pos = DynamicPosBias(4 if light else 12, heads // 2, residual=False)
    redraw(model, g)
    model.eval()
    inputs = [torch.rand(1, channels, *size, generator=g) for size in SIZES]
    run = lambda: [model.double()(x.double()) for x in inputs]  # noqa: E731
    last = model.upsample[0] if light else model.conv_last
    last.weight.data = (last.weight.data * (0.3 / run()[0].std().item())).half().double()
    last.bias.data *= 0
    outputs = run()
    still = []
    for key, p in model.named_parameters():
        kept = p.data.clone()
        p.data = kept * 1.5 + 0.1
        moved = max((a - b).abs().max().item() for a, b in zip(run(), outputs))
        if moved < 2.5e-5:
            still.append(key)
        p.data = kept
    # Some cancel: a constant added to all logits of a softmax, or to all that a normalisation takes in.
    others = [k for k in still if ".pos." not in k and "qkv.bias" not in k]
    bias = [k for k, _ in model.named_parameters() if ".pos." in k]
    assert not others and (light or sum(k in still for k in bias) < len(bias) / 3), still
    assert 0.1 < outputs[0].std().item() < 1, outputs[0].std()
    sd = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    if split[1] > 4:  # large, and derived from the rest
        sd = {k: v for k, v in sd.items() if "relative_position_index" not in k and "attn_mask" not in k}
    FOLDER.mkdir(exist_ok=True)
    safetensors.torch.save_file({k: v.contiguous() for k, v in sd.items()}, FOLDER / f"{name}.safetensors")
    io = {f"input{i}": x for i, x in enumerate(inputs)} | {f"output{i}": y.float().contiguous() for i, y in enumerate(outputs)}
    expected = {"family": "DAT", "variant": variant, "scale": scale, "channels": channels, "embed_dim": DIM,
                "num_layers": len(depth), "depth": depth[0], "num_heads": heads, "hidden": DIM * factor,
                "split_h": split[0], "split_w": split[1],
                "parameters": sum(p.numel() for p in model.parameters())}
    safetensors.torch.save_file(io, FOLDER / f"{name}.io.safetensors", {k: str(v) for k, v in expected.items()})


def main():
    for old in FOLDER.glob("*"):
        old.unlink()
    save("dat_x4", "DAT", 4, (3, 1), factor=4, heads=4)
    save("dat_2_x3", "DAT-2", 3, (2, 2))
    save("dat_s_x2", "DAT-S", 2, (3,), split=(8, 16))
    save("dat_light_x2", "DAT-light", 2, (4,), light=True)
    files = list(FOLDER.glob("*"))
    for f in files:
        f.chmod(0o644)
    print(len(files), "files,", sum(f.stat().st_size for f in files), "bytes")


if __name__ == "__main__":
    with torch.no_grad():
        main()
