"""Painted rooms in one-point perspective: a living room, a classroom."""

from __future__ import annotations

import numpy as np

from remaster.train.drawing.canvas import Canvas, Color, Pen
from remaster.train.drawing.curves import bezier, box, disc, points
from remaster.train.drawing.paint import gradient, mix, rgb, shade, vary
from remaster.train.drawing.sky import Hour
from remaster.train.drawing.street import Perspective

__all__ = ["draw_room"]

Generator = np.random.Generator


def draw_room(canvas: Canvas, rng: Generator, hour: Hour) -> None:
    """A room: floor boards, walls, a window with light, furniture."""
    see = Perspective(float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.14, 0.06)))
    half, drop, rise, back = (
        rng.uniform(1.1, 1.6),
        rng.uniform(0.62, 0.85),
        rng.uniform(0.75, 0.95),
        1.8,
    )
    wall = hour.lit(
        vary(rng, rgb(("d8c8a8", "c8ccb8", "d0b8a8", "b8c0c8", "c4b090")[rng.integers(5)]), 0.02)
    )
    wood = hour.lit(vary(rng, rgb(("8c6444", "a07850", "74543c")[rng.integers(3)]), 0.02))
    pen = Pen(shade(shade(wood, 1.2)), 0.0017, taper=(0, 0), wobble=0.03)
    canvas.fill(
        box(-9, -9, 9, 9), gradient(canvas.view, [(-0.5, shade(wall, 0.35)), (0.4, wall)], 0.25)
    )
    for side, tone in ((-1.0, shade(wall, 0.5)), (1.0, shade(wall, 1.0))):
        canvas.fill(
            see(
                (side * half, drop, back),
                (side * half, -rise, back),
                (side * half, -rise, 0.3),
                (side * half, drop, 0.3),
            ),
            tone,
        )
    canvas.fill(
        see((-half, -rise, back), (half, -rise, back), (half, -rise, 0.3), (-half, -rise, 0.3)),
        mix(wall, (1, 1, 1), 0.2),
    )
    floor = canvas.fill(
        see((-half, drop, back), (half, drop, back), (half, drop, 0.3), (-half, drop, 0.3)),
        gradient(canvas.view, [(0.1, mix(wood, wall, 0.3)), (0.5, wood)]),
    )
    boards = [see((x, drop, back), (x, drop, 0.3)) for x in np.linspace(-half, half, 14)]
    canvas.lines(boards, pen, clip=floor, width=0.8)
    base = see(
        (-half, drop, back),
        (half, drop, back),
        (half, drop - 0.07, back),
        (-half, drop - 0.07, back),
    )
    canvas.fill(base, wood)
    edges = [see((s * half, -rise, back), (s * half, drop, back)) for s in (-1, 1)]
    edges += [see((-half, y, back), (half, y, back)) for y in (-rise, drop, drop - 0.07)]
    edges += [see((s * half, y, back), (s * half, y, 0.3)) for s in (-1, 1) for y in (-rise, drop)]
    canvas.lines(edges, pen)
    x = rng.uniform(-0.55, 0.3) * half
    corners = see((x, -rise * 0.62, back), (x + 0.75, drop * 0.28, back))
    frame = box(*corners[0], *corners[1])
    outside = Hour(**hour.__dict__)
    canvas.fill(
        frame + (0, 0),
        gradient(
            canvas.view,
            [(float(corners[0, 1]), outside.zenith), (float(corners[1, 1]), outside.horizon)],
        ),
    )
    glass = canvas.mask(frame)
    canvas.fill(
        disc(float(corners[0, 0]) + 0.1, float(corners[1, 1]), 0.22, 0.07),
        hour.lit(rgb("6c8c64"), 0.3),
        clip=glass,
    )
    canvas.fill(
        disc(float(corners[1, 0]), float(corners[1, 1]), 0.18, 0.1),
        hour.lit(rgb("587c5c"), 0.2),
        clip=glass,
    )
    white = mix(wall, (1, 1, 1), 0.55)
    middle = frame.mean(axis=0)
    rails = [
        np.concatenate((frame, frame[:1])),
        points((middle[0], frame[0, 1]), (middle[0], frame[2, 1])),
        points((frame[0, 0], middle[1]), (frame[1, 0], middle[1])),
    ]
    canvas.lines(rails, Pen(white, 0.012, taper=(0, 0), wobble=0))
    canvas.lines(rails[:1], pen)
    curtain = hour.lit(
        vary(rng, rgb(("c89888", "a8b49c", "d8c090", "98a4b4")[rng.integers(4)]), 0.02)
    )
    for side in (-1.0, 1.0):
        edge = frame[0, 0] if side < 0 else frame[1, 0]
        drape = np.concatenate(
            (
                points(
                    (edge + side * 0.09, frame[0, 1] - 0.03),
                    (edge - side * 0.10, frame[0, 1] - 0.03),
                ),
                bezier(
                    (edge - side * 0.09, frame[0, 1]),
                    (edge - side * 0.03, middle[1]),
                    (edge - side * 0.02, frame[2, 1] + 0.08),
                ),
                points((edge + side * 0.08, frame[2, 1] + 0.08)),
            )
        )
        mask = canvas.fill(drape, curtain)
        pleats = [
            points(
                (edge + side * dx, frame[0, 1] - 0.03),
                (edge + side * (dx + 0.01), frame[2, 1] + 0.08),
            )
            for dx in (-0.03, 0.02, 0.06)
        ]
        canvas.lines(pleats, Pen(shade(curtain), 0.008), clip=mask)
        canvas.line(np.concatenate((drape, drape[:1])), pen)
    if not hour.lamps:
        beam = see(
            (x, drop, back), (x + 0.75, drop, back), (x + 1.0, drop, 1.0), (x + 0.1, drop, 1.0)
        )
        canvas.fill(beam, mix(wood, (1, 0.95, 0.8), 0.5), 0.6, clip=floor)
    draw_shelf(canvas, rng, see, half if x < -0.2 else -half, drop, hour, wood, pen)
    draw_table(canvas, rng, see, drop, wood, pen)


def draw_shelf(
    canvas: Canvas,
    rng: Generator,
    see: Perspective,
    x: float,
    drop: float,
    hour: Hour,
    wood: Color,
    pen: Pen,
) -> None:
    """A bookshelf against a side wall."""
    z0, z1, top = 1.15, 1.65, -0.35
    inward = x - np.sign(x) * 0.22
    front = see((inward, drop, z0), (inward, top, z0), (inward, top, z1), (inward, drop, z1))
    canvas.fill(front, shade(wood, 1.3))
    end = see((inward, drop, z1), (inward, top, z1), (x, top, z1), (x, drop, z1))
    canvas.fill(end, wood)
    for level in np.linspace(top, drop, 5)[:-1]:
        high = (drop - top) / 4
        spots = np.linspace(z0 + 0.02, z1 - 0.02, 11)
        for a, b in zip(spots[:-1], spots[1:], strict=True):
            color = hour.lit(
                vary(
                    rng,
                    rgb(
                        ("8c4c44", "4c6478", "a88c54", "5c7458", "c4b49c", "6c5464")[
                            rng.integers(6)
                        ]
                    ),
                    0.04,
                )
            )
            up = level + high * rng.uniform(0.12, 0.35)
            canvas.fill(
                see(
                    (inward, level + high * 0.95, a),
                    (inward, up, a),
                    (inward, up, b),
                    (inward, level + high * 0.95, b),
                ),
                color,
            )
        canvas.line(
            see((inward, level + high * 0.97, z0), (inward, level + high * 0.97, z1)),
            pen.scaled(2.0).tinted(wood),
        )
    canvas.line(np.concatenate((front, front[:1])), pen)


def draw_table(
    canvas: Canvas, rng: Generator, see: Perspective, drop: float, wood: Color, pen: Pen
) -> None:
    x, z = rng.uniform(-0.5, 0.5), rng.uniform(1.15, 1.4)
    y = drop * 0.55
    for dx, dz in ((-0.36, 0.25), (0.36, 0.25), (-0.36, 0.0), (0.36, 0.0)):
        leg = see(
            (x + dx - 0.02, y, z + dz),
            (x + dx + 0.02, y, z + dz),
            (x + dx + 0.02, drop, z + dz),
            (x + dx - 0.02, drop, z + dz),
        )
        canvas.fill(leg, shade(wood, 0.8))
        canvas.line(leg[1:3], pen)
    top = see((x - 0.4, y, z), (x + 0.4, y, z), (x + 0.4, y, z + 0.3), (x - 0.4, y, z + 0.3))
    canvas.fill(top, mix(wood, (1, 0.9, 0.75), 0.25))
    edge = see((x - 0.4, y, z), (x + 0.4, y, z), (x + 0.4, y + 0.04, z), (x - 0.4, y + 0.04, z))
    canvas.fill(edge, shade(wood, 0.4))
    canvas.lines([np.concatenate((top, top[:1])), np.concatenate((edge, edge[:1]))], pen)
    cup = see(
        (x + 0.1, y - 0.1, z + 0.15),
        (x + 0.18, y - 0.1, z + 0.15),
        (x + 0.17, y, z + 0.15),
        (x + 0.11, y, z + 0.15),
    )
    canvas.fill(cup, rgb("e4dccc"))
    canvas.line(np.concatenate((cup, cup[:1])), pen)
