"""The source is held against what was written of it, in whole and in part, while it is there."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from av.packet import Packet
from av.stream import Stream

from remaster.errors import VerificationError
from remaster.media.copying import PacketCopier
from remaster.media.packets import Tally
from remaster.media.probe import probe
from remaster.options import RunOptions
from remaster.pipeline import Progress, RunResult, run
from tests.clips import Sound, Subtitles, make_clip

PARTS = {
    "whole": {},
    "end": {"start": Fraction(31, 20)},
    "begin": {"end": Fraction(7, 5)},
    "middle": {"start": Fraction(11, 20), "end": Fraction(33, 20)},
}


def remastered(
    source: Path, output: Path, *, after: Callable[[], object] | None = None, **given: Any
) -> RunResult:
    def progress(done: Progress) -> None:
        if after is not None and done.frames == 50:
            after()

    options = RunOptions(model="identity", encoder_preset="ultrafast", **given)
    return run(source, output, options, progress=progress)


def film(path: Path, **details: Any) -> Path:
    texts = Subtitles([(0.2, 0.9, "One"), (1.0, 1.7, "Two")])
    given = {"frames": 50, "bframes": 2, "audio_seconds": 2, "subtitles": (texts,), **details}
    return make_clip(path, **given)


@pytest.mark.parametrize("name", ["gone", "empty"])
def test_a_source_that_went_away_costs_a_check_and_not_the_film(tmp_path: Path, name: str) -> None:
    source, output = film(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    spoil = {"gone": source.unlink, "empty": lambda: (source.unlink(), source.touch())}[name]
    result = remastered(source, output, after=spoil)
    assert result.frames == 50 and output.exists()
    assert [words for words in result.warnings if "could not be read once more" in words]


@pytest.mark.parametrize("name", ["in.mkv", "in.mp4", "in.ts", "in.avi", "in.mov"])
@pytest.mark.parametrize("part", PARTS)
def test_a_good_film_gives_no_warning(tmp_path: Path, name: str, part: str) -> None:
    texts = {} if name in ("in.mkv",) else {"subtitles": ()}
    sound = {"audio": (Sound("mp2"),)} if name in ("in.ts", "in.avi") else {}
    picture = {"codec": "mpeg4", "bframes": 0} if name == "in.avi" else {}
    source = film(tmp_path / name, **texts, **sound, **picture)
    assert remastered(source, tmp_path / "out.mkv", **PARTS[part]).warnings == ()


@pytest.mark.parametrize("part", PARTS)
def test_a_lost_sound_is_noticed_in_parts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    plain = PacketCopier._demuxed

    def demuxed(self: PacketCopier) -> Iterator[Packet[Stream]]:
        for packet in plain(self):
            time = (packet.pts or 0) * packet.time_base
            if not (packet.stream.type == "audio" and 1.2 < time < 1.3) and time < 1.7:
                yield packet

    source = film(tmp_path / "in.mkv")
    monkeypatch.setattr(PacketCopier, "_demuxed", demuxed)
    with pytest.raises(VerificationError, match="number of packets of the audio stream"):
        remastered(source, tmp_path / "out.mkv", **PARTS[part])


def test_a_tally_of_many_packets_stays_small(tmp_path: Path) -> None:
    """Lossless sound has 1200 packets a second: nothing but their times is kept of each."""
    sound = probe(film(tmp_path / "in.mkv")).streams[1]
    tally = Tally(sound)
    for number in range(1000):
        tally.add(b"x", Fraction(number, 1200), Fraction(1, 1200), True)
    assert sound.kind == "audio" and len(tally.times) == 1000
    assert not tally.lengths and not tally.key_changes


@pytest.mark.parametrize(
    ("marks", "changes"),
    [("kkkk", []), ("k---k--", [1, 4, 5]), ("--k", [0, 2]), ("-", [0]), ("k-", [1])],
)
def test_key_packets_are_told_apart(tmp_path: Path, marks: str, changes: list[int]) -> None:
    tally = Tally(probe(film(tmp_path / "in.mkv")).streams[1])
    for mark in marks:
        tally.add(b"x", Fraction(0), Fraction(0), mark == "k")
    assert tally.key_changes == array("q", changes)
