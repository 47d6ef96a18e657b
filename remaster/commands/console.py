"""Words for people: safe to print, aligned, and never the reason that a run fails."""

from __future__ import annotations

import errno
import os
import sys
import unicodedata
from collections.abc import Sequence
from typing import TextIO

__all__ = [
    "clean",
    "clock",
    "columns",
    "one_line",
    "open_missing",
    "say",
    "size_words",
    "tell",
    "trouble",
    "width",
]

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Marks that change the order of what follows on the line."""

_troubles: list[str] = []


def clean(text: str) -> str:
    """Names and tags as they may be printed: control characters and lone bytes are spelled out."""
    return "".join(_spelled_out(char) if _is_unsafe(char) else char for char in text)


def one_line(error: Exception) -> str:
    """What an error says, on one line."""
    return clean(" ".join(str(error).split()))


def say(text: str) -> None:
    """Print a result on standard output."""
    _write("stdout", text)


def tell(text: str) -> None:
    """Print a remark on standard error."""
    _write("stderr", text)


def trouble() -> str | None:
    """Why something could not be printed, once; nobody listening any more is no reason."""
    return _troubles.pop() if _troubles else None


def open_missing() -> None:
    """Give closed standard streams a place that swallows everything.

    Otherwise the next file that is opened takes their number, and what libraries print there goes
    into the film.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def width(text: str) -> int:
    """Columns that a text takes on a terminal; Japanese characters take two."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def clock(seconds: float) -> str:
    """A time as H:MM:SS, or M:SS.s below ten minutes."""
    tenths = round(seconds * 10)
    if tenths < 6000:
        return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"
    minutes = round(seconds) // 60
    return f"{minutes // 60}:{minutes % 60:02d}:{round(seconds) % 60:02d}"


def size_words(count: float) -> str:
    """A number of bytes with the unit it is best said in."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.{0 if count >= 10 * size else 1}f} {unit}"
    return f"{count:.0f} bytes"


def columns(rows: Sequence[Sequence[str]], *, indent: int = 0, gap: int = 2) -> list[str]:
    """Lines with the cells of each column under one another; empty columns vanish."""
    widths = [max(map(width, cells)) for cells in zip(*rows, strict=True)]
    return [
        (" " * indent + (" " * gap).join(_padded(row, widths))).rstrip() for row in rows
    ]  # fmt: skip


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cell + " " * (most - width(cell)) for cell, most in zip(row, widths) if most]


def _is_unsafe(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _BIDI


def _spelled_out(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def _write(name: str, text: str) -> None:
    stream: TextIO | None = getattr(sys, name)
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    lines = "\n".join(clean(line) for line in text.split("\n"))
    try:
        stream.write(lines.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except (OSError, ValueError) as error:
        _silence(name, stream)
        if name == "stdout" and isinstance(error, OSError) and error.errno != errno.EPIPE:
            _troubles.append(f"standard output cannot be written ({error.strerror})")


def _silence(name: str, stream: TextIO) -> None:
    """Let everything that follows vanish, also what the stream still holds."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        setattr(sys, name, None)
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
