"""Frames in at the small size, frames out at the large one: network, engine and regions together.

The only place that knows what networks eat, and the only one that meets memory shortage: it goes on
with smaller pieces and never without a frame.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
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
    upsampling_reach,
)
from remaster.engines.celnet import CelNetEngine
from remaster.errors import MemoryShortage
from remaster.frames import Frame, FrameBatch, PixelLayout, VideoInfo
from remaster.models.celnet import CelNet
from remaster.models.interpolation import Interpolation
from remaster.models.network import Network
from remaster.regions import NO_HALO, Halo, Price, Region, cover, padded_size, strips
from remaster.resampling import resize

RESAMPLER = "lanczos"
"""The kernel between a network's scale and a size it does not reach."""

RESAMPLER_REACH = 2
"""Samples on each side that Catmull-Rom, the kernel of chroma, depends on."""

LEAST_ROWS = 16
MOST_PIXELS = {"cpu": 1 << 20, "cuda": 1 << 22}
"""Source pixels computed at once, by kind of device; more are cut into full-width strips."""

FIXED_PRICE = {"cpu": 6000.0, "cuda": 100_000.0}
"""Source pixels a region costs beside its own, by kind of device: its operators' start.

Measured on a CPU with `fast`; estimated for CUDA, where they cost as much as a small frame."""

Planes = tuple[Tensor, ...]
Parts = tuple[tuple[Region, Planes], ...]
"""Source pixels, and their planes at the network's scale."""


@dataclass(frozen=True)
class Patch:
    """What was computed of one frame: all of it, some regions, or nothing."""

    frame: Frame
    """The source's."""

    parts: Parts
    """None where nothing changed."""

    is_whole: bool
    """Whether the parts cover the frame."""


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
    has_bf16 = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if has_bf16 and model.adds_to_source else torch.float32


class Upscaler:
    """Enlarges frames of one video.

    `compute` may be called from several threads at once; a `Canvas` puts what it gives together in
    the order of the frames, and `fitted` brings that to a size the network does not reach, again
    from any thread.

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
        self.work = 0
        """What was computed, halos included: multiply-adds of a CelNet, source pixels of others."""
        self.work_of_off = 0
        """What computing all those frames whole would have been."""
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
        self._price = Price(self._path.mean_halo, FIXED_PRICE[device.type])
        self._whole = Region(0, 0, source.height, source.width)
        self._padded = Region(
            0, 0, *padded_size(source.height, source.width, model.padding, model.grid)
        )

    def _make_path(self, dtype: torch.dtype) -> Path:
        if isinstance(self.model, CelNet):
            return CelNetPath(self.model, self.target, self.device, dtype)
        return PlainPath(self.model, self.target, self.device, dtype)

    def __call__(self, batch: FrameBatch) -> FrameBatch:
        """Frames of source planes to frames of target planes, as many, the same times.

        The first frame is computed whole; nothing is remembered between calls.

        Raises:
            MemoryShortage: even the smallest region does not fit.
        """
        first = replace(batch.frames[0], changed=None)
        patches = self.compute(FrameBatch((first, *batch.frames[1:])))
        finished = self.fitted(Canvas(self).finished(patches))
        return next(held_alike([finished]))

    def compute(self, batch: FrameBatch) -> tuple[Patch, ...]:
        """Whatever is new in each frame, at the network's scale.

        Raises:
            MemoryShortage: even the smallest region does not fit.
        """
        if self._changes_nothing:
            return tuple(map(self._passed, batch.frames))
        regions = [self._regions(frame) for frame in batch.frames]
        whole = [i for i, own in enumerate(regions) if own == [self._whole]]
        parts: dict[int, Parts] = {}
        parts.update(zip(whole, self._computed([batch.frames[i] for i in whole], [self._whole])))
        for i, own in enumerate(regions):
            if i not in parts:
                parts[i] = self._computed([batch.frames[i]], own)[0] if own else ()
        off = self._path.work(self._padded.height, self._padded.width, NO_HALO)
        with self._lock:
            self.work_of_off += off * len(batch)
        return tuple(Patch(f, parts[i], i in whole) for i, f in enumerate(batch.frames))

    def _passed(self, frame: Frame) -> Patch:
        """As it came: where the network changes nothing."""
        if frame.is_held:
            return Patch(frame, (), False)
        layout, top = self.target.layout, 2**self.target.layout.bit_depth - 1
        planes = tuple(
            plane.add(0.5).clamp_(0, top + 0.499).to(layout.dtype)
            if plane.is_floating_point()
            else plane
            for plane in frame.planes
        )
        return Patch(frame, ((self._whole, planes),), True)

    def _regions(self, frame: Frame) -> list[Region]:
        """What to compute of a frame; nothing where it is held."""
        if frame.changed is None:
            return [self._whole]
        if self.model.sees_whole_image:
            return [] if frame.is_held else [self._whole]
        size = (self.source.height, self.source.width)
        return cover(frame.changed, self._radius, *size, self._grid, self._price)

    @property
    def _grid(self) -> int:
        """Of the edges of what is computed: that of the network, and even for chroma."""
        return math.lcm(self._path.grid, 2)

    @property
    def _radius(self) -> int:
        """Source pixels around a changed sample whose output is computed anew.

        A measured radius speaks of the whole way from the source's samples; the network's own does
        not include how chroma is brought to the luma grid, and back.
        """
        if self.model.measured_radius is not None:
            return self.model.measured_radius
        return self._path.reach + self._decoding_reach

    @property
    def _decoding_reach(self) -> int:
        return upsampling_reach(self.source.layout, self.source.color.chroma_location)

    def _computed(self, frames: Sequence[Frame], regions: list[Region]) -> list[Parts]:
        """The regions of every frame; fewer frames at once, or strips, where memory is short."""
        done: list[Parts] = []
        while len(done) < len(frames):
            rows, count = self._rows, min(self._frames or len(frames), len(frames) - len(done))
            part = frames[len(done) : len(done) + count]
            try:
                with torch.inference_mode():
                    done += self._all_regions(part, regions, rows)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                self._shrink(count, rows)
        return done

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

    def _all_regions(
        self, frames: Sequence[Frame], regions: list[Region], rows: int
    ) -> list[Parts]:
        """The regions, none higher than `rows`, of frames computed together."""
        if len(frames) == 1:  # a view, where stacking would copy all for a mouth
            codes = tuple(plane[None] for plane in frames[0].planes)
        else:
            codes = FrameBatch(tuple(frames)).stacked()
        if not self.model.sees_whole_image:
            regions = [part for region in regions for part in _strips_of(region, rows, self._grid)]
        wrong: dict[int, bool] = {}
        results = [self._sound(codes, region, wrong) for region in regions]
        for i, is_mended in wrong.items():
            (self.repeated if is_mended else self.kept).append(frames[i].pts)
        return [
            tuple((region, tuple(p[i] for p in planes)) for region, planes in zip(regions, results))
            for i in range(len(frames))
        ]

    def _sound(self, codes: Planes, region: Region, wrong: dict[int, bool]) -> Planes:
        """One region; what is not finite, black or constant without reason, again in fp32.

        `wrong` receives the frames that came out so, and whether fp32 mended them.
        """
        result, sound = self._enlarged(codes, region, self._path)
        if bool(sound.all()):
            return result
        with self._lock:
            self._exact = self._exact or self._make_path(torch.float32)
        for i in torch.nonzero(~sound).flatten().tolist():
            one = tuple(plane[i : i + 1] for plane in codes)
            again, good = self._enlarged(one, region, self._exact)
            for target, plane in zip(result, again):
                target[i] = plane[0]
            wrong[i] = wrong.get(i, True) and bool(good)
        return result

    def _enlarged(self, codes: Planes, region: Region, path: Path) -> tuple[Planes, Tensor]:
        """(N, H, W) planes to a region's at the network's scale; and (N,) whether they are sound.

        The frame is padded once: where the region's halo ends early, the padded frame does.
        """
        before = self.model.padding
        wanted = region.moved(before, before)
        inner = outer = self._padded
        if region != self._whole:
            size = (self._padded.height, self._padded.width)
            inner = wanted.grown(0, path.grid, *size)
            outer = inner.grown(path.reach, path.grid, *size)
        x = self._picture(codes, outer, path.matrix)
        planes, total = path(x, inner.halo(outer))
        factors = plane_factors(self.model.scale, path.layout)
        planes = tuple(wanted.within(inner).cut(p, f) for p, f in zip(planes, factors))
        with self._lock:
            self.work += len(x) * path.work(inner.height, inner.width, inner.halo(outer))
        picture = wanted.within(outer).cut(x)
        return planes, total.isfinite() & self._looks_sound(picture, planes[0])

    def _picture(self, codes: Planes, region: Region, matrix: str) -> Tensor:
        """(N, 3, h, w): a region of the padded frame, which repeats the frame's edges.

        Only that part of the planes is decoded, and as much around it as its chroma is made of.
        """
        layout, color = self.source.layout, self.source.color
        height, width = self.source.height, self.source.width
        before = self.model.padding
        frame = Region(before, before, before + height, before + width)
        shown = region.common(frame)
        inside = shown.moved(-before, -before)
        around = inside.grown(self._decoding_reach, 2, height, width)
        down, across = layout.chroma_step
        factors = [(1.0, 1.0), *[(1 / down, 1 / across)] * 2]
        part = [around.cut(plane, factor) for plane, factor in zip(codes, factors)]
        picture = inside.within(around).cut(decode_planes(part, layout, color, matrix))
        beyond = shown.halo(region)
        if beyond == NO_HALO:
            return picture
        sides = (beyond.left, beyond.right, beyond.top, beyond.bottom)
        return F.pad(picture, sides, mode="replicate")

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

    @property
    def fits(self) -> bool:
        """Whether what a canvas holds is what is wanted: no size or layout left to reach."""
        size = (self.source.height * self.model.scale, self.source.width * self.model.scale)
        same_size = size == (self.target.height, self.target.width)
        return same_size and self._path.layout.subsampling == self.target.layout.subsampling

    def fitted(self, batch: FrameBatch) -> FrameBatch:
        """Composed frames at the target's size and layout; held ones are left as they are."""
        if self.fits:
            return batch
        with torch.inference_mode():
            return FrameBatch(
                tuple(
                    frame
                    if frame.is_held
                    else replace(
                        frame, planes=self.within_memory(partial(self._fitted, frame.planes))
                    )
                    for frame in batch.frames
                )
            )

    def within_memory(self, work: Callable[[], Planes]) -> Planes:
        """What `work` makes; tried once more with all memory given back that can be.

        Raises:
            MemoryShortage: it does not fit.
        """
        try:
            return work()
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            return work()
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            raise MemoryShortage(
                f"a picture of {self.target.width}x{self.target.height} does not fit in memory: "
                "close other programs, or choose a smaller --scale"
            ) from error

    def _fitted(self, planes: Planes) -> Planes:
        one = tuple(plane[None] for plane in planes)
        size = (self.target.height, self.target.width)
        return tuple(plane[0] for plane in fit_planes(one, self._path.layout, size, self.target))


class Canvas:
    """The finished pixels of the last frame, at the network's scale; patches come in order.

    What a frame holds is never changed: the next one that differs is painted on a copy.
    """

    def __init__(self, upscaler: Upscaler) -> None:
        self._layout = upscaler._path.layout
        self._scale = upscaler.model.scale
        self._size = (upscaler.source.height * self._scale, upscaler.source.width * self._scale)
        self._within_memory = upscaler.within_memory
        self._planes: Planes | None = None

    def finished(self, patches: Iterable[Patch]) -> FrameBatch:
        """Frames of whole pictures; where nothing changed, of the very planes before."""
        with torch.inference_mode():
            return FrameBatch(tuple(map(self._next, patches)))

    def _next(self, patch: Patch) -> Frame:
        if patch.is_whole and len(patch.parts) == 1:
            self._planes = patch.parts[0][1]
        elif patch.parts:
            self._planes = self._within_memory(lambda: self._painted(patch))
        assert self._planes is not None, "the first frame of a video is new"
        return replace(patch.frame, planes=self._planes)

    def _painted(self, patch: Patch) -> Planes:
        if patch.is_whole:
            example = patch.parts[0][1]
            shapes = self._layout.plane_shapes(*self._size)
            canvas = tuple(p.new_empty(shape) for p, shape in zip(example, shapes))
        else:
            assert self._planes is not None, "the first frame of a video is new"
            canvas = tuple(plane.clone() for plane in self._planes)
        factors = plane_factors(self._scale, self._layout)
        for region, planes in patch.parts:
            for target, plane, factor in zip(canvas, planes, factors):
                region.cut(target, factor).copy_(plane)
        return canvas


def held_alike(batches: Iterable[FrameBatch]) -> Iterator[FrameBatch]:
    """The same frames, those in which nothing changed with the very planes of the one before."""
    planes: Planes | None = None
    for batch in batches:
        frames = []
        for frame in batch.frames:
            if planes is not None and frame.is_held:
                frame = replace(frame, planes=planes)
            planes = frame.planes
            frames.append(frame)
        yield FrameBatch(tuple(frames))


def plane_factors(scale: int, layout: PixelLayout) -> list[tuple[float, float]]:
    """Samples of each plane for a source pixel, (down, across)."""
    down, across = layout.chroma_step
    return [(scale, scale), *[(scale / down, scale / across)] * 2]


def _strips_of(region: Region, rows: int, grid: int) -> Iterator[Region]:
    """The region, in strips of at most `rows` rows where it has more."""
    if region.height <= rows:
        yield region
        return
    for strip in strips(region.height, region.width, rows, grid):
        yield strip.moved(region.top, region.left)


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
