"""One run: the stages put in order, and the counts that hold them to their promise.

    file -> reader -> upload -> drawings -> smoothing -> upscale -> download -> writer -> file

Frames in are frames out, at their own times; the writer verifies it on what it wrote.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

from remaster.chains import Assignment
from remaster.drawings import ReuseCount, held_as_drawings, held_exactly
from remaster.engines.host import available_memory, keep_freed_memory, usable_cores
from remaster.errors import OutputError, SourceError
from remaster.frames import Frame, FrameBatch
from remaster.media.containers import Y4M, container_format
from remaster.media.document import write_document
from remaster.media.external_film import ExternalEncoding
from remaster.media.painted import PaintedFilm
from remaster.media.piping import stop_standard_input
from remaster.media.reader import DamageReport, FieldReport, read_frames
from remaster.media.writer import Writer
from remaster.media.y4m import Y4mWriter
from remaster.memory import Need, check_memory, estimate
from remaster.models.interpolation import Interpolation
from remaster.options import RunOptions
from remaster.plan import Plan, make_plan
from remaster.report import Reuse, film_document
from remaster.smoothing import smoothed
from remaster.transfer import background, download, parallel_map, upload
from remaster.upscale import Canvas, Patch, Upscaler, held_alike

T = TypeVar("T")

FRAMES_AHEAD = 4
"""Decoded or finished batches that may wait in a queue."""

MOST_WORKERS = 8
"""Each holds a frame being computed; beyond this the encoder is what bounds a run."""


@dataclass(frozen=True)
class Progress:
    """Where a run is."""

    frames: int
    total: int | None
    """An estimate where the container does not say; None where nothing is known."""

    seconds: float

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        if not self.total or not self.frames:
            return None
        return max(self.total - self.frames, 0) / self.frames_per_second


@dataclass(frozen=True)
class RunResult:
    """What a run did."""

    output: Path
    frames: int
    bytes: int
    seconds: float
    start_up_seconds: float
    busy_seconds: dict[str, float]
    """`decode`, `drawings` (finding, fusing and smoothing), `network`, `encode`: time spent inside
    each, all its threads together."""

    advice: str
    warnings: tuple[str, ...]
    plan: Plan
    reuse: Reuse
    is_read_back: bool = True
    """Whether the output was read again and compared; False for a pipe."""

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds if self.seconds > 0 else 0.0


class Stopwatch:
    """Adds up the time spent in one stage, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds = 0.0
        self.core_seconds = 0.0
        """Of `seconds`, what the thread did work in, on a processor core."""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        began, worked = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            seconds, worked = time.perf_counter() - began, time.thread_time() - worked
            with self._lock:
                self.seconds += seconds
                self.core_seconds += worked

    def stage(self, stage: Callable[[Iterable[T]], Iterable[T]], items: Iterable[T]) -> Iterator[T]:
        """What a stage makes of items; counts its own time, without that of the items."""
        return self.pulling(stage(self._waiting_for(items)))

    def _waiting_for(self, items: Iterable[T]) -> Iterator[T]:
        """The same items; takes the time it takes to make each off what is counted."""
        waiting = Stopwatch()
        for item in waiting.pulling(items):
            self.seconds -= waiting.seconds
            waiting.seconds = 0.0
            yield item
        self.seconds -= waiting.seconds

    def pulling(self, items: Iterable[T]) -> Iterator[T]:
        """The same items; counts the time it takes to make each."""
        iterator = iter(items)
        try:
            while True:
                with self.running():
                    item = next(iterator, _END)
                if item is _END:
                    return
                yield cast("T", item)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()


_END = object()


@dataclass(frozen=True)
class Stopwatches:
    """One for each stage."""

    decode: Stopwatch = field(default_factory=Stopwatch)
    drawings: Stopwatch = field(default_factory=Stopwatch)
    network: Stopwatch = field(default_factory=Stopwatch)
    encode: Stopwatch = field(default_factory=Stopwatch)

    @property
    def seconds(self) -> dict[str, float]:
        """Of each stage, by name."""
        return {name: watch.seconds for name, watch in vars(self).items()}


def run(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: RunOptions | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    planned: Callable[[Plan], None] | None = None,
) -> RunResult:
    """Remaster one file.

    Args:
        source: a local video file; `-` for standard input.
        output: .mp4, .mkv, .mov, .webm or .y4m; it appears when it is whole and verified.
            `-` for standard output.
        options: see `RunOptions`.
        progress: called after every batch.
        planned: called once before the first frame.

    Raises:
        RemasterError: with one sentence for the user. Nothing is left at `output`.
    """
    began = time.perf_counter()
    try:
        plan = make_plan(Path(source), Path(output), options or RunOptions())
        plan = within_memory(plan, options or RunOptions())
        if planned is not None:
            planned(plan)
        result = _execute(plan, Path(output), options or RunOptions(), progress, began)
        if options is not None and options.report is not None:
            write_report(options.report, [film_document(result)], overwrite=options.overwrite)
        return result
    finally:
        stop_standard_input()


def write_report(
    path: Path,
    films: Sequence[Mapping[str, object]],
    pictures: Sequence[Mapping[str, object]] = (),
    *,
    overwrite: bool,
) -> None:
    """Write what became of films, and of pictures, as JSON.

    Raises OutputError, which says that they are there.
    """
    document = {"films": list(films)} if films or not pictures else {}
    if pictures:
        document["pictures"] = list(pictures)
    try:
        write_document(path, document, overwrite=overwrite)
    except OutputError as error:
        raise OutputError(f"{error} What it tells of is finished.") from error


def decoded(plan: Plan, damage: DamageReport, fields: FieldReport) -> Iterator[Frame]:
    """The source's frames in the part that a plan is about, on the source's clock, progressive."""
    return read_frames(
        plan.source,
        start=plan.start,
        end=plan.end,
        damage=damage,
        deinterlace=plan.interlacing.order if plan.deinterlaces else None,
        fields=fields,
    )


def batch_size(plan: Plan, options: RunOptions) -> int:
    """Frames computed together."""
    return options.batch or (1 if plan.device.type == "cpu" else 8)


def batches(frames: Iterable[Frame], size: int) -> Iterator[FrameBatch]:
    """Frames in groups of `size`, the last one smaller."""
    iterator = iter(frames)
    while group := tuple(itertools.islice(iterator, size)):
        yield FrameBatch(group)


def cleaned(plan: Plan, frames: Iterable[Frame], count: ReuseCount) -> Iterable[Frame]:
    """As many frames at the same times, with the drawings that are held found, then smoothed."""
    video = plan.source.video
    if plan.reuse == "exact":
        frames = held_exactly(frames, video, count)
    elif plan.reuse == "drawings":
        frames = held_as_drawings(frames, video, count)
    return smoothed(frames, plan.smooth, video.layout) if plan.smooth else frames


@contextlib.contextmanager
def prepared(
    plan: Plan,
    frames: Iterable[Frame],
    size: int,
    watches: Stopwatches,
    count: ReuseCount,
    look: Callable[[Frame], None] | None = None,
) -> Iterator[Iterator[FrameBatch]]:
    """Frames in batches of `size` as the network is to see them, made ahead of who takes them.

    On a CPU they are cleaned in the thread that reads; for CUDA they are read there, and uploaded
    and cleaned in the thread that takes them.

    Args:
        frames: decoded ones.
        look: is shown every frame as the network gets it.
    """

    def clean(frames: Iterable[Frame]) -> Iterable[Frame]:
        if plan.reuse != "off" or plan.smooth:
            frames = watches.drawings.stage(lambda given: cleaned(plan, given, count), frames)
        return frames if look is None else _shown_to(look, frames)

    read = watches.decode.pulling(frames)
    if plan.device.type == "cpu":
        with background(batches(clean(read), size), FRAMES_AHEAD) as ready:
            yield ready
        return
    with background(batches(read, size), FRAMES_AHEAD) as ready:
        uploaded = upload(ready, plan.device)
        yield batches(clean(frame for batch in uploaded for frame in batch.frames), size)


def _shown_to(look: Callable[[Frame], None], frames: Iterable[Frame]) -> Iterator[Frame]:
    for frame in frames:
        look(frame)
        yield frame


@contextlib.contextmanager
def enlarged(
    plan: Plan, upscaler: Upscaler, source_batches: Iterable[FrameBatch], network: Stopwatch
) -> Iterator[Iterator[FrameBatch]]:
    """Batches through the upscaler: on worker threads (CPU) or on streams (CUDA).

    What is new in each frame is computed in any order, put together in theirs, and brought to the
    target's size again in any.
    """
    canvas = Canvas(upscaler)

    def compute(assignments: tuple[Assignment, ...]) -> tuple[Patch, ...]:
        with network.running():
            return upscaler.compute(assignments)

    def compose(patches: tuple[Patch, ...]) -> FrameBatch:
        with network.running():
            return canvas.finished(patches)

    def fit(batch: FrameBatch) -> FrameBatch:
        with network.running():
            return upscaler.fitted(batch)

    with contextlib.ExitStack() as stack:
        if plan.device.type == "cpu":
            assigned = map(upscaler.assigned, source_batches)
            patches = stack.enter_context(parallel_map(compute, assigned, workers()))
            composed = map(compose, patches)
            if upscaler.fits:
                yield composed
            else:
                fitted = stack.enter_context(parallel_map(fit, composed, workers()))
                yield held_alike(fitted)
            return
        uploaded = upload(source_batches, plan.device)
        assigned = map(upscaler.assigned, uploaded)
        finished = held_alike(map(fit, map(compose, map(compute, assigned))))
        downloaded = download(finished, plan.device)
        yield stack.enter_context(background(downloaded, FRAMES_AHEAD))


def workers() -> int:
    """Threads that compute on a CPU: one for each core this process may use, up to a bound."""
    return min(usable_cores(), MOST_WORKERS)


def memory_need(plan: Plan, options: RunOptions) -> Need:
    """What a run of this plan will need, estimated before its frames are decoded.

    Making the plan decodes some of them one after the other, in less memory than the run's decoder
    is counted with: its first picture, and about a hundred whose fields are measured.
    """
    batch = batch_size(plan, options)
    ahead = batch * (FRAMES_AHEAD + 2 + (workers() if plan.device.type == "cpu" else 2))
    finished = batch * ((workers() if plan.device.type == "cpu" else FRAMES_AHEAD) + 3)
    return estimate(
        plan.source.video,
        plan.target,
        plan.encoding,
        plan.model,
        plan.device,
        plan.dtype,
        workers=workers() * batch,
        cores=usable_cores(),
        source_frames=ahead,
        target_frames=finished,
        reuse=plan.reuse,
        smooths=plan.smooth > 0,
    )


def within_memory(plan: Plan, options: RunOptions) -> Plan:
    """The plan with a note where memory will be short. Raises MemoryShortage where it lacks."""
    video, target = plan.source.video, plan.target
    note = check_memory(
        memory_need(plan, options),
        available_memory(),
        f"{video.width}x{video.height} to {target.width}x{target.height} with "
        f"{plan.encoding.codec}",
    )
    return plan if note is None else replace(plan, notes=(*plan.notes, note))


def _execute(
    plan: Plan,
    output: Path,
    options: RunOptions,
    progress: Callable[[Progress], None] | None,
    began: float,
) -> RunResult:
    keep_freed_memory()
    upscaler = Upscaler(plan.model, plan.source.video, plan.target, plan.device, plan.dtype)
    watches, found = Stopwatches(), ReuseCount()
    damage, fields = DamageReport(), FieldReport()
    shift = 0 if plan.start is None else int(plan.start / plan.source.video.time_base)
    size = batch_size(plan, options)
    total = _expected_frames(plan)
    frames = decoded(plan, damage, fields)
    with contextlib.ExitStack() as stack:
        writer: Writer | Y4mWriter = _writer(plan, output, options)
        stack.enter_context(writer)
        paint = _painted_film(plan, options)
        look = None
        if paint is not None:
            look = _moved(stack.enter_context(paint).write, shift)
        ready = stack.enter_context(prepared(plan, frames, size, watches, found, look))
        results = stack.enter_context(enlarged(plan, upscaler, ready, watches.network))
        stack.callback(stop_standard_input)  # first of all: the reader may be waiting for more
        started, count = time.perf_counter(), 0
        for batch in results:
            for frame in batch.frames:
                with watches.encode.running():
                    writer.write(replace(frame, pts=frame.pts - shift))
            count += len(batch)
            if progress is not None:
                progress(Progress(count, total, time.perf_counter() - started))
        if not count:
            raise SourceError(f"{plan.source.name}: no frame between --start and --end")
        with watches.encode.running():
            if isinstance(writer, Writer):
                written = writer.finish(is_intact=not damage)
            else:
                written = writer.finish()
        if paint is not None:
            paint.finish()
    seconds = time.perf_counter() - started
    busy = watches.seconds
    return RunResult(
        output,
        count,
        written.bytes,
        seconds,
        started - began,
        busy,
        _advice(busy, seconds, plan),
        (*written.warnings, *_warnings(upscaler, damage), *_field_warnings(plan, fields)),
        plan,
        _reuse(plan, count, found, _network_work(upscaler), watches.network.core_seconds),
        written.is_read_back,
    )


def _painted_film(plan: Plan, options: RunOptions) -> PaintedFilm | None:
    if options.debug_reuse is None:
        return None
    return PaintedFilm(options.debug_reuse, plan.source.video, overwrite=options.overwrite)


def _moved(write: Callable[[Frame], None], ticks: int) -> Callable[[Frame], None]:
    """Writes frames that many ticks earlier."""
    return lambda frame: write(replace(frame, pts=frame.pts - ticks))


def _reuse(
    plan: Plan, frames: int, found: ReuseCount, network_work: float, core_seconds: float
) -> Reuse:
    if plan.reuse == "off":
        return Reuse("off", frames, frames, 1.0, 0.0, 1.0, core_seconds, 0.0)
    return Reuse(
        mode=plan.reuse,
        frames=frames,
        drawings=found.drawings,
        new_share=found.new_cells / found.cells,
        fused_share=found.fused_cells / found.cells,
        network_work=network_work,
        network_core_seconds=core_seconds,
        largest_accepted_levels=found.largest_accepted,
    )


def _network_work(upscaler: Upscaler) -> float:
    """Of a finished run, over that of computing every frame whole."""
    return upscaler.work / upscaler.work_of_off if upscaler.work_of_off else 1.0


def _writer(plan: Plan, output: Path, options: RunOptions) -> Writer | Y4mWriter:
    is_y4m = container_format(output, options.format) == Y4M
    kind: type[Writer] | type[Y4mWriter] = Y4mWriter if is_y4m else Writer
    return kind(
        output,
        plan.source,
        plan.target,
        plan.encoding,
        overwrite=options.overwrite,
        start=plan.start,
        end=plan.end,
        named=options.format,
    )


def _expected_frames(plan: Plan) -> int | None:
    """How many frames the run will have, by what the file says of itself."""
    video = plan.source.video
    if plan.start is None and plan.end is None:
        return video.frame_count
    length = plan.source.duration_seconds
    if not video.frame_rate or (plan.end is None and length is None):
        return None
    last = min(float(plan.end if plan.end is not None else length), length or math.inf)  # type: ignore[arg-type]
    return max(round((last - float(plan.start or 0)) * float(video.frame_rate)), 1)


def _warnings(upscaler: Upscaler, damage: DamageReport) -> Iterator[str]:
    for count, what in (
        (damage.failed_packets, "packets could not be decoded"),
        (damage.corrupt_frames, "frames are damaged in the source"),
        (damage.mended_times, "frames had a damaged time; put between their neighbours"),
        (damage.moved_frames, "frames came at or before the time of the one before; moved a tick"),
        (len(upscaler.repeated), "frames came out wrong and were computed again in fp32"),
        (len(upscaler.kept), "frames look black or constant although their source does not"),
    ):
        if count:
            yield f"{count} {what}"
    if damage.restarts:
        yield (
            f"the clock of the picture started again {damage.restarts} times: the parts follow one "
            "another; look whether the sound is in step"
        )
    if damage.resized_frames:
        yield (
            f"{damage.resized_frames} pictures of the source have another size or format "
            f"(the first: {damage.first_resized}) and were brought to that of its first picture"
        )
    if damage.cut_bytes:
        yield "the source breaks off in the middle of a picture; all before it are in the output"
    if damage.missing_seconds:
        yield (
            f"the source breaks off {damage.missing_seconds:.1f} s before the end it states; "
            "everything up to there is in the output"
        )


def _field_warnings(plan: Plan, fields: FieldReport) -> Iterator[str]:
    words = plan.interlacing.words
    if plan.deinterlaces:
        yield (
            f"{words}; made progressive: {fields.matched} frames got a field back from a "
            f"neighbour, in {fields.interpolated} one field was interpolated, {fields.untouched} "
            "were whole and stay untouched"
        )
    elif plan.interlacing.may_be_combed:
        yield f"{words}; --deinterlace off left the fields: frames in motion are combed"


def _advice(busy: dict[str, float], seconds: float, plan: Plan) -> str:
    """One line on what held the run up, and what would help."""
    threads = workers() if plan.device.type == "cpu" else 1
    shares = {
        "decode": busy["decode"] / seconds,
        "network": busy["network"] / seconds / threads,
        "encode": busy["encode"] / seconds,
    }
    if plan.device.type == "cpu":  # one thread does both
        shares["decode"] += busy["drawings"] / seconds
    slowest = max(shares, key=lambda stage: shares[stage])
    if slowest == "network" and isinstance(plan.model, Interpolation):
        return "bound by resampling"
    if slowest == "encode" and isinstance(plan.encoding, ExternalEncoding):
        return "bound by the encoder: a faster preset in --ffmpeg-encoder would help"
    if slowest == "encode":
        return "bound by the encoder: a faster --encoder-preset or a hardware --codec would help"
    if slowest == "network" and plan.device.type == "cpu":
        return "bound by the network: a CUDA device would help"
    if slowest == "network":
        return "bound by the network: a smaller --model or a larger --batch would help"
    if busy["drawings"] > busy["decode"]:
        less = (
            "no --smooth"
            if plan.smooth
            else f"--reuse {'off' if plan.reuse == 'exact' else 'exact'}"
        )
        return f"bound by looking for drawings and smoothing: {less} would be faster"
    return "bound by decoding the source"


__all__ = ["Progress", "RunOptions", "RunResult", "run"]
