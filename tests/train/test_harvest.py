"""What is taken from a film are its drawings: whole, sharp, each once, in the right colours."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from remaster.color import encode_planes
from remaster.errors import SourceError
from remaster.frames import Color, PixelLayout
from remaster.media.probe import probe
from remaster.media.reader import read_frames
from remaster.train import harvest as harvesting
from remaster.train.harvest import (
    LOOKS,
    _candidates,
    _is_fading,
    harvest,
    harvest_film,
    luma_plane,
)
from tests.clips import make_clip
from tests.media.test_deinterlace import TOP, Telecine, Video
from tests.media.test_deinterlace import clip as woven_clip

SIZE = (240, 180)
BT709 = Color("bt709", "limited", "bt709", "bt709")
BT470BG = Color("bt470bg", "limited", "bt470bg", "smpte170m")
"""What is assumed of a small film in 25 frames a second that does not say, as AVI cannot."""

HELD = 16
"""Frames of a drawing."""


@functools.cache
def drawing(number: int) -> np.ndarray:
    """Hard-edged discs on a light ground, (H, W, 3)."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    picture = np.full((SIZE[1], SIZE[0], 3), rng.integers(120, 250, 3), np.uint8)
    for _ in range(25):
        cy, cx, radius = rng.integers(0, SIZE[1]), rng.integers(0, SIZE[0]), rng.integers(6, 30)
        picture[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = rng.integers(0, 255, 3)
    return picture


def film(
    path: Path, frame: Callable[[int], np.ndarray], frames: int, color: Color = BT709, **how: object
) -> Path:
    """A clip whose frames are (H, W, 3) pictures."""

    def picture(index: int, layout: PixelLayout, _: tuple[int, int]) -> Sequence[np.ndarray]:
        rgb = torch.from_numpy(frame(index).astype(np.float32) / 255).permute(2, 0, 1)[None]
        return [plane[0].numpy() for plane in encode_planes(rgb, layout, color, "rgb")]

    options = {"crf": "4", "g": "24", "sc_threshold": "40"}
    how = {"options": options, "audio": (), **how}
    return make_clip(path, size=SIZE, frames=frames, picture=picture, color=color, **how)


def nearest(picture: np.ndarray, truths: Sequence[np.ndarray]) -> tuple[int, float]:
    """(which truth a picture is, mean difference in levels)."""
    apart = [float(np.abs(picture.astype(float) - truth).mean()) for truth in truths]
    return int(np.argmin(apart)), min(apart)


@pytest.fixture(params=[True, False], ids=["decord", "reader"])
def with_decord(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param:
        pytest.importorskip("decord")
    else:
        monkeypatch.setitem(sys.modules, "decord", None)
    return bool(request.param)


@pytest.mark.parametrize(
    ("name", "matrix", "late"),
    [("a.mkv", "bt709", 0), ("a.mkv", "smpte170m", 1), ("a.mp4", "bt709", 1)],
)
def test_frames_are_the_drawings_in_their_colours(
    tmp_path: Path, with_decord: bool, name: str, matrix: str, late: int
) -> None:
    color = Color(matrix, "limited", matrix, "bt709" if matrix == "bt709" else "smpte170m")
    path = film(
        tmp_path / name, lambda i: drawing(i // HELD), 10 * HELD, color,
        video_offset_seconds=Fraction(late),
    )  # fmt: skip
    stills = list(harvest_film(path, 8, np.random.default_rng(0)))
    found = [nearest(still.picture, [drawing(n) for n in range(10)]) for still in stills]
    numbers = [number for number, _ in found]
    assert len(numbers) >= 6
    assert numbers == sorted(set(numbers))
    assert max(apart for _, apart in found) < 3  # 4:2:0 at hard edges
    assert [int((still.time - late) * 25 / HELD + 0.01) for still in stills] == numbers


def test_the_seed_decides(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", lambda i: drawing(i // 4), 160)
    first, again, other = (harvest(path, 6, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert len(first) == 6
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other))


def test_a_part_of_a_film_stays_in_it(tmp_path: Path, with_decord: bool) -> None:
    path = film(tmp_path / "a.mkv", lambda i: drawing(i // 8), 200)
    stills = list(harvest_film(path, 4, np.random.default_rng(0), part=(0.75, 1.0)))
    assert stills and all(6 <= still.time < 8 for still in stills)


def test_neither_fades_nor_black_are_taken(tmp_path: Path, with_decord: bool) -> None:
    """A held, dissolved into B, held, faded to black and white, C."""

    def frame(index: int) -> np.ndarray:
        shares = np.interp(index, [0, 40, 90, 130, 160, 170, 180, 190], [0, 0, 1, 1, 2, 2, 3, 3])
        stations = [drawing(0), drawing(1), np.zeros_like(drawing(0)), drawing(2)]
        number = min(int(shares), 2)
        mixed = stations[number] + (shares - number) * (
            stations[number + 1] - 1.0 * stations[number]
        )
        return np.rint(mixed).astype(np.uint8)

    path = film(tmp_path / "a.mkv", frame, 240)
    stills = harvest(path, 14, np.random.default_rng(3))
    found = [nearest(each, [drawing(n) for n in range(3)]) for each in stills]
    assert [number for number, _ in found] == [0, 1, 2]
    assert max(apart for _, apart in found) < 5


@given(st.integers(0, 1000), st.floats(2, 6), st.floats(0, 6))
def test_a_pan_is_no_fade(number: int, speed: float, angle: float) -> None:
    grey = drawing(number).mean(2).astype(np.float32)
    steps = [
        (round(speed * 3 * n * np.sin(angle)), round(speed * 3 * n * np.cos(angle)))
        for n in range(3)
    ]
    assert not _is_fading(*(np.roll(grey, step, (0, 1)) for step in steps))


def test_the_most_blurred_frames_are_dropped(tmp_path: Path) -> None:
    def frame(index: int) -> np.ndarray:
        number = index // HELD
        if number % 5:
            return drawing(number)
        soft = Image.fromarray(drawing(number)).filter(ImageFilter.GaussianBlur(2.5))
        return np.asarray(soft)

    path = film(tmp_path / "a.mkv", frame, 15 * HELD)
    stills = harvest(path, 15, np.random.default_rng(0))
    numbers = [nearest(each, [drawing(n) for n in range(15)])[0] for each in stills]
    assert len(numbers) >= 8
    assert all(number % 5 for number in numbers)


def test_a_film_that_is_soft_all_through_is_taken(tmp_path: Path) -> None:
    @functools.cache
    def frame(number: int) -> np.ndarray:
        soft = Image.fromarray(drawing(number)).filter(ImageFilter.GaussianBlur(2.5))
        return np.asarray(soft)

    path = film(tmp_path / "a.mkv", lambda i: frame(i // HELD), 10 * HELD)
    assert len(harvest(path, 8, np.random.default_rng(0))) >= 6


def test_bars_are_cut_away(tmp_path: Path, with_decord: bool) -> None:
    def frame(index: int) -> np.ndarray:
        picture = drawing(index // HELD).copy()
        picture[:21] = picture[-23:] = 0
        picture[:, :30] = 0
        return picture

    path = film(tmp_path / "a.mkv", frame, 6 * HELD)
    stills = harvest(path, 5, np.random.default_rng(0))
    assert stills
    for picture in stills:
        height, width = picture.shape[:2]
        assert height % 2 == width % 2 == 0
        assert 180 - 44 - 6 <= height <= 180 - 44
        assert 240 - 30 - 4 <= width <= 240 - 30
        assert min(picture[0].max(), picture[-1].max(), picture[:, 0].max()) > 60


def test_a_film_of_nothing_gives_nothing(tmp_path: Path, with_decord: bool) -> None:
    path = film(tmp_path / "a.mkv", lambda i: np.full((180, 240, 3), 250 * (i // 30), np.uint8), 60)
    assert harvest(path, 5, np.random.default_rng(0)) == []


def test_keyframes_go_first() -> None:
    numbers, rng = np.arange(100, 200), np.random.default_rng(0)
    assert _candidates(numbers, {90, 120, 130, 210}, rng) == [120, 130]
    assert len(_candidates(numbers, set(range(100, 200, 10)), rng)) == LOOKS[1]
    one = _candidates(numbers, {150}, rng)
    assert len(one) == LOOKS[0] and 150 in one
    assert len(_candidates(numbers, set(), rng)) == LOOKS[0]
    assert _candidates(np.arange(0), {3}, rng) == []


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name"),
    [
        ("libx264", "yuv420p10le", "a.mkv"),
        ("libsvtav1", "yuv420p", "a.mkv"),
        ("mpeg2video", "yuv420p", "a.ts"),
        ("mpeg2video", "yuv420p", "a.mpg"),
        ("libx264", "yuv420p", "a.h264"),
        ("mpeg4", "yuv420p", "a.avi"),
    ],
)
def test_films_of_other_kinds(tmp_path: Path, codec: str, pix_fmt: str, name: str) -> None:
    options = {"qmin": "1", "qmax": "3"} if codec.startswith("mpeg") else {"crf": "8"}
    path = film(
        tmp_path / name, lambda i: drawing(i // HELD), 6 * HELD, BT470BG,
        codec=codec, pix_fmt=pix_fmt, options={**options, "g": "12"},
    )  # fmt: skip
    stills = list(harvest_film(path, 5, np.random.default_rng(0)))
    assert len(stills) >= 3
    found = [nearest(still.picture, [drawing(n) for n in range(6)]) for still in stills]
    assert len({number for number, _ in found}) == len(found)
    assert max(apart for _, apart in found) < 6


def comb_energy(luma: np.ndarray) -> float:
    """Of row differences that alternate, above the hatching in the drawing's corner."""
    luma = luma[: luma.shape[0] * 3 // 4].astype(float)
    near = np.abs(2 * luma[1:-1] - luma[:-2] - luma[2:]) / 2
    far = np.abs(luma[2:] - luma[:-2])
    return float((near * (near > 2 * far)).mean())


def test_telecined_film_gives_whole_pictures(tmp_path: Path) -> None:
    path = woven_clip(tmp_path / "a.mkv", Telecine(), TOP, frames=60)
    source = probe(path)
    decoded = [comb_energy(luma_plane(source, frame)) for frame in read_frames(source)]
    stills = harvest(path, 4, np.random.default_rng(0))
    assert len(stills) >= 2
    assert max(comb_energy(still.mean(2)) for still in stills) < 0.1 * max(decoded)


def test_pictures_of_two_moments_are_not_taken(tmp_path: Path) -> None:
    path = woven_clip(tmp_path / "a.mkv", Video(), TOP, frames=60)
    assert harvest(path, 4, np.random.default_rng(0)) == []


def test_what_is_no_film_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"no film")
    with pytest.raises(SourceError, match=r"a\.mkv"):
        harvest(tmp_path / "a.mkv", 4, np.random.default_rng(0))


class Reader:
    """In decord's place: which frames were asked for, and where it was sent after them."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.sent: list[int] = []

    def __len__(self) -> int:
        return 120

    def get_key_indices(self) -> list[int]:
        return [0, 40, 80]

    def get_batch(self, numbers: list[int]) -> Reader:
        self.asked.append(numbers[-1])
        self.count = len(numbers)
        return self

    def asnumpy(self) -> np.ndarray:
        return np.zeros((self.count, 24, 32, 3), np.uint8)

    def seek(self, number: int) -> None:
        self.sent.append(number)


def test_a_reader_does_not_decode_on_while_a_frame_is_looked_at() -> None:
    """It is sent to the keyframe before what it read: elsewhere decord loses count."""
    reader = Reader()
    places = [(0.0, 1.5), (1.5, 3.0), (3.0, 5.0)]
    harvesting._looks_by_decord(reader, np.arange(120) / 24, places, np.random.default_rng(0))
    assert reader.asked
    assert reader.sent == [asked // 40 * 40 for asked in reader.asked]
