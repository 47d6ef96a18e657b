"""Where a film begins and ends, whatever its file says."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from remaster.media.extent import film_extent, picture_from
from remaster.media.probe import probe
from remaster.media.reader import read_frames
from tests.clips import make_clip


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi", "mov"])
@pytest.mark.parametrize("says", [True, False])
def test_the_extent_is_that_of_the_pictures(tmp_path: Path, suffix: str, says: bool) -> None:
    codec = "mpeg4" if suffix == "avi" else "libx264"
    path = make_clip(tmp_path / f"in.{suffix}", frames=100, codec=codec, options={"g": "12"})
    source = probe(path)
    if not says:
        source = replace(source, duration_seconds=None, video_end_seconds=None)
    first, end = film_extent(source, Fraction(1))
    assert abs(first) <= Fraction(1, 10)
    assert abs(end - first - 4) <= Fraction(1, 10)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_part_inside_a_still_begins_with_its_picture(tmp_path: Path, suffix: str) -> None:
    """Pictures at 0 to 0.4 s and from 20 s on; one is shown all the while between."""
    pts = [*range(11), *range(500, 511)]
    path = make_clip(tmp_path / f"in.{suffix}", pts=pts, frames=len(pts), options={"g": "5"})
    source, length = probe(path), Fraction(1, 2)
    shown = picture_from(source, Fraction(10), length)
    assert abs(shown - Fraction(2, 5)) < Fraction(1, 500)
    assert [
        float(frame.pts * source.video.time_base)
        for frame in read_frames(source, start=shown, end=shown + length)
    ] == [float(shown)]
    assert picture_from(source, Fraction(1, 10), length) == Fraction(1, 10)
    assert picture_from(source, Fraction(199, 10), length) == Fraction(199, 10)


def test_a_late_film_begins_late(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mkv", frames=50, video_offset_seconds=Fraction(30), audio=())
    first, end = film_extent(probe(path), Fraction(1))
    assert (first, round(end)) == (30, 32)


def test_a_film_that_breaks_off_ends_there(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mkv", frames=250, options={"g": "10"}, audio=())
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 4])
    source = probe(path)
    assert source.duration_seconds == pytest.approx(10, abs=0.1)
    first, end = film_extent(source, Fraction(1))
    assert first == 0
    assert 1 < end < 4


def test_a_raw_stream_has_an_extent_too(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mp4", frames=50, audio=())
    raw = tmp_path / "in.h264"
    with av.open(str(path)) as source, av.open(str(raw), "w") as output:
        film = source.streams.video[0]
        stream = output.add_stream_from_template(film)
        filtered = av.BitStreamFilterContext("h264_mp4toannexb", film)
        for packet in source.demux(film):
            for each in filtered.filter(packet if packet.size else None):
                each.stream = stream
                output.mux(each)
    first, end = film_extent(probe(raw), Fraction(1))
    assert float(end - first) == pytest.approx(2, abs=0.1)
