"""Order is kept, errors cross, threads end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from remaster import transfer
from remaster.frames import Frame, FrameBatch
from remaster.transfer import Turn, background, download, parallel_map, upload


def threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith("remaster")}


def double(x: int) -> int:
    time.sleep(0.002 * (x % 3))  # finish out of order
    return 2 * x


def failing(n: int) -> Iterator[int]:
    yield from range(n)
    raise KeyError("source")


def test_order_is_kept() -> None:
    with background(range(50), 3) as numbers, parallel_map(double, numbers, 4) as results:
        assert list(results) == [2 * n for n in range(50)]
    assert not threads()


def test_nothing_in_is_nothing_out() -> None:
    with background([], 3) as numbers, parallel_map(double, numbers, 2) as results:
        assert list(results) == []


def test_an_error_of_the_source_comes_after_what_went_before() -> None:
    seen = []
    with (
        pytest.raises(KeyError, match="source"),
        background(failing(7), 2) as numbers,
        parallel_map(double, numbers, 2) as results,
    ):
        seen.extend(results)
    assert seen[:5] == [0, 2, 4, 6, 8]
    assert not threads()


def test_an_error_of_a_stage_reaches_the_caller() -> None:
    def stage(x: int) -> int:
        if x == 5:
            raise ValueError("stage")
        return x

    with (
        pytest.raises(ValueError, match="stage"),
        background(range(1000), 2) as numbers,
        parallel_map(stage, numbers, 2) as results,
    ):
        list(results)
    assert not threads()


@pytest.mark.parametrize("take", [0, 1, 5])
def test_a_consumer_that_gives_up_ends_everything(take: int) -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.set()

    def consume() -> None:
        with background(source(), 2) as numbers, parallel_map(double, numbers, 2) as results:
            for _ in range(take):
                next(results)
            raise RuntimeError("sink")

    with pytest.raises(RuntimeError, match="sink"):
        consume()
    assert closed.wait(5)
    assert not threads()


def test_the_source_runs_no_further_ahead_than_asked() -> None:
    made = []

    def source() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    with background(source(), 3) as numbers:
        next(numbers)
        time.sleep(0.3)
        assert len(made) <= 6


def test_workers_use_one_core_each() -> None:
    with parallel_map(lambda _: torch.get_num_threads(), range(8), 2) as results:
        assert set(results) == {1}


def test_what_reads_ahead_uses_one_core() -> None:
    with background((torch.get_num_threads() for _ in range(3)), 2) as results:
        assert set(results) == {1}


@pytest.mark.cuda
@pytest.mark.parametrize("slow", [0.0, 0.01])
def test_copies_to_and_from_the_device_are_exact(slow: float) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    device = torch.device("cuda")

    def batch(i: int) -> FrameBatch:
        planes = tuple(torch.randint(0, 255, (64, 64), dtype=torch.uint8) for _ in range(3))
        return FrameBatch((Frame(i, planes), Frame(i + 1, planes)))

    sent = [batch(2 * i) for i in range(20)]

    def work(batches: Iterator[FrameBatch], stage: Callable[[FrameBatch], FrameBatch]):
        for one in batches:
            time.sleep(slow)
            yield stage(one)

    def negative(one: FrameBatch) -> FrameBatch:
        return one.with_planes(tuple(255 - plane for plane in one.stacked()))

    received = list(download(work(upload(sent, device), negative), device))
    for a, b in zip(sent, received):
        assert [f.pts for f in a.frames] == [f.pts for f in b.frames]
        for x, y in zip(a.stacked(), b.stacked()):
            assert torch.equal(255 - x, y)


def test_the_very_planes_of_the_frame_before_are_copied_once() -> None:
    planes = [(torch.full((4, 4), i, dtype=torch.uint8),) for i in range(4)]
    shown = [0, 0, 1, 1, 1, 1, 2, 3, 3, 2]  # across batches, a whole batch held, one that returns
    sent = [Frame(i, planes[which]) for i, which in enumerate(shown)]
    copies: list[int] = []

    def start(batch: FrameBatch) -> transfer.Copying:
        copies.extend(frame.pts for frame in batch.frames)
        return batch, tuple(plane.clone() for plane in batch.stacked()), None

    def finish(copying: transfer.Copying) -> FrameBatch:
        return copying[0].with_planes(copying[1])

    batches = [FrameBatch(tuple(sent[i : i + 2])) for i in range(0, len(sent), 2)]
    received = [f for b in transfer._one_ahead(batches, start, finish) for f in b.frames]
    assert copies == [0, 2, 6, 7, 9]
    assert [frame.pts for frame in received] == list(range(10))
    assert [int(frame.planes[0][0, 0]) for frame in received] == shown
    for before, after, one, other in zip(received, received[1:], sent, sent[1:]):
        assert (after.planes is before.planes) == (other.planes is one.planes)


def test_a_stage_is_begun_when_the_turn_before_is_far_enough() -> None:
    first = Turn()
    second = Turn(first, behind=2)
    begun: list[int] = []

    def follow() -> None:
        for number in range(4):
            with second.stage(number):
                begun.append(number)
        second.over()

    thread = threading.Thread(target=follow)
    thread.start()
    for number in range(3):
        with first.stage(number):
            time.sleep(0.02)
            assert len(begun) == max(number - 1, 0)
    time.sleep(0.02)
    assert begun == [0, 1]
    first.over()
    thread.join(5)
    assert begun == [0, 1, 2, 3]


def test_a_turn_that_failed_holds_nobody_up() -> None:
    first = Turn()
    second = Turn(first)
    with pytest.raises(ValueError, match="in it"), first.stage(0):
        raise ValueError("in it")
    first.over()
    for number in range(3):
        with second.stage(number):
            pass
