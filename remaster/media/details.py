"""What people want to know of a file beyond what a run needs: how much, how fast, how regular."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import AttachmentStream, Disposition, Stream
from av.video.stream import VideoStream

from remaster.media.opening import demuxed, open_source
from remaster.media.probe import Source

__all__ = ["Details", "describe", "disposition_names", "other_bytes_per_second"]

_PACKETS_LOOKED_AT = 200
_PACKETS_REORDERED = 16
_TICK_ALLOWED = Fraction(1, 500)
"""Matroska rounds every time to a millisecond."""


@dataclass(frozen=True)
class Details:
    """Facts about a file that change nothing in how it is remastered."""

    format_words: str
    """What kind of file it is, in FFmpeg's words for people."""

    bytes: int
    bit_rate: int | None
    """Bits a second, of everything together."""

    profile: str | None
    """Of the film's codec."""

    is_variable: bool | None
    """Whether the first pictures come at uneven times; None where their times are not stated."""

    sounds: Mapping[int, str]
    """Index of an audio stream to its channels and rate, as in `stereo 48 kHz`."""

    attachment_bytes: Mapping[int, int]


def describe(source: Source) -> Details:
    """Look once more at a source. Raises SourceError when it cannot be opened."""
    with open_source(source.path) as container:
        film = container.streams[source.video_index]
        assert isinstance(film, VideoStream)
        return Details(
            format_words=container.format.long_name,
            bytes=source.path.stat().st_size,
            bit_rate=container.bit_rate or None,
            profile=film.codec_context.profile,
            is_variable=_is_variable(container, film),
            sounds={s.index: _sound(s) for s in container.streams if isinstance(s, AudioStream)},
            attachment_bytes={
                stream.index: len(stream.data)
                for stream in container.streams
                if isinstance(stream, AttachmentStream)
            },
        )


def disposition_names(flags: int) -> tuple[str, ...]:
    """FFmpeg's names of a stream's dispositions."""
    return tuple(str(flag.name) for flag in Disposition if flag.value & flags and flag.name)


def other_bytes_per_second(
    source: Source, indices: frozenset[int], start: Fraction, seconds: Fraction
) -> float:
    """How much the streams `indices` hold in a part of the film, each second of it.

    `start` counts from `source.origin`.
    """
    if not indices:
        return 0.0
    found = 0
    end = start + seconds
    with open_source(source.path) as container, suppress(av.FFmpegError):
        streams = [container.streams[index] for index in sorted(indices)]
        if start > 0:
            container.seek(round((start + source.origin) * av.time_base))
        place = source.timeline.placer()
        for packet in demuxed(container, streams):
            place(packet)
            ticks = packet.pts if packet.pts is not None else packet.dts
            time = None if ticks is None else ticks * packet.time_base - source.origin
            if time is not None and time >= end:
                break
            found += packet.size if time is None or time >= start else 0
    return float(found / seconds)


def _is_variable(container: InputContainer, film: VideoStream) -> bool | None:
    times: list[Fraction] = []
    with suppress(av.FFmpegError):  # what is damaged is reported by a run
        for packet in islice(demuxed(container, film), _PACKETS_LOOKED_AT):
            if packet.pts is not None and packet.size:
                times.append(packet.pts * packet.time_base)
    times.sort()
    if len(times) == _PACKETS_LOOKED_AT:
        del times[-_PACKETS_REORDERED:]  # pictures between them were not read
    steps = [after - before for before, after in zip(times, times[1:])]
    return None if not steps else max(steps) - min(steps) > _TICK_ALLOWED


def _sound(stream: Stream) -> str:
    context = stream.codec_context
    if context is None or not isinstance(stream, AudioStream):
        return ""
    rate = f"{stream.codec_context.sample_rate / 1000:g} kHz"
    bits = stream.codec_context.bit_rate
    speed = f" {round(bits / 1000)} kb/s" if bits else ""
    return f"{stream.codec_context.layout.name} {rate}{speed}"
