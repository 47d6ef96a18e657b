"""A2N: attention in attention, Chen et al. 2021, arXiv 2104.09497.

Each block weighs a branch with pixel attention against one without, by what the whole picture
holds; so it is run on whole pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from remaster.models.network import Eats, Network

SLOPE = 0.2
TEMPERATURE = 30.0
"""Of the softmax over the two branches: they stay nearly equal while training begins."""


@dataclass(frozen=True)
class A2NConfig:
    """The size of an A2N."""

    scale: int = 4
    num_features: int = 40
    num_upsampling_features: int = 24
    num_blocks: int = 16
    modest: bool = False
    """A2N-M: the branch without attention is 1x1, with a fifth fewer parameters."""

    def __post_init__(self) -> None:
        if self.scale not in (2, 3, 4):
            raise ValueError(f"A2N enlarges by 2, 3 or 4, not {self.scale!r}")
        sizes = self.num_features, self.num_upsampling_features, self.num_blocks
        if not all(isinstance(n, int) and 1 <= n <= 256 for n in sizes) or self.num_features < 4:
            raise ValueError(f"{sizes} are no sizes of an A2N")


class AttentionBlock(nn.Module):
    """x + conv(lrelu(w0 attended(u) + w1 plain(u))), u = lrelu(conv(x)), w by the mean of u."""

    def __init__(self, features: int, *, modest: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, features, 1, bias=False)
        self.weigh = nn.Sequential(
            nn.Linear(features, features // 4, bias=False),
            nn.ReLU(),
            nn.Linear(features // 4, 2, bias=False),
        )
        self.k1 = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.k2 = nn.Conv2d(features, features, 1)
        self.k3 = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.k4 = nn.Conv2d(features, features, 3, padding=1, bias=False)
        side = 1 if modest else 3
        self.plain = nn.Conv2d(features, features, side, padding=side // 2, bias=False)
        self.last = nn.Conv2d(features, features, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        u = F.leaky_relu(self.first(x), SLOPE)
        weights = (self.weigh(u.mean((2, 3))) / TEMPERATURE).softmax(1)[:, :, None, None, None]
        attention = self.k2(F.leaky_relu(self.k1(u), SLOPE)).sigmoid()
        attended = self.k4(self.k3(u) * attention)
        both = weights[:, 0] * attended + weights[:, 1] * self.plain(u)
        changed: Tensor = self.last(F.leaky_relu(both, SLOPE))
        return x + changed


class Enlarging(nn.Module):
    """Nearest neighbour, then convolutions around a pixel's attention to itself."""

    def __init__(self, inputs: int, features: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.before = nn.Conv2d(inputs, features, 3, padding=1)
        self.attention = nn.Conv2d(features, features, 1)
        self.after = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(F.interpolate(x, scale_factor=float(self.factor), mode="nearest"))
        x = F.leaky_relu(x * self.attention(x).sigmoid(), SLOPE)
        return F.leaky_relu(self.after(x), SLOPE)


class A2N(Network):
    """R'G'B' (N, 3, H, W) in [0, 1] to (N, 3, H s, W s)."""

    eats: Eats = "rgb"
    sees_whole_image = True

    def __init__(self, config: A2NConfig) -> None:
        super().__init__()
        self.config, self.scale = config, config.scale
        features, fine = config.num_features, config.num_upsampling_features
        self.head = nn.Conv2d(3, features, 3, padding=1)
        blocks = [AttentionBlock(features, modest=config.modest) for _ in range(config.num_blocks)]
        self.blocks = nn.Sequential(*blocks)
        self.after = nn.Conv2d(features, features, 3, padding=1)
        factors = (2, 2) if config.scale == 4 else (config.scale,)
        inputs = (features, fine)
        self.enlarging = nn.Sequential(
            *(Enlarging(n, fine, factor) for n, factor in zip(inputs, factors))
        )
        self.last = nn.Conv2d(fine, 3, 3, padding=1)
        self.receptive_radius = 3 * config.num_blocks + 7

    def forward(self, rgb: Tensor) -> Tensor:
        first: Tensor = self.head(rgb)
        deep = first + self.after(self.blocks(first))
        large: Tensor = self.last(self.enlarging(deep))
        return large + F.interpolate(
            rgb, scale_factor=float(self.scale), mode="bilinear", align_corners=False
        )
