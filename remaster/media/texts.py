"""Subtitles as texts: from one codec to another, and where they overlap.

Between codecs a text is plain characters with `<b>`, `<i>` and `<u>` around parts of it, which all
of them can say; places, fonts and colours are lost.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

__all__ = ["TEXT_CODECS", "Overlay", "marked_text", "written_text"]

TEXT_CODECS = ("subrip", "text", "webvtt", "ass", "ssa", "mov_text")

_ASSUMED_SECONDS = Fraction(5)
_ASS_FIELDS_BEFORE_TEXT = 8
_ASS_OVERRIDE = re.compile(r"\{[^}]*\}")
_ASS_STYLE = re.compile(r"\\(?:([biu])(\d*)(?![a-z(])|(r)|(p)(\d+))")
_TAG = re.compile(r"<(/?)([A-Za-z]+)(?:[ .=][^<>]*)?/?>")
_MOMENT = re.compile(r"<[0-9][0-9:.]*>")
_KNOWN_TAG = re.compile(r"<(/?)([bBiIuU])>")
_FACES = {"b": 1, "i": 2, "u": 4}
_STYLE_BYTES = 12
_FONT_AND_COLOR = b"\0\1", b"\x12\xff\xff\xff\xff"
"""The first font, in 18 points, white: what FFmpeg's header of such a track says."""


def marked_text(payload: bytes, codec: str) -> str:
    """The words of a packet, lines parted by line feeds, with at most SubRip's markup."""
    if codec == "mov_text":
        return _from_mov_text(payload)
    text = payload.decode("utf-8", "replace").rstrip("\0").replace("\r\n", "\n")
    if codec in ("ass", "ssa"):
        return _from_ass(text.split(",", _ASS_FIELDS_BEFORE_TEXT)[-1])
    if codec == "webvtt":
        return html.unescape(_only_known_tags(_MOMENT.sub("", text)))
    return text


def written_text(text: str, target: str) -> bytes:
    """Marked text as a packet of `subrip`, `webvtt` or `mov_text`."""
    if target == "mov_text":
        return _to_mov_text(_ASS_OVERRIDE.sub("", text))
    if target == "webvtt":
        parts = _KNOWN_TAG.split(_only_known_tags(_ASS_OVERRIDE.sub("", text)))
        words = [html.escape(part, quote=False) for part in parts[::3]]
        tags = [f"<{end}{name}>" for end, name in zip(parts[1::3], parts[2::3], strict=True)]
        return "".join(a + b for a, b in zip(words, [*tags, ""], strict=True)).encode()
    return text.encode()


@dataclass(frozen=True)
class _Shown:
    """A text that is begun."""

    end: Fraction
    text: str
    is_open: bool
    """Whether the source does not say its end: the next text is one."""


class Overlay:
    """Texts that overlap, as a run of texts that do not: mov_text shows one at a time."""

    def __init__(self) -> None:
        self._shown: list[_Shown] = []
        self._time = Fraction(0)

    def add(
        self, start: Fraction, length: Fraction, text: str
    ) -> Iterator[tuple[Fraction, Fraction, str]]:
        """(start, length, text), in seconds, of what is settled by one more text.

        A text of no length is shown up to the next, and no longer than five seconds.
        """
        self._shown = [
            replace(each, end=min(each.end, start)) if each.is_open else each
            for each in self._shown
        ]
        yield from self._until(start)
        self._time = max(self._time, start)
        self._shown.append(_Shown(start + (length or _ASSUMED_SECONDS), text, not length))

    def flush(self) -> Iterator[tuple[Fraction, Fraction, str]]:
        """What is left."""
        yield from self._until(max((each.end for each in self._shown), default=self._time))

    def _until(self, time: Fraction) -> Iterator[tuple[Fraction, Fraction, str]]:
        while self._shown and self._time < time:
            change = min(time, *(each.end for each in self._shown))
            if change > self._time:
                lines = dict.fromkeys(each.text for each in self._shown)
                yield self._time, change - self._time, "\n".join(lines)
            self._time = max(self._time, change)
            self._shown = [each for each in self._shown if each.end > self._time]


def _only_known_tags(text: str) -> str:
    def kept(match: re.Match[str]) -> str:
        name = match[2].lower()
        return f"<{match[1]}{name}>" if name in _FACES else ""

    return _TAG.sub(kept, text)


def _from_ass(text: str) -> str:
    """Bold, italic and underlined words of an ASS line; drawings are no words."""
    parts: list[str] = []
    faces: list[str] = []
    is_drawing, position = False, 0
    for override in [*_ASS_OVERRIDE.finditer(text), None]:
        end = len(text) if override is None else override.start()
        if not is_drawing:
            parts.append(text[position:end])
        if override is None:
            break
        position = override.end()
        wanted = list(faces)
        for face, weight, reset, drawing, level in _ASS_STYLE.findall(override[0]):
            if drawing:
                is_drawing = int(level) > 0
            elif reset:
                wanted = []
            elif weight not in ("", "0") and face not in wanted:
                wanted.append(face)
            elif weight in ("", "0") and face in wanted:
                wanted.remove(face)
        parts.append(_turn(faces, wanted))
        faces = wanted
    parts.append(_turn(faces, []))
    return "".join(parts).replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ").strip("\0")


def _turn(faces: list[str], wanted: list[str]) -> str:
    """The tags that lead from some faces to others, well nested."""
    same = 0
    while same < min(len(faces), len(wanted)) and faces[same] == wanted[same]:
        same += 1
    ends = "".join(f"</{face}>" for face in reversed(faces[same:]))
    return ends + "".join(f"<{face}>" for face in wanted[same:])


def _from_mov_text(payload: bytes) -> str:
    length = int.from_bytes(payload[:2], "big")
    data = payload[2 : 2 + length]
    encoding = "utf-16" if data[:2] in (b"\xfe\xff", b"\xff\xfe") else "utf-8"
    text = data.decode(encoding, "replace").rstrip("\0")
    faces = [0] * len(text)
    for start, end, face in _styles(payload[2 + length :]):
        faces[start:end] = [face] * len(faces[start:end])
    parts: list[str] = []
    current: list[str] = []
    for letter, face in zip([*text, ""], [*faces, 0], strict=True):
        kept = [name for name in current if _FACES[name] & face]
        wanted = kept + [name for name, bit in _FACES.items() if bit & face and name not in kept]
        parts += (_turn(current, wanted), letter)
        current = wanted
    return "".join(parts)


def _styles(boxes: bytes) -> Iterator[tuple[int, int, int]]:
    """(first character, character behind the last, face) of every run in the `styl` boxes."""
    while len(boxes) >= 8:
        size = max(int.from_bytes(boxes[:4], "big"), 8)
        body = boxes[8:size]
        if boxes[4:8] == b"styl":
            for at in range(2, len(body) - _STYLE_BYTES + 1, _STYLE_BYTES):
                first, last = (int.from_bytes(body[at + i : at + i + 2], "big") for i in (0, 2))
                yield first, last, body[at + 6]
        boxes = boxes[size:]


def _to_mov_text(text: str) -> bytes:
    plain, runs = "", []
    open_tags: dict[str, int] = {}
    position = 0
    for tag in [*_TAG.finditer(text), None]:
        plain += text[position : len(text) if tag is None else tag.start()]
        if tag is None:
            break
        position = tag.end()
        name = tag[2].lower()
        if name in _FACES and not tag[1]:
            open_tags.setdefault(name, len(plain))
        elif name in open_tags:
            runs.append((open_tags.pop(name), len(plain), _FACES[name]))
    runs += [(start, len(plain), _FACES[name]) for name, start in open_tags.items()]
    data = plain.encode()
    if not data:
        return b""
    return len(data).to_bytes(2, "big") + data + _style_box(runs)


def _style_box(runs: list[tuple[int, int, int]]) -> bytes:
    """A `styl` box; its runs must not overlap."""
    edges = sorted({edge for start, end, _ in runs for edge in (start, end)})
    font, color = _FONT_AND_COLOR
    entries = []
    for start, end in zip(edges, edges[1:]):
        face = 0
        for first, last, bit in runs:
            face |= bit if first <= start and end <= last else 0
        if face:
            place = start.to_bytes(2, "big") + end.to_bytes(2, "big")
            entries.append(place + font + bytes([face]) + color)
    if not entries:
        return b""
    body = len(entries).to_bytes(2, "big") + b"".join(entries)
    return (len(body) + 8).to_bytes(4, "big") + b"styl" + body
