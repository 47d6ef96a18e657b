"""Painted places: the backgrounds that scenes are set in."""

from __future__ import annotations

import numpy as np

from remaster.train.drawing.buildings import draw_houses, draw_skyline
from remaster.train.drawing.canvas import Canvas
from remaster.train.drawing.classroom import draw_classroom
from remaster.train.drawing.outdoors import (
    draw_branch,
    draw_grass,
    draw_ground,
    draw_ridge,
    draw_sea,
    draw_tree,
    draw_wires,
)
from remaster.train.drawing.paint import mix, noise, rgb, vary
from remaster.train.drawing.rooms import draw_room
from remaster.train.drawing.sky import HOURS, Hour, draw_clouds, draw_sky
from remaster.train.drawing.street import draw_street

__all__ = ["INDOORS", "PLACES", "draw_place", "random_hour", "random_place"]

Generator = np.random.Generator
PLACES = ("meadow", "hills", "sea", "town", "street", "skyline", "grove", "room", "classroom")
INDOORS = ("room", "classroom")
LEAVES = ("5c8450", "6c8c4c", "4c7454", "88944c", "7c9c5c")
LEAVES_IN_AUTUMN = ("b8703c", "c8944c", "a85844", "c08098")


def draw_place(canvas: Canvas, seed: int, place: str, hour: Hour) -> None:
    """A painted background of one of PLACES."""
    rng = np.random.default_rng([seed, 2])
    if place == "room":
        draw_room(canvas, rng, hour)
    elif place == "classroom":
        draw_classroom(canvas, rng, hour)
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
            leaves = rgb(LEAVES[rng.integers(5)])
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
    leaves = LEAVES_IN_AUTUMN if autumn else LEAVES
    green = rgb("8a8c54" if autumn else LEAVES[rng.integers(5)])
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
    if rng.random() < 0.35:
        draw_branch(canvas, rng, rgb(leaves[rng.integers(len(leaves))]), hour)


def random_hour(rng: Generator) -> Hour:
    return HOURS[
        ("noon", "noon", "morning", "sunset", "dusk", "night", "overcast")[rng.integers(7)]
    ]


def random_place(rng: Generator) -> str:
    return PLACES[int(rng.integers(len(PLACES)))]
