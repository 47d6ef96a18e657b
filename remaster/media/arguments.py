"""The words of `--ffmpeg-encoder`, read and refused."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from remaster.errors import OptionsError

__all__ = ["EncoderArguments", "read_arguments"]

_CODEC_NAMES = ("c", "c:v", "codec", "codec:v", "vcodec")
_FILTER_NAMES = ("vf", "filter", "filter:v")
_REFUSED: Mapping[str, str] = {
    "remaster gives the input and takes the output": "i f y n map attach dump_attachment filename "
    "stream_loop re readrate itsoffset itsscale stdin nostdin passlogfile",
    "every frame comes out once, at its own time": "r fpsmax ss sseof t to frames vframes "
    "fps_mode vsync copyts start_at_zero enc_time_base avoid_negative_ts shortest fs muxdelay "
    "muxpreload pass",
    "the size, the shape and the colours are the film's own": "s aspect autoscale colorspace "
    "color_range color_primaries color_trc chroma_sample_location field_order top",
    "remaster writes the file": "tag vtag metadata map_metadata map_chapters disposition program "
    "target vn an sn dn acodec scodec movflags",
    "remaster says what happens": "loglevel v report stats nostats progress vstats vstats_file "
    "hide_banner debug",
    "filters are given with -vf": "filter_complex lavfi filter_script filter_complex_script",
}
"""Why a name is refused, and the names."""

_CHANGING_FILTERS = re.compile(
    r"(?:^|[,;\]])\s*(scale\w*|zscale|crop\w*|pad\w*|transpose\w*|rotate|fps|framerate|"
    r"minterpolate|select|decimate|mpdecimate|setpts|settb|trim|loop|reverse|tile|untile|telecine|"
    r"pullup|fieldmatch|bwdif|yadif|w3fdif|estdif|nnedi|separatefields|weave|interlace|tinterlace|"
    r"setsar|setdar|setparams|colorspace|colormatrix|movie|split|concat|hstack|vstack|overlay|"
    r"super2xsai|hqx|xbr|libplacebo|sr|dnn_processing|thumbnail|framestep|shuffleframes|random|"
    r"repeatfields|freezeframes|zoompan)(?=[=@,;]|$)"
)


@dataclass(frozen=True)
class EncoderArguments:
    """What an ffmpeg program is told about the encoder."""

    codec: str
    pixel_format: str | None
    filters: str
    """For `-vf`; empty for none."""

    options: Mapping[str, str]
    """Everything else, names without their dash."""


def read_arguments(text: str) -> EncoderArguments:
    """Read output arguments as a shell would.

    Raises OptionsError where they are no pairs of -name value, say no encoder, or speak of what is
    not the encoder's to decide.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise OptionsError(f"--ffmpeg-encoder {text!r} cannot be read ({error})") from error
    options: dict[str, str] = {}
    while words:
        word = words.pop(0)
        name = re.sub(r":v:0$", ":v", word.removeprefix("-"))
        if not word.startswith("-") or not name:
            raise OptionsError(
                f"--ffmpeg-encoder: {word!r} stands where an option is due and would name an "
                f"output file: give pairs, as in -c:v libx264 -crf 18"
            )
        _check_name(name)
        if not words:
            raise OptionsError(f"--ffmpeg-encoder: -{name} lacks its value")
        options[name] = words.pop(0)
    codec = [options.pop(name) for name in _CODEC_NAMES if name in options]
    if not codec or codec[-1] in ("copy", "rawvideo", "wrapped_avframe"):
        raise OptionsError("--ffmpeg-encoder must say the encoder, as in -c:v libx264")
    filters = [options.pop(name) for name in _FILTER_NAMES if name in options]
    formats = [options.pop(name) for name in ("pix_fmt", "pix_fmt:v") if name in options]
    return EncoderArguments(
        codec[-1], formats[-1] if formats else None, _checked(",".join(filters)), options
    )


def _check_name(name: str) -> None:
    plain = name.split(":")[0]
    if re.match(r"[^:]+:[asdt](:|$)", name):
        raise OptionsError(f"--ffmpeg-encoder: -{name} is for other streams, which are copied")
    for reason, names in _REFUSED.items():
        if plain in names.split():
            raise OptionsError(f"--ffmpeg-encoder: leave -{name} out, {reason}")


def _checked(filters: str) -> str:
    found = _CHANGING_FILTERS.search(filters)
    if found:
        raise OptionsError(
            f"--ffmpeg-encoder: leave the filter {found[1]} out, pictures keep their size, times "
            f"and colours"
        )
    return filters
