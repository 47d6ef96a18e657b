"""Judgements pull the right way, and a penalty is that of Gulrajani et al."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from remaster.models.critics import Discriminator, DiscriminatorConfig
from remaster.train.adversarial import (
    HARD_LABELS,
    SOFT_LABELS,
    Labels,
    adversarial_loss,
    critic_loss,
    discriminator_loss,
    gradient_penalty,
    wasserstein_loss,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(seed=st.integers(0, 99), count=st.integers(1, 5), side=st.integers(2, 9))
def test_a_linear_critic_of_unit_gradient_has_no_penalty(seed: int, count: int, side: int) -> None:
    weight = torch.randn(3, side, side, generator=seeded(seed))
    weight /= weight.norm()
    gt, sr = torch.rand(2, count, 3, side, side, generator=seeded(seed + 1))
    penalty = gradient_penalty(lambda x: (x * weight).sum((1, 2, 3)), gt, sr, seeded(seed))
    assert float(penalty.detach()) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("length", [0.0, 0.5, 3.0])
def test_a_linear_critic_is_punished_by_its_gradient(length: float) -> None:
    weight = torch.full((3, 4, 4), length / 48**0.5)
    gt, sr = torch.rand(2, 6, 3, 4, 4)
    penalty = gradient_penalty(lambda x: (x * weight).sum((1, 2, 3)), gt, sr, seeded())
    assert float(penalty.detach()) == pytest.approx((length - 1) ** 2, abs=1e-5)


def test_a_penalty_is_taken_between_truth_and_its_like_and_reaches_the_critic_alone() -> None:
    gt, sr = torch.zeros(64, 1, 2, 2), torch.ones(64, 1, 2, 2, requires_grad=True)
    seen: list[Tensor] = []
    critic = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))

    def judge(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return critic(x).flatten()  # type: ignore[no-any-return]

    gradient_penalty(judge, gt, sr, seeded()).backward()
    shares = seen[0].flatten(1)
    assert torch.equal(shares, shares[:, :1].expand_as(shares))  # one point a picture
    assert 0 <= float(shares.min()) < 0.1 < 0.9 < float(shares.max()) <= 1
    assert sr.grad is None
    assert all(p.grad is not None for p in critic[1].parameters() if p.ndim == 2)


def test_a_penalty_is_fp32_under_autocast() -> None:
    critic = Discriminator(DiscriminatorConfig(norm=False))
    gt, sr = torch.rand(2, 1, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        under = gradient_penalty(critic, gt, sr, seeded())
    assert under.dtype == torch.float32
    plain = gradient_penalty(critic, gt, sr, seeded())
    assert float(under.detach()) == pytest.approx(float(plain.detach()))


def test_hard_labels_are_cross_entropy() -> None:
    of_gt, of_sr = torch.randn(2, 8)
    expected = -(F.logsigmoid(of_gt).mean() + F.logsigmoid(-of_sr).mean())
    found = discriminator_loss(of_gt, of_sr, HARD_LABELS, seeded())
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_soft_labels_are_drawn_and_some_exchanged() -> None:
    true, false = SOFT_LABELS.draw(20_000, seeded())
    flipped = true < 0.5
    assert float(flipped.float().mean()) == pytest.approx(0.05, abs=0.01)
    assert torch.equal(flipped, false > 0.5)
    assert 0.85 <= float(true[~flipped].min()) < 0.86
    assert 1.09 < float(true.max()) <= 1.10
    assert 0 <= float(false[~flipped].min()) < 0.01
    assert 0.14 < float(false[~flipped].max()) <= 0.15
    assert torch.equal(true, SOFT_LABELS.draw(20_000, seeded())[0])
    assert Labels(flipped=1.0).draw(3, seeded())[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("loss", [adversarial_loss, wasserstein_loss])
def test_a_generator_is_drawn_to_what_is_judged_truer(loss) -> None:  # type: ignore[no-untyped-def]
    judged = torch.tensor([-60.0, 0.0, 60.0], requires_grad=True)
    loss(judged).backward()
    assert judged.grad is not None
    assert judged.grad[0] < -0.1  # where a discriminator is sure, too
    assert (judged.grad <= 0).all()


def test_a_critic_sets_truth_above_its_like() -> None:
    assert float(critic_loss(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 1.0]))) == -2
