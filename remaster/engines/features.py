"""What is kept of a frame inside a network; squares of it, and how they are taken and put back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_SQUARES = 256
"""Squares whose features are computed at once: what they are made of stays in the cache."""

SQUARE_STEPS = {32: 4, 64: 8, 128: 16, MOST_SQUARES: 32}
"""Of the number of squares computed at once, up to some number."""


@dataclass(frozen=True)
class Features:
    """What is kept of a whole padded frame, so that the next is computed only where it differs.

    Row k of each tensor is cell k, row by row.
    """

    cells: Tensor
    """(cells, 3 u^2) nominal fp32: the picture."""

    layers: tuple[Tensor, ...]
    """(cells, F) after the head and after both convolutions of every block."""

    rows: int
    columns: int


@dataclass(frozen=True)
class Squares:
    """Equal squares of cells, anywhere on a padded frame or past its edges."""

    tops: Tensor
    """(N,) int64, on the CPU: what is asked of places needs no wait for a device."""

    lefts: Tensor
    side: int

    def __len__(self) -> int:
        return len(self.tops)

    def part(self, start: int, stop: int) -> Squares:
        return Squares(self.tops[start:stop], self.lefts[start:stop], self.side)

    def filled(self) -> Squares:
        """One of few different numbers of squares, the last one several times.

        Engines prepare themselves for every shape they meet.
        """
        more = filled(len(self)) - len(self)
        tops, lefts = (
            torch.cat([axis, axis[-1:].expand(more)]) for axis in (self.tops, self.lefts)
        )
        return Squares(tops, lefts, self.side)

    def windows(self, rows: int, columns: int, halo: int) -> Windows:
        """The squares with `halo` around them, on a padded frame of so many cells."""
        width = self.side + 2 * halo
        down = self.tops[:, None] + torch.arange(-halo, self.side + halo)
        lefts = self.lefts - halo
        starts = down.clamp(0, rows - 1) * columns + lefts[:, None]
        edges = [down.min(), rows - 1 - down.max(), lefts.min(), columns - width - lefts.max()]
        if min(map(int, edges)) >= 0:
            return Windows(starts.flatten(), width)
        across = lefts[:, None] + torch.arange(width)
        past = ((down < 0) | (down >= rows))[:, :, None]
        past = past | ((across < 0) | (across >= columns))[:, None]
        return Windows(starts.flatten(), width, torch.nonzero(past.flatten()).flatten())

    def runs(self, rows: int, columns: int) -> Runs:
        """The cells of the squares that lie on a padded frame of so many cells."""
        length = math.gcd(columns, int(self.lefts[0]), self.side)  # all lie on one grid
        down = self.tops[:, None] + torch.arange(self.side)
        across = self.lefts[:, None] + torch.arange(0, self.side, length)
        places = (down * columns)[:, :, None] + across[:, None]
        places = places.flatten().div_(length, rounding_mode="floor")
        inside = ((down >= 0) & (down < rows))[:, :, None]
        inside = (inside & ((across >= 0) & (across < columns))[:, None]).flatten()
        if bool(inside.all()):
            return Runs(places, length)
        chosen = torch.nonzero(inside).flatten()
        return Runs(places[chosen], length, chosen)


@dataclass(frozen=True)
class Windows:
    """Rows of cells side by side, out of all cells of a frame."""

    starts: Tensor
    """(n,): the first cell of each."""

    width: int
    past: Tensor | None = None
    """Which cells of all windows lie past the frame's edges; None if none does."""

    def to(self, device: torch.device) -> Windows:
        past = None if self.past is None else self.past.to(device)
        return Windows(self.starts.to(device), self.width, past)

    def gathered(self, kept: Tensor) -> Tensor:
        """(cells, C) to (n width, C): zeros past the edges, as every layer pads."""
        count, channels = kept.shape
        if self.past is None:
            size = (count - self.width + 1, self.width * channels)
            overlapping = kept.as_strided(size, (channels, 1), kept.storage_offset())
            return overlapping.index_select(0, self.starts).view(-1, channels)
        cells = self.starts[:, None] + torch.arange(self.width, device=self.starts.device)
        found = kept.index_select(0, cells.clamp_(0, count - 1).flatten())
        return found.index_fill_(0, self.past, 0)


@dataclass(frozen=True)
class Runs:
    """Cells side by side that are kept together."""

    places: Tensor
    length: int
    chosen: Tensor | None = None
    """Which runs of a result these are; None: all."""

    def to(self, device: torch.device) -> Runs:
        chosen = None if self.chosen is None else self.chosen.to(device)
        return Runs(self.places.to(device), self.length, chosen)

    def put(self, values: Tensor, kept: Tensor) -> None:
        """(n, C) into (cells, C)."""
        runs, target = (self._in_runs(cells) for cells in (values, kept))
        if self.chosen is not None:
            runs = runs.index_select(0, self.chosen)
        target.index_copy_(0, self.places, runs)

    def _in_runs(self, cells: Tensor) -> Tensor:
        """(n, C) to (n / length, length C), as wider numbers where they fit: fewer to move."""
        runs = cells.view(-1, self.length * cells.shape[1])
        fits = runs.shape[1] * runs.element_size() % torch.int64.itemsize == 0
        return runs.view(torch.int64) if fits else runs


def bounds(count: int) -> list[tuple[int, int]]:
    """Where parts of at most `MOST_SQUARES` of so many begin and end."""
    return [(i, min(i + MOST_SQUARES, count)) for i in range(0, count, MOST_SQUARES)]


def filled(count: int) -> int:
    """How many squares are computed for so many: a multiple of a step that grows with them."""
    step = next(step for most, step in SQUARE_STEPS.items() if count <= most)
    return -(-count // step) * step
