"""The command line: words, codes, and every option arriving where it belongs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from remaster import pipeline
from remaster.cli import main
from remaster.media.probe import probe
from tests.clips import make_clip


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def commands() -> dict[str, click.Command]:
    return dict(main.commands)


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_and_option_explains_itself(name: str) -> None:
    command = commands()[name]
    assert command.help
    assert call(name, "--help").exit_code == 0


def test_every_option_of_a_run_reaches_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = {}

    def fake(source: Path, output: Path, options: pipeline.RunOptions, **_: object) -> None:
        seen.update(vars(options), source=source, output=output)
        raise pipeline.SourceError("enough")

    monkeypatch.setattr(pipeline, "run", fake)
    result = call(
        "run", "a.mkv", "-o", "b.mkv", "--size", "1440x1080", "--model", "fast-x2",
        "--reuse", "off", "--batch", 3, "--device", "cpu", "--precision", "fp32",
        "--codec", "libx265", "--crf", 19,
        "--encoder-preset", "slow", "--pix-fmt", "yuv420p10le", "--start", "1:02.5",
        "--duration", "10", "-y", "--format", "mkv",
    )  # fmt: skip
    assert result.exit_code == 1
    assert seen == {
        "source": Path("a.mkv"), "output": Path("b.mkv"), "scale": None, "height": None,
        "size": (1440, 1080), "model": "fast-x2", "reuse": "off", "batch": 3, "device": "cpu",
        "precision": "fp32", "codec": "libx265", "crf": 19, "encoder_preset": "slow",
        "pix_fmt": "yuv420p10le", "start": Fraction(125, 2), "end": None,
        "duration": Fraction(10), "overwrite": True, "format": "mkv",
        "ffmpeg_encoder": None,
    }  # fmt: skip


def test_a_run_reports_what_it_did(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=5)
    result = call("run", source, "-o", tmp_path / "out.mp4", "-s", 2)
    assert result.exit_code == 0, result.output
    for word in ("5 frames", "fps", "decode", "network", "encode", "bound by", "bt470bg"):
        assert word in result.output


def test_json_progress_is_json(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=5)
    result = call("run", source, "-o", tmp_path / "out.mp4", "--progress", "json")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["plan"] + ["progress"] * 5 + ["done"]
    assert {line["input"] for line in lines} == {str(source)}
    assert lines[-2]["frames"] == lines[-2]["total"] == lines[-1]["frames"] == 5


def test_no_progress_is_silence(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=2)
    result = call("run", source, "-o", tmp_path / "out.mp4", "--progress", "none")
    assert (result.exit_code, result.output) == (0, "")


def test_errors_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.mkv").write_text("ffconcat version 1.0\nfile other.mkv\n")
    for source in (tmp_path / "none.mkv", tmp_path, tmp_path / "text.mkv"):
        result = call("run", source, "-o", tmp_path / "out.mkv")
        assert result.exit_code == 1
        assert result.stderr.startswith("remaster: ")
        assert len(result.stderr.strip().splitlines()) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text.mkv"]


@pytest.mark.parametrize(
    "flags",
    [
        ["--scale", "2", "--height", "1080"],
        ["--start", "soon"],
        ["--size", "big"],
        ["--scale", "0"],
    ],
)
def test_wrong_usage_is_code_two(tmp_path: Path, flags: list[str]) -> None:
    assert call("run", "a.mkv", "-o", tmp_path / "b.mkv", *flags).exit_code == 2


@pytest.mark.parametrize(
    "flags", [["--model", "best"], ["--codec", "theora"], ["--device", "abacus"], ["--crf", "99"]]
)
def test_what_is_wrong_with_this_file_is_code_two_too(tmp_path: Path, flags: list[str]) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=1)
    result = call("run", source, "-o", tmp_path / "b.mkv", *flags)
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1


def test_json_says_errors_in_json(tmp_path: Path) -> None:
    result = call("run", tmp_path / "no.mp4", "-o", tmp_path / "b.mkv", "--progress", "json")
    assert result.exit_code == 1
    assert json.loads(result.stderr)["event"] == "error"


def test_several_files_go_into_a_folder(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mkv"):
        make_clip(tmp_path / name, frames=2)
    (tmp_path / "bad.mp4").write_bytes(b"bad")
    out = tmp_path / "out"
    out.mkdir()
    inputs = [tmp_path / name for name in ("a.mp4", "bad.mp4", "b.mkv")]
    result = call("run", *inputs, "-o", out, "--progress", "none")
    assert result.exit_code == 3
    assert sorted(p.name for p in out.iterdir()) == ["a.mp4", "b.mkv"]
    assert call("run", *inputs, "-o", tmp_path / "nowhere").exit_code == 2


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_stopped_run_leaves_nothing(tmp_path: Path, signal_name: str) -> None:
    source = make_clip(tmp_path / "in.mp4", size=(320, 240), frames=400, audio=())
    command = [sys.executable, "-m", "remaster", "run", source.name, "-o", "out.mp4"]
    pipe = subprocess.PIPE
    child = subprocess.Popen(
        [*command, "--progress", "json"], cwd=tmp_path, stdout=pipe, stderr=pipe, text=True
    )
    with child:
        assert child.stderr is not None
        assert '"plan"' in child.stderr.readline()
        assert '"progress"' in child.stderr.readline()
        child.send_signal(getattr(signal, signal_name))
        _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    last = json.loads(said.splitlines()[-1])
    assert (last["event"], last["message"]) == ("error", "stopped; nothing was written to out.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


def test_models_lists_networks_and_encoders() -> None:
    output = call("models").output
    for word in ("fast-x2", "fast-x4", "identity", "lanczos", "libx264", "ffv1"):
        assert word in output


def test_the_module_runs(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "-in.mp4", frames=2)
    command = [sys.executable, "-m", "remaster", "run", "-o", "out.mkv", "--progress", "none"]
    done = subprocess.run([*command, "--", source.name], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert probe(tmp_path / "out.mkv").video.width == 128
