"""Means and their intervals, and the same figures in every form."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remaster.train.evaluate import Row
from remaster.train.figures import (
    EVERY_KERNEL,
    as_csv,
    as_document,
    as_table,
    bootstrap,
    summarize,
)

finite = st.floats(-100, 100)


def rows() -> list[Row]:
    """Two kernels, two methods, three pictures; the network is better by 1, 2 and 3 dB."""
    return [
        Row(2, kernel, method, "s", f"{i}.png", 1, {"psnr_y": value, "edge_psnr": edge})
        for k, kernel in enumerate(("box", "triangle"))
        for method in ("bicubic", "mine")
        for i in range(3)
        for value in [30.0 + k + (method == "mine") * (i + 1)]
        for edge in [math.nan if i == 0 else 20.0]
    ]


@given(values=st.lists(finite, min_size=2, max_size=30), shift=finite)
def test_an_interval_holds_its_mean_and_moves_with_it(values: list[float], shift: float) -> None:
    own = bootstrap(values)
    assert own.low - 1e-9 <= own.value <= own.high + 1e-9 or len(set(values)) > 1
    assert min(values) - 1e-9 <= own.low <= own.high <= max(values) + 1e-9
    moved = bootstrap([value + shift for value in values])
    for a, b in zip((own.value, own.low, own.high), (moved.value, moved.low, moved.high)):
        assert a + shift == pytest.approx(b, abs=1e-6)


def test_an_interval_is_that_of_a_normal_mean() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    own = bootstrap(list(values))
    half = 1.96 * values.std() / 20
    assert own.value == pytest.approx(values.mean())
    assert own.low == pytest.approx(values.mean() - half, abs=0.03)
    assert own.high == pytest.approx(values.mean() + half, abs=0.03)
    assert bootstrap(list(values)) == own


def test_what_cannot_be_measured_is_left_out() -> None:
    assert bootstrap([math.nan, 1.0, 3.0]).value == 2
    assert math.isnan(bootstrap([math.nan]).value)
    one = bootstrap([7.0])
    assert one.value == 7 and math.isnan(one.low)


def test_gains_are_of_the_same_pictures() -> None:
    found = {(s.kernel, s.method): s for s in summarize(rows(), "psnr_y")}
    assert [name for name, _ in found][::2] == ["box", "triangle", EVERY_KERNEL]
    for kernel in ("box", "triangle", EVERY_KERNEL):
        gain = found[kernel, "mine"].gain
        assert gain.value == pytest.approx(2) and 1 <= gain.low < gain.high <= 3
        assert found[kernel, "mine"].pictures == 3
        assert found[kernel, "bicubic"].gain.value == 0
    assert found[EVERY_KERNEL, "mine"].means["psnr_y"].value == pytest.approx(32.5)
    assert found["box", "mine"].means["edge_psnr"].value == 20


def test_one_kernel_needs_no_mean_over_kernels() -> None:
    found = summarize([row for row in rows() if row.kernel == "box"], "psnr_y")
    assert {s.kernel for s in found} == {"box"}


def test_the_table_has_a_row_for_each_and_the_interval_of_the_headline() -> None:
    lines = as_table(summarize(rows(), "psnr_y"), "psnr_y").splitlines()
    assert len(lines) == 2 + 6
    assert lines[0] == "| x | kernel | method | pictures | PSNR-Y | over bicubic | edge-PSNR |"
    assert len({line.count("|") for line in lines}) == 1
    assert lines[3].startswith("| 2 | box | mine | 3 | 32.00 [31.")
    assert "| +2.00 [+1." in lines[3] and lines[3].endswith("| 20.00 |")
    assert "|  |" in lines[2]  # bicubic gains nothing over itself


def test_every_value_is_in_the_csv() -> None:
    read = list(csv.DictReader(io.StringIO(as_csv(rows()))))
    assert len(read) == len(rows())
    for line, row in zip(read, rows()):
        assert (line["method"], line["kernel"], line["picture"]) == (
            row.method, row.kernel, row.picture,
        )  # fmt: skip
        assert float(line["psnr_y"]) == row.values["psnr_y"]
    assert read[0]["edge_psnr"] == ""


def test_the_document_is_strict_json_with_the_same_numbers() -> None:
    summaries = summarize(rows(), "psnr_y")
    text = json.dumps(as_document(rows(), summaries), allow_nan=False)
    document = json.loads(text)
    assert len(document["pictures"]) == 12 and len(document["summaries"]) == 6
    assert document["summaries"][1]["gain"]["value"] == summaries[1].gain.value
    assert document["pictures"][0]["values"]["edge_psnr"] is None
