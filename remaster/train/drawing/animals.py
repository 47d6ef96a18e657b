"""Small company: a sitting cat, birds on the wing."""

from __future__ import annotations

import numpy as np

from remaster.train.drawing.canvas import Canvas, Color, Pen
from remaster.train.drawing.curves import Placement, bezier, disc, points, ribbon, smooth
from remaster.train.drawing.paint import mix, rgb, shade, vary

__all__ = ["draw_birds", "draw_cat"]

Generator = np.random.Generator
COATS = ("d8a060", "4a4448", "e4dccc", "8c8078", "b07848")


def draw_cat(canvas: Canvas, rng: Generator, place: Placement, tint: Color) -> None:
    """A cat that sits facing the viewer; its head is about one unit wide, its feet at y = 2.6."""
    coat = vary(rng, rgb(COATS[rng.integers(len(COATS))]), 0.02)
    coat = (coat[0] * tint[0], coat[1] * tint[1], coat[2] * tint[2])
    belly, dark = mix(coat, tint, 0.6), shade(coat)
    pen = Pen(shade(shade(coat, 1.3), 1.5), 0.0014 + 0.006 * place.scale)
    tail = smooth([(0.6, 2.4), (1.35, 2.3), (1.55, 1.6), (1.25, 1.1), (1.45, 0.8)])
    outline = ribbon(tail, np.full(len(tail), 0.32))
    canvas.fill(place(outline), coat)
    canvas.line(place(np.concatenate((outline[1:], outline[:2]))), pen)
    body = smooth(
        [
            (-0.35, 0.4),
            (0.35, 0.4),
            (0.62, 1.2),
            (0.95, 2.1),
            (0.8, 2.6),
            (-0.8, 2.6),
            (-0.95, 2.1),
            (-0.62, 1.2),
        ],
        closed=True,
    )
    inside = canvas.fill(place(body), coat)
    canvas.fill(place(body + (0.55, 0.3)), dark, clip=inside)
    canvas.fill(place(disc(0.0, 1.3, 0.36, 0.8)), belly, clip=inside)
    canvas.line(place(np.concatenate((body, body[:2]))), pen, taper=(0.02, 0.02))
    for side in (-1.0, 1.0):
        leg = smooth(
            [
                (side * 0.30, 1.3),
                (side * 0.36, 2.0),
                (side * 0.46, 2.55),
                (side * 0.1, 2.6),
                (side * 0.10, 2.0),
                (side * 0.06, 1.5),
            ]
        )
        canvas.fill(place(leg), coat)
        canvas.line(place(leg), pen, taper=(0.3, 0.3))
        ear = smooth([(side * 0.78, -0.25), (side * 0.82, -1.05), (side * 0.22, -0.68)], count=5)
        canvas.fill(place(ear), coat)
        canvas.fill(place(ear * 0.7 + (side * 0.18, -0.18)), mix(coat, rgb("e09890"), 0.5))
        canvas.line(place(ear), pen, taper=(0.1, 0.1))
    face = smooth(
        [
            (0.0, -0.74),
            (0.6, -0.55),
            (0.92, 0.02),
            (0.7, 0.5),
            (0.0, 0.66),
            (-0.7, 0.5),
            (-0.92, 0.02),
            (-0.6, -0.55),
        ],
        closed=True,
    )
    head = canvas.fill(place(face), coat)
    canvas.fill(place(face + (0.35, 0.3)), dark, 0.7, clip=head)
    stripes = [bezier((x, -0.8), (x * 0.8, -0.5), (x * 0.6, -0.4)) for x in (-0.3, 0.0, 0.3)]
    canvas.lines([place(s) for s in stripes], Pen(dark, pen.width * 4), clip=head)
    canvas.line(place(np.concatenate((face, face[:2]))), pen, taper=(0.02, 0.02))
    muzzle = canvas.fill(place(disc(0.0, 0.34, 0.34, 0.22)), belly, clip=head)
    canvas.fill(place(points((-0.08, 0.18), (0.08, 0.18), (0.0, 0.28))), rgb("a05850"), clip=muzzle)
    for side in (-1.0, 1.0):
        canvas.line(
            place(bezier((0.0, 0.28), (side * 0.04, 0.44), (side * 0.2, 0.38))), pen, width=0.9
        )
        eye = disc(side * 0.42, -0.02, 0.19, 0.23)
        canvas.fill(place(eye), mix(rgb("c8b040"), rgb("5c9048"), float(rng.random())))
        canvas.fill(place(disc(side * 0.42, -0.02, 0.08, 0.20)), rgb("1c1418"))
        canvas.fill(place(disc(side * 0.42 + 0.05, -0.11, 0.05)), (1.0, 1.0, 1.0))
        canvas.line(place(np.concatenate((eye[12:], eye[:3]))), pen, width=1.5)
        whiskers = [
            place(points((side * 0.34, 0.30 + dy), (side * 1.05, 0.22 + 2 * dy)))
            for dy in (0.0, 0.07)
        ]
        canvas.lines(whiskers, pen.tinted((1.0, 1.0, 1.0), 0.5), width=0.7)


def draw_birds(canvas: Canvas, rng: Generator, color: Color) -> None:
    """A few birds far off."""
    x, y = rng.uniform(-0.5, 0.5), rng.uniform(-0.4, -0.1)
    wings = []
    for dx, dy, size, bend in zip(
        *rng.normal(0, (0.12, 0.05), (7, 2)).T,
        rng.uniform(0.008, 0.022, 7),
        rng.uniform(0.2, 0.9, 7),
        strict=True,
    ):
        for side in (-1.0, 1.0):
            at = (x + dx, y + dy)
            tip = (at[0] + side * size, at[1] - 0.2 * size * bend)
            wings.append(bezier(at, (at[0] + side * 0.5 * size, at[1] - size * bend), tip, count=7))
    canvas.lines(wings, Pen(color, 0.003, (0.0, 0.8), 0.0))
