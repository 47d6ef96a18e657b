"""Frames in at the small size, frames out at the large one: network, engine and regions together.

The only place that meets memory shortage: it goes on with smaller pieces and never without a frame.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from remaster.chains import Assignment, Chains, Tiles
from remaster.color import (
    chroma_offset,
    code_scale,
    quantize,
    subsample_chroma,
    upsample_chroma,
)
from remaster.enlarging import Enlarger
from remaster.errors import MemoryShortage
from remaster.frames import Frame, FrameBatch, PixelLayout, VideoInfo
from remaster.models.celnet import CelNet
from remaster.models.interpolation import Interpolation
from remaster.models.network import Network
from remaster.paths import CelNetPath, Path, PlainPath, Planes, plane_factors
from remaster.regions import Price, Region, cover, strips
from remaster.resampling import resize

RESAMPLER = "lanczos"
"""The kernel between a network's scale and a size it does not reach."""

LEAST_ROWS = 16
MOST_PIXELS = {"cpu": 1 << 20, "cuda": 1 << 22}
"""Source pixels computed at once, by kind of device; more are cut into full-width strips."""

FIXED_PRICE = {"cpu": 6000.0, "cuda": 100_000.0}
"""Source pixels a region costs beside its own, by kind of device: its operators' start.

Measured on a CPU with `fast`; estimated for CUDA, where they cost as much as a small frame."""


def can_keep_features(
    model: Network, source: VideoInfo, device: torch.device, dtype: torch.dtype
) -> bool:
    """Whether frames are computed out of what is kept of the one before.

    Numbers of four bytes take as long to move as it would take to compute regions anew, and frames
    of more pixels too much memory; on CUDA it is not measured.
    """
    fits = source.width * source.height <= MOST_PIXELS["cpu"]
    return isinstance(model, CelNet) and device.type == "cpu" and dtype.itemsize == 2 and fits


Parts = tuple[tuple[Region, Planes], ...]
"""Source pixels, and their planes at the network's scale."""


@dataclass(frozen=True)
class Patch:
    """What was computed of one frame: all of it, some of it, or nothing."""

    frame: Frame
    """The source's."""

    parts: Parts = ()
    tiles: Tiles | None = None
    is_whole: bool = False
    """Whether the parts cover the frame."""


class Upscaler:
    """Enlarges frames of one video.

    `assigned` takes frames in their order; `compute` may be called from several threads at once; a
    `Canvas` puts what it gives together in the order of the frames, and `fitted` brings that to a
    size the network does not reach, again from any thread.

    Args:
        model: a network in evaluation mode.
        source: what the frames are.
        target: what they become: its size, layout and colour; its times are not looked at.
        device: where to compute; frames must lie there.
        dtype: of the network's arithmetic.
        keeps_features: of a CelNet, so that later frames are computed from them; None: where that
            pays, see `can_keep_features`.
    """

    def __init__(
        self,
        model: Network,
        source: VideoInfo,
        target: VideoInfo,
        device: torch.device,
        dtype: torch.dtype,
        *,
        keeps_features: bool | None = None,
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
        self._enlarge = self._enlarger(dtype)
        self._path, self._whole = self._enlarge.path, self._enlarge.whole
        self._exact: Enlarger | None = None
        self._price = Price(self._path.mean_halo, FIXED_PRICE[device.type])
        self._chains: Chains | None = None
        if keeps_features is None:
            keeps_features = can_keep_features(model, source, device, dtype)
        self._keeps_features = keeps_features
        """Until memory is short."""
        if keeps_features and isinstance(self._path, CelNetPath):
            self._chains = Chains(self._enlarge, self._path.engine, self._radius)

    def _enlarger(self, dtype: torch.dtype) -> Enlarger:
        return Enlarger(self.model, self.source, self.target, self._make_path(dtype), self._count)

    def _count(self, work: int) -> None:
        with self._lock:
            self.work += work

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
        patches = self.compute(tuple(map(Assignment, (first, *batch.frames[1:]))))
        finished = self.fitted(Canvas(self).finished(patches))
        return next(held_alike([finished]))

    def assigned(self, batch: FrameBatch) -> tuple[Assignment, ...]:
        """What is to be computed, to be asked for in the frames' order; all of it must then be.

        A frame that keeps part of the one before is computed from what the network made of that.
        """
        if self._chains is None or not self._keeps_features:
            return tuple(map(Assignment, batch.frames))
        return tuple(map(self._chains.assigned, batch.frames))

    def compute(self, assignments: Sequence[Assignment]) -> tuple[Patch, ...]:
        """Whatever is new in each frame, at the network's scale.

        Raises:
            MemoryShortage: even the smallest region does not fit.
        """
        if self._changes_nothing:
            return tuple(self._passed(each.frame) for each in assignments)
        is_done = False
        try:
            patches = self._patches(assignments)
            is_done = True
        finally:
            for each in assignments:  # nobody waits for what will not be
                if each.chain is not None and not is_done:
                    each.chain.features = None
                if each.turn is not None:
                    each.turn.over()
        return patches

    def _patches(self, assignments: Sequence[Assignment]) -> tuple[Patch, ...]:
        frames = [each.frame for each in assignments]
        alone = [i for i, each in enumerate(assignments) if each.chain is None]
        whole = [i for i in alone if frames[i].is_all_new]
        computed = self._computed([frames[i] for i in whole], [self._whole])
        patches = {i: Patch(frames[i], parts, is_whole=True) for i, parts in zip(whole, computed)}
        for i, each in enumerate(assignments):
            if i not in patches:
                patches[i] = self._changed(frames[i]) if i in alone else self._chained(each)
        off = sum(map(self._enlarge.work, self._pieces([self._whole], self._rows)))
        with self._lock:
            self.work_of_off += off * len(frames)
        return tuple(patches[i] for i in range(len(frames)))

    def _changed(self, frame: Frame) -> Patch:
        """What changed in a frame, computed by itself."""
        regions = self._regions(frame)
        parts = self._computed([frame], regions)[0] if regions else ()
        return Patch(frame, parts, is_whole=regions == [self._whole])

    def _chained(self, assignment: Assignment) -> Patch:
        """What changed in a frame, computed from the one before where that can be done."""
        frame, chain, turn = assignment.frame, assignment.chain, assignment.turn
        assert self._chains is not None and chain is not None and turn is not None
        planes = tiles = None
        try:
            with torch.inference_mode():
                if assignment.begins:
                    planes = self._chains.begun(frame, chain, turn)
                else:
                    tiles = self._chains.renewed(frame, chain, turn)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self._keeps_features = False
        if planes is not None:
            return Patch(frame, ((self._whole, planes),), is_whole=True)
        return self._changed(frame) if tiles is None else Patch(frame, tiles=tiles)

    def _passed(self, frame: Frame) -> Patch:
        """As it came: where the network changes nothing."""
        if frame.is_held:
            return Patch(frame)
        layout, top = self.target.layout, 2**self.target.layout.bit_depth - 1
        planes = tuple(
            plane.add(0.5).clamp_(0, top + 0.499).to(layout.dtype)
            if plane.is_floating_point()
            else plane
            for plane in frame.planes
        )
        return Patch(frame, ((self._whole, planes),), is_whole=True)

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
        return self._path.reach + self._enlarge.decoding_reach

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
                if not is_out_of_memory(error):
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
        regions = self._pieces(regions, rows)
        wrong: dict[int, bool] = {}
        results = [self._sound(codes, region, wrong) for region in regions]
        for i, is_mended in wrong.items():
            (self.repeated if is_mended else self.kept).append(frames[i].pts)
        return [
            tuple((region, tuple(p[i] for p in planes)) for region, planes in zip(regions, results))
            for i in range(len(frames))
        ]

    def _pieces(self, regions: Iterable[Region], rows: int) -> list[Region]:
        """What is computed one after the other: no region higher than `rows`."""
        if self.model.sees_whole_image:
            return list(regions)
        return [part for region in regions for part in _strips_of(region, rows, self._grid)]

    def _sound(self, codes: Planes, region: Region, wrong: dict[int, bool]) -> Planes:
        """One region; what is not finite, black or constant without reason, again in fp32.

        `wrong` receives the frames that came out so, and whether fp32 mended them.
        """
        result, sound = self._enlarge(codes, region)
        if bool(sound.all()):
            return result
        with self._lock:
            self._exact = self._exact or self._enlarger(torch.float32)
        for i in torch.nonzero(~sound).flatten().tolist():
            one = tuple(plane[i : i + 1] for plane in codes)
            again, good = self._exact(one, region)
            for target, plane in zip(result, again):
                target[i] = plane[0]
            wrong[i] = wrong.get(i, True) and bool(good)
        return result

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
            if not is_out_of_memory(error):
                raise
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            return work()
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
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
        elif patch.parts or patch.tiles is not None:
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
        if patch.tiles is not None:
            for target, plane in zip(canvas, patch.tiles.planes):
                put_tiles(target, plane, patch.tiles.rows, patch.tiles.columns)
        return canvas


def put_tiles(target: Tensor, tiles: Tensor, rows: Tensor, columns: Tensor) -> None:
    """Write (N, h, w) tiles into a plane (H, W) at rows and columns, (N,), of a grid of tiles.

    What reaches past the plane is left out. Samples move several at a time, as one wide integer,
    where sides allow.
    """
    (height, width), (down, across) = target.shape, tiles.shape[1:]
    tops, lefts = rows * down, columns * across
    for wide in (torch.int64, torch.int32, torch.int16):
        size = wide.itemsize // target.element_size()
        if size > 1 and not (width % size or across % size or target.data_ptr() % wide.itemsize):
            target, tiles = target.view(wide), tiles.contiguous().view(wide)
            width, across, lefts = width // size, across // size, lefts // size
            break
    down_places = tops[:, None] + torch.arange(down)
    across_places = lefts[:, None] + torch.arange(across)
    places = (down_places[:, :, None] * width + across_places[:, None]).flatten()
    inside = ((down_places < height)[:, :, None] & (across_places < width)[:, None]).flatten()
    samples = tiles.reshape(-1)
    if not bool(inside.all()):
        places, samples = places[inside], samples[inside.to(samples.device)]
    target.view(-1).index_copy_(0, places.to(target.device), samples)


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran short: torch raises a bare RuntimeError when the CPU's allocator fails."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return "not enough memory" in str(error) or "can't allocate memory" in str(error)
