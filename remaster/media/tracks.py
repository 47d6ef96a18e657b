"""One stream's packets, moved from the source's clock to the output's."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

from remaster.media.holding import HOLDINGS
from remaster.media.packets import Span, Tally, payload
from remaster.media.steady import SteadySound
from remaster.media.streams import PlannedStream
from remaster.media.texts import Overlay, marked_text, written_text

__all__ = ["Track"]

_ASSUMED_LENGTH = Fraction(1, 50)
_LONGEST_SECONDS = 24 * 3600
"""More is said where nothing is known: subtitles of 2^32 milliseconds."""

_NOTICED_SECONDS = Fraction(1, 20)
"""Later than this, a sound or a text is out of step with the pictures."""


class Track:
    """One output stream that is fed with the packets of one of the source's."""

    def __init__(
        self,
        planned: PlannedStream,
        source: Stream,
        output: Stream,
        *,
        container: str,
        strict: bool,
    ) -> None:
        self.info = planned.stream
        self.source = source
        self.output = output
        self.tally = Tally(planned.stream, planned.codec if planned.action == "convert" else "")
        self._target = planned.codec
        self._may_overlap = HOLDINGS[container].overlapping_texts
        self._overlay = Overlay()
        self._shortest = 1 if strict else 0  # ticks of a packet; MP4 loses a last one without
        self._grid = _sound_grid(source)
        self._last_time: Fraction | None = None
        self._last_length = _ASSUMED_LENGTH
        self._last_dts: int | None = None
        self._steady = SteadySound(_time_base(source))
        self.damaged_packets = 0
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

    def steadied(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """Packets whose times go on, as far as the next ones are known; texts as they come."""
        if self.info.kind == "audio":
            usual = round(self._last_length / _time_base(self.source))
            yield from self._steady.add(packet, usual)
        else:
            yield packet

    def last_steadied(self) -> Iterator[Packet[Stream]]:
        """What waited for the next packet to come."""
        yield from self._steady.flush()

    @property
    def warnings(self) -> Iterator[str]:
        """Sentences about what was wrong with the packets."""
        if self.damaged_packets:
            yield (
                f"{self.damaged_packets} packets of the {self.info} are damaged in the source "
                f"and left out."
            )
        if self.moved_packets:
            yield (
                f"{self.moved_packets} packets of the {self.info} are out of order in the source: "
                f"they come up to {float(self.moved_seconds):.2f} s late."
            )
        if self._steady.mended:
            yield (
                f"{self._steady.mended} packets of the {self.info} had a damaged time in the "
                f"source: they were put between their neighbours."
            )
        if self._steady.restarts:
            yield (
                f"The clock of the {self.info} started again in the source: it goes on behind "
                f"what came before."
            )

    def take(self, packet: Packet[Stream], span: Span) -> Iterator[Packet[Stream]]:
        """The packet on the output's clock; nothing when none of it lies in the span.

        Of texts that the output cannot show at the same time, those that are settled.
        """
        base = _time_base(self.source)
        time = self.due(packet, span)
        length = self._length(packet, time)
        shown = packet.dts if packet.pts is None else packet.pts
        lag = None if packet.dts is None or shown is None else (shown - packet.dts) * base
        if span.is_clipped and time < 0 and time + length <= 0:
            return
        if span.length is not None and time >= span.length:
            return
        if self.info.kind == "subtitle":
            time, length = _clipped(time, length, span)
        data = payload(packet, self.info)
        if not data:
            self.damaged_packets += self.info.needs_packet_headers
            return
        if self.tally.converted_to:
            yield from self._converted(data, time, length)
        else:
            ready = packet
            if self.info.sample_bytes > 1 and len(data) != packet.size:
                ready = Packet(data)
                ready.is_keyframe = packet.is_keyframe
            dts = None if lag is None else time - lag
            yield self._counted(ready, data, time, dts, length)

    def flush(self) -> Iterator[Packet[Stream]]:
        """What waited for a text that would have overlapped."""
        for time, length, text in self._overlay.flush():
            yield from self._written(text, time, length)

    def _converted(self, data: bytes, time: Fraction, length: Fraction) -> Iterator[Packet[Stream]]:
        text = marked_text(data, self.info.codec)
        if not text.strip():
            return
        if self._may_overlap:
            yield from self._written(text, time, length)
            return
        for start, duration, words in self._overlay.add(time, length, text):
            yield from self._written(words, start, duration)

    def _written(self, text: str, time: Fraction, length: Fraction) -> Iterator[Packet[Stream]]:
        data = written_text(text, self._target)
        if data:
            packet: Packet[Stream] = Packet(data)
            packet.is_keyframe = True
            yield self._counted(packet, data, time, None, length)

    def _counted(
        self,
        packet: Packet[Stream],
        data: bytes,
        time: Fraction,
        dts: Fraction | None,
        length: Fraction,
    ) -> Packet[Stream]:
        moved = self._stamp(packet, time, dts, length)
        self.tally.add(data, time + moved, length, packet.is_keyframe)
        if moved > _NOTICED_SECONDS:
            self.moved_packets += 1
            self.moved_seconds = max(self.moved_seconds, moved)
        return packet

    def _length(self, packet: Packet[Stream], time: Fraction) -> Fraction:
        """Seconds that a packet lasts; a sound's from the one before where the source is silent."""
        base = _time_base(self.source)
        length = (packet.duration or 0) * base
        if length > _LONGEST_SECONDS:
            length = Fraction(0)
        if self._grid is not None and (not length or abs(length - self._grid) <= base):
            length = self._grid
        if not length and self.info.kind == "audio":
            is_first = self._last_time is None
            length = self._last_length if is_first else time - (self._last_time or 0)
        self._last_time = time
        self._last_length = length if length > 0 else self._last_length
        return length

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
