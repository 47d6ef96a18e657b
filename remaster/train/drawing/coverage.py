"""How much of every pixel a polygon covers: exact areas, no supersampling.

Each edge adds its signed area to the pixels it crosses; a running sum along the row turns that
into winding numbers. Sub-pixel positions are therefore exact, and the picture of a shape at one
size is the box-downscaled picture of it at twice that size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Mask", "cover", "intersect", "subtract"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mask:
    """Coverage of a rectangle of pixels; zero outside it."""

    top: int
    left: int
    values: npt.NDArray[np.float32]
    """(h, w), 0 to 1."""

    @property
    def window(self) -> tuple[slice, slice]:
        """The rectangle as (rows, columns)."""
        height, width = self.values.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def cover(polygons: Sequence[Floats], height: int, width: int) -> Mask:
    """The union of closed polygons, each (N, 2) as x, y in pixels, on a (height, width) grid.

    Overlapping polygons must wind the same way, or their overlap cancels.
    """
    start, end = _edges(polygons)
    inside = (np.minimum(start[:, 1], end[:, 1]) < height) & (
        np.maximum(start[:, 1], end[:, 1]) > 0
    )
    start, end = start[inside], end[inside]
    start, end = _clip_rows(start, end, height)
    if not len(start):
        return Mask(0, 0, np.zeros((0, 0), np.float32))
    right = int(np.ceil(np.clip(max(start[:, 0].max(), end[:, 0].max()), 0, width)))
    start, end = _clip_columns(start, end, width)
    if not len(start):
        return Mask(0, 0, np.zeros((0, 0), np.float32))
    top = int(np.floor(min(start[:, 1].min(), end[:, 1].min())))
    bottom = int(np.ceil(max(start[:, 1].max(), end[:, 1].max())))
    left = int(np.floor(min(start[:, 0].min(), end[:, 0].min())))
    top, left, bottom = min(top, height - 1), min(left, width - 1), max(bottom, top + 1)
    columns = max(min(right, width) - left, 1) + 2
    start, end = _split_at_integers(start, end, axis=1)
    start, end = _split_at_integers(start, end, axis=0)
    drop = end[:, 1] - start[:, 1]
    middle = (start + end) / 2
    row = np.clip(np.floor(middle[:, 1]).astype(np.int64) - top, 0, bottom - top - 1)
    column = np.clip(np.floor(middle[:, 0]).astype(np.int64) - left, 0, columns - 2)
    past = np.clip(middle[:, 0] - left - column, 0, 1)
    cell = row * columns + column
    size = (bottom - top) * columns
    area = np.bincount(cell, drop * (1 - past), size) + np.bincount(cell + 1, drop * past, size)
    winding = np.cumsum(area[:size].reshape(bottom - top, columns), axis=1)[:, :-2]
    return Mask(top, left, np.minimum(np.abs(winding), 1).astype(np.float32))


def intersect(first: Mask, second: Mask) -> Mask:
    """The product of two coverages, on the first one's rectangle."""
    return Mask(first.top, first.left, first.values * _on_window_of(first, second))


def subtract(first: Mask, second: Mask) -> Mask:
    """What the second coverage leaves of the first."""
    return Mask(first.top, first.left, first.values * (1 - _on_window_of(first, second)))


def _on_window_of(target: Mask, source: Mask) -> npt.NDArray[np.float32]:
    height, width = target.values.shape
    result = np.zeros((height, width), np.float32)
    top = max(target.top, source.top)
    left = max(target.left, source.left)
    bottom = min(target.top + height, source.top + source.values.shape[0])
    right = min(target.left + width, source.left + source.values.shape[1])
    if top < bottom and left < right:
        result[top - target.top : bottom - target.top, left - target.left : right - target.left] = (
            source.values[
                top - source.top : bottom - source.top, left - source.left : right - source.left
            ]
        )
    return result


def _edges(polygons: Sequence[Floats]) -> tuple[Floats, Floats]:
    starts = [p for p in polygons if len(p) > 2]
    if not starts:
        return np.zeros((0, 2)), np.zeros((0, 2))
    ends = [np.concatenate((p[1:], p[:1])) for p in starts]
    return np.concatenate(starts), np.concatenate(ends)


def _clip_rows(start: Floats, end: Floats, height: int) -> tuple[Floats, Floats]:
    """What lies above or below the grid covers nothing: cut it off."""
    drop = end[:, 1] - start[:, 1]
    sloped = np.abs(drop) > 1e-12
    start, end, drop = start[sloped], end[sloped], drop[sloped]
    at = np.clip((np.array([[0.0], [height]]) - start[:, 1]) / drop, 0, 1)
    first, last = at.min(axis=0)[:, None], at.max(axis=0)[:, None]
    start, end = start + (end - start) * first, start + (end - start) * last
    start[:, 1] = np.clip(start[:, 1], 0, height)
    end[:, 1] = np.clip(end[:, 1], 0, height)
    return start, end


def _clip_columns(start: Floats, end: Floats, width: int) -> tuple[Floats, Floats]:
    """What lies left of the grid covers whole rows, what lies right of it nothing."""
    run = end[:, 0] - start[:, 0]
    run = np.where(np.abs(run) < 1e-12, 1e-12, run)
    at = np.sort(np.clip((np.array([[0.0], [width]]) - start[:, 0]) / run, 0, 1), axis=0)
    cuts = [np.zeros_like(run), at[0], at[1], np.ones_like(run)]
    starts = [start + (end - start) * t[:, None] for t in cuts[:-1]]
    ends = [start + (end - start) * t[:, None] for t in cuts[1:]]
    start, end = np.concatenate(starts), np.concatenate(ends)
    kept = (np.abs(end[:, 1] - start[:, 1]) > 1e-12) & (
        np.minimum(start[:, 0], end[:, 0]) < width - 1e-9
    )
    start, end = start[kept], end[kept]
    start[:, 0] = np.clip(start[:, 0], 0, width)
    end[:, 0] = np.clip(end[:, 0], 0, width)
    return start, end


def _split_at_integers(start: Floats, end: Floats, axis: int) -> tuple[Floats, Floats]:
    """Cut edges so that each lies within one row (axis 1) or one column (axis 0)."""
    low = np.minimum(start[:, axis], end[:, axis])
    high = np.maximum(start[:, axis], end[:, axis])
    first = np.floor(low)
    pieces = np.maximum(np.ceil(high) - first, 1).astype(np.int64)
    owner = np.repeat(np.arange(len(start)), pieces)
    index = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    lower = np.clip(first[owner] + index, low[owner], high[owner])
    upper = np.clip(first[owner] + index + 1, low[owner], high[owner])
    run = end[:, axis] - start[:, axis]
    rises = (run >= 0)[owner]
    origin, along = start[owner], (end - start)[owner]
    run = np.where(np.abs(run) < 1e-12, 1.0, run)[owner]
    near = np.clip((np.where(rises, lower, upper) - origin[:, axis]) / run, 0, 1)[:, None]
    far = np.clip((np.where(rises, upper, lower) - origin[:, axis]) / run, 0, 1)[:, None]
    flat = (high - low < 1e-12)[owner]
    near[flat], far[flat] = 0, 1
    return origin + along * near, origin + along * far
