"""Ways of making weights, by name: a network, what it sees, what it is told, how it learns.

Light to import: the command line reads its flags here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from remaster.errors import OptionsError

JUDGES = ("", "discriminator", "critic")
SCHEDULES = ("constant", "cosine", "halving", "tenth")
PIXEL_LOSSES = ("mse", "l1", "charbonnier", "gradient", "fft", "filters", "line", "overshoot")
"""Of a picture and its truth alone, in any colour."""

LOSSES = (*PIXEL_LOSSES, "chroma", "vgg", "artifact", "adversarial", "wasserstein", "matching")
"""`chroma`: Charbonnier of the chroma planes of networks that write planes; `artifact`: LDL against
the moving average; `matching`: of the judge's features."""

OF_DISCRIMINATORS, OF_CRITICS = ("adversarial", "matching"), ("wasserstein", "matching")

NETWORKS = ("celnet", "srcnn", "m-srcnn", "srresnet", "srpggan", "a2n", "upconv_7", "upcunet")
"""Those of `models.MODELS`, which is not light to import."""

HALVINGS = 10
"""Of the learning rate in a training of the schedule `halving`."""


def _no_numbers() -> Mapping[str, Any]:
    return {}


def _clean() -> Mapping[str, float]:
    return {"clean": 1.0}


@dataclass(frozen=True)
class Recipe:
    """How weights are made; each number can be changed by the flag of its name."""

    name: str
    source: str
    """Where the numbers come from."""

    arch: str
    losses: Mapping[str, float]
    """Loss -> weight, of the generator; see `LOSSES`."""

    kernels: Mapping[str, float]
    """Kernel that shrinks the truth -> share."""

    learning_rate: float
    iterations: int
    """How many it takes where no budget is given."""

    batch: int
    patch: int
    """Side of a training patch, in source pixels."""

    network: Mapping[str, Any] = field(default_factory=_no_numbers)
    """Of the network's configuration, beside its scale."""

    scales: tuple[int, ...] = (2,)
    """That the network knows; the first is taken where none is given."""

    crop: int = 0
    """Side of the sub-images that pictures are cut into first; 0 leaves them whole."""

    crop_step: int = 200
    damages: Mapping[str, float] = field(default_factory=_clean)
    """What happens to the small pictures -> share."""

    video: float = 0.0
    """Share of the small pictures that pass 8-bit 4:2:0 planes, as every video does."""

    drawn: float = 0.0
    """Share of pictures that the program draws itself."""

    augment: bool = False
    """Pictures are also shown smaller, in other colours and softer."""

    turned: bool = False
    """Patches are turned and mirrored at random."""

    flat: float = 1.0
    """Share of patches taken wherever they fall; the others are the livelier ones."""

    hard: float = 1.0
    """How many times as often the hardest tenth of the patches is shown."""

    sharpened: bool = False
    """The truth is sharpened and denoised first (extra `opencv`)."""

    judge: str = ""
    """`discriminator` (a logit) or `critic` (Wasserstein); trained beside the generator."""

    judge_variant: str = "code"
    judge_head: str = "convolution"
    judge_slope: float = 0.2
    judge_rate: float = 0.0
    """Learning rate of the judge; 0: the generator's."""

    judge_steps: int = 1
    """Steps of the judge before each of the generator."""

    soft_labels: bool = False
    """Soft labels, one in twenty exchanged."""

    penalty: float = 10.0
    """Weight of a critic's gradient penalty."""

    pretrain: float = 0.0
    """Share of the training by `pretrain_losses` alone, before the judge; none where --start is
    given."""

    pretrain_losses: Mapping[str, float] = field(default_factory=lambda: {"mse": 1.0})
    starts_from: str = ""
    """The recipe whose weights --start must name."""

    stages: tuple[float, ...] = ()
    """Share of the training that each size of a growing network takes."""

    fade: float = 0.2
    """Share of a stage in which it fades in."""

    last_losses: Mapping[str, float] = field(default_factory=_no_numbers)
    """Losses beside the others in the last stage alone."""

    schedule: str = "constant"
    """Of the learning rate: `cosine` to a thousandth, `halving` ten times, a `tenth` from half
    the training on."""

    warm_up: int = 0
    """Iterations in which the learning rate rises from nothing."""

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    """Of Adam."""

    charbonnier_epsilon: float = 1e-3
    clip: float = 0.0
    """Longest gradient; 0: any."""

    ema: float = 0.0
    """Decay of the moving average of the weights, which is what is written; 0: the last ones."""

    keep_best: bool = False
    """The weights that did best on what is held out are written, not the last ones."""

    def __post_init__(self) -> None:
        self._check_losses()
        for name in ("kernels", "damages"):
            shares = getattr(self, name)
            if not shares or not all(0 <= v < math.inf for v in shares.values()):
                raise OptionsError(f"--{name} are names and shares, not {dict(shares)}")
            if sum(shares.values()) <= 0:
                raise OptionsError(f"one of --{name} must have a share over 0")
        self._check_choices()
        self._check_numbers()
        if self.stages and not math.isclose(sum(self.stages), 1, abs_tol=1e-6):
            raise OptionsError(f"--stages are shares that make 1 together, not {self.stages}")

    def _check_losses(self) -> None:
        every = [*self.losses, *self.last_losses, *self.pretrain_losses]
        unknown = sorted(set(every) - set(LOSSES))
        if unknown:
            raise OptionsError(f"there is no loss {unknown[0]!r}; there are {', '.join(LOSSES)}")
        if not any(weight > 0 for weight in self.losses.values()):
            raise OptionsError("a training needs a loss of a weight over 0: --losses mse=1")
        of_judges = sorted({*OF_DISCRIMINATORS, *OF_CRITICS} & set(self.pretrain_losses))
        if of_judges:
            raise OptionsError(f"--pretrain-losses are those before the judge, not {of_judges[0]}")
        if "artifact" in every and not self.ema:
            raise OptionsError("the loss artifact looks at the moving average: give --ema 0.999")
        known = {"": (), "discriminator": OF_DISCRIMINATORS, "critic": OF_CRITICS}.get(self.judge)
        for name in ("adversarial", "wasserstein", "matching"):
            if known is not None and name in self.losses and name not in known:
                wanted = "critic" if name == "wasserstein" else "discriminator"
                raise OptionsError(f"the loss {name} needs --judge {wanted}")
        if self.arch == "srpggan" and "matching" in every:
            raise OptionsError("the critic of srpggan grows, so the loss matching cannot be taken")

    def _check_choices(self) -> None:
        for name, known in (
            ("judge", JUDGES),
            ("schedule", SCHEDULES),
            ("judge_variant", ("code", "poster")),
            ("judge_head", ("convolution", "dense")),
        ):
            if (
                self.arch == "srpggan"
                and name.startswith("judge_")
                and getattr(self, name) != known[0]
            ):
                raise OptionsError(f"the critic of srpggan grows: leave {_flag(name)} out")
            if getattr(self, name) not in known:
                flag, words = _flag(name), ", ".join(known).strip(", ")
                raise OptionsError(f"{flag} is one of {words}, not {getattr(self, name)!r}")

    def _check_numbers(self) -> None:
        for name, least in (("batch", 1), ("iterations", 1), ("judge_steps", 1), ("warm_up", 0),
                            ("crop", 0), ("crop_step", 1)):  # fmt: skip
            if getattr(self, name) < least:
                raise OptionsError(f"{_flag(name)} is at least {least}, not {getattr(self, name)}")
        if self.patch % 2 or self.patch < 8:
            raise OptionsError(f"--patch is an even number from 8 on, not {self.patch}")
        for name in ("video", "drawn", "flat", "pretrain", "fade"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionsError(
                    f"{_flag(name)} is a share from 0 to 1, not {getattr(self, name)}"
                )
        for name in ("ema", "beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionsError(f"{_flag(name)} is from 0 to below 1, not {getattr(self, name)}")
        for name in ("learning_rate", "epsilon", "charbonnier_epsilon"):
            if not 0 < getattr(self, name) <= 1:
                raise OptionsError(f"{_flag(name)} is over 0, at most 1; not {getattr(self, name)}")
        for name in ("clip", "penalty", "judge_rate", "judge_slope"):
            if not 0 <= getattr(self, name) < math.inf:
                raise OptionsError(f"{_flag(name)} is 0 or more, not {getattr(self, name)}")
        if not 1 <= self.hard < math.inf:
            raise OptionsError(f"--hard is 1 or more, not {self.hard}")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


MIXTURE = {"box": 0.3, "catmull-rom": 0.3, "lanczos": 0.2, "triangle": 0.12, "mitchell": 0.08}
"""Nobody knows which kernel made a given master, so none may be relied on."""

BICUBIC = {"catmull-rom": 1.0}
"""Antialiased, as Pillow's and MATLAB's."""

_SRRESNET_ANIME = {"num_blocks": 8, "tail": "prelu", "end": "tanh", "icnr": False}
_SRRESNET_15 = {"num_blocks": 15, "tail": "norm", "end": "linear", "icnr": False}
_SRRESNET_8 = {"num_blocks": 8, "tail": "norm", "end": "linear", "icnr": True}
_ANIME = "anime SRGAN and SRWGAN-GP (poster), its authors' code"
_RESTORATION = "anime restoration with A2N (Chen et al. 2021, arXiv 2104.09497)"
_PHOTO = "SRGAN (Ledig et al. 2017, arXiv 1609.04802) of 15 blocks"
_FACES = "SRResNet, SRGAN, SRWGAN-GP and SRPGGAN on faces"
_MSRCNN = "m-SRCNN, luma of anime enlarged and enhanced"

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "default",
            "remaster's own",
            "celnet",
            {"charbonnier": 1.0, "filters": 0.4, "chroma": 1.0},
            MIXTURE,
            learning_rate=1e-3,
            iterations=40_000,
            batch=16,
            patch=48,
            scales=(2, 4),
            damages={"clean": 0.6, "mixed": 0.4},
            video=0.7,
            drawn=0.35,
            augment=True,
            turned=True,
            flat=0.2,
            schedule="cosine",
            warm_up=500,
            beta2=0.99,
            clip=1.0,
            ema=0.999,
        ),
        Recipe(
            "resnet-anime",
            _ANIME,
            "srresnet",
            {"mse": 1.0},
            BICUBIC,
            learning_rate=1e-3,
            iterations=84_500,  # 500 epochs of 10,816 pictures
            batch=64,
            patch=32,
            network=_SRRESNET_ANIME,
            scales=(4, 2, 8),
        ),
        Recipe(
            "srgan-anime",
            _ANIME,
            "srresnet",
            {"mse": 1.0, "adversarial": 1e-2},
            BICUBIC,
            learning_rate=1e-3,
            iterations=84_500,
            batch=64,
            patch=32,
            network=_SRRESNET_ANIME,
            scales=(4, 2, 8),
            judge="discriminator",
            soft_labels=True,
            pretrain=0.004,  # 2 epochs
        ),
        Recipe(
            "srwgan-gp-anime",
            _ANIME,
            "srresnet",
            {"mse": 1.0, "wasserstein": 1e-3},
            BICUBIC,
            learning_rate=1e-4,
            iterations=169_000,
            batch=32,
            patch=24,
            network=_SRRESNET_ANIME,
            scales=(4, 2, 8),
            judge="critic",
            pretrain=0.004,
        ),
        Recipe(
            "a2n",
            _RESTORATION,
            "a2n",
            {"charbonnier": 1.0},
            BICUBIC,
            learning_rate=5e-4,
            iterations=2_000_000,
            batch=32,
            patch=64,
            scales=(2, 3, 4),
            crop=480,
            crop_step=200,
            turned=True,
            schedule="halving",
            charbonnier_epsilon=1e-6,
        ),
        Recipe(
            "srresnet-15",
            _PHOTO,
            "srresnet",
            {"mse": 1.0},
            BICUBIC,
            learning_rate=1e-4,
            iterations=200_000,
            batch=8,
            patch=64,
            network=_SRRESNET_15,
            scales=(4, 2, 8),
            schedule="tenth",
        ),
        Recipe(
            "srgan-vgg",
            _PHOTO,
            "srresnet",
            {"vgg": 1.0, "adversarial": 1e-3},
            BICUBIC,
            learning_rate=1e-4,
            iterations=200_000,
            batch=8,
            patch=64,
            network=_SRRESNET_15,
            scales=(4, 2, 8),
            judge="discriminator",
            judge_head="dense",
            judge_slope=0.01,
            starts_from="srresnet-15",
            schedule="tenth",
        ),
        Recipe(
            "srresnet-8",
            _FACES,
            "srresnet",
            {"mse": 1.0},
            BICUBIC,
            learning_rate=8e-5,
            iterations=200_000,
            batch=8,
            patch=32,
            network=_SRRESNET_8,
            scales=(4, 2, 8),
        ),
        Recipe(
            "srgan-mix",
            _FACES,
            "srresnet",
            {"mse": 1.0, "vgg": 1.0, "adversarial": 1e-3},
            BICUBIC,
            learning_rate=8e-5,
            iterations=200_000,
            batch=8,
            patch=32,
            network=_SRRESNET_8,
            scales=(4, 2, 8),
            judge="discriminator",
        ),
        Recipe(
            "srwgan-gp-transfer",
            _FACES,
            "srresnet",
            {"mse": 1.0, "vgg": 1.0, "wasserstein": 1e-3},
            BICUBIC,
            learning_rate=8e-5,
            iterations=20_000,
            batch=8,
            patch=32,
            network=_SRRESNET_8,
            scales=(4, 2, 8),
            judge="critic",
            judge_steps=3,
            starts_from="srresnet-8",
        ),
        Recipe(
            "srpggan",
            _FACES,
            "srpggan",
            {"mse": 1.0, "wasserstein": 1e-3},
            BICUBIC,
            learning_rate=8e-5,
            iterations=200_000,
            batch=8,
            patch=32,
            network={"num_blocks": 8},
            scales=(4, 8),
            judge="critic",
            stages=(0.15, 0.25, 0.6),
            last_losses={"vgg": 1.0},
        ),
        Recipe(
            "srcnn",
            _MSRCNN,
            "srcnn",
            {"mse": 1.0},
            {"opencv-linear": 1.0},
            learning_rate=3e-4,
            iterations=300_000,  # 50 epochs of about 200,000 patches
            batch=32,
            patch=16,
            network={"variant": "anime", "enlargement": "bilinear"},
            scales=(2, 3, 4),
            crop=480,
            crop_step=480,
            sharpened=True,
            epsilon=1e-7,
            keep_best=True,
        ),
        Recipe(
            "m-srcnn",
            _MSRCNN,
            "m-srcnn",
            {"mse": 1.0},
            {"opencv-linear": 1.0},
            learning_rate=3e-3,
            iterations=300_000,
            batch=32,
            patch=16,
            network={"enlargement": "bilinear"},
            scales=(2, 3, 4),
            crop=480,
            crop_step=480,
            sharpened=True,
            epsilon=1e-7,
            keep_best=True,
            clip=1.0,  # without normalisation this rate is on the edge
        ),
    )
}
"""Name -> recipe."""

STAGES = {2: (0.3, 0.7), 4: (0.15, 0.25, 0.6), 8: (0.1, 0.15, 0.25, 0.5)}
"""Scale of a growing network -> shares of its stages."""
