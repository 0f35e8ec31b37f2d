"""One peer, made ready on one case, running the network on command.

worker.py RUNTIME FOLDER THREADS. Prints a JSON line when ready, then answers lines on stdin:
  go         run once, print the milliseconds passed and the milliseconds of processor time used
  dump FILE  write the last output, float32 [h, w, 3]
  quit       print {"peak_rss_bytes": ...} and leave
bench_model --serve (bench/model.cpp) speaks the same. Input and output stay in the runtime's own layout; only
the run itself is timed.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np


def load_ncnn(folder, facts, x, threads, defaults):
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    if not defaults:
        for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(net.opt, name, False)
    if net.load_param(facts["param"]) or net.load_model(facts["param"].removesuffix(".param") + ".bin"):
        raise RuntimeError("ncnn could not load the model")
    data = ncnn.Mat(np.ascontiguousarray(x[0])).clone()

    def run():
        extractor = net.create_extractor()
        extractor.input(facts["blobs"][0], data)
        return extractor.extract(facts["blobs"][1])[1]

    return run, lambda out: np.array(out)


def load_onnxruntime(folder, facts, x, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"data": x})[0], lambda out: out[0]


def load_openvino(folder, facts, x, threads, defaults):
    import openvino

    config = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(threads)}
    if not defaults:
        config["INFERENCE_PRECISION_HINT"] = "f32"
    model = openvino.Core().compile_model(str(folder / "model.onnx"), "CPU", config)
    request = model.create_infer_request()
    request.set_input_tensor(openvino.Tensor(x))

    def run():
        request.infer()
        return request.get_output_tensor().data

    return run, lambda out: out[0]


def load_torch(folder, facts, x, threads, compiled):
    import torch
    from safetensors.torch import load_file

    import nets

    torch.set_num_threads(threads)
    net = nets.build(facts["arch"])
    net.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    net = net.to(memory_format=torch.channels_last)
    if compiled:
        net = torch.compile(net)
    data = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)

    def run():
        with torch.inference_mode():
            return net(data.clone())  # some networks scale their input in place

    return run, lambda out: out[0].numpy()


RUNTIMES = {
    "ncnn": lambda *a: load_ncnn(*a, False),
    "ncnn-default": lambda *a: load_ncnn(*a, True),
    "onnxruntime": load_onnxruntime,
    "openvino": lambda *a: load_openvino(*a, False),
    "openvino-default": lambda *a: load_openvino(*a, True),
    "torch": lambda *a: load_torch(*a, False),
    "torch-compile": lambda *a: load_torch(*a, True),
}


def peak_rss() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    runtime, folder, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    facts = json.loads((folder / "facts.json").read_text())
    height, width = facts["size"]
    pixels = np.fromfile(folder / "input.f32", np.float32).reshape(height, width, 3)
    x = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
    start = time.perf_counter()
    run, to_planes = RUNTIMES[runtime](folder, facts, x, threads)
    out = run()
    ready = {"load_ms": (time.perf_counter() - start) * 1e3, "version": version(runtime.split("-")[0])}
    print(json.dumps(ready), file=answers)
    for line in sys.stdin:
        word = line.split(maxsplit=1)
        if word[0] == "go":
            start, cpu = time.perf_counter(), time.process_time()
            out = run()
            print(f"{(time.perf_counter() - start) * 1e3:.4f} {(time.process_time() - cpu) * 1e3:.4f}", file=answers)
        elif word[0] == "dump":
            planes = np.asarray(to_planes(out), np.float32)
            np.ascontiguousarray(planes.transpose(1, 2, 0)).tofile(word[1].strip())
            print("done", file=answers)
        elif word[0] == "quit":
            print(json.dumps({"peak_rss_bytes": peak_rss()}), file=answers)
            break


sys.path.insert(0, str(Path(__file__).resolve().parent))
main()
