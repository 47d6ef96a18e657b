"""How far a change of the source reaches in what trained weights give."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import torch
from torch import Tensor

from remaster.color import subsample_chroma, upsample_chroma
from remaster.models import Network
from remaster.regions import Region, pad
from remaster.train.degrade import VIDEO_LAYOUT

KEPT = 8
"""Side, in source pixels, of the square whose output is watched."""

LEAST_REPLACED = 4
"""Width of the ring, in source pixels, that must be left to be replaced."""

COMPUTED_TOGETHER = 16
HALF_A_LEVEL = 0.5 / 255
SHARE_WITHIN = 0.9999


@torch.no_grad()
def influence_radius(model: Network, pictures: Tensor) -> int | None:
    """How far a change reaches that shows: measured, a multiple of 2.

    Beyond this many source pixels from a square, another picture moves no more than a ten
    thousandth of the square's output, luma and 4:2:0 chroma, by over half a level of 255. What is
    replaced are the samples of a 4:2:0 source, so that bringing chroma to the luma grid counts too.

    Args:
        model: a planes network.
        pictures: (N, 3, H, W) ycc at the small size, even sides; N at least 2.

    Returns:
        None where no radius below the receptive one was found, or the pictures are too small to
        hold one.
    """
    top, left = ((n - KEPT) // 4 * 2 for n in pictures.shape[2:])
    chroma = subsample_chroma(pictures[:, 1:], VIDEO_LAYOUT)
    planes = (pictures[:, :1], chroma)
    usual = _watched(model, planes, top, left)

    def shows_little(radius: int) -> bool:
        mixed = []
        for plane, step in zip(planes, (1, 2)):
            rows, columns = (
                slice((start - radius) // step, (start + KEPT + radius) // step)
                for start in (top, left)
            )
            other = plane.roll(1, 0)
            other[..., rows, columns] = plane[..., rows, columns]
            mixed.append(other)
        moved = (_watched(model, mixed, top, left) - usual).abs()
        return bool((moved <= HALF_A_LEVEL).float().mean() >= SHARE_WITHIN)

    most = min(top - LEAST_REPLACED, left - LEAST_REPLACED, model.receptive_radius)
    radii = range(0, most + 1, 2)
    found = bisect.bisect_left(radii, True, key=shows_little)
    return radii[found] if found < len(radii) else None


def _watched(model: Network, planes: Sequence[Tensor], top: int, left: int) -> Tensor:
    """What becomes of the square, flat, from luma and chroma of a 4:2:0 source."""
    found = []
    for fine, coarse in zip(*(plane.split(COMPUTED_TOGETHER) for plane in planes)):
        size = (fine.shape[2], fine.shape[3])
        ycc = torch.cat([fine, upsample_chroma(coarse, VIDEO_LAYOUT, "left", size)], 1)
        padded, frame = pad(ycc, model.padding, model.grid)
        padded = padded.contiguous(memory_format=torch.channels_last)
        y, colors = model(padded, "420")
        square = Region(top, left, top + KEPT, left + KEPT).moved(frame.top, frame.left)
        found += [square.cut(y, model.scale), square.cut(colors, model.scale / 2)]
    return torch.cat([part.flatten() for part in found])
