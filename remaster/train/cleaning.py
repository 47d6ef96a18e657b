"""Whether a picture holds the detail its size promises, and what is done where it does not."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from remaster.train.sources import Picture

__all__ = ["halved", "is_upscaled", "luma_of", "without_blocking", "without_upscaling"]

LEAST_SHORT_SIDE = 360
"""Of a picture that was upscaled, when it is brought back."""

LEAST_SHORT_SIDE_OF_JPEG = 700
"""Of a JPEG that is reduced to be rid of its blocks."""

TILE = 128
FLOOR = 0.018
"""Energy above 0.35 cycles a pixel over that of 0.1 to 0.25, in the liveliest tiles. Over 60
illustrations as drawn it is 0.023 or more; enlarged twice by bicubic, 0.013 or less; one and a half
times, 0.009 to 0.046."""

LEAST_ENERGY = 16.0
"""Mean square of the levels between 0.1 and 0.25 cycles a pixel; flatter pictures show nothing."""


def without_blocking(picture: Picture) -> Picture:
    """A JPEG at half its size where that is still large: its blocks are gone then."""
    is_large = min(picture.shape[:2]) // 2 >= LEAST_SHORT_SIDE_OF_JPEG
    return halved(picture) if is_large else picture


def without_upscaling(picture: Picture) -> tuple[Picture, bool]:
    """(picture at a size it holds the detail of, whether it is one): halved while it shows that it
    was enlarged and stays large enough."""
    while is_upscaled(picture):
        if min(picture.shape[:2]) // 2 < LEAST_SHORT_SIDE:
            return picture, False
        picture = halved(picture)
    return picture, True


def halved(picture: Picture) -> Picture:
    """(H // 2, W // 2, C) by Lanczos; colours weighted by alpha."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    even = Image.fromarray(picture[: 2 * height, : 2 * width])
    return np.asarray(even.resize((width, height), Image.Resampling.LANCZOS))


def luma_of(picture: Picture) -> NDArray[np.float32]:
    """(H, W) levels of 255, BT.601; what is transparent over grey."""
    levels = picture[..., :3].astype(np.float32)
    luma: NDArray[np.float32] = levels @ np.array([0.299, 0.587, 0.114], np.float32)
    if picture.shape[2] == 4:
        alpha = picture[..., 3].astype(np.float32) / np.float32(255)
        luma = (luma - np.float32(128)) * alpha + np.float32(128)
    return luma


def is_upscaled(picture: Picture) -> bool:
    """Whether the finest detail is missing everywhere, as in what was enlarged.

    Soft focus in places does not count: the liveliest quarter of the tiles decides. Flat pictures
    and ones smaller than a tile are taken as they are.
    """
    middles, fines = _energies(luma_of(picture))
    if not len(middles):
        return False
    lively = np.argsort(-middles)[: max(4, len(middles) // 4)]
    middle, fine = float(middles[lively].mean()), float(fines[lively].mean())
    return middle > LEAST_ENERGY and fine < FLOOR * middle


@functools.cache
def _bands() -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """(window, middle frequencies, fine ones) of a tile."""
    hann = np.hanning(TILE).astype(np.float32)
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None])
    middle = (frequency > 0.1) & (frequency < 0.25)
    return np.outer(hann, hann), middle, (frequency > 0.35) & (frequency <= 0.5)


def _energies(luma: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean square of the levels in the middle and in the fine band, of each whole tile."""
    window, middle, fine = _bands()
    rows, columns = luma.shape[0] // TILE, luma.shape[1] // TILE
    energies = []
    for row in range(rows):
        for column in range(columns):
            tile = luma[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
            spectrum = np.abs(np.fft.rfft2((tile - tile.mean()) * window)) ** 2
            energies.append((spectrum[middle].sum(), spectrum[fine].sum()))
    scale = 2 / float((window**2).sum()) / TILE**2
    each = np.array(energies, np.float64).reshape(-1, 2) * scale
    return each[:, 0], each[:, 1]
