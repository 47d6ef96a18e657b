"""Fixed kernels that change the size of pictures, exactly named.

Grids are centre-aligned: output sample i lies at (i + 0.5) * in / out - 0.5 of the input, plus
`shift` (in input samples). Shrinking widens the kernel (antialiasing). Edges are replicated.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel: its weight at distance x, zero from `support` on."""

    weight: Callable[[float], float]
    support: float


def _box(x: float) -> float:
    return 1.0 if -0.5 <= x < 0.5 else 0.0


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(b: float, c: float) -> Callable[[float], float]:
    """Mitchell and Netravali, "Reconstruction filters in computer graphics" (1988), eq. 8."""

    def weight(x: float) -> float:
        x = abs(x)
        if x < 1:
            return ((12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + 6 - 2 * b) / 6
        if x < 2:
            cubic = (-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2
            return (cubic + (-12 * b - 48 * c) * x + 8 * b + 24 * c) / 6
        return 0.0

    return weight


def _lanczos3(x: float) -> float:
    if abs(x) < 1e-9:  # where the quotient below would lose its digits, or divide by zero
        return 1.0
    if abs(x) >= 3:
        return 0.0
    return 3 * math.sin(math.pi * x) * math.sin(math.pi * x / 3) / (math.pi * x) ** 2


KERNELS: dict[str, Kernel] = {
    "box": Kernel(_box, 0.5),
    "triangle": Kernel(_triangle, 1.0),
    "catmull-rom": Kernel(_cubic(0.0, 0.5), 2.0),
    "mitchell": Kernel(_cubic(1 / 3, 1 / 3), 2.0),
    "lanczos": Kernel(_lanczos3, 3.0),
}


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept may serve a training later
def resize_matrix(
    size_in: int, size_out: int, kernel: str, shift: float = 0.0, antialias: bool = True
) -> Tensor:
    """The linear map of one axis, (size_out, size_in) float32; each row sums to one."""
    ratio = size_in / size_out
    widen = max(ratio, 1.0) if antialias else 1.0
    weight, support = KERNELS[kernel].weight, KERNELS[kernel].support * widen
    matrix = torch.zeros(size_out, size_in, dtype=torch.float64)
    for i in range(size_out):
        centre = (i + 0.5) * ratio - 0.5 + shift
        for j in range(math.ceil(centre - support), math.floor(centre + support) + 1):
            matrix[i, min(max(j, 0), size_in - 1)] += weight((j - centre) / widen)
    return (matrix / matrix.sum(1, keepdim=True)).float()


BAND = 64
"""Output samples of one matrix product: few enough that their inputs are nearly all used."""


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept may serve a training later
def _bands(
    size_in: int,
    size_out: int,
    kernel: str,
    shift: float,
    antialias: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> list[tuple[slice, Tensor]]:
    """`resize_matrix` cut into blocks of rows without the empty columns beside them."""
    matrix = resize_matrix(size_in, size_out, kernel, shift, antialias)
    bands = []
    for rows in matrix.split(BAND):
        used = rows.abs().sum(0).nonzero()
        columns = slice(int(used[0]), int(used[-1]) + 1)
        bands.append((columns, rows[:, columns].to(device, dtype).contiguous()))
    return bands


def resize(
    x: Tensor,
    size: tuple[int, int],
    kernel: str,
    *,
    shift: tuple[float, float] = (0.0, 0.0),
    antialias: bool = True,
) -> Tensor:
    """Resample (..., H, W) float to (..., *size) along both axes; same dtype and device."""
    how = (antialias, x.dtype, x.device)
    if x.shape[-2] != size[0] or shift[0]:
        bands = _bands(x.shape[-2], size[0], kernel, shift[0], *how)
        x = torch.cat([block @ x[..., rows, :] for rows, block in bands], -2)
    if x.shape[-1] != size[1] or shift[1]:
        bands = _bands(x.shape[-1], size[1], kernel, shift[1], *how)
        x = torch.cat([x[..., columns] @ block.T for columns, block in bands], -1)
    return x


def phase_kernels(
    scale: int, kernel: str, *, step: int = 1, offset: float = 0.0
) -> list[list[float]]:
    """The taps of every sub-pixel of one axis when enlarging by an integer.

    Output sample k of a source sample lies, in source samples from its centre, at
    (k * step + (step - 1) / 2 + offset + 0.5) / scale - 0.5: `step` output luma samples apart
    (2 for subsampled chroma) and moved by `offset` luma samples from the middle of its square.
    Returns scale // step rows of 2 * reach + 1 taps, the same reach for every offset within half
    a source sample.
    """
    weight, support = KERNELS[kernel].weight, KERNELS[kernel].support
    reach = max(math.ceil(support + 0.5) - 1, 1)
    rows = []
    for k in range(scale // step):
        centre = (k * step + (step - 1) / 2 + offset + 0.5) / scale - 0.5
        taps = [weight(j - centre) for j in range(-reach, reach + 1)]
        rows.append([tap / sum(taps) for tap in taps])
    return rows
