"""An ffmpeg program that encodes: the same promises, and every way it can fail said in a line."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from remaster.errors import OptionsError, OutputError
from remaster.frames import Color, PixelLayout
from remaster.media import external_film
from remaster.media.arguments import read_arguments
from remaster.media.external import find_ffmpeg
from remaster.media.external_film import external_encoding
from remaster.media.probe import probe
from remaster.media.reader import read_frames
from remaster.pipeline import RunOptions, RunResult, run
from tests.clips import Subtitles, make_clip

VARIABLE = [0, 40, 60, 140, 150, 170, 300, 340, 500, 520, 1000, 1003, 1050]
needs_ffmpeg = pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg program")


def encode(source: Path, output: Path, arguments: str, **options: object) -> RunResult:
    asked = RunOptions(model="lanczos", ffmpeg_encoder=arguments, **options)  # type: ignore[arg-type]
    return run(source, output, asked)


def times(path: Path) -> list[Fraction]:
    source = probe(path)
    return [frame.pts * source.video.time_base for frame in read_frames(source)]


CLIPS: dict[str, dict[str, object]] = {
    "plain": {},
    "variable": {"pts": VARIABLE, "time_base": Fraction(1, 1000)},
    "offset": {"video_offset_seconds": Fraction(1, 2)},
    "film rate": {"rate": Fraction(24000, 1001), "frames": 50},
    "one": {"frames": 1},
    "two": {"frames": 2},
    "wide pixels": {"sar": Fraction(16, 15)},
    "full range": {"color": Color("bt709", "full", "bt709", "bt709")},
    "ten bits": {"pix_fmt": "yuv420p10le"},
}


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize("name", CLIPS)
def test_every_promise_holds(tmp_path: Path, name: str, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mkv", **CLIPS[name])  # type: ignore[arg-type]
    output = tmp_path / f"out.{suffix}"
    result = encode(source, output, "-c:v libx264 -preset medium -bf 3 -tune animation")
    before, after = probe(source), probe(output)
    assert result.is_read_back
    wanted = times(source)
    assert result.frames == len(wanted)
    assert all(abs(a - b) <= Fraction(1, 1000) for a, b in zip(wanted, times(output), strict=True))
    assert after.video.sample_aspect_ratio == before.video.sample_aspect_ratio
    assert after.video.layout == before.video.layout
    assert after.guessed == ()
    assert after.video.color.range == before.video.color.range
    if "pts" not in CLIPS[name]:
        assert after.video.frame_rate is not None and before.video.frame_rate is not None
        assert abs(after.video.frame_rate / before.video.frame_rate - 1) < Fraction(1, 1000)
    assert [s.codec for s in after.streams] == ["h264", "aac"]


ENCODERS = {
    "libx265": ("-c:v libx265 -preset ultrafast -x265-params log-level=error", "mp4"),
    "libsvtav1": ("-c:v libsvtav1 -preset 12", "mp4"),
    "libvpx-vp9": ("-c:v libvpx-vp9 -cpu-used 8 -deadline realtime", "webm"),
    "ffv1": ("-c:v ffv1 -level 3", "mkv"),
    "prores_ks": ("-c:v prores_ks -profile:v 3", "mov"),
    "mpeg4": ("-c:v mpeg4 -q:v 3 -bf 2", "mkv"),
}


@needs_ffmpeg
@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_of_every_kind(tmp_path: Path, name: str) -> None:
    arguments, suffix = ENCODERS[name]
    source = make_clip(tmp_path / "in.mkv", frames=30, audio=())
    output = tmp_path / f"out.{suffix}"
    encode(source, output, arguments, scale=4)
    assert times(output) == times(source)
    assert probe(output).video.frame_rate == 25


@needs_ffmpeg
def test_the_picture_is_the_one_that_was_sent(tmp_path: Path) -> None:
    """The same lossless codec here and there gives the same pictures."""
    source = make_clip(
        tmp_path / "in.mkv", codec="ffv1", color=Color("bt709", "limited", "bt709", "bt709")
    )
    run(source, tmp_path / "own.mkv", RunOptions(model="lanczos", codec="ffv1"))
    encode(source, tmp_path / "other.mkv", "-c:v ffv1")
    own, other = (list(read_frames(probe(tmp_path / f"{n}.mkv"))) for n in ("own", "other"))
    for a, b in zip(own, other, strict=True):
        assert all(bool((x == y).all()) for x, y in zip(a.planes, b.planes, strict=True))


@needs_ffmpeg
def test_everything_else_is_copied(tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "in.mkv",
        subtitles=(Subtitles([(0.1, 0.5, "hello")]),),
        attachments={"font.ttf": b"font" * 100},
        chapters=((0, 0.5, "one"),),
    )
    encode(source, tmp_path / "out.mkv", "-c:v libx264", start=Fraction(1, 5))
    found = probe(tmp_path / "out.mkv")
    assert [s.kind for s in found.streams] == ["video", "audio", "subtitle", "attachment"]
    assert [chapter.metadata["title"] for chapter in found.chapters] == ["one"]
    assert found.streams[0].title is None


@needs_ffmpeg
@pytest.mark.parametrize("title", ["", "Film", "F" * 120, "F" * 300])
def test_a_title_stays_what_it_was(tmp_path: Path, title: str) -> None:
    import av

    path = make_clip(tmp_path / "plain.mkv", audio=())
    titled = tmp_path / "in.mkv"
    with av.open(str(path)) as source, av.open(str(titled), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
        stream.metadata["title"] = title
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    encode(titled, tmp_path / "out.mkv", "-c:v libx264")
    found = probe(tmp_path / "out.mkv")
    assert (found.streams[0].title or "") == title
    assert found.video.frame_rate == 25


@needs_ffmpeg
def test_a_rotation_is_kept(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", rotation=90)
    encode(source, tmp_path / "out.mp4", "-c:v libx264")
    assert probe(tmp_path / "out.mp4").rotation == 90


@needs_ffmpeg
@pytest.mark.parametrize(
    ("arguments", "pix_fmt", "expected"),
    [
        ("-c:v libx264", None, "yuv420p10le"),
        ("-c:v libx264 -pix_fmt yuv444p", None, "yuv444p"),
        ("-c:v libx264", "yuv422p10le", "yuv422p10le"),
        ("-c:v ffv1", None, "yuv420p10le"),
        ("-c:v prores_ks", None, "yuv422p10le"),
    ],
)
def test_the_pixel_format(arguments: str, pix_fmt: str | None, expected: str) -> None:
    encoding = external_encoding(arguments, PixelLayout("420", 10), pix_fmt)
    assert encoding.pixel_format == expected


@needs_ffmpeg
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("-c:v no_such_encoder", "no encoder"),
        ("-c:v libx264 -pix_fmt yuv411p", "does not go with"),
        ("-c:v mpeg4", "has 10 bits"),
    ],
)
def test_what_the_program_cannot_do(arguments: str, words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        external_encoding(arguments, PixelLayout("420", 10), None)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("arguments", "suffix", "words"),
    [
        ("-c:v libx264 -preset nonsense", "mkv", "libx264"),
        ("-c:v libx264 -no_such_option 3", "mkv", "Option not found"),
        ("-c:v libx264 -vf drawtext=nothing", "mkv", "ended with code"),
        ("-c:v libx264", "webm", "webm file cannot hold"),
    ],
)
def test_a_failure_is_known_before_the_work(
    tmp_path: Path, arguments: str, suffix: str, words: str
) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=5, audio=())
    with pytest.raises(OutputError, match=words) as error:
        encode(source, tmp_path / f"out.{suffix}", arguments)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


REFUSED = [
    "-i other.mkv -c:v libx264",
    "-c:v libx264 out.mkv",
    "out.mkv",
    "-c:v libx264 -y",
    "-y -c:v libx264",
    "-c:v libx264 -f mp4",
    "-c:v libx264 -r 30",
    "-c:v libx264 -s 64x64",
    "-c:v libx264 -vf scale=64:64",
    "-c:v libx264 -vf noise=alls=3,fps=10",
    "-c:v libx264 -filter:v:0 [in]crop=3:3",
    "-c:v libx264 -map 0",
    "-c:v libx264 -frames:v 3",
    "-c:v libx264 -crf",
    "-c:v libx264 -c:a copy",
    "-c:v libx264 -b:a 128k",
    "-c:v libx264 -color_range pc",
    "-c:v libx264 -filter_complex null",
    "-c:v copy",
    "-crf 18",
    "",
    "-c:v 'libx264",
]


@pytest.mark.parametrize("arguments", REFUSED)
def test_what_is_not_the_encoders_is_refused(arguments: str) -> None:
    with pytest.raises(OptionsError, match="--ffmpeg-encoder"):
        read_arguments(arguments)


def test_the_rest_goes_through() -> None:
    read = read_arguments(
        "-codec:v libx264 -x264-params 'a=1:b=2' -bf -1 -pix_fmt yuv420p -vf noise=alls=3:allf=t"
    )
    assert (read.codec, read.pixel_format) == ("libx264", "yuv420p")
    assert read.filters == "noise=alls=3:allf=t"
    assert read.options == {"x264-params": "a=1:b=2", "bf": "-1"}


@pytest.mark.parametrize("own", [{"codec": "libx265"}, {"crf": 18}, {"encoder_preset": "slow"}])
def test_two_encoders_are_one_too_many(own: dict[str, object]) -> None:
    with pytest.raises(OptionsError, match="--ffmpeg-encoder"):
        RunOptions(ffmpeg_encoder="-c:v libx264", **own)  # type: ignore[arg-type]


def test_a_missing_program_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_film, "find_ffmpeg", lambda: None)
    with pytest.raises(OptionsError, match=r"remaster\[ffmpeg\].*REMASTER_FFMPEG"):
        external_encoding("-c:v libx264", PixelLayout("420", 8), None)


FAKE = """#!{python}
import os, subprocess, sys, time
if "encoder=libx264" in sys.argv:
    print("Encoder libx264 [fake]:\\n    Supported pixel formats: yuv420p")
    sys.exit()
marker = {marker!r}
is_rehearsal = not os.path.exists(marker)
open(marker, "w").close()
{body}
"""
REAL = "sys.exit(subprocess.run([{program!r}, *sys.argv[1:]]).returncode)"
DEEDS = {
    "dies at once": ("print('no licence', file=sys.stderr); sys.exit(3)", "no licence"),
    "hangs at once": ("time.sleep(60)", "hangs"),
    "says nothing": ("sys.stdin.buffer.read()", "it said nothing"),
    "talks nonsense": ("sys.stdin.buffer.read(); print('film')", "cannot hold"),
    "dies later": (
        "if not is_rehearsal:\n"
        "    sys.stdin.buffer.read(20000)\n"
        "    print('out of paper', file=sys.stderr)\n"
        "    sys.exit(4)\n" + REAL,
        "code 4.*out of paper",
    ),
    "fails at the end": (
        "if is_rehearsal:\n"
        "    " + REAL + "\n"
        "subprocess.run([{program!r}, *sys.argv[1:]])\n"
        "print('cannot finish', file=sys.stderr); sys.exit(5)",
        "code 5.*cannot finish",
    ),
}


def fake(tmp_path: Path, body: str) -> Path:
    """A program that behaves badly in front of the real one."""
    script = FAKE.format(
        python=sys.executable,
        marker=str(tmp_path / "marker"),
        body=body.format(program=find_ffmpeg()),
    )
    program = tmp_path / "fake-ffmpeg"
    program.write_text(script)
    program.chmod(0o755)
    return program


@needs_ffmpeg
@pytest.mark.skipif(sys.platform == "win32", reason="scripts are no programs there")
@pytest.mark.parametrize("deed", DEEDS)
def test_a_program_that_fails_is_one_line_and_no_zombie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    body, words = DEEDS[deed]
    source = make_clip(tmp_path / "in.mkv", frames=60, audio=())
    monkeypatch.setenv("REMASTER_FFMPEG", str(fake(tmp_path, body)))
    monkeypatch.setattr(external_film, "_REHEARSAL_SECONDS", 2)
    with pytest.raises(OutputError, match=words) as error:
        encode(source, tmp_path / "out.mkv", "-c:v libx264")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out.mkv").exists()
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=False)
    assert str(tmp_path / "fake-ffmpeg") not in listed.stdout


@needs_ffmpeg
def test_an_interrupted_run_leaves_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def remember(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(real(*arguments, **options))  # type: ignore[call-overload]
        return started[-1]

    source = make_clip(tmp_path / "in.mkv", size=(320, 240), frames=200, audio=())

    def interrupt(state: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(external_film.subprocess, "Popen", remember)
    options = RunOptions(model="lanczos", ffmpeg_encoder="-c:v libx264 -preset veryslow")
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out.mkv", options, progress=interrupt)
    assert started
    assert all(process.poll() is not None for process in started)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]
