"""Pictures of a source, in order, with their own times."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
import torch
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.stream import VideoStream

from remaster.errors import SourceError
from remaster.frames import Frame, PixelLayout
from remaster.media.formats import is_planar, planar_format, plane_order
from remaster.media.opening import MOST_SOURCE_PIXELS, demuxed, open_source
from remaster.media.packets import RESTART_SECONDS, clock_starts_again
from remaster.media.probe import Source

__all__ = ["DamageReport", "read_frames"]

_FORMATS_WITHOUT_PTS = ("avi", "h264", "hevc", "m4v", "mpegvideo", "vc1", "dirac", "obu")
_MISSING_SECONDS = 0.5
"""Less may be a long last picture."""

_SEEK_MARGINS_SECONDS = (0, 2, 10, 60)


@dataclass
class DamageReport:
    """What was wrong with a source; filled while its frames are read."""

    failed_packets: int = 0
    """Packets that the decoder refused; their pictures are missing."""

    corrupt_frames: int = 0
    """Pictures delivered although the decoder says that parts of them are wrong."""

    moved_frames: int = 0
    """Pictures whose time was not after the one before, delivered one tick after it."""

    missing_seconds: float = 0.0
    """How much earlier than the container says the film broke off."""

    def __bool__(self) -> bool:
        """Whether anything was wrong."""
        return any(
            (self.failed_packets, self.corrupt_frames, self.moved_frames, self.missing_seconds)
        )


def read_frames(
    source: Source,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    damage: DamageReport | None = None,
) -> Iterator[Frame]:
    """The frames of a source with start <= time < end, in presentation order.

    `start` and `end` are seconds with `source.origin` already subtracted. The pts of the frames
    are in `source.video.time_base`, origin subtracted too, and strictly increasing. Planes are
    contiguous, laid out as `source.video.layout`, code values untouched. The file is closed
    when the iterator is exhausted or closed.

    Packets that cannot be decoded are counted in `damage` and reading goes on behind them.

    Raises SourceError when the picture changes its size or format, or the clock starts again
    before `end`.
    """
    damage = damage if damage is not None else DamageReport()
    time_base = source.video.time_base
    last: int | None = None
    until = 0
    for pts, picture in _on_one_clock(source, _timed_pictures(source, start, damage), end):
        if start is not None and pts * time_base < start:
            continue
        if end is not None and pts * time_base >= end:
            return
        _check_shape(source, picture, pts)
        if last is not None and pts <= last:
            pts = last + 1
            damage.moved_frames += 1
        last, until = pts, pts + max(picture.duration or 0, 1)
        damage.corrupt_frames += picture.is_corrupt
        yield Frame(pts, _planes(picture, source.video.layout), picture.duration or 0)
    if source.video_end_seconds is not None and last is not None:
        missing = float(source.video_end_seconds - until * time_base)
        damage.missing_seconds = missing if missing > _MISSING_SECONDS else 0.0


def _on_one_clock(
    source: Source, pictures: Iterator[tuple[int, VideoFrame]], end: Fraction | None
) -> Iterator[tuple[int, VideoFrame]]:
    """(pts, origin subtracted; picture), up to where the clock starts again.

    Raises SourceError when `end` lies behind that: no picture there has a time of its own.
    """
    time_base = source.video.time_base
    origin_ticks = round(source.origin / time_base)
    latest: int | None = None
    until = 0
    for pts, picture in pictures:
        pts -= origin_ticks
        if latest is not None and (latest - pts) * time_base > RESTART_SECONDS:
            if end is not None and end <= until * time_base + RESTART_SECONDS:
                return
            raise clock_starts_again(source, "picture", until * time_base, pts * time_base)
        if latest is None or pts >= latest:
            latest, until = pts, pts + max(picture.duration or 0, 1)
        yield pts, picture


def _timed_pictures(
    source: Source, start: Fraction | None, damage: DamageReport
) -> Iterator[tuple[int, VideoFrame]]:
    """(pts on the file's own clock, picture), from a keyframe at or before `start`."""
    position = None if start is None or start <= 0 else _seek_position(source, start)
    bound = max(MOST_SOURCE_PIXELS, source.video.width * source.video.height)
    with open_source(source.path, most_pixels=bound) as container:
        stream = container.streams[source.video_index]
        assert isinstance(stream, VideoStream)
        stream.codec_context.thread_type = ThreadType.AUTO
        if position is not None:
            container.seek(position, stream=stream)
        clock = _Clock(stream, container.format.name)
        for packet in _packets(container, stream, damage):
            clock.packet_sent(packet)
            try:
                pictures = stream.decode(packet)
            except av.FFmpegError:
                damage.failed_packets += 1
                clock.packet_failed()
                continue
            for picture in pictures:
                yield clock.time_of(picture), picture


def _packets(
    container: InputContainer, stream: VideoStream, damage: DamageReport
) -> Iterator[Packet[VideoStream] | None]:
    """Packets, then an empty one or None that makes the decoder give what it holds."""
    try:
        yield from demuxed(container, stream)
    except av.FFmpegError:
        damage.failed_packets += 1
        yield None


def _seek_position(source: Source, start: Fraction) -> int | None:
    """Ticks to seek to so that a keyframe at or before `start` comes first; None: read it all.

    Some formats seek by decoding time or by guesses about bytes, and may land too late, so the
    first keyframe behind each landing is looked at before it is trusted.
    """
    time_base = source.video.time_base
    target = round((start + source.origin) / time_base)
    limit = _first_byte_at(source, target) if source.may_restart else None
    with open_source(source.path) as container:
        stream = container.streams[source.video_index]
        assert isinstance(stream, VideoStream)
        for margin in _SEEK_MARGINS_SECONDS:
            position = target - round(margin / time_base)
            try:
                container.seek(position, stream=stream)
                landed = _next_keyframe(container, stream)
            except av.FFmpegError:
                continue
            time = None if landed is None else _time_of(landed)
            if landed is None or time is None or time > target:
                continue
            if limit is None or (landed.pos is not None and landed.pos <= limit):
                return position
    return None


def _next_keyframe(container: InputContainer, stream: VideoStream) -> Packet[VideoStream] | None:
    packets = demuxed(container, stream)
    return next((packet for packet in packets if packet.size and packet.is_keyframe), None)


def _time_of(packet: Packet[VideoStream]) -> int | None:
    return packet.pts if packet.pts is not None else packet.dts


def _first_byte_at(source: Source, target: int) -> int | None:
    """Where in the file the film first reaches a time: a seek may find its second coming.

    Raises SourceError when the clock starts again before that.
    """
    time_base, latest = source.video.time_base, None
    with open_source(source.path) as container, suppress(av.FFmpegError):
        for packet in demuxed(container, container.streams[source.video_index]):
            time = packet.dts
            if time is None:
                continue
            if latest is not None and (latest - time) * time_base > RESTART_SECONDS:
                times = (ticks * time_base - source.origin for ticks in (latest, time))
                raise clock_starts_again(source, "picture", *times)
            latest = time if latest is None else max(time, latest)
            if time >= target:
                return packet.pos
    return None


class _Clock:
    """Times of pictures: their pts, or, in files without (AVI, raw streams), a deduced one.

    Such files say only when each packet is decoded, so the n-th picture shown gets the n-th
    smallest of the packets' times.
    """

    def __init__(self, stream: VideoStream, format_name: str) -> None:
        assert stream.time_base is not None
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        self._step = max(1, round(1 / rate / stream.time_base))
        self._has_pts = format_name not in _FORMATS_WITHOUT_PTS
        self._context = stream.codec_context
        self._waiting: list[int] = []
        self._next = 0

    def packet_sent(self, packet: Packet[VideoStream] | None) -> None:
        if packet is None or not packet.size:
            return
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None:
            heapq.heappush(self._waiting, time)

    def packet_failed(self) -> None:
        if self._waiting:
            heapq.heappop(self._waiting)

    def time_of(self, picture: VideoFrame) -> int:
        waiting = self._oldest_waiting(picture)
        if picture.pts is not None and self._has_pts:
            time = picture.pts
        else:
            time = self._next if waiting is None else waiting
        self._next = time + (picture.duration or self._step)
        return time

    def _oldest_waiting(self, picture: VideoFrame) -> int | None:
        """The smallest time of a packet whose picture may be this one.

        A packet may hold no picture; its time is older than reordering explains.
        """
        if picture.dts is not None:
            oldest = picture.dts - (self._context.reorder_depth + 1) * self._step
            while self._waiting and self._waiting[0] < oldest:
                heapq.heappop(self._waiting)
        return heapq.heappop(self._waiting) if self._waiting else None


def _check_shape(source: Source, picture: VideoFrame, pts: int) -> None:
    video = source.video
    expected = (video.width, video.height, source.pixel_format)
    found = (picture.width, picture.height, picture.format.name)
    if found != expected:
        seconds = float(pts * video.time_base)
        raise SourceError(
            f"{source.path}: at {seconds:.3f} s the picture changes from "
            f"{expected[0]}x{expected[1]} {expected[2]} to {found[0]}x{found[1]} {found[2]}; "
            f"one size and format throughout is supported: use --end before it, --start after it."
        )


def _planes(picture: VideoFrame, layout: PixelLayout) -> tuple[torch.Tensor, ...]:
    if not is_planar(picture.format.name):
        picture = picture.reformat(format=planar_format(layout))
    planes = picture.planes
    return tuple(_tensor(planes[index], layout) for index in plane_order(layout))


def _tensor(plane: VideoPlane, layout: PixelLayout) -> torch.Tensor:
    """(H, W) copy of a plane without the padding at the end of its rows."""
    dtype = np.uint8 if layout.bit_depth == 8 else np.int16
    rows = np.frombuffer(cast("memoryview", plane), dtype).reshape(plane.height, -1)[
        :, : plane.width
    ]
    if plane.line_size < 0:
        rows = rows[::-1]
    return torch.from_numpy(rows.copy())
