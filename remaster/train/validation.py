"""Scores along the way: held-out pictures, a sheet to look at, a curve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from remaster.color import convert
from remaster.models import Network
from remaster.resampling import resize
from remaster.train.degrade import DAMAGES, downscale, to_uint8, to_ycc
from remaster.train.evaluate import clean_values, enlarge, mean_values
from remaster.train.pairs import PairSettings, as_tensor
from remaster.train.sources import Picture

SIDE = 256
"""Of the truth that is scored, at most."""

NOISE = 2 / 255
"""Deviation of what two exposures of one drawing differ by, for flicker."""

SHOWN = 6
"""Pictures on a sheet."""

TILE = 192
"""Pixels of the truth on a sheet."""


@dataclass(frozen=True)
class Held:
    """A picture that is never learnt from."""

    lq: Tensor
    """(1, 3, h, w) R'G'B' in [0, 1]."""

    gt: Tensor
    """(1, 3, h s, w s)."""

    @classmethod
    def aligned(cls, old: Picture, new: Picture) -> Held:
        """The liveliest part of one picture in two releases."""
        scale = new.shape[0] // old.shape[0]
        y, x, side = _liveliest(new, SIDE // scale * scale, 2 * scale)
        gt = new[y : y + side, x : x + side]
        lq = old[y // scale :, x // scale :][: side // scale, : side // scale]
        return cls(as_tensor(lq), as_tensor(gt))


def _liveliest(picture: Picture, side: int, unit: int) -> tuple[int, int, int]:
    """(top, left, side) of the square with most detail, on a grid of `unit`."""
    side = min(side, min(picture.shape[:2]) // unit * unit)
    green = picture[..., 1].astype(np.float32)
    steps = np.abs(np.diff(green, axis=0))[:, :-1] + np.abs(np.diff(green, axis=1))[:-1]
    best = (-1.0, 0, 0)
    for y in range(0, picture.shape[0] - side + 1, max(side // 2 // unit, 1) * unit):
        for x in range(0, picture.shape[1] - side + 1, max(side // 2 // unit, 1) * unit):
            best = max(best, (float(steps[y : y + side, x : x + side].mean()), y, x))
    return best[1], best[2], side


def held_from(pictures: Sequence[Picture], settings: PairSettings, seed: int) -> list[Held]:
    """The liveliest square of every picture, made small as in training, by each kernel in turn."""
    kernels = sorted(k for k, share in settings.kernels.items() if share > 0)
    damages = sorted(d for d, share in settings.damages.items() if share > 0)
    held = []
    for i, picture in enumerate(pictures):
        unit = 2 * settings.scale
        if min(picture.shape[:2]) < 4 * unit:
            continue
        y, x, side = _liveliest(picture, SIDE // unit * unit, unit)
        gt = as_tensor(picture[y : y + side, x : x + side])
        small = downscale(gt, settings.scale, kernels[i % len(kernels)])
        lq = to_ycc(to_uint8(small).float() / 255)
        damage = damages[i // len(kernels) % len(damages)]
        if damage != "clean":
            lq = DAMAGES[damage](lq, np.random.default_rng([seed, i]))
        held.append(Held(convert(lq, "bt709", "rgb").clamp(0, 1), gt))
    return held


@torch.no_grad()
def validate(model: Network, held: Sequence[Held]) -> dict[str, float]:
    """Means over held-out pictures; empty where there are none.

    The measures of `remaster evaluate`, the gain over bicubic, and flicker: mean change, in levels,
    between two exposures that differ by noise.
    """
    generator = torch.Generator().manual_seed(0)
    every = []
    for each in held:
        size = (each.gt.shape[-2], each.gt.shape[-1])
        gt = to_uint8(each.gt)
        own = clean_values(to_uint8(enlarge(model, each.lq)), gt, model.scale)
        cubic = clean_values(to_uint8(resize(each.lq, size, "catmull-rom")), gt, model.scale)
        exposures = [
            enlarge(model, each.lq + NOISE * torch.randn(each.lq.shape, generator=generator))
            for _ in range(2)
        ]
        flicker = float((exposures[0] - exposures[1]).abs().mean() * 255)
        gain = own["psnr_y"] - cubic["psnr_y"]
        every.append({**own, "gain_psnr_y": gain, "flicker": flicker})
    return mean_values(every)


@torch.no_grad()
def draw_sheet(model: Network, held: Sequence[Held], path: Path) -> None:
    """A PNG: a row a picture; small, bicubic, the network's, the truth."""
    if not held:
        return
    columns = ("source", "bicubic", "network", "truth")
    rows = held[:: max(len(held) // SHOWN, 1)][:SHOWN]
    sheet = Image.new("RGB", (len(columns) * TILE, len(rows) * TILE + 16), "white")
    draw = ImageDraw.Draw(sheet)
    for x, name in enumerate(columns):
        draw.text((x * TILE + 4, 2), name, "black", ImageFont.load_default())
    for y, each in enumerate(rows):
        size = (each.gt.shape[-2], each.gt.shape[-1])
        shown = (
            torch.nn.functional.interpolate(each.lq, size, mode="nearest"),
            resize(each.lq, size, "catmull-rom"),
            enlarge(model, each.lq),
            each.gt,
        )
        for x, picture in enumerate(shown):
            tile = to_uint8(picture[0, :, :TILE, :TILE]).permute(1, 2, 0).numpy()
            sheet.paste(Image.fromarray(tile), (x * TILE, y * TILE + 16))
    _put(sheet, path)


def draw_curve(log: Path, path: Path) -> None:
    """A PNG of the losses' sum and the held-out PSNR by iteration, from a training's log."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.strip()]
    losses = [(line["iteration"], sum(line["losses"].values())) for line in lines]
    scores = [
        (line["iteration"], line["validation"]["psnr_y"])
        for line in lines
        if line.get("validation", {}).get("psnr_y") is not None
    ]
    picture = Image.new("RGB", (960, 540), "white")
    draw = ImageDraw.Draw(picture)
    for points, top, name in ((losses, 20, "loss"), (scores, 290, "PSNR of what is held out, dB")):
        _plot(draw, points, (60, top, 940, top + 220), name)
    _put(picture, path)


def _plot(
    draw: ImageDraw.ImageDraw,
    points: Sequence[tuple[float, float]],
    box: tuple[int, int, int, int],
    name: str,
) -> None:
    left, top, right, bottom = box
    draw.rectangle(box, outline="gray")
    draw.text((left + 4, top + 2), name, "black", ImageFont.load_default())
    points = [(x, y) for x, y in points if np.isfinite(y)]
    if not points:
        return
    values = [y for _, y in points]
    low, high, last = min(values), max(values), points[-1][0]
    span = (high - low) or 1.0
    for value in (low, high):
        place = bottom - (value - low) / span * (bottom - top - 20)
        draw.text((4, place - 6), f"{value:.4g}", "black", ImageFont.load_default())
    draw.text((right - 60, bottom + 2), f"{last:g}", "black", ImageFont.load_default())
    path = [
        (left + x / max(last, 1) * (right - left), bottom - (y - low) / span * (bottom - top - 20))
        for x, y in points
    ]
    draw.line(path, fill="navy", width=2) if len(path) > 1 else draw.point(path, fill="navy")


def _put(picture: Image.Image, path: Path) -> None:
    partial = path.with_name(f".{path.name}.part")
    picture.save(partial, "PNG")
    partial.replace(path)
