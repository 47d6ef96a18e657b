"""Runs that compute once what is drawn once: the same film, a true report, and what was decided."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from remaster import pipeline, trial
from remaster.cli import main
from remaster.drawings import ReuseCount
from remaster.errors import OptionsError, OutputError
from remaster.frames import Frame, FrameBatch, PixelLayout, VideoInfo
from remaster.media.probe import probe
from remaster.media.reader import read_frames
from remaster.options import RunOptions
from remaster.pipeline import Stopwatch, run
from remaster.plan import make_plan
from tests.clips import make_clip, moving_picture

HOLDS = (1, 3, 5, 2, 1)
FRAMES = sum(HOLDS)
EXACT = RunOptions(reuse="exact", model="lanczos", codec="ffv1")
FAST = RunOptions(model="lanczos", encoder_preset="ultrafast")


def held(index: int, layout: PixelLayout, size: tuple[int, int]) -> list[np.ndarray]:
    """Drawings, each shown as often as `HOLDS` says."""
    return moving_picture(int(np.repeat(range(len(HOLDS)), HOLDS)[index]), layout, size)


def noisy(index: int, layout: PixelLayout, size: tuple[int, int]) -> list[np.ndarray]:
    noise = np.random.default_rng(index)
    return [
        np.clip(100 + noise.normal(0, 3, shape), 0, 255).round().astype(np.uint16)
        for shape in layout.plane_shapes(*size)
    ]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mkv", frames=FRAMES, codec="ffv1", picture=held)


def frames_of(path: Path) -> list[Frame]:
    return list(read_frames(probe(path)))


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["run", *map(str, arguments)])


def assert_same(path: Path, other: Path) -> None:
    for a, b in zip(frames_of(path), frames_of(other), strict=True):
        assert a.pts == b.pts
        assert all(torch.equal(x, y) for x, y in zip(a.planes, b.planes))


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("model", ["lanczos", "fast"])
def test_exact_is_off_to_the_bit(tmp_path: Path, source: Path, model: str, batch: int) -> None:
    for mode in ("off", "exact"):
        options = replace(EXACT, reuse=mode, model=model, batch=batch)
        result = run(source, tmp_path / f"{mode}.mkv", options)
        assert result.reuse.mode == mode
    assert_same(tmp_path / "off.mkv", tmp_path / "exact.mkv")


def test_the_result_says_what_was_reused(tmp_path: Path, source: Path) -> None:
    reuse = run(source, tmp_path / "exact.mkv", EXACT).reuse
    assert (reuse.mode, reuse.frames, reuse.drawings) == ("exact", FRAMES, len(HOLDS))
    assert reuse.new_share == pytest.approx(len(HOLDS) / FRAMES)
    assert (reuse.fused_share, reuse.largest_accepted_levels) == (0, 0)
    assert f"{FRAMES} frames, something new in {len(HOLDS)}: 42% of the picture;" in str(reuse)
    off = run(source, tmp_path / "off.mkv", replace(EXACT, reuse="off"))
    shares = (off.reuse.new_share, off.reuse.network_work, off.reuse.fused_share)
    assert (off.reuse.mode, off.reuse.drawings, shares) == ("off", FRAMES, (1, 1, 0))
    assert off.busy_seconds["drawings"] == 0
    assert 0 < off.reuse.network_core_seconds <= 1.1 * off.busy_seconds["network"]


@pytest.mark.parametrize("reuse", ["exact", "drawings"])
def test_the_identity_takes_every_frame_as_it_is(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, reuse: str
) -> None:
    monkeypatch.setattr(pipeline, "cleaned", None)  # nobody may call it
    options = RunOptions(model="identity", codec="ffv1", reuse=reuse)
    result = run(source, tmp_path / "out.mkv", options)
    assert result.reuse.mode == "off"
    assert any("--reuse exact" in note for note in result.plan.notes) == (reuse == "exact")
    assert_same(source, tmp_path / "out.mkv")
    with pytest.raises(OptionsError, match="identity"):
        run(source, tmp_path / "b.mkv", replace(options, debug_reuse=tmp_path / "seen.mkv"))


def test_smoothing_takes_noise_and_no_frame(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=9, codec="ffv1", picture=noisy)
    spread = []
    for number, smooth in enumerate((0.0, 0.5, 1.0)):
        output = tmp_path / f"{number}.mkv"
        options = RunOptions(model="lanczos", codec="ffv1", reuse="off", smooth=smooth)
        assert run(source, output, options).plan.smooth == smooth
        assert [f.pts for f in frames_of(output)] == [f.pts for f in frames_of(source)]
        pictures = torch.stack([frame.planes[0].float() for frame in frames_of(output)])
        assert abs(float(pictures.mean()) - 100) < 0.1, "rounded, not cut off"
        spread.append(float(pictures.std(0).mean()))
    assert spread[0] > 1.2 * spread[1] > 1.4 * spread[2]


def left_half(frames: Iterable[Frame], video: VideoInfo, count: ReuseCount) -> Iterator[Frame]:
    """Says that the left half of every second frame is new, and fused in the top row."""
    cells = (-(-video.height // 8), -(-video.width // 8))
    columns = torch.arange(cells[1]).expand(cells) < cells[1] // 2
    rows = torch.arange(cells[0])[:, None].expand(cells) == 0
    first: Frame | None = None
    for index, frame in enumerate(frames):
        first = first or frame
        changed = None if index == 0 else columns & bool(index % 2 == 0)
        count.frames, count.drawings = count.frames + 1, count.drawings + (index % 2 == 0)
        count.cells += rows.numel()
        count.new_cells += rows.numel() if changed is None else int(changed.sum())
        planes = first.planes if index % 2 else frame.planes
        first = replace(frame, planes=planes)
        yield replace(first, changed=changed, fused=rows)


@pytest.mark.parametrize("model", ["lanczos", "fast"])
def test_the_painted_film_shows_what_was_decided(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setattr(pipeline, "held_as_drawings", left_half)
    seen = tmp_path / "seen.mkv"
    start = Fraction(3, 25)
    result = run(
        source, tmp_path / "out.mkv", replace(FAST, model=model, start=start, debug_reuse=seen)
    )
    assert result.reuse.drawings == -(-(FRAMES - 3) // 2)
    painted, film = frames_of(seen), frames_of(tmp_path / "out.mkv")
    assert [frame.pts for frame in painted] == [frame.pts for frame in film]
    assert painted[0].pts == 0
    assert painted[0].planes[0].shape == (48, 64)

    def tint(frame: Frame, rows: slice, columns: slice) -> tuple[bool, bool]:
        """Whether it is (blue, red)."""
        blue, red = (float(plane[rows, columns].float().mean()) for plane in frame.planes[1:])
        return blue > 140, red > 135

    top, rest, left, right = slice(1, 3), slice(6, 22), slice(2, 14), slice(18, 30)
    for index, frame in enumerate(painted[1:], 1):
        assert tint(frame, rest, right) == (False, False)
        assert tint(frame, rest, left) == (False, index % 2 == 0)
        assert tint(frame, top, left) == ((True, True) if index % 2 == 0 else (False, False))


def test_no_second_film_is_made_unasked(tmp_path: Path, source: Path) -> None:
    run(source, tmp_path / "out.mkv", FAST)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out.mkv"]


def test_trouble_leaves_neither_film_nor_report(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(frames: Iterable[Frame], *_: object) -> Iterator[Frame]:
        yield next(iter(frames))
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "held_as_drawings", failing)
    options = replace(FAST, debug_reuse=tmp_path / "seen.mkv", report=tmp_path / "did.json")
    with pytest.raises(ZeroDivisionError):
        run(source, tmp_path / "out.mkv", options)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]
    assert not [t for t in threading.enumerate() if t.name.startswith("remaster")]


@pytest.mark.parametrize("field", ["report", "debug_reuse"])
def test_side_files_are_refused_before_work(tmp_path: Path, source: Path, field: str) -> None:
    (tmp_path / "old.mkv").write_bytes(b"old")
    for path, words in (
        (tmp_path / "old.mkv", "give -y"),
        (tmp_path / "none" / "a.mkv", "no directory"),
        (tmp_path / "out.mkv", "the output itself"),
        (source, "the input itself"),
    ):
        options = replace(FAST, overwrite=words == "the input itself", **{field: path})  # type: ignore[arg-type]
        with pytest.raises((OutputError, OptionsError), match=words):
            run(source, tmp_path / "out.mkv", options)
    both = replace(FAST, report=tmp_path / "a.mkv", debug_reuse=tmp_path / "a.mkv")
    with pytest.raises(OptionsError, match="--report"):
        run(source, tmp_path / "out.mkv", both)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "old.mkv"]
    assert (tmp_path / "old.mkv").read_bytes() == b"old"


def test_a_report_holds_everything(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "did.json"
    path.write_text("old")
    options = replace(EXACT, report=path, overwrite=True, smooth=0.25)
    result = run(source, tmp_path / "out.mkv", options)
    (film,) = json.loads(path.read_text())["films"]
    assert film["source"] == str(source)
    assert film["output"] == str(tmp_path / "out.mkv")
    assert (film["source_size_px"], film["output_size_px"]) == ([64, 48], [128, 96])
    assert (film["frames"], film["smooth"], film["read_back"]) == (FRAMES, 0.25, True)
    assert film["warnings"] == list(result.warnings)
    assert set(film["busy_seconds"]) == {"decode", "drawings", "network", "encode"}
    assert film["seconds"] == pytest.approx(result.seconds, abs=0.001)
    assert film["reuse"] == {
        "mode": "exact",
        "frames": FRAMES,
        "drawings": len(HOLDS),
        "new_share": round(len(HOLDS) / FRAMES, 4),
        "fused_share": 0.0,
        "network_work": round(result.reuse.network_work, 4),
        "network_core_seconds": round(result.reuse.network_core_seconds, 4),
        "largest_accepted_levels": 0.0,
    }
    assert sorted(each.name for each in tmp_path.iterdir()) == ["did.json", "in.mkv", "out.mkv"]


def test_programs_are_told_at_the_end(tmp_path: Path, source: Path) -> None:
    result = call(source, "-o", tmp_path / "o.mkv", "--reuse", "exact", "--progress", "json")
    assert result.exit_code == 0, result.output
    last: dict[str, Any] = json.loads(result.stderr.splitlines()[-1])
    assert (last["event"], last["reuse"]["drawings"]) == ("done", len(HOLDS))


def test_a_season_has_one_report(tmp_path: Path) -> None:
    folder = tmp_path / "season"
    folder.mkdir()
    for name in ("1.mkv", "3.mkv"):
        make_clip(folder / name, frames=FRAMES, picture=held)
    (folder / "2.mkv").write_bytes(b"bad")
    out = tmp_path / "hd"
    arguments = (folder, "-o", out, "--model", "lanczos", "--report", out / "did.json")
    result = call(*arguments, "--progress", "none")
    assert result.exit_code == 3, result.output
    films = json.loads((out / "did.json").read_text())["films"]
    assert [Path(film["source"]).name for film in films] == ["1.mkv", "2.mkv", "3.mkv"]
    assert [film.get("frames") for film in films] == [FRAMES, None, FRAMES]
    assert "2.mkv" in films[1]["error"] and films[1]["output"] == str(out / "2.mkv")
    before = (out / "did.json").read_text()
    result = call(*arguments)
    assert (result.exit_code, (out / "did.json").read_text()) == (1, before)
    assert "give -y" in result.stderr and len(result.stderr.splitlines()) == 1
    assert call(*arguments, "-y", "--progress", "none").exit_code == 3
    assert call(folder, "-o", out, "--debug-reuse", tmp_path / "a.mkv").exit_code == 2


def test_a_report_that_cannot_be_written_is_a_failure(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OutputError("The disk is full.")

    monkeypatch.setattr(pipeline, "write_document", full)
    result = call(source, "-o", tmp_path / "out.mkv", "--report", tmp_path / "did.json")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].endswith(
        "The disk is full. What it tells of is finished."
    )
    assert (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize("stage", ["held_as_drawings", "smoothed"])
def test_a_trial_has_the_stages_of_a_run(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    asked = []
    whole = getattr(pipeline, stage)

    def spy(*arguments: object) -> object:
        asked.append(stage)
        return whole(*arguments)

    monkeypatch.setattr(pipeline, stage, spy)
    options = replace(FAST, smooth=0.5)
    plan = make_plan(source, tmp_path / "out.mkv", options)
    assert trial.forecast(plan, tmp_path / "out.mkv", options).frames == FRAMES
    assert asked == [stage]
    assert not list(tmp_path.glob("out*"))


def test_a_device_gets_frames_before_they_are_cleaned(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order for CUDA, told without one: read ahead, uploaded, cleaned, in batches again."""
    on_device: list[int] = []

    def uploaded(batches: Iterable[FrameBatch], _: torch.device) -> Iterator[FrameBatch]:
        for batch in batches:
            on_device.extend(id(frame) for frame in batch.frames)
            yield batch

    def cleaning(frames: Iterable[Frame], *_: object) -> Iterator[Frame]:
        for frame in frames:
            assert id(frame) in on_device
            yield frame

    monkeypatch.setattr(pipeline, "upload", uploaded)
    monkeypatch.setattr(pipeline, "held_as_drawings", cleaning)
    plan = make_plan(source, tmp_path / "out.mkv", FAST)
    plan = replace(plan, device=torch.device("cuda"))
    frames = frames_of(source)
    with pipeline.prepared(plan, frames, 5, pipeline.Stopwatches(), ReuseCount()) as ready:
        found = list(ready)
    assert [len(batch) for batch in found] == [5, 5, 2]
    assert [frame.pts for batch in found for frame in batch.frames] == [f.pts for f in frames]


@pytest.mark.cuda
@pytest.mark.parametrize("smooth", [0.0, 0.5])
def test_cuda_finds_and_smooths_as_the_cpu(tmp_path: Path, source: Path, smooth: float) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    for device in ("cpu", "cuda"):
        options = replace(EXACT, device=device, precision="fp32", smooth=smooth, batch=3)
        result = run(source, tmp_path / f"{device}.mkv", options)
        assert result.reuse.drawings == len(HOLDS)
    for a, b in zip(frames_of(tmp_path / "cpu.mkv"), frames_of(tmp_path / "cuda.mkv"), strict=True):
        assert a.pts == b.pts
        for x, y in zip(a.planes, b.planes):
            assert (x.int() - y.int()).abs().max() <= 1  # sums may round apart


def test_a_stage_is_charged_with_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(pipeline.time, "perf_counter", lambda: now[0])

    def work(items: Iterable[int], seconds: float) -> Iterator[int]:
        for item in items:
            now[0] += seconds
            yield item
        now[0] += seconds

    first, second = Stopwatch(), Stopwatch()
    items = second.stage(lambda given: work(given, 10), first.pulling(work(range(4), 1)))
    for _ in items:
        now[0] += 100
    assert (first.seconds, second.seconds) == (5, 50)


def test_the_stages_need_memory(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", size=(320, 240), frames=1)
    needs = []
    for options in (
        RunOptions(reuse="off"),
        RunOptions(reuse="exact"),
        RunOptions(),
        RunOptions(smooth=0.5),
    ):
        plan = make_plan(source, tmp_path / "o.mkv", options)
        needs.append(pipeline.memory_need(plan, options).reuse)
    assert needs[0] == 0 and needs == sorted(set(needs))
    assert needs[3] - needs[2] == 140 * 320 * 240 * 3 // 2
