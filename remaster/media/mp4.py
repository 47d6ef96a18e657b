"""Which subtitles an MP4 or MOV file shows by itself, which PyAV cannot tell FFmpeg's muxer.

The muxer enables the first track of each kind when none is marked as default. Of films and sounds
one must be; of subtitles it would put texts on a screen that had none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["enable_subtitles"]

_HANDLERS = (b"sbtl", b"subp", b"clcp", b"text")
"""Of tracks of texts; the one of the chapters is written behind the subtitles."""

_ENABLED = 1


@dataclass(frozen=True)
class _Box:
    """One box of an MP4 file; its data lies at [start, end)."""

    kind: bytes
    start: int
    end: int


def enable_subtitles(file: BinaryIO, enabled: Sequence[bool]) -> None:
    """Set for each subtitle track, in order, whether it is shown by default.

    `file` is open for reading and writing.
    """
    for header, is_enabled in zip(list(_text_headers(file)), enabled):
        at = header.start + 3  # behind the version, the last of three bytes of flags
        file.seek(at)
        (flags,) = file.read(1)
        file.seek(at)
        file.write(bytes([flags | _ENABLED if is_enabled else flags & ~_ENABLED]))


def _text_headers(file: BinaryIO) -> Iterator[_Box]:
    """The track header of every track of texts."""
    file.seek(0, 2)
    whole = _Box(b"", 0, file.tell())
    for movie in _inside(file, whole, b"moov"):
        for track in _inside(file, movie, b"trak"):
            for media in _inside(file, track, b"mdia"):
                for handler in _inside(file, media, b"hdlr"):
                    file.seek(handler.start + 8)
                    if file.read(4) in _HANDLERS:
                        yield from _inside(file, track, b"tkhd")


def _inside(file: BinaryIO, parent: _Box, kind: bytes) -> Iterator[_Box]:
    """The boxes of one kind right inside another."""
    position = parent.start
    while position + 8 <= parent.end:
        file.seek(position)
        size, header = int.from_bytes(file.read(4), "big"), 8
        found = file.read(4)
        if size == 1:
            size, header = int.from_bytes(file.read(8), "big"), 16
        end = min(position + size, parent.end) if size >= header else parent.end
        if found == kind:
            yield _Box(found, position + header, end)
        position = end
