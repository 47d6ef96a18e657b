"""Colours and washes: mixing, gradients, cloudy noise, defocus and lens softness."""

from __future__ import annotations

import colorsys

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from remaster.train.drawing.canvas import Color, Image, View

__all__ = ["blur", "gradient", "hsv", "mix", "noise", "rgb", "shade", "soften", "vary"]

Field = npt.NDArray[np.float32]


def rgb(code: str) -> Color:
    """A colour from its hexadecimal code."""
    return int(code[0:2], 16) / 255, int(code[2:4], 16) / 255, int(code[4:6], 16) / 255


def hsv(hue: float, saturation: float, value: float) -> Color:
    """A colour from hue (turns), saturation and value, 0 to 1."""
    saturation, value = min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0)
    return colorsys.hsv_to_rgb(hue % 1.0, saturation, value)


def mix(first: Color, second: Color, share: float) -> Color:
    """From the first (share 0) to the second colour (share 1)."""
    r, g, b = (a + (c - a) * share for a, c in zip(first, second, strict=True))
    return r, g, b


def shade(color: Color, depth: float = 1.0) -> Color:
    """The colour's shadow tone on a painted cel: darker, richer, a little colder."""
    hue, saturation, value = colorsys.rgb_to_hsv(*color)
    toward_blue = (0.70 - hue + 0.5) % 1.0 - 0.5
    warm_skin = 0.02 < hue < 0.14 and saturation < 0.45 and value > 0.7
    hue += (
        -0.012 if warm_skin else 0.06 * np.sign(toward_blue) * min(abs(toward_blue), 0.5)
    ) * depth
    deeper = (0.13 if warm_skin else 0.07) * depth
    return hsv(hue, saturation + deeper, value * (1 - (0.15 if warm_skin else 0.24) * depth))


def vary(rng: np.random.Generator, color: Color, amount: float) -> Color:
    """A neighbour of the colour."""
    hue, saturation, value = colorsys.rgb_to_hsv(*color)
    dh, ds, dv = rng.normal(0, amount, 3)
    return hsv(hue + 0.25 * dh, saturation + ds, value + dv)


def gradient(view: View, stops: list[tuple[float, Color]], slope: float = 0.0) -> Image:
    """(H, W, 3): colours by scene y, between (y, colour) stops; `slope` tilts it along x."""
    at = view.rows() + slope * view.columns() if slope else view.rows()
    places = [stop for stop, _ in stops]
    channels = [np.interp(at, places, [color[i] for _, color in stops]) for i in range(3)]
    flat = np.stack(channels, axis=2).astype(np.float32)
    return np.array(np.broadcast_to(flat, (view.height, view.width, 3)))


def noise(
    view: View, rng: np.random.Generator, frequency: float, octaves: int = 3, stretch: float = 1.0
) -> Field:
    """(H, W) cloudy noise, mean 0 and about -1 to 1; `frequency` cells per scene unit.

    `stretch` above 1 draws the cells out along x. The field belongs to the scene: a moved or
    enlarged view sees the same clouds.
    """
    total: Field = np.zeros((view.height, view.width), np.float32)
    for octave in range(octaves):
        lattice = rng.standard_normal((64, 64)).astype(np.float32)
        rate = frequency * 2**octave
        if rate > 0.7 * view.height:
            continue
        total += _sampled(view, lattice, rate / stretch, rate) * np.float32(0.55**octave)
    return total * np.float32(0.9)


def blur(image: Image, sigma: float) -> Image:
    """Defocus: close to a Gaussian of `sigma` pixels, (H, W, C), edges held."""
    if sigma < 0.15:
        return image
    if sigma < 2.5:
        return soften(image, sigma)
    step = max(int(sigma / 1.6), 1)
    height, width, channels = image.shape
    small_size = (max(-(-width // step), 2), max(-(-height // step), 2))
    small = np.stack([_resized(image[:, :, c], small_size) for c in range(channels)], axis=2)
    small = soften(small, np.sqrt(max(sigma**2 - (step * 0.45) ** 2, 0.01)) / step)
    return np.stack([_resized(small[:, :, c], (width, height)) for c in range(channels)], axis=2)


def soften(image: Image, sigma: float) -> Image:
    """An exact small Gaussian of `sigma` pixels, (H, W, C), edges held."""
    if sigma < 0.15:
        return image
    radius = int(np.ceil(3 * sigma))
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        length = image.shape[axis]
        padding = [(radius, radius) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(image, padding, mode="edge")
        parts = [
            (padded[i : i + length] if axis == 0 else padded[:, i : i + length])
            for i in range(len(kernel))
        ]
        image = kernel[radius] * parts[radius]
        for i in range(radius):
            image += kernel[i] * (parts[i] + parts[-1 - i])
    return image


def _sampled(view: View, lattice: Field, rate_x: float, rate_y: float) -> Field:
    """A periodic lattice with `rate` nodes per scene unit, at the view's pixels (bicubic)."""
    margin = 3
    left = (view.x - view.width / 2 / view.unit) * rate_x
    top = (view.y - view.height / 2 / view.unit) * rate_y
    across, down = view.width / view.unit * rate_x, view.height / view.unit * rate_y
    first_x, first_y = int(np.floor(left)) - margin, int(np.floor(top)) - margin
    columns = np.arange(first_x, int(np.ceil(left + across)) + margin + 1) % lattice.shape[1]
    rows = np.arange(first_y, int(np.ceil(top + down)) + margin + 1) % lattice.shape[0]
    patch = Pillow.fromarray(np.ascontiguousarray(lattice[rows[:, None], columns[None, :]]))
    window = (left - first_x, top - first_y, left - first_x + across, top - first_y + down)
    sampled = patch.resize((view.width, view.height), Pillow.Resampling.BICUBIC, box=window)
    return np.asarray(sampled, np.float32)


def _resized(plane: Field, size: tuple[int, int]) -> Field:
    picture = Pillow.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(picture.resize(size, Pillow.Resampling.BICUBIC), np.float32)
