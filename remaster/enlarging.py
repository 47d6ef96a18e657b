"""One rectangle of frames, from the source's planes to those at the network's scale.

A frame is padded once: where a rectangle's halo ends early, the padded frame does.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from remaster.color import code_scale, convert, decode_planes, upsampling_reach
from remaster.frames import VideoInfo
from remaster.models.network import Network
from remaster.paths import Path, Planes, plane_factors
from remaster.regions import NO_HALO, Region, padded_size


class Enlarger:
    """What a path through a network makes of rectangles of a source's frames.

    Args:
        model, source, target: as of an `Upscaler`.
        path: through the model.
        count: is told what was computed, in units of the path.
    """

    def __init__(
        self,
        model: Network,
        source: VideoInfo,
        target: VideoInfo,
        path: Path,
        count: Callable[[int], None],
    ) -> None:
        self.source, self.target, self.path, self.count = source, target, path, count
        self.padding, self.scale = model.padding, model.scale
        self.whole = Region(0, 0, source.height, source.width)
        """The frame."""
        self.padded = Region(
            0, 0, *padded_size(source.height, source.width, model.padding, model.grid)
        )
        """The padded frame; the frame begins `padding` in it."""

    @property
    def decoding_reach(self) -> int:
        """Luma samples around a sample of the source that change with it in the picture."""
        return upsampling_reach(self.source.layout, self.source.color.chroma_location)

    def __call__(self, codes: Planes, region: Region) -> tuple[Planes, Tensor]:
        """(N, H, W) planes to a region's at the network's scale; and (N,) whether it is sound."""
        wanted = region.moved(self.padding, self.padding)
        inner, outer = self._within_padded(region)
        x = self.picture(codes, outer)
        planes, total = self.path(x, inner.halo(outer))
        self.count(len(x) * self.work(region))
        return self.checked(x, outer, planes, total, inner, wanted)

    def work(self, region: Region) -> int:
        """What one frame's region costs, in units of the path."""
        inner, outer = self._within_padded(region)
        return self.path.work(inner.height, inner.width, inner.halo(outer))

    def _within_padded(self, region: Region) -> tuple[Region, Region]:
        """What is computed of the padded frame, and what that is computed from."""
        if region == self.whole:
            return self.padded, self.padded
        size = (self.padded.height, self.padded.width)
        inner = region.moved(self.padding, self.padding).grown(0, self.path.grid, *size)
        return inner, inner.grown(self.path.reach, self.path.grid, *size)

    def checked(
        self,
        picture: Tensor,
        outer: Region,
        planes: Planes,
        total: Tensor,
        inner: Region,
        wanted: Region,
    ) -> tuple[Planes, Tensor]:
        """Planes of `inner`, made of a picture of `outer`, cut to `wanted`; and whether sound.

        All three lie in the padded frame. `total`: (N,), finite where what was computed is.
        """
        factors = plane_factors(self.scale, self.path.layout)
        planes = tuple(wanted.within(inner).cut(p, f) for p, f in zip(planes, factors))
        seen = wanted.within(outer).cut(picture)
        return planes, total.isfinite() & self.looks_sound(seen, planes[0])

    def picture(self, codes: Planes, region: Region) -> Tensor:
        """(N, 3, h, w): a region of the padded frame, which repeats the frame's edges.

        Only that part of the planes is decoded, and as much around it as its chroma is made of.
        """
        layout, color = self.source.layout, self.source.color
        height, width = self.source.height, self.source.width
        before = self.padding
        frame = Region(before, before, before + height, before + width)
        shown = region.common(frame)
        inside = shown.moved(-before, -before)
        around = inside.grown(self.decoding_reach, 2, height, width)
        down, across = layout.chroma_step
        factors = [(1.0, 1.0), *[(1 / down, 1 / across)] * 2]
        part = [around.cut(plane, factor) for plane, factor in zip(codes, factors)]
        picture = inside.within(around).cut(decode_planes(part, layout, color, self.path.matrix))
        beyond = shown.halo(region)
        if beyond == NO_HALO:
            return picture
        sides = (beyond.left, beyond.right, beyond.top, beyond.bottom)
        return F.pad(picture, sides, mode="replicate")

    def looks_sound(self, picture: Tensor, luma: Tensor) -> Tensor:
        """(N,): whether the output's brightness follows the input's, judged on a coarse grid."""
        scale, offset = code_scale(self.target.color.range, self.target.layout.bit_depth)[0]
        before = convert(picture, self.path.matrix, self.target.color.matrix)[:, 0].clamp(0, 1)
        step = max(min(before.shape[-2:]) // 32, 1)
        before = before[:, step // 2 :: step, step // 2 :: step]
        rows, columns = (
            ((torch.arange(n, device=luma.device) * step + step // 2) * big // small)
            for n, big, small in zip(before.shape[1:], luma.shape[1:], picture.shape[2:])
        )
        after = luma[:, rows][:, :, columns].float().sub(offset).div(scale)
        spread_before, spread_after = (
            x.flatten(1).amax(1) - x.flatten(1).amin(1) for x in (before, after)
        )
        vanished = (spread_before > 0.1) & (spread_after < 0.02)
        return ~vanished & ((after - before).flatten(1).abs().mean(1) < 0.2)
