"""One clock for a file whose clock jumps: parts joined byte by byte, recordings with a break.

The times of transport and program streams come from a clock that may be set anew anywhere, and the
container has no list of the places. One pass over the packets, none decoded, finds them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from operator import attrgetter
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet

from remaster.media.opening import demuxed

__all__ = ["Break", "Timeline", "read_timeline"]

_BACKWARD_SECONDS = Fraction(3, 10)
_ONWARD_SECONDS = 1
"""Decoding times only grow, and seldom by more than a second; what is farther off has to be
confirmed. Parts shorter than the step back cannot be told from damage."""

_FORWARD_SECONDS = 10
"""Further ahead, in picture and sound together, is another clock too; less is a gap, and kept."""

_LONGEST_REORDERING_SECONDS = 5
"""Between the times when a picture is decoded and shown."""

_STRAY_PACKETS = 8
"""A clock that lasts no longer is none: the times of these packets are damaged."""

_LIKE_SECONDS = 5
"""By how much the jumps of picture and sound at one joint may differ."""

_TIMED_KINDS = ("video", "audio")


@dataclass(frozen=True)
class Break:
    """Where one stream's clock is set anew."""

    position: int
    """First byte of the first packet behind it."""

    offset: Fraction
    """Seconds to add to the times of packets from there on."""


@dataclass(frozen=True)
class Timeline:
    """How the times in a file become those of one clock. Empty: they are."""

    breaks: Mapping[int, Sequence[Break]] = field(default_factory=dict)
    """Of each stream by index, in the order of the file."""

    strays: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """Of each stream by index, first bytes of the packets whose times are damaged."""

    joints: Sequence[Fraction] = ()
    """When the film's parts begin, behind the first, in seconds of the one clock."""

    film_end: Fraction | None = None
    """When the film is over, in seconds of the one clock."""

    alone: Sequence[int] = ()
    """Indices of streams whose clock is set back apart from the film's: they go on behind what
    came before."""

    def placer(self) -> Callable[[Packet[Any]], int]:
        """A function that puts packets, in the order of the file, on the one clock.

        It returns where in the file they begin.
        """
        latest: dict[int, int] = {}

        def place(packet: Packet[Any]) -> int:
            index = packet.stream_index
            if packet.pos is not None and packet.pos >= 0:
                latest[index] = packet.pos
            position = latest.get(index, 0)
            if position in self.strays.get(index, ()):
                packet.pts = packet.dts = None
                return position
            breaks = self.breaks.get(index, ())
            if breaks and packet.pts is not None and packet.dts is not None and packet.time_base:
                lag = (packet.pts - packet.dts) * packet.time_base
                if not 0 <= lag <= _LONGEST_REORDERING_SECONDS:
                    packet.pts = None  # at a joint, made up from the next part's clock
            passed = bisect_right(breaks, position, key=attrgetter("position"))
            if passed and packet.time_base:
                shift = round(breaks[passed - 1].offset / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts + shift
                packet.dts = None if packet.dts is None else packet.dts + shift
            return position

        return place


@dataclass
class _Part:
    """Packets of one stream on one clock; times in seconds of the file."""

    position: int
    first: Fraction
    last: Fraction
    end: Fraction


@dataclass(frozen=True)
class _Seen:
    """A packet: where it begins in the file, and its time in seconds."""

    position: int
    time: Fraction
    end: Fraction


@dataclass
class _Run:
    """One stream while it is read."""

    parts: list[_Part] = field(default_factory=list)
    strays: set[int] = field(default_factory=set)
    waiting: list[_Seen] = field(default_factory=list)
    """Packets that do not go on from those before: strays, a gap, or another clock's first."""

    def add(self, seen: _Seen) -> None:
        if not self.parts:
            self.parts.append(_Part(seen.position, seen.time, seen.time, seen.end))
        elif -_BACKWARD_SECONDS <= seen.time - self.parts[-1].last <= _ONWARD_SECONDS:
            self.strays.update(each.position for each in self.waiting)
            self.waiting.clear()
            self._extend(seen)
        else:
            self.waiting.append(seen)
            if len(self.waiting) > _STRAY_PACKETS:
                self._believe()

    def finish(self, *, is_film: bool) -> None:
        """What is still waiting at the end: of the film believed, however little it is."""
        while self.waiting and (is_film or self._is_gap(self.waiting[0])):
            self._believe()
        self.strays.update(each.position for each in self.waiting)

    def _is_gap(self, seen: _Seen) -> bool:
        return 0 < seen.time - self.parts[-1].last <= _FORWARD_SECONDS

    def _believe(self) -> None:
        """Take the first that waits at its word, and judge the others anew."""
        first, *others = self.waiting
        self.waiting = []
        if self._is_gap(first):
            self._extend(first)
        else:
            self.parts.append(_Part(first.position, first.time, first.time, first.end))
        for other in others:
            self.add(other)

    def _extend(self, seen: _Seen) -> None:
        part = self.parts[-1]
        part.first = min(part.first, seen.time)
        part.last = max(part.last, seen.time)
        part.end = max(part.end, seen.end)


def read_timeline(container: InputContainer, film: int) -> Timeline:
    """Read all packets of an open file once; `film` is the index of its video stream.

    A file that breaks off is read as far as it goes.
    """
    runs = {stream.index: _Run() for stream in container.streams}
    timed = {stream.index for stream in container.streams if stream.type in _TIMED_KINDS}
    for index, position, time, end in _times(container):
        if index in timed:
            runs[index].add(_Seen(position, time, end))
    for index, run in runs.items():
        run.finish(is_film=index == film)
    strays = {index: frozenset(run.strays) for index, run in runs.items() if run.strays}
    return _joined({i: run.parts for i, run in runs.items()}, film, strays)


def _times(container: InputContainer) -> Iterator[tuple[int, int, Fraction, Fraction]]:
    """(index, position, start, end in seconds) of every packet that has a time and a place."""
    latest: dict[int, int] = {}
    with suppress(av.FFmpegError):
        for packet in demuxed(container, list(container.streams)):
            ticks = packet.dts if packet.dts is not None else packet.pts
            if packet.size and packet.pos is not None and packet.pos >= 0:
                latest[packet.stream_index] = packet.pos
            if not packet.size or ticks is None or packet.time_base is None:
                continue
            length = (packet.duration or 0) * packet.time_base
            start = ticks * packet.time_base
            yield packet.stream_index, latest.get(packet.stream_index, 0), start, start + length


def _joined(
    parts: Mapping[int, Sequence[_Part]], film: int, strays: Mapping[int, frozenset[int]]
) -> Timeline:
    """The parts one behind the other, so that no stream overlaps itself."""
    breaks: dict[int, list[Break]] = {index: [] for index in parts}
    moved_with_film: set[int] = set()
    joints: list[Fraction] = []
    offset = Fraction(0)
    for before, after in zip(parts[film], parts[film][1:]):
        others = {
            index: pair
            for index, own in parts.items()
            if index != film and (pair := _same_jump(own, before, after)) is not None
        }
        if after.first > before.last and not others:
            continue  # a long gap in the picture alone: its times are as they should be
        pairs = [(before, after), *others.values()]
        moved_with_film.update(id(new) for _, new in pairs)
        offset += max(old.end - new.first for old, new in pairs)
        for index, own_breaks in breaks.items():
            position = others[index][1].position if index in others else after.position
            own_breaks.append(Break(position, offset))
        joints.append(after.first + offset)
    alone: list[int] = []
    for index, own in parts.items():
        for old, new in zip(own, own[1:]):
            if id(new) not in moved_with_film and new.first < old.last:
                _go_on_alone(breaks[index], old, new)
                alone.append(index)
    last = parts[film][-1].end + offset if parts[film] else None
    return Timeline(
        {i: b for i, b in breaks.items() if b}, strays, tuple(joints), last, tuple(alone)
    )


def _go_on_alone(breaks: list[Break], old: _Part, new: _Part) -> None:
    """Let a stream whose clock alone goes back continue, up to where the film's is set anew."""
    passed = bisect_right(breaks, new.position, key=attrgetter("position"))
    offset = breaks[passed - 1].offset if passed else Fraction(0)
    breaks.insert(passed, Break(new.position, offset + old.end - new.first))


def _same_jump(own: Sequence[_Part], before: _Part, after: _Part) -> tuple[_Part, _Part] | None:
    """The parts of another stream between which its clock jumps as the film's does there."""
    jump = after.first - before.last
    like = [
        (old, new)
        for old, new in zip(own, own[1:])
        if abs(new.first - old.last - jump) < _LIKE_SECONDS and new.position > before.position
    ]
    return min(like, key=lambda pair: abs(pair[1].position - after.position), default=None)
