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

    def within(self, outer: Region) -> Region:
        """As seen from the first pixel of a region around it."""
        return self.moved(-outer.top, -outer.left)

    def halo(self, outer: Region) -> Halo:
        """What `outer` has around this."""
        return Halo(
            self.top - outer.top,
            self.left - outer.left,
            outer.bottom - self.bottom,
            outer.right - self.right,
        )

    def cut(self, x: Tensor, scale: float | tuple[float, float] = 1) -> Tensor:
        """This rectangle of (..., H scale, W scale); edges between samples round outwards."""
        down, across = scale if isinstance(scale, tuple) else (scale, scale)
        rows = slice(int(self.top * down), -int(-self.bottom * down // 1))
        columns = slice(int(self.left * across), -int(-self.right * across // 1))
        return x[..., rows, columns]


@dataclass(frozen=True)
class Halo:
    """What lies around a rectangle of interest, in pixels or cells, on each side."""

    top: int
    left: int
    bottom: int
    right: int

    def within(self, most: int) -> Halo:
        """At most so much on each side."""
        return Halo(*(min(v, most) for v in (self.top, self.left, self.bottom, self.right)))

    def widened(self, reach: int) -> Halo:
        """So much more on each side."""
        return Halo(self.top + reach, self.left + reach, self.bottom + reach, self.right + reach)

    def divided(self, grid: int) -> Halo:
        """In cells of `grid`, of which every side is a multiple."""
        return Halo(self.top // grid, self.left // grid, self.bottom // grid, self.right // grid)

    def beyond(self, other: Halo) -> Halo:
        """How much further than `other` each side reaches."""
        return Halo(
            max(self.top - other.top, 0),
            max(self.left - other.left, 0),
            max(self.bottom - other.bottom, 0),
            max(self.right - other.right, 0),
        )

    def cut(self, x: Tensor, have: Halo) -> Tensor:
        """(..., h, w) with `have` around, cut down to this halo where it has more."""
        more = have.beyond(self)
        rows = slice(more.top, x.shape[-2] - more.bottom)
        return x[..., rows, more.left : x.shape[-1] - more.right]


NO_HALO = Halo(0, 0, 0, 0)


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
