"""Hair behind and beside a head: the hanging mass, tails, spikes, single locks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remaster.train.drawing.canvas import Color
from remaster.train.drawing.character import Figure
from remaster.train.drawing.coverage import Mask
from remaster.train.drawing.curves import Points, bezier, disc, points, smooth
from remaster.train.drawing.paint import mix, shade

__all__ = ["bundle", "draw_back_hair", "draw_bundles", "draw_head_from_behind", "tones"]


def tones(figure: Figure) -> tuple[Color, Color, Color]:
    """The hair's shadow, base and shine."""
    hair = figure.design.hair
    return shade(hair, 1.1), hair, mix(hair, (1.0, 0.97, 0.92), 0.42)


def bundle(root: Points, tip: tuple[float, float], width: float, bend: float) -> Points:
    """A lock from `root` to a pointed tip, as a closed outline."""
    (x, y), (tx, ty) = root[0], tip
    side_x, side_y = bend * (ty - y), bend * (x - tx)
    middle = ((x + tx) / 2 + side_x, (y + ty) / 2 + side_y)
    left = bezier((x - width / 2, y), (middle[0] - width * 0.62, middle[1]), (tx, ty), count=14)
    right = bezier((tx, ty), (middle[0] + width * 0.62, middle[1]), (x + width / 2, y), count=14)
    return np.concatenate((left, right[1:]))


def draw_bundles(figure: Figure, bundles: list[Points], color: Color) -> None:
    """Locks one over the other: each filled, shaded along one side and inked."""
    canvas, pen = figure.canvas, figure.outline_pen(figure.design.hair)
    dark = shade(color, 1.1)
    for lock in bundles:
        scene = figure.at(lock)
        mask = canvas.fill(scene, color)
        half = len(lock) // 2
        toward = -figure.pose.light * 0.4
        ridge = lock[:half] * (0.5 + toward * 0.4) + lock[::-1][:half] * (0.5 - toward * 0.4)
        rest = lock[:half] if figure.pose.light > 0 else lock[::-1][:half]
        canvas.fill(figure.at(np.concatenate((rest, ridge[::-1]))), dark, clip=mask)
        canvas.line(scene[: half + 1], pen, taper=(0.3, 0.15))
        canvas.line(scene[half - 1 :], pen, taper=(0.15, 0.3))


@dataclass(frozen=True)
class Mass:
    """The outline of the hair behind a head, in head coordinates."""

    hem: list[Points]
    """Strokes of the lower edge, from left to right."""

    top: Points
    """The rest of the outline, from the hem's end over the skull to its start."""

    reach: float
    """How low it hangs."""


def draw_back_hair(figure: Figure) -> None:
    """The hair that shows behind face and body."""
    design = figure.design
    dark, base, _ = tones(figure)
    deep = base if design.hair_back == "spiky" else mix(dark, base, 0.25)
    if design.hair_back in ("ponytail", "twintails"):
        draw_tails(figure, deep if design.hair_back == "ponytail" else base)
    mass = outline_mass(figure)
    hem = np.concatenate(mass.hem)
    inside = figure.canvas.fill(figure.at(np.concatenate((hem, mass.top[1:-1]))), deep)
    hollow = np.concatenate((hem * (0.72, 1.0) + (0.0, -0.25), points((0.9, -0.5), (-0.9, -0.5))))
    figure.canvas.fill(figure.at(hollow), shade(deep, 0.9), clip=inside)
    ink_mass(figure, mass, inside)


def draw_head_from_behind(figure: Figure) -> None:
    """A head that looks away: skull and hanging hair in one mass, with its whorl."""
    dark, base, bright = tones(figure)
    mass = outline_mass(figure)
    hem = np.concatenate(mass.hem)
    inside = figure.canvas.fill(figure.at(np.concatenate((hem, mass.top[1:-1]))), base)
    if figure.design.hair_back == "spiky":
        skull = figure.at(disc(0.0, -0.12, 1.06, 1.14))
        inside = figure.canvas.fill(skull, base)
    side = -figure.pose.light
    fold = smooth([(side * 0.3, -1.4), (side * 0.72, -0.7), (side * 0.6, 0.2), (side * 0.75, 3.5)])
    rest = points((side * 2.0, 3.5), (side * 2.0, -1.4))
    figure.canvas.fill(figure.at(np.concatenate((fold, rest))), dark, clip=inside)
    ring = smooth(
        [(-0.6, -0.62), (0.0, -0.74), (0.6, -0.62), (0.2, -0.60), (0.0, -0.66), (-0.25, -0.58)],
        closed=True,
    )
    figure.canvas.fill(figure.at(ring), bright, 0.8, clip=inside)
    rng = np.random.default_rng([figure.design.seed, 19])
    strands = []
    for x in rng.uniform(-0.9, 0.9, 8):
        low = mass.reach * rng.uniform(0.2, 0.9)
        strands.append(figure.at(bezier((0.15 * x, -1.1), (x, -0.9), (x * 1.05, low))))
    figure.canvas.lines(
        strands, figure.outline_pen(base), clip=inside, width=0.75, taper=(0.5, 0.6)
    )
    ink_mass(figure, mass, inside)
    if figure.design.hair_back in ("ponytail", "twintails"):
        draw_tails(figure, base)


def outline_mass(figure: Figure) -> Mass:
    design, pose = figure.design, figure.pose
    rng = np.random.default_rng([design.seed, 11])
    lean = -0.12 * np.sin(pose.yaw)
    kind = design.hair_back
    if kind == "spiky":
        edge = spikes(rng, lean)
        return Mass(edge, np.stack((edge[-1][-1], edge[0][0])), 0.5)
    reach = {"bob": 1.05, "long": 3.0}.get(kind, 0.52)
    count = 8 if kind == "long" else 9
    span = {"bob": 1.16, "long": 1.3}.get(kind, 1.0)
    xs = np.linspace(-span, span, count + 1)
    far = pose.sway * min(reach, 1.5) / 1.5
    trail = 0.7 * pose.sway * (reach > 2)
    hem: list[Points] = []
    for i in range(count):
        level = reach - 0.22 * (xs[i] / span) ** 2 * min(reach, 1.0)
        spread = (xs[i] + xs[i + 1]) / 2 * (1.04 + 0.1 * design.curl)
        tip = (
            spread + lean + far + rng.normal(0, 0.05),
            level + rng.uniform(-0.08, 0.12) * (1 + 0.7 * (reach > 2)),
        )
        notch = (xs[i + 1] + lean + trail, level - rng.uniform(0.12, 0.26))
        start = (xs[i] + lean + trail, level - 0.18) if i == 0 else tuple(hem[-1][-1])
        hem.append(bezier(start, ((start[0] + tip[0]) / 2 - 0.04, tip[1] - 0.02), tip, count=6))
        hem.append(
            bezier(tip, (tip[0] * 0.4 + notch[0] * 0.6 + 0.03, tip[1] - 0.03), notch, count=6)
        )
    side = (span, reach * 0.4 - 0.1)
    skull = [
        (1.12, -0.2),
        (1.02, -0.72),
        (0.6, -1.16),
        (0.0, -1.3),
        (-0.6, -1.16),
        (-1.02, -0.72),
        (-1.12, -0.2),
    ]
    return Mass(
        hem,
        smooth([tuple(hem[-1][-1]), side, *skull, (-side[0], side[1]), tuple(hem[0][0])], count=6),
        reach,
    )


def ink_mass(figure: Figure, mass: Mass, inside: Mask) -> None:
    pen = figure.outline_pen(figure.design.hair)
    for part in mass.hem:
        figure.canvas.line(figure.at(part), pen, taper=(0.2, 0.2))
    figure.canvas.line(figure.at(mass.top), pen, taper=(0.1, 0.1))
    if mass.reach < 0.9:
        return
    rng = np.random.default_rng([figure.design.seed, 12])
    strands = []
    for x in rng.uniform(-1.15, 1.15, 7):
        high, low = mass.reach * rng.uniform(0.1, 0.5), mass.reach - 0.3
        strands.append(
            figure.at(
                bezier(
                    (x * 0.95, high),
                    (x * 1.05, (high + low) / 2),
                    (x + 0.6 * figure.pose.sway, low),
                )
            )
        )
    figure.canvas.lines(strands, pen, clip=inside, width=0.7, taper=(0.6, 0.6))


def draw_tails(figure: Figure, color: Color) -> None:
    """One tail of hair or two, tied at the head and swung by the wind."""
    sides = (
        (-1.0, 1.0)
        if figure.design.hair_back == "twintails"
        else ((-1.0,) if figure.pose.yaw > 0 else (1.0,))
    )
    for side in sides:
        sway = figure.pose.sway - 0.1 * np.sin(figure.pose.yaw)
        knot = points((side * 1.0, -0.72)) if len(sides) == 2 else points((side * 0.72, -1.02))
        x, y = knot[0]
        tails = []
        for out, down, wide in ((0.95, 1.6, 0.50), (0.42, 2.7, 0.52), (0.70, 2.4, 0.60)):
            tip = (x + side * out + sway, y + down)
            root, bend = (x + side * 0.04, y), (x + side * (0.42 + 0.4 * out), y + 0.25 * down)
            left = bezier(
                (root[0] - 0.08, y),
                (bend[0] - wide / 2, bend[1]),
                (tip[0] - wide * 0.5, tip[1] - 0.5),
                tip,
                count=16,
            )
            right = bezier(
                tip,
                (tip[0] + wide * 0.35, tip[1] - 0.6),
                (bend[0] + wide / 2, bend[1] - 0.1),
                (root[0] + 0.08, y),
                count=16,
            )
            tails.append(np.concatenate((left, right[1:])))
        draw_bundles(figure, tails, color)
        tie = figure.at(disc(x + side * 0.03, y, 0.13, 0.11))
        figure.canvas.fill(tie, figure.design.trim)
        figure.canvas.line(np.concatenate((tie, tie[:2])), figure.pen, taper=(0.05, 0.05))


def spikes(rng: np.random.Generator, lean: float) -> list[Points]:
    """Spiky hair: locks from jaw to jaw over the top, long and short, swept up and aside."""
    angles = np.linspace(-2.2, 2.2, 11) + np.concatenate(([0], rng.normal(0, 0.07, 9), [0]))
    center = np.array((lean, -0.12))
    rim = np.stack((1.05 * np.sin(angles), -1.12 * np.cos(angles)), axis=1)
    to_side = 1.0 if rng.random() < 0.5 else -1.0
    edge: list[Points] = []
    for index, (start, end) in enumerate(zip(rim[:-1], rim[1:], strict=True)):
        middle = (start + end) / 2
        along = (end - start) / np.hypot(*(end - start))
        upward = -np.sign(middle[0]) if abs(middle[0]) > 0.7 else to_side
        long = 1.18 + 0.20 * (index % 2) + rng.uniform(0.0, 0.16) + 0.08 * max(-middle[1], 0.0)
        tip = middle * long + along * upward * rng.uniform(0.15, 0.38)
        edge.append(bezier(start, start * 1.12 + (tip - start) * 0.25, tip, count=8) + center)
        edge.append(bezier(tip, end * 1.12 + (tip - end) * 0.25, end, count=8) + center)
    return edge
