"""Options from a file and from the environment: strict, and in their order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from remaster import pipeline
from remaster.cli import main


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> list[pipeline.RunOptions]:
    """Of every run that is asked for; none takes place."""
    seen: list[pipeline.RunOptions] = []

    def fake(
        _: Path, output: Path, options: pipeline.RunOptions, **__: object
    ) -> pipeline.RunResult:
        seen.append(options)
        raise pipeline.SourceError(f"enough for {output}")

    monkeypatch.setattr(pipeline, "run", fake)
    return seen


def call(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(main, [str(a) for a in ("run", "a.mkv", *arguments)], env=environment)


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_flags_before_environment_before_file_before_defaults(
    tmp_path: Path, options: list[pipeline.RunOptions]
) -> None:
    config = write(tmp_path, "[run]\nscale = 3\ncrf = 30\nbatch = 5\n")
    environment = {"REMASTER_RUN_CRF": "25", "REMASTER_RUN_SCALE": "4"}
    call("-o", "b.mkv", "--config", config, "--scale", "8", **environment)
    assert (options[0].scale, options[0].crf, options[0].batch) == (8, 25, 5)
    assert options[0].codec == "libx264"


def test_every_kind_of_value(tmp_path: Path, options: list[pipeline.RunOptions]) -> None:
    text = (
        '[run]\noutput = "b.mkv"\nencoder-preset = "8"\ncodec = "libsvtav1"\noverwrite = true\n'
        'size = "640x480"\nstart = "1:02.5"\nduration = 2.5\nprogress = "none"\npix_fmt = "gray"\n'
    )
    result = call("--config", write(tmp_path, text))
    assert result.stderr == "remaster: enough for b.mkv\n"
    (seen,) = options
    assert (seen.size, seen.encoder_preset, seen.overwrite) == ((640, 480), "8", True)
    assert (float(seen.start or 0), float(seen.duration or 0)) == (62.5, 2.5)
    assert seen.pix_fmt == "gray"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[run]\nscael = 4", "'scael'"),
        ("scale = 4", "'scale'"),
        ("[train]\nscale = 4", "'train'"),
        ("run = 4", "'run'"),
        ('[run]\nscale = "4"', "scale is a whole number"),
        ("[run]\nscale = true", "scale is a whole number"),
        ("[run]\ncrf = 1.5", "crf is a whole number"),
        ("[run]\ncodec = 264", "codec is a text"),
        ('[run]\noverwrite = "yes"', "overwrite is true or false"),
        ("[run]\nprecision = 'fp8'", "precision"),
        ("[run]\nstart = 'soon'", "start"),
        ("[run]\nconfig = 'other.toml'", "'config'"),
        ("[run]\npix-fmt = 'gray'\npix_fmt = 'gray'", "twice"),
        ("[run\n", "not TOML"),
        ("[run]\nscale = 99", "--scale"),
        ('[run]\noutput = "a\\u0000.mkv"', "NUL"),
        ("[run]\nscale = " + "9" * 5000, "not TOML"),
        ("[run]\nstart = 1e400", "start"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(
    tmp_path: Path, options: list[pipeline.RunOptions], text: str, words: str
) -> None:
    path = write(tmp_path, text)
    result = call("-o", "b.mkv", "--config", path)
    assert result.exit_code == 2
    assert words in result.stderr
    assert words == "--scale" or str(path) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not options


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    assert call("-o", "b.mkv", "--config", tmp_path / "no.toml").exit_code == 2


def test_a_file_may_be_named_by_the_environment(
    tmp_path: Path, options: list[pipeline.RunOptions]
) -> None:
    path = write(tmp_path, "[run]\ncrf = 30")
    call("-o", "b.mkv", REMASTER_RUN_CONFIG=str(path))
    assert options[0].crf == 30


def test_a_mistyped_variable_is_an_error(options: list[pipeline.RunOptions]) -> None:
    result = call("-o", "b.mkv", REMASTER_RUN_SCAEL="4")
    assert result.exit_code == 2
    assert "REMASTER_RUN_SCAEL" in result.stderr
    assert not options


def test_errors_are_json_where_the_file_or_the_environment_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, '[run]\nprogress = "json"\n')
    for result in (
        call("--config", path),
        call("--config", path, "-o", "b.mkv", "--scale", "0"),
        call("--scale", "0", REMASTER_RUN_PROGRESS="json"),
    ):
        assert result.exit_code == 2
        assert json.loads(result.stderr)["event"] == "error"
