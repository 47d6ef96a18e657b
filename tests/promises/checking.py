"""What a file holds, read by PyAV alone, and in which promises two files differ.

Nothing here uses the package: a fault in its reading must not hide a fault in its writing.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.sidedata.sidedata import Type
from av.stream import AttachmentStream, Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tests.promises.drawing import BARS, BARS_END, BITS, CODE_END, OLD_WEIGHTS, WEIGHTS

MILLISECOND = Fraction(1, 1000)
_LOUD = 0.3
_ACROSS = (0.2, 0.5, 0.8)
"""Where in a bar its colour is looked at: near its sides a shift of chroma shows."""

_WORDS_OF_MATRIX = {1: "bt709", 9: "bt2020nc"}
_RGB_FORMATS = ("rgb", "bgr", "gbr")
_LIMITED_BT709 = (1, 1)
"""FFmpeg's numbers of the matrix and the range that R'G'B' is written in."""

_WRITING_TAGS = (
    "encoder",
    "software",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "duration",
)
_CODING_TAGS = ("encoder", "handler_name", "vendor_id", "language", "title", "name", "timecode")
_SAME_LANGUAGES = {"fra": "fre", "deu": "ger", "nld": "dut"}
"""ISO 639-2 has two words for some; MOV knows one of them."""

_SAYING_LENGTHS = ("mov", "matroska")
_CLOCKS_OF_THEIR_OWN = ("mpegts", "mpeg")
_SAME_FLAGS = (
    (Disposition.hearing_impaired, Disposition.captions),
    (Disposition.visual_impaired, Disposition.descriptions),
)
"""Pairs for which MP4 has one word."""


@dataclass
class Track:
    """Any stream but the film, attachments and covers."""

    kind: str
    codec: str
    language: str
    title: str
    flags: Disposition
    tags: dict[str, str]
    packets: list[tuple[Fraction | None, Fraction, bool, bytes]] = field(default_factory=list)
    """(time, length in seconds, is a key packet, bytes)."""

    beep: Fraction | None = None
    """When a sound becomes loud."""


@dataclass
class Found:
    """What a file holds."""

    size: tuple[int, int]
    codec: str
    pixel_format: str
    color: tuple[int, int, int, int]
    """FFmpeg's numbers of matrix, range, primaries and transfer."""

    aspect: Fraction
    turn: tuple[int, ...]
    """a, b, c, d of the display matrix, in 1/65536."""

    light: tuple[tuple[int, ...], ...]
    container: str
    """FFmpeg's name of the demuxer."""

    tick: Fraction
    """Seconds per unit of the film's times."""

    film: Track
    times: list[Fraction]
    codes: list[int]
    bars: list[np.ndarray]
    """(18, 3) R'G'B' of each picture: of each bar its left, middle and right."""

    flashes: list[Fraction]
    tracks: list[Track]
    attachments: list[tuple[str, str, bytes]]
    covers: list[tuple[str, bytes]]
    chapters: list[tuple[Fraction, Fraction, str]]
    tags: dict[str, str]


def read(path: Path) -> Found:
    """Everything, by a plain demux and a plain decode."""
    with av.open(str(path), metadata_errors="replace") as container:
        film = next(s for s in container.streams.video if not _is_cover(s))
        found = _described(container, film)
        tracks = {
            stream.index: _track(stream)
            for stream in container.streams
            if stream.type in ("video", "audio", "subtitle")
            and not _is_cover(stream)
            and stream.index != film.index
        }
        first: VideoFrame | None = None
        for packet in container.demux():
            if packet.stream.index == film.index:
                if packet.size and packet.pts is not None:
                    _take(packet, found.film)
                for picture in _decoded(packet):
                    assert isinstance(picture, VideoFrame)
                    first = first or picture
                    _look_at(picture, found, film)
            elif not packet.size:
                continue
            elif _is_cover(packet.stream):
                found.covers.append((_name(packet.stream), bytes(packet)))
            elif packet.stream.index in tracks:
                _take(packet, tracks[packet.stream.index])
        found.tracks = [track for track in tracks.values() if track.packets]
        assert first is not None
        _describe_picture(found, first, film)
        if container.format.name in _CLOCKS_OF_THEIR_OWN:
            _start_at_zero(found, Fraction(container.start_time or 0, av.time_base))
    for track, stream_index in zip(found.tracks, [i for i, t in tracks.items() if t.packets]):
        if track.kind == "audio":
            track.beep = _loud_at(path, stream_index)
    return found


def differences(
    before: Found,
    after: Found,
    *,
    start: Fraction = Fraction(0),
    end: Fraction | None = None,
    turns_into: str = "",
    size: tuple[int, int] | None = None,
    codec: str = "",
) -> list[str]:
    """The promises that are broken, in words.

    `start` and `end` are where the part begins and ends on the source's ticks, `size` and `codec`
    what was asked for: those of `before`, unless said.
    """
    window = [i for i, t in enumerate(before.times) if start <= t and (end is None or t < end)]
    is_whole = start == 0 and end is None
    flashes = [t - start for t in before.flashes if start <= t and (end is None or t < end)]
    broken: list[str] = []

    def hold(promise: str, is_kept: object) -> None:
        if not is_kept:
            broken.append(promise)

    times = [before.times[i] - start for i in window]
    hold("frame count", len(after.times) == len(times))
    hold("frame order", after.codes == [before.codes[i] for i in window])
    hold("frame times", _near(after.times, times))
    hold("size", after.size == (size or before.size))
    hold("film codec", after.codec == (codec or before.codec))
    if all(each.container.startswith(_SAYING_LENGTHS) for each in (before, after)):
        hold("end of the film", _near(_film_end(after), _film_end(before, start, end)))
    hold("colours", _same_bars([before.bars[i] for i in window], after.bars))
    is_rgb = before.pixel_format.startswith(_RGB_FORMATS)
    due = (*_LIMITED_BT709, *before.color[2:]) if is_rgb else before.color
    hold("colour tags", _same_color(due, after.color))
    sampling = turns_into or _plain(before.pixel_format)
    hold("depth and sampling", _plain(after.pixel_format) == sampling)
    hold("pixel aspect", before.aspect == after.aspect)
    hold("rotation", before.turn == after.turn)
    hold("HDR10", before.light == after.light)
    hold("film language", before.film.language == after.film.language)
    hold("film title", before.film.title == after.film.title)
    hold(
        "film flags",
        _same_flags(
            before.film.flags,
            after.film.flags,
            may_be_default=not before.film.flags & Disposition.default,
        ),
    )
    hold("tags", all(after.tags.get(key) == value for key, value in before.tags.items()))
    hold("attachments", sorted(before.attachments) == sorted(after.attachments))
    hold("covers", sorted(c for _, c in before.covers) == sorted(c for _, c in after.covers))
    hold("cover names", sorted(before.covers) == sorted(after.covers))
    hold("chapters", _same_chapters(before.chapters, after.chapters, start, end))
    kinds = [[(t.kind, _codec(t, each.container)) for t in each.tracks] for each in (before, after)]
    hold("streams", kinds[0] == kinds[1])
    for old, new in zip(before.tracks, after.tracks):
        hold(f"{old.kind} language", old.language == new.language)
        hold(f"{old.kind} title", old.title == new.title)
        hold(f"{old.kind} flags", _same_flags(old.flags, new.flags, _is_lonely(old, before)))
        hold(f"{old.kind} tags", all(new.tags.get(k) == v for k, v in old.tags.items()))
        if old.kind != new.kind:
            continue
        _hold_packets(old if is_whole else _part(old, new, start, end), new, hold)
        if old.beep is not None and flashes:
            is_heard = new.beep is not None and bool(after.flashes)
            distances = [new.beep - after.flashes[0]] if is_heard else []
            hold("beep at the flash", _near(distances, [old.beep - start - flashes[0]]))
    return broken


def _part(old: Track, new: Track, start: Fraction, end: Fraction | None) -> Track:
    """The packets of a track that lie in a part, at their times there.

    One that ends or begins on the edge of the part, as exactly as containers say it, may be there.
    """
    stop = None if end is None else end - start
    packets = []
    for time, length, is_key, data in old.packets:
        assert time is not None
        begin, over = time - start, time - start + length
        if over <= -MILLISECOND or (stop is not None and begin >= stop + MILLISECOND):
            continue
        is_on_edge = over <= MILLISECOND or (stop is not None and begin >= stop - MILLISECOND)
        if is_on_edge and data not in (new.packets[0][3], new.packets[-1][3]):
            continue
        if old.kind == "subtitle":
            begin, over = max(begin, Fraction(0)), over if stop is None else min(over, stop)
        packets.append((begin, over - begin, is_key, data))
    return replace(old, packets=packets)


def _film_end(
    found: Found, start: Fraction = Fraction(0), end: Fraction | None = None
) -> list[Fraction]:
    """When the last picture of a part is over, where the file says how long it is shown."""
    shown = [
        (time - start, length)
        for time, length, *_ in found.film.packets
        if time is not None and start <= time and (end is None or time < end)
    ]
    return [sum(max(shown), Fraction(0))] if shown else []


def _hold_packets(old: Track, new: Track, hold: object) -> None:
    assert callable(hold)
    if old.kind == "subtitle" and _is_text(old.codec):
        said, repeated = list(texts(old)), list(texts(new))
        if old.codec == new.codec:
            hold("text bytes", _bytes(old) == _bytes(new))
        hold("text words", [w for _, _, w in said] == [w for _, _, w in repeated])
        hold("text times", _near([t for t, _, _ in said], [t for t, _, _ in repeated]))
        hold("text lengths", _near([n for _, n, _ in said], [n for _, n, _ in repeated]))
        return
    data, repeated_data = (_bytes(track) for track in (old, new))
    hold(f"{old.kind} bytes", data == repeated_data)
    times, repeated_times = ([p[0] for p in track.packets] for track in (old, new))
    if old.codec.startswith("pcm") and len(times) != len(repeated_times):
        times, repeated_times = times[:1], repeated_times[:1]
    hold(f"{old.kind} times", _near(times, repeated_times))
    if len(old.packets) == len(new.packets):
        hold(f"{old.kind} key packets", [p[2] for p in old.packets] == [p[2] for p in new.packets])


def _described(container: av.container.InputContainer, film: VideoStream) -> Found:
    chapters = [
        (
            Fraction(chapter["start"]) * (chapter["time_base"] or 1),
            Fraction(chapter["end"]) * (chapter["time_base"] or 1),
            chapter["metadata"].get("title", ""),
        )
        for chapter in container.chapters()
    ]
    attachments = [
        (_name(stream), stream.mimetype or "", stream.data)
        for stream in container.streams
        if isinstance(stream, AttachmentStream)
    ]
    tags = {
        key.lower(): value
        for key, value in container.metadata.items()
        if key.lower() not in _WRITING_TAGS
    }
    context = film.codec_context
    return Found(
        (context.width, context.height),
        context.codec.canonical_name,
        *("", (0, 0, 0, 0), Fraction(1), (), ()),
        container=container.format.name,
        tick=film.time_base or Fraction(0),
        film=_track(film),
        times=[],
        codes=[],
        bars=[],
        flashes=[],
        tracks=[],
        attachments=attachments,
        covers=[],
        chapters=chapters,
        tags=tags,
    )


def _describe_picture(found: Found, picture: VideoFrame, film: VideoStream) -> None:
    found.pixel_format = picture.format.name
    found.color = (
        int(picture.colorspace),
        int(picture.color_range),
        int(picture.color_primaries),
        int(picture.color_trc),
    )
    found.aspect = film.sample_aspect_ratio or Fraction(1)
    side = {data.type: bytes(data) for data in picture.side_data}
    turn = side.get(Type.DISPLAYMATRIX)
    a, b, _, c, d = struct.unpack_from("=5i", turn) if turn else (65536, 0, 0, 0, 65536)
    found.turn = (a, b, c, d)
    kinds = (Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL)
    found.light = tuple(_numbers(side[kind], kind) for kind in kinds if kind in side)


def _numbers(data: bytes, kind: Type) -> tuple[int, ...]:
    if kind == Type.CONTENT_LIGHT_LEVEL:
        return struct.unpack_from("=2I", data)
    fractions = struct.unpack_from("=20i", data)
    return tuple(round(a / b * 10000) for a, b in zip(fractions[::2], fractions[1::2]))


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _name(stream: Stream) -> str:
    return stream.metadata.get("filename", "")


def _track(stream: Stream) -> Track:
    metadata = {key.lower(): value for key, value in stream.metadata.items()}
    context = stream.codec_context
    language = _SAME_LANGUAGES.get(metadata.get("language", "und"), metadata.get("language", "und"))
    return Track(
        stream.type,
        context.codec.canonical_name if context is not None else "",
        language,
        metadata.get("title") or metadata.get("name") or "",
        Disposition(stream.disposition),
        {
            key: value
            for key, value in metadata.items()
            if key not in _CODING_TAGS and not key.startswith(("duration", "bps", "_", "number_of"))
        },
    )


def _decoded(packet: Packet[Stream]) -> list[object]:
    try:
        return list(packet.decode())
    except av.FFmpegError:
        return []


def _take(packet: Packet[Stream], track: Track) -> None:
    data = bytes(packet)
    if track.codec == "mov_text" and data[:2] == b"\0\0":
        return
    if track.codec == "aac" and data[:1] == b"\xff" and data[1] & 0xF0 == 0xF0:
        data = data[7 if data[1] & 1 else 9 :]  # a transport stream's header on each packet
    ticks = packet.pts if packet.pts is not None else packet.dts
    time = None if ticks is None else ticks * packet.time_base
    length = (packet.duration or 0) * packet.time_base
    track.packets.append((time, length, packet.is_keyframe, data))


def _start_at_zero(found: Found, origin: Fraction) -> None:
    found.times = [time - origin for time in found.times]
    found.flashes = [time - origin for time in found.flashes]
    for track in found.tracks:
        track.packets = [(t and t - origin, *rest) for t, *rest in track.packets]


def _loud_at(path: Path, index: int) -> Fraction | None:
    with av.open(str(path)) as container:
        origin = Fraction(0)
        if container.format.name in _CLOCKS_OF_THEIR_OWN:
            origin = Fraction(container.start_time or 0, av.time_base)
        stream = container.streams[index]
        for packet in container.demux(stream):
            for frame in _decoded(packet):
                samples = frame.to_ndarray()
                if samples.dtype.kind in "iu":
                    samples = samples / np.iinfo(samples.dtype).max
                if not frame.format.is_planar:
                    samples = samples.reshape(-1, frame.layout.nb_channels).T
                (loud,) = np.nonzero(np.abs(samples[0]) > _LOUD)
                if len(loud) and frame.pts is not None:
                    return frame.pts * frame.time_base + Fraction(int(loud[0]), frame.rate) - origin
    return None


def _look_at(picture: VideoFrame, found: Found, film: VideoStream) -> None:
    planes, bits = _planes(picture)
    ticks = picture.pts if picture.pts is not None else picture.dts
    time = Fraction(-1000) if ticks is None else ticks * picture.time_base
    found.times.append(time)
    rgb = _rgb(planes, bits, picture)
    row = rgb(CODE_END / 2)
    values = [row((i + 0.5) / BITS).mean() for i in range(BITS)]
    found.codes.append(sum(int(v > 0.5) << (BITS - 1 - i) for i, v in enumerate(values)))
    bars = rgb((CODE_END + BARS_END) / 2)
    found.bars.append(
        np.stack([bars((i + x) / len(BARS)) for i in range(len(BARS)) for x in _ACROSS])
    )
    if rgb((1 + BARS_END) / 2)(0.5).mean() > 0.5:
        found.flashes.append(time)


def _planes(picture: VideoFrame) -> tuple[list[np.ndarray], int]:
    """Code values per component, and their depth."""
    components = picture.format.components
    bits = components[0].bits
    if any(c.plane != i for i, c in enumerate(components)):
        picture = picture.reformat(format="rgb24" if picture.format.is_rgb else "yuv420p")
        bits = 8
        if picture.format.is_rgb:
            whole = picture.to_ndarray()
            return [whole[..., i].astype(float) for i in (1, 2, 0)], bits
    dtype = np.uint8 if bits == 8 else np.uint16
    return [
        np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width].astype(float)
        for plane in picture.planes
    ], bits


def _rgb(planes: list[np.ndarray], bits: int, picture: VideoFrame):  # type: ignore[no-untyped-def]
    """(share of the height) -> (share of the width) -> R'G'B', the mean of a small patch."""
    peak, step = (1 << bits) - 1, 1 << (bits - 8)
    is_full = picture.color_range == 2 or picture.format.name.startswith(("yuvj", "pal", "rgb"))

    def patch(plane: np.ndarray, y: float, x: float) -> float:
        row, column = int(y * plane.shape[0]), int(x * plane.shape[1])
        return plane[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].mean()

    def at(y: float):  # type: ignore[no-untyped-def]
        def color(x: float) -> np.ndarray:
            values = [patch(plane, y, x) for plane in planes[:3]]
            if picture.format.is_rgb:
                green, blue, red = values
                return np.array([red, green, blue]) / peak
            luma = values[0] / peak if is_full else (values[0] - 16 * step) / (219 * step)
            if len(values) == 1:
                return np.array([luma] * 3)
            span = peak if is_full else 224 * step
            cb, cr = ((v - 128 * step) / span for v in values[1:])
            name = _WORDS_OF_MATRIX.get(int(picture.colorspace), "")
            red_weight, blue_weight = WEIGHTS.get(name, OLD_WEIGHTS)
            red, blue = luma + cr * (2 - 2 * red_weight), luma + cb * (2 - 2 * blue_weight)
            green = (luma - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
            return np.array([red, green, blue])

        return color

    return at


def _near(found: Collection[Fraction | None], wanted: Collection[Fraction | None]) -> bool:
    """Equal to a millisecond, and the rounding of a container that counts in them."""
    return len(found) == len(wanted) and all(
        a is None or b is None or abs(a - b) <= MILLISECOND * 3 / 2 for a, b in zip(found, wanted)
    )


def _same_bars(before: list[np.ndarray], after: list[np.ndarray]) -> bool:
    """Closely in the middle of each bar; near its sides coding lets colours bleed."""
    bounds = np.tile([0.08, 0.03, 0.08], len(BARS))[:, None]
    return all((np.abs(a - b) < bounds).all() for a, b in zip(before, after))


def _same_color(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Nothing that was said is said otherwise, and nothing stays unsaid."""
    unsaid = (2, 0, 2, 2)
    return all(b != u and a in (u, b) for a, b, u in zip(before, after, unsaid))


def _plain(pixel_format: str) -> str:
    return pixel_format.replace("yuvj", "yuv")


def _is_lonely(track: Track, found: Found) -> bool:
    """Whether it is the first sound of a file that has none by default: it is heard then."""
    tracks = [each for each in found.tracks if each.kind == "audio"]
    return track in tracks[:1] and not any(t.flags & Disposition.default for t in tracks)


def _same_flags(before: Disposition, after: Disposition, may_be_default: bool) -> bool:
    def normal(flags: Disposition) -> int:
        for one, other in _SAME_FLAGS:
            flags |= (one | other) if flags & (one | other) else Disposition(0)
        return int(flags | Disposition.default if may_be_default else flags)

    return normal(before) == normal(after)


def _same_chapters(
    before: list[tuple[Fraction, Fraction, str]],
    after: list[tuple[Fraction, Fraction, str]],
    start: Fraction,
    end: Fraction | None,
) -> bool:
    stop = end - start if end is not None else None
    wanted = [
        (max(a - start, Fraction(0)), b - start if stop is None else min(b - start, stop), name)
        for a, b, name in before
    ]
    wanted = [each for each in wanted if each[1] > each[0]]
    return [name for *_, name in wanted] == [name for *_, name in after] and all(
        _near(old[:2], new[:2]) for old, new in zip(wanted, after)
    )


def _codec(track: Track, container: str) -> str:
    """MP4 has one word for two kinds of MPEG sound; their packets say which they are."""
    if track.codec in ("mp2", "mp3") and "mp4" in container:
        layer = 4 - (track.packets[0][3][1] >> 1 & 3)
        return f"mp{layer}"
    return "text" if _is_text(track.codec) else track.codec


def _is_text(codec: str) -> bool:
    return codec in ("subrip", "ass", "ssa", "mov_text", "webvtt", "text")


def _bytes(track: Track) -> object:
    if track.codec.startswith("pcm"):
        return b"".join(packet[3] for packet in track.packets)
    return [packet[3] for packet in track.packets]


def texts(track: Track) -> Iterator[tuple[Fraction | None, Fraction, str]]:
    """(time, length in seconds, words without their markup) of a subtitle track."""
    for time, length, _, data in track.packets:
        if track.codec == "mov_text":
            data = data[2 : 2 + int.from_bytes(data[:2], "big")]
        text = data.decode(errors="replace").rstrip("\0")
        if track.codec in ("ass", "ssa"):
            text = re.sub(r"\{[^}]*\}", "", text.split(",", 8)[8]).replace(r"\N", "\n")
        text = re.sub(r"</?[a-z][^>]*>", "", text)
        for escaped, plain in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
            text = text.replace(escaped, plain)
        yield time, length, text
