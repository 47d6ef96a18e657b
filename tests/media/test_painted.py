"""The painted film: every cell in the colour of what became of it, every frame at its time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from remaster.frames import Color, Frame, PixelLayout, VideoInfo
from remaster.media.painted import FUSED, HELD, NEW, PaintedFilm, painted
from remaster.media.probe import probe
from remaster.media.reader import read_frames

LAYOUTS = [
    PixelLayout("420", 8),
    PixelLayout("422", 10),
    PixelLayout("444", 12),
    PixelLayout("gray", 8),
    PixelLayout("rgb", 8),
]


def frame_of(layout: PixelLayout, height: int, width: int, pts: int = 0) -> Frame:
    """Mid-gray; its cells are in turns new, fused and new, and held, along each row."""
    cells = torch.arange(-(-width // 8)).expand(-(-height // 8), -1) % 3
    code = 1 << (layout.bit_depth - 1)
    shapes = layout.plane_shapes(height, width)
    planes = tuple(torch.full(shape, code, dtype=layout.dtype) for shape in shapes)
    return Frame(pts, planes, changed=cells < 2, fused=cells == 1)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda x: f"{x.subsampling}-{x.bit_depth}")
@pytest.mark.parametrize("size", [(48, 64), (47, 63), (8, 9)])
def test_every_cell_has_its_colour(layout: PixelLayout, size: tuple[int, int]) -> None:
    even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    planes = painted(frame_of(layout, *size), layout, even)
    assert [tuple(plane.shape) for plane in planes] == PixelLayout("420", 8).plane_shapes(*even)
    assert all(plane.dtype == torch.uint8 for plane in planes)
    assert (planes[0] == 128).all()
    for column in range(even[1] // 2):
        wanted = (NEW, FUSED, HELD)[column // 4 % 3]
        assert all((plane[:, column] == code).all() for plane, code in zip(planes[1:], wanted))


def test_a_frame_that_says_nothing_is_new() -> None:
    layout = PixelLayout("420", 8)
    planes = painted(Frame(0, frame_of(layout, 48, 64).planes), layout, (48, 64))
    assert (planes[1] == NEW[0]).all() and (planes[2] == NEW[1]).all()


def test_averaged_planes_are_rounded() -> None:
    layout = PixelLayout("420", 10)
    planes = tuple(plane.float() + 2.4 for plane in frame_of(layout, 48, 64).planes)
    assert (painted(Frame(0, planes), layout, (48, 64))[0] == 129).all()


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda x: f"{x.subsampling}-{x.bit_depth}")
def test_the_film_has_every_frame_at_its_time(
    tmp_path: Path, layout: PixelLayout, suffix: str
) -> None:
    matrix = "rgb" if layout.subsampling == "rgb" else "smpte170m"
    color = Color(matrix, "limited", "smpte170m", "smpte170m")
    video = VideoInfo(
        63, 47, Fraction(1, 1000), Fraction(25), Fraction(16, 15), layout, color
    )  # fmt: skip
    path = tmp_path / f"painted{suffix}"
    times = [0, 40, 60, 140, 150, 170, 300]
    with PaintedFilm(path, video, overwrite=False) as film:
        for pts in times:
            film.write(frame_of(layout, 47, 63, pts))
        assert not path.exists()
        film.finish()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    found = probe(path)
    assert (found.video.width, found.video.height) == (64, 48)
    frames = list(read_frames(found))
    assert [frame.pts * found.video.time_base * 1000 for frame in frames] == times
    for plane, codes in zip(frames[3].planes[1:], zip(NEW, FUSED, HELD)):
        for cell, code in enumerate(codes):
            assert abs(plane[:, 4 * cell + 1 : 4 * cell + 3].float().mean() - code) < 8


def test_what_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    layout = PixelLayout("420", 8)
    color = Color("bt709", "limited", "bt709", "bt709")
    video = VideoInfo(64, 48, Fraction(1, 25), Fraction(25), Fraction(1), layout, color)
    with (
        pytest.raises(ZeroDivisionError),
        PaintedFilm(tmp_path / "a.mkv", video, overwrite=False) as film,
    ):
        film.write(frame_of(layout, 48, 64))
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
