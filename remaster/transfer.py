"""Threads, CUDA streams and pinned memory; nothing else in the program has any.

Every queue is bounded, an error raised on one side reaches the other with its traceback, and every
thread is joined when its `with` ends, also when the consumer gives up half way.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Generic, TypeVar, cast

import torch

from remaster.frames import FrameBatch

T = TypeVar("T")
R = TypeVar("R")

_END = object()


class _Ahead(threading.Thread):
    """Puts items into a bounded queue until they end, fail, or nobody wants them."""

    def __init__(self, items: Iterable[object], depth: int) -> None:
        super().__init__(name="remaster-background", daemon=True)
        self.items = items
        self.queue: queue.Queue[object] = queue.Queue(maxsize=depth)
        self.stop = threading.Event()

    def put(self, item: object) -> None:
        while not self.stop.is_set():
            try:
                self.queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def run(self) -> None:
        torch.set_num_threads(1)  # of this thread alone: the cores are for those who compute
        iterator = iter(self.items)
        try:
            for item in iterator:
                self.put(item)
                if self.stop.is_set():
                    return
            self.put(_END)
        except BaseException as error:  # noqa: BLE001 - crosses to the consumer
            self.put(error)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()


@contextlib.contextmanager
def background(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Run an iterable in a thread, at most `depth` items ahead of its consumer.

    Closing the `with` stops the thread after the item it is at and closes the iterable there.
    """
    thread = _Ahead(items, depth)

    def received() -> Iterator[T]:
        while (item := thread.queue.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield cast("T", item)

    thread.start()
    try:
        yield received()
    finally:
        thread.stop.set()
        thread.join()


class Arrivals(Generic[T]):
    """What a thread has brought so far."""

    def __init__(self, thread: _Ahead) -> None:
        self._thread = thread
        self._is_over = False

    def ready(self) -> list[T]:
        """What has come since the last call, without waiting."""
        return list(self._taken(waits=False))

    def rest(self) -> list[T]:
        """Everything that still comes, up to the end."""
        return list(self._taken(waits=True))

    def _taken(self, *, waits: bool) -> Iterator[T]:
        while not self._is_over:
            try:
                item = self._thread.queue.get(block=waits)
            except queue.Empty:
                return
            self._is_over = item is _END or isinstance(item, BaseException)
            if isinstance(item, BaseException):
                raise item
            if item is not _END:
                yield cast("T", item)


@contextlib.contextmanager
def arrivals(items: Iterable[T]) -> Iterator[Arrivals[T]]:
    """Run an iterable in a thread that never waits for its consumer.

    For what comes back from a program that is fed meanwhile: waiting for the consumer, who waits
    for the program, would stop all three. What waits here is bounded by what was fed. Leaving the
    `with` joins the thread, so the iterable must have come to its end by then.
    """
    thread = _Ahead(items, 0)
    thread.start()
    try:
        yield Arrivals(thread)
    finally:
        thread.stop.set()
        thread.join()


@contextlib.contextmanager
def parallel_map(
    function: Callable[[T], R], items: Iterable[T], workers: int
) -> Iterator[Iterator[R]]:
    """`map` on `workers` threads of one processor core each, in order, one item ahead of each.

    Single-thread workers outrun one team of threads on the same layer, and do not stall when the
    machine has other work.
    """

    def results(pool: ThreadPoolExecutor) -> Iterator[R]:
        waiting: deque[Future[R]] = deque()
        source = iter(items)
        try:
            for item in itertools.islice(source, workers + 1):
                waiting.append(pool.submit(function, item))
            while waiting:
                yield waiting.popleft().result()
                for item in itertools.islice(source, 1):
                    waiting.append(pool.submit(function, item))
        finally:
            for future in reversed(waiting):  # what was begun may wait for an earlier one
                future.cancel()

    def use_one_core() -> None:
        torch.set_num_threads(1)  # holds for the calling thread

    pool = ThreadPoolExecutor(workers, "remaster-worker", initializer=use_one_core)
    with pool:
        yield results(pool)


class Turn:
    """One thread's way through stages that others go through too, each behind the one before it.

    For what is kept from one piece of work to the next, stage by stage: none may change what the
    one before it still reads. Every turn must be taken, and be over, in some thread.

    Args:
        before: whose turn comes first; None for the first of all.
        behind: a stage may be begun when the turn before is through so many, and those up to it.
    """

    def __init__(self, before: Turn | None = None, *, behind: int = 1) -> None:
        self._before, self._behind = before, behind
        self._passed: float = 0
        self._is_over = False
        self._moved = threading.Condition()

    @contextlib.contextmanager
    def stage(self, number: int) -> Iterator[None]:
        """Go through one stage, 0, 1, 2, ... in order, when it may be begun."""
        self.wait(number)
        yield
        self._pass(number + 1)

    def wait(self, number: int) -> None:
        """Until a stage may be begun, or the turn before is over."""
        if self._before is not None:
            self._before._until(number + self._behind)

    def wait_for_before(self) -> None:
        """Until the turn before is over: until what it did can be relied on."""
        before = self._before
        if before is not None:
            with before._moved:
                before._moved.wait_for(lambda: before._is_over)

    def through(self) -> None:
        """Every stage has been gone through; what was read and changed there is free."""
        self._pass(math.inf)

    def over(self) -> None:
        """Nothing more is done in this turn, whether or not all was; may be said again."""
        self._before = None
        self._is_over = True
        self._pass(math.inf)

    def _pass(self, stages: float) -> None:
        with self._moved:
            self._passed = stages
            self._moved.notify_all()

    def _until(self, stages: int) -> None:
        with self._moved:
            self._moved.wait_for(lambda: self._passed >= stages)


Copying = tuple[FrameBatch, tuple[torch.Tensor, ...], torch.cuda.Event]


def _one_ahead(
    batches: Iterable[FrameBatch],
    start: Callable[[FrameBatch], Copying],
    finish: Callable[[Copying], FrameBatch],
) -> Iterator[FrameBatch]:
    """Every batch's copy is under way while the one before is used.

    A frame with the very planes of the one before is not copied: it gets that one's copy.
    """
    last: tuple[torch.Tensor, ...] | None = None
    copied: tuple[torch.Tensor, ...] = ()

    def received(batch: FrameBatch, is_new: list[bool], copying: Copying | None) -> FrameBatch:
        nonlocal copied
        new = iter(() if copying is None else finish(copying).frames)
        frames = []
        for frame, has_own in zip(batch.frames, is_new):
            copied = next(new).planes if has_own else copied
            frames.append(replace(frame, planes=copied))
        return FrameBatch(tuple(frames))

    pending = None
    for batch in batches:
        is_new = []
        for frame in batch.frames:
            is_new.append(frame.planes is not last)
            last = frame.planes
        own = tuple(frame for frame, has_own in zip(batch.frames, is_new) if has_own)
        started = batch, is_new, start(FrameBatch(own)) if own else None
        if pending is not None:
            yield received(*pending)
        pending = started
    if pending is not None:
        yield received(*pending)


def upload(batches: Iterable[FrameBatch], device: torch.device) -> Iterator[FrameBatch]:
    """Copy batches to a CUDA device from pinned memory, one ahead, on a stream of its own.

    Those that lie there are given as they are.

    The consumer's stream waits for the copy it is handed; the allocator is told who reads the
    memory, so that it is not given away while in use.
    """
    copies = torch.cuda.Stream(device)

    def start(batch: FrameBatch) -> Copying:
        pinned = [plane.pin_memory() for plane in batch.stacked()]
        with torch.cuda.stream(copies):
            planes = tuple(plane.to(device, non_blocking=True) for plane in pinned)
        return batch, planes, copies.record_event()

    def finish(copying: Copying) -> FrameBatch:
        batch, planes, copied = copying
        consumer = torch.cuda.current_stream(device)
        consumer.wait_event(copied)
        for plane in planes:
            plane.record_stream(consumer)
        return batch.with_planes(planes)

    items = iter(batches)
    first = next(items, None)
    if first is None:
        return
    if first.frames[0].planes[0].is_cuda:
        yield first
        yield from items
    else:
        yield from _one_ahead(itertools.chain((first,), items), start, finish)


def download(batches: Iterable[FrameBatch], device: torch.device) -> Iterator[FrameBatch]:
    """Copy batches from a CUDA device into pinned memory on a stream of its own, one behind."""
    copies = torch.cuda.Stream(device)

    def start(batch: FrameBatch) -> Copying:
        planes = batch.stacked()
        copies.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(copies):
            host = tuple(torch.empty(p.shape, dtype=p.dtype, pin_memory=True) for p in planes)
            for target, plane in zip(host, planes):
                target.copy_(plane, non_blocking=True)
                plane.record_stream(copies)
        return batch, host, copies.record_event()

    def finish(copying: Copying) -> FrameBatch:
        batch, planes, copied = copying
        copied.synchronize()
        return batch.with_planes(planes)

    return _one_ahead(batches, start, finish)
