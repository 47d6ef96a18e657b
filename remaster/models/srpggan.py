"""The generator of SRPGGAN: an SRResNet that grows by one doubling at a time.

Progressive growing after Karras et al. 2018, arXiv 1710.10196: a new doubling fades in beside the
nearest-neighbour enlargement of what the network gave before, by `alpha` from 0 to 1. Its critic
grows with it (`critics.GrowingCritic`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from remaster.models.network import Eats, Network
from remaster.models.srresnet import Doubling, Trunk


@dataclass(frozen=True)
class SRPGGANConfig:
    """The size of the generator."""

    scale: int = 4
    num_blocks: int = 8
    num_features: int = 64
    norm: bool = True

    def __post_init__(self) -> None:
        if self.scale not in (2, 4, 8):
            raise ValueError(f"SRPGGAN enlarges by 2, 4 or 8, not {self.scale!r}")
        sizes = self.num_blocks, self.num_features
        if not all(isinstance(n, int) and 1 <= n <= 512 for n in sizes):
            raise ValueError(f"{sizes} are no sizes of an SRPGGAN")


class SRPGGAN(Network):
    """R'G'B' (N, 3, H, W) in [0, 1] to (N, 3, H s, W s), in the last stage."""

    eats: Eats = "rgb"
    alpha: Tensor
    """How far the last stage has faded in, (), 0 to 1; kept with the weights."""

    def __init__(self, config: SRPGGANConfig) -> None:
        super().__init__()
        self.config, self.scale = config, config.scale
        features, self.num_stages = config.num_features, round(math.log2(config.scale))
        self.trunk = Trunk(config.num_blocks, features, norm=config.norm, tail="norm")
        stages = range(self.num_stages)
        self.doublings = nn.ModuleList(Doubling(features, icnr=True) for _ in stages)
        self.to_rgb = nn.ModuleList(
            nn.Conv2d(features, 3, 9, padding=4) for _ in range(self.num_stages + 1)
        )
        self.register_buffer("alpha", torch.ones(()))
        # While the last stage fades in, the one before it is seen too, at half the size.
        reaches = (
            sum(1 / 2**k for k in range(stage)) + 4 / 2**stage
            for stage in (self.num_stages - 1, self.num_stages)
        )
        self.receptive_radius = self.trunk.receptive_radius + math.ceil(max(reaches))

    def forward(self, rgb: Tensor) -> Tensor:
        return self.at_stage(rgb, self.num_stages, float(self.alpha))

    def at_stage(self, rgb: Tensor, stage: int, alpha: float) -> Tensor:
        """(N, 3, H, W) to (N, 3, 2^stage H, 2^stage W); stage 0 has no size of its own to reach.

        Args:
            alpha: how far the stage has faded in; at 0 the result is the enlarged one before.
        """
        features: Tensor = self.trunk(rgb)
        before = features
        for doubling in list(self.doublings)[:stage]:
            before, features = features, doubling(features)
        new: Tensor = self.to_rgb[stage](features)
        if stage == 0 or alpha == 1:
            return new
        old = F.interpolate(self.to_rgb[stage - 1](before), scale_factor=2.0, mode="nearest")
        return old.lerp(new, alpha)
