"""What is measured of small pictures, and how they are judged."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from remaster.frames import PixelLayout
from remaster.likeness import (
    CELL,
    LEVEL,
    OLDEST,
    SETTLED,
    Noise,
    PairNoise,
    Reference,
    compare,
    shot_noise,
    small_picture,
)
from tests.drawn import LAYOUTS, Planes, coded, picture

QUIET = Noise(1.0, 0.0)
SIZE = (96, 112)


def in_units(levels: Tensor) -> Tensor:
    """A small picture."""
    return (levels * LEVEL).round().short()


def small(
    planes: Planes, sigma: float = 0, seed: int = 0, layout: PixelLayout | None = None
) -> Tensor:
    layout = layout or PixelLayout("444", 8)
    return small_picture(coded(planes, layout, sigma, seed), layout)


def pairs_of(pictures: list[Tensor]) -> list[PairNoise]:
    """As they come in a shot."""
    return [
        compare(now, pictures[i], pictures[i - 1] if i else None)
        for i, now in enumerate(pictures[1:])
    ]


@st.composite
def planes_of(draw: st.DrawFn) -> tuple[PixelLayout, Planes]:
    layout = PixelLayout(
        draw(st.sampled_from(["420", "422", "444", "rgb", "gray"])),
        draw(st.sampled_from([8, 10, 12])),
    )
    size = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    values = 2**layout.bit_depth
    return layout, tuple(
        torch.randint(values, shape, generator=generator).to(layout.dtype)
        for shape in layout.plane_shapes(*size)
    )


@given(made=planes_of())
@settings(max_examples=60, deadline=None)
def test_a_small_picture_holds_means_of_four_luma_samples(made: tuple[PixelLayout, Planes]) -> None:
    layout, planes = made
    before = [plane.clone() for plane in planes]
    result = small_picture(planes, layout)
    height, width = planes[0].shape
    cells = -(-height // CELL), -(-width // CELL)
    assert result.shape == (layout.num_planes + 1, 4 * cells[0], 4 * cells[1])
    assert result.dtype == torch.int16
    assert all(map(torch.equal, planes, before))
    if layout.subsampling == "rgb":
        planes = planes[1], planes[0], planes[2]
    down, across = layout.chroma_step
    for number, plane in enumerate(planes):
        step = (down, across) if number and layout.subsampling != "rgb" else (1, 1)
        rows, columns = (
            # The samples of each 2x2 luma samples, the last one where there are no more.
            (torch.arange(2 * n) // s).clamp_max(side - 1)
            for n, s, side in zip(result.shape[1:], step, plane.shape)
        )
        fine = plane.double()[rows][:, columns]
        expected = fine.unflatten(0, (-1, 2)).unflatten(2, (-1, 2)).mean((1, 3))
        # Whole rows of the small picture are repeated past the end, not rows of the large one.
        ends = [-(-side // 2) for side in (height, width)]
        expected = expected[torch.arange(len(expected)).clamp_max(ends[0] - 1)]
        expected = expected[:, torch.arange(expected.shape[1]).clamp_max(ends[1] - 1)]
        level = 2 ** (layout.bit_depth - 8)
        unit = level / LEVEL
        assert torch.allclose(result[number].double() * unit, expected, rtol=0, atol=unit)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda each: f"{each.subsampling}-{each.bit_depth}")
def test_noise_is_known_by_its_level(layout: PixelLayout) -> None:
    """Independent noise gives a level in proportion, whatever the layout; none gives none."""
    levels = {}
    for sigma in (0, 1, 2, 4):
        pictures = [small(picture(SIZE), sigma, seed, layout) for seed in range(13)]
        levels[sigma] = shot_noise(pairs_of(pictures)).level
        one = [pair.one for pair in pairs_of(pictures)]
        assert levels[sigma] == pytest.approx(sum(one) / len(one), rel=0.1, abs=1e-6)
    assert levels[0] == 0
    assert levels[4] == pytest.approx(2 * levels[2], rel=0.12)
    assert levels[2] == pytest.approx(2 * levels[1], rel=0.2)


@pytest.mark.parametrize("step", [0.05, 0.1, 0.2])
def test_a_steady_move_is_no_noise(step: float) -> None:
    still = pairs_of([small(picture(SIZE), 1, i) for i in range(13)])
    moves = pairs_of([small(picture(SIZE, right=step * i)) for i in range(13)])
    assert min(pair.one for pair in moves) > 0.4
    assert shot_noise(moves).level < 0.5 * shot_noise(still).level
    both = pairs_of([small(picture(SIZE, right=step * i), 1, i) for i in range(13)])
    assert shot_noise(both).level == pytest.approx(shot_noise(still).level, rel=0.35)


def test_motion_everywhere_is_no_noise() -> None:
    moves = pairs_of([small(picture(SIZE, right=9.0 * i, down=5.0 * i)) for i in range(13)])
    random = [in_units(torch.rand(3, 48, 56) * 255) for _ in range(5)]
    assert shot_noise(moves).level < 2
    assert shot_noise(pairs_of(random)).level == 0
    assert shot_noise([]) == Noise()
    assert shot_noise(moves[:1]).level == 0  # two frames tell nothing of what they differ by


def test_a_cut_is_told_from_all_else() -> None:
    face = picture(SIZE)
    other = tuple(255 - plane.flip(0) for plane in face)
    flash = tuple(plane * 0.2 + 190 for plane in face)
    dark = tuple(plane * 0 + level for plane, level in zip(face, (16, 128, 128)))
    for each in (other, flash, dark):
        for sigma in (0, 4):
            a, b = small(face, sigma, 1), small(each, sigma, 2)
            assert compare(a, b, None).is_cut and compare(b, a, None).is_cut
    for each in (face, picture(SIZE, right=1), tuple(plane * 0.98 for plane in face)):
        for sigma in (0, 4):
            assert not compare(small(each, sigma, 1), small(face, sigma, 2), None).is_cut


@given(seeds=st.lists(st.integers(0, 5), min_size=1, max_size=9), sigma=st.sampled_from([0, 2, 9]))
@settings(max_examples=12, deadline=None)
def test_judging_leaves_the_picture_alone(seeds: list[int], sigma: float) -> None:
    reference = Reference()
    for number, seed in enumerate(seeds):
        given_ = small(picture(SIZE, right=3.0 * (seed // 3)), sigma, seed)
        kept = given_.clone()
        new = reference.judge(given_, QUIET, is_cut=seed == 5)
        assert torch.equal(given_, kept)
        assert (new.shape, new.dtype) == ((12, 14), torch.bool)
        assert reference.accepted >= 0
        if number == 0 or seed == 5:
            assert bool(new.all()) and reference.accepted == 0
        given_.zero_()  # what is judged next does not depend on what becomes of it
        again = Reference()
        for earlier in seeds[: number + 1]:
            other = small(picture(SIZE, right=3.0 * (earlier // 3)), sigma, earlier)
            last = again.judge(other, QUIET, is_cut=earlier == 5)
        assert torch.equal(last, new)


@given(
    depth=st.sampled_from([8, 10, 12]),
    top=st.integers(0, 14),
    left=st.integers(0, 17),
    to=st.sampled_from([(0, 1), (1, 0), (1, 1), (1, -1)]),
)
def test_a_sample_that_moves_changes_a_small_picture(
    depth: int, top: int, left: int, to: tuple[int, int]
) -> None:
    layout, level = PixelLayout("gray", depth), 2 ** (depth - 8)
    pictures = []
    for row, column in ((top, left + 1), (top + to[0], left + 1 + to[1])):
        plane = torch.full((16, 20), 100 * level).to(layout.dtype)
        plane[row, column] = 200 * level
        pictures.append(small_picture((plane,), layout))
    difference = (pictures[0] - pictures[1]).abs().max()
    assert float(difference) / LEVEL > 12


def test_what_is_held_is_measured_against_the_mean_of_its_exposures() -> None:
    """A rise so slow that no frame differs from the one before: it is seen all the same."""
    flat = torch.tensor([100.0, 0.0])[:, None, None].expand(2, 64, 64)  # without detail
    rise = torch.tensor([0.05, 0.0])[:, None, None]
    reference = Reference()
    reference.judge(in_units(flat), QUIET, is_cut=False)
    worst = 0.0
    for i in range(1, 120):
        now = in_units(flat + rise * i)
        new = reference.judge(now, QUIET, is_cut=False)
        worst = max(worst, reference.accepted)
        assert bool(new.all()) or not bool(new.any())
    assert 0 < worst < 2


def test_a_spot_is_new_and_its_surroundings_are_not() -> None:
    reference = Reference()
    ground = small(picture(SIZE))
    for _ in range(3):
        reference.judge(ground, QUIET, is_cut=False)
    for row, column in ((0, 0), (5, 7), (11, 13)):
        now = ground.clone()
        now[0, 4 * row + 1 : 4 * row + 3, 4 * column + 1 : 4 * column + 3] += 40 * LEVEL
        new = reference.judge(now, QUIET, is_cut=False)
        assert new.nonzero().tolist() == [[row, column]]
        back = reference.judge(ground, QUIET, is_cut=False)
        assert back.nonzero().tolist() == [[row, column]]
    assert not reference.judge(ground, QUIET, is_cut=False).any()


@pytest.mark.parametrize("held", [1, 4, 30])
def test_what_is_faint_beside_something_new_is_new_where_much_was_new(held: int) -> None:
    """In what was held for long it is the codec's noise around what moves."""
    ground = small(picture(SIZE))
    news = []
    for faint in (1.6, 2.4):
        reference = Reference()
        for _ in range(held):
            reference.judge(ground, Noise(0.1), is_cut=False)
        now = ground.clone()
        now[0, 20:24, 20:24] += 40 * LEVEL  # square (5, 5)
        now[0, 21:23, 29:31] += int(faint * LEVEL)  # square (5, 7)
        new = reference.judge(now, Noise(0.1), is_cut=False)
        assert bool(new[5, 5])
        news.append(bool(new[5, 7]))
    assert news == [held < 30, True]


def test_the_largest_accepted_difference_is_what_was_held() -> None:
    reference = Reference()
    ground = small(picture(SIZE))
    reference.judge(ground, QUIET, is_cut=False)
    now = ground.clone()
    now[0, 21:23, 21:23] += 5 * LEVEL // 4  # one spot of 4x4 luma samples
    assert not reference.judge(now, QUIET, is_cut=False).any()
    assert reference.accepted == pytest.approx(1.25, abs=1e-3)


def test_the_noisier_the_shot_the_more_is_noise() -> None:
    ground = small(picture(SIZE))
    news = []
    for level in (0.0, 1.0, 2.0, 4.0):
        reference = Reference()
        reference.judge(ground, Noise(level), is_cut=False)
        noise = torch.randn(ground.shape, generator=torch.Generator().manual_seed(2))
        now = ground + in_units(1.2 * noise)
        news.append(int(reference.judge(now, Noise(level), is_cut=False).sum()))
    assert news == sorted(news, reverse=True)
    assert news[0] == 12 * 14 and news[-1] == 0


def test_no_square_grows_older_than_the_oldest() -> None:
    reference = Reference()
    ground = small(picture((16, 24)))
    taken = [i for i in range(2 * OLDEST + 2) if reference.judge(ground, QUIET, is_cut=False).any()]
    assert taken == [0, OLDEST, 2 * OLDEST]


def test_the_mean_settles_after_its_first_exposures() -> None:
    """So that later ones cannot drag it along."""
    reference = Reference()
    for value in (0.0, 1.0) * (SETTLED // 2) + (1.5,) * 50:
        levels = torch.tensor([100.0 + value, 0.0])
        now = in_units(levels[:, None, None].expand(2, 8, 8))
        reference.judge(now, Noise(4.0), is_cut=False)
    assert reference.accepted == pytest.approx(1.0, abs=2 / LEVEL)


def test_a_known_difference_is_not_looked_for_again() -> None:
    """And the answer is the same."""
    films = [small(picture(SIZE, right=3.0 * max(i - 4, 0)), 1, i) for i in range(9)]
    told, untold = Reference(), Reference()
    for i, now in enumerate(films):
        step = compare(now, films[i - 1], None).spots if i else None
        ours = told.judge(now, QUIET, is_cut=False, step=step)
        assert torch.equal(ours, untold.judge(now, QUIET, is_cut=False))
        assert told.accepted == untold.accepted


@pytest.mark.parametrize("step", [0.1, 0.5, 3.0])
def test_a_pan_that_stops_is_held_from_the_second_picture_on(step: float) -> None:
    reference = Reference()
    rights = [step * i for i in range(12)] + [step * 11] * 6
    new = [
        float(reference.judge(small(picture(SIZE, right=r)), Noise(), is_cut=False).float().mean())
        for r in rights
    ]
    assert min(new[:12]) > 0.9
    assert max(new[13:]) == 0
