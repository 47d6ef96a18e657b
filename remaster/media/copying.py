"""Packets of the source's other streams, moved into the output unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Self

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Stream

from remaster.media.probe import Source, StreamInfo, open_source
from remaster.media.streams import PlannedStream, convert_subtitle, kept_tags, new_stream

__all__ = ["PacketCopier", "Span", "Tally", "digest", "first_payload", "payload"]

_SEEK_MARGIN_SECONDS = 10
_INTERLEAVING_SECONDS = 30
"""How far apart in time packets may lie that are neighbours in a file."""

_EQUAL_TIMES_ALLOWED = ("matroska", "webm")


@dataclass(frozen=True)
class Span:
    """The part of a source that is written, and how its times move."""

    shift: Fraction
    """Seconds subtracted from the source's times."""

    length: Fraction | None
    """Seconds from there to the end of the part; None: to the end of the source."""

    is_clipped: bool
    """Whether what lies before second 0 of the output is left out."""

    @staticmethod
    def of(source: Source, start: Fraction | None, end: Fraction | None) -> Span:
        """`start` and `end` in seconds, `source.origin` already subtracted."""
        begin = start or Fraction(0)
        return Span(source.origin + begin, None if end is None else end - begin, begin > 0)


def digest(data: bytes) -> str:
    """A short fingerprint of bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def payload(packet: Packet[Stream], stream: StreamInfo) -> bytes:
    """The bytes of a packet that every container keeps; empty for a mere filler.

    AAC in a transport stream carries a header on each packet, which other containers keep once.
    MP4 fills the gaps between subtitles with empty ones.
    """
    data = bytes(packet)
    if stream.codec == "mov_text" and data[:2] == b"\0\0":
        return b""
    is_adts = stream.codec == "aac" and not stream.has_header and len(data) > 9
    if is_adts and data[0] == 0xFF and data[1] & 0xF0 == 0xF0:
        return data[7 if data[1] & 1 else 9 :]
    return data


def first_payload(source: Source, index: int) -> bytes:
    """The first packet of a stream: the whole of a cover picture."""
    with open_source(source.path) as container:
        for packet in container.demux(container.streams[index]):
            if packet.size:
                return bytes(packet)
    return b""


@dataclass
class Tally:
    """What went through one stream."""

    stream: StreamInfo
    is_converted: bool = False
    packets: int = 0
    _digest: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def add(self, data: bytes) -> None:
        self.packets += 1
        self._digest.update(data)

    @property
    def digest(self) -> str:
        """Of all payloads, one after the other: some containers cut PCM into other packets."""
        return self._digest.hexdigest()


class _Track:
    """One output stream that is fed with the packets of one of the source's."""

    def __init__(self, planned: PlannedStream, source: Stream, output: Stream, strict: bool):
        self.info = planned.stream
        self.source = source
        self.output = output
        self.tally = Tally(planned.stream, planned.action == "convert")
        self._target = planned.codec
        self._strict = strict
        self._grid = _sound_grid(source)
        self._expected: Fraction | None = None
        self._last_dts: int | None = None

    def due(self, packet: Packet[Stream], span: Span) -> Fraction:
        """When the packet is shown or heard, in seconds of the output."""
        base = _time_base(self.source)
        ticks = packet.pts if packet.pts is not None else packet.dts
        if self.info.is_cover:
            return Fraction(0)
        if ticks is None:
            return self._expected or Fraction(0)
        time = ticks * base - span.shift
        is_finer = _time_base(self.output) < base
        if self._grid and self._expected is not None and is_finer:
            return self._expected if abs(time - self._expected) <= base else time
        return time

    def take(self, packet: Packet[Stream], span: Span) -> Packet[Stream] | None:
        """The packet on the output's clock; None when none of it lies in the span."""
        base = _time_base(self.source)
        time = self.due(packet, span)
        length = (packet.duration or 0) * base
        self._expected = time + (self._grid or length)
        if span.is_clipped and time < 0 and time + length <= 0:
            return None
        if span.length is not None and time >= span.length:
            return None
        if self.info.kind == "subtitle":
            time, length = _clipped(time, length, span)
        lag = _reordering(packet) * base
        data = payload(packet, self.info)
        if not data:
            return None
        if self.tally.is_converted:
            data = convert_subtitle(data, self.info.codec, self._target)
            if not data:
                return None
            packet = Packet(data)
        self.tally.add(data)
        self._stamp(packet, time, time - lag, length)
        return packet

    def _stamp(
        self, packet: Packet[Stream], pts: Fraction, dts: Fraction, duration: Fraction
    ) -> None:
        """Write the times, in seconds, as the output's ticks, decoding times in order."""
        base = _time_base(self.output)
        ticks = round(dts / base)
        if self._last_dts is not None:
            ticks = max(ticks, self._last_dts + (1 if self._strict else 0))
        self._last_dts = ticks
        packet.stream = self.output
        packet.time_base = base
        packet.pts, packet.dts = max(round(pts / base), ticks), ticks
        packet.duration = round(duration / base)


class PacketCopier:
    """Feeds an output with streams of a source, in step with the film.

    Opens the source a second time; a context manager.
    """

    def __init__(self, source: Source, span: Span) -> None:
        self._source = source
        self._span = span
        self._tracks: dict[int, _Track] = {}
        self._resources = ExitStack()
        self._pending: tuple[Fraction, Packet[Stream]] | None = None
        self.attachments: list[str] = []
        """Digests of the fonts and pictures which the header carries."""

    def __enter__(self) -> Self:
        self._input = self._resources.enter_context(open_source(self._source.path))
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """Of every stream that is fed with packets, in the order of the output."""
        return tuple(track.tally for track in self._tracks.values())

    def add_stream(self, planned: PlannedStream, output: OutputContainer) -> None:
        """Give the output a stream, or an attachment, for a planned one."""
        source = self._input.streams[planned.stream.index]
        if planned.action == "attach":
            self._attach(planned.stream, source, output)
        elif planned.action != "drop":
            strict = output.format.name not in _EQUAL_TIMES_ALLOWED
            stream = new_stream(planned, source, output)
            self._tracks[source.index] = _Track(planned, source, stream, strict)

    def start(self, output: OutputContainer) -> None:
        """Begin reading; the output's header is written, so that its time bases stand."""
        self._output = output
        self._packets = self._read()
        self._pending = next(self._packets, None)

    def advance(self, time: Fraction | None) -> None:
        """Mux what is due up to `time` (seconds of the output), or everything left."""
        while self._pending is not None and (time is None or self._pending[0] <= time):
            self._output.mux(self._pending[1])
            self._pending = next(self._packets, None)

    def _attach(self, info: StreamInfo, source: Stream, output: OutputContainer) -> None:
        is_font = info.kind == "attachment"
        data = _attached_file(source) if is_font else first_payload(self._source, info.index)
        suffix = {"mjpeg": "jpg"}.get(info.codec, info.codec)
        mimetype = {"jpg": "image/jpeg"}.get(suffix, f"image/{suffix}")
        attachment = output.add_attachment(
            info.metadata.get("filename", "attachment" if is_font else f"cover.{suffix}"),
            info.metadata.get("mimetype", "application/octet-stream" if is_font else mimetype),
            data,
        )
        attachment.metadata.update(kept_tags(info.metadata))
        self.attachments.append(digest(data))

    def _read(self) -> Iterator[tuple[Fraction, Packet[Stream]]]:
        """(time in seconds of the output, packet ready to be muxed)."""
        if not self._tracks:
            return
        for stream in self._input.streams:
            if stream.index not in self._tracks:
                stream.discard = Discard.all
        self._seek()
        for packet in self._input.demux([track.source for track in self._tracks.values()]):
            if packet.size == 0:
                continue
            track = self._tracks[packet.stream.index]
            due = track.due(packet, self._span)
            if self._span.length is not None and due > self._span.length + _INTERLEAVING_SECONDS:
                return
            ready = track.take(packet, self._span)
            if ready is not None:
                yield due, ready

    def _seek(self) -> None:
        """Skip what lies before the span; a subtitle may begin long before, so not for those."""
        position = round((self._span.shift - _SEEK_MARGIN_SECONDS) * av.time_base)
        is_sound = all(track.info.kind == "audio" for track in self._tracks.values())
        if self._span.is_clipped and is_sound and position > 0:
            self._input.seek(position)


def _time_base(stream: Stream) -> Fraction:
    assert stream.time_base is not None
    return stream.time_base


def _reordering(packet: Packet[Stream]) -> int:
    """How long after being decoded a packet is shown, in ticks."""
    return 0 if packet.pts is None or packet.dts is None else packet.pts - packet.dts


def _sound_grid(stream: Stream) -> Fraction | None:
    """Seconds of sound in a packet, where the source's clock is too coarse to say it."""
    if not isinstance(stream, AudioStream) or stream.codec_context is None:
        return None
    context = stream.codec_context
    if not context.frame_size or not context.sample_rate:
        return None
    is_coarse = _time_base(stream) > Fraction(1, context.sample_rate)
    return Fraction(context.frame_size, context.sample_rate) if is_coarse else None


def _attached_file(stream: Stream) -> bytes:
    assert isinstance(stream, AttachmentStream)
    return stream.data


def _clipped(time: Fraction, length: Fraction, span: Span) -> tuple[Fraction, Fraction]:
    """The part of [time, time + length) that lies in the span."""
    if span.is_clipped and time < 0:
        time, length = Fraction(0), length + time
    if span.length is not None:
        length = min(length, span.length - time)
    return time, length
