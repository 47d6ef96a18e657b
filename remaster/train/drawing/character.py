"""Who is drawn and how they stand: model sheets, poses, and the turn of a head.

Head coordinates: the face's middle is (0, 0), half the skull's width is 1, the crown lies near
y = -1.15 and the chin near y = 1.1. Bodies are measured in the same unit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from remaster.train.drawing.canvas import Canvas, Color, Pen
from remaster.train.drawing.curves import Placement, Points
from remaster.train.drawing.paint import hsv, mix, rgb, shade, vary

__all__ = ["Design", "Figure", "Pose", "design_character"]

SKINS = ("f2d0b0", "f0c8a4", "f5d8bc", "e6b48c", "c98f68", "f4d4b8")
HAIRS = (
    "3a3844", "4a3a38", "6e4630", "8a5634", "a8643a", "d8b060", "e2c488", "b04a34",
    "4a6690", "6e8ab4", "4e7a6c", "78a088", "c87888", "d898a0", "7a6090", "b8b4c0", "55506e",
)  # fmt: skip
IRISES = ("6a4a34", "3e6a8c", "4a7a54", "8a5a30", "6a548c", "a04838", "3a7878", "7a7448")
CLOTHES = (
    "d8d4cc", "c8beb0", "3c4664", "54648c", "8c3c3c", "b05a48", "4c6a54", "7a8c64", "c8a048",
    "6a4a5c", "c88c94", "7894ac", "484450", "a89478", "e0d8b0", "5a4438",
)  # fmt: skip


@dataclass(frozen=True)
class Design:
    """A character's model sheet."""

    seed: int
    masculine: bool
    skin: Color
    hair: Color
    iris: Color
    line: Color
    cloth: Color
    trim: Color
    hair_back: str
    """`short`, `bob`, `long`, `ponytail`, `twintails` or `spiky`."""

    outfit: str
    """`sailor`, `shirt`, `jacket`, `sweater` or `robe`."""

    locks: int
    """Bundles of hair in the fringe."""

    parting: float
    """Where the fringe parts, in head units."""

    fringe: float
    """How low the fringe hangs, in head units."""

    curl: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    eye_spread: float
    lashes: int
    jaw: float
    """Width of the jaw, about 1."""

    chin: float
    """y of the chin."""

    shoulders: float
    three_tone: bool
    accessory: str
    """`none`, `ribbon`, `band`, `glasses` or `clip`."""

    colored_lines: bool
    rough_lines: bool
    """Broken, as pencil lines copied onto cels are."""


@dataclass(frozen=True)
class Pose:
    """What a character does in one drawing."""

    yaw: float = 0.0
    """Turn of the head, radians; positive faces the right of the frame."""

    pitch: float = 0.0
    """Positive looks down."""

    roll: float = 0.0
    mouth: str = "smile"
    """`smile`, `line`, `sad`, `small`, `half`, `wide`, `round` or `teeth`."""

    eyes: float = 1.0
    """1 open to 0 closed."""

    happy_eyes: bool = False
    """Closed eyes arch upward."""

    gaze: tuple[float, float] = (0.0, 0.0)
    brows: float = 0.0
    """Negative is angry, positive worried."""

    blush: bool = False
    light: float = 1.0
    """Where light comes from: 1 right, -1 left."""

    sway: float = 0.0
    """Hair blown sideways, head units at the tips."""

    arms: str = "down"
    """`down`, `wave`, `hip` or `chest`."""

    swing: float = 0.0
    """How far outward a waving hand is, head units."""

    behind: bool = False
    """Seen from behind."""


@dataclass(frozen=True)
class Figure:
    """A character in a pose at a place, ready to be drawn on a canvas."""

    canvas: Canvas
    design: Design
    pose: Pose
    place: Placement
    """Where the head lies in the scene; its scale is half a skull's width."""

    @property
    def pen(self) -> Pen:
        return Pen(self.design.line, 0.0012 + 0.0042 * self.place.scale**0.75)

    @property
    def body_place(self) -> Placement:
        """The body stays upright while the head rolls."""
        return replace(self.place, angle=self.place.angle * 0.25)

    @property
    def head_place(self) -> Placement:
        return replace(self.place, angle=self.place.angle + self.pose.roll)

    def outline_pen(self, fill: Color) -> Pen:
        """The pen for contours round an area: a trace of its own hue where the design asks."""
        return (
            self.pen.tinted(shade(shade(fill, 1.3), 1.3), 0.75)
            if self.design.colored_lines
            else self.pen
        )

    def at(self, local: Points) -> Points:
        """Head coordinates without depth (silhouettes) to the scene."""
        return self.head_place(local)

    def on_face(self, local: Points, depth: float = 1.06) -> Points:
        """Points on the front of a head of that radius, turned with it, to the scene."""
        yaw, pitch = self.pose.yaw, self.pose.pitch
        x, y = local[:, 0], local[:, 1]
        z = np.sqrt(np.maximum(depth**2 - np.minimum(x**2, depth**2) - 0.12 * y**2, 0.02))
        turned = np.stack(
            (
                x * np.cos(yaw) + 0.62 * z * np.sin(yaw),
                y * np.cos(0.6 * pitch) + 0.5 * z * np.sin(pitch),
            ),
            axis=1,
        )
        return self.head_place(turned)

    def on_body(self, local: Points) -> Points:
        """Points of the body, collar near y = 1.4 and soles near y = 10, to the scene."""
        return self.body_place(local - (0.0, 0.13))


def design_character(rng: np.random.Generator) -> Design:
    """A new character; consumes the same random numbers whoever comes out."""
    masculine = bool(rng.random() < 0.38)
    young = bool(rng.random() < 0.3)
    hair = vary(rng, rgb(HAIRS[rng.integers(len(HAIRS))]), 0.03)
    skin = vary(rng, rgb(SKINS[rng.integers(len(SKINS))]), 0.012)
    cloth = vary(rng, rgb(CLOTHES[rng.integers(len(CLOTHES))]), 0.03)
    trim = vary(rng, rgb(CLOTHES[rng.integers(len(CLOTHES))]), 0.03)
    warm = hsv(rng.uniform(0.0, 0.06), rng.uniform(0.35, 0.6), rng.uniform(0.16, 0.27))
    cold = hsv(rng.uniform(0.6, 0.72), rng.uniform(0.15, 0.4), rng.uniform(0.12, 0.2))
    line = warm if rng.random() < 0.7 else cold
    if sum(abs(a - b) for a, b in zip(cloth, trim, strict=True)) < 0.35:
        trim = mix(trim, rgb("f0ece0") if sum(cloth) < 1.6 else rgb("3a3450"), 0.75)
    backs = (
        ("short", "spiky", "short", "ponytail")
        if masculine
        else ("bob", "long", "ponytail", "twintails", "short")
    )
    outfits = (
        ("shirt", "jacket", "sweater", "robe")
        if masculine
        else ("sailor", "shirt", "jacket", "sweater", "robe")
    )
    accessories = (
        ("none", "none", "glasses", "band")
        if masculine
        else ("none", "ribbon", "band", "glasses", "clip")
    )
    back, outfit, accessory = rng.random(3)
    size = rng.normal(0, 1, 8)
    return Design(
        seed=int(rng.integers(2**31)),
        masculine=masculine,
        skin=skin,
        hair=hair,
        iris=vary(rng, rgb(IRISES[rng.integers(len(IRISES))]), 0.04),
        line=line,
        cloth=cloth,
        trim=trim,
        hair_back=backs[int(back * len(backs))],
        outfit=outfits[int(outfit * len(outfits))],
        locks=int(rng.integers(5, 9)),
        parting=float(rng.uniform(-0.45, 0.45)),
        fringe=float(rng.uniform(-0.32, -0.08)) - 0.08 * masculine,
        curl=float(rng.uniform(-0.12, 0.2)),
        eye_width=float((0.43 if masculine else 0.50) + 0.025 * size[0] + 0.02 * young),
        eye_height=float((0.33 if masculine else 0.50) + 0.04 * size[1] + 0.06 * young),
        eye_tilt=float(-0.06 + 0.08 * size[2]),
        eye_spread=float(0.435 + 0.012 * size[3]),
        lashes=0 if masculine else int(rng.integers(1, 4)),
        jaw=float((1.03 if masculine else 0.95) + 0.03 * size[4] + 0.03 * young),
        chin=float((1.2 if masculine else 1.1) + 0.03 * size[5] - 0.06 * young),
        shoulders=float((1.28 if masculine else 1.0) + 0.04 * size[6] - 0.12 * young),
        three_tone=bool(rng.random() < 0.35),
        accessory=accessories[int(accessory * len(accessories))],
        colored_lines=bool(rng.random() < 0.35),
        rough_lines=bool(rng.random() < 0.2),
    )
