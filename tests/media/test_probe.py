"""What a source is found to hold, and what is no source."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from remaster.errors import OptionsError, SourceError
from remaster.frames import Color, PixelLayout
from remaster.media import probe as probe_module
from remaster.media.formats import layout_of, losses, planar_format
from remaster.media.probe import probe
from tests.clips import Sound, Subtitles, cover_picture, make_clip

FULL_709 = Color("bt709", "full", "bt709", "bt709")


def test_a_clip_is_described_as_it_was_made(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "clip.mkv",
        size=(70, 50),
        frames=10,
        rate=Fraction(24000, 1001),
        pix_fmt="yuv420p10le",
        codec="ffv1",
        color=FULL_709,
        audio=(Sound("aac", "jpn"), Sound("flac", "eng", title="Commentary")),
        subtitles=(Subtitles([(0.1, 0.3, "Hello")]),),
        attachments={"font.ttf": b"FONT"},
        cover=cover_picture(),
        chapters=((0, 0.2, "Opening"), (0.2, 0.4, "Story")),
        metadata={"title": "Episode 1"},
    )
    source = probe(path)
    video = source.video
    assert (video.width, video.height) == (70, 50)
    assert video.layout == PixelLayout("420", 10)
    assert (video.color.matrix, video.color.range) == ("bt709", "full")
    assert source.guessed == ()
    assert video.frame_rate is not None
    assert float(video.frame_rate) == pytest.approx(24000 / 1001, rel=1e-3)
    kinds = [(stream.kind, stream.is_cover) for stream in source.streams]
    assert kinds[:4] == [("video", False), ("audio", False), ("audio", False), ("subtitle", False)]
    assert ("attachment", False) in kinds and ("video", True) in kinds
    assert source.streams[2].title == "Commentary" and source.streams[2].language == "eng"
    assert [chapter.metadata["title"] for chapter in source.chapters] == ["Opening", "Story"]
    assert source.chapters[1].start == Fraction(1, 5)
    assert source.metadata["title"] == "Episode 1"
    assert source.origin == 0


@pytest.mark.parametrize("ratio", [Fraction(16, 15), Fraction(8, 9)])
def test_the_pixel_aspect_ratio_is_read(tmp_path: Path, ratio: Fraction) -> None:
    assert probe(make_clip(tmp_path / "a.mp4", sar=ratio)).video.sample_aspect_ratio == ratio


def test_a_silent_file_names_what_was_guessed(tmp_path: Path) -> None:
    assert set(probe(make_clip(tmp_path / "a.mp4")).guessed) >= {"matrix", "primaries", "transfer"}


@pytest.mark.parametrize(
    ("name", "codec", "sound"), [("a.ts", "libx264", "aac"), ("a.vob", "mpeg2video", "mp2")]
)
def test_free_running_clocks_are_brought_to_zero(
    tmp_path: Path, name: str, codec: str, sound: str
) -> None:
    path = make_clip(tmp_path / name, codec=codec, audio=(Sound(sound),))
    with av.open(str(path)) as container:
        assert container.start_time is not None
        started = Fraction(container.start_time, av.time_base)
    assert probe(path).origin == started


def test_a_cover_before_the_film_is_not_the_film(tmp_path: Path) -> None:
    source = probe(make_clip(tmp_path / "a.mp4", cover=cover_picture()))
    assert (source.video.width, source.video.height) == (64, 48)
    assert sum(stream.is_cover for stream in source.streams) == 1


def test_odd_names_are_files_and_not_protocols(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "Re:Zero 01 %d é.mp4", frames=2)
    monkeypatch.chdir(tmp_path)
    assert probe("Re:Zero 01 %d é.mp4").video.width == 64


def _bad_inputs(folder: Path) -> dict[str, Path]:
    clip = make_clip(folder / "good.mp4", frames=2)
    (folder / "empty.mp4").touch()
    (folder / "garbage.mp4").write_bytes(bytes(range(256)) * 40)
    (folder / "text.mkv").write_text("Dear diary, nothing happened today.\n" * 50)
    (folder / "concat.mkv").write_text(f"ffconcat version 1.0\nfile {clip.name}\n")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip.name}\n#EXT-X-ENDLIST\n"
    (folder / "list.m3u8").write_text(playlist)
    (folder / "cut.mp4").write_bytes(clip.read_bytes()[:600])
    names = (
        "empty.mp4",
        "garbage.mp4",
        "text.mkv",
        "concat.mkv",
        "list.m3u8",
        "cut.mp4",
        "missing.mp4",
    )
    return {name: folder / name for name in names} | {"directory": folder}


def test_bad_inputs_are_told_in_one_sentence(tmp_path: Path) -> None:
    for name, path in _bad_inputs(tmp_path).items():
        with pytest.raises(SourceError) as caught:
            probe(path)
        message = str(caught.value)
        assert str(path) in message and "\n" not in message, name


def test_sound_of_an_unknown_codec_is_described(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", audio=(Sound("ac3"),))
    path.write_bytes(path.read_bytes().replace(b"ac-3", b"zzzz"))
    sound = probe(path).streams[1]
    assert (sound.kind, sound.codec, sound.decoder) == ("audio", "", "")


def test_a_film_cut_off_before_its_first_picture(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", muxer_options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 8])
    with pytest.raises(SourceError, match="has no pictures"):
        probe(path)


def test_a_failing_demuxer_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> Iterator[object]:
        raise av.InvalidDataError(1, "Invalid data")
        yield

    path = make_clip(tmp_path / "a.mp4")
    with probe_module.open_source(path) as container:
        opened = SimpleNamespace(demux=failing)
        with pytest.raises(SourceError, match="Invalid data"):
            probe_module._first_frame(opened, container.streams.video[0], path)  # type: ignore[arg-type]


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mka"
    with av.open(str(path), "w", format="matroska") as output:
        track = output.add_stream("pcm_s16le", rate=8000)
        assert isinstance(track, AudioStream)
        silence = AudioFrame.from_ndarray(
            np.zeros((1, 1600), np.int16), format="s16", layout="stereo"
        )
        silence.rate, silence.pts = 8000, 0
        output.mux(track.encode(silence))
    with pytest.raises(SourceError, match="no video"):
        probe(path)


@pytest.mark.parametrize(
    ("pixel_format", "subsampling", "depth"),
    [
        ("yuv420p", "420", 8),
        ("yuvj420p", "420", 8),
        ("nv12", "420", 8),
        ("p010le", "420", 10),
        ("yuv422p10le", "422", 10),
        ("yuv411p", "422", 8),
        ("yuv410p", "420", 8),
        ("yuv440p", "444", 8),
        ("yuva444p12le", "444", 12),
        ("yuv420p16le", "420", 12),
        ("yuyv422", "422", 8),
        ("gray", "gray", 8),
        ("gray12le", "gray", 12),
        ("ya8", "gray", 8),
        ("monow", "gray", 8),
        ("bgr24", "rgb", 8),
        ("rgb565le", "rgb", 8),
        ("pal8", "rgb", 8),
        ("gbrp12le", "rgb", 12),
        ("rgb48le", "rgb", 12),
    ],
)
def test_every_pixel_format_has_a_layout(pixel_format: str, subsampling: str, depth: int) -> None:
    layout = layout_of(pixel_format)
    assert layout == PixelLayout(subsampling, depth)
    assert layout_of(planar_format(layout)) == layout


@pytest.mark.parametrize(
    ("pixel_format", "lost"),
    [
        ("yuv420p", ()),
        ("nv12", ()),
        ("yuv444p12le", ()),
        ("gbrp", ()),
        ("gray", ()),
        ("yuva420p", ("the alpha channel",)),
        ("rgba", ("the alpha channel",)),
        ("rgb48le", ("bits beyond the 12th",)),
        ("ya16le", ("the alpha channel", "bits beyond the 12th")),
    ],
)
def test_what_reading_loses_is_named(pixel_format: str, lost: tuple[str, ...]) -> None:
    assert losses(pixel_format) == lost


def test_an_unknown_pixel_format_is_an_options_error() -> None:
    with pytest.raises(OptionsError, match="yuv421p"):
        layout_of("yuv421p")
