"""Threads, CUDA streams and pinned memory; nothing else in the program has any.

Every queue is bounded, an error raised on one side reaches the other with its traceback, and every
thread is joined when its `with` ends, also when the consumer gives up half way.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from remaster.frames import FrameBatch

T = TypeVar("T")
R = TypeVar("R")

_END = object()


@contextlib.contextmanager
def background(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Run an iterable in a thread, at most `depth` items ahead of its consumer.

    Closing the `with` stops the thread after the item it is at and closes the iterable there.
    """
    ahead: queue.Queue[object] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(item: object) -> None:
        while not stop.is_set():
            try:
                ahead.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                put(item)
                if stop.is_set():
                    return
            put(_END)
        except BaseException as error:  # noqa: BLE001 - crosses to the consumer
            put(error)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    def drain() -> Iterator[T]:
        while (item := ahead.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item  # type: ignore[misc]

    thread = threading.Thread(target=work, name="remaster-background", daemon=True)
    thread.start()
    try:
        yield drain()
    finally:
        stop.set()
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
            for future in waiting:
                future.cancel()

    def use_one_core() -> None:
        torch.set_num_threads(1)  # holds for the calling thread

    pool = ThreadPoolExecutor(workers, "remaster-worker", initializer=use_one_core)
    with pool:
        yield results(pool)


def upload(batches: Iterable[FrameBatch], device: torch.device) -> Iterator[FrameBatch]:
    """Copy batches to a CUDA device from pinned memory, one ahead, on a stream of its own.

    The consumer's stream waits for the copy it is handed; the allocator is told who reads the
    memory, so that it is not given away while in use.
    """
    copies = torch.cuda.Stream(device)

    def start(batch: FrameBatch) -> tuple[FrameBatch, tuple[torch.Tensor, ...], torch.cuda.Event]:
        pinned = [plane.pin_memory() for plane in batch.stacked()]
        with torch.cuda.stream(copies):
            planes = tuple(plane.to(device, non_blocking=True) for plane in pinned)
        return batch, planes, copies.record_event()

    def finish(
        batch: FrameBatch, planes: tuple[torch.Tensor, ...], copied: torch.cuda.Event
    ) -> FrameBatch:
        consumer = torch.cuda.current_stream(device)
        consumer.wait_event(copied)
        for plane in planes:
            plane.record_stream(consumer)
        return batch.with_planes(planes)

    pending = None
    for batch in batches:
        started = start(batch)
        if pending is not None:
            yield finish(*pending)
        pending = started
    if pending is not None:
        yield finish(*pending)


def download(batches: Iterable[FrameBatch], device: torch.device) -> Iterator[FrameBatch]:
    """Copy batches from a CUDA device into pinned memory on a stream of its own, one behind."""
    copies = torch.cuda.Stream(device)

    def start(batch: FrameBatch) -> tuple[FrameBatch, tuple[torch.Tensor, ...], torch.cuda.Event]:
        planes = batch.stacked()
        copies.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(copies):
            host = tuple(torch.empty(p.shape, dtype=p.dtype, pin_memory=True) for p in planes)
            for target, plane in zip(host, planes):
                target.copy_(plane, non_blocking=True)
                plane.record_stream(copies)
        return batch, host, copies.record_event()

    def finish(
        batch: FrameBatch, planes: tuple[torch.Tensor, ...], copied: torch.cuda.Event
    ) -> FrameBatch:
        copied.synchronize()
        return batch.with_planes(planes)

    pending = None
    for batch in batches:
        started = start(batch)
        if pending is not None:
            yield finish(*pending)
        pending = started
    if pending is not None:
        yield finish(*pending)
