"""Discriminators and critics: what generators are trained against. None is run on a film.

A discriminator ends in a logit: how likely a picture is a true one. A critic ends in a number
without bounds, and must not normalise over a batch: its gradient is taken picture by picture.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

HEADS = ("convolution", "dense", "flat")

_LAYERS = {
    "code": ((64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2)),
    "poster": ((64, 2), (128, 1), (128, 2), (256, 1), (512, 2), (512, 2), (512, 2)),
}
"""(filters, stride) after the first 64; SRGAN's, and those a poster prints."""


@dataclass(frozen=True)
class DiscriminatorConfig:
    """What the papers' discriminators and critics differ in."""

    variant: str = "code"
    norm: bool = True
    """Batch normalisation: for discriminators alone."""

    slope: float = 0.2
    head: str = "convolution"
    """After the mean over the picture, `convolution` or `dense`; or `flat`, for one size alone."""

    flat_side: int = 256
    """Of the pictures a flat head is for."""

    def __post_init__(self) -> None:
        if self.variant not in _LAYERS or self.head not in HEADS:
            raise ValueError(f"no discriminator is {self.variant!r} and ends {self.head!r}")


class Discriminator(nn.Module):
    """(N, 3, H, W) in [0, 1] to (N,) logits or judgements (Ledig et al. 2017, figure 4)."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1), nn.LeakyReLU(config.slope)]
        inputs, side = 64, config.flat_side
        for outputs, stride in _LAYERS[config.variant]:
            layers.append(nn.Conv2d(inputs, outputs, 3, stride, padding=1))
            layers += [nn.BatchNorm2d(outputs)] if config.norm else []
            layers.append(nn.LeakyReLU(config.slope))
            inputs, side = outputs, -(-side // stride)
        self.layers = nn.Sequential(*layers)
        self.head = _head(config, inputs, side)

    def forward(self, rgb: Tensor) -> Tensor:
        judged: Tensor = self.head(self.layers(rgb))
        return judged.flatten()

    def features(self, rgb: Tensor) -> list[Tensor]:
        """What every layer gives, after its activation: finest first."""
        found = []
        for layer in self.layers:
            rgb = layer(rgb)
            if isinstance(layer, nn.LeakyReLU):
                found.append(rgb)
        return found


def _head(config: DiscriminatorConfig, inputs: int, side: int) -> nn.Sequential:
    if config.head == "convolution":
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(inputs, 1024, 1),
            nn.LeakyReLU(config.slope),
            nn.Conv2d(1024, 1, 1),
        )
    pooled = [nn.AdaptiveAvgPool2d(1)] if config.head == "dense" else []
    size = inputs if config.head == "dense" else inputs * side**2
    return nn.Sequential(
        *pooled,
        nn.Flatten(),
        nn.Linear(size, 1024),
        nn.LeakyReLU(config.slope),
        nn.Linear(1024, 1),
    )


SIDES = {32: 256, 64: 128, 128: 64, 256: 32}
"""Side of a picture -> filters of a growing critic where it comes in."""


class GrowingCritic(nn.Module):
    """Judges pictures of 32 px at first, and of twice the side with every stage.

    A new stage fades in beside the halved picture that the stage before took.
    """

    def __init__(self, num_stages: int) -> None:
        super().__init__()
        sizes = list(SIDES.values())[: num_stages + 1]
        self.from_rgb = nn.ModuleList(
            nn.Sequential(nn.Conv2d(3, size, 3, padding=1), nn.LeakyReLU(0.2)) for size in sizes
        )
        self.halvings = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(fine, coarse, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(coarse, coarse, 3, 2, padding=1),
                nn.LeakyReLU(0.2),
            )
            for coarse, fine in itertools.pairwise(sizes)
        )
        self.tail = nn.Sequential(
            nn.Conv2d(sizes[0], 512, 3, 2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(512, 512, 3, 2, padding=1),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(512, 1024, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(1024, 1, 1),
        )

    def forward(self, rgb: Tensor, stage: int, alpha: float) -> Tensor:
        """(N, 3, 32 2^stage, 32 2^stage) in [0, 1] to (N,); `alpha` as of the generator."""
        x: Tensor = self.from_rgb[stage](rgb)
        if stage:
            x = self.halvings[stage - 1](x)
            if alpha < 1:
                x = self.from_rgb[stage - 1](F.avg_pool2d(rgb, 2)).lerp(x, alpha)
        for halving in reversed(list(self.halvings)[: max(stage - 1, 0)]):
            x = halving(x)
        judged: Tensor = self.tail(x)
        return judged.flatten()
