"""CelNet: the default family, a compact residual network that writes the planes of a video itself.

It works on Y'CbCr at the small size, whole or unshuffled to half, and ends in sub-pixels of every
output plane (Shi et al. 2016, arXiv 1609.05158), so nothing is computed at the large size. Three
tails share one trunk: luma, chroma for 4:2:0 (half as many samples along each axis, sited left)
and chroma for 4:4:4. What they say is added to the nearest source pixel; a linear filter beside
the trunk starts as Catmull-Rom interpolation, so that the network begins as a good resampler and
learns the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from remaster.models.network import Eats, Network
from remaster.resampling import phase_kernels


@dataclass(frozen=True)
class CelNetConfig:
    """The size of a CelNet."""

    scale: int = 2  # even: 4:2:0 needs whole chroma samples
    num_features: int = 16  # 16, 32 or 48: multiples of 16 fill the vector units
    num_blocks: int = 5
    unshuffle: int = 1  # 2 works at half resolution: faster where memory bounds, see weights/README

    def __post_init__(self) -> None:
        if not all(isinstance(value, int) for value in vars(self).values()):
            raise ValueError(f"a CelNet's configuration is whole numbers, not {vars(self)}")
        if not 2 <= self.scale <= 16 or self.scale % 2:
            raise ValueError(f"CelNet enlarges by an even number, not {self.scale}")
        if self.unshuffle not in (1, 2):
            raise ValueError(f"unshuffle is 1 or 2, not {self.unshuffle}")
        if not (1 <= self.num_features <= 256 and 0 <= self.num_blocks <= 64):
            raise ValueError(f"{self.num_features} features in {self.num_blocks} blocks is no size")


class Block(nn.Module):
    """relu(x + conv(relu(conv(x)))), (N, F, h, w) to the same."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_features, num_features, 3, padding=1)
        self.conv2 = nn.Conv2d(num_features, num_features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class CelNet(Network):
    """See the module's docstring."""

    eats: Eats = "planes"
    adds_to_source = True

    def __init__(self, config: CelNetConfig) -> None:
        super().__init__()
        self.config = config
        self.scale = config.scale
        self.grid = config.unshuffle
        self.padding = 4
        u, features = config.unshuffle, config.num_features
        # Convolutions of radius 1 on the unshuffled grid, and one cell for the unshuffling itself.
        self.receptive_radius = u * (2 * config.num_blocks + 2) + u - 1
        fine = u * config.scale
        self.sizes = {"luma": fine**2, "420": 2 * (fine // 2) ** 2, "444": 2 * fine**2}
        self.head = nn.Conv2d(3 * u * u, features, 3, padding=1)
        self.blocks = nn.ModuleList(Block(features) for _ in range(config.num_blocks))
        self.tails = nn.ModuleDict(
            {name: nn.Conv2d(features, n, 3, padding=1) for name, n in self.sizes.items()}
        )
        skips = {name: _interpolation(config.scale, u, name) for name in self.sizes}
        self.skips = nn.ParameterDict({k: nn.Parameter(v) for k, v in skips.items()})
        self._initialize()

    def _initialize(self) -> None:
        for conv in [self.head, *(c for b in self.blocks for c in b.children())]:
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
        quiet = [(block.conv2, 0.2) for block in self.residual_blocks()]
        quiet += [(self.tail(name), 0.1) for name in self.sizes]
        with torch.no_grad():
            for conv, gain in quiet:
                conv.weight.mul_(gain)
                torch.nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def residual_blocks(self) -> list[Block]:
        """In the order they run."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def tail(self, name: str) -> nn.Conv2d:
        """The convolution that ends in `luma`, `420` or `444`."""
        tail = self.tails[name]
        assert isinstance(tail, nn.Conv2d)
        return tail

    def trunk(self, cells: Tensor) -> Tensor:
        """Features of unshuffled planes: (N, 3u^2, h, w) to (N, F, h, w)."""
        x = F.relu(self.head(cells))
        for block in self.blocks:
            x = block(x)
        return x

    def subpixels(self, cells: Tensor, features: Tensor, tail: str) -> Tensor:
        """What tail `luma`, `420` or `444` adds to the nearest pixel, (N, C, h, w), nominal."""
        skip = self.skips[tail]
        linear = F.conv2d(cells, skip, padding=skip.shape[-1] // 2)
        return self.tails[tail](features) + linear

    def forward(self, ycc: Tensor, chroma: str = "420") -> tuple[Tensor, Tensor]:
        """Enlarge a padded picture.

        Args:
            ycc: (N, 3, H, W), nominal; H and W multiples of `grid`.
            chroma: `420` or `444`, the subsampling of the result.

        Returns:
            luma (N, 1, H s, W s) and chroma (N, 2, H s, W s), half of that for `420`; nominal.
        """
        cells = F.pixel_unshuffle(ycc, self.grid)
        features = self.trunk(cells)
        fine = self.grid * self.scale
        luma = F.pixel_shuffle(self.subpixels(cells, features, "luma"), fine)
        luma = luma + _nearest(ycc[:, :1], self.scale)
        step = fine // 2 if chroma == "420" else fine
        planes = F.pixel_shuffle(self.subpixels(cells, features, chroma), step)
        return luma, planes + _nearest(ycc[:, 1:], step // self.grid)


def _nearest(x: Tensor, scale: int) -> Tensor:
    return x if scale == 1 else F.interpolate(x, scale_factor=scale, mode="nearest")


def _interpolation(scale: int, unshuffle: int, tail: str) -> Tensor:
    """The weights of Catmull-Rom minus nearest on unshuffled planes, (C, 3u^2, K, K) float32."""
    step = 2 if tail == "420" else 1
    planes = (0,) if tail == "luma" else (1, 2)
    per_pixel = scale // step
    down = phase_kernels(scale, "catmull-rom", step=step)
    across = phase_kernels(scale, "catmull-rom", step=step, offset=-(step - 1) / 2)
    reach = len(down[0]) // 2
    u, side = unshuffle, unshuffle * per_pixel
    cells = math.ceil(reach / u)
    weight = torch.zeros(len(planes), side, side, 3, u, u, 2 * cells + 1, 2 * cells + 1)
    taps = torch.einsum("ai,bj->abij", torch.tensor(down), torch.tensor(across))
    taps[:, :, reach, reach] -= 1  # the nearest pixel is added outside
    for y in range(side):
        for x in range(side):
            for i in range(-reach, reach + 1):
                for j in range(-reach, reach + 1):
                    cell_y, in_y = divmod(y // per_pixel + i, u)
                    cell_x, in_x = divmod(x // per_pixel + j, u)
                    for k, plane in enumerate(planes):
                        weight[k, y, x, plane, in_y, in_x, cells + cell_y, cells + cell_x] = taps[
                            y % per_pixel, x % per_pixel, reach + i, reach + j
                        ]
    return weight.reshape(-1, 3 * u * u, 2 * cells + 1, 2 * cells + 1)
