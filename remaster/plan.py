"""What a run is going to do: all that can be decided, and refused, before the first frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import torch

from remaster.checkpoint import load_model, read_card, released
from remaster.color import output_color
from remaster.errors import OptionsError
from remaster.frames import PixelLayout, VideoInfo
from remaster.media.encoders import Encoding, choose_encoding, container_format
from remaster.media.formats import layout_of, losses
from remaster.media.placing import free_bytes, real_place
from remaster.media.probe import Source, probe
from remaster.media.streams import plan_streams
from remaster.media.writer import check_output
from remaster.models.interpolation import Interpolation
from remaster.models.network import Network
from remaster.options import LARGEST_SIDE, RunOptions
from remaster.upscale import RESAMPLER, default_dtype

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
INTERPOLATIONS = {"lanczos": "lanczos", "bicubic": "catmull-rom"}
"""Names of `--model` that need no weights; `identity` is another."""


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
    width, height = _even(width, height, layout, options)
    aspect = video.sample_aspect_ratio
    if options.size is not None:
        aspect *= Fraction(video.width * height, video.height * width)
    target = replace(
        video,
        width=width,
        height=height,
        layout=layout,
        color=output_color(video.color, (video.width, video.height), (width, height)),
        sample_aspect_ratio=aspect,
    )
    name, model = choose_model(options.model, max(width / video.width, height / video.height))
    device = _device(options.device)
    dtype = DTYPES.get(options.precision) or default_dtype(device, model)
    start, end = (_on_ticks(t, video.time_base) for t in (options.start, options.stop))
    notes = (*_notes(source, target, name, model), *plan_streams(source, container).warnings)
    notes = (*notes, *_room(source_path, output, start, end, source.duration_seconds))
    return Plan(source, target, encoding, name, model, device, dtype, start, end, notes)


def _even(width: int, height: int, layout: PixelLayout, options: RunOptions) -> tuple[int, int]:
    """The size with the rows and columns that subsampled chroma needs.

    A scale's odd size gains a row or a column; an odd size that was asked for is refused.
    """
    down, across = layout.chroma_step
    fits = (width + width % across, height + height % down)
    if fits != (width, height) and options.scale is None and (options.height or options.size):
        raise OptionsError(
            f"{width}x{height} cannot be written with chroma at half resolution: choose even "
            "sides, or --pix-fmt yuv444p"
        )
    return fits


def output_size(video: VideoInfo, options: RunOptions) -> tuple[int, int]:
    """(width, height) asked for; a width that follows a height is even and nearest."""
    if options.size is not None:
        return options.size
    if options.height is not None:
        width, height = round(video.width * options.height / video.height / 2) * 2, options.height
    else:
        scale = options.scale or (1 if options.model == "identity" else 2)
        width, height = (n * scale for n in (video.width, video.height))
    if max(width, height) > LARGEST_SIDE:
        raise OptionsError(
            f"{video.width}x{video.height} would become {width}x{height}; a side may have "
            f"{LARGEST_SIDE} pixels: ask for less"
        )
    return width, height


def choose_model(name: str, ratio: float) -> tuple[str, Network]:
    """The network for an enlargement by `ratio`: the smallest scale that reaches it.

    Raises:
        OptionsError: there is no such name. CheckpointError: the file is not usable.
    """
    if name == "identity":
        return name, Interpolation(1, "catmull-rom")
    if name == RESAMPLER and ratio != round(ratio):
        return name, Interpolation(1, "catmull-rom")  # the resampling to size is all there is to do
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


def _room(
    source: Path,
    output: Path,
    start: Fraction | None,
    end: Fraction | None,
    seconds: float | None,
) -> tuple[str, ...]:
    """A note where the disk has less room than the source takes: an output is seldom smaller."""
    folder = real_place(output).absolute().parent
    free, share = free_bytes(folder), 1.0
    if seconds:
        part = min(float(end or seconds), seconds) - float(start or 0)
        share = min(max(part / seconds, 0), 1)
    taken = source.stat().st_size * share
    if free is None or free >= taken:
        return ()
    return (
        f"the disk of {folder} has {free / 1e6:.0f} MB free, less than the source takes "
        f"({taken / 1e6:.0f} MB): it may fill up before the end",
    )


def _notes(source: Source, target: VideoInfo, name: str, model: Network) -> tuple[str, ...]:
    notes = []
    silent = [field for field in ("matrix", "range") if field in source.guessed]
    if silent:
        color = source.video.color
        notes.append(
            f"the file does not say its colour {' and '.join(silent)}; assumed from its size and "
            f"rate: {color.matrix}, {color.range} range"
        )
    if source.video.color.matrix != target.color.matrix:
        notes.append(f"colour: {source.video.color.matrix} becomes {target.color.matrix}")
    lost = losses(source.pixel_format)
    if lost:
        notes.append(f"{source.pixel_format} is read without {' and '.join(lost)}")
    if target.width * target.height < source.video.width * source.video.height:
        notes.append(f"{target.width}x{target.height} is smaller than the source")
    reached = (source.video.width * model.scale, source.video.height * model.scale)
    wanted = (target.width, target.height)
    if any(not 0 <= want - have <= 1 for want, have in zip(wanted, reached)):
        notes.append(
            f"{name} gives {reached[0]}x{reached[1]}; resampled with {RESAMPLER} to "
            f"{target.width}x{target.height}"
        )
    elif wanted != reached:
        notes.append(f"an odd side gains a pixel: {target.width}x{target.height}")
    return tuple(notes)
