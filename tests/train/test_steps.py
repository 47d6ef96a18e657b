"""Every recipe takes a step; judges, stages and phases do what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from remaster.errors import OptionsError
from remaster.models import MODELS
from remaster.models.critics import Discriminator, DiscriminatorConfig
from remaster.models.srpggan import SRPGGAN
from remaster.train.losses import charbonnier_loss
from remaster.train.options import TrainOptions
from remaster.train.recipes import RECIPES, Recipe
from remaster.train.steps import Phase, Trainer, average, phase_at, view, without_vgg
from remaster.train.vgg import VGG19Features

SMALL: dict[str, dict[str, Any]] = {
    "celnet": {"num_features": 8, "num_blocks": 1},
    "srresnet": {"num_blocks": 1, "num_features": 8},
    "srpggan": {"num_blocks": 1, "num_features": 8},
    "a2n": {"num_features": 8, "num_upsampling_features": 8, "num_blocks": 1},
}
"""Network -> numbers that make it quick."""


def small(name: str, **changes: Any) -> tuple[Recipe, dict[str, Any]]:
    """A recipe with a small network and batch, and the network's configuration."""
    network = SMALL.get(RECIPES[name].arch, {})
    start = Path("start.safetensors") if RECIPES[name].starts_from else None
    options = TrainOptions(
        (Path("data"),),
        Path("weights.safetensors"),
        recipe=name,
        start=start,
        changes={"network": network, "batch": 2, "patch": 16, **changes},
    )
    return options.resolved, options.network


def pair(recipe: Recipe, scale: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A smooth truth and what it becomes when halved, (lq ycc, gt rgb)."""
    generator = torch.Generator().manual_seed(seed)
    side = recipe.patch * scale
    gt = torch.rand(recipe.batch, 3, side // 8, side // 8, generator=generator)
    gt = nn.functional.interpolate(gt, scale_factor=8.0, mode="bilinear")
    small = nn.functional.avg_pool2d(gt, scale)
    from remaster.train.degrade import to_ycc

    return to_ycc(small), gt


def trainer(recipe: Recipe, config: dict[str, Any], **more: Any) -> Trainer:
    network, make = MODELS[recipe.arch]
    torch.manual_seed(0)
    return Trainer(network(make(**config)), recipe, **more)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_steps(name: str) -> None:
    recipe, config = small(name)
    recipe = replace(
        recipe,
        losses=without_vgg(recipe.losses),
        last_losses=without_vgg(recipe.last_losses),
        patch=32 if recipe.stages else recipe.patch,
    )
    own = trainer(recipe, config)
    before = {k: v.clone() for k, v in own.model.state_dict().items()}
    lq, gt = pair(recipe, config["scale"])
    for progress in (0.0, 0.3, 0.99):
        phase = phase_at(recipe, progress, 1000, is_started=True)
        batches = [(lq, gt)] * (recipe.judge_steps if phase.is_judged else 1)
        terms, distance = own.step(batches, phase, 0, 1)
        assert distance.shape == (recipe.batch,)
        assert all(bool(term.isfinite()) and not term.requires_grad for term in terms.values())
        assert ("penalty" in terms) == (recipe.judge == "critic")
        assert ("discriminator" in terms) == (recipe.judge == "discriminator")
    after = own.model.state_dict()
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    assert len(moved) > len(before) / 2


@pytest.mark.parametrize("name", ["default", "resnet-anime", "a2n", "m-srcnn"])
def test_steps_bring_the_picture_nearer(name: str) -> None:
    recipe, config = small(name, learning_rate=2e-3, warm_up=0)
    own = trainer(recipe, config)
    lq, gt = pair(recipe, config["scale"])
    phase = replace(phase_at(recipe, 0.0, 1000, is_started=False), rate=1.0)
    distances = [float(own.step([(lq, gt)], phase, i, i)[1].mean()) for i in range(40)]
    assert distances[-1] < 0.8 * distances[0]


def test_vgg_is_asked_where_it_is_there() -> None:
    recipe, config = small("srgan-mix")
    torch.manual_seed(3)
    vgg = VGG19Features().eval()
    own = trainer(recipe, config, vgg=vgg)
    phase = phase_at(recipe, 0.99, 0, is_started=False)
    terms, _ = own.step([pair(recipe, 4)], phase, 0, 1)
    assert float(terms["vgg"]) > 0
    assert {"mse", "vgg", "adversarial", "discriminator"} == set(terms)


def test_what_stands_in_for_vgg_has_its_weight() -> None:
    losses = without_vgg({"mse": 1.0, "vgg": 2.0})
    assert losses == {"mse": 1.0, "filters": pytest.approx(0.2)}
    assert without_vgg({"mse": 1.0}) == {"mse": 1.0}


def test_pretraining_comes_first_unless_started_and_adam_is_fresh_after_it() -> None:
    recipe, config = small("srgan-anime", pretrain=0.5)
    assert not phase_at(recipe, 0.49, 10, is_started=False).is_judged
    assert phase_at(recipe, 0.5, 10, is_started=False).is_judged
    assert phase_at(recipe, 0.0, 10, is_started=True).is_judged
    own = trainer(recipe, config)
    batch = [pair(recipe, 4)]
    own.step(batch, phase_at(recipe, 0.1, 10, is_started=False), 0, 0)
    first = own.optimizer
    own.step(batch, phase_at(recipe, 0.6, 10, is_started=False), 1, 1)
    assert own.optimizer is not first
    second = own.optimizer
    own.step(batch, phase_at(recipe, 0.7, 10, is_started=False), 2, 2)
    assert own.optimizer is second


def test_stages_come_in_turn_and_fade_in() -> None:
    recipe, _ = small("srpggan", patch=32)
    seen = [phase_at(recipe, p, 0, is_started=False) for p in (0, 0.1499, 0.15, 0.175, 0.39, 0.41)]
    assert [phase.stage for phase in seen] == [0, 0, 1, 1, 1, 2]
    assert [phase.alpha for phase in seen] == pytest.approx([1, 1, 0, 0.5, 1, 1 / 12])
    assert "vgg" not in seen[4].losses
    assert "vgg" in seen[5].losses


def test_gradients_reach_the_trunk_in_each_stage() -> None:
    recipe, config = small("srpggan", patch=32, last_losses={"vgg": 0.0})
    own = trainer(recipe, config)
    assert isinstance(own.model, SRPGGAN)
    lq, gt = pair(recipe, 4)
    for progress in (0.0, 0.2, 0.9):
        before = [p.clone() for p in own.model.trunk.parameters()]
        phase = phase_at(recipe, progress, 0, is_started=False)
        own.step([(lq, gt)], phase, 0, 1)
        after = list(own.model.trunk.parameters())
        assert all(not torch.equal(a, b) for a, b in zip(before, after))
        assert float(own.model.alpha) == pytest.approx(phase.alpha)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", (1, 1, 1)),
        ("cosine", (1, 0.5005, 1e-3)),
        ("halving", (1, 0.5**5, 0.5**9)),
        ("tenth", (1, 0.1, 0.1)),
    ],
)
def test_schedules_end_in_the_budget(schedule: str, rates: tuple[float, ...]) -> None:
    recipe, _ = small("resnet-anime", schedule=schedule)
    got = [phase_at(recipe, p, 10**6, is_started=False).rate for p in (0, 0.5, 1)]
    assert got == pytest.approx(rates, rel=1e-3)


def test_the_rate_rises_while_it_warms_up() -> None:
    recipe, _ = small("default", schedule="constant", warm_up=100)
    rates = [phase_at(recipe, 0, i, is_started=False).rate for i in (0, 50, 100, 200)]
    assert rates == pytest.approx([0, 0.5, 1, 1])


def test_a_network_of_luma_cannot_be_judged() -> None:
    recipe, config = small("srcnn", judge="discriminator")
    with pytest.raises(OptionsError, match="writes luma alone"):
        trainer(recipe, config)


@pytest.mark.parametrize("loss", ["artifact", "matching"])
def test_losses_that_look_at_more_than_the_truth(loss: str) -> None:
    recipe, config = small("srgan-anime", losses={loss: 1.0, "adversarial": 0.0}, ema=0.9)
    own = trainer(recipe, config)
    phase = phase_at(recipe, 0.9, 100, is_started=True)
    lq, gt = pair(recipe, 4)
    own.step([(lq, gt)], phase, 100, 0)
    terms, _ = own.step([pair(recipe, 4, seed=5)], phase, 101, 1)
    assert float(terms[loss]) >= 0
    assert "adversarial" not in terms


def test_the_default_network_can_be_judged_in_colour() -> None:
    recipe, config = small(
        "default", losses={"adversarial": 1e-3}, judge="discriminator", warm_up=0
    )
    own = trainer(recipe, config, precision=torch.bfloat16)
    terms, _ = own.step([pair(recipe, 2)], phase_at(recipe, 0.5, 9, is_started=True), 9, 0)
    assert {"discriminator", "adversarial", "charbonnier", "chroma_420"} <= set(terms)


def test_every_tail_learns_beside_a_judge() -> None:
    recipe, config = small("default", losses={"adversarial": 1e-3}, judge="discriminator")
    own = trainer(recipe, config)
    before = {k: v.clone() for k, v in own.model.state_dict().items()}
    phase = replace(phase_at(recipe, 0.0, 10**6, is_started=True), rate=1.0)
    for i in range(4):
        own.step([pair(recipe, 2)], phase, i, i)
    after = own.model.state_dict()
    assert all(
        not torch.equal(before[k], after[k]) for k in before if "tails" in k and "weight" in k
    )


@pytest.mark.parametrize("name", ["default", "srcnn", "resnet-anime"])
def test_the_truth_keeps_its_precision_where_the_network_does_not(name: str) -> None:
    recipe, config = small(name)
    own = trainer(recipe, config)
    lq, gt = pair(recipe, config["scale"])
    phase = phase_at(recipe, 0.5, 9, is_started=True)
    exact, narrow = (
        view(own.model, lq, gt, phase, chroma="420", wants_rgb=False, precision=precision)
        for precision in (torch.float32, torch.bfloat16)
    )
    assert torch.equal(exact.gt, narrow.gt)
    assert narrow.sr.dtype == torch.float32
    assert not torch.equal(exact.sr, narrow.sr)


def test_views_show_the_truth_at_the_size_and_in_the_colours_of_the_network() -> None:
    phase = Phase({"mse": 1.0}, False, 1.0)
    for name, channels in (("default", 1), ("resnet-anime", 3), ("srcnn", 1), ("m-srcnn", 3)):
        recipe, config = small(name)
        lq, gt = pair(recipe, config["scale"])
        own = trainer(recipe, config)
        seen = view(own.model, lq, gt, phase, chroma="420", wants_rgb=False)
        assert seen.sr.shape == seen.gt.shape
        assert seen.sr.shape[1:] == (channels, *gt.shape[2:])
    assert float(charbonnier_loss(seen.gt, seen.gt)) == pytest.approx(1e-3)


def test_the_moving_average() -> None:
    own, new = (
        {"a": torch.zeros(2), "n": torch.tensor(1)},
        {"a": torch.ones(2), "n": torch.tensor(5)},
    )
    average(own, new, 0.75)
    assert own["a"].tolist() == [0.25, 0.25]
    assert int(own["n"]) == 5


def test_features_of_a_discriminator_are_what_it_judges_by() -> None:
    judge = Discriminator(DiscriminatorConfig(norm=False))
    rgb = torch.rand(1, 3, 32, 32)
    features = judge.features(rgb)
    assert len(features) == 8
    assert torch.equal(judge.head(features[-1]).flatten(), judge(rgb))
