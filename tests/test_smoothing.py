"""Smoothing takes noise from what moves, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from remaster.frames import CELL, Frame, PixelLayout
from remaster.smoothing import REACH, smoothed
from remaster.steadiness import steadiness

YUV420 = PixelLayout("420", 8)
LAYOUTS = [
    PixelLayout(subsampling, depth)
    for subsampling in ("420", "422", "444", "rgb", "gray")
    for depth in (8, 10)
]
SIZE = (72, 104)

Planes = tuple[Tensor, ...]


def picture(shift: float, layout: PixelLayout = YUV420, size: tuple[int, int] = SIZE) -> Planes:
    """A bright square and a dark line over a ground, which walk right by `shift`; float levels."""
    planes = []
    for number, (rows, columns) in enumerate(layout.plane_shapes(*size)):
        across = size[1] / columns
        y, x = torch.meshgrid(
            torch.arange(rows) * (size[0] / rows), torch.arange(columns) * across, indexing="ij"
        )
        plane = torch.full((rows, columns), 90.0 + 20 * number)
        x = x - shift
        plane[(x >= 20) & (x < 40) & (y >= 16) & (y < 40)] = 190 - 60.0 * number
        plane[(x >= 50) & (x < 52)] = 40
        planes.append(plane)
    return tuple(planes)


def coded(planes: Planes, layout: PixelLayout = YUV420, sigma: float = 0, seed: int = 0) -> Planes:
    """Levels with grain as code values of the layout."""
    generator = torch.Generator().manual_seed(seed)
    step = 2 ** (layout.bit_depth - 8)
    noisy = (p + torch.randn(p.shape, generator=generator) * sigma for p in planes)
    return tuple((p * step).round().clamp(0, 256 * step - 1).to(layout.dtype) for p in noisy)


def film(
    shifts: list[float],
    sigma: float = 0,
    layout: PixelLayout = YUV420,
    size: tuple[int, int] = SIZE,
) -> list[Frame]:
    return [
        Frame(10 * i, coded(picture(shift, layout, size), layout, sigma, seed=i), 10)
        for i, shift in enumerate(shifts)
    ]


def same(a: Frame, b: Frame) -> bool:
    return all(torch.equal(x.float(), y.float()) for x, y in zip(a.planes, b.planes, strict=True))


def rest(planes: Planes, layout: PixelLayout, changed: Tensor, previous: Planes) -> Planes:
    """The planes with every cell that did not change taken from the frame before."""
    result = []
    for plane, old in zip(planes, previous):
        mask = changed
        for axis, side in enumerate(plane.shape):
            step = CELL * side // planes[0].shape[axis]
            mask = mask.repeat_interleave(step, axis).narrow(axis, 0, side)
        result.append(torch.where(mask, plane, old))
    return tuple(result)


def test_strength_zero_gives_the_very_frames() -> None:
    frames = film([0, 1, 2], sigma=4)
    assert all(a is b for a, b in zip(smoothed(iter(frames), 0, YUV420), frames, strict=True))


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_is_zero_to_one(strength: float) -> None:
    with pytest.raises(ValueError, match="strength"):
        next(smoothed(iter(film([0])), strength, YUV420))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_frames_in_are_frames_out_at_their_times(count: int) -> None:
    frames = [
        Frame(frame.pts**2 + 3, frame.planes, 7 + i)
        for i, frame in enumerate(film([0.0] * count, sigma=4))
    ]
    result = list(smoothed(frames, 1, YUV420))
    assert [(f.pts, f.duration) for f in result] == [(f.pts, f.duration) for f in frames]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda each: f"{each.subsampling}-{each.bit_depth}")
@pytest.mark.parametrize("size", [SIZE, (37, 51), (5, 3), (1, 1)])
def test_every_layout_keeps_its_shapes_and_its_scale(
    layout: PixelLayout, size: tuple[int, int]
) -> None:
    frames = film([0.0] * 4, sigma=4, layout=layout, size=size)
    result = list(smoothed(frames, 1, layout))
    for before, after in zip(frames, result, strict=True):
        for a, b in zip(before.planes, after.planes, strict=True):
            assert a.shape == b.shape
            assert b.dtype in (torch.float32, layout.dtype)
            assert float((a.float() - b).abs().max()) < 20 * 2 ** (layout.bit_depth - 8)
    if size == SIZE:
        clean = [p * 2 ** (layout.bit_depth - 8) for p in picture(0, layout)]
        for number, truth in enumerate(clean):
            was, becomes = (float((f[2].planes[number] - truth).std()) for f in (frames, result))
            assert becomes < 0.65 * was


def test_a_still_picture_loses_the_noise_an_average_loses() -> None:
    frames = film([0.0] * 7, sigma=4)
    truth = picture(0)[0]
    was = float((frames[3].planes[0] - truth).std())
    errors = {
        strength: float((list(smoothed(frames, strength, YUV420))[3].planes[0] - truth).std()) / was
        for strength in (0.25, 0.5, 1)
    }
    assert errors[1] == pytest.approx(5**-0.5, abs=0.07)  # two frames each side and itself
    assert errors[0.5] == pytest.approx((0.6**2 + 4 * 0.1**2) ** 0.5, abs=0.07)
    assert errors[0.25] > errors[0.5] > errors[1]


@pytest.mark.parametrize("layout", LAYOUTS[::2], ids=lambda each: each.subsampling)
@pytest.mark.parametrize("step", [0.0, 1.0, 5.0, 24.0])
@pytest.mark.parametrize("held", [1, 2])
def test_clean_motion_is_left_alone(layout: PixelLayout, step: float, held: int) -> None:
    frames = film([i // held * step for i in range(9)], layout=layout)
    for before, after in zip(frames, smoothed(frames, 1, layout), strict=True):
        assert same(before, after)


@pytest.mark.parametrize("step", [1.0, 3.0, 7.0])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_noisy_motion_leaves_no_ghost(step: float, strength: float) -> None:
    """Where only the drawing tells frames apart, the error does not become that of a ghost."""
    shifts = [i * step for i in range(7)]
    frames = film(shifts, sigma=3)
    result = list(smoothed(frames, strength, YUV420))
    for frame, after, shift in zip(frames, result, shifts):
        truth = picture(shift)[0]
        near = torch.zeros(SIZE, dtype=torch.bool)
        for other in shifts:
            near |= picture(other)[0] != truth
        was, becomes = ((f.planes[0] - truth)[near] for f in (frame, after))
        assert float(becomes.square().mean()) <= float(was.square().mean()) * 1.02
        assert float((becomes.abs() - was.abs()).max()) < 2 * 3 + 1  # two noise levels
        assert float(becomes.mean().abs()) < float(was.mean().abs()) + 0.5


def test_noisy_motion_becomes_steadier_and_nearer_to_the_truth() -> None:
    shifts = [2.0 * i for i in range(10)]
    frames = film(shifts, sigma=4)
    truth = [picture(shift)[0] for shift in shifts]

    def measured(frames: list[Frame]) -> tuple[float, float, float]:
        pairs = [
            (f.planes[0].float()[None, None] / 255, t[None, None] / 255)
            for f, t in zip(frames, truth)
        ]
        found = steadiness(pairs)
        error = sum(float((a - b).square().mean()) for a, b in pairs)
        return error, found.hold_flicker, found.temporal_difference

    off, half, full = (
        measured(list(smoothed(frames, strength, YUV420))) for strength in (0, 0.5, 1)
    )
    for a, b, c in zip(off, half, full):
        assert a > 1.2 * b > 1.2 * c


def test_nothing_crosses_a_cut() -> None:
    """Neither where two shots happen to look alike."""
    generator = torch.Generator().manual_seed(5)
    first = film([0.0] * 4, sigma=4)
    other = [torch.rand(each.shape, generator=generator) * 150 for each in picture(0)]
    for plane, own in zip(other, picture(0)):
        plane[:, : plane.shape[1] // 3] = own[:, : plane.shape[1] // 3]
    second = [Frame(40 + 10 * i, coded(tuple(other), sigma=4, seed=90 + i), 10) for i in range(4)]
    together = list(smoothed(first + second, 1, YUV420))
    apart = [*smoothed(first, 1, YUV420), *smoothed(second, 1, YUV420)]
    assert all(same(a, b) for a, b in zip(together, apart, strict=True))
    assert not same(together[4], second[0])  # each shot was smoothed


def test_a_flash_stays_one_frame_long() -> None:
    frames = film([0.0] * 5, sigma=4)
    frames[2] = Frame(20, tuple((p.float() * 0.3 + 170).round().byte() for p in frames[2].planes))
    result = list(smoothed(frames, 1, YUV420))
    assert same(result[2], frames[2])
    assert same(result[1], list(smoothed(frames[:2], 1, YUV420))[1])


@pytest.mark.parametrize("rate", [0.5, 1.0, 3.0])
def test_a_noisy_fade_keeps_its_light(rate: float) -> None:
    truth = [tuple(p - rate * i for p in picture(0)) for i in range(9)]
    frames = [Frame(i, coded(each, sigma=3, seed=i)) for i, each in enumerate(truth)]
    for frame, clean in zip(list(smoothed(frames, 1, YUV420))[2:-2], truth[2:-2]):
        assert float((frame.planes[0] - clean[0]).mean().abs()) < 0.25


def test_frames_further_away_than_the_window_do_not_count() -> None:
    frames = film([0.5 * i for i in range(9)], sigma=4)
    whole = list(smoothed(frames, 1, YUV420))
    part = list(smoothed(frames[4 - REACH : 5 + REACH], 1, YUV420))
    assert same(whole[4], part[REACH])


def test_no_more_is_read_than_the_window_needs() -> None:
    asked = 0

    def counted() -> Iterator[Frame]:
        nonlocal asked
        for frame in film([0.0] * 9, sigma=4):
            asked += 1
            yield frame

    for given, _ in enumerate(smoothed(counted(), 1, YUV420), 1):
        assert asked <= given + REACH


def test_a_held_frame_is_the_one_before_it() -> None:
    a, b, c = (frame.planes for frame in film([0.0, 0, 0], sigma=4))
    nothing = torch.zeros(9, 13, dtype=torch.bool)
    frames = [
        Frame(0, a),
        Frame(1, a, changed=nothing),
        Frame(2, b),
        Frame(3, b),  # the same object says it, too
        Frame(4, c),
    ]
    result = list(smoothed(frames, 1, YUV420))
    assert result[1].planes is result[0].planes
    assert result[3].planes is result[2].planes
    assert [f.pts for f in result] == list(range(5))
    assert result[1].changed is nothing


def test_a_long_hold_costs_nothing_and_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import remaster.smoothing as module

    calls: list[str] = []
    for name in ("_padded", "_match", "_averaged"):
        own: Callable[..., object] = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *a, own=own, name=name: calls.append(name) or own(*a)
        )
    planes = film([0.0], sigma=4)[0].planes
    nothing = torch.zeros(9, 13, dtype=torch.bool)
    frames = [Frame(0, planes), *(Frame(i, planes, changed=nothing) for i in range(1, 50))]
    result = list(smoothed(frames, 1, YUV420))
    assert calls == ["_padded", "_averaged"]
    assert all(frame.planes is planes for frame in result)


@pytest.mark.parametrize("layout", LAYOUTS[::2], ids=lambda each: each.subsampling)
@pytest.mark.parametrize("size", [SIZE, (60, 90)])
def test_cells_that_did_not_change_keep_their_samples(
    layout: PixelLayout, size: tuple[int, int]
) -> None:
    cells = (-(-size[0] // CELL), -(-size[1] // CELL))
    changed = torch.zeros(cells, dtype=torch.bool)
    changed[2:5, 3:8] = True
    changed[-1, -1] = True
    frames = film([0.0] * 3, sigma=4, layout=layout, size=size)
    for number in (3, 4, 5):
        fresh = coded(picture(0, layout, size), layout, 4, seed=number)
        planes = rest(fresh, layout, changed, frames[-1].planes)
        frames.append(Frame(10 * number, planes, 10, changed))
    result = list(smoothed(frames, 1, layout))
    for number in (3, 4, 5):
        now, before = result[number].planes, result[number - 1].planes
        held = rest(now, layout, changed, before)
        assert all(torch.equal(a.float(), b.float()) for a, b in zip(now, held))
        assert not torch.equal(now[0].float(), before[0].float())
        drawn = rest(now, layout, ~changed, frames[number].planes)
        assert not torch.equal(drawn[0].float(), now[0].float())  # what changed was smoothed


def test_a_drawing_counts_once_however_long_it_is_held() -> None:
    """On twos the neighbours are drawings; the second exposure of one has no weight of its own."""
    drawn = [frame.planes for frame in film([0.0] * 4, sigma=4)]
    nothing = torch.zeros(9, 13, dtype=torch.bool)
    on_twos = [
        Frame(i, drawn[i // 2], changed=nothing if i % 2 else None) for i in range(2 * len(drawn))
    ]
    result = list(smoothed(on_twos, 1, YUV420))
    # The drawing shown at 2 and 3 has within two frames of its first one: the drawing before it
    # (0 and 1) and the one after it (4).
    alone = list(smoothed([Frame(i, planes) for i, planes in enumerate(drawn[:3])], 1, YUV420))
    assert same(result[2], alone[1])
    assert result[3].planes is result[2].planes


def test_a_drawing_counts_once_in_every_cell() -> None:
    """The same for a part of the picture while the rest goes on ones."""
    left = torch.zeros(9, 13, dtype=torch.bool)
    left[:, :6] = True
    fresh = [frame.planes for frame in film([0.0] * 8, sigma=4)]
    frames = [Frame(0, fresh[0])]
    for number in range(1, 8):
        is_whole = number % 2 == 0
        planes = fresh[number] if is_whole else rest(fresh[number], YUV420, left, frames[-1].planes)
        frames.append(Frame(number, planes, changed=None if is_whole else left))
    now = list(smoothed(frames, 1, YUV420))[4].planes[0][:, 80:]
    three = torch.stack([frames[i].planes[0][:, 80:].float() for i in (2, 4, 6)])
    assert float((now - three.mean(0)).abs().mean()) < 0.5  # weights below 1 here and there
    assert float((now - frames[4].planes[0][:, 80:]).abs().mean()) > 1.5


def test_a_small_part_that_moves_is_not_noise() -> None:
    """A mouth: all that changed at all moved, so that nothing in it shows what noise is."""
    changed = torch.zeros(9, 13, dtype=torch.bool)
    changed[3:5, 5:8] = True
    ground = coded(picture(0), sigma=1)
    generator = torch.Generator().manual_seed(3)
    frames = [Frame(0, ground)]
    for number in range(1, 6):
        planes = [plane.clone() for plane in ground]
        level = 60 + float(torch.rand((), generator=generator)) * 40
        planes[0][26:38, 42:62] = int(level)
        planes[0][30:32, 42 + 2 * number : 50 + 2 * number] = 20
        frames.append(Frame(number, tuple(planes), changed=changed))
    for before, after in zip(frames, smoothed(frames, 1, YUV420)):
        assert all(
            float((a.float() - b).abs().max()) < 3 for a, b in zip(before.planes, after.planes)
        )


@pytest.mark.parametrize("only_some_cells", [False, True])
def test_a_faint_shadow_is_not_noise(only_some_cells: bool) -> None:
    """Fainter than the grain, but of one sign."""
    cells = torch.zeros(9, 13, dtype=torch.bool)
    cells[1::2, ::2] = True  # each alone among cells that are held
    where = cells.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)[: SIZE[0], : SIZE[1]]
    ends = ((torch.arange(SIZE[1]) + 2) % CELL < 4).expand(SIZE)  # what is held lies beside them
    corners = ends & ((torch.arange(SIZE[0]) + 2) % CELL < 4)[:, None]
    frames: list[Frame] = []
    for number in range(8):
        planes = [torch.full_like(plane, 100) for plane in picture(0)]
        planes[0][where] -= 6 if number >= 4 else 0
        grainy = coded(tuple(planes), sigma=4, seed=number)
        if only_some_cells and frames:
            grainy = rest(grainy, YUV420, cells, frames[-1].planes)
        frames.append(Frame(number, grainy, changed=cells if only_some_cells else None))
    result = list(smoothed(frames, 1, YUV420))
    for number in (2, 3, 4, 5):
        expected = 100.0 if number < 4 else 94.0
        for part in (where, where & corners if only_some_cells else where):
            assert float(result[number].planes[0][part].mean()) == pytest.approx(expected, abs=0.7)
        was = (frames[number].planes[0][where] - expected).std()
        assert float((result[number].planes[0][where] - expected).std()) < 0.95 * was


def test_no_sample_is_pulled_by_more_than_two_noise_levels() -> None:
    """Snow: specks too small to show in the mean of what is round them."""
    frames, specks = [], []
    for number in range(6):
        planes = [torch.full_like(plane, 60) for plane in picture(0)]
        generator = torch.Generator().manual_seed(number)
        speck = torch.rand(planes[0].shape, generator=generator) < 0.002
        planes[0][speck] += 20
        specks.append(speck)
        frames.append(Frame(number, coded(tuple(planes), sigma=4, seed=number)))
    for frame, after in zip(frames, smoothed(frames, 1, YUV420)):
        assert float((after.planes[0] - frame.planes[0].float()).abs().max()) < 2 * 4 + 0.5


def test_planes_averaged_before_are_read_as_they_are() -> None:
    frames = [
        Frame(f.pts, tuple(p.float() + 0.25 for p in f.planes)) for f in film([0.0] * 3, sigma=4)
    ]
    whole = [Frame(f.pts, tuple((p - 0.25).byte() for p in f.planes)) for f in frames]
    for a, b in zip(smoothed(frames, 0.5, YUV420), smoothed(whole, 0.5, YUV420)):
        assert torch.allclose(a.planes[0] - 0.25, b.planes[0].float(), atol=1e-3)


def test_frames_given_are_never_written_on() -> None:
    frames = film([0.0, 1, 2, 3], sigma=4)
    floats = [Frame(f.pts, tuple(p.float() for p in f.planes)) for f in frames]
    list(smoothed(floats, 1, YUV420))
    assert all(same(a, b) for a, b in zip(frames, floats))


@pytest.mark.cuda
def test_a_cuda_device_gives_the_same() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    frames = film([1.0 * i for i in range(6)], sigma=4)
    moved = [Frame(f.pts, tuple(p.cuda() for p in f.planes)) for f in frames]
    for a, b in zip(smoothed(frames, 1, YUV420), smoothed(moved, 1, YUV420), strict=True):
        assert b.planes[0].is_cuda
        for x, y in zip(a.planes, b.planes):
            assert torch.allclose(x.float(), y.float().cpu(), atol=2e-2)
