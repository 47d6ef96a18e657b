"""A CelNet run fast: fused convolutions, and code values of every plane straight from them.

On a CPU with oneDNN the convolutions are packed once and fused with what follows them
(`torch.ops.mkldnn`, which torch's own compiler uses); elsewhere they are plain `F.conv2d`. Both
give the same numbers within the precision.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from remaster.engines.features import Features, Runs, Squares, Windows, bounds, filled
from remaster.models.celnet import CelNet
from remaster.regions import NO_HALO, Halo
from remaster.transfer import Turn

CELLS_IN_CACHE = 4096
"""Cells finished together on a CPU: their floats stay in the second-level cache."""

BEHIND = 3
"""A layer may be renewed when it, and the two that read it, are done with the frame before."""

REACH = 1
"""Cells that a convolution sees around one, but for the linear filter beside the trunk."""

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


Result = tuple[tuple[Tensor, ...], Tensor]
"""Code values of Y, Cb and Cr, and sums that are finite where everything computed was."""


@dataclass(frozen=True)
class _Part:
    """Squares that are computed at once, and where in the features they are."""

    side: int
    inner: Windows
    outer: Windows
    """With one cell around."""

    runs: Runs


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

    def renewed_products(self, squares: Squares, num_shown: int) -> int:
        """Multiply-adds to renew squares, those that come several times included."""
        tails = sum(tail.convolution.products + tail.skip.products for tail in self.tails)
        trunk = sum(products for products, _ in self._layers()) - tails
        whole, shown = (
            sum(filled(stop - start) for start, stop in bounds(count))
            for count in (len(squares), num_shown)
        )
        return squares.side**2 * (whole * trunk + shown * tails)

    def _layers(self) -> Iterator[tuple[int, int]]:
        """Multiply-adds a cell, and how many cells around what is wanted each layer gives."""
        trunk = [self.head, *itertools.chain.from_iterable(self.blocks)]
        for i, layer in enumerate(trunk):
            yield layer.products, self.reach - 1 - i
        for tail in self.tails:
            yield tail.convolution.products + tail.skip.products, 0

    def __call__(self, ycc: Tensor, halo: Halo = NO_HALO) -> Result:
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
        have, reach = halo.divided(self.grid), self.reach - 1
        cells, narrow = self._cells(ycc)
        x = self.head(narrow, have, have.within(reach))
        for block in self.blocks:
            x = self._block(block, x, have.within(reach), reach - 2)
            reach -= 2
        return self._planes(cells, narrow, have, x, have.within(reach))

    def remembered(self, ycc: Tensor) -> tuple[Result, Features]:
        """One whole padded frame, as in a call; and what to keep for those that change little."""
        cells, narrow = self._cells(ycc)
        x = self.head(narrow, NO_HALO, NO_HALO)
        layers = [x]
        for first, second in self.blocks:
            between = first(x, NO_HALO, NO_HALO)
            x = second(between, NO_HALO, NO_HALO, x.clone())
            layers += [between, x]
        result = self._planes(cells, narrow, NO_HALO, x, NO_HALO)
        rows, columns = cells.shape[-2:]
        return result, Features(_by_cell(cells), tuple(map(_by_cell, layers)), rows, columns)

    def renewed(
        self,
        features: Features,
        pictures: Iterable[tuple[Tensor, int, int]],
        squares: Squares,
        num_shown: int,
        turn: Turn,
    ) -> tuple[Result, Tensor]:
        """Enlarge what changed in a frame, out of what is kept of the one before, and keep it.

        Every layer computes the same squares, and nothing around them.

        Args:
            features: of the frame before; become those of this one.
            pictures: (1, 3, h, w) nominal fp32 where samples changed, and the row and the column of
                cells in the padded frame where each begins.
            squares: to compute: whatever lies within the influence of what changed.
            num_shown: so many of them, the first ones, are enlarged; the others lie in the padding.
            turn: one stage for each layer, and one for the tails; `BEHIND` the one before.

        Returns:
            As of a call, for every square that is shown; and its picture, (N, 3, h, w) nominal.
        """
        reach, layers = max(tail.skip.reach for tail in self.tails), features.layers
        parts = [self._part(squares.part(i, j), features) for i, j in bounds(len(squares))]
        shown = [squares.part(i, j).filled() for i, j in bounds(num_shown)]
        with turn.stage(0):
            for picture, top, left in pictures:
                self._take(features, picture, top, left)
            seen = [self._gathered(features.cells, features, some, reach) for some in shown]
            self._renew(parts, self.head, features.cells, layers[0])
        for k, (first, second) in enumerate(self.blocks):
            before, between, after = layers[2 * k : 2 * k + 3]
            with turn.stage(2 * k + 1):
                self._renew(parts, first, before, between)
            with turn.stage(2 * k + 2):
                self._renew(parts, second, between, after, before)
        with turn.stage(len(layers)):
            last = [self._gathered(layers[-1], features, some, REACH) for some in shown]
        turn.through()
        wide, narrow = all_round(reach), all_round(REACH)
        results = [
            self._planes(cells, cells.to(self.dtype), wide, x, narrow)
            for cells, x in zip(seen, last)
        ]
        planes = zip(*(planes for planes, _ in results))
        total = torch.cat([total for _, total in results])[:num_shown]
        seen = [F.pixel_shuffle(NO_HALO.cut(cells, wide), self.grid) for cells in seen]
        result = tuple(torch.cat(parts)[:num_shown] for parts in planes), total
        return result, torch.cat(seen)[:num_shown]

    def _part(self, squares: Squares, features: Features) -> _Part:
        squares, size = squares.filled(), (features.rows, features.columns)
        inner, outer = (squares.windows(*size, halo).to(self.device) for halo in (0, REACH))
        return _Part(squares.side, inner, outer, squares.runs(*size).to(self.device))

    def _gathered(self, kept: Tensor, features: Features, squares: Squares, halo: int) -> Tensor:
        """(cells, C) to (N, C, side + 2 halo, the same)."""
        windows = squares.windows(features.rows, features.columns, halo).to(self.device)
        return _in_squares(windows.gathered(kept), squares.side + 2 * halo)

    def _take(self, features: Features, picture: Tensor, top: int, left: int) -> None:
        cells = F.pixel_unshuffle(picture, self.grid)[0].permute(1, 2, 0)
        kept = features.cells.view(features.rows, features.columns, -1)
        kept[top : top + cells.shape[0], left : left + cells.shape[1]] = cells

    def _renew(
        self,
        parts: Sequence[_Part],
        layer: Convolution,
        source: Tensor,
        target: Tensor,
        other: Tensor | None = None,
    ) -> None:
        """Compute one layer's squares from what is kept of another, and keep them."""
        for part in parts:
            side = part.side
            x = _in_squares(part.outer.gathered(source).to(self.dtype), side + 2 * REACH)
            added = None if other is None else _in_squares(part.inner.gathered(other), side)
            y = _by_cell(layer(x, all_round(REACH), NO_HALO, added))
            part.runs.put(y, target)

    def _cells(self, ycc: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3 u^2, h, w), in floats and in the convolutions' type."""
        cells = F.pixel_unshuffle(ycc, self.grid)
        cells = cells.contiguous(memory_format=torch.channels_last)
        return cells, cells.to(self.dtype)

    def _block(
        self, block: tuple[Convolution, Convolution], x: Tensor, have: Halo, reach: int
    ) -> Tensor:
        """Features with `have` around what is wanted to those of the next block with `reach`.

        `x` itself is changed where the result has its size.
        """
        between, after = have.within(reach + 1), have.within(reach)
        first, second = block
        kept = after.cut(x, have).contiguous(memory_format=torch.channels_last)
        return second(first(x, have, between), between, after, kept)

    def _planes(self, cells: Tensor, narrow: Tensor, have: Halo, x: Tensor, around: Halo) -> Result:
        """Code values of every plane from cells and from features `x`, each with its halo."""
        inside = NO_HALO.cut(cells, have)
        source = inside.permute(0, 2, 3, 1).flatten(0, 1) * self.scale + self.offset
        planes: list[Tensor] = []
        total = torch.zeros(len(cells), device=self.device)
        for tail in self.tails:
            delta = tail.convolution(x, around, NO_HALO)
            delta = tail.skip(narrow, have, NO_HALO, delta)
            total += self._sum(delta)
            codes = self._finish(delta.permute(0, 2, 3, 1).flatten(0, 1), source, tail.nearest)
            area = tail.side**2
            for k in range(tail.planes):
                plane = _shuffle(codes[..., k * area : (k + 1) * area], tail.side)
                planes.append(plane.view(len(cells), -1, plane.shape[1]))
        return tuple(planes), total

    def _sum(self, delta: Tensor) -> Tensor:
        # fp16 could overflow; on a CPU a sum in another type would first copy everything.
        wider = torch.float32 if self.dtype == torch.float16 else None
        return delta.sum((1, 2, 3), dtype=wider)

    def _finish(self, delta: Tensor, source: Tensor, nearest: Tensor) -> Tensor:
        """Add the nearest source pixel, round and clip: (N h, w, C) to codes of that shape."""
        h, w, channels = delta.shape
        codes = torch.empty(h, w, channels, dtype=self.code_dtype, device=delta.device)
        step = max(CELLS_IN_CACHE // w, 1) if delta.device.type == "cpu" else h
        for row in range(0, h, step):
            rows = slice(row, row + step)
            sums = delta[rows].reshape(-1, channels).float()
            sums.addmm_(source[rows].reshape(-1, source.shape[-1]), nearest)
            codes[rows].view(-1, channels).copy_(sums.clamp_(0, self.top + 0.499))
        return codes


def all_round(reach: int) -> Halo:
    """The same on each side."""
    return Halo(reach, reach, reach, reach)


def _in_squares(cells: Tensor, side: int) -> Tensor:
    """(N side^2, C) to (N, C, side, side)."""
    return cells.view(-1, side, side, cells.shape[1]).permute(0, 3, 1, 2)


def _by_cell(x: Tensor) -> Tensor:
    """(N, C, h, w) to (N h w, C), a view where the channels lie together."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


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
