"""MODEL.safetensors IN.png OUT.png THREADS: the least program that upscales one image with PyTorch."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import nets  # noqa: E402

model, source, target, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
net = nets.build(json.loads(Path(model).with_name("facts.json").read_text())["arch"])
net.load_state_dict({k: v.float() for k, v in load_file(model).items()})
net = net.to(memory_format=torch.channels_last)
pixels = torch.from_numpy(np.array(Image.open(source).convert("RGB"))).permute(2, 0, 1)[None]
with torch.inference_mode():
    y = net((pixels.float() / 255).contiguous(memory_format=torch.channels_last))[0]
y = (y.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
Image.fromarray(y).save(target)
