"""OpenCV's denoisers as m-SRCNN's authors used them, beside the network and on its training set.

Non-local means over colour (Buades et al. 2011, as OpenCV's `fastNlMeansDenoisingColored`),
then a bilateral filter and a median. The only use of OpenCV, the extra `opencv`; pictures are
R'G'B' of 8 bits, all that these filters take.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np
import numpy.typing as npt

from remaster.errors import OptionsError

__all__ = ["DEFAULT", "SHARPENED", "Denoising", "check_opencv", "denoised", "sharpened"]

Picture = npt.NDArray[np.uint8]

LARGEST_WINDOW = 99
STRONGEST = 255.0
BILATERAL_DIAMETER = 3
"""Pixels; a circle, so a pixel and the four beside it."""

BLUR_SIGMA, BLUR_SIDE = 5.0, 31
"""Of what is taken away to sharpen, in pixels; the side is OpenCV's own choice for that sigma."""

SHARPENING = 0.5
"""How much of the difference to the blurred picture is added."""


@dataclass(frozen=True)
class Denoising:
    """How strongly, and over what; strengths in levels of 255, windows in pixels."""

    strength: float = 7.0
    """h of non-local means for L of CIELAB; 0 leaves non-local means out."""

    color_strength: float = 7.0
    """The same for a and b."""

    template: int = 3
    """Side of the squares that are compared, odd."""

    search: int = 9
    """Side of the square in which they are looked for, odd."""

    bilateral: float = 50.0
    """Both sigmas of the bilateral filter: levels, and pixels; 0 leaves it out."""

    median: int = 1
    """Side of the median filter, odd; 1 changes nothing."""

    def __post_init__(self) -> None:
        for name in ("strength", "color_strength", "bilateral"):
            if not 0 <= getattr(self, name) <= STRONGEST:
                raise OptionsError(
                    f"the denoiser's {name.replace('_', ' ')} is 0 to {STRONGEST:g}, "
                    f"not {getattr(self, name):g}"
                )
        for name in ("template", "search", "median"):
            side = getattr(self, name)
            if not 1 <= side <= LARGEST_WINDOW or side % 2 == 0:
                raise OptionsError(
                    f"the denoiser's {name} is an odd number of pixels up to {LARGEST_WINDOW}, "
                    f"not {side}"
                )

    @property
    def final(self) -> Denoising:
        """The stronger one at the end of a double enhancement: 14, 5, 15 and 100 for the default's
        7, 3, 9 and 50."""
        return replace(
            self,
            strength=min(2 * self.strength, STRONGEST),
            color_strength=min(2 * self.color_strength, STRONGEST),
            template=min(self.template + 2, LARGEST_WINDOW),
            search=min(self.search + 6, LARGEST_WINDOW),
            bilateral=min(2 * self.bilateral, STRONGEST),
        )


DEFAULT = Denoising()
SHARPENED = Denoising(10.0, 10.0, 3, 9, bilateral=0.0)
"""What follows the sharpening of m-SRCNN's training set."""


def denoised(picture: Picture, how: Denoising = DEFAULT) -> Picture:
    """Less noise: non-local means, then the bilateral filter, then the median.

    Args:
        picture: (H, W, 3) R'G'B'; it is not changed.

    Raises:
        OptionsError: OpenCV is not installed.
    """
    cv2 = _opencv()
    bgr = np.ascontiguousarray(picture[..., ::-1])
    if how.strength or how.color_strength:
        bgr = cv2.fastNlMeansDenoisingColored(
            bgr, None, how.strength, how.color_strength, how.template, how.search
        )
    if how.bilateral:
        bgr = cv2.bilateralFilter(bgr, BILATERAL_DIAMETER, how.bilateral, how.bilateral)
    if how.median > 1:
        bgr = cv2.medianBlur(bgr, how.median)
    return np.ascontiguousarray(bgr[..., ::-1])


def sharpened(picture: Picture) -> Picture:
    """A picture of m-SRCNN's training set: (H, W, 3) R'G'B', sharpened, then denoised.

    Half the difference to a Gaussian blur is added, then non-local means of strength 10.

    Raises:
        OptionsError: OpenCV is not installed.
    """
    cv2 = _opencv()
    picture = np.ascontiguousarray(picture)
    blurred = cv2.GaussianBlur(picture, (BLUR_SIDE, BLUR_SIDE), BLUR_SIGMA)
    sharp = cv2.addWeighted(picture, 1 + SHARPENING, blurred, -SHARPENING, 0)
    return denoised(sharp, SHARPENED)


def check_opencv() -> None:
    """Raise OptionsError where OpenCV is not installed."""
    _opencv()


def _opencv() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise OptionsError(
            "m-SRCNN's denoisers are OpenCV's, which is not here: pip install 'remaster[opencv]'"
        ) from error
    return cv2
