"""A training learns, stops where told, and goes on where it stopped, to the bit."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from remaster.checkpoint import load_model, load_state
from remaster.errors import (
    CheckpointError,
    DataError,
    MemoryShortage,
    OptionsError,
    OutputError,
    TrainingError,
)
from remaster.train import loop
from remaster.train.loop import fit
from remaster.train.options import TrainOptions
from remaster.train.pairs import Difficulty
from remaster.train.recipes import RECIPES
from remaster.train.steps import Trainer

SMALL = {"network": {"num_features": 8, "num_blocks": 1}, "batch": 2, "patch": 16, "drawn": 0.0}
SMALL_GAN = {**SMALL, "patch": 8, "losses": {"adversarial": 1e-3}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sources of smooth pictures."""
    rng = np.random.default_rng(0)
    for source in ("one", "two"):
        (tmp_path / "data" / source).mkdir(parents=True)
        for i in range(2):
            small = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
            image = Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC)
            image.save(tmp_path / "data" / source / f"{i}.png")
    return tmp_path


def options(folder: Path, **more: Any) -> TrainOptions:
    """A quick training of the default recipe, in fp32 on one thread."""
    given: dict[str, Any] = {
        "changes": SMALL, "hold_out": ("one",), "iterations": 6, "pool": 24, "threads": 1,
        "precision": "fp32", **more,
    }  # fmt: skip
    return TrainOptions((folder / "data",), folder / "w.safetensors", **given)


def quiet(_line: str) -> None:
    """Say nothing."""


def test_a_training_leaves_weights_scores_a_sheet_and_a_curve(folder: Path) -> None:
    own = options(folder)
    said: list[str] = []
    assert fit(own, said.append) == own.output
    assert said[0].startswith("recipe default: celnet x2,")
    assert "2 files to learn from; held out for scores: 2 (one)" in said
    assert said[-1] == f"wrote {own.output}"
    model, card = load_model(own.output)
    assert (card.arch, card.recipe, card.scale) == ("celnet", "default", 2)
    assert card.trained["iterations"] == 6
    assert (card.trained["sources"], card.trained["held_out"]) == (["two"], ["one"])
    assert card.trained["numbers"]["batch"] == 2
    assert card.trained.get("influence_radius") == model.measured_radius
    assert str(folder) not in json.dumps(card.trained)
    (line,) = (own.folder / "metrics.jsonl").read_text().splitlines()
    scores = json.loads(line)["validation"]
    assert {"psnr_y", "gain_psnr_y", "ssim_y", "edge_psnr", "flicker"} <= set(scores)
    assert scores["psnr_y"] > 10
    for name in ("sheet.png", "curve.png"):
        with Image.open(own.folder / name) as picture:
            assert min(picture.size) > 100


class Killed(Exception):
    """As when the power goes."""


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("default", {**SMALL, "hard": 4.0}),
        ("srgan-anime", {**SMALL_GAN, "pretrain": 0.5}),
        ("srpggan", {**SMALL, "patch": 32, "batch": 1}),
    ],
)
def test_a_killed_training_ends_bit_equal_to_an_unbroken_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, recipe: str, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(Difficulty, "UPDATES_BETWEEN", 1)
    whole = options(folder, recipe=recipe, changes=changes, iterations=8)
    fit(whole, quiet)
    broken = replace(whole, output=folder / "broken.safetensors")
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    steps, real = [0], Trainer.step

    def step(self: Trainer, *given: Any) -> Any:
        steps[0] += 1
        if steps[0] == 6:
            raise Killed
        return real(self, *given)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(Killed):
        fit(broken, quiet)
    assert load_state(broken.folder / "state.pt")["iteration"] == 5
    fit(broken, quiet)
    ends = [load_state(each.folder / "state.pt")["trainer"] for each in (whole, broken)]
    for part in ("model", "ema", *(["judge"] if "judge" in ends[0] else [])):
        for name, tensor in ends[0][part].items():
            assert torch.equal(tensor, ends[1][part][name]), f"{part} {name}"
    if "hard" in changes:
        own = load_state(whole.folder / "state.pt")["each"][0]["hard"]
        assert len(own["hard"]) > 0


def test_the_best_weights_are_kept_where_the_last_ones_are_worse(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    scores = iter([20.0, 30.0, 25.0])
    others = {"gain_psnr_y": 0.0, "ssim_y": 0.0, "flicker": 0.0}
    monkeypatch.setattr(loop, "validate", lambda model, held: {"psnr_y": next(scores), **others})
    own = options(folder, iterations=3, validate_every=1e-9)
    own = replace(own, changes={**SMALL, "keep_best": True})
    fit(own, quiet)
    assert load_model(own.output)[1].trained["iterations"] == 2
    assert load_state(own.folder / "state.pt")["iteration"] == 3


def test_the_clock_ends_a_training_and_more_time_goes_on(folder: Path) -> None:
    first = options(folder, iterations=None, max_seconds=1.0)
    fit(first, quiet)
    stopped = load_state(first.folder / "state.pt")
    assert stopped["seconds"] >= 1.0
    fit(replace(first, max_seconds=2.0), quiet)
    went_on = load_state(first.folder / "state.pt")
    assert went_on["iteration"] > stopped["iteration"]
    assert 0 <= went_on["waited"] <= went_on["seconds"]


def test_finished_weights_are_written_again_when_they_are_gone(folder: Path) -> None:
    own = options(folder)
    fit(own, quiet)
    own.output.unlink()
    fit(own, quiet)
    assert load_model(own.output)[1].trained["sources"] == ["two"]


def test_a_training_that_is_done_says_so(folder: Path) -> None:
    own = options(folder)
    fit(own, quiet)
    said: list[str] = []
    fit(own, said.append)
    assert any("already done: 6 iterations" in line for line in said)


def test_other_weights_are_not_replaced_unasked(folder: Path) -> None:
    own = options(folder)
    own.output.write_bytes(b"somebody's")
    with pytest.raises(OutputError, match="-y"):
        fit(own, quiet)
    assert own.output.read_bytes() == b"somebody's"
    fit(replace(own, overwrite=True), quiet)
    assert load_model(own.output)
    with pytest.raises(OutputError, match="is a folder"):
        (folder / "x.safetensors").mkdir()
        fit(replace(own, output=folder / "x.safetensors"), quiet)


def test_weights_have_the_rights_of_any_new_file(folder: Path) -> None:
    own = options(folder)
    fit(own, quiet)
    (folder / "usual").touch()
    assert own.output.stat().st_mode == (folder / "usual").stat().st_mode


def test_two_trainings_in_one_place_are_one_too_many(folder: Path) -> None:
    own = options(folder)
    own.folder.mkdir()
    with (
        loop._alone(own.folder),
        pytest.raises(TrainingError, match="another training is writing"),
    ):
        fit(own, quiet)
    fit(own, quiet)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_is_saved_and_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    real = Trainer.step

    def step(self: Trainer, *given: Any) -> Any:
        found = real(self, *given)
        if given[2] == 2:  # the iteration
            os.kill(os.getpid(), number)
        return found

    own = options(folder)
    monkeypatch.setattr(Trainer, "step", step)
    before = signal.getsignal(number)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        fit(own, said.append)
    assert signal.getsignal(number) == before
    assert said[-1] == "stopped; the same command goes on"
    assert load_state(own.folder / "state.pt")["iteration"] == 3
    assert load_model(own.output)[1].trained["iterations"] == 3
    monkeypatch.setattr(Trainer, "step", real)
    fit(own, quiet)
    assert load_state(own.folder / "state.pt")["iteration"] == 6


def test_scores_come_as_often_as_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = itertools.count()
    monkeypatch.setattr(loop.time, "perf_counter", lambda: float(next(looks)))
    own = options(folder, validate_every=4.0)  # two looks, so two seconds, a step
    fit(own, quiet)
    lines = [json.loads(line) for line in (own.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines if "validation" in line] == [2, 4, 6]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"changes": {"network": {"bogus": 1}}}, "a celnet has no bogus; it has num_features"),
        ({"recipe": "srcnn", "changes": {"judge": "critic"}}, "writes luma alone"),
        ({"start": Path("nosuch.safetensors")}, "nosuch"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_prepared(
    folder: Path, more: dict[str, Any], words: str
) -> None:
    own = options(folder, **more)
    with pytest.raises((OptionsError, CheckpointError), match=words):
        fit(own, quiet)
    assert not own.folder.exists()


def test_another_training_in_the_same_place_is_refused(folder: Path) -> None:
    own = options(folder)
    fit(own, quiet)
    for other in (
        replace(own, scale=4),
        replace(own, hold_out=("two",)),
        replace(own, changes={**SMALL, "batch": 3}),
    ):
        with pytest.raises(CheckpointError, match="holds another training"):
            fit(other, quiet)


def test_a_refused_training_leaves_the_material_alone(folder: Path) -> None:
    own = options(folder)
    fit(own, quiet)
    pool = (own.folder / "pool.json").read_bytes()
    with pytest.raises(CheckpointError, match="holds another training"):
        fit(replace(own, changes={**SMALL, "patch": 20}), quiet)
    assert (own.folder / "pool.json").read_bytes() == pool


def test_a_place_that_cannot_be_written_is_named(folder: Path) -> None:
    own = options(folder)
    own.folder.write_text("a file")
    with pytest.raises(DataError, match=r"w\.training"):
        fit(own, quiet)


def test_a_pause_is_not_training_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a second a look at the clock, but one of an hour."""
    looks = itertools.count()
    monkeypatch.setattr(
        loop.time, "perf_counter", lambda: 0.1 * (n := next(looks)) + 3600.0 * (n > 8)
    )
    own = options(folder, iterations=None, max_seconds=4.0)
    fit(own, quiet)
    assert 15 <= load_state(own.folder / "state.pt")["iteration"] <= 20


def test_slow_steps_count_as_long_as_they_take(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count()
    monkeypatch.setattr(loop.time, "perf_counter", lambda: 30.0 * next(looks))
    own = options(folder, iterations=None, max_seconds=300.0)
    fit(own, quiet)
    assert load_state(own.folder / "state.pt")["iteration"] == 5  # two looks a step


def test_numbers_that_are_none_any_more_stop_it_and_lose_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = options(folder)
    fit(own, quiet)
    kept = own.output.read_bytes(), (own.folder / "state.pt").read_bytes()
    real = Trainer.step

    def step(self: Trainer, *given: Any) -> Any:
        terms, distance = real(self, *given)
        return {name: term * torch.nan for name, term in terms.items()}, distance

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(TrainingError, match="--learning-rate"):
        fit(replace(own, iterations=9), quiet)
    assert kept == (own.output.read_bytes(), (own.folder / "state.pt").read_bytes())


def test_weights_that_are_none_any_more_are_not_saved(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = options(folder)
    fit(own, quiet)
    kept = own.output.read_bytes(), (own.folder / "state.pt").read_bytes()
    real = Trainer.step

    def step(self: Trainer, *given: Any) -> Any:
        found = real(self, *given)
        next(self.model.parameters()).data.fill_(torch.inf)  # by a gradient that overflowed
        return found

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(TrainingError, match="weights are not a number"):
        fit(replace(own, iterations=7), quiet)
    assert kept == (own.output.read_bytes(), (own.folder / "state.pt").read_bytes())


def test_other_material_is_another_training(folder: Path) -> None:
    own = options(folder)
    fit(own, quiet)
    picture = (folder / "data" / "two" / "0.png").read_bytes()
    (folder / "data" / "two" / "new.png").write_bytes(picture)
    with pytest.raises(CheckpointError, match="holds another training"):
        fit(replace(own, iterations=8), quiet)


def test_a_growing_network_is_written_when_it_has_grown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    own = options(folder, recipe="srpggan", changes={**SMALL, "patch": 32, "batch": 1})
    written: list[float] = []
    real = loop.Training._write
    monkeypatch.setattr(
        loop.Training,
        "_write",
        lambda self, model: (written.append(self.progress), real(self, model)),
    )
    fit(own, quiet)
    assert written and min(written) >= 0.4


def test_a_batch_that_does_not_fit_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(self: Trainer, *given: Any) -> Any:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(MemoryShortage, match=r"2 patches of 16 pixels.*--batch"):
        fit(options(folder), quiet)


def test_a_gan_goes_on_from_pixel_trained_weights(folder: Path) -> None:
    changes = {**SMALL, "patch": 8}
    pixels = options(folder, recipe="resnet-anime", changes=changes)
    fit(pixels, quiet)
    gan = options(folder, recipe="srgan-anime", changes=changes, start=pixels.output, iterations=2)
    gan = replace(gan, output=folder / "gan.safetensors")
    fit(gan, quiet)
    state = load_state(gan.folder / "state.pt")
    assert state["trainer"]["was_judged"]
    assert load_model(gan.output)[1].trained["start"] == "w.safetensors"


def test_weights_of_another_kind_are_no_beginning(folder: Path) -> None:
    pixels = options(folder)
    fit(pixels, quiet)
    other = options(folder, recipe="resnet-anime", changes={**SMALL, "patch": 8})
    with pytest.raises(CheckpointError, match="holds a celnet, and resnet-anime trains a srresnet"):
        fit(replace(other, output=folder / "b.safetensors", start=pixels.output), quiet)
    wider = options(folder, changes={**SMALL, "network": {"num_features": 16, "num_blocks": 1}})
    with pytest.raises(CheckpointError, match="of another size"):
        fit(replace(wider, output=folder / "c.safetensors", start=pixels.output), quiet)


def test_x4_begins_from_the_trunk_of_x2(folder: Path) -> None:
    pixels = options(folder)
    fit(pixels, quiet)
    trunk = load_model(pixels.output)[0].state_dict()["head.weight"]
    large = options(folder, scale=4, start=pixels.output, iterations=1)
    large = replace(large, output=folder / "x4.safetensors", changes={**SMALL, "patch": 8})
    fit(large, quiet)
    begun = load_model(large.output)[0].state_dict()["head.weight"]
    assert float((begun - trunk).abs().max()) < 2e-3  # one small step away


@pytest.mark.parametrize("arch", ["upconv_7", "upcunet"])
def test_other_networks_are_trained_by_any_recipe(folder: Path, arch: str) -> None:
    changes = {"arch": arch, "batch": 1, "patch": 32}
    own = options(folder, recipe="resnet-anime", scale=2, changes=changes, iterations=1)
    fit(own, quiet)
    assert load_model(own.output)[1].arch == arch


def test_without_vgg_the_card_names_what_stood_in(folder: Path) -> None:
    own = options(
        folder,
        recipe="srgan-mix",
        changes={**SMALL, "patch": 8, "pretrain": 0.0},
        iterations=1,
    )
    said: list[str] = []
    fit(own, said.append)
    assert any("no VGG19 weights were given" in line for line in said)
    losses = load_model(own.output)[1].trained["numbers"]["losses"]
    assert "vgg" not in losses
    assert losses["filters"] > 0


def test_missing_vgg_weights_are_named(folder: Path) -> None:
    own = options(folder, recipe="srgan-mix", vgg=folder / "vgg.safetensors")
    with pytest.raises(CheckpointError, match="vgg"):
        fit(own, quiet)


def test_tensorboard_is_told(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    own = options(folder, tensorboard=True)
    fit(own, quiet)
    assert list((own.folder / "tensorboard").glob("events*"))


def test_an_extra_that_is_missing_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "find_spec", lambda name: None)
    with pytest.raises(OptionsError, match=r"remaster\[tensorboard\]"):
        fit(options(folder, tensorboard=True), quiet)


RANKS = """
import sys
import torch
from pathlib import Path
from remaster.train import loop
from remaster.train.options import TrainOptions

data, output, iterations, kill_at = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
own = TrainOptions((Path(data),), Path(output), hold_out=("one",), recipe="srgan-anime",
    iterations=iterations, pool=24, threads=1, precision="fp32", changes=CHANGES)
loop.SAVE_EVERY_SECONDS = 0.0
seen, steps = [], [0]
batch, run, step = loop.Training._batch, loop.Training.run, loop.Trainer.step

def watched(self, request):
    seen.append(request[1])
    return batch(self, request)

def killed(self, *given):
    steps[0] += 1
    if steps[0] == kill_at:
        raise SystemExit(7)
    return step(self, *given)

def kept(self, log):
    run(self, log)
    torch.save({"model": self.trainer.model.state_dict(), "judge": self.trainer.judge.state_dict(),
        "ema": self.trainer.averaged(), "seen": seen}, f"{output}.{self.ranks.rank}")

loop.Training._batch, loop.Training.run, loop.Trainer.step = watched, kept, killed
loop.fit(own, print)
""".replace("CHANGES", repr({**SMALL_GAN, "pretrain": 0.4}))


def trained_by_two(folder: Path, name: str, *, kill_at: int = 0) -> tuple[int, str]:
    """(exit code, output) of a training by two processes over gloo."""
    program = folder / "ranks.py"
    program.write_text(RANKS)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        str(program), str(folder / "data"), str(folder / name), "4", str(kill_at),
    ]  # fmt: skip
    paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr[-2000:]


def test_two_ranks_end_equal_and_go_on_where_they_were_killed(folder: Path) -> None:
    """Two processes by gloo: each sees its own patches, both end with the same weights."""
    code, said = trained_by_two(folder, "whole.safetensors")
    assert code == 0, said
    assert said.count("files to learn from") == 1
    first, second = (torch.load(folder / f"whole.safetensors.{rank}") for rank in (0, 1))
    assert not torch.equal(first["seen"][0], second["seen"][0])
    for part in ("model", "judge", "ema"):
        for name, tensor in first[part].items():
            if part == "ema" or "running" not in name:
                assert torch.equal(tensor, second[part][name]), f"{part} {name}"
    written = load_model(folder / "whole.safetensors")[0].state_dict()
    assert all(torch.equal(tensor, first["ema"][name]) for name, tensor in written.items())

    assert trained_by_two(folder, "killed.safetensors", kill_at=3)[0] != 0
    code, said = trained_by_two(folder, "killed.safetensors")
    assert code == 0, said
    for rank, unbroken in enumerate((first, second)):
        again = torch.load(folder / f"killed.safetensors.{rank}")
        assert torch.equal(again["seen"][-1], unbroken["seen"][-1])
    assert load_model(folder / "killed.safetensors")[1].trained["iterations"] == 4


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"size": "huge"}, "fast"),
        ({"scale": 3}, "--scale"),
        ({"recipe": "srgan"}, "resnet-anime"),
        ({"recipe": "srgan-vgg"}, "srresnet-15"),
        ({"max_seconds": 0.0, "iterations": None}, "--max-seconds"),
        ({"max_seconds": 5.0}, "--iterations and --max-seconds"),
        ({"changes": {"patch": 17}}, "--patch"),
        ({"changes": {"drawn": 1.5}}, "--drawn"),
        ({"changes": {"losses": {"magic": 1.0}}}, "magic"),
        ({"changes": {"losses": {"adversarial": 1.0}}}, "--judge discriminator"),
        ({"changes": {"losses": dict.fromkeys(RECIPES["default"].losses, 0.0)}}, "over 0"),
        ({"changes": {"stages": (0.5, 0.5)}}, "--recipe srpggan"),
        ({"recipe": "srpggan", "changes": {"stages": (0.5, 0.6, 0.7)}}, "make 1"),
        ({"recipe": "srpggan", "changes": {"stages": (0.5, 0.5)}}, "3 --stages"),
        ({"recipe": "srpggan", "changes": {"losses": {"matching": 1.0}}}, "matching"),
        ({"recipe": "srpggan", "changes": {"judge_head": "dense"}}, "--judge-head"),
        ({"changes": {"pretrain_losses": {"adversarial": 1.0}}}, "--pretrain-losses"),
        ({"changes": {"losses": {"artifact": 1.0}, "ema": 0.0}}, "--ema"),
        ({"output": Path("w.pth")}, "safetensors"),
        ({"changes": {"batch": 0}}, "--batch"),
        ({"seed": -1}, "--seed"),
        ({"threads": -1}, "--threads"),
        ({"precision": "fp8"}, "--precision"),
        ({"changes": {"learning_rate": float("nan")}}, "--learning-rate"),
        ({"changes": {"ema": 1.0}}, "--ema"),
        ({"data": ()}, "--pairs"),
        ({"vgg": Path("vgg.safetensors")}, "--vgg"),
        ({"changes": {"judge_steps": 2}}, "--judge-steps does nothing"),
    ],
)
def test_options_that_make_no_sense_are_named(
    tmp_path: Path, wrong: dict[str, Any], text: str
) -> None:
    with pytest.raises(OptionsError, match=text):
        replace(options(tmp_path), **wrong)
