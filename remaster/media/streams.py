"""What becomes of everything in a source that is not its film."""

from __future__ import annotations

import io
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition, Stream
from av.subtitles.stream import SubtitleStream

from remaster.errors import OutputError
from remaster.media.containers import CONTAINERS, Y4M, takes
from remaster.media.holding import HOLDINGS, held_dispositions, held_tags, held_track_tags
from remaster.media.losses import file_losses, track_losses
from remaster.media.opening import open_source
from remaster.media.probe import Source, StreamInfo
from remaster.media.texts import TEXT_CODECS

__all__ = [
    "PlannedStream",
    "StreamPlan",
    "harmless_name",
    "new_stream",
    "plan_streams",
]

Action = Literal["copy", "convert", "attach", "drop"]

_ASS_HEADER = b"[Script Info]\n\n[V4+ Styles]\n\n[Events]\n"
_LOST_WITH = {
    "ass": "its places, fonts and colours are lost, bold, italic and underlined words are kept",
    "ssa": "its places, fonts and colours are lost, bold, italic and underlined words are kept",
    "webvtt": "places and voices are lost, bold, italic and underlined words are kept",
    "mov_text": "fonts, sizes and colours are lost, bold, italic and underlined words are kept",
    "subrip": "colours are lost, bold, italic and underlined words are kept",
    "text": "nothing is lost",
}
_COVER_CODECS = ("mjpeg", "png", "bmp")
"""Of MP4; Matroska attaches any file."""

_USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"}


@dataclass(frozen=True)
class PlannedStream:
    """One stream of the source and what becomes of it."""

    stream: StreamInfo
    action: Action
    codec: str = ""
    """The codec it is converted to."""

    reason: str = ""
    """Why it is converted or dropped."""

    @property
    def fate(self) -> str:
        """What becomes of it, in a word or two."""
        if self.action == "convert":
            return f"becomes {self.codec}"
        return {"copy": "copied", "attach": "attached", "drop": "left out"}[self.action]


@dataclass(frozen=True)
class StreamPlan:
    """What becomes of every stream but the film, in the order of the source."""

    streams: tuple[PlannedStream, ...]
    losses: tuple[str, ...] = ()
    """One sentence per thing said about the file or its streams that the container cannot hold."""

    def having(self, *actions: Action) -> tuple[PlannedStream, ...]:
        return tuple(planned for planned in self.streams if planned.action in actions)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence per stream that does not arrive as it was, and per thing that is lost."""
        streams = tuple(
            f"The {planned.stream} is "
            + (f"converted to {planned.codec}" if planned.action == "convert" else "left out")
            + f": {planned.reason}."
            for planned in self.having("convert", "drop")
        )
        return (*streams, *self.losses)


def plan_streams(source: Source, container: str) -> StreamPlan:
    """Decide what a container (FFmpeg's muxer name) does with each stream of a source.

    Raises OutputError when it cannot hold an audio stream: sound is never lost.
    """
    if container == Y4M:
        return StreamPlan(
            tuple(
                PlannedStream(info, "drop", reason="Y4M holds pictures alone")
                for info in source.streams
                if info.index != source.video_index and not _is_chapter_track(info)
            ),
            (),
        )
    with open_source(source.path) as opened:
        streams = tuple(
            _plan(info, opened.streams[info.index], container)
            for info in source.streams
            if info.index != source.video_index
            and not _is_chapter_track(info)
            and not _is_rewritten_timecode(info, source, container)
        )
    film = source.streams[source.video_index]
    kept = [planned.stream for planned in streams if planned.action != "drop"]
    losses = (
        *file_losses(source, container),
        *track_losses(film, container, is_film=True),
        *(words for stream in kept for words in track_losses(stream, container)),
    )
    return StreamPlan(streams, losses)


def new_stream(planned: PlannedStream, source: Stream, output: OutputContainer) -> Stream:
    """A stream in the output for one that is copied or converted.

    Raises ValueError when the container does not know the codec.
    """
    stream: Stream
    if planned.action == "copy":
        stream = output.add_stream_from_template(source, opaque=True)
        _name_channels(stream)
    elif planned.codec == "mov_text":
        stream = output.add_stream("mov_text")
        assert isinstance(stream, SubtitleStream)
        stream.codec_context.subtitle_header = _ASS_HEADER
    else:
        stream = output.add_mux_stream(planned.codec)
    container = output.format.name
    stream.metadata.update(held_track_tags(container, planned.stream.metadata))
    stream.disposition = held_dispositions(container, planned.stream.disposition)
    if planned.stream.is_cover:
        stream.disposition = Disposition.attached_pic
    return stream


def harmless_name(name: str) -> str:
    """An attachment's name that leads out of no folder when a player or a tool writes it.

    Programs that unpack attachments use this name as a path.
    """
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join("_" if _steers(letter) else letter for letter in last)
    return plain if plain.strip(". ") else "attachment"


def _steers(letter: str) -> bool:
    """Whether a character is none to be seen: a control, a line's end, half of a pair."""
    category = unicodedata.category(letter)
    return category.startswith("C") or category in ("Zl", "Zp")


def _is_chapter_track(stream: StreamInfo) -> bool:
    """MP4 keeps chapters in a text track, which comes as data; they are written as chapters."""
    return stream.kind == "data" and stream.codec == "bin_data"


def _is_rewritten_timecode(stream: StreamInfo, source: Source, container: str) -> bool:
    """MP4 keeps the film's timecode in a track, which follows from the tag."""
    if stream.kind != "data" or "timecode" not in stream.metadata:
        return False
    return "timecode" in held_tags(container, source.metadata, source.video.frame_rate)


def _plan(stream: StreamInfo, opened: Stream, container: str) -> PlannedStream:
    if stream.kind == "attachment" or stream.is_cover:
        return _plan_attachment(stream, container)
    if _accepts(container, stream, opened):
        return PlannedStream(stream, "copy")
    if stream.kind == "audio":
        raise OutputError(_refused_audio(stream, opened, container))
    if stream.kind == "subtitle" and stream.codec in TEXT_CODECS:
        reason = f"{container} files cannot hold {stream.codec}; {_LOST_WITH[stream.codec]}"
        return PlannedStream(stream, "convert", HOLDINGS[container].text_codec, reason)
    return PlannedStream(stream, "drop", reason=f"{container} files cannot hold it")


def _plan_attachment(stream: StreamInfo, container: str) -> PlannedStream:
    holds = HOLDINGS[container]
    if holds.attachments:
        return PlannedStream(stream, "attach")
    if holds.covers and stream.is_cover and stream.codec in _COVER_CODECS:
        return PlannedStream(stream, "copy")
    what = "cover pictures" if stream.is_cover else "attachments"
    return PlannedStream(stream, "drop", reason=f"{container} files cannot hold {what}")


def _accepts(container: str, stream: StreamInfo, opened: Stream) -> bool:
    """Whether a muxer really takes a stream: the list of its codecs promises too much."""
    if not takes(container, stream.decoder):
        return False
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            new_stream(PlannedStream(stream, "copy"), opened, trial)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _name_channels(stream: Stream) -> None:
    """Say which channels there are where the source says only how many: MP4 must know."""
    if isinstance(stream, AudioStream) and stream.codec_context is not None:
        layout = stream.codec_context.layout
        if layout.name.endswith(" channels") and layout.nb_channels in _USUAL_LAYOUTS:
            stream.codec_context.layout = _USUAL_LAYOUTS[layout.nb_channels]


def _refused_audio(stream: StreamInfo, opened: Stream, container: str) -> str:
    fitting = [end for end, name in CONTAINERS.items() if _accepts(name, stream, opened)]
    advice = f"write to {' or '.join(fitting)}" if fitting else "convert its sound first"
    return f"A {container} file cannot hold the {stream} as it is: {advice}."
