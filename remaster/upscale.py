"""Frames in at the small size, frames out at the large one: network, engine and regions together.

The only place that knows what networks eat, and the only one that meets memory shortage: it goes on
with smaller pieces and never without a frame.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from remaster.color import (
    chroma_offset,
    code_scale,
    convert,
    decode_planes,
    encode_planes,
    quantize,
    subsample_chroma,
    upsample_chroma,
)
from remaster.engines.celnet import CelNetEngine
from remaster.errors import MemoryShortage
from remaster.frames import Frame, FrameBatch, PixelLayout, VideoInfo
from remaster.models.celnet import CelNet
from remaster.models.interpolation import Interpolation
from remaster.models.network import Network
from remaster.regions import Region, pad, strips
from remaster.resampling import resize

RESAMPLER = "lanczos"
"""The kernel between a network's scale and a size it does not reach."""

LEAST_ROWS = 16
MOST_PIXELS = {"cpu": 1 << 20, "cuda": 1 << 22}
"""Source pixels computed at once, by kind of device; more are cut into full-width strips."""

Planes = tuple[Tensor, ...]


class Path(Protocol):
    """One way through a network: a padded (N, 3, H, W) to planes of code values at its scale."""

    matrix: str
    layout: PixelLayout

    def __call__(self, x: Tensor) -> tuple[Planes, Tensor]: ...


class CelNetPath:
    """Planes straight from the engine."""

    def __init__(self, model: CelNet, target: VideoInfo, device: torch.device, dtype: torch.dtype):
        self.matrix = target.color.matrix
        chroma = "420" if target.layout.subsampling in ("420", "gray") else "444"
        self.layout = PixelLayout(chroma, target.layout.bit_depth)
        codes = code_scale(target.color.range, self.layout.bit_depth)
        top = 2**self.layout.bit_depth - 1
        self.engine = CelNetEngine(model, chroma, codes, top, device, dtype)

    def __call__(self, x: Tensor) -> tuple[Planes, Tensor]:
        return self.engine(x)


class PlainPath:
    """Any other network: what it gives becomes planes at the large size."""

    def __init__(self, model: Network, target: VideoInfo, device: torch.device, dtype: torch.dtype):
        self.model = copy.deepcopy(model).to(device, dtype)
        self.dtype, self.target = dtype, target
        self.eats, self.scale = model.eats, model.scale
        self.matrix = "rgb" if model.eats == "rgb" else target.color.matrix
        gray = target.layout.subsampling == "gray"
        self.layout = replace(target.layout, subsampling="420") if gray else target.layout

    def __call__(self, x: Tensor) -> tuple[Planes, Tensor]:
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
    has_bf16 = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if has_bf16 and model.adds_to_source else torch.float32


class Upscaler:
    """Enlarges batches of frames; may be called from several threads at once.

    Args:
        model: a network in evaluation mode.
        source: what the frames are.
        target: what they become: its size, layout and colour; its times are not looked at.
        device: where to compute; frames must lie there.
        dtype: of the network's arithmetic.
    """

    def __init__(
        self,
        model: Network,
        source: VideoInfo,
        target: VideoInfo,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.model, self.source, self.target = model, source, target
        self.device, self.dtype = device, dtype
        self.repeated: list[int] = []
        """pts of frames that came out wrong and were computed again in fp32."""
        self.kept: list[int] = []
        """pts of frames that looked wrong in fp32 too."""
        self._lock = threading.Lock()
        self._rows = max(MOST_PIXELS[device.type] // source.width, LEAST_ROWS)
        self._frames: int | None = None
        unchanged = replace(target, time_base=source.time_base, frame_rate=source.frame_rate)
        self._changes_nothing = (
            isinstance(model, Interpolation)
            and model.scale == 1
            and replace(unchanged, frame_count=source.frame_count) == source
        )
        self._path = self._make_path(dtype)
        self._exact: Path | None = None

    def _make_path(self, dtype: torch.dtype) -> Path:
        if isinstance(self.model, CelNet):
            return CelNetPath(self.model, self.target, self.device, dtype)
        return PlainPath(self.model, self.target, self.device, dtype)

    def __call__(self, batch: FrameBatch) -> FrameBatch:
        """(H, W) source planes to target planes, as many frames, the same times.

        Raises:
            MemoryShortage: even the smallest region does not fit.
        """
        if self._changes_nothing:
            return batch
        frames: list[Frame] = []
        while len(frames) < len(batch):
            rows, count = self._rows, min(self._frames or len(batch), len(batch) - len(frames))
            part = FrameBatch(batch.frames[len(frames) : len(frames) + count])
            try:
                with torch.inference_mode():
                    frames += self._checked(part, rows).frames
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                self._shrink(count, rows)
        return FrameBatch(tuple(frames))

    def _shrink(self, frames: int, rows: int) -> None:
        """Go on with half as many frames, or half as high strips, than what did not fit."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if frames > 1:
            with self._lock:
                self._frames = min(self._frames or frames, frames // 2)
            return
        rows = min(rows, self.source.height)
        if rows <= LEAST_ROWS or self.model.sees_whole_image:
            raise MemoryShortage(
                f"a frame of {self.source.width}x{self.source.height} does not fit in memory for "
                f"{self.model.scale}x, even in strips: close other programs, or choose a smaller "
                "--scale or --model"
            )
        with self._lock:
            self._rows = min(self._rows, max(rows // 2, LEAST_ROWS))

    def _checked(self, batch: FrameBatch, rows: int) -> FrameBatch:
        """Compute a batch; what is not finite, black or constant without reason, again in fp32."""
        planes = batch.stacked()
        picture = decode_planes(planes, self.source.layout, self.source.color, self._path.matrix)
        result, finite = self._compute(picture, self._path, rows)
        sound = finite & self._looks_sound(picture, result[0])
        if not bool(sound.all()):
            with self._lock:
                self._exact = self._exact or self._make_path(torch.float32)
            for i in torch.nonzero(~sound).flatten().tolist():
                again, finite = self._compute(picture[i : i + 1], self._exact, rows)
                for target, plane in zip(result, again):
                    target[i] = plane[0]
                good = bool(finite) and bool(self._looks_sound(picture[i : i + 1], again[0]))
                (self.repeated if good else self.kept).append(batch.frames[i].pts)
        return batch.with_planes(result)

    def _looks_sound(self, picture: Tensor, luma: Tensor) -> Tensor:
        """(N,): whether the output's brightness follows the input's, judged on a coarse grid."""
        scale, offset = code_scale(self.target.color.range, self.target.layout.bit_depth)[0]
        before = convert(picture, self._path.matrix, self.target.color.matrix)[:, 0].clamp(0, 1)
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

    def _compute(self, picture: Tensor, path: Path, rows: int) -> tuple[Planes, Tensor]:
        """(N, 3, H, W) to planes of the target, (N, h, w) each; and (N,) whether all was finite."""
        model = self.model
        height, width = picture.shape[-2:]
        padded, frame = pad(picture, model.padding, model.grid)
        whole = rows >= height or model.sees_whole_image
        grid = model.grid * 2 if model.grid % 2 else model.grid
        cover = [Region(0, 0, height, width)] if whole else strips(height, width, rows, grid)
        canvas, finite = self._canvas(padded, frame, cover, path)
        planes = fit_planes(canvas, path.layout, self._size_out, self.target)
        return planes, finite

    @property
    def _size_out(self) -> tuple[int, int]:
        return self.target.height, self.target.width

    def _canvas(
        self, padded: Tensor, frame: Region, cover: Sequence[Region] | Iterator[Region], path: Path
    ) -> tuple[Planes, Tensor]:
        """Every region of the cover through the network, at its scale, put together."""
        model, scale = self.model, self.model.scale
        size = (frame.height * scale, frame.width * scale)
        down, across = path.layout.chroma_step
        factors = [(scale, scale), *[(scale / down, scale / across)] * 2]
        canvas: Planes | None = None
        finite = torch.ones(len(padded), dtype=torch.bool, device=padded.device)
        for region in cover:
            inner = region.moved(frame.top, frame.left)
            outer = inner.grown(model.receptive_radius, model.grid, *padded.shape[-2:])
            planes, total = path(outer.cut(padded))
            finite &= total.isfinite()
            inside = inner.moved(-outer.top, -outer.left)
            parts = tuple(inside.cut(p, f) for p, f in zip(planes, factors))
            if region.height == frame.height and region.width == frame.width:
                return parts, finite
            if canvas is None:
                shapes = path.layout.plane_shapes(*size)
                canvas = tuple(
                    torch.empty(len(padded), *shape, dtype=p.dtype, device=p.device)
                    for p, shape in zip(planes, shapes)
                )
            for target, part, factor in zip(canvas, parts, factors):
                region.cut(target, factor).copy_(part)
        assert canvas is not None
        return canvas, finite


def fit_planes(
    planes: Planes, layout: PixelLayout, size: tuple[int, int], target: VideoInfo
) -> Planes:
    """Planes at a network's scale to the target's size and layout; untouched where they fit."""
    same_size = (planes[0].shape[-2], planes[0].shape[-1]) == size
    wanted = target.layout
    if same_size and layout.subsampling == wanted.subsampling:
        return planes
    if same_size and wanted.subsampling == "gray":
        return planes[:1]
    if layout.subsampling == wanted.subsampling and _is_just_below(planes[0], size):
        shapes = wanted.plane_shapes(*size)
        return tuple(_grown(plane, shape) for plane, shape in zip(planes, shapes))
    scales = code_scale(target.color.range, layout.bit_depth)
    floats = [p.float().sub_(o).div_(s) for p, (s, o) in zip(planes, scales)]
    luma, chroma = floats[0], torch.stack(floats[1:], 1)
    before = (luma.shape[-2], luma.shape[-1])
    luma = resize(luma, size, RESAMPLER)
    if wanted.subsampling == "gray":
        return quantize([luma], wanted, target.color)
    location = target.color.chroma_location
    if layout.subsampling == wanted.subsampling:
        chroma = _resize_chroma(chroma, layout, location, before, size)
    else:
        chroma = resize(upsample_chroma(chroma, layout, location, before), size, RESAMPLER)
        chroma = subsample_chroma(chroma, wanted, location)
    return quantize([luma, chroma[:, 0], chroma[:, 1]], wanted, target.color)


def _is_just_below(plane: Tensor, size: tuple[int, int]) -> bool:
    return all(0 <= want - have <= 1 for want, have in zip(size, plane.shape[-2:]))


def _grown(plane: Tensor, shape: tuple[int, int]) -> Tensor:
    """With its last row or column again where it is one short: an odd side made even."""
    rows, columns = (
        torch.arange(want, device=plane.device).clamp_max(have - 1)
        for want, have in zip(shape, plane.shape[-2:])
    )
    return plane[..., rows, :][..., columns]


def _resize_chroma(
    chroma: Tensor,
    layout: PixelLayout,
    location: str,
    before: tuple[int, int],
    size: tuple[int, int],
) -> Tensor:
    """Subsampled chroma to another size, its siting kept: the shift is of the siting's share."""
    step, offset = layout.chroma_step, chroma_offset(location, layout.chroma_step)
    shape = tuple(-(-n // s) for n, s in zip(size, step))
    shift = tuple(o / s * (b / a - 1) for o, s, b, a in zip(offset, step, before, size))
    return resize(chroma, (shape[0], shape[1]), RESAMPLER, shift=(shift[0], shift[1]))


def _is_out_of_memory(error: BaseException) -> bool:
    """torch raises a bare RuntimeError when the CPU's allocator fails."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return "not enough memory" in str(error) or "can't allocate memory" in str(error)
