"""Networks of every diet, small enough to be computed by hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from remaster.models import CelNet, CelNetConfig
from remaster.models.network import Eats, Network


def celnet(scale: int = 2, *, unshuffle: int = 1, features: int = 16, blocks: int = 2) -> CelNet:
    """A CelNet with random weights that change the picture visibly."""
    torch.manual_seed(3)
    model = CelNet(CelNetConfig(scale, features, blocks, unshuffle))
    with torch.no_grad():
        for name in model.sizes:
            model.tail(name).weight.mul_(3)
    return model.eval().requires_grad_(False)


class Blurring(Network):
    """Nearest neighbour, then a 5x5 box blur: for `rgb` three channels, for `luma` one."""

    receptive_radius = 3

    def __init__(self, eats: Eats, scale: int = 2) -> None:
        super().__init__()
        self.eats, self.scale = eats, scale
        channels = 3 if eats == "rgb" else 1
        self.kernel = nn.Parameter(torch.full((channels, 1, 5, 5), 1 / 25), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=float(self.scale), mode="nearest")
        x = F.pad(x, (2, 2, 2, 2), mode="replicate")
        return F.conv2d(x, self.kernel, groups=len(self.kernel))
