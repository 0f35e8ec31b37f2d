"""MODEL.onnx IN.png OUT.png THREADS: the least program that upscales one image with ONNX Runtime."""

import sys

import numpy as np
import onnxruntime
from PIL import Image

model, source, target, threads = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
pixels = np.asarray(Image.open(source).convert("RGB"), np.float32) / np.float32(255)
y = session.run(None, {"data": np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])})[0][0]
y = np.round(np.clip(y.transpose(1, 2, 0), 0, 1) * 255).astype(np.uint8)
Image.fromarray(y).save(target)
