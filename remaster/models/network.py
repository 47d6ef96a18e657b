"""What the pipeline may ask of a network."""

from __future__ import annotations

from typing import Literal

from torch import nn

Eats = Literal["planes", "rgb", "luma"]


class Network(nn.Module):
    """The facts every network states, explained in the package's docstring."""

    eats: Eats
    scale: int
    grid: int = 1
    padding: int = 0
    receptive_radius: int
    sees_whole_image: bool = False
