"""Pictures come out as the decoder made them, all of them, each at its time."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from remaster.frames import Frame, PixelLayout
from remaster.media.formats import is_planar, planar_format, plane_order
from remaster.media.probe import Source, probe
from remaster.media.reader import DamageReport, read_frames
from tests.clips import Sound, make_clip

UNEVEN = (0, 40, 120, 160, 500, 501, 543, 1000, 1041, 1500)


def decoded_planes(path: Path, index: int, source: Source) -> list[np.ndarray]:
    """Frame `index` by a plain decode, planes in our order."""
    with av.open(str(path)) as container:
        frame = next(islice(container.decode(video=0), index, None))
        if not is_planar(frame.format.name):
            frame = frame.reformat(format=planar_format(source.video.layout))
        dtype = np.uint8 if source.video.layout.bit_depth == 8 else np.int16
        return [
            np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width].copy()
            for plane in (frame.planes[number] for number in plane_order(source.video.layout))
        ]


@pytest.mark.parametrize(
    ("pix_fmt", "codec"),
    [
        ("yuv420p", "libx264"),
        ("yuv422p", "libx264"),
        ("yuv444p10le", "libx264"),
        ("yuv420p12le", "ffv1"),
        ("yuv420p9le", "ffv1"),
        ("yuva420p", "ffv1"),
        ("yuv411p", "ffv1"),
        ("gray", "ffv1"),
        ("gbrp", "magicyuv"),
        ("gbrp10le", "ffv1"),
        ("nv12", "rawvideo"),
        ("bgr24", "rawvideo"),
    ],
)
def test_planes_are_the_decoders(tmp_path: Path, pix_fmt: str, codec: str) -> None:
    path = make_clip(
        tmp_path / "a.nut",
        size=(37, 23) if codec == "ffv1" else (38, 24),
        frames=4,
        codec=codec,
        pix_fmt=pix_fmt,
        audio=(),
    )
    source = probe(path)
    frames = list(read_frames(source))
    assert len(frames) == 4
    layout = source.video.layout
    shapes = layout.plane_shapes(source.video.height, source.video.width)
    for frame_index in (0, 3):
        planes = frames[frame_index].planes
        assert [tuple(plane.shape) for plane in planes] == shapes
        assert all(plane.dtype == layout.dtype and plane.is_contiguous() for plane in planes)
        for plane, truth in zip(planes, decoded_planes(path, frame_index, source), strict=True):
            assert np.array_equal(plane.numpy(), truth)


def test_rgb_comes_in_the_order_red_green_blue(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "a.nut",
        frames=1,
        codec="ffv1",
        pix_fmt="gbrp10le",
        audio=(),
        picture=lambda index, layout, size: [np.full(size, value) for value in (900, 500, 100)],
    )
    frame = next(read_frames(probe(path)))
    assert [int(plane.float().mean()) for plane in frame.planes] == [900, 500, 100]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts", "a.avi"])
@pytest.mark.parametrize("bframes", [0, 2])
def test_constant_rates_step_evenly(tmp_path: Path, name: str, bframes: int) -> None:
    codec, sound = ("mpeg4", "mp2") if name == "a.avi" else ("libx264", "aac")
    path = make_clip(tmp_path / name, codec=codec, bframes=bframes, audio=(Sound(sound),))
    source = probe(path)
    frames = list(read_frames(source))
    assert len(frames) == 24
    steps = {(b.pts - a.pts) * source.video.time_base for a, b in pairwise(frames)}
    assert steps == {Fraction(1, 25)}


def test_avi_without_times_of_its_own_is_put_in_order(tmp_path: Path) -> None:
    """H.264 with B-frames in AVI: the container's times are in decoding order."""
    source = probe(make_clip(tmp_path / "a.avi", bframes=2, audio=(Sound("ac3"),)))
    pts = [frame.pts for frame in read_frames(source)]
    assert len(pts) == 24 and all(b - a == 1 for a, b in pairwise(pts))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_uneven_times_are_kept(tmp_path: Path, name: str) -> None:
    path = make_clip(tmp_path / name, time_base=Fraction(1, 1000), pts=UNEVEN, bframes=2)
    source = probe(path)
    times = [frame.pts * source.video.time_base for frame in read_frames(source)]
    assert times == [Fraction(pts, 1000) for pts in UNEVEN]


@cache
def long_clip(name: str) -> tuple[Source, list[Frame]]:
    """Four seconds with a keyframe every second, and all its frames."""
    import tempfile

    folder = Path(tempfile.mkdtemp())
    path = make_clip(folder / name, frames=100, bframes=2, options={"g": "25"})
    source = probe(path)
    return source, list(read_frames(source))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@settings(max_examples=12, deadline=None)
@given(start=st.integers(0, 4200), length=st.integers(0, 2000))
@example(start=1, length=21)  # before the first picture, behind the first sound
def test_a_range_is_exactly_its_frames(name: str, start: int, length: int) -> None:
    source, whole = long_clip(name)
    begin, end = Fraction(start, 1000), Fraction(start + length, 1000)
    expected = [frame for frame in whole if begin <= frame.pts * source.video.time_base < end]
    found = list(read_frames(source, start=begin, end=end))
    assert [frame.pts for frame in found] == [frame.pts for frame in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours.planes, theirs.planes, strict=True))


def test_damage_is_counted_and_passed_by(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.ts", size=(320, 240), frames=100, options={"g": "10"}, audio=())
    whole = len(list(read_frames(probe(path))))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = b"\x55" * 6000
    path.write_bytes(data)
    report = DamageReport()
    frames = list(read_frames(probe(path), damage=report))
    assert whole - 20 < len(frames) <= whole
    assert report.failed_packets + report.corrupt_frames > 0
    assert all(a.pts < b.pts for a, b in pairwise(frames))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_film_that_breaks_off_is_reported(tmp_path: Path, name: str) -> None:
    options = {"movflags": "faststart"} if name == "a.mp4" else {}
    path = make_clip(tmp_path / name, size=(320, 240), frames=60, muxer_options=options)
    whole = DamageReport()
    assert len(list(read_frames(probe(path), damage=whole))) == 60 and not whole
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    report = DamageReport()
    frames = list(read_frames(probe(path), damage=report))
    assert 20 < len(frames) < 60
    assert report.missing_seconds == pytest.approx(2.4 - len(frames) / 25, abs=0.1)


@pytest.mark.parametrize(
    ("name", "codec", "sound"),
    [
        ("a.ts", "libx264", "aac"),
        ("a.vob", "mpeg2video", "mp2"),
        ("a.mp4", "libx264", "aac"),
        ("a.mov", "libx264", "aac"),
        ("a.mkv", "libx264", "aac"),
        ("a.avi", "mpeg4", "mp2"),
    ],
)
@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("rate", [25, 1])
def test_a_whole_film_does_not_break_off(
    tmp_path: Path, name: str, codec: str, sound: str, bframes: int, rate: int
) -> None:
    rate = 25 if codec != "libx264" else rate
    path = make_clip(
        tmp_path / name,
        codec=codec,
        bframes=bframes,
        rate=Fraction(rate),
        frames=12,
        audio=(Sound(sound),),
    )
    report = DamageReport()
    assert len(list(read_frames(probe(path), damage=report))) == 12
    assert not report


def joined(folder: Path, name: str, codec: str, sound: str, frames: int) -> tuple[Path, Path]:
    """A part, and a file that holds it twice."""
    part = make_clip(folder / name, codec=codec, bframes=2, frames=frames, audio=(Sound(sound),))
    whole = folder / f"joined{part.suffix}"
    whole.write_bytes(part.read_bytes() * 2)
    return part, whole


JOINED = [("a.ts", "libx264", "aac"), ("a.vob", "mpeg2video", "mp2")]


@pytest.mark.parametrize(("name", "codec", "sound"), JOINED)
def test_a_small_step_back_is_counted(tmp_path: Path, name: str, codec: str, sound: str) -> None:
    _, whole = joined(tmp_path, name, codec, sound, 6)
    report = DamageReport()
    frames = list(read_frames(probe(whole), damage=report))
    assert len(frames) == 12 and report.moved_frames + report.mended_times >= 5 and report
    assert all(a.pts < b.pts for a, b in pairwise(frames))


@pytest.mark.parametrize("size", [(96, 64), (32, 24), (63, 47)])
def test_a_change_of_size_is_brought_to_the_first(tmp_path: Path, size: tuple[int, int]) -> None:
    def bars(index: int, layout: PixelLayout, shape: tuple[int, int]) -> list[np.ndarray]:
        planes = []
        for rows, columns in layout.plane_shapes(*shape):
            row = np.linspace(40, 200, columns, dtype=np.uint16)
            planes.append(np.broadcast_to(row, (rows, columns)))
        return planes

    lossless = {"qp": "0"}
    pix_fmt = "yuv444p"
    first = make_clip(
        tmp_path / "a.ts", frames=10, audio=(), picture=bars, pix_fmt=pix_fmt, options=lossless
    )
    second = make_clip(
        tmp_path / "b.ts",
        frames=10,
        audio=(),
        picture=bars,
        pix_fmt=pix_fmt,
        options=lossless,
        size=size,
        video_offset_seconds=Fraction(2, 5),
    )
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    report = DamageReport()
    frames = list(read_frames(probe(joined), damage=report))
    assert len(frames) == 20 and report.resized_frames == 10 and report
    assert f"{size[0]}x{size[1]}" in report.first_resized
    for one, other in zip(frames[:10], frames[10:]):
        for a, b in zip(one.planes, other.planes):
            assert a.shape == b.shape
            assert (a.int() - b.int())[:, 4:-4].abs().max() <= 3


def test_the_file_is_closed_when_reading_stops_early(tmp_path: Path) -> None:
    frames = read_frames(probe(make_clip(tmp_path / "a.mp4")))
    next(frames)
    frames.close()
    with pytest.raises(StopIteration):
        next(frames)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov"])
def test_drawings_held_for_long_keep_their_times(tmp_path: Path, name: str) -> None:
    """With B-frames a picture is then decoded long before it is shown."""
    lengths = [40] * 30 + [7000] + [40] * 30 + [11000] + [40] * 8
    pts = [sum(lengths[:i]) for i in range(len(lengths))]
    path = make_clip(tmp_path / name, pts=pts, time_base=Fraction(1, 1000), bframes=3, audio=())
    report = DamageReport()
    source = probe(path)
    found = [f.pts * source.video.time_base for f in read_frames(source, damage=report)]
    assert [round(time * 1000) for time in found] == pts
    assert not report
