"""The measures agree with their definitions, and with scikit-image."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.filters import sobel
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from remaster.metrics import (
    EDGE,
    edge_psnr,
    gradient_ratio,
    line_f_score,
    line_map,
    luma,
    overshoot,
    psnr,
    ssim,
    ssim_uniform,
)
from remaster.resampling import resize
from remaster.train.degrade import blur


def soft(seed: int, channels: int = 3) -> tuple[Tensor, Tensor]:
    """(1, C, 40, 56) with flat parts, and the same with noise: each in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(1, channels, 5, 7, generator=generator)
    gt = resize(small, (40, 56), "triangle").clamp(0.2, 0.7)
    noise = torch.randn(gt.shape, generator=generator)
    return (gt + 0.05 * noise).clamp(0, 1), gt


def lines() -> Tensor:
    """(1, 1, 64, 64): dark strokes in three directions over two flat halves."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    picture = torch.where(x < 32, 0.8, 0.55)
    for distance in ((x - y + 8).abs(), (x - 50).abs(), (y - 12).abs(), (x + y - 70).abs()):
        picture = torch.where(distance < 1.1, 0.15, picture)
    return picture[None, None]


def as_image(x: Tensor) -> np.ndarray:
    return x[0].permute(1, 2, 0).double().numpy()


def test_psnr_of_a_known_error() -> None:
    gt = torch.rand(2, 3, 32, 32)
    assert psnr(gt + 0.1, gt).tolist() == pytest.approx([20.0, 20.0], abs=1e-3)


def test_the_border_is_left_out() -> None:
    gt = lines()
    sr = gt.clone()
    sr[..., 0, :] = 5
    assert psnr(sr, gt, border=2) == pytest.approx(120)
    assert psnr(sr, gt) < 30
    for measure in (edge_psnr, line_f_score, gradient_ratio, overshoot):
        assert measure(sr, gt, border=8) == measure(gt, gt, border=8)
        assert measure(sr, gt) != measure(gt, gt)


def test_luma_spans_sixteen_to_two_hundred_thirty_five() -> None:
    greys = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    assert (luma(greys).flatten() * 255).tolist() == pytest.approx([16, 235], abs=1e-3)


@given(seed=st.integers(0, 2**31))
def test_psnr_is_that_of_scikit_image(seed: int) -> None:
    sr, gt = soft(seed)
    expected = peak_signal_noise_ratio(as_image(gt), as_image(sr), data_range=1)
    assert float(psnr(sr, gt)) == pytest.approx(expected, abs=1e-4)


@given(seed=st.integers(0, 2**31))
def test_ssim_is_that_of_scikit_image(seed: int) -> None:
    """Its Gaussian ends at 3.5 sigma: 11 taps, as the paper's; it leaves out 5 pixels."""
    sr, gt = soft(seed, channels=1)
    expected = structural_similarity(
        gt[0, 0].double().numpy(), sr[0, 0].double().numpy(), data_range=1, gaussian_weights=True,
        sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert float(ssim(sr, gt)) == pytest.approx(expected, abs=1e-5)


@given(seed=st.integers(0, 2**31))
def test_ssim_of_equal_weights_is_that_of_scikit_image(seed: int) -> None:
    sr, gt = soft(seed)
    found = float(ssim_uniform(sr, gt))
    expected = structural_similarity(as_image(gt), as_image(sr), data_range=1, channel_axis=2)
    assert found == pytest.approx(expected, abs=1e-9)


def test_ssim_of_equal_weights_is_about_levels_as_it_is_about_shares() -> None:
    levels = [(x * 255).round() for x in soft(0)]
    images = [as_image(x).astype(np.uint8) for x in levels]
    expected = structural_similarity(*images, channel_axis=2)
    assert float(ssim_uniform(levels[0] / 255, levels[1] / 255)) == pytest.approx(
        expected, abs=1e-6
    )


def test_ssim_is_one_at_equality_and_falls_with_noise() -> None:
    gt = torch.rand(1, 1, 48, 48)
    for measure in (ssim, ssim_uniform):
        noisy = [float(measure(gt + s * torch.randn_like(gt), gt)) for s in (0.0, 0.05, 0.2)]
        assert noisy[0] == pytest.approx(1, abs=1e-5)
        assert noisy[0] > noisy[1] > noisy[2]


def test_ssim_of_a_constant_shift_by_hand() -> None:
    a, b = torch.full((1, 1, 16, 16), 0.5), torch.full((1, 1, 16, 16), 0.6)
    c1 = 0.01**2
    expected = (2 * 0.5 * 0.6 + c1) / (0.5**2 + 0.6**2 + c1)
    for measure in (ssim, ssim_uniform):
        assert float(measure(a, b)) == pytest.approx(expected, abs=1e-4)


BEST: dict[Callable[[Tensor, Tensor], Tensor], float] = {
    edge_psnr: 120,
    line_f_score: 1,
    gradient_ratio: 1,
    overshoot: 0,
}


@pytest.mark.parametrize("measure", BEST, ids=lambda m: m.__name__)
@pytest.mark.parametrize("gt", [lines(), soft(1, channels=1)[1], soft(2, channels=1)[0]])
def test_nothing_is_better_than_the_truth(
    measure: Callable[[Tensor, Tensor], Tensor], gt: Tensor
) -> None:
    assert float(measure(gt, gt)) == pytest.approx(BEST[measure])


@given(seed=st.integers(0, 2**31))
def test_every_measure_is_of_each_picture_alone(seed: int) -> None:
    one, other = soft(seed, channels=1), soft(seed + 1, channels=1)
    both = [torch.cat(pair) for pair in zip(one, other)]
    for measure in (*BEST, psnr, ssim, ssim_uniform):
        assert measure(*both).tolist() == pytest.approx(
            [float(measure(*one)), float(measure(*other))], rel=1e-4, nan_ok=True
        )


def test_edges_are_where_scikit_image_finds_them() -> None:
    gt = lines()
    magnitude = sobel(gt[0, 0].double().numpy(), mode="nearest") * math.sqrt(2)
    wrong = torch.from_numpy(magnitude > EDGE)
    around = torch.zeros(64, 64, dtype=torch.bool)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            moved = torch.zeros_like(around)
            rows, columns = wrong.nonzero().T
            inside = ((rows + down).clamp(0, 63), (columns + across).clamp(0, 63))
            moved[inside] = True
            around |= moved
    off_edges = torch.where(around, gt, gt + 0.3)
    assert 0 < float(around.float().mean()) < 1
    assert float(edge_psnr(off_edges, gt)) == pytest.approx(120)
    on_edges = torch.where(around, gt + 0.1, gt)
    assert float(edge_psnr(on_edges, gt)) == pytest.approx(20, abs=1e-3)


def test_a_step_answers_with_its_height() -> None:
    for height, has_edge in ((0.11, True), (0.09, False)):
        step = torch.full((1, 1, 16, 16), 0.4)
        step[..., 8:] += height
        assert bool(edge_psnr(step, step).isnan()) is not has_edge


def test_lines_are_dark_thin_and_in_their_place() -> None:
    gt = lines()
    strokes = gt < 0.2
    found = line_map(gt)
    assert (found & strokes).sum() > 0.95 * strokes.sum()
    assert not line_map(1 - lines())[0, 0, 20:60, 48:53].all(1).any()
    assert not line_map(torch.linspace(0, 1, 64).expand(1, 1, 64, 64)).any()


def test_blur_loses_lines_and_gradients_and_overshoots_nothing() -> None:
    gt = lines()
    softer = [blur(gt, sigma) for sigma in (0.6, 1.2, 2.5)]
    for measure in (line_f_score, gradient_ratio):
        values = [1.0, *(float(measure(sr, gt)) for sr in softer)]
        assert values == sorted(values, reverse=True), measure
        assert values[-1] < 0.7
    assert float(overshoot(softer[0], gt)) < 1e-9  # whose Gaussian is no wider than 5x5


def test_sharpening_overshoots() -> None:
    gt = blur(lines(), 0.7)
    sharper = [gt + amount * (gt - blur(gt, 1.0)) for amount in (0.3, 0.8, 2.0)]
    for measure, best in ((overshoot, 0.0), (gradient_ratio, 1.0)):
        values = [float(measure(sr, gt)) for sr in sharper]
        assert values == sorted(values)
        assert values[0] > best


def test_overshoot_by_hand() -> None:
    """One pixel of 16x16, 0.1 above everything, beside one step of 0.5 across 16 rows."""
    gt = torch.full((1, 1, 16, 16), 0.25)
    gt[..., 8:] = 0.75
    sr = gt.clone()
    sr[0, 0, 4, 12] = 0.85
    assert float(overshoot(sr, gt)) == pytest.approx(0.01 / (16 * 0.25))


def test_a_line_may_be_off_by_a_pixel_and_no_more() -> None:
    gt = lines()
    scores = [float(line_f_score(gt.roll(shift, 3), gt, border=6)) for shift in (0, 1, 4)]
    assert scores[0] == 1
    assert scores[1] > 0.97
    assert scores[2] < 0.8


def test_what_cannot_be_said_of_a_flat_picture() -> None:
    flat, drawn = torch.full((1, 1, 64, 64), 0.5), lines()
    for measure in (edge_psnr, gradient_ratio, overshoot):
        assert measure(drawn, flat).isnan()
    assert line_f_score(flat, flat) == 1
    assert line_f_score(drawn, flat) == line_f_score(flat, drawn) == 0
