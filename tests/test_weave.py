"""What an old print does by itself is no change; what goes on is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F

from remaster.drawings import ReuseCount, held_as_drawings
from remaster.frames import Frame, PixelLayout
from tests.drawn import LAYOUTS, YUV420, Planes, coded, film_info, picture

SIZE = (160, 192)
Place = tuple[float, float, float]
"""Right, down, and brighter."""


def a_print(number: int, seed: int = 0, shift: float = 0.15, light: float = 0.7) -> list[Place]:
    """A bounded walk of that many pixels and levels."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(number, 3, generator=generator).mul(0.8)
    places = [steps[0]]
    for step in steps[1:]:
        places.append(0.6 * places[-1] + step)
    walk = torch.stack(places) * torch.tensor([shift, shift, light])
    return [(float(x), float(y), float(z)) for x, y, z in walk]


def exposed(places: Sequence[Place], opens: Sequence[int] = (), zoom: float = 0) -> list[Planes]:
    """The face in each place; its mouth is open in some frames."""
    shown = []
    for i, (right, down, light) in enumerate(places):
        luma, *chroma = picture(SIZE, right, down, 1 + zoom * i)
        if i in opens:
            luma[80:90, 78:94] = 40
        shown.append((luma + light, *chroma))
    return shown


def found(
    shown: Sequence[Planes], sigma: float, layout: PixelLayout = YUV420
) -> tuple[list[Frame], ReuseCount]:
    count = ReuseCount()
    source = [Frame(i, coded(planes, layout, sigma, 500 + i), 1) for i, planes in enumerate(shown)]
    return list(held_as_drawings(source, film_info(SIZE, layout), count)), count


def error(frame: Frame, truth: Planes) -> float:
    """Mean absolute, of luma, in levels."""
    return float((frame.planes[0] - truth[0]).abs().mean())


@pytest.mark.parametrize("sigma", [0, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_drawing_on_an_unsteady_print_is_held(seed: int, sigma: float) -> None:
    _, count = found(exposed(a_print(48, seed)), sigma)
    assert count.new_cells < 0.3 * count.cells


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.subsampling)
def test_a_print_is_held_in_every_layout(layout: PixelLayout) -> None:
    _, count = found(exposed(a_print(40)), 2, layout)
    assert count.new_cells < 0.25 * count.cells


def test_a_print_is_steadier_and_nearer_to_its_drawing() -> None:
    still = picture(SIZE)
    shown = exposed(a_print(48))
    frames, _ = found(shown, 3)
    source = [error(Frame(0, coded(planes, YUV420, 3, 9)), still) for planes in shown]
    assert sum(error(frame, still) for frame in frames) < 0.4 * sum(source)
    changes = sum(a.planes is not b.planes for a, b in zip(frames, frames[1:], strict=False))
    assert changes < 15


@pytest.mark.parametrize("sigma", [0, 3])
def test_a_mouth_opens_over_an_unsteady_print(sigma: float) -> None:
    opens = [i for i in range(48) if i // 6 % 2]
    shown = exposed(a_print(48), opens)
    frames, count = found(shown, sigma)
    assert count.new_cells < 0.2 * count.cells
    for i, frame in enumerate(frames):
        lip = float(frame.planes[0][82:88, 80:92].float().mean())
        assert (lip < 100) == (i in opens)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_what_opens_is_lit_like_what_is_held(layout: PixelLayout) -> None:
    """Where nothing is drawn, no edge of a square shows between new and held."""
    opens = [i for i in range(48) if i // 6 % 2]
    frames, _ = found(exposed(a_print(48, light=1.5), opens), 0, layout)
    level = 2 ** (layout.bit_depth - 8)
    still = exposed([(0.0, 0.0, 0.0)], [0])[0][0]
    edges = (still.diff(dim=1).abs() > 0.1).float()
    flat = F.max_pool2d(edges[None, None], 5, 1, 2)[0, 0] == 0
    for frame in frames[1:]:
        assert frame.changed is not None
        if frame.changed.all() or not frame.changed.any():
            continue
        across = frame.planes[0].float().diff(dim=1).abs()
        assert float(across[flat].max()) <= 1.5 * level


@pytest.mark.parametrize("sigma", [0, 3])
@pytest.mark.parametrize(("right", "down", "zoom"), [(0.05, 0, 0), (0, -0.1, 0), (0, 0, 0.0007)])
def test_a_camera_that_goes_on_is_followed(
    right: float, down: float, zoom: float, sigma: float
) -> None:
    """What is shown is no farther from its place than the weaving print."""
    weave = a_print(48)
    moved = [(x + right * i, y + down * i, z) for i, (x, y, z) in enumerate(weave)]
    frames, _ = found(exposed(moved, zoom=zoom), sigma)
    truth = exposed([(right * i, down * i, 0.0) for i in range(48)], zoom=zoom)
    source = [
        error(Frame(i, coded(own, YUV420, sigma, 500 + i)), clean)
        for i, (own, clean) in enumerate(zip(exposed(moved, zoom=zoom), truth, strict=True))
    ]
    own = [error(frame, clean) for frame, clean in zip(frames, truth, strict=True)]
    assert sum(own) < 1.02 * sum(source)
    assert max(own) < max(source) + 0.2


@pytest.mark.parametrize("sigma", [0, 3])
def test_a_fade_of_a_print_is_followed(sigma: float) -> None:
    shown = exposed([(x, y, z - 0.5 * i) for i, (x, y, z) in enumerate(a_print(48))])
    frames, _ = found(shown, sigma)
    for frame, own in zip(frames, shown, strict=True):
        assert abs(float(frame.planes[0].float().mean() - own[0].mean())) < 2.5


@pytest.mark.parametrize("step", [0.1, 0.3])
def test_a_part_that_moves_over_a_print_is_followed(step: float) -> None:
    weave = a_print(48)
    shown, truth = exposed(weave), exposed([(0.0, 0.0, 0.0)] * 48)
    part = slice(40, 88), slice(120, 168)
    for i, (planes, clean) in enumerate(zip(shown, truth, strict=True)):
        right, down, light = weave[i]
        planes[0][part] = picture(right=right + step * i, down=down)[0][30:78, 30:78] + light
        clean[0][part] = picture(right=step * i)[0][30:78, 30:78]
    frames, count = found(shown, 2)
    for frame, clean in zip(frames, truth, strict=True):
        assert float((frame.planes[0] - clean[0])[part].abs().mean()) < 4
    assert count.new_cells < 0.4 * count.cells
