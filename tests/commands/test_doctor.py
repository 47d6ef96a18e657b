"""`remaster doctor`: what is well, what is missing, and that it says so."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import remaster.released
from remaster.cli import main
from remaster.commands import doctor
from remaster.released import released


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


def test_a_wrong_ffmpeg_is_only_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMASTER_FFMPEG", "/no/such/ffmpeg")
    result = call()
    assert result.exit_code == 0
    assert "/no/such/ffmpeg" in result.stdout


def test_little_memory_and_disk_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_free_memory", lambda: 10**8)
    monkeypatch.setattr(doctor, "_LITTLE_DISK", 10**18)
    result = call("--json")
    assert result.exit_code == 0
    states = {check["name"]: check["state"] for check in json.loads(result.stdout)["checks"]}
    assert {states[name] for name in ("memory", "disk here", "disk temp")} == {"warning"}
