"""Losses are zero at equality, differentiable, and what their formulas say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from remaster.train.losses import (
    artifact_loss,
    artifact_weights,
    charbonnier_loss,
    feature_matching_loss,
    fft_loss,
    gradient_loss,
    l1_loss,
    line_weighted_loss,
    line_weights,
    mse_loss,
    overshoot_loss,
    random_filter_loss,
    random_filters,
)

PairLoss = Callable[[Tensor, Tensor], Tensor]


def test_charbonnier_by_hand() -> None:
    sr, gt = torch.zeros(1, 1, 2, 2), torch.tensor([[[[0.0, 3.0], [4.0, 0.0]]]])
    expected = (2 * 1e-3 + (9 + 1e-6) ** 0.5 + (16 + 1e-6) ** 0.5) / 4
    assert float(charbonnier_loss(sr, gt)) == pytest.approx(expected)


@pytest.mark.parametrize("loss", [charbonnier_loss, random_filter_loss])
def test_least_at_equality(loss) -> None:  # type: ignore[no-untyped-def]
    gt = torch.rand(2, 1, 16, 16)
    assert float(loss(gt, gt)) == pytest.approx(1e-3, rel=1e-4)  # the epsilon alone
    assert float(loss(gt + 0.1, gt)) > 0.01
    sr = torch.rand(2, 1, 16, 16, requires_grad=True)
    loss(sr, gt).backward()
    assert sr.grad is not None
    assert sr.grad.abs().sum() > 0


def test_filters_are_fixed_and_begin_with_the_identity() -> None:
    filters = random_filters()
    assert set(filters.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert filters[0].sum() == filters[0, 0, 1, 1] == 1
    random_filters.cache_clear()
    assert torch.equal(filters, random_filters())


PAIRS = [
    mse_loss, l1_loss, gradient_loss, fft_loss, line_weighted_loss, overshoot_loss,
]  # fmt: skip


@pytest.mark.parametrize("loss", [*PAIRS, charbonnier_loss])
def test_a_loss_is_least_at_equality_and_leads_there(loss: PairLoss) -> None:
    gt = torch.rand(2, 3, 40, 48)
    assert float(loss(gt, gt)) <= 1.1e-3
    sr = (gt + 0.3 * torch.randn_like(gt)).requires_grad_()
    before = loss(sr, gt)
    (gradient,) = torch.autograd.grad(before, sr)
    assert bool(gradient.isfinite().all())
    step = 0.01 * gradient / gradient.norm() * (sr.detach() - gt).norm()
    assert float(loss(sr.detach() - step, gt)) < float(before.detach())


@pytest.mark.parametrize("loss", [*PAIRS, charbonnier_loss])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_are_finite_at_equality_in_half_precision(
    loss: PairLoss, dtype: torch.dtype
) -> None:
    gt = torch.rand(1, 3, 32, 32).to(dtype)
    sr = gt.clone().requires_grad_()
    value = loss(sr, gt)
    value.backward()
    assert value.dtype == torch.float32
    assert sr.grad is not None
    assert bool(sr.grad.isfinite().all())


def test_squared_and_absolute_errors_by_hand() -> None:
    sr, gt = torch.tensor([[[[0.0, 2.0]]]]), torch.tensor([[[[1.0, 0.0]]]])
    assert float(mse_loss(sr, gt)) == 2.5
    assert float(l1_loss(sr, gt)) == 1.5


def test_a_lift_has_no_gradient() -> None:
    gt = torch.rand(1, 3, 16, 16)
    assert float(gradient_loss(gt + 0.25, gt)) == pytest.approx(0, abs=1e-6)


def test_a_spectrum_s_loss_is_the_same_at_every_size() -> None:
    sr, gt = torch.rand(2, 1, 3, 32, 32)
    tiled = [x.repeat(1, 1, 3, 2) for x in (sr, gt)]
    assert float(fft_loss(*tiled)) == pytest.approx(float(fft_loss(sr, gt)), rel=1e-5)
    assert float(fft_loss(sr[..., :20], gt[..., :20])) > 0  # smaller than a square


def test_lines_weigh_more_and_the_mean_is_one() -> None:
    gt = torch.full((2, 3, 32, 32), 0.9)
    gt[:, :, 16] = 0.1
    weights = line_weights(gt)
    assert weights.mean((1, 2, 3)).tolist() == pytest.approx([1, 1], rel=1e-5)
    assert float(weights[0, 0, 16].min()) > 2 * float(weights[0, 0, :10].max())


def test_overshoot_is_what_lies_beyond_the_truth_around() -> None:
    gt = torch.zeros(1, 1, 16, 16)
    gt[..., 8:] = 1
    inside = gt.clone()
    inside[..., 6:10] = 0.5  # soft, not too light, not too dark
    assert float(overshoot_loss(inside, gt)) == 0
    halo = gt.clone()
    halo[..., 3] = -0.2
    assert float(overshoot_loss(halo, gt)) == pytest.approx(0.2 / 16)


def test_artifacts_are_weighed_where_the_average_does_better() -> None:
    gt = torch.rand(1, 3, 24, 24)
    noisy = gt + 0.3 * torch.randn_like(gt)
    assert float(artifact_loss(noisy, gt, gt)) > 0
    assert float(artifact_loss(gt + 0.01, gt, noisy)) == pytest.approx(0, abs=1e-7)
    weights = artifact_weights(noisy.requires_grad_(), gt, gt)
    assert not weights.requires_grad
    assert weights.shape == (1, 1, 24, 24)


def test_features_are_matched_layer_by_layer() -> None:
    gt = [torch.rand(2, 4, 8, 8, requires_grad=True), torch.rand(2, 8, 4, 4, requires_grad=True)]
    sr = [(x.detach() + 0.5).requires_grad_() for x in gt]
    loss = feature_matching_loss(sr, gt)
    assert float(loss.detach()) == pytest.approx(0.5)
    loss.backward()
    assert all(x.grad is None for x in gt)
    assert all(x.grad is not None for x in sr)
