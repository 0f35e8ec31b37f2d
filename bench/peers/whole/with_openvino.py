"""MODEL.onnx IN.png OUT.png THREADS: the least program that upscales one image with OpenVINO."""

import sys

import numpy as np
import openvino
from PIL import Image

model, source, target, threads = sys.argv[1:]
config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
compiled = openvino.Core().compile_model(model, "CPU", config)
pixels = np.asarray(Image.open(source).convert("RGB"), np.float32) / np.float32(255)
y = compiled(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))[0][0]
y = np.round(np.clip(y.transpose(1, 2, 0), 0, 1) * 255).astype(np.uint8)
Image.fromarray(y).save(target)
