"""Drawn frames and shots: deterministic, the same at any size, and true to what they say."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remaster.train.drawing import (
    DrawnFrame,
    Shot,
    draw_frame,
    iterate_episode,
    iterate_shots,
    plan_episode,
)
from remaster.train.drawing.canvas import Canvas, View
from remaster.train.drawing.character import design_character
from remaster.train.drawing.coverage import cover
from remaster.train.drawing.places import PLACES, draw_place
from remaster.train.drawing.sky import HOURS


@pytest.fixture(scope="module")
def episode() -> list[DrawnFrame]:
    return list(iterate_episode(76, 72, 96, 150, 25.0))


def a_shot(kind: str, num_frames: int = 40, seed: int = 5) -> Shot:
    cast = (design_character(np.random.default_rng(3)),) if kind == "talk" else ()
    return Shot(seed, kind, num_frames, "town", "noon", cast)


@pytest.mark.parametrize("seed", range(6))
def test_same_seed_same_picture(seed: int) -> None:
    first = draw_frame(seed, 72, 96)
    assert np.array_equal(first, draw_frame(seed, 72, 96))
    assert not np.array_equal(first, draw_frame(seed + 1, 72, 96))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(16, 80), st.integers(16, 80))
def test_any_size(seed: int, height: int, width: int) -> None:
    picture = draw_frame(seed, height, width)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8
    assert picture.max() > 0


@pytest.mark.parametrize("seed", [3, 9, 13, 20, 26, 31])
def test_twice_the_size_is_the_same_drawing(seed: int) -> None:
    small = draw_frame(seed, 108, 144).astype(np.float64)
    large = draw_frame(seed, 216, 288).astype(np.float64)
    halved = large.reshape(108, 2, 144, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - halved).mean() < 4


def test_drawings_are_equal_exactly_when_pictures_are(episode: list[DrawnFrame]) -> None:
    pictures = {frame.drawing: frame.rgb for frame in episode}
    for frame in episode:
        assert np.array_equal(frame.rgb, pictures[frame.drawing])
    assert len({picture.tobytes() for picture in pictures.values()}) == len(pictures)
    held = sum(a.drawing == b.drawing for a, b in pairwise(episode))
    assert len(episode) // 10 < held < len(episode)


def test_cuts_lie_between_shots_that_neither_fade_nor_dissolve(episode: list[DrawnFrame]) -> None:
    shots = plan_episode(76, 150, 25.0)
    starts = np.cumsum([0, *(shot.num_frames for shot in shots)])
    assert starts[-1] == len(episode)
    expected = {
        int(start)
        for start, shot in zip(starts[1:], shots[1:], strict=False)
        if not shot.dissolve and not shot.fade_in
    }
    assert {i for i, frame in enumerate(episode) if frame.is_cut} == expected
    assert [frame.shot for frame in episode] == sorted(frame.shot for frame in episode)


def test_an_episode_fades_from_and_to_black(episode: list[DrawnFrame]) -> None:
    middle = episode[len(episode) // 4]
    for end in (episode[0], episode[-1]):
        assert end.brightness < 0.2
        assert end.rgb.mean() < 0.3 * middle.rgb.mean()


def test_a_dissolve_mixes_two_shots() -> None:
    still, other = a_shot("still", 4), replace(a_shot("still", 8, seed=6), dissolve=4)
    frames = list(iterate_shots((still, other), 48, 64))
    last, after = frames[3].rgb.astype(float), frames[-1].rgb.astype(float)
    for frame in frames[4:8]:
        mixed = frame.dissolve * last + (1 - frame.dissolve) * after
        assert np.abs(frame.rgb - mixed).max() <= 1
    assert not any(frame.is_cut for frame in frames)


def test_every_frame_of_a_pan_is_new_and_offsets_are_even() -> None:
    frames = list(iterate_shots((a_shot("pan", 8),), 96, 128))
    assert len({frame.drawing for frame in frames}) == len(frames)
    steps = np.diff([frame.offset[0] for frame in frames])
    assert np.abs(steps).min() > 0.01
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)


@pytest.mark.parametrize("place", PLACES)
def test_a_pan_by_whole_pixels_moves_the_picture_exactly(place: str) -> None:
    still, moved = (Canvas(View(60, 80, x=shift / 60)) for shift in (0, 7))
    for canvas in (still, moved):
        draw_place(canvas, 4, place, HOURS["noon"])
    np.testing.assert_allclose(moved.pixels[:, :-7], still.pixels[:, 7:], atol=2e-3)


def test_talking_changes_only_mouth_and_eyes() -> None:
    frames = list(iterate_shots((a_shot("talk", 60),), 144, 192))
    moved = np.zeros((144, 192), bool)
    for frame in frames[1:]:
        moved |= (frame.rgb != frames[0].rgb).any(axis=2)
    rows, columns = np.nonzero(moved)
    assert len({frame.drawing for frame in frames}) > 3
    assert 0.0005 < moved.mean() < 0.06
    assert np.ptp(rows) < 0.4 * 144
    assert np.ptp(columns) < 0.4 * 192


def test_an_episode_is_the_same_at_any_size() -> None:
    small = list(iterate_episode(11, 72, 96, 30, 25.0))
    large = list(iterate_episode(11, 144, 192, 30, 25.0))
    assert [a.drawing for a in small] == [b.drawing for b in large]
    halved = large[20].rgb.reshape(72, 2, 96, 2, 3).mean(axis=(1, 3))
    assert np.abs(small[20].rgb - halved).mean() < 4


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-20, 60), st.floats(-20, 60), st.floats(0.05, 40), st.floats(0, 6.3), st.booleans()
)
def test_coverage_of_a_turned_square_is_its_area_on_the_grid(
    x: float, y: float, size: float, angle: float, reverse: bool
) -> None:
    """Against the sum over a grid large enough to hold it, cut to the small grid."""
    corner = size * np.stack((np.cos(angle + np.arange(4) * np.pi / 2),) * 2, axis=1)
    corner[:, 1] = size * np.sin(angle + np.arange(4) * np.pi / 2)
    square = corner[:: -1 if reverse else 1] + (x, y)
    whole = cover([square + 100], 260, 260)
    np.testing.assert_allclose(whole.values.sum(), 2 * size**2, rtol=1e-4, atol=1e-4)
    part = cover([square], 40, 40)
    expected, found = np.zeros((260, 260)), np.zeros((40, 40))
    expected[whole.window] = whole.values
    found[part.window] = part.values
    np.testing.assert_allclose(found, expected[100:140, 100:140], atol=1e-5)
