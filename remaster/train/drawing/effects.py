"""What is laid over or behind a drawing: bursts, bokeh, screentone, petals, snow, rain, sparks."""

from __future__ import annotations

import numpy as np

from remaster.train.drawing.canvas import Canvas, Color, Pen
from remaster.train.drawing.curves import Points, box, disc, points
from remaster.train.drawing.paint import blur, gradient, mix, noise, shade

__all__ = [
    "PARTICLES",
    "draw_bokeh",
    "draw_burst",
    "draw_hatching",
    "draw_particles",
    "draw_screentone",
    "draw_wash",
]

Generator = np.random.Generator
PARTICLES = ("petals", "snow", "rain", "sparks")


def draw_wash(canvas: Canvas, rng: Generator, color: Color) -> None:
    """A soft two-colour backdrop with cloudy brushwork."""
    other = mix(shade(color, rng.uniform(0.3, 1.2)), (1.0, 0.95, 0.85), rng.uniform(0, 0.25))
    wash = gradient(
        canvas.view, [(-0.55, other), (0.5, color)], slope=float(rng.uniform(-0.7, 0.7))
    )
    wash *= 1 + 0.06 * noise(canvas.view, rng, 3.0, 4)[:, :, None]
    canvas.fill(box(-9, -9, 9, 9), wash)


def draw_burst(
    canvas: Canvas, rng: Generator, x: float, y: float, color: Color, hole: float
) -> None:
    """Speed lines that converge on a point and leave a hole round it."""
    count = int(rng.integers(70, 170))
    angle = np.sort(rng.uniform(0, 2 * np.pi, count))
    inner = hole * rng.uniform(0.8, 1.7, count)
    half = rng.uniform(0.001, 0.016, count) * rng.uniform(0.3, 1.0)
    wedges = []
    for a, near, wide in zip(angle, inner, half, strict=True):
        ahead, aside = np.array((np.cos(a), np.sin(a))), np.array((-np.sin(a), np.cos(a)))
        wedges.append(
            np.array((ahead * near, ahead * 3 + aside * wide * 6, ahead * 3 - aside * wide * 6))
            + (x, y)
        )
    canvas.fill(wedges, color)


def draw_bokeh(canvas: Canvas, rng: Generator, color: Color) -> None:
    """Soft discs of light."""
    sheet = Canvas(canvas.view)
    for _ in range(int(rng.integers(12, 34))):
        x, y, r = rng.uniform(-1.1, 1.1), rng.uniform(-0.55, 0.55), rng.uniform(0.015, 0.09)
        sheet.fill(
            disc(x, y, r), mix(color, (1, 1, 1), rng.uniform(0.1, 0.8)), rng.uniform(0.10, 0.38)
        )
    canvas.paste(blur(sheet.pixels, 0.004 * canvas.view.unit))


def draw_screentone(canvas: Canvas, rng: Generator, area: Points, color: Color) -> None:
    """A patch of dots on a turned grid, growing across it."""
    pitch, angle = rng.uniform(0.008, 0.02), rng.choice([0.0, np.pi / 4, rng.uniform(0, np.pi / 2)])
    center = area.mean(axis=0)
    reach = np.abs(area - center).max() * 1.5
    steps = np.arange(-reach, reach, pitch)[:110]
    across, down = np.meshgrid(steps, steps)
    at_x = center[0] + across * np.cos(angle) - down * np.sin(angle)
    at_y = center[1] + across * np.sin(angle) + down * np.cos(angle)
    grow = (
        np.clip(0.5 + (at_y - center[1]) / reach, 0.08, 1)
        if rng.random() < 0.6
        else np.full_like(at_y, 0.6)
    )
    low, high = area.min(axis=0) - pitch, area.max(axis=0) + pitch
    near = (at_x > low[0]) & (at_x < high[0]) & (at_y > low[1]) & (at_y < high[1])
    dots = [
        disc(x, y, pitch * 0.52 * g, count=9)
        for x, y, g in zip(at_x[near], at_y[near], grow[near], strict=True)
    ]
    if dots:
        canvas.fill(dots, color, clip=canvas.mask(area))


def draw_hatching(canvas: Canvas, rng: Generator, area: Points, pen: Pen) -> None:
    """Parallel pen strokes over a patch."""
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(0.006, 0.014)
    center = area.mean(axis=0)
    reach = np.abs(area - center).max() * 1.45
    ahead, aside = (
        np.array((np.cos(angle), np.sin(angle))),
        np.array((-np.sin(angle), np.cos(angle))),
    )
    offsets = np.arange(-reach, reach, pitch)
    long = reach * rng.uniform(0.75, 1.0, (len(offsets), 2))
    strokes = [
        np.array(
            (center + aside * o - ahead * a, center + aside * o, center + aside * o + ahead * b)
        )
        for o, (a, b) in zip(offsets, long, strict=True)
    ]
    canvas.lines(strokes, pen, clip=canvas.mask(area), taper=(0.1, 0.3))


def draw_particles(canvas: Canvas, kind: str, seed: int, seconds: float) -> None:
    """Falling things `seconds` after they began; each follows its own endless path."""
    rng = np.random.default_rng([seed, 23])
    count = {"petals": 46, "snow": 150, "rain": 190, "sparks": 60}[kind]
    start = rng.uniform((-1.2, 0), (1.2, 1), (count, 2))
    depth, phase, rate = (
        rng.random(count),
        rng.uniform(0, 2 * np.pi, count),
        rng.uniform(0.8, 1.25, count),
    )
    fall = {"petals": 0.13, "snow": 0.10, "rain": 2.2, "sparks": -0.25}[kind]
    drift = {"petals": -0.10, "snow": 0.03, "rain": -0.25, "sparks": 0.02}[kind]
    down = (start[:, 1] + fall * rate * seconds * (0.5 + depth)) % 1.0
    y = down * 1.2 - 0.6
    x = (
        start[:, 0]
        + drift * seconds * (0.5 + depth)
        + 0.03 * np.sin(phase + 1.7 * seconds * rate)
        + 1.2
    ) % 2.4 - 1.2
    if kind == "petals":
        petal = points(
            (-1, 0),
            (-0.5, -0.55),
            (0.3, -0.6),
            (0.75, -0.25),
            (0.6, 0.0),
            (0.85, 0.3),
            (0.2, 0.55),
            (-0.5, 0.4),
        )
        near: list[Points] = []
        far: list[Points] = []
        for px, py, d, p, r in zip(x, y, depth, phase, rate, strict=True):
            turn, squash = p + 1.3 * seconds * r, 0.35 + 0.65 * abs(np.sin(p + 2.1 * seconds * r))
            local = petal * (1, squash) * (0.005 + 0.010 * d)
            cos, sin = np.cos(turn), np.sin(turn)
            placed = local @ np.array(((cos, sin), (-sin, cos))) + (px, py)
            (near if d > 0.5 else far).append(placed)
        canvas.fill(far, (0.93, 0.74, 0.76), 0.85)
        canvas.fill(near, (0.98, 0.84, 0.85), 0.95)
    elif kind == "snow":
        canvas.fill(
            [
                disc(px, py, 0.002 + 0.006 * d, count=10)
                for px, py, d in zip(x, y, depth, strict=True)
            ],
            (0.97, 0.98, 1.0),
            0.9,
        )
    elif kind == "rain":
        streaks = [
            points(
                (px, py), (px + 0.004, py - 0.03), (px + 0.008 + 0.012 * d, py - 0.07 - 0.12 * d)
            )
            for px, py, d in zip(x, y, depth, strict=True)
        ]
        canvas.lines(streaks, Pen((0.85, 0.9, 0.96), 0.0018, (0.3, 0.3), 0.0, 0.55))
    else:
        glow = [
            disc(px, py, 0.006 + 0.006 * d, count=10) for px, py, d in zip(x, y, depth, strict=True)
        ]
        canvas.fill(glow, (1.0, 0.72, 0.35), 0.35)
        canvas.fill([g * 0.4 + g.mean(axis=0) * 0.6 for g in glow], (1.0, 0.95, 0.75), 0.95)
