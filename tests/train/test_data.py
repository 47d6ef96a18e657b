"""Pairs belong together, pools are kept, and held-out sources stay out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from remaster.errors import DataError
from remaster.resampling import resize
from remaster.train.data import (
    Album,
    Pool,
    list_sources,
    open_pool,
    pairs,
    read_picture,
    read_scattered,
    split_sources,
    to_ycc,
)
from tests.clips import make_clip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for source in ("one", "two"):
        (tmp_path / source).mkdir()
        for i in range(2):
            small = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
            image = Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC)
            image.save(tmp_path / source / f"{i}.png")
    sprite = rng.integers(0, 255, (200, 180, 4), dtype=np.uint8)
    Image.fromarray(sprite).save(tmp_path / "two" / "sprite.png")
    return tmp_path


def album(folder: Path, drawn: float = 0.0) -> Album:
    return Album(list_sources([folder]), drawn=drawn, least_side=104)


def test_sources_are_folders_and_everything_is_found(folder: Path) -> None:
    make_clip(folder / "two" / "clip.mp4", frames=4)
    (folder / "notes.txt").write_text("no picture")
    found = list_sources([folder])
    assert [f.source for f in found] == ["one"] * 2 + ["two"] * 4


def test_what_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        list_sources([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="no pictures"):
        list_sources([tmp_path])
    (tmp_path / "bad.png").write_bytes(b"bad")
    with pytest.raises(DataError, match=r"bad\.png"):
        read_picture(tmp_path / "bad.png")


def test_opaque_alpha_is_dropped(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), 255, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").shape == (4, 4, 3)


@pytest.mark.parametrize("has_decord", [True, False])
def test_scattered_frames_are_the_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_decord: bool
) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=20, options={"crf": "5"})
    if has_decord:
        pytest.importorskip("decord")
    else:
        monkeypatch.setitem(sys.modules, "decord", None)
    frames = read_scattered(path, 5, np.random.default_rng(0))
    assert len(frames) == 5
    assert all(f.shape == (48, 64, 3) and f.dtype == np.uint8 for f in frames)
    assert len({f.tobytes() for f in frames}) == 5


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("damaged", [0.0, 1.0])
def test_pairs_show_the_same_thing(folder: Path, scale: int, damaged: float) -> None:
    endless = pairs(album(folder), scale, 24, damaged, np.random.default_rng(1))
    for _, (lq, gt) in zip(range(30), endless):
        assert lq.shape == (3, 24, 24)
        assert gt.shape == (3, 24 * scale, 24 * scale)
        truth = to_ycc(torch.from_numpy(gt)[None].float() / 255)
        small = resize(truth, (24, 24), "box")
        assert (small[0, 0] - torch.from_numpy(lq[0]).float()).abs().mean() < 0.12


def test_a_pool_is_built_once(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "pool"
    place.mkdir()
    albums = []

    def make() -> Album:
        albums.append(album(folder, drawn=0.3))
        return albums[-1]

    def pool(description: dict[str, object]) -> Pool:
        return open_pool(
            place, description, make, count=20, scale=2, side=32, damaged=0.5, seed=3,
            progress=lambda n: None,
        )  # fmt: skip

    first, again = pool({"files": "a"}), pool({"files": "a"})
    assert len(albums) == 1
    assert np.array_equal(first.lq, again.lq)
    pool({"files": "b"})
    assert len(albums) == 2


def test_held_out_folders_take_all_below_them(folder: Path) -> None:
    (folder / "two" / "inner").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "two" / "inner" / "deep.png")
    kept, held = split_sources(list_sources([folder]), ["two"])
    assert {f.source for f in kept} == {"one"}
    assert {f.source for f in held} == {"two", "inner"}
    with pytest.raises(DataError, match="twoo"):
        split_sources(list_sources([folder]), ["twoo"])
    with pytest.raises(DataError, match="nothing is left"):
        split_sources(list_sources([folder]), ["one", "two"])


def test_pictures_that_are_too_small_are_counted(folder: Path) -> None:
    Image.new("RGB", (30, 30)).save(folder / "one" / "small.png")
    assert album(folder).too_small == 1
    with pytest.raises(DataError, match="5000 pixels"):
        Album(list_sources([folder]), drawn=0.5, least_side=5000)


def test_batches_turn_both_pictures_alike() -> None:
    rng = np.random.default_rng(0)
    lq = rng.random((6, 1, 40, 40)).repeat(3, 1).astype(np.float16)
    lq[:, 1:] = 0
    grey = np.rint(lq[:, :1].repeat(3, 1).repeat(2, 2).repeat(2, 3).astype(np.float32) * 255)
    pool = Pool(lq, grey.astype(np.uint8), 2)
    small, big = pool.batch(8, 24, rng)
    assert small.shape == (8, 3, 24, 24)
    assert big.shape == (8, 3, 48, 48)
    assert (resize(big, (24, 24), "box") - small).abs().max() < 0.01
