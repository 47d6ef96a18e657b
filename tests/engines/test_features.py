"""Squares are taken and put back as slices would be."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from remaster.engines.features import MOST_SQUARES, Squares, bounds, filled


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, int, Squares]:
    """(rows, columns) of a frame, and some squares of a grid over it and past its edges."""
    side = draw(st.sampled_from([4, 8]))
    rows, columns = draw(st.integers(3, 40)), draw(st.integers(3, 40))
    offset = draw(st.integers(0, side - 1)) - side
    grid = [n // side + 2 for n in (rows, columns)]
    places = st.tuples(st.integers(0, grid[0]), st.integers(0, grid[1]))
    chosen = draw(st.lists(places, min_size=1, max_size=12, unique=True))
    tops, lefts = (torch.tensor(axis) * side + offset for axis in zip(*chosen))
    return rows, columns, Squares(tops, lefts, side)


def numbers(rows: int, columns: int) -> Tensor:
    """(rows columns, 3), none twice and none zero."""
    return torch.arange(1.0, rows * columns * 3 + 1).view(-1, 3)


@given(layout=layouts(), halo=st.integers(0, 3))
def test_windows_see_what_zero_padding_shows(layout: tuple[int, int, Squares], halo: int) -> None:
    rows, columns, squares = layout
    cells, margin = numbers(rows, columns), 3 * squares.side
    padded = F.pad(cells.view(rows, columns, 3), (0, 0, margin, margin, margin, margin))
    width = squares.side + 2 * halo
    seen = squares.windows(rows, columns, halo).gathered(cells).view(-1, width, width, 3)
    for top, left, found in zip(squares.tops.tolist(), squares.lefts.tolist(), seen, strict=True):
        down, across = top - halo + margin, left - halo + margin
        expected = padded[down : down + width, across : across + width]
        if expected.shape == found.shape:  # else past all that was padded
            assert torch.equal(found, expected)


@given(layout=layouts(), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
def test_what_is_put_back_lies_where_it_was_taken(
    layout: tuple[int, int, Squares], dtype: torch.dtype
) -> None:
    rows, columns, squares = layout
    cells = numbers(rows, columns).to(dtype)
    taken = squares.windows(rows, columns, 0).gathered(cells)
    target = torch.zeros_like(cells)
    squares.runs(rows, columns).put(taken, target)
    inside = torch.zeros(rows, columns, dtype=torch.bool)
    for top, left in zip(squares.tops.tolist(), squares.lefts.tolist()):
        inside[
            max(top, 0) : max(top + squares.side, 0), max(left, 0) : max(left + squares.side, 0)
        ] = True
    assert torch.equal(target, cells * inside.view(-1, 1))


def test_few_numbers_of_squares_are_computed() -> None:
    assert len({filled(count) for count in range(1, MOST_SQUARES + 1)}) <= 20
    for count in range(1, MOST_SQUARES + 1):
        assert count <= filled(count) <= max(count + 3, 1.25 * count)


@given(count=st.integers(1, 2000))
def test_parts_hold_every_square_once(count: int) -> None:
    parts = bounds(count)
    assert [i for start, stop in parts for i in range(start, stop)] == list(range(count))
    assert all(0 < stop - start <= MOST_SQUARES for start, stop in parts)


def test_filled_squares_repeat_the_last_one() -> None:
    squares = Squares(torch.arange(5) * 8, torch.arange(5) * 8, 8)
    more = squares.filled()
    assert len(more) == filled(5) == 8
    assert more.tops.tolist() == [0, 8, 16, 24, 32, 32, 32, 32]
