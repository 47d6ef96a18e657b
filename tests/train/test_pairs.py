"""Pairs belong together, a pool is the same however it is made, and hard pairs come more often."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from remaster.errors import DataError, OptionsError
from remaster.resampling import resize
from remaster.train import pairs as module
from remaster.train.degrade import DAMAGES, DOWNSCALE_KERNELS, downscale, to_ycc
from remaster.train.pairs import (
    MOST_CROPS,
    Difficulty,
    Originals,
    PairSettings,
    Picture,
    Pool,
    augment,
    make_pairs,
    open_pool,
    pool_of_pairs,
)
from remaster.train.recipes import MIXTURE


class Stack(list[Picture]):
    """Pictures in memory, as `Shards` has them on disk."""

    def __init__(self, pictures: list[Picture], sources: list[str]) -> None:
        super().__init__(pictures)
        self.sources = sources

    def shape(self, index: int) -> tuple[int, int]:
        height, width, _ = self[index].shape
        return height, width


def smooth(height: int, width: int, seed: int) -> Picture:
    """Soft blobs: every kernel shrinks them to nearly the same."""
    small = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def stack() -> Stack:
    return Stack([smooth(240, 320, i) for i in range(4)], ["one", "one", "one", "two"])


def numbers(**given: Any) -> PairSettings:
    usual: dict[str, Any] = {
        "scale": 2, "side": 32, "count": 30, "kernels": MIXTURE, "damages": {"clean": 1.0},
        "drawn": 0.0,
    }  # fmt: skip
    return PairSettings(**usual | given)


def opened(folder: Path, wanted: PairSettings, *, seed: int = 3, workers: int = 1) -> Pool:
    folder.mkdir(exist_ok=True)
    return open_pool(
        folder, {}, stack, wanted, seed=seed, progress=lambda n: None, workers=workers
    )  # fmt: skip


def same(one: Pool, other: Pool) -> bool:
    return np.array_equal(one.lq, other.lq) and np.array_equal(one.gt, other.gt)


def misfit(lq: np.ndarray, gt: np.ndarray) -> float:
    """Mean difference in luma between lq and gt made small by a box."""
    truth = to_ycc(torch.from_numpy(gt.copy())[None].float() / 255)
    small = resize(truth, lq.shape[1:], "box")[0, 0]
    return float((small - torch.from_numpy(lq[0].copy()).float()).abs().mean())


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("side", [24, 17])
def test_pairs_show_the_same_thing_at_every_scale(tmp_path: Path, scale: int, side: int) -> None:
    pool = opened(tmp_path, numbers(scale=scale, side=side))
    assert pool.lq.shape == (30, 3, side, side)
    assert pool.gt.shape == (30, 3, side * scale, side * scale)
    right = [misfit(lq, gt) for lq, gt in zip(pool.lq, pool.gt)]
    wrong = [misfit(lq, gt) for lq, gt in zip(pool.lq, pool.gt[::-1])]
    assert max(right) < 0.02
    assert np.mean(wrong) > 0.1


@pytest.mark.parametrize("kernel", DOWNSCALE_KERNELS)
def test_every_kernel_and_only_the_chosen_one_is_used(tmp_path: Path, kernel: str) -> None:
    rng = np.random.default_rng(0)
    noise = Stack([rng.integers(0, 255, (128, 128, 3), dtype=np.uint8)], ["one"])

    def made_by(name: str) -> Pool:
        exact = numbers(kernels={name: 1.0}, augment=False, video=0.0, count=6)
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return open_pool(folder, {}, lambda: noise, exact, seed=0, progress=lambda n: None)

    pool, box = made_by(kernel), made_by("box")
    assert np.array_equal(pool.gt, box.gt)
    is_box = kernel in ("box", "opencv-linear")  # the same at 2, but for rounding
    assert (np.abs(pool.lq - box.lq).max() < 0.005) == is_box
    truth = downscale(torch.from_numpy(pool.gt.copy()).float() / 255, 2, kernel).clamp(0, 1)
    off = (to_ycc(truth) - torch.from_numpy(pool.lq.copy()).float()).abs()
    assert off[..., 6:-6, 6:-6].max() < 0.005  # at their borders crops know their neighbours


def test_kernels_vary_in_width_where_pictures_are_augmented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blurs: list[float] = []

    def shrunk(rgb: torch.Tensor, scale: int, kernel: str, kernel_blur: float) -> torch.Tensor:
        blurs.append(kernel_blur)
        return downscale(rgb, scale, kernel, kernel_blur)

    monkeypatch.setattr(module, "downscale", shrunk)
    opened(tmp_path / "varied", numbers(count=100))
    assert 0.95 <= min(blurs) < 0.99 < 1.01 < max(blurs) <= 1.05
    blurs.clear()
    opened(tmp_path / "plain", numbers(augment=False))
    assert set(blurs) == {1.0}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_pairs_still_show_the_same_thing(tmp_path: Path, damage: str) -> None:
    pool = opened(tmp_path, numbers(damages={damage: 1.0}))
    clean = opened(tmp_path / "clean", numbers())
    assert np.array_equal(pool.gt, clean.gt)
    assert not np.array_equal(pool.lq, clean.lq)
    assert max(misfit(lq, gt) for lq, gt in zip(pool.lq, pool.gt)) < 0.1


def test_shares_are_kept(tmp_path: Path) -> None:
    originals = Originals(stack(), numbers(), 0)
    rng = np.random.default_rng(0)
    picked = [originals.pick(rng) for _ in range(600)]
    from_two = sum(np.array_equal(p, originals.pictures[3]) for p in picked) / 600
    assert from_two == pytest.approx(1 / (1 + 3**0.5), abs=0.06)  # the root of 1 to that of 3


def test_video_trips_are_taken_as_often_as_asked(tmp_path: Path) -> None:
    def exact(video: float) -> PairSettings:
        return numbers(video=video, augment=False, count=120, kernels={"box": 1.0})

    still, both, film = (opened(tmp_path / str(v), exact(v)) for v in (0.0, 0.5, 1.0))
    changed = np.array([not np.array_equal(a, b) for a, b in zip(still.lq, film.lq)])
    assert changed.all()
    share = np.mean([np.array_equal(a, b) for a, b in zip(both.lq[:12], film.lq[:12])])
    assert share in (0.0, 1.0)  # a picture's crops go together
    assert 0 < np.mean([np.array_equal(a, b) for a, b in zip(both.lq, still.lq)]) < 1


def test_livelier_crops_are_preferred_but_for_a_share() -> None:
    picture = np.full((256, 256, 3), 90, np.uint8)
    picture[:, 160:] = np.random.default_rng(0).integers(0, 255, (256, 96, 3))
    one = Stack([picture], ["one"])

    def flat_share(flat: float) -> float:
        wanted = numbers(flat=flat, augment=False)
        originals = Originals(one, wanted, 0)
        lists = [make_pairs(originals, wanted, np.random.default_rng(i)) for i in range(12)]
        return float(np.mean([gt.std() < 10 for pairs in lists for _, gt in pairs]))

    assert flat_share(0.0) < 0.2
    assert flat_share(0.0) < flat_share(0.4) < flat_share(1.0)


def test_a_large_picture_gives_more_crops_than_a_small_one() -> None:
    wanted = numbers(augment=False)
    counts = []
    for side in (64, 128, 640):
        originals = Originals(Stack([smooth(side, side, 0)], ["one"]), wanted, 0)
        counts.append(len(make_pairs(originals, wanted, np.random.default_rng(0))))
    assert counts[0] == 1 < counts[1] < counts[2] == MOST_CROPS


def test_drawn_pictures_come_from_the_program(tmp_path: Path) -> None:
    drawn = numbers(drawn=1.0, count=12)
    assert same(opened(tmp_path, drawn), opened(tmp_path / "again", drawn))
    empty = Originals(Stack([], []), drawn, 0)
    assert min(empty.pick(np.random.default_rng(0)).shape[:2]) >= drawn.least_side


def test_threads_do_not_change_a_pool_and_seeds_do(tmp_path: Path) -> None:
    wanted = numbers(damages={"clean": 0.5, "mixed": 0.5}, drawn=0.0, count=60)
    one = opened(tmp_path / "one", wanted)
    assert same(one, opened(tmp_path / "two", wanted, workers=3))
    assert not same(one, opened(tmp_path / "other", wanted, seed=4))


def test_a_table_means_the_same_in_any_order(tmp_path: Path) -> None:
    shares = {"box": 0.5, "lanczos": 0.2, "mitchell": 0.3}
    turned = dict(reversed(shares.items()))
    pools = [
        opened(tmp_path / str(i), numbers(kernels=MappingProxyType(table)))
        for i, table in enumerate((shares, turned))
    ]
    assert same(*pools)


def test_a_pool_is_made_once_for_one_description(tmp_path: Path) -> None:
    made = []

    def make() -> Stack:
        made.append(1)
        return stack()

    def pool(wanted: PairSettings, seed: int = 0, **described: object) -> Pool:
        return open_pool(tmp_path, described, make, wanted, seed=seed, progress=lambda n: None)

    first = pool(numbers(), files="a")
    assert same(first, pool(numbers(), files="a"))
    assert len(made) == 1
    pool(numbers(), files="b")
    pool(numbers(flat=0.5), files="b")
    pool(numbers(flat=0.5), 1, files="b")
    assert len(made) == 4
    (tmp_path / "gt.npy").unlink()
    pool(numbers(flat=0.5), 1, files="b")
    (tmp_path / "lq.npy").write_bytes((tmp_path / "lq.npy").read_bytes()[:5000])
    pool(numbers(flat=0.5), 1, files="b")
    (tmp_path / "pool.json").write_text("{")
    pool(numbers(flat=0.5), 1, files="b")
    assert len(made) == 7
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gt.npy", "lq.npy", "pool.json"]


def test_an_interrupted_pool_is_none(tmp_path: Path) -> None:
    opened(tmp_path, numbers())

    def give_up(done: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_pool(tmp_path, {}, stack, numbers(), seed=9, progress=give_up)
    assert not (tmp_path / "pool.json").exists()
    assert not list(tmp_path.glob("*.part"))
    assert same(opened(tmp_path, numbers(), seed=9), opened(tmp_path / "b", numbers(), seed=9))


def test_a_pool_that_another_program_takes_away_is_said(tmp_path: Path) -> None:
    def take_away(done: int) -> None:
        (tmp_path / "lq.part").unlink(missing_ok=True)

    with pytest.raises(DataError, match="another program"):
        open_pool(tmp_path, {}, stack, numbers(), seed=0, progress=take_away)
    assert not list(tmp_path.iterdir())


def test_pictures_that_are_too_small_are_left_out_and_named_when_all_are() -> None:
    few = stack()
    few.append(smooth(60, 300, 9))
    few.sources.append("small")
    assert list(Originals(few, numbers(), 0).by_source) == ["one", "two"]
    with pytest.raises(DataError, match="none of the 5 pictures has 2000 pixels"):
        Originals(few, numbers(side=1000), 0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kernels": {"spline": 1.0}}, "no downscale kernel 'spline'"),
        ({"damages": {"fire": 1.0}}, "no damage 'fire'"),
        ({"damages": {"clean": 0.0}}, "at least one damage"),
        ({"kernels": {}}, "at least one downscale kernel"),
        ({"kernels": {"box": -1.0}}, "at least 0"),
        ({"drawn": 1.5}, "drawn is a share"),
        ({"count": 0}, "count is at least 1"),
    ],
)
def test_wrong_settings_are_said(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionsError, match=said):
        numbers(**wrong)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), height=st.integers(70, 200), width=st.integers(70, 200))
def test_augmented_pictures_stay_large_enough_and_in_range(
    seed: int, height: int, width: int
) -> None:
    x = augment(smooth(height, width, 0), np.random.default_rng(seed), 64)
    assert min(x.shape[2:]) >= 64
    assert x.shape[2] <= height
    assert x.shape[3] <= width
    assert float(x.min()) >= 0
    assert float(x.max()) < 1 + 1e-6


def checkered() -> Pool:
    """Pairs whose gt is their lq enlarged by repetition, grey."""
    rng = np.random.default_rng(0)
    grey = np.rint(rng.random((6, 1, 40, 40)) * 255) / 255
    lq = np.concatenate([grey, np.zeros((6, 2, 40, 40))], 1)
    gt = np.rint(grey.repeat(3, 1).repeat(2, 2).repeat(2, 3) * 255)
    return Pool(lq.astype(np.float16), gt.astype(np.uint8), 2)


@pytest.mark.parametrize("turned", [True, False])
def test_batches_turn_both_pictures_alike(turned: bool) -> None:
    pool = checkered()
    batch = pool.batch(16, 24, np.random.default_rng(0), turned=turned)
    assert batch.lq.shape == (16, 3, 24, 24)
    assert batch.gt.shape == (16, 3, 48, 48)
    assert batch.lq.dtype == batch.gt.dtype == torch.float32
    assert batch.indices.dtype == torch.int64
    small = resize(batch.gt, (24, 24), "box")
    assert (small[:, :1] - batch.lq[:, :1]).abs().max() < 0.001
    assert 0.5 < float(batch.gt.max()) <= 1


def test_all_eight_turns_and_every_even_offset_occur() -> None:
    pool = Pool(checkered().lq[:1], checkered().gt[:1], 2)
    seen = set()
    for patch, turned, count in ((40, True, 8), (36, False, 9)):
        batch = pool.batch(200, patch, np.random.default_rng(0), turned=turned)
        seen = {x.numpy().tobytes() for x in batch.gt}
        assert len(seen) == count
    first = torch.from_numpy(np.asarray(pool.gt[0, :, :72, :72])).float().div(255)
    assert first.numpy().tobytes() in seen


def test_batches_repeat_with_their_generator() -> None:
    pool = checkered()
    one, two = (pool.batch(5, 16, np.random.default_rng(4)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two))


def learned(count: int = 1000) -> Difficulty:
    """Pairs 0, 10, 20, ... are the hard ones."""
    hard = Difficulty(count, weight=4)
    indices = torch.arange(count)
    for _ in range(Difficulty.UPDATES_BETWEEN):
        hard.update(indices, torch.where(indices % 10 == 0, 1.0, 0.1))
    return hard


def test_hard_pairs_are_drawn_as_often_as_their_weight_says() -> None:
    drawn = learned().draw(200_000, np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=1000)
    assert counts[::10].mean() / np.delete(counts, np.s_[::10]).mean() == pytest.approx(4, rel=0.03)
    even = np.bincount(Difficulty(10).draw(50_000, np.random.default_rng(0)))
    assert even.min() / even.max() > 0.9


def test_what_becomes_easy_is_hard_no_longer() -> None:
    hard = learned()
    indices = torch.arange(1000)
    for _ in range(Difficulty.UPDATES_BETWEEN):
        hard.update(indices, torch.where(indices % 10 == 5, 1.0, 0.1))
    assert set(hard.hard % 10) == {5}
    hard.update(indices[:2], torch.tensor([float("nan"), float("inf")]))
    assert np.isfinite(hard.losses).all()


def test_difficulty_goes_on_from_its_state() -> None:
    old = learned()
    old.update(torch.arange(7), torch.rand(7))
    new = Difficulty(1000)
    new.restore({name: value.clone() for name, value in old.state().items()})
    for hard in (old, new):
        hard.update(torch.arange(30), torch.linspace(0, 5, 30))
        for _ in range(Difficulty.UPDATES_BETWEEN - 2):
            hard.update(torch.arange(3), torch.ones(3))
    assert np.array_equal(old.hard, new.hard)
    draws = [hard.draw(50, np.random.default_rng(1)) for hard in (old, new)]
    assert np.array_equal(*draws)


def test_batches_take_the_hard_ones() -> None:
    pool, hard = checkered(), Difficulty(6, weight=1000)
    hard.hard = np.array([4])
    indices = pool.batch(50, 16, np.random.default_rng(0), hard=hard).indices
    assert (indices == 4).float().mean() > 0.9


def aligned(scale: int = 2) -> list[tuple[Picture, Picture]]:
    news = [smooth(128, 160, i) for i in range(3)]
    return [(new[::scale, ::scale], new) for new in news]


def test_aligned_pictures_make_pairs_that_belong_together(tmp_path: Path) -> None:
    pool = pool_of_pairs(tmp_path, {}, aligned, numbers(), seed=0, progress=lambda n: None)
    assert len(pool) == 30
    assert max(misfit(lq, gt) for lq, gt in zip(pool.lq, pool.gt)) < 0.05
    again = pool_of_pairs(tmp_path / ".", {}, list, numbers(), seed=0, progress=lambda n: None)
    assert same(pool, again)  # kept: nothing was asked for new pictures


def test_aligned_pictures_that_do_not_fit_are_said(tmp_path: Path) -> None:
    def made(pictures: list[tuple[Picture, Picture]], wanted: PairSettings) -> Pool:
        return pool_of_pairs(
            tmp_path, {}, lambda: pictures, wanted, seed=0, progress=lambda n: None
        )  # fmt: skip

    with pytest.raises(DataError, match="--scale 4"):
        made(aligned(), numbers(scale=4, side=8))
    with pytest.raises(DataError, match="none of the 3 pairs"):
        made(aligned(), numbers(side=500))


def test_pictures_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def draw(seed: int, height: int, width: int) -> Picture:
        calls.append(seed)
        return smooth(height, width, seed)

    monkeypatch.setattr(module, "draw_frame", draw)
    monkeypatch.setattr(module, "DRAWINGS", 3)
    originals = Originals(stack(), numbers(drawn=1.0), 0)
    for _ in range(40):
        originals.pick(np.random.default_rng(len(calls)))
    assert len(calls) == len(set(calls)) <= 3


def test_large_drawings_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    usual, large = (Originals(stack(), numbers(drawn=1.0, side=n), 0) for n in (64, 1200))
    assert usual.different == module.DRAWINGS
    height = large.settings.least_side
    assert 0 < large.different * height * height * 4 <= module.DRAWN_BYTES
    monkeypatch.setattr(module, "DRAWN_BYTES", 1)
    assert Originals(stack(), numbers(drawn=1.0), 0).different == 1


def test_no_picture_is_looked_at_for_its_size() -> None:
    class Costly(Stack):
        def __getitem__(self, index: Any) -> Any:
            raise AssertionError("a picture was made")

        def shape(self, index: int) -> tuple[int, int]:
            return (240, 320) if index else (10, 320)

    costly = Costly([smooth(8, 8, 0)] * 3, ["one", "one", "two"])
    assert Originals(costly, numbers(), 0).by_source == {"one": [1], "two": [2]}
