"""OpenCV's denoisers: less noise, edges where they were, and the published numbers."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from remaster.denoising import DEFAULT, Denoising, denoised, sharpened
from remaster.errors import OptionsError


def drawing(side: int = 64) -> NDArray[np.uint8]:
    """Flat colours with an edge: red and dark on the left, blue and light on the right."""
    picture = np.empty((side, side, 3), np.uint8)
    picture[:, : side // 2] = (180, 40, 30)
    picture[:, side // 2 :] = (90, 120, 230)
    return picture


def noisy(picture: NDArray[np.uint8], levels: float) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(0, levels, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def error(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(((one.astype(float) - other) ** 2).mean() ** 0.5)


def test_noise_goes_and_the_drawing_stays() -> None:
    clean = drawing()
    given = noisy(clean, 4)
    found = denoised(given)
    assert (found.shape, found.dtype) == (given.shape, np.uint8)
    assert error(found, clean) < 0.6 * error(given, clean)
    assert error(denoised(clean), clean) < 1.5  # red is still red: its channels are in order


def test_what_was_given_is_not_changed() -> None:
    given = noisy(drawing(), 4)
    kept = given.copy()
    denoised(given)
    sharpened(given)
    assert np.array_equal(given, kept)
    given.flags.writeable = False
    denoised(given[:, ::-1])
    sharpened(given[::2])


def test_each_filter_can_be_left_out() -> None:
    given = noisy(drawing(), 6)
    nothing = Denoising(strength=0, color_strength=0, bilateral=0)
    assert np.array_equal(denoised(given, nothing), given)
    alone = [
        denoised(given, Denoising(strength=0, color_strength=0)),
        denoised(given, Denoising(bilateral=0)),
        denoised(given, Denoising(strength=0, color_strength=0, bilateral=0, median=3)),
    ]
    for i, one in enumerate(alone):
        assert error(one, drawing()) < error(given, drawing())
        assert not any(np.array_equal(one, other) for other in alone[i + 1 :])


def test_stronger_is_smoother() -> None:
    given = noisy(drawing(), 8)
    spread = [
        float(denoised(given, how)[:, :24].astype(float).std(axis=(0, 1)).mean())
        for how in (Denoising(2, 2, bilateral=0), DEFAULT, DEFAULT.final)
    ]
    assert spread == sorted(spread, reverse=True)


def test_the_final_one_has_the_published_numbers() -> None:
    assert DEFAULT.final == Denoising(14, 14, 5, 15, 100)


def test_sharpening_overshoots_at_edges_and_leaves_flat_places() -> None:
    clean = drawing()
    found = sharpened(clean).astype(int)
    assert np.abs(found[:, :8] - clean[:, :8]).max() <= 2
    edge = clean.shape[1] // 2
    assert found[32, edge + 1, 2] > 235 and found[32, edge - 2, 2] < 30  # blue, each side
    rise = found[32, edge, 2] - found[32, edge - 1, 2]
    assert rise > 200


def test_bilateral_is_the_formula() -> None:
    """Five taps, weights exp(-(|dB|+|dG|+|dR|)^2 / 2 s^2) exp(-d^2 / 2 s^2), edges reflected."""
    given = noisy(drawing(16), 10)
    sigma = 50.0
    padded = np.pad(given.astype(float), ((1, 1), (1, 1), (0, 0)), mode="reflect")
    centre, total, weights = padded[1:-1, 1:-1], 0.0, 0.0
    for down, across in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)):
        other = padded[1 + down : 17 + down, 1 + across : 17 + across]
        distance = np.abs(other - centre).sum(-1, keepdims=True)
        weight = np.exp(-(distance**2 + down**2 + across**2) / (2 * sigma**2))
        total, weights = total + weight * other, weights + weight
    found = denoised(given, Denoising(strength=0, color_strength=0, bilateral=sigma))
    assert np.abs(found - total / weights).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (1, 40)])
def test_small_pictures(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 77, np.uint8)
    for found in (denoised(picture), denoised(picture, DEFAULT.final), sharpened(picture)):
        assert found.shape == picture.shape
        assert error(found, picture) <= 2


@pytest.mark.parametrize(
    "wrong",
    [{"strength": -1}, {"template": 4}, {"search": 0}, {"search": 101}, {"bilateral": 1e9},
     {"color_strength": float("nan")}, {"median": 2}],
)  # fmt: skip
def test_wrong_numbers_are_said(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionsError, match=next(iter(wrong)).replace("_", " ")):
        Denoising(**wrong)  # type: ignore[arg-type]


def test_without_opencv_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    for filter_ in (denoised, sharpened):
        with pytest.raises(OptionsError, match=r"pip install 'remaster\[opencv\]'"):
            filter_(drawing())
