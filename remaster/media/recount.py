"""The source read once more, without decoding, and held against what was written of it.

What is compared before says that the reader's frames and the copier's packets are in the file; this
says that the two delivered all there is.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import dropwhile
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Stream

from remaster.errors import SourceError, VerificationError
from remaster.media.opening import demuxed, open_source
from remaster.media.packets import FORMATS_WITHOUT_PTS, Span, Tally, payload
from remaster.media.piping import is_pipe
from remaster.media.probe import Source
from remaster.media.steady import SteadySound

__all__ = ["recount"]

_TOLERANCE_SECONDS = Fraction(1, 1000)
_UNSAID_LENGTH_SECONDS = 1
"""No sound packet that does not say its length lasts longer."""

_FAR_BEHIND_SECONDS = 60
"""So far behind the part that is written, a file holds nothing of it any more."""

_PACKETS_BEHIND = 16
"""So many in a row are no damaged times."""

_WHOLE_PICTURE_FORMATS = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2")
_WHOLE_PICTURE_CODECS = ("h264", "hevc", "av1", "vp9", "ffv1", "prores", "mjpeg", "huffyuv")
"""Where a packet is one picture that is shown: no lone field, no filler, no hidden reference."""


def recount(
    source: Source, span: Span, tallies: Sequence[Tally], frame_times: Sequence[Fraction] | None
) -> tuple[str, ...]:
    """Compare what was written with the packets of the source.

    Args:
        source: standard input is passed over: it cannot be read again.
        span: the part that was written.
        tallies: of every stream that was fed with packets.
        frame_times: of every frame, in seconds of the output, in order; None where the source is
            damaged and its times are not to be trusted.

    Returns:
        Sentences to be said: the source cannot be read any more, or pictures gave no frame.

    Raises:
        VerificationError: a packet is missing, or a frame is at a time without a picture.
    """
    has_pts = source.format_name not in FORMATS_WITHOUT_PTS
    film = _Film(source, span) if has_pts and frame_times is not None else None
    copied = {t.stream.index: _Copied(t, span) for t in tallies if not t.converted_to}
    if is_pipe(source.path) or not (film or copied):
        return ()
    failure = _read(source, span, copied, film)
    try:
        for each in copied.values():
            each.check()
        missed = film.missed(frame_times) if film is not None and frame_times is not None else 0
    except VerificationError:
        failure = failure or _why_unreadable(source.path)
        if failure is None:
            raise
        return (
            f"The source could not be read once more at the end ({failure}): the written file was "
            f"compared with what had been read of it, but what had been read was not counted anew.",
        )
    return (f"{missed} pictures of the source gave no frame.",) if missed else ()


@dataclass
class _Copied:
    """The packets of a copied stream in the source."""

    written: Tally
    span: Span
    sure: int = 0
    """That must have been written."""

    possible: int = 0
    """That may have been: at the ends of a part it depends on how times are rounded."""

    counted: Tally = field(init=False)

    def __post_init__(self) -> None:
        self.counted = Tally(self.written.stream)

    def add(self, packet: Packet[Stream]) -> None:
        stream = self.written.stream
        data = payload(packet, stream)
        if not data:
            return
        if self.span.is_whole:
            self.counted.count(data)
        is_sure, is_possible = (
            (True, True) if self.span.is_whole or stream.is_cover else _lies_in(packet, self.span)
        )
        self.sure += is_sure
        self.possible += is_possible

    def check(self) -> None:
        packets, stream = self.written.packets, self.written.stream
        if not self.sure <= packets <= self.possible:
            due = self.sure if packets < self.sure else self.possible
            raise VerificationError(
                f"The written file differs from its source in its number of packets of the "
                f"{stream} ({packets} instead of {due})"
            )
        if self.span.is_whole and self.written.digest != self.counted.digest:
            raise VerificationError(
                f"The written file differs from its source in its bytes of the {stream}"
            )


@dataclass
class _Film:
    """When the pictures of the part are shown, in ticks of the source's film."""

    source: Source
    span: Span
    times: array[int] = field(default_factory=lambda: array("q"))
    is_timed: bool = True
    """Whether every packet says it."""

    def add(self, packet: Packet[Stream]) -> None:
        if packet.is_discard:
            return
        if packet.pts is None:
            self.is_timed = False
            return
        tick = self.source.video.time_base
        ticks = round(packet.pts * packet.time_base / tick) - round(self.source.origin / tick)
        begin, length = self.span.shift - self.source.origin, self.span.length
        is_before = self.span.is_clipped and ticks * tick < begin
        if not is_before and (length is None or ticks * tick < begin + length):
            self.times.append(ticks - int(begin / tick))

    def missed(self, frame_times: Sequence[Fraction]) -> int:
        """How many pictures behind the first frame plainly gave none.

        Raises VerificationError for a frame at a time without a picture.
        """
        if not self.is_timed:
            return 0
        tick = self.source.video.time_base
        near = int(_TOLERANCE_SECONDS / tick)
        frames = [round(time / tick) for time in frame_times]
        shown = sorted(set(self.times))
        times = dropwhile(lambda time: time < frames[0] - near, shown)
        missed = 0
        for index, frame in enumerate(frames):
            time = next(times, None)
            while time is not None and time < frame - near:
                missed += 1
                time = next(times, None)
            if time is None or time > frame + near:
                raise VerificationError(
                    f"Frame {index} was written at {float(frame_times[index]):.3f} s, where the "
                    f"source has no picture"
                )
        missed += sum(1 for _ in times)
        film = self.source.streams[self.source.video_index]
        is_plain = (
            self.source.format_name in _WHOLE_PICTURE_FORMATS
            and film.codec in _WHOLE_PICTURE_CODECS
        )
        return missed if is_plain else 0


def _read(
    source: Source, span: Span, copied: Mapping[int, _Copied], film: _Film | None
) -> str | None:
    """Count the packets of the part; returns why it broke off, where it did."""
    followed = {*copied, source.video_index}
    place = source.timeline.placer()
    behind: dict[int, int] = {}
    try:
        with open_source(source.path) as container:
            streams = [each for each in container.streams if each.index in followed]
            sounds = {
                each.index: SteadySound(each.time_base or Fraction(1))
                for each in streams
                if each.type == "audio"
            }
            timed = {source.video_index, *sounds}
            for packet in demuxed(container, streams):
                if not packet.size:
                    continue
                index = packet.stream_index
                place(packet)
                if not span.is_whole:
                    behind[index] = behind.get(index, 0) + 1 if _is_far(packet, span) else 0
                    if all(behind.get(each, 0) >= _PACKETS_BEHIND for each in timed):
                        break
                if index in sounds:
                    for steady in sounds[index].add(packet):
                        copied[index].add(steady)
                elif index in copied:
                    copied[index].add(packet)
                elif film is not None:
                    film.add(packet)
            for index, sound in sounds.items():
                for steady in sound.flush():
                    copied[index].add(steady)
    except (SourceError, av.FFmpegError, OSError) as error:
        return getattr(error, "strerror", None) or str(error).rstrip(".")
    return None


def _is_far(packet: Packet[Stream], span: Span) -> bool:
    """Whether a packet lies far behind a part; one alone may have a damaged time."""
    ticks = packet.dts if packet.dts is not None else packet.pts
    if ticks is None or span.length is None:
        return False
    return ticks * packet.time_base - span.shift > span.length + _FAR_BEHIND_SECONDS


def _lies_in(packet: Packet[Stream], span: Span) -> tuple[bool, bool]:
    """Whether a packet is sure to lie in a part, and whether it may."""
    ticks = packet.pts if packet.pts is not None else packet.dts
    if ticks is None:
        return False, True
    begin = ticks * packet.time_base - span.shift
    margin = packet.time_base + _TOLERANCE_SECONDS
    end = begin + ((packet.duration or 0) * packet.time_base or _UNSAID_LENGTH_SECONDS)
    is_possible, is_sure = True, True
    if span.is_clipped:
        is_possible, is_sure = end > -margin, begin >= margin
    if span.length is not None:
        is_possible = is_possible and begin < span.length + margin
        is_sure = is_sure and begin < span.length - margin
    return is_sure, is_possible


def _why_unreadable(path: Path) -> str | None:
    """Why the end of a file cannot be read, where it cannot: demuxers take that for its end."""
    try:
        with path.open("rb") as file:
            file.seek(-1, 2)
            file.read(1)
    except OSError as error:
        return error.strerror or str(error)
    return None
