"""Weights come back as they were, and nothing else is let in."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from remaster.checkpoint import (
    Card,
    load_model,
    load_state,
    read_card,
    save_model,
    save_state,
)
from remaster.errors import CheckpointError
from remaster.released import released
from tests.networks import celnet

CARD = Card("celnet", {"scale": 2, "num_features": 16, "num_blocks": 2, "unshuffle": 1}, 2)


def test_saved_weights_give_the_same_picture(tmp_path: Path) -> None:
    path, model = tmp_path / "w.safetensors", celnet(2)
    save_model(path, model, CARD)
    again, card = load_model(path)
    assert card == CARD
    x = torch.rand(1, 3, 16, 16)
    for a, b in zip(model(x), again(x)):
        assert torch.equal(a, b)
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_measured_radius_comes_back(tmp_path: Path) -> None:
    path, model = tmp_path / "w.safetensors", celnet(2)
    save_model(path, model, CARD)
    assert load_model(path)[0].measured_radius is None
    save_model(path, model, replace(CARD, trained={"influence_radius": 4}))
    assert load_model(path)[0].measured_radius == 4


@pytest.mark.parametrize("radius", [-1, 7, 2.0, "4", True, [4]])
def test_a_radius_that_cannot_be_is_named(tmp_path: Path, radius: object) -> None:
    path, model = tmp_path / "w.safetensors", celnet(2)
    assert model.receptive_radius == 6
    save_model(path, model, replace(CARD, trained={"influence_radius": radius}))
    with pytest.raises(CheckpointError, match=r"influence radius .* from 0 to 6"):
        load_model(path)


def bad_files(folder: Path) -> dict[str, Path]:
    names = "pickle zip foreign shape nan arch config missing empty five listed minus other"
    paths = {name: folder / f"{name}.safetensors" for name in names.split()}
    paths["pickle"].write_bytes(pickle.dumps({"w": [1, 2]}))
    torch.save({"w": torch.ones(2)}, paths["zip"])
    save_file({"w": torch.ones(2)}, paths["foreign"])
    save_model(paths["shape"], celnet(4), CARD)
    sick = celnet(2)
    sick.head.weight[0, 0, 0, 0] = torch.nan
    save_model(paths["nan"], sick, CARD)
    save_model(paths["arch"], celnet(2), Card("unheard-of", {}, 2))
    save_model(paths["config"], celnet(2), Card("celnet", {"scale": 3}, 3))
    paths["empty"].touch()
    for name, document in (("five", "5"), ("listed", "null")):
        save_file({"w": torch.ones(2)}, paths[name], metadata={"remaster": document})
    save_model(paths["minus"], celnet(2), Card("celnet", {"scale": 2, "num_features": -1}, 2))
    save_model(paths["other"], celnet(2), Card("celnet", {**CARD.config}, 4))
    return paths


def test_other_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    for name, path in bad_files(tmp_path).items():
        with pytest.raises(CheckpointError) as caught:
            load_model(path)
        assert "\n" not in str(caught.value), name


def test_a_training_state_comes_back(tmp_path: Path) -> None:
    save_state(tmp_path / "state.pt", {"iteration": 3, "ema": {"w": torch.ones(2)}})
    state = load_state(tmp_path / "state.pt")
    assert state["iteration"] == 3
    assert torch.equal(state["ema"]["w"], torch.ones(2))


def test_a_damaged_training_state_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(b"not a state")
    with pytest.raises(CheckpointError, match=r"state\.pt"):
        load_state(path)


def test_the_released_weights_load() -> None:
    assert {"fast-x2", "fast-x4"} <= set(released())
    for path in released().values():
        model, card = load_model(path)
        assert model.scale == card.scale == read_card(path).scale
        assert path.stat().st_size < 5e6
        assert model.measured_radius == 8 < model.receptive_radius
