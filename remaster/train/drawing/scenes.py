"""Whole stills: a place, who stands in it, what lies over it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from remaster.train.drawing.animals import draw_birds, draw_cat
from remaster.train.drawing.canvas import Canvas, View
from remaster.train.drawing.character import CLOTHES, Design, Figure, Pose, design_character
from remaster.train.drawing.coverage import Mask
from remaster.train.drawing.curves import Placement
from remaster.train.drawing.effects import (
    PARTICLES,
    draw_bokeh,
    draw_burst,
    draw_particles,
    draw_wash,
)
from remaster.train.drawing.figure import draw_character
from remaster.train.drawing.film import develop, random_look
from remaster.train.drawing.graphics import compose_graphic, draw_credits, draw_title
from remaster.train.drawing.paint import blur, mix, noise, rgb, vary
from remaster.train.drawing.places import INDOORS, draw_place, random_hour, random_place
from remaster.train.drawing.sky import Hour

__all__ = ["Actor", "draw_actors", "draw_frame"]

Generator = np.random.Generator


@dataclass(frozen=True)
class Actor:
    """A character with a place in the scene."""

    design: Design
    pose: Pose
    place: Placement


def draw_frame(seed: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """One drawn still, (height, width, 3) uint8 RGB; the same drawing at any size."""
    rng = np.random.default_rng([seed, 1])
    canvas = Canvas(View(height, width))
    weights = [weight for _, weight in COMPOSITIONS]
    compose = COMPOSITIONS[int(rng.choice(len(weights), p=weights))][0]
    compose(canvas, rng)
    return develop(canvas.pixels, canvas.view, random_look(rng), seed)


def draw_actors(canvas: Canvas, actors: list[Actor], hour: Hour | None = None) -> None:
    """Characters from back to front, their paints chosen for the hour's light."""
    sheet = Canvas(canvas.view)
    for actor in actors:
        sheet.ink_texture = broken_ink(sheet.view, actor.design)
        draw_character(Figure(sheet, actor.design, actor.pose, actor.place))
    if hour is not None:
        sheet.pixels[:, :, :3] *= 0.35 + 0.65 * np.asarray(hour.tint, np.float32)
    canvas.paste(sheet.pixels)


def broken_ink(view: View, design: Design) -> Mask | None:
    if not design.rough_lines:
        return None
    rng = np.random.default_rng([design.seed, 37])
    return Mask(0, 0, np.clip(0.85 + 0.42 * noise(view, rng, 110.0, 2), 0.3, 1))


def random_pose(rng: Generator) -> Pose:
    closed = rng.random() < 0.12
    return Pose(
        yaw=float(np.clip(rng.normal(0, 0.36), -0.66, 0.66)),
        pitch=float(rng.normal(0.02, 0.05)),
        roll=float(rng.normal(0, 0.08)),
        mouth=("smile", "smile", "line", "sad", "small", "half", "wide", "round", "teeth")[
            rng.integers(9)
        ],
        eyes=0.0 if closed else float(rng.choice([1.0, 1.0, 0.85, 0.65])),
        happy_eyes=bool(rng.random() < 0.5),
        gaze=(float(rng.normal(0, 0.45)), float(rng.normal(0, 0.25))),
        brows=float(rng.normal(0, 0.4)),
        blush=bool(rng.random() < 0.3),
        light=1.0 if rng.random() < 0.5 else -1.0,
        sway=float(rng.normal(0, 0.12)),
        arms=("down", "down", "hip", "chest", "wave")[rng.integers(5)],
    )


def draw_weather(canvas: Canvas, rng: Generator, kinds: tuple[str, ...] = PARTICLES) -> None:
    """Something falling or flying, in one picture of four."""
    shown, kind, seed = rng.random() < 0.25, kinds[rng.integers(len(kinds))], rng.integers(2**31)
    if shown:
        draw_particles(canvas, kind, int(seed), float(rng.uniform(0, 9)))


def draw_backdrop(canvas: Canvas, rng: Generator, defocus: float) -> Hour | None:
    """What stands behind a head: a place, often out of focus, or a wash with lines or lights.

    Gives the light of the place, if it is one.
    """
    choice, seed = rng.random(), int(rng.integers(2**31))
    if choice < 0.68:
        near = Canvas(
            View(
                canvas.view.height,
                canvas.view.width,
                float(rng.uniform(-0.3, 0.3)),
                float(rng.uniform(-0.1, 0.1)),
                float(rng.uniform(1.0, 1.7)),
            )
        )
        place, hour = random_place(rng), random_hour(rng)
        draw_place(near, seed, place, hour)
        sigma = defocus * canvas.view.height * float(rng.uniform(0.002, 0.016))
        canvas.pixels[:] = blur(near.pixels, sigma) if rng.random() < 0.6 else near.pixels
        return hour
    color = vary(rng, rgb(CLOTHES[rng.integers(len(CLOTHES))]), 0.05)
    draw_wash(canvas, rng, color)
    if choice < 0.80:
        bright = bool(rng.random() < 0.6)
        draw_burst(
            canvas,
            rng,
            float(rng.uniform(-0.2, 0.2)),
            float(rng.uniform(-0.1, 0.1)),
            mix(color, (1, 1, 1) if bright else (0, 0, 0.1), 0.7),
            0.4,
        )
    elif choice < 0.93:
        draw_bokeh(canvas, rng, color)
    return None


def compose_closeup(canvas: Canvas, rng: Generator) -> None:
    hour = draw_backdrop(canvas, rng, 1.0)
    scale = float(rng.uniform(0.21, 0.36))
    place = Placement(float(rng.normal(0, 0.12)), float(rng.uniform(-0.08, 0.06)), scale)
    pose = replace(random_pose(rng), arms="down")
    draw_actors(canvas, [Actor(design_character(rng), pose, place)], hour)


def compose_medium(canvas: Canvas, rng: Generator) -> None:
    hour = draw_backdrop(canvas, rng, 0.5)
    scale = float(rng.uniform(0.095, 0.17))
    place = Placement(float(rng.uniform(-0.35, 0.35)), float(rng.uniform(-0.22, -0.10)), scale)
    draw_actors(canvas, [Actor(design_character(rng), random_pose(rng), place)], hour)
    draw_weather(canvas, rng, ("petals", "snow", "sparks"))


def compose_pair(canvas: Canvas, rng: Generator) -> None:
    """Two or three people, turned toward one another."""
    hour = draw_backdrop(canvas, rng, 0.4)
    count = 2 + int(rng.random() < 0.3)
    scale = float(rng.uniform(0.10, 0.19)) * (1 if count == 2 else 0.8)
    for index in range(count):
        x = (index - (count - 1) / 2) * scale * 3.4 + float(rng.normal(0, 0.02))
        pose = random_pose(rng)
        turned = replace(pose, yaw=abs(pose.yaw) * (-1 if x > 0 else 1), light=1.0)
        actor = Actor(
            design_character(rng),
            turned,
            Placement(x, float(rng.uniform(-0.16, -0.02)), scale * float(rng.uniform(0.93, 1.07))),
        )
        draw_actors(canvas, [actor], hour)


def compose_eyes(canvas: Canvas, rng: Generator) -> None:
    """So close that the frame is eyes and fringe."""
    draw_wash(canvas, rng, vary(rng, rgb(CLOTHES[rng.integers(len(CLOTHES))]), 0.05))
    scale = float(rng.uniform(0.55, 0.95))
    place = Placement(float(rng.normal(0, 0.1)), float(rng.uniform(-0.12, 0.02)), scale)
    pose = random_pose(rng)
    draw_actors(
        canvas,
        [
            Actor(
                design_character(rng),
                replace(pose, eyes=max(pose.eyes, 0.65)),
                place,
            )
        ],
    )


def compose_distant(canvas: Canvas, rng: Generator) -> None:
    """Small people far off, on the ground of a place that has one."""
    place = ("meadow", "grove", "town", "street", "room", "classroom")[rng.integers(6)]
    seed, hour = int(rng.integers(2**31)), random_hour(rng)
    draw_place(canvas, seed, place, hour)
    behind = bool(rng.random() < 0.35)
    actors = []
    for _ in range(int(rng.integers(1, 4))):
        scale = float(rng.uniform(0.022, 0.06))
        x, feet = float(rng.uniform(-0.5, 0.5)), 0.26 + 2.6 * scale + float(rng.normal(0, 0.015))
        pose = replace(random_pose(rng), behind=behind)
        at = Placement(x, feet - 9.9 * scale, scale)
        actors.append(Actor(design_character(rng), pose, at))
    draw_actors(canvas, sorted(actors, key=lambda actor: actor.place.scale), hour)
    if place not in INDOORS:
        draw_weather(canvas, rng)


def compose_behind(canvas: Canvas, rng: Generator) -> None:
    """People who look out over a place, seen from behind."""
    seed, place, hour = int(rng.integers(2**31)), random_place(rng), random_hour(rng)
    draw_place(canvas, seed, place, hour)
    count, scale = int(rng.integers(1, 3)), float(rng.uniform(0.11, 0.18))
    actors = []
    for index in range(count):
        x = (index - (count - 1) / 2) * scale * 3.6 + float(rng.normal(0, 0.04))
        pose = replace(random_pose(rng), behind=True, arms="down", yaw=float(rng.normal(0, 0.15)))
        actors.append(
            Actor(design_character(rng), pose, Placement(x, float(rng.uniform(-0.02, 0.08)), scale))
        )
    draw_actors(canvas, actors, hour)


def compose_cat(canvas: Canvas, rng: Generator) -> None:
    hour = draw_backdrop(canvas, rng, 0.6)
    scale = float(rng.uniform(0.10, 0.24))
    tint = (1.0, 0.99, 0.97) if hour is None else hour.lit((1.0, 1.0, 1.0))
    draw_cat(canvas, rng, Placement(float(rng.uniform(-0.3, 0.3)), 0.47 - 2.5 * scale, scale), tint)


def compose_landscape(canvas: Canvas, rng: Generator) -> None:
    seed, place, hour = int(rng.integers(2**31)), random_place(rng), random_hour(rng)
    draw_place(canvas, seed, place, hour)
    if place in INDOORS:
        return
    if rng.random() < 0.35:
        draw_birds(canvas, rng, mix(hour.lit(rgb("30303c")), hour.haze, 0.2))
    draw_weather(canvas, rng)


def compose_title(canvas: Canvas, rng: Generator) -> None:
    """A title card or rolling credits over a place or over black."""
    seed = int(rng.integers(2**31))
    if rng.random() < 0.7:
        draw_place(canvas, seed, random_place(rng), random_hour(rng))
        canvas.pixels[:, :, :3] *= np.float32(rng.uniform(0.55, 1.0))
    else:
        draw_wash(canvas, rng, rgb(("101014", "181c30", "301820")[rng.integers(3)]))
    if rng.random() < 0.5:
        draw_title(canvas, seed, latin=bool(rng.random() < 0.7))
        return
    draw_credits(canvas, seed, float(rng.uniform(0, 2)))


COMPOSITIONS = (
    (compose_closeup, 0.26),
    (compose_pair, 0.12),
    (compose_medium, 0.17),
    (compose_eyes, 0.05),
    (compose_distant, 0.08),
    (compose_behind, 0.04),
    (compose_cat, 0.03),
    (compose_landscape, 0.13),
    (compose_title, 0.06),
    (compose_graphic, 0.06),
)
"""Kinds of still and their shares."""
