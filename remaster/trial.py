"""A short stretch of a film decoded, enlarged and encoded, to say how long all of it takes.

Nothing is left on the disk.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from remaster.drawings import ReuseCount
from remaster.engines.host import keep_freed_memory
from remaster.errors import SourceError
from remaster.frames import Frame
from remaster.media.containers import container_format
from remaster.media.details import other_bytes_per_second
from remaster.media.extent import film_extent, picture_from
from remaster.media.reader import DamageReport, FieldReport
from remaster.media.streams import plan_streams
from remaster.media.trial import trial_encoder
from remaster.options import RunOptions
from remaster.pipeline import (
    Stopwatches,
    batch_size,
    decoded,
    enlarged,
    prepared,
    workers,
)
from remaster.plan import Plan
from remaster.upscale import Upscaler

__all__ = ["Forecast", "forecast"]

LONGEST_SECONDS = 8.0
"""Of computing; finishing what was begun and starting up come on top."""

LONGEST_STRETCH = Fraction(10)
"""Seconds of film; more would tell little more."""

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.M)


@dataclass(frozen=True)
class Forecast:
    """What a short trial says of the whole run."""

    trial_frames: int
    trial_seconds: float
    frames: int
    """That the run will have."""

    seconds: float
    bytes: int
    memory_bytes: int | None
    """The most that this process held in the trial; None where the system does not say."""

    @property
    def frames_per_second(self) -> float:
        return self.trial_frames / self.trial_seconds if self.trial_seconds > 0 else 0.0


@dataclass(frozen=True)
class _Trial:
    frames: int
    timed_frames: int
    seconds: float
    """That the timed frames took."""

    is_whole: bool
    """Whether every frame of the stretch was reached."""


def forecast(plan: Plan, output: Path, options: RunOptions) -> Forecast:
    """Try a plan on the middle of its part, and reckon from there.

    Raises what a run would: OutputError, SourceError, MemoryShortage.
    """
    container = container_format(output, options.format)
    begin, end = _part(plan)
    length = min(LONGEST_STRETCH, end - begin)
    middle = max(begin, picture_from(plan.source, begin + (end - begin - length) / 2, length))
    frames = _frames(plan, begin, end)
    _forget_peak()
    with trial_encoder(plan.target, plan.encoding, container) as encoder:
        stretch = replace(plan, start=middle, end=middle + length)
        trial = _try(stretch, options, encoder.write)
        if trial.is_whole and length == end - begin:
            frames = trial.frames
        film = encoder.bytes_of(frames)
    kept = plan_streams(plan.source, container).having("copy", "convert")
    indices = frozenset(each.stream.index for each in kept)
    others = other_bytes_per_second(plan.source, indices, middle, length) * float(end - begin)
    return Forecast(
        trial_frames=trial.timed_frames,
        trial_seconds=trial.seconds,
        frames=frames,
        seconds=frames * trial.seconds / trial.timed_frames,
        bytes=round(film + others),
        memory_bytes=_peak(),
    )


def _part(plan: Plan) -> tuple[Fraction, Fraction]:
    """(begin, end) in seconds of what the run will read.

    Raises SourceError when nothing is there.
    """
    first, last = film_extent(plan.source, LONGEST_STRETCH)
    begin = first if plan.start is None else max(first, plan.start)
    end = last if plan.end is None else min(last, plan.end)
    if end <= begin:
        raise SourceError(f"{plan.source.name}: no frame between --start and --end")
    return begin, end


def _frames(plan: Plan, begin: Fraction, end: Fraction) -> int:
    video = plan.source.video
    if plan.start is None and plan.end is None and video.frame_count:
        return video.frame_count
    return max(round((end - begin) * (video.frame_rate or Fraction(25))), 1)


def _try(plan: Plan, options: RunOptions, write: Callable[[Frame | None], None]) -> _Trial:
    """The stages of a run; its first frames are not timed where many follow.

    Raises SourceError when there is no frame.
    """
    keep_freed_memory()
    upscaler = Upscaler(plan.model, plan.source.video, plan.target, plan.device, plan.dtype)
    frames, size = decoded(plan, DamageReport(), FieldReport()), batch_size(plan, options)
    watches = Stopwatches()
    count = warm = 0
    is_whole = True
    with contextlib.ExitStack() as stack:
        ready = stack.enter_context(prepared(plan, frames, size, watches, ReuseCount()))
        began = warm_at = time.perf_counter()
        for batch in stack.enter_context(enlarged(plan, upscaler, ready, watches.network)):
            for frame in batch.frames:
                write(frame)
            if not count:
                warm, warm_at = len(batch), time.perf_counter()
            count += len(batch)
            if time.perf_counter() - began > LONGEST_SECONDS:
                is_whole = False
                break
        if not count:
            raise SourceError(f"{plan.source.name}: no frame between --start and --end")
        write(None)
        ended = time.perf_counter()
    if count - warm < 4 * workers():  # those which were ready at once would count too much
        return _Trial(count, count, ended - began, is_whole)
    return _Trial(count, count - warm, ended - warm_at, is_whole)


def _forget_peak() -> None:
    """Let the system count this process's most memory anew, where it can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int | None:
    with contextlib.suppress(OSError):
        found = _PEAK.search(Path("/proc/self/status").read_text())
        return int(found[1]) * 1024 if found else None
    return None
