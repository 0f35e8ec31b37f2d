#!/usr/bin/env python3
"""Writes the tiny random-weight EDSR, MDSR, RCAN and SPAN of tests/golden/convnets and their reference outputs.

    python tests/golden/make_convnets.py     # needs torch, safetensors, spandrel (all on PyPI)

For every net NAME there are two files:
  NAME.safetensors       weights in the keys of the published files
  NAME.io.safetensors    "input0", "output0", "input1", ...: [1, c, h, w], f32; metadata: what a loader must find out

RCAN and SPAN are spandrel's modules; EDSR and MDSR, which spandrel does not have, are written below after the paper
(Lim et al. 2017) and its repository. All run in float64. Every weight is redrawn; every tensor must matter. Seeds are
fixed.
"""

import re
import zlib
from pathlib import Path

import safetensors.torch
import torch
from spandrel.architectures.RCAN.__arch.rcan_arch import RCAN, MeanShift, Upsampler, default_conv
from spandrel.architectures.SPAN.__arch.span import SPAN, Conv3XC
from torch import nn

FOLDER = Path(__file__).parent / "convnets"
MEAN, ONE = (0.4488, 0.4371, 0.4040), (1.0, 1.0, 1.0)


class Block(nn.Module):
    def __init__(self, features, kernel, res_scale):
        super().__init__()
        self.body = nn.Sequential(default_conv(features, features, kernel), nn.ReLU(), default_conv(features, features, kernel))
        self.res_scale = res_scale

    def forward(self, x):
        return x + self.body(x) * self.res_scale


class EDSR(nn.Module):
    """scales: one for EDSR; for MDSR several, of which branch `chosen` runs."""

    def __init__(self, features=4, blocks=2, res_scale=1.0, scales=(2,), mdsr=False, chosen=0, shift=True):
        super().__init__()
        self.shift, self.chosen = shift, chosen
        if shift:
            self.sub_mean, self.add_mean = MeanShift(255, MEAN, ONE), MeanShift(255, MEAN, ONE, 1)
        self.head = nn.Sequential(default_conv(3, features, 3))
        self.body = nn.Sequential(*[Block(features, 3, res_scale) for _ in range(blocks)], default_conv(features, features, 3))
        if mdsr:
            self.pre_process = nn.ModuleList(nn.Sequential(Block(features, 5, 1.0), Block(features, 5, 1.0)) for _ in scales)
            self.upsample = nn.ModuleList(Upsampler(default_conv, s, features) for s in scales)
            self.tail = nn.Sequential(default_conv(features, 3, 3))
        else:
            self.tail = nn.Sequential(Upsampler(default_conv, scales[0], features), default_conv(features, 3, 3))

    def forward(self, x):
        x = self.sub_mean(x * 255) if self.shift else x
        x = self.head(x)
        if hasattr(self, "upsample"):
            x = self.pre_process[self.chosen](x)
            x = self.tail(self.upsample[self.chosen](self.body(x) + x))
        else:
            x = self.tail(self.body(x) + x)
        return self.add_mean(x) / 255 if self.shift else x


def redraw(model, g):
    """Weights of unit gain, but sigmoids must not saturate on activations of 0..255, nor may ReLUs die behind means."""
    wide = hasattr(model, "sub_mean") or getattr(model, "is_norm", False)
    for name, p in model.named_parameters():
        if "_mean" in name:
            continue
        scale = p[0].numel() ** -0.5 if p.dim() > 1 else 0.3
        p.data = torch.randn(p.shape, generator=g) * scale
        if wide and ("conv_du.0.weight" in name or name in ("conv_1.sk.weight", "conv_1.conv.2.weight")):
            p.data *= 0.02
        if "c3_r.sk.weight" in name:  # a block's gate is small
            p.data *= 4
        if "conv_du.0.bias" in name:
            p.data = p.data.abs() + 1


def draw(name, model, channels, sizes, last):
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    redraw(model, g)
    model.eval()
    inputs = [torch.rand(1, channels, *size, generator=g) for size in sizes]
    parameters = dict(model.named_parameters())
    parameters[last + ".bias"].data.zero_()
    run = lambda: [model.double()(x.double()) for x in inputs]  # noqa: E731
    parameters[last + ".weight"].data *= 0.3 / run()[0].std().item()
    model.float()
    outputs = run()
    for key, p in parameters.items():
        if unused(model, key):
            continue
        kept = p.data.clone()
        p.data = kept * 1.5 + 0.1
        moved = max((a - b).abs().max().item() for a, b in zip(run(), outputs))
        assert moved > 3e-5, (name, key, moved)  # the test allows 1e-5
        p.data = kept
    spread = outputs[0].std().item()
    assert 0.1 < spread < 1 and max(y.abs().max().item() for y in outputs) < 6, (name, spread)
    return inputs, [y.float() for y in outputs], model.float()


def unused(model, key):
    if "eval_conv" in key or key.startswith("sub_mean") or key.startswith("add_mean"):
        return True
    parts = key.split(".")
    return parts[0] in ("pre_process", "upsample") and parts[1] != str(getattr(model, "chosen", 0))


def basicsr_keys(sd, groups=0, blocks=2):
    """From the keys of the original repositories to those of BasicSR; mean shifts are not in the file there."""
    out = {}
    for key, v in sd.items():
        if "_mean" in key:
            continue
        key = key.replace("tail.0.", "upsample.").replace("tail.1.", "conv_last.").replace("head.0.", "conv_first.")
        if groups:
            key = re.sub(rf"^body\.{groups}\.", "conv_after_body.", key)
            key = re.sub(rf"^body\.(\d+)\.body\.{blocks}\.", r"body.\1.conv.", key)
            key = re.sub(r"^body\.(\d+)\.body\.(\d+)\.body\.", r"body.\1.residual_group.\2.rcab.", key)
            key = key.replace("rcab.3.conv_du.0", "rcab.3.attention.1").replace("rcab.3.conv_du.2", "rcab.3.attention.3")
        elif key.startswith(f"body.{blocks}."):
            key = key.replace(f"body.{blocks}.", "conv_after_body.")
        else:
            key = key.replace("body.0.weight", "conv1.weight").replace("body.0.bias", "conv1.bias")
            key = key.replace("body.2.weight", "conv2.weight").replace("body.2.bias", "conv2.bias")
        out[key] = v
    return out


def save(name, model, last, expected, rename=None, sizes=((13, 11), (5, 3)), channels=3, dtype=None, metadata=None):
    if dtype:
        draw(name, model, channels, sizes, last)  # scales the weights; they are rounded, then run again
        for p in model.parameters():
            p.data = p.data.to(dtype).float()
        g = torch.Generator().manual_seed(zlib.crc32(name.encode()) + 1)
        inputs = [torch.rand(1, channels, *size, generator=g) for size in sizes]
        outputs = [model.double()(x.double()).float() for x in inputs]
        model.float()
    else:
        inputs, outputs, model = draw(name, model, channels, sizes, last)
    sd = {k: v.detach().clone() for k, v in model.state_dict().items()}
    if rename:
        sd = rename(sd)
    if dtype:
        sd = {k: v.to(dtype) for k, v in sd.items()}
    FOLDER.mkdir(exist_ok=True)
    safetensors.torch.save_file({k: v.contiguous() for k, v in sd.items()}, FOLDER / f"{name}.safetensors", metadata)
    io = {f"input{i}": x for i, x in enumerate(inputs)} | {f"output{i}": y for i, y in enumerate(outputs)}
    expected = {"channels": channels} | expected
    safetensors.torch.save_file(io, FOLDER / f"{name}.io.safetensors", {k: str(v) for k, v in expected.items()})


def edsr(name, scale, dialect="original keys", blocks=2, features=4, rename=None, metadata=None, **more):
    model = EDSR(scales=(scale,), blocks=blocks, features=features, **more)
    facts = {"family": "EDSR", "variant": "EDSR, " + dialect, "scale": scale, "num_feat": features, "num_block": blocks}
    save(name, model, "tail.1", facts, rename, sizes=((7, 6), (5, 3)), metadata=metadata)


def mdsr(name, chosen, metadata=None):
    model = EDSR(scales=(2, 3, 4), mdsr=True, chosen=chosen, features=3, blocks=2)
    facts = {"family": "EDSR", "variant": "MDSR, original keys", "scale": 2 + chosen, "num_feat": 3, "num_block": 2}
    save(name, model, "tail.0", facts, sizes=((7, 6), (5, 3)), metadata=metadata)


def rcan(name, scale, channels=3, unshuffle=False, norm=True, basicsr=False):
    model = RCAN(scale=scale, n_resgroups=2, n_resblocks=2, n_feats=4, reduction=2, n_colors=channels, norm=norm,
                 unshuffle_mod=unshuffle)
    inner = model.forward
    model.forward = lambda x: inner(x.clone())  # the module scales its input in place
    facts = {"family": "RCAN", "variant": "RCAN, BasicSR keys" if basicsr else "RCAN, original keys", "scale": scale,
             "num_feat": 4, "num_group": 2, "num_block": 2, "squeeze_feat": 2, "unshuffle": 4 // scale if unshuffle else 1}
    rename = (lambda sd: basicsr_keys(sd, groups=2)) if basicsr else None
    save(name, model, "tail.1", facts, rename, channels=channels, sizes=((5, 4), (3, 4)) if scale == 8 else ((9, 7), (6, 5)))


def span(name, scale, features=3, norm=True, stripped=False, stale=False, dtype=None, channels=3):
    model = SPAN(num_in_ch=channels, num_out_ch=channels, feature_channels=features, upscale=scale, norm=norm,
                 rgb_mean=MEAN)
    facts = {"family": "SPAN", "variant": "SPAN", "scale": scale, "num_feat": features}

    def rename(sd):
        sd = {k: v for k, v in sd.items() if not stripped or not (".sk." in k or ".conv." in k)}
        return {k: v + 3 if stale and "eval_conv" in k else v for k, v in sd.items()}

    if stripped:  # what remains, rounded to f32, is the network
        for module in model.modules():
            if isinstance(module, Conv3XC):
                module.update_params()
    save(name, model, "upsampler.0", facts, rename, sizes=((9, 7), (3, 4)), dtype=dtype, channels=channels)


def main():
    for old in FOLDER.glob("*"):
        old.unlink()
    edsr("edsr_x2", 2)
    edsr("edsr_x3", 3, blocks=3)
    edsr("edsr_x4_res_scale", 4, res_scale=0.1, metadata={"res_scale": "0.1"})
    edsr("edsr_x2_no_shift", 2, shift=False)
    edsr("edsr_basicsr_x4", 4, "BasicSR keys", rename=lambda sd: basicsr_keys(sd))
    mdsr("mdsr_x4", 2)
    mdsr("mdsr_x2", 0, {"scale": "2"})
    rcan("rcan_x2", 2)
    rcan("rcan_x3", 3)
    rcan("rcan_x8", 8)
    rcan("rcan_pu_x2", 2, unshuffle=True, norm=False)
    rcan("rcan_pu_gray_x1", 1, unshuffle=True, norm=False, channels=1)
    rcan("rcan_basicsr_x4", 4, basicsr=True)
    span("span_x4", 4, stale=True)
    span("span_x2_no_norm", 2, norm=False)
    span("span_x2_f16", 2, dtype=torch.float16)
    span("span_x3_stripped", 3, stripped=True)
    files = list(FOLDER.glob("*"))
    for f in files:
        f.chmod(0o644)
    print(len(files), "files,", sum(f.stat().st_size for f in files), "bytes")


if __name__ == "__main__":
    with torch.no_grad():
        main()
