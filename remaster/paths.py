"""Ways through a network: what each network eats, and how its planes come out.

Upscaling knows regions and frames, engines know layers; what stands between them is here.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from remaster.color import code_scale, encode_planes, quantize, subsample_chroma
from remaster.engines.celnet import CelNetEngine
from remaster.engines.host import multiplies_bf16
from remaster.frames import PixelLayout, VideoInfo
from remaster.models.celnet import CelNet
from remaster.models.network import Network
from remaster.regions import Halo, Region
from remaster.resampling import resize

__all__ = ["CelNetPath", "Path", "PlainPath", "Planes", "default_dtype", "plane_factors"]

RESAMPLER_REACH = 2
"""Samples on each side that Catmull-Rom, the kernel of chroma, depends on."""

Planes = tuple[Tensor, ...]


class Path(Protocol):
    """One way through a network: a part of the padded frame, (N, 3, H, W), to planes of code values
    at its scale, of what lies within the halo; and (N,) sums, finite where everything was."""

    matrix: str
    layout: PixelLayout
    reach: int
    """Source pixels that a region's planes depend on, around it."""

    grid: int
    """Of a region's edges."""

    mean_halo: float
    """Source pixels computed around a region, in the mean of all layers."""

    def __call__(self, x: Tensor, halo: Halo) -> tuple[Planes, Tensor]: ...

    def work(self, height: int, width: int, halo: Halo) -> int:
        """What so many source pixels cost, in units of the path's own."""
        ...


class CelNetPath:
    """Planes straight from the engine."""

    def __init__(self, model: CelNet, target: VideoInfo, device: torch.device, dtype: torch.dtype):
        self.matrix = target.color.matrix
        chroma = "420" if target.layout.subsampling in ("420", "gray") else "444"
        self.layout = PixelLayout(chroma, target.layout.bit_depth)
        codes = code_scale(target.color.range, self.layout.bit_depth)
        top = 2**self.layout.bit_depth - 1
        self.engine = CelNetEngine(model, chroma, codes, top, device, dtype)
        self.grid, self.reach = model.grid, model.grid * self.engine.reach
        self.mean_halo = self.engine.mean_halo

    def __call__(self, x: Tensor, halo: Halo) -> tuple[Planes, Tensor]:
        return self.engine(x, halo)

    def work(self, height: int, width: int, halo: Halo) -> int:
        """Multiply-adds."""
        return self.engine.products(height, width, halo)


class PlainPath:
    """Any other network: what it gives becomes planes at the large size."""

    def __init__(self, model: Network, target: VideoInfo, device: torch.device, dtype: torch.dtype):
        self.model = copy.deepcopy(model).to(device, dtype)
        self.dtype, self.target = dtype, target
        self.eats, self.scale = model.eats, model.scale
        self.matrix = "rgb" if model.eats == "rgb" else target.color.matrix
        gray = target.layout.subsampling == "gray"
        self.layout = replace(target.layout, subsampling="420") if gray else target.layout
        # At an odd scale chroma samples begin at even source pixels alone.
        self.grid = math.lcm(model.grid, 2)
        self.reach = model.receptive_radius + self._chroma_reach()
        self.mean_halo = float(self.reach)

    def _chroma_reach(self) -> int:
        """Source pixels that resampling chroma beside or after the network adds."""
        beside = RESAMPLER_REACH if self.eats == "luma" else 0
        subsamples = self.eats != "planes" or self.layout.subsampling == "422"
        if not subsamples or self.layout.chroma_step == (1, 1):
            return beside
        return beside + math.ceil((2 * RESAMPLER_REACH + 1) / self.scale)

    def work(self, height: int, width: int, halo: Halo) -> int:
        """Source pixels, those of the halo included."""
        return (height + halo.top + halo.bottom) * (width + halo.left + halo.right)

    def __call__(self, x: Tensor, halo: Halo) -> tuple[Planes, Tensor]:
        planes, total = self._enlarged(x)
        height, width = x.shape[-2:]
        inside = Region(halo.top, halo.left, height - halo.bottom, width - halo.right)
        factors = plane_factors(self.scale, self.layout)
        return tuple(inside.cut(p, f) for p, f in zip(planes, factors)), total

    def _enlarged(self, x: Tensor) -> tuple[Planes, Tensor]:
        if self.eats == "planes":
            return self._from_planes(x)
        if self.eats == "rgb":
            y = self.model(self._narrow(x.clamp(0, 1))).float()
        else:
            luma = self.model(self._narrow(x[:, :1].clamp(0, 1))).float()
            size = (luma.shape[-2], luma.shape[-1])
            y = torch.cat([luma, resize(x[:, 1:], size, "catmull-rom")], 1)
        planes = encode_planes(y, self.layout, self.target.color, self.matrix)
        return planes, y.sum((1, 2, 3))

    def _from_planes(self, x: Tensor) -> tuple[Planes, Tensor]:
        chroma = "420" if self.layout.subsampling == "420" else "444"
        luma, colors = (part.float() for part in self.model(self._narrow(x), chroma))
        if self.layout.subsampling == "422":
            colors = subsample_chroma(colors, self.layout)
        parts = [luma[:, 0], colors[:, 0], colors[:, 1]]
        total = luma.sum((1, 2, 3)) + colors.sum((1, 2, 3))
        return quantize(parts, self.layout, self.target.color), total

    def _narrow(self, x: Tensor) -> Tensor:
        return x.to(self.dtype).contiguous(memory_format=torch.channels_last)


def default_dtype(device: torch.device, model: Network) -> torch.dtype:
    """What the network asks for; else fp16 on CUDA; on a CPU bf16 where it does no harm, or fp32.

    bf16 has eight significant bits: enough for what is added to the source's pixels, on a CPU that
    multiplies it in hardware, but not for pixels themselves.
    """
    if model.precision is not None:
        return model.precision
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if multiplies_bf16() and model.adds_to_source else torch.float32


def plane_factors(scale: int, layout: PixelLayout) -> list[tuple[float, float]]:
    """Samples of each plane for a source pixel, (down, across)."""
    down, across = layout.chroma_step
    return [(scale, scale), *[(scale / down, scale / across)] * 2]
