"""A picture drawn in float levels, for tests of what is held and what is new."""

from __future__ import annotations

from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from remaster.frames import Color, PixelLayout, VideoInfo

Planes = tuple[Tensor, ...]

YUV420 = PixelLayout("420", 8)
LAYOUTS = [
    PixelLayout("420", 8),
    PixelLayout("422", 10),
    PixelLayout("444", 12),
    PixelLayout("rgb", 8),
    PixelLayout("gray", 10),
]
SIZE = (128, 160)


def film_info(size: tuple[int, int] = SIZE, layout: PixelLayout = YUV420) -> VideoInfo:
    matrix = "rgb" if layout.subsampling == "rgb" else "bt709"
    return VideoInfo(
        width=size[1],
        height=size[0],
        time_base=Fraction(1, 24),
        frame_rate=Fraction(24),
        sample_aspect_ratio=Fraction(1),
        layout=layout,
        color=Color(matrix, "limited", "bt709", "bt709"),
    )


def picture(
    size: tuple[int, int] = SIZE, right: float = 0, down: float = 0, zoom: float = 1
) -> Planes:
    """A face with outlines before stripes and a wave, flat fills; Y, Cb, Cr 4:4:4 in levels.

    Drawn anew at every position, so that parts of a pixel are exact.
    """
    rows, columns = size
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    y = (y - rows / 2) / zoom + rows / 2 - down
    x = (x - columns / 2) / zoom + columns / 2 - right
    luma = torch.full(size, 150.0) + 0.1 * y
    for number in range(-6, 9):
        luma = _over(luma, 110, 1 - (x + 0.4 * y - 40 * number).abs())
    luma = _over(luma, 70, 1 - (y - 100 - 8 * torch.sin(x / 17)).abs())
    middle = columns * 0.45, rows * 0.45
    radius = 0.28 * rows
    away = ((y - middle[1]) ** 2 + (1.2 * (x - middle[0])) ** 2).sqrt()
    luma = _over(luma, 200, radius - away)
    luma = _over(luma, 30, 1 - (away - radius).abs())
    for eye in (middle[0] - 12, middle[0] + 12):
        inside = 5 - (((y - middle[1] + 6) / 1.5) ** 2 + (x - eye) ** 2).sqrt()
        luma = _over(luma, 40, inside)
    blue = _over(torch.full(size, 130.0), 112, radius - away)
    red = _over(torch.full(size, 122.0), 146, radius - away)
    return luma, blue, red


def _over(ground: Tensor, level: float, inside: Tensor) -> Tensor:
    """Paint where the distance to the edge is positive, softened over about a pixel."""
    cover = torch.sigmoid(3 * inside)
    return ground * (1 - cover) + level * cover


def mixed(one: Planes, other: Planes, share: float) -> Planes:
    return tuple(a * (1 - share) + b * share for a, b in zip(one, other, strict=True))


def in_layout(planes: Planes, layout: PixelLayout) -> Planes:
    """Y, Cb, Cr in levels to float code values of the layout's planes."""
    step = float(2 ** (layout.bit_depth - 8))
    chroma = [
        F.avg_pool2d(plane[None, None], layout.chroma_step, ceil_mode=True)[0, 0]
        for plane in planes[1:]
    ]
    return tuple(plane * step for plane in [planes[0], *chroma][: layout.num_planes])


def coded(
    planes: Planes,
    layout: PixelLayout = YUV420,
    sigma: float = 0,
    seed: int = 0,
    chroma: float = 0.5,
) -> Planes:
    """Code values of Y, Cb, Cr in levels with grain; in chroma that share of it."""
    generator = torch.Generator().manual_seed(seed)
    step = 2 ** (layout.bit_depth - 8)
    result = []
    for number, plane in enumerate(in_layout(planes, layout)):
        spread = sigma * step * (chroma if number else 1)
        noisy = plane + spread * torch.randn(plane.shape, generator=generator)
        result.append(noisy.round().clamp(0, 256 * step - 1).to(layout.dtype))
    return tuple(result)
