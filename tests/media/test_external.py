"""An ffmpeg program outside Python: where it is found, what it is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from remaster.errors import OptionsError
from remaster.media.external import find_ffmpeg, lanczos_command
from remaster.media.probe import probe
from tests.clips import make_clip


def test_the_environment_names_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "my-ffmpeg"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("REMASTER_FFMPEG", str(program))
    assert find_ffmpeg() == str(program)


def test_a_wrong_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMASTER_FFMPEG", "/no/such/ffmpeg")
    with pytest.raises(OptionsError, match="/no/such/ffmpeg"):
        find_ffmpeg()


def test_the_command_scales_with_lanczos(tmp_path: Path) -> None:
    command = lanczos_command(
        tmp_path / "Re:Zero 01.mkv", tmp_path / "out.mp4", 256, 192, options={"crf": "20"}
    )
    assert command[0] == "ffmpeg"
    assert any("scale" in word and "256" in word and "lanczos" in word for word in command)
    assert command[command.index("-crf") + 1] == "20"
    assert f"file:{tmp_path / 'Re:Zero 01.mkv'}" in command


def test_the_command_runs(tmp_path: Path) -> None:
    program = find_ffmpeg()
    if program is None:
        pytest.skip("no ffmpeg program on this machine")
    source = make_clip(tmp_path / "in.mp4", frames=6)
    output = tmp_path / "out.mp4"
    subprocess.run(lanczos_command(source, output, 128, 96, program=program), check=True)
    enlarged = probe(output)
    assert (enlarged.video.width, enlarged.video.height) == (128, 96)
    assert [stream.kind for stream in enlarged.streams] == ["video", "audio"]
