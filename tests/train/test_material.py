"""Material is made once of what it is described by; what is held out is made as what is learnt."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from remaster.errors import DataError
from remaster.train import alignment, material
from remaster.train.material import Material, Sharpened, open_material
from remaster.train.options import TrainOptions
from remaster.train.pairs import Originals, PairSettings, Picture
from remaster.train.shards import NothingUsable, stamps_of
from remaster.train.sources import SourceFile, list_sources
from remaster.train.validation import Held

SMALL = {"batch": 2, "patch": 16}


def smooth(seed: int, height: int = 120, width: int = 160) -> Picture:
    small = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def put(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(smooth(seed)).save(path)
    return path


def opened(options: TrainOptions, said: list[str] | None = None) -> Material:
    options.folder.mkdir(parents=True, exist_ok=True)
    return open_material(options, options.resolved, [].append if said is None else said.append)


def same(one: Material, other: Material) -> bool:
    return np.array_equal(one.pool.lq, other.pool.lq) and all(
        torch.equal(a.lq, b.lq) and torch.equal(a.gt, b.gt)
        for a, b in zip(one.held, other.held, strict=True)
    )


class Films:
    """Two releases, and how often they were aligned."""

    def __init__(self, folder: Path, count: int = 12) -> None:
        self.paths = folder / "old.mkv", folder / "new.mkv"
        for path in self.paths:
            path.write_bytes(b"film")
        self.count, self.aligned, self.fails_after = count, 0, count + 1
        self.options = TrainOptions(
            (), folder / "w.safetensors", pairs=self.paths, pool=10, changes=SMALL
        )

    def pairs(
        self, lq: Path, gt: Path, scale: int, count: int, rng: Any, *, log: Any
    ) -> Iterator[tuple[Picture, Picture]]:
        assert (lq, gt) == self.paths
        self.aligned += 1
        for n in range(self.count):
            if n == self.fails_after:
                raise KeyboardInterrupt
            new = smooth(n)
            yield new[::scale, ::scale], new


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Films:
    found = Films(tmp_path)
    monkeypatch.setattr(alignment, "aligned_pairs", found.pairs)
    return found


def test_releases_are_aligned_once(films: Films) -> None:
    first = opened(films.options)
    assert [len(first.pool), len(first.held), films.aligned] == [10, 2, 1]
    assert same(first, opened(films.options))
    assert films.aligned == 1
    opened(replace(films.options, pool=20))  # another pool of the same pictures
    assert films.aligned == 1


def test_releases_that_changed_are_aligned_again(films: Films) -> None:
    opened(films.options)
    os.utime(films.paths[1], (1, 1))
    opened(films.options)
    films.paths[0].write_bytes(b"another film")
    opened(films.options)
    assert films.aligned == 3
    opened(replace(films.options, scale=4, changes={**SMALL, "patch": 8}))
    opened(replace(films.options, seed=1))
    assert films.aligned == 5


def test_an_alignment_is_whole_or_none(films: Films) -> None:
    films.fails_after = 5
    with pytest.raises(KeyboardInterrupt):
        opened(films.options)
    assert not list((films.options.folder / "aligned").iterdir())
    films.fails_after = 99
    assert len(opened(films.options).held) == 2


def holds(picture: Picture, gt: np.ndarray) -> bool:
    """Whether (3, h, w) is cut out of a picture, at a multiple of four pixels."""
    part = gt.transpose(1, 2, 0)
    windows = np.lib.stride_tricks.sliding_window_view(picture, part.shape)[::4, ::4, 0]
    return bool((windows == part).all((2, 3, 4)).any())


def levels(each: Held) -> np.ndarray:
    return each.gt[0].mul(255).round().byte().numpy()


def test_the_end_of_releases_is_held_out_and_never_learnt(films: Films) -> None:
    found = opened(replace(films.options, pool=16))
    pictures = [smooth(n) for n in range(films.count)]
    for picture, each in zip(pictures[10:], found.held, strict=True):
        assert holds(picture, levels(each))
    for gt in found.pool.gt:
        assert any(holds(picture, gt) for picture in pictures[:10])
        assert not any(holds(picture, gt) for picture in pictures[10:])


def test_a_single_pair_is_too_few(films: Films) -> None:
    films.count = 1
    with pytest.raises(DataError, match=r"hardly a picture of old\.mkv was found in new\.mkv"):
        opened(films.options)
    films.paths[1].unlink()
    with pytest.raises(DataError, match=r"new\.mkv cannot be read: No such file"):
        opened(films.options)


def test_part_and_place_of_a_film_are_in_its_description(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"")
    whole = SourceFile(tmp_path / "a.mkv", ("show",))
    others = [replace(whole, part=(0.0, 0.9)), replace(whole, folders=("all", "show"))]
    stamps = [stamps_of([each]) for each in (whole, *others)]
    assert stamps[0] not in stamps[1:] and stamps[1] != stamps[2]
    assert json.loads(json.dumps(stamps)) == stamps


def test_a_pool_of_a_whole_film_is_none_of_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The film alone is parted in time; beside pictures that are held out it is learnt whole."""
    described: list[Any] = []
    monkeypatch.setattr(
        material, "open_pool", lambda folder, told, *rest, **more: described.append(told)
    )
    film = tmp_path / "data" / "show" / "a.mkv"
    put(tmp_path / "data" / "stills" / "a.png", 0)
    film.parent.mkdir()
    film.write_bytes(b"")
    own = TrainOptions((film,), tmp_path / "w.safetensors", changes=SMALL)
    opened(own)  # nothing of it can be read, so there are no scores
    opened(replace(own, data=(film, tmp_path / "data" / "stills"), hold_out=("stills",)))
    assert described[0]["files"] != described[1]["files"]


def test_sharpened_pictures_are_made_when_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(material, "sharpened", lambda picture: (made.append(1), picture)[1])

    class Plain(list[Picture]):
        sources = ("one", "one")

        def shape(self, index: int) -> tuple[int, int]:
            return 120, 160

    settings = PairSettings(2, 16, 4, {"box": 1.0}, {"clean": 1.0}, drawn=0.0)
    originals = Originals(Sharpened(Plain([smooth(0), smooth(1)])), settings, 0)
    assert not made
    originals.pick(np.random.default_rng(0))
    assert len(made) == 1


def sources(tmp_path: Path) -> Path:
    for n in range(3):
        put(tmp_path / "data" / "learnt" / f"{n}.png", n)
        put(tmp_path / "data" / "kept" / f"{n}.png", 100 + n)
    return tmp_path / "data"


@pytest.mark.parametrize("is_sharpened", [True, False])
def test_the_truth_held_out_is_made_as_the_one_learnt_from(
    tmp_path: Path, is_sharpened: bool
) -> None:
    pytest.importorskip("cv2")
    own = TrainOptions(
        (sources(tmp_path),), tmp_path / "w.safetensors", recipe="srcnn", scale=2, pool=4,
        hold_out=("kept",), changes={**SMALL, "sharpened": is_sharpened},
    )  # fmt: skip
    found = opened(own)
    assert len(found.held) == 3
    for n, each in enumerate(found.held):
        plain = smooth(100 + n)
        truth = material.sharpened(plain) if is_sharpened else plain
        assert holds(truth, levels(each))
        assert holds(plain, levels(each)) != is_sharpened


def test_nothing_held_out_reaches_what_is_learnt(tmp_path: Path) -> None:
    data = sources(tmp_path)
    sprite = np.full((60, 60, 4), 128, np.uint8)
    Image.fromarray(sprite).save(data / "learnt" / "sprite.png")
    own = TrainOptions(
        (data,), tmp_path / "w.safetensors", pool=4, hold_out=("kept",),
        changes={**SMALL, "drawn": 0.0},
    )  # fmt: skip
    opened(own)
    index = json.loads((own.folder / "pictures" / "index.json").read_text())
    assert {entry["source"] for entry in index["entries"]} == {"learnt"}
    assert {Path(name).parent.name for name, *_ in index["described"]["files"]} == {"learnt"}


def test_without_a_usable_picture_held_out_there_are_no_scores(tmp_path: Path) -> None:
    data = sources(tmp_path)
    own = TrainOptions((data,), tmp_path / "w.safetensors", pool=4, changes={**SMALL, "drawn": 0.0})
    held = list_sources([data / opened(own).held_out[0]])
    said: list[str] = []
    for file in held:
        file.path.write_bytes(b"bad")
    assert not opened(own, said).held
    assert sum("there will be no scores" in line for line in said) == 1
    with pytest.raises(NothingUsable):
        opened(replace(own, hold_out=(held[0].source,)))
    for file in held:
        Image.new("RGB", (3, 3)).save(file.path)
    said.clear()
    assert not opened(own, said).held
    assert "there will be no scores: the pictures held out are too small for the scale" in said
