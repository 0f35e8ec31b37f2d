"""MODEL.param IN.png OUT.png THREADS: the least program that upscales one image with ncnn."""

import sys

import ncnn
import numpy as np
from PIL import Image

param, source, target, threads = sys.argv[1:]
net = ncnn.Net()
net.opt.num_threads = int(threads)
net.load_param(param)
net.load_model(param.removesuffix(".param") + ".bin")
pixels = np.asarray(Image.open(source).convert("RGB"), np.float32) / np.float32(255)
extractor = net.create_extractor()
planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))  # a Mat only borrows the array: keep it alive
extractor.input("data", ncnn.Mat(planes))
y = np.array(extractor.extract("output")[1])
y = np.round(np.clip(y.transpose(1, 2, 0), 0, 1) * 255).astype(np.uint8)
Image.fromarray(y).save(target)
