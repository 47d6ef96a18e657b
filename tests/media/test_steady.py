"""Times that go on, whatever one of them says."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remaster.media.steady import Steady

STEPS = st.lists(st.integers(1, 8000), min_size=3, max_size=40)
RESTART = 1000


def steadied(times: Sequence[int]) -> tuple[list[int], Steady[int]]:
    steady: Steady[int] = Steady(RESTART)
    given = [each for i, time in enumerate(times) for each in steady.add(i, time, 40)]
    given += steady.flush()
    assert [each.item for each in given] == list(range(len(times)))
    return [each.time for each in given], steady


@given(STEPS)
def test_times_that_grow_stay_as_they_are(steps: list[int]) -> None:
    times = list(accumulate(steps))
    found, steady = steadied(times)
    assert found == times
    assert (steady.mended, steady.restarts) == (0, 0)


@given(STEPS, st.data())
def test_one_damaged_time_is_put_between_its_neighbours(
    steps: list[int], data: st.DataObject
) -> None:
    times = list(accumulate(steps))
    index = data.draw(st.integers(1, len(times) - 2))
    wrong = data.draw(st.integers(-(10**6), 10**6))
    before, after = times[index - 1], times[index + 1]
    damaged = [*times[:index], wrong, *times[index + 1 :]]
    found, steady = steadied(damaged)
    assert found[:index] == times[:index] and found[index + 1 :] == times[index + 1 :]
    assert before <= found[index] <= after
    assert steady.mended == (not before <= wrong <= after)


@given(STEPS, st.integers(0, 10**6))
def test_a_new_clock_goes_on(steps: list[int], start: int) -> None:
    first = [time + start + 10 * RESTART for time in accumulate(steps)]
    second = [40 * i for i in range(20)]
    found, steady = steadied([*first, *second])
    assert found[: len(first)] == first
    assert steady.restarts == 1
    assert all(b - a == 40 for a, b in pairwise(found[len(first) - 1 :]))


def test_the_clock_before_is_found_again() -> None:
    times = [40 * i for i in range(100)]
    found, _ = steadied([*times[:50], 0, 40, 80, *times[53:]])
    assert found == times


@pytest.mark.parametrize("times", [[], [5], [5, 3], [5, 5, 5]])
def test_few_items_come_out(times: list[int]) -> None:
    assert len(steadied(times)[0]) == len(times)
