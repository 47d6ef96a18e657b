"""Dry runs: everything that would be decided, nothing written, and the refusals of a real run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from remaster import pipeline
from remaster.cli import main
from tests.clips import Sound, Subtitles, make_clip


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["run", *map(str, arguments)])


def document(*arguments: object) -> dict[str, Any]:
    result = call(*arguments, "--dry-run", "--progress", "json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def listing(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_everything_is_said_and_nothing_written(tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "in.mkv",
        frames=20,
        audio=(Sound("ac3", "jpn", title="Stereo"),),
        subtitles=(Subtitles(((0, 0.5, "hi"),), codec="ass"),),
        attachments={"font.ttf": b"x" * 5000},
        chapters=((0, 0.4, "Opening"), (0.4, 0.8, "Part A")),
        metadata={"title": "One"},
    )
    before = listing(tmp_path)
    result = call(source, "-o", tmp_path / "out.mp4", "--dry-run", "--crf", "20")
    assert result.exit_code == 0, result.output
    for words in (
        "64x48 to 128x96", "fast-x2 on cpu", "drawings found and kept", "libx264 yuv420p",
        "crf=20 preset=medium",
        "bt470bg", "(assumed)", "2 chapters", "ac3", "jpn", "copied",
        "becomes mov_text: mp4 files cannot hold ass", "left out: mp4 files cannot hold",
        "for 20 frames", "fps", "nothing was written",
    ):  # fmt: skip
        assert words in result.stdout, words
    assert listing(tmp_path) == before


def test_what_is_expected_is_near_what_comes(tmp_path: Path) -> None:
    """Sizes; how fast a shared machine is tomorrow is not for a test."""
    source = make_clip(
        tmp_path / "in.mkv", frames=400, size=(32, 32), audio=(Sound("ac3"),), options={"g": "50"}
    )
    output = tmp_path / "out.mkv"
    options = ["--model", "lanczos", "--encoder-preset", "veryfast", "-y"]
    expected = document(source, "-o", output, *options)["forecast"]
    assert (expected["frames"], expected["trial_frames"] <= 400) == (400, True)
    assert expected["seconds"] > 0
    assert call(source, "-o", output, *options, "--progress", "none").exit_code == 0
    assert expected["bytes"] == pytest.approx(output.stat().st_size, rel=0.25)


def test_a_part_is_reckoned_as_a_part(tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "in.mkv", frames=100, chapters=((0, 1, "A"), (1, 3, "B"), (3, 4, "C"))
    )
    for options in (["--start", "1.5", "--end", "2.5"], ["--preview", "1"]):
        found = document(source, "-o", tmp_path / "out.mkv", *options)
        assert (found["forecast"]["frames"], found["start"], found["end"]) == (25, 1.5, 2.5)
        assert found["chapters"] == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--codec", "theora"],
        ["--crf", "99"],
        ["--start", "100"],
        ["--model", "none.safetensors"],
        ["--codec", "libvpx-vp9", "--size", "1439x1081"],
        ["-o", "{}/no/folder/out.mkv"],
        ["-o", "{}/in.mkv"],
        ["-o", "{}/there.mkv"],
        ["-o", "{}/out.webm"],
        ["-o", "{}/out.txt"],
    ],
    ids=" ".join,
)
def test_refusals_are_those_of_a_run(tmp_path: Path, options: list[str]) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=5)
    (tmp_path / "there.mkv").touch()
    before = listing(tmp_path)
    given = [option.format(tmp_path) for option in options]
    arguments = [source, *([] if "-o" in given else ["-o", tmp_path / "out.mkv"]), *given]
    wet, dry = call(*arguments, "--progress", "none"), call(*arguments, "--dry-run")
    assert wet.exit_code in (1, 2)
    assert (dry.exit_code, dry.stdout) == (wet.exit_code, "")
    assert dry.stderr == wet.stderr
    assert listing(tmp_path) == before


@pytest.mark.parametrize("available", [50_000_000, 500_000_000])
def test_memory_is_asked_for_as_in_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: int
) -> None:
    """Refused where a run is, and the note where memory will be short."""
    source = make_clip(tmp_path / "in.mkv", frames=5)
    monkeypatch.setattr(pipeline, "available_memory", lambda: available)
    arguments = [source, "-o", tmp_path / "out.mkv", "--model", "lanczos"]
    dry, wet = call(*arguments, "--dry-run"), call(*arguments)
    assert dry.exit_code == wet.exit_code == (1 if available == 50_000_000 else 0)
    assert "memory" in dry.stderr + dry.stdout
    assert dry.exit_code == 0 or dry.stderr == wet.stderr


def test_a_preview_inside_a_still_has_its_picture(tmp_path: Path) -> None:
    pts = [*range(11), *range(2500, 2511)]
    source = make_clip(tmp_path / "in.mkv", pts=pts, frames=len(pts), audio=())
    arguments = [source, "-o", tmp_path / "out.mkv", "--model", "lanczos"]
    assert call(*arguments, "--dry-run").exit_code == 0
    assert call(*arguments, "--dry-run", "--preview", "0.5").exit_code == 0
    result = call(*arguments, "--preview", "0.5")
    assert result.exit_code == 0, result.output
    assert "1 frame in" in result.stdout


def test_a_folder_is_reckoned_together(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.mkv", "b.mp4"):
        make_clip(tmp_path / "in" / name, frames=5)
    (tmp_path / "in" / "bad.mkv").write_bytes(b"bad")
    result = call(tmp_path / "in", "-o", tmp_path / "new" / "hd", "--dry-run")
    assert result.exit_code == 3
    assert "1 of 3 would fail" in result.stdout
    assert "together  about" in result.stdout
    assert "for 10 frames" in result.stdout
    assert not (tmp_path / "new").exists()


def test_pictures_without_an_encoder_are_reckoned_to_the_byte(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=10)
    found = document(source, "-o", tmp_path / "out.y4m", "--model", "lanczos")
    assert found["forecast"]["bytes"] == 10 * 128 * 96 * 3 // 2
    assert [stream["becomes"]["output"] for stream in found["streams"]] == [
        "remastered",
        "left out: Y4M holds pictures alone",
    ]


@pytest.mark.parametrize("option", [["--dry-run"], ["--preview", "2"]])
def test_a_pipe_has_no_middle(option: list[str]) -> None:
    result = call("-", "-o", "out.mkv", *option)
    assert result.exit_code == 2
    assert "give a file, not a pipe" in result.stderr
