"""Which files a command line means, in which order, and where each goes."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remaster.commands.inputs import Work, find_work, natural_key
from remaster.errors import OptionsError, SourceError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(work: Work, under: Path) -> dict[str, str]:
    """Every source below `under` to its output below the work's folder."""
    assert work.folder is not None
    return {
        str(job.source.relative_to(under)): str(job.output.relative_to(work.folder))
        for job in work.jobs
    }


def test_a_folder_comes_again_with_its_names(tmp_path: Path) -> None:
    season = tmp_path / "season"
    touch(season, "ep10.mkv", "ep2.mp4", "extra/op.avi", "extra/clean/ed 2.TS", "nfo.txt", "a.srt")
    touch(season, ".hidden.mkv", ".cache/ep.mkv", ".ep2.mp4.01234567.part", "x.unverified.mkv")
    work = find_work([season], str(tmp_path / "hd"))
    assert list(found(work, season).items()) == [
        ("ep2.mp4", "ep2.mp4"),
        ("ep10.mkv", "ep10.mkv"),
        ("extra/clean/ed 2.TS", "extra/clean/ed 2.mkv"),
        ("extra/op.avi", "extra/op.mkv"),
    ]
    assert [path.name for path in work.left_alone] == ["a.srt", "nfo.txt", "x.unverified.mkv"]
    assert not (tmp_path / "hd").exists()


def test_an_output_inside_the_input_does_not_feed_itself(tmp_path: Path) -> None:
    touch(tmp_path, "a.mkv", "hd/a.mkv", "hd/deep/b.mkv")
    assert found(find_work([tmp_path], str(tmp_path / "hd")), tmp_path) == {"a.mkv": "a.mkv"}


def test_the_input_folder_itself_is_no_output(tmp_path: Path) -> None:
    touch(tmp_path, "a.mkv")
    with pytest.raises(OptionsError, match="input folder itself"):
        find_work([tmp_path], str(tmp_path))


def test_several_folders_keep_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "s1/ep1.mkv", "s2/ep1.mkv", "film.mp4")
    work = find_work([tmp_path / name for name in ("s2", "s1", "film.mp4")], str(tmp_path / "hd"))
    assert [str(job.output.relative_to(tmp_path / "hd")) for job in work.jobs] == [
        "s2/ep1.mkv",
        "s1/ep1.mkv",
        "film.mp4",
    ]


@pytest.mark.parametrize("names", [("a.avi", "a.mkv"), ("x/a.ts", "x/a.vob")])
def test_two_inputs_for_one_output_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    touch(tmp_path / "in", *names)
    with pytest.raises(OptionsError, match="would both become") as error:
        find_work([tmp_path / "in"], str(tmp_path / "hd"))
    assert all(name in str(error.value) for name in names)


def test_the_same_file_twice_is_one_job(tmp_path: Path) -> None:
    touch(tmp_path, "a.mkv", "b.mkv")
    inputs = [tmp_path / name for name in ("a.mkv", "b.mkv", "a.mkv")]
    work = find_work(inputs, str(tmp_path / "hd"))
    assert [job.source.name for job in work.jobs] == ["a.mkv", "b.mkv"]


def test_an_input_is_never_written_over(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.avi", "a.mkv", "b.mkv")
    for inputs in (["a.mkv", "b.mkv"], ["x/a.avi", "b.mkv", "a.mkv"]):
        with pytest.raises(OptionsError):
            find_work([tmp_path / name for name in inputs], str(tmp_path))


def test_one_file_goes_where_it_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "a.avi")
    for output, expected in (("b.mp4", "b.mp4"), ("new/", "new/a.mkv"), (".", "a.mkv")):
        work = find_work([tmp_path / "a.avi"], f"{tmp_path}/{output}")
        assert [job.output for job in work.jobs] == [tmp_path / expected]


@pytest.mark.parametrize("output", ["hd.mkv", "hd.MP4", "hd.png", "notes"])
def test_several_inputs_need_a_folder(tmp_path: Path, output: str) -> None:
    touch(tmp_path, "in/a.mkv", "notes")
    with pytest.raises(OptionsError, match="need a folder"):
        find_work([tmp_path / "in"], str(tmp_path / output))


def test_an_ending_that_cannot_hold_the_film_becomes_mkv(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.webm", "in/b.mp4")
    work = find_work(
        [tmp_path / "in"], str(tmp_path / "hd"), holds=lambda suffix: suffix != ".webm"
    )
    assert [job.output.name for job in work.jobs] == ["a.mkv", "b.mp4"]


def test_a_folder_of_pictures_comes_again_without_loss(tmp_path: Path) -> None:
    book = tmp_path / "book"
    touch(book, "p10.PNG", "p2.jpg", "ch2/p1.webp", "ch2/p2.TIFF", "p3.bmp", "p4.gif", "a.txt")
    touch(book, ".hidden.png", "x.unverified.png")
    work = find_work([book], str(tmp_path / "big"))
    assert list(found(work, book).items()) == [
        ("ch2/p1.webp", "ch2/p1.webp"),
        ("ch2/p2.TIFF", "ch2/p2.tiff"),
        ("p2.jpg", "p2.png"),
        ("p3.bmp", "p3.png"),
        ("p4.gif", "p4.png"),
        ("p10.PNG", "p10.png"),
    ]
    assert all(job.is_picture for job in work.jobs)
    assert [path.name for path in work.left_alone] == ["a.txt", "x.unverified.png"]


def test_a_folder_with_videos_is_one_of_films(tmp_path: Path) -> None:
    touch(tmp_path, "s1/ep1.mkv", "s1/cover.png", "s1/art/a.jpg", "art/1.png")
    work = find_work([tmp_path / "s1", tmp_path / "art"], str(tmp_path / "hd"))
    assert [
        (str(job.output.relative_to(tmp_path / "hd")), job.is_picture) for job in work.jobs
    ] == [
        ("s1/ep1.mkv", False),
        ("art/1.png", True),
    ]
    assert [path.name for path in work.left_alone] == ["a.jpg", "cover.png"]


@pytest.mark.parametrize(
    ("source", "output", "is_picture"),
    [
        ("a.png", "b.png", True), ("a.JPG", "b.webp", True), ("a.png", "b.mkv", True),
        ("a.gif", "b.png", True), ("a.gif", "b.mkv", False), ("a.mkv", "b.png", False),
        ("-", "-", False),
    ],
)  # fmt: skip
def test_what_one_file_is(tmp_path: Path, source: str, output: str, is_picture: bool) -> None:
    (job,) = find_work([Path(source)], output).jobs
    assert job.is_picture == is_picture


def test_two_pictures_for_one_output_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.jpg", "a.png")
    with pytest.raises(OptionsError, match="would both become"):
        find_work([tmp_path / "in"], str(tmp_path / "hd"))


def test_all_clashes_are_named_at_once(tmp_path: Path) -> None:
    touch(
        tmp_path / "in", "a.jpg", "a.png", "b.bmp", "b.gif", "b.jpg", "c.png", "x/d.gif", "x/d.jpg"
    )
    with pytest.raises(OptionsError) as error:
        find_work([tmp_path / "in"], str(tmp_path / "hd"))
    said = str(error.value).replace(f"{tmp_path}/", "")
    assert said == (
        "in/a.jpg and in/a.png would both become hd/a.png; "
        "in/b.bmp, in/b.gif and in/b.jpg would all become hd/b.png; "
        "in/x/d.gif and in/x/d.jpg would both become hd/x/d.png: "
        "rename all but one, or run them apart"
    )


def test_links_lead_nowhere_in_circles(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.mkv")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "self.mkv").symlink_to("self.mkv")
    (tmp_path / "in" / "link.mkv").symlink_to("a.mkv")
    os.mkfifo(tmp_path / "in" / "pipe.mkv")
    work = find_work([tmp_path / "in"], str(tmp_path / "hd"))
    assert [job.source.name for job in work.jobs] == ["a.mkv", "link.mkv"]
    assert [path.name for path in work.left_alone] == ["loop", "pipe.mkv", "self.mkv"]


def test_a_folder_without_videos_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "in/readme.txt")
    with pytest.raises(SourceError, match="no video"):
        find_work([tmp_path / "in"], str(tmp_path / "hd"))


def test_a_folder_that_cannot_be_read_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "in/a.mkv", "in/locked/b.mkv")
    listing = Path.iterdir

    def refused(folder: Path) -> object:
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listing(folder)

    monkeypatch.setattr(Path, "iterdir", refused)
    work = find_work([tmp_path / "in"], str(tmp_path / "hd"))
    assert [job.source.name for job in work.jobs] == ["a.mkv"]
    assert work.unreadable == [(tmp_path / "in" / "locked", "Permission denied")]


def test_what_may_be_listed_and_not_entered_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "in/a.mkv", "in/locked/b.mkv")
    look = Path.is_dir

    def refused(path: Path, **named: bool) -> bool:
        if path.parent.name == "locked":
            raise PermissionError(13, "Permission denied")
        return look(path, **named)

    monkeypatch.setattr(Path, "is_dir", refused)
    work = find_work([tmp_path / "in"], str(tmp_path / "hd"))
    assert [job.source.name for job in work.jobs] == ["a.mkv"]
    assert work.unreadable == [(tmp_path / "in" / "locked" / "b.mkv", "Permission denied")]


def test_a_name_that_is_too_long_is_one_film_that_fails(tmp_path: Path) -> None:
    long = "n" * 300
    touch(tmp_path, "a.mkv")
    work = find_work([tmp_path / long, tmp_path / "a.mkv"], str(tmp_path / "hd"))
    assert [job.source.name for job in work.jobs] == [long, "a.mkv"]
    assert find_work([tmp_path / long], str(tmp_path / "b.mkv")).jobs[0].source.name == long
    for output in (tmp_path / long, tmp_path / long / "b.mkv", tmp_path / "a\0.mkv"):
        with pytest.raises(OptionsError, match="cannot be reached"):
            find_work([tmp_path / "a.mkv"], str(output))


def test_names_are_sorted_as_people_count() -> None:
    names = ["Ep 1.mkv", "ep 2.mkv", "Ep 02b.mkv", "ep 10.mkv", "x/1.mkv", "x/y/1.mkv", "é.mkv"]
    paths = [Path(name) for name in names]
    random.Random(0).shuffle(paths)
    assert [str(path) for path in sorted(paths, key=natural_key)] == names


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1), max_size=8))
def test_every_name_can_be_sorted(names: list[str]) -> None:
    paths = [Path("in") / name for name in names]
    assert sorted(sorted(paths, reverse=True), key=natural_key) == sorted(
        sorted(paths), key=natural_key
    )


def test_a_named_format_is_that_of_all(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.webm", "in/b.mp4")
    work = find_work([tmp_path / "in"], str(tmp_path / "hd"), named="mov")
    assert [job.output.name for job in work.jobs] == ["a.mov", "b.mov"]


@pytest.mark.parametrize("output", ["b.png", "b.JPG", "b.webp"])
def test_pictures_do_not_come_through_pipes(output: str) -> None:
    with pytest.raises(OptionsError, match="pictures do not come through pipes"):
        find_work([Path("-")], output)
    with pytest.raises(OptionsError, match="pictures do not come through pipes"):
        find_work((Path("-"),), output)
    assert not find_work([Path("-")], output, named="mkv").jobs[0].is_picture


def test_pipes_hold_one_film(tmp_path: Path) -> None:
    touch(tmp_path, "a.mkv", "b.mkv")
    a, b = tmp_path / "a.mkv", tmp_path / "b.mkv"
    for inputs, output in (([a, b], "-"), ([a, Path("-")], "hd"), ([Path("-")], f"{tmp_path}")):
        with pytest.raises(OptionsError, match="a pipe holds one film"):
            find_work(inputs, output)
    assert find_work([Path("-")], "-").jobs[0].output == Path("-")
