"""One picture through a network in floats: in tiles with halos, so that its size costs no memory.

A film's way, by planes of up to 12 bits, would take bits from a picture of 16; here nothing is
rounded between the picture's numbers and those of the result. Tiles give what the whole gives.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from remaster.color import convert
from remaster.errors import MemoryShortage, RemasterError
from remaster.models.network import Network
from remaster.regions import Region, padded_size
from remaster.resampling import KERNELS, Kernel
from remaster.upscale import is_out_of_memory

__all__ = ["LANCZOS", "LINEAR", "OPENCV_CUBIC", "Tiled", "extended", "resampled"]

Pixels = npt.NDArray[Any]
"""(H, W, C) uint8 or uint16: 1 grey, 3 R'G'B'."""

MOST_PIXELS = 1 << 20
"""Of a tile's result: a layer of 128 channels in fp32 is half a gigabyte."""

LEAST_PIXELS = 1 << 10
CHROMA_REACH = 2
"""Source pixels each side that a cubic kernel, of chroma beside luma, depends on."""

BAND_NUMBERS = 1 << 23
"""Of a band of rows that is resampled."""

MATRIX = {"planes": "bt709", "luma": "smpte170m", "rgb": "rgb"}
"""What each diet's pictures are in: luma networks were trained on OpenCV's Y'CrCb."""


def _opencv_cubic(x: float) -> float:
    a, x = -0.75, abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


OPENCV_CUBIC = Kernel(_opencv_cubic, 2.0)
LINEAR, LANCZOS, BICUBIC = (KERNELS[name] for name in ("triangle", "lanczos", "catmull-rom"))


class Tiled:
    """A network that enlarges pictures of any size.

    Args:
        model: in evaluation mode.
        device: where to compute.
        dtype: of the network's arithmetic.
        ensemble: the mean over all eight turns and flips of what it is given.
    """

    def __init__(
        self, model: Network, device: torch.device, dtype: torch.dtype, *, ensemble: bool = False
    ) -> None:
        self._plain = model
        self.model = copy.deepcopy(model).to(device, dtype)
        self.device, self.dtype, self.ensemble = device, dtype, ensemble
        self.most_pixels = MOST_PIXELS
        beside = CHROMA_REACH if model.eats == "luma" else 0
        self.reach = max(model.receptive_radius, beside)

    def count(self, height: int, width: int) -> int:
        """Tiles of a picture, while memory lasts."""
        return len(list(self.tiles(Region(0, 0, height, width))))

    def tiles(self, region: Region) -> Iterator[Region]:
        """Rectangles that cover a region, edges on the network's grid, about as high as wide."""
        if self.model.sees_whole_image:
            yield region
            return
        grid = self.model.grid
        side = math.isqrt(self.most_pixels) / self.model.scale
        rows, columns = (
            max(math.ceil(n / max(math.ceil(n / side), 1) / grid), 1) * grid
            for n in (region.height, region.width)
        )
        for top in range(region.top, region.bottom, rows):
            for left in range(region.left, region.right, columns):
                yield Region(
                    top,
                    left,
                    min(top + rows, region.bottom),
                    min(left + columns, region.right),
                )

    def __call__(
        self,
        pixels: Pixels,
        dtype: npt.DTypeLike,
        progress: Callable[[], None] = lambda: None,
    ) -> Pixels:
        """(H, W, C) to (H s, W s, C) of a type of whole numbers, rounded.

        Args:
            pixels: grey or R'G'B'.
            dtype: of the result, uint8 or uint16.
            progress: is called after each tile.

        Raises:
            MemoryShortage: even small tiles do not fit. RemasterError: the network gives no
            numbers.
        """
        scale = self.model.scale
        height, width, channels = pixels.shape
        result = np.empty((height * scale, width * scale, channels), dtype)
        waiting = list(self.tiles(Region(0, 0, height, width)))[::-1]
        while waiting:
            tile = waiting.pop()
            try:
                with torch.inference_mode():
                    sr = self._computed(pixels, tile)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(tile)
                waiting += list(self.tiles(tile))[::-1]
                continue
            rows = slice(tile.top * scale, tile.bottom * scale)
            columns = slice(tile.left * scale, tile.right * scale)
            result[rows, columns] = _rounded(sr, channels, result.dtype)
            progress()
        return result

    def _shrink(self, tile: Region) -> None:
        """Go on with smaller tiles than one that did not fit."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        pixels = tile.height * tile.width * self.model.scale**2
        if self.model.sees_whole_image or pixels <= LEAST_PIXELS:
            raise MemoryShortage(
                f"a picture of {tile.width}x{tile.height} does not fit in memory for "
                f"{self.model.scale}x: close other programs, or choose another --model"
            )
        self.most_pixels = max(min(self.most_pixels, pixels) // 4, LEAST_PIXELS)

    def _computed(self, pixels: Pixels, tile: Region) -> Tensor:
        """(1, 3, h s, w s) R'G'B' float32 on the CPU: a tile of the picture."""
        height, width = pixels.shape[:2]
        padding, grid, scale = self.model.padding, self.model.grid, self.model.scale
        padded = padded_size(height, width, padding, grid)
        wanted = tile.moved(padding, padding)
        outer = Region(0, 0, *padded)
        if not self.model.sees_whole_image:
            outer = wanted.grown(0, grid, *padded).grown(self.reach, grid, *padded)
        rgb = _part(pixels, outer, padding).to(self.device)
        found = self._turned(self.model, rgb)
        if not bool(found.isfinite().all()) and self.dtype != torch.float32:
            exact = copy.deepcopy(self._plain).to(self.device, torch.float32)
            found = self._turned(exact, rgb)
        if not bool(found.isfinite().all()):
            raise RemasterError("the network gives no numbers for this picture: use another model")
        return wanted.within(outer).cut(found, scale).cpu()

    def _turned(self, model: Network, rgb: Tensor) -> Tensor:
        """Once, or the mean over the eight turns and flips."""
        if not self.ensemble:
            return through(model, rgb)
        total = torch.zeros(())
        for turns in range(4):
            for is_flipped in (False, True):
                x = torch.rot90(rgb.flip(-1) if is_flipped else rgb, turns, (-2, -1))
                y = torch.rot90(through(model, x), -turns, (-2, -1))
                total = total.to(y.device) + (y.flip(-1) if is_flipped else y)
        return total / 8


def through(model: Network, rgb: Tensor) -> Tensor:
    """(N, 3, H, W) R'G'B', sides on the network's grid, to (N, 3, H s, W s) float32, not clipped.

    Chroma beside a luma network, whose luma is clipped, is enlarged by OpenCV's cubic kernel.
    """
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    matrix = MATRIX[model.eats]
    x = convert(rgb, "rgb", matrix)
    if model.eats == "rgb":
        return model(_narrow(x.clamp(0, 1), dtype)).float()
    if model.eats == "planes":
        y, chroma = (part.float() for part in model(_narrow(x, dtype), "444"))
    else:
        y = model(_narrow(x[:, :1].clamp(0, 1), dtype)).float()
        y = torch.where(y.isfinite(), y.clamp(0, 1), torch.nan)
        chroma = x[:, 1:]
        if model.scale > 1:
            factor = float(model.scale)
            chroma = F.interpolate(chroma, scale_factor=factor, mode="bicubic", align_corners=False)
    return convert(torch.cat([y, chroma], 1), matrix, "rgb")


def _narrow(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def _part(pixels: Pixels, region: Region, padding: int) -> Tensor:
    """(1, 3, h, w) in [0, 1]: a region of the picture with `padding` of its edges around it."""
    rows, columns = (
        np.clip(np.arange(start, stop) - padding, 0, side - 1)
        for start, stop, side in (
            (region.top, region.bottom, pixels.shape[0]),
            (region.left, region.right, pixels.shape[1]),
        )
    )
    part = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part = part[np.ix_(rows - rows[0], columns - columns[0])].astype(np.float32)
    rgb = torch.from_numpy(part / np.float32(np.iinfo(pixels.dtype).max)).permute(2, 0, 1)[None]
    return rgb.expand(1, 3, *rgb.shape[2:])


def _rounded(rgb: Tensor, channels: int, dtype: np.dtype[Any]) -> Pixels:
    """(1, 3, h, w) in [0, 1] to (h, w, channels) whole numbers; a grey is the mean."""
    x = rgb[0].mean(0, keepdim=True) if channels == 1 else rgb[0]
    return _whole(x.permute(1, 2, 0).double().numpy() * np.iinfo(dtype).max, dtype)


def _whole(numbers: npt.NDArray[np.floating], dtype: npt.DTypeLike) -> Pixels:
    top = np.iinfo(np.dtype(dtype)).max
    found: Pixels = np.rint(numbers).clip(0, top).astype(dtype)
    return found


def resampled(
    pixels: Pixels,
    size: tuple[int, int],
    kernel: Kernel,
    dtype: npt.DTypeLike,
    *,
    antialias: bool = True,
) -> Pixels:
    """(H, W, C) whole numbers to (*size, C) of another type of whole numbers, in bands of rows.

    As `resampling.resize` does; no more of the picture is ever held in floats than a band.
    """
    height, width, channels = pixels.shape
    down = _taps(height, size[0], kernel, antialias)
    across = _taps(width, size[1], kernel, antialias)
    factor = np.iinfo(np.dtype(dtype)).max / np.iinfo(pixels.dtype).max
    result = np.empty((*size, channels), dtype)
    step = max(BAND_NUMBERS // (max(width, size[1]) * channels), 1)
    for top in range(0, size[0], step):
        rows = slice(top, min(top + step, size[0]))
        matrix, used = _block(*down, rows)
        band = torch.from_numpy(pixels[used].astype(np.float32) * np.float32(factor))
        band = torch.einsum("ij,jwc->ciw", matrix, band)
        parts = []
        for left in range(0, size[1], 64):
            matrix, used = _block(*across, slice(left, min(left + 64, size[1])))
            parts.append(band[..., used] @ matrix.T)
        result[rows] = _whole(torch.cat(parts, -1).permute(1, 2, 0).numpy(), dtype)
    return result


def _taps(
    size_in: int, size_out: int, kernel: Kernel, antialias: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """(size_out, taps): which input samples make each output sample, and how much of each."""
    ratio = size_in / size_out
    widen = max(ratio, 1.0) if antialias else 1.0
    support = kernel.support * widen
    centres = (np.arange(size_out) + 0.5) * ratio - 0.5
    places = np.ceil(centres - support)[:, None] + np.arange(math.floor(2 * support) + 1)
    distances = (places - centres[:, None]) / widen
    weights = np.array([kernel.weight(x) for x in distances.ravel().tolist()])
    weights = weights.reshape(places.shape)
    weights /= weights.sum(1, keepdims=True)
    return np.clip(places.astype(np.int64), 0, size_in - 1), weights


def _block(
    places: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], rows: slice
) -> tuple[Tensor, slice]:
    """The linear map of some output samples, and the input samples that it takes."""
    places, weights = places[rows], weights[rows]
    used = slice(int(places.min()), int(places.max()) + 1)
    matrix = np.zeros((len(places), used.stop - used.start))
    np.add.at(matrix, (np.arange(len(places))[:, None], places - used.start), weights)
    return torch.from_numpy(matrix).float(), used


def extended(colors: Pixels, alpha: Pixels) -> Pixels:
    """Colours with those that nothing shows of (alpha 0) replaced by what lies around.

    A network, and any kernel, would draw them into the edge. From coarse to fine: means of what
    shows over squares of 2, 4, 8 ... pixels fill what the finer ones leave empty.

    Args:
        colors: (H, W, C). alpha: (H, W, 1).
    """
    hidden = alpha[..., 0] == 0
    if not hidden.any() or hidden.all():
        return colors
    filled = _filled(colors.astype(np.float32), (~hidden).astype(np.float32)[..., None])
    found = colors.copy()
    found[hidden] = _whole(filled[hidden], colors.dtype)
    return found


def _filled(
    colors: npt.NDArray[np.float32], weight: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """(H, W, C), where (H, W, 1) weights are 0 filled from the mean of the shown ones around."""
    if weight.all() or max(weight.shape) == 1:
        return colors
    height, width = weight.shape[:2]
    even = ((0, height % 2), (0, width % 2), (0, 0))
    shown, shares = (
        np.pad(x, even).reshape(-(-height // 2), 2, -(-width // 2), 2, -1).sum((1, 3))
        for x in (colors * weight, weight)
    )
    coarse = _filled(shown / np.maximum(shares, 1), (shares > 0).astype(np.float32))
    fine = coarse.repeat(2, 0).repeat(2, 1)[:height, :width]
    return np.where(weight > 0, colors, fine)
