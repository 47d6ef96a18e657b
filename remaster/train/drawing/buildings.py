"""Painted towns: skylines, house fronts with poles and wires, a street in perspective."""

from __future__ import annotations

import numpy as np

from remaster.train.drawing.canvas import Canvas, Color, Pen
from remaster.train.drawing.curves import Points, bezier, box, points
from remaster.train.drawing.paint import gradient, mix, rgb, shade, vary
from remaster.train.drawing.sky import Hour

__all__ = ["draw_houses", "draw_skyline"]

Generator = np.random.Generator
WALLS = (
    "d8cdb4",
    "c8b49c",
    "b8a898",
    "d4c4c0",
    "a8b0ac",
    "c4a484",
    "bcc4c4",
    "b48c78",
    "e0d8c8",
    "9c9488",
)
ROOFS = ("8c4a3c", "5c6474", "6e5a4c", "4c5c5c", "7c4450", "6a6a62")
WINDOW_LIGHT = rgb("f4d890")


def draw_skyline(canvas: Canvas, rng: Generator, y: float, hour: Hour, distance: float) -> None:
    """A row of city blocks with window grids, standing on y."""
    x = -2.0
    while x < 2.0:
        wide, tall = rng.uniform(0.05, 0.16), rng.uniform(0.08, 0.42) * (1.15 - distance)
        wall = hour.lit(vary(rng, rgb(WALLS[rng.integers(len(WALLS))]), 0.02), distance)
        canvas.fill(box(x, y - tall, x + wide, y + 0.4), wall)
        canvas.fill(box(x + wide * 0.78, y - tall, x + wide, y + 0.4), shade(wall, 0.7))
        columns, rows = int(rng.integers(3, 7)), int(tall / rng.uniform(0.022, 0.04))
        lit: list[Points] = []
        dark: list[Points] = []
        for row in range(rows):
            for column in range(columns):
                left = x + wide * (0.08 + 0.66 * column / columns)
                top = y - tall + 0.018 + row * (tall - 0.02) / max(rows, 1)
                pane = box(left, top, left + wide * 0.42 / columns, top + 0.011)
                (lit if rng.random() < 0.38 else dark).append(pane)
        canvas.fill(dark, mix(shade(wall, 1.4), hour.zenith, 0.3))
        canvas.fill(
            lit, mix(WINDOW_LIGHT, wall, 0.15) if hour.lamps else mix(hour.horizon, wall, 0.3)
        )
        if rng.random() < 0.3:
            canvas.fill(
                box(x + wide * 0.4, y - tall - 0.07, x + wide * 0.4 + 0.003, y - tall), shade(wall)
            )
        x += wide * rng.uniform(0.75, 1.25)


def draw_houses(canvas: Canvas, rng: Generator, y: float, hour: Hour) -> None:
    """House fronts along a street, with roofs, windows, a fence, poles."""
    pen = Pen(mix(hour.lit(rgb("4a3c38")), hour.haze, 0.15), 0.0018, taper=(0, 0), wobble=0.02)
    x = -1.9
    while x < 1.9:
        wide, tall = rng.uniform(0.36, 0.62), rng.uniform(0.26, 0.40)
        wall = hour.lit(vary(rng, rgb(WALLS[rng.integers(len(WALLS))]), 0.02), 0.08)
        roof = hour.lit(vary(rng, rgb(ROOFS[rng.integers(len(ROOFS))]), 0.02), 0.08)
        canvas.fill(
            box(x, y - tall, x + wide, y),
            gradient(
                canvas.view,
                [
                    (y - tall, shade(wall, 0.5)),
                    (y - tall + 0.05, wall),
                    (y, mix(wall, hour.haze, 0.15)),
                ],
            ),
        )
        peak = y - tall - rng.uniform(0.08, 0.16)
        gable = points(
            (x - 0.03, y - tall),
            (x + wide * 0.16, peak),
            (x + wide * 0.84, peak),
            (x + wide + 0.03, y - tall),
        )
        canvas.fill(gable, roof)
        tiles = [
            points(
                (x - 0.02 + wide * 0.18 * t, y - tall - (y - tall - peak) * t),
                (x + wide + 0.02 - wide * 0.18 * t, y - tall - (y - tall - peak) * t),
            )
            for t in np.linspace(0.15, 0.9, 6)
        ]
        canvas.lines(tiles, pen.tinted(shade(roof), 0.8), width=0.8)
        canvas.line(np.concatenate((gable, gable[:1])), pen)
        canvas.fill(box(x, y - tall, x + wide, y - tall + 0.022), shade(wall, 1.2))
        for column in range(int(rng.integers(1, 3))):
            for row in range(2):
                left, top = x + wide * (0.14 + 0.42 * column), y - tall * (0.82 - 0.46 * row)
                draw_window(
                    canvas,
                    rng,
                    box(left, top, left + wide * 0.26, top + tall * 0.26),
                    hour,
                    wall,
                    pen,
                )
        canvas.lines(
            [points((x, y - tall), (x, y)), points((x + wide, y - tall), (x + wide, y))], pen
        )
        x += wide + rng.uniform(0.02, 0.16)
    fence = hour.lit(rgb("a89c8c"), 0.05)
    canvas.fill(box(-2.2, y - 0.085, 2.2, y + 0.01), fence)
    canvas.fill(box(-2.2, y - 0.085, 2.2, y - 0.07), mix(fence, (1, 1, 1), 0.25 * hour.tint[1]))
    joints = [points((at, y - 0.07), (at, y + 0.01)) for at in np.arange(-2.2, 2.2, 0.075)]
    canvas.lines(joints, pen.tinted(shade(fence), 0.7), width=0.7)
    road = hour.lit(rgb("8a8884"))
    canvas.fill(
        box(-9, y + 0.01, 9, 9),
        gradient(canvas.view, [(y, mix(road, hour.haze, 0.3)), (y + 0.4, road)]),
    )
    canvas.fill(box(-9, y + 0.03, 9, y + 0.038), mix(road, (1, 1, 1), 0.45 * hour.tint[1]))
    draw_poles(canvas, rng, y + 0.05, hour)


def draw_poles(canvas: Canvas, rng: Generator, y: float, hour: Hour) -> None:
    color = hour.lit(rgb("6c6660"))
    wire = Pen(mix(hour.lit(rgb("2c2a30")), hour.haze, 0.15), 0.0015, taper=(0, 0), wobble=0.0)
    at = rng.uniform(-1.1, -0.5)
    tops = [at + 0.95 * k for k in range(-1, 4)]
    for x in tops:
        canvas.fill(box(x - 0.009, y - 0.78, x + 0.009, y), color)
        canvas.fill(box(x + 0.003, y - 0.78, x + 0.009, y), shade(color))
        for level in (0.74, 0.69):
            canvas.fill(box(x - 0.06, y - level, x + 0.06, y - level + 0.009), shade(color, 0.5))
    sag = rng.uniform(0.03, 0.09)
    wires = []
    for left, right in zip(tops[:-1], tops[1:], strict=True):
        for dx, level in ((-0.055, 0.75), (0.055, 0.75), (-0.055, 0.70), (0.055, 0.70), (0.0, 0.6)):
            wires.append(
                bezier(
                    (left + dx, y - level),
                    ((left + right) / 2, y - level + 2 * sag),
                    (right + dx, y - level),
                    count=20,
                )
            )
    canvas.lines(wires, wire)


def draw_window(
    canvas: Canvas, rng: Generator, frame: Points, hour: Hour, wall: Color, pen: Pen
) -> None:
    """A sash window filling the upright rectangle `frame`."""
    (left, top), (right, bottom) = frame[0], frame[2]
    wide, tall = right - left, bottom - top
    lit = hour.lamps and rng.random() < 0.6
    glass = WINDOW_LIGHT if lit else mix(hour.lit(rgb("6c8494")), hour.horizon, 0.25)
    canvas.fill(
        box(left - 0.008, top - 0.008, right + 0.008, bottom + 0.010),
        mix(wall, (1, 1, 1), 0.35 * hour.tint[1]),
    )
    pane = canvas.fill(frame, glass)
    slant = points(
        (left + wide * 0.1, bottom),
        (left + wide * 0.5, top),
        (left + wide * 0.75, top),
        (left + wide * 0.35, bottom),
    )
    canvas.fill(slant, mix(glass, (1, 1, 1), 0.25), clip=pane)
    curtain = mix(wall, (1, 0.97, 0.9), 0.5) if not lit else mix(WINDOW_LIGHT, rgb("d8a860"), 0.4)
    canvas.fill(box(left, top, left + wide * 0.2, bottom), curtain, 0.8)
    canvas.fill(box(right - wide * 0.2, top, right, bottom), curtain, 0.8)
    canvas.lines(
        [
            np.concatenate((frame, frame[:1])),
            points(((left + right) / 2, top), ((left + right) / 2, bottom)),
            points((left, top + tall * 0.5), (right, top + tall * 0.5)),
        ],
        pen,
    )
