"""The only reading and writing of weights: safetensors with everything needed to rebuild them.

The file's metadata holds one JSON document under `remaster`: the format's number, the network's
name and configuration, and where the weights come from (recipe, options, data, scores). Nothing in
a weights file is ever executed.
"""

from __future__ import annotations

import dataclasses
import json
import pickle  # for the name of its error alone
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from remaster.errors import CheckpointError
from remaster.models import MODELS, Network

FORMAT = 1


@dataclass(frozen=True)
class Card:
    """What a checkpoint says of itself."""

    arch: str
    config: dict[str, Any]
    scale: int
    size: str = ""
    recipe: str = ""
    trained: dict[str, Any] = field(default_factory=dict)
    """Options, data and their licences, iterations, scores; free-form JSON, but that
    `influence_radius`, where it is there, is that of the network in source pixels."""


def save_model(path: Path, model: nn.Module, card: Card) -> None:
    """Write the weights (fp32) and their card to `path`, whole or not at all."""
    document = json.dumps({"format": FORMAT, **dataclasses.asdict(card)}, sort_keys=True)
    tensors = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    partial = path.with_name(f".{path.name}.part")
    save_file(tensors, partial, metadata={"remaster": document})
    _give_usual_rights(partial)
    partial.replace(path)


def _give_usual_rights(path: Path) -> None:
    """Those that any new file gets: safetensors lets its owner alone read."""
    reference = path.with_name(f"{path.name}.rights")
    reference.touch()
    try:
        path.chmod(stat.S_IMODE(reference.stat().st_mode))
    finally:
        reference.unlink()


def read_card(path: Path) -> Card:
    """The card of a weights file, without reading its tensors.

    Raises:
        CheckpointError: the file is missing, no safetensors file, or none of ours.
    """
    try:
        is_file = path.is_file()  # and no pipe, which would be waited for
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened ({error.strerror})") from error
    if not is_file:
        raise CheckpointError(f"there is no weights file at {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a safetensors file ({error}); other formats can hide programs and are "
            "not opened"
        ) from error
    try:
        document = dict(json.loads(metadata["remaster"]))
        if document.pop("format") != FORMAT:
            raise CheckpointError(f"{path} was written by another version of remaster")
        return Card(**document)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} does not say which network it is for; only weights written by remaster can be "
            "used"
        ) from error


def build(card: Card) -> Network:
    """The network a card describes, with fresh weights."""
    if not isinstance(card.arch, str) or card.arch not in MODELS:
        known = ", ".join(sorted(MODELS))
        raise CheckpointError(f"the weights are for the network {card.arch!r}; known are {known}")
    network, config = MODELS[card.arch]
    try:
        model = network(config(**card.config))
        if model.scale != card.scale:
            raise ValueError(f"scale {card.scale!r} on the card, {model.scale} in the network")
        return model
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the weights' configuration is wrong: {error}") from error


def load_model(path: Path) -> tuple[Network, Card]:
    """Rebuild a network from its weights file, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: as `read_card`, or the tensors are not those of the network it names.
    """
    card = read_card(path)
    model = build(card)  # its configuration bounds what a card may claim
    tensors = load_file(path)
    own = model.state_dict()
    wrong = sorted(set(own) ^ set(tensors))
    wrong += [n for n in own if n in tensors and own[n].shape != tensors[n].shape]
    if wrong:
        raise CheckpointError(
            f"{path} does not fit the network it names ({card.arch}): {', '.join(wrong[:3])!r}"
        )
    if any(own[n].is_floating_point() != t.is_floating_point() for n, t in tensors.items()):
        raise CheckpointError(f"{path} holds whole numbers, where a network has fractions")
    if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
        raise CheckpointError(f"{path} holds numbers that are not finite; it is damaged")
    model.load_state_dict(tensors)
    model.measured_radius = _measured_radius(path, card, model.receptive_radius)
    return model.eval().requires_grad_(False), card


def _measured_radius(path: Path, card: Card, most: int) -> int | None:
    trained = card.trained if isinstance(card.trained, dict) else {}
    radius = trained.get("influence_radius")
    if radius is None:
        return None
    if type(radius) is not int or not 0 <= radius <= most:
        raise CheckpointError(
            f"{path} names an influence radius of {radius!r}; for its network it is a whole number "
            f"from 0 to {most}"
        )
    return radius


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of somebody else's safetensors file, by name.

    Raises:
        CheckpointError: it is none.
    """
    try:
        return load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a safetensors file ({error})") from error


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state of a training (optimiser, moving average, counters), whole or not at all."""
    partial = path.with_name(f".{path.name}.part")
    torch.save(state, partial)
    partial.replace(path)


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote; tensors and plain values only.

    Raises:
        CheckpointError: the file is damaged or holds anything else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, ValueError, EOFError) as error:
        raise CheckpointError(
            f"{path} cannot be read as a training state; remove it to start the training anew"
        ) from error
    assert isinstance(state, dict)
    return state
