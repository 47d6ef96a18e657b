"""What --pairs and clean pictures have not in common is refused, not ignored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remaster.errors import OptionsError
from remaster.train.options import OF_CLEAN_PICTURES, TrainOptions
from remaster.train.recipes import RECIPES

RELEASES = (Path("old.mkv"), Path("new.mkv"))


def of_releases(data: tuple[Path, ...] = (), **more: Any) -> TrainOptions:
    return TrainOptions(data, Path("w.safetensors"), pairs=RELEASES, **more)


def test_pairs_stand_alone() -> None:
    assert of_releases(changes={"batch": 2, "flat": 0.5, "turned": True}).pairs == RELEASES
    with pytest.raises(OptionsError, match="leave out stills, or --pairs"):
        of_releases((Path("stills"),))
    with pytest.raises(OptionsError, match="leave out --hold-out"):
        of_releases(hold_out=("one",))


@pytest.mark.parametrize("name", OF_CLEAN_PICTURES)
def test_numbers_without_meaning_for_pairs_are_refused(name: str) -> None:
    same = {name: getattr(RECIPES["default"], name)}
    with pytest.raises(OptionsError, match=f"--{name.replace('_', '-')} would change"):
        of_releases(changes=same)
    assert TrainOptions((Path("stills"),), Path("w.safetensors"), changes=same).changes == same
