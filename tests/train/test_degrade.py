"""Damage stays in its place: the picture does not move, brighten or lose its colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from remaster.metrics import psnr
from remaster.resampling import resize
from remaster.train import degrade
from remaster.train.analog import MOST_JITTER, draw_deck
from remaster.train.degrade import (
    DAMAGES,
    DOWNSCALE_KERNELS,
    MOST_WEAVE,
    age,
    as_picture_file,
    as_video,
    blur,
    downscale,
    to_rgb,
    to_uint8,
    to_ycc,
)
from remaster.train.recipes import MIXTURE

NAMED = ("web", "dvd", "vhs", "film")
SEEDS = st.integers(0, 2**31)


def ycc_picture(height: int = 64, width: int = 80) -> torch.Tensor:
    small = torch.rand(1, 3, 5, 6) * 0.6 + 0.2
    small[:, 1:] -= 0.5
    return resize(small, (height, width), "mitchell")


@pytest.mark.parametrize("kernel", DOWNSCALE_KERNELS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_downscaling_keeps_the_centre(kernel: str, scale: int) -> None:
    y, x = torch.meshgrid(torch.arange(72.0), torch.arange(48.0), indexing="ij")
    ramp = (x + 2 * y).expand(1, 3, 72, 48)
    small = downscale(ramp, scale, kernel)
    expected = resize(ramp, (72 // scale, 48 // scale), "triangle")
    inside = (..., slice(3, -3), slice(3, -3))
    assert (small - expected)[inside].abs().max() < 1e-3
    assert sum(MIXTURE.values()) == pytest.approx(1)


@pytest.mark.parametrize("kernel", MIXTURE)
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_downscaling_is_the_exact_resampling(kernel: str, scale: int) -> None:
    x = torch.rand(1, 3, 48, 72)
    small = downscale(x, scale, kernel)
    assert (small - resize(x, (48 // scale, 72 // scale), kernel)).abs().max() < 1e-5
    odd = torch.cat([x, x[..., : scale - 1]], -1)
    assert torch.equal(downscale(odd, scale, kernel), small)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_two_kernels_are_those_of_opencv(scale: int) -> None:
    cv2 = pytest.importorskip("cv2")
    x = torch.rand(1, 3, 48, 72)
    for kernel, flag in (("opencv-linear", cv2.INTER_LINEAR), ("opencv-cubic", cv2.INTER_CUBIC)):
        pixels, size = x[0].permute(1, 2, 0).numpy(), (72 // scale, 48 // scale)
        theirs = cv2.resize(pixels, size, interpolation=flag)
        ours = downscale(x, scale, kernel)[0].permute(1, 2, 0).numpy()
        assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.parametrize("kernel", [k for k in MIXTURE if k != "box"])
def test_a_wider_kernel_leaves_less_of_fine_stripes(kernel: str) -> None:
    stripes = torch.cos(torch.arange(96.0) * 2 * torch.pi * 0.2).expand(1, 1, 32, 96)
    narrow, usual, wide = (downscale(stripes, 2, kernel, b).std() for b in (0.95, 1.0, 1.05))
    assert narrow > usual > wide


def test_blur_keeps_the_mean_and_lowers_the_contrast() -> None:
    x = torch.rand(1, 3, 64, 64)
    for sigma in (0.7, (0.0, 2.0), (1.5, 0.0)):
        assert float(blur(x, sigma).mean()) == pytest.approx(float(x.mean()), abs=0.01)
        assert blur(x, sigma).std() < x.std()


def test_a_trip_through_video_planes_changes_little() -> None:
    x = ycc_picture()
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


def shot_by(name: str, x: Tensor, seed: int) -> Tensor:
    return DAMAGES[name](x, np.random.default_rng(seed))


@pytest.mark.parametrize("name", DAMAGES)
@settings(deadline=None, max_examples=8)
@given(seed=SEEDS)
def test_damage_is_repeatable_mild_and_real(name: str, seed: int) -> None:
    x = ycc_picture()
    damaged = shot_by(name, x, seed)
    assert damaged.shape == x.shape
    assert damaged.dtype == torch.float32
    assert torch.equal(damaged, shot_by(name, x, seed))
    assert not torch.equal(damaged, shot_by(name, x, seed + 1))
    assert float(psnr(damaged[:, :1], x[:, :1])) > 26


def dot(down: float, across: float) -> Tensor:
    """A dark disc on light ground, (1, 3, 80, 96) ycc, its middle so far from the picture's."""
    y, x = torch.meshgrid(torch.arange(80.0), torch.arange(96.0), indexing="ij")
    away = ((y - 39.5 - down) ** 2 + (x - 47.5 - across) ** 2).sqrt()
    picture = torch.zeros(1, 3, 80, 96)
    picture[:, 0] = 0.75 - 0.5 * (14.5 - away).clamp(0, 1)
    return picture


def middle(ycc: Tensor) -> np.ndarray:
    """(down, across) of the disc from the picture's middle: of what is darker than half way.

    Specks far away are none of it.
    """
    y, x = torch.meshgrid(torch.arange(80.0) - 39.5, torch.arange(96.0) - 47.5, indexing="ij")
    dark = ((0.6 - ycc[0, 0]) / 0.2).clamp(0, 1) * ((y**2 + x**2).sqrt() < 22)
    return np.array([float((dark * axis).sum() / dark.sum()) for axis in (y, x)])


@pytest.mark.parametrize("name", NAMED)
@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, down=st.floats(-1, 1), across=st.floats(-1, 1))
def test_a_dot_stays_where_it_is(name: str, seed: int, down: float, across: float) -> None:
    if name == "vhs":  # a line without signal across the dot is no move
        rng = np.random.default_rng(seed)
        assume(not draw_deck(rng, degrade._strength(rng)).dropouts)
    picture = dot(down, across)
    moved = np.abs(middle(shot_by(name, picture, seed)) - middle(picture))
    sideways = {"film": MOST_WEAVE, "vhs": MOST_JITTER}.get(name, 0.0)
    assert moved[0] < 0.1 + (MOST_WEAVE if name == "film" else 0.0)
    assert moved[1] < 0.1 + sideways


@pytest.mark.parametrize("name", NAMED)
@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, color=st.tuples(*[st.floats(0.2, 0.8)] * 3))
def test_a_flat_field_keeps_its_color(
    name: str, seed: int, color: tuple[float, float, float]
) -> None:
    field = to_ycc(torch.tensor(color)[None, :, None, None].expand(1, 3, 64, 96))
    change = (shot_by(name, field, seed).mean((0, 2, 3)) - field.mean((0, 2, 3))).abs()
    flicker = 0.03 * float(field[:, 0].mean()) if name == "film" else 0.0
    assert float(change.max()) < 0.012 + flicker


@pytest.mark.parametrize("name", NAMED)
def test_strength_is_what_makes_it_worse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = resize(torch.rand(1, 3, 24, 32) * 0.5 + 0.25, (96, 128), "catmull-rom")
    x[:, 1:] = (x[:, 1:] - 0.5) * 0.4

    def quality(strength: float) -> float:
        monkeypatch.setattr(degrade, "_strength", lambda rng: strength)
        return float(np.mean([float(psnr(shot_by(name, x, seed), x)) for seed in range(8)]))

    assert quality(0.0) > quality(0.5) + 0.5 > quality(1.0) + 1.0


@pytest.mark.parametrize("name", NAMED)
def test_every_codec_of_a_damage_is_used_within_its_range(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codecs = {
        "web": {"libx264": ("crf", 18, 30), "mpeg4": ("qmax", 2, 6)},
        "dvd": {"mpeg2video": ("qmax", 2, 10)},
        "vhs": {"mpeg2video": ("qmax", 2, 8)},
        "film": {"mpeg2video": ("qmax", 2, 8), "libx264": ("crf", 16, 26)},
    }[name]
    seen: list[tuple[str, Any]] = []
    lengths = set()

    def coded(
        pictures: Sequence[Sequence[np.ndarray]], codec: str, options: Mapping[str, str]
    ) -> list[list[np.ndarray]]:
        seen.append((codec, options))
        lengths.add(len(pictures))
        return [list(planes) for planes in pictures]

    def filed(ycc: Tensor, format_: str, quality: int) -> Tensor:
        seen.append((format_, quality))
        return ycc

    monkeypatch.setattr(degrade, "through_codec", coded)
    monkeypatch.setattr(degrade, "as_picture_file", filed)
    x = ycc_picture(32, 32)
    twice = 0
    for seed in range(150):
        before = len(seen)
        shot_by(name, x, seed)
        twice += len(seen) - before == 2
    files = {"JPEG", "WEBP"} if name == "web" else set()
    assert {codec for codec, _ in seen} == set(codecs) | files
    for codec, options in seen:
        if codec in files:
            assert 60 <= options <= 95
        else:
            option, least, most = codecs[codec]
            assert least <= int(options[option]) <= most
    assert (5 < twice < 45) if name == "web" else twice == 0
    assert lengths == ({3} if name == "film" else {1, 3})


@pytest.mark.parametrize("format_", ["JPEG", "WEBP"])
def test_a_picture_file_changes_little_and_less_at_better_quality(format_: str) -> None:
    x = ycc_picture()
    good, poor = (float(psnr(as_picture_file(x, format_, q), x)) for q in (95, 40))
    assert good > poor > 25
    assert good > 34
    assert np.abs(middle(as_picture_file(dot(0, 0), format_, 80))).max() < 0.05


def test_grain_is_in_the_middle_tones() -> None:
    def noise(level: float) -> float:
        field = torch.tensor([level, 0, 0])[None, :, None, None].expand(1, 3, 64, 64)
        grainy = degrade._grainy(field, 0.03, 0.7, np.random.default_rng(0))
        return float((grainy - field)[:, 0].std())

    assert noise(0.0) == noise(1.0) == 0
    assert noise(0.5) == pytest.approx(0.03, rel=0.1)
    assert 0.005 < noise(0.1) < noise(0.3) < noise(0.5)


def test_dust_is_small_and_on_one_exposure_only() -> None:
    field = torch.tensor([0.5, 0, 0])[None, :, None, None].expand(1, 3, 200, 200)
    rng = np.random.default_rng(0)
    dirty = [degrade._dusty(field, 1.0, rng) for _ in range(20)]
    covered = [((d - field).abs()[0, 0] > 0.05) for d in dirty]
    shares = [float(c.float().mean()) for c in covered]
    assert 0 < float(np.mean(shares)) < 0.005
    assert max(shares) < 0.01
    assert not any(bool((a & b).any()) and bool(a.equal(b)) for a, b in zip(covered, covered[1:]))
    assert all(float(d.max()) <= 1 for d in dirty)


def test_tape_makes_color_of_fine_grey_stripes() -> None:
    stripes = torch.zeros(1, 3, 64, 128)
    cycles = 0.257 * torch.arange(128.0) + 0.5 * torch.arange(64.0)[:, None]  # as the carrier's
    stripes[:, 0] = 0.5 + 0.3 * torch.cos(2 * torch.pi * cycles)

    def color(name: str) -> float:
        return float(np.mean([shot_by(name, stripes, s)[:, 1:].std() for s in range(8)]))

    assert color("vhs") > 0.03 > 3 * max(color("dvd"), color("web"))


def test_levels_and_matrices_go_there_and_back() -> None:
    rgb = torch.rand(1, 3, 8, 8)
    assert torch.allclose(to_rgb(to_ycc(rgb)), rgb, atol=1e-5)
    assert to_uint8(torch.tensor([-1.0, 0.0, 0.5 / 255 + 1e-4, 1.0, 2.0])).tolist() == [
        0, 0, 1, 255, 255,
    ]  # fmt: skip
