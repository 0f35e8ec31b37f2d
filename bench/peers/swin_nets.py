"""SwinIR (Liang et al. 2021) and HAT (Chen et al. 2023) x4 in plain PyTorch, as their authors wrote them: windows by roll
and partition, scores and softmax in memory, masks and indices computed once per size (SwinIR's own code computes masks anew
in every block when the size is not that of training). For machines without spandrel.

Module names give the state-dict keys of the published checkpoints.
"""

import torch
import torch.nn.functional as F
from torch import nn


def partition(x: torch.Tensor, window: int) -> torch.Tensor:
    """[b, h, w, c] -> [windows, window^2, c]"""
    b, h, w, c = x.shape
    x = x.view(b, h // window, window, w // window, window, c).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, window * window, c)


def unpartition(x: torch.Tensor, window: int, h: int, w: int) -> torch.Tensor:
    x = x.view(-1, h // window, w // window, window, window, x.shape[-1]).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, h, w, x.shape[-1])


def positions(window: int) -> torch.Tensor:
    """The row of the bias table for each query and key of a window."""
    at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
    offset = (at[:, :, None] - at[:, None, :]).permute(1, 2, 0) + window - 1
    return offset[..., 0] * (2 * window - 1) + offset[..., 1]


def overlap_positions(window: int, patch: int) -> torch.Tensor:
    own = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
    other = torch.stack(torch.meshgrid(torch.arange(patch), torch.arange(patch), indexing="ij")).flatten(1)
    offset = (other[:, None, :] - own[:, :, None]).permute(1, 2, 0) + window - patch + 1
    return offset[..., 0] * (window + patch - 1) + offset[..., 1]


def seam_mask(h: int, w: int, window: int, shift: int) -> torch.Tensor:
    regions = torch.zeros(1, h, w, 1)
    bounds = [slice(0, -window), slice(-window, -shift), slice(-shift, None)]
    for i, rows in enumerate(bounds):
        for j, columns in enumerate(bounds):
            regions[:, rows, columns] = 3 * i + j
    regions = partition(regions, window).squeeze(-1)
    return torch.where(regions[:, None, :] == regions[:, :, None], 0.0, -100.0)


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class WindowAttention(nn.Module):
    def __init__(self, dim: int, window: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("positions", positions(window), persistent=False)

    def forward(self, x, mask):
        windows, n, c = x.shape
        q, k, v = self.qkv(x).view(windows, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q * (c // self.heads) ** -0.5) @ k.transpose(-2, -1)
        scores = scores + self.relative_position_bias_table[self.positions].permute(2, 0, 1)
        if mask is not None:
            scores = (scores.view(-1, len(mask), self.heads, n, n) + mask[:, None]).view(windows, self.heads, n, n)
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(windows, n, c))


class CAB(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        attention = nn.Module()
        attention.attention = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(dim, dim // 30, 1), nn.ReLU(),
                                            nn.Conv2d(dim // 30, dim, 1), nn.Sigmoid())
        self.cab = nn.Sequential(nn.Conv2d(dim, dim // 3, 3, padding=1), nn.GELU(),
                                 nn.Conv2d(dim // 3, dim, 3, padding=1), attention)

    def forward(self, x):
        for layer in self.cab[:3]:
            x = layer(x)
        return x * self.cab[3].attention(x)


class Block(nn.Module):
    """A Swin layer; with a channel attention branch, HAT's hybrid attention block."""

    def __init__(self, dim: int, window: int, heads: int, hybrid: bool):
        super().__init__()
        self.window = window
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn, self.mlp = WindowAttention(dim, window, heads), Mlp(dim, 2 * dim)
        self.conv_block = CAB(dim) if hybrid else None

    def forward(self, x, shift: int, mask):
        _, h, w, _ = x.shape
        n = self.norm1(x)
        y = torch.roll(n, (-shift, -shift), (1, 2)) if shift else n
        y = unpartition(self.attn(partition(y, self.window), mask), self.window, h, w)
        y = torch.roll(y, (shift, shift), (1, 2)) if shift else y
        if self.conv_block is not None:
            y = y + 0.01 * self.conv_block(n.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = x + y
        return x + self.mlp(self.norm2(x))


class OverlappingAttention(nn.Module):
    def __init__(self, dim: int, window: int, heads: int):
        super().__init__()
        self.window, self.heads, self.patch = window, heads, window * 3 // 2
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.proj, self.mlp = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), Mlp(dim, 2 * dim)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((window + self.patch - 1) ** 2, heads))
        self.register_buffer("positions", overlap_positions(window, self.patch), persistent=False)

    def forward(self, x):
        b, h, w, c = x.shape
        d = c // self.heads
        q, kv = self.qkv(self.norm1(x)).split((c, 2 * c), -1)
        q = partition(q, self.window).view(-1, self.window**2, self.heads, d).transpose(1, 2) * d**-0.5
        kv = F.unfold(kv.permute(0, 3, 1, 2), self.patch, stride=self.window, padding=(self.patch - self.window) // 2)
        k, v = kv.view(b, 2, self.heads, d, self.patch**2, -1).permute(1, 0, 5, 2, 4, 3).flatten(1, 2)
        scores = q @ k.transpose(-2, -1) + self.relative_position_bias_table[self.positions].permute(2, 0, 1)
        y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, self.window**2, c)
        x = x + self.proj(unpartition(y, self.window, h, w))
        return x + self.mlp(self.norm2(x))


class Group(nn.Module):
    def __init__(self, dim: int, window: int, heads: int, depth: int, hybrid: bool):
        super().__init__()
        group = self.residual_group = nn.Module()
        group.blocks = nn.ModuleList(Block(dim, window, heads, hybrid) for _ in range(depth))
        if hybrid:
            group.overlap_attn = OverlappingAttention(dim, window, heads)
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)
        self.shift, self.hybrid = window // 2, hybrid

    def forward(self, x, mask):
        y = x
        for i, block in enumerate(self.residual_group.blocks):
            y = block(y, i % 2 * self.shift, mask if i % 2 else None)
        if self.hybrid:
            y = self.residual_group.overlap_attn(y)
        return x + self.conv(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Transformer(nn.Module):
    """[1, 3, h, w] -> [1, 3, 4h, 4w], both nominally 0..1; h and w are multiples of the window."""

    def __init__(self, window: int, hybrid: bool, dim: int = 180, heads: int = 6, groups: int = 6, depth: int = 6):
        super().__init__()
        self.window = window
        self.conv_first = nn.Conv2d(3, dim, 3, padding=1)
        self.patch_embed = nn.Module()
        self.patch_embed.norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(Group(dim, window, heads, depth, hybrid) for _ in range(groups))
        self.norm = nn.LayerNorm(dim)
        self.conv_after_body = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv_before_upsample = nn.Sequential(nn.Conv2d(dim, 64, 3, padding=1), nn.LeakyReLU(0.01))
        self.upsample = nn.Sequential(nn.Conv2d(64, 256, 3, padding=1), nn.PixelShuffle(2),
                                      nn.Conv2d(64, 256, 3, padding=1), nn.PixelShuffle(2))
        self.conv_last = nn.Conv2d(64, 3, 3, padding=1)
        self.register_buffer("mean", torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1), persistent=False)
        self.masks: dict = {}

    def mask(self, x: torch.Tensor) -> torch.Tensor:
        key = (x.shape[2], x.shape[3], x.dtype)
        if key not in self.masks:
            self.masks = {key: seam_mask(x.shape[2], x.shape[3], self.window, self.window // 2).to(x)}
        return self.masks[key]

    def forward(self, x):
        mask = self.mask(x)
        first = self.conv_first(x - self.mean)
        y = self.patch_embed.norm(first.permute(0, 2, 3, 1))
        for layer in self.layers:
            y = layer(y, mask)
        y = first + self.conv_after_body(self.norm(y).permute(0, 3, 1, 2))
        return self.conv_last(self.upsample(self.conv_before_upsample(y))) + self.mean


def swinir(groups: int = 6) -> nn.Module:
    return Transformer(window=8, hybrid=False, groups=groups)


def hat(groups: int = 6) -> nn.Module:
    return Transformer(window=16, hybrid=True, groups=groups)
