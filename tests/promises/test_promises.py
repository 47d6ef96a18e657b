"""Promises about whole runs, each on a film that is apt to break it; the files are the judges."""

from __future__ import annotations

import io
import math
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from remaster.frames import PixelLayout
from remaster.options import RunOptions
from remaster.pipeline import RunResult, run
from tests.clips import Sound, Subtitles, cover_picture
from tests.promises.cases import BT709, CASES, CHAPTERS, LINES, NTSC_COLOR, Case, make_film
from tests.promises.checking import MILLISECOND, differences, read, texts

FASTEST = {
    "libx264": "ultrafast",
    "libx265": "ultrafast",
    "libsvtav1": "13",
    "libvpx-vp9": "8",
    "prores_ks": "proxy",
}


CODECS = {
    "libx264": "h264",
    "libx265": "hevc",
    "libsvtav1": "av1",
    "libvpx-vp9": "vp9",
    "prores_ks": "prores",
    "ffv1": "ffv1",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.promise)
def test_promise(tmp_path: Path, case: Case) -> None:
    source = make_film(tmp_path / case.source, case.clip)
    output = tmp_path / case.target
    given = {"model": "identity", "codec": "libx264", **case.run}
    given.setdefault("encoder_preset", FASTEST.get(given["codec"]))
    result = run(source, output, RunOptions(**given))
    said = "\n".join((*result.plan.notes, *result.warnings))
    for words in case.says:
        assert re.search(words, said), said
    before = read(source)
    start, end = (given.get(name) for name in ("start", "end"))
    broken = differences(
        before,
        read(output),
        start=_on_ticks(start or Fraction(0), before.tick),
        end=None if end is None else _on_ticks(end, before.tick),
        turns_into=case.turns_into,
        size=case.size or tuple(side * given.get("scale", 1) for side in before.size),
        codec=CODECS[given["codec"]],
    )
    assert set(broken) == case.loses


def _on_ticks(seconds: Fraction, tick: Fraction) -> Fraction:
    """The first tick at or after a time: a part is cut there."""
    return math.ceil(seconds / tick) * tick


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv420p10le", "yuv420p12le"])
def test_every_bit_of_every_sample_survives_without_loss(tmp_path: Path, pix_fmt: str) -> None:
    """Levels that need the lowest bits, each sample unlike its neighbours."""

    def levels(index: int, layout: PixelLayout, size: tuple[int, int]) -> list[np.ndarray]:
        few = np.random.default_rng(index)
        low, high = (n << (layout.bit_depth - 8) for n in (16, 235))
        return [few.integers(low, high, shape, np.uint16) for shape in layout.plane_shapes(*size)]

    clip = {"codec": "ffv1", "pix_fmt": pix_fmt, "color": BT709, "frames": 3, "picture": levels}
    source = make_film(tmp_path / "in.mkv", {**clip, "audio": ()})
    remastered(source, tmp_path / "out.mkv", codec="ffv1", encoder_preset=None)
    before, after = (samples(path) for path in (source, tmp_path / "out.mkv"))
    assert len(after) == 9
    assert all((values & 3).any() and (values & 1).any() for values in before)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def samples(path: Path) -> list[np.ndarray]:
    """Code values of every plane of every picture."""
    with av.open(str(path)) as container:
        return [
            np.frombuffer(plane, np.uint8 if picture.format.components[0].bits == 8 else np.uint16)
            .reshape(plane.height, -1)[:, : plane.width]
            .copy()
            for picture in container.decode(video=0)
            for plane in picture.planes
        ]


def remastered(source: Path, output: Path, **options: object) -> RunResult:
    given = {"model": "identity", "encoder_preset": "ultrafast", **options}
    return run(source, output, RunOptions(**given))  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["out.mkv", "out.mp4"])
def test_frames_around_a_damaged_packet_keep_their_times(tmp_path: Path, target: str) -> None:
    """Every picture is a key picture, so that one packet is one picture."""
    source = make_film(tmp_path / "in.mkv", {"options": {"g": "1"}, "color": NTSC_COLOR})
    whole = read(source)
    with av.open(str(source)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = source.read_bytes()
    assert data.count(packets[10]) == 1
    source.write_bytes(data.replace(packets[10], bytes(len(packets[10]))))
    result = remastered(source, tmp_path / target)
    found = read(tmp_path / target)
    expected = [(t, c) for t, c in zip(whole.times, whole.codes) if c != 10]
    assert [code for _, code in expected] == found.codes
    assert all(abs(a - t) <= MILLISECOND for a, (t, _) in zip(found.times, expected, strict=True))
    assert any("packets could not be decoded" in words for words in result.warnings)


def test_a_film_that_breaks_off_is_finished_with_a_warning(tmp_path: Path) -> None:
    source = make_film(tmp_path / "in.mkv", {"frames": 100, "audio": ()})
    whole = read(source)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    result = remastered(source, tmp_path / "out.mp4")
    found = read(tmp_path / "out.mp4")
    assert 30 < len(found.codes) < 100
    assert found.codes[:-1] == whole.codes[: len(found.codes) - 1]
    assert any("breaks off" in words or "damaged" in words for words in result.warnings)


@pytest.mark.parametrize(("a", "b"), [("mov", "mov"), ("mp4", "mp4"), ("mov", "mkv")])
def test_a_timecode_is_kept(tmp_path: Path, a: str, b: str) -> None:
    clip = {"film_tags": {"timecode": "01:02:03:04"}, "metadata": {"timecode": "01:02:03:04"}}
    source = make_film(tmp_path / f"in.{a}", clip)
    result = remastered(source, tmp_path / f"out.{b}")
    assert not any("data stream" in words for words in result.warnings)
    with av.open(str(tmp_path / f"out.{b}")) as container:
        said = [container.metadata, *(stream.metadata for stream in container.streams)]
    assert "01:02:03:04" in {v for tags in said for k, v in tags.items() if k.lower() == "timecode"}


def test_a_timecode_of_a_later_part_is_not_that_of_the_whole(tmp_path: Path) -> None:
    source = make_film(tmp_path / "in.mkv", {"metadata": {"timecode": "01:02:03:04"}})
    result = remastered(source, tmp_path / "out.mkv", start=Fraction(1, 5))
    assert "timecode" not in read(tmp_path / "out.mkv").tags
    assert any("timecode" in words for words in result.warnings)


def test_texts_at_the_same_time_are_all_shown_in_mp4(tmp_path: Path) -> None:
    """A sign over a line, two lines at once, a drawing, and a line that has no end in sight."""
    lines = [
        (0.0, 0.6, r"{\i1\b1}Long{\b0} line{\i0}"),
        (0.1, 0.3, r"{\pos(20,30)}SIGN"),
        (0.1, 0.3, r"{\p1}m 0 0 l 100 0{\p0}"),
        (0.1, 0.3, r"{\blur3}SIGN"),
        (0.7, 0.75, "Bye"),
    ]
    source = make_film(tmp_path / "in.mkv", {"subtitles": (Subtitles(lines, "ass"),)})
    remastered(source, tmp_path / "out.mp4")
    track = next(t for t in read(tmp_path / "out.mp4").tracks if t.kind == "subtitle")
    assert [
        (round(float(t or 0), 3), round(float(n), 3), words) for t, n, words in texts(track)
    ] == [
        (0.0, 0.1, "Long line"),
        (0.1, 0.2, "Long line\nSIGN"),
        (0.3, 0.3, "Long line"),
        (0.7, 0.05, "Bye"),
    ]


@pytest.mark.parametrize("target", ["out.mkv", "out.mp4", "out.mov"])
@pytest.mark.parametrize("flags", [(0, 0), (0, 1), (1, 0)])
def test_texts_are_shown_by_default_where_they_were(
    tmp_path: Path, target: str, flags: tuple[int, int]
) -> None:
    tracks = tuple(Subtitles(LINES, flags=each) for each in flags)
    source = make_film(tmp_path / "in.mkv", {"subtitles": tracks, "chapters": CHAPTERS})
    remastered(source, tmp_path / target)
    found = [
        t.flags & Disposition.default
        for t in read(tmp_path / target).tracks
        if t.kind == "subtitle"
    ]
    assert found == list(flags)


@pytest.mark.parametrize("target", ["out.mkv", "out.mp4"])
@pytest.mark.parametrize("turn", [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0)])
def test_a_mirrored_film_stays_mirrored(tmp_path: Path, target: str, turn: tuple[int, ...]) -> None:
    a, b, c, d = (each << 16 for each in turn)
    source = make_film(tmp_path / "in.mp4", {"matrix": (a, b, 0, c, d, 0, 0, 0, 1 << 30)})
    assert read(source).turn == (a, b, c, d)
    remastered(source, tmp_path / target)
    assert read(tmp_path / target).turn == (a, b, c, d)


@pytest.mark.parametrize(("codec", "name"), [("mp2", b"A_MPEG/L2"), ("libmp3lame", b"A_MPEG/L3")])
def test_matroska_says_which_layer_of_mpeg_sound(tmp_path: Path, codec: str, name: bytes) -> None:
    """The file's own word: FFmpeg looks into the packets and mends a wrong one in reading."""
    source = make_film(tmp_path / "in.mkv", {"audio": (Sound(codec),), "color": NTSC_COLOR})
    remastered(source, tmp_path / "out.mkv")
    assert name in (tmp_path / "out.mkv").read_bytes()


def test_bold_and_italic_words_come_back(tmp_path: Path) -> None:
    """From SubRip into MP4's boxes and back again."""
    lines = [(0.1, 0.3, "<b>Bold</b> and <i>italic <u>ö</u></i>"), (0.4, 0.6, "plain")]
    source = make_film(tmp_path / "in.mkv", {"subtitles": (Subtitles(lines),)})
    remastered(source, tmp_path / "out.mp4")
    remastered(tmp_path / "out.mp4", tmp_path / "back.mkv")
    before, after = (read(path).tracks[-1] for path in (source, tmp_path / "back.mkv"))
    assert [packet[3] for packet in before.packets] == [packet[3] for packet in after.packets]


def test_two_covers_and_their_names_arrive(tmp_path: Path) -> None:
    """A Matroska file has covers upright and lying, large and small."""
    picture = io.BytesIO()
    Image.new("RGB", (24, 32), (1, 2, 200)).save(picture, "PNG")
    names = {
        "cover.jpg": ("image/jpeg", cover_picture()),
        "small_cover.png": ("image/png", picture.getvalue()),
    }
    source = make_film(tmp_path / "in.mkv", {"files": names})
    remastered(source, tmp_path / "out.mkv")
    remastered(source, tmp_path / "out.mp4")
    found = read(tmp_path / "out.mkv")
    assert sorted(found.covers) == sorted((name, data) for name, (_, data) in names.items())
    assert {data for _, data in read(tmp_path / "out.mp4").covers} == {d for _, d in names.values()}


def test_promises_have_names_of_their_own() -> None:
    names = [case.promise for case in CASES]
    assert len(set(names)) == len(names) >= 70
