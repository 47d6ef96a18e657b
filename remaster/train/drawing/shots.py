"""Drawn shots over time, with the truth about every frame: drawing, shot, cut, pan, fade.

An episode is a list of shots, a shot a list of exposures, and an exposure says all there is to
see. Equal exposures are painted once and shown as often as they are held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from remaster.train.drawing.canvas import Canvas, Image, View
from remaster.train.drawing.character import Pose
from remaster.train.drawing.curves import Placement
from remaster.train.drawing.effects import draw_particles
from remaster.train.drawing.film import Look, develop
from remaster.train.drawing.graphics import draw_credits, draw_title
from remaster.train.drawing.paint import blur
from remaster.train.drawing.places import draw_place
from remaster.train.drawing.scenes import Actor, draw_actors
from remaster.train.drawing.script import Camera, Exposure, Shot, expose, plan_episode
from remaster.train.drawing.sky import HOURS

__all__ = ["DrawnFrame", "iterate_episode", "iterate_shots"]

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DrawnFrame:
    """One frame and the truth about it."""

    rgb: Picture
    """(H, W, 3) uint8; frames in a row that show one drawing share the array."""

    drawing: int
    """Equal for two frames of the episode exactly when their pictures are identical."""

    shot: int
    is_cut: bool
    """The first frame of a shot that begins without a dissolve or a fade."""

    offset: tuple[float, float]
    """How far the background has moved since the shot began, pixels right and down."""

    zoom: float
    """The background's enlargement since the shot began."""

    brightness: float
    """1, or less while fading from or to black."""

    dissolve: float
    """Share of the shot before that is still seen."""


def iterate_episode(
    seed: int, height: int, width: int, num_frames: int, frame_rate: float = 24.0
) -> Iterator[DrawnFrame]:
    """A drawn episode of (height, width) frames; the same seed is the same episode at any size."""
    return iterate_shots(plan_episode(seed, num_frames, frame_rate), height, width, frame_rate)


def iterate_shots(
    shots: tuple[Shot, ...], height: int, width: int, frame_rate: float = 24.0
) -> Iterator[DrawnFrame]:
    """The frames of the shots, one after the other."""
    drawings: dict[bytes, int] = {}
    picture = np.zeros((height, width, 3), np.uint8)
    for number, shot in enumerate(shots):
        before, painter, timeline = picture, Painter(shot, height, width), expose(shot, frame_rate)
        shown: tuple[Exposure, float, float] | None = None
        for index, exposure in enumerate(timeline):
            seen = exposure, fading(shot, index), dissolving(shot, index)
            if seen != shown:
                picture = superimpose(painter.paint(exposure), seen[1], before, seen[2])
                shown = seen
            name = hashlib.blake2b(picture.tobytes()).digest()
            yield DrawnFrame(
                rgb=picture,
                drawing=drawings.setdefault(name, len(drawings)),
                shot=number,
                is_cut=index == 0 and number > 0 and not shot.dissolve and not shot.fade_in,
                offset=travel(timeline[0].camera, exposure.camera, height),
                zoom=exposure.camera[2] / timeline[0].camera[2],
                brightness=seen[1],
                dissolve=seen[2],
            )


def travel(start: Camera, now: Camera, height: int) -> tuple[float, float]:
    """Pixels right and down by which the background has moved, at the present zoom."""
    unit = height * now[2]
    return (start[0] - now[0]) * unit, (start[1] - now[1]) * unit


def dissolving(shot: Shot, index: int) -> float:
    """Share of the shot before in the frame, 0 to 1."""
    return max(1 - (index + 1) / (shot.dissolve + 1), 0.0) if shot.dissolve else 0.0


def fading(shot: Shot, index: int) -> float:
    """Brightness of the frame, 0 to 1."""
    rising = (index + 1) / (shot.fade_in + 1)
    falling = (shot.num_frames - index) / (shot.fade_out + 1)
    return min(rising, falling, 1.0)


def superimpose(picture: Picture, brightness: float, before: Picture, remaining: float) -> Picture:
    """The picture dimmed, with a share of the last one of the shot before."""
    if brightness == 1 and remaining == 0:
        return picture
    own, rest = np.float32(brightness * (1 - remaining)), np.float32(remaining)
    mixed = picture.astype(np.float32) * own + before.astype(np.float32) * rest
    result: Picture = (mixed + 0.5).astype(np.uint8)
    return result


class Painter:
    """Paints exposures of one shot, and keeps the sheets that the next one shares."""

    def __init__(self, shot: Shot, height: int, width: int) -> None:
        self.shot = shot
        self.size = (height, width)
        self.backgrounds: dict[Camera, Image] = {}
        self.cels: dict[tuple[Pose, ...], Image] = {}
        rng = np.random.default_rng([shot.seed, 8])
        close = shot.kind in ("talk", "zoom") and len(shot.cast) == 1
        self.scale = float(rng.uniform(0.19, 0.27)) if close else float(rng.uniform(0.11, 0.15))
        self.defocus = float(rng.uniform(0.003, 0.009)) if close and rng.random() < 0.6 else 0.0
        self.look = Look(
            saturation=float(rng.uniform(0.82, 0.95)),
            gain=(1.015, 1.0, 0.965),
            lift=float(rng.uniform(0.02, 0.05)),
            softness=0.35,
            vignette=0.0,
            grain=0.0,
        )
        count, lower = len(shot.cast), 1.0 if close else 1.8
        self.stage = [
            (0.5 * (i - (count - 1) / 2) + float(x), -lower * float(y))
            for i, (x, y) in enumerate(rng.uniform((-0.08, 0.02), (0.08, 0.10), (count, 2)))
        ]

    def paint(self, exposure: Exposure) -> Picture:
        """(H, W, 3) uint8."""
        canvas = Canvas(View(*self.size))
        canvas.pixels[:] = self.background(exposure.camera)
        if exposure.poses:
            canvas.paste(self.cel(exposure.poses))
        if self.shot.particles:
            draw_particles(canvas, self.shot.particles, self.shot.seed, 5 + exposure.seconds)
        if exposure.lettering and self.shot.kind == "title":
            title = Canvas(canvas.view)
            draw_title(title, self.shot.seed, latin=True)
            canvas.paste(title.pixels * np.float32(exposure.lettering))
        if self.shot.kind == "credits":
            draw_credits(canvas, self.shot.seed, exposure.lettering)
        return develop(canvas.pixels, canvas.view, self.look, self.shot.seed)

    def background(self, camera: Camera) -> Image:
        if camera not in self.backgrounds:
            view = View(*self.size, *camera)
            canvas = Canvas(view)
            draw_place(canvas, self.shot.seed, self.shot.place, HOURS[self.shot.hour])
            self.backgrounds = {camera: blur(canvas.pixels, self.defocus * view.unit)}
        return self.backgrounds[camera]

    def cel(self, poses: tuple[Pose, ...]) -> Image:
        if poses not in self.cels:
            canvas = Canvas(View(*self.size))
            actors = [
                Actor(design, pose, Placement(x, y, self.scale))
                for design, pose, (x, y) in zip(self.shot.cast, poses, self.stage, strict=True)
            ]
            draw_actors(canvas, actors, HOURS[self.shot.hour])
            if len(self.cels) >= 12:
                self.cels.pop(next(iter(self.cels)))
            self.cels[poses] = canvas.pixels
        return self.cels[poses]
