"""The training loop: pixel recipe, cosine by time, moving average; goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from remaster.checkpoint import Card, load_state, save_model, save_state
from remaster.color import subsample_chroma
from remaster.engines.host import keep_freed_memory
from remaster.errors import CheckpointError, DataError
from remaster.models import MODELS, Network
from remaster.regions import pad
from remaster.train.data import (
    Album,
    Pool,
    SourceFile,
    least_side,
    list_sources,
    open_pool,
    split_sources,
)
from remaster.train.degrade import VIDEO_LAYOUT
from remaster.train.influence import influence_radius
from remaster.train.losses import charbonnier_loss, random_filter_loss
from remaster.train.options import SIZES, TrainOptions

SAVE_EVERY_SECONDS = 60.0
WARM_UP_ITERATIONS = 500
MEASURED_ON = 256
"""Crops on which the influence radius is measured at the end; takes seconds."""

Log = Callable[[str], None]


def fit(options: TrainOptions, log: Log) -> Path:
    """Train to the end of `options.minutes`, from where an earlier call stopped; the weights.

    Raises:
        DataError: the material is unusable, or the training's folder cannot be written.
        CheckpointError: an earlier training of another kind lies in the folder.
    """
    keep_freed_memory()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        kept, held = split_sources(list_sources(options.data), options.hold_out)
        log(f"{len(kept)} files to learn from, {len(held)} held out")
        training = Training(options, _open_pool(options, kept, log), kept)
        training.run(log)
    except OSError as error:
        raise DataError(f"{options.folder} cannot be used: {error.strerror or error}") from error
    return options.output


def _open_pool(options: TrainOptions, kept: Sequence[SourceFile], log: Log) -> Pool:
    """The pool for these options and files; any change of either makes a new one."""
    side = options.patch + 16
    stamps = [(str(f.path.resolve()), f.path.stat().st_size, f.path.stat().st_mtime) for f in kept]
    numbers = {"count": options.pool, "scale": options.scale, "side": side, "seed": options.seed}

    def album() -> Album:
        album = Album(kept, drawn=options.drawn, least_side=least_side(options.scale, side))
        if album.too_small:
            log(f"{album.too_small} pictures are too small and left out")
        return album

    def progress(done: int) -> None:
        if done % 2000 == 0:
            log(f"{done} of {options.pool} pairs prepared")

    files = hashlib.sha256(json.dumps(stamps).encode()).hexdigest()
    described = {**numbers, "damaged": options.damaged, "drawn": options.drawn, "files": files}
    return open_pool(
        options.folder,
        described,
        album,
        **numbers,
        damaged=options.damaged,
        progress=progress,
    )


def pixel_step(
    model: Network, optimizer: torch.optim.Optimizer, lq: Tensor, gt: Tensor, chroma: str
) -> dict[str, float]:
    """One step of the pixel recipe on ycc patches; the terms of the loss.

    Luma by Charbonnier and random filters; chroma, at subsampling `chroma`, by Charbonnier.
    """
    padded, frame = pad(lq, model.padding, model.grid)
    padded = padded.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        luma, colors = model(padded, chroma)
    luma = frame.cut(luma.float(), model.scale)
    if chroma == "420":
        colors = frame.cut(colors.float(), model.scale / 2)
        true_colors = subsample_chroma(gt[:, 1:], VIDEO_LAYOUT)
    else:
        colors, true_colors = frame.cut(colors.float(), model.scale), gt[:, 1:]
    terms = {
        "luma": charbonnier_loss(luma, gt[:, :1]),
        "filters": 0.4 * random_filter_loss(luma, gt[:, :1]),
        f"chroma_{chroma}": charbonnier_loss(colors, true_colors),
    }
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return {name: float(term.detach()) for name, term in terms.items()}


def average(own: dict[str, Tensor], new: dict[str, Tensor], decay: float) -> None:
    """own = decay * own + (1 - decay) * new, in place: the moving average of weights."""
    for name, tensor in own.items():
        tensor.lerp_(new[name].to(tensor), 1 - decay)


class Training:
    """A model, its average and its optimiser between two saves."""

    def __init__(self, options: TrainOptions, pool: Pool, files: Sequence[SourceFile]) -> None:
        self.options, self.pool = options, pool
        self.sources = sorted({file.source for file in files})
        network, config = MODELS["celnet"]
        torch.manual_seed(options.seed)
        self.config = {"scale": options.scale, **SIZES[options.size][options.scale]}
        self.model = network(config(**self.config))
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), options.learning_rate, (0.9, 0.99), weight_decay=0.0
        )
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.iteration, self.seconds = 0, 0.0
        self.state_path = options.folder / "state.pt"
        if self.state_path.is_file():
            self._restore(load_state(self.state_path))

    def _restore(self, state: dict[str, Any]) -> None:
        if (state["config"], state["sources"]) != (self.config, self.sources):
            raise CheckpointError(
                f"{self.options.folder} holds a training of another network or on other sources; "
                "remove it, or write to another --output"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema = state["ema"]
        self.iteration, self.seconds = state["iteration"], state["seconds"]

    def save(self) -> None:
        """Write the state to go on from, and the averaged weights as they are now."""
        save_state(
            self.state_path,
            {
                "config": self.config,
                "sources": self.sources,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "ema": self.ema,
                "iteration": self.iteration,
                "seconds": self.seconds,
            },
        )
        network, config = MODELS["celnet"]
        averaged = network(config(**self.config))
        averaged.load_state_dict(self.ema)
        trained = {k: _plain(v) for k, v in asdict(self.options).items()}
        trained |= {
            "sources": self.sources,
            "iterations": self.iteration,
            "seconds": round(self.seconds),
        }
        if self.seconds >= self.options.minutes * 60:
            averaged = averaged.eval()
            radius = influence_radius(averaged, self._material())
            trained |= {} if radius is None else {"influence_radius": radius}
        card = Card("celnet", self.config, self.options.scale, self.options.size, "pixel", trained)
        save_model(self.options.output, averaged, card)

    def _material(self) -> Tensor:
        """(N, 3, H, W) ycc to measure the network on."""
        rng = np.random.default_rng(self.options.seed)
        return self.pool.batch(MEASURED_ON, self.options.patch, rng)[0]

    def learning_rate(self) -> float:
        """Warm-up by iterations, then cosine to a thousandth by the time that has passed."""
        passed = min(self.seconds / (self.options.minutes * 60), 1.0)
        cosine = 1e-3 + (1 - 1e-3) * (1 + math.cos(math.pi * passed)) / 2
        return self.options.learning_rate * cosine * min(1, self.iteration / WARM_UP_ITERATIONS)

    def run(self, log: Log) -> None:
        """Step until the time is up; save every minute and at the end."""
        rng = np.random.default_rng([self.options.seed, self.iteration])
        budget, since_save = self.options.minutes * 60, 0.0
        sums: dict[str, float] = {}
        usual = 1.0
        first = self.iteration
        while self.seconds < budget:
            began = time.perf_counter()
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate()
            lq, gt = self.pool.batch(self.options.batch, self.options.patch, rng)
            chroma = "444" if self.iteration % 4 == 3 else "420"  # video is 4:2:0
            terms = pixel_step(self.model, self.optimizer, lq, gt, chroma)
            decay = min(self.options.ema, (1 + self.iteration) / (10 + self.iteration))
            average(self.ema, self.model.state_dict(), decay)
            self.iteration += 1
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value
            # A step that took far longer was a pause (a stopped process, a sleeping machine).
            took = min(time.perf_counter() - began, 5 * usual)
            usual = 0.98 * usual + 0.02 * took
            self.seconds += took
            since_save += took
            if since_save >= SAVE_EVERY_SECONDS or self.seconds >= budget:
                self.save()
                self._record(sums, self.iteration - first, log)
                sums, since_save, first = {}, 0.0, self.iteration
        if not self.options.output.is_file():
            self.save()

    def _record(self, sums: dict[str, float], steps: int, log: Log) -> None:
        shares = {"chroma_420": 0.75, "chroma_444": 0.25}
        means = {k: total / (steps * shares.get(k, 1.0)) for k, total in sums.items()}
        line = {"iteration": self.iteration, "seconds": round(self.seconds), **means}
        with (self.options.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        log("  ".join(f"{k} {v:.5g}" for k, v in line.items()))


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return value.name
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value
