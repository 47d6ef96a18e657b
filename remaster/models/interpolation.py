"""Enlargement by a fixed kernel: no weights. What networks are held against, and the identity."""

from __future__ import annotations

import torch
from torch import Tensor

from remaster.models.network import Eats, Network
from remaster.resampling import KERNELS, resize


class Interpolation(Network):
    """A planes network that resamples; at scale 1 it changes nothing but chroma subsampling."""

    eats: Eats = "planes"
    grid = 2
    padding = 8
    precision = torch.float32

    def __init__(self, scale: int, kernel: str) -> None:
        super().__init__()
        self.scale, self.kernel = scale, kernel
        # At scale 1 the chroma kernel is widened twice by its antialiasing.
        self.receptive_radius = int(2 * KERNELS[kernel].support) + 1

    def forward(self, ycc: Tensor, chroma: str = "420") -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) nominal to luma (N, 1, H s, W s) and chroma, as CelNet gives them."""
        height, width = (n * self.scale for n in ycc.shape[-2:])
        luma = resize(ycc[:, :1], (height, width), self.kernel)
        if chroma == "444":
            return luma, resize(ycc[:, 1:], (height, width), self.kernel)
        left = (0.0, -0.5 / self.scale)
        return luma, resize(ycc[:, 1:], (height // 2, width // 2), self.kernel, shift=left)
