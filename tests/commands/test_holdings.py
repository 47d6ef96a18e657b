"""`remaster probe`: everything that a file holds, and what becomes of it."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from remaster.cli import main
from remaster.frames import Color
from tests.clips import Sound, Subtitles, make_clip


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["probe", *map(str, arguments)])


def rich_clip(folder: Path) -> Path:
    return make_clip(
        folder / "rich.mkv",
        frames=20,
        sar=Fraction(4, 3),
        rotation=90,
        color=Color("smpte170m", "limited", "smpte170m", "smpte170m"),
        audio=(Sound("ac3", "jpn", title="\x1b[31mステレオ"), Sound("libopus", "eng")),
        subtitles=(Subtitles(((0, 0.5, "hi"),), codec="ass"),),
        attachments={"font.ttf": b"x" * 5000},
        chapters=((0, 0.4, "Opening"), (0.4, 0.8, "Part A")),
        metadata={"title": "Episode\n1"},
    )


def document(path: Path) -> dict[str, Any]:
    result = call("--json", path)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_everything_is_in_the_document(tmp_path: Path) -> None:
    found = document(rich_clip(tmp_path))
    video = found["video"]
    assert (video["codec"], video["size"], video["pixel_aspect"]) == ("h264", [64, 48], "4/3")
    assert video["display_size"] == [48, 85]
    assert (video["frame_rate"], video["variable_frame_rate"]) == ("25", False)
    assert video["color"]["matrix"] == "smpte170m"
    assert video["color_assumed"] == []
    kinds = [stream["kind"] for stream in found["streams"]]
    assert kinds == ["video", "audio", "audio", "subtitle", "attachment"]
    assert [stream["language"] for stream in found["streams"][1:4]] == ["jpn", "eng", "eng"]
    assert [chapter["title"] for chapter in found["chapters"]] == ["Opening", "Part A"]
    assert found["metadata"]["title"] == "Episode\n1"
    becomes = [stream["becomes"] for stream in found["streams"]]
    assert [fate["mkv"].split(":")[0] for fate in becomes] == [
        "remastered", "copied", "copied", "copied", "attached",
    ]  # fmt: skip
    assert becomes[3]["mp4"].startswith("becomes mov_text: ")
    assert becomes[4]["mp4"].startswith("left out: ")


def test_people_read_it_in_lines_that_steer_nothing(tmp_path: Path) -> None:
    result = call(rich_clip(tmp_path))
    assert result.exit_code == 0
    for words in (
        "64x48 shown as 48x85, pixels 4:3", "25 fps", "yuv420p, 8 bit", "smpte170m", "(stated)",
        "ac3", "stereo 48 kHz", "jpn", r"\x1b[31mステレオ", "font.ttf", "0:00.4  Part A",
        r"Episode\n1", "to mkv", "to mp4",
    ):  # fmt: skip
        assert words in result.stdout, words
    assert "\x1b" not in result.stdout


def test_what_is_assumed_is_said(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "silent.avi", codec="mpeg4", frames=3, audio=())
    assert "(assumed)" in call(path).stdout
    assert "matrix" in document(path)["video"]["color_assumed"]


def test_uneven_times_are_a_variable_rate(tmp_path: Path) -> None:
    times = [0, 40, 60, 140, 150, 170, 300, 340, 500, 520]
    uneven = make_clip(tmp_path / "v.mkv", pts=times, time_base=Fraction(1, 1000), audio=())
    film = make_clip(tmp_path / "f.mkv", rate=Fraction(24000, 1001), frames=30, bframes=3, audio=())
    assert document(uneven)["video"]["variable_frame_rate"] is True
    assert "variable rate" in call(uneven).stdout
    assert document(film)["video"]["variable_frame_rate"] is False


def test_a_container_that_cannot_hold_the_sound_is_refused(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", frames=3, audio=(Sound("pcm_u8"),))
    found = document(path)
    assert list(found["refused"]) == ["mp4"]
    assert "to mp4: refused. A mp4 file cannot hold the audio" in call(path).stdout


def test_a_bad_file_does_not_stop_the_next(tmp_path: Path) -> None:
    (tmp_path / "bad.mkv").write_bytes(b"bad")
    good = make_clip(tmp_path / "good.mkv", frames=2)
    result = call("--json", tmp_path / "bad.mkv", good)
    assert result.exit_code == 3
    assert json.loads(result.stdout)["file"] == str(good)
    assert json.loads(result.stderr)["event"] == "error"
    assert call(tmp_path / "bad.mkv").exit_code == 1


@pytest.mark.parametrize(
    ("suffix", "words"), [("mp4", ", 20 frames by the container"), ("mkv", ", about ")]
)
def test_a_number_of_frames_is_said_with_where_it_is_from(
    tmp_path: Path, suffix: str, words: str
) -> None:
    path = make_clip(tmp_path / f"in.{suffix}", frames=20)
    assert words in CliRunner().invoke(main, ["probe", str(path)]).stdout
    found = json.loads(CliRunner().invoke(main, ["probe", "--json", str(path)]).stdout)
    assert found["video"]["frames_estimated"] is (suffix == "mkv")
