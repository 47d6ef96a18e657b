"""How one picture lies on another: size and place of each axis, and the light, to parts of a pixel.

Rough by phase correlation at a few sizes (Kuglin and Hines 1975), then fine by Gauss-Newton on the
pixels from coarse to fine (Lucas and Kanade 1981), with Huber's weights: what differs here and
there, such as noise and a logo, hardly pulls.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from remaster.resampling import KERNELS

__all__ = ["Placement", "fit_color", "likeness", "refine", "register", "warp"]

Plane = NDArray[np.float32]
"""(H, W) levels of 255."""

SMALL_SIDE = 96
"""Longest side at which the rough search is made."""

ROUGH_SIZES = (0.90, 0.92, 0.94, 0.96, 0.98, 1.0, 1.02, 1.04, 1.06, 1.08, 1.10)
"""Sizes of each axis that are tried, over those of the whole pictures."""

FINEST_SIDE = 32
"""Shortest side of the smallest pictures of the fine search."""

STEPS = 12
"""Of Gauss-Newton at each size, at most."""

STILL = 0.002
"""Pixels; a step that moves no corner farther is the last."""

COLOR_PULL = 1e-3
"""Towards the colours given, against the mean square of the pixels: what a picture does not show
is left as it is."""


@dataclass(frozen=True)
class Placement:
    """Where a picture's pixel x lies on the other: `size * x + start`, per axis, pixel centres."""

    size: tuple[float, float]
    """Pixels of the other per pixel, (down, across)."""

    start: tuple[float, float]
    """Of the other under pixel 0."""

    @classmethod
    def whole(cls, shape: tuple[int, ...], other: tuple[int, ...]) -> Placement:
        """Both pictures show the same, edge on edge."""
        size = other[0] / shape[0], other[1] / shape[1]
        return cls(size, (size[0] / 2 - 0.5, size[1] / 2 - 0.5))

    def finer(self, scale: int) -> Placement:
        """Of a grid with `scale` pixels for each one, the outer edges the same."""
        size = self.size[0] / scale, self.size[1] / scale
        first = 0.5 / scale - 0.5
        return Placement(
            size, (self.start[0] + first * self.size[0], self.start[1] + first * self.size[1])
        )

    def then(self, other: Placement) -> Placement:
        """Where the pixels lie on a third picture, on which the second one's lie at `other`."""
        size, start = (
            tuple(outer * inner for outer, inner in zip(other.size, pair))
            for pair in (self.size, self.start)
        )
        return Placement((size[0], size[1]), (start[0] + other.start[0], start[1] + other.start[1]))

    def covered(self, shape: tuple[int, ...], other: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns of a picture of `shape` that lie on the other, from even ones on."""
        down, across = (self._covered(axis, shape[axis], other[axis]) for axis in (0, 1))
        return down, across

    def _covered(self, axis: int, length: int, other: int) -> slice:
        size, start = self.size[axis], self.start[axis]
        first = max(0, math.ceil((-0.5 - start) / size + 0.5 - 1e-6))
        last = min(length - 1, math.floor((other - 0.5 - start) / size - 0.5 + 1e-6))
        first += first % 2
        count = max(0, last + 1 - first) // 2 * 2
        return slice(first, first + count) if count else slice(0, 0)


@functools.cache
def _taps(kernel: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(distances, weights there), so close that straight lines between them will do."""
    distances = np.linspace(0, KERNELS[kernel].support, 8193)
    return distances, np.array([KERNELS[kernel].weight(float(x)) for x in distances])


@functools.lru_cache(maxsize=8)
def _axis(length: int, other: int, size: float, start: float, kernel: str) -> Plane:
    """(length, other): rows that take samples of the other axis, antialiased; edges replicated."""
    widen = max(size, 1.0)
    reach = KERNELS[kernel].support * widen
    centres = size * np.arange(length)[:, None] + start
    columns = np.ceil(centres - reach) + np.arange(math.floor(2 * reach) + 1)
    weights = np.interp(np.abs(columns - centres) / widen, *_taps(kernel), right=0.0)
    matrix = np.zeros((length, other))
    inside = columns.clip(0, other - 1).astype(np.intp)
    np.add.at(matrix, (np.arange(length)[:, None], inside), weights)
    return (matrix / matrix.sum(1, keepdims=True)).astype(np.float32)


def warp(
    other: Plane, place: Placement, shape: tuple[int, int], kernel: str = "catmull-rom"
) -> Plane:
    """The other picture, (H, W) or (H, W, C), resampled once onto the grid of `shape`."""
    rows = _axis(shape[0], other.shape[0], place.size[0], place.start[0], kernel)
    columns = _axis(shape[1], other.shape[1], place.size[1], place.start[1], kernel)
    down: Plane = np.tensordot(rows, other, (1, 0))
    across: Plane = np.tensordot(down, columns, (1, 1))
    return across if other.ndim == 2 else across.transpose(0, 2, 1)


def likeness(one: Plane, other: Plane) -> float:
    """Correlation of two pictures of one size: 1 equal but for light, 0 unlike."""
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / max(np.sqrt(float((a * a).sum()) * float((b * b).sum())), 1e-6))


def register(one: Plane, other: Plane) -> Placement:
    """Where the pixels of one lie on the other, whatever it was cropped or stretched by up to a
    tenth."""
    return refine(one, other, _rough(one, other))


def _rough(one: Plane, other: Plane) -> Placement:
    """By trying sizes on small pictures, each at the shift of its phase correlation."""
    shrink = max(1.0, max(one.shape) / SMALL_SIDE)
    shape = round(one.shape[0] / shrink), round(one.shape[1] / shrink)
    onto_one = Placement.whole(one.shape, shape)
    onto_other = Placement.whole(shape, other.shape)
    small = warp(one, Placement.whole(shape, one.shape), shape)
    reduced = warp(other, onto_other, shape)
    best, found = -2.0, Placement.whole(shape, shape)
    for size in itertools.product(ROUGH_SIZES, ROUGH_SIZES):
        sized = _about_middle(size, shape)
        move = _phase_shift(small, warp(reduced, sized, shape))
        place = Placement((1.0, 1.0), (float(move[0]), float(move[1]))).then(sized)
        score = likeness(small, warp(reduced, place, shape))
        if score > best:
            best, found = score, place
    return onto_one.then(found).then(onto_other)


def _about_middle(size: tuple[float, float], shape: tuple[int, int]) -> Placement:
    """Of two grids of one shape: the size given, middle on middle."""
    down, across = ((1 - each) * (length - 1) / 2 for each, length in zip(size, shape))
    return Placement(size, (down, across))


def _phase_shift(one: Plane, other: Plane) -> tuple[int, int]:
    """(down, across): the other picture, moved back by it, is most like the one."""
    window = np.outer(np.hanning(one.shape[0]), np.hanning(one.shape[1])).astype(np.float32)
    a, b = (np.fft.rfft2((each - each.mean()) * window) for each in (one, other))
    cross = b * np.conj(a)
    size = np.maximum(np.abs(cross), 1e-6)
    peaks = np.fft.irfft2(cross / size, one.shape)
    row, column = np.unravel_index(int(peaks.argmax()), peaks.shape)
    height, width = one.shape
    return (int(row) + height // 2) % height - height // 2, (
        int(column) + width // 2
    ) % width - width // 2


def refine(one: Plane, other: Plane, place: Placement, *, moves_only: bool = False) -> Placement:
    """The placement to hundredths of a pixel, from one that is off by a few.

    Args:
        moves_only: the sizes stay, as they do all through a film.
    """
    levels = max(0, int(math.log2(min(one.shape) / FINEST_SIDE)))
    for level in range(levels, -1, -1):
        factor = 2**level
        shape = one.shape[0] // factor, one.shape[1] // factor
        small = one if not level else _halved(one, factor, shape)
        coarse = _coarser(place, factor)
        place = _descend(small, other, coarse, moves_only).finer(factor)
    return place


def _halved(one: Plane, factor: int, shape: tuple[int, int]) -> Plane:
    cut = one[: shape[0] * factor, : shape[1] * factor]
    return cut.reshape(shape[0], factor, shape[1], factor).mean((1, 3))


def _coarser(place: Placement, factor: int) -> Placement:
    """Of the grid whose pixels are means of factor x factor."""
    size = place.size[0] * factor, place.size[1] * factor
    middle = (factor - 1) / 2
    return Placement(
        size, (place.start[0] + middle * place.size[0], place.start[1] + middle * place.size[1])
    )


def _descend(one: Plane, other: Plane, place: Placement, moves_only: bool) -> Placement:
    """Gauss-Newton over size and start of both axes, gain and offset."""
    height, width = one.shape
    y = np.arange(height, dtype=np.float32)[:, None] / max(height - 1, 1)
    x = np.arange(width, dtype=np.float32)[None] / max(width - 1, 1)
    for _ in range(STEPS):
        moved = warp(other, place, one.shape)
        down, across = (np.gradient(moved, axis=axis) for axis in (0, 1))
        inner = np.zeros(one.shape, bool)
        inner[place.covered(one.shape, other.shape)] = True
        inner[:2] = inner[-2:] = inner[:, :2] = inner[:, -2:] = False
        terms = [moved, np.ones_like(moved), down, across]
        if not moves_only:
            terms += [down * y, across * x]
        columns = np.stack([term[inner] for term in terms], 1)
        target = one[inner]
        if len(target) < 64:
            return place
        weights = np.ones_like(target)
        solved = np.zeros(len(terms))
        for _ in range(2):
            weighted = columns * weights[:, None]
            normal = (weighted.T @ columns).astype(np.float64)
            normal += np.eye(len(terms)) * 1e-6 * np.trace(normal) / len(terms)
            solved = np.linalg.solve(normal, (weighted.T @ target).astype(np.float64))
            residual = np.abs(target - columns @ solved.astype(np.float32))
            bound = max(1.5 * float(np.median(residual)), 0.5)
            weights = np.minimum(1, bound / np.maximum(residual, 1e-3)).astype(np.float32)
        gain = solved[0] if abs(solved[0]) > 0.1 else 1.0
        steps = np.clip(np.append(solved[2:] / gain, [0.0] * (6 - len(solved))), -3, 3)
        place = Placement(
            (
                place.size[0] * (1 + steps[2] / max(height - 1, 1)),
                place.size[1] * (1 + steps[3] / max(width - 1, 1)),
            ),
            (
                place.start[0] + steps[0] * place.size[0],
                place.start[1] + steps[1] * place.size[1],
            ),
        )
        if np.abs(steps).max() < STILL:
            break
    return place


def fit_color(
    one: NDArray[np.float32], other: NDArray[np.float32], towards: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(3, 4): from the other's R'G'B' and 1 to the one's, of (H, W, 3) in [0, 1] of one size.

    Robust: pixels that do not fit weigh less. What the pictures leave open is as in `towards`.
    """
    x = np.concatenate([other.reshape(-1, 3), np.ones((other[..., 0].size, 1))], 1)
    y = one.reshape(-1, 3).astype(np.float64)
    pull = COLOR_PULL * len(x) * np.eye(4)
    weights = np.ones(len(x))
    matrix = towards
    for _ in range(4):
        weighted = x * weights[:, None]
        matrix = np.linalg.solve(weighted.T @ x + pull, weighted.T @ y + pull @ towards.T).T
        residual = np.abs(y - x @ matrix.T).max(1)
        bound = max(1.5 * float(np.median(residual)), 1 / 255)
        weights = np.minimum(1, bound / np.maximum(residual, 1e-6)) ** 2
    return matrix
