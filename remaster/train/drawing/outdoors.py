"""Painted outdoors: skies, clouds, ridges, trees, grass and water, in the light of an hour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remaster.train.drawing.canvas import Canvas, Color, Pen
from remaster.train.drawing.coverage import Mask
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

__all__ = [
    "HOURS",
    "Hour",
    "draw_clouds",
    "draw_grass",
    "draw_ground",
    "draw_ridge",
    "draw_sea",
    "draw_sky",
    "draw_tree",
]

Generator = np.random.Generator


@dataclass(frozen=True)
class Hour:
    """The light of a time of day."""

    zenith: Color
    middle: Color
    horizon: Color
    cloud: Color
    cloud_shadow: Color
    tint: Color
    """What local colours are multiplied by."""

    haze: Color
    """What distance mixes in."""

    lamps: bool = False
    """Windows are lit and stars are out."""

    def lit(self, color: Color, distance: float = 0.0) -> Color:
        """A local colour in this light, at a distance of 0 to 1."""
        tinted = (color[0] * self.tint[0], color[1] * self.tint[1], color[2] * self.tint[2])
        return mix(tinted, self.haze, distance)


HOURS = {
    "noon": Hour(rgb("4a86b8"), rgb("86b6d0"), rgb("d2e0d8"), rgb("f4f2e8"), rgb("b4c4d2"), (1, 1, 0.97), rgb("bcd2d6")),
    "morning": Hour(rgb("7aa4c0"), rgb("b8cccc"), rgb("f0e2c4"), rgb("fbf0dc"), rgb("ccc4c4"), (1, 0.97, 0.9), rgb("dcd8c8")),
    "sunset": Hour(rgb("5a5a86"), rgb("c87c6c"), rgb("f4c078"), rgb("f6b880"), rgb("8c6480"), (0.95, 0.76, 0.66), rgb("d89878")),
    "dusk": Hour(rgb("2e3460"), rgb("6a5a88"), rgb("c08890"), rgb("a07c98"), rgb("4c4470"), (0.62, 0.58, 0.74), rgb("6c6088"), True),
    "night": Hour(rgb("0e1630"), rgb("1c2a4c"), rgb("3a4c6c"), rgb("46587c"), rgb("1e2a48"), (0.36, 0.42, 0.60), rgb("2a3a58"), True),
    "overcast": Hour(rgb("8c98a0"), rgb("acb4b4"), rgb("ccccc4"), rgb("c4c8c8"), rgb("94a0a8"), (0.84, 0.86, 0.88), rgb("b4bcbc")),
}  # fmt: skip


def draw_sky(canvas: Canvas, rng: Generator, hour: Hour, horizon: float) -> None:
    """A gradient wash over the whole sheet, with stars when it is dark."""
    view = canvas.view
    stops = [(-0.6, hour.zenith), (horizon - 0.35, hour.middle), (horizon, hour.horizon)]
    wash = gradient(view, stops, slope=float(rng.uniform(-0.08, 0.08)))
    wash *= 1 + 0.025 * noise(view, rng, 3.0, 3, stretch=3.0)[:, :, None]
    canvas.fill(box(-9, -9, 9, 9), wash)
    if hour.lamps:
        at = rng.uniform((-2, -0.6), (2, horizon - 0.1), (260, 2))
        size = rng.uniform(0.0006, 0.0018, 260) * (1 + (rng.random(260) < 0.06))
        canvas.fill(
            [disc(x, y, r, count=8) for (x, y), r in zip(at, size, strict=True)],
            (0.96, 0.95, 0.85),
            0.8,
        )


def draw_clouds(canvas: Canvas, rng: Generator, hour: Hour, horizon: float) -> None:
    """Heaped clouds with lit tops, painted wet, over thin streaks."""
    view = canvas.view
    streaks = np.clip(noise(view, rng, 5.0, 4, stretch=5.0) - 0.15, 0, 1)
    height = np.clip((horizon - view.rows()) * 2.5, 0, 1)
    canvas.fill(Mask(0, 0, (streaks * height * 0.55).astype(np.float32)), hour.cloud)
    for _ in range(int(rng.integers(2, 6))):
        size = float(rng.uniform(0.12, 0.36))
        x, y = float(rng.uniform(-1.1, 1.1)), horizon - float(rng.uniform(0.0, 0.5)) - 0.1 * size
        draw_cumulus(canvas, rng, hour, x, y, size)


def draw_cumulus(
    canvas: Canvas, rng: Generator, hour: Hour, x: float, y: float, size: float
) -> None:
    """A heap of round puffs on a flat base, each shaded like a ball lit from above, edges ragged."""
    view = canvas.view
    rows, columns = view.rows(), view.columns()
    bump = noise(view, rng, 10.0, 4) * np.float32(0.16)
    body = np.full((view.height, view.width), -1.0, np.float32)
    light = np.zeros_like(body)
    across = rng.uniform(-1, 1, 22)
    for dx, lift, grow in zip(across, rng.random(22), rng.uniform(0.20, 0.38, 22), strict=True):
        radius = size * grow * (1.15 - 0.6 * abs(dx))
        cx, cy = x + dx * size * 1.25, y - lift * (1 - dx * dx) * 0.55 * size
        top, bottom = np.searchsorted(rows[:, 0], (cy - 1.5 * radius, cy + 1.5 * radius))
        left, right = np.searchsorted(columns[0], (cx - 1.5 * radius, cx + 1.5 * radius))
        window = slice(top, bottom), slice(left, right)
        over, aside = (rows[window[0]] - cy) / radius, (columns[:, window[1]] - cx) / radius
        ball = 1 - over**2 - aside**2
        front = ball > body[window]
        body[window] = np.where(front, ball, body[window])
        lit = 0.5 - 0.55 * over + 0.2 * aside + 0.35 * (cy < y - 0.15 * size)
        light[window] = np.where(front, lit, light[window])
    base = np.clip((y + 0.10 * size - rows) / (0.16 * size), 0, 1)
    alpha = np.clip((body + 2.2 * bump + 0.05) / 0.30, 0, 1) * base
    light = np.clip((light + 1.6 * bump - 0.25) / 0.75, 0, 1)[:, :, None]
    bright = np.asarray(mix(hour.cloud, (1, 1, 1), 0.25), np.float32)
    paint = np.asarray(hour.cloud_shadow, np.float32) * (1 - light) + bright * light
    canvas.fill(Mask(0, 0, (alpha * 0.96).astype(np.float32)), paint.astype(np.float32))


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
        blades = np.stack((
            at + np.stack((-wide, 0 * wide), axis=1), at + np.stack((lean * 0.4 - wide * 0.7, -tall * 0.6), axis=1),
            at + np.stack((lean, -tall), axis=1), at + np.stack((lean * 0.4 + wide * 0.7, -tall * 0.6), axis=1),
            at + np.stack((wide, 0 * wide), axis=1),
        ), axis=1)  # fmt: skip
        canvas.fill(list(blades), tone)
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
