"""RRDBNet (Wang et al. 2018, ESRGAN) and SRVGGNetCompact (Wang et al. 2021, Real-ESRGAN) in PyTorch, and those networks that
spandrel has.

Module names give the state-dict keys of the published checkpoints.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


def conv(cin: int, cout: int) -> nn.Conv2d:
    return nn.Conv2d(cin, cout, 3, padding=1)


def lrelu(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, 0.2)


def double(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class DenseBlock(nn.Module):
    def __init__(self, nf: int, gc: int):
        super().__init__()
        for k in range(4):
            setattr(self, f"conv{k + 1}", conv(nf + k * gc, gc))
        self.conv5 = conv(nf + 4 * gc, nf)

    def forward(self, x):
        seen = [x]
        for k in range(4):
            seen.append(lrelu(getattr(self, f"conv{k + 1}")(torch.cat(seen, 1))))
        return x + 0.2 * self.conv5(torch.cat(seen, 1))


class Rrdb(nn.Module):
    def __init__(self, nf: int, gc: int):
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(nf, gc) for _ in range(3))

    def forward(self, x):
        return x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(nn.Module):
    """[n, 3, h, w] -> [n, 3, 4h, 4w], both nominally 0..1."""

    def __init__(self, blocks: int, nf: int = 64, gc: int = 32):
        super().__init__()
        self.conv_first = conv(3, nf)
        self.body = nn.Sequential(*(Rrdb(nf, gc) for _ in range(blocks)))
        self.conv_body, self.conv_up1, self.conv_up2, self.conv_hr = (conv(nf, nf) for _ in range(4))
        self.conv_last = conv(nf, 3)

    def forward(self, x):
        shallow = self.conv_first(x)
        y = shallow + self.conv_body(self.body(shallow))
        y = lrelu(self.conv_up1(double(y)))
        y = lrelu(self.conv_up2(double(y)))
        return self.conv_last(lrelu(self.conv_hr(y)))


class SRVGGNetCompact(nn.Module):
    """[n, 3, h, w] -> [n, 3, scale*h, scale*w], both nominally 0..1."""

    def __init__(self, num_conv: int, nf: int = 64, scale: int = 4):
        super().__init__()
        layers = [conv(3, nf), nn.PReLU(nf)]
        for _ in range(num_conv):
            layers += [conv(nf, nf), nn.PReLU(nf)]
        self.body = nn.ModuleList([*layers, conv(nf, 3 * scale * scale)])
        self.scale = scale

    def forward(self, x):
        y = x
        for layer in self.body:
            y = layer(y)
        return F.pixel_shuffle(y, self.scale) + F.interpolate(x, scale_factor=self.scale, mode="nearest")


def swinir(groups: int) -> nn.Module:
    """SwinIR-M, classical x4 (Liang et al. 2021): spandrel's module."""
    from spandrel.architectures.SwinIR.__arch.SwinIR import SwinIR

    return SwinIR(img_size=64, embed_dim=180, depths=[6] * groups, num_heads=[6] * groups, window_size=8, mlp_ratio=2,
                  upscale=4, img_range=1.0, upsampler="pixelshuffle", resi_connection="1conv")


def hat(groups: int) -> nn.Module:
    """HAT x4 (Chen et al. 2023): spandrel's module."""
    from spandrel.architectures.HAT.__arch.HAT import HAT

    return HAT(img_size=64, embed_dim=180, depths=[6] * groups, num_heads=[6] * groups, window_size=16, compress_ratio=3,
               squeeze_factor=30, overlap_ratio=0.5, mlp_ratio=2, upscale=4, upsampler="pixelshuffle",
               resi_connection="1conv")


def dat(groups: int) -> nn.Module:
    """DAT x4 (Chen et al. 2023): spandrel's module."""
    from spandrel.architectures.DAT.__arch.DAT import DAT

    net = DAT(img_size=64, embed_dim=180, depth=[6] * groups, num_heads=[6] * groups, split_size=[8, 32], expansion_factor=4,
              upscale=4)
    net.head_dim = 30
    return net


def edsr(blocks: int) -> nn.Module:
    """EDSR x4 of 256 channels (Lim et al. 2017): the module that the golden nets are made with."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "golden"))
    from make_convnets import EDSR

    return EDSR(features=256, blocks=blocks, res_scale=0.1, scales=(4,))


def rcan(groups: int) -> nn.Module:
    """RCAN x4 (Zhang et al. 2018): spandrel's module."""
    from spandrel.architectures.RCAN.__arch.rcan_arch import RCAN

    return RCAN(scale=4, n_resgroups=groups)


def span(_: int) -> nn.Module:
    """SPAN x4 of 48 channels (Wan et al. 2024): spandrel's module, its convolutions collapsed once."""
    from spandrel.architectures.SPAN.__arch.span import SPAN, Conv3XC

    net = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=48, upscale=4)
    for module in net.modules():
        if isinstance(module, Conv3XC):
            module.update_params()
    Conv3XC.forward = lambda self, x: self.eval_conv(x)
    return net


TRANSFORMERS = {"swinir": swinir, "hat": hat, "dat": dat}
CONVNETS = {"edsr": edsr, "rcan": rcan, "span": span}


def build(arch: dict) -> nn.Module:
    kinds = {"rrdb": RRDBNet, "srvgg": SRVGGNetCompact} | TRANSFORMERS | CONVNETS
    return kinds[arch["kind"]](arch["n"]).eval()


def conv_keys(arch: dict) -> list[str]:
    """Names of the convolutions in the order an exported graph runs them."""
    if arch["kind"] == "srvgg":
        return [f"body.{2 * i}" for i in range(arch["n"] + 2)]
    dense = [f"body.{i}.rdb{r}.conv{j}" for i in range(arch["n"]) for r in (1, 2, 3) for j in range(1, 6)]
    return ["conv_first", *dense, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]


def flop(net: nn.Module, height: int, width: int) -> float:
    """Of direct convolution, a multiply-add counted as two; what every runtime's GFLOP/s is based on."""
    total = 0.0
    side = 64 if hasattr(net, "layers") else 8  # every extent is a multiple of the input's; windows are whole

    def count(module, _, y):
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += 2.0 * module.weight.numel() * y.shape[2] * y.shape[3]
        elif isinstance(module, nn.Linear):
            total += 2.0 * module.weight.numel() * y.numel() / y.shape[-1]
        else:  # the softmax of an attention: [windows, heads, queries, keys], two products over the head's channels,
            head = getattr(net, "head_dim", net.embed_dim // y.shape[1])
            across = y.shape[-1] == y.shape[-2] == head  # or [1, heads, channels, channels], over all pixels
            total += 4.0 * y.numel() * (side * side if across else head)

    kinds = (nn.Conv2d, nn.Linear, nn.Softmax)
    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, kinds)]
    with torch.inference_mode():
        net(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return total * height * width / side**2
