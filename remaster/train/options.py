"""What a training is asked to do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from remaster.errors import OptionsError

SIZES: dict[str, dict[int, dict[str, int]]] = {
    "fast": {
        2: {"num_features": 16, "num_blocks": 5, "unshuffle": 1},
        4: {"num_features": 16, "num_blocks": 5, "unshuffle": 1},
    },
}
"""Size -> scale -> CelNet configuration. `fast` costs at most 30 kMAC per source pixel."""


@dataclass(frozen=True)
class TrainOptions:
    """Options of `remaster train`; a checkpoint keeps them."""

    data: tuple[Path, ...]
    """Folders of pictures and videos, or single ones. Each folder with files is one source."""

    output: Path
    """The weights file to write; the training's own folder is beside it, named `.training`."""

    scale: int = 2
    size: str = "fast"

    hold_out: tuple[str, ...] = ()
    """Names of folders never trained on, with all below them; for scores."""

    minutes: float = 35.0
    """How long to train, preparation of the data and pauses not counted."""

    batch: int = 16
    patch: int = 48
    """Side of a training patch, in source pixels."""

    pool: int = 12000
    """Pairs drawn from the data before the first step."""

    drawn: float = 0.35
    """Share of the pairs that come from pictures the program draws itself."""

    damaged: float = 0.4
    """Share of the pairs that went through noise and a lossy codec."""

    learning_rate: float = 1e-3
    ema: float = 0.999
    threads: int = 0
    """Processor threads; 0 takes all."""

    seed: int = 0

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise OptionsError(f"--size is one of {', '.join(SIZES)}, not {self.size!r}")
        if self.scale not in SIZES[self.size]:
            known = ", ".join(str(s) for s in SIZES[self.size])
            raise OptionsError(f"--scale is one of {known} for {self.size}, not {self.scale}")
        if not 0 < self.minutes < math.inf:
            raise OptionsError(f"--minutes must be positive, not {self.minutes}")
        if self.patch % 4 or self.patch < 16:
            raise OptionsError(f"--patch is a multiple of 4 from 16 on, not {self.patch}")
        for name in ("drawn", "damaged"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionsError(f"--{name} is a share from 0 to 1, not {getattr(self, name)}")
        for name, least in (("batch", 1), ("pool", 1), ("threads", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise OptionsError(f"--{name} is at least {least}, not {getattr(self, name)}")
        if not 0 < self.learning_rate <= 1:
            raise OptionsError(f"--learning-rate is over 0, at most 1; not {self.learning_rate}")
        if not 0 <= self.ema < 1:
            raise OptionsError(f"--ema is from 0 to below 1, not {self.ema}")
        if self.output.suffix != ".safetensors":
            raise OptionsError(f"weights are written as .safetensors, not {self.output.name!r}")

    @property
    def folder(self) -> Path:
        """Where the pool, the log and the training state lie."""
        return self.output.with_suffix(".training")
