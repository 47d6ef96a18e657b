"""Shared set-up: repeatable random numbers, one thread, networks that are not the default one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


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
