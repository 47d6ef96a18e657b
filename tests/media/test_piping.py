"""Pipes: read once by several, kept no longer than needed, broken off and refused in words."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import pytest

from remaster.errors import OptionsError, OutputError, SourceError
from remaster.frames import Color, PixelLayout, VideoInfo
from remaster.media import opening as opening_module
from remaster.media import y4m as y4m_module
from remaster.media.containers import Y4M, container_format
from remaster.media.matroska import late_parts
from remaster.media.opening import demuxed, open_source
from remaster.media.piping import PipeInterrupted, PipeOutput, StandardInput, is_pipe
from remaster.media.probe import probe
from remaster.media.reader import read_frames
from remaster.media.y4m import Y4mWriter, even_rate, header, y4m_encoding
from remaster.pipeline import RunOptions, run
from tests.clips import Sound, Subtitles, make_clip

PIPE = Path("-")
MEBIBYTE = 1 << 20


@contextmanager
def piped(data: bytes) -> Iterator[StandardInput]:
    """A pipe that another thread fills."""
    receiving, sending = os.pipe()

    def fill() -> None:
        with suppress(BrokenPipeError), os.fdopen(sending, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=fill)
    thread.start()
    pipe = StandardInput(receiving)
    try:
        yield pipe
    finally:
        pipe.stop()
        os.close(receiving)
        thread.join()


def kept_bytes(pipe: StandardInput) -> int:
    """How much of a pipe is in its temporary file at this moment."""
    return pipe._kept.end - pipe._kept.begin


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], StandardInput]]:
    """Make bytes the standard input of what is called in this process."""
    with ExitStack() as stack:

        def set_input(data: bytes) -> StandardInput:
            pipe = stack.enter_context(piped(data))
            monkeypatch.setattr(opening_module, "standard_input", lambda: pipe)
            return pipe

        yield set_input


def test_every_opening_begins_at_the_first_byte() -> None:
    data = os.urandom(3 * MEBIBYTE + 17)
    with piped(data) as pipe:
        with closing(pipe.open()) as look:
            assert look.read_all(100) == data[:100]
        first, last = pipe.open(), pipe.open(is_last=True)
        assert last.read_all(2 * MEBIBYTE) == data[: 2 * MEBIBYTE]
        assert first.read_all(len(data) + 1) == data
        assert last.read_all(len(data)) == data[2 * MEBIBYTE :]
        assert first.read(10) == last.read(10) == b""


def test_two_threads_read_the_same() -> None:
    data = os.urandom(5 * MEBIBYTE)
    with piped(data) as pipe:
        found: list[bytes] = []
        openings = [pipe.open(), pipe.open(is_last=True)]
        threads = [
            threading.Thread(target=lambda o=each: found.append(o.read_all(len(data) + 1)))
            for each in openings
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [data, data]


def test_only_what_is_still_wanted_is_kept() -> None:
    with piped(bytes(40 * MEBIBYTE)) as pipe:
        with closing(pipe.open()) as look:
            look.read_all(MEBIBYTE)
        assert kept_bytes(pipe) >= MEBIBYTE
        slow, fast = pipe.open(), pipe.open(is_last=True)
        for _ in range(10):
            fast.read_all(MEBIBYTE)
            slow.read_all(MEBIBYTE)
            assert kept_bytes(pipe) <= 2 * MEBIBYTE
        fast.read_all(MEBIBYTE)
        slow.close()
        assert kept_bytes(pipe) == 0
        while fast.read(MEBIBYTE):
            assert kept_bytes(pipe) == 0
        assert os.fstat(pipe._kept._file.fileno()).st_size == 0


def test_behind_the_last_opening_there_is_none() -> None:
    with piped(b"film") as pipe:
        pipe.open(is_last=True)
        with pytest.raises(SourceError, match="once"):
            pipe.open()


def test_a_waiting_thread_can_be_ended() -> None:
    receiving, sending = os.pipe()
    pipe = StandardInput(receiving)
    opening = pipe.open(is_last=True)
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(opening.read(10)))
    thread.start()
    pipe.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert found == [b""]
    os.close(receiving)
    os.close(sending)


def test_ctrl_c_inside_a_read_comes_through_ffmpeg() -> None:
    class Interrupted:
        def read(self, size: int) -> bytes:
            raise PipeInterrupted

    with pytest.raises(KeyboardInterrupt):
        av.open(Interrupted(), "r", format="nut")


def as_mkv(tmp_path: Path, **details: object) -> Path:
    return make_clip(
        tmp_path / "in.mkv",
        subtitles=(Subtitles([(0.1, 0.5, "hello")]),),
        attachments={"font.ttf": b"font" * 1000},
        chapters=((0, 0.5, "one"), (0.5, 0.9, "two")),
        **details,  # type: ignore[arg-type]
    )


def test_a_film_in_a_pipe_is_described_as_its_file(
    tmp_path: Path, feed: Callable[[bytes], StandardInput]
) -> None:
    path = as_mkv(tmp_path, sar=Fraction(16, 15))
    feed(path.read_bytes())
    file, pipe = probe(path), probe(PIPE)
    assert replace(pipe, path=path, video=file.video, duration_seconds=None) == replace(
        file, duration_seconds=None
    )
    assert replace(pipe.video, frame_count=None) == replace(file.video, frame_count=None)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mp4", "webm"])
@pytest.mark.parametrize("start", [None, Fraction(2, 5)])
def test_frames_and_everything_else_come_through_a_pipe(
    tmp_path: Path, feed: Callable[[bytes], StandardInput], suffix: str, start: Fraction | None
) -> None:
    codec = "libvpx-vp9" if suffix == "webm" else "libx264"
    sound = Sound("libopus" if suffix == "webm" else "aac")
    path = make_clip(
        tmp_path / f"in.{suffix}",
        codec=codec,
        audio=(sound, sound),
        frames=30,
        muxer_options={"movflags": "+faststart"} if suffix == "mp4" else None,
    )
    options = RunOptions(model="identity", encoder_preset="ultrafast", start=start)
    run(path, tmp_path / "file.mkv", options)
    pipe = feed(path.read_bytes())
    run(PIPE, tmp_path / "pipe.mkv", options)
    assert contents(tmp_path / "pipe.mkv") == contents(tmp_path / "file.mkv")
    assert kept_bytes(pipe) == 0


def contents(path: Path) -> list[tuple[int, int | None, bytes]]:
    with av.open(str(path)) as container:
        return sorted(
            (p.stream_index, p.pts, bytes(p)) for p in container.demux() if p.size
        )  # the streams' ids are random


def test_a_subtitle_far_ahead_does_not_fill_the_disk(
    tmp_path: Path, feed: Callable[[bytes], StandardInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(
        tmp_path / "in.mkv",
        size=(320, 240),
        frames=200,
        codec="ffv1",
        audio=(),
        subtitles=(Subtitles([(7.5, 7.9, "at the end")]),),
    )
    pipe = feed(path.read_bytes())
    most = 0

    def look(_: object) -> None:
        nonlocal most
        most = max(most, kept_bytes(pipe))

    options = RunOptions(model="identity", encoder_preset="ultrafast")
    run(PIPE, tmp_path / "out.mkv", options, progress=look)
    assert 0 < most < path.stat().st_size / 2
    assert [s.kind for s in probe(tmp_path / "out.mkv").streams] == ["video", "subtitle"]


def test_what_comes_late_is_named(tmp_path: Path) -> None:
    """A SeekHead that points behind the first cluster, as mkvmerge writes for tags."""

    def element(identity: int, data: bytes) -> bytes:
        size = len(data).to_bytes(7, "big")
        return identity.to_bytes((identity.bit_length() + 7) // 8, "big") + b"\x01" + size + data

    def entry(identity: int) -> bytes:
        position = element(0x53AC, b"\x00")
        return element(0x4DBB, element(0x53AB, identity.to_bytes(4, "big")) + position)

    tags, chapters = 0x1254C367, 0x1043A770
    head = element(0x114D9B74, entry(tags) + entry(chapters))
    body = head + element(chapters, b"") + element(0x1F43B675, b"pictures") + element(tags, b"")
    stream = element(0x1A45DFA3, b"\x42\x82\x81m") + element(0x18538067, body)
    assert late_parts(io.BytesIO(stream).read) == ("tags",)
    assert late_parts(io.BytesIO(b"RIFF of another kind").read) == ()
    path = as_mkv(tmp_path)
    with path.open("rb") as file:
        assert late_parts(file.read) == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "empty"), (b"no film at all " * 1000, "no film"), (b"\x1a\x45\xdf\xa3", "no film")],
)
def test_what_is_no_film_is_refused(
    feed: Callable[[bytes], StandardInput], data: bytes, words: str
) -> None:
    feed(data)
    with pytest.raises(SourceError, match=words):
        probe(PIPE)


def test_an_mp4_with_its_index_at_the_end_is_refused_at_once(
    tmp_path: Path, feed: Callable[[bytes], StandardInput]
) -> None:
    path = make_clip(tmp_path / "in.mp4")
    pipe = feed(path.read_bytes() + bytes(8 * MEBIBYTE))
    with pytest.raises(SourceError, match="index at its end"):
        probe(PIPE)
    assert kept_bytes(pipe) < MEBIBYTE


@pytest.mark.parametrize("suffix", ["mkv", "y4m"])
def test_a_pipe_that_breaks_off_is_finished_and_said(
    tmp_path: Path, feed: Callable[[bytes], StandardInput], suffix: str
) -> None:
    path = make_clip(tmp_path / "in.mkv", frames=100, audio=())
    if suffix == "y4m":
        run(path, tmp_path / "in.y4m", RunOptions(model="identity"))
        path = tmp_path / "in.y4m"
    data = path.read_bytes()
    feed(data[: len(data) * 2 // 3])
    result = run(PIPE, tmp_path / "out.mkv", RunOptions(model="identity"))
    assert 50 < result.frames < 80
    assert any("breaks off" in each for each in result.warnings)


def test_one_door_opens_nothing_but_films(feed: Callable[[bytes], StandardInput]) -> None:
    feed(b"ffconcat version 1.0\nfile other.mkv\n")
    with pytest.raises(SourceError), open_source(PIPE):
        pass


def test_a_header_is_held_back_until_it_is_complete() -> None:
    receiving, sending = os.pipe()
    output = PipeOutput(sending)
    output.write(b"head")
    output.release(lambda file: (file.seek(0), file.write(b"HE"))[0])  # type: ignore[func-returns-value,arg-type]
    output.write(b"body")
    output.break_off()
    output.write(b"trailer")
    os.close(sending)
    assert os.read(receiving, 100) == b"HEadbody"
    assert output.sent == 8
    os.close(receiving)


def test_a_broken_pipe_is_said_once() -> None:
    receiving, sending = os.pipe()
    os.close(receiving)
    output = PipeOutput(sending, holds_header=False)
    with pytest.raises(BrokenPipeError):
        output.write(b"x")
    assert output.write(b"x") == 1
    os.close(sending)


@pytest.mark.parametrize("named", ["mp4", "mov", "webm"])
def test_what_cannot_be_piped_is_refused(named: str) -> None:
    with pytest.raises(OptionsError, match="pipe"):
        container_format(PIPE, named)


def test_a_format_that_is_named_goes_before_the_extension() -> None:
    assert container_format(Path("a.mp4"), "mkv") == "matroska"
    assert container_format(Path("a.y4m")) == container_format(PIPE, "y4m") == Y4M
    assert container_format(PIPE) == "matroska"
    assert not is_pipe(Path("a-"))


LAYOUTS = [
    PixelLayout(subsampling, depth)
    for subsampling in ("420", "422", "444", "gray")
    for depth in (8, 10)
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("color_range", ["limited", "full"])
def test_y4m_says_what_it_can(tmp_path: Path, layout: PixelLayout, color_range: str) -> None:
    encoding = y4m_encoding(layout, None)
    path = make_clip(
        tmp_path / "in.mkv",
        codec="ffv1",
        pix_fmt=encoding.pixel_format,
        rate=Fraction(24000, 1001),
        sar=Fraction(16, 15),
        color=Color("bt709", color_range, "bt709", "bt709"),
        size=(62, 46),
    )
    result = run(path, tmp_path / "out.y4m", RunOptions(model="identity"))
    assert result.is_read_back
    before, after = probe(path), probe(tmp_path / "out.y4m")
    for name in ("width", "height", "layout", "sample_aspect_ratio", "frame_rate"):
        assert getattr(before.video, name) == getattr(after.video, name), name
    assert after.video.color.range == color_range
    assert b" Ip " in (tmp_path / "out.y4m").read_bytes()[:100]
    with open_source(tmp_path / "out.y4m") as container:
        count = sum(1 for _ in container.decode(video=0))
    assert count == result.frames == 24


def test_pictures_in_y4m_are_the_sources(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mkv", codec="ffv1", pix_fmt="yuv420p10le", frames=5)
    color = Color("bt709", "limited", "bt709", "bt709")
    source = probe(path)
    video = replace(source.video, color=color)
    encoding = y4m_encoding(video.layout, None)
    with Y4mWriter(tmp_path / "a.y4m", source, video, encoding, overwrite=False) as writer:
        for frame in read_frames(source):
            writer.write(frame)
        writer.finish()
    for before, after in zip(
        read_frames(source), read_frames(probe(tmp_path / "a.y4m")), strict=True
    ):
        assert all(bool((a == b).all()) for a, b in zip(before.planes, after.planes, strict=True))


def test_y4m_names_what_it_loses(tmp_path: Path) -> None:
    plans = []
    path = as_mkv(tmp_path, metadata={"title": "Film"})
    run(path, tmp_path / "out.y4m", RunOptions(model="identity"), planned=plans.append)
    notes = "\n".join(plans[0].notes)
    for word in ("audio", "subtitle", "attachment", "chapters", "tags", "matrix", "one rate"):
        assert word in notes


def test_a_variable_rate_is_refused_for_y4m(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mkv", pts=[0, 40, 80, 300, 340], time_base=Fraction(1, 1000))
    with pytest.raises(OptionsError, match="variable frame rate"):
        run(path, tmp_path / "out.y4m", RunOptions(model="identity"))
    assert not (tmp_path / "out.y4m").exists()


def held_at_the_end(path: Path, pictures: int, rate: Fraction) -> Path:
    """An MP4 of even pictures, the last of which is held for two seconds."""
    plain = make_clip(path.with_suffix(".mkv"), frames=pictures, rate=rate, size=(32, 32), audio=())
    with av.open(str(plain)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for packet in packets:
            packet.stream = stream
        packets[-1].duration = round(2 / packets[-1].time_base)
        for packet in packets:
            output.mux(packet)
    return path


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(24), Fraction(18)])
@pytest.mark.parametrize("pictures", [12, 300])
def test_a_last_picture_that_is_held_leaves_the_rate(
    tmp_path: Path, pictures: int, rate: Fraction
) -> None:
    path = held_at_the_end(tmp_path / "in.mp4", pictures, rate)
    stated = probe(path).video.frame_rate
    assert stated is not None and stated < rate * Fraction(99, 100)
    run(path, tmp_path / "out.y4m", RunOptions(model="identity"))
    head = (tmp_path / "out.y4m").read_bytes().split(b"\n")[0].decode()
    found = Fraction(head.split(" F")[1].split()[0].replace(":", "/"))
    assert abs(found / rate - 1) * pictures < Fraction(1, 50), head
    assert found == rate or rate == 18


def test_damage_in_the_middle_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> Iterator[object]:
        yield from islice(demuxed(*arguments), 5)  # type: ignore[arg-type]
        raise av.InvalidDataError(1094995529, "Invalid data")

    path = make_clip(tmp_path / "in.mkv", frames=20)
    monkeypatch.setattr(y4m_module, "demuxed", broken)
    assert even_rate(probe(path), None, None) == 25


def test_a_variable_rate_from_a_pipe_is_said(
    tmp_path: Path, feed: Callable[[bytes], StandardInput]
) -> None:
    path = make_clip(tmp_path / "in.mkv", pts=[0, 40, 80, 300, 340], time_base=Fraction(1, 1000))
    feed(path.read_bytes())
    result = run(PIPE, tmp_path / "out.y4m", RunOptions(model="identity"))
    assert result.frames == 5
    assert any("not evenly spaced" in each for each in result.warnings)


@pytest.mark.parametrize("flag", [{"crf": 3}, {"encoder_preset": "slow"}, {"codec": "ffv1"}])
def test_y4m_takes_no_encoder(tmp_path: Path, flag: dict[str, object]) -> None:
    path = make_clip(tmp_path / "in.mkv", frames=1)
    with pytest.raises(OptionsError, match="Y4M"):
        run(path, tmp_path / "out.y4m", RunOptions(**flag))  # type: ignore[arg-type]


def test_an_older_y4m_is_kept(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mkv", frames=1)
    (tmp_path / "out.y4m").write_bytes(b"old")
    with pytest.raises(OutputError, match="exists"):
        run(path, tmp_path / "out.y4m")
    assert (tmp_path / "out.y4m").read_bytes() == b"old"


def test_a_damaged_y4m_is_not_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(tmp_path / "in.mkv", frames=3)
    send = Y4mWriter._send

    def damaging(writer: Y4mWriter, data: bytes) -> None:
        send(writer, data[:-1] + b"\x07" if data.startswith(b"FRAME") else data)

    monkeypatch.setattr(Y4mWriter, "_send", damaging)
    with pytest.raises(OutputError, match="not what was to be written"):
        run(path, tmp_path / "out.y4m", RunOptions(model="identity"))
    assert not (tmp_path / "out.y4m").exists()
    assert (tmp_path / "out.unverified.y4m").exists()


def test_the_header_is_one_line() -> None:
    video = VideoInfo(
        640, 480, Fraction(1, 1000), Fraction(25), Fraction(1), PixelLayout("420", 8),
        Color("bt709", "full", "bt709", "bt709", "center"),
    )  # fmt: skip
    assert header(video) == b"YUV4MPEG2 W640 H480 F25:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n"
