#!/usr/bin/env python3
"""Runs networks of their published size with seeded random weights through `upscale` and through PyTorch.

    python tests/parity/convnets.py build/upscale [NAME...]     # needs torch, safetensors, spandrel, numpy

The picture is 72x56, float32 in and out (PFM), untiled; PyTorch computes in float64. Prints the largest error relative to
the largest value of the reference, which must stay below 1e-4, and our peak memory. NAME: a key of NETS; default all.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from spandrel.architectures.DAT.__arch.DAT import DAT
from spandrel.architectures.RCAN.__arch.rcan_arch import RCAN
from spandrel.architectures.SPAN.__arch.span import SPAN

sys.path.insert(0, str(Path(__file__).parent.parent / "golden"))
from make_convnets import EDSR, MEAN  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from transformers import read_pfm, run, write_pfm  # noqa: E402

WIDE = dict(img_size=64, embed_dim=180, depth=[6] * 6, num_heads=[6] * 6, upscale=4)
NETS = {
    "mdsr": lambda: EDSR(features=64, blocks=80, scales=(2, 3, 4), mdsr=True, chosen=2),
    "edsr_baseline": lambda: EDSR(features=64, blocks=16, scales=(4,)),
    "edsr": lambda: EDSR(features=256, blocks=32, res_scale=0.1, scales=(4,)),
    "rcan": lambda: RCAN(scale=4),
    "span": lambda: SPAN(num_in_ch=3, num_out_ch=3, feature_channels=48, upscale=4, rgb_mean=MEAN),
    "dat": lambda: DAT(split_size=[8, 32], expansion_factor=4, **WIDE),
    "dat_s": lambda: DAT(split_size=[8, 16], expansion_factor=2, **WIDE),
    "dat_2": lambda: DAT(split_size=[8, 32], expansion_factor=2, **WIDE),
    "dat_light": lambda: DAT(img_size=64, embed_dim=60, depth=[18], num_heads=[6], split_size=[8, 32], expansion_factor=2,
                             upscale=4, upsampler="pixelshuffledirect", resi_connection="3conv"),
}


def main():
    program, names = sys.argv[1], sys.argv[2:] or list(NETS)
    failed = False
    for name in names:
        torch.manual_seed(1)
        model = NETS[name]().eval()
        with torch.no_grad():
            for key, t in [*model.named_parameters(), *model.named_buffers()]:
                if key.endswith("running_var"):
                    t.uniform_(0.5, 1.5)
                elif key.endswith(("rpe_biases", "_mean.weight", "_mean.bias")) or "attn_mask" in key or not t.is_floating_point():
                    continue
                elif t.dim() == 1 and "norm" in key and key.endswith("weight"):
                    t.normal_(1, 0.1)
                elif t.dim() == 1:
                    t.normal_(0, 0.05)
            x = torch.rand(1, 3, 56, 72)
            start = time.process_time()
            state = {k: v.clone() for k, v in model.state_dict().items()}
            y = model.double()(x.double())[0].permute(1, 2, 0).numpy()
            seconds = time.process_time() - start
        with tempfile.TemporaryDirectory() as folder:
            weights, source, result = f"{folder}/net.safetensors", f"{folder}/in.pfm", f"{folder}/out.pfm"
            safetensors.torch.save_file(state, weights)
            write_pfm(source, x[0].permute(1, 2, 0).numpy())
            command = [program, source, result, "--model", weights, "-t", "none", "--quiet", "-g", "cpu"]
            _, peak = run(command)
            ours = read_pfm(result)
        error = np.abs(ours - y).max() / np.abs(y).max()
        failed |= not error < 1e-4
        print(f"{name}: {error:.2e} of {np.abs(y).max():.3f} (std {y.std():.3f}); peak {peak / 1024:.0f} MiB; PyTorch in float64 {seconds:.1f} CPU s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
