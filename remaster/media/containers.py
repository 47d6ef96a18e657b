"""The containers that are written, and what FFmpeg says that they hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import av

from remaster.errors import OptionsError

__all__ = ["CONTAINERS", "container_format", "takes"]

CONTAINERS: Mapping[str, str] = {
    ".mkv": "matroska",
    ".mp4": "mp4",
    ".mov": "mov",
    ".webm": "webm",
}
"""Extension to FFmpeg's muxer."""


def container_format(path: Path) -> str:
    """FFmpeg's muxer for a file name. Raises OptionsError for an extension we do not write."""
    try:
        return CONTAINERS[path.suffix.lower()]
    except KeyError:
        raise OptionsError(
            f"The output {path.name} ends in {path.suffix or 'nothing'!r}: it must end in "
            f"{', '.join(CONTAINERS)}."
        ) from None


def takes(container: str, codec: str) -> bool:
    """Whether a container (FFmpeg's muxer name) holds what this encoder or decoder handles."""
    return codec in _codecs_of(container)


@lru_cache(maxsize=8)
def _codecs_of(container: str) -> frozenset[str]:
    with av.open(os.devnull, "w", format=container) as output:
        return frozenset(output.supported_codecs)
