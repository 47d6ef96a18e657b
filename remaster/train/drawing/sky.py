"""Painted skies: the light of an hour, sun and moon, stars, heaped clouds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from remaster.train.drawing.canvas import Canvas, Color
from remaster.train.drawing.coverage import Mask
from remaster.train.drawing.curves import Placement, box, disc
from remaster.train.drawing.paint import gradient, mix, noise, rgb

__all__ = ["HOURS", "Hour", "draw_clouds", "draw_sky"]

Generator = np.random.Generator


@dataclass(frozen=True)
class Hour:
    """The light of a time of day."""

    zenith: Color
    middle: Color
    horizon: Color
    cloud: Color
    cloud_shadow: Color
    tint: Color
    """What local colours are multiplied by."""

    haze: Color
    """What distance mixes in."""

    lamps: bool = False
    """Windows are lit and stars are out."""

    def lit(self, color: Color, distance: float = 0.0) -> Color:
        """A local colour in this light, at a distance of 0 to 1."""
        tinted = (color[0] * self.tint[0], color[1] * self.tint[1], color[2] * self.tint[2])
        return mix(tinted, self.haze, distance)


def painted(codes: str, tint: Color, lamps: bool = False) -> Hour:
    """An hour from the codes of its zenith, middle, horizon, cloud, cloud shadow and haze."""
    zenith, middle, horizon, cloud, cloud_shadow, haze = (rgb(code) for code in codes.split())
    return Hour(zenith, middle, horizon, cloud, cloud_shadow, tint, haze, lamps)


HOURS = {
    "noon": painted("4a86b8 86b6d0 d2e0d8 f4f2e8 b4c4d2 bcd2d6", (1.0, 1.0, 0.97)),
    "morning": painted("7aa4c0 b8cccc f0e2c4 fbf0dc ccc4c4 dcd8c8", (1.0, 0.97, 0.9)),
    "sunset": painted("5a5a86 c87c6c f4c078 f6b880 8c6480 d89878", (0.95, 0.76, 0.66)),
    "dusk": painted("2e3460 6a5a88 c08890 a07c98 4c4470 6c6088", (0.62, 0.58, 0.74), lamps=True),
    "night": painted("0e1630 1c2a4c 3a4c6c 46587c 1e2a48 2a3a58", (0.36, 0.42, 0.60), lamps=True),
    "overcast": painted("8c98a0 acb4b4 ccccc4 c4c8c8 94a0a8 b4bcbc", (0.84, 0.86, 0.88)),
}


def draw_sky(canvas: Canvas, rng: Generator, hour: Hour, horizon: float) -> None:
    """A gradient wash over the whole sheet, with stars when it is dark."""
    view = canvas.view
    stops = [(-0.6, hour.zenith), (horizon - 0.35, hour.middle), (horizon, hour.horizon)]
    wash = gradient(view, stops, slope=float(rng.uniform(-0.08, 0.08)))
    wash *= 1 + 0.025 * noise(view, rng, 3.0, 3, stretch=3.0)[:, :, None]
    canvas.fill(box(-9, -9, 9, 9), wash)
    draw_sun_or_moon(canvas, rng, hour, horizon)
    if hour.lamps:
        at = rng.uniform((-2, -0.6), (2, horizon - 0.1), (260, 2))
        size = rng.uniform(0.0006, 0.0018, 260) * (1 + (rng.random(260) < 0.06))
        canvas.fill(
            [disc(x, y, r, count=8) for (x, y), r in zip(at, size, strict=True)],
            (0.96, 0.95, 0.85),
            0.8,
        )


def draw_sun_or_moon(canvas: Canvas, rng: Generator, hour: Hour, horizon: float) -> None:
    """A disc in a halo, in one sky of three; high by night, low at sunset."""
    shown, x, y, size = (
        rng.random() < 0.35,
        rng.uniform(-0.5, 0.5),
        rng.uniform(0.05, 0.4),
        rng.uniform(0.03, 0.06),
    )
    if not shown:
        return
    glow = mix(hour.cloud, (1.0, 0.97, 0.85), 0.6)
    height = horizon - y
    far = np.hypot(canvas.view.columns() - x, canvas.view.rows() - height)
    halo = np.exp(-((far / (5 * size)) ** 2)) * 0.5
    canvas.fill(Mask(0, 0, halo.astype(np.float32)), glow)
    canvas.fill(disc(x, height, size, count=48), mix(glow, (1.0, 1.0, 0.95), 0.6))


def draw_clouds(canvas: Canvas, rng: Generator, hour: Hour, horizon: float) -> None:
    """Heaped clouds with lit tops, painted wet, over thin streaks."""
    view = canvas.view
    streaks = np.clip(noise(view, rng, 5.0, 4, stretch=5.0) - 0.15, 0, 1)
    height = np.clip((horizon - view.rows()) * 2.5, 0, 1)
    canvas.fill(Mask(0, 0, (streaks * height * 0.55).astype(np.float32)), hour.cloud)
    ragged = noise(view, rng, 10.0, 4) * np.float32(0.16)
    for _ in range(int(rng.integers(2, 6))):
        size = float(rng.uniform(0.12, 0.36))
        x, y = float(rng.uniform(-1.1, 1.1)), horizon - float(rng.uniform(0.0, 0.5)) - 0.1 * size
        draw_cumulus(canvas, rng, hour, Placement(x, y, size), ragged)


def draw_cumulus(
    canvas: Canvas, rng: Generator, hour: Hour, place: Placement, ragged: npt.NDArray[np.float32]
) -> None:
    """A heap of round puffs on a flat base, each shaded like a ball lit from above.

    `ragged` (H, W) is the noise that frays edges and shading.
    """
    view, size = canvas.view, place.scale
    dx, radius = rng.uniform(-1, 1, 22), size * rng.uniform(0.20, 0.38, 22)
    radius *= 1.15 - 0.6 * np.abs(dx)
    x = place.x + dx * size * 1.25
    y = place.y - rng.random(22) * (1 - dx**2) * 0.55 * size
    top, bottom = np.searchsorted(view.rows()[:, 0], (place.y - 1.3 * size, place.y + 0.2 * size))
    left, right = np.searchsorted(view.columns()[0], (place.x - 1.9 * size, place.x + 1.9 * size))
    rows, columns = view.rows()[top:bottom], view.columns()[:, left:right]
    body = np.full((len(rows), columns.shape[1]), -1.0, np.float32)
    light = np.zeros_like(body)
    for cx, cy, r in zip(x, y, radius, strict=True):
        over, aside = (
            (rows - np.float32(cy)) / np.float32(r),
            (columns - np.float32(cx)) / np.float32(r),
        )
        ball = 1 - over**2 - aside**2
        front = ball > body
        np.copyto(body, ball, where=front)
        high = 0.35 * (cy < place.y - 0.15 * size)
        np.copyto(light, np.float32(0.5 + high) - 0.55 * over + 0.2 * aside, where=front)
    frayed = ragged[top:bottom, left:right]
    base = np.clip((place.y + 0.10 * size - rows) / (0.16 * size), 0, 1)
    alpha = np.clip((body + 2.2 * frayed + 0.05) / 0.30, 0, 1) * base
    share = np.clip((light + 1.6 * frayed - 0.25) / 0.75, 0, 1)[:, :, None]
    bright = np.asarray(mix(hour.cloud, (1, 1, 1), 0.25), np.float32)
    paint = np.asarray(hour.cloud_shadow, np.float32) * (1 - share) + bright * share
    mask = Mask(int(top), int(left), (alpha * 0.96).astype(np.float32))
    canvas.fill(mask, paint.astype(np.float32))
