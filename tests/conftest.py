"""Shared set-up: repeatable random numbers, one thread, networks that are not the default one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from remaster import pipeline

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


@pytest.fixture(autouse=True)
def enough_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test fails because the machine is busy; those about memory say how much there is."""
    monkeypatch.setattr(pipeline, "available_memory", lambda: None)


@pytest.fixture
def signals_arrive() -> Iterator[None]:
    """Programs that a test starts are stopped by signals, even where the tests ignore them.

    In the background of a shell and under `nohup` signals are ignored, and children inherit it.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="session")
def data() -> Path:
    """The free-licensed pictures and clips beside the repository."""
    if not DATA.is_dir():
        pytest.skip("no pictures and clips beside the repository")
    return DATA
