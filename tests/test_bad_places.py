"""Places that cannot take a film, and disks that fill: never half a film, never a lost old one."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from remaster.errors import OutputError, RemasterError
from remaster.media import placing
from remaster.media.probe import probe
from remaster.options import RunOptions
from remaster.pipeline import run
from tests.clips import make_clip
from tests.test_bad_input import as_plain_user

FAST = RunOptions(encoder_preset="ultrafast", model="identity", scale=1)
AGAIN = RunOptions(encoder_preset="ultrafast", model="identity", scale=1, overwrite=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "from").mkdir()
    return make_clip(tmp_path / "from" / "in.mp4", size=(160, 120), frames=30)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "to"
    folder.mkdir()
    return folder


def refused(source: Path, output: Path, words: str, options: RunOptions = FAST) -> None:
    before = {path: path.stat().st_mtime_ns for path in output.parent.glob("*") if path.is_file()}
    with pytest.raises(RemasterError, match=words) as caught:
        run(source, output, options)
    assert str(caught.value).isprintable()
    after = {path: path.stat().st_mtime_ns for path in output.parent.glob("*") if path.is_file()}
    assert after == before


# Disks that fill


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.95, 0.999])
def test_a_disk_that_fills_anywhere(source: Path, place: Path, name: str, share: float) -> None:
    """At the header, amid the film, and while the index is moved to the front of an MP4."""
    whole = run(source, place / name, FAST).bytes
    (place / name).write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(whole * share), hard))
    try:
        with pytest.raises(OutputError, match="disk is full"):
            run(source, place / name, AGAIN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(place) == [name]
    assert (place / name).read_bytes() == b"old"


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 300 kB; skipped where none may be mounted."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("no right to mount a small disk")
    options = ["-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov"])
def test_a_disk_that_is_really_small(tmp_path: Path, small_disk: Path, name: str) -> None:
    source = make_clip(tmp_path / "in.mkv", size=(640, 480), frames=60, audio=())
    old = small_disk / name
    old.write_bytes(b"old")
    options = RunOptions(
        model="identity", scale=1, crf=1, encoder_preset="ultrafast", overwrite=True
    )
    with pytest.raises(OutputError, match="disk is full"):
        run(source, old, options)
    assert os.listdir(small_disk) == [name]
    assert old.read_bytes() == b"old"
    (small_disk / "filler").write_bytes(bytes(230_000))
    refused(source, small_disk / "new.mkv", r"is full \(\d+ kB free\)")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_failing_flush_is_a_failed_run(
    source: Path, place: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    (place / "out.mp4").write_bytes(b"old")
    monkeypatch.setattr(placing.os, "fsync", failing)
    words = "could not be written" if number == errno.EIO else "disk is full"
    with pytest.raises(OutputError, match=words):
        run(source, place / "out.mp4", AGAIN)
    assert (place / "out.mp4").read_bytes() == b"old"
    assert os.listdir(place) == ["out.mp4"]


def test_little_room_is_noted_before_work(
    source: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import remaster.plan as plan

    notes: list[str] = []
    for free in (source.stat().st_size * 100, source.stat().st_size // 2, None):
        monkeypatch.setattr(plan, "free_bytes", lambda folder, free=free: free)
        result = run(source, place / "out.mkv", AGAIN)
        notes.append(" ".join(note for note in result.plan.notes if "free" in note))
    assert notes[0] == notes[2] == ""
    assert "MB free" in notes[1]


# Folders


def test_a_folder_that_may_not_be_written_to(source: Path, place: Path) -> None:
    place.chmod(0o555)
    if os.access(place, os.W_OK):  # root may
        statement = (
            "remaster.media.writer.check_place("
            "__import__('pathlib').Path(sys.argv[1]) / 'o.mkv', None, overwrite=False)"
        )
        assert "cannot be written to" in as_plain_user(statement, place)
    else:
        refused(source, place / "out.mkv", "cannot be written to")


def test_a_read_only_disk(source: Path, place: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    refused(source, place / "out.mkv", "cannot be written to")


def test_a_folder_that_vanishes(source: Path, place: Path) -> None:
    with pytest.raises(OutputError, match=r"directory of .*out\.mp4 is gone"):
        run(source, place / "out.mp4", FAST, progress=lambda _: shutil.rmtree(place, True))
    assert not place.exists()


def test_a_folder_that_becomes_another(source: Path, place: Path) -> None:
    """Moved away and made anew: the film is in neither, and it is said."""
    moved = place.with_name("moved")

    def swap(_: object) -> None:
        if not moved.exists():
            place.rename(moved)
            place.mkdir()

    with pytest.raises(OutputError, match=r"could not be written|cannot be put there"):
        run(source, place / "out.mp4", FAST, progress=swap)
    assert os.listdir(place) == []
    assert "out.mp4" not in os.listdir(moved)


# What is there already


def test_the_input_by_any_name_is_not_the_output(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = source.parent
    (folder / "soft.mp4").symlink_to("in.mp4")
    (tmp_path / "folder").symlink_to(folder)
    os.link(source, folder / "hard.mp4")
    monkeypatch.chdir(folder)
    before = source.read_bytes()
    names = (
        "in.mp4", "./in.mp4", "../from/in.mp4", "soft.mp4", "hard.mp4",
        tmp_path / "folder" / "in.mp4", folder / "in.mp4",
    )  # fmt: skip
    for name in names:
        refused(Path("in.mp4"), Path(name), "is the input itself", AGAIN)
    assert source.read_bytes() == before


def test_the_input_through_another_mount(source: Path, place: Path) -> None:
    if shutil.which("mount") is None:
        pytest.skip("no program to mount with")
    mounted = subprocess.run(["mount", "--bind", source.parent, place], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount")
    try:
        refused(source, place / "in.mp4", "is the input itself", AGAIN)
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("options", [FAST, AGAIN])
def test_pipes_and_devices_are_no_outputs(source: Path, place: Path, options: RunOptions) -> None:
    os.mkfifo(place / "pipe.mkv")
    (place / "null.mkv").symlink_to("/dev/null")
    (place / "folder.mkv").mkdir()
    for name in ("pipe.mkv", "null.mkv"):
        refused(source, place / name, "pipe or a device", options)
    refused(source, place / "folder.mkv", "is a directory", options)
    assert sorted(os.listdir(place)) == ["folder.mkv", "null.mkv", "pipe.mkv"]


def test_a_link_is_followed_and_stays(source: Path, place: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere"
    real.mkdir()
    link = place / "out.mkv"
    link.symlink_to(real / "film.mkv")
    run(source, link, FAST)
    assert link.is_symlink()
    assert os.listdir(real) == ["film.mkv"]
    refused(source, link, "give -y")
    run(source, link, AGAIN)
    assert link.is_symlink() and os.listdir(real) == ["film.mkv"]
    shutil.rmtree(real)
    refused(source, link, "no directory", AGAIN)


def test_a_link_to_itself(source: Path, place: Path) -> None:
    (place / "out.mkv").symlink_to("out.mkv")
    refused(source, place / "out.mkv", "cannot be written", AGAIN)


def test_an_old_output_survives_a_failed_run(source: Path, place: Path) -> None:
    data = source.read_bytes()
    old = place / "out.mp4"
    run(source, old, FAST)
    kept = old.read_bytes()

    class Stop(Exception):
        pass

    def stop(_: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        run(source, old, AGAIN, progress=stop)
    source.write_bytes(data[: len(data) // 3])
    refused(source, old, "no index", AGAIN)
    assert old.read_bytes() == kept
    assert os.listdir(place) == ["out.mp4"]


def test_of_two_runs_at_once_the_second_is_refused_at_its_start(source: Path, place: Path) -> None:
    """In another process, and while the first is amid its work."""
    said: list[dict[str, str]] = []
    command = [sys.executable, "-m", "remaster", "run", str(source), "-o", str(place / "out.mkv")]

    def second(_: object) -> None:
        if not said:
            done = subprocess.run([*command, "--progress", "json"], capture_output=True, text=True)
            said.append({"code": str(done.returncode), **json.loads(done.stderr.splitlines()[-1])})

    run(source, place / "out.mkv", FAST, progress=second)
    assert said[0]["code"] == "1"
    assert "Another run is writing" in said[0]["message"]
    assert os.listdir(place) == ["out.mkv"]
    assert probe(place / "out.mkv").video.width == 160


# Names


@pytest.mark.parametrize(
    "name",
    [
        b"Re:Zero 01.mkv", b"-y.mkv", b"two\nlines.mkv", b"latin \xe9.mkv", b"%d %s.mkv",
        b"a?b&c#d.mkv", b"'\"`$(x).mkv", "\u3042\u0301.mkv".encode(), b" .mkv", b"..mkv",
        b"[1-9]*.mkv",
    ],
)  # fmt: skip
def test_odd_names_go_in_and_come_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = Path(os.fsdecode(name))
    plain = make_clip(tmp_path / "plain.mkv", frames=3)
    try:
        shutil.copy(plain, odd)
    except OSError:
        pytest.skip("a file system that refuses the name")
    output = Path(os.fsdecode(b"out " + name))
    assert run(odd, output, FAST).frames == 3
    assert sorted(os.listdir(b".")) == sorted([b"plain.mkv", name, b"out " + name])
    with pytest.raises(OutputError, match="give -y"):
        run(odd, output, FAST)


@pytest.mark.parametrize("name", ["x" * 256 + ".mkv", "あ" * 90 + ".mkv", "nul\0.mkv"])
def test_names_that_no_file_can_have(source: Path, place: Path, name: str) -> None:
    with pytest.raises(OutputError, match="give another name"):
        run(source, place / name, FAST)
    assert os.listdir(place) == []


def test_a_file_where_a_folder_should_be(source: Path, place: Path) -> None:
    (place / "file").touch()
    with pytest.raises(OutputError):
        run(source, place / "file" / "out.mkv", FAST)


def test_the_command_line_says_it_in_one_line(source: Path, place: Path) -> None:
    for output, words in (
        (place / ("x" * 300 + ".mkv"), "too long"),
        (place / "none" / "out.mkv", "no directory"),
        (Path("/dev/null"), "must end in"),
    ):
        command = [sys.executable, "-m", "remaster", "run", str(source), "-o", str(output)]
        done = subprocess.run([*command, "--progress", "none"], capture_output=True, text=True)
        assert done.returncode in (1, 2)
        assert words in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr
