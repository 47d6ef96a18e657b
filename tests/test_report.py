"""What a run did, in words."""

from __future__ import annotations

import pytest

from remaster.report import Reuse, counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (21, "21 frames")]
)
def test_one_is_no_plural(number: int, words: str) -> None:
    assert counted(number, "frame") == words


@pytest.mark.parametrize("mode", ["off", "drawings"])
def test_a_single_frame_is_one(mode: str) -> None:
    assert str(Reuse(mode, 1, 1, 1.0, 0.0, 1.0, 0.1, 0.0)).startswith("1 frame, ")
