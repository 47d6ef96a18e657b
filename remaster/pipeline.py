"""One run: the stages put in order, and the counts that hold them to their promise.

    file -> reader -> upload -> upscale -> download -> writer -> file

Frames in are frames out, at their own times; the writer verifies it on what it wrote.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TypeVar, cast

import torch

from remaster.checkpoint import load_model, read_card, released
from remaster.color import output_color
from remaster.engines.host import keep_freed_memory
from remaster.errors import OptionsError, SourceError
from remaster.frames import Frame, FrameBatch, VideoInfo
from remaster.media.encoders import Encoding, choose_encoding, container_format
from remaster.media.formats import layout_of
from remaster.media.probe import Source, probe
from remaster.media.reader import DamageReport, read_frames
from remaster.media.streams import plan_streams
from remaster.media.writer import Writer, check_output
from remaster.models.interpolation import Interpolation
from remaster.models.network import Network
from remaster.transfer import background, download, parallel_map, upload
from remaster.upscale import RESAMPLER, Upscaler, default_dtype

T = TypeVar("T")

FRAMES_AHEAD = 4
"""Decoded or finished batches that may wait in a queue."""

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
INTERPOLATIONS = {"lanczos": "lanczos", "bicubic": "catmull-rom"}
"""Names of `--model` that need no weights; `identity` is another."""

LARGEST_SIDE = 16384


@dataclass(frozen=True)
class RunOptions:
    """What one run is asked to do; the command line's flags, with their defaults."""

    scale: int | None = None
    """Output pixels per source pixel along each axis, 1 to 16; 2 when no size is given."""

    height: int | None = None
    """Output height instead of a scale; the width follows."""

    size: tuple[int, int] | None = None
    """Output (width, height) instead of a scale; the display's aspect ratio is kept."""

    model: str = "auto"
    """`auto`, a name `remaster models` lists, `identity`, `lanczos`, `bicubic`, or a file."""

    reuse: str = "off"
    batch: int = 0
    """Frames computed together; 0 chooses."""

    device: str = "auto"
    precision: str = "auto"
    codec: str = "libx264"
    crf: int | None = None
    encoder_preset: str | None = None
    pix_fmt: str | None = None
    start: Fraction | None = None
    end: Fraction | None = None
    duration: Fraction | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        sizes = {"--scale": self.scale, "--height": self.height, "--size": self.size}
        given = [name for name, value in sizes.items() if value is not None]
        if len(given) > 1:
            raise OptionsError(f"{' and '.join(given)} say the same thing: give one of them")
        if self.scale is not None and not 1 <= self.scale <= 16:
            raise OptionsError(f"--scale is 1 to 16, not {self.scale}")
        sides = [self.height or 16, *(self.size or ())]
        if not all(16 <= side <= LARGEST_SIDE for side in sides):
            raise OptionsError(f"a side of the output is 16 to {LARGEST_SIDE} pixels")
        if self.end is not None and self.duration is not None:
            raise OptionsError("--end and --duration say the same thing: give one of them")
        if self.start is not None and self.start < 0:
            raise OptionsError(f"--start must not be negative, not {float(self.start):g}")
        if self.duration is not None and self.duration <= 0:
            raise OptionsError(f"--duration must be positive, not {float(self.duration):g}")
        if self.end is not None and self.end <= (self.start or 0):
            raise OptionsError(f"--end ({float(self.end):g} s) must come after --start")
        if self.batch < 0:
            raise OptionsError(f"--batch is a number of frames, not {self.batch}")
        if self.reuse != "off":
            raise OptionsError(f"--reuse is 'off' in this version, not {self.reuse!r}")
        if self.precision not in ("auto", *PRECISIONS):
            known = ", ".join(PRECISIONS)
            raise OptionsError(f"--precision is auto, {known}; not {self.precision!r}")

    @property
    def stop(self) -> Fraction | None:
        """The end in seconds, however it was given."""
        if self.duration is not None:
            return (self.start or Fraction(0)) + self.duration
        return self.end


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
class Plan:
    """What a run is going to do, decided before the first frame."""

    source: Source
    target: VideoInfo
    encoding: Encoding
    model_name: str
    model: Network
    device: torch.device
    dtype: torch.dtype
    start: Fraction | None
    end: Fraction | None
    """Seconds, on the source's ticks."""

    notes: tuple[str, ...]
    """What was assumed and what the container cannot hold, said before work starts."""


@dataclass(frozen=True)
class RunResult:
    """What a run did."""

    output: Path
    frames: int
    bytes: int
    seconds: float
    start_up_seconds: float
    busy_seconds: dict[str, float]
    """`decode`, `network`, `encode`: time spent inside each, all its threads together."""

    advice: str
    warnings: tuple[str, ...]
    plan: Plan

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds if self.seconds > 0 else 0.0


class Stopwatch:
    """Adds up the time spent in one stage, from any thread."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began

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
        source: a local video file.
        output: .mp4, .mkv, .mov or .webm; it appears when it is whole and verified.
        options: see `RunOptions`.
        progress: called after every batch.
        planned: called once before the first frame.

    Raises:
        RemasterError: with one sentence for the user. Nothing is left at `output`.
    """
    began = time.perf_counter()
    plan = make_plan(Path(source), Path(output), options or RunOptions())
    if planned is not None:
        planned(plan)
    return _execute(plan, Path(output), options or RunOptions(), progress, began)


def make_plan(source_path: Path, output: Path, options: RunOptions) -> Plan:
    """Everything that can be decided, and refused, before work starts."""
    source = probe(source_path)
    check_output(output, source, overwrite=options.overwrite)
    video = source.video
    container = container_format(output)
    width, height = output_size(video, options)
    encoding = choose_encoding(
        options.codec,
        video.layout,
        crf=options.crf,
        encoder_preset=options.encoder_preset,
        pix_fmt=options.pix_fmt,
        container=container,
    )
    layout = layout_of(encoding.pixel_format)
    if layout.subsampling != "444":
        width, height = (n + n % 2 for n in (width, height))
    color = output_color(video.color, (video.width, video.height), (width, height))
    aspect = video.sample_aspect_ratio
    if options.size is not None:
        aspect *= Fraction(video.width * height, video.height * width)
    target = replace(
        video, width=width, height=height, layout=layout, color=color, sample_aspect_ratio=aspect
    )
    name, model = choose_model(options.model, max(width / video.width, height / video.height))
    device = _device(options.device)
    dtype = PRECISIONS.get(options.precision) or default_dtype(device)
    start, end = (_on_ticks(t, video.time_base) for t in (options.start, options.stop))
    losses = plan_streams(source, container).warnings
    notes = (*_notes(source, target, name, model), *losses)
    return Plan(source, target, encoding, name, model, device, dtype, start, end, notes)


def output_size(video: VideoInfo, options: RunOptions) -> tuple[int, int]:
    """(width, height) asked for; a width that follows a height is even and nearest."""
    if options.size is not None:
        return options.size
    if options.height is not None:
        return round(video.width * options.height / video.height / 2) * 2, options.height
    scale = options.scale or 2
    width, height = video.width * scale, video.height * scale
    if max(width, height) > LARGEST_SIDE:
        raise OptionsError(
            f"{video.width}x{video.height} enlarged {scale} times is {width}x{height}; a side may "
            f"have {LARGEST_SIDE} pixels: choose a smaller --scale"
        )
    return width, height


def choose_model(name: str, ratio: float) -> tuple[str, Network]:
    """The network for an enlargement by `ratio`: the smallest scale that reaches it.

    Raises:
        OptionsError: there is no such name. CheckpointError: the file is not usable.
    """
    if name == "identity":
        return name, Interpolation(1, "catmull-rom")
    if name in INTERPOLATIONS:
        scale = max(math.ceil(ratio), 1)
        return f"{name} x{scale}", Interpolation(scale, INTERPOLATIONS[name])
    weights = released()
    if name.endswith(".safetensors") or name in weights:
        path = weights.get(name, Path(name))
    else:
        family = "fast" if name == "auto" else name
        sizes = {
            read_card(path).scale: path for path in weights.values() if _family(path) == family
        }
        if not sizes:
            known = ", ".join([*sorted(weights), "identity", *INTERPOLATIONS])
            raise OptionsError(
                f"--model {name!r} is neither a .safetensors file nor one of {known}"
            )
        reaching = [scale for scale in sorted(sizes) if scale >= ratio]
        path = sizes[reaching[0] if reaching else max(sizes)]
    model, _ = load_model(path)
    return path.stem, model


def _family(path: Path) -> str:
    return path.stem.rsplit("-x", 1)[0]


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise OptionsError(f"--device is auto, cpu, cuda or cuda:N, not {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise OptionsError(f"--device is auto, cpu, cuda or cuda:N, not {name!r}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise OptionsError("--device cuda: this machine has no CUDA device that torch can use")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise OptionsError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices")
    return device


def _on_ticks(seconds: Fraction | None, time_base: Fraction) -> Fraction | None:
    """The first tick at or after a time: pictures and sound are moved by the same amount."""
    return None if seconds is None else math.ceil(seconds / time_base) * time_base


def _notes(source: Source, target: VideoInfo, name: str, model: Network) -> tuple[str, ...]:
    notes = []
    if source.guessed:
        color = source.video.color
        notes.append(
            f"the file does not say its {', '.join(source.guessed)}; assumed from its size and "
            f"rate: {color.matrix}, {color.range} range"
        )
    if source.video.color.matrix != target.color.matrix:
        notes.append(f"colour: {source.video.color.matrix} becomes {target.color.matrix}")
    reached = (source.video.width * model.scale, source.video.height * model.scale)
    if reached != (target.width, target.height):
        notes.append(
            f"{name} gives {reached[0]}x{reached[1]}; resampled with {RESAMPLER} to "
            f"{target.width}x{target.height}"
        )
    return tuple(notes)


def batches(frames: Iterable[Frame], size: int) -> Iterator[FrameBatch]:
    """Frames in groups of `size`, the last one smaller."""
    iterator = iter(frames)
    while group := tuple(itertools.islice(iterator, size)):
        yield FrameBatch(group)


@contextlib.contextmanager
def enlarged(
    plan: Plan, upscaler: Upscaler, source_batches: Iterable[FrameBatch], network: Stopwatch
) -> Iterator[Iterator[FrameBatch]]:
    """Batches through the upscaler: on worker threads (CPU) or on streams (CUDA)."""

    def compute(batch: FrameBatch) -> FrameBatch:
        with network.running():
            return upscaler(batch)

    if plan.device.type == "cpu":
        with parallel_map(compute, source_batches, cpu_count()) as results:
            yield results
        return
    uploaded = upload(source_batches, plan.device)
    finished = download(map(compute, uploaded), plan.device)
    with background(finished, FRAMES_AHEAD) as results:
        yield results


def cpu_count() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _execute(
    plan: Plan,
    output: Path,
    options: RunOptions,
    progress: Callable[[Progress], None] | None,
    began: float,
) -> RunResult:
    keep_freed_memory()
    upscaler = Upscaler(plan.model, plan.source.video, plan.target, plan.device, plan.dtype)
    decode, network, encode = Stopwatch(), Stopwatch(), Stopwatch()
    damage = DamageReport()
    shift = 0 if plan.start is None else int(plan.start / plan.source.video.time_base)
    size = options.batch or (1 if plan.device.type == "cpu" else 8)
    total = _expected_frames(plan)
    frames = read_frames(plan.source, start=plan.start, end=plan.end, damage=damage)
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(
            Writer(
                output,
                plan.source,
                plan.target,
                plan.encoding,
                overwrite=options.overwrite,
                start=plan.start,
                end=plan.end,
            )
        )
        ready = stack.enter_context(background(decode.pulling(batches(frames, size)), FRAMES_AHEAD))
        results = stack.enter_context(enlarged(plan, upscaler, ready, network))
        started, count = time.perf_counter(), 0
        for batch in results:
            for frame in batch.frames:
                with encode.running():
                    writer.write(replace(frame, pts=frame.pts - shift))
            count += len(batch)
            if progress is not None:
                progress(Progress(count, total, time.perf_counter() - started))
        if not count:
            raise SourceError(f"{plan.source.path}: no frame between --start and --end")
        with encode.running():
            written = writer.finish()
    seconds = time.perf_counter() - started
    busy = {"decode": decode.seconds, "network": network.seconds, "encode": encode.seconds}
    return RunResult(
        output,
        count,
        written.bytes,
        seconds,
        started - began,
        busy,
        _advice(busy, seconds, plan),
        (*written.warnings, *_warnings(upscaler, damage)),
        plan,
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
        (len(upscaler.repeated), "frames came out wrong and were computed again in fp32"),
        (len(upscaler.kept), "frames look black or constant although their source does not"),
    ):
        if count:
            yield f"{count} {what}"
    if damage.missing_seconds:
        yield (
            f"the source breaks off {damage.missing_seconds:.1f} s before the end it states; "
            "everything up to there is in the output"
        )


def _advice(busy: dict[str, float], seconds: float, plan: Plan) -> str:
    """One line on what held the run up, and what would help."""
    workers = cpu_count() if plan.device.type == "cpu" else 1
    shares = {
        "decode": busy["decode"] / seconds,
        "network": busy["network"] / seconds / workers,
        "encode": busy["encode"] / seconds,
    }
    slowest = max(shares, key=lambda stage: shares[stage])
    if slowest == "encode":
        return "bound by the encoder: a faster --encoder-preset or a hardware --codec would help"
    if slowest == "network" and plan.device.type == "cpu":
        return "bound by the network: a CUDA device would help"
    if slowest == "network":
        return "bound by the network: a smaller --model or a larger --batch would help"
    return "bound by decoding the source"


__all__ = ["Plan", "Progress", "RunOptions", "RunResult", "choose_model", "make_plan", "run"]
