"""What PyAV or FFmpeg cannot say or read of a Matroska file: the shape of pixels, nested chapters.

The muxer writes a display size only for what it takes from `AVStream.sample_aspect_ratio`, which
PyAV does not set, or for stereoscopic films. So a film whose pixels are not square is announced as
a stereoscopic one, and `write_pixel_aspect` corrects both in the finished file: same elements,
same lengths, other values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

__all__ = ["ANNOUNCEMENT", "MUXER_OPTIONS", "count_chapters", "write_pixel_aspect"]

ANNOUNCEMENT: Mapping[str, str] = {"stereo_mode": "left_right"}
"""Tags of the film's stream that make room for a display size."""

MUXER_OPTIONS: Mapping[str, str] = {"write_crc32": "0"}
"""Checksums would be those of the values before they are corrected."""

_SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_STEREO_MODE, _DISPLAY_WIDTH, _DISPLAY_HEIGHT = 0x53B8, 0x54B0, 0x54BA
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xB0, 0xBA
_CLUSTER, _CHAPTERS, _EDITION, _CHAPTER = 0x1F43B675, 0x1043A770, 0x45B9, 0xB6
_DEEPEST = 8


@dataclass(frozen=True)
class _Element:
    """One element of an EBML file; its data lies at [start, end)."""

    identity: int
    start: int
    end: int


def write_pixel_aspect(file: BinaryIO, ratio: Fraction) -> None:
    """Correct the display size of the announced film in an open, writable Matroska file.

    The display size has exactly the film's aspect ratio and about its height. A file without an
    announced film, or without room for the ratio, stays as it is.
    """
    for parts in _videos(file):
        if _STEREO_MODE not in parts or _DISPLAY_WIDTH not in parts:
            continue
        width = _number(file, parts[_PIXEL_WIDTH])
        height = _number(file, parts[_PIXEL_HEIGHT])
        shape = ratio * width / height
        scale = max(1, round(height / shape.denominator))
        values = {
            _STEREO_MODE: 0,
            _DISPLAY_WIDTH: shape.numerator * scale,
            _DISPLAY_HEIGHT: shape.denominator * scale,
        }
        sizes = {identity: parts[identity].end - parts[identity].start for identity in values}
        if all(values[identity] < 256 ** sizes[identity] for identity in values):
            for identity, value in values.items():
                file.seek(parts[identity].start)
                file.write(value.to_bytes(sizes[identity], "big"))


def count_chapters(file: BinaryIO) -> int:
    """How many chapters an open Matroska file has in all its editions, nested ones too.

    FFmpeg reads one row of them. Only what lies before the pictures is looked at, where every
    program writes them.
    """
    file.seek(0, 2)
    whole = _Element(0, 0, file.tell())
    for segment in _children(file, whole, _SEGMENT):
        for part in _children(file, segment):
            if part.identity == _CLUSTER:
                break
            if part.identity == _CHAPTERS:
                editions = _children(file, part, _EDITION)
                return sum(_nested(file, edition, _DEEPEST) for edition in editions)
        break
    return 0


def _nested(file: BinaryIO, parent: _Element, levels: int) -> int:
    chapters = _children(file, parent, _CHAPTER) if levels else ()
    return sum(1 + _nested(file, chapter, levels - 1) for chapter in chapters)


def _videos(file: BinaryIO) -> Iterator[dict[int, _Element]]:
    """The parts, by identity, of the video description of every track."""
    file.seek(0, 2)
    whole = _Element(0, 0, file.tell())
    for segment in _children(file, whole, _SEGMENT):
        for tracks in _children(file, segment, _TRACKS):
            for track in _children(file, tracks, _TRACK):
                for video in _children(file, track, _VIDEO):
                    yield {part.identity: part for part in _children(file, video)}
            return


def _children(file: BinaryIO, parent: _Element, identity: int | None = None) -> Iterator[_Element]:
    """The elements right inside another, or those of one identity."""
    position = parent.start
    while position < parent.end:
        file.seek(position)
        found = _variable_number(file, keep_marker=True)
        size = _variable_number(file, keep_marker=False)
        start = file.tell()
        end = min(start + size, parent.end) if size >= 0 else parent.end
        if identity in (None, found):
            yield _Element(found, start, end)
        position = end


def _variable_number(file: BinaryIO, *, keep_marker: bool) -> int:
    """An EBML number: as many bytes follow the first as it has leading zero bits."""
    first = (file.read(1) or b"\xff")[0]  # a file that breaks off
    length = 9 - first.bit_length()
    data = bytes([first]) + file.read(length - 1)
    value = int.from_bytes(data, "big")
    return value if keep_marker else value - (1 << (7 * length))


def _number(file: BinaryIO, element: _Element) -> int:
    file.seek(element.start)
    return int.from_bytes(file.read(element.end - element.start), "big")
