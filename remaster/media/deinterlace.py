"""Progressive pictures out of interlaced and telecined ones: as many, each at its own time.

A picture of one moment passes untouched. One whose field belongs to a neighbour, as in telecined
film, gets that field back whole. What is left, true video, keeps its earlier field, and `bwdif`
makes the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, groupby

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from remaster.media.fields import (
    SMALLEST_SIDE,
    Choice,
    Fields,
    Order,
    Step,
    choose,
    rows,
    step,
)
from remaster.media.formats import is_planar, layout_of, planar_format

__all__ = ["Deinterlaced", "FieldReport", "as_planar", "deinterlaced"]

_TICK = Fraction(1, 25)
"""Of the pictures inside the filter, which are counted: their true times stay outside."""


@dataclass
class FieldReport:
    """What became of the pictures of an interlaced source; filled while they are read."""

    untouched: int = 0
    matched: int = 0
    """Got a field back from a neighbour."""

    interpolated: int = 0
    """Kept one field; the other was made."""

    def count(self, choice: Choice) -> None:
        self.untouched += choice is Choice.DECODED
        self.matched += choice in (Choice.PREVIOUS, Choice.NEXT)
        self.interpolated += choice is Choice.INTERPOLATED


@dataclass(frozen=True)
class Deinterlaced:
    """A picture of one moment."""

    pts: int
    decoded: VideoFrame
    shown: VideoFrame
    """`decoded` itself where nothing had to be done; else its pixels alone are to be used."""

    choice: Choice


def deinterlaced(
    pictures: Iterable[tuple[int, VideoFrame]], order: Order
) -> Iterator[Deinterlaced]:
    """One picture of one moment for every (pts, picture), in the same order.

    A result depends on its picture and the one to each side, no more. Where size or format
    change it starts afresh.
    """
    for (width, height, _), alike in groupby(pictures, key=lambda pair: _shape(pair[1])):
        if min(width, height) < SMALLEST_SIDE:
            for pts, picture in alike:
                yield Deinterlaced(pts, picture, picture, Choice.DECODED)
        else:
            yield from _of_one_shape(alike, order)


def as_planar(picture: VideoFrame) -> VideoFrame:
    """The picture itself, or its twin in the format that the reader makes of it."""
    name = picture.format.name
    if is_planar(name):
        return picture
    return picture.reformat(format=planar_format(layout_of(name)))


def _shape(picture: VideoFrame) -> tuple[int, int, str]:
    return picture.width, picture.height, picture.format.name


@dataclass(frozen=True)
class _Picture:
    pts: int
    decoded: VideoFrame
    planar: VideoFrame
    fields: Fields


def _of_one_shape(
    pictures: Iterator[tuple[int, VideoFrame]], order: Order
) -> Iterator[Deinterlaced]:
    interpolator: _Interpolator | None = None
    earlier: _Picture | None = None
    current: _Picture | None = None
    step_before: Step | None = None
    for later in chain(map(_prepared, pictures), [None]):
        if interpolator is None:
            assert later is not None
            interpolator = _Interpolator(later.planar, order)
        interpolator.push(None if later is None else later.planar)
        step_after = None
        if current is not None:
            if later is not None:
                step_after = step(current.fields, later.fields)
            choice = choose(step_before, current.fields.combing, step_after, order)
            made = interpolator.pull()
            if choice is Choice.INTERPOLATED:
                shown = made
            elif choice is Choice.DECODED:
                shown = current.decoded
            else:
                partner = earlier if choice is Choice.PREVIOUS else later
                assert partner is not None
                shown = _woven(current.planar, partner.planar, order)
            yield Deinterlaced(current.pts, current.decoded, shown, choice)
        earlier, current, step_before = current, later, step_after


def _prepared(pair: tuple[int, VideoFrame]) -> _Picture:
    pts, decoded = pair
    planar = as_planar(decoded)
    return _Picture(pts, decoded, planar, Fields.of(planar))


def _woven(picture: VideoFrame, partner: VideoFrame, order: Order) -> VideoFrame:
    """The earlier field of a picture with the other field of its partner."""
    woven = VideoFrame(picture.width, picture.height, picture.format.name)
    depth = picture.format.components[0].bits
    kept = 0 if order is Order.TOP_FIRST else 1
    for new, own, other in zip(woven.planes, picture.planes, partner.planes):
        rows(new, depth)[kept::2] = rows(own, depth)[kept::2]
        rows(new, depth)[1 - kept :: 2] = rows(other, depth)[1 - kept :: 2]
    return woven


class _Interpolator:
    """`bwdif` over every picture, one behind."""

    def __init__(self, picture: VideoFrame, order: Order) -> None:
        size, name = f"{picture.width}x{picture.height}", picture.format.name
        self._graph = Graph()
        self._graph.threads = 1
        nodes = [
            self._graph.add(
                "buffer",
                f"video_size={size}:pix_fmt={name}:time_base={_TICK.numerator}/"
                f"{_TICK.denominator}:frame_rate={1 / _TICK}:pixel_aspect=1/1",
            ),
            self._graph.add("bwdif", f"mode=send_frame:parity={order.value}:deint=all"),
            self._graph.add("format", name),
            self._graph.add("buffersink"),
        ]
        for first, second in zip(nodes, nodes[1:]):
            first.link_to(second)
        self._graph.configure()
        self._pushed = 0
        self._made: deque[VideoFrame] = deque()

    def push(self, picture: VideoFrame | None) -> None:
        """The next picture, or None after the last one."""
        if picture is not None:
            picture.pts, picture.time_base = self._pushed, _TICK
            self._pushed += 1
        self._graph.vpush(picture)
        while True:
            try:
                self._made.append(self._graph.vpull())
            except (av.BlockingIOError, av.EOFError):
                return

    def pull(self) -> VideoFrame:
        """The next picture made, once its follower, or None, was pushed."""
        return self._made.popleft()
