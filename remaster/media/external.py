"""An ffmpeg program outside Python, when the user has one; the only place that imports ffmpeg."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import ffmpeg

from remaster.errors import OptionsError

__all__ = ["find_ffmpeg", "lanczos_command"]


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


def _bundled_ffmpeg() -> str | None:
    try:
        import imageio_ffmpeg
    except ImportError:
        return None
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:  # the package is there without its program
        return None
