"""Pictures that say which they are, what colour they are, and when to hear the beep.

+---------------------------+
| a number in black, white  |  eight blocks, readable after lossy coding and enlargement
+---------------------------+
| six colour bars           |
+---------------------------+
| dark, or the flash        |
+---------------------------+
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from remaster.frames import Color, PixelLayout
from tests.clips import Wave

BITS = 8
CODE_END, BARS_END = 0.25, 0.75
"""Where the bands end, as a share of the height."""

BARS = np.array(
    [
        *((0.75, 0.75, 0.0), (0.0, 0.75, 0.75), (0.0, 0.75, 0.0)),
        *((0.75, 0.0, 0.75), (0.75, 0.0, 0.0), (0.0, 0.0, 0.75)),
    ]
)
"""R'G'B'."""

WEIGHTS = {"bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593)}
"""Of red and blue in luma; all others are those of old television."""

OLD_WEIGHTS = (0.299, 0.114)
BEEP_SECONDS = 0.08


def drawn(
    color: Color | None = None, flashes: Collection[int] = ()
) -> Callable[[int, PixelLayout, tuple[int, int]], list[np.ndarray]]:
    """A `Picture` for `make_clip`; without a colour it is drawn as silent old files mean it."""
    matrix = "smpte170m" if color is None else color.matrix
    is_full = color is not None and color.range == "full"

    def picture(index: int, layout: PixelLayout, size: tuple[int, int]) -> list[np.ndarray]:
        rgb = _rgb(index, index in flashes, size)
        if layout.subsampling == "rgb":
            scale = (1 << layout.bit_depth) - 1
            return [np.rint(rgb[..., i] * scale).astype(np.uint16) for i in range(3)]
        return _planes(rgb, layout, *WEIGHTS.get(matrix, OLD_WEIGHTS), is_full=is_full)

    return picture


def beep(at_seconds: float) -> Wave:
    """A short loud tone in silence."""

    def wave(seconds: np.ndarray) -> np.ndarray:
        is_on = (seconds >= at_seconds) & (seconds < at_seconds + BEEP_SECONDS)
        return np.where(is_on, np.sin(2 * np.pi * 2000 * (seconds - at_seconds)) * 0.8, 0.0)

    return wave


def _rgb(index: int, is_flash: bool, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    rgb = np.zeros((height, width, 3))
    columns = np.arange(width)
    bits = (index >> (BITS - 1 - columns * BITS // width)) & 1
    rgb[: round(height * CODE_END)] = bits[None, :, None]
    bars = BARS[columns * len(BARS) // width]
    rgb[round(height * CODE_END) : round(height * BARS_END)] = bars
    rgb[round(height * BARS_END) :] = 1.0 if is_flash else 0.0
    return rgb


def _planes(
    rgb: np.ndarray, layout: PixelLayout, red: float, blue: float, *, is_full: bool
) -> list[np.ndarray]:
    luma = rgb @ (red, 1 - red - blue, blue)
    cb, cr = (rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)
    step = 1 << (layout.bit_depth - 8)
    peak = (1 << layout.bit_depth) - 1
    black, luma_span, chroma_span = (
        (0, peak, peak) if is_full else (16 * step, 219 * step, 224 * step)
    )
    planes = [luma * luma_span + black]
    down, across = layout.chroma_step
    for chroma in (cb, cr)[: layout.num_planes - 1]:
        rows, columns = layout.plane_shapes(*chroma.shape)[1]
        padded = np.pad(
            chroma,
            ((0, rows * down - chroma.shape[0]), (0, columns * across - chroma.shape[1])),
            "edge",
        )
        small = padded.reshape(rows, down, columns, across).mean((1, 3))
        planes.append(small * chroma_span + 128 * step)
    return [np.clip(np.rint(plane), 0, peak).astype(np.uint16) for plane in planes]
