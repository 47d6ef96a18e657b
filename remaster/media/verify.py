"""A finished file read back and held against what was to be written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, zip_longest
from pathlib import Path

import av
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream

from remaster.errors import SourceError, VerificationError
from remaster.frames import VideoInfo
from remaster.media.hdr import is_same_light, says_light
from remaster.media.holding import (
    HOLDINGS,
    held_language,
    held_track_tags,
    normal_dispositions,
    track_tags,
)
from remaster.media.opening import open_source
from remaster.media.packets import NO_TIME, Attachment, Span, Tally, digest, payload
from remaster.media.probe import Chapter, Source, StreamInfo, probe
from remaster.media.recount import recount
from remaster.media.texts import TEXT_CODECS

__all__ = ["Expectation", "verify"]

_TOLERANCE_SECONDS = Fraction(1, 1000)
_SAME_CODECS = {"text": "subrip", "ssa": "ass", "mp3": "mp2"}
"""Codecs whose packets say which of the two they are, or that are two names of one."""

_RESTATED_TAGS = ("creation_time", "location")
"""Instants and places, which containers spell in their own ways."""


@dataclass(frozen=True)
class Expectation:
    """What a finished file must hold."""

    container: str
    """FFmpeg's name of the muxer."""

    video: VideoInfo
    codec: str
    """Of the film: FFmpeg's name of what its encoder makes."""

    encoder: str
    """FFmpeg's name of it."""

    pts: Sequence[int]
    """Of every frame, in `video.time_base`, in order."""

    rotation: int
    mirror: tuple[int, int, int, int] | None
    tags: Mapping[str, str]
    """Of the file, as far as the container holds them."""

    source: Source
    span: Span
    """The part of the source that is written."""

    is_intact: bool
    """Whether the source was read without damage, so that its times are known to be true."""

    streams: Sequence[StreamInfo]
    """The source's that are fed with packets, in order."""

    tallies: Sequence[Tally]
    """Of every one of them; MP4 forgets those which had no packets."""

    attachments: Sequence[Attachment]
    """What the header carries."""

    chapters: Sequence[Chapter]


@dataclass(frozen=True)
class _Contents:
    """What a finished file does hold, beside what `probe` says."""

    pts: list[int]
    tallies: list[tuple[Tally, Fraction]]
    """Of every other stream that has packets, with its time base."""

    attachments: list[Attachment]


def verify(path: Path, expected: Expectation) -> tuple[str, ...]:
    """Read a whole file and compare it, then its source once more.

    Returns a sentence for each thing that should be known, and is no fault of the file.

    Raises VerificationError naming the first difference, to be completed with the file's fate.
    """
    try:
        found = probe(path, most_pixels=None)
        contents = _read_back(found)
    except (SourceError, av.FFmpegError) as error:
        raise VerificationError(f"The written file cannot be read back ({error})") from error
    _check_picture(found, expected)
    _check_tags(found.metadata, expected.tags, "tag", "the file")
    _check_chapters(found, expected)
    _check_frame_times(contents.pts, found.video.time_base, expected)
    _check_attachments(contents.attachments, expected)
    _check([str(t.stream) for t in expected.tallies], list(map(str, expected.streams)), "streams")
    others = [tally for tally in expected.tallies if tally.packets and not tally.stream.is_cover]
    _check(
        [tally.stream.kind for tally, _ in contents.tallies],
        [tally.stream.kind for tally in others],
        "other streams",
    )
    for (seen, tick), wanted in zip(contents.tallies, others, strict=True):
        _check(_codec(seen.stream.codec), _codec(wanted.codec), f"codec of the {wanted.stream}")
        _check(seen.digest, wanted.digest, f"bytes of the {wanted.stream}")
        _check_packet_times(seen, wanted, tick + _TOLERANCE_SECONDS)
        _check_packet_marks(seen, wanted, tick + _TOLERANCE_SECONDS, expected.container)
        _check_description(seen.stream, wanted.stream, expected.container)
    frame_times = [time * expected.video.time_base for time in expected.pts]
    return recount(
        expected.source,
        expected.span,
        expected.tallies,
        frame_times if expected.is_intact else None,
    )


def _check(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise VerificationError(
            f"The written file differs from its source in its {what} ({found} instead of {wanted})"
        )


def _check_picture(found: Source, expected: Expectation) -> None:
    video, wanted = found.video, expected.video
    film = found.streams[found.video_index]
    _check((video.width, video.height), (wanted.width, wanted.height), "size")
    _check(film.codec, expected.codec, "codec of the film")
    _check(video.layout, wanted.layout, "depth or chroma sampling")
    _check(video.sample_aspect_ratio, wanted.sample_aspect_ratio, "pixel aspect ratio")
    if (found.rotation - expected.rotation + 1) % 360 > 2:  # a degree is what rounding does
        _check(found.rotation % 360, expected.rotation % 360, "rotation")
    _check(found.mirror, expected.mirror, "mirroring")
    _check(found.guessed, (), "colour tags that are missing")
    for name in ("matrix", "range", "primaries", "transfer"):
        _check(getattr(video.color, name), getattr(wanted.color, name), f"colour {name}")
    said = says_light(expected.encoder)
    if said and not is_same_light(video.light, wanted.light, film.codec):
        _check(video.light, wanted.light, "HDR10 metadata")
    source = expected.source
    described = source.streams[source.video_index]
    _check_description(film, described, expected.container, is_film=True)


def _check_description(
    found: StreamInfo, wanted: StreamInfo, container: str, *, is_film: bool = False
) -> None:
    """Language, tags and flags of a stream."""
    name = "film" if is_film else str(wanted)
    language = held_language(container, wanted.language)
    if language is not None or found.language not in (None, "und"):
        _check(found.language, language, f"language of the {name}")
    tags = held_track_tags(container, wanted.metadata, is_film=is_film)
    _check_tags(track_tags(found.metadata), tags, "tag", f"the {name}")
    due = normal_dispositions(container, wanted.disposition)
    seen = normal_dispositions(container, found.disposition)
    if not HOLDINGS[container].untold_default and wanted.kind != "subtitle":
        # the first of a kind has it, if no other does
        seen |= due & Disposition.default
        due |= seen & Disposition.default
    _check(seen, due, f"flags of the {name}")


def _check_tags(found: Mapping[str, str], wanted: Mapping[str, str], what: str, owner: str) -> None:
    seen = {key.lower(): value for key, value in found.items()}
    for key, value in wanted.items():
        name = key.lower()
        if name != "language" and not (name in _RESTATED_TAGS and name in seen):
            _check(seen.get(name), value, f"{what} {name!r} of {owner}")


def _check_attachments(found: Sequence[Attachment], expected: Expectation) -> None:
    """Those of the header, and covers that were muxed as streams."""
    covers = [
        Attachment("", "", "", tally.digest) for tally in expected.tallies if tally.stream.is_cover
    ]
    wanted = sorted([*expected.attachments, *covers])
    _check(
        sorted(each.digest for each in found),
        sorted(each.digest for each in wanted),
        "attachments or covers",
    )
    if HOLDINGS[expected.container].cover_names:
        _check(sorted(found), wanted, "names and types of attachments")


def _check_chapters(found: Source, expected: Expectation) -> None:
    holds_ends = HOLDINGS[expected.container].chapter_ends
    _check(len(found.chapters), len(expected.chapters), "number of chapters")
    for number, (seen, due) in enumerate(zip(found.chapters, expected.chapters, strict=True)):
        title = due.metadata.get("title", "")
        _check(seen.metadata.get("title", ""), title, "names of chapters")
        is_moved = not holds_ends and number == 0 and not seen.start
        if abs(seen.start - due.start) > _TOLERANCE_SECONDS and not is_moved:
            _check(float(seen.start), float(due.start), f"start of the chapter {title!r}")
        if holds_ends and abs(seen.end - due.end) > _TOLERANCE_SECONDS:
            _check(float(seen.end), float(due.end), f"end of the chapter {title!r}")


def _codec(name: str) -> str:
    return _SAME_CODECS.get(name, name)


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
    pairs: Iterable[tuple[int, int]] = zip(found.times, wanted.times)
    if found.packets != wanted.packets:
        pairs = [*islice(pairs, 1), (found.end, wanted.end)]
    microseconds = int(tolerance * 1_000_000)
    for index, (seen, due) in enumerate(pairs):
        if due < 0 and seen in (NO_TIME, 0):
            continue  # Matroska has no words for it, and a lone packet reads as 0
        if abs(seen - due) > microseconds:
            off = "no" if seen == NO_TIME else f"{(seen - due) / 1000:+.1f} ms from its"
            raise VerificationError(
                f"Packet {index} of the {wanted.stream} was written with {off} time"
            )


def _check_packet_marks(found: Tally, wanted: Tally, tolerance: Fraction, container: str) -> None:
    """Which packets are key packets, and how long texts are shown."""
    if found.packets != wanted.packets:
        return
    if found.key_changes != wanted.key_changes:
        numbers = zip_longest(found.key_changes, wanted.key_changes)
        seen, due = next((a, b) for a, b in numbers if a != b)
        first = min(number for number in (seen, due) if number is not None)
        raise VerificationError(
            f"Packet {first} of the {wanted.stream} was written with another mark, as a key "
            f"packet or as none, than it has in the source"
        )
    holds_lengths = HOLDINGS[container].overlapping_texts or wanted.stream.codec in TEXT_CODECS
    if wanted.stream.kind == "subtitle" and holds_lengths:  # bitmaps say their end themselves
        microseconds = tolerance * 1_000_000
        for index, (seen, due) in enumerate(zip(found.lengths, wanted.lengths, strict=True)):
            if due and abs(seen - due) > microseconds:
                raise VerificationError(
                    f"Packet {index} of the {wanted.stream} is shown for {seen / 1000:.0f} ms "
                    f"instead of {due / 1000:.0f} ms"
                )


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
            _attachment(stream.metadata, stream.data)
            for stream in container.streams
            if isinstance(stream, AttachmentStream)
        ]
        for packet in container.demux():
            if packet.size == 0:
                continue
            if packet.stream_index == found.video_index:
                pts.append(_shown_at(packet))
            elif packet.stream.disposition & Disposition.attached_pic:
                attachments.append(_attachment(packet.stream.metadata, bytes(packet)))
            elif packet.stream_index in tallies:
                _count(packet, infos[packet.stream_index], tallies[packet.stream_index])
        with_packets = [
            (tally, container.streams[index].time_base or Fraction(0))
            for index, tally in tallies.items()
            if tally.packets
        ]
    return _Contents(pts, with_packets, attachments)


def _attachment(metadata: Mapping[str, str], data: bytes) -> Attachment:
    name, mimetype, title = (metadata.get(key, "") for key in ("filename", "mimetype", "title"))
    return Attachment(name, mimetype, title, digest(data))


def _count(packet: Packet[Stream], info: StreamInfo, tally: Tally) -> None:
    data = payload(packet, info)
    if data:
        ticks = packet.pts if packet.pts is not None else packet.dts
        time = None if ticks is None else ticks * packet.time_base
        tally.add(data, time, (packet.duration or 0) * packet.time_base, packet.is_keyframe)


def _shown_at(packet: Packet[Stream]) -> int:
    time = packet.pts if packet.pts is not None else packet.dts
    if time is None:
        raise VerificationError("The written file has frames without a time")
    return time
