"""What a training learns from and is scored on: sources split, pictures kept, pairs pooled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from remaster.denoising import sharpened
from remaster.errors import DataError
from remaster.train.alignment import aligned_pairs
from remaster.train.options import TrainOptions
from remaster.train.pairs import PairSettings, Pictures, Pool, open_pool, pool_of_pairs
from remaster.train.recipes import Recipe
from remaster.train.shards import open_shards
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
        f"{len(kept)} files to learn from; held out for scores: {len(held)}"
        + (f" ({', '.join(held_out)})" if held_out else "")
    )
    described = {
        "files": [_stamp(file) for file in kept],
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
        return Material(pool, (), learnt, ())
    kept_back = open_shards(
        _made(options.folder / "held"),
        _spread(held, 2 * SCORED),
        side=0,
        step=1,
        seed=options.seed,
        log=log,
    )
    chosen = _spread(range(len(kept_back)), SCORED)
    pairs = held_from([kept_back[i] for i in chosen], settings, options.seed)
    names = {file.name_on_cards for file in held} - {file.name_on_cards for file in kept}
    return Material(pool, pairs, learnt, held_out, tuple(sorted(names)))


def _of_releases(
    options: TrainOptions, releases: tuple[Path, Path], settings: PairSettings, log: Log
) -> Material:
    """From an old and a better release of one show; the last tenth of it is held out."""
    found: list[tuple[Picture, Picture]] = []

    def aligned() -> Sequence[tuple[Picture, Picture]]:
        if not found:
            rng = np.random.default_rng(options.seed)
            found.extend(aligned_pairs(*releases, options.enlargement, ALIGNED, rng))
            log(f"{len(found)} pictures are in both {releases[0].name} and {releases[1].name}")
        return found

    if len(aligned()) < 2:
        raise DataError(
            f"hardly a picture of {releases[0].name} was found in {releases[1].name}: are they "
            "the same show?"
        )
    edge = max(len(found) * 9 // 10, 1)
    pool = pool_of_pairs(
        options.folder,
        {"releases": [[p.name, p.stat().st_size] for p in releases]},
        lambda: aligned()[:edge],
        settings,
        seed=options.seed,
        progress=_progress(options.pool, log),
    )
    held = [Held.aligned(old, new) for old, new in _spread(found[edge:], SCORED)]
    return Material(pool, held, tuple(p.name for p in releases), ("the last tenth",))


def _names(files: Sequence[SourceFile]) -> tuple[str, ...]:
    return tuple(sorted({file.source for file in files}))


def _stamp(file: SourceFile) -> list[object]:
    found = file.path.stat()
    return [str(file.path.resolve()), found.st_size, found.st_mtime]


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
