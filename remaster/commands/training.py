"""The flags of `remaster train`: every number of a recipe, by the name of its field."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import click

from remaster.commands.console import columns
from remaster.commands.program import GroupedCommand
from remaster.train.recipes import JUDGES, NETWORKS, RECIPES, SCHEDULES, Recipe

F = TypeVar("F", bound=Callable[..., Any])

UNCHANGED = ("name", "source", "scales", "starts_from", "iterations")
"""Fields that are no numbers of the training, or have a flag of their own."""

WORDS: dict[str, str] = {
    "arch": "Network.",
    "network": "A number of the network, as in num_blocks=16.",
    "losses": "Weight of a loss, as in charbonnier=1; 0 takes it out.",
    "kernels": "Kernel that shrinks the truth and its share, as in box=0.5; given, no others.",
    "learning_rate": "Of the generator.",
    "batch": "Patches a step.",
    "patch": "Side of a patch in source pixels.",
    "crop": "Side of the sub-images pictures are cut into; 0 leaves them whole.",
    "crop_step": "Pixels between sub-images.",
    "damages": "What befalls the small pictures and its share, as in dvd=0.3; given, no others.",
    "video": "Share of small pictures that pass 8-bit 4:2:0.",
    "drawn": "Share of pictures the program draws itself.",
    "augment": "Show pictures smaller, in other colours and softer, too.",
    "turned": "Turn and mirror patches at random.",
    "flat": "Share of patches taken wherever they fall; the others are livelier ones.",
    "hard": "How many times as often the hardest tenth is shown.",
    "sharpened": "Sharpen and denoise the truth first (extra opencv).",
    "judge": "What the generator is trained against.",
    "judge_variant": "Layers of the judge: as coded, or as the poster prints them.",
    "judge_head": "End of the judge.",
    "judge_slope": "Of the judge's leaky ReLU.",
    "judge_rate": "Learning rate of the judge; 0 takes the generator's.",
    "judge_steps": "Steps of the judge before each of the generator.",
    "soft_labels": "Soft labels for the judge, one in twenty exchanged.",
    "penalty": "Weight of a critic's gradient penalty.",
    "pretrain": "Share of the training before the judge comes in.",
    "pretrain_losses": "Losses until then, as in mse=1; given, no others.",
    "stages": "Shares of the training of a growing network's sizes, as in 0.15,0.25,0.6.",
    "fade": "Share of a stage in which it fades in.",
    "last_losses": "Losses of the last stage alone.",
    "schedule": "Of the learning rate.",
    "warm_up": "Iterations in which the learning rate rises.",
    "beta1": "Of Adam.",
    "beta2": "Of Adam.",
    "epsilon": "Of Adam.",
    "charbonnier_epsilon": "Where Charbonnier bends.",
    "clip": "Longest gradient; 0 leaves it.",
    "ema": "Decay of the weights' moving average; 0 writes the last weights.",
    "keep_best": "Write the weights that did best on what is held out, not the last.",
}
"""Field -> what its flag says."""

CHOICES: dict[str, Sequence[str]] = {
    "arch": NETWORKS,
    "judge": [name or "none" for name in JUDGES],
    "schedule": SCHEDULES,
    "judge_variant": ("code", "poster"),
    "judge_head": ("convolution", "dense"),
}


class Entry(click.ParamType[tuple[str, Any]]):
    """NAME=NUMBER, or for a network NAME=VALUE."""

    name = "NAME=VALUE"

    def __init__(self, *, is_number: bool) -> None:
        self.is_number = is_number

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[str, Any]:
        name, equals, given = str(value).partition("=")
        try:
            read = float(given) if self.is_number else _value(given)
        except ValueError:
            equals = ""
        if not (name and equals and given):
            self.fail(f"{value!r} is no NAME=VALUE, as in num_blocks=16 or mse=1", param, context)
        return name, read


class Shares(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them."""

    name = "A,B,..."

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[float, ...]:
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers, as in 0.15,0.25,0.6", param, context)


def _value(text: str) -> Any:
    """A number or truth value where it reads like one, else the word itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def recipe_options(command: F) -> F:
    """Give a command a flag for every field of a recipe; not given, it is None or empty."""
    for each in reversed(fields(Recipe)):
        if each.name not in UNCHANGED:
            command = _option(each.name, str(each.type))(command)
    return command


def _option(name: str, kind: str) -> Callable[[F], F]:
    flag, words = f"--{name.replace('_', '-')}", WORDS[name]
    if kind == "bool":
        return click.option(f"{flag}/--no-{flag[2:]}", default=None, help=words)
    if kind.startswith("Mapping"):
        entry = Entry(is_number="float" in kind)
        return click.option(flag, type=entry, multiple=True, help=words)
    if kind.startswith("tuple"):
        return click.option(flag, type=Shares(), help=words)
    if name in CHOICES:
        return click.option(flag, type=click.Choice(CHOICES[name]), help=words)
    types: Mapping[str, type] = {"int": int, "float": float, "str": str}
    return click.option(flag, type=types[kind], help=words)


def changes(flags: dict[str, Any]) -> dict[str, Any]:
    """Take what was given for the recipe out of `flags`: field -> value."""
    found: dict[str, Any] = {}
    for each in fields(Recipe):
        if each.name in UNCHANGED:
            continue
        value = flags.pop(each.name)
        if isinstance(value, tuple) and str(each.type).startswith("Mapping"):
            value = dict(value) or None
        if each.name == "judge" and value == "none":
            value = ""
        if value is not None:
            found[each.name] = value
    return found


class TrainCommand(GroupedCommand):
    """`remaster train`: its options by subject."""

    groups: Mapping[str, Sequence[str]] = {
        "Training": (
            "output", "recipe", "scale", "size", "iterations", "max_seconds", "start", "vgg",
            "hold_out", "pairs", "pool", "overwrite",
        ),
        "Machine": ("device", "precision", "threads", "seed"),
        "Watching": ("validate_every", "tensorboard"),
        "Network and losses": (
            "arch", "network", "losses", "charbonnier_epsilon", "last_losses", "stages", "fade",
        ),
        "What it sees": (
            "batch", "patch", "kernels", "damages", "video", "drawn", "augment", "turned", "flat",
            "hard", "crop", "crop_step", "sharpened",
        ),
        "How it learns": (
            "learning_rate", "schedule", "warm_up", "beta1", "beta2", "epsilon", "clip", "ema",
            "keep_best",
        ),
        "The judge": (
            "judge", "judge_variant", "judge_head", "judge_slope", "judge_rate", "judge_steps",
            "soft_labels", "penalty", "pretrain", "pretrain_losses",
        ),
        "Command": ("help",),
    }  # fmt: skip


def list_recipes() -> list[str]:
    """A line for each recipe: its name, network, scales, losses and what it goes on from."""
    rows = [("recipe", "network", "scales", "told by", "goes on from")]
    for name, recipe in RECIPES.items():
        scales = "/".join(map(str, sorted(recipe.scales)))
        losses = ", ".join([*recipe.losses, *recipe.last_losses])
        rows.append((name, recipe.arch, f"x{scales}", losses, recipe.starts_from))
    return columns(rows)


def describe_recipe(name: str) -> list[str]:
    """Every number of a recipe beside its flag."""
    recipe = RECIPES[name]
    rows = []
    for each in fields(Recipe):
        if each.name not in UNCHANGED:
            value = getattr(recipe, each.name)
            if isinstance(value, Mapping):
                value = ", ".join(f"{k}={v}" for k, v in value.items())
            elif isinstance(value, tuple):
                value = ",".join(map(str, value))
            words = WORDS[each.name].rstrip(".")
            rows.append((f"--{each.name.replace('_', '-')}", str(value), words))
    head = f"{name}: {recipe.source}; x{'/'.join(map(str, sorted(recipe.scales)))}"
    return [
        head,
        *columns([("--iterations", str(recipe.iterations), "Where no budget is given"), *rows]),
    ]
