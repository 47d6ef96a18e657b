"""Steadiness agrees with its definitions."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from remaster.steadiness import (
    held_by_noise,
    held_in_truth,
    hold_flicker,
    steadiness,
    steadiness_without_truth,
    temporal_difference,
)

EVERYWHERE = torch.ones(1, 1, 1, 1, dtype=torch.bool)


def drawing(shift: int = 0) -> Tensor:
    """(1, 1, 96, 128): a ground of soft waves with a disc and a line, moved across by `shift`."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(128.0) - shift, indexing="ij")
    ground = 0.4 + 0.1 * torch.sin(x / 9) * torch.cos(y / 7)
    ground = torch.where((x - 60) ** 2 + (y - 40) ** 2 < 500, 0.7, ground)
    return torch.where((x - y).abs() < 2, 0.1, ground)[None, None]


def noise(sigma: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 1, 96, 128, generator=generator) * sigma / 255


def test_a_perfect_restorer_is_steady_however_the_truth_moves() -> None:
    film = [drawing(shift) for shift in (0, 0, 3, 3, 7)]
    result = steadiness(zip(film, film))
    assert result.hold_flicker == 0 and result.temporal_difference == 0
    assert result.pairs == 4 and 0.5 < result.held < 1


def test_a_constant_error_does_not_flicker() -> None:
    gt = drawing()
    sr = gt + noise(5, seed=1)
    assert hold_flicker(sr, sr, EVERYWHERE) == 0
    assert temporal_difference(sr, sr, gt, gt) == 0


@pytest.mark.parametrize("sigma", [1, 4])
def test_white_noise_flickers_by_its_deviation(sigma: float) -> None:
    gt = drawing()
    a, b = (gt + noise(sigma, seed) for seed in (1, 2))
    held = held_in_truth(gt, gt)
    expected = 2 * sigma / math.sqrt(math.pi)
    assert float(hold_flicker(a, b, held)) == pytest.approx(expected, rel=0.02)
    assert float(temporal_difference(a, b, gt, gt)) == pytest.approx(expected, rel=0.02)


def test_hold_flicker_does_not_look_where_the_truth_changes() -> None:
    before, after = drawing(0), drawing(5)
    held = held_in_truth(after, before)
    assert held.any() and not held.all()
    sr = torch.where(held, 0.5, torch.rand(1, 1, 96, 128))
    other = torch.where(held, 0.5, torch.rand(1, 1, 96, 128))
    assert hold_flicker(sr, other, held) == 0
    assert temporal_difference(sr, other, after, before) > 10


def test_a_pixel_is_held_only_when_all_its_channels_are() -> None:
    gt = torch.zeros(2, 3, 4, 4)
    other = gt.clone()
    other[1, 2, 0, 0] = 1e-3
    assert (~held_in_truth(gt, other)).nonzero().tolist() == [[1, 0, 0, 0]]


def test_temporal_difference_counts_what_should_have_moved_and_did_not() -> None:
    before, after = drawing(0), drawing(5)
    stuck = float(temporal_difference(before, before, after, before))
    assert stuck == pytest.approx(float((after - before).abs().mean() * 255))


def test_nothing_held_is_not_a_number() -> None:
    gt = drawing()
    assert hold_flicker(gt, gt, ~EVERYWHERE).isnan().all()
    assert math.isnan(steadiness([(gt, gt)]).hold_flicker)
    moving = steadiness([(gt, gt), (gt, gt + 0.1)])
    assert math.isnan(moving.hold_flicker) and moving.held == 0
    assert moving.temporal_difference == pytest.approx(25.5, abs=1e-3)


def test_a_film_is_the_mean_of_its_pairs() -> None:
    gt = [drawing(shift) for shift in (0, 2, 2)]
    sr = [each + noise(3, seed) for seed, each in enumerate(gt)]
    result = steadiness(zip(sr, gt))
    pairs = list(zip(sr[1:], sr, gt[1:], gt))
    expected = [float(temporal_difference(*pair)) for pair in pairs]
    assert result.temporal_difference == pytest.approx(sum(expected) / 2)
    counts = [int(held_in_truth(b, a).sum()) for a, b in zip(gt, gt[1:])]
    flicker = [float(hold_flicker(s, p, held_in_truth(h, q))) for s, p, h, q in pairs]
    assert result.hold_flicker == pytest.approx(
        sum(f * n for f, n in zip(flicker, counts)) / sum(counts), rel=1e-5
    )


def test_a_film_is_measured_two_frames_at_a_time() -> None:
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most = 0

    def film() -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal most
        for shift in range(8):
            picture = drawing(shift)
            alive.add(picture)
            most = max(most, len(alive))
            yield picture, picture

    assert steadiness(film()).pairs == 7
    assert most <= 3


@pytest.mark.parametrize("sigma", [0, 2, 6])
def test_noise_alone_is_judged_held(sigma: float) -> None:
    a, b = (drawing() + noise(sigma, seed) for seed in (1, 2))
    assert float(held_by_noise(a, b).float().mean()) > 0.97


@pytest.mark.parametrize("sigma", [0, 2])
def test_a_moving_disc_is_not_judged_held(sigma: float) -> None:
    before, after = drawing(0), drawing(4)
    held = held_by_noise(after + noise(sigma, 1), before + noise(sigma, 2))
    moved = (after - before).abs() * 255 > 20
    assert float(held[moved].float().mean()) < 0.05


def test_a_fade_is_not_judged_held() -> None:
    gt = drawing()
    assert not held_by_noise(gt, gt * 0.97).any()


def test_without_truth_the_source_says_what_is_held() -> None:
    gt = [drawing(shift) for shift in (0, 0, 6, 6)]
    source = [each + noise(3, seed) for seed, each in enumerate(gt)]
    enlarged = [each.repeat_interleave(2, 2).repeat_interleave(2, 3) for each in source]
    result = steadiness_without_truth(zip(enlarged, source))
    assert result.hold_flicker == pytest.approx(6 / math.sqrt(math.pi), rel=0.1)
    assert math.isnan(result.temporal_difference) and 0.6 < result.held < 1
    steady = steadiness_without_truth(zip([gt[0]] * 4, source))
    assert steady.hold_flicker == 0 and steady.held == result.held
