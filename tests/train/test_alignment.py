"""Two releases of one film come together in time, place and colour; other films do not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from remaster.color import encode_planes
from remaster.errors import DataError
from remaster.frames import Color, PixelLayout
from remaster.train.alignment import _moments, _release, _speed, aligned_pairs
from remaster.train.registration import Placement, likeness, refine, warp
from tests.clips import make_clip

BT709 = Color("bt709", "limited", "bt709", "bt709")
SMALL, LARGE = (144, 192), (288, 384)
"""(height, width)."""


@functools.lru_cache(maxsize=24)
def master(number: int) -> np.ndarray:
    """(600, 800, 3) in [0, 1]: a drawing larger than any release."""
    rng = np.random.default_rng(number)
    image = Image.new("RGB", (800, 600), tuple(int(v) for v in rng.integers(100, 230, 3)))
    pen = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, radius = rng.integers(0, 800), rng.integers(0, 600), rng.integers(20, 110)
        fill = tuple(int(v) for v in rng.integers(12, 242, 3))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill)
    return np.asarray(image).astype(np.float32) / 255


@functools.lru_cache(maxsize=64)
def released(
    number: int, size: tuple[int, int], zoom: float, shift: tuple[float, float]
) -> np.ndarray:
    """The drawing at a size; `zoom` over 1 shows less of it, `shift` in pixels of the release."""
    step = 600 / size[0] / zoom, 800 / size[1] / zoom
    start = tuple(
        (whole - 1) / 2 - step[axis] * ((size[axis] - 1) / 2 + shift[axis])
        for axis, whole in enumerate((600, 800))
    )
    return warp(master(number), Placement(step, (start[0], start[1])), size).clip(0, 1)


def film(
    path: Path, size: tuple[int, int], frames: int, frame: Callable[[int], np.ndarray],
    rate: Fraction = Fraction(24), crf: int = 6,
) -> Path:  # fmt: skip
    def picture(index: int, layout: PixelLayout, _: tuple[int, int]) -> list[np.ndarray]:
        rgb = torch.from_numpy(np.ascontiguousarray(frame(index))).permute(2, 0, 1)[None]
        return [plane[0].numpy() for plane in encode_planes(rgb.float(), layout, BT709, "rgb")]

    return make_clip(
        path, size=size[::-1], frames=frames, rate=rate, picture=picture, color=BT709, audio=(),
        options={"crf": str(crf), "g": "24"},
    )  # fmt: skip


HELD = 9
DRAWINGS = 16
FRAMES = HELD * DRAWINGS


def better(index: int) -> np.ndarray:
    return released(index // HELD, LARGE, 1.0, (0.0, 0.0))


@pytest.fixture(scope="module")
def gt_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("gt") / "better.mkv", LARGE, FRAMES, better)


def placed_apart(lq: np.ndarray, gt: np.ndarray) -> float:
    """Pixels of lq between it and gt, by the move that makes them most alike."""
    one = lq.mean(2, dtype=np.float32)
    other = gt.mean(2, dtype=np.float32)
    whole = Placement.whole(one.shape, other.shape)
    found = refine(one, other, whole)
    ends = [(axis, at) for axis in (0, 1) for at in (0, one.shape[axis] - 1)]
    return max(
        abs((found.size[a] - whole.size[a]) * at + found.start[a] - whole.start[a]) / whole.size[a]
        for a, at in ends
    )


def check(pairs: list[tuple[np.ndarray, np.ndarray]], scale: int = 2) -> None:
    """Every pair shows one picture, at one place, in one colour."""
    assert pairs
    for lq, gt in pairs:
        assert gt.shape == (lq.shape[0] * scale, lq.shape[1] * scale, 3)
        assert lq.dtype == gt.dtype == np.uint8
        assert lq.shape[0] % 2 == lq.shape[1] % 2 == 0
        small = warp(
            gt.astype(np.float32), Placement.whole(lq.shape, gt.shape), (lq.shape[0], lq.shape[1])
        )
        assert likeness(lq.mean(2, dtype=np.float32), small.mean(2)) > 0.97
        assert np.abs(lq.mean((0, 1)) - small.mean((0, 1))).max() < 1.5
        assert placed_apart(lq, gt) < 0.1


def test_one_film_twice(tmp_path: Path, gt_path: Path) -> None:
    """Four drawings late, moved by 1.3 pixels, 2 % larger, darker and redder."""

    def old(index: int) -> np.ndarray:
        picture = released(index // HELD + 4, SMALL, 1.02, (1.3, -0.7))
        return picture * np.array([0.9, 0.8, 0.75], np.float32) + 0.03

    lq = film(tmp_path / "old.mkv", SMALL, FRAMES - 4 * HELD, old, crf=14)
    pairs = list(aligned_pairs(lq, gt_path, 2, 6, np.random.default_rng(0)))
    assert len(pairs) >= 4
    check(pairs)
    again = list(aligned_pairs(lq, gt_path, 2, 6, np.random.default_rng(0)))
    assert all(np.array_equal(a, b) for a, b in zip(pairs[0], again[0]))


def test_a_release_at_pal_speed(tmp_path: Path, gt_path: Path) -> None:
    lq = film(
        tmp_path / "old.mkv", SMALL, FRAMES,
        lambda i: released(i // HELD, SMALL, 1.0, (0.0, 0.4)), rate=Fraction(25),
    )  # fmt: skip
    check(list(aligned_pairs(lq, gt_path, 2, 5, np.random.default_rng(1))))
    old, new = _release(lq), _release(gt_path)
    moments = _moments(old, 12, np.random.default_rng(0))
    assert _speed(old, new, moments) > 1.03
    assert _speed(new, old, moments) < 0.97
    assert _speed(new, new, moments) == 1


def test_an_anamorphic_release_with_bars_and_a_cut(tmp_path: Path, gt_path: Path) -> None:
    def old(index: int) -> np.ndarray:
        number = index // HELD + (3 if index >= 4 * HELD else 0)
        wide = Image.fromarray(np.rint(released(number, SMALL, 1.0, (0, 0)) * 255).astype(np.uint8))
        frame = np.zeros((176, 160, 3), np.float32)
        frame[16:160] = np.asarray(wide.resize((160, 144), Image.Resampling.BICUBIC)) / 255
        return frame

    lq = film(tmp_path / "old.mkv", (176, 160), FRAMES - 3 * HELD, old)
    pairs = list(aligned_pairs(lq, gt_path, 2, 6, np.random.default_rng(2)))
    check(pairs)
    assert all(130 <= lq.shape[0] <= 144 for lq, _ in pairs)


def test_subtitled_frames_are_left_out_and_counted(tmp_path: Path, gt_path: Path) -> None:
    def old(index: int) -> np.ndarray:
        picture = released(index // HELD, SMALL, 1.0, (0.0, 0.0)).copy()
        if index >= FRAMES // 2:
            picture[115:131, 40:152] = (np.arange(112) % 10 < 5)[None, :, None]
        return picture

    lq = film(tmp_path / "old.mkv", SMALL, FRAMES, old)
    said: list[str] = []
    pairs = list(aligned_pairs(lq, gt_path, 2, 12, np.random.default_rng(3), log=said.append))
    check(pairs)
    assert any("do not fit and are left out" in line for line in said)


def test_other_films_are_refused(tmp_path: Path, gt_path: Path) -> None:
    lq = film(
        tmp_path / "old.mkv", SMALL, 96, lambda i: released(100 + i // HELD, SMALL, 1.0, (0.0, 0.0))
    )
    with pytest.raises(DataError, match="do not show the same"):
        list(aligned_pairs(lq, gt_path, 2, 4, np.random.default_rng(0)))


def test_a_better_film_that_is_too_small_is_said(tmp_path: Path, gt_path: Path) -> None:
    lq = film(
        tmp_path / "old.mkv", SMALL, FRAMES, lambda i: released(i // HELD, SMALL, 1.0, (0.0, 0.0))
    )
    with pytest.raises(DataError, match="too few for scale 4"):
        list(aligned_pairs(lq, gt_path, 4, 4, np.random.default_rng(0)))
