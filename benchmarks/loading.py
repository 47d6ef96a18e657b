"""How fast training pairs are made and handed out, and how long a training waits for them.

    python benchmarks/loading.py --data FOLDER [--scale 2] [--side 64] [--step-ms 60]

Two tables: pairs a second for every damage (processor seconds beside it, since machines are
shared), and batches a second of a finished pool by size of batch and patch, with the share of a
training's time that goes into waiting for them, if a step on 16 patches of 48 takes `--step-ms` and
others take time by their pixels.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from remaster.train.degrade import DAMAGES
from remaster.train.loop import fit
from remaster.train.options import TrainOptions
from remaster.train.pairs import PairSettings, Picture, Pool, open_pool
from remaster.train.recipes import MIXTURE

PICTURES = {".png", ".jpg", ".webp"}
BATCHES = ((16, 32), (16, 48), (32, 48), (32, 64), (64, 64))
"""(pairs, side of a patch)."""


class Stack(list[Picture]):
    """Pictures in memory with the folders they came from."""

    def __init__(self, folder: Path, count: int) -> None:
        paths = sorted(p for p in folder.rglob("*") if p.suffix in PICTURES)
        chosen = paths[:: max(len(paths) // count, 1)][:count]
        super().__init__(np.asarray(Image.open(path).convert("RGB")) for path in chosen)
        self.sources = [path.parent.name for path in chosen]

    def shape(self, index: int) -> tuple[int, int]:
        height, width, _ = self[index].shape
        return height, width


@dataclass(frozen=True)
class Building:
    """One pool made."""

    damage: str
    pairs: int
    seconds: float
    cpu_seconds: float

    def row(self) -> str:
        rate, cpu_rate = self.pairs / self.seconds, self.pairs / self.cpu_seconds
        return f"| {self.damage} | {rate:.0f} | {cpu_rate:.0f} |"


def build(
    folder: Path, pictures: Stack, damages: dict[str, float], given: argparse.Namespace
) -> tuple[Pool, Building]:
    """A pool of one mixture of damages; without drawings, which are made once."""
    settings = PairSettings(
        given.scale, given.side, given.pairs, MIXTURE, damages, drawn=given.drawn
    )
    began, cpu = time.perf_counter(), time.process_time()
    pool = open_pool(
        folder,
        {},
        lambda: pictures,
        settings,
        seed=0,
        progress=lambda _: None,
        workers=given.workers,
    )
    took, cpu_took = time.perf_counter() - began, time.process_time() - cpu
    return pool, Building(" + ".join(damages), given.pairs, took, cpu_took)


def seconds_of_batch(pool: Pool, size: int, patch: int, repeats: int = 60) -> float:
    """Median of one `Pool.batch`."""
    rng = np.random.default_rng(0)
    pool.batch(size, patch, rng)
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        pool.batch(size, patch, rng)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def train(recipe: str, data: Path, seconds: float) -> tuple[float, float]:
    """Iterations a second of a real training, and the share of its time spent waiting."""
    with tempfile.TemporaryDirectory() as folder:
        options = TrainOptions(
            (data,), Path(folder, "w.safetensors"), recipe=recipe, max_seconds=seconds, pool=600
        )
        fit(options, lambda line: print(f"  {line}", file=sys.stderr))
        log = (options.folder / "metrics.jsonl").read_text().splitlines()
    last = json.loads(log[-1])
    return last["iteration"] / last["seconds"], last["waiting"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=1200)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--drawn", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=0, help="0: as many as torch has threads")
    parser.add_argument("--recipe", nargs="*", default=["default", "srcnn", "resnet-anime"])
    parser.add_argument("--seconds", type=float, default=30.0, help="of each training")
    given = parser.parse_args()
    pictures = Stack(given.data, given.pictures)
    threads = given.workers or torch.get_num_threads()
    print(f"{len(pictures)} pictures, x{given.scale}, crops of {given.side}, {threads} threads\n")
    print("| damage | pairs/s | pairs a processor second |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("clean", *DAMAGES):
            pool, building = build(Path(folder), pictures, {name: 1.0}, given)
            print(building.row(), flush=True)
        print("\n| batch | batches/s |\n|---|---|")
        for size, patch in BATCHES:
            if patch > given.side:
                continue
            seconds = seconds_of_batch(pool, size, patch)
            print(f"| {size} x {patch} | {1 / seconds:.0f} |")
    print("\n| recipe | iterations/s | waiting |\n|---|---|---|")
    for recipe in given.recipe:
        rate, waiting = train(recipe, given.data, given.seconds)
        print(f"| {recipe} | {rate:.3g} | {waiting:.2%} |", flush=True)


if __name__ == "__main__":
    main()
