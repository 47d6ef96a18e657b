"""The shape of pixels in a Matroska file, which PyAV cannot tell FFmpeg's muxer.

The muxer writes a display size only for what it takes from `AVStream.sample_aspect_ratio`, which
PyAV does not set, or for stereoscopic films. So a film whose pixels are not square is announced as
a stereoscopic one, and `write_pixel_aspect` corrects both in the finished file: same elements,
same lengths, other values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import BinaryIO

__all__ = ["ANNOUNCEMENT", "MUXER_OPTIONS", "late_parts", "write_pixel_aspect"]

ANNOUNCEMENT: Mapping[str, str] = {"stereo_mode": "left_right"}
"""Tags of the film's stream that make room for a display size."""

MUXER_OPTIONS: Mapping[str, str] = {"write_crc32": "0"}
"""Checksums would be those of the values before they are corrected."""

_SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_STEREO_MODE, _DISPLAY_WIDTH, _DISPLAY_HEIGHT = 0x53B8, 0x54B0, 0x54BA
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xB0, 0xBA
_EBML, _SEEK_HEAD, _CLUSTER = 0x1A45DFA3, 0x114D9B74, 0x1F43B675
_SEEK, _SEEK_ID = 0x4DBB, 0x53AB
_PARTS = {0x1043A770: "chapters", 0x1941A469: "attachments", 0x1254C367: "tags"}
_LARGEST_PART = 1 << 31
_CHUNK = 1 << 20


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


def late_parts(read: Callable[[int], bytes]) -> tuple[str, ...]:
    """Names of the parts that a Matroska stream announces and that come behind its first pictures.

    `read` gives as many bytes as it is asked for, fewer at the end. Nothing for other streams.
    """
    if int.from_bytes(read(4), "big") != _EBML:
        return ()
    read(_next_number(read, keep_marker=False))
    announced: set[int] = set()
    if _next_number(read, keep_marker=True) != _SEGMENT:
        return ()
    _next_number(read, keep_marker=False)
    while identity := _next_number(read, keep_marker=True):
        size = _next_number(read, keep_marker=False)
        if identity == _CLUSTER or size > _LARGEST_PART:
            break
        announced.discard(identity)
        if identity == _SEEK_HEAD:
            announced |= _sought(read(size))
        else:
            _skip(read, size)
    return tuple(name for identity, name in _PARTS.items() if identity in announced)


def _skip(read: Callable[[int], bytes], size: int) -> None:
    while size and (passed := len(read(min(size, _CHUNK)))):
        size -= passed


def _sought(data: bytes) -> set[int]:
    """Identities of the elements that a list of positions names."""
    file = BytesIO(data)
    return {
        _number(file, entry)
        for seek in _children(file, _Element(0, 0, len(data)), _SEEK)
        for entry in _children(file, seek, _SEEK_ID)
    }


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
        end = min(start + size, parent.end)
        if identity in (None, found):
            yield _Element(found, start, end)
        position = end


def _variable_number(file: BinaryIO, *, keep_marker: bool) -> int:
    """An EBML number: as many bytes follow the first as it has leading zero bits."""
    return _next_number(file.read, keep_marker=keep_marker)


def _next_number(read: Callable[[int], bytes], *, keep_marker: bool) -> int:
    """The EBML number that comes next; 0 at the end."""
    first = read(1)
    if not first:
        return 0
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + read(length - 1), "big")
    return value if keep_marker else value - (1 << (7 * length))


def _number(file: BinaryIO, element: _Element) -> int:
    file.seek(element.start)
    return int.from_bytes(file.read(element.end - element.start), "big")
