"""Frames composed of regions and of what is known already are those that are computed whole."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from remaster.color import output_color
from remaster.engines.celnet import CelNetEngine, Result
from remaster.engines.features import Features
from remaster.frames import CELL, Frame, FrameBatch, PixelLayout, VideoInfo
from remaster.models.interpolation import Interpolation
from remaster.models.network import Network
from remaster.paths import CelNetPath
from remaster.pipeline import Stopwatch, enlarged
from remaster.plan import Plan
from remaster.upscale import Canvas, Patch, Upscaler, held_alike, put_tiles
from tests.networks import Blurring, celnet
from tests.test_upscale import CPU, ERRORS, HD, SD, Sick, Starving, video

NETWORKS: dict[str, Network] = {
    "celnet x2": celnet(2, blocks=1),
    "celnet x4": celnet(4, blocks=1),
    "unshuffled": celnet(2, unshuffle=2, blocks=1),
    "rgb": Blurring("rgb"),
    "rgb x3": Blurring("rgb", 3),
    "luma": Blurring("luma"),
    "lanczos": Interpolation(2, "lanczos"),
    "identity": Interpolation(1, "catmull-rom"),
}
LAYOUTS = [
    PixelLayout("420", 8),
    PixelLayout("422", 10),
    PixelLayout("444", 8),
    PixelLayout("gray", 8),
    PixelLayout("rgb", 8),
]


def cells_of(source: VideoInfo) -> tuple[int, int]:
    return -(-source.height // CELL), -(-source.width // CELL)


def next_frame(before: Frame, changed: Tensor, source: VideoInfo, seed: int) -> Frame:
    """Another picture in the changed squares, the same one elsewhere."""
    if not changed.any():
        return Frame(before.pts + 1, before.planes, changed=changed)
    generator = torch.Generator().manual_seed(seed)
    samples = changed.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)
    down, across = source.layout.chroma_step
    planes = []
    for plane, (v, h) in zip(before.planes, [(1, 1), (down, across), (down, across)]):
        where = samples[::v, ::h][: plane.shape[0], : plane.shape[1]]
        values = 2**source.layout.bit_depth
        other = torch.randint(
            values // 4, values // 4 * 3, plane.shape, generator=generator, dtype=plane.dtype
        )
        planes.append(torch.where(where, other, plane))
    return Frame(before.pts + 1, tuple(planes), changed=changed)


def film(
    source: VideoInfo,
    changes: Sequence[Tensor | None],
    seed: int = 0,
    *,
    is_continued: bool = False,
) -> list[Frame]:
    """Random pictures; the first one, and those without a mask, are new as a whole."""
    everything = torch.ones(cells_of(source), dtype=torch.bool)
    shapes = source.layout.plane_shapes(source.height, source.width)
    blank = Frame(-1, tuple(torch.zeros(s, dtype=source.layout.dtype) for s in shapes))
    frames = [replace(next_frame(blank, everything, source, seed), changed=None)]
    for i, changed in enumerate(changes, 1):
        mask = everything if changed is None else changed
        frame = next_frame(frames[-1], mask, source, seed + i)
        frames.append(replace(frame, changed=changed))
    return [replace(frame, is_continued=is_continued) for frame in frames]


def computed(upscaler: Upscaler, batch: FrameBatch) -> tuple[Patch, ...]:
    return upscaler.compute(upscaler.assigned(batch))


def composed(upscaler: Upscaler, frames: Sequence[Frame], sizes: Sequence[int] = ()) -> list[Frame]:
    """One thread; batches of these sizes, then of one frame."""
    canvas = Canvas(upscaler)

    def batches() -> Iterator[FrameBatch]:
        left, wanted = list(frames), list(sizes)
        while left:
            size = wanted.pop(0) if wanted else 1
            batch, left = FrameBatch(tuple(left[:size])), left[size:]
            yield upscaler.fitted(canvas.finished(computed(upscaler, batch)))

    return [frame for batch in held_alike(batches()) for frame in batch.frames]


def off(upscaler: Upscaler, frames: Sequence[Frame]) -> list[Frame]:
    """Each alone and whole."""
    whole = [replace(f, changed=None, is_continued=False) for f in frames]
    return [upscaler(FrameBatch((f,))).frames[0] for f in whole]


def keeping(model: Network, target: VideoInfo, dtype: torch.dtype = torch.float32) -> Upscaler:
    """One that keeps features, whatever the arithmetic."""
    return Upscaler(model, SOURCE, target, CPU, dtype, keeps_features=True)


def assert_alike(one: Sequence[Frame], other: Sequence[Frame]) -> None:
    """The same pictures, but for sums in another order that round apart."""
    assert [f.pts for f in one] == [f.pts for f in other]
    for a, b in zip(one, other):
        assert len(a.planes) == len(b.planes)
        for x, y in zip(a.planes, b.planes):
            assert x.shape == y.shape
            assert x.dtype == y.dtype
            difference = (x.int() - y.int()).abs()
            assert difference.max() <= 1
            assert (difference > 0).float().mean() <= 1e-3


@st.composite
def masks(draw: st.DrawFn, shape: tuple[int, int]) -> Tensor | None:
    kind = draw(st.sampled_from(["new", "held", "one", "some", "block", "block"]))
    mask = torch.zeros(shape, dtype=torch.bool)
    if kind == "new":
        return None
    if kind == "one":
        mask[draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))] = True
    elif kind == "some":
        generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
        mask = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.05, 0.2, 0.8]))
    elif kind == "block":
        top, left = (draw(st.integers(0, n - 1)) for n in shape)
        mask[top : top + draw(st.integers(1, 4)), left : left + draw(st.integers(1, 4))] = True
    return mask


@st.composite
def films(draw: st.DrawFn, layout: PixelLayout) -> tuple[VideoInfo, list[Frame], list[int]]:
    color = replace(SD, matrix="rgb", range="full") if layout.subsampling == "rgb" else SD
    source = video(draw(st.integers(24, 110)), draw(st.integers(24, 90)), layout, color)
    changes = draw(st.lists(masks(cells_of(source)), min_size=2, max_size=5))
    frames = film(source, changes, draw(st.integers(0, 9)))
    frames = [replace(frame, is_continued=draw(st.booleans())) for frame in frames]
    return source, frames, draw(st.lists(st.integers(1, 3), max_size=3))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_what_is_composed_is_what_is_computed_whole(
    name: str, layout: PixelLayout, data: st.DataObject
) -> None:
    source, frames, sizes = data.draw(films(layout))
    model = NETWORKS[name]
    size = (source.width * model.scale, source.height * model.scale)
    if data.draw(st.booleans()):
        size = (size[0] + 13, size[1] - 7)
    wanted = PixelLayout("420", 8) if layout.subsampling == "rgb" else layout
    color = replace(output_color(source.color, (1, 1), size), matrix="bt709")
    target = replace(source, width=size[0], height=size[1], layout=wanted, color=color)
    keeps = data.draw(st.booleans())
    upscaler = Upscaler(model, source, target, CPU, torch.float32, keeps_features=keeps)
    results = composed(upscaler, frames, sizes)
    assert_alike(results, off(upscaler, frames))
    for before, after in zip(results, results[1:]):
        assert (after.planes is before.planes) == after.is_held


def half_new(source: VideoInfo, *, is_continued: bool = False) -> list[Frame]:
    """New, held, a corner, held, held, the middle, new, held."""
    nothing = torch.zeros(cells_of(source), dtype=torch.bool)
    corner, middle = nothing.clone(), nothing.clone()
    corner[:2, -2:] = True
    middle[3:5, 4:6] = True
    changes = [nothing, corner, nothing, nothing, middle, None, nothing]
    return film(source, changes, is_continued=is_continued)


SOURCE = video(120, 88, PixelLayout("420", 8), SD)
TWICE = replace(SOURCE, width=240, height=176, color=HD)


def test_without_marks_every_frame_is_computed_whole() -> None:
    frames = [replace(frame, changed=None) for frame in half_new(SOURCE)]
    upscaler = Upscaler(NETWORKS["celnet x2"], SOURCE, TWICE, CPU, torch.float32)
    for a, b in zip(composed(upscaler, frames), off(upscaler, frames)):
        assert all(map(torch.equal, a.planes, b.planes))
    assert upscaler.work == upscaler.work_of_off > 0


def test_finished_pictures_never_change() -> None:
    upscaler = Upscaler(NETWORKS["celnet x2"], SOURCE, TWICE, CPU, torch.float32)
    canvas, kept = Canvas(upscaler), []
    frames = half_new(SOURCE)
    sources = [[plane.clone() for plane in frame.planes] for frame in frames]
    for frame in frames:
        planes = canvas.finished(computed(upscaler, FrameBatch((frame,)))).frames[0].planes
        kept.append((planes, [plane.clone() for plane in planes]))
    for planes, copies in kept:
        assert all(map(torch.equal, planes, copies))
    for frame, copies in zip(frames, sources):
        assert all(map(torch.equal, frame.planes, copies))


def test_held_frames_cost_nothing() -> None:
    upscaler = Upscaler(NETWORKS["celnet x2"], SOURCE, TWICE, CPU, torch.float32)
    for frame in half_new(SOURCE):
        before = upscaler.work
        (patch,) = computed(upscaler, FrameBatch((frame,)))
        assert (upscaler.work == before) == frame.is_held
        assert frame.is_held == (not patch.parts and patch.tiles is None)


def test_a_measured_radius_bounds_what_is_computed_anew() -> None:
    model = celnet(2, blocks=1)
    model.measured_radius = 0
    upscaler = Upscaler(model, SOURCE, TWICE, CPU, torch.float32)
    middle = torch.zeros(cells_of(SOURCE), dtype=torch.bool)
    middle[3:5, 4:6] = True
    frames = film(SOURCE, [middle])
    first, second = (frame.planes[0] for frame in composed(upscaler, frames))
    whole = off(upscaler, frames)[1].planes[0]
    inside = torch.zeros_like(first, dtype=torch.bool)
    inside[3 * 16 : 5 * 16, 4 * 16 : 6 * 16] = True
    assert torch.equal(second[~inside], first[~inside])
    assert torch.equal(second[inside], whole[inside])
    assert not torch.equal(whole[~inside], first[~inside])  # the change reaches further


def test_work_counts_every_layer_with_its_halo() -> None:
    """By hand: 16x16 pixels, one block of 16 features at x2, radius 4."""
    model = celnet(2, blocks=1)
    model.measured_radius = 0
    upscaler = Upscaler(model, SOURCE, TWICE, CPU, torch.float32)
    middle = torch.zeros(cells_of(SOURCE), dtype=torch.bool)
    middle[3:5, 4:6] = True
    computed(upscaler, FrameBatch((film(SOURCE, [middle])[1],)))
    head, block = 3 * 16 * 9, 16 * 16 * 9
    skips = sum(model.skips[name].numel() for name in ("luma", "420"))
    tails = (4 + 2) * 16 * 9 + skips
    assert upscaler.work == head * 22**2 + block * 20**2 + block * 18**2 + tails * 16**2
    assert upscaler.work_of_off == (88 + 8) * (120 + 8) * (head + 2 * block + tails)


@pytest.mark.parametrize("size", [(240, 176), (250, 180)], ids=["a scale", "no scale"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("is_continued", [False, True], ids=["alone", "chained"])
def test_threads_change_nothing(
    size: tuple[int, int], batch: int, is_continued: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remaster.pipeline.workers", lambda: 3)
    target = replace(TWICE, width=size[0], height=size[1])
    upscaler = keeping(NETWORKS["celnet x2"], target)
    frames = half_new(SOURCE, is_continued=is_continued)
    for _ in range(3):
        frames += [replace(frame, pts=frame.pts + len(frames)) for frame in frames]
    groups = [FrameBatch(tuple(frames[i : i + batch])) for i in range(0, len(frames), batch)]
    plan = cast("Plan", SimpleNamespace(device=CPU))
    with enlarged(plan, upscaler, groups, Stopwatch()) as results:
        found = [frame for group in results for frame in group.frames]
    serial = composed(upscaler, frames)
    for a, b in zip(found, serial, strict=True):
        assert a.pts == b.pts
        assert all(map(torch.equal, a.planes, b.planes))
    for before, after in zip(found, found[1:]):
        assert (after.planes is before.planes) == after.is_held


def chained() -> list[Frame]:
    """Five frames of which each but the first changes a corner or the middle of the one before."""
    corner, middle = (torch.zeros(cells_of(SOURCE), dtype=torch.bool) for _ in range(2))
    corner[:2, -2:] = True
    middle[3:5, 4:6] = True
    return film(SOURCE, [corner, middle, corner, middle], is_continued=True)


def test_a_chain_computes_squares_of_every_layer_and_nothing_around() -> None:
    model = celnet(2, blocks=1)
    model.measured_radius = 8
    upscaler = keeping(model, TWICE)
    frames = chained()
    computed(upscaler, FrameBatch((frames[0],)))
    whole = upscaler.work
    computed(upscaler, FrameBatch((frames[2],)))
    head, block = 3 * 16 * 9, 16 * 16 * 9
    tails = (4 + 2) * 16 * 9 + sum(model.skips[name].numel() for name in ("luma", "420"))
    assert whole == (88 + 8) * (120 + 8) * (head + 2 * block + tails)
    assert upscaler.work - whole == 4 * 4 * 8 * 8 * (head + 2 * block + tails)


def test_a_measured_radius_bounds_what_a_chain_computes() -> None:
    model = celnet(2, blocks=5)
    model.measured_radius = 8
    upscaler = keeping(model, TWICE)
    frames = chained()
    results = composed(upscaler, frames)
    for before, after, frame in zip(results, results[1:], frames[1:]):
        assert frame.changed is not None
        near = F.max_pool2d(frame.changed[None, None].float(), 3, 1, 1)[0, 0] > 0
        same = (after.planes[0] == before.planes[0]).float()
        for row, column in torch.nonzero(~near).tolist():
            square = same[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
            assert square.all()


def test_no_frame_of_a_chain_overtakes_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remaster.pipeline.workers", lambda: 3)
    middle = torch.zeros(cells_of(SOURCE), dtype=torch.bool)
    middle[3:5, 4:6] = True
    frames = film(SOURCE, [middle] * 12, is_continued=True)
    upscaler = keeping(celnet(2, blocks=3), TWICE)
    expected = composed(upscaler, frames)
    assert isinstance(upscaler._path, CelNetPath)
    engine, number = upscaler._path.engine, itertools.count()
    renew = engine._renew

    def in_a_while(*arguments: Any) -> None:
        time.sleep(0.003 * (next(number) * 7 % 5 == 0))
        renew(*arguments)

    engine._renew = in_a_while  # type: ignore[method-assign]
    plan = cast("Plan", SimpleNamespace(device=CPU))
    groups = [FrameBatch((frame,)) for frame in frames]
    with enlarged(plan, upscaler, groups, Stopwatch()) as results:
        found = [frame for group in results for frame in group.frames]
    for a, b in zip(found, expected, strict=True):
        assert all(map(torch.equal, a.planes, b.planes))


Renewal = tuple[Result, Tensor]
Failure = Callable[[Features, Renewal], Renewal]


def failing(engine: CelNetEngine, calls: Sequence[int], failure: Failure) -> None:
    """Let some of the calls that renew go wrong."""
    renewed, count = engine.renewed, itertools.count()

    def wrong(features: Features, *arguments: Any) -> Renewal:
        result = renewed(features, *arguments)
        return failure(features, result) if next(count) in calls else result

    engine.renewed = wrong  # type: ignore[method-assign]


def ruin(features: Features) -> None:
    for layer in features.layers:
        layer.fill_(3)


def unsound(features: Features, result: Renewal) -> Renewal:
    ruin(features)
    (planes, total), seen = result
    return (planes, torch.full_like(total, float("nan"))), seen


def black(features: Features, result: Renewal) -> Renewal:
    ruin(features)
    (planes, total), seen = result
    return (tuple(map(torch.zeros_like, planes)), total), seen


def out_of_memory(features: Features, result: Renewal) -> Renewal:
    ruin(features)
    raise ERRORS[1]


@pytest.mark.parametrize("failure", [unsound, black, out_of_memory])
@pytest.mark.parametrize("calls", [[0], [1], [3], [0, 1, 2, 3]])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_broken_chain_costs_no_frame(
    failure: Failure, calls: list[int], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remaster.pipeline.workers", lambda: threads)
    frames = chained()
    upscaler = keeping(NETWORKS["celnet x2"], TWICE)
    assert isinstance(upscaler._path, CelNetPath)
    failing(upscaler._path.engine, calls, failure)
    plan = cast("Plan", SimpleNamespace(device=CPU))
    groups = [FrameBatch((frame,)) for frame in frames]
    with enlarged(plan, upscaler, groups, Stopwatch()) as results:
        found = [frame for group in results for frame in group.frames]
    assert_alike(found, off(upscaler, frames))
    assert upscaler.repeated == upscaler.kept == []


def test_a_beginning_that_came_out_wrong_begins_nothing() -> None:
    frames = chained()
    upscaler = keeping(NETWORKS["celnet x2"], TWICE)
    assert isinstance(upscaler._path, CelNetPath)
    engine = upscaler._path.engine
    remembered = engine.remembered

    def wrong(ycc: Tensor) -> tuple[Result, Features]:
        (planes, total), features = remembered(ycc)
        ruin(features)
        return (planes, total * float("nan")), features

    engine.remembered = wrong  # type: ignore[method-assign]
    assert_alike(composed(upscaler, frames), off(upscaler, frames))


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_an_error_in_a_chain_reaches_the_caller(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remaster.pipeline.workers", lambda: 3)
    frames = [replace(frame, pts=i) for i, frame in enumerate(chained() + chained())]
    upscaler = keeping(NETWORKS["celnet x2"], TWICE)
    assert isinstance(upscaler._path, CelNetPath)

    def wrong(features: Features, result: Renewal) -> Renewal:
        raise KeyError("in the engine")

    failing(upscaler._path.engine, [0], wrong)
    plan = cast("Plan", SimpleNamespace(device=CPU))
    groups = [FrameBatch(tuple(frames[i : i + batch])) for i in range(0, len(frames), batch)]
    raised: list[BaseException] = []

    def run() -> None:
        try:
            with enlarged(plan, upscaler, groups, Stopwatch()) as results:
                list(results)
        except KeyError as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it hangs"
    assert len(raised) == 1


def test_when_most_of_a_picture_changes_all_of_it_is_computed() -> None:
    most = torch.ones(cells_of(SOURCE), dtype=torch.bool)
    most[:, :3] = False
    frames = film(SOURCE, [most], is_continued=True)
    upscaler = keeping(NETWORKS["celnet x2"], TWICE)
    assert_alike(composed(upscaler, frames), off(upscaler, frames))
    assert upscaler.work == upscaler.work_of_off


@given(
    shape=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    tile=st.tuples(st.integers(1, 16), st.integers(1, 16)),
    dtype=st.sampled_from([torch.uint8, torch.int16]),
    seed=st.integers(0, 99),
)
def test_tiles_are_put_where_they_belong(
    shape: tuple[int, int], tile: tuple[int, int], dtype: torch.dtype, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    grid = tuple(-(-n // t) for n, t in zip(shape, tile))
    places = torch.nonzero(torch.rand(grid, generator=generator) < 0.5)
    plane = torch.zeros(shape, dtype=dtype)
    tiles = torch.randint(1, 200, (len(places), *tile), generator=generator, dtype=dtype)
    expected = plane.clone()
    for (row, column), values in zip(places.tolist(), tiles):
        target = expected[row * tile[0] :, column * tile[1] :][: tile[0], : tile[1]]
        target.copy_(values[: target.shape[0], : target.shape[1]])
    put_tiles(plane, tiles, *places.unbind(1))
    assert torch.equal(plane, expected)


@pytest.mark.parametrize("error", ERRORS, ids=["cuda", "cpu"])
def test_memory_shortage_in_a_region_keeps_the_canvas_right(error: Exception) -> None:
    source = video(120, 160, PixelLayout("420", 8), SD)
    target = replace(source, width=240, height=320)
    tall = torch.zeros(cells_of(source), dtype=torch.bool)
    tall[2:18, 3:8] = True
    frames = film(source, [tall, ~tall & False, tall])
    model = Starving(10**9, error)
    upscaler = Upscaler(model, source, target, CPU, torch.float32)
    expected = composed(upscaler, frames)
    model.limit = 120 * 60
    poor = Upscaler(model, source, target, CPU, torch.float32)
    assert_alike(composed(poor, frames), expected)
    assert model.failures >= 1


def test_at_the_floor_a_region_says_what_to_do() -> None:
    middle = torch.zeros(cells_of(SOURCE), dtype=torch.bool)
    middle[3:5, 4:6] = True
    model = Starving(0, ERRORS[0])
    upscaler = Upscaler(model, SOURCE, TWICE, CPU, torch.float32)
    with pytest.raises(Exception, match="smaller --scale"):
        computed(upscaler, FrameBatch((film(SOURCE, [middle])[1],)))


def test_a_region_that_came_out_wrong_is_computed_again() -> None:
    frames = half_new(SOURCE)
    sick = Upscaler(Sick(float("nan")), SOURCE, TWICE, CPU, torch.bfloat16)
    well = Upscaler(Sick(float("nan")), SOURCE, TWICE, CPU, torch.float32)
    for a, b in zip(composed(sick, frames), composed(well, frames)):
        assert all(map(torch.equal, a.planes, b.planes))
    assert sick.repeated == [frame.pts for frame in frames if not frame.is_held]
    assert sick.kept == well.repeated == []


@pytest.mark.parametrize("name", ["celnet x2", "rgb", "lanczos", "identity"])
def test_means_of_exposures_are_code_values_too(name: str) -> None:
    """float32 planes of whole numbers are those numbers; what is between them is rounded once."""
    model = NETWORKS[name]
    target = replace(SOURCE, width=120 * model.scale, height=88 * model.scale)
    upscaler = Upscaler(model, SOURCE, target, CPU, torch.float32)
    frames = half_new(SOURCE)
    floats, kept = [], {}
    for frame in frames:
        if not frame.is_held:
            planes = tuple(plane.float() for plane in frame.planes)
            kept[planes] = frame.planes
        floats.append(replace(frame, planes=planes))
    mixed = [a if i % 2 else b for i, (a, b) in enumerate(zip(frames, floats))]
    expected = composed(upscaler, frames)
    for others in (floats, mixed):
        for a, b in zip(composed(upscaler, others, [2, 3]), expected):
            assert all(map(torch.equal, a.planes, b.planes))
    for planes, own in kept.items():
        assert all(torch.equal(a, b.float()) for a, b in zip(planes, own))
    halves = replace(frames[0], planes=tuple(p.float() + 0.3 for p in frames[0].planes))
    for a, b in zip(upscaler(FrameBatch((halves,))).frames[0].planes, expected[0].planes):
        assert a.dtype == b.dtype
        assert (a.int() - b.int()).abs().max() <= 1


class Pooling(Blurring):
    """Looks at the whole picture."""

    sees_whole_image = True

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 0.9 + x.mean((1, 2, 3), keepdim=True) * 0.1


def test_a_network_that_sees_everything_is_run_whole() -> None:
    upscaler = Upscaler(Pooling("rgb"), SOURCE, TWICE, CPU, torch.float32)
    frames = half_new(SOURCE)
    results = composed(upscaler, frames)
    for a, b in zip(results, off(upscaler, frames)):
        assert all(map(torch.equal, a.planes, b.planes))
    assert all((b.planes is a.planes) == b.is_held for a, b in zip(results, results[1:]))


def test_the_identity_passes_planes_as_they_are() -> None:
    upscaler = Upscaler(NETWORKS["identity"], SOURCE, SOURCE, CPU, torch.float32)
    for frame, result in zip(half_new(SOURCE), composed(upscaler, half_new(SOURCE))):
        assert all(map(torch.equal, frame.planes, result.planes))
    assert upscaler.work == 0


@pytest.mark.cuda
def test_cuda_composes_as_the_cpu_does() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    cuda = torch.device("cuda")
    frames = half_new(SOURCE, is_continued=True)
    model = NETWORKS["celnet x2"]
    here = composed(Upscaler(model, SOURCE, TWICE, CPU, torch.float32), frames)
    upscaler = Upscaler(model, SOURCE, TWICE, cuda, torch.float16)
    plan = cast("Plan", SimpleNamespace(device=cuda))
    groups = [FrameBatch(tuple(frames[i : i + 3])) for i in range(0, len(frames), 3)]
    with enlarged(plan, upscaler, groups, Stopwatch()) as results:
        there = [frame for group in results for frame in group.frames]
    for a, b in zip(here, there, strict=True):
        for x, y in zip(a.planes, b.planes):
            assert (x.int() - y.int()).abs().max() <= 1
    for before, after in zip(there, there[1:]):
        assert (after.planes is before.planes) == after.is_held
