"""SRResNet: residual blocks at the small size, sub-pixel convolutions to the large one.

Ledig et al. 2017, arXiv 1609.04802, and the anime and face variants built on it. SRGAN and
SRWGAN-GP are ways to train this network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from remaster.models.network import Eats, Network

ENDS = ("tanh", "linear")


@dataclass(frozen=True)
class SRResNetConfig:
    """The size of an SRResNet and what its papers differ in."""

    scale: int = 4
    num_blocks: int = 8
    num_features: int = 64
    norm: bool = True
    """Batch normalisation in the blocks."""

    tail: str = "prelu"
    """After the blocks: `prelu` (the anime one: a convolution and PReLU), or `norm`, as SRGAN's: a
    convolution, normalised where blocks are."""

    end: str = "tanh"
    """`tanh`: (tanh(y) + 1) / 2; or `linear`."""

    icnr: bool = True
    """Sub-pixel convolutions begin as nearest-neighbour enlargement of one filter."""

    def __post_init__(self) -> None:
        if self.scale not in (2, 4, 8):
            raise ValueError(f"SRResNet enlarges by 2, 4 or 8, not {self.scale!r}")
        if not (isinstance(self.num_blocks, int) and 0 <= self.num_blocks <= 64):
            raise ValueError(f"{self.num_blocks!r} is no number of blocks")
        if not (isinstance(self.num_features, int) and 1 <= self.num_features <= 512):
            raise ValueError(f"{self.num_features!r} is no number of features")
        if self.tail not in ("prelu", "norm") or self.end not in ENDS:
            raise ValueError(f"no SRResNet ends in {self.tail!r} and {self.end!r}")


def icnr_(convolution: nn.Conv2d, factor: int) -> None:
    """Let all `factor`^2 sub-pixels of a channel begin with the same weights, and no bias.

    Aitken et al. 2017, arXiv 1707.02937. PixelShuffle takes channel c factor^2 + dy factor + dx.
    """
    count = convolution.out_channels // factor**2
    weight = torch.empty(count, *convolution.weight.shape[1:])
    nn.init.kaiming_normal_(weight)
    with torch.no_grad():
        convolution.weight.copy_(weight.repeat_interleave(factor**2, 0))
        if convolution.bias is not None:
            convolution.bias.zero_()


class ResidualBlock(nn.Module):
    """x + norm(conv(prelu(norm(conv(x)))))."""

    def __init__(self, num_features: int, *, norm: bool) -> None:
        super().__init__()

        def layer() -> list[nn.Module]:
            convolution = nn.Conv2d(num_features, num_features, 3, padding=1)
            return [convolution, nn.BatchNorm2d(num_features)] if norm else [convolution]

        self.layers = nn.Sequential(*layer(), nn.PReLU(), *layer())

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.layers(x)
        return x + changed


class Doubling(nn.Sequential):
    """Twice the size: a convolution to four times the features, shuffled, PReLU."""

    def __init__(self, num_features: int, *, icnr: bool) -> None:
        convolution = nn.Conv2d(num_features, 4 * num_features, 3, padding=1)
        if icnr:
            icnr_(convolution, 2)
        super().__init__(convolution, nn.PixelShuffle(2), nn.PReLU())


class Trunk(nn.Module):
    """What happens at the small size: (N, 3, H, W) to (N, F, H, W)."""

    def __init__(self, num_blocks: int, num_features: int, *, norm: bool, tail: str) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(3, num_features, 9, padding=4), nn.PReLU())
        blocks = [ResidualBlock(num_features, norm=norm) for _ in range(num_blocks)]
        self.blocks = nn.Sequential(*blocks)
        last: nn.Module = nn.PReLU() if tail == "prelu" else nn.BatchNorm2d(num_features)
        convolution = nn.Conv2d(num_features, num_features, 3, padding=1)
        needs_last = tail == "prelu" or norm
        self.tail = nn.Sequential(convolution, *([last] if needs_last else []))
        self.receptive_radius = 4 + 2 * num_blocks + 1

    def forward(self, x: Tensor) -> Tensor:
        first: Tensor = self.head(x)
        deep: Tensor = self.tail(self.blocks(first))
        return first + deep


class SRResNet(Network):
    """R'G'B' (N, 3, H, W) in [0, 1] to (N, 3, H s, W s)."""

    eats: Eats = "rgb"

    def __init__(self, config: SRResNetConfig) -> None:
        super().__init__()
        self.config, self.scale = config, config.scale
        features, doublings = config.num_features, round(math.log2(config.scale))
        self.trunk = Trunk(config.num_blocks, features, norm=config.norm, tail=config.tail)
        self.doublings = nn.Sequential(
            *(Doubling(features, icnr=config.icnr) for _ in range(doublings))
        )
        self.last = nn.Conv2d(features, 3, 9, padding=4)
        # Sub-pixel convolutions see one pixel of their own size; the last one four of the large.
        enlarging = sum(1 / 2**k for k in range(doublings)) + 4 / config.scale
        self.receptive_radius = self.trunk.receptive_radius + math.ceil(enlarging)

    def forward(self, rgb: Tensor) -> Tensor:
        y: Tensor = self.last(self.doublings(self.trunk(rgb)))
        return (y.tanh() + 1) / 2 if self.config.end == "tanh" else y
