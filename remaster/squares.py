"""Decisions about the squares of a frame: small grids of numbers and of yes and no, in numpy.

There are a few thousand squares in a frame, too few for torch: most of its time would be calls.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "SAMPLES",
    "STILL",
    "Grid",
    "Mask",
    "Scales",
    "calm",
    "changes_together",
    "density",
    "evidence",
    "grown",
    "least_sizes",
    "quantile",
    "steps",
]

Grid = npt.NDArray[np.float32]
"""(rows, columns), one number for each square."""

Mask = npt.NDArray[np.bool_]

Scales = tuple[npt.NDArray[np.float32], ...]
"""One number of each kind for windows of two sizes, for the frame, and outwards from its middle."""

SAMPLES = 16
"""Of a square at half size."""

STILL = 0.4
"""Share of the tiles of 16x16 that hold noise alone in most frames."""

_SHIFT, _LIFT = 0.015, 0.6
"""Common motion, in samples at half size, and common change of brightness, in levels."""

_SURE, _SURE_BY_SIZE = 4.0, 5.3
"""How many standard deviations of chance: at any size, and at the smallest."""

_WINDOWS = (8, 16)
"""Sides, in squares, of the windows in which something may change together."""


def quantile(values: Grid, share: float) -> float:
    """The value below which that share of them lies."""
    place = int(share * (values.size - 1))
    return float(np.partition(values, place, axis=None)[place])


def calm(spots: Grid) -> float:
    """What four tiles of ten stay below; a tile is 2x2 squares."""
    rows, columns = (n % 2 for n in spots.shape)
    even = np.pad(spots, ((0, rows), (0, columns)), mode="edge") if rows or columns else spots
    tiles = np.maximum(even[::2], even[1::2])
    return quantile(np.maximum(tiles[:, ::2], tiles[:, 1::2]), STILL)


def grown(mask: Mask, reach: int) -> Mask:
    """With everything up to `reach` squares away, also diagonally."""
    wide = mask.copy()
    for step in range(1, reach + 1):
        wide[step:] |= mask[:-step]
        wide[:-step] |= mask[step:]
    result = wide.copy()
    for step in range(1, reach + 1):
        result[:, step:] |= wide[:, :-step]
        result[:, :-step] |= wide[:, step:]
    return result


def density(mask: Mask, reach: int) -> Grid:
    """Share of each square's surroundings, `reach` squares each way, that is set."""
    counts = np.stack([mask, np.ones_like(mask)]).astype(np.float32)
    for axis in (1, 2):
        counts = np.swapaxes(counts, 1, axis)
        sums = counts.copy()
        for step in range(1, reach + 1):
            sums[:, step:] += counts[:, :-step]
            sums[:, :-step] += counts[:, step:]
        counts = np.swapaxes(sums, 1, axis)
    shares: Grid = counts[0] / counts[1]
    return shares


def evidence(products: npt.NDArray[np.float32], counted: Mask) -> Scales:
    """Sums over the windows of each scale: of what changes, of its weights, and of its squares.

    Args:
        products: (4 + C, rows, columns) sums over each square: of the squares of luma's gradients
            across and down, of the difference times each, and of the C planes' differences.
        counted: squares that are to be looked at.

    Returns:
        (3 K, windows down, windows across) for each of the first three scales, K = 2 + C kinds:
        motion across and down, and each plane's brightness; (3, 1, 1) for the last.
    """
    kinds = len(products) - 2
    parts = np.empty((3 * kinds, *counted.shape), np.float32)
    sums, weights = parts[:kinds], parts[kinds : 2 * kinds]
    np.multiply(products[2:], counted, out=sums)
    np.multiply(products[:2], counted, out=weights[:2])
    weights[2:] = counted * np.float32(SAMPLES)
    np.square(sums, out=parts[2 * kinds :])
    near, far = (_windows(parts, side) for side in _WINDOWS)
    return near, far, parts.sum((1, 2), keepdims=True), _outwards(sums, weights)


def least_sizes(kinds: int) -> Scales:
    """Of what may be common motion and common change of brightness, at each scale."""
    least = np.full((kinds, 1, 1), _LIFT, np.float32)
    least[:2] = _SHIFT
    return least, least, least, np.full((1, 1, 1), 2 * _SHIFT, np.float32)


def changes_together(
    found: Scales, least: Scales, shape: tuple[int, int]
) -> tuple[Mask, Mask, bool]:
    """Squares that move together with those around; that change in brightness together; and
    whether all of the frame moves.

    The sum over a window is held against what the same squares would give with random signs, so
    nothing has to be known of the noise.

    Args:
        found: `evidence`.
        least: sizes below which it is none.
        shape: rows and columns of squares.
    """
    moving, lifted = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    *windows, whole, outwards = (_hits(sums, size) for sums, size in zip(found, least, strict=True))
    for side, hits in zip(_WINDOWS, windows, strict=True):
        _mark(moving, np.logical_or.reduce(hits[:2]), side // 2)
        _mark(lifted, np.logical_or.reduce(hits[2:]), side // 2)
    lifted |= bool(whole[2:].any())
    return moving, lifted, bool(whole[:2].any() or outwards.any())


def steps(sums: npt.NDArray[np.float32]) -> tuple[Grid, Grid]:
    """The mean over each square, and the largest over 2x2 squares that it is part of.

    Args:
        sums: (C, rows, columns) of a difference over each square, for each plane.

    Returns:
        Of the plane where it is largest, without sign.
    """
    count, rows, columns = sums.shape
    tiles = np.zeros((count, rows + 1, columns + 1), np.float32)
    tiles[:, 1:-1, 1:-1] = sums[:, 1:, 1:] + sums[:, 1:, :-1] + sums[:, :-1, 1:] + sums[:, :-1, :-1]
    means = np.abs(tiles).max(0) / (4 * SAMPLES)
    along = np.maximum(means[1:], means[:-1])
    return np.abs(sums).max(0) / SAMPLES, np.maximum(along[:, 1:], along[:, :-1])


def _outwards(
    sums: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """What moves away from the middle of the frame, or towards it."""
    rows, columns = sums.shape[1:]
    y = (np.arange(rows, dtype=np.float32) / rows - 0.5)[:, None]
    x = (np.arange(columns, dtype=np.float32) - columns / 2)[None] / rows
    outwards = sums[0] * x + sums[1] * y
    weight = weights[0] * (x * x) + weights[1] * (y * y)
    whole = [outwards.sum(), weight.sum(), np.square(outwards).sum()]
    return np.array(whole, np.float32)[:, None, None]


def _hits(sums: npt.NDArray[np.float32], least: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Where a sum is neither small nor chance: (3 K, ...) sums, weights, squares to (K, ...)."""
    kinds = len(sums) // 3
    total, weights, chance = np.abs(sums[:kinds]), sums[kinds : 2 * kinds], sums[2 * kinds :]
    size, deviations = total / (weights + SAMPLES), total / (np.sqrt(chance) + 1e-6)
    hits: npt.NDArray[np.bool_] = (
        (size > least) & (deviations > _SURE) & (size * deviations > _SURE_BY_SIZE * least)
    )
    return hits


def _windows(grids: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    """Sums over windows of that side, half a side apart; the last ones reach past the edge."""
    step = side // 2
    bottom, right = (max(-n % step, 2 * step - n) for n in grids.shape[-2:])
    if bottom or right:
        grids = np.pad(grids, ((0, 0), (0, bottom), (0, right)))
    count, rows, columns = grids.shape
    sums = grids.reshape(count, rows // step, step, columns).sum(2)
    sums = sums.reshape(count, rows // step, columns // step, step).sum(3)
    sums = sums[:, 1:] + sums[:, :-1]
    windows: npt.NDArray[np.float32] = sums[:, :, 1:] + sums[:, :, :-1]
    return windows


def _mark(mask: Mask, hits: Mask, step: int) -> None:
    """Set every square of the windows that were hit."""
    for row, column in zip(*np.nonzero(hits), strict=True):
        mask[row * step : (row + 2) * step, column * step : (column + 2) * step] = True
