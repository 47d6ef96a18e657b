"""Graphic pages: title lettering, rolling credits, patterns."""

from __future__ import annotations

import numpy as np

from remaster.train.drawing.canvas import Canvas, Pen
from remaster.train.drawing.character import CLOTHES
from remaster.train.drawing.curves import box, disc, points, smooth
from remaster.train.drawing.effects import (
    draw_burst,
    draw_hatching,
    draw_screentone,
    draw_wash,
)
from remaster.train.drawing.lettering import draw_glyphs, draw_latin
from remaster.train.drawing.paint import mix, rgb, shade, vary

__all__ = ["compose_graphic", "draw_credits", "draw_title"]

Generator = np.random.Generator


def draw_title(canvas: Canvas, seed: int, latin: bool) -> None:
    """A title card's lettering: large signs, a line of Latin, a thin rule."""
    rng = np.random.default_rng([seed, 3])
    light, dark = rgb("f4efe0"), rgb(("1c1a24", "7c2c34", "2c4470")[rng.integers(3)])
    count = int(rng.integers(4, 8))
    size = float(rng.uniform(0.75, 0.95)) / (count + 1)
    y = float(rng.uniform(-0.2, 0.05))
    draw_glyphs(canvas, seed, count, -count * size * 0.54, y, size, light, dark, bold=0.1)
    if latin:
        words = (
            "THE WIND OVER THE HILL",
            "Episode 12",
            "A Letter in Spring",
            "Part Two",
            "To Be Continued",
            "NEXT TIME",
        )
        draw_latin(
            canvas, words[rng.integers(len(words))], 0.0, y + size * 1.5, size * 0.42, light, dark
        )
    canvas.fill(
        box(-count * size * 0.55, y + size * 1.12, count * size * 0.55, y + size * 1.13), light
    )


def draw_credits(canvas: Canvas, seed: int, rolled: float) -> None:
    """Credits that have rolled up by that many frame heights; white with a black outline."""
    rng = np.random.default_rng([seed, 4])
    size = float(rng.uniform(0.028, 0.048))
    for row in range(40):
        y = 0.5 - rolled + row * size * 2.0
        left, right = int(rng.integers(2, 5)), int(rng.integers(3, 6))
        if -0.6 < y < 0.6:
            draw_glyphs(
                canvas,
                seed + 2 * row,
                left,
                -0.06 - left * size * 1.08,
                y,
                size,
                (0.97, 0.96, 0.93),
                (0.05, 0.05, 0.07),
            )
            draw_glyphs(
                canvas,
                seed + 2 * row + 1,
                right,
                0.06,
                y,
                size,
                (0.97, 0.96, 0.93),
                (0.05, 0.05, 0.07),
            )


def compose_graphic(canvas: Canvas, rng: Generator) -> None:
    """A pattern page: inked patches of screentone, hatching, stripes and dots."""
    color = vary(rng, rgb(CLOTHES[rng.integers(len(CLOTHES))]), 0.06)
    draw_wash(canvas, rng, color)
    ink = Pen(mix(shade(shade(color)), (0.1, 0.06, 0.08), 0.7), float(rng.uniform(0.0015, 0.005)))
    if rng.random() < 0.4:
        draw_burst(
            canvas,
            rng,
            float(rng.uniform(-0.4, 0.4)),
            float(rng.uniform(-0.3, 0.3)),
            mix(color, (1, 1, 0.95), 0.8),
            0.1,
        )
    for _ in range(int(rng.integers(5, 11))):
        x, y, r = rng.uniform(-0.6, 0.6), rng.uniform(-0.45, 0.45), rng.uniform(0.06, 0.28)
        angle = np.linspace(0, 2 * np.pi, int(rng.integers(4, 9)), endpoint=False) + rng.uniform(
            0, 6
        )
        knots = np.stack((x + r * np.cos(angle), y + r * np.sin(angle)), axis=1) + rng.normal(
            0, 0.2 * r, (len(angle), 2)
        )
        area = smooth(knots, closed=True) if rng.random() < 0.55 else knots
        flat = vary(rng, rgb(CLOTHES[rng.integers(len(CLOTHES))]), 0.05)
        inside = canvas.fill(area, flat)
        canvas.fill(area + (0.25 * r, 0.2 * r), shade(flat), clip=inside)
        texture = rng.random()
        if texture < 0.3:
            draw_screentone(canvas, rng, area, shade(flat, 1.2))
        elif texture < 0.6:
            draw_hatching(canvas, rng, area, ink)
        elif texture < 0.8:
            stripes = [
                box(x - r, y + r * t, x + r, y + r * t + 0.05 * r) for t in np.linspace(-1, 1, 13)
            ]
            canvas.fill(stripes, mix(flat, (1, 1, 1), 0.4), clip=inside)
        else:
            canvas.fill(
                [disc(at_x, at_y, 0.1 * r) for at_x, at_y in rng.uniform(-r, r, (12, 2)) + (x, y)],
                mix(flat, (1, 1, 1), 0.5),
                clip=inside,
            )
        canvas.line(np.concatenate((area, area[:2])), ink, taper=(0.1, 0.1))
    if rng.random() < 0.6:
        draw_glyphs(
            canvas,
            int(rng.integers(2**31)),
            int(rng.integers(2, 7)),
            float(rng.uniform(-0.5, 0)),
            float(rng.uniform(-0.4, 0.3)),
            float(rng.uniform(0.03, 0.12)),
            (0.97, 0.96, 0.92),
            (0.08, 0.06, 0.08),
            upright=bool(rng.random() < 0.4),
        )
    rules = [
        points((-3, y), (3, y + dy))
        for y, dy in zip(rng.uniform(-0.5, 0.5, 3), rng.choice([0.0, 0.0, 0.3], 3), strict=True)
    ]
    canvas.lines(rules, ink, taper=(0, 0))
