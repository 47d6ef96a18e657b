"""A finished file read back and held against what was to be written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream

from remaster.errors import SourceError, VerificationError
from remaster.frames import VideoInfo
from remaster.media.opening import open_source
from remaster.media.packets import NO_TIME, Tally, digest, payload
from remaster.media.probe import Source, StreamInfo, probe

__all__ = ["Expectation", "verify"]

_TOLERANCE_SECONDS = Fraction(1, 1000)
_LANGUAGES_KEPT = {
    "matroska": re.compile("[a-z]{2,3}"),
    "webm": re.compile("[a-z]{2,3}"),
    "mp4": re.compile("[a-z]{3}"),
}
"""What a container can say; MOV has a list of its own, without many of them."""


@dataclass(frozen=True)
class Expectation:
    """What a finished file must hold."""

    container: str
    """FFmpeg's name of the muxer."""

    video: VideoInfo
    pts: Sequence[int]
    """Of every frame, in `video.time_base`, in order."""

    rotation: int
    language: str | None
    """Of the film."""

    tallies: Sequence[Tally]
    """Of every other stream, in order; MP4 forgets those which had no packets."""

    attachments: Sequence[str]
    """Digests of what the header carries."""

    chapters: Sequence[tuple[Fraction, str]]
    """(start in seconds, title)."""


@dataclass(frozen=True)
class _Contents:
    """What a finished file does hold, beside what `probe` says."""

    pts: list[int]
    tallies: list[tuple[Tally, Fraction]]
    """Of every other stream that has packets, with its time base."""

    attachments: list[str]


def verify(path: Path, expected: Expectation) -> None:
    """Read a whole file and compare it.

    Raises VerificationError naming the first difference, to be completed with the file's fate.
    """
    try:
        found = probe(path, most_pixels=None)
        contents = _read_back(found)
    except (SourceError, av.FFmpegError) as error:
        raise VerificationError(f"The written file cannot be read back ({error})") from error
    _check_picture(found, expected)
    _check_chapters(found, expected)
    _check_frame_times(contents.pts, found.video.time_base, expected)
    _check(sorted(contents.attachments), sorted(_all_attachments(expected)), "attachments")
    others = [tally for tally in expected.tallies if tally.packets and not tally.stream.is_cover]
    _check(len(contents.tallies), len(others), "other streams")
    for (seen, tick), wanted in zip(contents.tallies, others, strict=True):
        if wanted.is_converted:
            _check(seen.packets, wanted.packets, f"packets of the {wanted.stream}")
        else:
            _check(seen.digest, wanted.digest, f"bytes of the {wanted.stream}")
        _check_packet_times(seen, wanted, tick + _TOLERANCE_SECONDS)
        _check_language(
            seen.stream.language, wanted.stream.language, wanted.stream, expected.container
        )


def _check(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise VerificationError(
            f"The written file differs from its source in its {what} ({found} instead of {wanted})"
        )


def _check_picture(found: Source, expected: Expectation) -> None:
    video, wanted = found.video, expected.video
    _check((video.width, video.height), (wanted.width, wanted.height), "size")
    _check(video.sample_aspect_ratio, wanted.sample_aspect_ratio, "pixel aspect ratio")
    if (found.rotation - expected.rotation + 1) % 360 > 2:  # a degree is what rounding does
        _check(found.rotation % 360, expected.rotation % 360, "rotation")
    _check(found.guessed, (), "colour tags that are missing")
    for name in ("matrix", "range", "primaries", "transfer"):
        _check(getattr(video.color, name), getattr(wanted.color, name), f"colour {name}")
    film = found.streams[found.video_index]
    _check_language(film.language, expected.language, "film", expected.container)


def _check_language(found: str | None, wanted: str | None, what: object, container: str) -> None:
    can_say = _LANGUAGES_KEPT.get(container)
    if can_say is not None and can_say.fullmatch(wanted or "") and wanted != "und":
        _check(found, wanted, f"language of the {what}")


def _check_chapters(found: Source, expected: Expectation) -> None:
    _check(len(found.chapters), len(expected.chapters), "number of chapters")
    for number, (chapter, (start, title)) in enumerate(zip(found.chapters, expected.chapters)):
        _check(chapter.metadata.get("title", ""), title, "names of chapters")
        is_first = number == 0 and expected.container in ("mp4", "mov")  # these begin it at 0
        if abs(chapter.start - start) > _TOLERANCE_SECONDS and not (is_first and not chapter.start):
            _check(float(chapter.start), float(start), f"start of the chapter {title!r}")


def _check_frame_times(pts: list[int], time_base: Fraction, expected: Expectation) -> None:
    _check(len(pts), len(expected.pts), "number of frames")
    wanted_base = expected.video.time_base
    for index, (seen, wanted) in enumerate(zip(sorted(pts), expected.pts, strict=True)):
        difference = seen * time_base - wanted * wanted_base
        if abs(difference) > _TOLERANCE_SECONDS:
            raise VerificationError(
                f"Frame {index} was written {float(difference) * 1000:+.1f} ms from its time"
            )


def _check_packet_times(found: Tally, wanted: Tally, tolerance: Fraction) -> None:
    """Every packet's time; of PCM that was cut into other packets, where it begins and ends."""
    pairs = list(zip(found.times, wanted.times))
    if found.packets != wanted.packets:
        pairs = [*pairs[:1], (found.end, wanted.end)]
    microseconds = tolerance * 1_000_000
    for index, (seen, due) in enumerate(pairs):
        if due < 0 and seen in (NO_TIME, 0):
            continue  # Matroska has no words for it, and a lone packet reads as 0
        if abs(seen - due) > microseconds:
            off = "no" if seen == NO_TIME else f"{(seen - due) / 1000:+.1f} ms from its"
            raise VerificationError(
                f"Packet {index} of the {wanted.stream} was written with {off} time"
            )


def _all_attachments(expected: Expectation) -> list[str]:
    """Those of the header, and covers that were muxed as streams."""
    covers = [tally.digest for tally in expected.tallies if tally.stream.is_cover]
    return [*expected.attachments, *covers]


def _read_back(found: Source) -> _Contents:
    infos = {stream.index: stream for stream in found.streams}
    pts: list[int] = []
    tallies = {
        info.index: Tally(info)
        for info in found.streams
        if info.kind in ("video", "audio", "subtitle") and not info.is_cover
    }
    del tallies[found.video_index]
    with open_source(found.path) as container:
        attachments = [
            digest(stream.data)
            for stream in container.streams
            if isinstance(stream, AttachmentStream)
        ]
        for packet in container.demux():
            if packet.size == 0:
                continue
            if packet.stream_index == found.video_index:
                pts.append(_shown_at(packet))
            elif packet.stream.disposition & Disposition.attached_pic:
                attachments.append(digest(bytes(packet)))
            elif packet.stream_index in tallies:
                _count(packet, infos[packet.stream_index], tallies[packet.stream_index])
        with_packets = [
            (tally, container.streams[index].time_base or Fraction(0))
            for index, tally in tallies.items()
            if tally.packets
        ]
    return _Contents(pts, with_packets, attachments)


def _count(packet: Packet[Stream], info: StreamInfo, tally: Tally) -> None:
    data = payload(packet, info)
    if data:
        ticks = packet.pts if packet.pts is not None else packet.dts
        time = None if ticks is None else ticks * packet.time_base
        tally.add(data, time, (packet.duration or 0) * packet.time_base)


def _shown_at(packet: Packet[Stream]) -> int:
    time = packet.pts if packet.pts is not None else packet.dts
    if time is None:
        raise VerificationError("The written file has frames without a time")
    return time
