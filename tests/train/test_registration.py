"""Where a picture lies on another is told to hundredths of a pixel, and its colours as well."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remaster.train.registration import Placement, fit_color, likeness, refine, register, warp

SHAPE = (120, 160)


@functools.cache
def discs(number: int, height: int = 300, width: int = 400) -> np.ndarray:
    rng = np.random.default_rng(number)
    y, x = np.mgrid[0:height, 0:width]
    picture = np.full((height, width), 200, np.float32)
    for _ in range(40):
        cy, cx, radius = rng.integers(0, height), rng.integers(0, width), rng.integers(8, 50)
        picture[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = rng.integers(10, 250)
    return picture


def corners_apart(one: Placement, other: Placement, shape: tuple[int, int]) -> float:
    """Pixels of the one picture by which two placements differ at most."""
    ends = [(axis, at) for axis in (0, 1) for at in (0, shape[axis] - 1)]
    return max(
        abs((one.size[a] - other.size[a]) * at + one.start[a] - other.start[a]) / other.size[a]
        for a, at in ends
    )


@settings(max_examples=8, deadline=None)
@given(
    st.floats(0.95, 1.05), st.floats(0.95, 1.05), st.floats(-4, 4), st.floats(-4, 4),
    st.integers(0, 3),
)  # fmt: skip
def test_size_and_place_are_found_again(
    down: float, across: float, top: float, left: float, number: int
) -> None:
    other = discs(number)
    whole = Placement.whole(SHAPE, other.shape)
    size = whole.size[0] * down, whole.size[1] * across
    middle = tuple(
        start + (was - now) * (length - 1) / 2 + move * now
        for start, was, now, length, move in zip(whole.start, whole.size, size, SHAPE, (top, left))
    )
    true = Placement(size, (middle[0], middle[1]))
    rng = np.random.default_rng(number)
    one = 0.85 * warp(other, true, SHAPE) + 12 + rng.normal(0, 3, SHAPE).astype(np.float32)
    assert corners_apart(register(one, other), true, SHAPE) < 0.05


def test_a_move_is_found_with_the_size_kept() -> None:
    other = discs(1)
    whole = Placement.whole(SHAPE, other.shape)
    true = Placement(whole.size, (whole.start[0] + 1.3 * 2.5, whole.start[1] - 0.4 * 2.5))
    found = refine(warp(other, true, SHAPE), other, whole, moves_only=True)
    assert found.size == whole.size
    assert corners_apart(found, true, SHAPE) < 0.02


def test_a_mark_in_the_corner_does_not_pull() -> None:
    other = discs(2)
    true = Placement.whole(SHAPE, other.shape)
    one = warp(other, true, SHAPE)
    one[90:110, 100:150] = 255 * (np.arange(50) % 8 < 4)
    assert corners_apart(register(one, other), true, SHAPE) < 0.05


@given(st.integers(8, 60), st.integers(2, 4))
def test_a_finer_grid_has_the_same_edges(length: int, scale: int) -> None:
    place = Placement.whole((length, length), (3 * length, 5 * length))
    finer = place.finer(scale)
    expected = Placement.whole((length * scale,) * 2, (3 * length, 5 * length))
    assert np.allclose([finer.size, finer.start], [expected.size, expected.start])


@given(st.integers(10, 50), st.floats(0.5, 3), st.floats(-20, 20))
def test_what_is_covered_lies_on_the_other(length: int, size: float, start: float) -> None:
    other = 60
    (rows, _) = Placement((size, 1.0), (start, 0.0)).covered((length, 10), (other, 10))
    assert rows.start % 2 == 0 and (rows.stop - rows.start) % 2 == 0
    assert rows.stop <= length
    if rows.stop > rows.start:
        assert size * (rows.start - 0.5) + start >= -0.5 - 1e-4
        assert size * (rows.stop - 0.5) + start <= other - 0.5 + 1e-4


def test_whole_pictures_warp_onto_themselves() -> None:
    picture = discs(0)
    assert np.allclose(
        warp(picture, Placement.whole(picture.shape, picture.shape), picture.shape), picture
    )
    color = np.stack([picture, picture / 2, picture / 3], 2)
    small = warp(color, Placement.whole(SHAPE, picture.shape), SHAPE)
    assert small.shape == (*SHAPE, 3)
    assert np.allclose(small[..., 1], small[..., 0] / 2, atol=1e-3)


def test_unlike_pictures_are_unlike() -> None:
    one = warp(discs(0), Placement.whole(SHAPE, discs(0).shape), SHAPE)
    other = discs(3)
    assert likeness(one, warp(other, register(one, other), SHAPE)) < 0.7
    assert likeness(one, 0.5 * one + 9) == pytest.approx(1)


def test_colors_are_found_and_what_is_not_shown_stays() -> None:
    rng = np.random.default_rng(0)
    other = rng.random((60, 80, 3)).astype(np.float32)
    true = np.array([[0.9, 0.05, 0, 0.02], [0, 0.8, 0.1, 0.05], [0.02, 0, 1.1, -0.03]])
    one = (other @ true[:, :3].T + true[:, 3]).astype(np.float32)
    one[:10, :20] = 1  # a logo
    assert np.abs(fit_color(one, other, np.eye(3, 4)) - true).max() < 0.01
    grey = np.full((40, 40, 3), 0.5, np.float32)
    matrix = fit_color(grey * 0.9, grey, np.eye(3, 4))
    assert np.abs(grey[0, 0] @ matrix[:, :3].T + matrix[:, 3] - 0.45).max() < 0.002
    assert np.abs(matrix - np.eye(3, 4)).max() < 0.06
