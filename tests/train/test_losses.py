"""Losses are zero at equality, differentiable, and what their formulas say."""

from __future__ import annotations

import pytest
import torch

from remaster.train.losses import charbonnier_loss, random_filter_loss, random_filters


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
