"""A set of pictures is what the files hold, made once, whole or not at all."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from remaster.cli import main
from remaster.errors import DataError, OptionsError
from remaster.frames import PixelLayout
from remaster.resampling import KERNELS
from remaster.train import shards as module
from remaster.train.shards import (
    NothingUsable,
    Shards,
    open_shards,
    sub_images,
    write_h5,
    write_pictures,
)
from remaster.train.sources import list_sources, split_sources
from tests.clips import make_clip


def noise(rng: np.random.Generator, height: int = 60, width: int = 80) -> np.ndarray:
    return rng.integers(0, 255, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    for source in ("one", "two"):
        (folder / source).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(noise(rng, 60 + i)).save(folder / source / f"{i}.png")
    return folder


def shards_of(data: Path, said: list[str] | None = None, **changed: int) -> Shards:
    numbers = {"side": 0, "step": 0, "seed": 0, **changed}
    log = [].append if said is None else said.append
    return open_shards(data.parent / "set", list_sources([data]), log=log, **numbers)


def test_pictures_come_back_as_they_were(data: Path) -> None:
    shards = shards_of(data)
    assert len(shards) == 6
    assert shards.sources == ("one",) * 3 + ("two",) * 3
    for entry, picture in zip(shards.entries, shards):
        assert np.array_equal(picture, np.asarray(Image.open(data / entry.source / entry.name)))
        assert not picture.flags.writeable


def test_pictures_go_on_in_another_file(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [picture.copy() for picture in shards_of(data)]
    monkeypatch.setattr(module, "SHARD_BYTES", 40_000)
    shards = shards_of(data, seed=1)
    assert len({entry.shard for entry in shards.entries}) == 3
    assert all(np.array_equal(a, b) for a, b in zip(whole, shards, strict=True))


def test_a_set_is_made_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards_of(data)
    made = []
    original = module._make
    monkeypatch.setattr(module, "_make", lambda *args: (made.append(1), original(*args)))
    shards_of(data)
    assert not made
    (data.parent / "set" / "pictures-000.u8").unlink()
    shards_of(data)
    assert len(made) == 1
    Image.fromarray(noise(np.random.default_rng(1))).save(data / "one" / "new.png")
    assert len(shards_of(data)) == 7
    shards_of(data, side=40, step=20)
    assert len(made) == 3
    (data.parent / "set" / "index.json").write_text("{")
    shards_of(data, side=40, step=20)
    assert len(made) == 4


def test_a_broken_making_leaves_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module._Gathering, "_report", fail)
    with pytest.raises(KeyboardInterrupt):
        shards_of(data)
    assert not list((data.parent / "set").iterdir())


def test_a_damaged_file_stops_nothing(data: Path) -> None:
    (data / "two" / "bad.png").write_bytes(b"bad")
    (data / "two" / "bad.mkv").write_bytes(b"bad")
    said: list[str] = []
    assert len(shards_of(data, said)) == 6
    (line,) = [line for line in said if "left out" in line]
    assert line.startswith("2 of 8 files cannot be used and are left out: bad.mkv (")
    assert "bad.png (cannot be read as a picture" in line


def test_nothing_left_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bad.png").write_bytes(b"bad")
    with pytest.raises(DataError, match=r"the only file gives no picture.*bad\.png"):
        shards_of(tmp_path / "data")
    assert not list((tmp_path / "set").iterdir())


def test_a_set_that_another_program_changes_is_said(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = module._make

    def disturbed(folder: Path, *rest: Any) -> None:
        original(folder, *rest)
        (folder / "pictures-000.u8").unlink()

    monkeypatch.setattr(module, "_make", disturbed)
    with pytest.raises(DataError, match="another program"):
        shards_of(data)


def test_what_gives_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    Image.new("RGBA", (50, 40)).save(tmp_path / "data" / "clear.png")
    drawn(400).resize((400, 400), Image.Resampling.BICUBIC).save(tmp_path / "data" / "small.png")
    said: list[str] = []
    with pytest.raises(
        NothingUsable, match=r"none of the 2 files.*clear\.png \(wholly transparent"
    ):
        shards_of(tmp_path / "data", said)
    assert not said
    (tmp_path / "data" / "clear.png").unlink()
    with pytest.raises(NothingUsable, match=r"the only file.*upscaled is too small"):
        shards_of(tmp_path / "data")


def test_sizes_are_known_without_the_pictures(data: Path) -> None:
    shards = shards_of(data, side=40, step=20)
    assert [shards.shape(n) for n in range(len(shards))] == [p.shape[:2] for p in shards]


def test_a_place_that_cannot_be_written_is_said(data: Path) -> None:
    (data.parent / "set").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be kept in"):
        shards_of(data)


@pytest.mark.parametrize(
    ("height", "width", "count"), [(1024, 1024, 9), (480, 679, 1), (470, 900, 1)]
)
def test_sub_images_lie_on_a_grid(height: int, width: int, count: int) -> None:
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack([y % 256, x % 256, (y // 256) * 8 + x // 256], 2).astype(np.uint8)
    placed = list(sub_images(picture, 480, 200))
    parts = [part for _, part in placed]
    assert len(parts) == count
    if height < 480:
        assert parts[0].shape == picture.shape
    else:
        corners = {(int(p[0, 0, 0]), int(p[0, 0, 1]), int(p[0, 0, 2])) for p in parts}
        assert len(corners) == count
        assert all(p.shape == (480, 480, 3) for p in parts)
        for (top, left), part in placed:
            assert np.array_equal(part, picture[top : top + 480, left : left + 480])


def test_sprites_stand_on_the_pictures_or_on_ramps(data: Path) -> None:
    sprite = np.zeros((70, 60, 4), np.uint8)
    sprite[10:40, 5:45] = (9, 200, 30, 255)
    Image.fromarray(sprite).save(data / "one" / "0sprite.png")
    shards, again = shards_of(data), shards_of(data, step=1)
    found = [n for n, entry in enumerate(shards.entries) if entry.name == "0sprite.png"]
    assert len(found) == module.GROUNDS
    assert all(np.array_equal(shards[n], again[n]) for n in found)
    for n in found:
        assert shards[n].shape == (30, 40, 3)
        assert (shards[n] == (9, 200, 30)).all()


def test_half_transparent_pixels_show_the_ground(data: Path) -> None:
    sprite = np.full((30, 40, 4), 128, np.uint8)
    Image.fromarray(sprite).save(data / "one" / "sprite.png")
    shards = shards_of(data)
    composed = shards[len(shards) - 1].astype(int)
    assert composed.min() >= 63 and composed.max() <= 192
    assert composed.std() > 5


def drawn(side: int) -> Image.Image:
    """Hard-edged flat discs: detail up to the finest frequencies."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:side, 0:side]
    picture = np.full((side, side, 3), 200, np.uint8)
    for _ in range(150):
        cy, cx, radius = rng.integers(0, side), rng.integers(0, side), rng.integers(9, 60)
        picture[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = rng.integers(0, 255, 3)
    return Image.fromarray(picture).resize((side // 2, side // 2), Image.Resampling.LANCZOS)


def test_upscaled_pictures_are_brought_back_or_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    drawn(1600).save(folder / "true.png")
    drawn(800).resize((800, 800), Image.Resampling.BICUBIC).save(folder / "up.png")
    drawn(400).resize((400, 400), Image.Resampling.BICUBIC).save(folder / "small.png")
    said: list[str] = []
    shards = shards_of(folder, said)
    assert {e.name: e.height for e in shards.entries} == {"true.png": 800, "up.png": 400}
    assert "1 pictures had been upscaled and are taken at half their size" in said
    assert "1 upscaled pictures are too small for that and left out" in said


def test_large_jpegs_are_halved(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(noise(rng, 1400, 1502)).save(folder / "large.jpg")
    Image.fromarray(noise(rng, 1398, 1500)).save(folder / "small.jpg")
    sizes = {e.name: (e.height, e.width) for e in shards_of(folder).entries}
    assert sizes == {"large.jpg": (700, 751), "small.jpg": (1398, 1500)}


def test_written_pictures_are_read_again(data: Path, tmp_path: Path) -> None:
    Image.fromarray(noise(np.random.default_rng(2))).save(data / "one" / "0.webp", lossless=True)
    shards = shards_of(data)
    assert write_pictures(shards, tmp_path / "out") == 7
    found = list_sources([tmp_path / "out"])
    assert [f.source for f in found] == ["one"] * 4 + ["two"] * 3
    assert {np.asarray(Image.open(f.path)).tobytes() for f in found} == {
        p.tobytes() for p in shards
    }


def test_h5_holds_sub_images_and_is_data_again(data: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    shards = shards_of(data, side=40, step=20)
    path = tmp_path / "h5" / "set.h5"
    path.parent.mkdir()
    count, left_out = write_h5(shards, path, side=40, kernel="box")
    assert (count, left_out) == (len(shards), 0)
    with h5py.File(path) as file:
        assert file.attrs["kernel"] == "box"
        assert file["hr"].shape == (count, 40, 40, 3) and file["hr"].chunks == (1, 40, 40, 3)
        assert file["lr_x4"].shape == (count, 10, 10, 3)
        means = file["hr"][:].reshape(count, 20, 2, 20, 2, 3).astype(float).mean((2, 4))
        assert np.abs(file["lr_x2"][:] - means).max() <= 0.5
    again = open_shards(
        tmp_path / "again", list_sources([path]), side=0, step=0, seed=0, log=lambda _: None
    )
    assert all(np.array_equal(a, b) for a, b in zip(shards, again, strict=True))


def test_what_an_h5_cannot_be_is_said(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = shards_of(data)
    with pytest.raises(OptionsError, match=", ".join(KERNELS)):
        write_h5(shards, tmp_path / "a.h5", side=40, kernel="sinc")
    with pytest.raises(OptionsError, match="multiple of 4"):
        write_h5(shards, tmp_path / "a.h5", side=42, kernel="box")
    with pytest.raises(DataError, match="40 pixels"):
        write_h5(shards, tmp_path / "a.h5", side=40, kernel="box")
    monkeypatch.setitem(sys.modules, "h5py", None)
    (data / "one" / "a.h5").write_bytes(b"")
    said: list[str] = []
    shards_of(data, said)
    assert any("a.h5 (HDF5 files need h5py; pip install 'remaster[h5]')" in line for line in said)


def test_an_archive_of_another_kind_is_left_out(data: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(data / "one" / "a.h5", "w") as file:
        file["hr"] = np.zeros((2, 8, 8), np.uint8)
    said: list[str] = []
    assert len(shards_of(data, said)) == 6
    assert any("a.h5 (holds no dataset hr of uint8" in line for line in said)


def test_the_index_names_files_and_times(data: Path) -> None:
    shards_of(data)
    index = json.loads((data.parent / "set" / "index.json").read_text())
    assert {e["name"] for e in index["entries"]} == {"0.png", "1.png", "2.png"}
    assert all(e["time"] is None for e in index["entries"])


def test_frames_of_films_are_there_with_their_times(data: Path) -> None:
    make_clip(data / "two" / "clip.mkv", size=(192, 144), frames=75, picture=cut_picture, audio=())
    make_clip(data / "two" / "black.mkv", size=(192, 144), frames=50, picture=black, audio=())
    said: list[str] = []
    shards = shards_of(data, said)
    times = [entry.time for entry in shards.entries if entry.name == "clip.mkv"]
    assert times and times == sorted(set(times)) and all(0 <= t < 3 for t in times)
    assert any("black.mkv (no frame in it is sharp and new)" in line for line in said)


def black(_index: int, layout: PixelLayout, size: tuple[int, int]) -> list[np.ndarray]:
    return [np.full(shape, 16, np.uint16) for shape in layout.plane_shapes(*size)]


def cut_picture(index: int, layout: PixelLayout, size: tuple[int, int]) -> list[np.ndarray]:
    """Hard squares, others each half second."""
    rng = np.random.default_rng(index // 12)
    planes = []
    for rows, columns in layout.plane_shapes(*size):
        cells = rng.integers(30, 220, (-(-rows // 12), -(-columns // 12)))
        planes.append(np.kron(cells, np.ones((12, 12)))[:rows, :columns].astype(np.uint16))
    return planes


def test_numbers_that_make_no_sub_images_are_said(data: Path) -> None:
    for numbers in ({"side": -1}, {"side": 40, "step": 0}):
        with pytest.raises(OptionsError, match="--side"):
            shards_of(data, **numbers)


def harvest(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["harvest", *map(str, arguments)])


def test_the_command_writes_pictures(data: Path, tmp_path: Path) -> None:
    done = harvest(data, "-o", tmp_path / "out", "--side", "40", "--step", "20")
    assert done.exit_code == 0, done.output
    found = list_sources([tmp_path / "out"])
    assert f"wrote {len(found)} pictures" in done.output
    assert {np.asarray(Image.open(f.path)).shape for f in found} == {(40, 40, 3)}
    assert {path.name for path in tmp_path.iterdir()} == {"data", "out"}


def test_parts_of_a_picture_are_named_for_it(data: Path, tmp_path: Path) -> None:
    """Parts of one picture have its name, and two pictures never the same."""
    Image.fromarray(noise(np.random.default_rng(1), 70)).save(
        data / "one" / "0.webp", lossless=True
    )
    sprite = np.zeros((90, 90, 4), np.uint8)
    sprite[...] = (9, 200, 30, 128)
    Image.fromarray(sprite).save(data / "two" / "sprite.png")
    Image.fromarray(sprite[:30, :30]).save(data / "two" / "small.png")
    shards = shards_of(data, side=40, step=20)
    assert write_pictures(shards, tmp_path / "out") == len(shards)
    found = list_sources([tmp_path / "out"])
    assert len(found) == len(shards)
    names: dict[str, set[str]] = {}
    for file in found:
        stem = f"{file.source}/{file.path.stem.partition('~')[0]}"
        names.setdefault(stem, set()).add(file.path.stem.partition("~")[2])
    assert sorted(names) == [
        "one/0-0001", "one/0-0002", "one/1-0001", "one/2-0001", "two/0-0001", "two/1-0001",
        "two/2-0001", "two/small-0001", "two/sprite-0001",
    ]  # fmt: skip
    assert names["one/1-0001"] == {"0~0", "0~20", "0~40", "20~0", "20~20", "20~40"}
    assert names["two/small-0001"] == {"0~0~0", "0~0~1"}
    assert {"0~0~0", "0~0~1", "20~40~0"} < names["two/sprite-0001"]
    kept, held = split_sources([f for f in found if f.source == "one"], [])
    stems = [{f.path.stem.partition("~")[0] for f in part} for part in (kept, held)]
    assert stems[1] and not stems[0] & stems[1]


def test_the_command_writes_an_h5(data: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    Image.fromarray(noise(np.random.default_rng(1), 30)).save(data / "one" / "small.png")
    out = tmp_path / "new" / "out.h5"
    done = harvest(data, "-o", out, "--side", "40", "--step", "20", "--kernel", "lanczos")
    assert done.exit_code == 0, done.output
    assert "1 pictures smaller than 40 pixels are left out" in done.output
    with h5py.File(out) as file:
        assert set(file) == {"hr", "lr_x2", "lr_x4"} and file.attrs["kernel"] == "lanczos"
    assert [path.name for path in out.parent.iterdir()] == ["out.h5"]


def test_the_command_fails_in_a_sentence(data: Path, tmp_path: Path) -> None:
    for code, arguments in (
        (1, (tmp_path / "nowhere", "-o", tmp_path / "out")),
        (2, (data, "-o", tmp_path / "out.h5", "--kernel", "sinc")),
        (2, (data, "-o", tmp_path / "out", "--side", "-3")),
        (1, (data, "-o", data / "one" / "0.png" / "out")),
    ):
        done = harvest(*arguments)
        assert done.exit_code == code, done.output
        assert len(done.output.strip().splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


def test_two_harvests_never_mix(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert harvest(data, "-o", out, "--side", "40", "--step", "40").exit_code == 0
    before = {path: path.read_bytes() for path in out.rglob("*.png")}
    for flags in ((), ("-y",)):
        again = harvest(data, "-o", out, "--side", "20", "--step", "20", *flags)
        assert again.exit_code == 1
        assert len(again.output.strip().splitlines()) == 1
        assert f"{out} is not empty" in again.output
    assert {path: path.read_bytes() for path in out.rglob("*.png")} == before


def test_an_h5_is_replaced_where_it_is_asked_for(data: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    out = tmp_path / "out.h5"
    out.write_text("mine")
    common = (data, "-o", out, "--side", "40", "--step", "40")
    assert (refused := harvest(*common)).exit_code == 1
    assert refused.output.startswith(f"remaster: {out} exists: give -y")
    assert out.read_text() == "mine"
    assert harvest(*common, "-y").exit_code == 0
    with h5py.File(out) as file:
        assert "hr" in file
