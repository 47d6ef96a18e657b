"""Real clips, where they are at hand, and the shipped example: what goes in comes out."""

from __future__ import annotations

import itertools
import runpy
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from remaster.color import decode_planes
from remaster.media.probe import probe
from remaster.media.reader import read_frames
from remaster.pipeline import RunOptions, run

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "old_episode.mp4"


def times(path: Path, end: Fraction) -> list[Fraction]:
    source = probe(path)
    return [f.pts * source.video.time_base for f in read_frames(source, end=end)]


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_real_clips_keep_every_frame(data: Path, tmp_path: Path, container: str) -> None:
    clips = sorted(p for p in (data / "clips").rglob("*") if p.suffix in (".mkv", ".mp4"))
    assert clips
    for clip in clips:
        output = tmp_path / f"{clip.stem}.{container}"
        end = Fraction(1, 2)
        options = RunOptions(scale=1, model="identity", encoder_preset="ultrafast", end=end)
        run(clip, output, options)
        before, after = times(clip, end), times(output, end + 1)
        assert len(before) == len(after), clip
        assert all(abs(a - b) <= Fraction(1, 1000) for a, b in zip(before, after)), clip
        assert probe(output).guessed == (), clip


def test_the_example_is_an_old_episode() -> None:
    source = probe(EXAMPLE)
    video = source.video
    assert (video.width, video.height, video.frame_rate) == (576, 432, 25)
    assert source.duration_seconds is not None
    assert source.duration_seconds >= 8
    assert {"matrix", "range", "primaries"} <= set(source.guessed)
    assert [s.kind for s in source.streams] == ["video", "audio"]
    assert EXAMPLE.stat().st_size < 1.5e6


def test_the_example_is_limited_animation() -> None:
    """Most frames show the drawing before them, and few tiles of the others are new."""
    program = runpy.run_path(str(EXAMPLE.with_name("make_old_episode.py")))
    frames = list(program["draw_episode"](121, 72, 96))
    assert len(frames) == program["NUM_FRAMES"] == len(times(EXAMPLE, Fraction(60)))
    pairs = list(itertools.pairwise(frames))
    assert sum(a is b for a, b in pairs) > 0.5 * len(pairs)
    new = [(a != b).any(2).reshape(18, 4, 24, 4).any((1, 3)).mean() for a, b in pairs]
    assert 0.05 < np.mean(new) < 0.2
    assert sum(share > 0.9 for share in new) >= 20  # four cuts, the pan, the fade


def test_the_example_gets_no_color_cast(tmp_path: Path) -> None:
    options = RunOptions(scale=4, encoder_preset="ultrafast", duration=Fraction(1), crf=12)
    run(EXAMPLE, tmp_path / "hd.mkv", options)
    means = []
    for path in (EXAMPLE, tmp_path / "hd.mkv"):
        source = probe(path)
        frames = list(read_frames(source, end=Fraction(1)))
        planes = [plane[None] for plane in frames[-1].planes]
        rgb = decode_planes(planes, source.video.layout, source.video.color, "rgb")
        means.append(rgb.mean((0, 2, 3)) * 255)
    assert (means[0] - means[1]).abs().max() < 1
