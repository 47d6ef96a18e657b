"""Every number of a recipe can be changed by a flag, and nothing given is ignored."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from remaster.cli import main
from remaster.commands.training import UNCHANGED, WORDS, TrainCommand, list_recipes
from remaster.train import loop
from remaster.train.options import TrainOptions
from remaster.train.recipes import NETWORKS, RECIPES, Recipe

CHANGED: dict[str, tuple[list[str], Any]] = {
    "arch": (["--arch", "a2n"], "a2n"),
    "network": (["--network", "num_blocks=3"], {"num_blocks": 3}),
    "losses": (["--losses", "l1=0.5"], {**RECIPES["default"].losses, "l1": 0.5}),
    "kernels": (["--kernels", "box=1"], {"box": 1.0}),
    "damages": (["--damages", "web=0.5", "--damages", "clean=0.5"], {"web": 0.5, "clean": 0.5}),
    "augment": (["--no-augment"], False),
    "turned": (["--no-turned"], False),
    "sharpened": (["--sharpened"], True),
    "soft_labels": (["--soft-labels"], True),
    "judge": (["--judge", "critic"], "critic"),
    "judge_variant": (["--judge-variant", "poster"], "poster"),
    "judge_steps": (["--judge-steps", "3"], 3),
    "judge_head": (["--judge-head", "dense"], "dense"),
    "pretrain_losses": (["--pretrain-losses", "l1=1"], {"l1": 1.0}),
    "last_losses": (["--last-losses", "vgg=1"], {"vgg": 1.0}),
    "schedule": (["--schedule", "tenth"], "tenth"),
    "patch": (["--patch", "20"], 20),
    "stages": (["-r", "srpggan", "--stages", "0.2,0.3,0.5"], (0.2, 0.3, 0.5)),
    "keep_best": (["--keep-best"], True),
    "hard": (["--hard", "3"], 3.0),
}  # fmt: skip
"""Field -> arguments, and what they make of the default recipe's; the others are numbers."""


def asked(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> TrainOptions:
    """What the command line asks the loop for."""
    seen: list[TrainOptions] = []
    monkeypatch.setattr(loop, "fit", lambda options, log: seen.append(options))
    result = CliRunner().invoke(main, ["train", "data", "-o", "w.safetensors", *arguments])
    assert result.exit_code == 0, result.output
    return seen[0]


@pytest.mark.parametrize("name", [f.name for f in fields(Recipe) if f.name not in UNCHANGED])
def test_every_number_has_a_flag(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kind = next(str(each.type) for each in fields(Recipe) if each.name == name)
    flag = f"--{name.replace('_', '-')}"
    usual: tuple[list[str], Any] = ([flag, "1"], 1) if kind == "int" else ([flag, "0.25"], 0.25)
    arguments, expected = CHANGED.get(name, usual)
    if name.startswith(("judge_", "soft", "pen", "pretrain")):
        arguments = [*arguments, "--judge", "critic"]
    recipe = asked(monkeypatch, *arguments).resolved
    assert getattr(recipe, name) == expected
    assert getattr(RECIPES["default"], name) != expected


def test_nothing_changes_what_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch).resolved == RECIPES["default"]
    assert asked(monkeypatch).changes == {}


def test_every_flag_says_something_and_stands_under_a_heading() -> None:
    named = {f.name for f in fields(Recipe)} - set(UNCHANGED)
    assert named == set(WORDS)
    shown = {name for names in TrainCommand.groups.values() for name in names}
    own = {param.name for param in main.commands["train"].params} - {"data"}
    assert shown - {"help"} == own


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipe", "srgan-vgg"], "srresnet-15"),
        (["--losses", "mse"], "NAME=VALUE"),
        (["--stages", "a,b"], "0.15"),
        (["--scale", "3"], "--scale"),
        (["--iterations", "5", "--max-seconds", "5"], "give one"),
    ],
)
def test_wrong_flags_are_one_line(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["train", "data", "-o", "w.safetensors", *arguments])
    assert result.exit_code == 2
    assert words in result.output


def test_the_first_words_of_a_training_name_what_is_missing(tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    result = CliRunner().invoke(main, ["train", str(tmp_path / "nothing"), "-o", str(out)])
    assert result.exit_code == 1
    assert "there is nothing at" in result.output
    assert not out.exists()


def test_recipes_are_listed() -> None:
    lines = list_recipes()[1:]
    assert len(lines) == len(RECIPES)
    assert all(line.startswith(name) for line, name in zip(lines, RECIPES))
    result = CliRunner().invoke(main, ["recipes"])
    assert result.exit_code == 0
    assert "srwgan-gp-transfer" in result.output


def test_a_recipe_shows_every_number_beside_its_flag() -> None:
    result = CliRunner().invoke(main, ["recipes", "srwgan-gp-transfer"])
    assert result.exit_code == 0
    for field in fields(Recipe):
        assert field.name in UNCHANGED or f"--{field.name.replace('_', '-')}" in result.output
    assert "8e-05" in result.output


def test_the_networks_are_those_there_are() -> None:
    from remaster.models import MODELS

    assert set(NETWORKS) == set(MODELS)
