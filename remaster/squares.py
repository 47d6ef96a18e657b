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
    "changes_most",
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

MOST_RENEWED = 0.45
"""When more of a picture than this is computed anew, all of it is, and as fast: a pixel of a square
takes twice the time of one of a whole frame."""

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
    for _ in spots.shape:
        even = np.concatenate([spots, spots[-1:]]) if len(spots) % 2 else spots
        spots = np.maximum(even[::2], even[1::2]).T
    return quantile(spots, STILL)


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


def changes_most(new: Mask) -> bool:
    """Whether so many squares are new, with those around, that all of a picture is computed."""
    return float(grown(new, 1).mean()) > MOST_RENEWED


def density(mask: Mask, reach: int) -> Grid:
    """Share of each square's surroundings, `reach` squares each way, that is set."""
    counts = _around(_around(mask.astype(np.float32), reach).T, reach).T
    rows, columns = (_around(np.ones((n, 1), np.float32), reach) for n in mask.shape)
    shares: Grid = counts / (rows * columns.T)
    return shares


def _around(grid: Grid, reach: int) -> Grid:
    """Sums of every row and those up to `reach` away."""
    sums = grid.copy()
    for step in range(1, reach + 1):
        sums[step:] += grid[:-step]
        sums[:-step] += grid[step:]
    return sums


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
    rows, columns = counted.shape
    whole_blocks = (-(-n // _WINDOWS[-1]) * _WINDOWS[-1] for n in counted.shape)
    padded = np.zeros((3 * kinds, *whole_blocks), np.float32)
    parts = padded[:, :rows, :columns]
    sums, weights = parts[:kinds], parts[kinds : 2 * kinds]
    np.multiply(products[2:], counted, out=sums)
    np.multiply(products[:2], counted, out=weights[:2])
    weights[2:] = counted * np.float32(SAMPLES)
    np.square(sums, out=parts[2 * kinds :])
    blocks, block, windows = padded, 1, []
    for side in _WINDOWS:
        while block < side // 2:
            blocks, block = _fours(blocks), 2 * block
        windows.append(_windows(blocks))
    return *windows, blocks.sum((1, 2), keepdims=True), _outwards(sums, weights)


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
    pairs = sums[:, 1:] + sums[:, :-1]
    np.add(pairs[:, :, 1:], pairs[:, :, :-1], out=tiles[:, 1:-1, 1:-1])
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


def _fours(grids: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Sums of 2x2."""
    pairs = grids[:, ::2] + grids[:, 1::2]
    fours: npt.NDArray[np.float32] = pairs[:, :, ::2] + pairs[:, :, 1::2]
    return fours


def _windows(blocks: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Sums over windows of 2x2 blocks, one block apart."""
    sums = blocks[:, 1:] + blocks[:, :-1]
    windows: npt.NDArray[np.float32] = sums[:, :, 1:] + sums[:, :, :-1]
    return windows


def _mark(mask: Mask, hits: Mask, step: int) -> None:
    """Set every square of the windows that were hit."""
    for row, column in zip(*np.nonzero(hits), strict=True):
        mask[row * step : (row + 2) * step, column * step : (column + 2) * step] = True
