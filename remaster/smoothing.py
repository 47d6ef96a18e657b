"""Less noise and flicker in what does change: every picture averaged with its neighbours in time.

Works at the source's size, before the network, on two frames each side. A neighbour counts where
it differs from the picture by no more than noise does, so what moved keeps its own samples. What
did not change keeps those of the frame before, bit for bit: a drawing that is held is one
neighbour, however many frames show it.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from remaster.frames import CELL, Frame, PixelLayout

__all__ = ["REACH", "smoothed"]

REACH = 2
"""Frames each side that a frame is averaged with: so many are read ahead."""

_POINT = 2
"""Luma samples across a point, the finest place that has a weight of its own: where 4:2:0 has one
chroma sample."""

_POINTS = CELL // _POINT

_QUIET = 0.4
"""Share of the cells in whose difference there is noise alone."""

_IN_SPACE = 1.6
"""Noise in time is at most so many times that in space: drawn clips give 1.0 (grain) to 1.7
(through x264 and MPEG-2). Without the bound, what moves passes for noise where all of it moves."""

_ROUNDING = 0.4
"""Levels of noise that any clip has."""

_BIAS = 4.0 / 36
"""What a difference of one sign weighs beside one of changing signs, per sample it is taken from:
noise has little of it, drift and motion much."""

_SURE, _NEVER = 1.5, 3.0
"""Squared difference over what noise makes: a neighbour counts in full up to the one and not at
all from the other on."""

_FURTHEST = 2.0
"""No neighbour pulls a sample by more than so many noise levels."""

_CUT, _CUT_LEAST, _ALIKE = 24.0, 3.0, 0.6
"""See `is_cut`: levels, levels, correlation."""


@dataclass(frozen=True, eq=False)
class _Match:
    """Where two pictures show the same."""

    weights: Tensor
    """(points down, points across), 0 to 1."""

    differences: tuple[Tensor, ...]
    """Later less earlier, of the padded planes, bounded by `_FURTHEST`."""


@dataclass(frozen=True, eq=False)
class _Exposure:
    """One frame and how it stands to the two before it."""

    frame: Frame
    planes: tuple[Tensor, ...]
    """float32, padded to whole points."""

    changed: Tensor | None
    """(points down, points across) bool; None when all may have."""

    is_held: bool
    """Nothing changed."""

    is_joined: Tensor
    """() float: 0 after a cut, else 1."""

    bounds: Tensor
    """(planes,): the squared difference of two such pictures is at most this by noise alone."""

    step: Tensor
    """(planes,): the squared difference to the frame before that is noise; inf when held."""

    to_first: _Match | None
    """Against the frame before; None at the start."""

    to_second: _Match | None
    """Against the frame before that."""


def smoothed(frames: Iterable[Frame], strength: float, layout: PixelLayout) -> Iterator[Frame]:
    """The same frames with less noise where they change: as many, at the same times.

    What a cell becomes depends on the frame in which it last changed and on the two frames each
    side of that one, and on nothing else. Nothing crosses a cut.

    Args:
        frames: in order of time, of one size and on one device; `changed` says how each differs
            from the one before it.
        strength: 0 to 1, the share of the way to the average of all that matches. 0 gives the very
            frames.
        layout: of the frames' planes.

    Yields:
        Planes are float32 code values where a frame was smoothed, the frame's own where nothing
        matched, and those of the frame yielded before where nothing changed.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is 0 to 1, not {strength}")
    if not strength:
        yield from frames
        return
    exposures = _exposures(frames, layout)
    before: deque[_Exposure] = deque(maxlen=REACH)
    after = deque(itertools.islice(exposures, REACH + 1))
    last: tuple[Tensor, ...] = ()
    while after:
        now = after.popleft()
        if not now.is_held:
            last = _averaged(now, tuple(before), tuple(after), strength, last)
        yield replace(now.frame, planes=last)
        before.append(now)
        after.extend(itertools.islice(exposures, 1))


def is_cut(earlier: Sequence[Tensor], later: Sequence[Tensor], level: float) -> Tensor:
    """Whether one picture follows another from a different shot: () bool.

    They do when the first planes differ by more than 24 levels in mean, or by more than 3 while
    the cells of all planes correlate by less than 0.6. A very fast pan, a flash and a fast fade
    count as cuts, too; none has much to average.

    Args:
        earlier, later: means over cells of 8x8 luma samples, (rows, columns) per plane.
        level: code values in a level of 1/255.
    """
    difference = (later[0] - earlier[0]).abs().mean() / level
    a, b = (torch.cat([(x - x.mean()).flatten() for x in each]) for each in (earlier, later))
    alike = (a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-6)
    return (difference > _CUT) | ((difference > _CUT_LEAST) & (alike < _ALIKE))


def _exposures(frames: Iterable[Frame], layout: PixelLayout) -> Iterator[_Exposure]:
    """Every frame with its matches among the two before it."""
    level = float(2 ** (layout.bit_depth - 8))
    before: deque[_Exposure] = deque(maxlen=REACH)
    for frame in frames:
        if before and _is_held(frame, before[-1].frame):
            exposure = _held(frame, before[-1])
        else:
            exposure = _compared(frame, _padded(frame.planes, layout), tuple(before), level)
        yield exposure
        before.append(exposure)


def _is_held(frame: Frame, previous: Frame) -> bool:
    if frame.planes is previous.planes:
        return True
    if frame.changed is not None:
        return not bool(frame.changed.any())
    return all(map(torch.equal, frame.planes, previous.planes))


def _held(frame: Frame, first: _Exposure) -> _Exposure:
    """The picture of the frame before once more."""
    return replace(
        first,
        frame=frame,
        is_held=True,
        is_joined=torch.ones_like(first.is_joined),
        step=torch.full_like(first.step, torch.inf),
        to_first=None,
        to_second=None,
    )


def _compared(
    frame: Frame, planes: tuple[Tensor, ...], before: tuple[_Exposure, ...], level: float
) -> _Exposure:
    least = 2 * (_ROUNDING * level) ** 2
    bounds = torch.stack([_noise_in_space(plane) for plane in planes])
    bounds = (2 * _IN_SPACE**2 * bounds).clamp_min(least)
    alone = _Exposure(
        frame,
        planes,
        changed=None,
        is_held=False,
        is_joined=planes[0].new_ones(()),
        bounds=bounds,
        step=torch.full_like(bounds, torch.inf),
        to_first=None,
        to_second=None,
    )
    if not before:
        return alone
    first = before[-1]
    changed = None if frame.changed is None else _on_points(frame.changed, planes[0])
    difference = _Difference.between(planes, first.planes)
    step = difference.noise(changed).clamp_min(least)
    noise = torch.minimum(torch.minimum(bounds, first.bounds), step)
    is_joined = 1 - is_cut(_cell_means(first.planes), _cell_means(planes), level).float()
    to_first = _match(difference, changed, noise, is_joined)
    to_second = None
    if first.is_held:
        to_second = to_first
    elif len(before) == REACH:
        second = before[0]
        either = None if changed is None or first.changed is None else changed | first.changed
        noise = torch.minimum(torch.minimum(noise, second.bounds), first.step)
        difference = _Difference.between(planes, second.planes)
        to_second = _match(difference, either, noise, is_joined * first.is_joined)
    return replace(
        alone,
        changed=changed,
        is_joined=is_joined,
        step=step,
        to_first=to_first,
        to_second=to_second,
    )


@dataclass(frozen=True, eq=False)
class _Difference:
    """Of two pictures."""

    planes: tuple[Tensor, ...]
    squares: tuple[Tensor, ...]
    """Mean squared difference by point."""

    means: tuple[Tensor, ...]
    """Mean difference by point."""

    @classmethod
    def between(cls, later: Sequence[Tensor], earlier: Sequence[Tensor]) -> _Difference:
        planes = tuple(a - b for a, b in zip(later, earlier))
        points = _points_of(planes[0])
        squares = tuple(_points(plane * plane, points) for plane in planes)
        return cls(planes, squares, tuple(_points(plane, points) for plane in planes))

    def noise(self, changed: Tensor | None) -> Tensor:
        """(planes,): the squared difference in the quiet cells, drift taken out; inf if there are
        none."""
        drawn = None if changed is None else _cells(changed.float()) > 0.5
        found = []
        for square, mean in zip(self.squares, self.means):
            cells = _cells(square) - _cells(mean).square()
            found.append(_quiet(cells.flatten() if drawn is None else cells[drawn]))
        return torch.stack(found)


def _match(
    difference: _Difference, changed: Tensor | None, noise: Tensor, is_joined: Tensor
) -> _Match:
    """Weights from the squared difference over 3x3 points, in all planes together.

    Args:
        changed: (points down, points across) bool; elsewhere the difference is no evidence.
        noise: (planes,), the squared difference that noise makes.
        is_joined: () float, 0 across a cut.
    """
    points = difference.squares[0].numel()
    samples = [plane.numel() / points for plane in difference.planes]
    share = None if changed is None else _boxed(changed.float()).clamp_min(1e-6)
    evidence = torch.zeros_like(difference.squares[0])
    for square, mean, expected, count in zip(difference.squares, difference.means, noise, samples):
        around, drift = _boxed(square), _boxed(mean)
        if share is not None:
            around, drift = around / share, drift / share
        evidence += (around + _BIAS * 9 * count * drift * drift) * (count / expected)
    weights = (_NEVER - evidence / sum(samples)) / (_NEVER - _SURE)
    furthest = (_FURTHEST * (noise / 2).sqrt()).tolist()
    bounded = (plane.clamp(-most, most) for plane, most in zip(difference.planes, furthest))
    return _Match(weights.clamp(0, 1) * is_joined, tuple(bounded))


def _neighbours(
    now: _Exposure, before: Sequence[_Exposure], after: Sequence[_Exposure]
) -> Iterator[tuple[_Match, int, Tensor | None]]:
    """What each other drawing in the window is to `now`: match, sign of its differences, and the
    points where it is another drawing than the neighbour that lies between."""
    if now.to_first is not None:
        yield now.to_first, -1, None
    if now.to_second is not None and not before[-1].is_held:
        yield now.to_second, -1, before[-1].changed
    for later in after[:REACH]:
        match = later.to_first if later is after[0] else later.to_second
        if match is not None and not later.is_held:
            yield match, 1, later.changed


def _averaged(
    now: _Exposure,
    before: Sequence[_Exposure],
    after: Sequence[_Exposure],
    strength: float,
    last: tuple[Tensor, ...],
) -> tuple[Tensor, ...]:
    """The planes of `now` averaged with what matches; what did not change is that of `last`."""
    neighbours = list(_neighbours(now, before, after))
    weights = [
        match.weights if drawn is None else match.weights * drawn for match, _, drawn in neighbours
    ]
    total = torch.stack(weights).sum(0) if weights else now.planes[0].new_zeros(1)
    is_as_read = not bool(total.any())
    if is_as_read and (now.changed is None or last is before[-1].frame.planes):
        return now.frame.planes
    sums = [plane.clone() for plane in now.planes]
    for (match, sign, _), weight in zip(neighbours, weights):
        share = weight * (sign * strength / (1 + total))
        for plane, difference in zip(sums, match.differences):
            plane.addcmul_(_spread(share, plane), difference)
    finished = [x[: y.shape[0], : y.shape[1]] for x, y in zip(sums, now.frame.planes)]
    if now.changed is None:
        return tuple(x.contiguous() for x in finished)
    drawn = now.changed.float()
    return tuple(
        torch.where(_spread(drawn, padded)[: x.shape[0], : x.shape[1]] > 0, x, held.float())
        for x, padded, held in zip(finished, sums, last)
    )


def _noise_in_space(plane: Tensor) -> Tensor:
    """() variance of the noise: what a straight line across leaves over in the quiet cells."""
    if plane.shape[1] < 3:
        return plane.new_zeros(())
    rows = plane[::2]
    bend = rows[:, :-2] + rows[:, 2:] - 2 * rows[:, 1:-1]
    return _quiet(_pooled(bend * bend, CELL // 2, CELL).flatten() / 6)


def _quiet(cells: Tensor) -> Tensor:
    """() the value that `_QUIET` of the cells stay below; inf for none."""
    if not cells.numel():
        return cells.new_full((), torch.inf)
    return cells.kthvalue(max(1, round(_QUIET * cells.numel()))).values


def _padded(planes: Sequence[Tensor], layout: PixelLayout) -> tuple[Tensor, ...]:
    """float32, the last rows and columns repeated until every point is whole."""
    rows, columns = (-(-side // _POINT) for side in planes[0].shape)
    down, across = layout.chroma_step
    sizes = [(2 * rows, 2 * columns)] + 2 * [(2 * rows // down, 2 * columns // across)]
    return tuple(_extended(plane.float(), *size) for plane, size in zip(planes, sizes))


def _extended(plane: Tensor, rows: int, columns: int) -> Tensor:
    missing = (0, columns - plane.shape[1], 0, rows - plane.shape[0])
    return F.pad(plane[None], missing, mode="replicate")[0] if any(missing) else plane


def _points_of(luma: Tensor) -> tuple[int, int]:
    return luma.shape[0] // _POINT, luma.shape[1] // _POINT


def _points(plane: Tensor, points: tuple[int, int]) -> Tensor:
    """Means of a padded plane over points."""
    if plane.shape[0] > points[0]:
        plane = (plane[::2] + plane[1::2]) * 0.5
    if plane.shape[1] > points[1]:
        plane = (plane[:, ::2] + plane[:, 1::2]) * 0.5
    return plane


def _spread(points: Tensor, plane: Tensor) -> Tensor:
    """Values of points on the samples of a padded plane."""
    if plane.shape == points.shape:
        return points
    return F.interpolate(points[None, None], list(plane.shape))[0, 0]


def _on_points(changed: Tensor, luma: Tensor) -> Tensor:
    """Cells to (points down, points across) bool, beside the planes."""
    rows, columns = _points_of(luma)
    spread = changed.to(luma.device).repeat_interleave(_POINTS, 0).repeat_interleave(_POINTS, 1)
    return spread[:rows, :columns]


def _pooled(x: Tensor, rows: int, columns: int) -> Tensor:
    """Means over tiles, those at the end over what there is."""
    return F.avg_pool2d(x[None, None], (rows, columns), ceil_mode=True)[0, 0]


def _cells(points: Tensor) -> Tensor:
    return _pooled(points, _POINTS, _POINTS)


def _cell_means(planes: Sequence[Tensor]) -> list[Tensor]:
    points = _points_of(planes[0])
    return [_cells(_points(plane, points)) for plane in planes]


def _boxed(points: Tensor) -> Tensor:
    """Means over 3x3 points."""
    x = F.pad(points[None], (1, 1, 1, 1), mode="replicate")[0]
    x = x[:-2] + x[1:-1] + x[2:]
    return (x[:, :-2] + x[:, 1:-1] + x[:, 2:]) / 9
