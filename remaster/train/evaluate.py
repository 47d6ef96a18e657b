"""Scores of weights on pictures they never saw, beside the interpolations anyone has."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from remaster.checkpoint import load_model
from remaster.color import convert, subsample_chroma, upsample_chroma
from remaster.errors import DataError
from remaster.metrics import luma, psnr, ssim
from remaster.models import Network
from remaster.regions import Region, pad
from remaster.resampling import resize
from remaster.train.data import PICTURES, list_sources, read_picture, to_uint8, to_ycc
from remaster.train.degrade import VIDEO_LAYOUT, downscale

KERNELS = ("box", "catmull-rom", "lanczos", "triangle")
LEAST_SIDE = 64
INTERPOLATIONS = {"bicubic": "catmull-rom", "lanczos": "lanczos"}


KEPT = 8
"""Side, in source pixels, of the square whose output is watched."""

LEAST_REPLACED = 4
"""Width of the ring, in source pixels, that must be left to be replaced."""

COMPUTED_TOGETHER = 16
HALF_A_LEVEL = 0.5 / 255
SHARE_WITHIN = 0.9999


@dataclass(frozen=True)
class Score:
    """Means over the pictures shrunk with one kernel."""

    weights: str
    scale: int
    kernel: str
    pictures: int
    psnr: dict[str, float]
    """Method -> PSNR-Y in dB."""

    ssim: dict[str, float]


def enlarge(model: Network, rgb: Tensor) -> Tensor:
    """(N, 3, H, W) R'G'B' in [0, 1] through any network, as (N, 3, H s, W s), not clamped.

    Luma networks get BT.601 luma; chroma beside it is enlarged by Catmull-Rom.
    """
    padded, frame = pad(rgb, model.padding, model.grid)
    if model.eats == "rgb":
        return frame.cut(model(padded), model.scale)
    if model.eats == "luma":
        ycc = convert(padded, "rgb", "smpte170m")
        size = (padded.shape[-2] * model.scale, padded.shape[-1] * model.scale)
        chroma = resize(ycc[:, 1:], size, "catmull-rom")
        large = torch.cat([model(ycc[:, :1]), chroma], 1)
        return convert(frame.cut(large, model.scale), "smpte170m", "rgb")
    y, chroma = model(to_ycc(padded), "444")
    ycc = torch.cat([frame.cut(part, model.scale) for part in (y, chroma)], 1)
    return convert(ycc, "bt709", "rgb")


@torch.inference_mode()
def influence_radius(model: Network, pictures: Tensor) -> int | None:
    """How far a change reaches that shows: measured, a multiple of 2.

    Beyond this many source pixels from a square, another picture moves no more than a ten
    thousandth of the square's output, luma and 4:2:0 chroma, by over half a level of 255. What is
    replaced are the samples of a 4:2:0 source, so that bringing chroma to the luma grid counts too.

    Args:
        model: a planes network.
        pictures: (N, 3, H, W) ycc at the small size, even sides; N at least 2.

    Returns:
        None where no radius below the receptive one was found, or the pictures are too small to
        hold one.
    """
    top, left = ((n - KEPT) // 4 * 2 for n in pictures.shape[2:])
    chroma = subsample_chroma(pictures[:, 1:], VIDEO_LAYOUT)
    planes = (pictures[:, :1], chroma)
    usual = _watched(model, planes, top, left)

    def shows_little(radius: int) -> bool:
        mixed = []
        for plane, step in zip(planes, (1, 2)):
            rows, columns = (
                slice((start - radius) // step, (start + KEPT + radius) // step)
                for start in (top, left)
            )
            other = plane.roll(1, 0)
            other[..., rows, columns] = plane[..., rows, columns]
            mixed.append(other)
        moved = (_watched(model, mixed, top, left) - usual).abs()
        return bool((moved <= HALF_A_LEVEL).float().mean() >= SHARE_WITHIN)

    most = min(top - LEAST_REPLACED, left - LEAST_REPLACED, model.receptive_radius)
    radii = range(0, most + 1, 2)
    found = bisect.bisect_left(radii, True, key=shows_little)
    return radii[found] if found < len(radii) else None


def _watched(model: Network, planes: Sequence[Tensor], top: int, left: int) -> Tensor:
    """What becomes of the square, flat, from luma and chroma of a 4:2:0 source."""
    found = []
    for fine, coarse in zip(*(plane.split(COMPUTED_TOGETHER) for plane in planes)):
        size = (fine.shape[2], fine.shape[3])
        ycc = torch.cat([fine, upsample_chroma(coarse, VIDEO_LAYOUT, "left", size)], 1)
        padded, frame = pad(ycc, model.padding, model.grid)
        padded = padded.contiguous(memory_format=torch.channels_last)
        y, colors = model(padded, "420")
        square = Region(top, left, top + KEPT, left + KEPT).moved(frame.top, frame.left)
        found += [square.cut(y, model.scale), square.cut(colors, model.scale / 2)]
    return torch.cat([part.flatten() for part in found])


def held_out_pictures(data: Sequence[Path], folders: Sequence[str], side: int) -> list[Tensor]:
    """The middle of every picture file in those folders, at most `side` pixels a side.

    Sprites are set on mid grey. (1, 3, h, w) of whole numbers 0 to 255, float32 each.

    Raises:
        DataError: a folder does not exist, or none holds a picture of LEAST_SIDE pixels.
    """
    if side < LEAST_SIDE:
        raise DataError(f"--side is at least {LEAST_SIDE}, not {side}")
    sources = list_sources(data)
    chosen = [file for file in sources if set(file.folders) & set(folders)]
    wrong = sorted(set(folders) - {name for file in sources for name in file.folders})
    pictures = []
    for file in chosen:
        if file.path.suffix.lower() not in PICTURES:
            continue
        pixels = torch.from_numpy(read_picture(file.path).copy()).permute(2, 0, 1)[None].float()
        if pixels.shape[1] == 4:
            alpha = pixels[:, 3:] / 255
            pixels = pixels[:, :3] * alpha + 128 * (1 - alpha)
        top, left = (max((n - side) // 2, 0) for n in pixels.shape[2:])
        if min(pixels.shape[2:]) >= LEAST_SIDE:
            pictures.append(pixels[..., top : top + side, left : left + side].round())
    if wrong or not pictures:
        what = f"folder {', '.join(wrong)}" if wrong else f"picture of {LEAST_SIDE} pixels a side"
        raise DataError(f"there is no {what} to score on")
    return pictures


@torch.inference_mode()
def score(
    weights: Path, pictures: Sequence[Tensor], kernels: Sequence[str] = KERNELS
) -> list[Score]:
    """Enlarge what each kernel shrank and hold it against the picture.

    PSNR and SSIM on rounded 8-bit luma (see `metrics.luma`), the outer `scale` pixels left out.
    """
    model, card = load_model(weights)
    scores = []
    for kernel in kernels:
        totals: dict[str, list[float]] = {}
        for picture in pictures:
            height, width = (n // (2 * card.scale) * 2 * card.scale for n in picture.shape[2:])
            gt = picture[..., :height, :width] / 255
            lq = to_uint8(downscale(gt, card.scale, kernel)).float() / 255
            results = {
                name: resize(lq, (height, width), own) for name, own in INTERPOLATIONS.items()
            }
            results["network"] = enlarge(model, lq)
            for name, sr in results.items():
                pair = luma(to_uint8(sr).float() / 255), luma(gt)
                values = (psnr(*pair, border=card.scale), ssim(*pair, border=card.scale))
                for measure, value in zip(("psnr", "ssim"), values):
                    totals.setdefault(f"{measure} {name}", []).append(float(value))
        means = {key: sum(values) / len(values) for key, values in totals.items()}
        psnrs = {n.split()[1]: v for n, v in means.items() if n.startswith("psnr")}
        ssims = {n.split()[1]: v for n, v in means.items() if n.startswith("ssim")}
        scores.append(Score(weights.stem, card.scale, kernel, len(pictures), psnrs, ssims))
    return scores


def as_table(scores: Sequence[Score]) -> str:
    """Markdown: a row a kernel, gains over bicubic."""
    lines = [
        "| weights | kernel | pictures | bicubic | Lanczos | network | gain "
        "| SSIM Lanczos | SSIM network |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for s in scores:
        gain = s.psnr["network"] - s.psnr["bicubic"]
        lines.append(
            f"| {s.weights} | {s.kernel} | {s.pictures} | {s.psnr['bicubic']:.2f} "
            f"| {s.psnr['lanczos']:.2f} | {s.psnr['network']:.2f} | **{gain:+.2f}** "
            f"| {s.ssim['lanczos']:.4f} | {s.ssim['network']:.4f} |"
        )
    return "\n".join(lines)
