"""A training learns, stops where told, and goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from remaster.checkpoint import load_model, load_state
from remaster.errors import CheckpointError, DataError, OptionsError
from remaster.models import CelNet, CelNetConfig
from remaster.train import loop
from remaster.train.data import Pool
from remaster.train.loop import fit, pixel_step
from remaster.train.options import TrainOptions
from tests.train.test_data import folder as folder


def options(folder: Path, tmp_path: Path) -> TrainOptions:
    return TrainOptions(
        (folder,), tmp_path / "w.safetensors", hold_out=("one",), minutes=0.02, batch=2, patch=16,
        pool=24, drawn=0.0, threads=1,
    )  # fmt: skip


def test_steps_lower_the_loss() -> None:
    rng = np.random.default_rng(0)
    gt = np.kron(rng.integers(0, 255, (4, 1, 16, 16)).repeat(3, 1), np.ones((1, 1, 4, 4))).astype(
        np.uint8
    )
    lq = np.zeros((4, 3, 32, 32), np.float16)
    lq[:, 0] = gt.mean(1).reshape(4, 32, 2, 32, 2).mean((2, 4)) / 255
    pool, model = Pool(lq, gt, 2), CelNet(CelNetConfig(2, 16, 1))
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    losses = []
    for i in range(60):
        terms = pixel_step(model, optimizer, *pool.batch(4, 32, rng), "444" if i % 4 else "420")
        losses.append(terms["luma"])
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_a_training_goes_on_where_it_stopped(folder: Path, tmp_path: Path) -> None:
    first = options(folder, tmp_path)
    said: list[str] = []
    fit(first, said.append)
    assert said[0] == "3 files to learn from, 2 held out"
    stopped = load_state(first.folder / "state.pt")
    assert stopped["seconds"] >= first.minutes * 60
    fit(replace(first, minutes=2 * first.minutes), said.append)
    went_on = load_state(first.folder / "state.pt")
    assert went_on["iteration"] > stopped["iteration"]
    model, card = load_model(first.output)
    assert card.trained["iterations"] == went_on["iteration"]
    assert card.trained["hold_out"] == ["one"]
    assert str(tmp_path) not in json.dumps(card.trained)
    assert card.trained.get("influence_radius") == model.measured_radius
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, went_on["ema"][name])
    lines = (first.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == sorted(
        json.loads(line)["iteration"] for line in lines
    )


def test_finished_weights_are_written_again_when_they_are_gone(
    folder: Path, tmp_path: Path
) -> None:
    own = options(folder, tmp_path)
    fit(own, lambda line: None)
    own.output.unlink()
    fit(own, lambda line: None)
    assert load_model(own.output)[1].trained["sources"] == ["two"]


def test_another_training_in_the_same_place_is_refused(folder: Path, tmp_path: Path) -> None:
    own = options(folder, tmp_path)
    fit(own, lambda line: None)
    for other in (replace(own, scale=4), replace(own, hold_out=("two",))):
        with pytest.raises(CheckpointError, match="another network or on other sources"):
            fit(other, lambda line: None)


def test_a_place_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    own = options(folder, tmp_path)
    own.folder.write_text("a file")
    with pytest.raises(DataError, match=r"w\.training"):
        fit(own, lambda line: None)


def test_a_pause_is_not_training_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10**9, 500))
    monkeypatch.setattr(loop.time, "perf_counter", lambda: float(next(clock)))
    said: list[str] = []
    fit(replace(options(folder, tmp_path), minutes=1.0), said.append)
    assert load_state(options(folder, tmp_path).folder / "state.pt")["iteration"] > 3


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"size": "huge"}, "fast"),
        ({"scale": 3}, "--scale"),
        ({"minutes": 0}, "--minutes"),
        ({"patch": 18}, "--patch"),
        ({"drawn": 1.5}, "--drawn"),
        ({"output": Path("w.pth")}, "safetensors"),
        ({"batch": 0}, "--batch"),
        ({"seed": -1}, "--seed"),
        ({"threads": -1}, "--threads"),
        ({"learning_rate": float("nan")}, "--learning-rate"),
        ({"ema": 1.0}, "--ema"),
    ],
)
def test_options_that_make_no_sense_are_named(
    tmp_path: Path, wrong: dict[str, object], text: str
) -> None:
    with pytest.raises(OptionsError, match=text):
        replace(options(tmp_path, tmp_path), **wrong)  # type: ignore[arg-type]
