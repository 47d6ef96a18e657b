"""Which FFmpeg this is."""

from __future__ import annotations

import av

__all__ = ["ffmpeg_libraries"]


def ffmpeg_libraries() -> str:
    """Versions of FFmpeg and of its libraries that matter here."""
    names = ("libavformat", "libavcodec")
    numbers = [".".join(map(str, av.library_versions[name])) for name in names]
    said = ", ".join(f"{name} {number}" for name, number in zip(names, numbers))
    return f"{av.ffmpeg_version_info} ({said})"
