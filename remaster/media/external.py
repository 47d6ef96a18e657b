"""An ffmpeg program outside Python, when the user has one; the only place that imports ffmpeg."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from remaster.errors import OptionsError

__all__ = ["encoder_command", "find_ffmpeg", "lanczos_command", "pixel_formats_of"]

_ANSWER_SECONDS = 20


def find_ffmpeg() -> str | None:
    """Path of an ffmpeg program: $REMASTER_FFMPEG, on PATH, or that of imageio-ffmpeg.

    Raises OptionsError when $REMASTER_FFMPEG names no program.
    """
    named = os.environ.get("REMASTER_FFMPEG")
    if named:
        found = shutil.which(named)
        if found is None:
            raise OptionsError(
                f"REMASTER_FFMPEG is {named}, which is no program: correct it or leave it unset."
            )
        return found
    return shutil.which("ffmpeg") or _bundled_ffmpeg()


def lanczos_command(
    source: Path,
    output: Path,
    width: int,
    height: int,
    *,
    program: str = "ffmpeg",
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
) -> list[str]:
    """The arguments of a plain Lanczos enlargement to (width, height), sound copied.

    `options` go to the encoder (`{"preset": "veryfast", "crf": "17"}` by default).
    """
    ffmpeg = _ffmpeg_python()
    given = ffmpeg.input(f"file:{source.absolute()}")
    enlarged = given.video.filter("scale", width, height, flags="lanczos")
    encoder = dict(options or {"preset": "veryfast", "crf": "17"})
    stream = ffmpeg.output(
        enlarged,
        given["a?"],
        f"file:{output.absolute()}",
        **{"c:v": codec, "c:a": "copy", **encoder},
    )
    command = stream.overwrite_output().global_args("-nostdin", "-loglevel", "error")
    return [str(word) for word in command.compile(cmd=program)]


def _ffmpeg_python() -> Any:
    """The package that writes command lines; only who asks for an external program needs it.

    Raises OptionsError where it is missing.
    """
    try:
        import ffmpeg
    except ImportError as error:
        raise OptionsError(
            "An external ffmpeg needs the package ffmpeg-python: pip install ffmpeg-python."
        ) from error
    return ffmpeg


def _bundled_ffmpeg() -> str | None:
    try:
        import imageio_ffmpeg
    except ImportError:
        return None
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:  # the package is there without its program
        return None


def encoder_command(
    program: str,
    codec: str,
    pixel_format: str,
    time_base: Fraction,
    filters: str,
    options: Mapping[str, str],
) -> list[str]:
    """The arguments of an encoder from raw pictures on standard input to packets on its output.

    Both are NUT. Every picture is encoded once, and keeps its time in units of `time_base`.
    """
    times = {
        "fps_mode": "passthrough",
        "enc_time_base": f"{time_base.numerator}/{time_base.denominator}",
        "avoid_negative_ts": "disabled",
    }
    ffmpeg = _ffmpeg_python()
    given = ffmpeg.input("pipe:0", f="nut")
    encoder = {**options, "c:v": codec, "pix_fmt": pixel_format, "vf": filters, **times}
    stream = ffmpeg.output(given, "pipe:1", f="nut", **encoder)
    command = stream.global_args("-hide_banner", "-nostats", "-loglevel", "error", "-copyts")
    return [str(word) for word in command.compile(cmd=program)]


def pixel_formats_of(program: str, codec: str) -> tuple[str, ...]:
    """FFmpeg's names of the formats that a program's encoder takes; empty where it does not say.

    Raises OptionsError when the program does not run or has no such encoder.
    """
    try:
        done = subprocess.run(
            [program, "-hide_banner", "-h", f"encoder={codec}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OptionsError(f"{program} does not run as ffmpeg does ({error})") from error
    said = done.stdout.decode(errors="replace")
    if not re.search(r"^Encoder ", said, re.MULTILINE):
        raise OptionsError(
            f"{program} has no encoder {codec!r}: its -encoders lists what it has; "
            f"$REMASTER_FFMPEG names another ffmpeg."
        )
    formats = re.search(r"Supported pixel formats: (.*)", said)
    return tuple(formats[1].split()) if formats else ()
