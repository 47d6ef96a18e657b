"""Pictures through a lossy codec and back, in memory: the damage old files really have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

DECODERS = {"libx264": "h264", "libx265": "hevc", "mpeg2video": "mpeg2video", "mpeg4": "mpeg4"}


def through_codec(
    pictures: Sequence[Sequence[NDArray[np.uint8]]], codec: str, options: Mapping[str, str]
) -> list[list[NDArray[np.uint8]]]:
    """Encode and decode consecutive 4:2:0 pictures.

    Args:
        pictures: Y (H, W), Cb and Cr (H/2, W/2) uint8 of each; even sizes.
        codec: an encoder of `DECODERS`.
        options: that encoder's own.

    Returns:
        As many pictures, in the same order.
    """
    height, width = pictures[0][0].shape
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.thread_count = 1
    encoder.options = dict(options)
    packets = []
    for pts, planes in enumerate(pictures):
        frame = av.VideoFrame(width, height, "yuv420p")
        for target, plane in zip(frame.planes, planes):
            rows = np.frombuffer(memoryview(target), np.uint8).reshape(-1, target.line_size)
            rows[: plane.shape[0], : plane.shape[1]] = plane
        frame.pts = pts
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    frames = [frame for packet in packets for frame in decoder.decode(packet)]
    frames += decoder.decode(None)
    assert len(frames) == len(pictures), (codec, len(frames), len(pictures))
    return [_planes(frame) for frame in frames]


def _planes(frame: av.VideoFrame) -> list[NDArray[np.uint8]]:
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        planes.append(rows[: plane.height, : plane.width].copy())
    return planes
