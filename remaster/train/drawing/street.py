"""One-point perspective, and a street in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remaster.train.drawing.buildings import WALLS, WINDOW_LIGHT
from remaster.train.drawing.canvas import Canvas, Pen
from remaster.train.drawing.curves import Points, box, disc
from remaster.train.drawing.paint import gradient, mix, rgb, shade, vary
from remaster.train.drawing.sky import Hour

__all__ = ["Perspective", "draw_street"]

Generator = np.random.Generator


@dataclass(frozen=True)
class Perspective:
    """One-point perspective: world x right, y down from eye level, z away, to the scene."""

    x: float
    y: float
    """The vanishing point."""

    def __call__(self, *world: tuple[float, float, float]) -> Points:
        corners = np.array(world, np.float64)
        return corners[:, :2] / corners[:, 2:] + (self.x, self.y)


def draw_street(
    canvas: Canvas, rng: Generator, hour: Hour, eye: Perspective | None = None
) -> float:
    """A street running away between buildings; gives the horizon's y."""
    see = eye or Perspective(float(rng.uniform(-0.25, 0.25)), float(rng.uniform(-0.02, 0.14)))
    half, drop = rng.uniform(0.55, 0.8), rng.uniform(0.28, 0.36)
    pen = Pen(hour.lit(rgb("4a4040")), 0.0016, taper=(0, 0), wobble=0.02)
    canvas.fill(
        box(-9, see.y, 9, 9),
        gradient(canvas.view, [(see.y, hour.haze), (see.y + 0.5, hour.lit(rgb("7c7a78")))]),
    )
    for near, far in ((3.0, 3.6), (2.2, 2.6), (1.6, 1.85), (1.2, 1.32), (0.94, 1.02)):
        dash = see((-0.02, drop, near), (0.02, drop, near), (0.02, drop, far), (-0.02, drop, far))
        canvas.fill(dash, hour.lit(rgb("d8d4c8")))
    for side in (-1.0, 1.0):
        walk = see(
            (side * half * 0.72, drop, 0.5),
            (side * 4, drop, 0.5),
            (side * 4, drop, 9),
            (side * half * 0.72, drop, 9),
        )
        canvas.fill(walk, hour.lit(rgb("a8a298"), 0.1))
        curb = see((side * half * 0.72, drop, 0.5), (side * half * 0.72, drop, 9))
        canvas.line(curb, pen)
        z = 7.0
        while z > 0.6:
            deep = rng.uniform(0.35, 1.0) * (0.4 + z / 6)
            draw_block(
                canvas,
                rng,
                see,
                side,
                half * rng.uniform(1.0, 1.15),
                drop,
                (max(z - deep, 0.45), z),
                hour,
                pen,
            )
            z -= deep * 1.04
        draw_lamps(canvas, see, side * half * 0.82, drop, hour)
    return see.y


def draw_lamps(canvas: Canvas, see: Perspective, x: float, drop: float, hour: Hour) -> None:
    color = hour.lit(rgb("5a5654"))
    for z in (4.2, 2.6, 1.6, 1.0):
        pole = see(
            (x - 0.008, drop, z), (x - 0.006, -0.62, z), (x + 0.006, -0.62, z), (x + 0.008, drop, z)
        )
        canvas.fill(pole, mix(color, hour.haze, min(z / 9, 1)))
        head = see((x, -0.62, z))[0]
        canvas.fill(
            disc(head[0], head[1], 0.022 / z, 0.016 / z),
            WINDOW_LIGHT if hour.lamps else mix(color, (1, 1, 1), 0.6),
        )


def draw_block(
    canvas: Canvas,
    rng: Generator,
    see: Perspective,
    side: float,
    x: float,
    drop: float,
    z: tuple[float, float],
    hour: Hour,
    pen: Pen,
) -> None:
    """One building along the street: its long face in perspective and its near end."""
    near, far = z
    tall = -rng.uniform(0.35, 1.1)
    wall = hour.lit(vary(rng, rgb(WALLS[rng.integers(len(WALLS))]), 0.02), min(far / 12, 0.7))
    sunny = wall if side < 0 else shade(wall, 0.8)
    face = see(
        (side * x, drop, near), (side * x, tall, near), (side * x, tall, far), (side * x, drop, far)
    )
    canvas.fill(face, sunny)
    end = see(
        (side * x, drop, near),
        (side * x, tall, near),
        (side * 9, tall, near),
        (side * 9, drop, near),
    )
    canvas.fill(end, shade(wall, 0.35 if side > 0 else 1.1))
    rows, columns = int(rng.integers(2, 5)), int(rng.integers(2, 5))
    lit: list[Points] = []
    dark: list[Points] = []
    for row in range(rows):
        for column in range(columns):
            top = tall + (drop - tall) * (row + 0.22) / rows
            low = tall + (drop - tall) * (row + 0.70) / rows
            z0, z1 = (
                near + (far - near) * (column + 0.2) / columns,
                near + (far - near) * (column + 0.75) / columns,
            )
            pane = see(
                (side * x, low, z0), (side * x, top, z0), (side * x, top, z1), (side * x, low, z1)
            )
            (lit if rng.random() < 0.5 else dark).append(pane)
    canvas.fill(dark, mix(shade(sunny, 1.5), hour.zenith, 0.35))
    canvas.fill(lit, mix(WINDOW_LIGHT, sunny, 0.2) if hour.lamps else mix(hour.middle, sunny, 0.35))
    canvas.lines(
        [np.concatenate((p, p[:1])) for p in lit + dark], pen.tinted(sunny, 0.3), width=0.6
    )
    canvas.lines([face[1:3], face[:2]], pen)
    if rng.random() < 0.45:
        sign = see(
            (side * x, -0.15, near + 0.08),
            (side * (x - 0.14), -0.15, near + 0.08),
            (side * (x - 0.14), 0.08, near + 0.08),
            (side * x, 0.08, near + 0.08),
        )
        color = hour.lit(
            vary(rng, rgb(("b8503c", "3c6488", "c8a040", "4c7c58")[rng.integers(4)]), 0.03)
        )
        canvas.fill(sign, color)
        canvas.line(np.concatenate((sign, sign[:1])), pen)
    if rng.random() < 0.5:
        awning = see(
            (side * x, 0.05, near),
            (side * x, 0.05, far),
            (side * (x - 0.13), 0.12, far),
            (side * (x - 0.13), 0.12, near),
        )
        canvas.fill(
            awning,
            hour.lit(
                vary(rng, rgb(("a85c4c", "5c7c8c", "b89c58")[rng.integers(3)]), 0.03),
                min(far / 12, 0.6),
            ),
        )
