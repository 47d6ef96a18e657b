"""Painted outdoors: skies, clouds, ridges, trees, grass and water, in the light of an hour."""

from __future__ import annotations

import numpy as np

from remaster.train.drawing.canvas import Canvas, Color, Pen
from remaster.train.drawing.curves import (
    Points,
    bezier,
    box,
    disc,
    points,
    ribbon,
    smooth,
    wave_noise,
)
from remaster.train.drawing.paint import gradient, mix, noise, rgb, shade, vary
from remaster.train.drawing.sky import Hour

__all__ = ["draw_grass", "draw_ground", "draw_ridge", "draw_sea", "draw_tree"]

Generator = np.random.Generator


def draw_branch(canvas: Canvas, rng: Generator, leaves: Color, hour: Hour) -> None:
    """A bough with leaves that hangs into the frame from an upper corner, close to the viewer."""
    side = 1.0 if rng.random() < 0.5 else -1.0
    bark = shade(hour.lit(rgb("6a5240")))
    limb = bezier(
        (side * 1.0, -0.52),
        (side * 0.6, -0.48),
        (side * 0.35, -0.36),
        (side * 0.12, -0.33),
        count=24,
    )
    canvas.fill(ribbon(limb, np.linspace(0.04, 0.006, 24)), bark)
    lit = hour.lit(leaves)
    for tone, shift, size in (
        (shade(lit, 1.4), 0.0, 0.024),
        (shade(lit, 0.4), -0.012, 0.020),
        (mix(lit, hour.lit(rgb("f0e8a0")), 0.3), -0.022, 0.014),
    ):
        shapes: list[Points] = []
        for x, y in limb[4::3]:
            shapes += dabs(rng, x, y + 0.02 + shift, 0.09, 0.055, size, 22)
        canvas.fill(shapes, tone)


def draw_ridge(
    canvas: Canvas, rng: Generator, y: float, rough: float, color: Color, wooded: bool
) -> None:
    """A line of hills to the bottom of the sheet; wooded ones have a crown of dabs."""
    xs = np.linspace(-2.2, 2.2, 180)
    top = y + rough * wave_noise(rng, len(xs), 9) * 0.5
    ridge = np.stack((xs, top), axis=1)
    outline = np.concatenate((ridge, points((2.2, 1.5), (-2.2, 1.5))))
    view = canvas.view
    grain = 1 + (0.09 if wooded else 0.035) * noise(view, rng, 9.0, 4, stretch=1.6)[:, :, None]
    misty = mix(color, (0.85, 0.88, 0.86), 0.0 if wooded else 0.3)
    wash = gradient(view, [(y - rough, color), (y + 0.12, misty)]) * grain
    canvas.fill(outline, wash.astype(np.float32))
    if wooded:
        for tone, drop in (
            (shade(color, 0.4), 0.0),
            (color, 0.012),
            (mix(color, (0.95, 0.9, 0.6), 0.18), 0.004),
        ):
            count = 320
            at = rng.uniform(-2.1, 2.1, count)
            lift = np.interp(at, xs, top) + drop + rng.uniform(0, 0.05, count) * (drop > 0)
            size = rng.uniform(0.006, 0.018, count) * (1.0 if drop != 0.004 else 0.6)
            canvas.fill(
                [disc(x, v, r, r * 0.8, count=9) for x, v, r in zip(at, lift, size, strict=True)],
                tone,
            )


def draw_ground(canvas: Canvas, rng: Generator, y: float, near: Color, far: Color) -> None:
    """Open ground below y, mottled in bands that widen toward the viewer."""
    view = canvas.view
    wash = gradient(view, [(y, far), (y + 0.5, near)])
    wash *= 1 + 0.07 * noise(view, rng, 7.0, 4, stretch=4.0)[:, :, None]
    edge = np.stack((np.linspace(-2.5, 2.5, 40), y + 0.006 * wave_noise(rng, 40, 5)), axis=1)
    canvas.fill(np.concatenate((edge, points((2.5, 2), (-2.5, 2)))), wash)


def dabs(
    rng: Generator, x: float, y: float, rx: float, ry: float, size: float, count: int
) -> list[Points]:
    """Brush dabs scattered over an ellipse: leaf-shaped, all wound the same way."""
    angle, far = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
    cx, cy = x + rx * far * np.cos(angle), y + ry * far * np.sin(angle)
    turn = rng.uniform(0, np.pi, count)
    long = size * rng.uniform(0.6, 1.5, count)
    leaf = points((-1, 0), (-0.3, -0.5), (0.5, -0.4), (1, 0), (0.4, 0.45), (-0.4, 0.5))
    cos, sin = np.cos(turn) * long, np.sin(turn) * long
    at_x = cx[:, None] + leaf[:, 0] * cos[:, None] - leaf[:, 1] * sin[:, None]
    at_y = cy[:, None] + leaf[:, 0] * sin[:, None] + leaf[:, 1] * cos[:, None]
    return list(np.stack((at_x, at_y), axis=2))


def draw_tree(
    canvas: Canvas, rng: Generator, x: float, y: float, size: float, leaves: Color, hour: Hour
) -> None:
    """A broad tree standing at (x, y), about `size` high."""
    bark = hour.lit(vary(rng, rgb("6a5240"), 0.03))
    trunk = smooth(
        [
            (x, y),
            (x + rng.normal(0, 0.02) * size, y - 0.3 * size),
            (x + rng.normal(0, 0.05) * size, y - 0.75 * size),
        ]
    )
    canvas.fill(ribbon(trunk, np.linspace(0.10, 0.03, len(trunk)) * size), bark)
    canvas.fill(
        ribbon(trunk + (0.015 * size, 0), np.linspace(0.04, 0.01, len(trunk)) * size), shade(bark)
    )
    for side in (-1.0, 1.0):
        limb = bezier(
            (x, y - 0.35 * size),
            (x + side * 0.1 * size, y - 0.5 * size),
            (x + side * 0.25 * size, y - 0.65 * size),
        )
        canvas.fill(ribbon(limb, np.linspace(0.045, 0.015, len(limb)) * size), bark)
    clusters = rng.uniform((-0.36, -0.98, 0.12), (0.36, -0.52, 0.22), (9, 3)) * size
    clusters = clusters[np.argsort(clusters[:, 1])]
    lit = hour.lit(leaves)
    for tone, share, lift in (
        (shade(lit, 1.3), 1.15, 0.0),
        (lit, 0.92, 0.16),
        (mix(lit, hour.lit(rgb("f0e8a0")), 0.35), 0.55, 0.38),
    ):
        shapes: list[Points] = []
        for cx, cy, r in clusters:
            shapes += dabs(
                rng,
                x + cx - lift * r * 0.3,
                y + cy - lift * r,
                r * share,
                r * share * 0.72,
                0.032 * size,
                34,
            )
            if lift == 0.0:
                shapes.append(disc(x + cx, y + cy, r * 0.9, r * 0.62, count=14))
        canvas.fill(shapes, tone)


def draw_grass(
    canvas: Canvas, rng: Generator, y: float, color: Color, flowers: Color | None
) -> None:
    """Blades and flowers below y, larger toward the viewer."""
    for tone in (shade(color, 0.8), mix(color, (1, 1, 0.7), 0.16), mix(color, (1, 1, 0.7), 0.30)):
        depth = rng.random(420) ** 1.5
        at = np.stack((rng.uniform(-1.6, 1.6, 420), y + depth * (0.56 - y)), axis=1)
        tall = (0.006 + 0.055 * depth) * rng.uniform(0.5, 1.3, 420)
        lean = rng.normal(0, 0.3, 420) * tall
        wide = tall * 0.07
        middle, flat = 0.4 * lean, np.zeros(420)
        x = np.stack((-wide, middle - 0.7 * wide, lean, middle + 0.7 * wide, wide), axis=1)
        y_up = np.stack((flat, 0.6 * tall, tall, 0.6 * tall, flat), axis=1)
        canvas.fill(list(at[:, None, :] + np.stack((x, -y_up), axis=2)), tone)
    if flowers is not None:
        depth = rng.random(120) ** 1.3
        heads = [
            disc(x, y + d * (0.55 - y), 0.0015 + 0.009 * d, 0.001 + 0.006 * d, count=8)
            for x, d in zip(rng.uniform(-1.6, 1.6, 120), depth, strict=True)
        ]
        canvas.fill(heads, flowers)
        canvas.fill(
            [h * 0.45 + h.mean(axis=0) * 0.55 for h in heads], mix(flowers, (0.9, 0.75, 0.3), 0.7)
        )


def draw_sea(canvas: Canvas, rng: Generator, y: float, hour: Hour) -> None:
    """Water below y: a wash, swells and glints in perspective."""
    deep = hour.lit(vary(rng, rgb("3c7088"), 0.03))
    canvas.fill(
        box(-9, y, 9, 9),
        gradient(canvas.view, [(y, mix(deep, hour.horizon, 0.55)), (y + 0.5, deep)]),
    )
    for tone, alpha in (
        (shade(deep, 0.7), 0.55),
        (mix(deep, hour.horizon, 0.6), 0.6),
        (mix(hour.cloud, (1, 1, 1), 0.4), 0.75),
    ):
        depth = rng.random(190) ** 1.8
        waves = []
        for x, d, long in zip(
            rng.uniform(-1.5, 1.5, 190), depth, rng.uniform(0.3, 1.4, 190), strict=True
        ):
            half = long * (0.01 + 0.14 * d)
            swell = bezier((x - half, 0), (x, -0.012 * d), (x + half, 0), count=7) + (
                0.0,
                y + 0.003 + d * 0.55,
            )
            waves.append(ribbon(swell, np.sin(np.linspace(0.1, 3.04, 7)) * (0.0007 + 0.008 * d)))
        canvas.fill(waves, tone, alpha)


def draw_wires(canvas: Canvas, rng: Generator, y: float, color: Color) -> None:
    """Sagging wires about a pixel wide."""
    pen = Pen(color, 0.0016, taper=(0, 0), wobble=0.0)
    curves = []
    for index in range(int(rng.integers(2, 6))):
        left, right = (
            y + 0.022 * index + rng.normal(0, 0.01),
            y + 0.03 * index + rng.normal(0, 0.05),
        )
        curves.append(
            bezier(
                (-2.0, left),
                (rng.uniform(-0.4, 0.4), max(left, right) + rng.uniform(0.04, 0.12)),
                (2.0, right),
                count=40,
            )
        )
    canvas.lines(curves, pen)
