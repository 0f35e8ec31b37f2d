#!/usr/bin/env python3
"""Writes tests/golden/layouts: golden nets as .pth files laid out as the published checkpoints of each family are.

    python tests/golden/make_layouts.py     # needs torch and safetensors

NET.HOW.pth holds the tensors of the golden net NET (make_transformers.py, make_convnets.py, make_dat.py):
  bare            OrderedDict of tensors (Swin2SR, real-world SwinIR)
  legacy          the same, saved before PyTorch 1.6 (EDSR, MDSR, RCAN)
  params          {"params": ...} (classical, lightweight and JPEG SwinIR, DAT, BasicSR's EDSR)
  params_ema      {"params_ema": ...} (HAT, real-world SwinIR, SPAN)
  both            {"params": other values, "params_ema": ...} (SwinIR ...-with-dict-keys-params-and-params_ema.pth)
  bare_module     {"module.*": ...}, as DataParallel leaves it, saved before PyTorch 1.6
  state_dict      {"epoch": ..., "state_dict": {"module.*": ...}, "optimizer": ...}, a training run's checkpoint
"""

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent
FILES = {
    "transformers/swinir_jpeg_grey": ["both"],
    "transformers/swinir_lightweight_x2": ["params"],
    "transformers/swinir_real_x2": ["params_ema"],
    "transformers/swin2sr_lightweight_x2": ["bare"],
    "transformers/hat_small_x4": ["params_ema"],
    "dat/dat_s_x2": ["params"],
    "convnets/edsr_x2": ["legacy"],
    "convnets/edsr_basicsr_x4": ["params", "state_dict"],
    "convnets/rcan_x2": ["bare_module"],
}


def laid_out(state, how):
    module = OrderedDict(("module." + k, v) for k, v in state.items())
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    return {
        "bare": state,
        "legacy": state,
        "params": {"params": state},
        "params_ema": {"params_ema": state},
        "both": {"params": OrderedDict((k, torch.zeros_like(v)) for k, v in state.items()), "params_ema": state},
        "bare_module": module,
        "state_dict": {"epoch": 7, "state_dict": module, "optimizer": optimizer},
    }[how]


(HERE / "layouts").mkdir(exist_ok=True)
for net, ways in FILES.items():
    state = OrderedDict(load_file(HERE / f"{net}.safetensors"))
    for how in ways:
        path = HERE / "layouts" / f"{Path(net).name}.{how}.pth"
        torch.save(laid_out(state, how), path, _use_new_zipfile_serialization=how not in ("legacy", "bare_module"))
