"""`remaster probe`: what a file holds, and what a remaster of it would hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from remaster.commands.console import clean, clock, columns, say, size_words
from remaster.errors import OutputError
from remaster.frames import Color
from remaster.media.details import Details, describe, disposition_names
from remaster.media.probe import Source, StreamInfo, probe
from remaster.media.streams import StreamPlan, plan_streams
from remaster.report import counted

__all__ = [
    "color_fields",
    "color_words",
    "print_holdings",
    "stream_document",
    "stream_fates",
    "streams_table",
]

_TARGETS = {"mkv": "matroska", "mp4": "mp4"}
_COLOR_FIELDS = ("matrix", "range", "primaries", "transfer")


def print_holdings(path: Path, *, as_json: bool) -> None:
    """Say what a file holds. Raises SourceError when it is no video that can be read."""
    found = document(probe(path))
    say(json.dumps(found) if as_json else words(found))


def document(source: Source) -> dict[str, Any]:
    """Everything `remaster probe` knows, in plain types."""
    details = describe(source)
    video, film = source.video, source.streams[source.video_index]
    fates = {name: _fates(source, container) for name, container in _TARGETS.items()}
    aspect = video.sample_aspect_ratio
    shown = (round(video.width * aspect), video.height)
    return {
        "file": str(source.path),
        "container": source.format_name,
        "container_name": details.format_words,
        "bytes": details.bytes,
        "bit_rate": details.bit_rate,
        "duration_seconds": source.duration_seconds,
        "video": {
            "stream": source.video_index,
            "codec": film.codec,
            "profile": details.profile,
            "size": [video.width, video.height],
            "pixel_aspect": str(aspect),
            "display_size": list(shown[::-1] if source.rotation % 180 else shown),
            "frame_rate": None if video.frame_rate is None else str(video.frame_rate),
            "variable_frame_rate": details.is_variable,
            "frames": video.frame_count,
            "frames_estimated": video.frame_count is not None and not source.states_frames,
            "pixel_format": source.pixel_format,
            "bit_depth": video.layout.bit_depth,
            "rotation": source.rotation,
            "color": color_fields(video.color),
            "color_assumed": list(source.guessed),
        },
        "streams": [
            {
                **stream_document(stream, details),
                "becomes": {name: fate[stream.index] for name, fate in fates.items()},
            }
            for stream in source.streams
        ],
        "chapters": [
            {
                "start": float(chapter.start),
                "end": float(chapter.end),
                "title": chapter.metadata.get("title"),
            }
            for chapter in source.chapters
        ],
        "metadata": dict(source.metadata),
        "losses": {name: _losses(source, container) for name, container in _TARGETS.items()},
        "refused": {name: fate[-1] for name, fate in fates.items() if -1 in fate},
    }


def stream_document(stream: StreamInfo, details: Details) -> dict[str, Any]:
    """What is known of one stream, in plain types."""
    attached = details.attachment_bytes.get(stream.index)
    return {
        "index": stream.index,
        "kind": "cover" if stream.is_cover else stream.kind,
        "codec": stream.codec or None,
        "details": details.sounds.get(stream.index, "")
        if attached is None
        else size_words(attached),
        "language": stream.language,
        "title": stream.title or stream.metadata.get("filename"),
        "flags": disposition_names(stream.disposition),
    }


def color_fields(color: Color) -> dict[str, str]:
    """The fields of a colour by their names."""
    return {name: getattr(color, name) for name in _COLOR_FIELDS}


def words(found: Mapping[str, Any]) -> str:
    """The document of a file, for people."""
    facts = [(what, clean(said)) for what, said in _facts(found)]
    return "\n".join([clean(found["file"]), *columns(facts, indent=2), *_rest(found)])


def color_words(color: Mapping[str, str], assumed: Sequence[str]) -> str:
    """A colour, each field with whether the file states it."""
    parts = {
        "matrix": color["matrix"],
        "range": f"{color['range']} range",
        "primaries": f"primaries {color['primaries']}",
        "transfer": f"transfer {color['transfer']}",
    }
    stated = [words for name, words in parts.items() if name not in assumed]
    guessed = [words for name, words in parts.items() if name in assumed]
    said = [
        f"{', '.join(group)} ({label})"
        for group, label in ((stated, "stated"), (guessed, "assumed"))
        if group
    ]
    return "; ".join(said)


def streams_table(streams: Sequence[Mapping[str, Any]], fates: Mapping[str, str]) -> list[str]:
    """Lines with a heading: every stream, and what it becomes.

    `fates` are keys of each stream's `becomes`, with their headings.
    """
    heading = ["", "kind", "codec", "", "language", "title", "flags"]
    rows = [
        [
            str(stream["index"]),
            stream["kind"],
            stream["codec"] or "?",
            stream["details"],
            "" if stream["language"] in (None, "und") else stream["language"],
            stream["title"] or "",
            " ".join(stream["flags"]),
            *(stream["becomes"][name] for name in fates),
        ]
        for stream in streams
    ]
    used = [any(row[place] for row in rows) for place in range(len(heading))]
    heading = [name if is_used else "" for name, is_used in zip(heading, used)]
    table = [[*heading, *fates.values()], *rows]
    return columns([[clean(cell) for cell in row] for row in table], indent=4)


def _facts(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(what, words) for everything but streams, chapters and tags."""
    video = found["video"]
    rate = found["bit_rate"]
    length = found["duration_seconds"]
    yield (
        "container",
        ", ".join(
            part
            for part in (
                found["container_name"],
                clock(length) if length is not None else "length not stated",
                size_words(found["bytes"]),
                f"{rate / 1000:.0f} kb/s" if rate else "",
            )
            if part
        ),
    )
    width, height = video["size"]
    shape = f"{width}x{height}"
    if video["pixel_aspect"] != "1" or video["rotation"]:
        shown = "x".join(map(str, video["display_size"]))
        pixels = f", pixels {video['pixel_aspect'].replace('/', ':')}"
        shape += f" shown as {shown}" + (pixels if video["pixel_aspect"] != "1" else "")
    if video["rotation"]:
        shape += f", turned by {video['rotation']} degrees"
    profile = f" ({video['profile']})" if video["profile"] else ""
    yield "video", f"{video['codec']}{profile}, {shape}"
    yield "", f"{_rate_words(video)}, {video['pixel_format']}, {video['bit_depth']} bit"
    yield "colour", color_words(video["color"], video["color_assumed"])


def _rate_words(video: Mapping[str, Any]) -> str:
    rate = f"{float(Fraction(video['frame_rate'])):.6g} fps" if video["frame_rate"] else "no rate"
    if video["variable_frame_rate"]:
        rate = f"variable rate, {rate} on average by what the container says"
    if not video["frames"]:
        return rate
    frames = counted(video["frames"], "frame")
    count = f"about {frames}" if video["frames_estimated"] else f"{frames} by the container"
    return f"{rate}, {count}"


def _rest(found: Mapping[str, Any]) -> Iterator[str]:
    yield "  streams"
    yield from streams_table(found["streams"], {name: f"to {name}" for name in _TARGETS})
    for name, reason in found["refused"].items():
        yield f"    to {name}: refused. {clean(reason)}"
    for name, losses in found["losses"].items():
        for loss in losses:
            yield f"    to {name}: {clean(loss)}"
    if found["chapters"]:
        yield "  chapters"
        rows = [(clock(each["start"]), clean(each["title"] or "")) for each in found["chapters"]]
        yield from columns(rows, indent=4)
    if found["metadata"]:
        yield "  tags"
        tags = [(clean(key), clean(value)) for key, value in found["metadata"].items()]
        yield from columns(tags, indent=4)


def _losses(source: Source, container: str) -> list[str]:
    """What a container cannot say of the file and of the streams that it holds."""
    try:
        return list(plan_streams(source, container).losses)
    except OutputError:
        return []


def _fates(source: Source, container: str) -> dict[int, str]:
    """Index of a stream to what becomes of it; under -1 why the container is refused."""
    try:
        return stream_fates(source, plan_streams(source, container))
    except OutputError as error:
        return {**{stream.index: "-" for stream in source.streams}, -1: str(error)}


def stream_fates(source: Source, planned: StreamPlan) -> dict[int, str]:
    """Index of a stream to what becomes of it, in words."""
    fates = {
        stream.index: "as a tag" if "timecode" in stream.metadata else "as chapters"
        for stream in source.streams
    }
    for each in planned.streams:
        reason = f": {each.reason}" if each.reason else ""
        fates[each.stream.index] = each.fate + reason
    fates[source.video_index] = "remastered"
    return fates
