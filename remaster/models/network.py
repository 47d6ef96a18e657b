"""What the pipeline may ask of a network."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from torch import Tensor

Eats = Literal["planes", "rgb", "luma"]


class Network(Protocol):
    """See the package's docstring for each fact."""

    eats: Eats
    scale: int
    grid: int
    padding: int
    receptive_radius: int
    sees_whole_image: bool

    def __call__(self, x: Tensor, *args: Any) -> Any: ...
