"""Losses: (prediction, target) of equal shape to a scalar, mean reduction."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor


def charbonnier_loss(sr: Tensor, gt: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Mean sqrt(d^2 + eps^2), a smooth L1 (Lai et al. 2017, arXiv 1704.03915, eq. 5)."""
    return ((sr - gt).square() + epsilon**2).sqrt().mean()


@functools.lru_cache(maxsize=4)
def random_filters(count: int = 24, seed: int = 71) -> Tensor:
    """(count, 1, 3, 3) fixed filters of -1, 0 and 1, a tenth of them 0; the first an identity.

    Juefei-Xu et al. 2017, "Local binary convolutional neural networks" (arXiv 1608.06049).
    """
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (count, 1, 3, 3), generator=generator).float() * 2 - 1
    filters = signs * (torch.rand(count, 1, 3, 3, generator=generator) >= 0.1)
    filters[0] = 0
    filters[0, 0, 1, 1] = 1
    return filters


def random_filter_loss(sr: Tensor, gt: Tensor) -> Tensor:
    """Charbonnier between the responses of one-channel pictures to `random_filters`.

    Every local contrast counts, in all directions, without any learned feature. Taken at every
    other row and column: neighbouring responses say nearly the same.
    """
    difference = F.conv2d(sr - gt, random_filters().to(sr), stride=2)
    return charbonnier_loss(difference, torch.zeros_like(difference))
