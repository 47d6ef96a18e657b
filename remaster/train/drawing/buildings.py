"""Painted buildings: streets and rooms in one-point perspective, skylines, house fronts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remaster.train.drawing.canvas import Canvas, Color, Pen
from remaster.train.drawing.curves import Points, bezier, box, disc, points
from remaster.train.drawing.outdoors import Hour
from remaster.train.drawing.paint import gradient, mix, rgb, shade, vary

__all__ = ["draw_houses", "draw_room", "draw_skyline", "draw_street"]

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


@dataclass(frozen=True)
class Perspective:
    """One-point perspective: world x right, y down from eye level, z away, to the scene."""

    x: float
    y: float
    """The vanishing point."""

    def __call__(self, *world: tuple[float, float, float]) -> Points:
        corners = np.array(world, np.float64)
        return corners[:, :2] / corners[:, 2:] + (self.x, self.y)


def draw_skyline(canvas: Canvas, rng: Generator, y: float, hour: Hour, distance: float) -> None:
    """A row of city blocks with window grids, standing on y."""
    x = -2.0
    while x < 2.0:
        wide, tall = rng.uniform(0.05, 0.16), rng.uniform(0.08, 0.42) * (1.15 - distance)
        wall = hour.lit(vary(rng, rgb(WALLS[rng.integers(len(WALLS))]), 0.02), distance)
        canvas.fill(box(x, y - tall, x + wide, y + 0.4), wall)
        canvas.fill(box(x + wide * 0.78, y - tall, x + wide, y + 0.4), shade(wall, 0.7))
        columns, rows = int(rng.integers(3, 7)), int(tall / rng.uniform(0.022, 0.04))
        lit, dark = [], []
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
    lit, dark = [], []
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
