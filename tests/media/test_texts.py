"""Subtitles keep their words, and of their looks what every codec can say."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remaster.media.texts import Overlay, marked_text, written_text


def ass(text: str) -> bytes:
    return f"0,0,Default,,0,0,0,,{text}".encode()


@pytest.mark.parametrize(
    ("payload", "codec", "target", "expected"),
    [
        (ass(r"{\i1}One{\i0}, two\Nthree"), "ass", "subrip", "<i>One</i>, two\nthree"),
        (ass(r"{\b700\pos(1,2)}A{\r}B"), "ass", "subrip", "<b>A</b>B"),
        (ass(r"{\blur3\bord2\be1}A"), "ass", "subrip", "A"),
        (ass(r"{\i1}A{\b1}B{\i0}C"), "ass", "subrip", "<i>A<b>B</b></i><b>C</b>"),
        (ass(r"{\p1}m 0 0 l 1 1{\p0}"), "ass", "subrip", ""),
        (ass("a, b, c"), "ass", "subrip", "a, b, c"),
        (
            b"<v Bob>Tom &amp; <i>J</i> <c.red>x</c><00:01.000>y",
            "webvtt",
            "subrip",
            "Tom & <i>J</i> xy",
        ),
        (
            b"a < b & <i>c</i> <font color=red>d</font>",
            "subrip",
            "webvtt",
            "a &lt; b &amp; <i>c</i> d",
        ),
        (b"I <3 you", "subrip", "webvtt", "I &lt;3 you"),
        (b"{\\an8}Top", "subrip", "webvtt", "Top"),
    ],
)
def test_between_codecs(payload: bytes, codec: str, target: str, expected: str) -> None:
    assert written_text(marked_text(payload, codec), target).decode() == expected


def test_mov_text_says_what_is_bold() -> None:
    data = written_text("<b>ö<i>x</i></b> a < b", "mov_text")
    assert data[:2] == len("öx a < b".encode()).to_bytes(2, "big")
    assert b"styl\0\2" in data
    assert marked_text(data, "mov_text") == "<b>ö<i>x</i></b> a < b"


def test_mov_text_may_be_utf_16() -> None:
    words = "ö\nx".encode("utf-16")
    data = len(words).to_bytes(2, "big") + words
    assert marked_text(data, "mov_text") == "ö\nx"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "b", "i", "u"]),
            st.text("aö 漢", min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_mov_text_gives_back_what_it_got(parts: list[tuple[str, str]]) -> None:
    merged: list[tuple[str, str]] = []
    for face, words in parts:
        if merged and merged[-1][0] == face:
            merged[-1] = (face, merged[-1][1] + words)
        else:
            merged.append((face, words))
    text = "".join(f"<{f}>{words}</{f}>" if f else words for f, words in merged)
    data = written_text(text, "mov_text")
    assert marked_text(data, "mov_text") == text


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), min_size=1, max_size=8).map(sorted)
)
def test_at_every_moment_what_was_shown_is_shown(spans: list[tuple[int, int]]) -> None:
    overlay = Overlay()
    shown: list[tuple[Fraction, Fraction, str]] = []
    for number, (start, length) in enumerate(spans):
        shown += overlay.add(Fraction(start), Fraction(length), str(number))
    shown += overlay.flush()
    assert all(a[0] + a[1] <= b[0] for a, b in zip(shown, shown[1:]))
    for moment in range(61):
        time = moment + Fraction(1, 2)
        wanted = {
            str(n) for n, (start, length) in enumerate(spans) if start <= time < start + length
        }
        found = [words for start, length, words in shown if start <= time < start + length]
        assert {word for words in found for word in words.split("\n")} == wanted


def test_a_text_without_an_end_lasts_to_the_next() -> None:
    overlay = Overlay()
    shown = [
        *overlay.add(Fraction(0), Fraction(0), "a"),
        *overlay.add(Fraction(2), Fraction(0), "b"),
    ]
    assert [*shown, *overlay.flush()] == [(0, 2, "a"), (2, 5, "b")]
