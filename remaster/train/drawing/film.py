"""How a drawing was filmed: lens, paint and film stock, on the way to 8-bit pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from remaster.train.drawing.canvas import Color, Image, View
from remaster.train.drawing.paint import soften

__all__ = ["Look", "develop", "random_look"]


@dataclass(frozen=True)
class Look:
    """How paint and film change the drawn colours."""

    saturation: float
    gain: Color
    lift: float
    softness: float
    """Sigma of the lens blur in pixels of the finished frame."""

    vignette: float
    grain: float


def random_look(rng: np.random.Generator) -> Look:
    warm = rng.normal(0, 0.025)
    return Look(
        saturation=float(rng.uniform(0.72, 1.0)),
        gain=(1 + warm, 1.0, 1 - 1.2 * warm - 0.02),
        lift=float(rng.uniform(0.0, 0.06)),
        softness=float(rng.uniform(0, 0.8)) * bool(rng.random() < 0.8),
        vignette=float(rng.uniform(0, 0.14)) * bool(rng.random() < 0.3),
        grain=float(rng.uniform(0.004, 0.012)) * bool(rng.random() < 0.1),
    )


def develop(pixels: Image, view: View, look: Look, seed: int) -> npt.NDArray[np.uint8]:
    """Finished (H, W, 3) uint8 from premultiplied pixels over black."""
    image = soften(pixels[:, :, :3], look.softness)
    luma = image @ np.array((0.30, 0.59, 0.11), np.float32)
    image = luma[:, :, None] + (image - luma[:, :, None]) * np.float32(look.saturation)
    image *= np.asarray(look.gain, np.float32)
    image *= np.float32(1 - look.lift)
    image += np.float32(look.lift * 0.9)
    if look.vignette:
        screen = View(view.height, view.width)
        far = (screen.rows() ** 2 + (screen.columns() / screen.aspect) ** 2) * 2
        image *= (1 - look.vignette * far)[:, :, None]
    if look.grain:
        plate = (
            np.random.default_rng([seed, 31])
            .standard_normal((view.height, view.width, 1))
            .astype(np.float32)
        )
        image += soften(plate, 0.6) * np.float32(2 * look.grain)
    finished: npt.NDArray[np.uint8] = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    return finished
