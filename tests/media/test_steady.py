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


@given(STEPS, st.data(), st.integers(10**6, 10**9), st.sampled_from([-1, 1]))
def test_one_time_far_off_goes_between_its_neighbours(
    steps: list[int], data: st.DataObject, distance: int, direction: int
) -> None:
    times = list(accumulate(steps))
    index = data.draw(st.integers(1, len(times) - 2))
    wrong = times[index] + direction * distance
    found, steady = steadied([*times[:index], wrong, *times[index + 1 :]])
    assert found[:index] == times[:index] and found[index + 1 :] == times[index + 1 :]
    assert times[index - 1] <= found[index] <= times[index + 1]
    assert steady.mended == 1


@given(STEPS, st.data(), st.integers(-RESTART, RESTART))
def test_one_time_a_little_off_costs_two_items_at_most(
    steps: list[int], data: st.DataObject, error: int
) -> None:
    """Which of two that change places is the wrong one, nobody can tell."""
    times = list(accumulate(steps))
    index = data.draw(st.integers(1, len(times) - 2))
    found, _ = steadied([*times[:index], times[index] + error, *times[index + 1 :]])
    assert sum(a != b for a, b in zip(found, times)) <= 2


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
