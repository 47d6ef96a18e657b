"""Text: invented ideographs and syllables in strokes, and Pillow's built-in Latin letters."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from remaster.train.drawing.canvas import Canvas, Color
from remaster.train.drawing.coverage import Mask
from remaster.train.drawing.curves import Points, bezier, points, ribbon

__all__ = ["draw_glyphs", "draw_latin", "glyph"]

Generator = np.random.Generator


def glyph(rng: Generator) -> list[Points]:
    """Strokes of an ideograph that no one has read before, in the unit square."""
    strokes: list[Points] = []
    levels = np.sort(rng.uniform(0.08, 0.95, int(rng.integers(2, 5))))
    for y in levels:
        left, right = rng.uniform(0.02, 0.3), rng.uniform(0.7, 0.98)
        strokes.append(bezier((left, y + 0.02), (0.5, y - 0.01), (right, y), count=6))
    for x in rng.uniform(0.2, 0.8, int(rng.integers(1, 4))):
        top, low = rng.uniform(0.0, 0.35), rng.uniform(0.6, 1.0)
        strokes.append(bezier((x, top), (x + 0.01, 0.5), (x, low), count=6))
    if rng.random() < 0.6:
        x, y = rng.uniform(0.4, 0.6), rng.uniform(0.3, 0.6)
        strokes.append(bezier((x, y), (x - 0.1, y + 0.3), (0.03, 0.97), count=8))
        strokes.append(bezier((x, y), (x + 0.12, y + 0.3), (0.97, 0.95), count=8))
    if rng.random() < 0.4:
        x, y, s = rng.uniform(0.15, 0.5), rng.uniform(0.1, 0.5), rng.uniform(0.2, 0.35)
        strokes += [
            points((x, y), (x, y + s)),
            points((x, y), (x + s, y), (x + s, y + s)),
            points((x, y + s), (x + s, y + s)),
        ]
    return strokes


def syllable(rng: Generator) -> list[Points]:
    """A rounder, simpler sign."""
    a, b, c = rng.uniform(0.15, 0.85, (3, 2))
    strokes = [bezier((0.15, 0.3), (0.5, 0.2), (0.85, 0.28), count=6)]
    strokes.append(
        bezier((0.45, 0.05), tuple(a), tuple(b), (rng.uniform(0.3, 0.8), 0.95), count=14)
    )
    if rng.random() < 0.6:
        strokes.append(bezier((0.75, 0.3), tuple(c), (0.1, 0.9), (0.85, 0.8), count=14))
    return strokes


def draw_glyphs(
    canvas: Canvas,
    seed: int,
    count: int,
    x: float,
    y: float,
    size: float,
    color: Color,
    outline: Color | None,
    upright: bool = False,
    bold: float = 0.10,
) -> None:
    """A line of invented signs from (x, y), down the page if `upright`."""
    rng = np.random.default_rng([seed, 29])
    strokes: list[Points] = []
    for index in range(count):
        shapes = glyph(rng) if rng.random() < 0.5 else syllable(rng)
        offset = (x, y + index * size * 1.12) if upright else (x + index * size * 1.08, y)
        strokes += [s * size * 0.9 + offset for s in shapes]
    if outline is not None:
        canvas.fill([ribbon(s, np.full(len(s), size * (bold + 0.16))) for s in strokes], outline)
    canvas.fill([ribbon(s, np.full(len(s), size * bold)) for s in strokes], color)


def draw_latin(
    canvas: Canvas,
    text: str,
    x: float,
    y: float,
    size: float,
    color: Color,
    outline: Color | None,
    spread: float = 0.10,
) -> None:
    """Text in Pillow's own font, centred on (x, y); `spread` is the outline's width in sizes."""
    view = canvas.view
    pixels = size * view.unit
    if pixels < 4:
        return
    font = ImageFont.load_default(96)
    left, top, right, bottom = font.getbbox(text)
    border = int(96 * spread) + 4
    plate_size = (int(right - left) + 2 * border, int(bottom - top) + 2 * border)
    scale = pixels / 96
    middle = view.to_pixels(points((x, y)))[0]
    corner = middle - np.array(plate_size) * scale / 2
    base = np.floor(corner).astype(int)
    for ring, tone in ((border - 4, outline), (0, color)):
        if tone is None:
            continue
        plate = Pillow.new("L", plate_size)
        ImageDraw.Draw(plate).text(
            (border - left, border - top), text, 255, font, stroke_width=ring
        )
        out = (int(np.ceil(plate_size[0] * scale)) + 2, int(np.ceil(plate_size[1] * scale)) + 2)
        shift = (corner - base) / scale
        pad = int(np.ceil(2 / scale)) + 2
        framed = Pillow.new(
            "L",
            (plate_size[0] + 2 * pad + int(3 / scale), plate_size[1] + 2 * pad + int(3 / scale)),
        )
        framed.paste(plate, (pad, pad))
        window = (
            pad - shift[0],
            pad - shift[1],
            pad - shift[0] + out[0] / scale,
            pad - shift[1] + out[1] / scale,
        )
        small = framed.resize(
            out,
            Pillow.Resampling.BOX if scale < 1 else Pillow.Resampling.BICUBIC,
            box=tuple(window),
        )
        _paint_plate(canvas, np.asarray(small, np.float32) / 255, int(base[0]), int(base[1]), tone)


def _paint_plate(canvas: Canvas, alpha: np.ndarray, left: int, top: int, color: Color) -> None:
    view = canvas.view
    cut_x, cut_y = max(-left, 0), max(-top, 0)
    inside = alpha[cut_y : max(view.height - top, 0), cut_x : max(view.width - left, 0)]
    if inside.size:
        canvas.fill(Mask(top + cut_y, left + cut_x, np.clip(inside, 0, 1)), color)
