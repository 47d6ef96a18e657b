"""Where a film begins and ends, also when its file does not say, or says what is not so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from remaster.media.opening import demuxed, open_source
from remaster.media.probe import Source

__all__ = ["film_extent", "picture_from"]

_PACKETS_REORDERED = 32


def film_extent(source: Source, length: Fraction) -> tuple[Fraction, Fraction]:
    """(first, end) of the pictures in seconds, `source.origin` subtracted.

    The end that the file states is believed when there are pictures in the middle `length` seconds
    before it; otherwise the whole film's packets are read for it, without being decoded.
    """
    first = _first(source)
    if source.timeline.film_end is not None and source.timeline.joints:
        return first, source.timeline.film_end - source.origin
    stated = source.video_end_seconds
    if stated is None and source.duration_seconds is not None:
        stated = Fraction(source.duration_seconds)
    if stated is not None and stated > first:
        begin = first + max(stated - first - length, Fraction(0)) / 2
        if _has_pictures(source, begin, begin + min(length, stated - first)):
            return first, stated
    with open_source(source.path) as container:
        return first, max((end for _, end in _shown(container, source)), default=first)


def picture_from(source: Source, start: Fraction, length: Fraction) -> Fraction:
    """`start`, or where no picture begins in `length` seconds from there, when the one shown began.

    In a film of variable rate a picture may stand for minutes. Seconds, `source.origin` subtracted.
    """
    if _has_pictures(source, start, start + length):
        return start
    shown: Fraction | None = None
    with open_source(source.path) as container:
        for time, _ in _shown(container, source):
            if start <= time < start + length:
                return start
            if time < start and (shown is None or time > shown):
                shown = time
    ticks = source.video.time_base
    return start if shown is None else round(shown / ticks) * ticks


def _first(source: Source) -> Fraction:
    with open_source(source.path) as container:
        shown = zip(range(_PACKETS_REORDERED), _shown(container, source))
        return min((time for _, (time, _) in shown), default=Fraction(0))


def _has_pictures(source: Source, start: Fraction, end: Fraction) -> bool:
    """Whether a seek to `start` finds a picture between there and `end`."""
    with open_source(source.path) as container, suppress(av.FFmpegError):
        stream = container.streams[source.video_index]
        container.seek(round((start + source.origin) / _time_base(stream)), stream=stream)
        reordered = 0
        for time, _ in _shown(container, source):
            if start <= time < end:
                return True
            reordered += time >= end
            if reordered > _PACKETS_REORDERED:
                return False
    return False


def _shown(container: InputContainer, source: Source) -> Iterator[tuple[Fraction, Fraction]]:
    """(begin, end) in seconds of every picture, in the file's order, as far as it can be read."""
    stream = container.streams[source.video_index]
    assert isinstance(stream, VideoStream)
    step = 1 / (source.video.frame_rate or Fraction(25))
    with suppress(av.FFmpegError):  # a source that breaks off ends there
        count = 0
        place = source.timeline.placer()
        for packet in demuxed(container, stream):
            place(packet)
            if packet.size:
                ticks = packet.pts if packet.pts is not None else packet.dts
                stated = ticks is not None
                time = (ticks or 0) * _time_base(stream) - source.origin if stated else count * step
                yield time, time + ((packet.duration or 0) * _time_base(stream) or step)
                count += 1


def _time_base(stream: object) -> Fraction:
    assert isinstance(stream, VideoStream) and stream.time_base is not None
    return stream.time_base
