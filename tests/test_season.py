"""A season as people have it: mixed files in folders, two of them bad, remastered in one go."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from click.testing import CliRunner

from remaster.cli import main
from remaster.media.probe import probe
from remaster.media.reader import read_frames
from tests.clips import Sound, Subtitles, make_clip

EPISODES = {
    "01 - The Start.mp4": {"bframes": 2},
    "02.mkv": {
        "audio": (Sound("ac3", "jpn"), Sound("libopus", "eng")),
        "subtitles": (Subtitles(((0, 0.2, "hello"),), codec="ass"),),
        "chapters": ((0, 0.2, "Opening"), (0.2, 0.4, "Part A")),
    },
    "03.avi": {"codec": "mpeg4", "audio": (Sound("mp3"),)},
    "10.mov": {"audio": (Sound("pcm_s16le"),)},
    "11.ts": {"codec": "mpeg2video", "audio": (Sound("mp2"),)},
    "Specials/Re:Zero – 第1話.webm": {"codec": "libvpx-vp9", "audio": (Sound("libopus"),)},
    "Specials/s2.mkv": {"pix_fmt": "yuv420p10le"},
    "Specials/s10.mkv": {"pts": (0, 40, 60, 140, 150, 170), "time_base": Fraction(1, 1000)},
    "Extras/Clean/ed.mp4": {"audio": ()},
    "Extras/Clean/op.mkv": {"sar": Fraction(4, 3)},
}
BAD = ("04.mkv", "Extras/cut.mp4")
OUTPUTS = {
    "03.avi": "03.mkv",
    "11.ts": "11.mkv",
    "Specials/Re:Zero – 第1話.webm": "Specials/Re:Zero – 第1話.mkv",
}
"""Endings that are not written, or do not hold H.264."""


def make_season(folder: Path) -> None:
    for name, details in EPISODES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_clip(path, frames=6, **details)  # type: ignore[arg-type]
    whole = (folder / "01 - The Start.mp4").read_bytes()
    (folder / BAD[0]).write_bytes(b"this is no film" * 100)
    (folder / BAD[1]).write_bytes(whole[: len(whole) // 2])
    (folder / "folder.jpg").write_bytes(b"")
    (folder / ".02.mkv.0a1b2c3d.part").write_bytes(b"")
    (folder / "again").symlink_to(folder)


def times(path: Path) -> list[Fraction]:
    source = probe(path)
    return [frame.pts * source.video.time_base for frame in read_frames(source)]


def test_a_season(tmp_path: Path) -> None:
    season, hd = tmp_path / "season1", tmp_path / "hd" / "season1"
    season.mkdir()
    make_season(season)
    before = {path: path.stat().st_mtime_ns for path in season.rglob("*")}
    arguments = ["run", str(season), "-o", str(hd), "--encoder-preset", "ultrafast"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 3, result.output

    wanted = {name: OUTPUTS.get(name, name) for name in EPISODES}
    found = {str(path.relative_to(hd)) for path in hd.rglob("*") if path.is_file()}
    assert found == set(wanted.values())
    for name, output in wanted.items():
        source, film = probe(season / name), probe(hd / output)
        assert (film.video.width, film.video.height) == (128, 96)
        assert film.video.sample_aspect_ratio == source.video.sample_aspect_ratio
        assert film.video.layout.bit_depth == source.video.layout.bit_depth
        assert film.guessed == ()
        assert len(film.streams) == len(source.streams)
        assert len(film.chapters) == len(source.chapters)
        pairs = list(zip(times(season / name), times(hd / output), strict=True))
        assert all(abs(a - b) <= Fraction(1, 1000) for a, b in pairs)

    complaints = [line for line in result.stderr.splitlines() if line.startswith("remaster: ")]
    assert len(complaints) == 2
    assert all(str(season / bad) in line for bad, line in zip(BAD, complaints, strict=True))
    assert "left alone, by their names no videos: again, folder.jpg" in result.stderr
    done = [line for line in result.stdout.splitlines() if line.endswith("verified")]
    assert [Path(line.split(": ")[0]).stem[:2] for line in done[:5]] == [
        "01",
        "02",
        "03",
        "10",
        "11",
    ]
    assert len(done) == 10
    _, _, closing = result.stdout.partition("10 done, 2 failed\n")
    assert [line.split()[0] for line in closing.splitlines()] == [str(season / bad) for bad in BAD]
    assert before == {path: path.stat().st_mtime_ns for path in season.rglob("*")}

    again = CliRunner().invoke(main, [*arguments, "--progress", "none"])
    assert again.exit_code == 1
    assert sum("give -y" in line for line in again.stderr.splitlines()) == 10
