"""A sheet to draw on, seen through a camera: flat fills, washes and ink lines.

Scene coordinates: y down, (0, 0) in the middle, the frame's height is 1. Everything that is
placed or sized in them is the same drawing at any number of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from remaster.train.drawing.coverage import Mask, cover, intersect
from remaster.train.drawing.curves import Points, ribbon, stroke_widths

__all__ = ["Canvas", "Color", "Image", "Pen", "View"]

Color = tuple[float, float, float]
"""R, G, B in 0 to 1, as a paint program means them (gamma space)."""

Image = npt.NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """A camera: which part of the scene lands on the pixels."""

    height: int
    width: int
    x: float = 0.0
    y: float = 0.0
    """The scene point in the middle of the frame."""

    zoom: float = 1.0

    @property
    def unit(self) -> float:
        """Pixels per scene unit."""
        return self.height * self.zoom

    @property
    def aspect(self) -> float:
        return self.width / self.height

    def to_pixels(self, scene: Points) -> Points:
        return (scene - (self.x, self.y)) * self.unit + (self.width / 2, self.height / 2)

    def rows(self) -> npt.NDArray[np.float32]:
        """(H, 1) scene y of pixel centres."""
        at = (np.arange(self.height) + 0.5 - self.height / 2) / self.unit + self.y
        return at.astype(np.float32)[:, None]

    def columns(self) -> npt.NDArray[np.float32]:
        """(1, W) scene x of pixel centres."""
        at = (np.arange(self.width) + 0.5 - self.width / 2) / self.unit + self.x
        return at.astype(np.float32)[None, :]


@dataclass(frozen=True)
class Pen:
    """How lines are inked."""

    color: Color
    width: float
    """Scene units at the stroke's middle; 0.002 is a usual line of a television frame."""

    taper: tuple[float, float] = (0.25, 0.35)
    """Shares of the length over which the stroke swells and thins."""

    wobble: float = 0.09
    alpha: float = 1.0

    def scaled(self, factor: float) -> Pen:
        return replace(self, width=self.width * factor)

    def tinted(self, color: Color, amount: float = 1.0) -> Pen:
        mixed = tuple(a + (b - a) * amount for a, b in zip(self.color, color, strict=True))
        return replace(self, color=(mixed[0], mixed[1], mixed[2]))


class Canvas:
    """Premultiplied RGBA pixels, transparent at first."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.pixels: Image = np.zeros((view.height, view.width, 4), np.float32)
        self.ink_texture: Mask | None = None
        """How well lines take to the sheet; they are whole where it is not set."""

    def mask(self, *polygons: Points) -> Mask:
        """The union's coverage; overlapping polygons must wind the same way."""
        placed = [self.view.to_pixels(p) for p in polygons]
        return cover(placed, self.view.height, self.view.width)

    def fill(
        self,
        shape: Mask | Points | Sequence[Points],
        color: Color | Image,
        alpha: float = 1.0,
        clip: Mask | None = None,
    ) -> Mask:
        """Paint over a shape with a flat colour or a picture, and give the shape's coverage.

        A picture is (H, W, 3) for the whole frame, or just the size of a given mask.
        """
        mask = self._as_mask(shape)
        if clip is not None:
            mask = intersect(mask, clip)
        window = mask.window
        cover_by = (mask.values * np.float32(alpha))[:, :, None]
        region = self.pixels[window]
        region *= 1 - cover_by
        if not isinstance(color, np.ndarray):
            paint = np.asarray(color, np.float32)
        else:
            paint = color if color.shape[:2] == mask.values.shape else color[window]
        region[:, :, :3] += paint * cover_by
        region[:, :, 3:] += cover_by
        return mask

    def line(
        self,
        curve: Points,
        pen: Pen,
        clip: Mask | None = None,
        width: float = 1.0,
        taper: tuple[float, float] | None = None,
    ) -> None:
        """Ink one stroke, `width` times the pen's."""
        self.lines([curve], pen, clip, width, taper)

    def lines(
        self,
        curves: Sequence[Points],
        pen: Pen,
        clip: Mask | None = None,
        width: float = 1.0,
        taper: tuple[float, float] | None = None,
    ) -> None:
        """Ink strokes at once."""
        ends = pen.taper if taper is None else taper
        outlines = [
            ribbon(c, stroke_widths(c, pen.width * width, ends, pen.wobble))
            for c in curves
            if len(c) > 1
        ]
        if outlines:
            ink = self.mask(*outlines)
            if self.ink_texture is not None:
                ink = intersect(ink, self.ink_texture)
            self.fill(ink, pen.color, pen.alpha, clip)

    def paste(self, picture: Image) -> None:
        """Lay another sheet of premultiplied (H, W, 4) pixels on top."""
        self.pixels *= 1 - picture[:, :, 3:]
        self.pixels += picture

    def _as_mask(self, shape: Mask | Points | Sequence[Points]) -> Mask:
        if isinstance(shape, Mask):
            return shape
        if isinstance(shape, np.ndarray):
            return self.mask(shape)
        return self.mask(*shape)
