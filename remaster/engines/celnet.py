"""A CelNet run fast: fused convolutions, one tail for all planes, code values straight from it.

On a CPU with oneDNN the convolutions are packed once and fused with what follows them
(`torch.ops.mkldnn`, which torch's own compiler uses); elsewhere they are plain `F.conv2d`. Both
give the same numbers within the precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def _packed(weight: Tensor, bias: Tensor, relu: bool, cells: Sequence[int]) -> Convolution:
    padding = [weight.shape[-1] // 2] * 2
    shape = [1, weight.shape[1], *cells]
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
        packed = _packed(weight, bias, True, (8, 8))
        pairs = [(packed(x, None), _plain(weight, bias, True)(x, None))]
        pairs.append((packed(x, x.clone()), _plain(weight, bias, True)(x, x)))
    except (RuntimeError, AttributeError, NotImplementedError, TypeError):
        return False
    return all(torch.allclose(a.float(), b.float(), atol=0.05) for a, b in pairs)


class CelNetEngine:
    """Cells of one padded picture in, code values of its output planes out.

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
        self.fine = model.grid * model.scale
        self.chroma_fine = self.fine // 2 if chroma == "420" else self.fine
        area = self.grid**2
        self.scale = torch.tensor([c[0] for c in codes], device=device).repeat_interleave(area)
        # The half makes truncation round to nearest.
        offsets = torch.tensor([c[1] + 0.5 for c in codes], device=device)
        self.offset = offsets.repeat_interleave(area)
        pack = device.type == "cpu" and can_pack(dtype)

        def convolution(weight: Tensor, bias: Tensor, relu: bool) -> Convolution:
            weight = weight.detach().to(device, dtype, memory_format=torch.channels_last)
            bias = bias.detach().to(device, dtype)
            return _packed(weight, bias, relu, (64, 64)) if pack else _plain(weight, bias, relu)

        def of(layer: nn.Conv2d, relu: bool) -> Convolution:
            assert layer.bias is not None
            return convolution(layer.weight, layer.bias, relu)

        self.head = of(model.head, True)
        self.blocks = [(of(b.conv1, True), of(b.conv2, True)) for b in model.residual_blocks()]
        self.nearest, gains = self._placement(codes)
        names = ("luma", chroma)
        tails = [model.tail(name) for name in names]
        weight = torch.cat([t.weight for t in tails]).float() * gains[:, None, None, None]
        bias = torch.cat([t.bias for t in tails if t.bias is not None]).float() * gains
        skip = torch.cat([model.skips[name] for name in names]).float() * gains[:, None, None, None]
        self.tail = convolution(weight, bias, False)
        self.skip = convolution(skip, torch.zeros_like(bias), False)

    def _placement(self, codes: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """The cell entry each sub-pixel is nearest to, (3 u^2, C) of 0 and 1; and its scale."""
        u, columns, gains = self.grid, [], []
        for plane, (scale, _) in enumerate(codes):
            side = self.fine if plane == 0 else self.chroma_fine
            per_pixel = side // u
            for y in range(side):
                for x in range(side):
                    columns.append(plane * u * u + (y // per_pixel) * u + x // per_pixel)
                    gains.append(float(scale))
        nearest = torch.zeros(3 * u * u, len(columns))
        nearest[columns, range(len(columns))] = 1.0
        return nearest.to(self.device), torch.tensor(gains)

    def __call__(self, ycc: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Enlarge (N, 3, H, W) nominal fp32, sides multiples of the grid.

        Returns:
            Y, Cb and Cr code values, (N, H s, W s) and the chroma's size; and (N,) sums that are
            finite where everything the network computed was.
        """
        cells = F.pixel_unshuffle(ycc, self.grid)
        cells = cells.contiguous(memory_format=torch.channels_last)
        narrow = cells.to(self.dtype)
        x = self.head(narrow, None)
        for first, second in self.blocks:
            x = second(first(x, None), x)
        delta = self.skip(narrow, self.tail(x, None))
        rows_last = (t.permute(0, 2, 3, 1).flatten(0, 1) for t in (delta, cells))
        codes = self._finish(*rows_last)
        luma, sides = self.fine**2, self.chroma_fine
        planes = [_shuffle(codes[..., :luma], self.fine)]
        for k in (0, 1):
            start = luma + k * sides**2
            planes.append(_shuffle(codes[..., start : start + sides**2], sides))
        count = len(ycc)
        stacked = tuple(p.view(count, p.shape[0] // count, p.shape[1]) for p in planes)
        return stacked, delta.sum((1, 2, 3), dtype=torch.float32)

    def _finish(self, delta: Tensor, cells: Tensor) -> Tensor:
        """Add the nearest source pixel, round and clip: (N h, w, C) to codes of that shape."""
        h, w, channels = delta.shape
        codes = torch.empty(h, w, channels, dtype=self.code_dtype, device=delta.device)
        step = ROWS_IN_CACHE if delta.device.type == "cpu" else h
        source = cells * self.scale + self.offset
        for row in range(0, h, step):
            rows = slice(row, row + step)
            sums = delta[rows].reshape(-1, channels).float()
            sums.addmm_(source[rows].reshape(-1, source.shape[-1]), self.nearest)
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
