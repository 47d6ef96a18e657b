"""What a source file holds, found out before any work starts."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import DataStream, Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from remaster import color
from remaster.errors import SourceError
from remaster.frames import VideoInfo
from remaster.media import matroska
from remaster.media.formats import MATRICES, PRIMARIES, RANGES, TRANSFERS, layout_of
from remaster.media.hdr import read_light, side_data, unkept_side_data
from remaster.media.opening import MOST_SOURCE_PIXELS, demuxed, late_in_pipe, open_source
from remaster.media.piping import is_pipe, spoken
from remaster.media.timeline import Timeline, read_timeline

__all__ = ["Chapter", "Source", "StreamInfo", "open_source", "pixel_aspect_ratio", "probe"]

_FREE_RUNNING_CLOCKS = ("mpegts", "mpeg")
_PCM_BYTES = {
    f"pcm_{kind}{bits}{order}": bits // 8
    for kind in "suf"
    for bits in (16, 24, 32, 64)
    for order in ("le", "be")
}
_FASTEST_RATE = 1000
"""A second; a container that says more gives its clock's rate."""

_USUAL_RATES = (
    *(Fraction(rate) for rate in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 100, 120)),
    *(Fraction(rate * 1000, 1001) for rate in (12, 15, 24, 30, 48, 60, 120)),
)
_DURATION_TAG = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_CENTERED_CHROMA = ("mpeg1video", "mjpeg")


@dataclass(frozen=True)
class StreamInfo:
    """One stream of a source."""

    index: int
    kind: str
    """`video`, `audio`, `subtitle`, `attachment`, `data` or `unknown`."""

    codec: str
    """FFmpeg's name of the codec; empty where FFmpeg has none."""

    decoder: str
    """FFmpeg's name of its decoder; empty where FFmpeg has none."""

    metadata: Mapping[str, str]
    disposition: int
    is_cover: bool
    has_header: bool
    """Whether the container holds the codec's header (extradata) apart from the packets."""

    needs_packet_headers: bool = False
    """Whether every packet carries the codec's header, as AAC does in transport streams."""

    sample_bytes: int = 1
    """Of all channels of a PCM sample; 1 for what is none."""

    @property
    def language(self) -> str | None:
        return self.metadata.get("language")

    @property
    def title(self) -> str | None:
        return self.metadata.get("title") or self.metadata.get("name")

    def __str__(self) -> str:
        name = self.metadata.get("filename", "")
        if self.kind == "attachment":
            return f"attachment {name or self.index}"
        kind = "cover picture" if self.is_cover else f"{self.kind} stream"
        details = (self.codec or "unknown codec", self.language, self.title, name)
        return f"{kind} {self.index} ({', '.join(word for word in details if word)})"


@dataclass(frozen=True)
class Chapter:
    """A named part of the film; times in seconds, `Source.origin` already subtracted."""

    start: Fraction
    end: Fraction
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Source:
    """A media file that holds a video which can be decoded."""

    path: Path
    format_name: str
    video: VideoInfo
    video_index: int
    pixel_format: str
    """FFmpeg's name, as decoded; `video.layout` is what the reader makes of it."""

    streams: tuple[StreamInfo, ...]
    chapters: tuple[Chapter, ...]
    metadata: Mapping[str, str]
    duration_seconds: float | None
    video_end_seconds: Fraction | None
    """When the film ends, `origin` subtracted; where the container says it apart from its
    pictures."""

    origin: Fraction
    """Seconds subtracted from every time of every stream: the clock of MPEG transport and
    program streams starts anywhere. 0 elsewhere: offsets between streams are kept as they are."""

    rotation: int
    """Degrees counter-clockwise by which a player turns the picture."""

    guessed: tuple[str, ...]
    """Fields of the colour that the file does not state."""

    timeline: Timeline = field(default_factory=Timeline)
    """Puts packets whose clock jumps on one clock; every reader of packets asks it."""

    mirror: tuple[int, int, int, int] | None = None
    """The display matrix (a, b, c, d) of a film that players also turn over; mostly None."""

    unread_chapters: int = 0
    """Chapters of further editions, or inside others, which FFmpeg does not read."""

    lost_with_pictures: tuple[str, ...] = ()
    """In words, what the first picture carries that is not written again."""

    late: tuple[str, ...] = ()
    """Parts that come too late in a pipe to be written."""

    states_frames: bool = False
    """Whether the container says how many pictures there are; else `video.frame_count` is reckoned
    from its length and rate."""

    @property
    def name(self) -> str:
        """How messages call it."""
        return spoken(self.path)

    @property
    def may_restart(self) -> bool:
        """Whether parts joined byte by byte make a file of this format, with a clock each."""
        return self.format_name in _FREE_RUNNING_CLOCKS


def probe(path: str | Path, *, most_pixels: int | None = MOST_SOURCE_PIXELS) -> Source:
    """Read what a file holds and decode its first picture.

    Raises SourceError when the file cannot be read, holds no video that can be decoded, or
    states pictures of more than `most_pixels`.
    """
    path = Path(path)
    with open_source(path, most_pixels=most_pixels) as container:
        stream = _film(container, path)
        _check_stated_size(stream, path, most_pixels)
        streams = tuple(_describe_stream(each) for each in container.streams)
        start = Fraction(container.start_time or 0, av.time_base)
        origin = start if container.format.name in _FREE_RUNNING_CLOCKS else Fraction(0)
        chapters = _read_chapters(container, origin)
        duration = None if container.duration is None else container.duration / av.time_base
        metadata = _file_tags(container, stream)
        format_name = container.format.name
        frame = _first_frame(container, stream, path)
        timeline = Timeline()
        if container.format.name in _FREE_RUNNING_CLOCKS and not is_pipe(path):
            timeline = _whole_timeline(path, stream.index)
        stated_end = _stated_end(stream, origin)
        if timeline.film_end is not None:  # FFmpeg's estimate believes a damaged last time
            stated_end = timeline.film_end - origin
            duration = float(stated_end)
        video, guessed = _describe_video(stream, frame, duration)
        return Source(
            path=path,
            format_name=format_name,
            video=video,
            video_index=stream.index,
            pixel_format=frame.format.name,
            streams=streams,
            chapters=chapters,
            metadata=metadata,
            duration_seconds=duration,
            video_end_seconds=stated_end,
            origin=origin,
            rotation=frame.rotation,
            guessed=guessed,
            timeline=timeline,
            mirror=_mirror(frame),
            unread_chapters=_unread_chapters(path, format_name, len(chapters)),
            lost_with_pictures=unkept_side_data(frame),
            late=_late_parts(streams, chapters) if is_pipe(path) else (),
            states_frames=stream.frames > 0,
        )


def _whole_timeline(path: Path, film: int) -> Timeline:
    with open_source(path) as container:
        return read_timeline(container, film)


def pixel_aspect_ratio(stream: VideoStream) -> Fraction:
    """Width of a pixel over its height: the container's word, else that of the decoded bits."""
    stated = stream.sample_aspect_ratio or Fraction(1)
    return stated if stated != 1 else stream.codec_context.sample_aspect_ratio or stated


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _film(container: InputContainer, path: Path) -> VideoStream:
    """The first video stream that is no cover picture."""
    films = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not films:
        raise SourceError(f"{spoken(path)} holds no video stream: give a file with a picture.")
    if films[0].codec_context is None:
        raise SourceError(f"{spoken(path)}: no decoder for its video stream is known.")
    return films[0]


def _check_stated_size(stream: VideoStream, path: Path, most_pixels: int | None) -> None:
    """Before anything is decoded."""
    width, height = stream.codec_context.width, stream.codec_context.height
    if most_pixels is not None and width * height > most_pixels:
        raise SourceError(
            f"{path} states pictures of {width}x{height}, and up to {most_pixels / 1e6:.0f} "
            f"million pixels (8192x4608) are read: shrink it first, or give another file."
        )


def _describe_stream(stream: Stream) -> StreamInfo:
    context = stream.codec_context
    name = stream.name if isinstance(stream, DataStream) else ""
    return StreamInfo(
        index=stream.index,
        kind=stream.type,
        codec=context.codec.canonical_name if context is not None else name or "",
        decoder=context.codec.name if context is not None else "",
        metadata=dict(stream.metadata),
        disposition=int(stream.disposition),
        is_cover=stream.type == "video" and _is_cover(stream),
        has_header=context is not None and bool(context.extradata),
        needs_packet_headers=(
            context is not None
            and context.codec.canonical_name == "aac"
            and not context.extradata
            and stream.container.format.name in _FREE_RUNNING_CLOCKS
        ),
        sample_bytes=_sample_bytes(stream),
    )


def _file_tags(container: InputContainer, film: VideoStream) -> dict[str, str]:
    """The file's tags; MOV says the timecode of its film with the film."""
    tags = dict(container.metadata)
    timecode = film.metadata.get("timecode")
    return tags if timecode is None else {"timecode": timecode, **tags}


def _sample_bytes(stream: Stream) -> int:
    context = stream.codec_context
    if not isinstance(stream, AudioStream) or context is None or context.name not in _PCM_BYTES:
        return 1
    return _PCM_BYTES[context.name] * stream.codec_context.layout.nb_channels


def _stated_end(stream: VideoStream, origin: Fraction) -> Fraction | None:
    """End of a stream in seconds; MP4 and AVI keep it in their index, Matroska in a tag."""
    if stream.duration is not None and stream.time_base is not None:
        return ((stream.start_time or 0) + stream.duration) * stream.time_base - origin
    match = _DURATION_TAG.match(stream.metadata.get("DURATION", ""))
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds) - origin


def _read_chapters(container: InputContainer, origin: Fraction) -> tuple[Chapter, ...]:
    return tuple(
        Chapter(
            start=chapter["start"] * (chapter["time_base"] or Fraction(1)) - origin,
            end=chapter["end"] * (chapter["time_base"] or Fraction(1)) - origin,
            metadata=dict(chapter["metadata"]),
        )
        for chapter in container.chapters()
    )


def _late_parts(streams: tuple[StreamInfo, ...], chapters: tuple[Chapter, ...]) -> tuple[str, ...]:
    """What a pipe holds behind its pictures; an MP4's chapters are a text track."""
    has_track = any(each.kind == "data" and each.codec == "bin_data" for each in streams)
    return ("chapters",) if has_track and not chapters else late_in_pipe()


def _unread_chapters(path: Path, format_name: str, read: int) -> int:
    if "matroska" not in format_name or is_pipe(path):
        return 0
    with path.open("rb") as file:
        return max(matroska.count_chapters(file) - read, 0)


def _first_frame(container: InputContainer, stream: VideoStream, path: Path) -> VideoFrame:
    """The first picture that decodes; damaged packets before it are the reader's to report."""
    failure: av.FFmpegError | None = None
    try:
        for packet in demuxed(container, stream):
            try:
                for frame in packet.decode():
                    return frame
            except av.FFmpegError as error:
                failure = error
    except av.FFmpegError as error:
        failure = error
    name = spoken(path)
    if failure is None:
        raise SourceError(f"The video of {name} has no pictures: the file is cut off or empty.")
    raise SourceError(
        f"The video of {name} cannot be decoded ({failure.strerror}): the file is damaged, or its "
        f"pictures are larger than 8192x4608. Play it to see which, and copy or shrink it anew."
    )


def _mirror(frame: VideoFrame) -> tuple[int, int, int, int] | None:
    """The display matrix, where it turns the picture over beside turning it round."""
    for data in side_data(frame):
        if data.type == Type.DISPLAYMATRIX:
            a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
            return (a, b, c, d) if a * d < b * c else None
    return None


def _frame_rate(stream: VideoStream) -> Fraction | None:
    """The average rate, or the usual one that it is within a thousandth of."""
    stated = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    rate = next((each for each in stated if each and each <= _FASTEST_RATE), None)
    if rate is None:
        return None
    usual = min(_USUAL_RATES, key=lambda each: abs(rate / each - 1))
    return usual if abs(rate / usual - 1) < Fraction(1, 1000) else rate


def _describe_video(
    stream: VideoStream, frame: VideoFrame, duration_seconds: float | None
) -> tuple[VideoInfo, tuple[str, ...]]:
    """The video as the reader delivers it, and the names of the colour's guessed fields."""
    assert stream.time_base is not None
    context = stream.codec_context
    layout = layout_of(frame.format.name)
    is_rgb = layout.subsampling == "rgb"
    rate = _frame_rate(stream)
    matrix = MATRICES.get(frame.colorspace) or MATRICES.get(context.colorspace)
    color_range = RANGES.get(frame.color_range) or RANGES.get(context.color_range)
    described, guessed = color.describe(
        None if matrix == "rgb" and not is_rgb else matrix,
        "full" if frame.format.name.startswith("yuvj") else color_range,
        PRIMARIES.get(frame.color_primaries) or PRIMARIES.get(context.color_primaries),
        TRANSFERS.get(frame.color_trc) or TRANSFERS.get(context.color_trc),
        "center" if context.codec.canonical_name in _CENTERED_CHROMA else None,
        width=frame.width,
        height=frame.height,
        frame_rate=rate,
        is_rgb=is_rgb,
    )
    count = stream.frames or (
        round(duration_seconds * rate) if duration_seconds and rate is not None else None
    )
    info = VideoInfo(
        width=frame.width,
        height=frame.height,
        time_base=stream.time_base,
        frame_rate=rate,
        sample_aspect_ratio=pixel_aspect_ratio(stream),
        layout=layout,
        color=described,
        frame_count=count,
        light=read_light(frame),
    )
    return info, guessed
