"""Bodies: neck, clothes and arms in two tones, and the order in which a character is painted."""

from __future__ import annotations

import numpy as np

from remaster.train.drawing.canvas import Color
from remaster.train.drawing.character import Figure
from remaster.train.drawing.clothes import draw_accessory, draw_collar
from remaster.train.drawing.coverage import Mask
from remaster.train.drawing.curves import Points, bezier, points, resample, ribbon, smooth
from remaster.train.drawing.eyes import draw_brows
from remaster.train.drawing.face import contour, draw_ears, draw_face, draw_features
from remaster.train.drawing.fringe import draw_front_hair, fringe_edge
from remaster.train.drawing.hair import draw_back_hair, draw_head_from_behind
from remaster.train.drawing.paint import mix, rgb, shade

__all__ = ["draw_character"]


def draw_character(figure: Figure) -> None:
    """A whole character: hair behind, body, head, features, hair in front."""
    if figure.pose.behind:
        draw_character_from_behind(figure)
        return
    draw_back_hair(figure)
    draw_legs(figure)
    draw_neck(figure)
    draw_torso(figure)
    draw_arms(figure)
    draw_ears(figure)
    locks, _ = fringe_edge(figure)
    fringe = np.concatenate([figure.on_face(lock, 1.12) for lock in locks])
    drop = figure.place.scale * np.array((-0.05 * figure.pose.light, 0.10))
    ceiling = figure.at(points((1.2, -1.2), (-1.2, -1.2)))
    draw_face(figure, np.concatenate((fringe + drop, ceiling)))
    draw_features(figure)
    draw_front_hair(figure)
    draw_brows(figure)
    draw_accessory(figure)


def draw_character_from_behind(figure: Figure) -> None:
    draw_legs(figure)
    draw_neck(figure)
    draw_torso(figure)
    draw_arms(figure)
    draw_ears(figure)
    draw_head_from_behind(figure)


def draw_neck(figure: Figure) -> None:
    canvas, design = figure.canvas, figure.design
    wide = 0.36 if design.masculine else 0.29
    chin = design.chin
    lean = 0.15 * np.sin(figure.pose.yaw)
    left = smooth(
        [
            (-wide + lean, 0.6),
            (-wide + lean * 0.6, chin + 0.2),
            (-wide - 0.06, 1.55),
            (-wide - 0.5, 1.9),
        ]
    )
    right = smooth(
        [
            (wide + lean, 0.6),
            (wide + lean * 0.6, chin + 0.2),
            (wide + 0.06, 1.55),
            (wide + 0.5, 1.9),
        ]
    )
    neck = canvas.fill(figure.on_body(np.concatenate((left, right[::-1]))), design.skin)
    jaw = figure.at(contour(figure))
    canvas.fill(
        jaw + figure.place.scale * np.array((-0.08 * figure.pose.light, 0.26)),
        shade(design.skin),
        clip=neck,
    )
    pen = figure.outline_pen(design.skin)
    canvas.line(figure.on_body(left[6:]), pen)
    canvas.line(figure.on_body(right[6:]), pen)
    bone = [
        figure.on_body(bezier((s * 0.12, 1.72), (s * 0.35, 1.70), (s * 0.6, 1.64)))
        for s in (-1.0, 1.0)
    ]
    canvas.lines(bone, pen, width=0.7)


def draw_torso(figure: Figure) -> None:
    canvas, design = figure.canvas, figure.design
    wide = design.shoulders
    hem = 6.4 if design.outfit == "robe" else 5.0
    waist = 0.92 if design.masculine else 0.78
    hip = 0.5 * waist + 0.42 * wide
    chest = points((1.08 * wide, 1.78), (1.18 * wide, 2.1), (1.02 * wide, 2.8))
    below = points((waist * wide, 3.7), (hip, 4.3), (0.95 * wide, hem))
    half = np.concatenate((points((0.40, 1.50), (0.72, 1.60)), chest, below))
    right = smooth(half)
    left = right * (-1, 1)
    color = design.cloth
    open_front = design.outfit in ("sailor", "robe") and not figure.pose.behind
    neckline = 2.05 if open_front else 1.45 if figure.pose.behind else 1.72
    hollow = bezier((-0.40, 1.50), (0.0, neckline), (0.40, 1.50))
    body = canvas.fill(figure.on_body(np.concatenate((hollow, right, left[::-1]))), color)
    side = -figure.pose.light
    dark = smooth(
        [
            (side * 0.55, 1.4),
            (side * 0.62, 2.2),
            (side * 0.45, 3.0),
            (side * 0.6, 4.2),
            (side * 0.5, 7.0),
        ]
    )
    rest = points((side * 2.2, 7.0), (side * 2.2, 1.4))
    canvas.fill(figure.on_body(np.concatenate((dark, rest))), shade(color), clip=body)
    draw_folds(figure, body, color)
    pen = figure.outline_pen(color)
    canvas.line(figure.on_body(right), pen, taper=(0.1, 0.1))
    canvas.line(figure.on_body(left), pen, taper=(0.1, 0.1))
    canvas.line(figure.on_body(np.stack((left[-1], right[-1]))), pen, taper=(0.02, 0.02))
    if not figure.pose.behind:
        draw_collar(figure, body)


def draw_folds(figure: Figure, body: Mask, color: Color) -> None:
    rng = np.random.default_rng([figure.design.seed, 17])
    pen = figure.outline_pen(color)
    for side in (-1.0, 1.0):
        for _ in range(3):
            y = rng.uniform(2.3, 4.0)
            start = (side * figure.design.shoulders * 1.0, y)
            end = (side * rng.uniform(0.3, 0.7), y + rng.uniform(0.1, 0.7))
            middle = ((start[0] + end[0]) / 2, y + rng.uniform(-0.1, 0.2))
            fold = bezier(start, middle, end)
            canvas_fold = figure.on_body(
                np.concatenate(
                    (fold, fold[::-1] + (0.0, 0.10) * np.linspace(0, 1, len(fold))[:, None])
                )
            )
            figure.canvas.fill(canvas_fold, shade(color), clip=body)
            figure.canvas.line(figure.on_body(fold), pen, clip=body, width=0.8, taper=(0.1, 0.8))


def draw_arms(figure: Figure) -> None:
    wide, swing = figure.design.shoulders, figure.pose.swing
    for side in (-1.0, 1.0):
        shoulder = (side * 1.00 * wide, 2.02)
        raised = figure.pose.arms == "wave" and side == figure.pose.light
        joints = {
            "down": [shoulder, (side * 1.26 * wide, 3.6), (side * 1.2 * wide, 5.1)],
            "hip": [shoulder, (side * 1.85 * wide, 3.2), (side * 1.0 * wide, 4.4)],
            "chest": [shoulder, (side * 1.36 * wide, 3.5), (side * 0.30, 2.95)],
            "wave": [shoulder, (side * 1.70 * wide, 2.9), (side * (1.85 * wide + swing), 1.4)],
        }["down" if figure.pose.arms == "wave" and not raised else figure.pose.arms]
        draw_arm(figure, joints, side)


def draw_arm(figure: Figure, joints: list[tuple[float, float]], side: float) -> None:
    canvas, design = figure.canvas, figure.design
    curve = resample(smooth(joints, count=10), 28)
    along = np.linspace(0, 1, 28)
    thick = (0.28 if design.masculine else 0.235) * np.interp(
        along, [0, 0.1, 0.3, 0.55, 1], [1.2, 1.9, 1.85, 1.6, 1.15]
    )
    if design.outfit == "robe":
        thick = thick + 0.5 * np.clip(along - 0.35, 0, 1)
    draw_hand(figure, curve)
    sleeve = ribbon(curve, thick + 0.12)
    mask = canvas.fill(figure.on_body(sleeve), design.cloth)
    offset = np.array((-figure.pose.light * 0.17, 0.06))
    canvas.fill(
        figure.on_body(ribbon(curve + offset, thick * 0.8 * np.clip(along * 3, 0.02, 1))),
        shade(design.cloth),
        clip=mask,
    )
    pen = figure.outline_pen(design.cloth)
    half = len(curve) + 1
    start = 4 if side > 0 else 1
    canvas.line(figure.on_body(sleeve[start:half]), pen, taper=(0.15, 0.05))
    canvas.line(
        figure.on_body(sleeve[half + 1 : len(sleeve) - (5 - start)]), pen, taper=(0.05, 0.15)
    )
    canvas.line(
        figure.on_body(np.stack((sleeve[half - 1], sleeve[half + 1]))), pen, taper=(0.05, 0.05)
    )
    elbow = curve[14]
    folds = [
        bezier(tuple(elbow + (side * 0.2, -0.1)), tuple(elbow), tuple(elbow + (-side * 0.15, d)))
        for d in (0.0, 0.18)
    ]
    canvas.lines([figure.on_body(f) for f in folds], pen, clip=mask, width=0.8)


def draw_hand(figure: Figure, arm: Points) -> None:
    wrist, ahead = arm[-1], arm[-1] - arm[-4]
    ahead = ahead / np.hypot(*ahead)
    aside = np.array((-ahead[1], ahead[0]))

    def place(local: Points) -> Points:
        return figure.on_body(wrist + local[:, :1] * aside + local[:, 1:] * ahead)

    skin, pen = figure.design.skin, figure.outline_pen(figure.design.skin)
    palm = smooth(
        [
            (-0.15, -0.2),
            (-0.20, 0.16),
            (-0.17, 0.42),
            (-0.08, 0.62),
            (0.06, 0.60),
            (0.16, 0.40),
            (0.20, 0.12),
            (0.15, -0.2),
        ]
    )
    thumb = smooth([(0.16, 0.02), (0.30, 0.20), (0.28, 0.36), (0.16, 0.26)])
    for shape in (thumb, palm):
        figure.canvas.fill(place(shape), skin)
        figure.canvas.line(place(shape), pen, taper=(0.05, 0.05))
    fingers = [place(points((x, 0.28), (x * 0.9, 0.56))) for x in (-0.07, 0.02, 0.10)]
    figure.canvas.lines(fingers, pen, width=0.7)


def draw_legs(figure: Figure) -> None:
    """Legs with shoes, in trousers or under a skirt; hidden in any but distant shots."""
    canvas, design = figure.canvas, figure.design
    trousers = design.masculine or design.outfit in ("sweater", "jacket")
    color = mix(design.trim, (0.2, 0.2, 0.25), 0.35) if trousers else design.skin
    pen = figure.outline_pen(color)
    for side in (-1.0, 1.0):
        x = side * 0.48 * design.shoulders
        leg = smooth([(x, 4.6), (x * 1.05, 6.6), (x * 1.02, 7.6), (x * 1.08, 9.7)], count=8)
        thick = (
            np.interp(
                np.linspace(0, 1, len(leg)), [0, 0.4, 0.55, 0.7, 1], [0.95, 0.72, 0.56, 0.56, 0.36]
            )
            + 0.10 * trousers
        )
        outline = ribbon(leg, thick)
        mask = canvas.fill(figure.on_body(outline), color)
        canvas.fill(
            figure.on_body(ribbon(leg - (0.22 * figure.pose.light, 0), thick * 0.7)),
            shade(color),
            clip=mask,
        )
        canvas.line(figure.on_body(outline[1 : len(leg) + 1]), pen, taper=(0.05, 0.05))
        canvas.line(figure.on_body(outline[len(leg) + 2 :]), pen, taper=(0.05, 0.05))
        shoe = smooth(
            [
                (x - 0.26, 9.6),
                (x + 0.26, 9.6),
                (x + 0.32 + 0.1 * side, 10.0),
                (x - 0.32 + 0.1 * side, 10.0),
            ],
            closed=True,
        )
        canvas.fill(figure.on_body(shoe), mix(design.line, (0.3, 0.25, 0.25), 0.4))
        if not trousers:
            sock = ribbon(leg[-8:], thick[-8:] * 1.1)
            canvas.fill(figure.on_body(sock), rgb("e8e4dc"))
            canvas.line(figure.on_body(sock), pen, taper=(0.05, 0.05))
    if not trousers and design.outfit != "robe":
        draw_skirt(figure)


def draw_skirt(figure: Figure) -> None:
    color = mix(figure.design.trim, (0.25, 0.25, 0.35), 0.25)
    pen, wide = figure.outline_pen(color), figure.design.shoulders
    hem = np.stack((np.linspace(-1.25, 1.25, 13) * wide, 6.7 + 0.09 * (np.arange(13) % 2)), axis=1)
    shape = np.concatenate((points((-0.72 * wide, 4.2)), hem, points((0.72 * wide, 4.2))))
    mask = figure.canvas.fill(figure.on_body(shape), color)
    side = -figure.pose.light
    dark = [np.stack((hem[i] * (0.55, 0) + (0, 4.2), hem[i], hem[i + 1])) for i in range(1, 12, 2)]
    dark.append(
        points((side * 0.5, 4.2), (side * 2, 4.2), (side * 2, 7), (side * 0.75, 7))[:: int(side)]
    )
    for fold in dark:
        figure.canvas.fill(figure.on_body(fold), shade(color), clip=mask)
    figure.canvas.lines(
        [figure.on_body(np.stack((h * (0.55, 0) + (0, 4.3), h))) for h in hem[1:-1:2]],
        pen,
        width=0.8,
        taper=(0.5, 0.02),
    )
    figure.canvas.line(figure.on_body(shape), pen, taper=(0.02, 0.02))
