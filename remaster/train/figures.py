"""What many values say: means with their uncertainty, as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from remaster.train.evaluate import Row, Values, mean_values

RESAMPLES = 2000
EVERY_KERNEL = "all"
"""Name of the rows that hold, of each picture, the mean over the kernels."""

COLUMNS = {
    "psnr_y": ("PSNR-Y", "{:.2f}"),
    "psnr_rgb": ("PSNR-RGB", "{:.4f}"),
    "ssim_y": ("SSIM", "{:.4f}"),
    "ssim_rgb": ("SSIM", "{:.4f}"),
    "edge_psnr": ("edge-PSNR", "{:.2f}"),
    "line_f": ("line F", "{:.4f}"),
    "gradient_ratio": ("gradients", "{:.3f}"),
    "overshoot": ("overshoot %", "{:.2%}"),
    "hold_flicker": ("hold flicker", "{:.3f}"),
    "temporal_difference": ("change in time", "{:.3f}"),
}
"""Measure -> (heading, format)."""


@dataclass(frozen=True)
class Mean:
    """Over pictures, and where it lies with 95 % were other pictures drawn; nan when unknown."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """One method on everything that one kernel shrank."""

    scale: int
    kernel: str
    method: str
    pictures: int
    means: dict[str, Mean]
    gain: Mean
    """Of the headline measure, over bicubic on the same pictures."""


def bootstrap(values: Sequence[float], *, seed: int = 0) -> Mean:
    """The mean and its 95 % percentile interval (Efron 1979); values that are nan are left out.

    Of the same number of values, the same are drawn every time.
    """
    known = np.array([value for value in values if not math.isnan(value)])
    if len(known) == 0:
        return Mean(math.nan, math.nan, math.nan)
    if len(known) == 1:
        return Mean(float(known[0]), math.nan, math.nan)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(known), size=(RESAMPLES, len(known)), dtype=np.int32)
    means = known[drawn].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Mean(float(known.mean()), float(low), float(high))


def over_kernels(rows: Sequence[Row]) -> list[Row]:
    """Of every picture and method the mean over the kernels, as rows of their own."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.scale, row.method, row.source, row.picture), []).append(row)
    return [
        Row(
            first.scale, EVERY_KERNEL, first.method, first.source, first.picture, first.frames,
            mean_values([row.values for row in group]),
        )
        for group in groups.values()
        for first in group[:1]
    ]  # fmt: skip


def summarize(rows: Sequence[Row], headline: str) -> list[Summary]:
    """A summary for every kernel and method in the order they came; `headline` is what gains."""
    if len({row.kernel for row in rows}) > 1:
        rows = [*rows, *over_kernels(rows)]
    groups: dict[tuple[int, str, str], dict[tuple[str, str], Values]] = {}
    for row in rows:
        group = groups.setdefault((row.scale, row.kernel, row.method), {})
        group[row.source, row.picture] = row.values
    summaries = []
    for scale, kernel, method in sorted(groups, key=lambda group: group[0]):  # `all` last in each
        values = groups[scale, kernel, method]
        usual = groups[scale, kernel, "bicubic"]
        names = [name for name in COLUMNS if any(name in each for each in values.values())]
        means = {
            name: bootstrap([each.get(name, math.nan) for each in values.values()])
            for name in names
        }
        gains = [each[headline] - usual[picture][headline] for picture, each in values.items()]
        summaries.append(Summary(scale, kernel, method, len(values), means, bootstrap(gains)))
    return summaries


def as_table(summaries: Sequence[Summary], headline: str) -> str:
    """Markdown, a row a kernel and method; in brackets the 95 % intervals of what counts most."""
    names = [name for name in COLUMNS if any(name in s.means for s in summaries)]
    headings = [COLUMNS[name][0] for name in names]
    headings.insert(names.index(headline) + 1, "over bicubic")
    lines = [
        "| " + " | ".join(["x", "kernel", "method", "pictures", *headings]) + " |",
        "|" + "---|" * (4 + len(headings)),
    ]
    for s in summaries:
        cells = [_cell(s.means.get(name), COLUMNS[name][1], name == headline) for name in names]
        is_reference = s.method == "bicubic"
        gain = "" if is_reference else _cell(s.gain, "{:+.2f}", has_interval=True)
        cells.insert(names.index(headline) + 1, gain)
        first = [str(s.scale), s.kernel, _escaped(s.method), str(s.pictures)]
        lines.append("| " + " | ".join([*first, *cells]) + " |")
    return "\n".join(lines)


def _cell(mean: Mean | None, form: str, has_interval: bool) -> str:
    if mean is None or math.isnan(mean.value):
        return ""
    text = form.format(mean.value).removesuffix("%")
    if has_interval and not math.isnan(mean.low):
        text += f" [{form.format(mean.low)}, {form.format(mean.high)}]"
    return text


def _escaped(name: str) -> str:
    return name.replace("|", "\\|")


def as_csv(rows: Sequence[Row]) -> str:
    """A line a method, kernel and picture; empty where there is nothing to measure."""
    names = [name for name in COLUMNS if any(name in row.values for row in rows)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["scale", "kernel", "method", "source", "picture", "frames", *names])
    for row in rows:
        values = [row.values.get(name, math.nan) for name in names]
        writer.writerow(
            [row.scale, row.kernel, row.method, row.source, row.picture, row.frames]
            + ["" if math.isnan(value) else f"{value:.6f}" for value in values]
        )
    return text.getvalue()


def as_document(rows: Sequence[Row], summaries: Sequence[Summary]) -> dict[str, Any]:
    """For JSON: `summaries` and `pictures`; null where there is nothing to measure."""
    document = {
        "summaries": [asdict(summary) for summary in summaries],
        "pictures": [asdict(row) for row in rows],
    }
    plain = _without_nan(document)
    assert isinstance(plain, dict)
    return plain


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
