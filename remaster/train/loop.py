"""The training loop: budget, batches, saves, scores along the way; goes on where it stopped."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from remaster.checkpoint import Card, load_model, load_state, save_model, save_state
from remaster.engines.host import keep_freed_memory, multiplies_bf16, usable_cores
from remaster.errors import (
    CheckpointError,
    DataError,
    MemoryShortage,
    OptionsError,
    OutputError,
    TrainingError,
)
from remaster.media.placing import partial_file
from remaster.models import MODELS, Network
from remaster.train.distributed import Ranks, joined, local_rank, process_count
from remaster.train.influence import influence_radius
from remaster.train.material import Material, open_material
from remaster.train.options import TrainOptions
from remaster.train.pairs import Batch, Difficulty
from remaster.train.recipes import Recipe
from remaster.train.steps import Phase, Trainer, phase_at, without_vgg
from remaster.train.validation import draw_curve, draw_sheet, validate
from remaster.train.vgg import VGG19Features, load_vgg19
from remaster.transfer import parallel_map
from remaster.upscale import is_out_of_memory

STATE = "state.pt"
SAVE_EVERY_SECONDS = 60.0
FIRST_SAVE_SECONDS = 10.0
"""Until it is known how it goes."""

CHECK_EVERY = 20
"""Iterations between looks at whether numbers are still finite."""

MEASURED_ON = 256
"""Crops on which the influence radius is measured at the end; takes seconds."""

Log = Callable[[str], None]


def fit(options: TrainOptions, log: Log) -> Path:
    """Train to the end of the budget, from where an earlier call stopped; the weights.

    Run by `torchrun`, all its processes train the same network; the first reads, writes and logs.

    Raises:
        OptionsError: an option that cannot be met here.
        DataError: the material is unusable, or the training's folder cannot be written.
        CheckpointError: an earlier training of another kind lies in the folder, or --start or
            --vgg name unusable weights.
        TrainingError: numbers are not finite any more.
        MemoryShortage: a batch does not fit.
    """
    keep_freed_memory()
    torch.set_num_threads(options.threads or usable_cores())
    device = _device(options.device)
    if options.tensorboard and find_spec("tensorboard") is None:
        raise OptionsError(
            "--tensorboard needs the extra tensorboard: pip install 'remaster[tensorboard]'"
        )
    _check_place(options)
    try:
        with joined(device) as ranks, ExitStack() as stack:
            say = log if ranks.is_first else lambda _line: None
            recipe, vgg = _with_vgg(options, say)
            trainer = _make_trainer(options, recipe, vgg, device, ranks)
            say(_headline(options, recipe, trainer))
            if ranks.is_first:
                options.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_alone(options.folder))
                if (options.folder / STATE).is_file():  # before its material is made anew
                    kept = load_state(options.folder / STATE)
                    _check_same(options.folder, kept, _plan(options, recipe))
                open_material(options, recipe, say)
            ranks.wait()
            material = open_material(options, recipe, lambda _line: None)
            Training(options, recipe, material, trainer, ranks).run(say)
            say(f"wrote {options.output}")
    except OSError as error:
        raise DataError(f"{options.folder} cannot be used: {error.strerror or error}") from error
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryShortage(
            f"a batch of {options.resolved.batch} patches of {options.resolved.patch} pixels does "
            "not fit in memory: give a smaller --batch or --patch; what was saved before is kept"
        ) from error
    return options.output


def _check_place(options: TrainOptions) -> None:
    """Raise OutputError where weights would replace something else."""
    if options.output.is_dir():
        raise OutputError(f"{options.output} is a folder: give the name of a file behind -o")
    is_own = (options.folder / STATE).is_file()
    if options.output.exists() and not is_own and not options.overwrite:
        raise OutputError(
            f"{options.output} exists and no training of it lies in {options.folder.name}: give -y "
            "to replace it, or another --output"
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While no other training uses the folder."""
    lock = partial_file(folder / "lock")
    try:
        lock.__enter__()
    except OutputError as error:
        raise TrainingError(
            f"another training is writing to {folder}: wait for its end, or give another --output"
        ) from error
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def _headline(options: TrainOptions, recipe: Recipe, trainer: Trainer) -> str:
    count = sum(p.numel() for p in trainer.model.parameters())
    budget = f"{recipe.iterations} iterations"
    if options.max_seconds is not None:
        budget = _clock(options.max_seconds)
    precision = str(trainer.precision).removeprefix("torch.")
    return (
        f"recipe {recipe.name}: {recipe.arch} x{options.enlargement}, {count:,} numbers, "
        f"{trainer.device} in {precision}, {budget}; state, sheet and curve go to {options.folder}"
    )


def _device(name: str) -> torch.device:
    has_cuda = torch.cuda.is_available()
    if (name == "auto" and has_cuda) or (name == "cuda" and has_cuda and process_count() > 1):
        return torch.device("cuda", local_rank())
    if name == "auto":
        return torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name.partition(":")[0] == "cuda" and has_cuda:
        return torch.device(name)
    raise OptionsError(f"--device is auto, cpu or cuda, and must be here; not {name!r}")


def _precision(name: str, device: torch.device) -> torch.dtype:
    """What forward passes are computed in; auto: bf16 where it is multiplied in hardware."""
    known = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if name != "auto":
        return known[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if multiplies_bf16() else torch.float32


def _with_vgg(options: TrainOptions, log: Log) -> tuple[Recipe, VGG19Features | None]:
    """The recipe, and VGG19 where it asks for it and its weights were given."""
    recipe = options.resolved
    if "vgg" not in {**recipe.losses, **recipe.last_losses, **recipe.pretrain_losses}:
        return recipe, None
    if options.vgg is not None:
        return recipe, load_vgg19(options.vgg)
    log(
        "no VGG19 weights were given (--vgg FILE), so a loss of random filters, which needs none, "
        "stands in for them"
    )
    return (
        replace(
            recipe,
            losses=without_vgg(recipe.losses),
            last_losses=without_vgg(recipe.last_losses),
            pretrain_losses=without_vgg(recipe.pretrain_losses),
        ),
        None,
    )


def _plan(options: TrainOptions, recipe: Recipe) -> dict[str, Any]:
    """What a training is, but for its material."""
    numbers = {k: v for k, v in asdict(recipe).items() if k != "iterations"}
    plain: dict[str, Any] = json.loads(json.dumps(numbers))
    start = None if options.start is None else options.start.name
    return {**plain, "config": options.network, "start": start, "seed": options.seed}


def _check_same(folder: Path, state: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Raise CheckpointError where a state is that of another training."""
    kept = state.get("identity", {})
    wrong = [name for name, value in identity.items() if kept.get(name) != value]
    if wrong:
        raise CheckpointError(
            f"{folder} holds another training (other {', '.join(wrong[:3])}): write to another "
            "--output, from its weights with --start if you like, or remove it"
        )


def _make_trainer(
    options: TrainOptions,
    recipe: Recipe,
    vgg: VGG19Features | None,
    device: torch.device,
    ranks: Ranks,
) -> Trainer:
    model = _fresh(options, recipe)
    if options.start is not None:
        _begin_from(options.start, model, recipe)
    return Trainer(
        model,
        recipe,
        vgg=vgg,
        device=device,
        precision=_precision(options.precision, device),
        ranks=ranks,
        seed=options.seed,
    )


def _fresh(options: TrainOptions, recipe: Recipe) -> Network:
    network, config = MODELS[recipe.arch]
    known = [name for name in inspect.signature(config).parameters if name != "scale"]
    wrong = sorted(set(options.network) - {*known, "scale"})
    if wrong:
        raise OptionsError(f"a {recipe.arch} has no {wrong[0]}; it has {', '.join(known)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        try:
            return network(config(**options.network))
        except (TypeError, ValueError) as error:
            raise OptionsError(f"--network is wrong for {recipe.arch}: {error}") from error


def _begin_from(start: Path, model: Network, recipe: Recipe) -> None:
    """Take over weights; those of another scale as far as they fit."""
    trained, card = load_model(start)
    if card.arch != recipe.arch:
        raise CheckpointError(
            f"{start} holds a {card.arch}, and {recipe.name} trains a {recipe.arch}: give weights "
            "of that network with --start"
        )
    own, given = model.state_dict(), trained.state_dict()
    fitting = {k: v for k, v in given.items() if k in own and own[k].shape == v.shape}
    is_other_scale = card.scale != model.scale
    if len(fitting) < len(own) and not is_other_scale:
        raise CheckpointError(
            f"{start} holds a {card.arch} of another size ({card.config}): give --network the same "
            "numbers"
        )
    if is_other_scale and card.arch == "celnet":
        fitting = {k: v for k, v in fitting.items() if not k.startswith(("tails", "skips"))}
    model.load_state_dict({**own, **fitting})


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether the process was asked to stop, once; asked twice, it stops where it is."""
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 1:
            raise KeyboardInterrupt

    kept = {}
    with suppress(ValueError):  # only the main thread hears of signals
        kept = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler or signal.SIG_DFL)


class Training:
    """A trainer on its way: where it stands, what it is fed, what it has written."""

    def __init__(
        self,
        options: TrainOptions,
        recipe: Recipe,
        material: Material,
        trainer: Trainer,
        ranks: Ranks,
    ) -> None:
        self.options, self.recipe, self.material = options, recipe, material
        self.trainer, self.device, self.ranks = trainer, trainer.device, ranks
        self.iteration, self.seconds, self.waited = 0, 0.0, 0.0
        self.best = -math.inf
        """PSNR of the best scores so far."""
        self.hard = Difficulty(len(material.pool), weight=recipe.hard) if recipe.hard > 1 else None
        self.drawn: dict[int, Tensor] = {}
        """Iteration -> pairs that were drawn for it and not yet learnt from."""
        self.state_path = options.folder / STATE
        if self.state_path.is_file():
            self._restore(load_state(self.state_path))
        self._check_together()

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a training to be gone on with."""
        pool = (self.options.folder / "pool.json").read_bytes()
        return {
            **_plan(self.options, self.recipe),
            "sources": list(self.material.sources),
            "held out": list(self.material.held_files),
            "material": hashlib.sha256(pool).hexdigest(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        _check_same(self.options.folder, state, self._identity())
        self.trainer.restore(state["trainer"])
        self.iteration, self.seconds = state["iteration"], state["seconds"]
        self.waited, self.best = state["waited"], state["best"]
        if len(state["each"]) == self.ranks.count:
            self._restore_own(state["each"][self.ranks.rank])

    def _own(self) -> dict[str, Any]:
        """What every process remembers for itself."""
        return {"drawn": self.drawn, "hard": None if self.hard is None else self.hard.state()}

    def _restore_own(self, own: dict[str, Any]) -> None:
        self.drawn = dict(own["drawn"])
        if self.hard is not None:
            self.hard.restore(own["hard"])

    def _check_together(self) -> None:
        """Raise CheckpointError where processes would go on from different places."""
        begun = self.ranks.gathered(self.iteration)
        if len(set(begun)) > 1:
            raise CheckpointError(
                f"the processes find different states in {self.options.folder} (iterations "
                f"{', '.join(map(str, begun))}): let all machines share that folder"
            )

    @property
    def progress(self) -> float:
        """How much of the budget is spent, 0 to 1."""
        if self.options.max_seconds is not None:
            return min(self.seconds / self.options.max_seconds, 1.0)
        return min(self.iteration / self.recipe.iterations, 1.0)

    @property
    def is_over(self) -> bool:
        return self.progress >= 1.0

    def phase(self) -> Phase:
        """What is done now."""
        is_started = self.options.start is not None
        return phase_at(self.recipe, self.progress, self.iteration, is_started=is_started)

    def _requests(self) -> Iterator[tuple[int, Tensor, int]]:
        """(iteration, pairs to show, seed) from here on, drawn a few steps ahead."""
        steps = self.recipe.judge_steps if self.recipe.judge else 1
        for iteration in itertools.count(self.iteration):
            rng = np.random.default_rng([self.options.seed, iteration, self.ranks.rank])
            seed = int(rng.integers(2**62))
            if iteration not in self.drawn:
                count = self.recipe.batch * steps
                pool = self.material.pool
                self.drawn[iteration] = torch.from_numpy(pool.draw(count, rng, hard=self.hard))
            yield iteration, self.drawn[iteration], seed

    def _batch(self, request: tuple[int, Tensor, int]) -> tuple[Batch, int]:
        """Cut out beside the loop; in pinned memory where it goes to CUDA."""
        _, indices, seed = request
        rng = np.random.default_rng(seed)
        batch = self.material.pool.cut(
            indices.numpy(), self.recipe.patch, rng, turned=self.recipe.turned
        )
        if self.device.type == "cuda":
            batch = Batch(batch.lq.pin_memory(), batch.gt.pin_memory(), batch.indices)
        return batch, seed

    def _brought(self, batch: Batch, seed: int) -> tuple[Batch, int]:
        """To the device, without waiting for it."""
        lq, gt = (x.to(self.device, non_blocking=True) for x in (batch.lq, batch.gt))
        return Batch(lq, gt, batch.indices), seed

    def run(self, log: Log) -> None:
        """Step until the budget is spent; save every minute and at the end."""
        if self.is_over:
            log(
                f"already done: {self.iteration} iterations in {_clock(self.seconds)}; a larger "
                "--iterations or --max-seconds goes on"
            )
        since = Since(self.options.validate_every)
        with ExitStack() as stack:
            is_stopping = stack.enter_context(_asked_to_stop())
            batches = stack.enter_context(parallel_map(self._batch, self._requests(), 1))
            while not self.is_over:
                began = time.perf_counter()
                request = next(batches)
                waited = time.perf_counter() - began
                self._step(*self._brought(*request), since)
                if self.iteration % CHECK_EVERY == 0:
                    self._check(since)  # and so waits for what the device still does
                took = since.usual_pace(time.perf_counter() - began)
                self.seconds = self.ranks.agreed(self.seconds + took)
                self.waited += min(waited, took)
                is_stopped = self.ranks.agreed(float(is_stopping())) > 0
                if self.ranks.agreed(float(since.is_due)) or self.is_over or is_stopped:
                    self._check(since)
                    self._record(since, log)
                if is_stopped:
                    log("stopped; the same command goes on")
                    raise KeyboardInterrupt
        if self.ranks.is_first and not self.options.output.is_file():
            self._write(self._carrier(self.trainer.ema))

    def _step(self, batch: Batch, seed: int, since: Since) -> None:
        phase = self.phase()
        parts = list(zip(batch.lq.split(self.recipe.batch), batch.gt.split(self.recipe.batch)))
        if not phase.is_judged:
            parts = parts[-1:]
        terms, distance = self.trainer.step(parts, phase, self.iteration, seed % 2**31)
        indices = batch.indices[-len(distance) :]
        if self.hard is not None:
            self.hard.update(indices, distance)
        since.add(terms)
        self.drawn.pop(self.iteration)
        self.iteration += 1

    def _check(self, since: Since) -> None:
        """Raise TrainingError where numbers are none any more; what was saved stays."""
        wrong = [name for name, total in since.sums.items() if not bool(total.isfinite())]
        if not wrong and self.trainer.is_finite:
            return
        what = f"the loss {wrong[0]} is" if wrong else "weights are"
        kept = "the state before it is kept" if self.state_path.is_file() else "nothing was saved"
        raise TrainingError(
            f"{what} not a number any more at iteration {self.iteration} ({kept}): give a lower "
            "--learning-rate, or --clip 1"
        )

    def _record(self, since: Since, log: Log) -> None:
        """Save, score where it is time, and say how it goes."""
        averaged, each = self.trainer.averaged(), self.ranks.gathered(self._own())
        if self.ranks.is_first:
            line: dict[str, Any] = {
                "iteration": self.iteration,
                "seconds": round(self.seconds, 1),
                "waiting": round(self.waited / max(self.seconds, 1e-9), 4),
                "learning_rate": self.trainer.optimizer.param_groups[0]["lr"],
                "losses": since.means(),
            }
            model = self._carrier(averaged)
            can_score = self.phase().stage == max(len(self.recipe.stages) - 1, 0)
            if can_score and (since.is_to_be_scored or self.is_over):
                line["validation"] = self._validate(model)
            if self._is_to_be_written(line.get("validation", {})):
                self._write(model)
            self._save(each)
            with (self.options.folder / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(_without_nan(line)) + "\n")
            if "validation" in line:
                draw_curve(self.options.folder / "metrics.jsonl", self.options.folder / "curve.png")
            self._to_tensorboard(line)
            log(self._words(line, since))
        self.ranks.wait()
        if since.is_to_be_scored:
            since.validated = 0.0
        since.save_every = SAVE_EVERY_SECONDS
        since.restart()

    def _save(self, each: list[dict[str, Any]]) -> None:
        save_state(
            self.state_path,
            {
                "identity": self._identity(),
                "trainer": self.trainer.state(),
                "iteration": self.iteration,
                "seconds": self.seconds,
                "waited": self.waited,
                "best": self.best,
                "each": each,
            },
        )

    def _carrier(self, weights: Mapping[str, Tensor]) -> Network:
        """A network with those weights, to be scored and written."""
        network, config = MODELS[self.recipe.arch]
        model = network(config(**self.options.network))
        model.load_state_dict(weights)
        return model.eval()

    def _is_to_be_written(self, scores: Mapping[str, float]) -> bool:
        if self.phase().stage < len(self.recipe.stages) - 1:
            return False  # its last layers have not been trained yet
        if not (self.recipe.keep_best and self.material.held):
            return True
        is_better = scores.get("psnr_y", -math.inf) > self.best
        self.best = max(self.best, scores.get("psnr_y", -math.inf))
        return is_better

    def _write(self, model: Network) -> None:
        """Write the weights that a network carries."""
        trained = {k: _plain(v) for k, v in asdict(self.options).items()}
        trained |= {"numbers": _plain(asdict(self.recipe))}
        trained |= {
            "sources": list(self.material.sources),
            "held_out": list(self.material.held_out),
            "held_files": list(self.material.held_files),
            "iterations": self.iteration,
            "seconds": round(self.seconds),
            "precision": str(self.trainer.precision).removeprefix("torch."),
        }
        if self.is_over and model.eats == "planes":
            rng = np.random.default_rng(self.options.seed)
            lq = self.material.pool.batch(MEASURED_ON, self.recipe.patch, rng).lq
            radius = influence_radius(model, lq)
            trained |= {} if radius is None else {"influence_radius": radius}
        size = self.options.size if self.recipe.arch == "celnet" else ""
        card = Card(
            self.recipe.arch,
            self.options.network,
            self.options.enlargement,
            size,
            self.recipe.name,
            trained,
        )
        save_model(self.options.output, model, card)

    def _validate(self, model: Network) -> dict[str, float]:
        scores = validate(model, self.material.held)
        draw_sheet(model, self.material.held, self.options.folder / "sheet.png")
        return scores

    def _to_tensorboard(self, line: dict[str, Any]) -> None:
        if not self.options.tensorboard:
            return
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(self.options.folder / "tensorboard")) as writer:
            for group in ("losses", "validation"):
                for name, value in line.get(group, {}).items():
                    writer.add_scalar(f"{group}/{name}", value, self.iteration)

    def _words(self, line: dict[str, Any], since: Since) -> str:
        rate = since.steps / max(since.saved, 1e-9)
        left = (1 - self.progress) / max(self.progress, 1e-9) * self.seconds
        losses = ", ".join(f"{name} {value:.3g}" for name, value in line["losses"].items())
        words = [f"iteration {self.iteration}", f"{rate:.3g}/s", f"{_clock(left)} left", losses]
        scores = line.get("validation")
        if scores:
            gain = scores["gain_psnr_y"]
            beside = "above" if gain >= 0 else "below"
            words.append(
                f"held out: {scores['psnr_y']:.2f} dB, {abs(gain):.2f} {beside} bicubic, SSIM "
                f"{scores['ssim_y']:.4f}, flicker {scores['flicker']:.2f} levels"
            )
        return "; ".join(words)


class Since:
    """What has happened since the last save.

    Args:
        validate_every: seconds between scores.
    """

    def __init__(self, validate_every: float) -> None:
        self.usual: float | None = None
        self.validate_every = validate_every
        self.validated = 0.0
        """Seconds since the last scores."""
        self.save_every = FIRST_SAVE_SECONDS
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.steps, self.saved = 0, 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is time to save."""
        return self.saved >= min(self.save_every, SAVE_EVERY_SECONDS) or self.is_to_be_scored

    @property
    def is_to_be_scored(self) -> bool:
        return self.validated >= self.validate_every

    def add(self, terms: dict[str, Tensor]) -> None:
        """Count one step's losses."""
        for name, term in terms.items():
            self.sums[name] = self.sums[name] + term if name in self.sums else term
            self.counts[name] = self.counts.get(name, 0) + 1
        self.steps += 1

    def means(self) -> dict[str, float]:
        return {name: float(total) / self.counts[name] for name, total in self.sums.items()}

    def usual_pace(self, took: float) -> float:
        """Seconds that count: far longer than usual was a pause (a machine asleep)."""
        usual = took if self.usual is None else self.usual
        took = min(took, 5 * usual)
        self.usual = 0.98 * usual + 0.02 * took
        self.saved += took
        self.validated += took
        return took


def _clock(seconds: float) -> str:
    minutes = round(seconds) // 60
    return f"{minutes // 60}:{minutes % 60:02d}:{round(seconds) % 60:02d}"


def _without_nan(value: Any) -> Any:
    """As JSON has it: null for what could not be measured."""
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return value.name
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value
