"""Films through real pipes, from one process to the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest
from click.testing import CliRunner

from remaster.cli import main
from remaster.media.external import find_ffmpeg
from remaster.media.probe import probe
from remaster.media.reader import read_frames
from tests.clips import Sound, Subtitles, cover_picture, make_clip

RUN = [sys.executable, "-m", "remaster", "run"]
FAST = ["--model", "lanczos", "--encoder-preset", "ultrafast"]
IDENTITY = ["--model", "identity"]
needs_ffmpeg = pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg program")
posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes and signals of POSIX")


def remaster(
    *arguments: object, data: bytes | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    words = [str(each) for each in arguments]
    return subprocess.run([*RUN, *words], input=data, capture_output=True, cwd=folder, check=False)


def rich_clip(tmp_path: Path) -> Path:
    return make_clip(
        tmp_path / "in.mkv",
        sar=Fraction(16, 15),
        bframes=2,
        audio=(Sound("aac", "jpn"), Sound("ac3", "eng")),
        subtitles=(Subtitles([(0.1, 0.5, "hello")]),),
        attachments={"font.ttf": b"font" * 1000},
        cover=cover_picture(),
        chapters=((0, 0.5, "one"), (0.5, 0.9, "two")),
    )


def packets(path: Path, kind: str) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [
            (packet.pts, bytes(packet))
            for packet in container.demux()
            if packet.size and packet.stream.type == kind
        ]


def times(path: Path) -> list[Fraction]:
    source = probe(path)
    return [frame.pts * source.video.time_base for frame in read_frames(source)]


@pytest.mark.parametrize("encoder", ["own", "external"])
def test_mkv_to_mkv_holds_everything(tmp_path: Path, encoder: str) -> None:
    if encoder == "external" and find_ffmpeg() is None:
        pytest.skip("no ffmpeg program")
    flags = FAST if encoder == "own" else ["--ffmpeg-encoder", "-c:v libx264", *FAST[:2]]
    source, output = rich_clip(tmp_path), tmp_path / "out.mkv"
    done = remaster("-", "-o", "-", *flags, data=source.read_bytes())
    assert done.returncode == 0, done.stderr
    assert b"not read back" in done.stderr
    assert done.stdout.startswith(b"\x1a\x45\xdf\xa3")
    output.write_bytes(done.stdout)
    before, after = probe(source), probe(output)
    assert times(output) == times(source)
    for kind in ("audio", "subtitle"):
        assert packets(output, kind) == packets(source, kind)
    assert [(s.kind, s.language, s.metadata.get("filename")) for s in after.streams] == [
        (s.kind, s.language, s.metadata.get("filename")) for s in before.streams
    ]
    assert after.chapters == before.chapters
    assert after.video.sample_aspect_ratio == Fraction(16, 15)
    assert after.video.frame_rate == 25
    assert after.guessed == ()


def test_two_in_a_row_speak_y4m(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=10, pix_fmt="yuv420p10le", codec="ffv1")
    flags = ["--format", "y4m", *IDENTITY, "--progress", "none"]
    first = subprocess.Popen(
        [*RUN, str(source), "-o", "-", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with first:
        second = subprocess.run(
            [*RUN, "-", "-o", "-", *flags], stdin=first.stdout, capture_output=True, check=False
        )
        assert first.stderr is not None
        assert (second.returncode, second.stderr, first.stderr.read()) == (0, b"", b"")
    (tmp_path / "out.y4m").write_bytes(second.stdout)
    for before, after in zip(
        read_frames(probe(source)), read_frames(probe(tmp_path / "out.y4m")), strict=True
    ):
        assert all(bool((a == b).all()) for a, b in zip(before.planes, after.planes, strict=True))


@needs_ffmpeg
def test_an_ffmpeg_in_between(tmp_path: Path) -> None:
    """Out as Y4M, through ffmpeg, in as Matroska."""
    source = make_clip(tmp_path / "in.mkv", frames=10)
    y4m = remaster(source, "-o", "-", "--format", "y4m", *IDENTITY).stdout
    words = [
        "-hide_banner",
        "-loglevel",
        "error",
        "-i",
        "pipe:0",
        "-c:v",
        "ffv1",
        "-f",
        "matroska",
        "pipe:1",
    ]
    mkv = subprocess.run(
        [str(find_ffmpeg()), *words], input=y4m, capture_output=True, check=True
    ).stdout
    done = remaster("-", "-o", "out.mkv", "--codec", "ffv1", *IDENTITY, data=mkv, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for before, after in zip(
        read_frames(probe(source)), read_frames(probe(tmp_path / "out.mkv")), strict=True
    ):
        assert all(bool((a == b).all()) for a, b in zip(before.planes, after.planes, strict=True))


@posix
@pytest.mark.parametrize("named", ["mkv", "y4m"])
def test_a_reader_that_goes_away_ends_the_run(tmp_path: Path, named: str) -> None:
    source = make_clip(tmp_path / "in.mkv", size=(320, 240), frames=300, audio=())
    command = [*RUN, str(source), "-o", "-", "--format", named, "--model", "lanczos"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert len(process.stdout.read(1000)) == 1000
        process.stdout.close()
        began = time.monotonic()
        said = process.stderr.read().decode()
        assert process.wait(30) == 1
        assert time.monotonic() - began < 10
    assert "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert last.startswith("remaster: Standard output was closed")


@posix
@pytest.mark.usefixtures("signals_arrive")
def test_a_run_that_waits_for_its_input_can_be_stopped(tmp_path: Path) -> None:
    data = make_clip(tmp_path / "in.mkv", frames=200, audio=(), codec="ffv1").read_bytes()
    command = [*RUN, "-", "-o", "out.mkv", "--progress", "json", *FAST]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stderr=pipe, cwd=tmp_path) as process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write(data[: len(data) // 2])
        process.stdin.flush()
        while b'"progress"' not in process.stderr.readline():
            pass
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait(30) == 130
        assert time.monotonic() - began < 10
        assert b"Traceback" not in process.stderr.read()
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


@posix
def test_terminals_are_refused(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=1)
    ours, terminal = os.openpty()
    for arguments, given, word in (
        (["-", "-o", "out.mkv"], {"stdin": terminal}, "Standard input is a terminal"),
        ([source.name, "-o", "-"], {"stdout": terminal}, "Standard output is a terminal"),
    ):
        done = subprocess.run(
            [*RUN, *arguments],
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            text=True,
            check=False,
            **given,  # type: ignore[call-overload]
        )
        assert done.returncode == 1
        assert done.stderr.startswith(f"remaster: {word}")
        assert len(done.stderr.splitlines()) == 1
    os.close(ours)
    os.close(terminal)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["in.mkv", "-o", "-", "--format", "mp4"], 2, "pipe"),
        (["in.mkv", "-", "-o", "."], 2, "standard input has no name"),
        (["in.mkv", "-o", "out.y4m", "--crf", "3"], 2, "Y4M"),
        (["in.mkv", "-o", "b.mkv", "--crf", "3", "--ffmpeg-encoder", "-c:v x"], 2, "--crf"),
        (["in.mkv", "-o", "b.mkv", "--ffmpeg-encoder", "-i x"], 2, "leave -i out"),
    ],
)
def test_what_cannot_be_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, word: str
) -> None:
    make_clip(tmp_path / "in.mkv", frames=1)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["run", *arguments])
    assert done.exit_code == code
    assert word in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_an_empty_pipe_is_one_line(tmp_path: Path) -> None:
    done = remaster("-", "-o", "out.mkv", data=b"", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(b"remaster: Standard input is empty")
    assert len(done.stderr.splitlines()) == 1


def test_the_input_is_not_written_over(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=1)
    held = source.read_bytes()
    with source.open("rb") as file:
        done = subprocess.run(
            [*RUN, "-", "-o", str(source), "-y"], stdin=file, capture_output=True, check=False
        )
    assert done.returncode == 1
    assert b"is the input itself" in done.stderr
    assert source.read_bytes() == held


def test_a_format_without_its_extension(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mkv", frames=2)
    done = remaster("in.mkv", "-o", "film", "--format", "mp4", *FAST, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert probe(tmp_path / "film").format_name.startswith("mov,mp4")
