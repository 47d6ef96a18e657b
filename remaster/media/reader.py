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
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from remaster.frames import Frame, PixelLayout
from remaster.media.deinterlace import Deinterlaced, FieldReport, deinterlaced
from remaster.media.fields import Choice, Order
from remaster.media.formats import is_planar, planar_format, plane_order
from remaster.media.opening import MOST_SOURCE_PIXELS, demuxed, open_source, size_of
from remaster.media.packets import FORMATS_WITHOUT_PTS, RESTART_SECONDS
from remaster.media.piping import is_pipe
from remaster.media.probe import Source
from remaster.media.steady import Steady

__all__ = ["DamageReport", "FieldReport", "read_frames"]

_MISSING_SECONDS = 0.5
"""Less may be a long last picture."""

_SEEK_MARGINS_SECONDS = (0, 2, 10, 60)
_LEAD_IN_SECONDS = 1
"""Deinterlacing looks at the picture before `start` too."""


@dataclass
class DamageReport:
    """What was wrong with a source; filled while its frames are read."""

    failed_packets: int = 0
    """Packets that the decoder refused; their pictures are missing."""

    corrupt_frames: int = 0
    """Pictures delivered although the decoder says that parts of them are wrong."""

    moved_frames: int = 0
    """Pictures whose time was not after the one before, delivered one tick after it."""

    mended_times: int = 0
    """Pictures whose time its neighbours contradicted, put between them."""

    restarts: int = 0
    """How often the clock was set back on the way, in a way `Source.timeline` does not know."""

    missing_seconds: float = 0.0
    """How much earlier than the container says the film broke off."""

    resized_frames: int = 0
    """Pictures of another size or pixel format than the first, brought to its."""

    first_resized: str = ""
    """Of the first of them: when, and what it was."""

    cut_bytes: int = 0
    """Of a last picture that is not all there; only plain pictures show it."""

    def __bool__(self) -> bool:
        """Whether anything was wrong."""
        return self != DamageReport()


def read_frames(
    source: Source,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    damage: DamageReport | None = None,
    deinterlace: Order | None = None,
    fields: FieldReport | None = None,
) -> Iterator[Frame]:
    """The frames of a source with start <= time < end, in presentation order.

    `start` and `end` are seconds with `source.origin` already subtracted. The pts of the frames
    are in `source.video.time_base`, origin subtracted too, and strictly increasing. Planes are
    contiguous, laid out as `source.video.layout`, code values untouched. The file is closed
    when the iterator is exhausted or closed.

    Packets that cannot be decoded are counted in `damage` and reading goes on behind them.
    Pictures whose size or format changes in the middle are brought to that of the first.

    `deinterlace` is the order of the fields of an interlaced source: its frames then come
    progressive, as many and at the same times. What was done to them is counted in `fields`.
    """
    damage = damage if damage is not None else DamageReport()
    time_base = source.video.time_base
    last: int | None = None
    until = 0
    lead_in = start if start is None or deinterlace is None else start - _LEAD_IN_SECONDS
    pictures = _on_one_clock(source, _timed_pictures(source, lead_in, damage), damage)
    for each in _progressive(pictures, deinterlace):
        pts, length = each.pts, each.decoded.duration or 0
        if start is not None and pts * time_base < start:
            continue
        if end is not None and pts * time_base >= end:
            return
        picture = _as_the_first(source, each.shown, pts, damage)
        if last is not None and pts <= last:
            pts = last + 1
            damage.moved_frames += 1
        last, until = pts, pts + max(length, 1)
        damage.corrupt_frames += each.decoded.is_corrupt
        if fields is not None:
            fields.count(each.choice)
        yield Frame(pts, _planes(picture, source.video.layout), length)
    if source.video_end_seconds is not None and last is not None:
        missing = float(source.video_end_seconds - until * time_base)
        damage.missing_seconds = missing if missing > _MISSING_SECONDS else 0.0


def _progressive(
    pictures: Iterator[tuple[int, VideoFrame]], order: Order | None
) -> Iterator[Deinterlaced]:
    if order is not None:
        return deinterlaced(pictures, order)
    return (Deinterlaced(pts, each, each, Choice.DECODED) for pts, each in pictures)


def _on_one_clock(
    source: Source, pictures: Iterator[tuple[int, VideoFrame]], damage: DamageReport
) -> Iterator[tuple[int, VideoFrame]]:
    """(pts, origin subtracted; picture), a lone damaged time mended, a new clock continued."""
    time_base = source.video.time_base
    origin_ticks = round(source.origin / time_base)
    steady: Steady[VideoFrame] = Steady(round(RESTART_SECONDS / time_base))
    usual = max(1, round(1 / (source.video.frame_rate or Fraction(25)) / time_base))
    for pts, picture in pictures:
        for given in steady.add(picture, pts - origin_ticks, picture.duration or usual):
            yield given.time, given.item
        damage.mended_times, damage.restarts = steady.mended, steady.restarts
    for given in steady.flush():
        yield given.time, given.item
    damage.mended_times, damage.restarts = steady.mended, steady.restarts


def _timed_pictures(
    source: Source, start: Fraction | None, damage: DamageReport
) -> Iterator[tuple[int, VideoFrame]]:
    """(pts on the file's own clock, picture), from a keyframe at or before `start`."""
    position, first_byte = None, 0
    if start is not None and start > 0 and not is_pipe(source.path):
        if source.timeline.joints:
            first_byte = _last_keyframe(source, start)
        else:
            position = _seek_position(source, start)
    bound = max(MOST_SOURCE_PIXELS, source.video.width * source.video.height)
    with open_source(source.path, most_pixels=bound, is_last=True) as container:
        stream = container.streams[source.video_index]
        assert isinstance(stream, VideoStream)
        stream.codec_context.thread_type = ThreadType.AUTO
        if position is not None:
            container.seek(position, stream=stream)
        clock = _Clock(stream, container.format.name)
        end = 0
        for packet in _packets(source, container, stream, damage, first_byte):
            clock.packet_sent(packet)
            if packet is not None and packet.pos is not None:
                end = packet.pos + packet.size
            try:
                pictures = stream.decode(packet)
            except av.FFmpegError:
                damage.failed_packets += 1
                clock.packet_failed()
                continue
            for picture in pictures:
                yield clock.time_of(picture), picture
            if packet is None:
                stream.codec_context.flush_buffers()
    left = size_of(source.path) - end
    is_plain = source.format_name == "yuv4mpegpipe"
    damage.cut_bytes = left if is_plain and left > len("FRAME\n") else 0


def _packets(
    source: Source,
    container: InputContainer,
    stream: VideoStream,
    damage: DamageReport,
    first_byte: int = 0,
) -> Iterator[Packet[VideoStream] | None]:
    """Packets from a byte on, on one clock, then an empty one for what the decoder holds.

    None stands for an end in the middle, too: behind it another part of the file begins.
    """
    place = source.timeline.placer()
    joints = [each.position for each in source.timeline.breaks.get(stream.index, ())]
    try:
        for packet in demuxed(container, stream):
            position = place(packet)
            if position < first_byte and packet.size:
                continue
            if joints and position >= joints[0] and packet.is_keyframe:
                joints = [joint for joint in joints if joint > position]
                yield None
            yield packet
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
            if time is not None and time <= target:
                return position
    return None


def _last_keyframe(source: Source, start: Fraction) -> int:
    """First byte of the last keyframe at or before a time, in a file of several parts."""
    found = 0
    place = source.timeline.placer()
    with open_source(source.path) as container, suppress(av.FFmpegError):
        for packet in demuxed(container, container.streams[source.video_index]):
            position = place(packet)
            time = packet.pts if packet.pts is not None else packet.dts
            if not packet.size or not packet.is_keyframe or time is None:
                continue
            if time * source.video.time_base - source.origin > start:
                break
            found = position
    return found


def _next_keyframe(container: InputContainer, stream: VideoStream) -> Packet[VideoStream] | None:
    packets = demuxed(container, stream)
    return next((packet for packet in packets if packet.size and packet.is_keyframe), None)


def _time_of(packet: Packet[VideoStream]) -> int | None:
    return packet.pts if packet.pts is not None else packet.dts


class _Clock:
    """Times of pictures: their pts, or, in files without (AVI, raw streams), a deduced one.

    Such files say only when each packet is decoded, so the n-th picture shown gets the n-th
    smallest of the packets' times.
    """

    def __init__(self, stream: VideoStream, format_name: str) -> None:
        assert stream.time_base is not None
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        self._step = max(1, round(1 / rate / stream.time_base))
        self._has_pts = format_name not in FORMATS_WITHOUT_PTS
        self._context = stream.codec_context
        self._waiting: list[int] = []
        self._next = 0
        self._started = False

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
        elif waiting is None or (self._has_pts and self._started):
            time = self._next  # of a picture whose own time is damaged
        else:
            time = waiting
        self._started = True
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


def _as_the_first(
    source: Source, picture: VideoFrame, pts: int, damage: DamageReport
) -> VideoFrame:
    """A picture in the size and format of the film's first; nearly always as it is."""
    video, layout = source.video, source.video.layout
    is_of_size = (picture.width, picture.height) == (video.width, video.height)
    if is_of_size and picture.format.name in (source.pixel_format, planar_format(layout)):
        return picture
    if not damage.resized_frames:
        seconds = float(pts * video.time_base)
        found = f"{picture.width}x{picture.height} {picture.format.name}"
        damage.first_resized = f"{found} at {seconds:.3f} s"
    damage.resized_frames += 1
    return picture.reformat(
        video.width, video.height, source.pixel_format, interpolation=Interpolation.BICUBIC
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
