"""Packets of the source's other streams, moved into the output unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from typing import Self

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Stream

from remaster.media.opening import open_source
from remaster.media.packets import Span, Tally, digest, payload
from remaster.media.probe import Source, StreamInfo
from remaster.media.streams import PlannedStream, convert_subtitle, kept_tags, new_stream

__all__ = ["PacketCopier"]

_SEEK_MARGIN_SECONDS = 10
_INTERLEAVING_SECONDS = 30
"""How far apart in time packets may lie that are neighbours in a file."""

_ASSUMED_LENGTH = Fraction(1, 50)
_EQUAL_TIMES_ALLOWED = ("matroska", "webm")


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
        self._last_time: Fraction | None = None
        self._last_length = _ASSUMED_LENGTH
        self._last_dts: int | None = None

    def due(self, packet: Packet[Stream], span: Span) -> Fraction:
        """When the packet is shown or heard, in seconds of the output."""
        if self.info.is_cover:
            return Fraction(0)
        base = _time_base(self.source)
        ticks = packet.pts if packet.pts is not None else packet.dts
        expected = None if self._last_time is None else self._last_time + self._last_length
        if ticks is None:
            return expected or Fraction(0)
        time = ticks * base - span.shift
        is_rounded = self._grid is not None and _time_base(self.output) < base
        if is_rounded and expected is not None and abs(time - expected) <= base:
            return expected
        return time

    def take(self, packet: Packet[Stream], span: Span) -> Packet[Stream] | None:
        """The packet on the output's clock; None when none of it lies in the span."""
        base = _time_base(self.source)
        time = self.due(packet, span)
        length = self._length(packet, time)
        shown = packet.dts if packet.pts is None else packet.pts
        lag = None if packet.dts is None or shown is None else (shown - packet.dts) * base
        if span.is_clipped and time < 0 and time + length <= 0:
            return None
        if span.length is not None and time >= span.length:
            return None
        if self.info.kind == "subtitle":
            time, length = _clipped(time, length, span)
        ready = self._kept(packet)
        if ready is not None:
            self._stamp(ready, time, None if lag is None else time - lag, length)
        return ready

    def _length(self, packet: Packet[Stream], time: Fraction) -> Fraction:
        """Seconds that a packet lasts; a sound's from the one before where the source is silent.

        MP4 loses a last packet that lasts no time.
        """
        base = _time_base(self.source)
        length = (packet.duration or 0) * base
        if self._grid is not None and (not length or abs(length - self._grid) <= base):
            length = self._grid
        if not length and self.info.kind == "audio":
            is_first = self._last_time is None
            length = self._last_length if is_first else time - (self._last_time or 0)
        self._last_time = time
        self._last_length = length if length > 0 else self._last_length
        return length

    def _kept(self, packet: Packet[Stream]) -> Packet[Stream] | None:
        """The packet, converted where that is planned, and counted; None when it is empty."""
        data = payload(packet, self.info)
        if data and self.tally.is_converted:
            data = convert_subtitle(data, self.info.codec, self._target)
            packet = Packet(data) if data else packet
        if not data:
            return None
        self.tally.add(data)
        return packet

    def _stamp(
        self, packet: Packet[Stream], pts: Fraction, dts: Fraction | None, duration: Fraction
    ) -> None:
        """Write the times, in seconds, as the output's ticks, decoding times in order."""
        base = _time_base(self.output)
        packet.stream = self.output
        packet.time_base = base
        packet.duration = max(0, round(duration / base))
        packet.pts, packet.dts = round(pts / base), None
        if dts is None and self.info.kind == "video":
            return  # the muxer finds out how far pictures are reordered
        ticks = round((pts if dts is None else dts) / base)
        if self._last_dts is not None:
            ticks = max(ticks, self._last_dts + (1 if self._strict else 0))
        self._last_dts = ticks
        packet.pts, packet.dts = max(packet.pts, ticks), ticks


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
        data = _attached_file(source) if is_font else _first_payload(self._source, info.index)
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
        for packet in self._demuxed():
            track = self._tracks[packet.stream.index]
            due = track.due(packet, self._span)
            if self._span.length is not None and due > self._span.length + _INTERLEAVING_SECONDS:
                return
            ready = track.take(packet, self._span)
            if ready is not None:
                yield due, ready

    def _demuxed(self) -> Iterator[Packet[Stream]]:
        """Packets as the source holds them, up to where it can be read."""
        with suppress(av.FFmpegError):  # the reader reports a source that breaks off
            for packet in self._input.demux([track.source for track in self._tracks.values()]):
                if packet.size:
                    yield packet

    def _seek(self) -> None:
        """Skip what lies before the span; a subtitle may begin long before, so not for those."""
        position = round((self._span.shift - _SEEK_MARGIN_SECONDS) * av.time_base)
        is_sound = all(track.info.kind == "audio" for track in self._tracks.values())
        if self._span.is_clipped and is_sound and position > 0:
            self._input.seek(position)


def _time_base(stream: Stream) -> Fraction:
    assert stream.time_base is not None
    return stream.time_base


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


def _first_payload(source: Source, index: int) -> bytes:
    """The first packet of a stream: the whole of a cover picture."""
    with open_source(source.path) as container:
        for packet in container.demux(container.streams[index]):
            if packet.size:
                return bytes(packet)
    return b""
