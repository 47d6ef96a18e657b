"""Hair over a face: the fringe in pointed locks, side locks, the ring of shine."""

from __future__ import annotations

import numpy as np

from remaster.train.drawing.canvas import Color
from remaster.train.drawing.character import Figure
from remaster.train.drawing.coverage import Mask
from remaster.train.drawing.curves import Points, bezier, points, smooth
from remaster.train.drawing.hair import bundle, draw_bundles, tones

__all__ = ["draw_front_hair", "fringe_edge"]


def fringe_edge(figure: Figure) -> tuple[list[Points], Points]:
    """The fringe's lower edge in head coordinates before turning: locks, and their notches."""
    design, pose = figure.design, figure.pose
    rng = np.random.default_rng([design.seed, 7])
    count = design.locks
    xs = np.linspace(-1.0, 1.0, count + 1)
    xs[1:-1] += rng.uniform(-0.35, 0.35, count - 1) / count
    gap = int(np.argmin(np.abs(xs - design.parting)))
    gap = min(max(gap, 1), count - 1)
    notch_y = design.fringe - rng.uniform(0.16, 0.36, count + 1)
    notch_y[gap] = -0.78
    notch_y[0] = notch_y[-1] = 0.0
    locks = []
    for i in range(count):
        left, right = xs[i], xs[i + 1]
        outward = -1.0 if i < gap else 1.0
        beside = i in (gap - 1, gap)
        lean = (
            outward * rng.uniform(0.25, 0.75) / count * (1.4 if beside else 1.0) + design.curl * 0.4
        )
        side = abs((left + right) / 2)
        drop = design.fringe + rng.uniform(-0.06, 0.14) + 0.30 * side**3
        tip = ((left + right) / 2 + lean + pose.sway * 0.3, drop)
        start, end = (left, notch_y[i]), (right, notch_y[i + 1])
        bulge = 0.16 / count * 6 * 0.16
        if outward < 0:
            down = bezier(
                start,
                (start[0] * 0.75 + tip[0] * 0.25, tip[1] * 0.55 + start[1] * 0.45),
                tip,
                count=9,
            )
            up = bezier(
                tip,
                (tip[0] * 0.25 + end[0] * 0.75 + bulge, tip[1] * 0.7 + end[1] * 0.3),
                end,
                count=9,
            )
        else:
            down = bezier(
                start,
                (start[0] * 0.75 + tip[0] * 0.25 - bulge, tip[1] * 0.7 + start[1] * 0.3),
                tip,
                count=9,
            )
            up = bezier(
                tip, (tip[0] * 0.25 + end[0] * 0.75, tip[1] * 0.55 + end[1] * 0.45), end, count=9
            )
        locks.append(np.concatenate((down, up[1:])))
    return locks, np.stack((xs, notch_y), axis=1)


def crown(figure: Figure, rng: np.random.Generator) -> Points:
    """The hair's outline over the skull, from right ear to left ear, slightly lumpy."""
    angle = np.linspace(1.75, -1.75, 30)
    lump = (
        1
        + 0.015 * np.sin(angle * 5 + rng.uniform(0, 6))
        + 0.01 * np.sin(angle * 9 + rng.uniform(0, 6))
    )
    shift = 0.06 * np.sin(figure.pose.yaw)
    return np.stack(
        (1.13 * np.sin(angle) * lump - shift, -0.10 - 1.24 * np.cos(angle) * lump), axis=1
    )


def draw_front_hair(figure: Figure) -> Mask:
    """Fringe, side locks, shadow and the ring of shine."""
    canvas, design, pose = figure.canvas, figure.design, figure.pose
    rng = np.random.default_rng([design.seed, 13])
    dark, base, bright = tones(figure)
    pen = figure.outline_pen(design.hair)
    draw_side_locks(figure, rng)
    locks, notches = fringe_edge(figure)
    turned = [figure.on_face(lock, 1.14) for lock in locks]
    over_skull = figure.at(crown(figure, rng))
    outline = np.concatenate((*turned, over_skull))
    hair = canvas.fill(outline, base)
    for lock in turned:
        half = len(lock) // 2
        edge = lock[: half + 1] if pose.light > 0 else lock[half:]
        tip = lock[half]
        inner = edge * 0.55 + (lock[-1] if pose.light > 0 else lock[0]) * 0.25 + tip * 0.20
        canvas.fill(np.concatenate((edge, inner[::-1])), dark, clip=hair)
    side = -pose.light
    rim = points((side * 1.3, 0.3), (side * 1.3, -1.5), (side * 0.35, -1.5))
    fold = smooth(
        [(side * 0.45, -1.3), (side * 0.85, -0.85), (side * 0.80, -0.3), (side * 0.95, 0.3)]
    )
    canvas.fill(figure.at(np.concatenate((rim, fold))), dark, clip=hair)
    draw_shine(figure, rng, bright, hair)
    part = figure.on_face(points((design.parting * 0.9, -1.0)), 1.14)[0]
    top = figure.on_face(points((design.parting * 0.75, -1.12)), 1.0)[0]
    strands = []
    for x, y in notches[1:-1]:
        root = figure.on_face(points((x, y)), 1.14)[0]
        above = figure.on_face(points((x * 0.95, (y - 1.0) / 2)), 1.22)[0]
        end = part * 0.7 + top * 0.3
        strands.append(bezier(tuple(root), tuple(above), tuple(end))[: int(rng.integers(8, 15))])
    canvas.lines(strands, pen, width=0.85, taper=(0.05, 0.75))
    for lock in turned:
        half = len(lock) // 2
        canvas.line(lock[: half + 1], pen, taper=(0.15, 0.12))
        canvas.line(lock[half:], pen, taper=(0.12, 0.15))
    if design.hair_back != "spiky":
        canvas.line(over_skull, pen, taper=(0.05, 0.05), width=1.1)
    return hair


def draw_shine(figure: Figure, rng: np.random.Generator, bright: Color, hair: Mask) -> None:
    """A broken ring of light with zigzag edges."""
    start, end = (-0.72, 0.3) if figure.pose.light < 0 else (-0.3, 0.72)
    xs = np.linspace(start, end, 15)
    arch = -0.62 - 0.16 * (1 - xs**2)
    thick = 0.07 * np.sin(np.linspace(0.1, np.pi - 0.1, len(xs)))
    zigzag = rng.uniform(0.3, 1.5, len(xs)) * np.where(np.arange(len(xs)) % 2, 1.0, 0.35)
    upper = np.stack((xs, arch - thick * zigzag[::-1]), axis=1)
    lower = np.stack((xs, arch + thick * zigzag * 1.3), axis=1)
    ring = figure.on_face(np.concatenate((upper, lower[::-1])), 1.2)
    figure.canvas.fill(ring, bright, 0.9, clip=hair)


def draw_side_locks(figure: Figure, rng: np.random.Generator) -> None:
    design, pose = figure.design, figure.pose
    turn = np.sin(pose.yaw)
    length = {"short": 0.55, "spiky": 0.5, "bob": 1.05, "long": 1.5}.get(
        design.hair_back, 1.1
    ) * rng.uniform(0.9, 1.1)
    for side in (-1.0, 1.0):
        if side * turn > 0.42:
            continue
        x = side * (1.0 - 0.10 * max(side * turn, 0)) - 0.04 * turn
        tip = (x * 0.94 + pose.sway * 0.6 + design.curl * side * 0.3, length * (0.8 + 0.1 * side))
        near = (x * 0.82 + pose.sway * 0.5, length * 0.62)
        locks = [
            bundle(points((x * 0.97, -0.45)), near, 0.22, -0.06 * side),
            bundle(points((x, -0.45)), tip, 0.27, -0.1 * side),
        ]
        draw_bundles(figure, locks, design.hair)
