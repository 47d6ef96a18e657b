"""What a film says about the screen it was made on (HDR10), and how encoders are told."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import cast

from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame

from remaster.frames import MasteringLight

__all__ = [
    "is_same_light",
    "light_options",
    "read_light",
    "says_light",
    "side_data",
    "unkept_side_data",
]

_UNKEPT: Mapping[str, str] = {
    "A53_CC": "closed captions",
    "DOVI_METADATA": "Dolby Vision",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
    "STEREO3D": "an arrangement of two views for 3-D",
    "SPHERICAL": "a projection of a panorama",
    "FILM_GRAIN_PARAMS": "instructions for film grain",
    "AMBIENT_VIEWING_ENVIRONMENT": "the light of the room it was made in",
}
"""Side data of pictures that PyAV cannot hand to an encoder."""

_CHROMATICITY, _LUMINANCE = 50_000, 10_000
"""Steps per unit in H.264 and H.265, ours too: of CIE x and y, of candela per square metre."""

_AV1_ROUNDING = (1,) * 8 + (1, 40)
"""By how much AV1 moves our numbers: its steps are 1/65536, for the least luminance 1/16384 and
for the greatest 1/256."""


def side_data(picture: VideoFrame) -> Iterator[SideData]:
    """What a decoded picture carries beside its planes."""
    return cast("Iterator[SideData]", iter(picture.side_data))


def read_light(picture: VideoFrame) -> MasteringLight | None:
    """Of a decoded picture; None when it says nothing, or half of it.

    Light levels of 0 and 0 are what a disc has that does not say them.
    """
    display = content = None
    for data in side_data(picture):
        if data.type == Type.MASTERING_DISPLAY_METADATA:
            display = _display(bytes(data))
        elif data.type == Type.CONTENT_LIGHT_LEVEL:
            levels = struct.unpack_from("=2I", bytes(data))
            content = levels if any(levels) else None
    if display is None and content is None:
        return None
    return MasteringLight(display or (), content or ())


def unkept_side_data(picture: VideoFrame) -> tuple[str, ...]:
    """In words, what a decoded picture carries that is not written again."""
    found = [_UNKEPT[data.type.name] for data in side_data(picture) if data.type.name in _UNKEPT]
    return tuple(dict.fromkeys(found))


def says_light(codec: str) -> bool:
    """Whether an encoder can be told."""
    return codec in _SPOKEN


def is_same_light(found: MasteringLight | None, wanted: MasteringLight | None, codec: str) -> bool:
    """Whether a stream says what was asked, as finely as its codec (FFmpeg's name) can."""
    if codec != "av1" or found is None or wanted is None:
        return found == wanted
    if found.content != wanted.content or len(found.display) != len(wanted.display):
        return False
    triples = zip(found.display, wanted.display, _AV1_ROUNDING)
    return all(abs(seen - due) <= most for seen, due, most in triples)


def light_options(codec: str, light: MasteringLight) -> dict[str, str]:
    """FFmpeg's options of an encoder that `says_light`, to be joined with others by colons."""
    name, display_key, content_key = _SPOKEN[codec]
    words = []
    if light.display:
        is_decimal = codec == "libsvtav1"
        words.append(f"{display_key}={_spelled(light.display, is_decimal)}")
    if light.content:
        words.append(f"{content_key}={light.content[0]},{light.content[1]}")
    return {name: ":".join(words)}


_SPOKEN: Mapping[str, tuple[str, str, str]] = {
    "libx264": ("x264-params", "mastering-display", "cll"),
    "libx265": ("x265-params", "master-display", "max-cll"),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
}


def _display(data: bytes) -> tuple[int, ...] | None:
    """Ten numbers from AVMasteringDisplayMetadata; None unless it has them all."""
    numbers = struct.unpack_from("=22i", data)
    if not (numbers[20] and numbers[21]) or not all(numbers[1:20:2]):
        return None
    values = [Fraction(a, b) for a, b in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
    steps = [_CHROMATICITY] * 8 + [_LUMINANCE] * 2
    return tuple(round(value * step) for value, step in zip(values, steps, strict=True))


def _spelled(display: tuple[int, ...], is_decimal: bool) -> str:
    """`G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)`, in steps or in units."""

    def number(value: int, step: int) -> str:
        return f"{value / step:.5f}" if is_decimal else str(value)

    pairs = [display[at : at + 2] for at in range(0, 8, 2)]
    spelled = [",".join(number(each, _CHROMATICITY) for each in pair) for pair in pairs]
    red, green, blue, white = spelled
    least, most = (number(each, _LUMINANCE) for each in display[8:])
    return f"G({green})B({blue})R({red})WP({white})L({most},{least})"
