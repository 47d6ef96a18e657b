"""Faces: the contour with its shadows, eyes, brows, nose and mouth."""

from __future__ import annotations

import numpy as np

from remaster.train.drawing.character import Figure
from remaster.train.drawing.coverage import Mask
from remaster.train.drawing.curves import Points, bezier, disc, points, smooth
from remaster.train.drawing.eyes import WHITE, draw_eye
from remaster.train.drawing.paint import mix, rgb, shade

__all__ = ["draw_ears", "draw_face", "draw_features"]


def contour(figure: Figure) -> Points:
    """The face from one temple round the chin to the other, in head coordinates."""
    turn = np.sin(figure.pose.yaw)
    jaw, chin = figure.design.jaw, figure.design.chin
    half = points(
        (0.88, -0.62), (0.93, -0.28), (0.91, 0.08), (0.87 * jaw**0.5, 0.36), (0.70 * jaw, 0.68),
        (0.40 * jaw, chin - 0.16), (0.12 * jaw, chin - 0.015),
    )  # fmt: skip
    follow = points((0.02, 0), (0.02, 0), (0.05, 0), (0.12, 0), (0.26, 0), (0.40, 0), (0.46, 0))[
        :, 0
    ]
    sides = []
    for side in (1.0, -1.0):
        far = max(side * turn, 0.0)
        x = side * half[:, 0] * (1 - 0.12 * far) + turn * follow
        x[2] -= side * 0.07 * far
        x[3] += side * 0.02 * far
        sides.append(
            np.stack(
                (x, half[:, 1] + 0.35 * np.sin(figure.pose.pitch) * (half[:, 1] > 0.5)), axis=1
            )
        )
    return smooth(np.concatenate((sides[0], sides[1][::-1])), count=6)


def draw_ears(figure: Figure) -> None:
    skin = figure.design.skin
    for side in (1.0, -1.0):
        turn = np.sin(figure.pose.yaw)
        if side * turn > 0.25:
            continue
        x = side * 0.9 - 0.30 * turn * (side * turn < 0)
        ear = smooth(
            [(x - side * 0.08, -0.02), (x + side * 0.12, -0.06), (x + side * 0.17, 0.12),
             (x + side * 0.08, 0.36), (x - side * 0.06, 0.42)], count=6
        )  # fmt: skip
        figure.canvas.fill(figure.at(ear), shade(skin, 0.5))
        figure.canvas.line(figure.at(ear), figure.outline_pen(skin))
        inner = smooth([(x - side * 0.02, 0.04), (x + side * 0.09, 0.06), (x + side * 0.04, 0.24)])
        figure.canvas.line(figure.at(inner), figure.outline_pen(skin), width=0.7)


def draw_face(figure: Figure, cast: Points | None) -> Mask:
    """Skin, its shadow tones and its contour; `cast` is the fringe's edge in scene points."""
    canvas, design = figure.canvas, figure.design
    edge = contour(figure)
    crown = smooth([edge[-1], (-0.7, -1.0), (0.0, -1.15), (0.7, -1.0), edge[0]], count=5)
    face = canvas.fill(figure.at(np.concatenate((edge, crown[1:-1]))), design.skin)
    tone = shade(design.skin)
    if cast is not None:
        canvas.fill(cast, tone, clip=face)
    light = figure.pose.light
    dark_side = edge if light > 0 else edge[::-1]
    away = dark_side[-22:]
    lift = (
        np.linspace(0.03, 0.20, len(away)) * np.sin(np.linspace(0.15, np.pi - 0.1, len(away))) * 1.5
    )
    inner = away + np.stack((light * lift, -0.25 * lift), axis=1)
    canvas.fill(figure.at(np.concatenate((away, inner[::-1]))), tone, clip=face)
    if figure.pose.blush:
        for side in (1.0, -1.0):
            draw_blush(figure, side, face)
    canvas.line(figure.at(edge[6:-6]), figure.outline_pen(design.skin), taper=(0.12, 0.12))
    return face


def draw_blush(figure: Figure, side: float, face: Mask) -> None:
    center = points((side * 0.60, 0.50))
    pink = mix(figure.design.skin, rgb("e06858"), 0.45)
    for grow in (1.0, 0.82, 0.64, 0.46):
        spot = figure.on_face(disc(center[0, 0], center[0, 1], 0.22 * grow, 0.11 * grow))
        figure.canvas.fill(spot, pink, 0.22, clip=face)
    strokes = [
        figure.on_face(points((side * 0.60 + dx + 0.025, 0.44), (side * 0.60 + dx - 0.025, 0.55)))
        for dx in (-0.09, 0.0, 0.09)
    ]
    figure.canvas.lines(strokes, figure.pen.tinted(rgb("c05848"), 0.9), width=0.7)


def draw_features(figure: Figure) -> None:
    """Nose, mouth and eyes."""
    draw_nose(figure)
    draw_mouth(figure)
    turn = np.sin(figure.pose.yaw)
    for side in (1.0, -1.0):
        far = max(side * turn, 0.0)
        draw_eye(figure, side, 1 - 0.22 * far)


def draw_nose(figure: Figure) -> None:
    turn = np.sin(figure.pose.yaw)
    y = 0.58 * (figure.design.chin / 1.1)
    lean = 1.0 if turn >= 0 else -1.0
    pen = figure.outline_pen(figure.design.skin)
    if abs(turn) < 0.12:
        wedge = points(
            (0.0, y - 0.05), (0.055 * figure.pose.light * -1, y + 0.02), (0.0, y + 0.035)
        )
        figure.canvas.fill(figure.on_face(wedge, 1.2), shade(figure.design.skin, 1.2))
        figure.canvas.line(
            figure.on_face(bezier((-0.03, y + 0.03), (0.0, y + 0.055), (0.03, y + 0.03)), 1.2),
            pen,
            width=0.7,
        )
        return
    long = 0.16 if figure.design.masculine else 0.09
    ridge = bezier((0.01 * lean, y - long), (0.085 * lean, y + 0.0), (0.07 * lean, y + 0.02))
    under = bezier(
        (0.07 * lean, y + 0.02), (0.03 * lean, y + 0.05), (-0.02 * lean, y + 0.04), count=8
    )
    shadow = np.concatenate((under, points((0.0, y + 0.085))))
    figure.canvas.fill(figure.on_face(shadow, 1.2), shade(figure.design.skin))
    figure.canvas.line(figure.on_face(ridge, 1.2), pen, width=0.9, taper=(0.6, 0.1))
    figure.canvas.line(figure.on_face(under, 1.2), pen, width=0.7, taper=(0.1, 0.6))


def draw_mouth(figure: Figure) -> None:
    y = 0.80 * (figure.design.chin / 1.1)
    kind = figure.pose.mouth
    pen = figure.pen
    flat = {"smile": 0.045, "line": 0.0, "sad": -0.05}
    if kind in flat:
        bend = flat[kind]
        half = 0.17 if kind == "smile" else 0.13
        lips = smooth(
            [
                (-half, y - bend),
                (-half * 0.4, y + bend * 0.45),
                (half * 0.4, y + bend * 0.45),
                (half, y - bend),
            ]
        )
        figure.canvas.line(figure.on_face(lips, 1.15), pen, taper=(0.2, 0.2))
        low = figure.on_face(points((-0.05, y + 0.115), (0.05, y + 0.115)), 1.15)
        figure.canvas.line(low, figure.outline_pen(figure.design.skin), width=0.6)
        return
    half, top, deep = {
        "small": (0.09, -0.015, 0.08),
        "half": (0.15, -0.02, 0.13),
        "wide": (0.23, -0.05, 0.25),
        "round": (0.085, -0.07, 0.13),
        "teeth": (0.22, -0.04, 0.10),
    }[kind]
    corner = y + (0.02 if kind == "round" else -0.02)
    upper = bezier(
        (-half, corner), (-half * 0.4, y + top), (half * 0.4, y + top), (half, corner), count=12
    )
    lower = bezier(
        (half, corner),
        (half * 0.85, y + deep * 1.25),
        (-half * 0.85, y + deep * 1.25),
        (-half, corner),
        count=16,
    )
    inside = figure.canvas.fill(
        figure.on_face(np.concatenate((upper, lower[1:-1])), 1.15), rgb("8a3a38")
    )
    if kind in ("wide", "half"):
        tongue = disc(0.0, y + deep * 1.02, half * 0.62, deep * 0.42)
        figure.canvas.fill(figure.on_face(tongue, 1.15), rgb("d0786c"), clip=inside)
    if kind in ("wide", "teeth"):
        bottom = y + (0.035 if kind == "wide" else deep)
        teeth = np.concatenate(
            (upper - points((0, 0.05)), points((half * 0.8, bottom), (-half * 0.8, bottom)))
        )
        figure.canvas.fill(figure.on_face(teeth, 1.15), WHITE, clip=inside)
    figure.canvas.line(figure.on_face(upper, 1.15), pen, taper=(0.15, 0.15))
    figure.canvas.line(figure.on_face(lower, 1.15), pen, width=0.8, taper=(0.1, 0.1))
