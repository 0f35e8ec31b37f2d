#!/usr/bin/env python3
"""Writes the tiny random-weight networks of tests/golden/nets and their reference outputs.

    python tests/golden/make_nets.py            # needs torch, safetensors, spandrel (all on PyPI)

For every net NAME there are two files:
  NAME.safetensors or NAME.pth   weights, in the key dialect, container, wrapper and dtype under test
  NAME.io.safetensors            "input" [1, c, h, w] in 0..1 and "output" [1, C, H, W], f32; metadata: what a
                                 loader must find out ("family", "dialect", "scale", "num_feat", ...)

Outputs are computed in float64 by the two modules below, which follow the definitions of BasicSR (RRDBNet,
SRVGGNetCompact) and ESRGAN+ (Rakotonirina and Rasoanaivo 2020). spandrel cannot load most of the nets (it assumes 32
growth channels, and PReLU), so before anything is written, check_against_spandrel() runs both modules against it on
nets it does accept, one for every dialect. Seeds are fixed: running this twice gives the same tensors (the bytes of
legacy .pth files vary: they hold storage addresses).
"""

import json
import math
import zlib
from pathlib import Path

import safetensors.torch
import spandrel
import torch
import torch.nn.functional as F

FOLDER = Path(__file__).parent / "nets"


def conv(sd, key, x):
    weight = sd[key + ".weight"].to(x.dtype)
    bias = sd.get(key + ".bias")
    return F.conv2d(x, weight, None if bias is None else bias.to(x.dtype), padding=weight.shape[-1] // 2)


def rrdb_forward(sd, x, p):
    """sd in the key names of BasicSR, plus "conv1x1" inside a block for ESRGAN+."""
    h, w = x.shape[-2:]
    u = p["unshuffle"]
    if u > 1:
        x = F.pad(x, (0, -w % u, 0, -h % u), mode="reflect")
        x = F.pixel_unshuffle(x, u)

    def lrelu(t):
        return F.leaky_relu(t, 0.2)

    first = conv(sd, "conv_first", x)
    body = first
    for i in range(p["num_block"]):
        rrdb_in = body
        for r in (1, 2, 3):
            key = f"body.{i}.rdb{r}."
            x1 = lrelu(conv(sd, key + "conv1", body))
            x2 = lrelu(conv(sd, key + "conv2", torch.cat((body, x1), 1)))
            if p["plus"]:
                x2 = x2 + conv(sd, key + "conv1x1", body)
            x3 = lrelu(conv(sd, key + "conv3", torch.cat((body, x1, x2), 1)))
            x4 = lrelu(conv(sd, key + "conv4", torch.cat((body, x1, x2, x3), 1)))
            if p["plus"]:
                x4 = x4 + x2
            x5 = conv(sd, key + "conv5", torch.cat((body, x1, x2, x3, x4), 1))
            body = x5 * 0.2 + body
        body = body * 0.2 + rrdb_in
    feat = first + conv(sd, "conv_body", body)
    for k in range(p["num_up"]):
        feat = lrelu(conv(sd, f"conv_up{k + 1}", F.interpolate(feat, scale_factor=p["up"], mode="nearest")))
    out = conv(sd, "conv_last", lrelu(conv(sd, "conv_hr", feat)))
    return out[..., : h * p["scale"], : w * p["scale"]]


def srvgg_forward(sd, x, p):
    feat = x
    last = 2 * p["num_conv"] + 2
    for k in range(0, last, 2):
        feat = conv(sd, f"body.{k}", feat)
        if p["act"] == "prelu":
            feat = F.prelu(feat, sd[f"body.{k + 1}.weight"].to(x.dtype))
        else:
            feat = F.relu(feat) if p["act"] == "relu" else F.leaky_relu(feat, 0.1)
    out = F.pixel_shuffle(conv(sd, f"body.{last}", feat), p["scale"])
    return out + F.interpolate(x, scale_factor=p["scale"], mode="nearest")


FORWARD = {"rrdb": rrdb_forward, "srvgg": srvgg_forward}


def random_conv(sd, g, key, cout, cin, k=3, gain=1.0, bias=True):
    sd[key + ".weight"] = torch.randn(cout, cin, k, k, generator=g) * (gain / math.sqrt(cin * k * k))
    if bias:
        sd[key + ".bias"] = torch.randn(cout, generator=g) * 0.1


def random_rrdb(g, p):
    nf, gc = p["num_feat"], p["num_grow_ch"]
    sd = {}
    random_conv(sd, g, "conv_first", nf, p["in_channels"] * p["unshuffle"] ** 2, gain=2)
    for i in range(p["num_block"]):
        for r in (1, 2, 3):
            key = f"body.{i}.rdb{r}."
            for j in range(1, 5):
                random_conv(sd, g, f"{key}conv{j}", gc, nf + (j - 1) * gc, gain=1.4)
            random_conv(sd, g, key + "conv5", nf, nf + 4 * gc, gain=4)
            if p["plus"]:
                random_conv(sd, g, key + "conv1x1", gc, nf, k=1, bias=False)
    random_conv(sd, g, "conv_body", nf, nf)
    for k in range(p["num_up"]):
        random_conv(sd, g, f"conv_up{k + 1}", nf, nf, gain=1.4)
    random_conv(sd, g, "conv_hr", nf, nf, gain=1.4)
    random_conv(sd, g, "conv_last", p["out_channels"], nf)
    return sd


def random_srvgg(g, p):
    nf, last = p["num_feat"], 2 * p["num_conv"] + 2
    sd = {}
    for k in range(0, last, 2):
        random_conv(sd, g, f"body.{k}", nf, p["in_channels"] if k == 0 else nf, gain=1.4)
        if p["act"] == "prelu":  # slopes from -1 to 2, as trained nets have them: max(x, a * x) is wrong for both ends
            sd[f"body.{k + 1}.weight"] = torch.linspace(-1, 2, nf)[torch.randperm(nf, generator=g)].clone()
    random_conv(sd, g, f"body.{last}", p["out_channels"] * p["scale"] ** 2, nf)
    return sd


def rename(sd, dialect, p):
    """From the key names of BasicSR to those of xinntao 2018 / BSRGAN ("mid") and of the first ESRGAN ("old")."""
    if dialect == "new":
        return dict(sd)
    n = p["num_up"]
    table = {"conv_first": ("conv_first", "model.0"), "conv_body": ("trunk_conv", f"model.1.sub.{p['num_block']}"),
             "conv_hr": ("HRconv", f"model.{3 * n + 2}"), "conv_last": ("conv_last", f"model.{3 * n + 4}")}
    for k in range(1, n + 1):
        table[f"conv_up{k}"] = (f"upconv{k}", f"model.{3 * k}")
    out = {}
    for key, value in sd.items():
        stem, leaf = key.rsplit(".", 1)
        if stem in table:
            stem = table[stem][0 if dialect == "mid" else 1]
        else:
            _, i, rdb, name = stem.split(".")
            rdb = rdb.upper()
            if dialect == "mid":
                stem = f"RRDB_trunk.{i}.{rdb}.{name}"
            else:
                stem = f"model.1.sub.{i}.{rdb}.{name}" + ("" if name == "conv1x1" else ".0")
        out[f"{stem}.{leaf}"] = value
    return out


def rrdb(num_feat=4, num_grow_ch=2, num_block=2, num_up=2, up=2, unshuffle=1, plus=False, cin=3, cout=3):
    return dict(family="rrdb", num_feat=num_feat, num_grow_ch=num_grow_ch, num_block=num_block, num_up=num_up, up=up,
                unshuffle=unshuffle, plus=plus, in_channels=cin, out_channels=cout, scale=up**num_up // unshuffle)


def srvgg(scale, num_feat=8, num_conv=2, act="prelu", cin=3, cout=3):
    return dict(family="srvgg", scale=scale, num_feat=num_feat, num_conv=num_conv, act=act, in_channels=cin,
                out_channels=cout)


def build(name, p, size=(13, 11), dtype=torch.float32):
    """Random weights rounded to dtype, an input and the float64 output, whose spread conv_last is scaled to."""
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    sd = (random_rrdb if p["family"] == "rrdb" else random_srvgg)(g, p)
    x = torch.rand(1, p["in_channels"], *size, generator=g)
    forward = FORWARD[p["family"]]
    last = [k for k in sd if k.endswith(".weight") and sd[k].dim() == 4][-1]
    with torch.no_grad():
        sd[last] *= 0.5 / forward(sd, x.double(), p).std().item()
        sd = {k: v.to(dtype) for k, v in sd.items()}
        y = forward(sd, x.double(), p)
        assert 0.1 < y.std().item() < 3 and y.abs().max() < 8, (name, y.std(), y.abs().max())
        for k in sd:  # every tensor must matter: a loader that skips or swaps one must not pass
            bent = dict(sd) | {k: sd[k] * 1.5}
            assert (forward(bent, x.double(), p) - y).abs().max() > 2e-4, (name, k)
    return sd, x, y.float()


def check_against_spandrel():
    cases = [("old", rrdb(num_up=n)) for n in range(5)]
    cases += [("old", rrdb(plus=True)), ("mid", rrdb()), ("mid", rrdb(num_up=1)), ("new", rrdb()), ("new", rrdb(unshuffle=2)),
              ("new", rrdb(unshuffle=4)), ("new", rrdb(cin=1, cout=1)), ("new", rrdb(cin=4, cout=4)), ("old", rrdb(cin=1)),
              ("new", rrdb(unshuffle=2, cin=1, cout=1))]
    for p in (p for _, p in cases):
        p["num_grow_ch"] = 32
    cases += [("new", srvgg(s)) for s in (1, 2, 3, 4)] + [("new", srvgg(2, cin=1, cout=1)), ("new", srvgg(4, cin=4, cout=4))]
    for dialect, p in cases:
        sd, x, y = build(f"spandrel {dialect} {p}", p, size=(7, 5) if p["scale"] < 8 else (3, 4))
        net = spandrel.ModelLoader().load_from_state_dict(rename(sd, dialect, p))  # net(x) would clamp to 0..1
        assert net.scale == p["scale"], (dialect, p, net.scale)
        with torch.no_grad():
            error = (net.model(x) - y).abs().max().item()
        assert error < 2e-5, (dialect, p, error)
    print(f"{len(cases)} nets agree with spandrel {spandrel.__version__}")


def save(name, p, dialect="new", size=(13, 11), dtype=torch.float32, container="safetensors", wrap=None, metadata=None,
         layout=None):
    sd, x, y = build(name, p, size, dtype)
    out = rename(sd, dialect, p)
    if layout == "channels_last":
        out = {k: v.to(memory_format=torch.channels_last) if v.dim() == 4 else v for k, v in out.items()}
    if layout == "flat":  # every tensor a slice of one storage
        flat = torch.cat([v.flatten() for v in out.values()])
        start = 0
        for k, v in out.items():
            out[k], start = flat[start : start + v.numel()].view(v.shape), start + v.numel()
    if wrap:
        out = wrap(out)
    FOLDER.mkdir(exist_ok=True)
    if container == "safetensors":
        safetensors.torch.save_file(out, FOLDER / f"{name}.safetensors", metadata)
    else:
        torch.save(out, FOLDER / f"{name}.pth", _use_new_zipfile_serialization=container == "zip")
    expected = {k: str(int(v)) if isinstance(v, bool) else str(v) for k, v in p.items()}
    expected |= {"dialect": dialect, "container": container, "dtype": str(dtype).removeprefix("torch.")}
    expected["family"] = {"rrdb": "ESRGAN", "srvgg": "Compact"}[p["family"]]
    safetensors.torch.save_file({"input": x, "output": y}, FOLDER / f"{name}.io.safetensors", expected)


def prefixed(sd):
    return {"module." + k: v for k, v in sd.items()}


def worse(sd):
    return {k: v + 1 for k, v in sd.items()}


def main():
    check_against_spandrel()
    for old in FOLDER.glob("*"):
        old.unlink()
    half, bf16 = torch.float16, torch.bfloat16

    save("rrdb_new_x4", rrdb(num_feat=8, num_grow_ch=4))
    save("rrdb_old_x1", rrdb(num_up=0), "old", container="legacy")
    save("rrdb_old_x2", rrdb(num_up=1), "old", container="zip")
    save("rrdb_old_x3", rrdb(num_up=1, up=3), "old", metadata={"scale": "3"})
    save("rrdb_old_x4", rrdb(), "old")
    save("rrdb_old_x8", rrdb(num_up=3), "old", size=(7, 5))
    save("rrdb_old_x16", rrdb(num_up=4), "old", size=(5, 3), dtype=half, container="zip")
    save("rrdb_mid_x4", rrdb(), "mid", container="zip", wrap=lambda sd: {"epoch": 3, "state_dict": prefixed(sd)})
    save("rrdb_mid_x2", rrdb(num_up=1), "mid", container="legacy", wrap=prefixed)
    save("rrdb_unshuffle_x2", rrdb(unshuffle=2, num_block=1), container="zip",
         wrap=lambda sd: {"params": worse(sd), "params_ema": sd})
    save("rrdb_unshuffle_x1", rrdb(unshuffle=4), dtype=bf16)
    save("rrdb_unshuffle_grey_x2", rrdb(unshuffle=2, cin=1, cout=1), size=(6, 9), container="legacy",
         wrap=lambda sd: {"params_ema": sd})
    save("rrdb_plus_x4", rrdb(plus=True), "old", container="zip")
    save("rrdb_odd_5_blocks", rrdb(num_feat=9, num_grow_ch=3, num_block=5), dtype=half, size=(5, 7))
    save("rrdb_odd_channels", rrdb(num_feat=7, num_grow_ch=6, num_block=1), container="zip", layout="channels_last",
         wrap=lambda sd: {"iter": 7, "params": sd})
    save("rrdb_grey_x4", rrdb(cin=1, cout=1), container="zip", dtype=half, layout="flat")
    save("rrdb_rgba_x4", rrdb(cin=4, cout=4), size=(7, 5), container="legacy", dtype=bf16)
    save("rrdb_grey_to_rgb_x2", rrdb(num_up=1, cin=1), "old", container="legacy", layout="channels_last")

    save("srvgg_x1", srvgg(1))
    save("srvgg_x2", srvgg(2, num_conv=3), container="zip", wrap=lambda sd: {"params": sd})
    save("srvgg_x3", srvgg(3, num_feat=7), container="legacy", layout="channels_last")
    save("srvgg_x4", srvgg(4, num_conv=3), dtype=half)
    save("srvgg_odd_x4", srvgg(4, num_feat=13), dtype=bf16, container="zip", wrap=lambda sd: {"params": prefixed(sd)})
    save("srvgg_grey_x2", srvgg(2, cin=1, cout=1), layout="flat", container="zip")
    save("srvgg_rgba_x4", srvgg(4, cin=4, cout=4), size=(6, 5), dtype=half, container="legacy")
    save("srvgg_grey_to_rgb_x2", srvgg(2, cin=1))
    save("srvgg_relu_x2", srvgg(2, act="relu"), metadata={"act": "relu"})
    save("srvgg_leakyrelu_x3", srvgg(3, act="leakyrelu"), metadata={"act": "leakyrelu"})

    files = sorted(FOLDER.iterdir())
    for f in files:
        f.chmod(0o644)
    total = sum(f.stat().st_size for f in files)
    assert total < 1.5e6, total
    print(json.dumps({"files": len(files), "bytes": total}))


if __name__ == "__main__":
    main()
