"""Settings that fit the encoder, the picture and the container, or a sentence saying why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from remaster.errors import OptionsError
from remaster.frames import PixelLayout
from remaster.media.encoders import (
    Encoding,
    available_encoders,
    choose_encoding,
    container_format,
)
from remaster.media.formats import layout_of

EIGHT = PixelLayout("420", 8)
TEN = PixelLayout("420", 10)


def choose(
    codec: str,
    layout: PixelLayout = EIGHT,
    *,
    crf: int | None = None,
    preset: str | None = None,
    pix_fmt: str | None = None,
    container: str = "matroska",
) -> Encoding:
    return choose_encoding(
        codec, layout, crf=crf, encoder_preset=preset, pix_fmt=pix_fmt, container=container
    )


@pytest.mark.parametrize(
    ("codec", "layout", "pixel_format"),
    [
        ("libx264", EIGHT, "yuv420p"),
        ("libx264", TEN, "yuv420p10le"),
        ("libx264", PixelLayout("422", 10), "yuv422p10le"),
        ("libx264", PixelLayout("444", 12), "yuv444p10le"),
        ("libx265", PixelLayout("420", 12), "yuv420p12le"),
        ("libx265", PixelLayout("rgb", 8), "yuv444p"),
        ("libx264", PixelLayout("gray", 8), "yuv420p"),
        ("ffv1", PixelLayout("gray", 8), "gray"),
        ("ffv1", PixelLayout("420", 9), "yuv420p9le"),
        ("libsvtav1", PixelLayout("444", 10), "yuv420p10le"),
        ("prores_ks", EIGHT, "yuv422p10le"),
        ("prores_ks", PixelLayout("rgb", 8), "yuv444p10le"),
    ],
)
def test_depth_and_chroma_are_kept_where_they_can_be(
    codec: str, layout: PixelLayout, pixel_format: str
) -> None:
    assert choose(codec, layout).pixel_format == pixel_format


def test_every_encoder_has_a_default_for_every_layout() -> None:
    for codec in available_encoders():
        for subsampling in ("420", "422", "444", "rgb", "gray"):
            encoding = choose(codec, PixelLayout(subsampling, 8))
            assert layout_of(encoding.pixel_format).subsampling in ("420", "422", "444", "gray")


def test_ten_bits_are_not_dropped_silently() -> None:
    with pytest.raises(OptionsError, match="10 bits"):
        choose("libvpx-vp9", TEN)
    assert choose("libvpx-vp9", TEN, pix_fmt="yuv420p").pixel_format == "yuv420p"


def test_quality_and_preset_reach_the_encoder_in_its_own_words() -> None:
    assert choose("libx264", crf=20, preset="slow").options == {"crf": "20", "preset": "slow"}
    assert choose("libvpx-vp9", crf=30, preset="4").options["cpu-used"] == "4"
    assert choose("libvpx-vp9").options["b"] == "0"
    assert choose("prores_ks", preset="lt").options["profile"] == "lt"
    assert choose("prores_ks", PixelLayout("444", 10)).options["profile"] == "4444"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codec": "ffv1", "crf": 10}, "does not go with ffv1"),
        ({"codec": "prores_ks", "crf": 10}, "encoder-preset"),
        ({"codec": "ffv1", "preset": "slow"}, "no presets"),
        ({"codec": "libx264", "preset": "5"}, "veryfast"),
        ({"codec": "libx264", "crf": 52}, "0 .* to 51"),
        ({"codec": "libx264", "crf": -1}, "0 .* to 51"),
        ({"codec": "libx264", "container": "webm"}, r"\.mkv or \.mp4"),
        ({"codec": "libsvtav1", "container": "mov"}, r"\.mkv"),
        ({"codec": "prores_ks", "container": "mp4"}, r"\.mov"),
        ({"codec": "libx264", "pix_fmt": "yuv410p"}, "yuv420p10le"),
        ({"codec": "libx264", "pix_fmt": "nonsense"}, "nonsense"),
        ({"codec": "divx"}, "libx264"),
    ],
)
def test_what_does_not_fit_is_said(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        choose(**arguments)  # type: ignore[arg-type]


def test_the_extension_decides_the_container() -> None:
    assert container_format(Path("Film.MKV")) == "matroska"
    with pytest.raises(OptionsError, match=r"\.mkv, \.mp4, \.mov, \.webm"):
        container_format(Path("film.avi"))
