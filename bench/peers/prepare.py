"""Writes what the runners of one case need: input picture, weights in every format, facts.json.

prepare.py CASE.json FOLDER, with CASE.json as made by compare.py. And prepare.py --check FILE... compares raw
float or PNG outputs with the first one: prints a JSON list of PSNR values in dB for a peak of 1.
"""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image


def picture(height: int, width: int) -> np.ndarray:
    """Seeded u8 RGB with detail on all scales (spectrum about 1/f, as photographs have), and hard edges."""
    rng = np.random.default_rng(7)
    total = np.zeros((height, width, 3))
    for cells in (2, 4, 8, 16, 32, 64, 128):
        noise = Image.fromarray((rng.random((cells, cells, 3)) * 255).astype(np.uint8))
        total += np.asarray(noise.resize((width, height), Image.BICUBIC), float) / cells
    total = (total - total.min()) / (total.max() - total.min())
    y, x = np.mgrid[:height, :width]
    disc = (y - height / 2) ** 2 + (x - width / 3) ** 2 < (min(height, width) / 5) ** 2
    total[disc] = 1 - total[disc]
    return np.round(total * 255).astype(np.uint8)


def random_state(net) -> dict[str, np.ndarray]:
    """Weights that keep activations near unit variance, so that no runtime meets denormals or infinities."""
    rng = np.random.default_rng(11)
    state = {}
    for key, tensor in net.state_dict().items():
        shape = tuple(tensor.shape)
        if len(shape) == 4:
            gain = math.sqrt(1.9 / math.prod(shape[1:]))
            state[key] = (rng.standard_normal(shape) * gain).astype(np.float32)
        elif key.endswith(".bias"):
            state[key] = (rng.standard_normal(shape) * 0.02).astype(np.float32)
        else:
            state[key] = rng.uniform(-0.2, 0.5, shape).astype(np.float32)
    last = max((k for k in state if k.endswith(".bias")), key=lambda k: int(k.split(".")[1]))
    state[last.replace("bias", "weight")] *= 0.1
    return state


def traced_for_ncnn(net, x, folder: Path) -> Path:
    """The .param/.bin pair, fp32, that pnnx makes of the traced module."""
    import torch

    torch.jit.trace(net, x).save(str(folder / "traced.pt"))
    shape = "inputshape=[" + ",".join(map(str, x.shape)) + "]"
    pnnx = Path(sys.executable).with_name("pnnx")
    subprocess.run([str(pnnx), "traced.pt", shape, "fp16=0"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder.resolve() / "traced.ncnn.param"


def prepare(case: dict, folder: Path) -> None:
    import torch
    from safetensors.numpy import save_file

    import ncnn_files
    import nets

    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    height, width = case["size"]
    pixels = picture(height, width)
    Image.fromarray(pixels).save(folder / "input.png")
    (pixels.astype(np.float32) / np.float32(255)).tofile(folder / "input.f32")

    torch.manual_seed(11)
    net = nets.build(case["arch"])
    blobs = ["data", "output"]
    if case["arch"]["kind"] in nets.TRANSFORMERS | nets.CONVNETS:  # the module's own random start
        param, state = "", {k: v.contiguous().numpy() for k, v in net.state_dict().items()}
    elif case["param"]:
        param = Path(case["param"])
        state = ncnn_files.state_dict(param, nets.conv_keys(case["arch"]))
    else:
        param = folder / "random.param"
        state = random_state(net)
        ncnn_files.write_srvgg(param, state, case["arch"]["n"], 4)
    net.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
    # Where the source was fp16, keep it so on disk: exact, and what a converted checkpoint looks like.
    half = {k: v.astype(np.float16) for k, v in state.items() if v.ndim == 4}
    exact = bool(param) and all(np.array_equal(half[k].astype(np.float32), state[k]) for k in half)
    save_file({**state, **half} if exact else state, folder / "model.safetensors")

    x = torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).permute(2, 0, 1)[None]
    torch.onnx.export(net, (x,), str(folder / "model.onnx"), input_names=["data"], output_names=["output"],
                      opset_version=17, dynamo=False)
    if case["arch"]["kind"] in nets.CONVNETS:  # pnnx has no path for the attention networks
        param, blobs = traced_for_ncnn(net, x, folder), ["in0", "out0"]
    facts = {
        "arch": case["arch"],
        "size": [height, width],
        "scale": 4,
        "param": str(param),
        "blobs": blobs,
        "flop": nets.flop(net, height, width),
        "parameters": sum(p.numel() for p in net.parameters()),
    }
    (folder / "facts.json").write_text(json.dumps(facts, indent=1))


def check(files: list[str]) -> list[float | None]:
    def load(name: str) -> np.ndarray:
        if name.endswith(".png"):
            return np.asarray(Image.open(name).convert("RGB"), np.float64) / 255
        return np.fromfile(name, np.float32).astype(np.float64)

    reference = load(files[0])
    found = []
    for name in files:
        other = load(name)
        if other.shape != reference.shape or not np.isfinite(other).all():
            found.append(None)
            continue
        mse = float(np.mean((np.clip(other, 0, 1) - np.clip(reference, 0, 1)) ** 2))
        found.append(200.0 if mse < 1e-20 else -10 * math.log10(mse))
    return found


if __name__ == "__main__":
    if sys.argv[1] == "--check":
        print(json.dumps(check(sys.argv[2:])))
    else:
        sys.path.insert(0, str(Path(__file__).resolve().parent))
        prepare(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
