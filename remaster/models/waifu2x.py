"""waifu2x's upconv_7 and UpCUNet, as baselines of the same budget: R'G'B' at x2.

Written from their description (nagadomi, github.com/nagadomi/nunif, MIT): convolutions without
padding around a picture whose edges are repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from remaster.models.network import Eats, Network

SLOPE = 0.1


@dataclass(frozen=True)
class UpConv7Config:
    """There is one size."""

    scale: int = 2

    def __post_init__(self) -> None:
        _check_scale(self.scale)


@dataclass(frozen=True)
class UpCUNetConfig:
    """There is one size."""

    scale: int = 2

    def __post_init__(self) -> None:
        _check_scale(self.scale)


def _check_scale(scale: int) -> None:
    if scale != 2:
        raise ValueError(f"waifu2x's networks enlarge by 2, not {scale!r}")


class UpConv7(Network):
    """Six convolutions and a transposed one; (N, 3, H, W) in [0, 1] to (N, 3, 2 H, 2 W)."""

    eats: Eats = "rgb"
    scale = 2
    receptive_radius = 8

    def __init__(self, config: UpConv7Config) -> None:
        super().__init__()
        self.config = config
        sizes = (3, 16, 32, 64, 128, 128, 256)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(sizes, sizes[1:]):
            layers += [nn.Conv2d(inputs, outputs, 3), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(256, 3, 4, 2, padding=3))

    def forward(self, rgb: Tensor) -> Tensor:
        enlarged: Tensor = self.layers(F.pad(rgb, (7,) * 4, mode="replicate"))
        return enlarged


class Squeeze(nn.Module):
    """Channels weighed by what the whole picture holds (Hu et al. 2018, arXiv 1709.01507)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Conv2d(features, features // 8, 1),
            nn.ReLU(),
            nn.Conv2d(features // 8, features, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.weigh(x.mean((2, 3), keepdim=True))
        return x * weights


def _pair(inputs: int, middle: int, outputs: int, *, squeeze: bool) -> nn.Sequential:
    """Two convolutions without padding: two samples less on each side."""
    layers = [nn.Conv2d(inputs, middle, 3), nn.LeakyReLU(SLOPE)]
    layers += [nn.Conv2d(middle, outputs, 3), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, *([Squeeze(outputs)] if squeeze else []))


def _cropped(x: Tensor, by: int) -> Tensor:
    return F.pad(x, (-by,) * 4)


class Enlarger(nn.Module):
    """A U of one step; (N, 3, h, w) to (N, 3, 2 h - 32, 2 w - 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _pair(3, 32, 64, squeeze=False)
        self.down = nn.Conv2d(64, 64, 2, 2)
        self.conv2 = _pair(64, 128, 64, squeeze=True)
        self.up = nn.ConvTranspose2d(64, 64, 2, 2)
        self.conv3 = nn.Conv2d(64, 64, 3)
        self.last = nn.ConvTranspose2d(64, 3, 4, 2, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(x)
        deep = self.conv2(F.leaky_relu(self.down(first), SLOPE))
        deep = F.leaky_relu(self.up(deep), SLOPE)
        joined = F.leaky_relu(self.conv3(_cropped(first, 4) + deep), SLOPE)
        enlarged: Tensor = self.last(joined)
        return enlarged


class Refiner(nn.Module):
    """A U of two steps; (N, 3, h, w) to (N, 3, h - 40, w - 40)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _pair(3, 32, 64, squeeze=False)
        self.down1 = nn.Conv2d(64, 64, 2, 2)
        self.conv2 = _pair(64, 64, 128, squeeze=True)
        self.down2 = nn.Conv2d(128, 128, 2, 2)
        self.conv3 = _pair(128, 256, 128, squeeze=True)
        self.up3 = nn.ConvTranspose2d(128, 128, 2, 2)
        self.conv4 = _pair(128, 64, 64, squeeze=True)
        self.up4 = nn.ConvTranspose2d(64, 64, 2, 2)
        self.conv5 = nn.Conv2d(64, 64, 3)
        self.last = nn.Conv2d(64, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(x)
        second = self.conv2(F.leaky_relu(self.down1(first), SLOPE))
        third = self.conv3(F.leaky_relu(self.down2(second), SLOPE))
        third = F.leaky_relu(self.up3(third), SLOPE)
        fourth = self.conv4(_cropped(second, 4) + third)
        fourth = F.leaky_relu(self.up4(fourth), SLOPE)
        fifth = F.leaky_relu(self.conv5(_cropped(first, 16) + fourth), SLOPE)
        refined: Tensor = self.last(fifth)
        return refined


class UpCUNet(Network):
    """A U that enlarges and one that refines; (N, 3, H, W) in [0, 1] to (N, 3, 2 H, 2 W).

    H and W are even. It pools over the picture, so it is run on whole ones.
    """

    eats: Eats = "rgb"
    scale = 2
    grid = 2
    sees_whole_image = True
    receptive_radius = 36

    def __init__(self, config: UpCUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.enlarger, self.refiner = Enlarger(), Refiner()

    def forward(self, rgb: Tensor) -> Tensor:
        enlarged = self.enlarger(F.pad(rgb, (18,) * 4, mode="replicate"))
        refined: Tensor = self.refiner(enlarged)
        return torch.add(_cropped(enlarged, 20), refined)
