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


@pytest.mark.parametrize(
    ("text", "environment", "typed", "left"),
    [
        ("height = 1080", {}, "--scale 2", {"scale": 2}),
        ("scale = 2", {"SIZE": "640x480"}, "", {"size": (640, 480)}),
        ("size = '640x480'", {"HEIGHT": "1080"}, "--scale 4", {"scale": 4}),
        ("end = 5", {}, "--duration 3", {"duration": 3}),
        ("start = 2\nend = 5", {}, "--duration 3", {"start": 2, "duration": 3}),
        ("start = 2\nend = 5", {}, "--preview 3", {"preview": 3}),
        ("preview = 3\nend = 9", {}, "--start 1", {"start": 1, "end": 9}),
        ("codec = 'ffv1'\ncrf = 3", {}, "--ffmpeg-encoder -an", {"ffmpeg_encoder": "-an"}),
        ("ffmpeg_encoder = '-an'\ncodec = 'ffv1'", {}, "--crf 3", {"codec": "ffv1", "crf": 3}),
        ("ffmpeg_encoder = '-an'", {}, "--codec libx264", {}),
        ("codec = 'ffv1'\nencoder-preset = '3'", {}, "-o b.y4m", {}),
        ("ffmpeg_encoder = '-an'\ncrf = 5", {"FORMAT": "y4m"}, "", {"format": "y4m"}),
    ],
)
def test_of_alternatives_the_one_said_nearest_counts(
    tmp_path: Path,
    options: list[pipeline.RunOptions],
    text: str,
    environment: dict[str, str],
    typed: str,
    left: dict[str, object],
) -> None:
    config = write(tmp_path, f"[run]\n{text}\n")
    named = {f"REMASTER_RUN_{name}": value for name, value in environment.items()}
    result = call("-o", "b.mkv", "--config", config, *typed.split(), **named)
    assert options == [pipeline.RunOptions(**left)], result.output  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["scale = 2\nheight = 96", "preview = 1\nstart = 1"])
def test_alternatives_said_in_one_place_are_refused(
    tmp_path: Path, options: list[pipeline.RunOptions], text: str
) -> None:
    result = call("-o", "b.mkv", "--config", write(tmp_path, f"[run]\n{text}\n"))
    assert (result.exit_code, options) == (2, [])


def test_times_may_be_those_of_toml(tmp_path: Path, options: list[pipeline.RunOptions]) -> None:
    text = "[run]\nstart = 00:01:02.500\nend = 01:00:00\n"
    call("-o", "b.mkv", "--config", write(tmp_path, text))
    assert (float(options[0].start or 0), float(options[0].end or 0)) == (62.5, 3600)


def test_the_last_typed_progress_says_how_errors_look(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    config = write(tmp_path, "[run]\nprogress = 'json'\n")

    def is_json(*arguments: object, **environment: str) -> bool:
        words = ["run", str(empty), "-o", str(tmp_path / "hd"), *map(str, arguments)]
        result = CliRunner().invoke(main, words, env=environment)
        assert result.exit_code in (1, 2)
        return result.stderr.startswith('{"event": "error"')

    assert is_json("--config", config)
    assert is_json("--config", config, "--scale", "0")
    assert is_json("--progress", "bar", "--progress", "json")
    assert is_json("--progress", "bar", "--progress=json", "--scale", "x")
    assert not is_json("--progress", "json", "--progress", "bar", "--scale", "x")
    assert not is_json("--config", config, "--progress", "bar")
    assert not is_json("--config", config, "--progress", "bar", "--scale", "0")
    assert not is_json("--config", config, REMASTER_RUN_PROGRESS="bar")


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


@pytest.mark.parametrize(
    ("text", "typed", "reuse", "painted"),
    [
        ('debug-reuse = "a.mkv"', ["--reuse", "off"], "off", None),
        ('reuse = "off"', ["--debug-reuse", "a.mkv"], "drawings", Path("a.mkv")),
        ('reuse = "exact"\nsmooth = 1\nreport = "r.json"', [], "exact", None),
    ],
)
def test_reuse_that_is_typed_overrules_the_file(
    tmp_path: Path,
    options: list[pipeline.RunOptions],
    text: str,
    typed: list[str],
    reuse: str,
    painted: Path | None,
) -> None:
    config = write(tmp_path, f"[run]\n{text}\n")
    call("-o", "b.mkv", "--config", config, *typed)
    (seen,) = options
    assert (seen.reuse, seen.debug_reuse) == (reuse, painted)
    assert seen.smooth == ("smooth" in text)
    assert seen.report == (Path("r.json") if "report" in text else None)
