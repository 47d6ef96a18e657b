"""The times of one stream as they come: a lone damaged one mended, a new clock continued."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

from av.packet import Packet
from av.stream import Stream

from remaster.media.packets import RESTART_SECONDS

__all__ = ["Steady", "SteadySound", "Timed"]

T = TypeVar("T")


@dataclass(frozen=True)
class Timed(Generic[T]):
    """Something with a time, in ticks."""

    item: T
    time: int
    length: int


class Steady(Generic[T]):
    """Times that grow; gives each item when the next one is known.

    A time that its two neighbours contradict is put between them. When two in a row lie further
    back than a `restart`, the clock was set anew: what follows goes on from there, until times
    fit the clock before again.
    """

    def __init__(self, restart: int) -> None:
        """`restart`: ticks; less is a fault of single items, which are given as they are."""
        self._restart = restart
        self._offsets = [0]
        self._last: Timed[T] | None = None
        self._current: Timed[T] | None = None
        self.mended = 0
        self.restarts = 0

    def add(self, item: T, time: int, length: int) -> Iterator[Timed[T]]:
        """What is known by this item: nothing, or the one before it."""
        following = Timed(item, time, length)
        if self._current is not None:
            yield self._given(self._current, time)
        self._current = following

    def flush(self) -> Iterator[Timed[T]]:
        """The last item."""
        if self._current is not None:
            yield self._given(self._current, None)
            self._current = None

    def _given(self, current: Timed[T], following: int | None) -> Timed[T]:
        last, time = self._last, current.time + self._offsets[-1]
        if last is not None:
            after = None if following is None else following + self._offsets[-1]
            if after is not None and after > last.time and not last.time <= time <= after:
                time = (last.time + after) // 2
                self.mended += 1
            elif last.time - time > self._restart:
                time = self._on_another_clock(last, current.time, following)
            elif len(self._offsets) > 1:
                time = self._back_on_the_first(last, current.time, time)
        self._last = Timed(current.item, time, current.length)
        return self._last

    def _on_another_clock(self, last: Timed[T], time: int, following: int | None) -> int:
        after = last.time + max(last.length, 1)
        if following is None:
            self.mended += 1
            return after
        self._offsets.append(after - time)
        self.restarts += 1
        return after

    def _back_on_the_first(self, last: Timed[T], raw: int, time: int) -> int:
        """The time by the clock before, where that goes on and this one leaps."""
        earlier = raw + self._offsets[-2]
        if time - last.time > self._restart and 0 < earlier - last.time <= self._restart:
            self._offsets.pop()
            return earlier
        return time


class SteadySound:
    """Packets of one sound, each moved to the time that was found for it."""

    def __init__(self, time_base: Fraction) -> None:
        self._steady: Steady[Packet[Stream]] = Steady(round(RESTART_SECONDS / time_base))

    @property
    def mended(self) -> int:
        return self._steady.mended

    @property
    def restarts(self) -> int:
        return self._steady.restarts

    def add(self, packet: Packet[Stream], usual: int = 1) -> Iterator[Packet[Stream]]:
        """What is known by this packet; `usual`: ticks of one that does not say its length."""
        ticks = packet.pts if packet.pts is not None else packet.dts
        if ticks is None:
            yield from self.flush()
            yield packet
        else:
            yield from map(_moved, self._steady.add(packet, ticks, packet.duration or usual))

    def flush(self) -> Iterator[Packet[Stream]]:
        """What waited for the next packet to come."""
        yield from map(_moved, self._steady.flush())


def _moved(timed: Timed[Packet[Stream]]) -> Packet[Stream]:
    packet = timed.item
    stated = packet.pts if packet.pts is not None else packet.dts
    assert stated is not None
    if timed.time != stated:
        packet.dts = None if packet.dts is None else packet.dts + timed.time - stated
        packet.pts = timed.time
    return packet
