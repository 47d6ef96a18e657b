"""One picture: read, enlarged by the network it is told to, and written with all it said.

    file -> colours, alpha -> network in tiles, modes, denoisers -> colours and alpha -> file

Colours never leave R'G'B' of the source's depth but inside the network; alpha is enlarged beside
them. The four modes are those of m-SRCNN's authors, for networks that enlarge first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from remaster.color import rgb_to_ycc_matrix
from remaster.denoising import Denoising, check_opencv, denoised
from remaster.engines.host import available_memory, keep_freed_memory
from remaster.errors import MemoryShortage, OptionsError
from remaster.media.still_reader import Pixels, Still, read_still
from remaster.media.still_writer import LARGEST_SIDES, holds_depth, kind_of, losses_of, write_still
from remaster.media.writer import check_place
from remaster.models.network import Network
from remaster.models.srcnn import MOST_SCALE, MSRCNN, SRCNN
from remaster.options import STILLS_WRITTEN, RunOptions, is_changed, refuse
from remaster.plan import DTYPES, check_side_files, choose_device, choose_model
from remaster.tiling import BICUBIC, LANCZOS, LINEAR, OPENCV_CUBIC, Tiled, extended, resampled
from remaster.upscale import RESAMPLER

__all__ = [
    "StillPlan",
    "StillResult",
    "enlarge_still",
    "plan_still",
    "remastered",
    "seconds_for",
    "still_document",
]

LARGEST_PIXELS = 1 << 29
FIXED_BYTES = 2 << 30
"""What tiles and the network may need beside the pictures."""

TRIAL_SIDE = 256


@dataclass(frozen=True)
class StillPlan:
    """What is going to be done with a picture."""

    still: Still
    output: Path
    size: tuple[int, int]
    """(width, height) of the output."""

    model_name: str
    model: Network
    device: torch.device
    dtype: torch.dtype
    mode: str | None
    ensemble: bool
    denoising: Denoising | None
    """Where it is done at all."""

    denoises_between: bool
    """The double modes: between their passes too."""

    losses: tuple[str, ...]
    """What the output does not hold, in words: one note for all, and one for the denoisers."""

    notes: tuple[str, ...]
    """What is noteworthy, the losses first; said before work starts."""

    @property
    def bit_depth(self) -> int:
        return min(self.still.bit_depth, holds_depth(self.output.suffix))


@dataclass(frozen=True)
class StillResult:
    """What was done with a picture."""

    plan: StillPlan
    bytes: int
    seconds: float


def plan_still(
    source: Path, output: Path, options: RunOptions, *, folder_to_come: bool = False
) -> StillPlan:
    """Read a picture and decide everything else, or refuse it.

    `folder_to_come`: the output's folder need not be there yet.

    Raises:
        OptionsError, SourceError, OutputError, CheckpointError, MemoryShortage.
    """
    refuse((name for name in vars(options) if is_changed(options, name)), source, "picture")
    if output.suffix.lower() not in STILLS_WRITTEN:
        raise OptionsError(
            f"{source} is a picture, and --output {output} no name of one: let it end in "
            f"{', '.join(STILLS_WRITTEN)}"
        )
    check_place(output, source, overwrite=options.overwrite, folder_to_come=folder_to_come)
    check_side_files(source, output, options, folder_to_come=folder_to_come)
    still = read_still(source)
    width, height = size = still_size(still.width, still.height, options)
    _check_size(still, size, output)
    name, model = choose_model(options.model, max(width / still.width, height / still.height))
    if options.mode is not None and not isinstance(model, (SRCNN, MSRCNN)):
        raise OptionsError(
            f"--mode is for networks that enhance what is already enlarged, SRCNN and m-SRCNN, and "
            f"--model {name} is none: leave --mode out, or choose such weights"
        )
    device = choose_device(options.device)
    is_double = options.mode in ("double-enhance", "double-enlarge")
    denoising = _denoising(options) if options.denoise or is_double else None
    if denoising is not None:
        check_opencv()
    plan = StillPlan(
        still=still,
        output=output,
        size=size,
        model_name=name,
        model=model,
        device=device,
        dtype=DTYPES.get(options.precision) or model.precision or torch.float32,
        mode=options.mode,
        ensemble=options.ensemble,
        denoising=denoising,
        denoises_between=options.denoise_as_input == 1,
        losses=(),
        notes=(),
    )
    _check_memory(plan)
    losses = tuple(_losses(plan))
    return replace(plan, losses=losses, notes=(*losses, *_notes(plan)))


def enlarge_still(
    source: Path | str,
    output: Path | str,
    options: RunOptions | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    planned: Callable[[StillPlan], None] | None = None,
) -> StillResult:
    """Enlarge one picture; the output appears when it is whole.

    Args:
        progress: is told how many tiles are done, and of how many.
        planned: is told what is going to be done.

    Raises:
        RemasterError: as its children say.
    """
    began = time.perf_counter()
    keep_freed_memory()
    options = options if options is not None else RunOptions()
    plan = plan_still(Path(source), Path(output), options)
    if planned is not None:
        planned(plan)
    pixels = remastered(plan, progress)
    size = write_still(plan.output, pixels, plan.still.labels, overwrite=options.overwrite)
    result = StillResult(plan, size, time.perf_counter() - began)
    if options.report is not None:
        from remaster.pipeline import write_report

        write_report(options.report, [], [still_document(result)], overwrite=options.overwrite)
    return result


def seconds_for(plan: StillPlan) -> float:
    """About how long the network will take, by a small part of the picture for real."""
    pixels, model = plan.still.pixels, plan.model
    part = pixels[:TRIAL_SIDE, :TRIAL_SIDE]
    part = part[..., :-1] if plan.still.has_alpha else part
    passes = 1
    whole = plan.still.width * plan.still.height
    if isinstance(model, (SRCNN, MSRCNN)):  # its work is at the enlarged size
        model, whole = at_scale(model, 1), plan.size[0] * plan.size[1]
        passes = {"double-enhance": 2, "double-enlarge": 5}.get(plan.mode or "", 1)
    tiled, began = _tiled(plan, model), time.perf_counter()
    tiled(part, part.dtype)
    seconds = time.perf_counter() - began
    return seconds * passes * whole / (part.shape[0] * part.shape[1])


def still_document(result: StillResult) -> dict[str, object]:
    """A picture of a report: what it was made of, with what, and what came of it."""
    plan = result.plan
    return {
        "source": str(plan.still.path),
        "source_size_px": [plan.still.width, plan.still.height],
        "output_size_px": list(plan.size),
        "model": plan.model_name,
        "device": str(plan.device),
        "precision": str(plan.dtype).removeprefix("torch."),
        "bit_depth": plan.bit_depth,
        "mode": plan.mode,
        "ensemble": plan.ensemble,
        "denoised": plan.denoising is not None,
        "notes": list(plan.notes),
        "output": str(plan.output),
        "bytes": result.bytes,
        "seconds": round(result.seconds, 3),
    }


def still_size(width: int, height: int, options: RunOptions) -> tuple[int, int]:
    """(width, height) asked for; the width that follows a height is the nearest."""
    if options.size is not None:
        return options.size
    if options.height is not None:
        return max(round(width * options.height / height), 1), options.height
    keeps = options.model == "identity" or options.mode == "enhance"
    scale = options.scale or (1 if keeps else 2)
    return width * scale, height * scale


def remastered(plan: StillPlan, progress: Callable[[int, int], None] | None = None) -> Pixels:
    """The picture as it is to be written: (H, W, C) of the plan's size and depth."""
    colors, alpha = plan.still.pixels, None
    if plan.still.has_alpha:
        colors, alpha = colors[..., :-1], colors[..., -1:]
        colors = extended(colors, alpha)
    counter = _Counter(progress)
    if isinstance(plan.model, (SRCNN, MSRCNN)):
        found = _by_mode(plan, plan.model, colors, counter)
    else:
        found = _enlarged(plan, colors, counter)
        found = found if plan.denoising is None else _denoised(found, plan.denoising)
    top = np.dtype(np.uint8 if plan.bit_depth == 8 else np.uint16)
    size = (plan.size[1], plan.size[0])
    if found.dtype != top:  # at its own size nothing but the depth changes
        found = resampled(found, size, LANCZOS, top)
    if alpha is None:
        return found
    return np.concatenate([found, resampled(alpha, size, BICUBIC, top)], 2)


class _Counter:
    """Counts tiles for whoever wants to know."""

    def __init__(self, told: Callable[[int, int], None] | None) -> None:
        self._told, self._done, self.total = told, 0, 0

    def __call__(self) -> None:
        self._done += 1
        self.total = max(self.total, self._done)
        if self._told is not None:
            self._told(self._done, self.total)


def _tiled(plan: StillPlan, model: Network) -> Tiled:
    return Tiled(model, plan.device, plan.dtype, ensemble=plan.ensemble)


def _run(
    plan: StillPlan, model: Network, pixels: Pixels, dtype: object, counter: _Counter
) -> Pixels:
    tiled = _tiled(plan, model)
    counter.total += tiled.count(*pixels.shape[:2])
    return tiled(pixels, np.dtype(dtype), counter)  # type: ignore[call-overload]


def _enlarged(plan: StillPlan, colors: Pixels, counter: _Counter) -> Pixels:
    """By a network of one scale, and Lanczos to a size that it does not reach."""
    size = (plan.size[1], plan.size[0])
    reached = tuple(n * plan.model.scale for n in colors.shape[:2])
    if reached == size:
        return _run(plan, plan.model, colors, colors.dtype, counter)
    large = _run(plan, plan.model, colors, np.uint16, counter)
    return resampled(large, size, LANCZOS, colors.dtype)


def _by_mode(plan: StillPlan, model: SRCNN | MSRCNN, colors: Pixels, counter: _Counter) -> Pixels:
    """One of the four modes, by a network that enlarges first; pictures between have the source's
    depth, rounded."""
    how, between = plan.denoising, plan.denoises_between
    found = _enlarged_first(plan, model, colors, counter)
    if plan.mode == "double-enhance":
        assert how is not None
        found = _denoised(found, how) if between else found
        found = _run(plan, at_scale(model, 1), found, found.dtype, counter)
        return _denoised(_denoised(found, how), how.final)
    if plan.mode == "double-enlarge":
        assert how is not None
        found = _denoised(found, how) if between else found
        twice = _run(plan, at_scale(model, 2), found, found.dtype, counter)
        found = resampled(twice, found.shape[:2], OPENCV_CUBIC, found.dtype, antialias=False)
    return found if how is None else _denoised(found, how)


def _enlarged_first(
    plan: StillPlan, model: SRCNN | MSRCNN, colors: Pixels, counter: _Counter
) -> Pixels:
    """Enlarged by the kernel that the weights were trained behind, chroma by the cubic one, then
    enhanced."""
    height, width = colors.shape[:2]
    size = (plan.size[1], plan.size[0])
    times = size[0] // height
    is_whole = size == (height * times, width * times) and 1 <= times <= MOST_SCALE
    if is_whole:
        return _run(plan, at_scale(model, times), colors, colors.dtype, counter)
    large = resampled(colors, size, OPENCV_CUBIC, np.uint16, antialias=False)
    if model.enlargement == "bilinear":
        _with_luma(large, resampled(colors, size, LINEAR, np.uint16, antialias=False))
    return _run(plan, at_scale(model, 1), large, colors.dtype, counter)


def _with_luma(picture: Pixels, other: Pixels) -> None:
    """Give a picture the luma of another; chroma stays."""
    if picture.shape[2] == 1:
        picture[:] = other
        return
    weights = rgb_to_ycc_matrix("smpte170m")[0].float().numpy()
    for top in range(0, len(picture), 64):
        rows = slice(top, top + 64)
        mine, theirs = (x[rows].astype(np.float32) for x in (picture, other))
        moved = mine + ((theirs - mine) @ weights)[..., None]
        picture[rows] = np.rint(moved).clip(0, 65535)


def at_scale(model: SRCNN | MSRCNN, scale: int) -> Network:
    """The same weights behind another enlargement."""
    if model.scale == scale:
        return model
    made: Network
    if isinstance(model, SRCNN):
        made = SRCNN(replace(model.config, scale=scale))
    else:
        made = MSRCNN(replace(model.config, scale=scale))
    made.load_state_dict(model.state_dict())
    return made.eval().requires_grad_(False)


def _denoised(colors: Pixels, how: Denoising) -> Pixels:
    """The same depth; the filters themselves work in 8 bits, on three colours."""
    is_deep = colors.dtype == np.uint16
    shallow = ((colors.astype(np.uint32) + 128) // 257).astype(np.uint8) if is_deep else colors
    channels = colors.shape[2]
    found: Pixels = denoised(shallow if channels == 3 else shallow.repeat(3, 2), how)
    if channels == 1:
        found = np.rint(found.mean(2, keepdims=True)).astype(np.uint8)
    return found.astype(np.uint16) * np.uint16(257) if is_deep else found


def _denoising(options: RunOptions) -> Denoising:
    color = options.denoise_color
    return Denoising(
        strength=options.denoise_strength,
        color_strength=options.denoise_strength if color is None else color,
        template=options.denoise_template,
        search=options.denoise_search,
        bilateral=options.denoise_bilateral,
    )


def _check_size(still: Still, size: tuple[int, int], output: Path) -> None:
    kind = kind_of(output.suffix)
    most = LARGEST_SIDES[kind]
    words = f"{still.path} has {still.width}x{still.height} and would become {size[0]}x{size[1]}"
    if max(size) > most:
        raise OptionsError(f"{words}; a side of a {kind} file may have {most} pixels: ask for less")
    if size[0] * size[1] > LARGEST_PIXELS:
        raise OptionsError(
            f"{words}; {LARGEST_PIXELS / 1e6:.0f} million pixels is the most: ask for less"
        )


def _bytes_needed(plan: StillPlan) -> int:
    """Pictures held at once at the worst, and what a tile takes; an estimate."""
    still = plan.still
    channels = still.pixels.shape[2]
    out = plan.size[0] * plan.size[1] * channels * plan.bit_depth // 8
    reached = still.width * still.height * plan.model.scale**2 * channels * 2
    between = 4 * out if plan.mode == "double-enlarge" else 0
    filling = still.width * still.height * 16 if still.has_alpha else 0
    return still.pixels.nbytes + max(3 * out, reached + out + between, filling) + FIXED_BYTES


def _check_memory(plan: StillPlan) -> None:
    free, needed = available_memory(), _bytes_needed(plan)
    if free is not None and needed - FIXED_BYTES > free:
        raise MemoryShortage(
            f"{plan.still.path} to {plan.size[0]}x{plan.size[1]} needs about {needed / 1e9:.1f} GB "
            f"of memory, and {free / 1e9:.1f} GB are free: close other programs, or ask for less"
        )


def _losses(plan: StillPlan) -> Iterator[str]:
    still = plan.still
    lost = [*still.notes, *losses_of(plan.output.suffix, still.pixels, still.labels)]
    if lost:
        yield "; ".join(lost)
    if plan.denoising is not None and plan.bit_depth == 16:
        yield "OpenCV's denoisers work in 8 bits: what they give of these 16 has no more"


def _notes(plan: StillPlan) -> Iterator[str]:
    still, model = plan.still, plan.model
    (width, height), (wide, high) = (still.width, still.height), plan.size
    # A side that only follows the other is at most rounded.
    if abs(wide - high * width / height) >= 1 and abs(high - wide * height / width) >= 1:
        yield f"the aspect changes from {_aspect(width, height)} to {_aspect(wide, high)}"
    if isinstance(model, (SRCNN, MSRCNN)):
        return
    reached = (still.width * model.scale, still.height * model.scale)
    if reached != plan.size:
        yield (
            f"{plan.model_name} gives {reached[0]}x{reached[1]}; resampled with {RESAMPLER} to "
            f"{plan.size[0]}x{plan.size[1]}"
        )


def _aspect(width: int, height: int) -> str:
    """As in 4:3, or 1.778:1 where no small numbers say it."""
    ratio = Fraction(width, height)
    if max(ratio.numerator, ratio.denominator) < 100:
        return f"{ratio.numerator}:{ratio.denominator}"
    return f"{width / height:.4g}:1"
