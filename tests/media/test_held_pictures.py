"""A picture that is held goes to the encoder without being filled anew, and comes out the same."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from remaster.frames import Color, Frame, PixelLayout, VideoInfo
from remaster.media import film as film_module
from remaster.media.encoders import choose_encoding
from remaster.media.external import find_ffmpeg
from remaster.media.external_film import ExternalFilmEncoder, external_encoding
from remaster.media.film import FilmEncoder
from remaster.media.formats import layout_of
from remaster.media.probe import probe
from remaster.media.y4m import Y4mWriter, y4m_encoding
from tests.clips import make_clip

ENCODERS = {  # preset, and levels that lossy ones may be off
    "libx264": ("medium", 3),
    "libx265": ("ultrafast", 3),
    "libsvtav1": ("10", 3),
    "libvpx-vp9": ("8", 3),
    "ffv1": (None, 0),
    "prores_ks": (None, 1),
}
HOLDS = (1, 4, 2, 7, 1, 1, 3, 9, 2)


def film_of(layout: PixelLayout) -> VideoInfo:
    color = Color("bt709", "limited", "bt709", "bt709")
    return VideoInfo(64, 48, Fraction(1, 1000), Fraction(25), Fraction(1), layout, color)


def held_frames(layout: PixelLayout) -> Iterator[Frame]:
    """Flat drawings, each held for some frames at uneven times."""
    time = 0
    for number, count in enumerate(HOLDS):
        code = (40 + 20 * number) << (layout.bit_depth - 8)
        planes = tuple(
            torch.full(shape, code, dtype=layout.dtype) for shape in layout.plane_shapes(48, 64)
        )
        for exposure in range(count):
            yield Frame(time, planes, 40)
            time += (40, 41, 83)[(number + exposure) % 3]


def decoded(data: io.BytesIO) -> list[tuple[int, float, float]]:
    """(milliseconds, least, greatest luma) of every picture, in the order shown."""
    data.seek(0)
    found = []
    with av.open(data) as container:
        for picture in container.decode(video=0):
            plane = picture.planes[0]
            dtype = np.uint8 if picture.format.components[0].bits == 8 else np.uint16
            luma = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
            assert picture.pts is not None
            ms = round(picture.pts * picture.time_base * 1000)
            found.append((ms, float(luma[:, :64].min()), float(luma[:, :64].max())))
    return found


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One number for every plane that is copied."""
    seen: list[int] = []
    fill = film_module._fill

    def counting(plane: object, values: torch.Tensor, layout: PixelLayout) -> None:
        seen.append(1)
        fill(plane, values, layout)  # type: ignore[arg-type]

    monkeypatch.setattr(film_module, "_fill", counting)
    return seen


@pytest.mark.parametrize("codec", ENCODERS)
def test_pixels_and_times_are_right(codec: str, filled: list[int]) -> None:
    """With B-frames and look-ahead: what an encoder still holds keeps its own time."""
    preset, most = ENCODERS[codec]
    layout = PixelLayout("422", 10) if codec == "prores_ks" else PixelLayout("420", 8)
    encoding = choose_encoding(
        codec, layout, crf=None, encoder_preset=preset, pix_fmt=None, container="matroska"
    )
    assert layout_of(encoding.pixel_format) == layout
    data = io.BytesIO()
    frames = list(held_frames(layout))
    with av.open(data, "w", format="matroska") as output:
        film = FilmEncoder(output, film_of(layout), encoding)
        output.start_encoding()
        for frame in (*frames, None):
            output.mux(film.encode(frame))
    assert len(filled) == 3 * len(HOLDS)
    found = decoded(data)
    assert [ms for ms, _, _ in found] == [frame.pts for frame in frames]
    for (_, least, greatest), frame in zip(found, frames, strict=True):
        wanted = float(frame.planes[0][0, 0])
        assert max(abs(least - wanted), abs(greatest - wanted)) <= most << (layout.bit_depth - 8)


def test_equal_planes_of_another_frame_are_not_taken_for_held(filled: list[int]) -> None:
    layout = PixelLayout("420", 8)
    pictures = film_module.Pictures(film_of(layout), layout)
    frame = next(held_frames(layout))
    for planes in (frame.planes, tuple(plane.clone() for plane in frame.planes)):
        pictures.of(Frame(0, planes), 40)
    assert len(filled) == 6
    one_other = (frame.planes[0], frame.planes[1], frame.planes[2] + 1)
    pictures.of(Frame(0, frame.planes), 40)
    assert len(filled) == 9
    last = pictures.of(Frame(0, one_other), 40).planes[2]
    assert len(filled) == 12
    assert np.frombuffer(memoryview(last), np.uint8)[0] == int(one_other[2][0, 0])


def test_y4m_keeps_the_bytes_of_the_picture_before(tmp_path: Path) -> None:
    source = probe(make_clip(tmp_path / "in.mkv", frames=1, audio=()))
    layout = source.video.layout
    films = []
    for name in ("held", "copied"):
        path = tmp_path / f"{name}.y4m"
        with Y4mWriter(
            path, source, source.video, y4m_encoding(layout, None), overwrite=False
        ) as writer:
            for frame in held_frames(layout):
                planes = frame.planes if name == "held" else tuple(p.clone() for p in frame.planes)
                writer.write(Frame(frame.pts, planes))
            assert writer.finish().frames == sum(HOLDS)
        films.append(path.read_bytes())
    assert films[0] == films[1]


@pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg program")
def test_a_program_gets_held_pictures_too(filled: list[int]) -> None:
    layout = PixelLayout("420", 8)
    encoding = external_encoding("-c:v libx264 -bf 3 -crf 10", layout, None)
    frames = list(held_frames(layout))
    video = film_of(layout)
    data = io.BytesIO()
    with ExternalFilmEncoder(video, encoding) as film:
        packets = [packet for frame in (*frames, None) for packet in film.encode(frame)]
        with av.open(data, "w", format="matroska") as output:
            film.add_stream(output)
            output.start_encoding()
            for packet in packets:
                packet.stream = film.stream
                output.mux(packet)
    assert len(filled) == 3 * len(HOLDS)
    found = decoded(data)
    assert [ms for ms, _, _ in found] == [frame.pts for frame in frames]
    assert all(
        abs(least - float(frame.planes[0][0, 0])) <= 3
        for (_, least, _), frame in zip(found, frames, strict=True)
    )
