"""A CelNet run fast: fused convolutions, and code values of every plane straight from them.

On a CPU with oneDNN the convolutions are packed once and fused with what follows them
(`torch.ops.mkldnn`, which torch's own compiler uses); elsewhere they are plain `F.conv2d`. Both
give the same numbers within the precision.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from remaster.models.celnet import CelNet
from remaster.regions import NO_HALO, Halo

ROWS_IN_CACHE = 8
"""Rows of cells finished together on a CPU: their floats stay in the second-level cache."""

Convolve = Callable[[Tensor, Tensor | None, tuple[int, int]], Tensor]
"""(N, C, h, w), what is added to the result, and the rows and columns of zeros around."""


def _plain(weight: Tensor, bias: Tensor, relu: bool) -> Convolve:
    def run(x: Tensor, other: Tensor | None, padding: tuple[int, int]) -> Tensor:
        y = F.conv2d(x, weight, bias, padding=padding)
        if other is not None:
            y += other
        return F.relu_(y) if relu else y

    return run


def _packed(weight: Tensor, bias: Tensor, relu: bool) -> Convolve:
    usual = [weight.shape[-1] // 2] * 2
    shape = [1, weight.shape[1], 64, 64]  # only hints; any size and padding may follow
    ones = [1, 1]
    packed = torch._C._nn.mkldnn_reorder_conv2d_weight(  # type: ignore[call-arg]
        weight.to_mkldnn(), usual, ones, ones, 1, shape
    )
    fused, fused_add = (
        torch.ops.mkldnn._convolution_pointwise,
        torch.ops.mkldnn._convolution_pointwise_.binary,
    )
    after = "relu" if relu else "none"

    def run(x: Tensor, other: Tensor | None, padding: tuple[int, int]) -> Tensor:
        if other is None:
            return fused(x, packed, bias, padding, ones, ones, 1, after, [], "")
        unary = "relu" if relu else None
        return fused_add(
            other, x, packed, bias, padding, ones, ones, 1, "add", 1.0, unary, [], None
        )

    return run


@dataclass(frozen=True)
class Convolution:
    """One layer, of a tensor that may reach further than what is wanted of it."""

    run: Convolve
    reach: int
    """Cells on each side that an output cell depends on."""

    products: int
    """Multiply-adds of an output cell."""

    def __call__(self, x: Tensor, have: Halo, want: Halo, other: Tensor | None = None) -> Tensor:
        """(N, C, h, w) with `have` around what is wanted in the end, to the same with `want`.

        Where `have` falls short the padded frame ends, and zeros follow. `other` has the size of
        the result and is added to it, perhaps in place.
        """
        needed = want.widened(self.reach)
        x, lacking = needed.cut(x, have), needed.beyond(have)
        both = (min(lacking.top, lacking.bottom), min(lacking.left, lacking.right))
        top, bottom = lacking.top - both[0], lacking.bottom - both[0]
        left, right = lacking.left - both[1], lacking.right - both[1]
        if top or bottom or left or right:
            x = F.pad(x, (left, right, top, bottom))
        return self.run(x, other, both)


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
        packed, plain = _packed(weight, bias, True), _plain(weight, bias, True)
        pairs = [(packed(x, None, p), plain(x, None, p)) for p in ((1, 1), (0, 1), (0, 0))]
        pairs.append((packed(x, x.clone(), (1, 1)), plain(x, x, (1, 1))))
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
        run = (_packed if self._pack else _plain)(weight, bias, relu)
        return Convolution(run, weight.shape[-1] // 2, weight.numel())

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

    @property
    def reach(self) -> int:
        """Cells around what is wanted that it depends on."""
        return len(self.blocks) * 2 + 2

    @property
    def mean_halo(self) -> float:
        """Source pixels computed around a region, in the mean of all layers' multiply-adds."""
        layers = list(self._layers())
        total = sum(products for products, _ in layers)
        return self.grid * sum(products * halo for products, halo in layers) / total

    def products(self, height: int, width: int, halo: Halo) -> int:
        """Multiply-adds to enlarge (height, width) source pixels with such a halo."""
        cells, rows, columns = halo.divided(self.grid), height // self.grid, width // self.grid
        total = 0
        for products, reach in self._layers():
            around = cells.within(reach)
            h, w = rows + around.top + around.bottom, columns + around.left + around.right
            total += products * h * w
        return total

    def _layers(self) -> Iterator[tuple[int, int]]:
        """Multiply-adds a cell, and how many cells around what is wanted each layer gives."""
        trunk = [self.head, *itertools.chain.from_iterable(self.blocks)]
        for i, layer in enumerate(trunk):
            yield layer.products, self.reach - 1 - i
        for tail in self.tails:
            yield tail.convolution.products + tail.skip.products, 0

    def __call__(self, ycc: Tensor, halo: Halo = NO_HALO) -> tuple[tuple[Tensor, ...], Tensor]:
        """Enlarge (N, 3, H, W) nominal fp32, sides multiples of the grid.

        Args:
            ycc: part of a padded frame, or all of it.
            halo: how much of `ycc`, in multiples of the grid, lies around what is wanted. A side of
                less than `reach` cells ends where the padded frame does; every layer computes only
                what the next one needs.

        Returns:
            Y, Cb and Cr code values of (N, H, W) without its halo, each side times s, and the
            chroma's size; and (N,) sums that are finite where everything the network computed was.
        """
        have = halo.divided(self.grid)
        cells = F.pixel_unshuffle(ycc, self.grid)
        cells = cells.contiguous(memory_format=torch.channels_last)
        narrow = cells.to(self.dtype)
        wanted = NO_HALO.cut(cells, have)
        source = wanted.permute(0, 2, 3, 1).flatten(0, 1) * self.scale + self.offset
        reach = self.reach - 1
        around = have.within(reach)
        x = self.head(narrow, have, around)
        for first, second in self.blocks:
            between, after = have.within(reach - 1), have.within(reach - 2)
            kept = after.cut(x, around).contiguous(memory_format=torch.channels_last)
            x = second(first(x, around, between), between, after, kept)
            around, reach = after, reach - 2
        planes: list[Tensor] = []
        total = torch.zeros(len(ycc), device=self.device)
        for tail in self.tails:
            delta = tail.convolution(x, around, NO_HALO)
            delta = tail.skip(narrow, have, NO_HALO, delta)
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
    moved = torch.empty(h, side, w, dtype=wide, device=codes.device)
    moved.copy_(runs.view(wide)[..., 0].permute(0, 2, 1))
    return moved.view(codes.dtype).view(h * side, w * side)
