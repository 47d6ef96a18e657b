"""Which encoder, with which settings, for which pictures and in which container."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import av
from av.video.stream import VideoStream

from remaster.errors import OptionsError
from remaster.frames import PixelLayout
from remaster.media.containers import CONTAINERS, container_format, takes
from remaster.media.formats import layout_of, planar_format

__all__ = [
    "Encoding",
    "available_encoders",
    "can_hold",
    "choose_encoding",
    "container_format",
    "formats_in_memory",
    "known_encoders",
    "nearest_format",
    "takes",
]


@dataclass(frozen=True)
class Encoding:
    """Everything an encoder is told."""

    codec: str
    """FFmpeg's name of the encoder."""

    pixel_format: str
    """FFmpeg's name; `formats.layout_of` says which planes it wants."""

    options: Mapping[str, str]


@dataclass(frozen=True)
class _Traits:
    """How one encoder is spoken to."""

    quality: tuple[str, ...] = ()
    """Names of the options that take the quality number; none: it has no such number."""

    default_quality: int = 0
    worst_quality: int = 51
    preset: str = ""
    """Name of the option that takes the preset; empty: it has none."""

    default_preset: str = ""
    presets: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


_X26X_PRESETS = [
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
]
_PRORES_PROFILES = ("proxy", "lt", "standard", "hq", "4444", "4444xq")


def _x26x(quality: int) -> _Traits:
    return _Traits(("crf",), quality, 51, "preset", "medium", tuple(_X26X_PRESETS))


def _nvenc(quality: int, worst: int = 51) -> _Traits:
    presets = tuple(f"p{number}" for number in range(1, 8))
    return _Traits(("cq",), quality, worst, "preset", "p5", presets, {"rc": "vbr", "b": "0"})


def _qsv(quality: int) -> _Traits:
    return _Traits(("global_quality",), quality, 51, "preset", "medium", tuple(_X26X_PRESETS[2:9]))


def _amf(quality: int, worst: int = 51) -> _Traits:
    presets = ("speed", "balanced", "quality")
    return _Traits(("qp_i", "qp_p"), quality, worst, "quality", "quality", presets, {"rc": "cqp"})


_VIDEOTOOLBOX = _Traits(options={"flags": "+qscale", "global_quality": str(65 * 118)})
"""65 of 100, in FFmpeg's units; its numbers run the other way, so --crf does not reach it."""

_SOFTWARE: Mapping[str, _Traits] = {
    "libx264": _x26x(17),
    "libx265": replace(_x26x(19), options={"x265-params": "log-level=error"}),
    "libsvtav1": _Traits(
        ("crf",), 26, 63, "preset", "6", tuple(str(number) for number in range(14))
    ),
    "libvpx-vp9": _Traits(
        ("crf",),
        26,
        63,
        "cpu-used",
        "3",
        tuple(str(number) for number in range(9)),
        {"b": "0", "deadline": "good", "row-mt": "1"},
    ),
    "prores_ks": _Traits(preset="profile", presets=_PRORES_PROFILES, options={"vendor": "apl0"}),
    "ffv1": _Traits(options={"level": "3", "slicecrc": "1", "g": "1"}),
}
_HARDWARE: Mapping[str, _Traits] = {
    "h264_nvenc": _nvenc(19),
    "hevc_nvenc": _nvenc(21),
    "av1_nvenc": _nvenc(27, 63),
    "h264_qsv": _qsv(19),
    "hevc_qsv": _qsv(21),
    "av1_qsv": _qsv(27),
    "h264_amf": _amf(19),
    "hevc_amf": _amf(21),
    "av1_amf": _amf(100, 255),
    "h264_videotoolbox": _VIDEOTOOLBOX,
    "hevc_videotoolbox": _VIDEOTOOLBOX,
}
_ENCODERS = {**_SOFTWARE, **_HARDWARE}

os.environ.setdefault("SVT_LOG", "1")  # errors alone: SVT-AV1 reports its settings on stderr


@lru_cache(maxsize=1)
def available_encoders() -> tuple[str, ...]:
    """Names that `choose_encoding` takes on this machine; hardware ones are really opened."""
    software = [name for name in _SOFTWARE if name in av.codecs_available]
    return (*software, *(name for name in _HARDWARE if _starts(name, "matroska")))


def known_encoders() -> tuple[str, ...]:
    """Names that `choose_encoding` would take on some machine."""
    return tuple(_ENCODERS)


def choose_encoding(
    codec: str,
    layout: PixelLayout,
    *,
    crf: int | None,
    encoder_preset: str | None,
    pix_fmt: str | None,
    container: str,
) -> Encoding:
    """The settings of an encoder for pictures of a layout.

    Args:
        codec: one of `available_encoders()`.
        layout: of the source; its depth and subsampling are kept where the encoder takes them.
        crf: the encoder's own quality number, None for a good default.
        encoder_preset: the encoder's own preset name, None for a good default.
        pix_fmt: FFmpeg's pixel format, None for the nearest to `layout`.
        container: FFmpeg's muxer name, from `container_format`.

    Raises OptionsError for an encoder that the machine does not have, a setting that the encoder
    does not take, or a container that does not hold its output.
    """
    if codec not in available_encoders():
        raise OptionsError(
            f"The encoder {codec!r} is not available on this machine; there are: "
            f"{', '.join(available_encoders())}."
        )
    if not _holds(container, codec):
        fitting = [end for end, name in CONTAINERS.items() if _holds(name, codec)]
        raise OptionsError(
            f"A {container} file cannot hold video from {codec}: write to {' or '.join(fitting)}, "
            f"or give --codec {' or '.join(name for name in _SOFTWARE if _holds(container, name))}."
        )
    pixel_format = _pixel_format(codec, layout, pix_fmt)
    traits = _ENCODERS[codec]
    options = dict(traits.options)
    options |= _quality_options(codec, traits, crf)
    options |= _preset_options(codec, traits, encoder_preset, layout_of(pixel_format))
    return Encoding(codec, pixel_format, options)


def can_hold(suffix: str, codec: str) -> bool:
    """Whether a file with this ending (`.mp4`) holds what an encoder makes.

    An encoder that is not there is for `choose_encoding` to refuse: it is held everywhere.
    """
    return codec not in available_encoders() or _holds(CONTAINERS[suffix], codec)


@lru_cache(maxsize=64)
def _holds(container: str, codec: str) -> bool:
    """Whether a muxer really writes a header for an encoder; `takes` promises too much."""
    return takes(container, codec) and _starts(codec, container)


def _starts(codec: str, container: str) -> bool:
    """Whether an encoder (its driver and device, too) and a muxer start together."""
    try:
        with av.open(io.BytesIO(), "w", format=container) as output:
            stream = output.add_stream(codec, rate=25)
            assert isinstance(stream, VideoStream)
            context = stream.codec_context
            context.width, context.height, context.pix_fmt = 256, 256, _formats_of(codec)[0]
            context.options.update(_ENCODERS[codec].options)
            output.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _quality_options(codec: str, traits: _Traits, crf: int | None) -> dict[str, str]:
    if not traits.quality:
        if crf is None:
            return {}
        hint = (
            f"its quality is its --encoder-preset ({', '.join(traits.presets)})"
            if traits.presets
            else "its quality is fixed"
        )
        raise OptionsError(f"--crf {crf} does not go with {codec}: {hint}. Leave --crf out.")
    quality = traits.default_quality if crf is None else crf
    if not 0 <= quality <= traits.worst_quality:
        raise OptionsError(
            f"--crf {quality} is out of range for {codec}: give 0 (best) to "
            f"{traits.worst_quality} (smallest)."
        )
    return {name: str(quality) for name in traits.quality}


def _preset_options(
    codec: str, traits: _Traits, preset: str | None, layout: PixelLayout
) -> dict[str, str]:
    if not traits.preset:
        if preset is None:
            return {}
        raise OptionsError(f"{codec} has no presets: leave --encoder-preset {preset} out.")
    if preset is None:
        profile = "4444" if layout.subsampling == "444" else "hq"
        preset = profile if codec == "prores_ks" else traits.default_preset
    if preset not in traits.presets:
        raise OptionsError(
            f"--encoder-preset {preset} is not one of {codec}'s: {', '.join(traits.presets)}."
        )
    return {traits.preset: preset}


@lru_cache(maxsize=32)
def _formats_of(codec: str) -> tuple[str, ...]:
    """Pixel formats in memory, Y'CbCr or gray and without alpha, that an encoder takes."""
    return formats_in_memory(each.name for each in av.Codec(codec, "w").video_formats or ())


def formats_in_memory(formats: Iterable[str]) -> tuple[str, ...]:
    """Of FFmpeg's pixel formats those that our planes can be written to, Y'CbCr or gray."""
    on_device = ("cuda", "qsv", "amf", "videotoolbox_vld", "d3d11", "d3d12", "vaapi", "vulkan")
    return tuple(
        name
        for name in formats
        if name not in on_device
        and not name.startswith(("yuvj", "yuva"))
        and not name.endswith(("msble", "16le", "14le"))
        and layout_of(name).subsampling != "rgb"
    )


def _pixel_format(codec: str, layout: PixelLayout, asked: str | None) -> str:
    formats = _formats_of(codec)
    if asked is not None:
        layout_of(asked)
        if asked not in formats:
            raise OptionsError(
                f"--pix-fmt {asked} does not go with {codec}, which takes: {', '.join(formats)}."
            )
        return asked
    chosen = nearest_format(codec, formats, layout)
    if layout_of(chosen).bit_depth == 8 < layout.bit_depth:
        raise OptionsError(
            f"The source has {layout.bit_depth} bits and {codec} takes 8 here: give "
            f"--codec libx265 or libsvtav1, or --pix-fmt {chosen} to let them go."
        )
    return chosen


def nearest_format(codec: str, formats: Sequence[str], layout: PixelLayout) -> str:
    """The one of an encoder's pixel formats that loses least of a layout."""
    wanted = _wanted_layout(codec, layout)
    return min(formats, key=lambda name: _distance(name, wanted))


def _wanted_layout(codec: str, layout: PixelLayout) -> PixelLayout:
    """R'G'B' becomes 4:4:4; gray stays gray only in FFV1, since few players show it."""
    if layout.subsampling == "rgb":
        return PixelLayout("444", layout.bit_depth)
    if layout.subsampling == "gray" and codec != "ffv1":
        return PixelLayout("420", layout.bit_depth)
    return layout


def _distance(name: str, wanted: PixelLayout) -> tuple[int, int, int, bool]:
    """How far a format is from the wanted layout: colour lost, depth lost, then waste."""
    order = ("gray", "420", "422", "444")
    offered = layout_of(name)
    chroma = order.index(offered.subsampling) - order.index(wanted.subsampling)
    depth = offered.bit_depth - wanted.bit_depth
    loss = 100 * -min(chroma, 0) + 10 * -min(depth, 0)
    return loss, max(chroma, 0), max(depth, 0), name != planar_format(offered)
