"""What becomes of everything in a source that is not its film."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition, Stream
from av.subtitles.stream import SubtitleStream

from remaster.errors import OutputError
from remaster.media.containers import CONTAINERS, takes
from remaster.media.opening import open_source
from remaster.media.probe import Source, StreamInfo

__all__ = [
    "PlannedStream",
    "StreamPlan",
    "convert_subtitle",
    "harmless_name",
    "kept_tags",
    "new_stream",
    "plan_streams",
]

Action = Literal["copy", "convert", "attach", "drop"]

_TEXT_CODECS = ("subrip", "text", "webvtt", "ass", "ssa", "mov_text")
_TEXT_OF_CONTAINER = {"matroska": "subrip", "mp4": "mov_text", "mov": "mov_text", "webm": "webvtt"}
_ASS_FIELDS_BEFORE_TEXT = 8
_ASS_OVERRIDE = re.compile(r"\{[^}]*\}")
_ASS_HEADER = b"[Script Info]\n\n[V4+ Styles]\n\n[Events]\n"
_DERIVED_TAGS = ("DURATION", "BPS", "NUMBER_OF_", "_STATISTICS_", "vendor_id")
_USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"}
_MARKUP = re.compile(r"</?[A-Za-z][^>]*>")


@dataclass(frozen=True)
class PlannedStream:
    """One stream of the source and what becomes of it."""

    stream: StreamInfo
    action: Action
    codec: str = ""
    """The codec it is converted to."""

    reason: str = ""
    """Why it is converted or dropped."""


@dataclass(frozen=True)
class StreamPlan:
    """What becomes of every stream but the film, in the order of the source."""

    streams: tuple[PlannedStream, ...]

    def having(self, *actions: Action) -> tuple[PlannedStream, ...]:
        return tuple(planned for planned in self.streams if planned.action in actions)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence per stream that does not arrive as it was."""
        return tuple(
            f"The {planned.stream} is "
            + (f"converted to {planned.codec}" if planned.action == "convert" else "left out")
            + f": {planned.reason}."
            for planned in self.having("convert", "drop")
        )


def plan_streams(source: Source, container: str) -> StreamPlan:
    """Decide what a container (FFmpeg's muxer name) does with each stream of a source.

    Raises OutputError when it cannot hold an audio stream: sound is never lost.
    """
    with open_source(source.path) as opened:
        return StreamPlan(
            tuple(
                _plan(info, opened.streams[info.index], container)
                for info in source.streams
                if info.index != source.video_index and not _is_chapter_track(info)
            )
        )


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
    stream.metadata.update(kept_tags(planned.stream.metadata))
    stream.disposition = Disposition(planned.stream.disposition)
    return stream


def kept_tags(metadata: Mapping[str, str]) -> dict[str, str]:
    """A stream's tags without those that a muxer derives from the packets."""
    return {key: value for key, value in metadata.items() if not key.startswith(_DERIVED_TAGS)}


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


def convert_subtitle(payload: bytes, codec: str, target: str) -> bytes:
    """The text of one subtitle packet in another text codec; empty when it shows nothing.

    Formatting that the target cannot hold is lost; line breaks are kept.
    """
    text = _subtitle_text(payload, codec)
    if target == "mov_text":
        plain = _MARKUP.sub("", text).encode()
        return len(plain).to_bytes(2, "big") + plain if plain else b""
    return text.encode()


def _is_chapter_track(stream: StreamInfo) -> bool:
    """MP4 keeps chapters in a text track, which comes as data; they are written as chapters."""
    return stream.kind == "data" and stream.codec == "bin_data"


def _plan(stream: StreamInfo, opened: Stream, container: str) -> PlannedStream:
    if stream.kind == "attachment" or stream.is_cover:
        return _plan_attachment(stream, container)
    if _accepts(container, stream, opened):
        return PlannedStream(stream, "copy")
    if stream.kind == "audio":
        raise OutputError(_refused_audio(stream, opened, container))
    if stream.kind == "subtitle" and stream.codec in _TEXT_CODECS:
        target = _TEXT_OF_CONTAINER[container]
        reason = f"{container} files cannot hold {stream.codec}, so formatting may be lost"
        return PlannedStream(stream, "convert", target, reason)
    return PlannedStream(stream, "drop", reason=f"{container} files cannot hold it")


def _plan_attachment(stream: StreamInfo, container: str) -> PlannedStream:
    if container == "matroska":
        return PlannedStream(stream, "attach")
    if container == "mp4" and stream.is_cover:
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


def _subtitle_text(payload: bytes, codec: str) -> str:
    """The words of a packet, lines parted by line feeds, with SubRip's markup at most."""
    if codec == "mov_text":
        length = int.from_bytes(payload[:2], "big")
        return payload[2 : 2 + length].decode("utf-8", "replace")
    text = payload.decode("utf-8", "replace")
    if codec in ("ass", "ssa"):
        text = text.split(",", _ASS_FIELDS_BEFORE_TEXT)[-1]
        text = _ASS_OVERRIDE.sub("", text).replace(r"\N", "\n").replace(r"\n", "\n")
        text = text.replace(r"\h", " ")
    return text.rstrip("\0")
