"""What the pipeline may ask of a network."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

Eats = Literal["planes", "rgb", "luma"]


class Network(nn.Module):
    """The facts every network states, explained in the package's docstring."""

    eats: Eats
    scale: int
    grid: int = 1
    padding: int = 0
    receptive_radius: int
    measured_radius: int | None = None
    """The influence radius where it was measured on the trained weights."""

    sees_whole_image: bool = False
    precision: torch.dtype | None = None
    """The arithmetic it must be run in; None leaves the choice to the device."""

    adds_to_source: bool = False
    """Its engine adds what it gives to the source's pixels in fp32, so bf16 rounds little."""
