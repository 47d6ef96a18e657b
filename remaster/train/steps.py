"""One step of a training: what a network gives beside the truth, losses, and the judge's own step.

A generator is any network of `models`; a judge is a discriminator or critic it is trained against.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from remaster.color import convert, subsample_chroma, upsample_chroma
from remaster.errors import OptionsError
from remaster.models import Network
from remaster.models.critics import Discriminator, DiscriminatorConfig, GrowingCritic
from remaster.models.srcnn import MSRCNN
from remaster.models.srpggan import SRPGGAN
from remaster.regions import pad
from remaster.train.adversarial import (
    HARD_LABELS,
    SOFT_LABELS,
    Judge,
    adversarial_loss,
    critic_loss,
    discriminator_loss,
    gradient_penalty,
    wasserstein_loss,
)
from remaster.train.degrade import VIDEO_LAYOUT
from remaster.train.distributed import Ranks
from remaster.train.losses import (
    artifact_loss,
    charbonnier_loss,
    feature_matching_loss,
    fft_loss,
    gradient_loss,
    l1_loss,
    line_weighted_loss,
    mse_loss,
    overshoot_loss,
    random_filter_loss,
)
from remaster.train.recipes import HALVINGS, Recipe
from remaster.train.vgg import VGG19Features, vgg_loss

LUMA_MATRIX = "smpte170m"
"""Whose luma networks of luma learn."""

INSTEAD_OF_VGG = {"filters": 0.1}
"""What stands in where no VGG19 is at hand, for a weight of 1."""

SAMPLED_CHROMA = ("420", "420", "420", "444")
"""What networks that write planes are asked for, in turn: video is 4:2:0."""


class View(NamedTuple):
    """What a network gave, beside the truth, in the colours the losses look at."""

    sr: Tensor
    gt: Tensor
    """(N, C, H, W): R'G'B'; of networks that write luma or planes, luma (C may be that of
    m-SRCNN's channels)."""

    chroma: tuple[Tensor, Tensor] | None = None
    """Given and true, of networks that write planes."""

    rgb: tuple[Tensor, Tensor] | None = None
    """Given and true R'G'B', for judges and VGG19."""


@dataclass(frozen=True)
class Phase:
    """What a training does at one point of its way."""

    losses: Mapping[str, float]
    is_judged: bool
    rate: float
    """Of the learning rate, 0 to 1."""

    stage: int = 0
    """Of a growing network."""

    alpha: float = 1.0
    """How far that stage has faded in."""


def phase_at(recipe: Recipe, progress: float, iteration: int, *, is_started: bool) -> Phase:
    """What is done at `progress`, 0 to 1, of a training.

    Args:
        is_started: it began from trained weights, so nothing is trained before the judge comes in.
    """
    pretrain = 0.0 if is_started else recipe.pretrain
    rate = _scheduled(recipe.schedule, progress)
    if recipe.warm_up:
        rate *= min(1.0, iteration / recipe.warm_up)
    if progress < pretrain:
        return Phase(recipe.pretrain_losses, False, rate, len(recipe.stages) - 1)
    if not recipe.stages:
        return Phase(recipe.losses, bool(recipe.judge), rate)
    begun = 0.0
    for stage, share in enumerate(recipe.stages):
        is_last = stage == len(recipe.stages) - 1
        if progress < begun + share or is_last:
            fade = share * recipe.fade
            alpha = min((progress - begun) / fade, 1.0) if fade and stage else 1.0
            losses = {**recipe.losses, **(recipe.last_losses if is_last else {})}
            return Phase(losses, bool(recipe.judge), rate, stage, alpha)
        begun += share
    raise AssertionError


def _scheduled(schedule: str, progress: float) -> float:
    passed = min(progress, 1.0)
    if schedule == "cosine":
        return 1e-3 + (1 - 1e-3) * (1 + math.cos(math.pi * passed)) / 2
    if schedule == "halving":
        return 0.5 ** min(math.floor(passed * HALVINGS), HALVINGS - 1)
    if schedule == "tenth":
        return 1.0 if passed < 0.5 else 0.1
    return 1.0


def without_vgg(losses: Mapping[str, float]) -> dict[str, float]:
    """The losses, with what stands in for VGG19's."""
    if "vgg" not in losses:
        return dict(losses)
    kept = {name: weight for name, weight in losses.items() if name != "vgg"}
    for name, weight in INSTEAD_OF_VGG.items():
        kept[name] = kept.get(name, 0.0) + weight * losses["vgg"]
    return kept


def view(
    model: Network,
    lq: Tensor,
    gt: Tensor,
    phase: Phase,
    *,
    chroma: str,
    wants_rgb: bool,
    precision: torch.dtype = torch.float32,
) -> View:
    """Enlarge and set beside the truth; everything but the network itself is computed in fp32.

    Args:
        lq: (N, 3, h, w) BT.709 ycc, nominal.
        gt: (N, 3, h s, w s) R'G'B' in [0, 1].
        chroma: `420` or `444`, of networks that write planes.
        precision: of the network.
    """
    if model.eats == "planes":
        with autocast(lq.device, precision):
            padded, frame = pad(lq, model.padding, model.grid)
            padded = padded.contiguous(memory_format=torch.channels_last)
            luma, colors = model(padded, chroma)
        shrink = 2 if chroma == "420" else 1
        luma = frame.cut(luma.float(), model.scale)
        colors = frame.cut(colors.float(), model.scale / shrink)
        return _view_of_planes(luma, colors, gt, chroma, wants_rgb=wants_rgb)
    rgb = convert(lq, "bt709", "rgb")
    if model.eats == "luma":
        small, large = (convert(x, "rgb", LUMA_MATRIX)[:, :1] for x in (rgb, gt))
        with autocast(lq.device, precision):
            sr = model.every_channel(small) if isinstance(model, MSRCNN) else model(small)
        return View(sr.float(), large.expand_as(sr))
    if isinstance(model, SRPGGAN):
        with autocast(lq.device, precision):
            sr = model.at_stage(rgb, phase.stage, phase.alpha).float()
        truth = F.avg_pool2d(gt, gt.shape[-1] // sr.shape[-1])
        return View(sr, truth, rgb=(sr, truth))
    padded, frame = pad(rgb, model.padding, model.grid)
    with autocast(lq.device, precision):
        sr = model(padded.contiguous(memory_format=torch.channels_last))
    sr = frame.cut(sr.float(), model.scale)
    return View(sr, gt, rgb=(sr, gt))


def _view_of_planes(
    luma: Tensor, colors: Tensor, gt: Tensor, chroma: str, *, wants_rgb: bool
) -> View:
    """Of luma and chroma planes; a judge sees chroma of both as 4:2:0 would show it."""
    truth = convert(gt, "rgb", "bt709")
    true_luma, true_colors = truth[:, :1], truth[:, 1:]
    fine, true_fine = colors, true_colors
    if chroma == "420":
        true_colors = subsample_chroma(true_colors, VIDEO_LAYOUT)
        if wants_rgb:
            size = (gt.shape[-2], gt.shape[-1])
            fine, true_fine = (
                upsample_chroma(x, VIDEO_LAYOUT, "left", size) for x in (colors, true_colors)
            )
    rgb = None
    if wants_rgb:
        sr, shown = (
            convert(torch.cat(planes, 1), "bt709", "rgb")
            for planes in ((luma, fine), (true_luma, true_fine))
        )
        rgb = (sr, shown)
    return View(luma, true_luma, (colors, true_colors), rgb)


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Forward passes in `precision`; nothing where that is fp32."""
    is_narrow = precision != torch.float32
    return torch.autocast(device.type, precision if is_narrow else None, enabled=is_narrow)


class Trainer:
    """A generator, its judge, their optimisers and the moving average, between two steps.

    Args:
        model: the generator; fresh, or trained before.
        recipe: with `vgg` already replaced where there is no such network.
        vgg: for the loss of that name.
        precision: of the forward passes; penalties and losses are computed in fp32.
        seed: of the judge's first weights.

    Raises:
        OptionsError: the losses ask for R'G'B' of a network that writes luma.
    """

    def __init__(
        self,
        model: Network,
        recipe: Recipe,
        *,
        vgg: VGG19Features | None = None,
        device: torch.device | None = None,
        precision: torch.dtype = torch.float32,
        ranks: Ranks | None = None,
        seed: int = 0,
    ) -> None:
        self.recipe = recipe
        self.device = device or torch.device("cpu")
        self.precision, self.ranks = precision, ranks or Ranks()
        self.model = _placed(model, self.device).train()
        self.vgg = None if vgg is None else vgg.to(self.device)
        every = {*recipe.losses, *recipe.last_losses, *recipe.pretrain_losses}
        self.wants_rgb = bool(recipe.judge or "vgg" in every)
        if self.wants_rgb and model.eats == "luma":
            raise OptionsError(
                f"{recipe.arch} writes luma alone, so it cannot be judged or trained by vgg: leave "
                "--judge and --losses vgg out"
            )
        if "chroma" in every and model.eats != "planes":
            raise OptionsError(f"{recipe.arch} writes no chroma planes: leave --losses chroma out")
        self.optimizer = self._adam(self.model, recipe.learning_rate)
        self.judge: nn.Module | None = None
        if recipe.judge:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.judge = _placed(_make_judge(recipe, model), self.device).train()
            judge_rate = recipe.judge_rate or recipe.learning_rate
            self.judge_optimizer = self._adam(self.judge, judge_rate)
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self._average = _copy_of(model) if "artifact" in every else None
        """A network to carry the average, for the loss that looks at it."""
        is_half = precision == torch.float16
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=is_half)
        self.was_judged = False

    def _adam(self, model: nn.Module, rate: float) -> torch.optim.Adam:
        betas = self.recipe.beta1, self.recipe.beta2
        return torch.optim.Adam(model.parameters(), rate, betas, self.recipe.epsilon)

    def step(
        self, batches: Sequence[tuple[Tensor, Tensor]], phase: Phase, iteration: int, seed: int
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The judge's steps, one a batch, then the generator's on the last.

        Args:
            batches: (lq, gt) as `view` takes them; one where nothing is judged.
            seed: of whatever is drawn at random.

        Returns:
            the weighted terms of the losses, scalars without gradient, and (N,) how far the
            generator is from each truth of the last batch: mean |d|.
        """
        self._enter(phase)
        generator = torch.Generator().manual_seed(seed)
        chroma = SAMPLED_CHROMA[iteration % len(SAMPLED_CHROMA)]
        terms: dict[str, Tensor] = {}
        for i, (lq, gt) in enumerate(batches):
            is_last = i == len(batches) - 1
            with torch.set_grad_enabled(is_last):
                seen = self._view(self.model, lq, gt, phase, chroma)
            if phase.is_judged:
                terms |= self._judge_step(seen, phase, generator)
        terms |= self._generator_step(seen, lq, phase, chroma)
        self._follow(iteration)
        with torch.no_grad():
            distance = (seen.sr.detach().float() - seen.gt.float()).abs().mean((1, 2, 3))
        return {name: term.detach() for name, term in terms.items()}, distance

    def _enter(self, phase: Phase) -> None:
        rates = [(self.optimizer, self.recipe.learning_rate)]
        if self.judge is not None:
            judge_rate = self.recipe.judge_rate or self.recipe.learning_rate
            rates.append((self.judge_optimizer, judge_rate))
        if phase.is_judged and not self.was_judged:
            self.optimizer = self._adam(self.model, self.recipe.learning_rate)
            rates[0] = (self.optimizer, self.recipe.learning_rate)
        self.was_judged = phase.is_judged
        for optimizer, rate in rates:
            for group in optimizer.param_groups:
                group["lr"] = rate * phase.rate
        if isinstance(self.model, SRPGGAN):
            self.model.alpha.fill_(phase.alpha)

    def _view(self, model: Network, lq: Tensor, gt: Tensor, phase: Phase, chroma: str) -> View:
        wants_rgb, precision = self.wants_rgb, self.precision
        return view(model, lq, gt, phase, chroma=chroma, wants_rgb=wants_rgb, precision=precision)

    def _autocast(self) -> torch.autocast:
        return autocast(self.device, self.precision)

    def _judging(self, phase: Phase) -> Judge:
        if isinstance(self.judge, GrowingCritic):
            return functools.partial(self.judge, stage=phase.stage, alpha=phase.alpha)
        assert self.judge is not None
        return self.judge

    def _judge_step(
        self, seen: View, phase: Phase, generator: torch.Generator
    ) -> dict[str, Tensor]:
        assert seen.rgb is not None and self.judge is not None
        sr, gt = (x.detach().float() for x in seen.rgb)
        judge = self._judging(phase)
        with self._autocast():
            of_gt, of_sr = judge(gt), judge(sr)
        if self.recipe.judge == "critic":
            terms = {
                "critic": critic_loss(of_gt, of_sr),
                "penalty": self.recipe.penalty * gradient_penalty(judge, gt, sr, generator),
            }
        else:
            labels = SOFT_LABELS if self.recipe.soft_labels else HARD_LABELS
            terms = {"discriminator": discriminator_loss(of_gt, of_sr, labels, generator)}
        self._descend(self.judge, self.judge_optimizer, terms)
        return terms

    def _generator_step(
        self, seen: View, lq: Tensor, phase: Phase, chroma: str
    ) -> dict[str, Tensor]:
        terms = {
            name: weight * self._loss(name, seen, lq, phase, chroma)
            for name, weight in phase.losses.items()
            if weight and (name != "chroma" or seen.chroma is not None)
        }
        self._descend(self.model, self.optimizer, terms)
        if "chroma" in terms:
            terms[f"chroma_{chroma}"] = terms.pop("chroma")
        return terms

    def _loss(self, name: str, seen: View, lq: Tensor, phase: Phase, chroma: str) -> Tensor:
        if name == "charbonnier":
            return charbonnier_loss(seen.sr, seen.gt, self.recipe.charbonnier_epsilon)
        if name in _PIXEL_LOSSES:
            return _PIXEL_LOSSES[name](seen.sr, seen.gt)
        if name == "chroma":
            assert seen.chroma is not None
            return charbonnier_loss(*seen.chroma)
        if name == "artifact":
            return artifact_loss(seen.sr, seen.gt, self._averaged(seen, lq, phase, chroma))
        assert seen.rgb is not None
        sr, gt = seen.rgb
        if name == "vgg":
            assert self.vgg is not None
            return vgg_loss(self.vgg, sr, gt)
        with _frozen(self.judge), self._autocast():
            if name == "matching":
                assert isinstance(self.judge, Discriminator)
                with torch.no_grad():
                    wanted = self.judge.features(gt)
                return feature_matching_loss(self.judge.features(sr), wanted)
            judged = self._judging(phase)(sr)
        return adversarial_loss(judged) if name == "adversarial" else wasserstein_loss(judged)

    def _averaged(self, seen: View, lq: Tensor, phase: Phase, chroma: str) -> Tensor:
        """What the moving average gives, (N, C, H, W) as the network itself."""
        assert self._average is not None
        self._average.load_state_dict(self.ema)
        with torch.no_grad():
            average = self._average.to(self.device).eval()
            # Its truth is not looked at: one of the right size does.
            truth = seen.gt.expand(-1, 3, -1, -1) if seen.gt.shape[1] == 1 else seen.gt
            return self._view(average, lq, truth, phase, chroma).sr

    def _descend(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, terms: Mapping[str, Tensor]
    ) -> None:
        optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(torch.stack(list(terms.values())).sum()).backward()
        self.ranks.average_gradients(model.parameters())  # so that all find the same overflow
        self.scaler.unscale_(optimizer)
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(model.parameters(), self.recipe.clip)
        self.scaler.step(optimizer)
        self.scaler.update()

    def _follow(self, iteration: int) -> None:
        decay = min(self.recipe.ema, (1 + iteration) / (10 + iteration))
        average(self.ema, self.model.state_dict(), decay if self.recipe.ema else 0.0)

    @property
    def is_finite(self) -> bool:
        """Whether every weight is still a number."""
        own = [*self.model.state_dict().values(), *self.ema.values()]
        own += [] if self.judge is None else list(self.judge.state_dict().values())
        return all(bool(tensor.isfinite().all()) for tensor in own)

    def averaged(self) -> dict[str, Tensor]:
        """The moving average; what normalisation has counted is the mean over all processes."""
        counted = [name for name, b in self.model.named_buffers() if b.is_floating_point()]
        means = self.ranks.averaged([self.ema[name] for name in counted])
        return {**self.ema, **dict(zip(counted, means))}

    def state(self) -> dict[str, Any]:
        """Everything to go on from: plain values and tensors."""
        own: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema,
            "was_judged": self.was_judged,
            "scaler": self.scaler.state_dict(),
        }
        if self.judge is not None:
            own["judge"] = self.judge.state_dict()
            own["judge_optimizer"] = self.judge_optimizer.state_dict()
        return own

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema = {k: v.to(self.device) for k, v in state["ema"].items()}
        self.was_judged = state["was_judged"]
        self.scaler.load_state_dict(state["scaler"])
        if self.judge is not None:
            self.judge.load_state_dict(state["judge"])
            self.judge_optimizer.load_state_dict(state["judge_optimizer"])


_PIXEL_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mse_loss,
    "l1": l1_loss,
    "gradient": gradient_loss,
    "fft": fft_loss,
    "filters": random_filter_loss,
    "line": line_weighted_loss,
    "overshoot": overshoot_loss,
}


M = TypeVar("M", bound=nn.Module)


def _placed(model: M, device: torch.device) -> M:
    """On the device, in the memory layout that convolutions are fast in."""
    placed: M = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def average(own: dict[str, Tensor], new: dict[str, Tensor], decay: float) -> None:
    """own = decay * own + (1 - decay) * new, in place: the moving average of weights."""
    for name, tensor in own.items():
        if tensor.is_floating_point():
            tensor.lerp_(new[name].to(tensor), 1 - decay)
        else:
            tensor.copy_(new[name])


def _copy_of(model: Network) -> Network:
    config = cast("Any", model).config
    return type(model)(config)


def _make_judge(recipe: Recipe, model: Network) -> nn.Module:
    if isinstance(model, SRPGGAN):
        return GrowingCritic(model.num_stages)
    is_critic = recipe.judge == "critic"
    return Discriminator(
        DiscriminatorConfig(
            variant=recipe.judge_variant,
            norm=not is_critic,
            slope=recipe.judge_slope,
            head=recipe.judge_head,
        )
    )


@contextlib.contextmanager
def _frozen(judge: nn.Module | None) -> Iterator[None]:
    """While the generator learns from it, a judge needs no gradients of its own."""
    assert judge is not None
    judge.requires_grad_(False)
    try:
        yield
    finally:
        judge.requires_grad_(True)
