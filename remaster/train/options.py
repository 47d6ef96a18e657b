"""What a training is asked to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from remaster.errors import OptionsError
from remaster.train.recipes import RECIPES, STAGES, Recipe

SIZES: dict[str, dict[int, dict[str, int]]] = {
    "fast": {
        2: {"num_features": 16, "num_blocks": 5, "unshuffle": 1},
        4: {"num_features": 16, "num_blocks": 5, "unshuffle": 1},
    },
}
"""Size -> scale -> CelNet configuration. `fast` costs at most 30 kMAC per source pixel."""

PRECISIONS = ("auto", "fp32", "bf16", "fp16")

OF_CLEAN_PICTURES = (
    "kernels", "damages", "video", "drawn", "augment", "crop", "crop_step", "sharpened",
)  # fmt: skip
"""Numbers of a recipe that say how clean pictures are cut, made small and damaged; two releases of
a show are what they are."""


def _no_changes() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class TrainOptions:
    """Options of `remaster train`; a checkpoint keeps them."""

    data: tuple[Path, ...]
    """Folders of pictures and videos, or single ones. Each folder with files is one source. Empty
    where `pairs` are given."""

    output: Path
    """The weights file to write; the training's own folder is beside it, named `.training`."""

    recipe: str = "default"
    changes: Mapping[str, Any] = field(default_factory=_no_changes)
    """Field of the recipe -> another value; of `network` and `losses`, entry by entry."""

    scale: int | None = None
    """None: the recipe's first."""

    size: str = "fast"
    """Of the default network; the others have their own numbers."""

    hold_out: tuple[str, ...] = ()
    """Names of folders never trained on, with all below them; none given: chosen."""

    pairs: tuple[Path, Path] | None = None
    """An old and a better release of the same show, to learn from instead of `data`; the end of
    them is held out."""

    start: Path | None = None
    """Weights to begin from instead of fresh ones."""

    vgg: Path | None = None
    """VGG19's weights, for the recipes that use them."""

    iterations: int | None = None
    max_seconds: float | None = None
    """How long to train, preparation of the data and pauses not counted; None: by iterations."""

    pool: int = 12000
    """Pairs drawn from the data before the first step."""

    validate_every: float = 300.0
    """Seconds of training between scores on what is held out."""

    overwrite: bool = False
    """Replace weights that are there and were not written by the training in `folder`."""

    device: str = "auto"
    precision: str = "auto"
    tensorboard: bool = False
    threads: int = 0
    """Processor threads; 0 takes all."""

    seed: int = 0

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            known = ", ".join(RECIPES)
            raise OptionsError(f"there is no recipe {self.recipe!r}; there are {known}")
        if self.size not in SIZES:
            raise OptionsError(f"--size is one of {', '.join(SIZES)}, not {self.size!r}")
        if self.iterations is not None and self.max_seconds is not None:
            raise OptionsError("--iterations and --max-seconds both say when to end: give one")
        if self.max_seconds is not None and not 0 < self.max_seconds < math.inf:
            raise OptionsError(f"--max-seconds must be positive, not {self.max_seconds}")
        if not 0 < self.validate_every < math.inf:
            raise OptionsError(f"--validate-every must be positive, not {self.validate_every}")
        for name, least in (("iterations", 1), ("pool", 1), ("threads", 0), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise OptionsError(f"--{name} is at least {least}, not {value}")
        if self.precision not in PRECISIONS:
            raise OptionsError(f"--precision is {', '.join(PRECISIONS)}; not {self.precision!r}")
        if self.output.suffix != ".safetensors":
            raise OptionsError(f"weights are written as .safetensors, not {self.output.name!r}")
        if not self.data and self.pairs is None:
            raise OptionsError("give folders of pictures and videos to learn from, or --pairs")
        self._check_pairs()
        self._check_scale()
        self._check_start()
        self._check_unused()

    def _check_pairs(self) -> None:
        if self.pairs is None:
            return
        if self.data:
            raise OptionsError(
                f"--pairs are learnt from instead of other material: leave out {self.data[0]}, or "
                "--pairs"
            )
        if self.hold_out:
            raise OptionsError(
                "of --pairs the last tenth is held out, and no folder: leave out --hold-out"
            )
        wrong = [name for name in OF_CLEAN_PICTURES if name in self.changes]
        if wrong:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in wrong)
            raise OptionsError(
                f"{flags} would change how clean pictures are made small and old, which --pairs "
                "are already: leave that out"
            )

    def _check_scale(self) -> None:
        scales = RECIPES[self.recipe].scales
        if self.scale is not None and self.scale not in scales:
            known = ", ".join(map(str, sorted(scales)))
            raise OptionsError(f"--scale is one of {known} for {self.recipe}, not {self.scale}")
        stages = self.resolved.stages
        if stages and len(stages) != math.log2(self.enlargement) + 1:
            needed = round(math.log2(self.enlargement)) + 1
            raise OptionsError(f"x{self.enlargement} grows in {needed} --stages, not {len(stages)}")

    def _check_start(self) -> None:
        needed = RECIPES[self.recipe].starts_from
        if needed and self.start is None:
            raise OptionsError(
                f"{self.recipe} goes on from weights that {needed} made: train those first, then "
                "give them with --start"
            )

    def _check_unused(self) -> None:
        """Raise OptionsError for what would be given in vain."""
        recipe = self.resolved
        every = {**recipe.losses, **recipe.last_losses, **recipe.pretrain_losses}
        if self.vgg is not None and not every.get("vgg"):
            raise OptionsError(
                f"{self.recipe} asks no VGG19: leave --vgg out, or add --losses vgg=1"
            )
        of_judges = [n for n in self.changes if n.startswith(("judge_", "soft", "pen", "pretrain"))]
        if of_judges and not recipe.judge:
            flag = of_judges[0].replace("_", "-")
            raise OptionsError(f"{self.recipe} has no judge, so --{flag} does nothing: add --judge")

    @property
    def enlargement(self) -> int:
        """Output pixels per source pixel, along each axis."""
        return RECIPES[self.recipe].scales[0] if self.scale is None else self.scale

    @property
    def resolved(self) -> Recipe:
        """The recipe with everything that was changed.

        Raises:
            OptionsError: a change that makes no sense.
        """
        recipe = RECIPES[self.recipe]
        known = {each.name for each in fields(Recipe)} - {"name", "source"}
        wrong = sorted(set(self.changes) - known)
        if wrong:
            raise OptionsError(f"a recipe has no number {wrong[0]!r}")
        changes = dict(self.changes)
        if changes.get("arch", recipe.arch) != recipe.arch:
            recipe = replace(recipe, network={})
        for name in ("network", "losses", "last_losses"):
            if name in changes:
                changes[name] = {**getattr(recipe, name), **changes[name]}
        grows = changes.get("arch", recipe.arch) == "srpggan"
        if "stages" not in changes:
            changes["stages"] = STAGES.get(self.enlargement, ()) if grows else ()
        elif not grows:
            raise OptionsError("--stages are for a network that grows: --recipe srpggan")
        if self.iterations is not None:
            changes["iterations"] = self.iterations
        return replace(recipe, **changes)

    @property
    def network(self) -> dict[str, Any]:
        """The configuration of the network."""
        recipe = self.resolved
        own = SIZES[self.size].get(self.enlargement, {}) if recipe.arch == "celnet" else {}
        return {"scale": self.enlargement, **own, **recipe.network}

    @property
    def folder(self) -> Path:
        """Where the pool, the log, the sheets and the training state lie."""
        return self.output.with_suffix(".training")
