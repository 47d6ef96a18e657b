"""Rectangles over a frame that is padded once: pure geometry.

Property: with a halo of at least the network's receptive radius, the pixels of any cover by
regions whose edges lie on the network's grid, or on the frame's edge, are those of the whole-frame
run. The halo is cut off at the padded frame's edge, so the network meets the same border in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Region:
    """A rectangle of source pixels: rows top to bottom, columns left to right, half-open."""

    top: int
    left: int
    bottom: int
    right: int

    def __post_init__(self) -> None:
        assert 0 <= self.top < self.bottom and 0 <= self.left < self.right, self

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def moved(self, down: int, right: int) -> Region:
        return Region(self.top + down, self.left + right, self.bottom + down, self.right + right)

    def grown(self, halo: int, grid: int, height: int, width: int) -> Region:
        """With `halo` around it, out to the next grid line, inside (height, width)."""
        top, left = (max(v - halo, 0) // grid * grid for v in (self.top, self.left))
        bottom = min(-(-(self.bottom + halo) // grid) * grid, height)
        right = min(-(-(self.right + halo) // grid) * grid, width)
        return Region(top, left, bottom, right)

    def cut(self, x: Tensor, scale: float | tuple[float, float] = 1) -> Tensor:
        """This rectangle of (..., H scale, W scale); edges between samples round outwards."""
        down, across = scale if isinstance(scale, tuple) else (scale, scale)
        rows = slice(int(self.top * down), -int(-self.bottom * down // 1))
        columns = slice(int(self.left * across), -int(-self.right * across // 1))
        return x[..., rows, columns]


def padded_size(height: int, width: int, padding: int, grid: int) -> tuple[int, int]:
    """The size of a frame with `padding` around it, its right and bottom filled up to the grid."""
    rows, columns = (-(-(n + 2 * padding) // grid) * grid for n in (height, width))
    return rows, columns


def pad(x: Tensor, padding: int, grid: int) -> tuple[Tensor, Region]:
    """Replicate the edges of (N, C, H, W) to `padded_size`; and where the frame lies in it."""
    height, width = x.shape[-2:]
    full_height, full_width = padded_size(height, width, padding, grid)
    below, right = full_height - height - padding, full_width - width - padding
    frame = Region(padding, padding, padding + height, padding + width)
    if not padding and not below and not right:
        return x, frame
    return F.pad(x, (padding, right, padding, below), mode="replicate"), frame


def strips(height: int, width: int, rows: int, grid: int) -> Iterator[Region]:
    """Full-width regions of at most `rows` rows, cut on the grid; tiles would pay more halo."""
    step = max(rows // grid, 1) * grid
    for top in range(0, height, step):
        yield Region(top, 0, min(top + step, height), width)
