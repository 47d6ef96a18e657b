"""Whole pictures: a place, who stands in it, what lies over it, and how it was filmed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from remaster.train.drawing.buildings import draw_houses, draw_room, draw_skyline, draw_street
from remaster.train.drawing.canvas import Canvas, Color, Image, Pen, View
from remaster.train.drawing.character import CLOTHES, Design, Figure, Pose, design_character
from remaster.train.drawing.curves import Placement, box, disc, points, smooth
from remaster.train.drawing.effects import (
    PARTICLES,
    draw_bokeh,
    draw_burst,
    draw_hatching,
    draw_particles,
    draw_screentone,
    draw_wash,
)
from remaster.train.drawing.figure import draw_character
from remaster.train.drawing.lettering import draw_glyphs, draw_latin
from remaster.train.drawing.outdoors import (
    HOURS,
    Hour,
    draw_clouds,
    draw_grass,
    draw_ground,
    draw_ridge,
    draw_sea,
    draw_sky,
    draw_tree,
    draw_wires,
)
from remaster.train.drawing.paint import blur, mix, noise, rgb, shade, soften, vary

__all__ = [
    "PLACES",
    "Actor",
    "Look",
    "develop",
    "draw_actors",
    "draw_frame",
    "draw_place",
    "draw_title",
]

Generator = np.random.Generator
PLACES = ("meadow", "hills", "sea", "town", "street", "skyline", "room", "grove")
OUTDOOR_LEAVES = ("5c8450", "6c8c4c", "4c7454", "88944c", "7c9c5c")
LEAVES_IN_AUTUMN = ("b8703c", "c8944c", "a85844", "c08098")


@dataclass(frozen=True)
class Actor:
    """A character with a place in the scene."""

    design: Design
    pose: Pose
    place: Placement


@dataclass(frozen=True)
class Look:
    """How paint and film change the drawn colours."""

    saturation: float
    gain: Color
    lift: float
    softness: float
    """Sigma of the lens blur in pixels of the finished frame."""

    vignette: float
    grain: float


def draw_frame(seed: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """One drawn still, (height, width, 3) uint8 RGB; the same drawing at any size."""
    rng = np.random.default_rng([seed, 1])
    canvas = Canvas(View(height, width))
    compositions = {
        "closeup": 0.27, "pair": 0.12, "medium": 0.18, "eyes": 0.05, "distant": 0.09, "landscape": 0.16,
        "title": 0.06, "graphic": 0.07,
    }  # fmt: skip
    kinds, weights = list(compositions), list(compositions.values())
    kind = kinds[int(rng.choice(len(kinds), p=weights))]
    COMPOSITIONS[kind](canvas, rng)
    if kind in ("landscape", "medium", "distant") and rng.random() < 0.25:
        draw_particles(
            canvas, PARTICLES[rng.integers(4)], int(rng.integers(2**31)), float(rng.uniform(0, 9))
        )
    return develop(canvas.pixels, canvas.view, random_look(rng), seed)


def random_look(rng: Generator) -> Look:
    warm = rng.normal(0, 0.025)
    return Look(
        saturation=float(rng.uniform(0.72, 1.0)),
        gain=(1 + warm, 1.0, 1 - 1.2 * warm - 0.02),
        lift=float(rng.uniform(0.0, 0.06)),
        softness=float(rng.uniform(0, 0.8)) * bool(rng.random() < 0.8),
        vignette=float(rng.uniform(0, 0.14)) * bool(rng.random() < 0.3),
        grain=float(rng.uniform(0.004, 0.012)) * bool(rng.random() < 0.1),
    )


def develop(pixels: Image, view: View, look: Look, seed: int) -> npt.NDArray[np.uint8]:
    """Finished (H, W, 3) uint8 from premultiplied pixels over black."""
    image = soften(pixels[:, :, :3], look.softness)
    luma = image @ np.array((0.30, 0.59, 0.11), np.float32)
    image = luma[:, :, None] + (image - luma[:, :, None]) * np.float32(look.saturation)
    image *= np.asarray(look.gain, np.float32)
    image *= np.float32(1 - look.lift)
    image += np.float32(look.lift * 0.9)
    if look.vignette:
        screen = View(view.height, view.width)
        far = (screen.rows() ** 2 + (screen.columns() / screen.aspect) ** 2) * 2
        image *= (1 - look.vignette * far)[:, :, None]
    if look.grain:
        plate = (
            np.random.default_rng([seed, 31])
            .standard_normal((view.height, view.width, 1))
            .astype(np.float32)
        )
        image += soften(plate, 0.6) * np.float32(2 * look.grain)
    finished: npt.NDArray[np.uint8] = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    return finished


def draw_actors(canvas: Canvas, actors: list[Actor], hour: Hour | None = None) -> None:
    """Characters from back to front, their paints chosen for the hour's light."""
    sheet = Canvas(canvas.view)
    for actor in actors:
        draw_character(Figure(sheet, actor.design, actor.pose, actor.place))
    if hour is not None:
        sheet.pixels[:, :, :3] *= 0.35 + 0.65 * np.asarray(hour.tint, np.float32)
    canvas.paste(sheet.pixels)


def draw_place(canvas: Canvas, seed: int, place: str, hour: Hour) -> None:
    """A painted background of one of PLACES."""
    rng = np.random.default_rng([seed, 2])
    if place == "room":
        draw_room(canvas, rng, hour)
    elif place in ("town", "street", "skyline"):
        draw_city(canvas, rng, place, hour)
    else:
        draw_nature(canvas, rng, place, hour)
    brush = (
        1
        + 0.022 * noise(canvas.view, rng, 26.0, 3, stretch=2.5)
        + 0.02 * noise(canvas.view, rng, 2.0, 2)
    )
    canvas.pixels[:, :, :3] *= brush[:, :, None]


def draw_city(canvas: Canvas, rng: Generator, place: str, hour: Hour) -> None:
    horizon = float(rng.uniform(0.05, 0.25))
    draw_sky(canvas, rng, hour, horizon)
    draw_clouds(canvas, rng, hour, horizon)
    if place == "street":
        draw_street(canvas, rng, hour)
        return
    draw_skyline(canvas, rng, horizon + 0.1, hour, 0.6)
    if place == "skyline":
        draw_skyline(canvas, rng, horizon + 0.22, hour, 0.25)
        for _ in range(5):
            leaves = rgb(OUTDOOR_LEAVES[rng.integers(5)])
            draw_tree(
                canvas,
                rng,
                float(rng.uniform(-1, 1)),
                0.56,
                float(rng.uniform(0.15, 0.3)),
                leaves,
                hour,
            )
        draw_wires(canvas, rng, float(rng.uniform(-0.4, 0.0)), hour.lit(rgb("2c2a30"), 0.1))
        return
    draw_ridge(canvas, rng, horizon + 0.04, 0.02, hour.lit(rgb("68805c"), 0.35), True)
    draw_houses(canvas, rng, horizon + 0.16, hour)


def draw_nature(canvas: Canvas, rng: Generator, place: str, hour: Hour) -> None:
    horizon = float(rng.uniform(-0.05, 0.22))
    draw_sky(canvas, rng, hour, horizon)
    draw_clouds(canvas, rng, hour, horizon)
    autumn = rng.random() < 0.25
    leaves = LEAVES_IN_AUTUMN if autumn else OUTDOOR_LEAVES
    green = rgb("8a8c54" if autumn else OUTDOOR_LEAVES[rng.integers(5)])
    draw_ridge(canvas, rng, horizon - 0.05, 0.09, hour.lit(rgb("6c8494"), 0.62), False)
    if place != "sea":
        draw_ridge(canvas, rng, horizon, 0.05, hour.lit(rgb("5c7c64"), 0.40), True)
    if place == "sea":
        draw_sea(canvas, rng, horizon + 0.02, hour)
        if rng.random() < 0.6:
            draw_ground(canvas, rng, 0.36, hour.lit(rgb("d8c498")), hour.lit(rgb("e4d8b8")))
        return
    if place == "hills":
        for step in range(3):
            tone = hour.lit(vary(rng, green, 0.03), 0.30 - 0.1 * step)
            draw_ridge(canvas, rng, horizon + 0.07 + 0.1 * step, 0.04, tone, True)
        return
    draw_ground(
        canvas,
        rng,
        horizon + 0.05,
        hour.lit(green),
        hour.lit(mix(green, rgb("c8c088"), 0.35), 0.15),
    )
    count = 9 if place == "grove" else 4
    feet = np.sort(rng.uniform(0.06, 0.34 if place == "grove" else 0.2, count)) + horizon
    for y in feet:
        size = 0.22 + 1.3 * (y - horizon)
        draw_tree(
            canvas,
            rng,
            float(rng.uniform(-1.1, 1.1)),
            float(y),
            float(size * rng.uniform(0.8, 1.2)),
            vary(rng, rgb(leaves[rng.integers(len(leaves))]), 0.03),
            hour,
        )
    bloom = vary(rng, rgb(("e8e4d8", "d8a8b0", "d8c870", "b8a0c8")[rng.integers(4)]), 0.02)
    draw_grass(
        canvas,
        rng,
        horizon + 0.10,
        hour.lit(green),
        hour.lit(bloom) if rng.random() < 0.6 else None,
    )


def random_hour(rng: Generator) -> Hour:
    return HOURS[
        ("noon", "noon", "morning", "sunset", "dusk", "night", "overcast")[rng.integers(7)]
    ]


def random_place(rng: Generator) -> str:
    return PLACES[int(rng.integers(len(PLACES)))]


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
    draw_actors(canvas, [Actor(design_character(rng), random_pose(rng), place)], hour)


def compose_medium(canvas: Canvas, rng: Generator) -> None:
    hour = draw_backdrop(canvas, rng, 0.5)
    scale = float(rng.uniform(0.095, 0.17))
    place = Placement(float(rng.uniform(-0.35, 0.35)), float(rng.uniform(-0.22, -0.10)), scale)
    draw_actors(canvas, [Actor(design_character(rng), random_pose(rng), place)], hour)


def compose_pair(canvas: Canvas, rng: Generator) -> None:
    """Two or three people, turned toward one another."""
    hour = draw_backdrop(canvas, rng, 0.4)
    count = 2 + int(rng.random() < 0.3)
    scale = float(rng.uniform(0.10, 0.19)) * (1 if count == 2 else 0.8)
    for index in range(count):
        x = (index - (count - 1) / 2) * scale * 3.4 + float(rng.normal(0, 0.02))
        pose = random_pose(rng)
        turned = Pose(
            **{**pose.__dict__, "yaw": abs(pose.yaw) * (-1 if x > 0 else 1), "light": 1.0}
        )
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
                Pose(**{**pose.__dict__, "eyes": max(pose.eyes, 0.65)}),
                place,
            )
        ],
    )


def compose_distant(canvas: Canvas, rng: Generator) -> None:
    """Small people far off in a wide place."""
    seed, place_name, hour = int(rng.integers(2**31)), random_place(rng), random_hour(rng)
    draw_place(canvas, seed, place_name, hour)
    for _ in range(int(rng.integers(1, 4))):
        scale = float(rng.uniform(0.022, 0.06))
        place = Placement(
            float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0.30, 0.42)) - 9.9 * scale, scale
        )
        draw_actors(canvas, [Actor(design_character(rng), random_pose(rng), place)], hour)


def compose_landscape(canvas: Canvas, rng: Generator) -> None:
    draw_place(canvas, int(rng.integers(2**31)), random_place(rng), random_hour(rng))


def draw_title(canvas: Canvas, seed: int, latin: bool) -> None:
    """A title card's lettering: large signs, a line of Latin, a thin rule."""
    rng = np.random.default_rng([seed, 3])
    light, dark = rgb("f4efe0"), rgb(("1c1a24", "7c2c34", "2c4470")[rng.integers(3)])
    count, size = int(rng.integers(3, 7)), float(rng.uniform(0.09, 0.14))
    y = float(rng.uniform(-0.2, 0.1))
    draw_glyphs(canvas, seed, count, -count * size * 0.54, y, size, light, dark, bold=0.13)
    if latin:
        words = (
            "THE WIND OVER THE HILL",
            "Episode 12",
            "A Letter in Spring",
            "Part Two",
            "To Be Continued",
            "NEXT TIME",
        )
        draw_latin(
            canvas, words[rng.integers(len(words))], 0.0, y + size * 1.5, size * 0.42, light, dark
        )
    canvas.fill(
        box(-count * size * 0.55, y + size * 1.12, count * size * 0.55, y + size * 1.13), light
    )


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


def draw_credits(canvas: Canvas, seed: int, rolled: float) -> None:
    """Credits that have rolled up by that many frame heights; white with a black outline."""
    rng = np.random.default_rng([seed, 4])
    size = float(rng.uniform(0.028, 0.048))
    for row in range(40):
        y = 0.5 - rolled + row * size * 2.0
        left, right = int(rng.integers(2, 5)), int(rng.integers(3, 6))
        if -0.6 < y < 0.6:
            draw_glyphs(
                canvas,
                seed + 2 * row,
                left,
                -0.06 - left * size * 1.08,
                y,
                size,
                (0.97, 0.96, 0.93),
                (0.05, 0.05, 0.07),
            )
            draw_glyphs(
                canvas,
                seed + 2 * row + 1,
                right,
                0.06,
                y,
                size,
                (0.97, 0.96, 0.93),
                (0.05, 0.05, 0.07),
            )


def compose_graphic(canvas: Canvas, rng: Generator) -> None:
    """Pattern pages: screentone and hatching patches, stripes, bursts, signs, blobs with ink contours."""
    color = vary(rng, rgb(CLOTHES[rng.integers(len(CLOTHES))]), 0.06)
    draw_wash(canvas, rng, color)
    ink = Pen(mix(shade(shade(color)), (0.1, 0.06, 0.08), 0.7), float(rng.uniform(0.0015, 0.005)))
    if rng.random() < 0.4:
        draw_burst(
            canvas,
            rng,
            float(rng.uniform(-0.4, 0.4)),
            float(rng.uniform(-0.3, 0.3)),
            mix(color, (1, 1, 0.95), 0.8),
            0.1,
        )
    for _ in range(int(rng.integers(5, 11))):
        x, y, r = rng.uniform(-0.6, 0.6), rng.uniform(-0.45, 0.45), rng.uniform(0.06, 0.28)
        angle = np.linspace(0, 2 * np.pi, int(rng.integers(4, 9)), endpoint=False) + rng.uniform(
            0, 6
        )
        knots = np.stack((x + r * np.cos(angle), y + r * np.sin(angle)), axis=1) + rng.normal(
            0, 0.2 * r, (len(angle), 2)
        )
        area = smooth(knots, closed=True) if rng.random() < 0.55 else knots
        flat = vary(rng, rgb(CLOTHES[rng.integers(len(CLOTHES))]), 0.05)
        inside = canvas.fill(area, flat)
        canvas.fill(area + (0.25 * r, 0.2 * r), shade(flat), clip=inside)
        texture = rng.random()
        if texture < 0.3:
            draw_screentone(canvas, rng, area, shade(flat, 1.2))
        elif texture < 0.6:
            draw_hatching(canvas, rng, area, ink)
        elif texture < 0.8:
            stripes = [
                box(x - r, y + r * t, x + r, y + r * t + 0.05 * r) for t in np.linspace(-1, 1, 13)
            ]
            canvas.fill(stripes, mix(flat, (1, 1, 1), 0.4), clip=inside)
        else:
            canvas.fill(
                [disc(*rng.uniform((x - r, y - r), (x + r, y + r)), 0.1 * r) for _ in range(12)],
                mix(flat, (1, 1, 1), 0.5),
                clip=inside,
            )
        canvas.line(np.concatenate((area, area[:2])), ink, taper=(0.1, 0.1))
    if rng.random() < 0.6:
        draw_glyphs(
            canvas,
            int(rng.integers(2**31)),
            int(rng.integers(2, 7)),
            float(rng.uniform(-0.5, 0)),
            float(rng.uniform(-0.4, 0.3)),
            float(rng.uniform(0.03, 0.12)),
            (0.97, 0.96, 0.92),
            (0.08, 0.06, 0.08),
            upright=bool(rng.random() < 0.4),
        )
    rules = [
        points((-3, y), (3, y + dy))
        for y, dy in zip(rng.uniform(-0.5, 0.5, 3), rng.choice([0.0, 0.0, 0.3], 3), strict=True)
    ]
    canvas.lines(rules, ink, taper=(0, 0))


COMPOSITIONS = {
    "closeup": compose_closeup, "pair": compose_pair, "medium": compose_medium, "eyes": compose_eyes,
    "distant": compose_distant, "landscape": compose_landscape, "title": compose_title, "graphic": compose_graphic,
}  # fmt: skip
