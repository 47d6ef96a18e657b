"""Good frames scattered over a film."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from remaster.color import decode_planes
from remaster.media.probe import probe
from remaster.media.reader import read_frames
from remaster.train.sources import Picture


@dataclass(frozen=True)
class Still:
    """A frame of a film."""

    time: float
    """Seconds from the film's start."""

    picture: Picture


def harvest_film(
    path: Path, count: int, rng: np.random.Generator, *, part: tuple[float, float] = (0.0, 1.0)
) -> Iterator[Still]:
    """Up to `count` frames."""
    source = probe(path)
    total = source.video.frame_count or 1000
    wanted = {int((i + 0.5) * total / count) for i in range(count)}
    for i, frame in enumerate(read_frames(source)):
        if i in wanted:
            planes = [plane[None] for plane in frame.planes]
            rgb = decode_planes(planes, source.video.layout, source.video.color, "rgb")
            levels = rgb[0].mul(255).round().clamp(0, 255).byte().permute(1, 2, 0)
            yield Still(float(frame.pts * source.video.time_base), levels.numpy())
