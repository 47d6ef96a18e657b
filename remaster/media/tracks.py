"""One stream's packets, moved from the source's clock to the output's."""

from __future__ import annotations

from fractions import Fraction

from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

from remaster.media.packets import RESTART_SECONDS, Span, Tally, payload
from remaster.media.streams import PlannedStream, convert_subtitle

__all__ = ["Track"]

_PCM_BYTES = {
    f"pcm_{kind}{bits}{order}": bits // 8
    for kind in "suf"
    for bits in (16, 24, 32, 64)
    for order in ("le", "be")
}
_ASSUMED_LENGTH = Fraction(1, 50)
_NOTICED_SECONDS = Fraction(1, 20)
"""Later than this, a sound or a text is out of step with the pictures."""


class Track:
    """One output stream that is fed with the packets of one of the source's."""

    def __init__(
        self, planned: PlannedStream, source: Stream, output: Stream, strict: bool
    ) -> None:
        self.info = planned.stream
        self.source = source
        self.output = output
        self.tally = Tally(planned.stream, planned.action == "convert")
        self._target = planned.codec
        self._shortest = 1 if strict else 0  # ticks of a packet; MP4 loses a last one without
        self._grid = _sound_grid(source)
        self._sample_bytes = _sample_bytes(source)
        self._last_time: Fraction | None = None
        self._last_length = _ASSUMED_LENGTH
        self._last_dts: int | None = None
        self._latest: Fraction | None = None
        self.moved_packets = 0
        self.moved_seconds = Fraction(0)

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

    def goes_back(self, packet: Packet[Stream]) -> bool:
        """Whether the packet lies on another clock than those before it.

        A text out of order does not say so: it is copied late, and counted.
        """
        ticks = packet.dts if packet.dts is not None else packet.pts
        if ticks is None or self.info.is_cover or self.info.kind not in ("audio", "video"):
            return False
        time, latest = ticks * _time_base(self.source), self._latest
        self._latest = time if latest is None else max(time, latest)
        return latest is not None and latest - time > RESTART_SECONDS

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
        data = self._kept(packet)
        if not data:
            return None
        ready = packet
        if self.tally.is_converted or (self._sample_bytes > 1 and len(data) != packet.size):
            ready = Packet(data)
            ready.is_keyframe = packet.is_keyframe
        moved = self._stamp(ready, time, None if lag is None else time - lag, length)
        self.tally.add(data, time + moved, length)
        if moved > _NOTICED_SECONDS:
            self.moved_packets += 1
            self.moved_seconds = max(self.moved_seconds, moved)
        return ready

    def _length(self, packet: Packet[Stream], time: Fraction) -> Fraction:
        """Seconds that a packet lasts; a sound's from the one before where the source is silent."""
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

    def _kept(self, packet: Packet[Stream]) -> bytes:
        """What the packet holds, converted where that is planned; nothing when it is empty."""
        data = payload(packet, self.info)
        if self._sample_bytes > 1:
            data = data[: len(data) // self._sample_bytes * self._sample_bytes]
        if data and self.tally.is_converted:
            return convert_subtitle(data, self.info.codec, self._target)
        return data

    def _stamp(
        self, packet: Packet[Stream], pts: Fraction, dts: Fraction | None, duration: Fraction
    ) -> Fraction:
        """Write the times, in seconds, as the output's ticks, decoding times in order.

        Returns by how many seconds the packet had to be made later for that.
        """
        base = _time_base(self.output)
        packet.stream = self.output
        packet.time_base = base
        packet.duration = max(self._shortest, round(duration / base))
        packet.pts, packet.dts = round(pts / base), None
        if dts is None and self.info.kind == "video":
            return Fraction(0)  # the muxer finds out how far pictures are reordered
        ticks = round((pts if dts is None else dts) / base)
        if self._last_dts is not None:
            ticks = max(ticks, self._last_dts + self._shortest)
        self._last_dts = ticks
        moved = max(ticks - packet.pts, 0)
        packet.pts, packet.dts = packet.pts + moved, ticks
        return moved * base


def _time_base(stream: Stream) -> Fraction:
    assert stream.time_base is not None
    return stream.time_base


def _sample_bytes(stream: Stream) -> int:
    """Of all channels of a PCM sample, 1 for what is none: a file cut off may end inside one."""
    context = stream.codec_context
    if not isinstance(stream, AudioStream) or context is None or context.name not in _PCM_BYTES:
        return 1
    return _PCM_BYTES[context.name] * stream.codec_context.layout.nb_channels


def _sound_grid(stream: Stream) -> Fraction | None:
    """Seconds of sound in a packet, where the source's clock is too coarse to say it."""
    if not isinstance(stream, AudioStream) or stream.codec_context is None:
        return None
    context = stream.codec_context
    if not context.frame_size or not context.sample_rate:
        return None
    is_coarse = _time_base(stream) > Fraction(1, context.sample_rate)
    return Fraction(context.frame_size, context.sample_rate) if is_coarse else None


def _clipped(time: Fraction, length: Fraction, span: Span) -> tuple[Fraction, Fraction]:
    """The part of [time, time + length) that lies in the span."""
    if span.is_clipped and time < 0:
        time, length = Fraction(0), length + time
    if span.length is not None:
        length = min(length, span.length - time)
    return time, length
