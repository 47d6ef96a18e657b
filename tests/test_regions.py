"""Any cover of the frame by regions gives the pixels of the whole-frame run."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from remaster.frames import CELL
from remaster.models import CelNet
from remaster.regions import (
    MOST_RECTANGLES,
    WHOLE,
    Price,
    Region,
    cover,
    pad,
    padded_size,
    runs,
    strips,
)
from tests.networks import celnet

MODELS = {unshuffle: celnet(2, unshuffle=unshuffle) for unshuffle in (1, 2)}


def pieces(draw: st.DrawFn, region: Region, grid: int, depth: int) -> list[Region]:
    """Cut a region in two on the grid, at random, again and again."""
    long_enough = [n for n in (region.height, region.width) if n > grid]
    if depth == 0 or not long_enough or draw(st.integers(0, 3)) == 0:
        return [region]
    down = region.height > grid and (region.width <= grid or draw(st.booleans()))
    length = region.height if down else region.width
    cut = draw(st.integers(1, (length - 1) // grid)) * grid
    if down:
        middle = region.top + cut
        halves = [
            Region(region.top, region.left, middle, region.right),
            Region(middle, region.left, region.bottom, region.right),
        ]
    else:
        middle = region.left + cut
        halves = [
            Region(region.top, region.left, region.bottom, middle),
            Region(region.top, middle, region.bottom, region.right),
        ]
    return [part for half in halves for part in pieces(draw, half, grid, depth - 1)]


@st.composite
def covers(draw: st.DrawFn) -> tuple[int, int, list[Region]]:
    height, width = draw(st.integers(16, 61)), draw(st.integers(16, 75))
    return height, width, pieces(draw, Region(0, 0, height, width), 2, 4)


def enlarge(model: CelNet, picture: torch.Tensor, regions: list[Region]) -> list[torch.Tensor]:
    """Luma and 4:2:0 chroma of the regions, put together."""
    height, width = picture.shape[-2:]
    scale = model.scale
    padded, frame = pad(picture, model.padding, model.grid)
    luma = torch.full((1, 1, height * scale, width * scale), torch.nan)
    chroma = torch.full((1, 2, -(-height * scale // 2), -(-width * scale // 2)), torch.nan)
    for region in regions:
        inner = region.moved(frame.top, frame.left)
        outer = inner.grown(model.receptive_radius, model.grid, *padded.shape[-2:])
        inside = inner.moved(-outer.top, -outer.left)
        y, c = model(outer.cut(padded), "420")
        region.cut(luma, scale).copy_(inside.cut(y, scale))
        region.cut(chroma, scale / 2).copy_(inside.cut(c, scale / 2))
    return [luma, chroma]


@pytest.mark.parametrize("unshuffle", [1, 2])
@given(case=covers())
@settings(max_examples=25, deadline=None)
def test_any_cover_gives_the_whole_frame(
    unshuffle: int, case: tuple[int, int, list[Region]]
) -> None:
    height, width, regions = case
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height))
    model = MODELS[unshuffle]
    whole = enlarge(model, picture, [Region(0, 0, height, width)])
    for a, b in zip(enlarge(model, picture, regions), whole):
        assert (a - b).abs().max() <= 1e-5  # also: every pixel was written


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_the_receptive_radius_is_the_networks(unshuffle: int) -> None:
    model = MODELS[unshuffle]
    radius = model.receptive_radius
    x = torch.rand(1, 3, 64, 64).requires_grad_()
    y, c = model(x, "420")
    for plane, scale in ((y, 2), (c, 1)):
        x.grad = None
        plane[..., 32 * scale, 32 * scale].sum().backward(retain_graph=True)
        assert x.grad is not None
        used = x.grad.abs().sum((0, 1)).nonzero()
        reach = int((used - 32).abs().max())
        assert reach <= radius
        assert reach >= radius - unshuffle - 1  # and it is not merely a generous guess


@given(
    height=st.integers(1, 70), width=st.integers(1, 70), padding=st.sampled_from([0, 2, 4]),
    grid=st.sampled_from([1, 2, 4]),
)  # fmt: skip
def test_padding_surrounds_the_frame(height: int, width: int, padding: int, grid: int) -> None:
    x = torch.arange(float(height * width)).view(1, 1, height, width)
    padded, frame = pad(x, padding, grid)
    assert tuple(padded.shape[-2:]) == padded_size(height, width, padding, grid)
    assert torch.equal(frame.cut(padded), x)
    assert padded[..., 0, 0] == x[..., 0, 0]
    assert padded[..., -1, -1] == x[..., -1, -1]


@given(height=st.integers(1, 500), rows=st.integers(1, 200), grid=st.sampled_from([1, 2, 4]))
def test_strips_cover_every_row_once(height: int, rows: int, grid: int) -> None:
    parts = list(strips(height, 10, rows, grid))
    assert [p.top for p in parts[1:]] == [p.bottom for p in parts[:-1]]
    assert (parts[0].top, parts[-1].bottom) == (0, height)
    assert all(p.top % grid == 0 for p in parts)
    assert all(p.height <= max(rows, grid) for p in parts)


@st.composite
def changes(draw: st.DrawFn) -> tuple[int, int, torch.Tensor]:
    height, width = draw(st.integers(16, 200)), draw(st.integers(16, 260))
    shape = (-(-height // CELL), -(-width // CELL))
    share = draw(st.sampled_from([0.0, 0.005, 0.02, 0.1, 0.4]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    return height, width, torch.rand(shape, generator=generator) < share


@given(
    case=changes(),
    radius=st.sampled_from([0, 3, 8, 12, 16]),
    grid=st.sampled_from([2, 4]),
    price=st.sampled_from([Price(5.5, 500), Price(0.0, 0.0), Price(12.0, 5000)]),
)
@settings(max_examples=150, deadline=None)
def test_regions_hold_all_that_a_change_may_alter(
    case: tuple[int, int, torch.Tensor], radius: int, grid: int, price: Price
) -> None:
    height, width, changed = case
    regions = cover(changed, radius, height, width, grid, price)
    covered = torch.zeros(height, width, dtype=torch.bool)
    for region in regions:
        region.cut(covered).fill_(True)
        assert region.top % grid == region.left % grid == 0
        assert region.bottom % grid == 0 or region.bottom == height
        assert region.right % grid == 0 or region.right == width
        assert region.bottom <= height
        assert region.right <= width
    samples = changed.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)[:height, :width]
    for y, x in samples.nonzero().tolist()[:: max(int(samples.sum()) // 20, 1)]:
        reached = covered[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
        assert reached.all()
    assert bool(regions) == bool(changed.any())
    if regions != [Region(0, 0, height, width)]:
        edges = np.array([[r.top, r.left, r.bottom, r.right] for r in regions]).reshape(-1, 4)
        spent = price.of(edges, height, width).sum()
        assert spent < WHOLE * (height * width + price.fixed)


def test_neighbours_become_one_region_and_strangers_do_not() -> None:
    changed = torch.zeros(54, 72, dtype=torch.bool)
    changed[10, 10] = changed[11, 12] = changed[40, 60] = True
    regions = cover(changed, 8, 432, 576, 2, Price(5.5, 1500))
    assert sorted(regions, key=lambda r: r.top) == [
        Region(72, 72, 104, 112),
        Region(312, 472, 336, 496),
    ]


def test_a_change_nearly_everywhere_is_the_whole_frame() -> None:
    changed = torch.ones(54, 72, dtype=torch.bool)
    changed[:3, :] = False
    assert cover(changed, 8, 432, 576, 2, Price(5.5, 1500)) == [Region(0, 0, 432, 576)]


def test_hundreds_of_petals_take_no_long_thought() -> None:
    generator = torch.Generator().manual_seed(0)
    changed = torch.rand(135, 240, generator=generator) < 0.02
    began = time.perf_counter()
    regions = cover(changed, 0, 1080, 1920, 2, Price(5.5, 10))
    assert time.perf_counter() - began < 1  # it takes milliseconds; without a bound, seconds
    assert 1 <= len(regions) <= MOST_RECTANGLES


@given(changes())
def test_runs_are_disjoint_and_all(case: tuple[int, int, torch.Tensor]) -> None:
    changed = case[2]
    count = np.zeros(changed.shape, dtype=int)
    for top, left, bottom, right in runs(changed.numpy()):
        count[top:bottom, left:right] += 1
    assert (count == changed.numpy()).all()
