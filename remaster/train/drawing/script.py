"""What happens when: an episode as shots, a shot as exposures with poses, camera and clock.

An exposure says all there is to see, so equal exposures are one drawing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from remaster.train.drawing.character import Design, Pose, design_character
from remaster.train.drawing.places import INDOORS, PLACES

__all__ = ["Camera", "Exposure", "Shot", "expose", "plan_episode"]

Generator = np.random.Generator


KINDS = ("talk", "pan", "sway", "talk", "drift", "zoom", "pan", "still")


HOLDS, HOLD_WEIGHTS = (1, 2, 3, 4), (0.25, 0.40, 0.25, 0.10)


Camera = tuple[float, float, float]
"""x and y of the scene point in the middle of the frame, and zoom."""


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

    camera: Camera

    poses: tuple[Pose, ...] = ()
    seconds: float = 0.0
    """The clock of the particles."""

    lettering: float = 0.0
    """Opacity of the title, or how far credits have rolled."""


def plan_episode(seed: int, num_frames: int, frame_rate: float) -> tuple[Shot, ...]:
    """A title, shots of one to three seconds with a small cast in one light, a fade to black."""
    rng = np.random.default_rng([seed, 5])
    cast = [design_character(rng) for _ in range(3)]
    hour = ("noon", "morning", "sunset", "noon", "dusk")[rng.integers(5)]
    places = rng.permutation(PLACES)
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
        outdoors = [name for name in places if name not in INDOORS]
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
    frames = np.arange(shot.num_frames, dtype=np.float64)
    camera = camera_path(shot, rng, frames * (24.0 / frame_rate))
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


def camera_path(shot: Shot, rng: Generator, ticks: npt.NDArray[np.float64]) -> list[Camera]:
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
