"""The table of what containers can say is what FFmpeg's muxers really write."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.stream import Disposition

from remaster.media.holding import (
    HOLDINGS,
    held_dispositions,
    held_language,
    held_tags,
    held_track_tags,
    normal_dispositions,
    track_tags,
)
from remaster.media.probe import probe
from remaster.media.streams import plan_streams
from tests.clips import Sound, make_clip

ENCODERS = {"webm": ("libvpx-vp9", "libopus"), "mov": ("libx264", "pcm_s16le")}
TAGS = {
    "title": "T",
    "artist": "A",
    "album_artist": "B",
    "composer": "C",
    "album": "D",
    "date": "1987",
    "comment": "one\ntwo",
    "genre": "Anime",
    "copyright": "©",
    "show": "S",
    "description": "d",
    "synopsis": "s",
    "lyrics": "l",
    "network": "N",
    "grouping": "g",
    "episode_id": "e",
    "keywords": "k",
    "episode_sort": "3",
    "season_number": "12",
    "media_type": "10",
    "track": "3/12",
    "disc": "1",
    "compilation": "1",
    "make": "m",
    "creation_time": "2021-06-09T09:35:53.000000Z",
    "MOOD": "x",
    "tempo": "120",
    "timecode": "01:00:00:00",
}


def written(
    folder: Path,
    container: str,
    tags: dict[str, str],
    *,
    language: str = "",
    flags: tuple[int, int] = (1, 1),
) -> tuple[dict[str, str], list[tuple[str | None, Disposition]]]:
    """What is read back of a file's tags, and of two sounds' language and flags."""
    video, audio = ENCODERS.get(container, ("libx264", "aac"))
    options = {"movflags": "+faststart+write_colr"} if container in ("mp4", "mov") else {}
    suffix = {"matroska": "mkv"}.get(container, container)
    sounds = [Sound(audio, language, flags=each) for each in flags]
    path = make_clip(
        folder / f"film.{suffix}",
        frames=2,
        codec=video,
        audio=sounds,
        metadata=tags,
        muxer_options=options,
    )
    with av.open(str(path)) as found:
        streams = [(stream.language, stream.disposition) for stream in found.streams.audio]
        film = found.streams.video[0].metadata
        timecode = {key: value for key, value in film.items() if key == "timecode"}
        return {**timecode, **found.metadata}, streams


@pytest.mark.parametrize("container", HOLDINGS)
def test_tags_are_those_that_come_back(tmp_path: Path, container: str) -> None:
    held = held_tags(container, TAGS, Fraction(25))
    found, _ = written(tmp_path, container, TAGS)
    lower = {key.lower(): value for key, value in found.items()}
    assert {key for key in TAGS if lower.get(key.lower()) == TAGS[key]} == set(held)


@pytest.mark.parametrize(
    "tags",
    [
        {"episode_sort": "S1E2"},
        {"episode_sort": "03"},
        {"track": "three"},
        {"compilation": "yes"},
        {"creation_time": "1987-01-02"},
        {"timecode": "01:00:00;00"},
        {"timecode": "soon"},
        {"timecode": "01:00:00:25"},
    ],
)
def test_values_that_have_no_place_are_known(tmp_path: Path, tags: dict[str, str]) -> None:
    assert held_tags("mp4", tags, Fraction(25)) == {}
    found, _ = written(tmp_path, "mp4", tags)
    assert all(found.get(key) != value for key, value in tags.items())


def test_names_are_spelled_as_they_come_back(tmp_path: Path) -> None:
    tags = {"with space": "a", "part_number": "3", "Lead_Performer": "P", "stereo_mode": "mono"}
    held = held_tags("matroska", tags, Fraction(25))
    found, _ = written(tmp_path, "matroska", tags)
    assert {k.lower(): v for k, v in found.items() if k != "ENCODER"} == held
    assert held == {"with_space": "a", "track": "3", "performer": "P"}


def test_frames_are_dropped_from_counting_in_ntsc_alone() -> None:
    tags = {"timecode": "01:00:00;00"}
    assert held_tags("mp4", tags, Fraction(30000, 1001)) == tags
    assert held_tags("mp4", tags, Fraction(24000, 1001)) == {}


@pytest.mark.parametrize("container", HOLDINGS)
@pytest.mark.parametrize("flag", [flag for flag in Disposition if flag.name != "attached_pic"])
def test_flags_are_those_that_come_back(tmp_path: Path, container: str, flag: Disposition) -> None:
    _, (_, (_, found)) = written(tmp_path, container, {}, flags=(1, int(flag)))
    assert bool(held_dispositions(container, flag)) == bool(found & flag)
    assert normal_dispositions(container, found) == normal_dispositions(container, flag)


@pytest.mark.parametrize("container", HOLDINGS)
@pytest.mark.parametrize(
    "language", ["jpn", "eng", "fre", "ger", "fil", "ja", "zh", "swe", "yue", "nob", "pt-BR", "x"]
)
def test_languages_are_those_that_come_back(tmp_path: Path, container: str, language: str) -> None:
    held = held_language(container, language)
    _, ((found, _), _) = written(tmp_path, container, {}, language=held or "")
    assert (None if found == "und" else found) == held
    if container in ("matroska", "webm"):
        assert held == language


def test_a_stream_is_called_by_its_name_in_mp4() -> None:
    assert track_tags({"name": "Original", "DURATION": "1", "language": "jpn"}) == {
        "title": "Original",
        "language": "jpn",
    }
    assert held_track_tags("mp4", {"title": "Original", "MOOD": "x", "language": "ja"}) == {
        "title": "Original",
        "language": "jpn",
    }
    assert held_track_tags("matroska", {"encoder": "x264", "MOOD": "x"}, is_film=True) == {
        "MOOD": "x"
    }


def test_chapters_inside_others_are_counted_and_named(tmp_path: Path) -> None:
    """FFmpeg reads the outer ones of the first edition."""
    chapters = ((0, 0.4, "Part one, which is long"), (0.4, 0.9, "Part two"))
    path = make_clip(tmp_path / "in.mkv", chapters=chapters)
    assert probe(path).unread_chapters == 0
    data = bytearray(path.read_bytes())
    at = data.index(b"\xb6", data.index(b"\x10\x43\xa7\x70"))
    title = data.index(b"Part one, which is long")
    inner = b"\xb6\x84\x73\xc4\x81\x07"  # a chapter with an identity and nothing else
    while data[title - 1] != 0x80 | len("Part one, which is long"):
        title -= 1
    display = data.rindex(b"\x80", at, title - 2)
    size = data[display + 1] & 0x7F
    data[display : display + 2 + size] = (
        inner + b"\xec" + bytes([0x80 | (size + 2 - 8)]) + bytes(size + 2 - 8)
    )
    path.write_bytes(bytes(data))
    source = probe(path)
    assert source.unread_chapters == 1
    assert any("inside others" in words for words in plan_streams(source, "matroska").warnings)
