"""FFmpeg's pixel formats and colour numbers in the words of `frames`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import av

from remaster.errors import OptionsError
from remaster.frames import PixelLayout

MATRICES: Mapping[int, str] = {
    0: "rgb",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    14: "ictcp",
}
"""AVColorSpace; numbers that are not here count as silence."""

PRIMARIES: Mapping[int, str] = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
"""AVColorPrimaries."""

TRANSFERS: Mapping[int, str] = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
"""AVColorTransferCharacteristic; 4 and 5 are also written `gamma22` and `gamma28`."""

RANGES: Mapping[int, str] = {1: "limited", 2: "full"}
"""AVColorRange."""

_TRANSFER_ALIASES = {"gamma22": "bt470m", "gamma28": "bt470bg"}
_PLANAR_NAMES = {
    "420": "yuv420p",
    "422": "yuv422p",
    "444": "yuv444p",
    "rgb": "gbrp",
    "gray": "gray",
}
_PLANAR_DEPTHS = (8, 9, 10, 12)
_CHROMA_STEPS = {(1, 1): "444", (1, 2): "422", (2, 2): "420", (2, 1): "444", (1, 4): "422"}
"""(down, across) of a format to the smallest of our subsamplings that loses nothing."""


def color_number(table: Mapping[int, str], name: str) -> int:
    """FFmpeg's number of a colour name; 2, "unspecified", for a name that it does not know."""
    name = _TRANSFER_ALIASES.get(name, name)
    return next((number for number, known in table.items() if known == name), 2)


@lru_cache(maxsize=64)
def layout_of(pixel_format: str) -> PixelLayout:
    """How pictures of an FFmpeg pixel format are laid out in our planes.

    A format that has no planar twin gets the nearest layout that holds it (NV12 is 4:2:0,
    4:1:1 is 4:2:2, a palette is RGB); more than 12 bits become 12, and alpha is left out.

    Raises OptionsError for a name that FFmpeg does not know.
    """
    try:
        video_format = av.VideoFormat(pixel_format, 64, 64)
    except ValueError as error:
        raise OptionsError(
            f"The pixel format {pixel_format!r} is not one of FFmpeg's; yuv420p and yuv420p10le "
            f"are the usual ones."
        ) from error
    components = [part for part in video_format.components if not part.is_alpha]
    bits = max(part.bits for part in components)
    depth = next((depth for depth in _PLANAR_DEPTHS if depth >= bits), _PLANAR_DEPTHS[-1])
    if video_format.has_palette or video_format.is_bayer:
        return PixelLayout("rgb", 8 if video_format.has_palette else depth)
    if video_format.is_rgb:
        return PixelLayout("rgb", depth)
    if len(components) == 1:
        return PixelLayout("gray", depth)
    step = (64 // video_format.chroma_height(64), 64 // video_format.chroma_width(64))
    return PixelLayout(_CHROMA_STEPS.get(step, "420"), depth)


def losses(pixel_format: str) -> tuple[str, ...]:
    """What reading a pixel format into `layout_of` it leaves behind, in words; mostly nothing."""
    components = av.VideoFormat(pixel_format, 64, 64).components
    has_alpha = any(part.is_alpha for part in components)
    has_more_bits = any(part.bits > _PLANAR_DEPTHS[-1] for part in components if not part.is_alpha)
    found = {
        "the alpha channel": has_alpha,
        f"bits beyond the {_PLANAR_DEPTHS[-1]}th": has_more_bits,
    }
    return tuple(words for words, is_lost in found.items() if is_lost)


def planar_format(layout: PixelLayout) -> str:
    """The FFmpeg pixel format whose planes are exactly those of `layout`."""
    name = _PLANAR_NAMES[layout.subsampling]
    return name if layout.bit_depth == 8 else f"{name}{layout.bit_depth}le"


def is_planar(pixel_format: str) -> bool:
    """Whether a picture of this format can be read as it is; alpha planes come last and wait."""
    name = pixel_format
    for variant, plain in (("yuvj", "yuv"), ("yuva", "yuv"), ("gbrap", "gbrp")):
        name = name.replace(variant, plain)
    return name == planar_format(layout_of(pixel_format))


def plane_order(layout: PixelLayout) -> tuple[int, ...]:
    """Index in FFmpeg's planes of each of ours: FFmpeg keeps RGB as G, B, R."""
    return (2, 0, 1) if layout.subsampling == "rgb" else tuple(range(layout.num_planes))
