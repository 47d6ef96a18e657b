"""The containers that are written, and what FFmpeg says that they hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import av

from remaster.errors import OptionsError
from remaster.media.piping import is_pipe

__all__ = ["CONTAINERS", "Y4M", "container_format", "takes"]

CONTAINERS: Mapping[str, str] = {
    ".mkv": "matroska",
    ".mp4": "mp4",
    ".mov": "mov",
    ".webm": "webm",
}
"""Extension to FFmpeg's muxer."""

Y4M = "yuv4mpegpipe"
"""FFmpeg's name of plain pictures one after the other: no sound, no times, nothing else."""

_EXTENSIONS = {**CONTAINERS, ".y4m": Y4M}
_PIPED = ("mkv", "y4m")


def container_format(path: Path, named: str | None = None) -> str:
    """FFmpeg's muxer for an output, by its name unless another format is `named`.

    Raises OptionsError for an extension we do not write, and for a format that a pipe cannot take.
    """
    if is_pipe(path):
        named = named or _PIPED[0]
        if named not in _PIPED:
            raise OptionsError(
                f"--format {named} cannot go through a pipe, since its beginning is written last: "
                f"give --format {' or '.join(_PIPED)}, or a file name."
            )
    extension = f".{named}" if named else path.suffix.lower()
    try:
        return _EXTENSIONS[extension]
    except KeyError:
        ending = f"ends in {path.suffix}" if path.suffix else "has no ending"
        raise OptionsError(
            f"The output {path.name} {ending}: it must end in "
            f"{', '.join(_EXTENSIONS)}, or --format must say what it is."
        ) from None


def takes(container: str, codec: str) -> bool:
    """Whether a container (FFmpeg's muxer name) holds what this encoder or decoder handles."""
    return codec in _codecs_of(container)


@lru_cache(maxsize=8)
def _codecs_of(container: str) -> frozenset[str]:
    with av.open(os.devnull, "w", format=container) as output:
        return frozenset(output.supported_codecs)
