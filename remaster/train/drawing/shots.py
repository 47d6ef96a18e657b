"""Drawn shots over time, with the truth about every frame: which drawing, which shot, how far panned.

An episode is a list of shots, a shot a list of exposures, and an exposure says all there is to
see. Equal exposures are painted once and shown as often as they are held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from remaster.train.drawing.canvas import Canvas, Image, View
from remaster.train.drawing.character import Design, Pose, design_character
from remaster.train.drawing.curves import Placement
from remaster.train.drawing.effects import draw_particles
from remaster.train.drawing.outdoors import HOURS
from remaster.train.drawing.paint import blur
from remaster.train.drawing.scenes import (
    Actor,
    Look,
    develop,
    draw_actors,
    draw_credits,
    draw_place,
    draw_title,
)

__all__ = ["DrawnFrame", "Shot", "iterate_episode", "iterate_shots", "plan_episode"]

Generator = np.random.Generator
Picture = npt.NDArray[np.uint8]
KINDS = ("talk", "pan", "sway", "talk", "drift", "zoom", "pan", "still")
HOLDS, HOLD_WEIGHTS = (1, 2, 3, 4), (0.25, 0.40, 0.25, 0.10)


@dataclass(frozen=True)
class DrawnFrame:
    """One frame and the truth about it."""

    rgb: Picture
    """(H, W, 3) uint8; frames of one drawing share the array."""

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


@dataclass(frozen=True)
class Shot:
    """What one camera setup shows."""

    seed: int
    kind: str
    """`title`, `talk`, `pan`, `sway`, `drift`, `zoom`, `still` or `credits`."""

    num_frames: int
    place: str
    hour: str
    cast: tuple[Design, ...] = ()
    particles: str = ""
    """One of effects.PARTICLES, or nothing."""

    dissolve: int = 0
    """Frames over which it replaces the shot before."""

    fade_in: int = 0
    fade_out: int = 0
    """Frames from and to black."""


@dataclass(frozen=True)
class Exposure:
    """All that is to be seen in one frame; equal exposures are one drawing."""

    camera: tuple[float, float, float]
    """x and y in the middle of the background, zoom."""

    poses: tuple[Pose, ...] = ()
    seconds: float = 0.0
    """The clock of the particles."""

    lettering: float = 0.0
    """Opacity of the title, or how far credits have rolled."""


def plan_episode(seed: int, num_frames: int, frame_rate: float) -> tuple[Shot, ...]:
    """A title, then shots of 1 to 4 seconds with a small cast in one light, then a fade to black."""
    rng = np.random.default_rng([seed, 5])
    cast = [design_character(rng) for _ in range(3)]
    hour = ("noon", "morning", "sunset", "noon", "dusk")[rng.integers(5)]
    places = rng.permutation(
        ["meadow", "hills", "sea", "town", "street", "skyline", "grove", "room"]
    )
    weather = ("petals", "petals", "snow", "rain", "sparks", "")[rng.integers(6)]
    kinds = ("title", *rng.permutation(KINDS), *rng.permutation(KINDS))
    fade = max(int(0.5 * frame_rate), 1)
    shots: list[Shot] = []
    left = num_frames
    while left > 0:
        index = len(shots)
        length = int(rng.uniform(1.2, 3.2) * frame_rate)
        length = left if left - length < frame_rate else min(length, left)
        kind = str(kinds[index % len(kinds)])
        outdoors = [name for name in places if name != "room"]
        stage = outdoors if kind in ("title", "pan", "drift") else list(places)
        people = {"title": 0, "talk": 1, "sway": 1, "zoom": 1, "still": 2}.get(kind, 0)
        shots.append(
            Shot(
                seed=int(rng.integers(2**31)),
                kind=kind,
                num_frames=length,
                place=str(stage[(index // 2) % len(stage)]),
                hour=hour,
                cast=tuple(cast[(index + k) % 3] for k in range(people)),
                particles=weather if kind in ("title", "drift") else "",
                dissolve=min(fade, length - 1) if index and rng.random() < 0.2 else 0,
                fade_in=min(fade, length - 1) if index == 0 else 0,
                fade_out=min(fade, length - 1) if left == length else 0,
            )
        )
        left -= length
    return tuple(shots)


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
    last = np.zeros((height, width, 3), np.uint8)
    for number, shot in enumerate(shots):
        before, painter = last, Painter(shot, height, width)
        timeline = expose(shot, frame_rate)
        shown: tuple[Exposure, float, float] | None = None
        for index, exposure in enumerate(timeline):
            brightness = fading(shot, index)
            remaining = max(1 - (index + 1) / (shot.dissolve + 1), 0.0) if shot.dissolve else 0.0
            if shown != (exposure, brightness, remaining):
                shown = (exposure, brightness, remaining)
                picture = painter.paint(exposure)
                if brightness < 1 or remaining > 0:
                    picture = superimpose(picture, brightness, before, remaining)
                drawing = drawings.setdefault(
                    hashlib.blake2b(picture.tobytes()).digest(), len(drawings)
                )
            x, y, zoom = (
                now / then if i == 2 else then - now
                for i, (now, then) in enumerate(
                    zip(exposure.camera, timeline[0].camera, strict=True)
                )
            )
            yield DrawnFrame(
                rgb=picture,
                drawing=drawing,
                shot=number,
                is_cut=index == 0 and number > 0 and not shot.dissolve and not shot.fade_in,
                offset=(x * height * exposure.camera[2], y * height * exposure.camera[2]),
                zoom=zoom,
                brightness=brightness,
                dissolve=remaining,
            )
        last = picture


def fading(shot: Shot, index: int) -> float:
    """Brightness of the frame, 0 to 1."""
    rising = (index + 1) / (shot.fade_in + 1)
    falling = (shot.num_frames - index) / (shot.fade_out + 1)
    return min(rising, falling, 1.0)


def superimpose(picture: Picture, brightness: float, before: Picture, remaining: float) -> Picture:
    mixed = (
        picture.astype(np.float32) * (brightness * (1 - remaining))
        + before.astype(np.float32) * remaining
    )
    result: Picture = (mixed + 0.5).astype(np.uint8)
    return result


def holds(
    rng: Generator, num_frames: int, choices: tuple[int, ...] = HOLDS
) -> npt.NDArray[np.int64]:
    """(num_frames,) drawing numbers that rise by one after each hold."""
    weights = np.array([HOLD_WEIGHTS[c - 1] for c in choices])
    lengths = rng.choice(choices, num_frames + 1, p=weights / weights.sum())
    return np.repeat(np.arange(num_frames + 1), lengths)[:num_frames]


def expose(shot: Shot, frame_rate: float) -> list[Exposure]:
    """What every frame of the shot shows."""
    rng = np.random.default_rng([shot.seed, 6])
    frames = np.arange(shot.num_frames)
    camera = camera_path(shot, rng, 24.0 / frame_rate * frames)
    poses = act(shot, rng)
    clock = holds(rng, shot.num_frames, (2, 3)) if shot.particles else np.zeros(shot.num_frames)
    exposures = []
    for index in range(shot.num_frames):
        lettering = 0.0
        if shot.kind == "title":
            lettering = float(np.clip((index - 0.35 * frame_rate) / (0.5 * frame_rate), 0, 1))
        elif shot.kind == "credits":
            lettering = 0.1 + 0.004 * index * 24.0 / frame_rate
        seconds = float(np.argmax(clock == clock[index])) / frame_rate if shot.particles else 0.0
        exposures.append(Exposure(camera[index], poses[index], seconds, lettering))
    return exposures


def camera_path(
    shot: Shot, rng: Generator, ticks: npt.NDArray[np.float64]
) -> list[tuple[float, float, float]]:
    """Where the camera is at each tick (1/24 s); pans of 0.05 to 12 pixels of a 1080-line frame."""
    zoom = float(rng.uniform(1.0, 1.25))
    x, y = float(rng.uniform(-0.15, 0.15)), 0.0
    speed = float(np.exp(rng.uniform(np.log(0.05), np.log(12.0)))) / 1080
    heading = (1.0, 0.0, -1.0)[int(rng.integers(3))]
    if shot.kind in ("pan", "drift"):
        zoom = max(zoom, 1.15)
        sideways = float(np.sign(heading + 0.1)) if shot.kind == "pan" else 0.3
        speed = (
            min(max(speed, 0.0012), 1.0 / max(len(ticks), 1))
            if shot.kind == "pan"
            else min(speed, 0.0006)
        )
        start = -0.5 * speed * sideways * len(ticks)
        return [(x + start + sideways * speed * float(t), y, zoom) for t in ticks]
    if shot.kind == "zoom":
        rate = 1 + 0.0015 * (1 if heading >= 0 else -1)
        return [(x, y, zoom * rate ** float(t)) for t in ticks]
    return [(x, y, zoom)] * len(ticks)


def act(shot: Shot, rng: Generator) -> list[tuple[Pose, ...]]:
    """The poses of the cast in every frame."""
    count = shot.num_frames
    tracks: list[list[Pose]] = []
    for index, _ in enumerate(shot.cast):
        facing = 1.0 if index % 2 == 0 else -1.0
        base = Pose(
            yaw=facing * float(rng.uniform(0.05, 0.45)),
            roll=float(rng.normal(0, 0.04)),
            mouth=("smile", "line", "small")[rng.integers(3)],
            gaze=(facing * float(rng.uniform(0, 0.4)), 0.0),
            brows=float(rng.normal(0, 0.25)),
            blush=bool(rng.random() < 0.25),
            arms=("down", "down", "chest", "hip")[rng.integers(4)],
        )
        lids, mouths, sways = blinks(rng, count), speech(rng, count), breeze(rng, count)
        talks = shot.kind == "talk" and index == 0
        moves = shot.kind == "sway"
        tracks.append(
            [
                replace(
                    base,
                    eyes=float(lids[i]),
                    mouth=mouths[i] if talks and mouths[i] else base.mouth,
                    sway=float(sways[i]) if moves else 0.0,
                )
                for i in range(count)
            ]
        )
    return list(zip(*tracks, strict=True)) if tracks else [()] * count


def blinks(rng: Generator, count: int) -> npt.NDArray[np.float64]:
    """(count,) how far the eyes are open: blinks some two seconds apart, drawn on ones and twos."""
    open_by = np.ones(count)
    at = int(rng.integers(8, 40))
    while at < count:
        for start, end, lid in ((0, 2, 0.5), (2, 5, 0.0), (5, 7, 0.5)):
            open_by[at + start : at + end] = lid
        at += int(rng.integers(30, 80))
    return open_by


def speech(rng: Generator, count: int) -> list[str]:
    """Mouth shapes held on ones to fours, with pauses (an empty name)."""
    drawings = holds(rng, count, (2, 3, 4))
    shapes = rng.choice(["small", "half", "wide", "half", "line", "round"], count + 1)
    pauses = rng.random(count + 1) < 0.08
    quiet = np.convolve(pauses, np.ones(4))[: count + 1] > 0
    return ["" if quiet[d] else str(shapes[d]) for d in drawings]


def breeze(rng: Generator, count: int) -> npt.NDArray[np.float64]:
    """(count,) sway of the hair: a cycle of six drawings on twos to fours."""
    drawings = holds(rng, count, (2, 3, 4))
    return np.asarray(np.round(0.05 + 0.11 * np.sin(2 * np.pi * (drawings % 6) / 6), 4))


class Painter:
    """Paints exposures of one shot, and keeps the sheets that the next one shares."""

    def __init__(self, shot: Shot, height: int, width: int) -> None:
        self.shot = shot
        self.size = (height, width)
        rng = np.random.default_rng([shot.seed, 8])
        close = shot.kind in ("talk", "zoom") and len(shot.cast) == 1
        self.scale = float(rng.uniform(0.19, 0.27)) if close else float(rng.uniform(0.11, 0.15))
        self.defocus = float(rng.uniform(0.003, 0.009)) if close and rng.random() < 0.6 else 0.0
        self.look = Look(
            float(rng.uniform(0.82, 0.95)),
            (1.015, 1.0, 0.965),
            float(rng.uniform(0.02, 0.05)),
            0.35,
            0.0,
            0.0,
        )
        self.stage = [
            (
                float(rng.normal(0, 0.05)) + (i - (len(shot.cast) - 1) / 2) * 0.5,
                float(rng.uniform(-0.10, -0.02)) * (1 if close else 1.8),
            )
            for i in range(len(shot.cast))
        ]
        self.backgrounds: dict[tuple[float, float, float], Image] = {}
        self.cels: dict[tuple[Pose, ...], Image] = {}

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

    def background(self, camera: tuple[float, float, float]) -> Image:
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
