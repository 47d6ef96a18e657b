"""What a run is going to do: all that can be decided, and refused, before the first frame."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import torch

from remaster.checkpoint import load_model, read_card
from remaster.color import output_color
from remaster.errors import OptionsError
from remaster.frames import PixelLayout, VideoInfo
from remaster.media.containers import Y4M
from remaster.media.encoders import Encoding, choose_encoding, container_format
from remaster.media.extent import film_extent, picture_from
from remaster.media.external_film import external_encoding
from remaster.media.formats import layout_of, losses
from remaster.media.hdr import says_light
from remaster.media.interlacing import Interlacing, find_interlacing
from remaster.media.piping import is_pipe
from remaster.media.placing import free_bytes, real_place
from remaster.media.probe import Source, probe
from remaster.media.streams import plan_streams
from remaster.media.writer import check_output, check_place
from remaster.media.y4m import even_rate, y4m_encoding, y4m_notes
from remaster.models.interpolation import Interpolation
from remaster.models.network import Network
from remaster.options import LARGEST_SIDE, RunOptions, is_changed, refuse, refuse_sides
from remaster.paths import default_dtype
from remaster.released import released
from remaster.upscale import RESAMPLER

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
IDENTITY = "identity"
INTERPOLATIONS = {"lanczos": "lanczos", "bicubic": "catmull-rom"}
"""Names of `--model` that need no weights; `identity` is another."""

_CHROMA = {"gray": "4:0:0", "420": "4:2:0", "422": "4:2:2", "444": "4:4:4", "rgb": "4:4:4"}
_H264 = ("libx264", "h264_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox")


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

    interlacing: Interlacing
    deinterlaces: bool
    """Whether the frames are made progressive."""

    reuse: str
    """`off`, `exact` or `drawings`."""

    smooth: float
    """0 to 1."""

    notes: tuple[str, ...]
    """What was assumed and what the container cannot hold, said before work starts."""


def make_plan(
    source_path: Path, output: Path, options: RunOptions, *, folder_to_come: bool = False
) -> Plan:
    """Everything that can be decided, and refused, before work starts.

    `folder_to_come`: the output's folder need not be there yet.
    """
    refuse((name for name in vars(options) if is_changed(options, name)), source_path, "film")
    refuse_sides(options, source_path)
    source = probe(source_path)
    check_output(
        output,
        source,
        overwrite=options.overwrite,
        named=options.format,
        folder_to_come=folder_to_come,
    )
    check_side_files(source_path, output, options, folder_to_come=folder_to_come)
    video = source.video
    container = container_format(output, options.format)
    width, height = output_size(video, options)
    encoding = _encoding(source, container, options)
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
    device = choose_device(options.device)
    dtype = DTYPES.get(options.precision) or default_dtype(device, model)
    start, end = (_on_ticks(t, video.time_base) for t in _part(source, options))
    interlacing = find_interlacing(source)
    deinterlaces = options.deinterlace == "auto" and interlacing.may_be_combed
    notes = (
        *_notes(source, target, name, model, encoding.codec),
        *_interlacing_notes(interlacing, deinterlaces),
        *_reuse_notes(options, name, model),
        *_encoding_notes(video.layout, encoding, asked=options.pix_fmt is not None),
        *plan_streams(source, container).warnings,
    )
    if not is_pipe(source_path) and not is_pipe(output):
        notes += _room(source_path, output, start, end, source.duration_seconds)
    if options.preview is not None and start is not None and end is not None:
        notes = (f"the part from {float(start):.1f} s to {float(end):.1f} s", *notes)
    if container == Y4M:
        target = replace(target, frame_rate=even_rate(source, start, end))
        notes += y4m_notes(source, target)
    return Plan(
        source=source,
        target=target,
        encoding=encoding,
        model_name=name,
        model=model,
        device=device,
        dtype=dtype,
        start=start,
        end=end,
        interlacing=interlacing,
        deinterlaces=deinterlaces,
        reuse="off" if options.model == IDENTITY else options.reuse,
        smooth=options.smooth,
        notes=notes,
    )


def check_side_files(
    source: Path, output: Path, options: RunOptions, *, folder_to_come: bool = False
) -> None:
    """Raise OptionsError or OutputError for a report or painted film that cannot be written."""
    taken = {os.path.realpath(output): "the output itself"}
    if options.debug_reuse is not None and options.model == IDENTITY:
        raise OptionsError(
            "--debug-reuse shows what is reused, and --model identity takes every frame as it is: "
            "choose another --model"
        )
    for name, path in (("--report", options.report), ("--debug-reuse", options.debug_reuse)):
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in taken:
            raise OptionsError(f"{name} {path} is {taken[place]}: give another name")
        taken[place] = f"that of {name}, too"
        check_place(path, source, overwrite=options.overwrite, folder_to_come=folder_to_come)


def _encoding(source: Source, container: str, options: RunOptions) -> Encoding:
    layout = source.video.layout
    if container == Y4M:
        given = {
            "--codec": options.codec != RunOptions.codec,
            "--crf": options.crf is not None,
            "--encoder-preset": options.encoder_preset is not None,
            "--ffmpeg-encoder": options.ffmpeg_encoder is not None,
        }
        if any(given.values()):
            name = next(name for name, is_given in given.items() if is_given)
            raise OptionsError(f"Y4M holds pictures as they are, without an encoder: {name} is out")
        return y4m_encoding(layout, options.pix_fmt)
    if options.ffmpeg_encoder is not None:
        return external_encoding(options.ffmpeg_encoder, layout, options.pix_fmt)
    return choose_encoding(
        options.codec,
        layout,
        crf=options.crf,
        encoder_preset=options.encoder_preset,
        pix_fmt=options.pix_fmt,
        container=container,
    )


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
    if name == IDENTITY:
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


def choose_device(name: str) -> torch.device:
    """The device that `--device` names. Raises OptionsError where there is none."""
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


def _part(source: Source, options: RunOptions) -> tuple[Fraction | None, Fraction | None]:
    """(start, end) in seconds: as given, or of the preview in the middle; None: all of it."""
    if options.preview is None:
        return options.start, options.stop
    first, last = film_extent(source, options.preview)
    if last - first <= options.preview:
        return None, None
    middle = first + (last - first - options.preview) / 2
    start = picture_from(source, middle, options.preview)
    return start, start + options.preview


def _on_ticks(seconds: Fraction | None, time_base: Fraction) -> Fraction | None:
    """The first tick at or after a time: pictures and sound are moved by the same amount."""
    return None if seconds is None else math.ceil(seconds / time_base) * time_base


def _interlacing_notes(interlacing: Interlacing, deinterlaces: bool) -> Iterator[str]:
    if deinterlaces:
        yield (
            f"{interlacing.words}: made progressive, every frame at its own time; "
            "--deinterlace off leaves the fields"
        )
    elif interlacing.may_be_combed:
        yield f"{interlacing.words}: the fields are left as they are, as --deinterlace off says"


def _reuse_notes(options: RunOptions, name: str, model: Network) -> Iterator[str]:
    if options.model == IDENTITY and options.reuse not in ("off", RunOptions.reuse):
        yield (
            f"--model identity takes every frame as it is: --reuse {options.reuse} finds nothing "
            "to save there and is left out"
        )
    if options.reuse == "drawings" and model.sees_whole_image:
        yield f"{name} looks at whole pictures: only those in which nothing is new are reused"


def _encoding_notes(layout: PixelLayout, encoding: Encoding, *, asked: bool) -> Iterator[str]:
    """What the encoder's pictures lose against the source's, and where they may not play."""
    kept = layout_of(encoding.pixel_format)
    before, after = _CHROMA[layout.subsampling], _CHROMA[kept.subsampling]
    lost = [f"chroma in {before} becomes {after}"] if after < before else []
    if kept.bit_depth < layout.bit_depth:
        lost.append(f"{layout.bit_depth} bits become {kept.bit_depth}")
    if lost and not asked:
        yield f"{' and '.join(lost)}: {encoding.codec} takes nothing nearer here"
    if encoding.codec in _H264 and (kept.bit_depth > 8 or kept.subsampling != "420"):
        yield (
            f"many players cannot show H.264 in {encoding.pixel_format}: "
            "--codec libx265, or --pix-fmt yuv420p, plays on more of them"
        )


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


def _notes(
    source: Source, target: VideoInfo, name: str, model: Network, codec: str
) -> tuple[str, ...]:
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
    joints = [f"{float(joint - source.origin):.1f} s" for joint in source.timeline.joints]
    if joints:
        notes.append(
            f"the file's clock starts again at {', '.join(joints[:5])}"
            f"{' ...' if len(joints) > 5 else ''}: the parts follow one another on one clock"
        )
    notes += [
        f"the clock of the {source.streams[index]} starts again, that of the film does not: "
        "it goes on behind what came before"
        for index in dict.fromkeys(source.timeline.alone)
    ]
    if target.light is not None and not says_light(codec):
        notes.append(f"{codec} cannot be told the HDR10 metadata of the film: it is left out")
    lost = losses(source.pixel_format)
    if lost:
        notes.append(f"{source.pixel_format} is read without {' and '.join(lost)}")
    if source.late:
        notes.append(
            f"the {' and the '.join(source.late)} come behind the pictures, too late in a pipe to "
            f"be written: give the file itself to keep them"
        )
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
