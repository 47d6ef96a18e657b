"""Drawings are found in noise, whatever moves is new at once, and nothing is claimed untruly."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from remaster.drawings import CELL, ReuseCount, frames_ahead, held_as_drawings, held_exactly
from remaster.frames import Frame, PixelLayout, VideoInfo
from remaster.likeness import FUSED, OLDEST
from remaster.steadiness import steadiness
from tests.drawn import (
    LAYOUTS,
    SIZE,
    YUV420,
    Planes,
    coded,
    film_info,
    in_layout,
    mixed,
    picture,
)

Search = Callable[[Iterable[Frame], VideoInfo, ReuseCount], Iterator[Frame]]
SEARCHES = [held_exactly, held_as_drawings]
FACE = picture()
OTHER = tuple(255 - plane.flip(0) for plane in FACE)
"""Another shot."""


def film(
    truth: Sequence[Planes], sigma: float = 0, layout: PixelLayout = YUV420, seed: int = 0
) -> list[Frame]:
    """Fresh noise in every frame."""
    return [
        Frame(7 * i, coded(planes, layout, sigma, 1000 * seed + i), 7)
        for i, planes in enumerate(truth)
    ]


def found(
    frames: Sequence[Frame],
    size: tuple[int, int] = SIZE,
    layout: PixelLayout = YUV420,
    search: Search = held_as_drawings,
) -> tuple[list[Frame], ReuseCount]:
    count = ReuseCount()
    return list(search(iter(frames), film_info(size, layout), count)), count


def new_cells(frames: Sequence[Frame]) -> list[int]:
    """How many in every frame but the first."""
    return [_number(frame.changed) for frame in frames[1:]]


def _number(mask: Tensor | None) -> int:
    assert mask is not None
    return int(mask.sum())


def on_plane(cells: Tensor, plane: Tensor, luma: Tensor) -> Tensor:
    """Cells on a plane's samples."""
    for axis, side in enumerate(plane.shape):
        step = CELL if side == luma.shape[axis] else CELL // 2
        cells = cells.repeat_interleave(step, axis).narrow(axis, 0, side)
    return cells


def same(a: Frame, b: Frame) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))


def same_decisions(a: Frame, b: Frame) -> bool:
    return all(
        x is y is None or (x is not None and y is not None and torch.equal(x, y))
        for x, y in ((a.changed, b.changed), (a.fused, b.fused))
    )


def error(frame: Frame, truth: Planes) -> float:
    """Mean absolute, of luma, in levels."""
    return float((frame.planes[0] - truth[0]).abs().mean())


def cell_error(frame: Frame, truth: Planes, side: int = CELL) -> float:
    """The mean error of the worst square of luma."""
    difference = frame.planes[0] - truth[0]
    return float(F.avg_pool2d(difference[None, None], side).abs().max())


def assert_true(source: Sequence[Frame], frames: Sequence[Frame], count: ReuseCount) -> None:
    """Everything that must hold of any result, whatever was decided."""
    assert [(f.pts, f.duration) for f in frames] == [(f.pts, f.duration) for f in source]
    drawings = cells = new = fused = 0
    for i, (now, own) in enumerate(zip(frames, source, strict=True)):
        luma = own.planes[0]
        shape = tuple(-(-n // CELL) for n in luma.shape)
        changed = torch.ones(shape, dtype=torch.bool) if now.changed is None else now.changed
        assert changed.shape == shape and changed.dtype == torch.bool
        assert i or bool(changed.all()), "the first frame is all new"
        for a, b in zip(now.planes, own.planes, strict=True):
            assert a.shape == b.shape and a.dtype in (torch.float32, b.dtype)
        if changed.any():
            drawings += 1
            for k, plane in enumerate(now.planes):
                if i and not changed.all():
                    held = ~on_plane(changed, plane, luma)
                    before = frames[i - 1].planes[k]
                    assert torch.equal(plane.float()[held], before.float()[held])
        else:
            assert now.planes is frames[i - 1].planes
        if now.fused is not None:
            assert not bool((now.fused & ~changed).any())
            fused += int(now.fused.sum())
        cells, new = cells + changed.numel(), new + int(changed.sum())
        assert now.is_held == (not bool(changed.any()))
    assert (count.frames, count.drawings, count.cells) == (len(source), drawings, cells)
    assert (count.new_cells, count.fused_cells) == (new, fused)
    assert fused <= new <= cells
    assert 0 <= count.largest_accepted < 256


# What holds of any film


@st.composite
def films(draw: st.DrawFn) -> tuple[VideoInfo, list[Frame]]:
    """Drawings held, flapping, panning, fading, cut, in noise, of any size."""
    subsampling = draw(st.sampled_from(["420", "422", "444", "rgb", "gray"]))
    layout = PixelLayout(subsampling, draw(st.sampled_from([8, 10, 12])))
    size = draw(st.integers(1, 70)), draw(st.integers(1, 90))
    sigma = draw(st.sampled_from([0, 0, 1, 3, 6, 40]))
    kinds = ["hold", "hold", "hold", "mouth", "pan", "cut", "fade", "repeat"]
    now, truth, right = picture(size), [], 0.0
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=8)):
        if kind == "mouth":
            now = tuple(plane.clone() for plane in now)
            top, left = (draw(st.integers(0, n - 1)) for n in size)
            now[0][top : top + 10, left : left + 6] = draw(st.sampled_from([20.0, 220.0]))
        elif kind == "pan":
            right += draw(st.sampled_from([0.1, 1, 30]))
            now = picture(size, right)
        elif kind == "cut":
            now = tuple(255 - plane for plane in now)
        elif kind == "fade":
            now = tuple(plane * 0.98 for plane in now)
        truth += [now] * draw(st.integers(1, 5))
    frames = film(truth, sigma, layout, draw(st.integers(0, 9)))
    if frames and draw(st.booleans()):
        frames += [Frame(7 * (len(frames) + i), frames[-1].planes, 7) for i in range(2)]
    return film_info(size, layout), frames


@pytest.mark.parametrize("search", SEARCHES)
@given(made=films())
@settings(max_examples=60, deadline=None)
def test_what_is_claimed_is_true_of_any_film(
    search: Search, made: tuple[VideoInfo, list[Frame]]
) -> None:
    video, source = made
    originals = [[plane.clone() for plane in frame.planes] for frame in source]
    count = ReuseCount()
    frames, copies = [], []
    for frame in search(iter(source), video, count):
        frames.append(frame)
        copies.append([plane.clone() for plane in frame.planes])
    assert_true(source, frames, count)
    for frame, planes in zip(frames + source, copies + originals, strict=True):
        assert all(map(torch.equal, frame.planes, planes)), "planes were altered later"
    again, recount = found(source, (video.height, video.width), video.layout, search)
    assert recount == count
    assert all(same(a, b) and same_decisions(a, b) for a, b in zip(frames, again, strict=True))


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("number", [0, 1, 2, 3, 30])
def test_frames_in_are_frames_out(search: Search, number: int) -> None:
    source = [
        Frame(frame.pts**2 + 3, frame.planes, 5 + i)
        for i, frame in enumerate(film([FACE] * number, 2))
    ]
    frames, count = found(source, search=search)
    assert_true(source, frames, count)


@pytest.mark.parametrize("search", SEARCHES)
def test_no_more_is_read_than_is_looked_ahead(search: Search) -> None:
    planes = [frame.planes for frame in film([FACE] * 5, 2)]
    asked = 0

    def endless() -> Iterator[Frame]:
        nonlocal asked
        for i in itertools.count():
            asked += 1
            yield Frame(i, planes[i % 5])

    video = film_info()
    ahead = sum(frames_ahead(video)) if search is held_as_drawings else 0
    for given_out, _ in enumerate(itertools.islice(search(endless(), video, ReuseCount()), 40), 1):
        assert asked <= given_out + ahead + 1


def test_a_camera_that_moves_waits_for_few_frames() -> None:
    planes = [frame.planes for frame in film([FACE, OTHER], 0)]
    asked = 0

    def endless() -> Iterator[Frame]:
        nonlocal asked
        for i in itertools.count():
            asked += 1
            yield Frame(i, planes[i % 2])

    video = film_info()
    noise_ahead, _ = frames_ahead(video)
    frames = held_as_drawings(endless(), video, ReuseCount())
    for given_out, _ in enumerate(itertools.islice(frames, 40), 1):
        assert asked <= given_out + noise_ahead + 2


@given(st.integers(16, 20_000), st.integers(16, 20_000), st.sampled_from(LAYOUTS))
def test_few_large_frames_are_read_ahead(height: int, width: int, layout: PixelLayout) -> None:
    noise, fused = frames_ahead(film_info((height, width), layout))
    assert 2 <= noise <= 12
    assert 1 <= fused < FUSED
    assert noise + fused <= 3 or (noise + fused) * height * width <= 400_000_000
    assert frames_ahead(film_info((576, 768))) == (12, FUSED - 1)


# Exactly


def test_exactly_means_every_byte() -> None:
    source = film([FACE] * 6, 3)
    planes = [source[0].planes] * 2 + [source[1].planes] * 2 + [source[0].planes] * 2
    planes = [tuple(plane.clone() for plane in each) for each in planes]
    for number, place in enumerate([(0, 0), (-1, -1), (30, 41)]):
        other = tuple(plane.clone() for plane in planes[-1])
        other[number][place] += 1
        planes += [other, tuple(plane.clone() for plane in other)]
    source = [Frame(i, each) for i, each in enumerate(planes)]
    frames, count = found(source, search=held_exactly)
    assert_true(source, frames, count)
    assert all(same(a, b) for a, b in zip(frames, source, strict=True))
    assert [frame.is_held for frame in frames] == [False, True] * 6
    assert (count.drawings, count.fused_cells, count.largest_accepted) == (6, 0, 0)


def test_a_clean_film_passes_as_it_is() -> None:
    """Without noise a mean of exposures is the exposure."""
    shapes = [picture(right=20 * i) for i in range(4)]
    source = film([shape for shape in shapes for _ in range(5)])
    frames, count = found(source)
    assert_true(source, frames, count)
    for a, b in zip(frames, source, strict=True):
        assert all(torch.equal(x.float(), y.float()) for x, y in zip(a.planes, b.planes))
    assert count.drawings == 4


# Held


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda each: f"{each.subsampling}-{each.bit_depth}")
def test_a_held_picture_is_one_drawing_in_every_layout(layout: PixelLayout) -> None:
    size = (75, 101)
    source = film([picture(size)] * 16, 2, layout)
    frames, count = found(source, size, layout)
    assert_true(source, frames, count)
    assert count.drawings == 1
    for number, clean in enumerate(in_layout(picture(size), layout)):
        raw, shown = (float((f.planes[number] - clean).std()) for f in (source[0], frames[0]))
        assert shown < 0.4 * raw


@pytest.mark.parametrize("sigma", [1, 2, 3, 4])
@pytest.mark.parametrize("chroma", [0, 0.5])
def test_noise_is_no_reason_to_draw_anew(sigma: float, chroma: float) -> None:
    source = [Frame(i, coded(FACE, YUV420, sigma, i, chroma)) for i in range(40)]
    frames, count = found(source)
    assert_true(source, frames, count)
    assert sum(new_cells(frames)) < 0.005 * (count.cells - len(FACE[0]) // CELL * SIZE[1] // CELL)
    best = min(error(frame, FACE) for frame in source)
    assert max(error(frame, FACE) for frame in frames) < 0.5 * best
    truth = FACE[0][None, None] / 255
    before, after = (
        steadiness([(frame.planes[0].float()[None, None] / 255, truth) for frame in each])
        for each in (source, frames)
    )
    assert after.hold_flicker < 0.02 * before.hold_flicker
    assert after.temporal_difference < 0.02 * before.temporal_difference


def test_a_drawing_is_the_mean_of_its_first_exposures() -> None:
    source = film([FACE] * (FUSED + 8) + [OTHER] * 5, 2)
    frames, _ = found(source)
    for start, shown in ((0, FUSED), (FUSED + 8, 5)):
        for number, plane in enumerate(frames[start].planes):
            exposures = [frame.planes[number].float() for frame in source[start : start + shown]]
            assert torch.allclose(plane.float(), torch.stack(exposures).mean(0), atol=1e-3)
        assert all(frame.planes is frames[start].planes for frame in frames[start + 1 : start + 5])


def test_a_square_is_the_mean_of_the_frames_that_show_it() -> None:
    """What a mouth covers from the sixth frame on is a mean of five, the rest one of all."""
    opened = with_spot(FACE, 40, 120, 16, 16, 60)
    source = film([FACE] * 5 + [opened] * 4, 1)
    frames, _ = found(source)
    mouth, corner = (slice(42, 54), slice(122, 134)), (slice(0, 16), slice(0, 16))
    for frame, place, shown in (
        (frames[0], mouth, source[:5]),
        (frames[5], mouth, source[5:]),
        (frames[0], corner, source),
        (frames[8], corner, source),
    ):
        mean = torch.stack([each.planes[0][place].float() for each in shown]).mean(0)
        assert torch.allclose(frame.planes[0][place].float(), mean, atol=1e-3)


def test_a_square_held_longer_than_the_oldest_is_taken_anew() -> None:
    size = (16, 24)
    source = film([picture(size)] * (2 * OLDEST + 10), 1)
    frames, count = found(source, size)
    assert_true(source, frames, count)
    for cell in itertools.product(range(2), range(3)):
        taken = [i for i, frame in enumerate(frames) if frame.changed[cell]]
        assert max(b - a for a, b in itertools.pairwise([*taken, len(frames)])) <= OLDEST
    assert count.drawings <= 5


# What is new is new at once


def with_spot(
    planes: Planes, top: int, left: int, rows: int, columns: int, contrast: float, plane: int = 0
) -> Planes:
    """A part that differs from what it covers, towards the middle of the range."""
    result = tuple(each.clone() for each in planes)
    part = result[plane][top : top + rows, left : left + columns]
    part += contrast if float(part.mean()) < 128 else -contrast
    part.clamp_(0, 255)
    return result


def assert_only_near(changed: Tensor | None, box: tuple[int, int, int, int], reach: int) -> None:
    assert changed is not None
    top, left, rows, columns = box
    for row, column in changed.nonzero().tolist():
        assert top // CELL - reach <= row <= (top + rows - 1) // CELL + reach
        assert left // CELL - reach <= column <= (left + columns - 1) // CELL + reach


@given(
    sigma=st.sampled_from([0, 1, 2, 3]),
    top=st.integers(0, SIZE[0] - 6),
    left=st.integers(0, SIZE[1] - 10),
    contrast=st.integers(25, 90),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_a_mouth_opens_in_its_very_frame(
    sigma: float, top: int, left: int, contrast: int, seed: int
) -> None:
    """And closes: nothing else is drawn anew, nothing of the other drawing stays."""
    opened = with_spot(FACE, top, left, 6, 10, contrast)
    truth = [FACE] * 12 + [opened] * 3 + [FACE] * 8
    source = film(truth, sigma, seed=seed)
    frames, count = found(source)
    assert_true(source, frames, count)
    for i in (12, 15):
        assert frames[i].changed.any()
        assert_only_near(frames[i].changed, (top, left, 6, 10), 3 if sigma > 2 else 2)
    assert sum(map(bool, new_cells(frames))) <= 2 + (sigma > 2)
    box = slice(top, top + 6), slice(left, left + 10)
    for frame, raw, clean in zip(frames, source, truth):
        wrong, own = ((f.planes[0] - clean[0])[box].abs() for f in (frame, raw))
        assert float(wrong.mean()) <= float(own.mean()) + 1  # at most a pixel or two of an edge
        spots = F.avg_pool2d((frame.planes[0] - clean[0])[None, None], 4, 1).abs()
        assert float(spots.max()) < 2.5 + 1.5 * sigma


@pytest.mark.parametrize("sigma", [0, 2])
@pytest.mark.parametrize("on", [1, 2, 3])
@pytest.mark.parametrize(("down", "right"), [(1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("length", [1, 4, 90])
def test_a_thin_stroke_that_moves_by_a_sample_stays_sharp(
    length: int, down: int, right: int, on: int, sigma: float
) -> None:
    """Its mean over four samples often stays; two exposures averaged would be a grey smear."""
    if sigma and length == 1:
        return  # a single sample in grain is grain
    truth, places = [], []
    for i in range(24):
        step = i // on
        top, left = 20 + step * down, 20 + step * right
        planes = tuple(torch.full_like(plane, 128) for plane in FACE)
        part = (
            (slice(top, top + length), left)
            if right and not down
            else (top, slice(left, left + length))
        )
        planes[0][part] = 20
        truth.append(planes)
        places.append(part)
    frames, _ = found(film(truth, sigma))
    for frame, part in zip(frames, places):
        assert float(frame.planes[0][part].mean()) < 20 + 6 * (1 + sigma)


def test_a_picture_is_continued_where_the_next_new_one_keeps_part_of_it() -> None:
    opened = with_spot(FACE, 30, 40, 6, 10, 60)
    frames, _ = found(film([FACE] * 3 + [opened] * 2 + [OTHER] * 2 + [FACE] + [OTHER] * 60))
    at = {i: frame.is_continued for i, frame in enumerate(frames) if not frame.is_held}
    # The last is held for as long as can be seen: something may change yet.
    assert at == {0: True, 3: False, 5: False, 7: False, 8: True}


@pytest.mark.parametrize("sigma", [0, 1, 2, 4])
def test_a_mouth_in_grain_is_never_missed(sigma: float) -> None:
    opened = with_spot(FACE, 76, 67, 6, 10, 25)
    flaps = [FACE, FACE, opened, opened] * 12
    truth = [FACE] * 4 + flaps
    frames, _ = found(film(truth, sigma))
    for i, (frame, clean) in enumerate(zip(frames, truth)):
        if i > 4 and i % 2 == 0:
            assert frame.changed is not None and frame.changed[9:11, 8:10].any()
        assert abs(float((frame.planes[0] - clean[0])[76:82, 67:77].mean())) < 0.5 + sigma
    at_rest = new_cells(frames)[::2]
    assert sum(at_rest) <= 0.005 * len(at_rest) * 320


@pytest.mark.parametrize("sigma", [0, 1, 3])
def test_a_blink_of_two_frames_comes_and_goes(sigma: float) -> None:
    eyes = tuple(plane.clone() for plane in FACE)
    for left in (54, 78):
        eyes[0][43:61, left : left + 12] = 200
        eyes[0][52:54, left : left + 12] = 40
    truth = [FACE] * 10 + [eyes] * 2 + [FACE] * 10
    frames, _ = found(film(truth, sigma))
    assert [i for i, n in enumerate(new_cells(frames), 1) if n] == [10, 12]
    for frame, clean in zip(frames, truth):
        assert cell_error(frame, clean, 4) < 0.5 + 2 * sigma


@pytest.mark.parametrize("sigma", [0, 1, 2, 4])
def test_a_petal_falls_on_ones(sigma: float) -> None:
    """Three pixels, contrast 80: where it is in every frame, and nowhere that it was."""
    truth, places = [], []
    for i in range(30):
        top, left = 5 + 3 * i, 110 + i
        places.append((slice(top, top + 3), slice(left, left + 3)))
        truth.append(with_spot(FACE, top, left, 3, 3, 80))
    source = film(truth, sigma)
    frames, count = found(source)
    assert_true(source, frames, count)
    for i, (frame, clean) in enumerate(zip(frames, truth)):
        for place in places[: i + 1]:
            assert abs(float((frame.planes[0] - clean[0])[place].mean())) < 8 + 2 * sigma
    assert count.new_cells < 0.25 * count.cells


@pytest.mark.parametrize("sigma", [0, 2])
@pytest.mark.parametrize("step", [0.5, 1, 2])
def test_credits_scroll_over_a_held_picture(sigma: float, step: float) -> None:
    generator = torch.Generator().manual_seed(4)
    glyphs = torch.rand(40, 12, generator=generator).round()
    text = glyphs.repeat_interleave(4, 0).repeat_interleave(4, 1)  # strokes of 4 px
    text[::16] = text[1::16] = text[2::16] = text[3::16] = 0
    truth = []
    for i in range(30):
        moved = F.grid_sample(
            text[None, None],
            torch.stack(
                torch.meshgrid(
                    (torch.arange(128) + step * i + 0.5) / 80 - 1,
                    (torch.arange(48) + 0.5) / 24 - 1,
                    indexing="ij",
                )[::-1],
                -1,
            )[None],
            align_corners=False,
        )[0, 0]
        planes = tuple(plane.clone() for plane in FACE)
        planes[0][:, 100:148] = planes[0][:, 100:148] * (1 - moved) + 235 * moved
        truth.append(planes)
    source = film(truth, sigma)
    frames, count = found(source)
    assert_true(source, frames, count)
    for frame, raw, clean in zip(frames, source, truth):
        assert error(frame, clean) < error(raw, clean) + 0.05
        assert cell_error(frame, clean) < 1 + sigma
    assert count.new_cells < 0.75 * count.cells


@pytest.mark.parametrize("plane", [1, 2])
@pytest.mark.parametrize("layout", [YUV420, PixelLayout("444", 10), PixelLayout("rgb", 8)])
def test_a_change_of_color_alone_is_seen(plane: int, layout: PixelLayout) -> None:
    blushing = with_spot(FACE, 70, 50, 12, 16, 20, plane)
    truth = [FACE] * 12 + [blushing] * 6
    source = film(truth, 1, layout)
    frames, count = found(source, layout=layout)
    assert_true(source, frames, count)
    assert [i for i, n in enumerate(new_cells(frames), 1) if n] == [12]
    assert_only_near(frames[12].changed, (70, 50, 12, 16), 2)
    clean = in_layout(blushing, layout)[plane]
    assert float((frames[-1].planes[plane] - clean).abs().max()) < 4 * 2 ** (layout.bit_depth - 8)


@pytest.mark.parametrize("depth", [9, 10, 12])
def test_depth_changes_no_decision(depth: int) -> None:
    """The same picture in finer steps is judged the same, and means the same."""
    opened = with_spot(FACE, 70, 64, 6, 10, 40)
    truth = [FACE] * 5 + [opened] * 2 + [picture(right=0.1 * i) for i in range(9)] + [OTHER] * 3
    source = film(truth, 2)
    step = 2 ** (depth - 8)
    deep = [replace(f, planes=tuple(p.to(torch.int16) * step for p in f.planes)) for f in source]
    frames, count = found(source)
    others, recount = found(deep, layout=PixelLayout("420", depth))
    assert count == recount
    for a, b in zip(frames, others, strict=True):
        assert same_decisions(a, b)
        assert all(torch.equal(x.float() * step, y.float()) for x, y in zip(a.planes, b.planes))


# What drifts is followed


def faded(share: float, planes: Planes = FACE) -> Planes:
    """Towards black."""
    return mixed(planes, (torch.full(SIZE, 16.0), *[torch.full(SIZE, 128.0)] * 2), share)


MOVES: dict[str, Callable[[int], Planes]] = {
    "pan 0.05": lambda i: picture(right=0.05 * i),
    "pan 0.1": lambda i: picture(right=-0.1 * i),
    "pan 0.2": lambda i: picture(down=0.2 * i),
    "pan 0.5": lambda i: picture(right=0.4 * i, down=-0.3 * i),
    "zoom": lambda i: picture(zoom=1.001**i),
    "zoom out": lambda i: picture(zoom=0.999**i),
}
FADES: dict[str, Callable[[int], Planes]] = {
    "fade 0.1": lambda i: faded(0.1 * i / 184),
    "fade 0.3": lambda i: faded(0.3 * i / 184),
    "fade 1": lambda i: faded(1 * i / 184),
    "fade 2": lambda i: faded(min(2 * i / 184, 1)),
    "fade 4": lambda i: faded(min(4 * i / 184, 1)),
    "fade in 1": lambda i: faded(1 - i / 184),
}
TILE = 32


@pytest.mark.parametrize("sigma", [0, 2, 4])
@pytest.mark.parametrize("name", MOVES)
def test_a_slow_move_is_followed(name: str, sigma: float) -> None:
    """Nothing stands still while the picture moves, at any age."""
    truth = [MOVES[name](i) for i in range(64)]
    source = film(truth, sigma)
    frames, count = found(source)
    assert_true(source, frames, count)
    for frame, raw, clean in zip(frames, source, truth):
        assert error(frame, clean) < error(raw, clean) + 0.1
        assert cell_error(frame, clean) < max(0.6, cell_error(raw, clean) + 0.3)


@pytest.mark.parametrize("sigma", [0, 2, 4])
@pytest.mark.parametrize("name", FADES)
def test_a_fade_is_followed(name: str, sigma: float) -> None:
    truth = [FADES[name](i) for i in range(64)]
    source = film(truth, sigma)
    frames, count = found(source)
    assert_true(source, frames, count)
    for frame, raw, clean in zip(frames, source, truth):
        assert error(frame, clean) < max(0.75, error(raw, clean) + 0.1)
        assert cell_error(frame, clean) < max(2, cell_error(raw, clean) + 0.3)


def _middle(right: float) -> Tensor:
    """Of the face: eyes and an outline."""
    return picture(right=right)[0][30:80, 40:90]


@pytest.mark.parametrize("sigma", [0, 1, 4])
@pytest.mark.parametrize("step", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("side", [24, 40])
def test_a_part_that_moves_slowly_is_followed(side: int, step: float, sigma: float) -> None:
    """Over what is held; at worst a fraction of a level is left over a tile."""
    truth = []
    for i in range(64):
        planes = tuple(plane.clone() for plane in FACE)
        planes[0][32 : 32 + side, 112 : 112 + side] = _middle(step * i)[:side, :side]
        truth.append(planes)
    source = film(truth, sigma)
    frames, count = found(source)
    assert_true(source, frames, count)
    for frame, raw, clean in zip(frames, source, truth):
        assert error(frame, clean) < error(raw, clean) + 0.08
        assert cell_error(frame, clean) < 2.5 + sigma
        assert cell_error(frame, clean, TILE) < 0.5 + 0.3 * sigma
    assert count.new_cells < 0.3 * count.cells


@pytest.mark.parametrize("sigma", [0, 2])
def test_half_a_picture_moves_while_the_other_half_is_held(sigma: float) -> None:
    truth = []
    for i in range(32):
        planes = tuple(plane.clone() for plane in FACE)
        for plane, moved in zip(planes, picture(right=0.1 * i), strict=True):
            plane[:, :80] = moved[:, :80]
        truth.append(planes)
    frames, count = found(film(truth, sigma))
    for frame, raw, clean in zip(frames, film(truth, sigma), truth):
        assert error(frame, clean) < error(raw, clean) + 0.05
        assert cell_error(frame, clean) < max(1, cell_error(raw, clean) + 0.5)
    assert sigma or count.new_cells < 0.75 * count.cells


@pytest.mark.parametrize("plane", [1, 2])
def test_a_fade_of_color_in_a_part_is_followed(plane: int) -> None:
    """As a blush: luma is what it was."""
    truth = []
    for i in range(64):
        planes = tuple(each.clone() for each in FACE)
        planes[plane][64:104, 112:152] += 0.3 * i
        truth.append(planes)
    source = film(truth)
    frames, count = found(source)
    assert_true(source, frames, count)
    for frame, clean in zip(frames, truth):
        wrong = frame.planes[plane] - in_layout(clean, YUV420)[plane]
        assert float(wrong.abs().max()) < 3.5
        assert float(wrong.mean().abs()) < 0.25


def test_dots_that_crawl_cancel() -> None:
    """As composite video has them: along an edge, the other way round in every frame."""
    dots = torch.tensor([[8.0, -8.0], [-8.0, 8.0]]).repeat(64, 80)
    dots[:, :100] = dots[:, 108:] = 0
    rainbow = dots.roll(20, 1)
    truth = [(FACE[0] + dots * sign, FACE[1] + rainbow * sign, FACE[2]) for sign in (1, -1) * 10]
    frames, count = found(film(truth, 1, PixelLayout("444", 8)), layout=PixelLayout("444", 8))
    assert count.drawings == 1
    for shown, raw, clean in zip(frames[0].planes[:2], truth[0], FACE):
        assert float((shown - clean).abs().mean()) < 0.4
        assert float((shown - clean).abs().max()) < 2 < float((raw - clean).abs().max())


@pytest.mark.parametrize("sigma", [0, 2])
@pytest.mark.parametrize("length", [12, 60])
def test_a_cross_fade_leaves_no_stuck_tile(length: int, sigma: float) -> None:
    truth = [mixed(FACE, OTHER, min(i / length, 1)) for i in range(length + 24)]
    source = film(truth, sigma)
    frames, count = found(source)
    assert_true(source, frames, count)
    for frame, raw, clean in zip(frames, source, truth):
        here, off = (
            F.avg_pool2d((f.planes[0] - clean[0]).abs()[None, None], TILE) for f in (frame, raw)
        )
        assert float((here - off).max()) < 3
    assert error(frames[-1], OTHER) < max(error(source[-1], OTHER), 0.5)
    assert cell_error(frames[-1], OTHER) < 4


# Cuts


@pytest.mark.parametrize("sigma", [0, 2, 4])
@pytest.mark.parametrize("at", [1, 2, 13, 20])
def test_a_shot_is_the_same_wherever_the_run_began(at: int, sigma: float) -> None:
    opened = with_spot(OTHER, 70, 64, 6, 10, 40)
    shot = [OTHER] * 6 + [opened] * 3 + [OTHER] * 5 + [picture(right=0.1 * i) for i in range(5)]
    earlier = film([FACE] * at, 4 - sigma, seed=1)  # other noise than what follows
    source = earlier + [replace(f, pts=f.pts + 7 * at) for f in film(shot, sigma)]
    frames, _ = found(source)
    alone, count = found(source[at:])
    assert_true(source[at:], alone, count)
    for a, b in zip(frames[at:], alone, strict=True):
        assert same(a, b) and same_decisions(a, b)
    ended, _ = found(source[:at])
    for a, b in zip(frames[:at], ended, strict=True):
        assert same(a, b) and same_decisions(a, b)


@pytest.mark.parametrize("sigma", [0, 2])
def test_a_flash_lasts_one_frame(sigma: float) -> None:
    white = tuple(p * 0.15 + c for p, c in zip(FACE, (215, 109, 109)))
    truth = [FACE] * 10 + [white] + [FACE] * 10
    source = film(truth, sigma)
    frames, count = found(source)
    assert_true(source, frames, count)
    assert all(torch.equal(a.float(), b) for a, b in zip(source[10].planes, frames[10].planes))
    assert [i for i, n in enumerate(new_cells(frames), 1) if n] == [10, 11]
    means = torch.stack([frame.planes[0].float() for frame in source[11:21]]).mean(0)
    assert torch.allclose(frames[11].planes[0].float(), means, atol=1e-3)


@pytest.mark.parametrize("sigma", [0, 2])
def test_nothing_of_the_old_shot_is_left(sigma: float) -> None:
    """Neither where both are much alike: flat grounds three levels apart."""
    generator = torch.Generator().manual_seed(1)
    grounds = []
    for level in (120, 123):
        ground = torch.full(SIZE, float(level))
        boxes = torch.rand(16, 20, generator=generator) < 0.4
        drawn = torch.rand(16, 20, generator=generator) * 180 + 30
        fine = [x.repeat_interleave(8, 0).repeat_interleave(8, 1) for x in (boxes, drawn)]
        grounds.append((torch.where(fine[0] > 0, fine[1], ground), FACE[1], FACE[2]))
    truth = [grounds[0]] * 8 + [grounds[1]] * 8
    source = film(truth, sigma)
    frames, count = found(source)
    assert_true(source, frames, count)
    assert not frames[8].is_held
    for frame, raw, clean in zip(frames[8:], source[8:], truth[8:]):
        assert error(frame, clean) <= error(raw, clean)
        assert cell_error(frame, clean) < 0.6 + 0.5 * sigma
