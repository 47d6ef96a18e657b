"""A CelNet run fast: fused convolutions, and code values of every plane straight from them.

On a CPU with oneDNN the convolutions are packed once and fused with what follows them
(`torch.ops.mkldnn`, which torch's own compiler uses); elsewhere they are plain `F.conv2d`. Both
give the same numbers within the precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from remaster.models.celnet import CelNet

ROWS_IN_CACHE = 8
"""Rows of cells finished together on a CPU: their floats stay in the second-level cache."""

Convolution = Callable[[Tensor, Tensor | None], Tensor]


def _plain(weight: Tensor, bias: Tensor, relu: bool) -> Convolution:
    padding = weight.shape[-1] // 2

    def run(x: Tensor, other: Tensor | None) -> Tensor:
        y = F.conv2d(x, weight, bias, padding=padding)
        if other is not None:
            y += other
        return F.relu_(y) if relu else y

    return run


def _packed(weight: Tensor, bias: Tensor, relu: bool) -> Convolution:
    padding = [weight.shape[-1] // 2] * 2
    shape = [1, weight.shape[1], 64, 64]  # only a hint; any size may follow
    ones = [1, 1]
    packed = torch._C._nn.mkldnn_reorder_conv2d_weight(  # type: ignore[call-arg]
        weight.to_mkldnn(), padding, ones, ones, 1, shape
    )
    fused, fused_add = (
        torch.ops.mkldnn._convolution_pointwise,
        torch.ops.mkldnn._convolution_pointwise_.binary,
    )
    after = "relu" if relu else "none"

    def run(x: Tensor, other: Tensor | None) -> Tensor:
        if other is None:
            return fused(x, packed, bias, padding, ones, ones, 1, after, [], "")
        unary = "relu" if relu else None
        return fused_add(
            other, x, packed, bias, padding, ones, ones, 1, "add", 1.0, unary, [], None
        )

    return run


def can_pack(dtype: torch.dtype) -> bool:
    """Whether the fused operators exist here and agree with plain convolution on a small case."""
    if not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 16, 8, 8, generator=generator).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(16, 16, 3, 3, generator=generator).to(dtype) / 12
    bias = torch.zeros(16, dtype=dtype)
    try:
        packed = _packed(weight, bias, True)
        pairs = [(packed(x, None), _plain(weight, bias, True)(x, None))]
        pairs.append((packed(x, x.clone()), _plain(weight, bias, True)(x, x)))
    except (RuntimeError, AttributeError, NotImplementedError, TypeError):
        return False
    return all(torch.allclose(a.float(), b.float(), atol=0.05) for a, b in pairs)


@dataclass(frozen=True)
class Tail:
    """What turns features into the code values of one plane, or of two of the same size."""

    side: int
    """Sub-pixels of a cell along each axis."""

    planes: int
    convolution: Convolution
    skip: Convolution
    nearest: Tensor
    """(3 u^2, C) of 0 and 1: the cell entry each sub-pixel is nearest to."""


class CelNetEngine:
    """Padded pictures in, code values of their output planes out.

    Args:
        model: the trained network.
        chroma: `420` or `444`, the subsampling of the result.
        codes: (scale, offset) of Y, Cb and Cr: code = nominal * scale + offset.
        top: the largest code value.
        dtype: of the convolutions.
    """

    def __init__(
        self,
        model: CelNet,
        chroma: str,
        codes: Sequence[tuple[int, int]],
        top: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.grid, self.top, self.device, self.dtype = model.grid, top, device, dtype
        self.code_dtype = torch.uint8 if top == 255 else torch.int16
        area = self.grid**2
        self.scale = torch.tensor([c[0] for c in codes], device=device).repeat_interleave(area)
        # The half makes truncation round to nearest.
        offsets = torch.tensor([c[1] + 0.5 for c in codes], device=device)
        self.offset = offsets.repeat_interleave(area)
        self._pack = device.type == "cpu" and can_pack(dtype)
        self.head = self._layer(model.head, True)
        self.blocks = [
            (self._layer(block.conv1, True), self._layer(block.conv2, True))
            for block in model.residual_blocks()
        ]
        fine = model.grid * model.scale
        # Apart, since convolutions to 24 channels take thrice the time of one to 16 and one to 8.
        self.tails = [
            self._tail(model, "luma", fine, codes[:1], first=0),
            self._tail(model, chroma, fine // 2 if chroma == "420" else fine, codes[1:], first=1),
        ]

    def _layer(self, layer: nn.Conv2d, relu: bool) -> Convolution:
        assert layer.bias is not None
        return self._convolution(layer.weight, layer.bias, relu)

    def _convolution(self, weight: Tensor, bias: Tensor, relu: bool) -> Convolution:
        weight = weight.detach().to(self.device, self.dtype, memory_format=torch.channels_last)
        bias = bias.detach().to(self.device, self.dtype)
        return _packed(weight, bias, relu) if self._pack else _plain(weight, bias, relu)

    def _tail(
        self, model: CelNet, name: str, side: int, codes: Sequence[tuple[int, int]], first: int
    ) -> Tail:
        """The tail `name`, its weights scaled so that it speaks in code values."""
        u, per_pixel = self.grid, side // self.grid
        entries = torch.tensor(
            [
                (first + k) * u * u + (y // per_pixel) * u + x // per_pixel
                for k in range(len(codes))
                for y in range(side)
                for x in range(side)
            ]
        )
        nearest = F.one_hot(entries, 3 * u * u).T.float()
        gains = torch.tensor([float(c[0]) for c in codes]).repeat_interleave(side * side)
        layer = model.tail(name)
        assert layer.bias is not None
        weight, skip = (
            w.float() * gains[:, None, None, None] for w in (layer.weight, model.skips[name])
        )
        bias = layer.bias * gains
        return Tail(
            side,
            len(codes),
            self._convolution(weight, bias, False),
            self._convolution(skip, torch.zeros_like(bias), False),
            nearest.to(self.device),
        )

    def __call__(self, ycc: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Enlarge (N, 3, H, W) nominal fp32, sides multiples of the grid.

        Returns:
            Y, Cb and Cr code values, (N, H s, W s) and the chroma's size; and (N,) sums that are
            finite where everything the network computed was.
        """
        cells = F.pixel_unshuffle(ycc, self.grid)
        cells = cells.contiguous(memory_format=torch.channels_last)
        narrow = cells.to(self.dtype)
        source = cells.permute(0, 2, 3, 1).flatten(0, 1) * self.scale + self.offset
        x = self.head(narrow, None)
        for first, second in self.blocks:
            x = second(first(x, None), x)
        planes: list[Tensor] = []
        total = torch.zeros(len(ycc), device=self.device)
        for tail in self.tails:
            delta = tail.skip(narrow, tail.convolution(x, None))
            total += self._sum(delta)
            codes = self._finish(delta.permute(0, 2, 3, 1).flatten(0, 1), source, tail.nearest)
            area = tail.side**2
            for k in range(tail.planes):
                plane = _shuffle(codes[..., k * area : (k + 1) * area], tail.side)
                planes.append(plane.view(len(ycc), -1, plane.shape[1]))
        return tuple(planes), total

    def _sum(self, delta: Tensor) -> Tensor:
        # fp16 could overflow; on a CPU a sum in another type would first copy everything.
        wider = torch.float32 if self.dtype == torch.float16 else None
        return delta.sum((1, 2, 3), dtype=wider)

    def _finish(self, delta: Tensor, source: Tensor, nearest: Tensor) -> Tensor:
        """Add the nearest source pixel, round and clip: (N h, w, C) to codes of that shape."""
        h, w, channels = delta.shape
        codes = torch.empty(h, w, channels, dtype=self.code_dtype, device=delta.device)
        step = ROWS_IN_CACHE if delta.device.type == "cpu" else h
        for row in range(0, h, step):
            rows = slice(row, row + step)
            sums = delta[rows].reshape(-1, channels).float()
            sums.addmm_(source[rows].reshape(-1, source.shape[-1]), nearest)
            codes[rows].view(-1, channels).copy_(sums.clamp_(0, self.top + 0.499))
        return codes


_RUNS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def _shuffle(codes: Tensor, side: int) -> Tensor:
    """(h, w, side^2) sub-pixels to a plane (h side, w side).

    A row of sub-pixels moves as one wide integer where there is a type of its size.
    """
    h, w, _ = codes.shape
    runs = codes.unflatten(-1, (side, side))
    wide = _RUNS.get(side * codes.element_size())
    if wide is None:
        return runs.permute(0, 2, 1, 3).reshape(h * side, w * side)
    if codes.storage_offset() * codes.element_size() % wide.itemsize:
        runs = runs.contiguous()
    moved = runs.view(wide)[..., 0].permute(0, 2, 1).contiguous()
    return moved.view(codes.dtype).view(h * side, w * side)
