"""Damage stays in its place: the picture does not move, brighten or lose its colour."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from remaster.metrics import psnr
from remaster.resampling import resize
from remaster.train.degrade import DOWNSCALES, age, as_still, as_video, blur, downscale


def ycc_picture(height: int = 64, width: int = 80) -> torch.Tensor:
    small = torch.rand(1, 3, 5, 6) * 0.6 + 0.2
    small[:, 1:] -= 0.5
    return resize(small, (height, width), "mitchell")


@pytest.mark.parametrize("kernel", DOWNSCALES)
@pytest.mark.parametrize("scale", [2, 4])
def test_downscaling_keeps_the_centre(kernel: str, scale: int) -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    ramp = (x + 2 * y).expand(1, 3, 64, 48)
    small = downscale(ramp, scale, kernel)
    expected = resize(ramp, (64 // scale, 48 // scale), "triangle")
    inside = (..., slice(3, -3), slice(3, -3))
    assert (small - expected)[inside].abs().max() < 1e-3
    assert sum(DOWNSCALES.values()) == pytest.approx(1)


def test_blur_keeps_the_mean_and_lowers_the_contrast() -> None:
    x = torch.rand(1, 3, 64, 64)
    for sigma in (0.7, (0.0, 2.0), (1.5, 0.0)):
        assert float(blur(x, sigma).mean()) == pytest.approx(float(x.mean()), abs=0.01)
        assert blur(x, sigma).std() < x.std()


def test_a_trip_through_video_planes_changes_little() -> None:
    x = ycc_picture()
    assert float(psnr(as_still(x), x)) > 50
    assert float(psnr(as_video(x), x)) > 40


@pytest.mark.parametrize("seed", range(12))
def test_ageing_is_mild_repeatable_and_in_place(seed: int) -> None:
    x = ycc_picture()
    old = age(x, np.random.default_rng(seed))
    assert old.shape == x.shape
    assert torch.equal(old, age(x, np.random.default_rng(seed)))
    assert not torch.equal(old, x)
    assert float(psnr(old, x)) > 24
    assert (old.mean((0, 2, 3)) - x.mean((0, 2, 3))).abs().max() < 0.02
