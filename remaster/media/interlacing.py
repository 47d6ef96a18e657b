"""Whether a source is interlaced, found out from a few short stretches before work starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice

import av
from av.container import InputContainer
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from remaster.media.deinterlace import as_planar
from remaster.media.fields import SMALLEST_SIDE, Choice, Counts, Fields, Order, Step, choose, step
from remaster.media.opening import demuxed, open_source
from remaster.media.piping import is_pipe
from remaster.media.probe import Source

__all__ = ["Interlacing", "find_interlacing"]

_PLACES = 9
_PICTURES_AT_EACH = 12
_MOST_PACKETS = 100
"""More than pictures, read at one place."""

_SHORT_SECONDS = 6
"""A film as short as this is looked at from its beginning, without seeking."""

_LEAN = 0.15
"""A progressive film's steps stay below 0.1, but for a few on noise."""

_FEWEST_STEPS = 4
_LEAST_SHARE = 0.25


@dataclass(frozen=True)
class Interlacing:
    """What the fields of a source hold."""

    kind: str
    """`progressive`; `interlaced`: video, a moment in each field; `telecined`: film whose fields
    are shared out among pictures; `unknown`: nothing moves where it was looked at, or the
    pictures are too small to tell."""

    order: Order | None
    """Which field is the earlier one, where that is known."""

    is_flagged: bool
    """Whether the file says that its pictures are interlaced."""

    combed_share: float
    """Of the steps between pictures in motion, those that show two fields apart: 0 to 1."""

    @property
    def may_be_combed(self) -> bool:
        """Whether fields apart were found, or the file says that there may be some."""
        return self.kind in ("interlaced", "telecined") or self.is_flagged

    @property
    def words(self) -> str:
        """A sentence's beginning: `the source is telecined (bottom field first)`."""
        first = {Order.TOP_FIRST: " (top field first)", Order.BOTTOM_FIRST: " (bottom field first)"}
        if self.kind == "progressive" and self.is_flagged:
            return "the source is flagged interlaced, though its pictures look progressive"
        if self.kind == "unknown" and self.is_flagged:
            return "the source is flagged interlaced"
        order = first[self.order] if self.order is not None else ""
        unflagged = "" if self.is_flagged or not self.may_be_combed else ", unflagged"
        return f"the source is {self.kind}{unflagged}{order}"


def find_interlacing(source: Source) -> Interlacing:
    """Look at short stretches of a source, spread over its length; it is never read whole.

    Damage is passed over: what cannot be decoded says nothing.
    """
    stretches = list(_stretches(source))
    stated = [each.stated_order for each in stretches if each.is_flagged]
    steps = [each for stretch in stretches for each in stretch.steps if each.lean is not None]
    orders = [_order(each) for each in (steps, *(stretch.steps for stretch in stretches))]
    order = next((each for each in orders if each is not None), None)
    share = 0.0
    if order is not None:
        share = sum(each.lean_to(order) > _LEAN for each in steps) / len(steps)
        kind = _kind(stretches, order)
    else:
        kind = "progressive" if len(steps) >= _FEWEST_STEPS else "unknown"
        order = stated[0] if stated else None
    return Interlacing(kind, order, bool(stated), share)


@dataclass
class _Stretch:
    """What neighbouring pictures of one size say; only the last of them is held, as its fields."""

    shape: tuple[int, int, str]
    first_pts: int | None
    last_pts: int | None = None
    pictures: int = 0
    stated_order: Order | None = None
    """Of the first picture that is flagged as interlaced."""

    combing: list[Counts] = field(default_factory=list)
    """Of each picture in itself; none of pictures too small to tell."""

    steps: list[Step] = field(default_factory=list)
    """One fewer."""

    _last: Fields | None = None

    @property
    def is_flagged(self) -> bool:
        return self.stated_order is not None

    def add(self, picture: VideoFrame) -> None:
        self.last_pts = picture.pts
        self.pictures += 1
        if picture.interlaced_frame and self.stated_order is None:
            self.stated_order = _stated_order(picture)
        if min(picture.width, picture.height) < SMALLEST_SIDE:
            return
        fields = Fields.of(as_planar(picture))
        self.combing.append(fields.combing)
        if self._last is not None:
            self.steps.append(step(self._last, fields))
        self._last = fields

    @property
    def surroundings(self) -> Iterator[tuple[Step | None, Counts, Step | None]]:
        """Each picture's combing between the steps from and to its neighbours."""
        return zip(chain([None], self.steps), self.combing, chain(self.steps, [None]))


def _order(steps: list[Step]) -> Order | None:
    """The order that steps agree on; None where the fields of most move together."""
    moving = [each for each in steps if each.lean is not None]
    counts = {order: sum(each.lean_to(order) > _LEAN for each in moving) for order in Order}
    order = max(counts, key=lambda each: counts[each])
    agreeing, others = counts[order], sum(counts.values()) - counts[order]
    is_clear = agreeing >= max(_FEWEST_STEPS, 4 * others, _LEAST_SHARE * len(moving))
    return order if is_clear else None


def _kind(stretches: list[_Stretch], order: Order) -> str:
    """What brings the film back: fields from neighbours, or interpolation."""
    choices = [
        choose(before, own, after, order)
        for stretch in stretches
        for before, own, after in stretch.surroundings
    ]
    matched = sum(each in (Choice.PREVIOUS, Choice.NEXT) for each in choices)
    return "telecined" if matched > choices.count(Choice.INTERPOLATED) else "interlaced"


def _stated_order(picture: VideoFrame) -> Order:
    """The order that a picture flagged as interlaced states."""
    graph = Graph()
    buffer = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=Fraction(1, 25),
    )
    graph.link_nodes(
        buffer, graph.add("select", r"eq(interlace_type\,TOPFIRST)"), graph.add("buffersink")
    )
    graph.configure()
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    graph.vpush(picture)
    graph.vpush(None)
    try:
        graph.vpull()
    except av.EOFError:
        return Order.BOTTOM_FIRST
    return Order.TOP_FIRST


def _stretches(source: Source) -> Iterator[_Stretch]:
    """Neighbouring pictures, whole ones, at several places."""
    length = source.duration_seconds
    if is_pipe(source.path):  # what is looked at has to be kept for the run
        yield from _first_stretch(source, _PICTURES_AT_EACH * 2)
        return
    if length is None or length <= _SHORT_SECONDS:
        yield from _first_stretch(source, _PLACES * _PICTURES_AT_EACH)
        return
    with open_source(source.path) as container:
        stream = container.streams[source.video_index]
        assert isinstance(stream, VideoStream)
        begin = container.start_time or 0
        last: int | None = None
        looked_at = 0
        for place in range(_PLACES):
            try:
                container.seek(begin + round(length * av.time_base * (place + 0.5) / _PLACES))
            except av.FFmpegError:
                continue
            for run in _runs(container, stream, _PICTURES_AT_EACH):
                if last is None or run.first_pts is None or run.first_pts > last:
                    looked_at += run.pictures
                    yield run
                last = run.last_pts if last is None else max(last, run.last_pts or last)
    if looked_at < _PLACES * _PICTURES_AT_EACH // 2:  # few keyframes: many places were the same
        yield from _first_stretch(source, _PLACES * _PICTURES_AT_EACH)


def _first_stretch(source: Source, count: int) -> Iterator[_Stretch]:
    with open_source(source.path) as container:
        stream = container.streams[source.video_index]
        assert isinstance(stream, VideoStream)
        yield from _runs(container, stream, count)


def _runs(container: InputContainer, stream: VideoStream, count: int) -> Iterator[_Stretch]:
    """Up to `count` pictures from where the container stands, parted where one is missing."""
    run: _Stretch | None = None
    for picture in islice(_pictures(container, stream, count + _MOST_PACKETS), count):
        shape = None if picture is None else _shape(picture)
        if run is not None and run.shape != shape:
            yield run
            run = None
        if picture is not None:
            run = run or _Stretch(_shape(picture), picture.pts)
            run.add(picture)
    if run is not None:
        yield run


def _pictures(
    container: InputContainer, stream: VideoStream, most_packets: int
) -> Iterator[VideoFrame | None]:
    """Whole pictures in order, None for others."""
    try:
        for packet in islice(demuxed(container, stream), most_packets):
            try:
                pictures = stream.decode(packet)
            except av.FFmpegError:
                yield None
                continue
            yield from (None if each.is_corrupt else each for each in pictures)
    except av.FFmpegError:
        return


def _shape(picture: VideoFrame) -> tuple[int, int, str]:
    return picture.width, picture.height, picture.format.name
