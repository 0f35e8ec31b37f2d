"""The decoder of AutoencoderKL in plain PyTorch, from LDM keys: what gpu_models.py measures where diffusers is missing."""

import torch
import torch.nn.functional as F

GROUPS = 32


def decoder(weights: dict[str, torch.Tensor]):
    """weights: on the device, in its precision; convolutions in the memory format of the input."""

    def conv(x, key, **options):
        w = weights[f"{key}.weight"]
        return F.conv2d(x, w, weights[f"{key}.bias"], padding=w.shape[-1] // 2, **options)

    def norm(x, key):
        return F.group_norm(x, GROUPS, weights[f"{key}.weight"], weights[f"{key}.bias"], 1e-6)

    def residual(x, at):
        h = conv(F.silu(norm(x, f"{at}.norm1")), f"{at}.conv1")
        h = conv(F.silu(norm(h, f"{at}.norm2")), f"{at}.conv2")
        return h + (conv(x, f"{at}.nin_shortcut") if f"{at}.nin_shortcut.weight" in weights else x)

    def attend(x, at):
        n, c, h, w = x.shape
        y = norm(x, f"{at}.norm")
        q, k, v = (conv(y, f"{at}.{key}").flatten(2).transpose(1, 2)[:, None] for key in "qkv")
        y = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2).reshape(n, c, h, w)
        return x + conv(y, f"{at}.proj_out")

    def run(z):
        x = conv(conv(z, "post_quant_conv"), "decoder.conv_in")
        x = residual(x, "decoder.mid.block_1")
        x = attend(x, "decoder.mid.attn_1")
        x = residual(x, "decoder.mid.block_2")
        for level in (3, 2, 1, 0):
            for block in range(3):
                x = residual(x, f"decoder.up.{level}.block.{block}")
            if level:
                x = conv(F.interpolate(x, scale_factor=2.0, mode="nearest"), f"decoder.up.{level}.upsample.conv")
        return conv(F.silu(norm(x, "decoder.norm_out")), "decoder.conv_out")

    return run
