"""Whether a square of a frame is another exposure of a drawing, or something new.

Judged at half size, by squares of 8x8 luma samples, on four kinds of evidence that noise gives
none of:

* a mouth, a blink, a petal differ much on a small spot: the mean over 4x4 samples, the largest of
  a square, against what the shot's own noise does; a line that moves by a sample leaves the mean
  as it is, so the same is asked of what neighbouring samples differ by;
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
from torch import Tensor

from remaster.frames import CELL, PixelLayout
from remaster.squares import (
    SAMPLES,
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
from remaster.weave import Weave, may_weave, moved, registered

__all__ = [
    "FUSED",
    "LEVEL",
    "OLDEST",
    "SETTLED",
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

SETTLED = 16
"""Exposures at most in the mean that later ones are held against."""

OLDEST = 250
"""Frames after which a square is taken anew, whatever it shows: no mistake lasts longer."""

LEVEL = 32
"""Units of a small picture in a level: as fine as sums of four differences fit into int16."""

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

_STEP, _LEAST_STEP, _STEP_BY_NOISE = 0.4, 1.0, 3.0
"""Bound of the mean over a tile of 2x2 squares: 0.4 of a spot's, but no less than a level, and 3
times what four tiles of ten stay below."""

_WEAK, _REACH = 0.3, 2
"""Squares this near to one that is new are new at this share of the bound."""

_LONG, _WEAK_AFTER_LONG = 5, 2.0
"""Where nothing was new for so many exposures, a square beside a new one has to differ by so much:
what is drawn anew again and again is new beside it too; else it is the codec's noise around it."""

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

_GOES_ON, _EACH_TIME = 0.7, 1.1
"""What was found to move still does if its calmer tiles differ by so much of what they did, and a
tenth more each time: four of five pictures of a pan are spared the search."""

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

    spots: Grid
    """The largest difference of each square, in all planes."""


@dataclass(frozen=True)
class Noise:
    """Of a shot around one of its frames, in levels."""

    level: float = 0.0
    unrest: float = 0.0


def small_picture(planes: Sequence[Tensor], layout: PixelLayout) -> Tensor:
    """Planes at half size, (C + 1, 4 rows, 4 columns) int16 in units of 1/LEVEL level.

    Rows and columns of squares. Luma first (green of R'G'B'); last, what the four samples of it
    differ by that one is the mean of. Odd ends are filled with the last row or column.
    """
    height, width = planes[0].shape
    rows, columns = (-(-n // CELL) * _SIDE for n in (height, width))
    small = torch.empty(len(planes) + 1, rows, columns, dtype=torch.int16, device=planes[0].device)
    down, across = layout.chroma_step
    for target, index in zip(small, plane_order(layout)):
        step = (1, 1) if index == 0 or layout.subsampling == "rgb" else (down, across)
        part = planes[index].short()
        for axis in (0, 1):
            part = _sums_of_two(part, axis) if step[axis] == 1 else part
        bottom, right = part.shape
        units = LEVEL * step[0] * step[1] / (4 * 2 ** (layout.bit_depth - 8))
        shown = target[:bottom, :right]
        torch.mul(part, int(units), out=shown) if units >= 1 else shown.copy_(part >> 1)
        _fill(target, bottom, right)
    luma = planes[plane_order(layout)[0]].short()
    detail = _detail(luma >> (layout.bit_depth - 8) if layout.bit_depth > 8 else luma)
    bottom, right = detail.shape
    small[-1, :bottom, :right] = detail
    _fill(small[-1], bottom, right)
    return small


def _fill(plane: Tensor, bottom: int, right: int) -> None:
    """Repeat the last row and column that are there."""
    plane[bottom:, :right] = plane[bottom - 1, :right]
    plane[:, right:] = plane[:, right - 1 : right]


def _detail(plane: Tensor) -> Tensor:
    """(h, w) int16 levels to (ceil(h / 2), ceil(w / 2)) in units: 0.375 (a + b/4 - c/4 - d).

    Of four samples a b / c d; no two count alike, so a line or a dot that moves by a sample shows,
    whose mean may stay. Scaled so that noise weighs as much as in the mean.
    """
    for axis in (0, 1):
        plane = _evened(plane, axis)
    top, bottom = plane[::2], plane[1::2]
    left, right = torch.sub(bottom, top, alpha=4), torch.sub(top, bottom, alpha=4)
    return torch.sub(right[:, 1::2], left[:, ::2]).mul_(3)


def plane_order(layout: PixelLayout) -> tuple[int, ...]:
    """Which plane each of a small picture is, and the other way round."""
    return (1, 0, 2) if layout.subsampling == "rgb" else tuple(range(layout.num_planes))


def _sums_of_two(plane: Tensor, axis: int) -> Tensor:
    """Of rows (axis 0) or columns (axis 1); an odd last one counts twice."""
    plane = _evened(plane, axis)
    return plane[::2] + plane[1::2] if axis == 0 else plane[:, ::2] + plane[:, 1::2]


def _evened(plane: Tensor, axis: int) -> Tensor:
    """With its last row (axis 0) or column again where their number is odd."""
    length = plane.shape[axis]
    if length % 2 == 0:
        return plane
    return torch.cat([plane, plane.narrow(axis, length - 1, 1)], axis)


def compare(now: Tensor, before: Tensor, earlier: Tensor | None) -> PairNoise:
    """The noise between two neighbouring small pictures, and between that and the one before."""
    difference = now - before
    planes = _spots(difference)
    two = None if earlier is None else calm(_spots(now[:1] - earlier[:1])[0])
    spots = planes.max(0)
    is_cut = _share(planes[0] > _CUT_LEVEL) > _CUT_SHARE  # no mean is larger than its spot
    if is_cut:
        means = np.abs(_sums(difference[:1].float())) / SAMPLES
        is_cut = _share(means > _CUT_LEVEL) > _CUT_SHARE
    return PairNoise(calm(planes[0]), two, _unrest(spots), is_cut, spots)


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
    clipped = _clipped(difference[:-1], _MOST_NOISE)
    picture = (now[0] + before[0]).float() / 2
    return moved(evidence(_products(picture, clipped[0], _sums(clipped)), ~grown(far, 1)))


class Reference:
    """What is shown at each square, and since when; judges one small picture after the other."""

    def __init__(self) -> None:
        self._mean: Tensor | None = None
        self._is_picture_before = False
        self._exposures: Grid = np.zeros((0, 0), np.float32)
        self._looks_further = True
        self._moved = math.inf
        """What the calmer tiles differed by when a search found all new for a second time."""
        self.accepted = 0.0
        """Largest difference of a square that was held, in levels, in the last picture."""
        self.light: tuple[float, ...] = ()
        """By how many levels each plane of the last picture, a print's, was brighter than what is
        shown; zeros where its light does not pump."""

    def judge(
        self,
        small: Tensor,
        noise: Noise,
        *,
        is_cut: bool,
        step: Grid | None = None,
        shot: Callable[[], Weave | None] = lambda: None,
    ) -> Tensor:
        """(rows, columns) bool on the CPU: which squares are new in this picture.

        Args:
            step: the spots of its difference to the picture judged before, where known.
            shot: is asked for the print's weave where something seems to move or change together.
        """
        self.accepted = 0.0
        self.light = (0.0,) * (len(small) - 1)
        if self._mean is None or is_cut:
            return self._begin(small)
        difference = small - self._mean
        if step is None or not self._is_picture_before:
            step = _spots(difference).max(0)
        now = calm(step)
        over = _share(step > _bound(now, noise) * (1 + _YOUNG / self._exposures))
        if over > _MOST or (_is_unusual(now, noise) and now > _GOES_ON * self._moved):
            return self._begin(small, _EACH_TIME * self._moved)
        new, found = self._found(difference, step, noise, None)
        weave = None if found is None or not may_weave(found) else shot()
        if found is not None and weave is not None:
            left, self.light = _registered(difference[:-1], self._mean[:-1], found, weave)
            step = _spots(left).max(0)
            # The detail of a line that weaves is not what a slope makes of it.
            difference = torch.cat([left, difference[-1:]])
            new, _ = self._found(difference, step, noise, weave)
        if _share(new) > _MOST:
            self.light = (0.0,) * (len(small) - 1)
            return self._begin(small, now if self._is_picture_before else math.inf)
        self._moved = math.inf
        self.accepted = float(step[~new].max())
        self._take(difference, new)
        return torch.from_numpy(new)

    def _found(
        self, difference: Tensor, spots: Grid, noise: Noise, weave: Weave | None
    ) -> tuple[Mask, Scales | None]:
        """What is new, and the evidence where something changes together."""
        now = calm(spots)
        bound = _bound(now, noise)
        clipped = _clipped(difference[:-1], bound)
        sums = _sums(clipped)
        over = spots > max(_AT_ALL, _OVER_NOISE * _level(now, noise))
        strong, new = self._alone(spots, sums, bound, over)
        if not (self._looks_further or weave or _is_unusual(now, noise)):
            self._looks_further = True
            return new, None
        together, found = self._together(strong, spots, clipped[0], sums, over, weave)
        return new | together, found

    def _begin(self, small: Tensor, moved: float = math.inf) -> Tensor:
        """All of the picture is new."""
        self._mean, self._is_picture_before = small.clone(), True
        self._exposures = np.ones((small.shape[1] // _SIDE, small.shape[2] // _SIDE), np.float32)
        self._looks_further, self._moved = True, moved
        return torch.ones(self._exposures.shape, dtype=torch.bool)

    def _alone(
        self, spots: Grid, sums: npt.NDArray[np.float32], bound: float, over: Mask
    ) -> tuple[Mask, Mask]:
        """What differs by itself; and with it what does so beside it, and what is too old.

        `over`: where spots differ by more than noise.
        """
        bounds = bound * (1 + _YOUNG / self._exposures)
        own, tile = steps(sums)
        step = max(_STEP * bound, _LEAST_STEP) + _STEP_BY_NOISE * quantile(tile, STILL)
        strong: Mask = (spots > bounds) | ((tile > step) & (own > step / 2))
        new = strong | (self._exposures >= OLDEST)
        if strong.any():
            least = np.where(self._exposures > _LONG, _WEAK_AFTER_LONG, 0)
            new |= grown(strong, _REACH) & (spots > np.maximum(_WEAK * bounds, least))
            new |= (density(strong, _DENSE_REACH) > _DENSE) & over
        return strong, new

    def _together(
        self,
        strong: Mask,
        spots: Grid,
        luma: Tensor,
        sums: npt.NDArray[np.float32],
        over: Mask,
        weave: Weave | None,
    ) -> tuple[Mask, Scales | None]:
        """What changes together with others, and the evidence, if anything does.

        Where nothing does, the next picture is spared the search: what is this slow can wait.
        """
        assert self._mean is not None
        counted = ~grown(strong, 1) if strong.any() else ~strong
        found = evidence(_products(self._mean[0].float(), luma, sums), counted)
        least = least_sizes(len(sums) + 2) if weave is None else weave.most
        moving, lifted, all_moves = changes_together(found, least, strong.shape)
        does = all_moves or bool(moving.any() or lifted.any())
        self._looks_further = does or weave is not None
        new: Mask = lifted | (moving & over)
        return new | (spots > _AT_ALL) if all_moves else new, found if does else None

    def _take(self, difference: Tensor, new: Mask) -> None:
        assert self._mean is not None
        exposures = np.where(new, np.float32(1), self._exposures + 1)
        self._exposures = exposures
        self._is_picture_before = False
        young = np.flatnonzero((exposures <= SETTLED).any(1))
        if not young.size:
            return
        rows = slice(int(young[0]), int(young[-1]) + 1)
        exposures = exposures[rows]
        weights = np.where(exposures <= SETTLED, 1 / exposures, np.float32(0))
        along = torch.from_numpy(weights.repeat(_SIDE, 1)).to(difference.device)[:, None]
        step = _blocks(difference)[:, rows].float().mul_(along).round_()
        _blocks(self._mean)[:, rows].add_(step.short())


def _level(now: float, noise: Noise) -> float:
    """Of the noise in a picture whose calmer tiles differ by `now`."""
    return min(max(now, noise.level), 2 * noise.level)


def _bound(now: float, noise: Noise) -> float:
    """What a spot of such a picture stays below without a change."""
    unrest = min(_BY_UNREST * noise.unrest, _MOST_UNREST)
    return _BASE + _BY_NOISE * math.sqrt(_level(now, noise)) + unrest


def _is_unusual(now: float, noise: Noise) -> bool:
    return now > _UNUSUAL * noise.level + _AT_ALL


def _clipped(difference: Tensor, bound: float) -> Tensor:
    """A difference in units, to at most so many levels."""
    most = round(bound * LEVEL)
    return difference.clamp(-most, most)


def _registered(
    difference: Tensor, mean: Tensor, found: Scales, weave: Weave
) -> tuple[Tensor, tuple[float, ...]]:
    """As `registered`, in the units of small pictures; the light in levels."""
    levels = difference.float() / LEVEL, mean.float() / LEVEL
    left, light = registered(*levels, found, weave)
    return left.mul_(LEVEL).round_().short(), light


def _spots(difference: Tensor) -> npt.NDArray[np.float32]:
    """(C, h, w) to (C, rows, columns), in levels.

    The largest mean over 4x4 luma samples in each square.
    """
    rows = difference[:, 1:] + difference[:, :-1]
    fours = torch.zeros_like(difference)
    torch.add(rows[:, :, 1:], rows[:, :, :-1], out=fours[:, :-1, :-1])
    along = _blocks(fours.abs_()).amax(-2).cpu().numpy()
    pairs = np.maximum(along[:, :, ::2], along[:, :, 1::2])
    return np.maximum(pairs[:, :, ::2], pairs[:, :, 1::2]) * np.float32(1 / (4 * LEVEL))


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


def _slopes(mean: Tensor, difference: Tensor) -> npt.NDArray[np.float32]:
    """Two (h, w) float32 pictures in units to (4, rows, columns), in levels.

    Sums over each square: of the squares of the first one's gradients across and down, and of the
    second one times each.
    """
    parts = torch.empty(4, *mean.shape, device=mean.device)
    parts[0, :, 0], parts[0, :, -1], parts[1, 0], parts[1, -1] = 0, 0, 0, 0
    torch.sub(mean[:, 2:], mean[:, :-2], out=parts[0, :, 1:-1])
    torch.sub(mean[2:], mean[:-2], out=parts[1, 1:-1])
    torch.mul(parts[:2], difference, out=parts[2:])
    parts[:2].square_()
    sums = _sums(parts)
    sums[:2] /= 4 * LEVEL
    sums[2:] /= 2 * LEVEL
    return sums


def _products(
    picture: Tensor, luma: Tensor, sums: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """What `squares.evidence` looks at: of a luma picture, and a difference and its sums."""
    return np.concatenate([_slopes(picture, luma.float()), sums])


def _sums(planes: Tensor) -> npt.NDArray[np.float32]:
    """(C, h, w) to (C, rows, columns): over each square, in levels."""
    first, second, third, last = _blocks(planes).unbind(-2)
    along = (first + second).add_(third + last).cpu().numpy()
    pairs = along[:, :, ::2] + along[:, :, 1::2]
    return (pairs[:, :, ::2] + pairs[:, :, 1::2]) * np.float32(1 / LEVEL)


def _share(mask: Mask) -> float:
    return int(np.count_nonzero(mask)) / mask.size
