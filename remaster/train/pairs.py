"""Training pairs: clean pictures made small and old, cut into crops, and kept ready in a pool.

A pool is two memory-mapped arrays: `lq` (N, 3, P, P) float16 ycc (BT.709, nominal) and `gt`
(N, 3, P s, P s) uint8 R'G'B'. It is made once from a seed, so that nothing is decoded in the loop.
Every picture has a generator of its own, so how many threads work does not change the pool.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from remaster.errors import DataError, OptionsError
from remaster.train.degrade import (
    DAMAGES,
    DOWNSCALE_KERNELS,
    as_video,
    blur,
    downscale,
    to_uint8,
    to_ycc,
)
from remaster.train.drawing import draw_frame
from remaster.train.sources import Picture
from remaster.transfer import parallel_map

Pair = tuple[NDArray[np.float16], Picture]
"""lq (3, P, P) ycc and gt (3, P s, P s) R'G'B'."""

Pairs = Generator[Pair, None, None]
"""Endless."""

FORMAT = 1
"""Of a pool's files; another number is made anew."""

MOST_CROPS = 12
"""Crops of one picture: they share its kernel, its damage and the cost of both."""

PLACES = 24
"""Places in a picture that are looked at to find the lively ones."""

WINDOW = (640, 1080)
"""Least and greatest side, in gt pixels, of the part of a picture that is worked on."""

DRAWINGS = 200
"""Different pictures the program draws for one pool; each takes some tenths of a second."""

DRAWING_HEIGHTS = (420, 900)
DRAWN_BYTES = 1 << 30
"""Of drawings in memory at most: fewer different ones are made where they must be large."""


class Pictures(Protocol):
    """Clean pictures to learn from, such as `Shards`."""

    @property
    def sources(self) -> Sequence[str]:
        """Of every picture, where it came from."""
        ...

    def __len__(self) -> int: ...

    def shape(self, index: int) -> tuple[int, int]:
        """(height, width), without the cost of the picture."""
        ...

    def __getitem__(self, index: int) -> Picture:
        """(H, W, 3) R'G'B'."""
        ...


@dataclass(frozen=True)
class PairSettings:
    """What pairs are made of. Shares of a table need not add up to 1.

    Raises:
        OptionsError: an unknown name, or a number out of its range.
    """

    scale: int
    side: int
    """Of an lq crop, in pixels."""

    count: int
    kernels: Mapping[str, float]
    """Name of a downscale kernel (`degrade.DOWNSCALE_KERNELS`) -> share."""

    damages: Mapping[str, float]
    """`clean`, or a name of `degrade.DAMAGES` -> share."""

    video: float = 0.7
    """Share of the undamaged pairs that went through 8-bit 4:2:0 planes."""

    drawn: float = 0.35
    """Share of the pictures that the program draws itself."""

    augment: bool = True
    """Whether clean pictures change their size, colour and softness first."""

    flat: float = 0.12
    """Share of the crops taken without looking at how lively they are; 1 is all."""

    def __post_init__(self) -> None:
        for kind, shares, known in (
            ("downscale kernel", self.kernels, set(DOWNSCALE_KERNELS)),
            ("damage", self.damages, {"clean", *DAMAGES}),
        ):
            for name, share in shares.items():
                if name not in known:
                    raise OptionsError(
                        f"there is no {kind} {name!r}; there are {', '.join(sorted(known))}"
                    )
                if not 0 <= share < math.inf:
                    raise OptionsError(f"the share of {kind} {name!r} is at least 0, not {share}")
            if not sum(shares.values()) > 0:
                raise OptionsError(f"at least one {kind} needs a share over 0")
        for name in ("video", "drawn", "flat"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionsError(f"{name} is a share from 0 to 1, not {getattr(self, name)}")
        for name in ("scale", "side", "count"):
            if getattr(self, name) < 1:
                raise OptionsError(f"{name} is at least 1, not {getattr(self, name)}")

    @property
    def least_side(self) -> int:
        """Pixels a clean picture must have each way to give a crop."""
        return (self.side + self.side % 2) * self.scale  # 4:2:0 wants even sizes


class Batch(NamedTuple):
    """What one step learns from."""

    lq: Tensor
    """(B, 3, p, p) float32 ycc (BT.709, nominal)."""

    gt: Tensor
    """(B, 3, p s, p s) float32 R'G'B' in [0, 1]."""

    indices: Tensor
    """(B,) int64: which pairs of the pool, for `Difficulty`."""


class Difficulty:
    """Which pairs are hard: those are drawn more often than the others.

    A moving mean of every pair's loss is kept; the greatest tenth of what has been seen is hard.
    After nunif's sampler, which takes its top tenth so.
    """

    SHARE = 0.1
    DECAY = 0.7
    """Of the old mean when a pair is seen again; a pair comes up too seldom for a slower one."""

    UPDATES_BETWEEN = 50
    """Updates after which the hard ones are looked for again."""

    def __init__(self, count: int, *, weight: float = 4.0) -> None:
        """Of `count` pairs, all unseen; hard ones will come `weight` >= 1 times as often."""
        self.weight = weight
        self.losses = np.full(count, np.nan, np.float32)
        self.hard = np.zeros(0, np.int64)
        self.updates = 0

    def update(self, indices: Tensor, losses: Tensor) -> None:
        """Take in the losses (B,) of the pairs `indices` (B,); what is not finite is left out."""
        which, new = indices.cpu().numpy(), losses.detach().float().cpu().numpy()
        which, new = which[np.isfinite(new)], new[np.isfinite(new)]
        old = self.losses[which]
        self.losses[which] = np.where(np.isnan(old), new, self.DECAY * old + (1 - self.DECAY) * new)
        self.updates += 1
        if self.updates % self.UPDATES_BETWEEN == 0:
            self.hard = self._hardest()

    def _hardest(self) -> NDArray[np.int64]:
        seen = np.flatnonzero(~np.isnan(self.losses))
        order = np.argsort(-self.losses[seen], kind="stable")
        return np.sort(seen[order[: round(self.SHARE * len(seen))]])

    def draw(self, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(size,) indices: each hard pair `weight` times as likely as each of the others."""
        chosen = rng.integers(len(self.losses), size=size)
        surplus = len(self.hard) / len(self.losses) * (self.weight - 1)
        from_hard = rng.random(size) < surplus / (1 + surplus)
        if len(self.hard):
            chosen[from_hard] = self.hard[rng.integers(len(self.hard), size=int(from_hard.sum()))]
        return chosen

    def state(self) -> dict[str, Tensor]:
        """Everything that is remembered, to go on from after `restore`."""
        return {
            "losses": torch.from_numpy(self.losses.copy()),
            "hard": torch.from_numpy(self.hard.copy()),
            "updates": torch.tensor(self.updates),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from the `state` of another of as many pairs."""
        assert state["losses"].shape == self.losses.shape, "a state of another pool"
        self.losses, self.hard = state["losses"].numpy().copy(), state["hard"].numpy().copy()
        self.updates = int(state["updates"])


@dataclass(frozen=True)
class Pool:
    """Pairs ready to train on."""

    lq: NDArray[np.float16]
    gt: Picture
    scale: int

    def __len__(self) -> int:
        return len(self.lq)

    def batch(
        self,
        size: int,
        patch: int,
        rng: np.random.Generator,
        *,
        turned: bool = True,
        hard: Difficulty | None = None,
    ) -> Batch:
        """Random crops of random pairs, lq and gt alike, in one of the 8 flips and turns.

        Args:
            size: B, how many.
            patch: p, the side of an lq crop; at most the pool's. Crops lie at even offsets, as
                the chroma of 4:2:0 does.
            rng: decides everything.
            turned: whether to flip and turn.
            hard: draws the pairs, where given; otherwise all are equally likely.
        """
        chosen = self.draw(size, rng, hard=hard)
        return self.cut(chosen, patch, rng, turned=turned)

    def draw(
        self, size: int, rng: np.random.Generator, *, hard: Difficulty | None = None
    ) -> NDArray[np.int64]:
        """(size,) indices of pairs: all equally likely, or as `hard` has it."""
        return rng.integers(len(self), size=size) if hard is None else hard.draw(size, rng)

    def cut(
        self,
        chosen: NDArray[np.int64],
        patch: int,
        rng: np.random.Generator,
        *,
        turned: bool = True,
    ) -> Batch:
        """Crops of those pairs; the rest as of `batch`."""
        s, room, size = self.scale, self.lq.shape[-1] - patch, len(chosen)
        assert room >= 0, f"the pool's crops have {self.lq.shape[-1]} pixels, not {patch}"
        offsets = rng.integers(room // 2 + 1, size=(size, 2)) * 2
        ways = rng.integers(8, size=size) if turned else np.zeros(size, np.int64)
        lq = np.empty((size, 3, patch, patch), np.float16)
        gt = np.empty((size, 3, patch * s, patch * s), np.uint8)
        for i, (index, (y, x), way) in enumerate(zip(chosen, offsets, ways)):
            lq[i] = _turned(self.lq[index, :, y : y + patch, x : x + patch], int(way))
            rows, columns = (slice(n * s, (n + patch) * s) for n in (y, x))
            gt[i] = _turned(self.gt[index, :, rows, columns], int(way))
        return Batch(
            torch.from_numpy(lq).float(),
            torch.from_numpy(gt).float().div_(255),
            torch.from_numpy(chosen),
        )


def _turned(x: NDArray[np.generic], way: int) -> NDArray[np.generic]:
    """A view of (C, n, n) in one of its 8 flips and turns; 0 is as it is."""
    if way & 1:
        x = x[:, :, ::-1]
    if way & 2:
        x = x[:, ::-1]
    return x.transpose(0, 2, 1) if way & 4 else x


def augment(picture: Picture, rng: np.random.Generator, minimum: int) -> Tensor:
    """A clean (1, 3, H, W) in [0, 1] from a picture: another size, colour and softness.

    Enlarging never happens; H and W stay at least `minimum`.
    """
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        factor = max(rng.uniform(0.5, 1.0), minimum / min(height, width))
        if factor < 1:
            size = (round(width * factor), round(height * factor))
            picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    rgb = as_tensor(picture)
    if rng.random() < 0.1:
        rgb = rgb[:, torch.from_numpy(rng.permutation(3))]
    if rng.random() < 0.5:
        grey = rgb.mean(1, keepdim=True)
        rgb = (grey + (rgb - grey) * rng.uniform(0.3, 1.2)).clamp(0, 1) ** rng.uniform(0.7, 1.4)
    if rng.random() < 0.05:
        rgb = rgb.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    if rng.random() < 0.3:
        rgb = blur(rgb, float(rng.uniform(0.2, 0.7)))
    return rgb.contiguous()


def as_tensor(picture: Picture) -> Tensor:
    """(1, 3, H, W) in [0, 1] of (H, W, 3) uint8."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].float() / 255


class Originals:
    """Clean pictures at random: from the sources by the root of their sizes, or drawn here."""

    def __init__(self, pictures: Pictures, settings: PairSettings, seed: int) -> None:
        """Pictures with a side under `settings.least_side` are left out.

        Raises:
            DataError: no picture is large enough, and not all are drawn.
        """
        self.pictures, self.settings, self.seed = pictures, settings, seed
        self.by_source: dict[str, list[int]] = {}
        for index, source in enumerate(pictures.sources):
            if min(pictures.shape(index)) >= settings.least_side:
                self.by_source.setdefault(source, []).append(index)
        if not self.by_source and settings.drawn < 1:
            raise DataError(
                f"none of the {len(pictures)} pictures has {settings.least_side} pixels on each "
                "side, which the scale and the patch need; give larger ones, or a smaller --patch"
            )
        roots = np.sqrt([len(indices) for indices in self.by_source.values()])
        self.shares = roots / roots.sum() if self.by_source else roots
        height = max(DRAWING_HEIGHTS[1], settings.least_side)
        self.different = max(1, min(DRAWINGS, DRAWN_BYTES // (height * (height * 4 // 3) * 3)))
        self.drawings: dict[int, Picture] = {}

    def pick(self, rng: np.random.Generator) -> Picture:
        """One (H, W, 3)."""
        if rng.random() < self.settings.drawn:
            return self._drawn(int(rng.integers(self.different)))
        sources = list(self.by_source.values())
        indices = sources[rng.choice(len(sources), p=self.shares)]
        return self.pictures[indices[rng.integers(len(indices))]]

    def _drawn(self, number: int) -> Picture:
        if number not in self.drawings:
            rng = np.random.default_rng([self.seed, number])
            height = max(int(rng.integers(*DRAWING_HEIGHTS)), self.settings.least_side)
            seed = int(rng.integers(2**31))
            self.drawings[number] = draw_frame(seed, height, height * 4 // 3)
        return self.drawings[number]


def make_pairs(
    originals: Originals, settings: PairSettings, rng: np.random.Generator
) -> list[Pair]:
    """The crops of one picture, `MOST_CROPS` at most: made small by one kernel, damaged in one way,
    rounded to 8 bits like every film."""
    least = settings.least_side
    places = rng.spawn(1)[0]  # of their own: whatever the damage, the same is shown
    picture = _window(originals.pick(rng), settings, rng)
    rgb = augment(picture, rng, least) if settings.augment else as_tensor(picture)
    height, width = (_whole_blocks(n, settings) for n in rgb.shape[2:])
    gt = to_uint8(rgb[..., :height, :width])
    kernel_blur = float(rng.uniform(0.95, 1.05)) if settings.augment else 1.0
    small = downscale(gt.float() / 255, settings.scale, _choice(settings.kernels, rng), kernel_blur)
    lq = to_ycc(to_uint8(small).float() / 255)
    damage = _choice(settings.damages, rng)
    if damage != "clean":
        lq = DAMAGES[damage](lq, rng)
    elif rng.random() < settings.video:
        lq = as_video(lq)
    return _crops(lq[0].half().numpy(), gt[0].numpy(), settings, places)


def _window(picture: Picture, settings: PairSettings, rng: np.random.Generator) -> Picture:
    """A part of a large picture: what a dozen crops need, and no more work than that."""
    side = int(np.clip(6 * settings.least_side, *WINDOW))
    top, left = (int(rng.integers(max(n - side, 0) + 1)) for n in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def _whole_blocks(size: int, settings: PairSettings) -> int:
    """The part of a side that makes whole blocks of a codec, or at least of 4:2:0. Few sizes also
    mean few resampling matrices, which are kept."""
    blocks = size // (16 * settings.scale) * 16 * settings.scale
    return (
        blocks
        if blocks >= settings.least_side
        else size // (2 * settings.scale) * 2 * settings.scale
    )


def _choice(shares: Mapping[str, float], rng: np.random.Generator) -> str:
    names = sorted(shares)  # a table means the same in any order
    weights = np.array([shares[name] for name in names], np.float64)
    return names[rng.choice(len(names), p=weights / weights.sum())]


def _crops(
    lq: NDArray[np.float16], gt: Picture, settings: PairSettings, rng: np.random.Generator
) -> list[Pair]:
    """Crops at even offsets; a share `flat` of them anywhere, the others the liveliest of some."""
    scale, side = settings.scale, settings.side
    room = [n - side for n in lq.shape[1:]]
    count = round(2 * lq.shape[1] * lq.shape[2] / side**2)
    count = min(max(count - 1, 1), MOST_CROPS)

    def cut(place: tuple[int, int]) -> Pair:
        y, x = place
        truth = gt[:, y * scale : (y + side) * scale, x * scale : (x + side) * scale]
        return lq[:, y : y + side, x : x + side], truth

    def liveliness(place: tuple[int, int]) -> float:
        green = cut(place)[1][1].astype(np.int16)
        return float(sum(np.abs(np.diff(green, axis=axis)).mean() for axis in (0, 1)))

    def somewhere(number: int) -> list[tuple[int, int]]:
        rows, columns = (rng.integers(r // 2 + 1, size=number) * 2 for r in room)
        return [(int(y), int(x)) for y, x in zip(rows, columns)]

    anywhere = int(rng.binomial(count, settings.flat))
    places = somewhere(anywhere)
    if anywhere < count:
        candidates = somewhere(PLACES * count // MOST_CROPS)
        places += sorted(candidates, key=liveliness, reverse=True)[: count - anywhere]
    return [cut(place) for place in places]


def open_pool(
    folder: Path,
    described: Mapping[str, object],
    make_shards: Callable[[], Pictures],
    settings: PairSettings,
    *,
    seed: int,
    progress: Callable[[int], None],
    workers: int = 0,
) -> Pool:
    """The pool kept in `folder`; made there unless one of the same description is.

    Args:
        folder: exists; `pool.json`, `lq.npy` and `gt.npy` go there.
        described: what the pictures are, as JSON; another description makes a new pool.
        make_shards: called only where a pool has to be made.
        settings: part of the description.
        seed: part of the description.
        progress: told how many pairs there are, after each.
        workers: threads that make pairs; 0 is torch's number. The pool does not depend on it.

    Raises:
        DataError: no picture is large enough, or something else writes to the folder.
        OSError: the folder cannot be written.
    """

    def make() -> Pairs:
        originals = Originals(make_shards(), settings, seed)

        def of_picture(number: int) -> list[Pair]:
            return make_pairs(originals, settings, np.random.default_rng([seed, 1, number]))

        threads = workers or torch.get_num_threads()
        with parallel_map(of_picture, itertools.count(), threads) as lists:
            for pairs in lists:
                yield from pairs

    return _kept(folder, {"pictures": described}, make, settings, seed, progress)


def pool_of_pairs(
    folder: Path,
    described: Mapping[str, object],
    make_aligned: Callable[[], Sequence[tuple[Picture, Picture]]],
    settings: PairSettings,
    *,
    seed: int,
    progress: Callable[[int], None],
) -> Pool:
    """A pool of crops of aligned pictures of one thing, old (H, W, 3) and new (H s, W s, 3).

    As `open_pool`, but nothing is made small or damaged: the old picture is what it is. Of the
    settings, `scale`, `side`, `count` and `flat` count.

    Raises:
        DataError: no pair is large enough, or a new picture is not `scale` times the old one.
    """

    def make() -> Pairs:
        aligned = make_aligned()
        for old, new in aligned:
            if new.shape[:2] != tuple(n * settings.scale for n in old.shape[:2]):
                raise DataError(
                    f"a pair of {old.shape[1]}x{old.shape[0]} and {new.shape[1]}x{new.shape[0]} "
                    f"does not fit --scale {settings.scale}"
                )
        large = [i for i, (old, _) in enumerate(aligned) if min(old.shape[:2]) >= settings.side]
        if not large:
            raise DataError(
                f"none of the {len(aligned)} pairs has {settings.side} pixels on each side of the "
                "old picture; give larger ones, or a smaller --patch"
            )
        for number in itertools.count():
            rng = np.random.default_rng([seed, 2, number])
            old, new = aligned[large[rng.integers(len(large))]]
            lq = to_ycc(as_tensor(old))[0].half().numpy()
            yield from _crops(lq, new.transpose(2, 0, 1), settings, rng)

    return _kept(folder, {"aligned": described}, make, settings, seed, progress)


def _kept(
    folder: Path,
    described: Mapping[str, object],
    make: Callable[[], Pairs],
    settings: PairSettings,
    seed: int,
    progress: Callable[[int], None],
) -> Pool:
    """What lies in `folder` if it fits its description, else made; the description is last."""
    numbers = vars(settings) | {
        "kernels": dict(settings.kernels),
        "damages": dict(settings.damages),
    }
    wanted = {"format": FORMAT, "settings": numbers, "seed": seed, **described}
    text = json.dumps(wanted, indent=1, sort_keys=True)
    note, paths = folder / "pool.json", [folder / "lq.npy", folder / "gt.npy"]
    if note.is_file() and note.read_text(errors="replace") == text:
        with contextlib.suppress(OSError, ValueError):
            pool = _read(paths, settings.scale)
            if len(pool) == settings.count:
                return pool
    note.unlink(missing_ok=True)
    parts = [path.with_suffix(".part") for path in paths]
    try:
        _write(parts, make(), settings, progress)
        for part, path in zip(parts, paths):
            part.replace(path)
    except FileNotFoundError as error:
        raise DataError(
            f"{folder} was changed by another program while pairs were written there; let one "
            "training at a time use it"
        ) from error
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    unfinished = note.with_suffix(".part")
    unfinished.write_text(text)
    unfinished.replace(note)
    return _read(paths, settings.scale)


def _read(paths: Sequence[Path], scale: int) -> Pool:
    # Plain views of the maps: slicing a memmap itself takes several times as long.
    lq, gt = (np.asarray(np.load(path, mmap_mode="r")) for path in paths)
    if lq.shape[-1] * scale != gt.shape[-1] or len(lq) != len(gt):
        raise ValueError("arrays of two pools")
    return Pool(lq, gt, scale)


def _write(
    parts: Sequence[Path],
    endless: Pairs,
    settings: PairSettings,
    progress: Callable[[int], None],
) -> None:
    """Fill both arrays from `endless`, which is closed after the last pair."""
    shapes = [(settings.count, 3, n, n) for n in (settings.side, settings.side * settings.scale)]
    lq = np.lib.format.open_memmap(parts[0], "w+", np.float16, shapes[0])
    gt = np.lib.format.open_memmap(parts[1], "w+", np.uint8, shapes[1])
    with contextlib.closing(endless):
        for i, (small, truth) in enumerate(itertools.islice(endless, settings.count)):
            lq[i], gt[i] = small, truth
            progress(i + 1)
    lq.flush()
    gt.flush()
