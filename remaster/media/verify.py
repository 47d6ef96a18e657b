"""A finished file read back and held against what was to be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.stream import AttachmentStream, Disposition

from remaster.errors import SourceError, VerificationError
from remaster.frames import VideoInfo
from remaster.media.opening import open_source
from remaster.media.packets import Tally, digest, payload
from remaster.media.probe import Source, probe

__all__ = ["Expectation", "verify"]

_TOLERANCE_SECONDS = Fraction(1, 1000)


@dataclass(frozen=True)
class Expectation:
    """What a finished file must hold."""

    video: VideoInfo
    pts: Sequence[int]
    """Of every frame, in `video.time_base`, in order."""

    tallies: Sequence[Tally]
    """Of every other stream that was fed with packets, in order."""

    attachments: Sequence[str]
    """Digests of what the header carries."""

    chapters: int


def verify(path: Path, expected: Expectation) -> None:
    """Read a whole file and compare it.

    Raises VerificationError naming the first difference.
    """
    try:
        found = probe(path)
    except SourceError as error:
        raise VerificationError(f"The written file cannot be read back: {error}") from error
    _check_picture(found, expected.video)
    _check(len(found.chapters), expected.chapters, "chapters")
    pts, tallies, attachments = _read_back(found)
    _check_times(pts, found.video.time_base, expected)
    _check(sorted(attachments), sorted(_all_attachments(expected)), "attachments")
    films = [tally for tally in expected.tallies if not tally.stream.is_cover]
    _check(len(tallies), len(films), "other streams")
    for seen, wanted in zip(tallies, films, strict=True):
        if wanted.is_converted:
            _check(seen.packets, wanted.packets, f"packets of the {wanted.stream}")
        else:
            _check(seen.digest, wanted.digest, f"bytes of the {wanted.stream}")


def _check(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise VerificationError(
            f"The written file differs from its source in its {what} ({found} instead of "
            f"{wanted}); it was not put in place."
        )


def _check_picture(found: Source, wanted: VideoInfo) -> None:
    video = found.video
    _check((video.width, video.height), (wanted.width, wanted.height), "size")
    _check(video.sample_aspect_ratio, wanted.sample_aspect_ratio, "pixel aspect ratio")
    _check(found.guessed, (), "colour tags that are missing")
    for name in ("matrix", "range", "primaries", "transfer"):
        _check(getattr(video.color, name), getattr(wanted.color, name), f"colour {name}")


def _check_times(pts: list[int], time_base: Fraction, expected: Expectation) -> None:
    _check(len(pts), len(expected.pts), "number of frames")
    wanted_base = expected.video.time_base
    for index, (seen, wanted) in enumerate(zip(sorted(pts), expected.pts, strict=True)):
        difference = seen * time_base - wanted * wanted_base
        if abs(difference) > _TOLERANCE_SECONDS:
            raise VerificationError(
                f"Frame {index} was written {float(difference) * 1000:+.1f} ms from its time; "
                f"the file was not put in place."
            )


def _all_attachments(expected: Expectation) -> list[str]:
    """Those of the header, and covers that were muxed as streams."""
    covers = [tally.digest for tally in expected.tallies if tally.stream.is_cover]
    return [*expected.attachments, *covers]


def _read_back(found: Source) -> tuple[list[int], list[Tally], list[str]]:
    """Times of the film's packets, a tally per other stream, digests of attached files."""
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
                pts.append(_shown_at(packet.pts, packet.dts))
            elif packet.stream.disposition & Disposition.attached_pic:
                attachments.append(digest(bytes(packet)))
            elif packet.stream_index in tallies:
                data = payload(packet, infos[packet.stream_index])
                if data:
                    tallies[packet.stream_index].add(data)
    return pts, list(tallies.values()), attachments


def _shown_at(pts: int | None, dts: int | None) -> int:
    time = pts if pts is not None else dts
    if time is None:
        raise VerificationError("The written file has frames without a time; it was not kept.")
    return time
