"""Whether a square of a frame is another exposure of a drawing, or something new.

Judged at half size, by squares of 8x8 luma samples, on four kinds of evidence that noise gives
none of:

* a mouth, a blink, a petal differ much on a small spot: the mean over 4x4 samples, the largest of
  a square, against what the shot's own noise does;
* a flat patch that takes another tone differs little on a spot, but all over a tile of 2x2 squares;
* a pan or a zoom of a fraction of a pixel moves every line a little the same way: the difference
  correlates with the picture's gradient, over windows of many squares and over the frame;
* a fade lifts or sinks many squares together.

Every exposure is compared with the mean of the drawing's first ones, never only with the last.
All differences are in levels of 1/255. Constants were fitted on drawn shots with exact truth
through H.264, MPEG-2 and grain (`benchmarks/reuse.py` measures them).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from remaster.frames import CELL, PixelLayout
from remaster.squares import (
    STILL,
    Grid,
    Mask,
    Scales,
    calm,
    changes_together,
    density,
    evidence,
    grown,
    least_sizes,
    quantile,
    steps,
)
from remaster.weave import Weave, moved, registered

__all__ = [
    "FUSED",
    "Noise",
    "PairNoise",
    "Reference",
    "common_motion",
    "compare",
    "plane_order",
    "shot_noise",
    "small_picture",
]

FUSED = 48
"""Exposures at most that a drawing is the mean of."""

OLDEST = 250
"""Frames after which a square is taken anew, whatever it shows: no mistake lasts longer."""

_SIDE = CELL // 2
"""Samples of a square's side at half size."""

_MOST_NOISE = 6.5
"""A difference that four tiles of ten exceed is no noise but motion."""

_MOVED, _AROUND = 4.0, 0.5
"""A spot that differs by more has moved; unrest is what that share of the squares around it stay
below."""

_BASE, _BY_NOISE, _BY_UNREST, _MOST_UNREST, _YOUNG = 1.5, 4.0, 6.0, 2.25, 0.25
"""Bound of a spot: 1.5 + 4 sqrt(noise) + 6 unrest (at most 2.25), and a share of 0.25/n more for a
drawing's n+1st exposure, since the mean it is held against is that much noisier."""

_STEP, _STEP_BY_NOISE = 0.4, 3.0
"""Bound of the mean over a tile of 2x2 squares: 0.4 of a spot's, and 3 times what four tiles of
ten stay below."""

_WEAK, _REACH = 0.3, 2
"""Squares this near to one that is new are new at this share of the bound."""

_DENSE, _DENSE_REACH = 0.4, 2
"""Where so large a share of the 5x5 squares around differs, things move."""

_AT_ALL = 0.1
"""A spot that differs by less does not differ."""

_UNUSUAL = 1.25
"""What the calmer tiles differ by in a picture that is like the others, over the noise."""

_OVER_NOISE = 2.5
"""Where things move, a spot that differs by less than so many noise levels stays."""

_MOST = 0.5
"""When more of a frame is new than this, all of it is."""

_CUT_SHARE, _CUT_LEVEL = 0.7, 6.0
"""A cut changes the mean of so many squares by so many levels; grain leaves means alone."""


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
    height, width = planes[0].shape
    size = tuple(-(-n // CELL) * _SIDE for n in (height, width))
    level = 1 / 2 ** (layout.bit_depth - 8)
    down, across = layout.chroma_step
    parts = []
    for index in plane_order(layout):
        step = (1, 1) if index == 0 or layout.subsampling == "rgb" else (down, across)
        part = _halved(_halved(planes[index].float(), 0, 2 // step[0]), 1, 2 // step[1])
        rows, columns = size[0] - part.shape[0], size[1] - part.shape[1]
        if rows or columns:
            part = F.pad(part[None, None], (0, columns, 0, rows), mode="replicate")[0, 0]
        parts.append(part)
    small = torch.stack(parts)
    return small if level == 1 else small.mul_(level)


def plane_order(layout: PixelLayout) -> tuple[int, ...]:
    """Which plane each of a small picture is, and the other way round."""
    return (1, 0, 2) if layout.subsampling == "rgb" else tuple(range(layout.num_planes))


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
    difference = now - before
    planes = _spots(difference)
    two = None if earlier is None else calm(_spots(now[:1] - earlier[:1])[0])
    spots = planes.max(0)
    is_cut = float((np.abs(_means(difference[0])) > _CUT_LEVEL).mean()) > _CUT_SHARE
    return PairNoise(one=calm(planes[0]), two=two, unrest=_unrest(spots), is_cut=is_cut)


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


def common_motion(now: Tensor, before: Tensor) -> Scales:
    """What moves or changes brightness together between two neighbouring small pictures."""
    difference = now - before
    far = _spots(difference).max(0) > _MOST_NOISE
    products = _products((now[0] + before[0]) / 2, difference.clamp_(-_MOST_NOISE, _MOST_NOISE))
    return moved(evidence(products, ~grown(far, 1)))


class Reference:
    """What is shown at each square, and since when; judges one small picture after the other."""

    def __init__(self) -> None:
        self._mean: Tensor | None = None
        self._exposures: Grid = np.zeros((0, 0), np.float32)
        self._looks_further = True
        self.accepted = 0.0
        """Largest difference of a square that was held, in levels, in the last picture."""

        self.light: tuple[float, ...] = ()
        """By how many levels all of each plane was brighter than what is shown, in the last picture
        of a print whose light pumps."""

    def judge(
        self,
        small: Tensor,
        noise: Noise,
        *,
        is_cut: bool,
        shot: Callable[[], Weave | None] = lambda: None,
    ) -> Tensor:
        """(rows, columns) bool on the CPU: which squares are new in this picture.

        `shot` is asked for the print's weave where something seems to move or to change together.
        """
        self.accepted = 0.0
        self.light = (0.0,) * len(small)
        if self._mean is None or is_cut:
            self._mean = small.clone()
            shape = small.shape[1] // _SIDE, small.shape[2] // _SIDE
            self._exposures = np.ones(shape, np.float32)
            self._looks_further = True
            return torch.ones(shape, dtype=torch.bool)
        difference = small - self._mean
        new, spots, found = self._found(difference, noise, None)
        weave = shot() if found is not None else None
        if found is not None and weave is not None:
            difference, self.light = registered(difference, self._mean, found, weave)
            new, spots, _ = self._found(difference, noise, weave)
        if new.mean() > _MOST:
            new = np.ones_like(new)
            self.light = (0.0,) * len(small)
            difference = small - self._mean
        if not new.all():
            self.accepted = float(spots[~new].max())
        self._take(difference, new)
        return torch.from_numpy(new)

    def _found(
        self, difference: Tensor, noise: Noise, weave: Weave | None
    ) -> tuple[Mask, Grid, Scales | None]:
        """What is new, how much each square differs, and what changes together, if anything."""
        spots = _spots(difference).max(0)
        now = calm(spots)
        level = min(max(now, noise.level), 2 * noise.level)
        bound = _BASE + _BY_NOISE * math.sqrt(level) + min(_BY_UNREST * noise.unrest, _MOST_UNREST)
        clipped = difference.clamp(-bound, bound)
        over = spots > max(_AT_ALL, _OVER_NOISE * level)
        strong, new = self._alone(spots, _sums(clipped), bound, over)
        if not (self._looks_further or weave or now > _UNUSUAL * noise.level + _AT_ALL):
            self._looks_further = True
            return new, spots, None
        together, found = self._together(strong, spots, clipped, over, weave)
        return new | together, spots, found

    def _alone(
        self, spots: Grid, sums: npt.NDArray[np.float32], bound: float, over: Mask
    ) -> tuple[Mask, Mask]:
        """What differs by itself; and with it what does so beside it, and what is too old.

        `over`: where spots differ by more than noise.
        """
        bounds = bound * (1 + _YOUNG / self._exposures)
        own, tile = steps(sums)
        step = _STEP * bound + _STEP_BY_NOISE * quantile(tile, STILL)
        strong: Mask = (spots > bounds) | ((tile > step) & (own > step / 2))
        new = strong | (self._exposures >= OLDEST)
        if strong.any():
            new |= grown(strong, _REACH) & (spots > _WEAK * bounds)
            new |= (density(strong, _DENSE_REACH) > _DENSE) & over
        return strong, new

    def _together(
        self, strong: Mask, spots: Grid, clipped: Tensor, over: Mask, weave: Weave | None
    ) -> tuple[Mask, Scales | None]:
        """What changes together with others, and the evidence, if anything does.

        Where nothing does, the next picture is spared the search: what is this slow can wait.
        """
        assert self._mean is not None
        counted = ~grown(strong, 1) if strong.any() else ~strong
        found = evidence(_products(self._mean[0], clipped), counted)
        least = least_sizes(len(clipped) + 2) if weave is None else weave.most
        moving, lifted, all_moves = changes_together(found, least, strong.shape)
        does = all_moves or bool(moving.any() or lifted.any())
        self._looks_further = does or weave is not None
        new: Mask = lifted | (moving & over)
        return new | (spots > _AT_ALL) if all_moves else new, found if does else None

    def _take(self, difference: Tensor, new: Mask) -> None:
        assert self._mean is not None
        exposures = np.where(new, np.float32(1), self._exposures + 1)
        self._exposures = exposures
        weights = np.where(exposures <= FUSED, 1 / exposures, np.float32(0))
        if not weights.any():
            return
        along = torch.from_numpy(weights.repeat(_SIDE, 1)).to(difference.device)[:, None]
        _blocks(self._mean).addcmul_(_blocks(difference), along)


def _spots(difference: Tensor) -> npt.NDArray[np.float32]:
    """(C, h, w) to (C, rows, columns): the largest mean over 4x4 luma samples in each square."""
    rows = difference[:, 1:] + difference[:, :-1]
    means = torch.zeros_like(difference)
    torch.add(rows[:, :, 1:], rows[:, :, :-1], out=means[:, :-1, :-1])
    spots = _blocks(means.abs_()).amax(-2).unflatten(-1, (-1, _SIDE)).amax(-1)
    found: npt.NDArray[np.float32] = spots.mul_(0.25).cpu().numpy()
    return found


def _means(plane: Tensor) -> Grid:
    """(h, w) to (rows, columns)."""
    means: Grid = _blocks(plane).mean(-2).unflatten(-1, (-1, _SIDE)).mean(-1).cpu().numpy()
    return means


def _blocks(x: Tensor) -> Tensor:
    """(..., h, w) to (..., rows, samples of a square's side, w)."""
    return x.unflatten(-2, (-1, _SIDE))


def _unrest(spots: Grid) -> float:
    moved = spots > _MOVED
    if not moved.any():
        return quantile(spots, 0.95)
    near = grown(moved, 1)
    rest, around = spots[~near], spots[grown(near, 2) & ~near]
    unrest = quantile(rest, 0.95) if rest.size > 20 else 0.0
    return max(unrest, quantile(around, _AROUND)) if around.size >= 12 else unrest


def _products(mean: Tensor, clipped: Tensor) -> npt.NDArray[np.float32]:
    """(h, w) of luma and a (C, h, w) difference to (4 + C, rows, columns).

    What `changes_together` looks at.
    """
    parts = clipped.new_zeros(4 + len(clipped), *mean.shape)
    torch.sub(mean[:, 2:], mean[:, :-2], out=parts[0, :, 1:-1])
    torch.sub(mean[2:], mean[:-2], out=parts[1, 1:-1])
    parts[:2] *= 0.5
    torch.mul(parts[:2], clipped[0], out=parts[2:4])
    parts[:2].square_()
    parts[4:] = clipped
    return _sums(parts)


def _sums(planes: Tensor) -> npt.NDArray[np.float32]:
    """(C, h, w) to (C, rows, columns): over each square."""
    sums = _blocks(planes).sum(-2).unflatten(-1, (-1, _SIDE)).sum(-1)
    found: npt.NDArray[np.float32] = sums.cpu().numpy()
    return found
