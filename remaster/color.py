"""Y'CbCr and R'G'B': matrices, ranges, depth, siting, and what is assumed when a file is silent.

Inside the program a picture is `ycc`: (N, 3, H, W) float, Y in [0, 1] and Cb, Cr in [-0.5, 0.5],
nominal; or `rgb`: (N, 3, H, W) in [0, 1]. ITU-R BT.601, BT.709, BT.2020 and H.273 give the numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from remaster.frames import Color, PixelLayout
from remaster.resampling import phase_kernels, resize

LUMA_WEIGHTS: dict[str, tuple[float, float]] = {
    "bt709": (0.2126, 0.0722),
    "smpte170m": (0.299, 0.114),
    "bt470bg": (0.299, 0.114),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}
"""(Kr, Kb) of each matrix that can be converted; others travel untouched."""

RESAMPLER = "catmull-rom"
"""The kernel of every chroma resampling."""


def is_past_sd(width: int, height: int) -> bool:
    """Whether players take an untagged picture of this size for BT.709."""
    return width > 1024 or height > 576


def _assumed(width: int, height: int, frame_rate: Fraction | None) -> Color:
    """What a silent Y'CbCr file most likely is: HD by size, else 625 or 525 lines."""
    if is_past_sd(width, height):
        return Color("bt709", "limited", "bt709", "bt709")
    pal_rate = frame_rate is not None and (round(frame_rate, 2) in (25, 50))
    if pal_rate or height in (288, 576):
        return Color("bt470bg", "limited", "bt470bg", "smpte170m")
    return Color("smpte170m", "limited", "smpte170m", "smpte170m")


def describe(
    matrix: str | None,
    range_: str | None,
    primaries: str | None,
    transfer: str | None,
    chroma_location: str | None,
    *,
    width: int,
    height: int,
    frame_rate: Fraction | None,
    is_rgb: bool,
) -> tuple[Color, tuple[str, ...]]:
    """The colour of a video from its tags (FFmpeg's names, None where silent).

    Returns it complete, with the names of the fields that had to be assumed: from the other tags
    where they tell, from size and frame rate otherwise.
    """
    if is_rgb:
        assumed = Color("rgb", "full", "bt709", "iec61966-2-1")
        matrix = "rgb"
    elif primaries == "bt2020" or matrix in ("bt2020nc", "bt2020c"):
        assumed = Color("bt2020nc", "limited", "bt2020", "bt709")
    elif matrix == "bt709" or (matrix is None and primaries == "bt709"):
        assumed = Color("bt709", "limited", "bt709", "bt709")
    elif matrix in ("smpte170m", "bt470bg") or primaries in ("smpte170m", "bt470bg"):
        family = matrix if matrix in ("smpte170m", "bt470bg") else primaries
        assert family is not None
        assumed = Color(family, "limited", family, "smpte170m")
    else:
        assumed = _assumed(width, height, frame_rate)
    given = {
        "matrix": matrix,
        "range": range_,
        "primaries": primaries,
        "transfer": transfer,
        "chroma_location": chroma_location,
    }
    told = {name: value for name, value in given.items() if value is not None}
    missing = tuple(name for name in given if name not in told)
    # A silent siting is the rule, not a gap: every MPEG format since MPEG-2 means "left".
    return replace(assumed, **told), tuple(n for n in missing if n != "chroma_location")


def output_color(source: Color, size: tuple[int, int], size_out: tuple[int, int]) -> Color:
    """The colour written for a source enlarged from `size` to `size_out` (width, height).

    SD enlarged past SD becomes BT.709 in matrix, which is what players and televisions assume at
    that size. Primaries and transfer keep their values: R'G'B' does not change. R'G'B' sources
    become BT.709 Y'CbCr. The range stays; chroma is sited left.
    """
    if source.matrix == "rgb":
        return replace(source, matrix="bt709", range="limited", chroma_location="left")
    is_sd_matrix = source.matrix in ("smpte170m", "bt470bg", "fcc")
    if is_sd_matrix and not is_past_sd(*size) and is_past_sd(*size_out):
        source = replace(source, matrix="bt709")
    return replace(source, chroma_location="left")


@functools.lru_cache(maxsize=32)
@torch.inference_mode(False)  # what is kept may serve a training later
def rgb_to_ycc_matrix(matrix: str) -> Tensor:
    """(3, 3) float64: R'G'B' in [0, 1] to nominal Y, Cb, Cr (H.273 eq. 38 to 40)."""
    kr, kb = LUMA_WEIGHTS[matrix]
    kg = 1 - kr - kb
    luma = torch.tensor([kr, kg, kb], dtype=torch.float64)
    red, blue = torch.eye(3, dtype=torch.float64)[[0, 2]]
    return torch.stack([luma, (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))])


@functools.lru_cache(maxsize=32)
@torch.inference_mode(False)  # what is kept may serve a training later
def conversion(source: str, target: str) -> Tensor | None:
    """(3, 3) float64 from one matrix's ycc (or `rgb`) to another's; None where nothing changes."""
    if source == target:
        return None
    identity = torch.eye(3, dtype=torch.float64)
    forward = identity if target == "rgb" else rgb_to_ycc_matrix(target)
    backward = identity if source == "rgb" else torch.linalg.inv(rgb_to_ycc_matrix(source))
    product = forward @ backward
    return None if torch.allclose(product, identity, atol=1e-9) else product


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept may serve a training later
def _conversion_on(
    source: str, target: str, dtype: torch.dtype, device: torch.device
) -> Tensor | None:
    # Kept where it is used: a copy to the device for every batch would stall its stream.
    matrix = conversion(source, target)
    return None if matrix is None else matrix.to(device, dtype)[:, :, None, None]


def convert(x: Tensor, source: str, target: str) -> Tensor:
    """(N, 3, H, W) from one matrix's ycc, or `rgb`, to another's."""
    matrix = _conversion_on(source, target, x.dtype, x.device)
    return x if matrix is None else F.conv2d(x, matrix)


def code_scale(color_range: str, bit_depth: int, *, is_rgb: bool = False) -> list[tuple[int, int]]:
    """(scale, offset) of the three planes: code = nominal * scale + offset."""
    top = 2**bit_depth - 1
    step = 2 ** (bit_depth - 8)
    if is_rgb:
        return [(top, 0)] * 3 if color_range == "full" else [(219 * step, 16 * step)] * 3
    middle = 128 * step
    if color_range == "full":
        return [(top, 0), (top, middle), (top, middle)]
    return [(219 * step, 16 * step), (224 * step, middle), (224 * step, middle)]


def chroma_offset(location: str, step: tuple[int, int]) -> tuple[float, float]:
    """(down, across) from the middle of a chroma sample's luma square to it, in luma samples."""
    down = -(step[0] - 1) / 2 if location.startswith("top") else 0.0
    across = 0.0 if location in ("center", "top", "bottom") else -(step[1] - 1) / 2
    return down, across


@functools.lru_cache(maxsize=32)
@torch.inference_mode(False)  # what is kept may serve a training later
def _upsampling_filter(
    step: tuple[int, int], offset: tuple[float, float], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """(step_h * step_w, 1, K, K): the luma-grid phases around one chroma sample."""
    down, across = (
        torch.tensor(phase_kernels(step[axis], RESAMPLER, offset=-offset[axis])) for axis in (0, 1)
    )
    return torch.einsum("ai,bj->abij", down, across).flatten(0, 1)[:, None].to(device, dtype)


def upsample_chroma(
    chroma: Tensor, layout: PixelLayout, location: str, size: tuple[int, int]
) -> Tensor:
    """(N, C, h, w) at the layout's subsampling to (N, C, *size) on the luma grid."""
    step = layout.chroma_step
    if step == (1, 1):
        return chroma
    offset = chroma_offset(location, step)
    kernel = _upsampling_filter(step, offset, chroma.dtype, chroma.device)
    reach = kernel.shape[-1] // 2
    n, c, h, w = chroma.shape
    padded = F.pad(chroma, (reach,) * 4, mode="replicate").reshape(n * c, 1, h + 2 * reach, -1)
    phases = F.conv2d(padded, kernel)
    fine = phases.reshape(n, c, step[0], step[1], h, w).permute(0, 1, 4, 2, 5, 3)
    return fine.reshape(n, c, h * step[0], w * step[1])[..., : size[0], : size[1]]


def upsampling_reach(layout: PixelLayout, location: str) -> int:
    """Luma samples around a square of whole chroma samples that its chroma on the luma grid is made
    of; a multiple of 2."""
    step = layout.chroma_step
    if step == (1, 1):
        return 0
    offset = chroma_offset(location, step)
    phases = (phase_kernels(step[axis], RESAMPLER, offset=-offset[axis]) for axis in (0, 1))
    return 2 * max(len(phase[0]) // 2 for phase in phases)


def subsample_chroma(chroma: Tensor, layout: PixelLayout, location: str = "left") -> Tensor:
    """(N, C, H, W) on the luma grid to the layout's subsampling; odd sizes round up."""
    step = layout.chroma_step
    if step == (1, 1):
        return chroma
    h, w = chroma.shape[-2:]
    rows, columns = -(-h // step[0]), -(-w // step[1])
    padding = (0, columns * step[1] - w, 0, rows * step[0] - h)
    return resize(
        F.pad(chroma, padding, mode="replicate"),
        (rows, columns),
        RESAMPLER,
        shift=chroma_offset(location, step),
    )


def decode_planes(
    planes: Sequence[Tensor], layout: PixelLayout, color: Color, matrix: str
) -> Tensor:
    """Code values to a float picture on the luma grid.

    Args:
        planes: (N, h, w) each, as the layout says, or float32 of the same scale.
        color: what the code values mean.
        matrix: that of the result, or `rgb`.

    Returns:
        (N, 3, H, W) float32, nominal range, in `matrix`; not clipped.
    """
    is_rgb = color.matrix == "rgb"
    scales = code_scale(color.range, layout.bit_depth, is_rgb=is_rgb)
    size = (planes[0].shape[-2], planes[0].shape[-1])
    floats = [
        plane.to(torch.float32, copy=True).sub_(offset).div_(scale)
        for plane, (scale, offset) in zip(planes, scales)
    ]
    if layout.subsampling == "gray":
        floats += [torch.zeros_like(floats[0])] * 2
    elif layout.chroma_step != (1, 1):
        chroma = torch.stack(floats[1:], 1)
        fine = upsample_chroma(chroma, layout, color.chroma_location, size)
        floats[1:] = [fine[:, 0], fine[:, 1]]
    return convert(torch.stack(floats, 1), color.matrix, matrix)


def encode_plane(x: Tensor, scale: int, offset: int, dtype: torch.dtype, top: int) -> Tensor:
    """Nominal floats to code values, rounded to nearest and clipped to [0, top]."""
    return x.mul(scale).add_(offset + 0.5).clamp_(0, top + 0.499).to(dtype)


def encode_planes(x: Tensor, layout: PixelLayout, color: Color, matrix: str) -> tuple[Tensor, ...]:
    """The inverse of `decode_planes`: (N, 3, H, W) in `matrix` to (N, h, w) code values."""
    x = convert(x, matrix, color.matrix)
    luma, chroma = x[:, 0], x[:, 1:]
    if layout.subsampling in ("420", "422"):
        chroma = subsample_chroma(chroma, layout, color.chroma_location)
    parts = [luma, chroma[:, 0], chroma[:, 1]][: layout.num_planes]
    return quantize(parts, layout, color)


def quantize(parts: Sequence[Tensor], layout: PixelLayout, color: Color) -> tuple[Tensor, ...]:
    """Nominal planes, already at their own sizes, to code values."""
    scales = code_scale(color.range, layout.bit_depth, is_rgb=color.matrix == "rgb")
    top = 2**layout.bit_depth - 1
    return tuple(
        encode_plane(part, scale, offset, layout.dtype, top)
        for part, (scale, offset) in zip(parts, scales)
    )
