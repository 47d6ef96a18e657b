"""The film's own stream in the output: how it is set up, and pictures as the encoder eats them."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast

import numpy as np
import torch
from av.codec.context import ThreadType
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.stream import VideoStream

from remaster.frames import Color, Frame, PixelLayout, VideoInfo
from remaster.media import matroska
from remaster.media.encoders import Encoding
from remaster.media.formats import (
    MATRICES,
    PRIMARIES,
    RANGES,
    TRANSFERS,
    color_number,
    layout_of,
    planar_format,
    plane_order,
)
from remaster.media.hdr import light_options, says_light

__all__ = [
    "ASSUMED_RATE",
    "MATROSKA",
    "FilmDescription",
    "FilmEncoder",
    "Pictures",
    "color_numbers",
    "describe_film",
    "is_same_picture",
    "needs_pixel_aspect",
]

ASSUMED_RATE = Fraction(25)
"""Frames a second of a film that does not say."""

MATROSKA = ("matroska", "webm")
_FRAMES_NEVER_REORDERED = 2


@dataclass(frozen=True)
class FilmDescription:
    """What a container says of a film, beside its encoder's parameters."""

    rotation: int = 0
    """Degrees counter-clockwise by which players turn the picture."""

    mirror: tuple[int, int, int, int] | None = None
    """The display matrix (a, b, c, d) where players also turn the picture over."""

    tags: Mapping[str, str] = field(default_factory=dict)
    disposition: int = 0


class FilmEncoder:
    """Frames in, packets out."""

    def __init__(
        self,
        container: OutputContainer,
        video: VideoInfo,
        encoding: Encoding,
        description: FilmDescription | None = None,
    ) -> None:
        """Add the film's stream to a container; its header may be written afterwards."""
        self._video = video
        self._layout = layout_of(encoding.pixel_format)
        self._rate = video.frame_rate or ASSUMED_RATE
        self._pictures = Pictures(video, self._layout)
        self._durations: dict[int, int] = {}
        self.pts: list[int] = []
        """Of every frame so far, in `video.time_base`."""

        stream = container.add_stream(encoding.codec, rate=self._rate)
        assert isinstance(stream, VideoStream)
        self.stream = stream
        self._set_up(encoding, container.format.name)
        describe_film(stream, video, container.format.name, description or FilmDescription())

    def encode(self, frame: Frame | None) -> list[Packet[VideoStream]]:
        """Packets that are ready after one more frame, or after the last with None."""
        if frame is not None:
            assert not self.pts or frame.pts > self.pts[-1], "frames come in order"
            self.pts.append(frame.pts)
            usual = round(1 / self._rate / self._video.time_base)
            self._durations[frame.pts] = frame.duration or max(1, usual)
        packets = self.stream.encode(
            None if frame is None else self._pictures.of(frame, self._durations[frame.pts])
        )
        for packet in packets:
            if packet.pts in self._durations:
                packet.duration = self._durations.pop(packet.pts)
            if frame is None and len(self.pts) <= _FRAMES_NEVER_REORDERED:
                packet.dts = packet.pts  # x265 leaves it undefined in films this short
        return packets

    def _set_up(self, encoding: Encoding, container_format: str) -> None:
        video, context = self._video, self.stream.codec_context
        context.width, context.height = video.width, video.height
        context.pix_fmt = encoding.pixel_format
        context.time_base = video.time_base
        context.sample_aspect_ratio = video.sample_aspect_ratio
        context.thread_type = ThreadType.AUTO
        for name, number in color_numbers(video.color).items():
            setattr(context, name, number)
        options = {**encoding.options, "chroma_sample_location": video.color.chroma_location}
        if video.light is not None and says_light(encoding.codec):
            for name, words in light_options(encoding.codec, video.light).items():
                options[name] = ":".join(filter(None, (options.get(name), words)))
        context.options.update(options)
        if encoding.codec == "libx265" and container_format in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # what Apple's players ask for


def describe_film(
    stream: VideoStream, video: VideoInfo, container_format: str, description: FilmDescription
) -> None:
    """Write into a stream what the container says of the film."""
    stream.metadata.update(description.tags)
    if needs_pixel_aspect(video, container_format):
        stream.metadata.update(matroska.ANNOUNCEMENT)
    stream.disposition = Disposition(description.disposition)
    if description.mirror is not None:
        a, b, c, d = description.mirror
        stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
    elif description.rotation:
        stream.set_display_rotation(description.rotation)


class Pictures:
    """Frames as FFmpeg's encoders take them, one after another, tagged.

    What shows the planes of the frame before is the picture of the frame before with another time:
    nothing is copied. Encoders take a reference of their own to the samples, and copy the times, so
    that those they still hold keep theirs.
    """

    def __init__(self, video: VideoInfo, layout: PixelLayout) -> None:
        """`layout`: of the frames' planes."""
        self._video = video
        self._layout = layout
        self._planes: tuple[torch.Tensor, ...] = ()
        self._picture: VideoFrame | None = None

    def of(self, frame: Frame, duration: int) -> VideoFrame:
        """The picture of a frame; `duration` in the video's time base."""
        if self._picture is None or not is_same_picture(frame.planes, self._planes):
            self._picture = self._filled(frame)
            self._planes = frame.planes
        picture = self._picture
        picture.pts, picture.time_base = frame.pts, self._video.time_base
        picture.duration = duration
        return picture

    def _filled(self, frame: Frame) -> VideoFrame:
        picture = VideoFrame(self._video.width, self._video.height, planar_format(self._layout))
        for plane, index in zip(frame.planes, plane_order(self._layout), strict=True):
            _fill(picture.planes[index], plane, self._layout)
        for name, number in color_numbers(self._video.color).items():
            setattr(picture, name, number)
        return picture


def is_same_picture(planes: Sequence[torch.Tensor], before: Sequence[torch.Tensor]) -> bool:
    """Whether planes are those very objects, not merely equal: a frame that shows a held drawing.

    Planes are never changed once a frame has them, so this says that the samples are the same.
    """
    return len(planes) == len(before) and all(map(operator.is_, planes, before))


def needs_pixel_aspect(video: VideoInfo, container_format: str) -> bool:
    """Whether `matroska.write_pixel_aspect` must complete the finished file."""
    return container_format in MATROSKA and video.sample_aspect_ratio != 1


def color_numbers(color: Color) -> dict[str, int]:
    """FFmpeg's attributes of a codec context or a picture."""
    return {
        "colorspace": color_number(MATRICES, color.matrix),
        "color_range": color_number(RANGES, color.range),
        "color_primaries": color_number(PRIMARIES, color.primaries),
        "color_trc": color_number(TRANSFERS, color.transfer),
    }


def _fill(plane: VideoPlane, values: torch.Tensor, layout: PixelLayout) -> None:
    """Copy (H, W) code values into a picture's plane, whose rows are padded."""
    dtype = np.uint8 if layout.bit_depth == 8 else np.int16
    rows = np.frombuffer(cast("memoryview", plane), dtype).reshape(plane.height, -1)
    rows[:, : plane.width] = values.numpy()
