"""What is said before work starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from remaster import plan as plan_module
from remaster.plan import RunOptions, make_plan
from tests.clips import make_clip
from tests.networks import Blurring

NOTES = {
    "4:4:4 that the encoder cannot hold": (
        "yuv444p", "libsvtav1", None, "4:4:4 becomes 4:2:0: libsvtav1"
    ),
    "4:4:4 that was given away": ("yuv444p", "libx265", "yuv420p", None),
    "12 bits in an encoder of 10": ("yuv420p12le", "libx264", None, "12 bits become 10: libx264"),
    "10-bit H.264": ("yuv420p10le", "libx264", None, "many players cannot show H.264"),
    "10-bit H.265": ("yuv420p10le", "libx265", None, None),
    "8-bit 4:2:0": ("yuv420p", "libx264", None, None),
    "gray": ("gray", "libx264", None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTES)
def test_what_an_encoder_loses_is_said(tmp_path: Path, name: str) -> None:
    source_format, codec, pix_fmt, expected = NOTES[name]
    source = make_clip(tmp_path / "in.mkv", frames=1, codec="ffv1", pix_fmt=source_format)
    plan = make_plan(source, tmp_path / "out.mkv", RunOptions(codec=codec, pix_fmt=pix_fmt))
    said = [n for n in plan.notes if "becomes 4" in n or "bits become" in n or "players" in n]
    assert bool(said) == bool(expected)
    assert expected is None or any(expected in note for note in said)


@pytest.mark.parametrize("is_whole", [False, True])
def test_a_network_that_cannot_have_parts_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_whole: bool
) -> None:
    model = Blurring("rgb")
    model.sees_whole_image = is_whole
    monkeypatch.setattr(plan_module, "choose_model", lambda *_: ("blur", model))
    source = make_clip(tmp_path / "in.mkv", frames=1)
    for reuse in ("drawings", "off"):
        plan = make_plan(source, tmp_path / "out.mkv", RunOptions(reuse=reuse))
        said = any("blur looks at whole pictures" in note for note in plan.notes)
        assert said == (is_whole and reuse == "drawings")
