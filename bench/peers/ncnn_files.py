"""Reads the weights of an ncnn .param/.bin pair; writes a pair for SRVGGNetCompact."""

from pathlib import Path

import numpy as np

MAGIC = "7767517"
F16_TAG = 0x01306B47


def read_arrays(param: Path) -> list[tuple[str, np.ndarray, np.ndarray | None]]:
    """(layer type, weights, bias) of every Convolution and PReLU in file order; convolutions as OIHW."""
    lines = param.read_text().split("\n")
    if lines[0].strip() != MAGIC:
        raise ValueError(f"{param}: got {lines[0]!r}, expected {MAGIC} (an ncnn .param text file)")
    data = param.with_suffix(".bin").read_bytes()
    at = 0

    def take(dtype: str, count: int) -> np.ndarray:
        nonlocal at
        a = np.frombuffer(data, dtype, count, at)
        at += (a.nbytes + 3) // 4 * 4
        return a.astype(np.float32)

    found = []
    for line in lines[2:]:
        word = line.split()
        if not word or word[0] not in ("Convolution", "PReLU"):
            continue
        first = 4 + int(word[2]) + int(word[3])
        args = dict(w.split("=", 1) for w in word[first:])
        if word[0] == "PReLU":
            found.append(("PReLU", take("<f4", int(args["0"])), None))
            continue
        cout, k, size = int(args["0"]), int(args["1"]), int(args["6"])
        tag = int(np.frombuffer(data, "<u4", 1, at)[0])
        at += 4
        if tag not in (0, F16_TAG):
            raise ValueError(f"{param}: got storage tag {tag:#x} in {word[1]}, expected fp32 or fp16")
        weights = take("<f2" if tag else "<f4", size).reshape(cout, size // (cout * k * k), k, k)
        found.append(("Convolution", weights, take("<f4", cout) if int(args.get("5", 0)) else None))
    if at != len(data):
        raise ValueError(f"{param}: used {at} bytes of the .bin, which has {len(data)}")
    return found


def state_dict(param: Path, conv_keys: list[str]) -> dict[str, np.ndarray]:
    """Tensors under their PyTorch names. PReLU slopes get the index after their convolution's."""
    names, state, last = iter(conv_keys), {}, ""
    for kind, weights, bias in read_arrays(param):
        if kind == "PReLU":
            stem, index = last.rsplit(".", 1)
            state[f"{stem}.{int(index) + 1}.weight"] = weights
            continue
        last = next(names)
        state[f"{last}.weight"], state[f"{last}.bias"] = weights, bias
    if next(names, None) is not None:
        raise ValueError(f"{param}: fewer convolutions than expected ({len(conv_keys)})")
    return state


def write_srvgg(param: Path, state: dict[str, np.ndarray], num_conv: int, scale: int) -> None:
    """A pair like the published ones: blobs `data` and `output`, fp32 storage."""
    layers = ["Input in 0 1 data", "Split split 1 2 data x skip"]
    blob, top, chunks = "x", 0, []
    for i in range(num_conv + 2):
        weights = state[f"body.{2 * i}.weight"]
        layers.append(f"Convolution conv{i} 1 1 {blob} c{i} 0={len(weights)} 1=3 4=1 5=1 6={weights.size}")
        chunks += [np.zeros(1, "<u4"), weights.astype("<f4"), state[f"body.{2 * i}.bias"].astype("<f4")]
        blob = f"c{i}"
        if i <= num_conv:
            slopes = state[f"body.{2 * i + 1}.weight"]
            layers.append(f"PReLU prelu{i} 1 1 {blob} p{i} 0={slopes.size}")
            chunks.append(slopes.astype("<f4"))
            blob = f"p{i}"
    layers += [
        f"PixelShuffle shuffle 1 1 {blob} detail 0={scale}",
        f"Interp base 1 1 skip base 0=1 1={float(scale):e} 2={float(scale):e}",
        "BinaryOp sum 2 1 detail base output 0=0",
    ]
    top = len(layers) + 1  # every layer makes one blob, Split two
    param.write_text("\n".join([MAGIC, f"{len(layers)} {top}", *layers]) + "\n")
    param.with_suffix(".bin").write_bytes(b"".join(c.tobytes() for c in chunks))
