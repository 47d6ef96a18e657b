"""The command line: words, codes, and every option arriving where it belongs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from fractions import Fraction
from importlib import metadata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from remaster import pipeline, stills
from remaster.cli import Seconds, main
from remaster.media.probe import probe
from remaster.options import FOR_STILLS
from tests.clips import make_clip


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def make_picture(path: Path, size: tuple[int, int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 120, 40)).save(path)
    return path


FOR_STILLS_UNSAID = {name: getattr(pipeline.RunOptions, name) for name in FOR_STILLS}


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
        "--reuse", "exact", "--smooth", 0.5, "--batch", 3, "--device", "cpu", "--precision", "fp32",
        "--codec", "libx265", "--crf", 19,
        "--encoder-preset", "slow", "--pix-fmt", "yuv420p10le", "--start", "1:02.5",
        "--duration", "10", "-y", "--format", "mkv", "--progress", "none",
        "--report", "did.json", "--debug-reuse", "seen.mkv",
    )  # fmt: skip
    assert result.exit_code == 1
    assert seen == {
        "source": Path("a.mkv"), "output": Path("b.mkv"), "scale": None, "height": None,
        "size": (1440, 1080), "model": "fast-x2", "reuse": "exact", "smooth": 0.5,
        "report": Path("did.json"), "debug_reuse": Path("seen.mkv"), "batch": 3, "device": "cpu",
        "precision": "fp32", "codec": "libx265", "crf": 19, "encoder_preset": "slow",
        "pix_fmt": "yuv420p10le", "start": Fraction(125, 2), "end": None,
        "duration": Fraction(10), "preview": None, "overwrite": True, "format": "mkv",
        "deinterlace": "auto",
        "ffmpeg_encoder": None, **FOR_STILLS_UNSAID,
    }  # fmt: skip


def test_every_option_for_pictures_reaches_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = {}

    def fake(source: Path, output: Path, options: pipeline.RunOptions, **_: object) -> None:
        seen.update(vars(options), source=source, output=output)
        raise pipeline.SourceError("enough")

    monkeypatch.setattr(stills, "enlarge_still", fake)
    said: dict[str, object] = {
        "mode": "double-enlarge", "denoise_strength": 9.0, "denoise_color": 3.0,
        "denoise_template": 5, "denoise_search": 11, "denoise_bilateral": 20.0,
        "denoise_as_input": 0,
    }  # fmt: skip
    flags = [x for name, value in said.items() for x in (f"--{name.replace('_', '-')}", value)]
    result = call("run", "a.png", "-o", "b.png", *flags, "--ensemble", "--denoise", "-s", 3)
    assert result.exit_code == 1
    said |= {"ensemble": True, "denoise": True, "scale": 3, "source": Path("a.png")}
    assert seen.items() >= said.items()
    assert set(FOR_STILLS_UNSAID) <= set(said)


def test_a_picture_becomes_a_larger_one(tmp_path: Path) -> None:
    source = make_picture(tmp_path / "page.png", (30, 20))
    result = call("run", source, "-o", tmp_path / "big.png", "-s", 4)
    assert result.exit_code == 0, result.output
    for word in ("30x20 to 120x80 with fast-x4", "8 bits a channel", "verified"):
        assert word in result.output
    with Image.open(tmp_path / "big.png") as image:
        assert image.size == (120, 80)
    again = call("run", source, "-o", tmp_path / "big.png")
    assert again.exit_code == 1 and "-y" in again.stderr
    silent = call("run", source, "-o", tmp_path / "big.png", "-y", "--progress", "none")
    assert (silent.exit_code, silent.output) == (0, "")


def test_what_a_picture_loses_is_said_once(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    Image.new("RGBA", (9, 9)).save(source)
    for progress, label in (("bar", "note: "), ("none", "warning: ")):
        result = call("run", source, "-o", tmp_path / "b.jpg", "-y", "--progress", progress)
        said = [line for line in result.output.splitlines() if "alpha" in line]
        assert len(said) == 1 and said[0].startswith(label), result.output


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    book = tmp_path / "book"
    for name in ("page 10.jpg", "page 2.png", "ch2/page 1.webp", "ch2/x.tif"):
        make_picture(book / name, (12, 10))
    (book / "bad.png").write_bytes(b"\x89PNG")
    (book / "notes.txt").touch()
    report = tmp_path / "did.json"
    result = call("run", book, "-o", tmp_path / "big", "--report", report)
    assert result.exit_code == 3, result.output
    written = {str(p.relative_to(tmp_path / "big")) for p in (tmp_path / "big").rglob("*.*")}
    assert written == {"ch2/page 1.webp", "ch2/x.tif", "page 2.png", "page 10.png"}
    assert "5 pictures to" in result.stderr and "no pictures: notes.txt" in result.stderr
    assert "4 done, 1 failed" in result.stdout
    told = json.loads(report.read_text())["pictures"]
    assert [Path(each["source"]).name for each in told] == [
        "bad.png", "page 1.webp", "x.tif", "page 2.png", "page 10.jpg",
    ]  # fmt: skip
    assert "error" in told[0] and told[1]["output_size_px"] == [24, 20]


def test_films_and_pictures_in_one_command(tmp_path: Path) -> None:
    film = make_clip(tmp_path / "a.mkv", frames=2)
    page = make_picture(tmp_path / "b.png", (12, 10))
    result = call("run", film, page, "-o", tmp_path / "hd", "--progress", "json")
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in (tmp_path / "hd").iterdir()) == ["a.mkv", "b.png"]
    events = [json.loads(line) for line in result.stderr.splitlines()]
    told = [(e["event"], Path(e["input"]).name) for e in events if "input" in e]
    assert told[-3:] == [("plan", "b.png"), ("progress", "b.png"), ("done", "b.png")]
    for flags in (["--crf", "20"], ["--ensemble"]):
        refused = call("run", film, page, "-o", tmp_path / "again", *flags)
        assert refused.exit_code == 2 and "leave it out" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        (["--codec", "libx264"], {}),
        (["--reuse", "drawings"], {}),
        (["--start", "0"], {}),
        ([], {"REMASTER_RUN_CRF": "20"}),
    ],
)
def test_options_of_films_are_refused_for_pictures_even_at_their_defaults(
    tmp_path: Path, flags: list[str], environment: dict[str, str]
) -> None:
    source = make_picture(tmp_path / "a.png", (8, 8))
    command = ["run", str(source), "-o", str(tmp_path / "b.png"), *flags]
    result = CliRunner().invoke(main, command, env=environment)
    assert result.exit_code == 2
    assert "is for films" in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "b.png").exists()


def test_a_dry_run_of_a_picture(tmp_path: Path) -> None:
    source = make_picture(tmp_path / "a.png", (40, 30))
    result = call("run", source, "-o", tmp_path / "b.jpg", "--dry-run")
    assert result.exit_code == 0, result.output
    for word in ("40x30 to 80x60", "quality 95", "about", "nothing was written"):
        assert word in result.stdout
    found = call("run", source, "-o", tmp_path / "b.png", "--dry-run", "--progress", "json")
    assert json.loads(found.stdout)["forecast"]["seconds"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_run_reports_what_it_did(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=5)
    result = call("run", source, "-o", tmp_path / "out.mp4", "-s", 2)
    assert result.exit_code == 0, result.output
    for word in (
        "5 frames", "new in 5", "the network did", "fps", "decode", "drawings", "network", "encode",
        "bound by", "bt470bg",
    ):  # fmt: skip
        assert word in result.output


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_names_inside_a_file_say_nothing_in_our_place(tmp_path: Path, ending: str) -> None:
    font = "a\nremaster: verified.ttf"
    source = make_clip(
        tmp_path / "in.mkv",
        frames=2,
        attachments={font: b"x"},
        metadata={"title": "b\nremaster: verified"},
    )
    out = tmp_path / f"out.{ending}"
    for more in ((), ("--progress", "none", "-y"), ("--dry-run", "-y")):
        result = call("run", source, "-o", out, *more)
        assert result.exit_code == 0, result.output
        assert not [line for line in result.output.splitlines() if line.startswith("remaster:")]
    assert "\nremaster" not in call("probe", source).output


def test_a_loss_is_said_once(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=2, attachments={"font.ttf": b"x"})
    for progress, label in (("bar", "note: "), ("none", "warning: ")):
        result = call("run", source, "-o", tmp_path / "o.mp4", "-y", "--progress", progress)
        said = [line for line in result.output.splitlines() if "font.ttf" in line]
        assert len(said) == 1, result.output
        assert said[0].startswith(label)


def test_json_progress_is_json(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=5)
    result = call("run", source, "-o", tmp_path / "out.mp4", "--progress", "json")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["plan"] + ["progress"] * 5 + ["done"]
    assert {line["input"] for line in lines} == {str(source)}
    assert lines[-2]["frames"] == lines[-2]["total"] == lines[-1]["frames"] == 5


def test_an_empty_name_is_no_folder(tmp_path: Path) -> None:
    result = call("run", "", "-o", tmp_path / "out")
    assert result.exit_code == 2 and "empty" in result.stderr
    assert not (tmp_path / "out").exists()


def test_no_progress_is_silence(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=2)
    result = call("run", source, "-o", tmp_path / "out.mp4", "--progress", "none")
    assert (result.exit_code, result.output) == (0, "")


def test_errors_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.mkv").write_text("ffconcat version 1.0\nfile other.mkv\n")
    for source in (tmp_path / "none.mkv", tmp_path / "text.mkv"):
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
        ["--size", "²x²"],
        ["--size", f"{'9' * 5000}x9"],
        ["--start", "1e400"],
        ["--end=-1e400"],
        ["--end", "-1"],
        ["--start", "1e99999999"],
        ["--start", "9" * 5000],
        ["--start", "1:-30"],
        ["--start", "1:2:3:4"],
        ["--start", "1:"],
        ["--start", "1:2.5:3"],
        ["--start", "1/2"],
        ["--start", "\u0665"],
        ["--batch", "9" * 400],
        ["--scale", "0"],
        ["--preview", "5", "--start", "3"],
        ["--preview", "0"],
        ["--no-such-option"],
        ["--progress", "loud"],
    ],
)
def test_wrong_usage_is_code_two_and_one_line(tmp_path: Path, flags: list[str]) -> None:
    result = call("run", "a.mkv", "-o", tmp_path / "b.mkv", *flags)
    assert result.exit_code == 2
    assert result.stderr.startswith("remaster: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--progress", "json"],
        ["run", "a.mkv", "-o", "b.mkv", "--progress=json", "--crf", "low"],
        ["run", "a.mkv", "-o", "b.mkv", "--scale", "0", "--progress", "json"],
        ["probe", "--json"],
        ["probe", "--json", "a.mkv", "--what"],
        ["doctor", "--json", "me"],
    ],
)
def test_wrong_usage_is_json_where_json_is_asked_for(arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert json.loads(result.stderr)["event"] == "error"


@pytest.mark.parametrize("arguments", [[], ["sharpen"], ["models", "now"], ["completion", "tcsh"]])
def test_no_such_thing_is_code_two(arguments: list[str]) -> None:
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize("name", ["run", "probe", "models", "doctor", "completion"])
def test_an_interruption_is_code_130_everywhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    arguments = {"run": ["a.mkv", "-o", "b.mkv"], "probe": ["a.mkv"], "completion": ["bash"]}
    monkeypatch.setattr(main.commands[name], "callback", interrupted)
    result = call(name, *arguments.get(name, []))
    assert result.exit_code == 130
    assert result.stderr.splitlines() == ["remaster: stopped"]


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
    out = tmp_path / "made" / "here"
    inputs = [tmp_path / name for name in ("a.mp4", "bad.mp4", "b.mkv")]
    result = call("run", *inputs, "-o", out, "--progress", "none")
    assert result.exit_code == 3
    assert sorted(p.name for p in out.iterdir()) == ["a.mp4", "b.mkv"]
    assert call("run", *inputs, "-o", tmp_path / "bad.mp4").exit_code == 2


def test_a_folder_is_made_only_for_a_film(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"bad")
    inputs = [tmp_path / "bad.mp4", tmp_path / "none.mkv"]
    assert call("run", *inputs, "-o", tmp_path / "made" / "here").exit_code == 1
    assert call("run", *inputs, "-o", tmp_path / "made", "--model", "best").exit_code == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.mp4"]


@pytest.mark.parametrize("kind", [OSError, PermissionError, RuntimeError, ValueError, MemoryError])
def test_what_a_library_raises_stops_one_film_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    asked = []

    def fake(source: Path, *_: object, **__: object) -> None:
        asked.append(source.name)
        error = kind("broken\nhere")
        error.add_note("kept as x")
        raise error

    monkeypatch.setattr(pipeline, "run", fake)
    inputs = [tmp_path / name for name in ("a.mkv", "b.mkv")]
    result = call("run", *inputs, "-o", tmp_path / "hd", "--progress", "none")
    assert (result.exit_code, asked) == (1, ["a.mkv", "b.mkv"])
    assert result.stderr.splitlines() == [
        f"remaster: {path}: unexpected {kind.__name__}: broken here; kept as x" for path in inputs
    ]


def test_an_output_below_a_name_too_long_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_clip(tmp_path / "in" / "a.mkv", frames=2)
    for output, code in ((tmp_path / ("o" * 300), 2), (tmp_path / "hd" / ("o" * 300), 1)):
        result = call("run", tmp_path / "in", "-o", output, "--progress", "none")
        assert result.exit_code == code
        assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_batch_tells_programs_everything(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", frames=2)
    (tmp_path / "bad.mp4").write_bytes(b"bad")
    (tmp_path / "notes.txt").write_bytes(b"")
    result = call("run", tmp_path, "-o", tmp_path / "hd", "--progress", "json")
    assert result.exit_code == 3
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    first, *middle, last = lines
    assert first["event"] == "batch"
    assert first["outputs"] == [str(tmp_path / "hd" / name) for name in ("a.mp4", "bad.mp4")]
    assert first["left_alone"] == [str(tmp_path / "notes.txt")]
    assert all(line["input"] for line in middle)
    assert (last["event"], last["done"], last["failed"], last["not_done"]) == ("summary", 1, 1, 0)
    assert [failure["input"] for failure in last["failures"]] == [str(tmp_path / "bad.mp4")]


def test_an_interrupted_batch_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fake(source: Path, *_: object, **__: object) -> None:
        asked.append(source.name)
        if len(asked) == 2:
            raise KeyboardInterrupt
        raise pipeline.SourceError("bad")

    monkeypatch.setattr(pipeline, "run", fake)
    inputs = [tmp_path / name for name in ("a.mkv", "b.mkv", "c.mkv")]
    result = call("run", *inputs, "-o", tmp_path / "hd", "--progress", "json")
    assert (result.exit_code, asked) == (130, ["a.mkv", "b.mkv"])
    last = json.loads(result.stderr.splitlines()[-1])
    assert (last["event"], last["failed"], last["not_done"]) == ("summary", 1, 2)


@pytest.mark.parametrize(
    ("locale", "name", "closing"),
    [
        ("C.UTF-8", "Re:Zero 01.mp4", ""),
        ("C", "-o.mp4", ">&-"),
        ("C", "new\nline.mp4", "2>&-"),
        ("C.UTF-8", "\x1b[31mred\udcff.mp4", ">&- 2>&-"),
        ("C", "\x1b[31mblue\udcff.mp4", ""),
        ("C", "第1話.mp4", "| true"),
        ("C.UTF-8", "第2話.mp4", "<&- 2>&1 >/dev/null | head -c 1"),
    ],
)
def test_names_and_listeners_never_matter(
    tmp_path: Path, locale: str, name: str, closing: str
) -> None:
    """Names that no letters can spell, locales that spell few, and nobody who listens."""
    make_clip(tmp_path / "in.mp4", frames=2).rename(tmp_path / name)
    script = f'set -o pipefail; "{sys.executable}" -m remaster run -o hd.mkv -- "$1" {closing}'
    environment = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        ["bash", "-c", script, "-", name], cwd=tmp_path, capture_output=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr + done.stdout
    assert b"\x1b[31m" not in done.stderr + done.stdout
    source, film = probe(tmp_path / name), probe(tmp_path / "hd.mkv")
    assert film.video.frame_count == source.video.frame_count


def test_a_result_that_cannot_be_printed_is_a_failure() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "remaster", "completion", "fish"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("remaster: standard output cannot be written")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("format_name", ["mkv", "y4m"])
def test_a_full_standard_output_is_called_so(tmp_path: Path, format_name: str) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=10)
    command = [sys.executable, "-m", "remaster", "run", source, "-o", "-", "--progress", "none"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*command, "--format", format_name], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "remaster: The disk is full, standard output could not be finished"
    )


@pytest.mark.usefixtures("signals_arrive")
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


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("90", 90), ("1:30", 90), ("1:02:03.25", 3723.25), (".5", 0.5), ("90:00", 5400), ("5.", 5)],
)
def test_times_are_read_as_people_write_them(given: str, seconds: float) -> None:
    assert Seconds().convert(given, None, None) == Fraction(seconds)


def test_a_version_is_said_also_where_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "1.2.3")
    assert call("--version").stdout == "remaster, version 1.2.3\n"

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    result = call("--version")
    assert (result.exit_code, "not installed" in result.stdout) == (0, True)


def test_a_closed_standard_output_takes_no_film(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=2)
    script = f'"{sys.executable}" -m remaster run "$1" -o - --progress none >&-'
    done = subprocess.run(["bash", "-c", script, "-", source], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "remaster: Standard output is closed: pipe it into something.\n"


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


def test_a_size_that_no_film_has_is_refused_before_any_work(tmp_path: Path) -> None:
    for name in ("a.mkv", "b.mkv"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    result = call("run", tmp_path / "in", "-o", tmp_path / "hd", "--height", "7")
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert "a side of a film is 16 to 16384 pixels" in line and "a.mkv is a film" in line
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
