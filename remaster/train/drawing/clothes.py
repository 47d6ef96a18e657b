"""What a character wears: collars and fronts by outfit, bows, and things on the head."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from remaster.train.drawing.canvas import Canvas, Color, Pen
from remaster.train.drawing.character import Figure
from remaster.train.drawing.coverage import Mask
from remaster.train.drawing.curves import Points, bezier, disc, points, smooth, superellipse
from remaster.train.drawing.paint import mix, rgb, shade

__all__ = ["draw_accessory", "draw_collar"]

Place = Callable[[Points], Points]


def draw_collar(figure: Figure, body: Mask) -> None:
    """The front of the character's outfit, over the torso's coverage."""
    if figure.design.outfit == "sailor":
        draw_sailor_collar(figure)
    elif figure.design.outfit == "shirt":
        draw_shirt_collar(figure, body)
    elif figure.design.outfit == "jacket":
        draw_jacket_front(figure, body)
    elif figure.design.outfit == "sweater":
        draw_round_collar(figure, body)
    else:
        draw_robe_front(figure, body)


def draw_sailor_collar(figure: Figure) -> None:
    trim = figure.design.trim
    pen = figure.outline_pen(trim)
    for side in (-1.0, 1.0):
        flap = smooth([(side * 0.38, 1.46), (side * 0.80, 1.62), (side * 0.98, 2.05)], count=6)
        inner = bezier((side * 0.98, 2.05), (side * 0.5, 2.25), (0.0, 2.62))
        neck = bezier((0.0, 2.62), (side * 0.25, 2.0), (side * 0.38, 1.46))
        outline = np.concatenate((flap, inner[1:], neck[1:]))
        figure.canvas.fill(figure.on_body(outline), trim)
        stripe = (np.concatenate((flap, inner[1:])) - (0, 1.9)) * (0.86, 0.82) + (0, 1.92)
        figure.canvas.line(
            figure.on_body(stripe),
            figure.pen.tinted(mix(figure.design.cloth, (1, 1, 1), 0.5)),
            width=0.9,
        )
        figure.canvas.line(figure.on_body(np.concatenate((flap, inner[1:]))), pen)
        figure.canvas.line(figure.on_body(neck), pen)
    red = mix(rgb("b04038"), trim, 0.2)
    draw_bow(
        figure.canvas,
        figure.outline_pen(red),
        red,
        lambda local: figure.on_body(local + (0.0, 2.68)),
    )


def draw_bow(canvas: Canvas, pen: Pen, color: Color, place: Place) -> None:
    """A bow tied at (0, 0), about one unit wide."""
    for side in (-1.0, 1.0):
        tail = points((0.0, 0.0), (side * 0.22, 0.75), (side * 0.40, 0.62), (side * 0.08, 0.0))
        canvas.fill(place(tail), shade(color, 0.7))
        canvas.line(place(tail), pen)
        loop = smooth(
            [
                (0.0, 0.0),
                (side * 0.30, -0.20),
                (side * 0.52, -0.10),
                (side * 0.48, 0.20),
                (side * 0.2, 0.12),
                (0.0, 0.03),
            ]
        )
        canvas.fill(place(loop), color)
        canvas.line(place(loop), pen)
        crease = bezier((side * 0.04, 0.02), (side * 0.2, -0.04), (side * 0.34, 0.0))
        canvas.line(place(crease), pen, width=0.8)
    knot = smooth([(-0.09, -0.09), (0.09, -0.09), (0.09, 0.10), (-0.09, 0.10)], closed=True)
    canvas.fill(place(knot), color)
    canvas.line(place(np.concatenate((knot, knot[:1]))), pen)


def draw_shirt_collar(figure: Figure, body: Mask) -> None:
    color = mix(figure.design.cloth, (1, 1, 1), 0.35)
    pen = figure.outline_pen(color)
    middle = figure.on_body(points((0.0, 1.8), (0.02, 6.0)))
    figure.canvas.line(middle, pen, clip=body)
    buttons = [figure.on_body(disc(0.08, y, 0.05, count=10)) for y in (2.4, 3.0, 3.6, 4.2)]
    figure.canvas.fill(buttons, shade(color, 1.2))
    if figure.design.masculine:
        tie = points((-0.1, 1.85), (0.1, 1.85), (0.2, 3.6), (0.0, 3.9), (-0.2, 3.6))
        figure.canvas.fill(figure.on_body(tie), figure.design.trim)
        figure.canvas.line(
            figure.on_body(np.concatenate((tie, tie[:1]))), figure.outline_pen(figure.design.trim)
        )
    for side in (-1.0, 1.0):
        wing = points(
            (side * 0.36, 1.38),
            (side * 0.62, 1.60),
            (side * 0.42, 2.18),
            (0.0, 1.80),
            (side * 0.2, 1.62),
        )
        figure.canvas.fill(figure.on_body(wing), color)
        under = points((side * 0.62, 1.60), (side * 0.42, 2.18), (side * 0.46, 1.75))
        figure.canvas.fill(figure.on_body(under), shade(color, 0.7))
        figure.canvas.line(figure.on_body(wing[:4]), pen, taper=(0.05, 0.05))
        figure.canvas.line(figure.on_body(wing[3:]), pen, taper=(0.05, 0.3))


def draw_jacket_front(figure: Figure, body: Mask) -> None:
    trim = figure.design.trim
    inner = points((-0.42, 1.46), (0.42, 1.46), (0.10, 4.0), (-0.10, 4.0))
    figure.canvas.fill(figure.on_body(inner), trim, clip=body)
    neck = bezier((-0.38, 1.55), (0.0, 2.0), (0.38, 1.55))
    figure.canvas.fill(
        figure.on_body(np.concatenate((neck, points((0.38, 1.2), (-0.38, 1.2))))),
        figure.design.skin,
        clip=body,
    )
    figure.canvas.line(figure.on_body(neck), figure.outline_pen(trim))
    color = mix(figure.design.cloth, (1, 1, 1), 0.08)
    pen = figure.outline_pen(figure.design.cloth)
    for side in (-1.0, 1.0):
        lapel = points(
            (side * 0.36, 1.42),
            (side * 0.74, 1.62),
            (side * 0.86, 2.2),
            (side * 0.62, 2.3),
            (side * 0.72, 2.5),
            (side * 0.04, 4.0),
        )
        figure.canvas.fill(figure.on_body(lapel), color)
        figure.canvas.line(figure.on_body(lapel[1:]), pen, taper=(0.05, 0.1))
        figure.canvas.line(
            figure.on_body(bezier((side * 0.36, 1.42), (side * 0.3, 2.4), (side * 0.04, 4.0))), pen
        )


def draw_round_collar(figure: Figure, body: Mask) -> None:
    color = figure.design.trim
    upper = bezier((-0.42, 1.36), (0.0, 1.66), (0.42, 1.36))
    lower = bezier((0.55, 1.56), (0.0, 2.05), (-0.55, 1.56))
    figure.canvas.fill(figure.on_body(np.concatenate((upper, lower))), color)
    pen = figure.outline_pen(color)
    figure.canvas.line(figure.on_body(upper), pen)
    figure.canvas.line(figure.on_body(lower), pen)
    for y in (2.75, 3.05):
        band = smooth([(-2.0, y), (0.0, y + 0.08), (2.0, y)])
        stripe = np.concatenate((band, band[::-1] + (0, 0.16)))
        figure.canvas.fill(figure.on_body(stripe), color, clip=body)


def draw_robe_front(figure: Figure, body: Mask) -> None:
    """A crossed collar over a white under-robe, and a sash."""
    canvas, color, trim = figure.canvas, figure.design.cloth, figure.design.trim
    opening = points((-0.40, 1.62), (0.40, 1.62), (0.26, 2.1), (0.0, 2.45), (-0.26, 2.1))
    canvas.fill(figure.on_body(opening), figure.design.skin)
    pen = figure.outline_pen(trim)
    for side in (1.0, -1.0):
        edge = bezier((side * 0.34, 1.36), (side * 0.30, 2.0), (-side * 0.42, 3.3), count=18)
        white = np.concatenate((edge, (edge + (0.11 * side, 0.02))[::-1]))
        band = np.concatenate((edge + (0.10 * side, 0.02), (edge + (0.34 * side, 0.08))[::-1]))
        canvas.fill(figure.on_body(white), rgb("e8e2d4"))
        canvas.fill(figure.on_body(band), trim)
        for dx, dy in ((0.0, 0.0), (0.10, 0.02), (0.34, 0.08)):
            canvas.line(figure.on_body(edge + (dx * side, dy)), pen, taper=(0.05, 0.05))
    sash = points((-1.4, 3.3), (1.4, 3.3), (1.4, 4.05), (-1.4, 4.05))
    belt = canvas.fill(figure.on_body(sash), trim, clip=body)
    canvas.fill(figure.on_body(sash + (0.0, 0.5)), shade(trim), clip=belt)
    for y in (3.3, 4.05):
        canvas.line(
            figure.on_body(points((-1.3, y), (0.0, y + 0.03), (1.3, y))),
            pen,
            clip=body,
            taper=(0.02, 0.02),
        )
    canvas.line(
        figure.on_body(bezier((0.1, 4.05), (0.25, 5.0), (0.2, 6.4))),
        figure.outline_pen(color),
        clip=body,
    )


def draw_accessory(figure: Figure) -> None:
    """What is worn on the head."""
    if figure.design.accessory == "ribbon":
        draw_ribbon(figure)
    elif figure.design.accessory == "band":
        draw_band(figure)
    elif figure.design.accessory == "glasses":
        draw_glasses(figure)
    elif figure.design.accessory == "clip":
        draw_clip(figure)


def draw_ribbon(figure: Figure) -> None:
    side = 1.0 if figure.pose.yaw < 0 else -1.0
    color = mix(figure.design.trim, rgb("c04848"), 0.5)
    draw_bow(
        figure.canvas,
        figure.outline_pen(color),
        color,
        lambda local: figure.at(local * 0.9 + (side * 0.62, -1.05)),
    )


def draw_band(figure: Figure) -> None:
    xs = np.linspace(-1.04, 1.04, 21)
    low = np.stack((xs, -0.38 - 0.62 * np.sqrt(1 - (xs / 1.1) ** 2)), axis=1)
    color = figure.design.trim
    pen = figure.outline_pen(color)
    band = np.concatenate((low, (low * (1.02, 1.0) - (0.0, 0.15))[::-1]))
    mask = figure.canvas.fill(figure.on_face(band, 1.16), color)
    dark = band[:21] - (0.0, 0.02)
    figure.canvas.fill(
        figure.on_face(np.concatenate((dark, (dark - (0, 0.05))[::-1])), 1.16),
        shade(color),
        clip=mask,
    )
    figure.canvas.lines(
        [figure.on_face(low, 1.16), figure.on_face(band[21:], 1.16)], pen, taper=(0.02, 0.02)
    )


def draw_glasses(figure: Figure) -> None:
    design = figure.design
    pen = figure.pen.tinted(design.trim, 0.3)
    rims = []
    for side in (-1.0, 1.0):
        rim = superellipse(side * design.eye_spread, 0.19, 0.36, 0.33, 2.6)
        glass = figure.canvas.mask(figure.on_face(rim, 1.2))
        glare = points(
            (side * design.eye_spread - 0.1, -0.2),
            (side * design.eye_spread + 0.04, -0.2),
            (side * design.eye_spread - 0.2, 0.6),
            (side * design.eye_spread - 0.34, 0.6),
        )
        figure.canvas.fill(figure.on_face(glare, 1.2), (1.0, 1.0, 1.0), 0.30, clip=glass)
        rims.append(figure.on_face(np.concatenate((rim, rim[:2])), 1.2))
        rims.append(
            figure.on_face(
                points((side * (design.eye_spread + 0.36), 0.12), (side * 0.95, 0.08)), 1.1
            )
        )
    rims.append(figure.on_face(bezier((-0.09, 0.16), (0.0, 0.11), (0.09, 0.16)), 1.2))
    figure.canvas.lines(rims, pen, width=1.15, taper=(0.01, 0.01))


def draw_clip(figure: Figure) -> None:
    side = 1.0 if figure.design.parting < 0 else -1.0
    color = mix(figure.design.trim, rgb("e0a050"), 0.5)
    for y in (-0.50, -0.40):
        bar = points(
            (side * 0.50, y),
            (side * 0.78, y + 0.09),
            (side * 0.77, y + 0.14),
            (side * 0.49, y + 0.05),
        )
        figure.canvas.fill(figure.on_face(bar, 1.18), color)
        figure.canvas.line(
            figure.on_face(np.concatenate((bar, bar[:1])), 1.18),
            figure.pen,
            width=0.8,
            taper=(0.02, 0.02),
        )
