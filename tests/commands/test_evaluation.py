"""`remaster evaluate`: what is asked is measured, told and written."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from remaster.checkpoint import Card, save_model
from remaster.cli import main
from remaster.commands import evaluation
from remaster.commands.evaluation import EvaluateOptions, find_weights, names_of
from remaster.errors import OptionsError
from remaster.frames import Frame
from remaster.media.probe import Source
from remaster.media.reader import read_frames
from remaster.models import CelNet, CelNetConfig
from remaster.models.srcnn import SRCNN, SRCNNConfig
from remaster.released import released
from remaster.train.drawing import draw_frame
from remaster.train.loop import fit
from remaster.train.options import TrainOptions
from remaster.train.sources import SourceFile
from tests.clips import make_clip
from tests.train.test_harvest import drawing
from tests.train.test_harvest import film as drawn_film

USUAL = ["nearest", "bilinear", "bicubic", "lanczos"]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *(str(a) for a in arguments)])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number, source in enumerate(("one", "two", "two")):
        folder = tmp_path / "data" / source
        folder.mkdir(parents=True, exist_ok=True)
        picture = draw_frame(number, 240, 320)[60:180, 80:240]
        Image.fromarray(np.ascontiguousarray(picture)).save(folder / f"{number}.png")
    return tmp_path / "data"


def own_weights(path: Path, scale: int = 2, **trained: object) -> Path:
    """A CelNet that adds nothing to Catmull-Rom."""
    model = CelNet(CelNetConfig(scale, 16, 1))
    for name in model.sizes:
        torch.nn.init.zeros_(model.tail(name).weight)
    save_model(path, model, Card("celnet", vars(model.config), scale, trained=dict(trained)))
    return path


def luma_weights(path: Path) -> Path:
    model = SRCNN(SRCNNConfig(2, "canonical"))
    save_model(path, model, Card("srcnn", vars(model.config), 2))
    return path


def table(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    rows = [line for line in result.stdout.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_a_network_that_adds_nothing_scores_as_bicubic(data: Path, tmp_path: Path) -> None:
    weights = own_weights(tmp_path / "w.safetensors")
    result = call(weights, "--data", data, "--folder", "two", "--kernel", "box")
    rows = table(result)
    assert [row[:4] for row in rows] == [["2", "box", m, "2"] for m in [*USUAL, "w"]]
    psnr = {row[2]: float(row[4].split()[0]) for row in rows}
    assert psnr["w"] == pytest.approx(psnr["bicubic"], abs=0.2)
    assert psnr["nearest"] < psnr["bicubic"] < psnr["lanczos"]


def test_everything_is_written_and_says_the_same(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    weights = own_weights(tmp_path / "w.safetensors")
    result = call(weights, "--data", data, "--kernel", "box", "--kernel", "triangle", "-o", out)
    assert sorted(p.name for p in out.iterdir()) == [
        "crops.png", "results.json", "table.md", "values.csv",
    ]  # fmt: skip
    assert (out / "table.md").read_text() == result.stdout
    values = list(csv.DictReader((out / "values.csv").read_text().splitlines()))
    assert len(values) == 3 * 2 * 5
    document = json.loads((out / "results.json").read_text())
    assert len(document["pictures"]) == len(values)
    of_box = [
        float(v["psnr_y"]) for v in values if (v["method"], v["kernel"]) == ("bicubic", "box")
    ]
    (row,) = (r for r in table(result) if r[1:3] == ["box", "bicubic"])
    assert float(row[4].split()[0]) == pytest.approx(sum(of_box) / 3, abs=0.006)
    with Image.open(out / "crops.png") as sheet:
        assert sheet.width > 6 * 192 and sheet.height > 3 * 192


def test_json_is_one_document_on_standard_output(data: Path) -> None:
    result = call("--data", data, "--folder", "one", "--kernel", "lanczos", "--json")
    document = json.loads(result.stdout)
    assert [s["method"] for s in document["summaries"]] == USUAL
    assert document["summaries"][0]["gain"]["low"] is None  # a single picture has no interval


def test_scales_are_those_of_the_networks_unless_asked(data: Path, tmp_path: Path) -> None:
    two = own_weights(tmp_path / "two.safetensors")
    four = own_weights(tmp_path / "four.safetensors", 4)
    luma = luma_weights(tmp_path / "luma.safetensors")
    common = ("--data", data, "--folder", "one", "--kernel", "box")
    found = [(row[0], row[2]) for row in table(call(two, four, *common))]
    assert found == [("2", m) for m in [*USUAL, "two"]] + [("4", m) for m in [*USUAL, "four"]]
    found = [(row[0], row[2]) for row in table(call(luma, *common, "-s", 3))]
    assert found == [("3", m) for m in [*USUAL, "luma", "luma (fed bicubic)"]]
    wrong = call(two, *common, "--scale", 3)
    assert wrong.exit_code == 2
    assert "two enlarges 2 times, and --scale asks for 3" in wrong.stderr


def test_scales_that_are_not_usual_take_a_network_of_that_scale(data: Path, tmp_path: Path) -> None:
    eight = own_weights(tmp_path / "eight.safetensors", 8)
    luma = luma_weights(tmp_path / "luma.safetensors")
    common = ("--data", data, "--folder", "one", "--kernel", "box")
    for scales in ((), ("-s", 8)):
        assert {row[0] for row in table(call(eight, *common, *scales))} == {"8"}
    wrong = call(luma, *common, "-s", 5)
    assert wrong.exit_code == 2 and "--scale is 2, 3 or 4, " in wrong.stderr


def test_the_protocol_of_msrcnn_has_its_own_columns(data: Path, tmp_path: Path) -> None:
    luma = luma_weights(tmp_path / "luma.safetensors")
    for scale in (2, 3, 4):
        result = call(luma, "--data", data, "--protocol", "msrcnn", "-s", scale)
        assert "| PSNR-RGB | over bicubic | SSIM |" in result.stdout
        expected = [*USUAL[:3], "luma", "luma (fed bicubic)"]
        assert [row[2] for row in table(result)] == expected
        assert {row[1] for row in table(result)} == {"opencv-linear"}


def test_clips_flicker_and_pictures_do_not(data: Path) -> None:
    make_clip(data / "one" / "film.mkv", size=(96, 80), frames=6)
    result = call(
        "--data", data, "--folder", "one", "--kernel", "box", "--frames", 3, "--side", 64, "--json"
    )
    document = json.loads(result.stdout)
    assert "1 picture and 1 clip" in document["setup"]
    clips = [row for row in document["pictures"] if row["picture"].endswith("film.mkv")]
    assert [row["frames"] for row in clips] == [3] * 4
    assert all(row["values"]["temporal_difference"] > 0 for row in clips)
    others = [row for row in document["pictures"] if row not in clips]
    assert all("temporal_difference" not in row["values"] for row in others)


def test_damage_costs(data: Path) -> None:
    common = ("--data", data, "--kernel", "box")
    clean, old = (
        {row[2]: float(row[4].split()[0]) for row in table(call(*common, "--damage", name))}
        for name in ("clean", "mixed")
    )
    assert all(old[name] < clean[name] for name in USUAL)


def test_sources_that_were_learnt_are_warned_of(data: Path, tmp_path: Path) -> None:
    weights = own_weights(tmp_path / "w.safetensors", sources=["two", "three"])
    common = ("--data", data, "--kernel", "box")
    result = call(weights, *common)
    assert "warning: w was trained on two:" in result.stderr
    assert "warning" not in call(weights, *common, "--folder", "one").stderr


def test_what_was_held_out_is_measured_where_nothing_else_is_asked_for(
    data: Path, tmp_path: Path
) -> None:
    weights = own_weights(
        tmp_path / "w.safetensors", sources=["two"], held_files=["data/two/1.png"]
    )
    result = call(weights, "--data", data, "--kernel", "box")
    assert "1 files that were held out" in result.stderr
    assert "warning" not in result.stderr
    assert {row[3] for row in table(result)} == {"1"}
    every = call(weights, "--data", data, "--kernel", "box", "--folder", "two")
    assert "warning: w was trained on two:" in every.stderr
    other = own_weights(tmp_path / "o.safetensors", held_files=["data/one/0.png"])
    assert {row[3] for row in table(call(weights, other, "--data", data, "--kernel", "box"))} == {
        "3"
    }


def test_films_held_out_in_part_are_measured_there(data: Path, tmp_path: Path) -> None:
    make_clip(data / "one" / "film.mkv", size=(96, 80), frames=50, audio=())
    common = ("--data", data, "--kernel", "box", "--side", 64)
    held = ["data/one/film.mkv#0.8-1"]
    weights = own_weights(tmp_path / "w.safetensors", sources=["one"], held_files=held)
    result = call(weights, *common, "--json")
    assert "1 files that were held out" in result.stderr
    assert "warning" not in result.stderr
    rows = json.loads(result.stdout)["pictures"]
    assert {(row["picture"], row["frames"]) for row in rows} == {(held[0], 9)}
    every = call(weights, *common, "--folder", "one")
    assert "warning: w was trained on one:" in every.stderr
    later = own_weights(tmp_path / "l.safetensors", held_files=["data/one/film.mkv#0.9-1"])
    both = json.loads(call(weights, later, *common, "--json").stdout)["pictures"]
    assert {row["picture"] for row in both} == {"data/one/film.mkv#0.9-1"}
    earlier = own_weights(tmp_path / "e.safetensors", held_files=["data/one/film.mkv#0-0.5"])
    neither = call(weights, earlier, *common)
    assert "held out" not in neither.stderr and "warning: w was trained on one:" in neither.stderr


def test_releases_that_were_learnt_are_warned_of(data: Path, tmp_path: Path) -> None:
    """A training on pairs names its two files."""
    make_clip(data / "one" / "old.mkv", size=(96, 80), frames=3, audio=())
    weights = own_weights(tmp_path / "w.safetensors", sources=["old.mkv", "new.mkv"])
    common = ("--data", data, "--kernel", "box", "--side", 64, "--frames", 1)
    assert "warning: w was trained on old.mkv:" in call(weights, *common).stderr
    assert "warning" not in call(weights, *common, "--folder", "two").stderr


def no_constant(name: str) -> None:
    pytest.fail(f"{name} is not JSON")


def test_what_cannot_be_said_in_figures_is_null(data: Path, tmp_path: Path) -> None:
    """A flat picture has no edges, no gradients, and nothing to overshoot."""
    Image.new("RGB", (96, 80), (90, 120, 40)).save(data / "one" / "0.png")
    out = tmp_path / "out"
    result = call("--data", data, "--folder", "one", "--kernel", "box", "--json", "-o", out)
    for text in (result.stdout, (out / "results.json").read_text()):
        document = json.loads(text, parse_constant=no_constant)
        values = document["pictures"][0]["values"]
        assert values["edge_psnr"] is None and values["psnr_y"] == pytest.approx(120)
        assert document["summaries"][0]["means"]["overshoot"]["value"] is None


def test_what_cannot_be_measured_is_told_and_left_out(data: Path) -> None:
    (data / "one" / "bad.png").write_bytes(b"bad")
    (data / "one" / "bad.mkv").write_bytes(b"bad")
    Image.new("RGB", (40, 400)).save(data / "one" / "thin.png")
    result = call("--data", data, "--folder", "one", "--kernel", "box")
    assert [row[3] for row in table(result)] == ["1"] * 4
    for word in ("bad.png", "bad.mkv", "left out: 1 files with a side under 64"):
        assert word in result.stderr
    (data / "one" / "0.png").unlink()
    nothing = call("--data", data, "--folder", "one")
    assert nothing.exit_code == 1
    assert "no picture of 64 pixels" in nothing.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--side", 20], "--side is at least 64, or 0"),
        (["--frames", 0], "--frames is at least 1"),
        (["--seed", -1], "--seed"),
        (["--scale", 1], "--scale is 2, 3 or 4, "),
        (["--scale", 5], "not 5"),
        (["--scale", 2, "--scale", 8], "not 8"),
        (["--scale", 8, "--protocol", "msrcnn"], "for --scale 2, 3 and 4, not 8"),
        (["--kernel", "cubic"], "catmull-rom"),
        (["--kernel", "box", "--protocol", "msrcnn"], "opencv-linear"),
        (["--damage", "acid"], "--damage is clean, "),
        (["--damage", "mixed", "--protocol", "msrcnn"], "--protocol clean"),
        (["auto-x7"], "'auto-x7' is neither a .safetensors file nor one of"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(data: Path, flags: list[object], words: str) -> None:
    result = call(*flags, "--data", data)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    assert words in line


def test_files_that_hold_no_network_are_one_sentence(data: Path, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    for path, words in (
        (tmp_path / "w.safetensors", "not a safetensors file"),
        (tmp_path / "none.safetensors", "no weights file"),
    ):
        result = call(path, "--data", data)
        assert result.exit_code == 1 and words in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def test_a_folder_that_cannot_be_made_costs_no_measuring(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "measured", lambda *_: pytest.fail("measured in vain"))
    (tmp_path / "file").write_text("")
    result = call("--data", data, "-o", tmp_path / "file")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"remaster: {tmp_path / 'file'} cannot be written to (")


def test_nothing_is_replaced_unasked_and_before_measuring(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    common = ("--data", data, "--folder", "one", "--kernel", "box", "-o", out)
    assert call(*common).exit_code == 0
    (out / "table.md").write_text("mine")
    with monkeypatch.context() as patched:
        patched.setattr(evaluation, "measured", lambda *_: pytest.fail("measured in vain"))
        again = call(*common)
    assert again.exit_code == 1
    (line,) = again.stderr.splitlines()
    assert "table.md, values.csv, results.json, crops.png: give -y" in line
    assert (out / "table.md").read_text() == "mine"
    assert call(*common, "-y").exit_code == 0
    assert (out / "table.md").read_text().startswith("Protocol")
    assert (out / "mine.txt").read_text() == "mine"


def test_names_of_weights_are_those_of_run() -> None:
    weights = released()
    assert find_weights("fast-x2") == [weights["fast-x2"]]
    assert find_weights("fast") == find_weights("auto") == list(weights.values())
    assert find_weights("fast", [4]) == [weights["fast-x4"]]
    assert find_weights("some/where.safetensors") == [Path("some/where.safetensors")]
    with pytest.raises(OptionsError, match="interpolations are always"):
        find_weights("bicubic")


def test_every_method_has_a_name_of_its_own(data: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "bicubic.safetensors"]
    paths += [tmp_path / folder / "w.safetensors" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        own_weights(path)
    result = call(*paths, paths[1], "--data", data, "--folder", "one", "--kernel", "box")
    names = [row[2] for row in table(result)]
    assert names == [*USUAL, str(paths[0]), "w", str(paths[2])]


def test_every_picture_has_a_name_of_its_own() -> None:
    files = [SourceFile(Path(p), ("x", "y")) for p in ("1/a.png", "2/a.png", "1/b.png")]
    assert names_of(files) == ["1/a.png", "2/a.png", "x/y/b.png"]


def test_every_option_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[EvaluateOptions] = []
    monkeypatch.setattr(evaluation, "evaluate", seen.append)
    plain = EvaluateOptions((), (Path("a"),))
    assert call("--data", "a").exit_code == 0
    result = call(
        "m.safetensors", "fast-x2", "--data", "a", "--data", "b", "--folder", "c", "--folder", "d",
        "--scale", 2, "-s", 3, "--kernel", "box", "--kernel", "triangle", "--damage", "mixed",
        "--side", 128, "--frames", 5, "--seed", 9, "-o", "out", "-y", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert seen == [
        plain,
        replace(
            plain, models=("m.safetensors", "fast-x2"), data=(Path("a"), Path("b")),
            folders=("c", "d"), scales=(2, 3), kernels=("box", "triangle"), damage="mixed",
            side=128, frames=5, seed=9, output=Path("out"), overwrite=True, as_json=True,
        ),
    ]  # fmt: skip
    assert call("--data", "a", "--protocol", "msrcnn").exit_code == 0
    assert seen[2] == replace(plain, protocol="msrcnn")


def small_training(*data: Path, output: Path) -> TrainOptions:
    changes = {"network": {"num_features": 8, "num_blocks": 1}, "batch": 2, "patch": 16, "drawn": 0}
    return TrainOptions(
        data, output, changes=changes, iterations=1, pool=12, threads=1, precision="fp32"
    )


def numbered_frames(folder: Path, first: int) -> None:
    """Seven other drawings by the usual names."""
    folder.mkdir(parents=True)
    for number in range(7):
        picture = draw_frame(first + number, 240, 320)[60:180, 80:240]
        Image.fromarray(np.ascontiguousarray(picture)).save(folder / f"{number:04}.png")


@pytest.mark.parametrize("is_one_root", [True, False])
def test_frames_of_one_name_do_not_stand_for_each_other(tmp_path: Path, is_one_root: bool) -> None:
    """What was learnt of one episode is not measured because the other's was held out."""
    show = tmp_path / "show"
    folders = [show / episode / "frames" for episode in ("ep1", "ep2")]
    for number, folder in enumerate(folders):
        numbered_frames(folder, 7 * number)
    data = [show] if is_one_root else folders
    options = small_training(*data, output=tmp_path / "w.safetensors")
    fit(options, lambda _line: None)
    index = json.loads((options.folder / "pictures" / "index.json").read_text())
    learnt = {Path(file[0]) for file in index["described"]["files"]}
    flags = [word for each in data for word in ("--data", each)]
    result = call(options.output, *flags, "--kernel", "box", "--json")
    measured = {tmp_path / row["picture"] for row in json.loads(result.stdout)["pictures"]}
    assert learnt and measured
    if is_one_root or "were held out" in result.stderr:
        assert len(measured | learnt) == 14 and not measured & learnt
        assert "warning" not in result.stderr
    else:  # its card cannot say which of two `frames/0003.png` it means, so it says nothing
        assert "warning: w was trained on frames:" in result.stderr


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(24000, 1001)])
@pytest.mark.parametrize("has_decord", [True, False])
def test_of_a_film_that_was_learnt_only_what_lies_behind_the_cut_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: Fraction, has_decord: bool
) -> None:
    if has_decord:
        pytest.importorskip("decord")
    else:
        monkeypatch.setitem(sys.modules, "decord", None)
    show = tmp_path / "show"
    show.mkdir()
    path = drawn_film(
        show / "ep.mkv", lambda i: drawing(i // 8), 200, rate=rate, options={"crf": "4", "g": "8"}
    )
    options = small_training(show, output=tmp_path / "w.safetensors")
    fit(options, lambda _line: None)
    index = json.loads((options.folder / "pictures" / "index.json").read_text())
    learnt = [entry["time"] for entry in index["entries"]]
    cut = 0.9 * 200 / rate
    assert len(learnt) > 3 and max(learnt) < cut
    read: list[float] = []

    def spied(source: Source, **how: Any) -> Iterator[Frame]:
        for frame in read_frames(source, **how):
            read.append(float(frame.pts * source.video.time_base))
            yield frame

    monkeypatch.setattr("remaster.train.evaluate.read_frames", spied)
    result = call(options.output, "--data", show, "--kernel", "box", "--side", 64, "--json")
    assert "1 files that were held out" in result.stderr and "warning" not in result.stderr
    assert len(read) >= 19 and min(read) >= cut > max(learnt)
    rows = json.loads(result.stdout)["pictures"]
    assert {row["picture"] for row in rows} == {"show/ep.mkv#0.9-1"}
    assert all(row["frames"] == len(read) for row in rows)
    everything = call(options.output, "--data", path, "--folder", "show", "--kernel", "box")
    assert "warning: w was trained on show:" in everything.stderr
