"""Points in the plane: curves sampled into polylines, strokes turned into outlines.

Points are (N, 2) float64, x to the right and y down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "Placement",
    "bezier",
    "box",
    "disc",
    "points",
    "resample",
    "ribbon",
    "smooth",
    "superellipse",
    "wave_noise",
]

Points = npt.NDArray[np.float64]
Generator = np.random.Generator


@dataclass(frozen=True)
class Placement:
    """Where a drawing's own coordinates lie in another's: scale, turn, then move."""

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    angle: float = 0.0
    """Radians, clockwise on the screen."""

    stretch: float = 1.0
    """Horizontal factor before turning; -1 mirrors."""

    def __call__(self, local: Points) -> Points:
        cos, sin = np.cos(self.angle) * self.scale, np.sin(self.angle) * self.scale
        x, y = local[:, 0] * self.stretch, local[:, 1]
        return np.stack((self.x + cos * x - sin * y, self.y + sin * x + cos * y), axis=1)


def points(*pairs: tuple[float, float]) -> Points:
    """The pairs as an (N, 2) array."""
    return np.array(pairs, np.float64).reshape(-1, 2)


def bezier(*controls: tuple[float, float] | Points, count: int = 16) -> Points:
    """A Bezier curve of any degree through its first and last control point."""
    level = np.asarray(controls, np.float64)[:, None, :]
    t = np.linspace(0, 1, count)[None, :, None]
    while len(level) > 1:
        level = level[:-1] * (1 - t) + level[1:] * t
    return np.asarray(np.broadcast_to(level[0], (count, 2)))


def smooth(
    knots: Points | Sequence[tuple[float, float]], closed: bool = False, count: int = 8
) -> Points:
    """A Catmull-Rom curve through the knots, `count` points to a span."""
    knots = np.asarray(knots, np.float64)
    if closed:
        padded = np.concatenate((knots[-1:], knots, knots[:2]))
    else:
        padded = np.concatenate((2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]))
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.arange(count)[None, :, None] / count
    a, b, c, d = a[:, None], b[:, None], c[:, None], d[:, None]
    curve = b + t / 2 * ((c - a) + t * ((2 * a - 5 * b + 4 * c - d) + t * (3 * (b - c) + d - a)))
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate((curve, knots[-1:]))


def disc(x: float, y: float, rx: float, ry: float | None = None, count: int = 28) -> Points:
    """An ellipse."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack(
        (x + rx * np.cos(angle), y + (rx if ry is None else ry) * np.sin(angle)), axis=1
    )


def superellipse(x: float, y: float, rx: float, ry: float, power: float, count: int = 36) -> Points:
    """An ellipse for power 2, boxier above."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack(
        (
            x + rx * np.sign(cos) * np.abs(cos) ** (2 / power),
            y + ry * np.sign(sin) * np.abs(sin) ** (2 / power),
        ),
        axis=1,
    )


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """An upright rectangle."""
    return points((left, top), (right, top), (right, bottom), (left, bottom))


def resample(curve: Points, count: int) -> Points:
    """The curve as `count` points at equal distances."""
    length = _arc_length(curve)
    at = np.linspace(0, length[-1], count)
    return np.stack(
        (np.interp(at, length, curve[:, 0]), np.interp(at, length, curve[:, 1])), axis=1
    )


def ribbon(curve: Points, widths: npt.NDArray[np.float64]) -> Points:
    """The outline of a stroke along the curve, `widths` (N,) across."""
    ahead = np.gradient(curve, axis=0)
    ahead /= np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-12)[:, None]
    aside = np.stack((-ahead[:, 1], ahead[:, 0]), axis=1) * widths[:, None] / 2
    cap_end = curve[-1:] + ahead[-1:] * widths[-1] * 0.4
    cap_start = curve[:1] - ahead[:1] * widths[0] * 0.4
    return np.concatenate((cap_start, curve + aside, cap_end, (curve - aside)[::-1]))


def stroke_widths(
    curve: Points, width: float, taper: tuple[float, float], wobble: float
) -> npt.NDArray[np.float64]:
    """Widths of a hand-drawn stroke: ends thin over shares of its length, pressure uneven.

    The unevenness depends on where the stroke is, so a line drawn again is the same line.
    """
    length = _arc_length(curve)
    along = length / max(length[-1], 1e-12)
    thin_in = np.clip(along / taper[0], 0, 1) if taper[0] > 0 else 1.0
    thin_out = np.clip((1 - along) / taper[1], 0, 1) if taper[1] > 0 else 1.0
    pressure = np.asarray(0.12 + 0.88 * np.sin(np.pi / 2 * np.minimum(thin_in, thin_out)))
    phase = 37.7 * curve[0, 0] + 91.3 * curve[0, 1]
    uneven = np.sin(length / max(width, 1e-9) * 0.11 + phase) + 0.6 * np.sin(
        5.1 * along + 2.3 * phase
    )
    return width * pressure * (1 + wobble * uneven)


def wave_noise(rng: Generator, count: int, waves: int) -> npt.NDArray[np.float64]:
    """(count,) smooth noise of about unit size: `waves` sines, slow ones stronger."""
    at = np.linspace(0, 2 * np.pi, count)
    phases = rng.uniform(0, 2 * np.pi, waves)
    rates = np.arange(1, waves + 1) * rng.uniform(0.8, 1.2, waves)
    return np.asarray((np.sin(at[:, None] * rates + phases) / np.sqrt(rates)).sum(axis=1) / 1.3)


def _arc_length(curve: Points) -> npt.NDArray[np.float64]:
    steps = np.hypot(*np.diff(curve, axis=0).T)
    return np.concatenate(([0.0], np.cumsum(steps)))
