"""What an old print does by itself: it weaves in the gate, and its light pumps.

From one frame to the next all of such a shot moves a little and grows a little brighter, as in a
slow pan or a fade; but then it comes back, where they go on. So how far a shot's windows go back
and forth within the look-ahead says what its print does, and where they end up far from where
they began something moves. All at half size; differences are in levels of 1/255.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from remaster.squares import SAMPLES, Scales, least_sizes, quantile

__all__ = ["Weave", "may_weave", "moved", "registered", "shot_weave"]

_FEWEST = 12
"""Pairs of frames from which a shot's weave is told; a pan that goes on is long by then."""

_OF_WINDOWS, _TIMES = 0.75, 6.0
"""A print goes this many times as far, at most, as that share of its windows goes on average."""

_WHOLE_DRIFT, _DRIFT = 0.5, 1.0
"""What ends farther than that share of it from where it began goes on: all of the picture, and a
window, which a codec may leave anywhere."""

_MOST_SHIFT, _MOST_LIGHT = 0.3, 4.0
"""No print goes farther: samples at half size, and levels."""


@dataclass(frozen=True)
class Weave:
    """What of a shot's common motion and common change of brightness is its print's."""

    most: Scales
    """Sizes up to which it is so: (K, windows down, windows across) and (1, 1, 1), as of
    `squares.least_sizes`, which hold where something goes on."""


def moved(found: Scales) -> Scales:
    """What is kept of the `evidence` between two neighbouring frames: sums and their weights."""
    return tuple(sums[: 2 * len(sums) // 3] for sums in found)


def shot_weave(pairs: Sequence[Scales]) -> Weave | None:
    """The weave of a shot from what neighbouring frames of it differ by; None where it has none, or
    all of the picture moves on.

    Args:
        pairs: `moved`, in the order of time, of every pair in view.
    """
    if len(pairs) < _FEWEST:
        return None
    totals = [np.stack(scale) for scale in zip(*pairs, strict=True)]
    most = _back_and_forth(totals[0])
    least = least_sizes(len(most))
    if bool((most <= least[0]).all()):
        return None
    bounds = []
    for total, size in zip(totals, least, strict=True):
        # What moves outwards is told from motion across and down.
        own = 2 * most[:2].max(0, keepdims=True) if total.shape[1] == 2 else most
        is_whole = total[0, 0].size == 1
        goes_on = _drift(total) > np.maximum((_WHOLE_DRIFT if is_whole else _DRIFT) * own, size)
        if is_whole and goes_on[:2].any():
            return None
        bounds.append(np.where(goes_on, size, np.maximum(own, size)))
    return Weave(tuple(bounds))


def may_weave(found: Scales) -> bool:
    """Whether a print could go as far as all of a picture did, by its `evidence`."""
    shifts, lights = np.split(np.abs(_whole_sizes(found)), [2])
    return bool((shifts <= _MOST_SHIFT).all() and (lights <= _MOST_LIGHT).all())


def _whole_sizes(found: Scales) -> npt.NDArray[np.float32]:
    """(K,): how far all of the picture moved and changed in brightness."""
    totals, weights, _ = found[2].reshape(3, -1)
    sizes: npt.NDArray[np.float32] = totals / (weights + SAMPLES)
    return sizes


def _drift(total: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(pairs, 2 K, ...) to (K, ...): the mean place in the later half less that in the earlier."""
    kinds, pairs = total.shape[1] // 2, len(total)
    half, before = (pairs + 1) // 2, np.arange(pairs)
    counted = np.minimum(half, pairs - before) - np.maximum(0, half - 1 - before)
    steps = total[:, :kinds] / (total[:, kinds:] + SAMPLES)
    drift: npt.NDArray[np.float32] = np.abs(
        np.tensordot(counted.astype(np.float32) / half, steps, 1)
    )
    return drift


def _back_and_forth(total: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(pairs, 2 K, windows down, windows across) to (K, 1, 1): how far windows of a print go."""
    kinds = total.shape[1] // 2
    weights = total[:, kinds:]
    steps = total[:, :kinds] / (weights + SAMPLES)
    returned = (np.abs(steps).sum(0) - np.abs(steps.sum(0))) / len(total)
    most = np.empty((kinds, 1, 1), np.float32)
    for kind, (way, weight) in enumerate(zip(returned, weights.mean(0), strict=True)):
        usual = _TIMES * quantile(way[weight >= np.median(weight) / 2], _OF_WINDOWS)
        most[kind] = min(usual, _MOST_SHIFT if kind < 2 else _MOST_LIGHT)
    return most


def registered(
    difference: Tensor, mean: Tensor, found: Scales, weave: Weave
) -> tuple[Tensor, tuple[float, ...]]:
    """What is left of a difference without the print's motion and light; and its light.

    Args:
        difference: (C, h, w) of a small picture to `mean`.
        found: `squares.evidence` of the difference.

    Returns:
        The difference, and for each plane by how many levels all of it was brighter.
    """
    sizes = _whole_sizes(found)
    across, down, *light = np.where(np.abs(sizes) <= weave.most[2].ravel(), sizes, 0).tolist()
    left = difference - difference.new_tensor(light)[:, None, None]
    over, under = _gradients(mean)
    return left.sub_(over, alpha=across).sub_(under, alpha=down), tuple(light)


def _gradients(planes: Tensor) -> tuple[Tensor, Tensor]:
    """(..., h, w) across and down, each of the same shape; 0 at the edges."""
    across, down = torch.empty_like(planes), torch.empty_like(planes)
    torch.sub(planes[..., 2:], planes[..., :-2], out=across[..., 1:-1]).div_(2)
    torch.sub(planes[..., 2:, :], planes[..., :-2, :], out=down[..., 1:-1, :]).div_(2)
    for ends in (across[..., :: planes.shape[-1] - 1], down[..., :: planes.shape[-2] - 1, :]):
        ends.zero_()
    return across, down
