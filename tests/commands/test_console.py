"""Words that are safe to print, aligned, and never the reason that a run fails."""

from __future__ import annotations

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remaster.commands import console
from remaster.commands.console import clean, clock, columns, one_line, size_words, width
from remaster.errors import RemasterError


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    for said in (clean(text), one_line(RemasterError(text))):
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in said)
        said.encode()


def test_what_is_spelled_out() -> None:
    assert clean("a\x1b[31m\n\udcff\u202eb\x9b") == r"a\x1b[31m\n\xff\u202eb\x9b"
    assert clean("第1話 – é 🎬.mkv") == "第1話 – é 🎬.mkv"


@given(st.lists(st.tuples(st.text("aé日ｱ"), st.text("b第"), st.just("|")), min_size=1))
def test_columns_stand_under_one_another(rows: list[tuple[str, str, str]]) -> None:
    assert len({width(line) for line in columns(rows)}) == 1


def test_empty_columns_vanish() -> None:
    assert columns([("a", "", "b"), ("cc", "", "d")], indent=1) == [" a   b", " cc  d"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0:00.0"), (59.97, "1:00.0"), (599.9, "9:59.9"), (599.97, "0:10:00"), (7199.6, "2:00:00")],
)
def test_clocks(seconds: float, words: str) -> None:
    assert clock(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (123456, "123 kB"), (2.5e12, "2500 GB")],
)
def test_sizes(count: float, words: str) -> None:
    assert size_words(count) == words


def test_an_encoding_without_the_letters_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    console.say("第 é")
    assert stream.buffer.getvalue() == rb"\u7b2c \xe9" + b"\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (BrokenPipeError(32, "Broken pipe"), None),
        (OSError(28, "No space"), "standard output cannot be written (No space)"),
    ],
)
def test_a_full_disk_is_remembered_and_a_closed_pipe_is_not(
    monkeypatch: pytest.MonkeyPatch, error: OSError, trouble: str | None
) -> None:
    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise error

    monkeypatch.setattr(sys, "stdout", Broken())
    console.say("words")
    console.say("more")
    assert console.trouble() == trouble
    assert console.trouble() is None
