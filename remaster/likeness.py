"""Whether a square of a frame is another exposure of a drawing, or something new.

Judged at half size, by squares of 8x8 luma samples, on three kinds of evidence that noise gives
none of:

* a mouth, a blink, a petal differ much on a small spot: the mean over 4x4 samples, the largest of
  a square, against what the shot's own noise does;
* a pan or a zoom of a fraction of a pixel moves every line a little the same way: the difference
  correlates with the picture's gradient, over windows of many squares and over the frame;
* a fade lifts or sinks many squares together.

Every exposure is compared with the mean of the drawing's first ones, never only with the last.
All differences are in levels of 1/255. Constants were fitted on drawn shots with exact truth
through H.264, MPEG-2 and grain (`benchmarks/reuse.py` measures them).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from remaster.frames import PixelLayout

__all__ = [
    "CELL",
    "FUSED",
    "Noise",
    "PairNoise",
    "Reference",
    "compare",
    "shot_noise",
    "small_picture",
]

CELL = 8
"""Side, in luma samples, of the squares that are judged."""

FUSED = 12
"""Exposures at most that a drawing is the mean of."""

OLDEST = 250
"""Frames after which a square is taken anew, whatever it shows: no mistake lasts longer."""

_SIDE = CELL // 2
"""Samples of a square's side at half size."""

_STILL = 0.4
"""Share of the tiles of 16x16 that hold noise alone in most frames."""

_MOST_NOISE = 4.5
"""A difference that four tiles of ten exceed is no noise but motion."""

_MOVED = 4.0
"""A spot that differs by more has moved, for the sake of looking at what lies around it."""

_BASE, _BY_NOISE, _BY_UNREST, _MOST_UNREST, _YOUNG = 1.0, 3.0, 4.5, 2.25, 0.4
"""Bound of a spot: base + 3 sqrt(noise) + 4.5 unrest, larger by 0.4 for a drawing's second
exposure, by 0.4/n for its n+1st, since the mean it is held against is that much noisier."""

_WEAK, _REACH = 0.3, 2
"""Squares this near to one that is new are new at this share of the bound."""

_DENSE, _DENSE_REACH = 0.4, 2
"""Where so large a share of the 5x5 squares around is new, whatever differs at all is new."""

_AT_ALL = 0.1
"""A spot that differs by less does not differ."""

_SHIFT, _LIFT = 0.015, 0.6
"""Common motion, in samples at half size, and common change of brightness, in levels."""

_SURE, _SURE_BY_SIZE = 4.0, 5.3
"""How many standard deviations of chance: at any size, and at the smallest."""

_WINDOWS = (8, 16)
"""Sides, in squares, of the windows in which something may move together."""

_MOST = 0.5
"""When more of a frame is new than this, all of it is."""

_CUT_SHARE, _CUT_LEVEL = 0.7, 8.0


@dataclass(frozen=True)
class PairNoise:
    """What two neighbouring frames of one shot differ by."""

    one: float
    """Of the calmer tiles, one frame apart, in luma."""

    two: float | None
    """The same two frames apart; None at the beginning of a shot."""

    unrest: float
    """Of the squares around what moved: what a codec does where it is busy."""

    is_cut: bool


@dataclass(frozen=True)
class Noise:
    """Of a shot around one of its frames, in levels."""

    level: float = 0.0
    unrest: float = 0.0


def small_picture(planes: Sequence[Tensor], layout: PixelLayout) -> Tensor:
    """Planes at half size, (C, 4 rows, 4 columns) float32 in levels; rows and columns of squares.

    Luma first (green of R'G'B'). Odd ends are filled with the last row or column.
    """
    order = (1, 0, 2) if layout.subsampling == "rgb" else range(len(planes))
    height, width = planes[0].shape
    size = tuple(-(-n // CELL) * _SIDE for n in (height, width))
    level = 1 / 2 ** (layout.bit_depth - 8)
    down, across = layout.chroma_step
    parts = []
    for index in order:
        step = (1, 1) if index == 0 or layout.subsampling == "rgb" else (down, across)
        part = _halved(_halved(planes[index].float(), 0, 2 // step[0]), 1, 2 // step[1])
        rows, columns = size[0] - part.shape[0], size[1] - part.shape[1]
        if rows or columns:
            part = F.pad(part[None, None], (0, columns, 0, rows), mode="replicate")[0, 0]
        parts.append(part)
    small = torch.stack(parts)
    return small if level == 1 else small.mul_(level)


def _halved(plane: Tensor, axis: int, factor: int) -> Tensor:
    """Means of two rows (axis 0) or columns (axis 1), if the factor is 2."""
    if factor == 1:
        return plane
    length = plane.shape[axis]
    if length % 2:
        plane = torch.cat([plane, plane.narrow(axis, length - 1, 1)], axis)
    first, second = (plane[i::2] if axis == 0 else plane[:, i::2] for i in (0, 1))
    return (first + second).mul_(0.5)


def compare(now: Tensor, before: Tensor, earlier: Tensor | None) -> PairNoise:
    """The noise between two neighbouring small pictures, and between that and the one before."""
    planes = _spots(now - before).cpu()
    spots = planes.amax(0)
    return PairNoise(
        one=_calm(planes[0]),
        two=None if earlier is None else _calm(_spots(now[:1] - earlier[:1])[0].cpu()),
        unrest=_unrest(spots),
        is_cut=float((spots > _CUT_LEVEL).float().mean()) > _CUT_SHARE,
    )


def shot_noise(pairs: Sequence[PairNoise]) -> Noise:
    """The noise of a shot from pairs of its frames, without what steady motion adds.

    Independent noise is the same one and two frames apart, motion twice as large: extrapolated to
    no frame apart, motion is gone.
    """
    if not pairs:
        return Noise()
    levels = []
    for i, pair in enumerate(pairs):
        if pair.two is not None and i > 0:
            one = (pair.one**2 + pairs[i - 1].one ** 2) / 2
            level = math.sqrt(max(4 * one - pair.two**2, 0) / 3)
            levels.append(level if level <= _MOST_NOISE else 0.0)
    middle = sorted(levels)[len(levels) // 2] if levels else 0.0
    return Noise(middle, max(pair.unrest for pair in pairs))


class Reference:
    """What is shown at each square, and since when; judges one small picture after the other."""

    def __init__(self) -> None:
        self._mean: Tensor | None = None
        self._gradients: tuple[Tensor, Tensor] | None = None
        self._exposures = torch.zeros(0)
        self.accepted = 0.0
        """Largest difference of a square that was held, in levels, in the last picture."""

    def judge(self, small: Tensor, noise: Noise, *, is_cut: bool) -> Tensor:
        """(rows, columns) bool on the CPU: which squares are new in this picture."""
        rows, columns = small.shape[1] // _SIDE, small.shape[2] // _SIDE
        self.accepted = 0.0
        if self._mean is None or is_cut:
            self._mean = small.clone()
            self._exposures = torch.ones(rows, columns)
            return torch.ones(rows, columns, dtype=torch.bool)
        difference = small - self._mean
        spots = _spots(difference).amax(0)
        now = _calm(spots.cpu())
        level = min(max(now, noise.level), 2 * noise.level)
        bound = _BASE + _BY_NOISE * math.sqrt(level) + min(_BY_UNREST * noise.unrest, _MOST_UNREST)
        maps = torch.stack([spots, *_products(self._mean[0], difference[0], bound)]).cpu()
        new = self._new(maps, bound)
        if new.any():
            self.accepted = float(maps[0][~new].max()) if not new.all() else 0.0
        else:
            self.accepted = float(maps[0].max())
        self._take(difference, new)
        return new

    def _new(self, maps: Tensor, bound: float) -> Tensor:
        spots, products = maps[0], maps[1:]
        bounds = bound * (1 + _YOUNG / self._exposures)
        strong = spots > bounds
        some = bool(strong.any())
        moving, lifted = _together(products, ~_grown(strong, 1) if some else ~strong)
        new = strong | lifted | (self._exposures >= OLDEST)
        if some:
            new |= _grown(strong, _REACH) & (spots > _WEAK * bounds)
            moving |= _density(strong, _DENSE_REACH) > _DENSE
        new |= moving & (spots > _AT_ALL)
        if float(new.float().mean()) > _MOST:
            new = torch.ones_like(new)
        return new

    def _take(self, difference: Tensor, new: Tensor) -> None:
        assert self._mean is not None
        self._exposures = torch.where(new, 1.0, self._exposures + 1)
        weights = torch.where(self._exposures <= FUSED, 1 / self._exposures, 0.0)
        if bool((weights == 0).all()):
            return
        along = weights.to(difference.device).repeat_interleave(_SIDE, 1)[:, None]
        _blocks(self._mean, _SIDE).addcmul_(_blocks(difference, _SIDE), along)


def _spots(difference: Tensor) -> Tensor:
    """(C, h, w) to (C, rows, columns): the largest mean over 4x4 luma samples in each square."""
    rows = difference[:, 1:] + difference[:, :-1]
    means = F.pad(rows[:, :, 1:] + rows[:, :, :-1], (0, 1, 0, 1)).abs_()
    return _blocks(means, _SIDE).amax(-2).unflatten(-1, (-1, _SIDE)).amax(-1) * 0.25


def _blocks(x: Tensor, side: int) -> Tensor:
    """(..., h, w) to (..., h / side, side, w)."""
    return x.unflatten(-2, (-1, side))


def _sums(x: Tensor, side: int) -> Tensor:
    """(..., h, w) to sums over squares of that side."""
    return _blocks(x, side).sum(-2).unflatten(-1, (-1, side)).sum(-1)


def _calm(spots: Tensor) -> float:
    """What four tiles of ten stay below; a tile is 2x2 squares."""
    rows, columns = (n % 2 for n in spots.shape)
    even = F.pad(spots, (0, columns, 0, rows))
    tiles = torch.maximum(even[::2], even[1::2])
    tiles = torch.maximum(tiles[:, ::2], tiles[:, 1::2]).flatten()
    return float(tiles.kthvalue(int(_STILL * (len(tiles) - 1)) + 1).values)


def _unrest(spots: Tensor) -> float:
    moved = spots > _MOVED
    near = _grown(moved, 1)
    rest, around = spots[~near], spots[_grown(near, 2) & ~near]
    unrest = 0.0
    if len(rest) > 20:
        unrest = _quantile(rest, 0.95)
    if len(around) >= 12:
        unrest = max(unrest, _quantile(around, 0.75))
    return unrest


def _quantile(values: Tensor, share: float) -> float:
    return float(values.kthvalue(int(share * (len(values) - 1)) + 1).values)


def _products(mean: Tensor, difference: Tensor, bound: float) -> list[Tensor]:
    """Per square: sums of the difference times the gradients and alone, and the gradients' squares.

    (rows, columns) each: across, down, difference, across², down².
    """
    across, down = torch.zeros_like(mean), torch.zeros_like(mean)
    torch.sub(mean[:, 2:], mean[:, :-2], out=across[:, 1:-1]).mul_(0.5)
    torch.sub(mean[2:], mean[:-2], out=down[1:-1]).mul_(0.5)
    d = difference.clamp(-bound, bound)
    return list(_sums(torch.stack([across * d, down * d, d, across**2, down**2]), _SIDE))


def _together(products: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Squares that move together with those around, and that change in brightness together.

    The sum over a window is held against what the same squares would give with random signs, so
    nothing has to be known of the noise.
    """
    products = products * counted
    sums, squares = products[:3], torch.cat([products[3:], counted[None] * float(_SIDE**2)])
    moving, lifted = torch.zeros_like(counted), torch.zeros_like(counted)
    least = torch.tensor([_SHIFT, _SHIFT, _LIFT])[:, None, None]
    everything = torch.cat([sums, squares, sums * sums])
    for side in _WINDOWS:
        windows = _windows(everything, side)
        hits = _hits(windows[:3], windows[3:6], windows[6:], least)
        moving |= _filled(hits[0] | hits[1], side // 2, counted)
        lifted |= _filled(hits[2], side // 2, counted)
    rows, columns = counted.shape
    y = (torch.arange(rows) / rows - 0.5)[:, None]
    x = (torch.arange(columns) - columns / 2)[None] / rows
    zoom, weight = sums[0] * x + sums[1] * y, squares[0] * x * x + squares[1] * y * y
    sums, squares = torch.cat([sums, zoom[None]]), torch.cat([squares, weight[None]])
    whole, weights, chance = (v.sum((1, 2), keepdim=True) for v in (sums, squares, sums * sums))
    hits = _hits(whole, weights, chance, torch.cat([least, 2 * least[:1]])).flatten()
    return moving | hits[0] | hits[1] | hits[3], lifted | hits[2]


def _hits(sums: Tensor, squares: Tensor, chance: Tensor, least: Tensor) -> Tensor:
    size, deviations = sums.abs() / (squares + _SIDE**2), sums.abs() / (chance.sqrt() + 1e-6)
    sure = (deviations > _SURE) & (size * deviations > _SURE_BY_SIZE * least)
    return (size > least) & sure


def _windows(x: Tensor, side: int) -> Tensor:
    """Sums over windows of that side, half a side apart; the last ones reach past the edge."""
    step = side // 2
    bottom, right = (max(-n % step, 2 * step - n) for n in x.shape[-2:])
    sums = _sums(F.pad(x, (0, right, 0, bottom)), step)
    sums = sums[..., 1:, :] + sums[..., :-1, :]
    return sums[..., 1:] + sums[..., :-1]


def _filled(hits: Tensor, step: int, like: Tensor) -> Tensor:
    """Every square of the windows that were hit."""
    if not bool(hits.any()):
        return torch.zeros_like(like)
    blocks = F.pad(hits, (1, 1, 1, 1))
    blocks = blocks[1:] | blocks[:-1]  # a window covers two steps each way
    blocks = blocks[:, 1:] | blocks[:, :-1]
    fine = blocks.repeat_interleave(step, 0).repeat_interleave(step, 1)
    return fine[: like.shape[0], : like.shape[1]]


def _grown(mask: Tensor, reach: int) -> Tensor:
    """With everything up to `reach` squares away, also diagonally."""
    for axis in (0, 1):
        grown = mask.clone()
        for step in range(1, reach + 1):
            length = mask.shape[axis] - step
            if length > 0:
                grown.narrow(axis, step, length).logical_or_(mask.narrow(axis, 0, length))
                grown.narrow(axis, 0, length).logical_or_(mask.narrow(axis, step, length))
        mask = grown
    return mask


def _density(mask: Tensor, reach: int) -> Tensor:
    """Share of each place's surroundings, `reach` squares each way, that is set."""
    counts = torch.stack([mask.float(), torch.ones(mask.shape)])
    for axis in (1, 2):
        sums = counts.clone()
        for step in range(1, reach + 1):
            length = counts.shape[axis] - step
            if length > 0:
                sums.narrow(axis, step, length).add_(counts.narrow(axis, 0, length))
                sums.narrow(axis, 0, length).add_(counts.narrow(axis, step, length))
        counts = sums
    return counts[0] / counts[1]
