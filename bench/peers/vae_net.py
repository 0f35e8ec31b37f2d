"""Decoder and encoder of AutoencoderKL in plain PyTorch, from LDM keys: what gpu_models.py measures where diffusers is missing."""

import torch
import torch.nn.functional as F

GROUPS = 32


def coders(weights: dict[str, torch.Tensor]):
    """decode(z) and encode(x), the latter with mean and log-variance as result. weights: on the device, in its precision;
    convolutions in the memory format of the input."""

    def conv(x, key):
        w = weights[f"{key}.weight"]
        return F.conv2d(x, w, weights[f"{key}.bias"], padding=w.shape[-1] // 2)

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

    def middle(x, side):
        x = attend(residual(x, f"{side}.mid.block_1"), f"{side}.mid.attn_1")
        return residual(x, f"{side}.mid.block_2")

    def finish(x, side):
        return conv(F.silu(norm(x, f"{side}.norm_out")), f"{side}.conv_out")

    def encode(x):
        x = conv(x, "encoder.conv_in")
        for level in range(4):
            for block in range(2):
                x = residual(x, f"encoder.down.{level}.block.{block}")
            if level < 3:
                key = f"encoder.down.{level}.downsample.conv"
                x = F.conv2d(F.pad(x, (0, 1, 0, 1)), weights[f"{key}.weight"], weights[f"{key}.bias"], stride=2)
        return conv(finish(middle(x, "encoder"), "encoder"), "quant_conv")

    def decode(z):
        x = middle(conv(conv(z, "post_quant_conv"), "decoder.conv_in"), "decoder")
        for level in (3, 2, 1, 0):
            for block in range(3):
                x = residual(x, f"decoder.up.{level}.block.{block}")
            if level:
                x = conv(F.interpolate(x, scale_factor=2.0, mode="nearest"), f"decoder.up.{level}.upsample.conv")
        return finish(x, "decoder")

    return decode, encode
