"""A painted classroom in one-point perspective."""

from __future__ import annotations

import numpy as np

from remaster.train.drawing.canvas import Canvas, Color, Pen
from remaster.train.drawing.curves import box
from remaster.train.drawing.lettering import draw_glyphs
from remaster.train.drawing.paint import gradient, mix, rgb, shade, vary
from remaster.train.drawing.sky import Hour
from remaster.train.drawing.street import Perspective

__all__ = ["draw_classroom"]

Generator = np.random.Generator


def draw_classroom(canvas: Canvas, rng: Generator, hour: Hour) -> None:
    """Desks in rows before a blackboard, tall windows along one side."""
    see = Perspective(float(rng.uniform(-0.15, 0.15)), float(rng.uniform(-0.14, -0.02)))
    side = 1.0 if rng.random() < 0.5 else -1.0
    half, drop, rise, back = 1.5, 0.72, 0.9, 2.0
    wall = hour.lit(vary(rng, rgb("d8d0b4"), 0.02))
    wood = hour.lit(vary(rng, rgb("a87c50"), 0.02))
    pen = Pen(shade(shade(wood, 1.2)), 0.0017, taper=(0, 0), wobble=0.03)
    canvas.fill(box(-9, -9, 9, 9), gradient(canvas.view, [(-0.5, shade(wall, 0.3)), (0.4, wall)]))
    for at, tone in ((side, shade(wall, 0.35)), (-side, shade(wall, 0.8))):
        canvas.fill(
            see(
                (at * half, drop, back),
                (at * half, -rise, back),
                (at * half, -rise, 0.3),
                (at * half, drop, 0.3),
            ),
            tone,
        )
    canvas.fill(
        see((-half, -rise, back), (half, -rise, back), (half, -rise, 0.3), (-half, -rise, 0.3)),
        mix(wall, (1, 1, 1), 0.25),
    )
    floor = canvas.fill(
        see((-half, drop, back), (half, drop, back), (half, drop, 0.3), (-half, drop, 0.3)),
        gradient(canvas.view, [(0.1, mix(wood, wall, 0.35)), (0.5, wood)]),
    )
    canvas.lines(
        [see((x, drop, back), (x, drop, 0.3)) for x in np.linspace(-half, half, 17)],
        pen,
        clip=floor,
        width=0.7,
    )
    edges = [see((s * half, -rise, back), (s * half, drop, back)) for s in (-1, 1)]
    edges += [see((-half, y, back), (half, y, back)) for y in (-rise, drop)]
    edges += [see((s * half, y, back), (s * half, y, 0.3)) for s in (-1, 1) for y in (-rise, drop)]
    canvas.lines(edges, pen)
    board = see((-1.05, -0.52, back), (1.05, -0.52, back), (1.05, 0.16, back), (-1.05, 0.16, back))
    canvas.fill(board, hour.lit(rgb("3c5c4c")))
    canvas.line(np.concatenate((board, board[:1])), Pen(wood, 0.011, (0, 0), 0.0))
    draw_glyphs(
        canvas,
        int(rng.integers(2**31)),
        5,
        float(board[0, 0]) + 0.08,
        float(board[0, 1]) + 0.05,
        0.045,
        mix(wall, (1, 1, 1), 0.5),
        None,
    )
    sky = gradient(canvas.view, [(-0.5, hour.zenith), (0.1, hour.horizon)])
    for z in (0.75, 1.05, 1.35, 1.65):
        pane = see(
            (side * half, 0.12, z),
            (side * half, -0.66, z),
            (side * half, -0.66, z + 0.24),
            (side * half, 0.12, z + 0.24),
        )
        canvas.fill(pane, sky)
        frame = [
            np.concatenate((pane, pane[:1])),
            see((side * half, -0.3, z), (side * half, -0.3, z + 0.24)),
        ]
        canvas.lines(frame, Pen(mix(wall, (1, 1, 1), 0.5), 0.009, (0, 0), 0.0))
        canvas.line(frame[0], pen)
        if not hour.lamps:
            beam = see(
                (side * (half - 0.1), drop, z),
                (side * (half - 1.0), drop, z - 0.1),
                (side * (half - 1.0), drop, z + 0.1),
                (side * (half - 0.1), drop, z + 0.2),
            )
            canvas.fill(beam, mix(wood, (1, 0.95, 0.8), 0.5), 0.55, clip=floor)
    for z in (1.7, 1.35, 1.0, 0.72):
        for x in (-0.9, -0.3, 0.3, 0.9):
            draw_desk(canvas, see, x, z, drop, wood, pen)


def draw_desk(
    canvas: Canvas, see: Perspective, x: float, z: float, drop: float, wood: Color, pen: Pen
) -> None:
    y, wide, deep = drop * 0.52, 0.19, 0.16
    steel = mix(wood, (0.5, 0.52, 0.55), 0.8)
    for dx, dz in ((-wide, deep), (wide, deep), (-wide, 0.0), (wide, 0.0)):
        canvas.line(
            see((x + dx, y, z + dz), (x + dx, drop, z + dz)), Pen(steel, 0.009 / z, (0, 0), 0.0)
        )
    shadow = see(
        (x - wide, drop, z),
        (x + wide, drop, z),
        (x + wide, drop, z + deep),
        (x - wide, drop, z + deep),
    )
    canvas.fill(shadow, shade(wood), 0.35)
    top = see((x - wide, y, z), (x + wide, y, z), (x + wide, y, z + deep), (x - wide, y, z + deep))
    canvas.fill(top, mix(wood, (1.0, 0.92, 0.78), 0.4))
    edge = see((x - wide, y, z), (x + wide, y, z), (x + wide, y + 0.07, z), (x - wide, y + 0.07, z))
    canvas.fill(edge, shade(wood, 0.5))
    canvas.lines([np.concatenate((top, top[:1])), np.concatenate((edge, edge[:1]))], pen)
