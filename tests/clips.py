"""Small clips made on the spot: moving pictures, tones, and everything else a file may hold."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.subtitles.stream import SubtitleStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from remaster.frames import Color, PixelLayout
from remaster.media.formats import (
    MATRICES,
    PRIMARIES,
    RANGES,
    TRANSFERS,
    color_number,
    is_planar,
    layout_of,
    planar_format,
    plane_order,
)

Picture = Callable[[int, PixelLayout, tuple[int, int]], Sequence[np.ndarray]]
"""(index, layout, (height, width)) to the planes of `layout`, code values."""

Wave = Callable[[np.ndarray], np.ndarray]
"""Seconds to amplitudes, -1 to 1."""

_SAMPLE_RATE = 48000
_CHUNK = 1024
_ASS_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n"
    b"Format: Name, Fontname, Fontsize\nStyle: Default,Arial,20\n\n"
    b"[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)
_FAST = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=1"},
    "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime"},
}


@dataclass(frozen=True)
class Sound:
    """One audio track: a tone."""

    codec: str = "aac"
    language: str = "und"
    offset_seconds: Fraction = Fraction(0)
    frequency: int = 440
    title: str = ""
    wave: Wave | None = None
    """Instead of a tone."""

    flags: int = 0
    layout: str = "stereo"


@dataclass(frozen=True)
class Subtitles:
    """One subtitle track; lines are (start, end, text), times in seconds."""

    lines: Sequence[tuple[float, float, str]]
    codec: str = "subrip"
    language: str = "eng"
    title: str = ""
    flags: int = 0


def moving_picture(index: int, layout: PixelLayout, size: tuple[int, int]) -> list[np.ndarray]:
    """A bright square that walks over gradients, which walk too: every frame is another."""
    planes = []
    for number, (rows, columns) in enumerate(layout.plane_shapes(*size)):
        y, x = np.mgrid[0:rows, 0:columns]
        values = 48 + (x * (3 + number) + y * 2 + index * (5 - number)) % 128
        if number == 0:
            left, top = index * 2 % max(1, columns - 8), index % max(1, rows - 8)
            values[top : top + 8, left : left + 8] = 220
        planes.append((values << (layout.bit_depth - 8)).astype(np.uint16))
    return planes


def cover_picture() -> bytes:
    """A small JPEG."""
    data = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 40, 90)).save(data, "JPEG")
    return data.getvalue()


def make_clip(
    path: Path,
    *,
    size: tuple[int, int] = (64, 48),
    frames: int = 24,
    rate: Fraction = Fraction(25),
    time_base: Fraction | None = None,
    pts: Sequence[int] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    bframes: int = 0,
    color: Color | None = None,
    sar: Fraction = Fraction(1),
    rotation: int = 0,
    matrix: Sequence[int] | None = None,
    video_offset_seconds: Fraction = Fraction(0),
    picture: Picture = moving_picture,
    audio: Sequence[Sound] = (Sound(),),
    audio_seconds: float | None = None,
    subtitles: Sequence[Subtitles] = (),
    attachments: Mapping[str, bytes] | None = None,
    files: Mapping[str, tuple[str, bytes]] | None = None,
    cover: bytes | None = None,
    chapters: Sequence[tuple[float, float, str]] = (),
    metadata: Mapping[str, str] | None = None,
    film_tags: Mapping[str, str] | None = None,
    film_flags: int = 0,
    muxer_options: Mapping[str, str] | None = None,
) -> Path:
    """Write a clip; the container follows from the extension.

    Args:
        size: (width, height).
        rotation: degrees counter-clockwise by which players turn the picture.
        matrix: instead of that, the nine numbers of FFmpeg's display matrix.
        time_base: of `pts`; 1/rate by default.
        pts: the frames' times, for a variable rate; otherwise 0, 1, 2, ... frames.
        files: further attachments, as (mimetype, bytes).
        color: tags; None leaves the file silent.
        audio_seconds: length of the sound; that of the pictures by default.
    """
    time_base = time_base or 1 / rate
    times = list(pts) if pts is not None else [round(i / rate / time_base) for i in range(frames)]
    shift = round(video_offset_seconds / time_base)
    seconds = audio_seconds or float(times[-1] * time_base + 1 / rate)
    with av.open(f"file:{path}", "w", container_options=dict(muxer_options or {})) as output:
        film = _add_film(output, codec, pix_fmt, size, rate, time_base, color, sar)
        film.options.update({**_FAST.get(codec, {}), **(options or {}), "bf": str(bframes)})
        film.metadata.update(film_tags or {})
        film.disposition = Disposition(film_flags)
        if rotation:
            film.set_display_rotation(rotation)
        if matrix is not None:
            film.set_display_matrix(matrix)
        tracks = [_add_sound(output, sound) for sound in audio]
        texts = [_add_subtitles(output, each) for each in subtitles]
        for name, data in (attachments or {}).items():
            output.add_attachment(name, "application/x-truetype-font", data)
        for name, (mimetype, data) in (files or {}).items():
            output.add_attachment(name, mimetype, data)
        art = _add_cover(output, cover) if cover is not None else None
        output.metadata.update(metadata or {})
        output.set_chapters([_chapter(i, *chapter) for i, chapter in enumerate(chapters, 1)])
        output.start_encoding()
        if art is not None:
            output.mux(art)
        packets = [
            *_film_packets(
                film, [each + shift for each in times], time_base, pix_fmt, size, picture
            ),
            *(p for sound, track in zip(audio, tracks) for p in _tone(track, sound, seconds)),
            *(p for each, text in zip(subtitles, texts) for p in _lines(text, each)),
        ]
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            output.mux(packet)
    return path


def _add_film(
    output: OutputContainer,
    codec: str,
    pix_fmt: str,
    size: tuple[int, int],
    rate: Fraction,
    time_base: Fraction,
    color: Color | None,
    sar: Fraction,
) -> VideoStream:
    film = output.add_stream(codec, rate=rate)
    assert isinstance(film, VideoStream)
    context = film.codec_context
    context.width, context.height = size
    context.pix_fmt = pix_fmt
    context.time_base = time_base
    context.sample_aspect_ratio = sar
    context.thread_count = 1
    if color is not None:
        context.colorspace = color_number(MATRICES, color.matrix)
        context.color_range = color_number(RANGES, color.range)
        context.color_primaries = color_number(PRIMARIES, color.primaries)
        context.color_trc = color_number(TRANSFERS, color.transfer)
    return film


def _add_sound(output: OutputContainer, sound: Sound) -> AudioStream:
    track = output.add_stream(sound.codec, rate=_SAMPLE_RATE)
    assert isinstance(track, AudioStream)
    track.codec_context.layout = sound.layout
    track.disposition = Disposition(sound.flags)
    track.metadata["language"] = sound.language
    if sound.title:
        track.metadata["title"] = sound.title
    return track


def _add_subtitles(output: OutputContainer, subtitles: Subtitles) -> Stream:
    if subtitles.codec in ("ass", "mov_text"):
        stream = output.add_stream(subtitles.codec)
        assert isinstance(stream, SubtitleStream)
        stream.codec_context.subtitle_header = _ASS_HEADER
        stream.codec_context.time_base = Fraction(1, 1000)
    else:
        stream = output.add_mux_stream(subtitles.codec)
    stream.metadata["language"] = subtitles.language
    stream.disposition = Disposition(subtitles.flags)
    if subtitles.title:
        stream.metadata["title"] = subtitles.title
    return stream


def _add_cover(output: OutputContainer, cover: bytes) -> Packet[Stream] | None:
    """A cover: an attachment in Matroska, else a stream whose one packet is returned."""
    if output.format.name == "matroska":
        output.add_attachment("cover.jpg", "image/jpeg", cover)
        return None
    stream = output.add_mux_stream("mjpeg", width=32, height=32)
    stream.disposition = Disposition.attached_pic
    packet = Packet(cover)
    packet.stream = stream
    packet.pts = packet.dts = 0
    packet.time_base = Fraction(1, 1000)
    packet.is_keyframe = True
    return packet


def _chapter(number: int, start: float, end: float, title: str) -> dict[str, object]:
    return {
        "id": number,
        "start": round(start * 1000),
        "end": round(end * 1000),
        "time_base": Fraction(1, 1000),
        "metadata": {"title": title},
    }


def _film_packets(
    film: VideoStream,
    times: Sequence[int],
    time_base: Fraction,
    pix_fmt: str,
    size: tuple[int, int],
    picture: Picture,
) -> Iterator[Packet[VideoStream]]:
    width, height = size
    layout = layout_of(pix_fmt)
    planar = pix_fmt if is_planar(pix_fmt) else planar_format(layout)
    following = [*times[1:], 2 * times[-1] - times[-2] if len(times) > 1 else times[-1] + 1]
    for index, (time, next_time) in enumerate(zip(times, following, strict=True)):
        frame = VideoFrame(width, height, planar)
        planes = picture(index, layout, (height, width))
        for values, number in zip(planes, plane_order(layout), strict=True):
            _fill(frame, number, values, layout)
        if planar != pix_fmt:
            frame = frame.reformat(format=pix_fmt)
        frame.pts, frame.time_base, frame.duration = time, time_base, next_time - time
        yield from film.encode(frame)
    yield from film.encode(None)


def _fill(frame: VideoFrame, number: int, values: np.ndarray, layout: PixelLayout) -> None:
    dtype = np.uint8 if layout.bit_depth == 8 else np.uint16
    plane = frame.planes[number]
    np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width] = values


def _tone(track: AudioStream, sound: Sound, seconds: float) -> Iterator[Packet[AudioStream]]:
    total = round(seconds * _SAMPLE_RATE)
    first = round(sound.offset_seconds * _SAMPLE_RATE)
    seconds_of = np.arange(total) / _SAMPLE_RATE
    wave = (
        np.sin(seconds_of * 2 * np.pi * sound.frequency) * 0.2
        if sound.wave is None
        else sound.wave(seconds_of + float(sound.offset_seconds))
    )
    for position in range(0, total, _CHUNK):
        chunk = wave[position : position + _CHUNK].astype(np.float32)
        channels = np.stack([chunk] * AudioLayout(sound.layout).nb_channels)
        frame = AudioFrame.from_ndarray(channels, format="fltp", layout=sound.layout)
        frame.rate, frame.pts = _SAMPLE_RATE, first + position
        frame.time_base = Fraction(1, _SAMPLE_RATE)
        yield from track.encode(frame)
    yield from track.encode(None)


def _lines(stream: Stream, subtitles: Subtitles) -> Iterator[Packet[Stream]]:
    for number, (start, end, text) in enumerate(subtitles.lines):
        data = text.encode()
        if subtitles.codec == "ass":
            data = f"{number},0,Default,,0,0,0,,{text}".encode()
        elif subtitles.codec == "mov_text":
            data = len(data).to_bytes(2, "big") + data
        packet = Packet(data)
        packet.stream = stream
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = round(start * 1000)
        packet.duration = round((end - start) * 1000)
        yield packet
