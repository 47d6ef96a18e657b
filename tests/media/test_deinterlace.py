"""Interlaced and telecined pictures come out progressive: as many, at their times, and nearer to
what was drawn; progressive ones are not touched."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from remaster.frames import Frame, PixelLayout
from remaster.media import interlacing
from remaster.media.deinterlace import deinterlaced
from remaster.media.fields import Order
from remaster.media.interlacing import find_interlacing
from remaster.media.probe import probe
from remaster.media.reader import DamageReport, FieldReport, read_frames
from tests.clips import make_clip

TOP, BOTTOM = Order.TOP_FIRST, Order.BOTTOM_FIRST
SIZE = (128, 96)
FLAGGED = {"tff": {"x264-params": "tff=1"}, "bff": {"x264-params": "bff=1"}}
LOSSLESS = {"crf": "0"}
UNEVEN = [0, 40, 80, 160, 200, 240, 280, 400, 440, 480, 520, 560, 640, 680, 720, 760, 800, 900]

Planes = list[np.ndarray]


def drawing(moment: int, layout: PixelLayout, size: tuple[int, int]) -> Planes:
    """A line drawing whose parts move apart: discs, slanted lines, a still fine hatching."""
    planes = []
    for number, (height, width) in enumerate(layout.plane_shapes(*size)):
        scale = size[1] / width
        y, x = np.mgrid[0:height, 0:width] * np.array([size[0] / height, scale]).reshape(2, 1, 1)
        left = 12 + (moment * 3) % (size[1] - 24)
        disc = (x - left) ** 2 + (y - size[0] * 0.4) ** 2
        picture = np.full((height, width), 170.0 - 30 * number)
        picture[disc < 400] = 220 - 40 * number
        picture[(disc < 400) & (disc > 290)] = 30
        picture[np.abs(x - y / 2 - 2 * moment % size[1]) < 2] = 40
        if number == 0:
            picture[(y > size[0] * 0.8) & (x < 30) & (y.astype(int) % 2 == 0)] = 60
        planes.append((picture.astype(np.uint16) << (layout.bit_depth - 8)).astype(np.uint16))
    return planes


def woven(early: Planes, late: Planes, order: Order) -> Planes:
    """A picture whose earlier field is of one moment and whose later field is of another."""
    result = [plane.copy() for plane in early]
    for plane, other in zip(result, late):
        second = 1 if order is TOP else 0
        plane[second::2] = other[second::2]
    return result


class Progressive:
    """Film: 25 whole drawings a second."""

    def moments(self, index: int) -> tuple[int, int]:
        return index, index

    def truth(self, index: int) -> int:
        return self.moments(index)[0]


class Video(Progressive):
    """A drawing in each field."""

    def moments(self, index: int) -> tuple[int, int]:
        return 2 * index, 2 * index + 1


class Telecine(Progressive):
    """24 drawings in 60 fields: 2:3 pull-down."""

    def moments(self, index: int) -> tuple[int, int]:
        group, place = divmod(index, 5)
        early, late = ((0, 0), (1, 1), (1, 2), (2, 3), (3, 3))[place]
        return 2 * (4 * group + early), 2 * (4 * group + late)


def clip(path: Path, cadence: Progressive, order: Order = TOP, **details: object) -> Path:
    def picture(index: int, layout: PixelLayout, size: tuple[int, int]) -> Sequence[np.ndarray]:
        early, late = (drawing(moment, layout, size) for moment in cadence.moments(index))
        return woven(early, late, order)

    settings = {"size": SIZE, "frames": 20, "audio": (), "options": LOSSLESS, **details}
    return make_clip(path, picture=picture, **settings)  # type: ignore[arg-type]


def psnr(planes: Sequence[torch.Tensor], truth: Sequence[np.ndarray], depth: int = 8) -> float:
    error = np.concatenate(
        [(a.numpy().astype(float) - b).ravel() for a, b in zip(planes, truth, strict=True)]
    )
    mean = float((error**2).mean())
    return 99.0 if mean == 0 else float(10 * np.log10((2**depth - 1) ** 2 / mean))


def combing(plane: torch.Tensor) -> float:
    """Energy of row differences that alternate, over those that do not, in per mille.

    Unlike the measure under test, it compares frequencies, not single pixels.
    """
    luma = plane.numpy().astype(float)
    near = np.abs(2 * luma[1:-1] - luma[:-2] - luma[2:]) / 2
    far = np.abs(luma[2:] - luma[:-2])
    return float((near * (near > 2 * far)).mean())


def scores(
    frames: Sequence[Frame], cadence: Progressive, layout: PixelLayout, size: tuple[int, int]
) -> list[float]:
    return [
        psnr(frame.planes, drawing(cadence.truth(i), layout, size[::-1]), layout.bit_depth)
        for i, frame in enumerate(frames)
    ]


def before_and_after(path: Path, order: Order) -> tuple[list[Frame], list[Frame], FieldReport]:
    source, report = probe(path), FieldReport()
    before = list(read_frames(source))
    after = list(read_frames(source, deinterlace=order, fields=report))
    assert [(f.pts, f.duration) for f in before] == [(f.pts, f.duration) for f in after]
    return before, after, report


def assert_same_pictures(first: Sequence[Frame], second: Sequence[Frame]) -> None:
    for one, other in zip(first, second, strict=True):
        assert one.pts == other.pts
        assert all(torch.equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


FORMATS = {
    "plain": {},
    "b-frames": {"bframes": 3},
    "variable": {"pts": UNEVEN, "frames": 18, "time_base": Fraction(1, 1000)},
    "offset": {"video_offset_seconds": Fraction(1, 2)},
    "ten bits": {"pix_fmt": "yuv420p10le"},
    "4:2:2": {"pix_fmt": "yuv422p"},
    "4:4:4": {"pix_fmt": "yuv444p"},
    "odd": {"codec": "ffv1", "size": (127, 95), "options": {}},
    "odd, twelve bits": {
        "codec": "ffv1",
        "size": (127, 95),
        "pix_fmt": "yuv420p12le",
        "options": {},
    },
    "gray": {"codec": "ffv1", "pix_fmt": "gray", "options": {}},
    "rgb": {"codec": "magicyuv", "pix_fmt": "gbrp", "options": {}},
    "alpha": {"codec": "ffv1", "pix_fmt": "yuva420p", "options": {}},
    "nv12": {"codec": "rawvideo", "pix_fmt": "nv12", "options": {}},
    "upside down": {"codec": "rawvideo", "pix_fmt": "bgr24", "options": {}},
}
NAMES = {"rgb": "a.nut", "nv12": "a.nut", "upside down": "a.avi"}


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("name", FORMATS)
def test_film_comes_back_out_of_telecine(tmp_path: Path, name: str, order: Order) -> None:
    path = clip(tmp_path / NAMES.get(name, "a.mkv"), Telecine(), order, **FORMATS[name])
    before, after, report = before_and_after(path, order)
    assert report.matched >= len(before) // 5 and report.interpolated <= 1
    layout, size = probe(path).video.layout, FORMATS[name].get("size", SIZE)
    woven_scores, found = (scores(f, Telecine(), layout, size) for f in (before, after))
    assert min(woven_scores) < 30
    exact = {"upside down": 30.0, "rgb": 60.0}.get(name, 60.0)
    assert np.median(found) > exact and sorted(found)[1] > exact


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("name", FORMATS)
def test_video_gets_one_moment_a_picture(tmp_path: Path, name: str, order: Order) -> None:
    path = clip(tmp_path / NAMES.get(name, "a.mkv"), Video(), order, **FORMATS[name])
    before, after, report = before_and_after(path, order)
    assert report.interpolated >= len(before) - 2
    layout, size = probe(path).video.layout, FORMATS[name].get("size", SIZE)
    if name != "upside down":
        woven_scores, found = (scores(f, Video(), layout, size) for f in (before, after))
        assert min(found) > min(woven_scores) + 1 and np.mean(found) > np.mean(woven_scores) + 5
    combs = [np.mean([combing(frame.planes[0]) for frame in f]) for f in (before, after)]
    assert combs[1] < combs[0] / 2


@pytest.mark.parametrize("cadence", [Telecine(), Video()], ids=["telecine", "video"])
def test_the_wrong_order_is_worse(tmp_path: Path, cadence: Progressive) -> None:
    path = clip(tmp_path / "a.mkv", cadence, TOP)
    layout = probe(path).video.layout
    right, wrong = (
        float(np.mean(scores(before_and_after(path, order)[1], cadence, layout, SIZE)))
        for order in (TOP, BOTTOM)
    )
    assert right > wrong + 5


@pytest.mark.parametrize("name", FORMATS)
def test_progressive_pictures_are_untouched(tmp_path: Path, name: str) -> None:
    path = clip(tmp_path / NAMES.get(name, "a.mkv"), Progressive(), **FORMATS[name])
    for order in Order:
        before, after, report = before_and_after(path, order)
        assert_same_pictures(before, after)
        assert report == FieldReport(untouched=len(before))


def coded_by_fields(film: Path, path: Path, flags: str) -> Path:
    """The film as a disc holds it: MPEG-2, every picture flagged interlaced."""
    with av.open(str(film)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg2video", rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.options = {"flags": "+ildct+ilme", "qmin": "6", "qmax": "6", "bf": "2"}
        graph = Graph()
        graph.link_nodes(
            graph.add_buffer(template=source.streams.video[0]),
            graph.add("setfield", flags),
            graph.add("buffersink"),
        ).configure()
        for picture in source.decode(video=0):
            graph.vpush(picture)
            flagged = graph.vpull()
            flagged.pict_type = 0
            output.mux(stream.encode(flagged))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("flags", FLAGGED)
def test_progressive_film_that_is_flagged_interlaced_is_untouched(
    tmp_path: Path, flags: str
) -> None:
    """As on most PAL discs: lossy, coded by fields, but every picture of one moment."""
    film = clip(tmp_path / "film.mkv", Progressive(), frames=40)
    path = coded_by_fields(film, tmp_path / "a.vob", flags)
    found = find_interlacing(probe(path))
    assert found.is_flagged and found.may_be_combed and found.kind == "progressive"
    assert found.order is Order(flags)
    assert found.order is not None
    before, after, _ = before_and_after(path, found.order)
    assert_same_pictures(before, after)


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("size", [(128, 96), (16, 16), (8, 8), (18, 34)])
def test_the_shortest_and_smallest_films(
    tmp_path: Path, frames: int, size: tuple[int, int]
) -> None:
    path = clip(tmp_path / "a.mkv", Video(), frames=frames, size=size, codec="ffv1", options={})
    _, after, report = before_and_after(path, TOP)
    assert len(after) == frames
    assert report.untouched + report.matched + report.interpolated == frames
    assert find_interlacing(probe(path)).kind in ("unknown", "progressive", "interlaced")


@pytest.mark.parametrize("cadence", [Telecine(), Video()], ids=["telecine", "video"])
def test_a_range_is_exactly_its_frames(tmp_path: Path, cadence: Progressive) -> None:
    path = clip(tmp_path / "a.mp4", cadence, frames=60, bframes=2, options={"g": "12"})
    source = probe(path)
    whole = list(read_frames(source, deinterlace=TOP))
    for first, last in ((0, 7), (12, 13), (11, 30), (35, 60), (24, 24)):
        begin, end = Fraction(first, 25), Fraction(last, 25)
        part = list(read_frames(source, start=begin, end=end, deinterlace=TOP))
        assert_same_pictures(part, whole[first:last])


def test_damage_costs_no_other_frame(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.ts", Video(), size=(320, 240), frames=60, options={"g": "10"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = b"\x55" * 6000
    path.write_bytes(data)
    source, plain, deinterlacing = probe(path), DamageReport(), DamageReport()
    before = list(read_frames(source, damage=plain))
    after = list(read_frames(source, damage=deinterlacing, deinterlace=TOP))
    assert [frame.pts for frame in before] == [frame.pts for frame in after]
    assert plain == deinterlacing and plain
    assert find_interlacing(source).kind == "interlaced"


def test_a_cut_between_the_fields_of_a_picture() -> None:
    """An edit on tape: the first shot's last picture is rid of the second shot's field."""
    layout = PixelLayout("420", 8)

    def shot(moment: int) -> Planes:
        planes = drawing(moment, layout, SIZE[::-1])
        return planes if moment < 11 else [255 - plane[:, ::-1] for plane in planes]

    pictures = [_picture(woven(shot(2 * i), shot(2 * i + 1), TOP)) for i in range(10)]
    cut = [each.shown for each in deinterlaced(enumerate(pictures), TOP)][5]
    before, after = (
        psnr([torch.from_numpy(each.to_ndarray()[: SIZE[1]])], shot(10)[:1])
        for each in (pictures[5], cut)
    )
    assert after > before + 6


def test_held_drawings_keep_their_own_noise() -> None:
    """Two exposures of one drawing differ by their noise; their fields are not shuffled."""
    generator = np.random.default_rng(0)
    layout = PixelLayout("420", 8)
    pictures = []
    for index in range(12):
        planes = drawing(index // 4 * 3, layout, SIZE[::-1])
        noise = [np.rint(generator.normal(0, 3, plane.shape)) for plane in planes]
        pictures.append(_picture([(p + n).clip(0, 255) for p, n in zip(planes, noise)]))
    for order in Order:
        assert all(each.shown is each.decoded for each in deinterlaced(enumerate(pictures), order))


def _picture(planes: Sequence[np.ndarray]) -> VideoFrame:
    return VideoFrame.from_ndarray(
        np.concatenate([plane.astype(np.uint8).ravel() for plane in planes]).reshape(-1, SIZE[0]),
        format="yuv420p",
    )


def test_a_change_of_size_starts_afresh() -> None:
    layout = PixelLayout("420", 8)
    pictures = [
        _picture(
            woven(drawing(2 * i, layout, SIZE[::-1]), drawing(2 * i + 1, layout, SIZE[::-1]), TOP)
        )
        for i in range(6)
    ]
    smaller = [each.reformat(width=64, height=48) for each in pictures[:3]]
    found = list(deinterlaced(enumerate([*pictures[:3], *smaller, *pictures[3:]]), TOP))
    assert [each.pts for each in found] == list(range(9))
    assert [each.shown.width for each in found] == [128] * 3 + [64] * 3 + [128] * 3


KINDS = {"progressive": Progressive(), "interlaced": Video(), "telecined": Telecine()}


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("flags", ["", "tff", "bff"])
@pytest.mark.parametrize("kind", KINDS)
def test_kind_and_order_are_measured(tmp_path: Path, kind: str, order: Order, flags: str) -> None:
    """Whatever the flags say: rips of discs often say progressive, or the wrong order."""
    options = {"crf": "20", **FLAGGED.get(flags, {})}
    path = clip(tmp_path / "a.mkv", KINDS[kind], order, frames=60, bframes=2, options=options)
    found = find_interlacing(probe(path))
    assert found.kind == kind and found.is_flagged == bool(flags)
    if kind == "progressive":
        assert found.combed_share == 0 and found.may_be_combed == bool(flags)
    else:
        assert found.order is order and found.combed_share > 0.5


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts", "a.avi", "a.vob", "a.h264"])
def test_kind_is_found_anywhere_in_a_longer_film(tmp_path: Path, name: str) -> None:
    """Only the middle of the film is combed, as where a film was cut together from two sources."""

    class Mixed(Telecine):
        def moments(self, index: int) -> tuple[int, int]:
            return super().moments(index) if 100 <= index < 200 else (index, index)

    codec = {"a.avi": "mpeg4", "a.vob": "mpeg2video"}.get(name, "libx264")
    options = {"g": "25", "crf": "20"} if codec == "libx264" else {"g": "25", "qmax": "3"}
    path = clip(tmp_path / name, Mixed(), frames=300, codec=codec, options=options)
    if name != "a.h264":  # it has no length and no index: its beginning alone is looked at
        assert find_interlacing(probe(path)).kind == "telecined"
    else:
        assert find_interlacing(probe(path)).kind == "progressive"


def test_soft_telecine_needs_nothing(tmp_path: Path) -> None:
    """Whole pictures that ask players to repeat fields: decoded, they are film."""
    options = {"x264-params": "pulldown=32:fake-interlaced=0", "crf": "18"}
    path = clip(tmp_path / "a.mkv", Progressive(), frames=40, options=options)
    found = find_interlacing(probe(path))
    assert found.kind == "progressive"
    before, after, _ = before_and_after(path, TOP)
    assert_same_pictures(before, after)


def test_still_pictures_say_nothing(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", size=SIZE, picture=lambda index, *rest: drawing(0, *rest))
    assert find_interlacing(probe(path)).kind == "unknown"
    assert not find_interlacing(probe(path)).may_be_combed


def test_thin_lines_in_motion_are_no_combs(tmp_path: Path) -> None:
    def blinds(index: int, layout: PixelLayout, size: tuple[int, int]) -> Planes:
        planes = drawing(index, layout, size)
        height, width = planes[0].shape
        y, x = np.mgrid[0:height, 0:width]
        for spacing, left in ((2, 0), (3, 40), (4, 80)):
            band = (x >= left) & (x < left + 36) & ((y + index // 2) % spacing == 0)
            planes[0][band] = 20
        return planes

    path = make_clip(tmp_path / "a.mkv", size=SIZE, frames=60, picture=blinds, audio=())
    found = find_interlacing(probe(path))
    assert found.kind == "progressive"


def test_a_broken_film_is_looked_at_without_complaint(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mkv", Video(), frames=300, options={"g": "25"})
    data = bytearray(path.read_bytes())
    generator = np.random.default_rng(1)
    for position in generator.integers(len(data) // 20, len(data), 200):
        data[position] ^= 0xFF
    path.write_bytes(data[: len(data) * 7 // 10])
    assert find_interlacing(probe(path)).kind in ("interlaced", "telecined")


def test_pictures_looked_at_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred pictures of 8K are more than many machines have memory for."""
    seen: list[VideoFrame] = []
    alive: list[int] = []
    plain = interlacing._pictures

    def pictures(*given: object) -> Iterator[VideoFrame | None]:
        for picture in plain(*given):  # type: ignore[arg-type]
            assert picture is not None
            seen.append(picture)
            yield picture
            alive.append(sum(sys.getrefcount(each) > 3 for each in seen))

    monkeypatch.setattr(interlacing, "_pictures", pictures)
    path = clip(tmp_path / "a.mkv", Telecine(), frames=60)
    assert find_interlacing(probe(path)).kind == "telecined"
    assert len(seen) == 60 and max(alive) <= 2


def test_real_progressive_films_are_left_alone(data: Path) -> None:
    for path in sorted((data / "clips").glob("*/*.m*"))[:2]:
        found = find_interlacing(probe(path))
        assert found.kind == "progressive" and found.combed_share == 0
