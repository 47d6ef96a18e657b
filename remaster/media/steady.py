"""The times of one stream as they come: a lone damaged one mended, a new clock continued."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Steady", "Timed"]

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
