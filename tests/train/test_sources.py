"""Files are found once and read right; what is held out is whole, steady and never learnt from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from remaster.errors import DataError
from remaster.train.sources import SourceFile, list_sources, read_picture, split_sources


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def pictures_of(source: str, count: int, suffix: str = ".png") -> list[SourceFile]:
    return [SourceFile(Path(f"{source}/{i}{suffix}"), ("all", source)) for i in range(count)]


def test_sources_are_folders_and_everything_is_found_once(tmp_path: Path) -> None:
    for name in ("one/a.PNG", "one/deep/b.webp", "two/c.mkv", "two/d.h5", "two/notes.txt"):
        touch(tmp_path / name)
    touch(tmp_path / "two" / "._c.mkv")
    (tmp_path / "two" / "link.png").symlink_to(tmp_path / "one" / "a.PNG")
    found = list_sources([tmp_path, tmp_path / "one"])
    assert [(f.path.name, f.source) for f in found] == [
        ("a.PNG", "one"), ("b.webp", "deep"), ("c.mkv", "two"), ("d.h5", "two"),
    ]  # fmt: skip
    assert [f.is_film for f in found] == [False, False, True, False]
    assert found[1].folders == (tmp_path.name, "one", "deep")


def test_what_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        list_sources([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="no pictures or videos"):
        list_sources([tmp_path])


def test_named_folders_are_held_out_with_all_below_them() -> None:
    files = [SourceFile(Path("a.png"), ("all", "one")), SourceFile(Path("b.png"), ("all", "two"))]
    files.append(SourceFile(Path("c.png"), ("all", "two", "inner")))
    kept, held = split_sources(files, ["two"])
    assert ({f.source for f in kept}, {f.source for f in held}) == ({"one"}, {"two", "inner"})
    with pytest.raises(DataError, match="twoo"):
        split_sources(files, ["twoo"])
    with pytest.raises(DataError, match="nothing is left"):
        split_sources(files, ["all"])


@given(st.lists(st.integers(1, 60), min_size=2, max_size=12), st.randoms())
def test_chance_holds_out_whole_sources(counts: list[int], random: object) -> None:
    files = [file for i, n in enumerate(counts) for file in pictures_of(f"s{i}", n)]
    kept, held = split_sources(files, [])
    assert kept and held and len(kept) + len(held) == len(files)
    assert not {f.source for f in kept} & {f.source for f in held}
    assert len(held) <= max(0.13 * len(files), min(counts))
    random.shuffle(files)  # type: ignore[attr-defined]
    assert set(split_sources(files, [])[1]) == set(held)


@pytest.mark.parametrize(("count", "held_out"), [(3, 0), (4, 1), (40, 4)])
def test_files_of_a_single_source_are_held_out(count: int, held_out: int) -> None:
    files = pictures_of("only", count)
    kept, held = split_sources(files, [])
    assert len(held) == held_out
    assert sorted(kept + held, key=files.index) == files


@given(
    parts=st.lists(st.integers(1, 9), min_size=4, max_size=40),
    grounds=st.integers(1, 2),
    random=st.randoms(),
)
def test_parts_of_a_picture_stay_together(parts: list[int], grounds: int, random: Random) -> None:
    files = [
        SourceFile(Path(f"only/p-{n:04}~{200 * part}~0{ground}.png"), ("only",))
        for n, count in enumerate(parts)
        for part in range(count)
        for ground in ([""] if grounds == 1 else ["~0", "~1"])
    ]
    kept, held = split_sources(files, [])
    pictures = [{f.path.name[:6] for f in side} for side in (kept, held)]
    assert not pictures[0] & pictures[1]
    assert len(pictures[1]) == max(1, round(len(parts) / 10))
    assert sorted(kept + held, key=files.index) == files
    random.shuffle(files)
    assert set(split_sources(files, [])[1]) == set(held)


def test_parts_of_three_pictures_are_three() -> None:
    files = [SourceFile(Path(f"a/{n}~0~{x}.png"), ("a",)) for n in range(3) for x in range(9)]
    assert split_sources(files, []) == (files, [])
    other = [SourceFile(Path(f"a/show~{n}.png"), ("a",)) for n in range(9)]
    assert len(split_sources(other, [])[1]) == 1


def test_a_film_alone_is_parted_in_time() -> None:
    (kept,), (held,) = split_sources(pictures_of("show", 1, ".mkv"), [])
    assert (kept.part, held.part) == ((0.0, 0.9), (0.9, 1.0))


NAMES = st.text("ab/#0.9-1", min_size=1, max_size=12)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), st.lists(NAMES), st.data())
def test_a_card_names_every_file_and_part_differently(
    folders: list[str], others: list[str], data: st.DataObject
) -> None:
    """What is asked of a card is found on it, and nothing that only looks like it."""
    film = SourceFile(Path("x/ep.mkv"), tuple(folders))
    name = "/".join([*folders, "ep.mkv"])
    assert film.name_on_cards == name
    others = [each for each in others if not each.startswith(name)]
    elsewhere = [f"z/{name}", f"{name}.mkv", f"{name}#0.5", f"{name}#0.9-0.5", f"{name}#1-2"]
    assert film.part_among({*others, *elsewhere}) is None
    tenths = st.integers(0, 9).flatmap(lambda a: st.tuples(st.just(a), st.integers(a + 1, 10)))
    begin, end = data.draw(tenths)
    part = replace(film, part=(begin / 10, end / 10))
    assert film.part_among({part.name_on_cards, *others, *elsewhere}) == part.part


def test_one_name_in_two_folders_is_two_names_on_cards(tmp_path: Path) -> None:
    for episode in ("ep1", "ep2"):
        touch(tmp_path / "show" / episode / "frames" / "0003.png")
    one, two = list_sources([tmp_path / "show"])
    assert one.name_on_cards == "show/ep1/frames/0003.png"
    assert two.name_on_cards == "show/ep2/frames/0003.png"
    (kept,), (held,) = split_sources([SourceFile(Path("ep.mkv"), ("data", "show"))], [])
    assert kept.name_on_cards == "data/show/ep.mkv#0-0.9"
    assert held.name_on_cards == "data/show/ep.mkv#0.9-1"


GREY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGB", "I;16", "I", "F", "1", "LA"])
def test_every_mode_is_read_as_it_looks(tmp_path: Path, mode: str) -> None:
    suffix = {"CMYK": ".tif", "F": ".tif", "I": ".tif"}.get(mode, ".png")
    expected = GREY
    if mode in ("I;16", "I"):
        image = Image.fromarray(GREY.astype(np.uint16 if mode == "I;16" else np.int32) * 257)
    elif mode == "F":
        image = Image.fromarray(GREY.astype(np.float32) / 255)
    elif mode == "1":
        expected = np.where(GREY > 100, 255, 0).astype(np.uint8)
        image = Image.fromarray(expected).convert("1")
    else:
        image = Image.fromarray(GREY).convert(mode)
    assert image.mode == mode
    image.save(tmp_path / f"a{suffix}")
    found = read_picture(tmp_path / f"a{suffix}")
    assert found.shape == (4, 6, 3) and found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected[..., None]).max() <= 1


def test_a_dark_16_bit_picture_stays_dark(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 257, np.uint16)).save(tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png") == 1).all()


def test_alpha_is_kept_where_it_matters(tmp_path: Path) -> None:
    pixels = np.full((4, 4, 4), 255, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").shape == (4, 4, 3)
    pixels[0, 0, 3] = 7
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").shape == (4, 4, 4)
    palette = Image.fromarray(GREY).convert("P")
    palette.save(tmp_path / "p.png", transparency=0)
    assert read_picture(tmp_path / "p.png").shape == (4, 6, 4)


def test_a_turned_picture_is_set_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turn clockwise
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "a.png")[..., 0], np.rot90(GREY, -1))


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        tmp_path / "cut.png"
    )
    whole = (tmp_path / "cut.png").read_bytes()
    for name, data in {"bad.png": b"bad", "empty.jpg": b"", "cut.png": whole[:3000]}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=name) as raised:
            read_picture(tmp_path / name)
        assert str(raised.value).count(name) == 1
