"""One small picture written and read back in memory, to learn what a container forgets.

Muxers keep less than they accept: ProRes in MOV loses the full range. Better known before the work.
"""

from __future__ import annotations

import io
from dataclasses import replace

import av
import torch
from av.video.stream import VideoStream

from remaster.errors import OutputError
from remaster.frames import Frame, VideoInfo
from remaster.media.containers import CONTAINERS
from remaster.media.encoders import Encoding
from remaster.media.film import FilmEncoder, needs_pixel_aspect
from remaster.media.formats import MATRICES, PRIMARIES, RANGES, TRANSFERS, layout_of
from remaster.media.hdr import is_same_light, read_light, says_light
from remaster.media.matroska import write_pixel_aspect
from remaster.media.probe import pixel_aspect_ratio

__all__ = ["forgotten_in", "rehearse"]

_SIDE = 512
"""Pixels; some hardware encoders take nothing smaller."""


def rehearse(video: VideoInfo, encoding: Encoding, container_format: str) -> None:
    """Raise OutputError when this encoder and container cannot say what `video` says."""
    try:
        forgotten = _forgotten(video, encoding, container_format)
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(
            f"{encoding.codec} does not work in a {container_format} file with these settings "
            f"({getattr(error, 'strerror', None) or error}): choose another --codec or another "
            f"of {', '.join(CONTAINERS)}."
        ) from error
    if forgotten:
        raise OutputError(
            f"A {container_format} file with {encoding.codec} cannot keep the "
            f"{' and the '.join(forgotten)} of this film: give --codec libx264 or libx265."
        )


def _forgotten(video: VideoInfo, encoding: Encoding, container_format: str) -> list[str]:
    memory = io.BytesIO()
    small = replace(video, width=_SIDE, height=_SIDE)
    with av.open(memory, "w", format=container_format) as output:
        film = FilmEncoder(output, small, encoding)
        layout = layout_of(encoding.pixel_format)
        planes = tuple(
            torch.full(shape, 1 << (layout.bit_depth - 1), dtype=layout.dtype)
            for shape in layout.plane_shapes(_SIDE, _SIDE)
        )
        output.start_encoding()
        output.mux(film.encode(Frame(0, planes)))
        output.mux(film.encode(None))
    return forgotten_in(memory, video, encoding, container_format)


def forgotten_in(
    memory: io.BytesIO, video: VideoInfo, encoding: Encoding, container_format: str
) -> list[str]:
    """What a finished file in memory does not say of a film, of what its encoder can be told."""
    if needs_pixel_aspect(video, container_format):
        write_pixel_aspect(memory, video.sample_aspect_ratio)
    memory.seek(0)
    with av.open(memory, "r") as found:
        stream = found.streams.video[0]
        picture = next(found.decode(stream), None)
        if picture is None:
            return ["pictures"]
        codec = stream.codec_context.codec.canonical_name
        is_kept = is_same_light(read_light(picture), video.light, codec)
        light = ["HDR10 metadata"] if says_light(encoding.codec) and not is_kept else []
        return [*_differences(stream, video), *light]


def _differences(stream: VideoStream, video: VideoInfo) -> list[str]:
    context, color = stream.codec_context, video.color
    ratio = pixel_aspect_ratio(stream)
    wanted_ratio = video.sample_aspect_ratio
    return [
        name
        for name, found, wanted in (
            (f"pixel aspect ratio {wanted_ratio}", ratio, wanted_ratio),
            (f"matrix {color.matrix}", MATRICES.get(context.colorspace), color.matrix),
            (f"range {color.range}", RANGES.get(context.color_range), color.range),
            (
                f"primaries {color.primaries}",
                PRIMARIES.get(context.color_primaries),
                color.primaries,
            ),
            (f"transfer {color.transfer}", TRANSFERS.get(context.color_trc), color.transfer),
        )
        if found != wanted
    ]
