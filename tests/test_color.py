"""Colours come back, tags or not."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from remaster.color import (
    LUMA_WEIGHTS,
    conversion,
    convert,
    decode_planes,
    describe,
    encode_planes,
    output_color,
    rgb_to_ycc_matrix,
    subsample_chroma,
    upsample_chroma,
)
from remaster.frames import Color, PixelLayout

TAGGED = {
    "matrix": None,
    "range_": None,
    "primaries": None,
    "transfer": None,
    "chroma_location": None,
}


def color(matrix: str, color_range: str = "limited", location: str = "left") -> Color:
    return Color(matrix, color_range, matrix, matrix, location)


def test_the_numbers_of_bt601_and_bt709() -> None:
    white, red = torch.ones(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)[0]
    for matrix in LUMA_WEIGHTS:
        assert torch.allclose(
            rgb_to_ycc_matrix(matrix) @ white, torch.eye(3)[0].double(), atol=1e-12
        )
        assert rgb_to_ycc_matrix(matrix).abs().max(1).values[1:].tolist() == pytest.approx(
            [0.5] * 2
        )
    # BT.601's well-known 81, 90, 240 for red in 8-bit limited range.
    y, cb, cr = rgb_to_ycc_matrix("smpte170m") @ red
    assert [round(float(v)) for v in (16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr)] == [
        81,
        90,
        240,
    ]


@given(
    matrix=st.sampled_from([*LUMA_WEIGHTS]),
    target=st.sampled_from([*LUMA_WEIGHTS, "rgb"]),
    color_range=st.sampled_from(["limited", "full"]),
    depth=st.sampled_from([8, 10, 12]),
    subsampling=st.sampled_from(["420", "422", "444"]),
    location=st.sampled_from(["left", "center", "topleft"]),
)
def test_flat_colors_come_back(
    matrix: str, target: str, color_range: str, depth: int, subsampling: str, location: str
) -> None:
    layout, own = PixelLayout(subsampling, depth), color(matrix, color_range, location)
    generator = torch.Generator().manual_seed(1)
    low, high = (16 << depth - 8, 235 << depth - 8)
    planes = []
    for shape in layout.plane_shapes(13, 17):
        value = torch.randint(low, high, (1,), generator=generator).item()
        planes.append(torch.full((1, *shape), value).to(layout.dtype))
    picture = decode_planes(planes, layout, own, target)
    assert picture.shape == (1, 3, 13, 17)
    back = encode_planes(picture, layout, own, target)
    for a, b in zip(planes, back):
        assert a.dtype == b.dtype
        assert (a.int() - b.int()).abs().max() <= 0


@pytest.mark.parametrize("location", ["left", "center", "topleft"])
@pytest.mark.parametrize("size", [(18, 33), (17, 20)])
def test_chroma_siting_is_undone(location: str, size: tuple[int, int]) -> None:
    """A ramp sampled at the siting's places is a ramp again on the luma grid."""
    layout = PixelLayout("420", 8)
    y, x = torch.meshgrid(*(torch.arange(float(n)) for n in size), indexing="ij")
    ramp = (x + 2 * y)[None, None] / 100
    down, across = {"left": (0.5, 0.0), "center": (0.5, 0.5), "topleft": (0.0, 0.0)}[location]
    rows, columns = ((n + 1) // 2 for n in size)
    cy, cx = torch.meshgrid(torch.arange(rows) * 2, torch.arange(columns) * 2, indexing="ij")
    sited = ((cx + across) + 2 * (cy + down))[None, None] / 100
    inner = (..., slice(5, -5), slice(5, -5))
    assert (upsample_chroma(sited, layout, location, size) - ramp)[inner].abs().max() < 1e-5
    assert (subsample_chroma(ramp, layout, location) - sited)[..., 3:-3, 3:-3].abs().max() < 1e-5


@pytest.mark.parametrize(
    ("size", "rate", "matrix"),
    [
        ((576, 432), Fraction(25), "bt470bg"),
        ((720, 576), Fraction(30000, 1001), "bt470bg"),
        ((640, 480), Fraction(24000, 1001), "smpte170m"),
        ((720, 480), None, "smpte170m"),
        ((1280, 720), Fraction(25), "bt709"),
        ((1440, 1080), Fraction(24), "bt709"),
    ],
)
def test_silent_files_are_guessed_by_the_usual_rules(
    size: tuple[int, int], rate: Fraction | None, matrix: str
) -> None:
    guessed, missing = describe(
        **TAGGED, width=size[0], height=size[1], frame_rate=rate, is_rgb=False
    )
    assert (guessed.matrix, guessed.range) == (matrix, "limited")
    assert "matrix" in missing
    assert "unspecified" not in (guessed.primaries, guessed.transfer)


def test_tags_are_believed() -> None:
    told = {**TAGGED, "matrix": "bt709", "range_": "full"}
    own, missing = describe(**told, width=320, height=240, frame_rate=None, is_rgb=False)
    assert own == Color("bt709", "full", "bt709", "bt709")
    assert missing == ("primaries", "transfer")


def test_sd_past_sd_becomes_bt709_and_nothing_else_changes() -> None:
    source = Color("smpte170m", "limited", "smpte170m", "smpte170m", "center")
    assert output_color(source, (640, 480), (720, 540)).matrix == "smpte170m"
    enlarged = output_color(source, (640, 480), (2560, 1920))
    assert enlarged == Color("bt709", "limited", "smpte170m", "smpte170m", "left")
    hd = Color("smpte170m", "limited", "bt709", "bt709")
    assert output_color(hd, (1920, 1080), (3840, 2160)).matrix == "smpte170m"


def test_equal_matrices_need_no_conversion() -> None:
    assert conversion("bt470bg", "smpte170m") is None
    assert conversion("ycgco", "ycgco") is None


def test_what_was_kept_in_inference_serves_a_training() -> None:
    x = torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        convert(x, "fcc", "bt2020nc")
        upsample_chroma(x[:, 1:], PixelLayout("422", 8), "center", (8, 16))
    x.requires_grad_()
    large = upsample_chroma(x[:, 1:], PixelLayout("422", 8), "center", (8, 16))
    (convert(x, "fcc", "bt2020nc").sum() + large.sum()).backward()
    assert x.grad is not None
