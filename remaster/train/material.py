"""What a training learns from and is scored on: sources split, pictures kept, pairs pooled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from remaster.denoising import sharpened
from remaster.report import counted
from remaster.train.alignment import kept_pairs
from remaster.train.options import TrainOptions
from remaster.train.pairs import PairSettings, Pictures, Pool, open_pool, pool_of_pairs
from remaster.train.recipes import Recipe
from remaster.train.shards import NothingUsable, open_shards, stamp_of, stamps_of
from remaster.train.sources import Picture, SourceFile, list_sources, split_sources
from remaster.train.validation import Held, held_from

Log = Callable[[str], None]
T = TypeVar("T")

ROOM = 16
"""Source pixels that a kept pair is larger than a patch, each way: where the patch may lie."""

SCORED = 12
"""Held-out pictures that are scored along the way."""

ALIGNED = 240
"""Pictures taken from two releases of a show."""


@dataclass(frozen=True)
class Material:
    """Everything a training sees."""

    pool: Pool
    held: Sequence[Held]
    """What it is scored on; empty where nothing is held out."""

    sources: tuple[str, ...]
    """Folders that were learnt from."""

    held_out: tuple[str, ...]
    """Folders that were held out, all or part of them."""

    held_files: tuple[str, ...] = ()
    """Names on cards of every file, or part of a film, held out."""


class Sharpened:
    """Pictures, each sharpened and denoised as it is asked for."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures, self.sources = pictures, pictures.sources

    def __len__(self) -> int:
        return len(self.pictures)

    def shape(self, index: int) -> tuple[int, int]:
        """(height, width), as they were."""
        return self.pictures.shape(index)

    def __getitem__(self, index: int) -> Picture:
        return sharpened(self.pictures[index])


def open_material(options: TrainOptions, recipe: Recipe, log: Log) -> Material:
    """What lies in the training's folder if it was made of the same, else made anew.

    Raises:
        DataError: nothing usable is there.
    """
    settings = PairSettings(
        scale=options.enlargement,
        side=recipe.patch + ROOM,
        count=options.pool,
        kernels=recipe.kernels,
        damages=recipe.damages,
        video=recipe.video,
        drawn=recipe.drawn,
        augment=recipe.augment,
        flat=recipe.flat,
    )
    if options.pairs is not None:
        return _of_releases(options, options.pairs, settings, log)
    kept, held = split_sources(list_sources(options.data), options.hold_out)
    learnt, held_out = _names(kept), _names(held)
    log(
        f"{counted(len(kept), 'file')} to learn from; held out for scores: {len(held)}"
        + (f" ({', '.join(held_out)})" if held_out else "")
    )
    described = {
        "files": stamps_of(kept),
        "crop": [recipe.crop, recipe.crop_step],
        "sharpened": recipe.sharpened,
    }

    def pictures() -> Pictures:
        shards = open_shards(
            _made(options.folder / "pictures"),
            kept,
            side=recipe.crop,
            step=recipe.crop_step,
            seed=options.seed,
            log=log,
        )
        return Sharpened(shards) if recipe.sharpened else shards

    pool = open_pool(
        options.folder,
        described,
        pictures,
        settings,
        seed=options.seed,
        progress=_progress(options.pool, log),
    )
    if not held:
        log("nothing is held out, so there are no scores: more pictures would change that")
        return Material(pool, (), learnt, ())
    pairs = _held_pairs(options, recipe, held, settings, log)
    names = {file.name_on_cards for file in held} - {file.name_on_cards for file in kept}
    return Material(pool, pairs, learnt, held_out, tuple(sorted(names)))


def _held_pairs(
    options: TrainOptions,
    recipe: Recipe,
    files: Sequence[SourceFile],
    settings: PairSettings,
    log: Log,
) -> list[Held]:
    """What is scored: some of the pictures held out, their truth made as that of the training;
    none where no file that was held out by chance can be used."""
    try:
        shards = open_shards(
            _made(options.folder / "held"),
            _spread(files, 2 * SCORED),
            side=recipe.crop if recipe.sharpened else 0,
            step=recipe.crop_step,
            seed=options.seed,
            log=log,
        )
    except NothingUsable as error:
        if options.hold_out:
            raise
        log(f"there will be no scores: of what is held out, {error}")
        return []
    pictures = Sharpened(shards) if recipe.sharpened else shards
    chosen = _spread(range(len(pictures)), SCORED)
    held = held_from([pictures[i] for i in chosen], settings, options.seed)
    if not held:
        log("there will be no scores: the pictures held out are too small for the scale")
    return held


def _of_releases(
    options: TrainOptions, releases: tuple[Path, Path], settings: PairSettings, log: Log
) -> Material:
    """From an old and a better release of one show; the last tenth of it is held out."""
    pairs = kept_pairs(
        _made(options.folder / "aligned"),
        *releases,
        options.enlargement,
        ALIGNED,
        seed=options.seed,
        log=log,
    )
    edge = max(len(pairs) * 9 // 10, 1)
    pool = pool_of_pairs(
        options.folder,
        {"releases": [stamp_of(path) for path in releases], "edge": edge},
        lambda: [pairs[i] for i in range(edge)],
        settings,
        seed=options.seed,
        progress=_progress(options.pool, log),
    )
    chosen = _spread(range(edge, len(pairs)), SCORED)
    held = [Held.aligned(*pairs[i]) for i in chosen]
    return Material(pool, held, tuple(p.name for p in releases), ("the last tenth",))


def _names(files: Sequence[SourceFile]) -> tuple[str, ...]:
    return tuple(sorted({file.source for file in files}))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of them, evenly."""
    picks = np.linspace(0, len(items) - 1, min(count, len(items)))
    return [items[round(p)] for p in picks]


def _progress(count: int, log: Log) -> Callable[[int], None]:
    def progress(done: int) -> None:
        if done % 2000 == 0:
            log(f"{done} of {count} pairs prepared")

    return progress
