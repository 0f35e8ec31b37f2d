"""Writes tests/golden/weights/: small weight files in every container and dialect the readers know.

PyTorch writes the checkpoints, the safetensors package writes plain.safetensors and expected.safetensors (what
every file must read as, under "FILE|KEY"), and the ncnn models are run by ncnn and compared with PyTorch before
they are kept. Needs torch, numpy, safetensors and ncnn. Usage: python make_weights.py
"""

import argparse
import collections
import io
import os
import pathlib
import struct
import zipfile

import ncnn
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

OUT = pathlib.Path(__file__).resolve().parent / "weights"
OUT.mkdir(exist_ok=True)
torch.manual_seed(20240501)
expected = {}


def expect(name, tensors):
    for key, value in tensors.items():
        expected[f"{name}|{key}"] = value.detach().clone(memory_format=torch.contiguous_format).contiguous()


def save(name, value, tensors, **kwargs):
    torch.save(value, OUT / name, **kwargs)
    expect(name, tensors)


# Every element type, no and eight dimensions, no elements.
dtypes = {
    "f32": torch.randn(2, 3), "f16": torch.randn(5).half(), "bf16": torch.randn(3, 1).bfloat16(),
    "f64": torch.randn(4, dtype=torch.float64), "i64": torch.tensor([-(2**40), 7]), "i32": torch.tensor([-3, 2**30]).int(),
    "i16": torch.tensor([-300, 300]).short(), "i8": torch.tensor([-128, 127]).char(), "u8": torch.tensor([0, 255]).byte(),
    "boolean": torch.tensor([True, False, True]), "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3),
    "deep": torch.randn(1, 2, 1, 1, 2, 1, 1, 1),
    "extremes16": torch.tensor([0.0, -0.0, 6e-8, 6.1e-5, -65504.0, float("inf"), float("-inf")]).half(),
}
save("dtypes.pth", dtypes, dtypes)
save("dtypes_legacy.pth", dtypes, dtypes, _use_new_zipfile_serialization=False)
save("dtypes_protocol4.pth", dtypes, dtypes, pickle_protocol=4)
save_file(dtypes, OUT / "plain.safetensors", metadata={"source": "the safetensors package", "empty": ""})
expect("plain.safetensors", dtypes)

# Views: transposed, sliced, channels_last, tied to one storage, stepped.
base = torch.randn(6, 4)
tied = torch.randn(3, 3)
views = {
    "base": base, "transposed": base.t(), "sliced": base[2:5, 1:3], "stepped": base[::2, ::3], "row": base[3],
    "channels_last": torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last),
    "permuted": torch.randn(2, 3, 4, 5).permute(3, 1, 0, 2), "tied_a": tied, "tied_b": tied, "one_of_one": base[:1, :1],
}
save("views.pth", views, views)
save("views_legacy.pth", views, views, _use_new_zipfile_serialization=False)
save("expanded.pth", {"a": torch.randn(1, 4).expand(1000, 4)}, {})

# State dicts as modules and training scripts save them.
conv = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4))
save("module.pth", conv.state_dict(), conv.state_dict())
parameters = {k: nn.Parameter(v) for k, v in conv.state_dict().items()}
save("parameters.pth", parameters, conv.state_dict())
optimizer = torch.optim.Adam(conv.parameters(), lr=1e-3)
conv(torch.randn(1, 3, 8, 8)).sum().backward()
optimizer.step()
ema = {k: v * 0.5 for k, v in conv.state_dict().items()}
save("wrapped.pth", {"iter": 5, "params": conv.state_dict(), "params_ema": ema, "lr": 1e-4,
                     "optimizer": optimizer.state_dict(), "big": 2**80, "negative": -1}, ema)
save("nested.pth", {"state_dict": {"params_ema": {"module." + k: v for k, v in ema.items()}}}, ema)
save("nested_legacy.pth", {"model": {"module." + k: v for k, v in ema.items()}}, ema,
     _use_new_zipfile_serialization=False)
lightning = {
    "epoch": 3, "state_dict": collections.OrderedDict(("net_g." + k, v) for k, v in ema.items()),
    "hyper_parameters": argparse.Namespace(lr=0.1, tags={"a", "b"}, where=pathlib.PurePosixPath("x")),
    "metric": np.float64(31.5), "table": np.arange(6).reshape(2, 3), "counts": collections.Counter("abca"),
    "device": torch.device("cpu"), "type": torch.float16, "size": torch.Size([1, 2]),
}
save("lightning.ckpt", lightning, ema)
old = {"model.0.weight": torch.randn(2, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": torch.randn(2, 2, 3, 3),
       "model.10.bias": torch.randn(3)}
save("esrgan_old.pth", old, old)
model_prefix = {"model.conv_first.weight": torch.randn(2, 3), "model.conv_last.weight": torch.randn(2)}
save("model_prefix.pth", model_prefix, {k[6:]: v for k, v in model_prefix.items()})
ordered = collections.OrderedDict(b=torch.randn(2), a=torch.randn(3))
save("ordered.pth", ordered, ordered)


# Files that must be refused.
class Foreign:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


torch.save({"a": torch.randn(2), "b": Foreign(os.system, "true")}, OUT / "foreign_system.pth")
torch.save({"a": torch.randn(2), "b": Foreign(eval, "1")}, OUT / "foreign_eval.pth",
           _use_new_zipfile_serialization=False)
torch.save(nn.Conv2d(1, 1, 1), OUT / "whole_module.pth")
torch.save(torch.randn(3), OUT / "single_tensor.pth")
torch.save({"a": torch.randn(2).to(torch.complex64)}, OUT / "complex.pth")
torch.jit.script(nn.PReLU(1)).save(str(OUT / "torchscript.pt"))


def rezip(name, change, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(OUT / "ordered.pth") as source, zipfile.ZipFile(OUT / name, "w", compression) as target:
        for info in source.infolist():
            for path, data in change(info.filename, source.read(info)):
                target.writestr(path, data)


rezip("compressed.pth", lambda p, d: [(p, d)], zipfile.ZIP_DEFLATED)
rezip("big_endian.pth", lambda p, d: [(p, b"big" if p.endswith("byteorder") else d)])
rezip("no_pickle.pth", lambda p, d: [] if p.endswith("data.pkl") else [(p, d)])
rezip("short_storage.pth", lambda p, d: [(p, d[:-1] if p.endswith("data/1") else d)])
rezip("missing_storage.pth", lambda p, d: [] if p.endswith("data/1") else [(p, d)])
rezip("twice.pth", lambda p, d: [(p, d), (p, d)] if p.endswith("data/1") else [(p, d)])


# ncnn models, written in the two spellings found in the wild: optimised (activation inside the convolution, Eltwise
# with coefficients, fp16) and not (separate layers, fp32).
class Ncnn:
    def __init__(self, optimised, fp16):
        self.optimised, self.fp16 = optimised, fp16
        self.lines, self.bin, self.blobs, self.tensors = [], io.BytesIO(), 0, {}

    def layer(self, kind, inputs, params="", outputs=1):
        names = [f"b{self.blobs + i}" for i in range(outputs)]
        self.blobs += outputs
        name = f"{kind}_{len(self.lines)}"
        self.lines.append(" ".join([kind, name, str(len(inputs)), str(outputs), *inputs, *names, params]).strip())
        return names if outputs > 1 else names[0]

    def conv(self, x, key, module, slope=None):
        w, b = module.weight.detach(), module.bias.detach()
        params = f"0={w.shape[0]} 1=3 " + ("4=1 5=1 " if self.optimised else "11=3 2=1 12=1 3=1 13=1 4=1 14=1 15=1 16=1 5=1 ")
        params += f"6={w.numel()}"
        if self.fp16:
            data = w.half().numpy().tobytes()
            self.bin.write(struct.pack("<I", 0x01306B47) + data + b"\0" * (-len(data) % 4))
            w = w.half()
        else:
            self.bin.write(struct.pack("<I", 0) + w.numpy().tobytes())
        self.bin.write(b.numpy().tobytes())
        self.tensors |= {key + ".weight": w, key + ".bias": b}
        if slope is None:
            return self.layer("Convolution", [x], params)
        if self.optimised:
            return self.layer("Convolution", [x], params + (f" 9=2 -23310=1,{slope:e}" if slope else " 9=1"))
        return self.layer("ReLU", [self.layer("Convolution", [x], params)], f"0={slope:e}" if slope else "")

    def prelu(self, x, key, module):
        slopes = module.weight.detach()
        self.bin.write(slopes.numpy().tobytes())
        self.tensors[key + ".weight"] = slopes
        return self.layer("PReLU", [x], f"0={len(slopes)}")

    def residual(self, x, skip):
        if self.optimised:
            return self.layer("Eltwise", [x, skip], "0=1 -23301=2,2.000000e-01,1.000000e+00")
        return self.layer("BinaryOp", [self.layer("BinaryOp", [x], "0=2 1=1 2=2.000000e-01"), skip])

    def write(self, stem, out):
        self.lines[-1] = self.lines[-1].replace(f" {out}", " output")
        text = f"7767517\n{len(self.lines)} {self.blobs}\n" + "\n".join(self.lines) + "\n"
        (OUT / f"{stem}.param").write_text(text)
        (OUT / f"{stem}.bin").write_bytes(self.bin.getvalue())
        expect(f"{stem}.param", self.tensors)

    def verify(self, stem, reference, image):
        net = ncnn.Net()
        net.opt.use_fp16_storage = net.opt.use_fp16_packed = net.opt.use_fp16_arithmetic = False
        assert net.load_param(str(OUT / f"{stem}.param")) == 0 and net.load_model(str(OUT / f"{stem}.bin")) == 0
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(image[0].numpy()).clone())
        code, mat = extractor.extract("output")
        error = np.abs(np.array(mat) - reference[0].numpy()).max()
        assert code == 0 and error < 2e-3, (stem, code, error)


def conv(n_in, n_out):
    return nn.Conv2d(n_in, n_out, 3, padding=1)


@torch.no_grad()
def make_rrdb(stem, optimised, fp16, ups, unshuffle=1):
    nf, gc = 4, 2
    net, image = Ncnn(optimised, fp16), torch.rand(1, 3, 8, 8)
    data = net.layer("Input", [])
    net.lines[-1] = net.lines[-1].replace(data, "data")
    x, value = "data", image
    if unshuffle > 1:
        x = net.layer("Reorg", [x], f"0={unshuffle}")
        value = F.pixel_unshuffle(value, unshuffle)

    def split(blob, n):
        return net.layer("Split", [blob], outputs=n)

    def step(blob, v, key, n_out, slope=None):
        module = conv(v.shape[1], n_out)
        blob = net.conv(blob, key, module, slope)
        v = F.conv2d(v, module.weight.half().float() if fp16 else module.weight, module.bias, padding=1)
        return blob, v if slope is None else F.leaky_relu(v, slope)

    x, value = step(x, value, "conv_first", nf)
    x, skip = split(x, 2)
    first = value
    block_in = value
    x, block_blob = split(x, 2)
    for r in (1, 2, 3):
        dense_in = value
        copies = split(x, 6)
        parts, values = [[copies[5]]], [value]
        grown = []
        for j in (1, 2, 3, 4):
            blobs = [copies[j - 1]] + [g.pop() for g in grown]
            joined = blobs[0] if len(blobs) == 1 else net.layer("Concat", blobs)
            y, v = step(joined, torch.cat(values, 1), f"body.0.rdb{r}.conv{j}", gc, 0.2)
            grown.append(split(y, 5 - j) if j < 4 else [y])
            values.append(v)
        joined = net.layer("Concat", [copies[4]] + [g.pop() for g in grown])
        y, v = step(joined, torch.cat(values, 1), f"body.0.rdb{r}.conv5", nf)
        x, value = net.residual(y, copies[5]), v * 0.2 + dense_in
    x, value = net.residual(x, block_blob), value * 0.2 + block_in
    x, v = step(x, value, "conv_body", nf)
    x, value = net.layer("BinaryOp", [skip, x]), v + first
    for k in range(1, ups + 1):
        x, value = net.layer("Interp", [x], "0=1 1=2.000000e+00 2=2.000000e+00"), F.interpolate(value, scale_factor=2)
        x, value = step(x, value, f"conv_up{k}", nf, 0.2)
    x, value = step(x, value, "conv_hr", nf, 0.2)
    x, value = step(x, value, "conv_last", 3)
    net.write(stem, x)
    net.verify(stem, value, image)


@torch.no_grad()
def make_compact(stem, act, scale, fp16=False, resize=None):
    nf, image = 5, torch.rand(1, 3, 8, 8)
    net = Ncnn(act != "relu", fp16)
    data = net.layer("Input", [])
    net.lines[-1] = net.lines[-1].replace(data, "data")
    x, skip = net.layer("Split", ["data"], outputs=2)
    value = image
    widths = [nf, nf, nf, 3 * scale * scale]
    for i, width in enumerate(widths):
        module = conv(value.shape[1], width)
        last = i + 1 == len(widths)
        slope = None if last or act == "prelu" else {"relu": 0.0, "leakyrelu": 0.1}[act]
        x = net.conv(x, f"body.{2 * i}", module, slope)
        value = F.conv2d(value, module.weight.half().float() if fp16 else module.weight, module.bias, padding=1)
        if slope is not None:
            value = F.leaky_relu(value, slope)
        if not last and act == "prelu":
            slopes = nn.PReLU(width)
            slopes.weight.copy_(torch.randn(width))
            x, value = net.prelu(x, f"body.{2 * i + 1}", slopes), F.prelu(value, slopes.weight)
    x, value = net.layer("PixelShuffle", [x], f"0={scale}"), F.pixel_shuffle(value, scale)
    up = net.layer("Interp", [skip], f"0=1 1={scale:e} 2={scale:e}")
    x, value = net.layer("BinaryOp", [x, up]), value + F.interpolate(image, scale_factor=scale)
    if resize:
        x = net.layer("Interp", [x], f"0=3 1={resize:e} 2={resize:e}")
    net.write(stem, x)
    if not resize:
        net.verify(stem, value, image)


make_rrdb("rrdb_x4_fp16", True, True, 2)
make_rrdb("rrdb_x2_fp32", False, False, 1)
make_rrdb("rrdb_unshuffle_x2", True, True, 2, unshuffle=2)
make_compact("compact_prelu_x4", "prelu", 4, fp16=True)
make_compact("compact_prelu_x2of4", "prelu", 4, fp16=True, resize=0.5)
make_compact("compact_relu_x2", "relu", 2)
make_compact("compact_leakyrelu_x1", "leakyrelu", 1)

save_file(expected, OUT / "expected.safetensors")
for entry in sorted(OUT.iterdir()):
    print(f"{entry.stat().st_size:7d} {entry.name}")
print(sum(entry.stat().st_size for entry in OUT.iterdir()), "bytes")
