#!/usr/bin/env python3
"""Writes tests/golden/vae: inputs and outputs of diffusers' AutoencoderKL and AutoencoderTiny in float64.

    python tests/golden/make_vae.py       # needs torch, diffusers, safetensors, numpy (all on PyPI)

Weights are not stored: they are a function of the name and the index of each number (see value(); tests/arch/vae_net.h
has the same in C++), so that a network of any width costs no space. Each NAME.io.safetensors holds "image" [1, 3, h, w]
in 0..1, "moments" (AutoencoderKL) or "latent_out" (AutoencoderTiny), "latent" [1, z, h, w] and "decoded" in 0..1; its
metadata has "keys": a line "LDM_KEY DIFFUSERS_KEY d0,d1,.." for every tensor. The LDM keys are turned into diffusers'
by diffusers' own converter, so the table is that of the library. taesd32 is the TAESD of FLUX.2, which diffusers does
not know: its blocks at the lowest resolution first add pool(x) = conv1x1(relu(GroupNorm(conv1x1(x)))), 256 channels in
4 groups (github.com/madebyollin/taesd, taesd.py). For TAESD the first column has the file ("encoder" or
"decoder") and the key in the original release. kl_full has the widths of Stable Diffusion.
"""

from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

FOLDER = Path(__file__).parent / "vae"


def value(key, shape):
    """The same numbers as tests/arch/vae_net.h."""
    h = 0xCBF29CE484222325
    for byte in key.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1
    if key.endswith(".bias"):
        u = 0.1 * u
    elif "norm" in key:
        u = 1 + 0.2 * u
    else:
        u = np.sqrt(3.0 / float(np.prod(shape[1:]))) * u
    return torch.from_numpy(u.astype(np.float32)).reshape(shape)


def ldm_name(key, levels):
    """Of a diffusers key; checked against diffusers' converter below."""
    parts = key.split(".")
    side = parts[0]
    if side in ("quant_conv", "post_quant_conv"):
        return key
    rest = ".".join(parts[1:])
    if parts[1] in ("down_blocks", "up_blocks"):
        level = int(parts[2]) if side == "encoder" else levels - 1 - int(parts[2])
        stem = f"{side}.{'down' if side == 'encoder' else 'up'}.{level}"
        if parts[3] == "resnets":
            return f"{stem}.block.{parts[4]}." + ".".join(parts[5:]).replace("conv_shortcut", "nin_shortcut")
        return f"{stem}.{'downsample' if side == 'encoder' else 'upsample'}.conv.{parts[-1]}"
    if parts[1] == "mid_block":
        if parts[2] == "resnets":
            return f"{side}.mid.block_{int(parts[3]) + 1}." + ".".join(parts[4:])
        names = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out": "proj_out"}
        return f"{side}.mid.attn_1.{names[parts[4]]}.{parts[-1]}"
    return f"{side}." + rest.replace("conv_norm_out", "norm_out")


def save(name, tensors, metadata):
    FOLDER.mkdir(exist_ok=True)
    tensors = {k: v.float().contiguous() for k, v in tensors.items()}
    safetensors.torch.save_file(tensors, FOLDER / f"{name}.io.safetensors", metadata)


def random(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).double()


def picture(seed, h, w):
    return torch.from_numpy(np.random.default_rng(seed).random((1, 3, h, w)).astype(np.float32)).double()


def kl(name, seed, channels, layers, z, quant, attention, image, latent):
    net = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * len(channels),
        up_block_types=["UpDecoderBlock2D"] * len(channels),
        block_out_channels=channels,
        layers_per_block=layers,
        latent_channels=z,
        use_quant_conv=quant,
        use_post_quant_conv=quant,
        mid_block_add_attention=attention,
    )
    state, lines, ldm = {}, [], {}
    for key, old in net.state_dict().items():
        source = ldm_name(key, len(channels))
        state[key] = value(source, tuple(old.shape))
        lines.append(f"{source} {key} {','.join(map(str, old.shape))}")
        ldm[source] = state[key][:, :, None, None] if ".attn_1." in source and old.dim() == 2 else state[key]
    if quant and attention:  # what the converter expects
        converted = convert_ldm_vae_checkpoint({"first_stage_model." + k: v for k, v in ldm.items()}, net.config)
        assert set(converted) == set(state), set(converted) ^ set(state)
        assert all(torch.equal(converted[k].reshape(state[k].shape), state[k]) for k in state)
    net.load_state_dict(state)
    net = net.double().eval()
    x, l = picture(seed, *image), random(seed + 1, 1, z, *latent)
    with torch.no_grad():
        h = net.encoder(2 * x - 1)
        moments = net.quant_conv(h) if quant else h
        decoded = net.decoder(net.post_quant_conv(l) if quant else l) / 2 + 0.5
    save(name, {"image": x, "moments": moments, "latent": l, "decoded": decoded},
         {"keys": "\n".join(lines), "z": str(z)})


class Pooled(torch.nn.Module):
    """A block of AutoencoderTiny behind the global pool of FLUX.2's TAESD, with the keys of the release."""

    def __init__(self, block):
        super().__init__()
        self.conv, self.skip, self.fuse = block.conv, block.skip, block.fuse
        c = block.conv[0].in_channels
        self.pool = torch.nn.Sequential(torch.nn.Conv2d(c, 4 * c, 1, bias=False), torch.nn.GroupNorm(4, 4 * c),
                                        torch.nn.ReLU(), torch.nn.Conv2d(4 * c, c, 1, bias=False))

    def forward(self, x):
        x = x + self.pool(x)
        return self.fuse(self.conv(x) + self.skip(x))


def flux2(z):
    """AutoencoderTiny of diffusers with the pools of FLUX.2's TAESD."""
    net = AutoencoderTiny(latent_channels=z)
    for layers, places in ((net.encoder.layers, (11, 12, 13)), (net.decoder.layers, (2, 3, 4))):
        for i in places:
            layers[i] = Pooled(layers[i])
    return net


def tiny(name, seed, z, image, latent, make=lambda z: AutoencoderTiny(latent_channels=z)):
    net = make(z)
    state, lines = {}, []
    for key, old in net.state_dict().items():
        side, _, index, rest = key.split(".", 3)
        # The released decoder begins with a parameterless clamp, which the module of diffusers does not count.
        source = f"{side}:{int(index) + (side == 'decoder')}.{rest}"
        state[key] = value(key, tuple(old.shape))
        lines.append(f"{source} {key} {','.join(map(str, old.shape))}")
    net.load_state_dict(state)
    net = net.double().eval()
    x, l = picture(seed, *image), random(seed + 1, 1, z, *latent) * 2
    with torch.no_grad():
        encoded = net.encoder(2 * x - 1)
        decoded = net.decoder(l) / 2 + 0.5
    save(name, {"image": x, "latent_out": encoded, "latent": l, "decoded": decoded},
         {"keys": "\n".join(lines), "z": str(z)})


def main():
    kl("kl4", 1, (32, 32, 64, 64), 1, 4, True, True, (43, 61), (5, 6))
    kl("kl16", 3, (32, 64), 2, 16, False, True, (18, 21), (9, 6))
    kl("kl_no_attention", 5, (32, 32, 32), 1, 4, True, False, (24, 12), (3, 6))
    tiny("taesd", 7, 4, (43, 37), (4, 5))
    tiny("taesd16", 9, 16, (16, 24), (3, 2))
    tiny("taesd32", 13, 32, (37, 50), (5, 3), flux2)
    kl("kl_full", 11, (128, 256, 512, 512), 2, 4, True, True, (70, 56), (8, 7))


if __name__ == "__main__":
    main()
