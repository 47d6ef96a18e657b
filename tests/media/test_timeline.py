"""Files whose clock jumps: every picture and every sound, in step, on one clock."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from remaster.media.probe import probe
from remaster.media.reader import DamageReport, read_frames
from remaster.pipeline import RunOptions, run
from tests.clips import Sound, make_clip

KINDS = [("a.ts", "libx264", "aac"), ("a.vob", "mpeg2video", "mp2")]
FILM_PID, SOUND_PID = 0x100, 0x101
CLOCK = 90000
STEP = CLOCK // 25


def part(
    folder: Path, kind: tuple[str, str, str], start: int = 0, bframes: int = 2, frames: int = 100
) -> bytes:
    name, codec, sound = kind
    offset = Fraction(start)
    path = make_clip(
        folder / name,
        codec=codec,
        bframes=bframes,
        frames=frames,
        video_offset_seconds=offset,
        audio=(Sound(sound, offset_seconds=offset),),
    )
    return path.read_bytes()


def film_times(path: Path, **span: Fraction) -> list[int]:
    damage = DamageReport()
    times = [frame.pts for frame in read_frames(probe(path), damage=damage, **span)]
    assert not damage
    return times


def sound_times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [
            float(packet.pts * packet.time_base)
            for packet in container.demux(audio=0)
            if packet.size and packet.pts is not None
        ]


def with_times(data: bytes, pid: int, change: Callable[[int, int], int]) -> bytes:
    """A transport stream whose PES times of one stream are `change(number, ticks)`."""
    packets = [bytearray(data[at : at + 188]) for at in range(0, len(data), 188)]
    number = 0
    for packet in packets:
        begins = bool(packet[1] & 0x40)
        if (packet[1] & 0x1F) << 8 | packet[2] != pid or not begins:
            continue
        at = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        stamps = packet[at + 7] >> 6
        for field in range({0: 0, 2: 1, 3: 2}[stamps]):
            _rewrite(packet, at + 9 + 5 * field, lambda ticks, n=number: change(n, ticks))
        number += 1
    return b"".join(packets)


def _rewrite(packet: bytearray, at: int, change: Callable[[int], int]) -> None:
    old = packet[at : at + 5]
    ticks = (old[0] >> 1 & 7) << 30 | old[1] << 22 | old[2] >> 1 << 15 | old[3] << 7 | old[4] >> 1
    ticks = change(ticks) % (1 << 33)
    packet[at] = old[0] & 0xF1 | (ticks >> 30 & 7) << 1
    packet[at + 1] = ticks >> 22 & 0xFF
    packet[at + 2] = (ticks >> 15 & 0x7F) << 1 | 1
    packet[at + 3] = ticks >> 7 & 0xFF
    packet[at + 4] = (ticks & 0x7F) << 1 | 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
@pytest.mark.parametrize("starts", [(0, 0, 0), (50, 0, 200), (0, 3600)])
def test_joined_parts_follow_one_another(
    tmp_path: Path, kind: tuple[str, str, str], starts: tuple[int, ...]
) -> None:
    whole = tmp_path / f"whole{Path(kind[0]).suffix}"
    whole.write_bytes(b"".join(part(tmp_path, kind, start=start) for start in starts))
    times = film_times(whole)
    assert len(times) == 100 * len(starts)
    steps = [b - a for a, b in pairwise(times)]
    odd = [step for step in steps if abs(step - STEP) > 1]
    assert len(odd) == len(starts) - 1, "one joint between two parts"
    assert all(STEP <= step < 4 * STEP for step in odd)
    source = probe(whole)
    assert len(source.timeline.joints) == len(starts) - 1
    assert source.duration_seconds == pytest.approx(4 * len(starts), abs=0.3)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
@pytest.mark.parametrize("frames", [(20, 100), (100, 25, 100)])
def test_short_parts_are_parts(
    tmp_path: Path, kind: tuple[str, str, str], frames: tuple[int, ...]
) -> None:
    whole = tmp_path / f"whole{Path(kind[0]).suffix}"
    whole.write_bytes(b"".join(part(tmp_path, kind, frames=count) for count in frames))
    damage = DamageReport()
    times = [frame.pts for frame in read_frames(probe(whole), damage=damage)]
    assert damage in (DamageReport(), DamageReport(mended_times=1))  # a VOB's at a joint
    assert len(times) == sum(frames)
    steps = [b - a for a, b in pairwise(times)]
    assert sum(abs(step - STEP) > 1 for step in steps) <= len(frames)
    assert all(STEP - 1 <= step < 4 * STEP for step in steps)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
def test_a_part_behind_a_joint_can_be_cut_out(tmp_path: Path, kind: tuple[str, str, str]) -> None:
    whole = tmp_path / f"whole{Path(kind[0]).suffix}"
    whole.write_bytes(part(tmp_path, kind) * 3)
    every = film_times(whole)
    for start, end in ((1, 3), (3, 5), (6, 7), (9, 30)):
        expected = [t for t in every if start * CLOCK <= t < end * CLOCK]
        assert expected
        assert film_times(whole, start=Fraction(start), end=Fraction(end)) == expected


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
def test_sound_stays_in_step_across_joints(tmp_path: Path, kind: tuple[str, str, str]) -> None:
    one, whole = tmp_path / kind[0], tmp_path / f"whole{Path(kind[0]).suffix}"
    whole.write_bytes(part(tmp_path, kind) * 3)
    options = RunOptions(model="identity", encoder_preset="ultrafast")
    run(one, tmp_path / "one.mkv", options)
    result = run(whole, tmp_path / "whole.mkv", options)
    assert result.frames == 300 and not result.warnings
    assert any("clock starts again" in note for note in result.plan.notes)
    first, times = sound_times(tmp_path / "one.mkv"), sound_times(tmp_path / "whole.mkv")
    assert len(times) == 3 * len(first)
    film, whole_film = film_times(tmp_path / "one.mkv"), film_times(tmp_path / "whole.mkv")
    lead = first[0] - film[0] / 1000
    for number in (1, 2):
        again = times[number * len(first)] - whole_film[number * 100] / 1000
        assert again == pytest.approx(lead, abs=0.002)
    assert all(a < b for a, b in pairwise(times))


@pytest.mark.parametrize("wild", [3600, -2, 5, 40000])
@pytest.mark.parametrize("frame", [20, 57, 98])
def test_one_damaged_time_moves_nothing_else(tmp_path: Path, wild: int, frame: int) -> None:
    data = part(tmp_path, KINDS[0])
    good, bad = tmp_path / "a.ts", tmp_path / "bad.ts"
    bad.write_bytes(with_times(data, FILM_PID, lambda n, t: t + wild * CLOCK if n == frame else t))
    times = film_times(good)
    assert len(film_times(bad)) == len(times)
    assert all(abs(a - b) <= 1 for a, b in zip(film_times(bad), times[:90]))


@pytest.mark.parametrize("wild", [5, 30, -3])
def test_one_damaged_time_of_a_sound_moves_nothing_else(tmp_path: Path, wild: int) -> None:
    data = part(tmp_path, KINDS[0])
    bad = tmp_path / "bad.ts"
    bad.write_bytes(with_times(data, SOUND_PID, lambda n, t: t + wild * CLOCK * (n == 5)))
    options = RunOptions(model="identity", encoder_preset="ultrafast")
    for path in (tmp_path / "a.ts", bad):
        run(path, path.with_suffix(".mkv"), options)
    good, mended = (sound_times(tmp_path / name) for name in ("a.mkv", "bad.mkv"))
    assert len(good) == len(mended)
    assert all(abs(a - b) < 0.1 for a, b in zip(good, mended))
    assert sum(abs(a - b) > 0.002 for a, b in zip(good, mended)) <= 12  # of the damaged PES


def test_a_long_gap_in_the_picture_keeps_its_times(tmp_path: Path) -> None:
    data = part(tmp_path, KINDS[0], bframes=0)
    gap = tmp_path / "gap.ts"
    gap.write_bytes(with_times(data, FILM_PID, lambda n, t: t + (30 * CLOCK if n >= 50 else 0)))
    assert not probe(gap).timeline.joints
    times = film_times(gap)
    assert len(times) == 100 and times[-1] - times[0] == 99 * STEP + 30 * CLOCK


def test_sound_whose_clock_alone_starts_again_goes_on(tmp_path: Path) -> None:
    data = part(tmp_path, KINDS[0])
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    again = b"".join(p for p in packets if (p[1] & 31) << 8 | p[2] == SOUND_PID)
    path = tmp_path / "twice.ts"
    path.write_bytes(data + again)
    output = tmp_path / "out.mkv"
    result = run(path, output, RunOptions(model="identity", encoder_preset="ultrafast"))
    assert result.frames == 100
    times = sound_times(output)
    assert all(0.02 < b - a < 0.03 for a, b in pairwise(times))
    assert times[-1] == pytest.approx(8, abs=0.2)


def test_a_last_sound_far_ahead_stays_where_it_is(tmp_path: Path) -> None:
    data = part(tmp_path, KINDS[0])
    path, output = tmp_path / "far.ts", tmp_path / "out.mp4"
    numbers: list[int] = []
    with_times(data, SOUND_PID, lambda n, t: numbers.append(n) or t)
    last = numbers[-1]
    path.write_bytes(with_times(data, SOUND_PID, lambda n, t: t + 72000 * CLOCK * (n == last)))
    run(path, output, RunOptions(model="identity", encoder_preset="ultrafast"))
    assert all(0.02 < b - a < 0.05 for a, b in pairwise(sound_times(output)))
