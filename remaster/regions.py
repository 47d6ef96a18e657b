"""Rectangles over a frame that is padded once: pure geometry.

Property: with a halo of at least the network's receptive radius, the pixels of any cover by
regions whose edges lie on the network's grid, or on the frame's edge, are those of the whole-frame
run. The halo is cut off at the padded frame's edge, so the network meets the same border in both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from remaster.frames import CELL
from remaster.squares import grown

MOST_RECTANGLES = 128
"""Changes in more pieces than this are looked at in squares of twice the side: the time to merge
them stays a few milliseconds."""

WHOLE = 0.9
"""Regions that cost this share of the whole frame are not worth their while."""

Rectangles = npt.NDArray[np.int64]
"""(n, 4): top, left, bottom, right of each."""


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

    def common(self, other: Region) -> Region:
        """What both hold, which is something."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        return Region(top, left, min(self.bottom, other.bottom), min(self.right, other.right))

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


STEPS = {64: 8, 160: 16, 384: 32}
"""Of the sides of regions, by the length up to which they hold; see `few_sizes`."""

LARGEST_STEP = 64


@dataclass(frozen=True)
class Price:
    """What a region costs, in source pixels of the whole frame's cost."""

    halo: float
    """Source pixels computed around it, in the mean of all layers."""

    fixed: float
    """What it costs however small it is."""

    def of(self, rectangles: Rectangles, height: int, width: int) -> npt.NDArray[np.float64]:
        """(..., 4) rectangles in a frame to (...) prices."""
        top, left, bottom, right = np.moveaxis(rectangles, -1, 0)
        rows = np.minimum(bottom + self.halo, height) - np.maximum(top - self.halo, 0)
        columns = np.minimum(right + self.halo, width) - np.maximum(left - self.halo, 0)
        price: npt.NDArray[np.float64] = rows * columns + self.fixed
        return price


def cover(
    changed: Tensor, radius: int, height: int, width: int, grid: int, price: Price
) -> list[Region]:
    """The regions to compute where squares of a frame changed.

    Args:
        changed: (ceil(height / CELL), ceil(width / CELL)) bool on the CPU.
        radius: source pixels around a change that it may alter.
        grid: every edge is a multiple of this, or the frame's.
        price: by which neighbours are merged.

    Returns:
        Rectangles that may overlap; none where nothing changed, and the whole frame alone where
        they would cost nearly as much.
    """
    mask = changed.numpy()
    if not mask.any():
        return []
    whole = Region(0, 0, height, width)
    mask = grown(mask, math.ceil(radius / CELL))
    if np.count_nonzero(mask) * CELL**2 >= WHOLE * height * width:
        return [whole]
    side, rectangles = CELL, runs(mask)
    while len(rectangles) > MOST_RECTANGLES:
        side, mask = 2 * side, _halved(mask)
        rectangles = runs(mask)
    rectangles = _on_grid(rectangles * side, grid, height, width)
    rectangles = few_sizes(merged(rectangles, height, width, price), grid, height, width)
    full = height * width + price.fixed
    if price.of(rectangles, height, width).sum() >= WHOLE * full:
        return [whole]
    return [Region(*edges) for edges in rectangles.tolist()]


def few_sizes(rectangles: Rectangles, grid: int, height: int, width: int) -> Rectangles:
    """Each side longer, up to one of a few lengths, inside the frame and on the grid.

    Engines prepare themselves for every shape they meet, in time and in memory.
    """
    starts = rectangles[:, :2]
    lengths = rectangles[:, 2:] - starts
    step = np.select([lengths <= bound for bound in STEPS], list(STEPS.values()), LARGEST_STEP)
    frame = np.array((height, width))
    lengths = np.minimum(-(-lengths // step) * step, frame)
    starts = np.minimum(starts, (frame - lengths) // grid * grid)
    ends = np.minimum(-(-(starts + lengths) // grid) * grid, frame)
    return np.concatenate([starts, np.maximum(ends, rectangles[:, 2:])], 1)


def _halved(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """In squares of twice the side, true where any of the four is."""
    rows, columns = mask.shape
    even = np.pad(mask, ((0, rows % 2), (0, columns % 2)))
    return np.logical_or.reduce([even[i::2, j::2] for i in (0, 1) for j in (0, 1)])


def runs(mask: npt.NDArray[np.bool_]) -> Rectangles:
    """Disjoint rectangles that cover what is true: runs of a row, joined where the next row has the
    very same."""
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    growing: dict[tuple[int, int], list[int]] = {}
    found = []
    for row, start, end in zip(rows.tolist(), starts.tolist(), ends.tolist()):
        above = growing.get((start, end))
        if above is not None and above[2] == row:
            above[2] = row + 1
        else:
            growing[start, end] = rectangle = [row, start, row + 1, end]
            found.append(rectangle)
    return np.array(found, dtype=np.int64).reshape(-1, 4)


Box = tuple[slice, slice]
"""Rows and columns of squares."""


def boxes(mask: npt.NDArray[np.bool_]) -> list[Box]:
    """Disjoint rectangles that hold all that is true, and little else."""
    found = []
    for top, _, bottom, _ in runs(np.logical_or.reduce(mask, 1, keepdims=True)).tolist():
        for _, left, _, right in runs(np.logical_or.reduce(mask[top:bottom], 0)[None]).tolist():
            found.append((slice(top, bottom), slice(left, right)))
    return found


def _on_grid(rectangles: Rectangles, grid: int, height: int, width: int) -> Rectangles:
    """Edges moved outwards to the grid, and in to the frame."""
    starts, ends = rectangles[:, :2] // grid * grid, -(-rectangles[:, 2:] // grid) * grid
    return np.concatenate([starts, np.minimum(ends, (height, width))], 1)


def merged(rectangles: Rectangles, height: int, width: int, price: Price) -> Rectangles:
    """Pairs joined, the one that saves most first, until none is cheaper as one."""
    boxes = rectangles.copy()
    prices = price.of(boxes, height, width)
    alive = np.ones(len(boxes), dtype=bool)

    def savings(of: Rectangles, own: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        low, high = np.minimum(of[..., :2], boxes[:, :2]), np.maximum(of[..., 2:], boxes[:, 2:])
        return own + prices - price.of(np.concatenate([low, high], -1), height, width)

    saved = savings(boxes[:, None], prices[:, None])
    np.fill_diagonal(saved, -np.inf)
    while True:
        one, other = divmod(int(saved.argmax()), len(boxes))
        if saved[one, other] <= 0:
            return boxes[alive]
        boxes[one, :2] = np.minimum(boxes[one, :2], boxes[other, :2])
        boxes[one, 2:] = np.maximum(boxes[one, 2:], boxes[other, 2:])
        prices[one], alive[other] = price.of(boxes[one], height, width), False
        row = np.where(alive, savings(boxes[one][None], prices[one]), -np.inf)
        row[one] = -np.inf
        saved[one], saved[:, one] = row, row
        saved[other], saved[:, other] = -np.inf, -np.inf
