"""`remaster doctor`: what is well, what is missing, and that it says so."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import remaster.released
from remaster.checkpoint import load_model
from remaster.cli import main
from remaster.commands import doctor
from remaster.released import released
from tests.clips import make_clip


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


def test_all_is_well_here() -> None:
    result = call()
    assert result.exit_code == 0, result.output
    for words in ("python", "torch", "libavcodec", "cuda", "libx264", "fast-x2", "memory", "disk"):
        assert words in result.stdout
    lines = result.stdout.splitlines()
    assert lines[-1] == "remaster works here"
    assert all(line.split()[0] in ("ok", "warning", "problem") for line in lines[:-1])


def test_programs_can_read_it() -> None:
    found = json.loads(call("--json").stdout)
    assert found["works"] is True
    assert {check["name"] for check in found["checks"]} >= {"torch", "cuda", "encoders", "ffmpeg"}


def test_a_missing_package_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version

    def without_av(name: str) -> str:
        if name == "av":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without_av)
    result = call()
    assert result.exit_code == 1
    assert "pip install 'av>=18'" in result.stdout
    assert result.stdout.splitlines()[-1] == "remaster cannot work here"


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_damaged_weights_are_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    if damage == "cut":
        whole = released()["fast-x2"].read_bytes()
        (tmp_path / "fast-x2.safetensors").write_bytes(whole[: len(whole) // 2])
    monkeypatch.setattr(remaster.released, "weights_folder", lambda: tmp_path)
    monkeypatch.setattr(doctor, "weights_folder", lambda: tmp_path)
    result = call()
    assert result.exit_code == 1
    assert "problem" in result.stdout


def test_weights_that_were_never_trained_are_a_problem() -> None:
    for path in released().values():
        model, _ = load_model(path)
        assert doctor._enlarges(model)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(1)
            for weights in model.parameters():
                weights.copy_(weights.flatten()[torch.randperm(weights.numel())].view_as(weights))
        assert not doctor._enlarges(model)


def test_without_ffmpeg_python_only_external_encoders_are_missed(tmp_path: Path) -> None:
    """In a process of its own, where the package cannot be imported."""
    source = make_clip(tmp_path / "in.mkv", frames=2)
    script = (
        "import sys, importlib.metadata as m; sys.modules['ffmpeg'] = None; "
        "from remaster.cli import main; main(sys.argv[1:])"
    )
    run = ["run", str(source), "-o", str(tmp_path / "out.mkv"), "-y"]
    for arguments, code, words in (
        (["doctor"], 0, "for --ffmpeg-encoder, pip install 'ffmpeg-python"),
        (run, 0, "2 frames"),
        ([*run, "--ffmpeg-encoder", "-c:v libx264"], 2, "needs the package ffmpeg-python"),
    ):
        command = [sys.executable, "-c", script, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
        assert words in done.stdout + done.stderr


def test_a_wrong_ffmpeg_is_only_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMASTER_FFMPEG", "/no/such/ffmpeg")
    result = call()
    assert result.exit_code == 0
    assert "/no/such/ffmpeg" in result.stdout


def test_little_memory_and_disk_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "available_memory", lambda: 10**8)
    monkeypatch.setattr(doctor, "_LITTLE_DISK", 10**18)
    result = call("--json")
    assert result.exit_code == 0
    states = {check["name"]: check["state"] for check in json.loads(result.stdout)["checks"]}
    assert {states[name] for name in ("memory", "disk here", "disk temp")} == {"warning"}


@pytest.mark.parametrize(
    ("module", "state", "words"),
    [
        ("PIL", "warning", "for pictures and training, pip install 'pillow>=11'"),
        ("cv2", "ok", "pip install 'remaster[opencv]'"),
        ("h5py", "ok", "pip install 'remaster[h5]'"),
        ("tensorboard", "ok", "pip install 'remaster[tensorboard]'"),
    ],
)
def test_what_only_some_work_needs_is_no_problem(
    monkeypatch: pytest.MonkeyPatch, module: str, state: str, words: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    result = call()
    assert result.exit_code == 0
    (line,) = (line for line in result.stdout.splitlines() if words in line)
    assert line.startswith(state) and ("pillow" if module == "PIL" else module) in line


def test_extras_that_are_here_have_their_versions() -> None:
    found = {check["name"]: check for check in json.loads(call("--json").stdout)["checks"]}
    for name in ("cv2", "h5py"):
        version = pytest.importorskip(name).__version__
        assert (found[name]["state"], found[name]["found"]) == ("ok", version)
