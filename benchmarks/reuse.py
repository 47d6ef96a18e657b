"""What computing a drawing once is worth, and whether it harms: figures held against bounds.

    python benchmarks/reuse.py --quality --detector --exact --speed [--data DIR] [--folder DIR]

Each of the four can be asked for alone. Every line says `pass`, or `miss` and what missed.

--quality   drawn shots with exact truth (`shots.py`), damaged, at 2x: `drawings` beside `off`
--exact     `exact` beside `off`, to the bit, on every clip of --data and on the example
--speed     whole runs of `drawings` beside `off`: work, time, size
--detector  what finding drawings costs, on one core

--data is a folder with a folder `clips` in it. What `off` gives for a shot is kept in --folder.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import itertools
import json
import math
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from shots import (
    COLOR,
    DAMAGES,
    FOLDER,
    FRAME_RATE,
    LAYOUT,
    REAL,
    SHOTS,
    Damage,
    damaged,
    encode,
    exposure,
    lq_planes,
    shrunk,
    truth,
    truth_planes,
    x264,
)
from throughput import EXAMPLE, cpu_seconds, looped
from torch import Tensor

from remaster.color import encode_planes
from remaster.drawings import ReuseCount, held_as_drawings
from remaster.engines.host import keep_freed_memory
from remaster.frames import Frame, VideoInfo
from remaster.likeness import Reference, compare, shot_noise, small_picture
from remaster.media.external import find_ffmpeg
from remaster.media.reader import DamageReport, FieldReport
from remaster.pipeline import RunOptions, batches, cleaned, decoded, make_plan, run
from remaster.plan import Plan
from remaster.released import released
from remaster.steadiness import hold_flicker
from remaster.upscale import Canvas, Upscaler, held_alike

HELD = (
    *("hold_ones", "hold_twos", "hold_threes", "hold_fours", "mouth", "blink", "petals"),
    *("still", "dialogue", "cut", "credits"),
)
"""Shots of held drawings."""

MEASURED_WORK = ("x264_23", "mpeg2_6")
CUT_OFF = {REAL: 2}
"""Levels that a truth made from a compressed clip changes by without a true change; else none."""

MOVES = 0.1
"""When so much of such a truth changes by more, the camera moves, and nothing is held: flat places
change by less."""

TILE, WORSE, LONGEST = 32, 3.0, 8
"""A stuck block: so many source pixels across, off by so many levels more, for so many frames."""

LEAST_HELD = 0.05
"""Share of the pixels that must be held for a verdict on what is held: the flat places of a slow
pan, whose levels round to the same ones, are no drawing."""

CRF, PRESET = 18, "veryfast"
CLIPS = (".mp4", ".mkv", ".mov", ".webm")
Row = dict[str, Any]


# ---- verdicts


@dataclass(frozen=True)
class Bound:
    """What a figure has to keep to; one that is nan was not to be had and keeps to anything."""

    figure: str
    least: float = -math.inf
    most: float = math.inf

    def is_kept(self, row: Mapping[str, Any]) -> bool:
        return not (row[self.figure] < self.least or row[self.figure] > self.most)

    def __str__(self) -> str:
        if self.least > -math.inf:
            return f"{self.figure} >= {self.least:g}"
        return f"{self.figure} <= {self.most:g}"


def judged(row: Row, bounds: Iterable[Bound]) -> Row:
    """The row and which of its bounds it misses."""
    missed = [str(bound) for bound in bounds if not bound.is_kept(row)]
    return {**row, "misses": missed}


class Table:
    """A Markdown table that grows as its rows are measured.

    Args:
        columns: of a row's figures, with how each is written.
    """

    def __init__(self, title: str, columns: Mapping[str, str]) -> None:
        self.columns, self.rows = columns, list[Row]()
        print(f"\n### {title}\n\n| {' | '.join(columns)} | verdict |")
        print(f"|{'---|' * (len(columns) + 1)}", flush=True)

    def add(self, row: Row) -> None:
        cells = [self._cell(row.get(name, math.nan), form) for name, form in self.columns.items()]
        verdict = "miss: " + ", ".join(row["misses"]) if row["misses"] else "pass"
        print(f"| {' | '.join(cells)} | {verdict} |", flush=True)
        self.rows.append(row)

    def _cell(self, value: Any, form: str) -> str:
        return "-" if isinstance(value, float) and math.isnan(value) else format(value, form)

    def finish(self) -> list[Row]:
        missed = sum(bool(row["misses"]) for row in self.rows)
        print(f"\n{len(self.rows) - missed} pass, {missed} miss", flush=True)
        return self.rows


# ---- the stages of a run, one after the other in one thread


def planned(path: Path, reuse: str, seconds: float | None = None) -> Plan:
    length = None if seconds is None else Fraction(str(seconds))
    return make_plan(path, path.with_suffix(".out.mkv"), options(2, reuse, length))


def options(scale: int, reuse: str, duration: Fraction | None = None) -> RunOptions:
    return RunOptions(
        scale=scale,
        reuse=reuse,
        device="cpu",
        crf=CRF,
        encoder_preset=PRESET,
        duration=duration,
        overwrite=True,
    )


def source_frames(plan: Plan) -> Iterator[Frame]:
    return decoded(plan, DamageReport(), FieldReport())


def new_upscaler(plan: Plan) -> Upscaler:
    return Upscaler(plan.model, plan.source.video, plan.target, plan.device, plan.dtype)


def enlarged(upscaler: Upscaler, frames: Iterable[Frame]) -> Iterator[Frame]:
    """As in a run, before the encoder."""
    canvas = Canvas(upscaler)
    composed = (
        canvas.finished(upscaler.compute(upscaler.assigned(batch))) for batch in batches(frames, 1)
    )
    for batch in held_alike(map(upscaler.fitted, composed)):
        yield from batch.frames


def network_work(upscaler: Upscaler) -> float:
    return upscaler.work / upscaler.work_of_off if upscaler.work_of_off else 1.0


# ---- quality


@functools.lru_cache(maxsize=1)
def truth_luma(name: str, folder: Path, data: Path | None) -> list[Tensor]:
    """(H, W) uint8 a frame, at the output's size; frames of one drawing share it."""
    made: dict[int, Tensor] = {}
    pictures = truth(name, folder, data)
    for picture in pictures:
        if id(picture) not in made:
            rgb = torch.from_numpy(picture).permute(2, 0, 1).float().div(255)[None]
            made[id(picture)] = encode_planes(rgb, LAYOUT, COLOR, "rgb")[0][0]
    return [made[id(picture)] for picture in pictures]


@functools.lru_cache(maxsize=1)
def held_pixels(name: str, reach: int, folder: Path, data: Path | None) -> list[Tensor]:
    """(h, w) bool a frame, at the source's size: nothing within `reach` pixels truly changed."""
    planes = truth_planes(name, folder, data)
    masks = [torch.zeros(planes[0][0].shape, dtype=torch.bool)]
    for now, before in itertools.pairwise(planes):
        size = now[0].shape
        changed = torch.zeros(size, dtype=torch.bool)
        for plane, other in zip(now, before):
            differs = (plane.short() - other.short()).abs() > CUT_OFF.get(name, 0)
            for axis in (0, 1):
                if plane.shape[axis] != size[axis]:
                    differs = differs.repeat_interleave(2, axis).narrow(axis, 0, size[axis])
            changed |= differs
        if name in CUT_OFF and float(changed.float().mean()) > MOVES:
            changed = torch.ones_like(changed)
        near = F.max_pool2d(changed[None, None].float(), 2 * reach + 1, 1, reach)[0, 0]
        masks.append(near == 0)
    return masks


@functools.cache
def digest(model: str) -> str:
    return hashlib.sha256(released()[model].read_bytes()).hexdigest()[:12]


def luma_of_off(film: Path, folder: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(frames, H, W): what `off` gives, kept beside the shots for those weights."""
    plan = planned(film, "off")
    path = folder / "off" / f"{film.stem}.{plan.model_name}.{digest(plan.model_name)}.npy"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        frames = enlarged(new_upscaler(plan), source_frames(plan))
        unfinished = path.with_suffix(".part.npy")
        np.save(unfinished, np.stack([frame.planes[0].numpy() for frame in frames]))
        unfinished.rename(path)
    return np.load(path, mmap_mode="r")


@dataclass
class Errors:
    """Sums over a film, of `off` and of `drawings`."""

    whole: list[float] = field(default_factory=lambda: [0.0, 0.0])
    held: list[float] = field(default_factory=lambda: [0.0, 0.0])
    held_small: list[float] = field(default_factory=lambda: [0.0, 0.0])
    flicker: list[float] = field(default_factory=lambda: [0.0, 0.0])
    num_whole: int = 0
    num_held: int = 0
    num_held_small: int = 0

    def add_whole(self, off: Tensor, drawings: Tensor) -> None:
        for index, error in enumerate((off, drawings)):
            self.whole[index] += float(error.square().sum())
        self.num_whole += off.numel()

    def add_held(self, off: Tensor, drawings: Tensor, held: Tensor) -> None:
        for index, error in enumerate((off, drawings)):
            self.held[index] += float(error.square()[held].sum())
        self.num_held += int(held.sum())

    def add_held_small(self, off: Tensor, drawings: Tensor, held: Tensor) -> None:
        for index, error in enumerate((off, drawings)):
            self.held_small[index] += float(error.square()[held].sum())
        self.num_held_small += int(held.sum())

    def add_flicker(self, pairs: Sequence[tuple[Tensor, Tensor]], held: Tensor) -> None:
        """Pictures of levels with those before: of `off`, then of `drawings`."""
        count = int(held.sum())
        if count:
            for index, pair in enumerate(pairs):
                now, before = (x[None, None] / 255 for x in pair)
                self.flicker[index] += float(hold_flicker(now, before, held[None, None])) * count


def decibels(total: float, count: int) -> float:
    return 10 * math.log10(255**2 * count / max(total, 1e-9)) if count else math.nan


def gain(totals: Sequence[float], count: int) -> float:
    """Of `drawings` over `off`; nan where `off` has no error to lessen."""
    if totals[0] < 1e-4 * count:
        return math.nan
    return decibels(totals[1], count) - decibels(totals[0], count)


class StuckBlocks:
    """For how many frames running each tile has been worse than `off`, and the longest of all."""

    def __init__(self) -> None:
        self.longest = 0
        self._running: Tensor | None = None

    def add(self, off: Tensor, drawings: Tensor) -> None:
        """Errors at the output's size."""
        off, drawings = (self._tiles(error.abs()) for error in (off, drawings))
        worse = (drawings - off > WORSE).int()
        self._running = worse * (1 if self._running is None else self._running + 1)
        self.longest = max(self.longest, int(self._running.max()))

    def _tiles(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x[None, None], 2 * TILE, ceil_mode=True)[0, 0]


def quality_of(name: str, damage: str, folder: Path, data: Path | None) -> Row:
    """Everything about `drawings` on one film, beside `off` and the truth."""
    film = damaged(name, damage, folder, data)
    off, plan = luma_of_off(film, folder), planned(film, "drawings")
    upscaler, found = new_upscaler(plan), ReuseCount()
    small = list(cleaned(plan, source_frames(plan), found))
    given = [frame.planes[0] for frame in source_frames(plan)]
    measured = plan.model.measured_radius
    reach = plan.model.receptive_radius if measured is None else measured
    masks = held_pixels(name, reach, folder, data)
    truths = truth_luma(name, folder, data)
    small_truths = [planes[0] for planes in truth_planes(name, folder, data)]
    assert len(off) == len(small) == len(truths), f"{film} has not as many frames as its truth"

    errors, stuck = Errors(), StuckBlocks()
    before: tuple[Tensor, Tensor] | None = None
    for index, frame in enumerate(enlarged(upscaler, iter(small))):
        wanted, held = truths[index].float(), masks[index]
        large = held.repeat_interleave(2, 0).repeat_interleave(2, 1)
        both = torch.from_numpy(np.array(off[index])).float(), frame.planes[0].float()
        of_off, of_drawings = both[0] - wanted, both[1] - wanted
        errors.add_whole(of_off, of_drawings)
        stuck.add(of_off, of_drawings)
        if before is not None:
            errors.add_held(of_off, of_drawings, large)
            errors.add_flicker([(both[0], before[0]), (both[1], before[1])], large)
            clean = small_truths[index].float()
            cleaner = small[index].planes[0].float()
            errors.add_held_small(given[index].float() - clean, cleaner - clean, held)
        before = both
    ideal = 1 - float(torch.stack(masks).float().mean())
    share = network_work(upscaler)
    held_share = errors.num_held / errors.num_whole
    flickers = [total / max(errors.num_held, 1) for total in errors.flicker]
    return {
        "shot": name,
        "damage": damage,
        "off dB": decibels(errors.whole[0], errors.num_whole),
        "gain": gain(errors.whole, errors.num_whole),
        "held": held_share,
        "held gain": gain(errors.held, errors.num_held),
        "held gain small": gain(errors.held_small, errors.num_held_small),
        "flicker off": flickers[0] if errors.num_held else math.nan,
        "flicker ratio": flickers[1] / flickers[0] if flickers[0] > 1e-6 else math.nan,
        "stuck": stuck.longest,
        "work": share,
        "ideal": ideal,
        "work / ideal": share / ideal,
        "accepted": found.largest_accepted,
    }


def quality_bounds(row: Row) -> Iterator[Bound]:
    """Those that a row of its shot and damage is held to."""
    name, damage = row["shot"], row["damage"]
    yield Bound("gain", least=-0.05)
    yield Bound("stuck", most=LONGEST - 1)
    least = {"mpeg2": 0.2, "grain": 0.6}.get(damage.split("_")[0])
    if least is not None and row["held"] >= LEAST_HELD:
        yield Bound("held gain", least=least)
        yield Bound("held gain small", least=least)
    if name in HELD and damage != "clean":
        yield Bound("flicker ratio", most=0.1)
    if name in (*HELD, REAL) and damage in MEASURED_WORK:
        yield Bound("work / ideal", most=1.5)


QUALITY = {
    "shot": "",
    "damage": "",
    "off dB": ".2f",
    "gain": "+.3f",
    "held": ".2f",
    "held gain": "+.3f",
    "held gain small": "+.3f",
    "flicker off": ".3f",
    "flicker ratio": ".3f",
    "stuck": "d",
    "work": ".3f",
    "ideal": ".3f",
    "work / ideal": ".3f",
    "accepted": ".1f",
}


def quality(names: Sequence[str], damages: Sequence[str], folder: Path, data: Path | None) -> Row:
    """A table of films, and one of what is the least and the greatest of each damage."""
    table = Table("Against the truth, 2x, `drawings` beside `off` (dB, levels)", QUALITY)
    for name, damage in itertools.product(names, damages):
        row = quality_of(name, damage, folder, data)
        table.add(judged(row, quality_bounds(row)))
    return {"films": table.finish(), "damages": summary(table.rows)}


SUMMARY = {
    "damage": "",
    "films": "d",
    "least gain": "+.3f",
    "mean gain": "+.3f",
    "least held gain": "+.3f",
    "mean held gain": "+.3f",
    "mean held gain small": "+.3f",
    "greatest flicker ratio": ".3f",
    "mean flicker ratio": ".3f",
    "stuck": "d",
    "greatest work / ideal": ".3f",
}


def summary(films: Sequence[Row]) -> list[Row]:
    """By damage; what is held, its flicker and the work of the held shots alone."""
    table = Table("By damage; what is held, its flicker and work on held shots alone", SUMMARY)
    for damage in dict.fromkeys(row["damage"] for row in films):
        of_all = [row for row in films if row["damage"] == damage]
        of_held = [row for row in of_all if row["shot"] in HELD]
        row = {
            "damage": damage,
            "films": len(of_all),
            "least gain": least(of_all, "gain"),
            "mean gain": mean(of_all, "gain"),
            "least held gain": least(of_held, "held gain"),
            "mean held gain": mean(of_held, "held gain"),
            "mean held gain small": mean(of_held, "held gain small"),
            "greatest flicker ratio": greatest(of_held, "flicker ratio"),
            "mean flicker ratio": mean(of_held, "flicker ratio"),
            "stuck": int(greatest(of_all, "stuck")),
            "greatest work / ideal": greatest(of_held, "work / ideal"),
        }
        missed = sorted({missed for film in of_all for missed in film["misses"]})
        table.add({**row, "misses": missed})
    return table.finish()


def known(rows: Iterable[Row], figure: str) -> list[float]:
    return [row[figure] for row in rows if not math.isnan(row[figure])]


def least(rows: Iterable[Row], figure: str) -> float:
    return min(known(rows, figure), default=math.nan)


def greatest(rows: Iterable[Row], figure: str) -> float:
    return max(known(rows, figure), default=math.nan)


def mean(rows: Iterable[Row], figure: str) -> float:
    values = known(rows, figure)
    return statistics.fmean(values) if values else math.nan


# ---- exact


EXACT = {"clip": "", "frames": "d", "held": "d", "differing": "d", "work": ".3f"}


def exact(clips: Sequence[Path], seconds: float) -> list[Row]:
    """Whether every plane before the encoder is the same to the bit with `exact` as with `off`."""
    table = Table(f"`exact` beside `off`: the first {seconds:g} s of every clip, 2x", EXACT)
    for clip in clips:
        table.add(judged(exact_of(clip, seconds), [Bound("differing", most=0)]))
    return table.finish()


def exact_of(clip: Path, seconds: float) -> Row:
    plan, other = planned(clip, "off", seconds), planned(clip, "exact", seconds)
    upscaler, found = new_upscaler(other), ReuseCount()
    wanted = enlarged(new_upscaler(plan), source_frames(plan))
    made = enlarged(upscaler, cleaned(other, source_frames(other), found))
    frames = differing = held = 0
    for a, b in itertools.zip_longest(wanted, made):
        assert a is not None and b is not None, f"{clip}: not as many frames with `exact`"
        same = a.pts == b.pts and all(map(torch.equal, a.planes, b.planes))
        frames, differing, held = frames + 1, differing + (not same), held + b.is_held
    return {
        "clip": clip.name,
        "frames": frames,
        "held": held,
        "differing": differing,
        "work": network_work(upscaler),
    }


# ---- speed


class NetworkTime:
    """Processor time inside the network's stages, of whatever thread runs them."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()

    def counted(self, work: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(work)
        def counting(*arguments: Any) -> Any:
            began = time.thread_time()
            try:
                return work(*arguments)
            finally:
                with self._lock:
                    self.seconds += time.thread_time() - began

        return counting

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Counts in every upscaler meanwhile; the report's own seconds are those of the clock."""
        stages = (Upscaler, "compute"), (Canvas, "finished"), (Upscaler, "fitted")
        originals = [getattr(owner, name) for owner, name in stages]
        for (owner, name), original in zip(stages, originals):
            setattr(owner, name, self.counted(original))
        try:
            yield
        finally:
            for (owner, name), original in zip(stages, originals):
                setattr(owner, name, original)


def one_run(film: Path, scale: int, reuse: str, folder: Path) -> Row:
    network, cpu = NetworkTime(), cpu_seconds()
    with network.running():
        result = run(film, folder / "out.mkv", options(scale, reuse))
    return {
        "frames": result.frames,
        "seconds": result.seconds,
        "cpu": cpu_seconds() - cpu,
        "network": network.seconds,
        "network clock": result.reuse.network_core_seconds,
        "work": result.reuse.network_work,
        "bytes": result.bytes,
    }


def middle(runs: Sequence[Row]) -> Row:
    return {name: statistics.median(each[name] for each in runs) for name in runs[0]}


def both_ways(film: Path, scale: int, repeats: int, folder: Path) -> tuple[Row, Row]:
    """Medians of whole runs of `off` and of `drawings`, one after the other in turns."""
    runs: dict[str, list[Row]] = {"off": [], "drawings": []}
    for _ in range(repeats):
        for reuse, done in runs.items():
            done.append(one_run(film, scale, reuse, folder))
    return middle(runs["off"]), middle(runs["drawings"])


SPEED = {
    "film": "",
    "frames": "d",
    "work": ".3f",
    "network off s": ".1f",
    "network drawings s": ".1f",
    "saved / promised": ".2f",
    "run off s": ".1f",
    "run drawings s": ".1f",
    "CPU off s": ".1f",
    "CPU drawings s": ".1f",
    "speed": ".3f",
    "MB off": ".2f",
    "MB drawings": ".2f",
    "size": ".3f",
}


def speed_of(film: Path, name: str, scale: int, repeats: int, folder: Path) -> Row:
    off, drawings = both_ways(film, scale, repeats, folder)
    saved, promised = 1 - drawings["network"] / off["network"], 1 - drawings["work"]
    return {
        "film": name,
        "frames": int(off["frames"]),
        "work": drawings["work"],
        "network off s": off["network"],
        "network drawings s": drawings["network"],
        "network off s, by the report": off["network clock"],
        "network drawings s, by the report": drawings["network clock"],
        "saved / promised": saved / promised if promised > 0.01 else math.nan,
        "run off s": off["seconds"],
        "run drawings s": drawings["seconds"],
        "CPU off s": off["cpu"],
        "CPU drawings s": drawings["cpu"],
        "speed": off["seconds"] / drawings["seconds"],
        "MB off": off["bytes"] / 1e6,
        "MB drawings": drawings["bytes"] / 1e6,
        "size": drawings["bytes"] / off["bytes"],
    }


PAYS = Bound("saved / promised", least=0.8), Bound("speed", least=1), Bound("size", most=1)
COSTS = (Bound("speed", least=0.97),)


def speed(data: Path, seconds: float, repeats: int, only: Sequence[str] | None) -> list[Row]:
    """Whole runs, on films that repeat drawings and on two that never do."""
    films: dict[str, tuple[Callable[[Path], Path], int, tuple[Bound, ...]]] = {
        "example": (
            lambda at: repeated(EXAMPLE, seconds, at),
            4,
            (Bound("work", most=0.30), *PAYS),
        ),
        REAL: (lambda at: repeated(clip_named(REAL, data), seconds, at), 2, PAYS),
        PAN: (lambda at: small_pan(data, at), 2, COSTS),
        "grain": (pure_grain, 2, COSTS),
    }
    title = f"Whole runs, x264 {PRESET} crf {CRF}: medians of {repeats} each way, in turns"
    table = Table(title, SPEED)
    with tempfile.TemporaryDirectory() as place:
        at = Path(place)
        run(EXAMPLE, at / "out.mkv", options(2, "drawings", Fraction(1)))  # the first is slower
        for name in only or films:
            make, scale, bounds = films[name]
            table.add(judged(speed_of(make(at), name, scale, repeats, at), bounds))
    return table.finish()


PAN = "pan_parallax_720p24"
TEN_SECONDS, HALF_A_MINUTE = 10 * FRAME_RATE, 30 * FRAME_RATE
SPEED_FILMS = ("example", REAL, PAN, "grain")


def clip_named(name: str, data: Path) -> Path:
    found = sorted(data.rglob(f"{name}.mp4"))
    if not found:
        raise FileNotFoundError(f"{name}.mp4 is nowhere below {data}")
    return found[0]


def repeated(film: Path, seconds: float, folder: Path) -> Path:
    """To at least so many seconds."""
    ffmpeg = find_ffmpeg()
    if ffmpeg is None:
        raise FileNotFoundError("no ffmpeg program: install one, or `pip install imageio-ffmpeg`")
    place = folder / film.stem
    place.mkdir()
    return looped(film, seconds, place, ffmpeg)


def small_pan(data: Path, folder: Path) -> Path:
    """Half a minute of the pan at 576x324, over and over, through x264 crf 23."""
    pictures = shrunk(clip_named(PAN, data))[:TEN_SECONDS]
    how, rng = x264(23), np.random.default_rng(0)
    path = folder / "pan.mkv"
    endless = itertools.islice(itertools.cycle(map(lq_planes, pictures)), HALF_A_MINUTE)
    encode((exposure(planes, 0, rng) for planes in endless), path, how)
    return path


def pure_grain(folder: Path) -> Path:
    """Ten seconds of grey under fresh noise of six levels, lossless."""
    grey = tuple(
        torch.full(shape, 126, dtype=torch.uint8) for shape in LAYOUT.plane_shapes(324, 576)
    )
    rng, path = np.random.default_rng(1), folder / "grain.mkv"
    frames = (exposure(grey, 6, rng) for _ in range(TEN_SECONDS))
    encode(frames, path, Damage("ffv1"))
    return path


# ---- detector

DETECTOR = {"what": "", "ms a frame": ".2f"}
SIZE = 432, 576


def mouth_frames(folder: Path, sigma: float) -> tuple[list[Frame], VideoInfo]:
    """A held body with a moving mouth, 576x432, under fresh grain."""
    rng, (height, width) = np.random.default_rng(2), SIZE
    frames = []
    for index, picture in enumerate(truth("mouth", folder)):
        top, left = (picture.shape[0] - height) // 4 * 2, (picture.shape[1] - width) // 4 * 2
        part = np.ascontiguousarray(picture[top : top + height, left : left + width])
        rgb = torch.from_numpy(part).permute(2, 0, 1).float().div(255)[None]
        planes = encode_planes(rgb, LAYOUT, COLOR, "rgb")
        grain = (sigma, sigma / 2, sigma / 2)
        noised = (noisy(plane[0], level, rng) for plane, level in zip(planes, grain))
        frames.append(Frame(index, tuple(noised)))
    rate = Fraction(FRAME_RATE)
    return frames, VideoInfo(width, height, 1 / rate, rate, Fraction(1), LAYOUT, COLOR)


def noisy(plane: Tensor, sigma: float, rng: np.random.Generator) -> Tensor:
    noise = torch.from_numpy(rng.normal(0, sigma, plane.shape))
    return (plane + noise).round().clamp(0, 255).to(torch.uint8)


@dataclass
class StepTimes:
    """Processor seconds of the detector's steps."""

    small: float = 0.0
    compare: float = 0.0
    judge: float = 0.0


def detect(frames: Sequence[Frame]) -> StepTimes:
    """Every step on every frame, as finding drawings does them."""
    times, reference = StepTimes(), Reference()
    smalls: list[Tensor] = []
    pairs = []
    for frame in frames:
        began = time.thread_time()
        smalls.append(small_picture(frame.planes, LAYOUT))
        made = time.thread_time()
        if len(smalls) > 1:
            earlier = smalls[-3] if len(smalls) > 2 else None
            pairs.append(compare(smalls[-1], smalls[-2], earlier))
        times.small += made - began
        times.compare += time.thread_time() - made
    for index, small in enumerate(smalls):
        began = time.thread_time()
        noise = shot_noise(pairs[max(index - 12, 0) : index + 12])
        reference.judge(small, noise, is_cut=False)
        times.judge += time.thread_time() - began
    return times


def detector(folder: Path, repeats: int) -> list[Row]:
    """What finding drawings costs on one core, and what fusing them does beside.

    The fastest of the repeats: what else the machine does is in the others.
    """
    table = Table(f"Finding drawings, {SIZE[1]}x{SIZE[0]}, one core (processor time)", DETECTOR)
    keep_freed_memory()
    frames, video = mouth_frames(folder, 4)
    detect(frames)
    steps = [detect(frames) for _ in range(repeats)]
    scale = 1000 / len(frames)
    small = scale * min(step.small for step in steps)
    compared = scale * min(step.compare for step in steps)
    judging = scale * min(step.judge for step in steps)
    whole = scale * min(drawings_time(frames, video) for _ in range(repeats))
    found = small + compared + judging
    for what, value, bounds in (
        ("small picture", small, ()),
        ("noise between two", compared, ()),
        ("judging", judging, ()),
        ("finding, together", found, (Bound("ms a frame", most=2),)),
        ("fusing and the rest", whole - found, ()),
    ):
        table.add(judged({"what": what, "ms a frame": value}, bounds))
    return table.finish()


def drawings_time(frames: Sequence[Frame], video: VideoInfo) -> float:
    began = time.thread_time()
    for _ in held_as_drawings(iter(frames), video, ReuseCount()):
        pass
    return time.thread_time() - began


# ---- the program


def clips_below(data: Path) -> list[Path]:
    return sorted(p for p in (data / "clips").rglob("*") if p.suffix in CLIPS)


def without_nan(figures: Any) -> Any:
    """As JSON can say it: null for what was not to be had."""
    if isinstance(figures, dict):
        return {name: without_nan(value) for name, value in figures.items()}
    if isinstance(figures, list):
        return [without_nan(value) for value in figures]
    return None if isinstance(figures, float) and math.isnan(figures) else figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("quality", "exact", "speed", "detector"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the shots")
    parser.add_argument("--data", type=Path, help="a folder with `clips` in it")
    parser.add_argument(
        "--only", nargs="*", metavar="NAME", choices=[*SHOTS, REAL, *SPEED_FILMS],
        help="shots (--quality) or films (--speed)",
    )  # fmt: skip
    parser.add_argument("--damage", nargs="*", choices=DAMAGES, default=list(DAMAGES))
    parser.add_argument("--seconds", type=float, help="10 for --exact, 60 for --speed")
    parser.add_argument("--repeats", type=int, default=3, help="of --speed and --detector")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    torch.set_num_threads(1)
    keep_freed_memory()
    if arguments.detector:
        figures["detector"] = detector(arguments.folder, arguments.repeats)
    if arguments.quality:
        has_real = arguments.data or (arguments.folder / f"{REAL}.truth.mkv").exists()
        known_shots = [*SHOTS, *([REAL] if has_real else [])]
        names = [n for n in arguments.only or known_shots if n in known_shots]
        figures["quality"] = quality(names, arguments.damage, arguments.folder, arguments.data)
    if (arguments.exact or arguments.speed) and arguments.data is None:
        parser.error("--exact and --speed want --data, the folder with `clips` in it")
    if arguments.exact:
        clips = [*clips_below(arguments.data), EXAMPLE]
        figures["exact"] = exact(clips, arguments.seconds or 10)
    if arguments.speed:
        films = arguments.only and [n for n in arguments.only if n in SPEED_FILMS]
        length = arguments.seconds or 60
        figures["speed"] = speed(arguments.data, length, arguments.repeats, films)
    if not figures:
        parser.error("say what to measure: --quality, --exact, --speed or --detector")
    if arguments.json:
        arguments.json.write_text(json.dumps(without_nan(figures), indent=1))


if __name__ == "__main__":
    main()
