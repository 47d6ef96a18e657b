"""The measures agree with their definitions."""

from __future__ import annotations

import pytest
import torch

from remaster.metrics import luma, psnr, ssim


def test_psnr_of_a_known_error() -> None:
    gt = torch.rand(2, 3, 32, 32)
    assert psnr(gt + 0.1, gt).tolist() == pytest.approx([20.0, 20.0], abs=1e-3)


def test_the_border_is_left_out() -> None:
    gt = torch.rand(1, 1, 32, 32)
    sr = gt.clone()
    sr[..., 0, :] = 5
    assert psnr(sr, gt, border=2) == pytest.approx(120)
    assert psnr(sr, gt) < 30


def test_luma_spans_sixteen_to_two_hundred_thirty_five() -> None:
    greys = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    assert (luma(greys).flatten() * 255).tolist() == pytest.approx([16, 235], abs=1e-3)


def test_ssim_is_one_at_equality_and_falls_with_noise() -> None:
    gt = torch.rand(1, 1, 48, 48)
    noisy = [float(ssim(gt + s * torch.randn_like(gt), gt)) for s in (0.0, 0.05, 0.2)]
    assert noisy[0] == pytest.approx(1, abs=1e-5)
    assert noisy[0] > noisy[1] > noisy[2]


def test_ssim_of_a_constant_shift_by_hand() -> None:
    a, b = torch.full((1, 1, 16, 16), 0.5), torch.full((1, 1, 16, 16), 0.6)
    c1 = 0.01**2
    expected = (2 * 0.5 * 0.6 + c1) / (0.5**2 + 0.6**2 + c1)
    assert float(ssim(a, b)) == pytest.approx(expected, abs=1e-4)
