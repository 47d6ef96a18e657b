"""Which parts of a frame are new, and which are another exposure of a drawing already seen.

Anime shows each drawing for several frames. What is another exposure of a known drawing keeps its
pixels, so that nothing downstream has to be computed again: frames come out with `changed`, and
where nothing changed with the very planes of the frame before. What is new is shown as the mean
of its next exposures, cleaner than any of them, and stays so while it is held.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from remaster.frames import CELL, Frame, PixelLayout, VideoInfo
from remaster.likeness import (
    FUSED,
    Noise,
    PairNoise,
    Reference,
    common_motion,
    compare,
    plane_order,
    shot_noise,
    small_picture,
)
from remaster.regions import Box, boxes
from remaster.squares import Scales, changes_most
from remaster.weave import Weave, shot_weave

__all__ = ["ReuseCount", "frames_ahead", "held_as_drawings", "held_exactly"]

T = TypeVar("T")

_NOISE_REACH = 12
"""Frames each side of one from which its shot's noise is estimated."""

_MOST_BYTES_AHEAD = 250_000_000
"""Of source frames that are read ahead."""

_MOST_STACKED = 1 << 18
"""Samples that are averaged at once; more are added up one exposure after the other."""


@dataclass
class ReuseCount:
    """What was found, so far; cells are squares of `CELL` luma samples."""

    frames: int = 0
    drawings: int = 0
    """Frames in which something was new."""

    cells: int = 0
    new_cells: int = 0
    fused_cells: int = 0
    """Of the new ones: those shown as the mean of several exposures."""

    largest_accepted: float = 0.0
    """Largest difference, in 8-bit levels, between a square that was held and its drawing."""


def frames_ahead(video: VideoInfo) -> tuple[int, int]:
    """How many frames are read ahead to know a shot's noise, and to fuse a drawing's exposures.

    Fewer of very large ones.
    """
    shapes = video.layout.plane_shapes(video.height, video.width)
    samples = sum(rows * columns for rows, columns in shapes)
    fit = _MOST_BYTES_AHEAD // (samples * video.layout.dtype.itemsize)
    noise = max(min(fit // 2, _NOISE_REACH), 2)
    return noise, max(min(fit - noise, FUSED - 1), 1)


def _cells(video: VideoInfo) -> tuple[int, int]:
    return -(-video.height // CELL), -(-video.width // CELL)


def held_exactly(frames: Iterable[Frame], video: VideoInfo, count: ReuseCount) -> Iterator[Frame]:
    """Frames whose every sample equals the one before get its planes."""
    nothing = torch.zeros(_cells(video), dtype=torch.bool)
    shown: Frame | None = None
    for frame in frames:
        count.frames += 1
        count.cells += nothing.numel()
        if shown is not None and all(map(torch.equal, frame.planes, shown.planes)):
            yield replace(frame, planes=shown.planes, changed=nothing)
            continue
        count.drawings += 1
        count.new_cells += nothing.numel()
        shown = frame
        yield frame


def held_as_drawings(
    frames: Iterable[Frame], video: VideoInfo, count: ReuseCount
) -> Iterator[Frame]:
    """Frames in which what only noise tells from its drawing is that drawing.

    As many frames, at the same times. Planes become float32 code values where exposures were
    averaged. Reads `frames_ahead` ahead; nothing crosses a cut.
    """
    noise_ahead, fused_ahead = frames_ahead(video)
    judged = _judged(_with_shot(_seen(frames, video.layout), noise_ahead), count)
    shown: tuple[Tensor, ...] | None = None
    light: tuple[float, ...] = ()
    nothing = torch.zeros(_cells(video), dtype=torch.bool)
    for now, after in _with_exposures(judged, fused_ahead):
        count.frames += 1
        count.cells += now.new.numel()
        if shown is not None and not bool(now.new.any()):
            yield replace(now.frame, planes=shown, changed=nothing)
            continue
        exposures = _exposures(now.new, [other.new for other in after])
        if bool(now.new.all()):
            shown, light = None, _usual_light(now, after)
        shown = _fused(now, after, exposures, shown, light, video.layout)
        fused = exposures > 1
        count.drawings += 1
        count.new_cells += int(now.new.sum())
        count.fused_cells += int(fused.sum())
        yield replace(
            now.frame,
            planes=shown,
            changed=now.new,
            fused=fused,
            is_continued=_is_continued(other.new for other in after),
        )


@dataclass(frozen=True)
class _Step:
    """From one frame to the next of its shot, in small pictures."""

    before: Tensor
    now: Tensor
    pair: PairNoise

    @cached_property
    def motion(self) -> Scales:
        """Made when it is asked for."""
        return common_motion(self.now, self.before)


@dataclass(frozen=True)
class _Seen:
    frame: Frame
    small: Tensor
    is_cut: bool
    step: _Step | None
    """From the frame before; None at the beginning of a shot."""


@dataclass(frozen=True)
class _Shot:
    """What is known of a frame's shot, as far as it is in view."""

    steps: tuple[_Step, ...]

    @property
    def noise(self) -> Noise:
        return shot_noise([step.pair for step in self.steps])

    def weave(self) -> Weave | None:
        return shot_weave([step.motion for step in self.steps])


@dataclass(frozen=True)
class _Judged:
    frame: Frame
    new: Tensor
    light: tuple[float, ...]
    """By how many levels each plane of the small picture is brighter than what is shown."""


def _seen(frames: Iterable[Frame], layout: PixelLayout) -> Iterator[_Seen]:
    """Every frame with its small picture and what it differs by from the one before."""
    before: deque[Tensor] = deque(maxlen=2)
    for frame in frames:
        small = small_picture(frame.planes, layout)
        step, is_cut = None, False
        if before:
            pair = compare(small, before[-1], before[0] if len(before) == 2 else None)
            is_cut = pair.is_cut
            if is_cut:
                before.clear()
            else:
                step = _Step(before[-1], small, pair)
        before.append(small)
        yield _Seen(frame, small, is_cut, step)


def _with_shot(seen: Iterable[_Seen], ahead: int) -> Iterator[tuple[_Seen, _Shot]]:
    """Every frame with its shot, as far as `ahead` frames each side show it."""
    past: deque[_Step] = deque(maxlen=ahead)
    for now, after in _with_next(seen, ahead):
        if now.step is None:
            past.clear()
        else:
            past.append(now.step)
        steps = list(past)
        for other in after:
            if other.step is None:
                break
            steps.append(other.step)
        yield now, _Shot(tuple(steps))


def _judged(seen: Iterable[tuple[_Seen, _Shot]], count: ReuseCount) -> Iterator[_Judged]:
    reference = Reference()
    for now, shot in seen:
        step = None if now.step is None else now.step.pair.spots
        new = reference.judge(now.small, shot.noise, is_cut=now.is_cut, step=step, shot=shot.weave)
        count.largest_accepted = max(count.largest_accepted, reference.accepted)
        yield _Judged(now.frame, new, reference.light)


def _with_next(items: Iterable[T], ahead: int) -> Iterator[tuple[T, Sequence[T]]]:
    """Every item with up to `ahead` that follow it."""
    waiting: deque[T] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > ahead:
            now = waiting.popleft()
            yield now, waiting
    while waiting:
        now = waiting.popleft()
        yield now, waiting


def _with_exposures(
    judged: Iterable[_Judged], ahead: int
) -> Iterator[tuple[_Judged, Sequence[_Judged]]]:
    """Every frame with up to `ahead` that follow, and none beyond the next that is all new."""
    waiting: deque[_Judged] = deque()
    for item in judged:
        waiting.append(item)
        is_over = bool(item.new.all())
        while len(waiting) > (1 if is_over else ahead):
            now = waiting.popleft()
            yield now, waiting
    while waiting:
        now = waiting.popleft()
        yield now, waiting


def _is_continued(following: Iterable[Tensor]) -> bool:
    """Whether the next picture in which something is new keeps most of the one before."""
    return next((not changes_most(new.numpy()) for new in following if bool(new.any())), True)


def _exposures(new: Tensor, following: Sequence[Tensor]) -> Tensor:
    """(rows, columns) int: in how many of the frames in view each new square is shown; 0 else."""
    shown, total = new.clone(), new.int()
    for other in following:
        shown &= ~other
        if not bool(shown.any()):
            break
        total += shown
    return total


def _usual_light(now: _Judged, after: Sequence[_Judged]) -> tuple[float, ...]:
    """Mean light of the frames in view, up to the next that is all new."""
    held = itertools.takewhile(lambda other: not bool(other.new.all()), after)
    lights = [now.light, *(other.light for other in held)]
    return tuple(sum(plane) / len(lights) for plane in zip(*lights, strict=True))


def _fused(
    now: _Judged,
    after: Sequence[_Judged],
    exposures: Tensor,
    shown: tuple[Tensor, ...] | None,
    light: Sequence[float],
    layout: PixelLayout,
) -> tuple[Tensor, ...]:
    """The planes shown before, if any, with each new square as the mean of its exposures.

    All in one `light`, by as many levels brighter than the frame since which others are judged.
    """
    if shown is None:
        if int(exposures.max()) == 1:
            return now.frame.planes
        shown = now.frame.planes
    areas = boxes(now.new.numpy())
    mean = [plane.float() if plane.dtype != torch.float32 else plane.clone() for plane in shown]
    code = 2 ** (layout.bit_depth - 8)
    for index, (canvas, place) in enumerate(zip(mean, plane_order(layout), strict=True)):
        step = layout.chroma_step if index and layout.subsampling != "rgb" else (1, 1)
        side = CELL // step[0], CELL // step[1]
        own = [
            (other.frame.planes[index], code * (other.light[place] - light[place]))
            for other in (now, *after)
        ]
        for box in areas:
            _average(canvas, own, exposures[box], box, side)
    return tuple(mean)


def _average(
    canvas: Tensor,
    planes: Sequence[tuple[Tensor, float]],
    exposures: Tensor,
    box: Box,
    side: tuple[int, int],
) -> None:
    """Write into a box of the canvas, where squares are new, the mean of their exposures.

    Args:
        planes: of the frame and of those that follow, and by how much each is too bright.
        exposures: of the box's squares; 0 where a square is not new.
        side: samples of a square in this plane, down and across.
    """
    most = int(exposures.max())
    if not most:
        return
    part = _samples(box, side)
    target = canvas[part]
    own = [(plane[part], light) for plane, light in planes[:most]]
    if most * target.numel() <= _MOST_STACKED:
        numbers = torch.arange(1, most + 1)[:, None, None]
        each = torch.stack([plane.float() - light for plane, light in own])
        total = (each * _spread(exposures >= numbers, target, side)).sum(0)
    else:
        total = own[0][0].float() - own[0][1]
        for k, (plane, light) in enumerate(own[1:], 2):
            is_shown = exposures >= k
            for inner in _areas(is_shown):
                area = _samples(inner, side)
                more = plane[area].float() - light
                if not bool(is_shown[inner].all()):
                    more *= _spread(is_shown[inner], more, side)
                total[area] += more
    total /= _spread(exposures.clamp_min(1).float(), target, side)
    torch.where(_spread(exposures > 0, target, side), total, target, out=target)


def _areas(is_shown: Tensor) -> list[Box]:
    """Where to add an exposure: everywhere, or where little of it is shown, there alone."""
    rows, columns = is_shown.shape
    if 2 * int(is_shown.sum()) >= rows * columns:
        return [(slice(0, rows), slice(0, columns))]
    return boxes(is_shown.numpy())


def _samples(box: Box, side: tuple[int, int]) -> Box:
    """Of a plane whose squares have so many samples down and across."""
    rows, columns = (slice(axis.start * n, axis.stop * n) for axis, n in zip(box, side))
    return rows, columns


def _spread(squares: Tensor, like: Tensor, side: tuple[int, int]) -> Tensor:
    """(..., rows, columns), one for each square, on the samples of a plane's part."""
    fine = squares.to(like.device)
    for axis, length in zip((-2, -1), side):
        fine = fine.repeat_interleave(length, axis)
    return fine[..., : like.shape[0], : like.shape[1]]
