"""What came in goes out: frames, times, sound, and everything else the source held."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream

from remaster.errors import OptionsError, OutputError, SourceError, VerificationError
from remaster.frames import Color, Frame
from remaster.media import streams as streams_module
from remaster.media import writer as writer_module
from remaster.media import y4m as y4m_module
from remaster.media.copying import PacketCopier
from remaster.media.encoders import Encoding, choose_encoding, container_format
from remaster.media.formats import layout_of
from remaster.media.opening import demuxed
from remaster.media.packets import payload
from remaster.media.probe import Chapter, Source, probe
from remaster.media.reader import read_frames
from remaster.media.streams import plan_streams
from remaster.media.texts import marked_text
from remaster.media.tracks import Track
from remaster.media.writer import Writer, Written
from remaster.media.y4m import Y4mWriter, y4m_encoding
from tests.clips import Sound, Subtitles, cover_picture, make_clip

MILLISECOND = Fraction(1, 1000)
UNEVEN = (0, 40, 120, 160, 500, 501, 543, 1000, 1041, 1500)
FASTEST = {"libx264": "ultrafast", "libx265": "ultrafast", "libsvtav1": "12", "libvpx-vp9": "8"}


def encoding_for(source: Source, output: Path, codec: str = "libx264") -> Encoding:
    return choose_encoding(
        codec,
        source.video.layout,
        crf=None,
        encoder_preset=FASTEST.get(codec),
        pix_fmt=None,
        container=container_format(output),
    )


def copy_film(
    path: Path,
    output: Path,
    *,
    codec: str = "libx264",
    color: Color | None = None,
    start: Fraction | None = None,
    end: Fraction | None = None,
) -> Written:
    """Decode, encode, and write everything, pictures as they are."""
    source = probe(path)
    encoding = encoding_for(source, output, codec)
    assert layout_of(encoding.pixel_format) == source.video.layout
    video = replace(source.video, color=color or source.video.color)
    shift = round((start or 0) / video.time_base)
    with Writer(output, source, video, encoding, overwrite=False, start=start, end=end) as writer:
        for frame in read_frames(source, start=start, end=end):
            writer.write(replace(frame, pts=frame.pts - shift))
        return writer.finish()


def picture_times(path: Path) -> list[Fraction]:
    """Seconds, by a plain decode."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [(frame.pts or 0) * stream.time_base for frame in container.decode(stream)]


def sound(path: Path) -> list[tuple[bytes, list[Fraction | None]]]:
    """(bytes, times in seconds) of every audio track."""
    infos = {info.index: info for info in probe(path).streams if info.kind == "audio"}
    tracks: dict[int, tuple[bytearray, list[Fraction | None]]] = {
        index: (bytearray(), []) for index in infos
    }
    with av.open(str(path)) as container:
        for packet in container.demux(audio=tuple(range(len(infos)))):
            if packet.size:
                data, times = tracks[packet.stream_index]
                data += payload(packet, infos[packet.stream_index])
                times.append(None if packet.pts is None else packet.pts * packet.time_base)
    return [(bytes(data), times) for data, times in tracks.values()]


def assert_same_film(path: Path, output: Path) -> None:
    """Frames, times and sound of `output` are those of `path`."""
    source = probe(path)
    wanted = [frame.pts * source.video.time_base for frame in read_frames(source)]
    found = picture_times(output)
    assert len(found) == len(wanted)
    assert all(abs(a - b) <= MILLISECOND for a, b in zip(found, wanted, strict=True))
    before, after = sound(path), sound(output)
    assert len(before) == len(after)
    is_pcm = any(info.codec.startswith("pcm") for info in source.streams)
    for (data, times), (new_data, new_times) in zip(before, after, strict=True):
        assert data == new_data
        if is_pcm:
            times, new_times = times[:1], new_times[:1]
        assert len(times) == len(new_times)
        for time, new_time in zip(times, new_times, strict=True):
            if time is not None and new_time is not None:
                assert abs(time - source.origin - new_time) <= 2 * MILLISECOND


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv", "out.mov"])
@pytest.mark.parametrize(
    ("name", "codec", "sounds"),
    [
        ("in.mp4", "libx264", ("aac", "aac")),
        ("in.mp4", "libx264", ("ac3",)),
        ("in.mp4", "libx264", ("mp2",)),
        ("in.mkv", "libx264", ("aac", "ac3")),
        ("in.mkv", "libx264", ("pcm_s16le",)),
        ("in.mkv", "libx265", ("mp2",)),
        ("in.mov", "libx264", ("pcm_s16le", "aac")),
        ("in.avi", "mpeg4", ("mp2", "ac3")),
        ("in.avi", "mpeg4", ("pcm_s16le",)),
        ("in.ts", "libx264", ("aac", "ac3")),
        ("in.ts", "mpeg2video", ("mp2",)),
        ("in.vob", "mpeg2video", ("ac3", "mp2")),
    ],
)
@pytest.mark.parametrize("bframes", [0, 2])
def test_frames_times_and_sound_survive(
    tmp_path: Path, name: str, codec: str, sounds: tuple[str, ...], bframes: int, target: str
) -> None:
    tracks = [Sound(each, language) for each, language in zip(sounds, ("jpn", "eng"))]
    path = make_clip(tmp_path / name, codec=codec, bframes=bframes, audio=tracks)
    written = copy_film(path, tmp_path / target)
    assert written.frames == 24
    assert_same_film(path, tmp_path / target)
    if name in ("in.mp4", "in.mkv", "in.mov", "in.ts"):
        languages = [info.language for info in probe(tmp_path / target).streams[1:]]
        assert languages == [track.language for track in tracks]


@pytest.mark.parametrize("codec", ["flac", "libopus"])
@pytest.mark.parametrize(("name", "target"), [("in.mkv", "out.mp4"), ("in.mp4", "out.mkv")])
def test_flac_and_opus_survive(tmp_path: Path, codec: str, name: str, target: str) -> None:
    path = make_clip(tmp_path / name, bframes=2, audio=(Sound(codec),))
    copy_film(path, tmp_path / target)
    assert_same_film(path, tmp_path / target)


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
@pytest.mark.parametrize("late", ["video", "audio"])
def test_offsets_are_kept(tmp_path: Path, name: str, target: str, late: str) -> None:
    half = Fraction(1, 2)
    path = make_clip(
        tmp_path / name,
        rate=Fraction(24),
        bframes=2,
        video_offset_seconds=half if late == "video" else Fraction(0),
        audio=(Sound("aac", offset_seconds=half if late == "audio" else Fraction(0)),),
    )
    copy_film(path, tmp_path / target)
    assert_same_film(path, tmp_path / target)
    assert (
        abs(picture_times(tmp_path / target)[0] - (half if late == "video" else 0)) <= MILLISECOND
    )


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1"])
def test_uneven_times_are_kept(tmp_path: Path, name: str, target: str, codec: str) -> None:
    path = make_clip(tmp_path / name, time_base=MILLISECOND, pts=UNEVEN, bframes=2)
    copy_film(path, tmp_path / target, codec=codec)
    assert_same_film(path, tmp_path / target)
    assert [round(time * 1000) for time in picture_times(tmp_path / target)] == list(UNEVEN)


COLORS = [
    Color("bt709", "limited", "bt709", "bt709"),
    Color("bt709", "full", "bt709", "iec61966-2-1"),
    Color("smpte170m", "limited", "smpte170m", "smpte170m"),
    Color("bt470bg", "limited", "bt470bg", "smpte170m"),
    Color("bt2020nc", "limited", "bt2020", "smpte2084", "topleft"),
]


@pytest.mark.parametrize("color", COLORS, ids=lambda color: f"{color.matrix}-{color.range}")
@pytest.mark.parametrize(
    ("codec", "target"),
    [
        ("libx264", "out.mp4"),
        ("libx264", "out.mkv"),
        ("libx265", "out.mov"),
        ("libx265", "out.mkv"),
        ("libsvtav1", "out.mp4"),
        ("ffv1", "out.mkv"),
    ],
)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_color_and_depth_are_tagged(
    tmp_path: Path, codec: str, target: str, color: Color, pix_fmt: str
) -> None:
    path = make_clip(tmp_path / "in.mkv", frames=3, codec="ffv1", pix_fmt=pix_fmt)
    copy_film(path, tmp_path / target, codec=codec, color=color)
    found = probe(tmp_path / target)
    assert replace(found.video.color, chroma_location=color.chroma_location) == color
    assert found.guessed == ()
    assert found.video.layout == probe(path).video.layout


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9"])
def test_the_shortest_films(tmp_path: Path, codec: str, frames: int) -> None:
    path = make_clip(tmp_path / "in.mp4", frames=frames)
    assert copy_film(path, tmp_path / "out.mp4", codec=codec).frames == frames
    assert_same_film(path, tmp_path / "out.mp4")


@pytest.mark.parametrize(
    ("codec", "target"),
    [
        ("libx264", "out.mp4"),
        ("libx264", "out.mkv"),
        ("libx265", "out.mov"),
        ("libsvtav1", "out.mp4"),
        ("libsvtav1", "out.mkv"),
        ("libvpx-vp9", "out.webm"),
        ("ffv1", "out.mkv"),
    ],
)
@pytest.mark.parametrize("ratio", [Fraction(16, 15), Fraction(8, 9), Fraction(4, 3)])
def test_the_pixel_aspect_ratio_is_kept(
    tmp_path: Path, codec: str, target: str, ratio: Fraction
) -> None:
    sounds = (Sound("libopus"),) if target.endswith(("webm", "mkv", "mp4")) else ()
    path = make_clip(tmp_path / "in.mp4", size=(180, 144), frames=3, sar=ratio, audio=sounds)
    copy_film(path, tmp_path / target, codec=codec)
    assert probe(tmp_path / target).video.sample_aspect_ratio == ratio
    with av.open(str(tmp_path / target)) as container:
        assert "stereo_mode" not in container.streams.video[0].metadata


@pytest.mark.parametrize("target", ["out.mp4", "out.mov", "out.mkv"])
def test_rotation_is_kept(tmp_path: Path, target: str) -> None:
    path = make_clip(tmp_path / "in.mp4", frames=3, rotation=90)
    copy_film(path, tmp_path / target)
    assert probe(tmp_path / target).rotation == probe(path).rotation == 90


def test_what_a_container_forgets_is_refused_before_work(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mkv", codec="ffv1", pix_fmt="yuv422p10le")
    full = Color("bt709", "full", "bt709", "bt709")
    with pytest.raises(OutputError, match="range full"):
        copy_film(path, tmp_path / "out.mov", codec="prores_ks", color=full)
    assert os.listdir(tmp_path) == ["in.mkv"]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p12le", "gray"])
def test_ffv1_gives_back_every_bit(tmp_path: Path, pix_fmt: str) -> None:
    path = make_clip(tmp_path / "in.mkv", size=(61, 35), frames=5, codec="ffv1", pix_fmt=pix_fmt)
    copy_film(path, tmp_path / "out.mkv", codec="ffv1")
    before, after = list(read_frames(probe(path))), list(read_frames(probe(tmp_path / "out.mkv")))
    assert len(before) == len(after) == 5
    for old, new in zip(before, after, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(old.planes, new.planes, strict=True))


def full_clip(folder: Path, name: str) -> Path:
    """A clip with everything that its container holds beside film and sound."""
    in_matroska = name.endswith(".mkv")
    lines = [(0.0, 0.3, "One"), (0.5, 1.6, "Two\nlines"), (1.7, 1.9, "Three")]
    return make_clip(
        folder / name,
        frames=50,
        subtitles=(
            (Subtitles(lines), Subtitles(lines, "ass", "ger"))
            if in_matroska
            else (Subtitles(lines, "mov_text"),)
        ),
        attachments={"font.ttf": b"FONT" * 100} if in_matroska else None,
        cover=cover_picture(),
        chapters=((0, 0.8, "Opening"), (0.8, 2, "Story")),
        metadata={"title": "Episode 1"},
    )


def texts(path: Path) -> list[list[tuple[int, int, str]]]:
    """(start ms, duration ms, text) of every subtitle that shows something, per track."""
    source = probe(path)
    infos = {info.index: info for info in source.streams if info.kind == "subtitle"}
    tracks: dict[int, list[tuple[int, int, str]]] = {index: [] for index in infos}
    with av.open(str(path)) as container:
        for packet in container.demux(subtitles=tuple(range(len(infos)))):
            data = payload(packet, infos[packet.stream_index]) if packet.size else b""
            if data:
                text = marked_text(data, infos[packet.stream_index].codec)
                start, length = packet.pts * packet.time_base, packet.duration * packet.time_base
                tracks[packet.stream_index].append(
                    (round(start * 1000), round(length * 1000), text)
                )
    return list(tracks.values())


def attached(path: Path) -> list[bytes]:
    """Fonts and covers."""
    with av.open(str(path)) as container:
        files = [each.data for each in container.streams if isinstance(each, AttachmentStream)]
        covers = [
            bytes(packet)
            for packet in container.demux()
            if packet.size and packet.stream.disposition & Disposition.attached_pic
        ]
    return sorted([*files, *covers])


@pytest.mark.parametrize("name", ["in.mkv", "in.mp4"])
@pytest.mark.parametrize("target", ["out.mkv", "out.mp4"])
def test_everything_else_arrives(tmp_path: Path, name: str, target: str) -> None:
    path, output = full_clip(tmp_path, name), tmp_path / target
    written = copy_film(path, output)
    before, after = probe(path), probe(output)
    assert after.chapters == before.chapters
    assert after.metadata["title"] == "Episode 1"
    assert texts(output) == texts(path)
    languages = [info.language for info in before.streams if info.kind == "subtitle"]
    assert [info.language for info in after.streams if info.kind == "subtitle"] == languages
    expected = attached(path)
    if (name, target) == ("in.mkv", "out.mp4"):
        expected.remove(b"FONT" * 100)
        assert any("font.ttf" in warning or "attachment" in warning for warning in written.warnings)
    assert attached(output) == expected
    assert_same_film(path, output)


def test_webm_takes_what_it_can(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "in.mkv",
        audio=(Sound("libopus"),),
        subtitles=(Subtitles([(0, 0.5, "Hello")]),),
        attachments={"font.ttf": b"FONT"},
    )
    written = copy_film(path, tmp_path / "out.webm", codec="libvpx-vp9")
    assert texts(tmp_path / "out.webm") == texts(path)
    assert len(written.warnings) == 2
    assert_same_film(path, tmp_path / "out.webm")


def test_sound_without_lengths_keeps_its_last_packet(tmp_path: Path) -> None:
    """ALAC in Matroska: no packet says how long it lasts, and MP4 must know it."""
    path = make_clip(tmp_path / "in.mkv", audio=(Sound("alac"),))
    copy_film(path, tmp_path / "out.mp4")
    assert_same_film(path, tmp_path / "out.mp4")


def repeat_times(path: Path, output: Path) -> None:
    """Copy a Matroska file, giving every second packet of sound the time of the one before."""
    with av.open(str(path)) as source, av.open(str(output), "w") as target:
        streams = [target.add_stream_from_template(each, opaque=True) for each in source.streams]
        last: int | None = None
        for packet in source.demux():
            if packet.size and packet.stream.type == "audio":
                packet.pts = packet.dts = last if last is not None else packet.pts
                last = None if last is not None else packet.pts
            if packet.size:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
def test_repeated_times_of_sound_do_not_stop_the_muxer(tmp_path: Path, target: str) -> None:
    path = make_clip(tmp_path / "good.mkv", audio=(Sound("flac"),), audio_seconds=2)
    repeat_times(path, tmp_path / "in.mkv")
    copy_film(tmp_path / "in.mkv", tmp_path / target)
    assert sound(tmp_path / target)[0][0] == sound(path)[0][0]


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv", "out.mov"])
def test_the_end_of_a_text_may_be_unknown(tmp_path: Path, target: str) -> None:
    """MP4 loses a last packet that lasts no time."""
    lines = [(0.1, 0.1, "One"), (0.3, 0.5, "Two"), (0.7, 0.7, "Three")]
    bitmaps = Subtitles(lines, "dvd_subtitle")
    path = make_clip(tmp_path / "in.mkv", frames=50, subtitles=(Subtitles(lines), bitmaps))
    copy_film(path, tmp_path / target)
    words = [(start, text) for start, _, text in texts(tmp_path / target)[0]]
    assert words == [(100, "One"), (300, "Two"), (700, "Three")]
    kept = [info for info in probe(tmp_path / target).streams if info.codec == "dvd_subtitle"]
    assert len(kept) == (0 if target == "out.mov" else 1)


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv", "out.mov"])
@pytest.mark.parametrize("name", ["in.mkv", "in.mp4"])
def test_chapters_of_any_kind_arrive(tmp_path: Path, name: str, target: str) -> None:
    chapters = ((0.1, 0.3, "Ä" * 200), (0.5, 0.6, ""), (0.6, 0.9, "Last"))
    path = make_clip(tmp_path / name, chapters=chapters)
    copy_film(path, tmp_path / target)
    found = probe(tmp_path / target).chapters
    assert [chapter.metadata.get("title", "") for chapter in found] == [c[2] for c in chapters]
    assert [float(chapter.start) for chapter in found[1:]] == [0.5, 0.6]


def test_chapters_without_names_arrive_in_mp4(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mkv", chapters=((0, 0.5, "A"), (0.5, 0.9, "B")))
    source = probe(path)
    named, unnamed = source.chapters
    source = replace(source, chapters=(named, replace(unnamed, metadata={})))
    encoding = encoding_for(source, tmp_path / "out.mp4")
    with Writer(tmp_path / "out.mp4", source, source.video, encoding, overwrite=False) as writer:
        for frame in read_frames(source):
            writer.write(frame)
        writer.finish()
    assert [c.start for c in probe(tmp_path / "out.mp4").chapters] == [0, Fraction(1, 2)]


@pytest.mark.parametrize("sound", ["aac", "pcm_s16le", "flac"])
@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
def test_a_part_may_have_neither_sound_nor_texts(tmp_path: Path, sound: str, target: str) -> None:
    path = make_clip(
        tmp_path / "in.mkv",
        frames=50,
        audio=(Sound(sound),),
        audio_seconds=0.5,
        subtitles=(Subtitles([(0, 0.4, "One")]),),
    )
    written = copy_film(path, tmp_path / target, start=Fraction(1))
    assert written.frames == 25


def test_a_part_whose_sound_begins_before_it(tmp_path: Path) -> None:
    """Matroska has no words for the time of such a packet."""
    path = make_clip(tmp_path / "in.mkv", frames=50, audio=(Sound("alac"),))
    assert copy_film(path, tmp_path / "out.mkv", start=Fraction(1, 2)).frames == 37


@pytest.mark.parametrize(("name", "codec"), [("in.ts", "libx264"), ("in.vob", "mpeg2video")])
def test_of_joined_parts_the_first_is_cut(tmp_path: Path, name: str, codec: str) -> None:
    """Every time is there twice; pictures and sound must come from the same part."""
    part = make_clip(tmp_path / f"part.{name}", codec=codec, frames=500, audio=(Sound("mp2"),))
    other = make_clip(
        tmp_path / f"other.{name}", codec=codec, frames=500, audio=(Sound("mp2", frequency=990),)
    )
    (tmp_path / name).write_bytes(part.read_bytes() + other.read_bytes() * 2)
    for path, target in ((part, "part.mkv"), (tmp_path / name, "out.mkv")):
        copy_film(path, tmp_path / target, start=Fraction(19), end=Fraction(20))
    assert sound(tmp_path / "out.mkv") == sound(tmp_path / "part.mkv")
    assert_same_film(tmp_path / "part.mkv", tmp_path / "out.mkv")


def test_texts_out_of_order_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(
        tmp_path / "in.mkv",
        frames=100,
        subtitles=(Subtitles([(0.2, 0.3, "A"), (2.0, 2.2, "B"), (3.0, 3.1, "C")]),),
    )
    plain = PacketCopier._demuxed

    def shuffled(copier: PacketCopier) -> Iterator[Packet[Stream]]:
        for packet in plain(copier):
            if bytes(packet) == b"C" and packet.pts is not None:
                packet.pts = packet.dts = 500
            yield packet

    monkeypatch.setattr(PacketCopier, "_demuxed", shuffled)
    written = copy_film(path, tmp_path / "out.mkv")
    assert [w for w in written.warnings if "out of order" in w and "1.50 s late" in w]


def test_a_part_has_its_own_sound_texts_and_chapters(tmp_path: Path) -> None:
    path = full_clip(tmp_path, "in.mkv")
    for target in ("out.mkv", "out.mp4"):
        output = tmp_path / target
        copy_film(path, output, start=Fraction(3, 5), end=Fraction(9, 5))
        times = picture_times(output)
        assert len(times) == 30 and abs(times[0]) <= MILLISECOND
        assert texts(output)[0] == [(0, 1000, "Two\nlines"), (1100, 100, "Three")]
        chapters = probe(output).chapters
        assert [(c.start, c.end) for c in chapters] == [
            (0, Fraction(1, 5)),
            (Fraction(1, 5), Fraction(6, 5)),
        ]
        heard = [time for time in sound(output)[0][1] if time is not None]
        assert -Fraction(1024, 48000) - MILLISECOND <= heard[0] <= 0
        assert Fraction(6, 5) - Fraction(1025, 48000) <= heard[-1] < Fraction(6, 5)


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
@pytest.mark.parametrize("name", ["in.mp4", "in.mkv", "in.ts"])
def test_sound_stays_in_step_in_a_part(tmp_path: Path, name: str, target: str) -> None:
    """Every packet of the part keeps its distance to the pictures."""
    path, start = make_clip(tmp_path / name, frames=100, bframes=2), Fraction(1, 2)
    copy_film(path, tmp_path / target, start=start, end=Fraction(5, 2))
    origin = probe(path).origin
    [(data, times)], [(part, part_times)] = sound(path), sound(tmp_path / target)
    assert part in data
    shown = {round((time - origin - start) * 1000) for time in times if time is not None}
    for time in part_times:
        assert time is None or any(abs(round(time * 1000) - ms) <= 1 for ms in shown)


def test_sound_that_a_container_cannot_hold_is_refused(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mkv", audio=(Sound("aac"), Sound("flac", "jpn")))
    source = probe(path)
    with pytest.raises(OutputError, match=r"audio stream 2 \(flac, jpn\).*\.mkv"):
        plan_streams(source, "mov")
    with pytest.raises(OutputError, match="audio stream 1"):
        plan_streams(source, "webm")


def test_dropped_streams_are_named_before_work(tmp_path: Path) -> None:
    source = probe(full_clip(tmp_path, "in.mkv"))
    warnings = "\n".join(plan_streams(source, "mp4").warnings)
    assert "attachment" in warnings and "converted to mov_text" in warnings


@contextmanager
def writing(
    path: Path, output: Path, *, overwrite: bool = False
) -> Iterator[tuple[Writer | Y4mWriter, list[Frame]]]:
    """A writer of the kind that an output asks for, and what it is to write."""
    source = probe(path)
    is_y4m = output.suffix == ".y4m"
    encoding = y4m_encoding(source.video.layout, None) if is_y4m else encoding_for(source, output)
    kind = Y4mWriter if is_y4m else Writer
    with kind(output, source, source.video, encoding, overwrite=overwrite) as writer:
        yield writer, list(read_frames(source))


@contextmanager
def begun(
    path: Path, output: Path, *, overwrite: bool = False
) -> Iterator[tuple[Writer, list[Frame]]]:
    """A writer in which half of the film is written."""
    source = probe(path)
    frames = list(read_frames(source))
    encoding = encoding_for(source, output)
    with Writer(output, source, source.video, encoding, overwrite=overwrite) as writer:
        for frame in frames[: len(frames) // 2]:
            writer.write(frame)
        yield writer, frames


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_failure_leaves_nothing_and_the_old_output(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path, output = make_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    output.write_bytes(b"old")
    with pytest.raises(error), begun(path, output, overwrite=True):
        assert len(os.listdir(tmp_path)) == 3
        raise error
    assert output.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "out.mp4"]


def test_leaving_without_finish_leaves_nothing(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mp4")
    with begun(path, tmp_path / "out.mkv"):
        pass
    assert os.listdir(tmp_path) == ["in.mp4"]


def test_a_full_disk_is_told_in_words(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mp4", size=(320, 240), frames=60)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OutputError, match="disk is full"):
            copy_film(path, tmp_path / "out.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["in.mp4"]


def test_a_file_that_differs_is_not_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, output = make_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    with (
        pytest.raises(VerificationError, match="number of frames"),
        begun(path, output) as (writer, frames),
    ):
        last = frames[-1]
        monkeypatch.setattr(writer._film, "pts", [*writer._film.pts, last.pts])
        writer.finish()
    kept = tmp_path / "out.unverified.mp4"
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", kept.name]
    assert len(picture_times(kept)) == 12


class _Mistake(Exception):
    """As of a bug."""


@pytest.mark.parametrize("target", ["out.mkv", "out.y4m"])
@pytest.mark.parametrize(
    "error",
    [SourceError("in.mkv is gone"), OSError(5, "Input/output error"), KeyboardInterrupt, _Mistake],
)
def test_a_finished_film_outlives_a_check_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, error: BaseException
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    path, output = make_clip(tmp_path / "in.mkv"), tmp_path / target
    module = y4m_module if target.endswith("y4m") else writer_module
    is_told = isinstance(error, (SourceError, OSError))
    monkeypatch.setattr(module, "open_source" if module is y4m_module else "verify", fails)
    wanted = VerificationError if is_told else (KeyboardInterrupt, _Mistake)
    with pytest.raises(wanted) as caught, writing(path, output) as (writer, frames):
        for frame in frames:
            writer.write(frame)
        writer.finish()
    kept = tmp_path / f"out.unverified{output.suffix}"
    assert sorted(os.listdir(tmp_path)) == ["in.mkv", kept.name]
    assert len(picture_times(kept)) == len(frames)
    notes = getattr(caught.value, "__notes__", [])
    assert str(kept) in (str(caught.value) if is_told else "".join(notes))


@pytest.mark.parametrize("target", ["out.mkv", "out.y4m"])
def test_a_link_stays_a_link_and_locks_its_file(tmp_path: Path, target: str) -> None:
    path, output = make_clip(tmp_path / "in.mkv"), tmp_path / target
    real = tmp_path / "elsewhere" / f"film{output.suffix}"
    real.parent.mkdir()
    real.write_bytes(b"old")
    output.symlink_to(real)
    with writing(path, output, overwrite=True) as (writer, frames):
        with (
            pytest.raises(OutputError, match="Another run is writing"),
            writing(path, real, overwrite=True),
        ):
            pass
        for frame in frames:
            writer.write(frame)
        assert writer.finish().path == real
    assert output.is_symlink() and len(picture_times(real)) == len(frames)


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
@pytest.mark.parametrize("kind", ["audio", "subtitle"])
@pytest.mark.parametrize("off", [Fraction(7, 10), Fraction(1, 100), Fraction(-1, 100)])
def test_sound_and_texts_out_of_step_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, target: str, off: Fraction
) -> None:
    plain = Track._stamp

    def late(track: Track, packet: Packet[Stream], pts: Fraction, *rest: object) -> Fraction:
        shown = pts + off if track.info.kind == kind else pts
        return plain(track, packet, shown, None, rest[1])  # type: ignore[arg-type]

    path = make_clip(tmp_path / "in.mkv", subtitles=(Subtitles([(0.2, 0.5, "One")]),))
    monkeypatch.setattr(Track, "_stamp", late)
    with pytest.raises(VerificationError, match=f"of the {kind} stream .* ms from its time"):
        copy_film(path, tmp_path / target)


def chapter(start: Fraction | int, end: Fraction | int, title: str) -> Chapter:
    return Chapter(Fraction(start), Fraction(end), {"title": title})


OPENING = chapter(0, Fraction(4, 5), "Opening")


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("rotation", 90, "rotation"),
        ("mirror", (-65536, 0, 0, 65536), "mirroring"),
        ("codec", "libx265", "codec of the film"),
        ("tags", {"title": "Episode 2"}, "tag 'title' of the file"),
        ("chapters", [OPENING, chapter(Fraction(4, 5), 2, "Other")], "names of chapters"),
        ("chapters", [OPENING, chapter(Fraction(3, 5), 2, "Story")], "start of the chapter"),
        ("chapters", [OPENING], "number of chapters"),
    ],
)
def test_what_describes_the_film_is_compared(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    name: str,
    value: object,
    words: str,
) -> None:
    plain = writer_module.verify
    monkeypatch.setattr(
        writer_module,
        "verify",
        lambda path, expected: plain(path, replace(expected, **{name: value})),
    )
    with pytest.raises(VerificationError, match=words):
        copy_film(full_clip(tmp_path, "in.mkv"), tmp_path / target)


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
def test_languages_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    path = make_clip(tmp_path / "in.mkv", audio=(Sound("aac", "jpn"),))
    monkeypatch.setattr(streams_module, "held_track_tags", lambda container, metadata: {})
    with pytest.raises(VerificationError, match="language of the audio stream"):
        copy_film(path, tmp_path / target)


def finish(writer: Writer, frames: list[Frame]) -> Written:
    """The second half of a film that was begun."""
    for frame in frames[len(frames) // 2 :]:
        writer.write(frame)
    return writer.finish()


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", refuse_links)
    path, output = make_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    for kept in ("out.finished.mp4", "out.finished-2.mp4"):
        output.unlink(missing_ok=True)
        with (
            pytest.raises(OutputError, match=rf"exists by now.*{kept}.* -y"),
            begun(path, output) as (writer, frames),
        ):
            output.write_bytes(b"new")
            finish(writer, frames)
        assert output.read_bytes() == b"new"
        assert_same_film(path, tmp_path / kept)
    assert len(os.listdir(tmp_path)) == 4


def refuse_links(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_the_second_run_to_one_output_is_refused_at_once(tmp_path: Path) -> None:
    path, output = make_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    with begun(path, output) as (first, frames):
        with pytest.raises(OutputError, match="Another run is writing"), begun(path, output):
            pass
        with begun(path, tmp_path / "other.mp4"):
            pass
        finish(first, frames)
    assert_same_film(path, output)
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "out.mp4"]


@pytest.mark.parametrize("has_links", [True, False])
def test_without_locks_of_two_runs_to_one_output_one_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse_locks)
    if not has_links:
        monkeypatch.setattr(os, "link", refuse_links)
    path, output = make_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    with begun(path, output) as (first, frames), begun(path, output) as (second, _):
        finish(first, frames)
        with pytest.raises(OutputError, match="-y"):
            finish(second, frames)
    assert_same_film(path, output)
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "out.finished.mp4", "out.mp4"]


def refuse_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_what_a_killed_run_left_is_taken_over(tmp_path: Path) -> None:
    path, output = make_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    with begun(path, output) as (writer, _):
        left = writer._partial
    left.write_bytes(b"half of a film" * 100_000)
    with begun(path, output) as (writer, frames):
        assert writer._partial == left
        finish(writer, frames)
    assert_same_film(path, output)
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "out.mp4"]


def test_the_next_runs_file_is_not_removed(tmp_path: Path) -> None:
    """Between a film's placing and its run's end another run may begin."""
    path, output = make_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    with begun(path, output) as (first, frames):
        finish(first, frames)
        output.unlink()
        with begun(path, output) as (second, _):
            first.__exit__(None, None, None)
            finish(second, frames)
    assert_same_film(path, output)


@pytest.mark.parametrize("name", ["あ" * 80 + ".mkv", "x" * 240 + ".mp4"])
def test_long_names_are_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = make_clip(tmp_path / "in.mp4")
    copy_film(path, tmp_path / name)
    with (
        pytest.raises(OutputError, match="finished"),
        begun(path, tmp_path / f"y{name[1:]}") as (writer, frames),
    ):
        (tmp_path / f"y{name[1:]}").touch()
        finish(writer, frames)


def test_an_empty_part_is_an_error(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mp4")
    with pytest.raises(OutputError, match="No frame"):
        copy_film(path, tmp_path / "out.mp4", start=Fraction(100))
    assert os.listdir(tmp_path) == ["in.mp4"]


def test_an_existing_output_needs_consent(tmp_path: Path) -> None:
    path, output = make_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    output.write_bytes(b"old")
    with pytest.raises(OutputError, match="-y"):
        copy_film(path, output)
    assert output.read_bytes() == b"old"
    with begun(path, output, overwrite=True) as (writer, frames):
        for frame in frames[len(frames) // 2 :]:
            writer.write(frame)
        writer.finish()
    assert_same_film(path, output)


def test_the_input_is_never_the_output(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mp4")
    (tmp_path / "soft.mp4").symlink_to(path)
    os.link(path, tmp_path / "hard.mp4")
    source = probe(path)
    for name in ("in.mp4", "soft.mp4", "hard.mp4"):
        with pytest.raises(OutputError, match="input itself"):
            writer_module.check_output(tmp_path / name, source, overwrite=True)


def test_impossible_outputs_are_refused(tmp_path: Path) -> None:
    source = probe(make_clip(tmp_path / "in.mp4"))
    (tmp_path / "folder.mp4").mkdir()
    for name, error in (
        ("missing/out.mp4", OutputError),
        ("folder.mp4", OutputError),
        ("out.avi", OptionsError),
        ("out", OptionsError),
    ):
        with pytest.raises(error):
            writer_module.check_output(tmp_path / name, source, overwrite=False)


def test_the_output_has_the_usual_permissions(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mp4")
    copy_film(path, tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").stat().st_mode == path.stat().st_mode


def with_a_broken_sound_packet(path: Path) -> Path:
    data = bytearray(make_clip(path, frames=50, audio=(Sound("aac"),)).read_bytes())
    at = [i for i in range(len(data) - 1) if data[i] == 0xFF and data[i + 1] == 0xF1]
    data[at[len(at) // 2]] ^= 0x40
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("target", ["out.mkv", "out.mp4"])
def test_a_damaged_sound_packet_does_not_end_a_film(tmp_path: Path, target: str) -> None:
    written = copy_film(with_a_broken_sound_packet(tmp_path / "in.ts"), tmp_path / target)
    assert written.frames == 50
    assert [w for w in written.warnings if "damaged in the source" in w]


def test_a_packet_that_a_muxer_refuses_costs_the_place_and_not_the_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_a_broken_sound_packet(tmp_path / "in.ts")
    monkeypatch.setattr("remaster.media.packets._has_adts_header", lambda _: True)
    with pytest.raises(VerificationError, match="kept as"):
        copy_film(path, tmp_path / "out.mkv")
    assert [p.name for p in tmp_path.glob("*.mkv")] == ["out.unverified.mkv"]


@pytest.mark.parametrize("seconds", [-3, 3, 30])
def test_one_damaged_time_costs_a_part_no_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    path = make_clip(tmp_path / "in.mkv", frames=200)

    def damaged(*given: Any) -> Iterator[Packet[Stream]]:
        number = 0
        for packet in demuxed(*given):
            number += packet.stream.type == "audio"
            if packet.stream.type == "audio" and number == 60 and packet.pts is not None:
                packet.pts = packet.dts = packet.pts + round(seconds / packet.time_base)
            yield packet

    copy_film(path, tmp_path / "good.mkv", end=Fraction(4))
    for module in ("copying", "recount"):
        monkeypatch.setattr(f"remaster.media.{module}.demuxed", damaged)
    written = copy_film(path, tmp_path / "bad.mkv", end=Fraction(4))
    assert sound(tmp_path / "bad.mkv")[0][0] == sound(tmp_path / "good.mkv")[0][0]
    assert [w for w in written.warnings if "damaged time" in w]
