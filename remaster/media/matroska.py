"""What PyAV or FFmpeg cannot say or read of a Matroska film: its pixels' shape, rate, chapters.

The muxer writes a display size only for what it takes from `AVStream.sample_aspect_ratio`, which
PyAV does not set, or for stereoscopic films. So a film whose pixels are not square is announced as
a stereoscopic one, and `write_pixel_aspect` corrects both in the finished file: same elements,
same lengths, other values.

The rate of a film that was encoded elsewhere is one that PyAV cannot set either, and the muxer
writes a thousand pictures a second. A mark at the end of the film's title makes room for the true
one, which `write_frame_rate` puts there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import BinaryIO

__all__ = [
    "ANNOUNCEMENT",
    "MUXER_OPTIONS",
    "RATE_MARK",
    "count_chapters",
    "late_parts",
    "write_frame_rate",
    "write_pixel_aspect",
]

ANNOUNCEMENT: Mapping[str, str] = {"stereo_mode": "left_right"}
"""Tags of the film's stream that make room for a display size."""

MUXER_OPTIONS: Mapping[str, str] = {"write_crc32": "0"}
"""Checksums would be those of the values before they are corrected."""

RATE_MARK = "[rate:   ]"
"""Ten bytes, in which an element with the duration of a picture has 48 bits."""

_SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_STEREO_MODE, _DISPLAY_WIDTH, _DISPLAY_HEIGHT = 0x53B8, 0x54B0, 0x54BA
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xB0, 0xBA
_NAME, _DEFAULT_DURATION, _VOID = 0x536E, 0x23E383, 0xEC
_NANOSECONDS = 1_000_000_000
_EBML, _SEEK_HEAD, _CLUSTER = 0x1A45DFA3, 0x114D9B74, 0x1F43B675
_SEEK, _SEEK_ID = 0x4DBB, 0x53AB
_CHAPTERS, _EDITION, _CHAPTER = 0x1043A770, 0x45B9, 0xB6
_PARTS = {_CHAPTERS: "chapters", 0x1941A469: "attachments", 0x1254C367: "tags"}
_LARGEST_PART = 1 << 31
_CHUNK = 1 << 20
_DEEPEST = 8


@dataclass(frozen=True)
class _Element:
    """One element of an EBML file; its data lies at [start, end)."""

    identity: int
    start: int
    end: int
    head: int = 0
    """Where its identity begins."""


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


def write_frame_rate(file: BinaryIO, rate: Fraction) -> None:
    """Put a rate in the place of `RATE_MARK` in an open, writable Matroska file."""
    mark = RATE_MARK.encode()
    for track in _tracks(file):
        parts = {part.identity: part for part in _children(file, track)}
        if _NAME not in parts:
            continue
        name, wrong = parts[_NAME], parts.get(_DEFAULT_DURATION)
        file.seek(name.start)
        title = file.read(name.end - name.start)
        if title.endswith(mark):
            data = _title(title.removesuffix(mark), name.start - name.head - 2)
            data += _duration_of_a_picture(rate, name.end - name.head - len(data))
            file.seek(name.head)
            file.write(data)
            if wrong is not None:
                file.seek(wrong.head)
                file.write(_emptiness(wrong.end - wrong.head))


def _title(text: bytes, size_bytes: int) -> bytes:
    """A track's name, its length in as many bytes as are there; nothing for an empty one."""
    size = (1 << (7 * size_bytes)) | len(text)
    return _NAME.to_bytes(2, "big") + size.to_bytes(size_bytes, "big") + text if text else b""


def _duration_of_a_picture(rate: Fraction, length: int) -> bytes:
    """How long a picture lasts, as an element with 48 bits, and emptiness up to `length` bytes."""
    value = round(_NANOSECONDS / rate).to_bytes(6, "big")
    element = _DEFAULT_DURATION.to_bytes(3, "big") + b"\x86" + value
    return element + (_emptiness(length - len(element)) if length > len(element) else b"")


def _emptiness(length: int) -> bytes:
    """An element of 2 to 128 bytes that says nothing."""
    return bytes([_VOID, 0x80 | (length - 2)]) + bytes(length - 2)


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
    for track in _tracks(file):
        for video in _children(file, track, _VIDEO):
            yield {part.identity: part for part in _children(file, video)}


def _tracks(file: BinaryIO) -> Iterator[_Element]:
    file.seek(0, 2)
    whole = _Element(0, 0, file.tell())
    for segment in _children(file, whole, _SEGMENT):
        for tracks in _children(file, segment, _TRACKS):
            yield from _children(file, tracks, _TRACK)
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
            yield _Element(found, start, end, position)
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
