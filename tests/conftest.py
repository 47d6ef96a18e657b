"""Shared set-up: repeatable random numbers, one thread, networks that are not the default one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


settings.register_profile("same", derandomize=True)
settings.register_profile("many", max_examples=1000)
if os.environ.get("CI"):
    settings.load_profile("same")  # new counterexamples are for people to find, not for a build


@pytest.fixture(autouse=True)
def repeatable() -> Iterator[None]:
    """Every test starts from the same random state and leaves the caller's untouched."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    yield
    torch.set_rng_state(state)


@pytest.fixture(scope="session")
def data() -> Path:
    """The free-licensed pictures and clips beside the repository."""
    if not DATA.is_dir():
        pytest.skip("no pictures and clips beside the repository")
    return DATA
