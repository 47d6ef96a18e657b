"""SRCNN and m-SRCNN: luma alone, enlarged by a fixed kernel first, then drawn sharper.

The kernel is part of the network: fed by another one it does 1.6 to 3.5 dB worse. Both work at the
enlarged size, so one set of weights serves any scale, 1 (no enlargement) included.

SRCNN: Dong et al. 2016, arXiv 1501.00092 (`canonical`, 9-5-5), and the anime variant of 128 and 64
filters with leaky ReLU and sigmoid (`anime`, 9-3-5). m-SRCNN: the modified one of the same authors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from remaster.models.network import Eats, Network

ENLARGEMENTS = {"bilinear": 1, "bicubic": 2}
"""Kernels before the network, as OpenCV's INTER_LINEAR and INTER_CUBIC (a = -0.75), and how many
source pixels each side they see."""

SLOPE = 0.1
MOST_SCALE = 16


@dataclass(frozen=True)
class SRCNNConfig:
    """Which SRCNN, and what enlarges before it."""

    scale: int = 2
    variant: str = "anime"
    enlargement: str = "bilinear"

    def __post_init__(self) -> None:
        if self.variant not in ("anime", "canonical"):
            raise ValueError(f"an SRCNN is anime or canonical, not {self.variant!r}")
        _check_enlargement(self.scale, self.enlargement)


@dataclass(frozen=True)
class MSRCNNConfig:
    """What enlarges before an m-SRCNN, and how many channels it ends in."""

    scale: int = 2
    enlargement: str = "bilinear"
    out_channels: int = 3
    """3 as published, where each learns luma and the first is used; or 1."""

    def __post_init__(self) -> None:
        if self.out_channels not in (1, 3):
            raise ValueError(f"m-SRCNN ends in 1 or 3 channels, not {self.out_channels!r}")
        _check_enlargement(self.scale, self.enlargement)


def _check_enlargement(scale: int, enlargement: str) -> None:
    if not isinstance(scale, int) or not 1 <= scale <= MOST_SCALE:
        raise ValueError(f"scale is a whole number from 1 to {MOST_SCALE}, not {scale!r}")
    if enlargement not in ENLARGEMENTS:
        raise ValueError(f"enlargement is bilinear or bicubic, not {enlargement!r}")


class _EnlargedFirst(Network):
    """Convolutions over luma that a fixed kernel has enlarged."""

    eats: Eats = "luma"

    def __init__(self, scale: int, enlargement: str, reach: int) -> None:
        super().__init__()
        self.scale, self.enlargement = scale, enlargement
        before = 0 if scale == 1 else ENLARGEMENTS[enlargement]
        self.receptive_radius = before + math.ceil(reach / scale)

    def enlarged(self, luma: Tensor) -> Tensor:
        """(N, 1, H, W) to (N, 1, H s, W s), as the network is fed."""
        if self.scale == 1:
            return luma
        return F.interpolate(
            luma, scale_factor=float(self.scale), mode=self.enlargement, align_corners=False
        )


class SRCNN(_EnlargedFirst):
    """Three convolutions; (N, 1, H, W) in [0, 1] to (N, 1, H s, W s)."""

    def __init__(self, config: SRCNNConfig) -> None:
        is_anime = config.variant == "anime"
        first, second, middle = (128, 64, 3) if is_anime else (64, 32, 5)
        super().__init__(config.scale, config.enlargement, 4 + middle // 2 + 2)
        self.config = config
        activation: type[nn.Module] = nn.LeakyReLU if is_anime else nn.ReLU
        slope = (SLOPE,) if is_anime else ()
        self.layers = nn.Sequential(
            nn.Conv2d(1, first, 9, padding=4),
            activation(*slope),
            nn.Conv2d(first, second, middle, padding=middle // 2),
            activation(*slope),
            nn.Conv2d(second, 1, 5, padding=2),
            *([nn.Sigmoid()] if is_anime else []),
        )
        _initialize(self.layers)

    def forward(self, luma: Tensor) -> Tensor:
        enhanced: Tensor = self.layers(self.enlarged(luma))
        return enhanced


class MSRCNN(_EnlargedFirst):
    """Three convolutions, two transposed ones of stride 1, and one of 1x1; shapes as of SRCNN."""

    def __init__(self, config: MSRCNNConfig) -> None:
        super().__init__(config.scale, config.enlargement, 2 + 2 + 1 + 1 + 1)
        self.config = config
        self.layers = nn.Sequential(
            nn.Conv2d(1, 64, 5, padding=2),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(64, 64, 5, padding=2),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(64, 16, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(16, 32, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose2d(32, 32, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(32, config.out_channels, 1),
            nn.Sigmoid(),
        )
        _initialize(self.layers)

    def forward(self, luma: Tensor) -> Tensor:
        return self.every_channel(luma)[:, :1]

    def every_channel(self, luma: Tensor) -> Tensor:
        """(N, out_channels, H s, W s): each is trained towards luma, the first is used."""
        channels: Tensor = self.layers(self.enlarged(luma))
        return channels


def _initialize(layers: nn.Sequential) -> None:
    """Glorot's uniform, no bias: as the published ones began."""
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
