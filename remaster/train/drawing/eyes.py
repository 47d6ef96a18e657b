"""Eyes and brows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from remaster.train.drawing.canvas import Color
from remaster.train.drawing.character import Figure
from remaster.train.drawing.coverage import Mask, intersect
from remaster.train.drawing.curves import Points, disc, points, smooth
from remaster.train.drawing.paint import mix, rgb, shade

__all__ = ["draw_brows", "draw_eye"]


Place = Callable[[Points], Points]


WHITE: Color = (0.97, 0.96, 0.94)


def draw_eye(figure: Figure, side: float, narrow: float) -> None:
    canvas, design, pose = figure.canvas, figure.design, figure.pose
    width, height = design.eye_width * narrow, design.eye_height
    middle_y = 0.16

    def place(local: Points) -> Points:
        tilted = local[:, 1] * height + design.eye_tilt * local[:, 0]
        return figure.on_face(
            np.stack((side * (design.eye_spread + local[:, 0] * width), middle_y + tilted), axis=1)
        )

    ink = figure.pen.color
    if pose.eyes < 0.15:
        draw_closed_eye(figure, place)
        return
    low = smooth(
        [(0.47, 0.22), (0.38, 0.40), (0.14, 0.495), (-0.14, 0.49), (-0.36, 0.38), (-0.45, 0.22)],
        count=5,
    )
    open_lid = smooth(
        [(-0.50, 0.12), (-0.40, -0.24), (-0.10, -0.49), (0.24, -0.46), (0.46, -0.20), (0.54, 0.06)],
        count=6,
    )
    shut = 1 - pose.eyes
    lid = open_lid.copy()
    lid[:, 1] += shut * (0.30 - lid[:, 1]) * 0.9
    opening = canvas.fill(place(np.concatenate((lid, low))), WHITE)
    under_lid = np.concatenate((lid, lid[::-1] + (0.0, 0.15)))
    canvas.fill(place(under_lid), rgb("b8b4c4"), 0.85, clip=opening)
    draw_iris(figure, place, side, width / height, opening)
    thick = 0.10 + 0.07 * (1 - design.masculine)
    outer = lid + np.stack(
        (0.10 * np.linspace(0, 1, len(lid)) ** 3, -thick * np.linspace(0.35, 1, len(lid)) ** 0.8),
        axis=1,
    )
    wing = points((0.66, 0.02 if design.masculine else -0.02))
    canvas.fill(place(np.concatenate((lid, wing, outer[::-1]))), ink)
    for index in range(design.lashes):
        base = outer[-3 - 5 * index]
        tip = base + (0.16 - 0.03 * index, -0.10 - 0.03 * index)
        root = outer[-6 - 5 * index] if index else outer[-7]
        canvas.fill(place(np.stack((root, tip, base + (0.02, 0.08)))), ink)
    canvas.line(place(low[2:-6]), figure.pen, width=0.9, taper=(0.15, 0.5))
    crease = lid[6:-4] + (0.02, -0.26 - 0.05 * (1 - design.masculine))
    canvas.line(place(crease), figure.outline_pen(design.skin), width=0.65)


def draw_closed_eye(figure: Figure, place: Place) -> None:
    if figure.pose.happy_eyes:
        lid = smooth([(-0.50, 0.30), (-0.28, 0.02), (0.05, -0.10), (0.34, 0.04), (0.54, 0.30)])
    else:
        lid = smooth([(-0.48, 0.22), (-0.2, 0.37), (0.15, 0.40), (0.42, 0.30), (0.58, 0.14)])
    figure.canvas.line(place(lid), figure.pen, width=2.6, taper=(0.5, 0.25))
    for index in range(figure.design.lashes):
        base = lid[-3 - 6 * index]
        figure.canvas.line(
            place(np.stack((base, base + (0.10, 0.12)))), figure.pen, width=1.3, taper=(0.0, 0.9)
        )
    crease = lid[4:-6] + (0.0, -0.34)
    figure.canvas.line(place(crease), figure.outline_pen(figure.design.skin), width=0.6)


def draw_iris(figure: Figure, place: Place, side: float, squeeze: float, opening: Mask) -> None:
    canvas, color = figure.canvas, figure.design.iris
    tall = 0.50
    wide = min(tall * 0.80 / squeeze, 0.40)
    x = side * figure.pose.gaze[0] * 0.16
    y = 0.03 + figure.pose.gaze[1] * 0.12
    dark = shade(shade(color, 1.4), 1.6)
    rim = canvas.fill(place(disc(x, y, wide, tall)), mix(dark, figure.pen.color, 0.5), clip=opening)
    body = canvas.mask(place(disc(x, y, wide * 0.90, tall * 0.93)))
    body = intersect(intersect(body, rim), opening)
    canvas.fill(body, shade(color, 0.9))
    steps = 9
    for step in range(steps):
        top = y - tall * 0.15 + tall * 1.05 * step / steps
        strip = points((x - 1, top), (x + 1, top), (x + 1, y + 1), (x - 1, y + 1))
        canvas.fill(
            place(strip), mix(color, (1.0, 0.98, 0.9), 0.55 * (step + 1) / steps), 0.35, clip=body
        )
    upper = smooth([(x - 0.6, y - 0.10), (x, y + 0.0), (x + 0.6, y - 0.10)])
    canvas.fill(
        place(np.concatenate((upper, points((x + 0.6, y - 1), (x - 0.6, y - 1))))),
        dark,
        0.8,
        clip=body,
    )
    canvas.fill(
        place(disc(x, y + 0.02, wide * 0.42, tall * 0.45)),
        mix(dark, (0.05, 0.03, 0.08), 0.7),
        clip=body,
    )
    glint = canvas.mask(
        place(
            disc(
                x - side * figure.pose.light * -0.38 * wide,
                y - tall * 0.46,
                wide * 0.36,
                tall * 0.27,
            )
        )
    )
    canvas.fill(glint, (1.0, 1.0, 0.99), clip=opening)
    second = disc(
        x + side * figure.pose.light * -0.36 * wide, y + tall * 0.48, wide * 0.20, tall * 0.14
    )
    canvas.fill(place(second), (1.0, 1.0, 0.99), 0.9, clip=opening)


def draw_brows(figure: Figure) -> None:
    design, worry = figure.design, figure.pose.brows
    heavy = 2.6 if design.masculine else 1.6
    color = mix(shade(design.hair, 1.2), design.line, 0.5)
    y = 0.16 - design.eye_height * 0.5 - 0.23
    for side in (1.0, -1.0):
        brow = smooth(
            [
                (side * 0.20, y + 0.05 - 0.14 * worry),
                (side * 0.45, y - 0.06 - 0.01 * worry),
                (side * 0.74, y + 0.05 + 0.09 * worry),
            ]
        )
        figure.canvas.line(
            figure.on_face(brow), figure.pen.tinted(color), width=heavy, taper=(0.15, 0.7)
        )
