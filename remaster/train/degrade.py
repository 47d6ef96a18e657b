"""From a clean picture to what an old file holds of it; numpy's generator decides what happens."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from remaster.color import convert, decode_planes, encode_planes
from remaster.frames import Color, PixelLayout
from remaster.media.roundtrip import through_codec
from remaster.resampling import KERNELS, resize
from remaster.train.analog import draw_deck, moved, play
from remaster.train.recipes import MIXTURE

OPENCV = {"opencv-linear": "bilinear", "opencv-cubic": "bicubic"}
"""OpenCV's INTER_LINEAR and INTER_CUBIC (a = -0.75): not antialiased, so they alias from 3 on."""

DOWNSCALE_KERNELS = (*MIXTURE, *OPENCV)

VIDEO_COLOR = Color("bt709", "limited", "bt709", "bt709")
VIDEO_LAYOUT = PixelLayout("420", 8)


def to_uint8(x: Tensor) -> Tensor:
    """Nominal [0, 1] to levels, rounded to nearest."""
    return x.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def to_ycc(rgb: Tensor) -> Tensor:
    """(N, 3, H, W) R'G'B' in [0, 1] to BT.709 ycc."""
    return convert(rgb, "rgb", "bt709")


def to_rgb(ycc: Tensor) -> Tensor:
    """(N, 3, H, W) BT.709 ycc to R'G'B', not clamped."""
    return convert(ycc, "bt709", "rgb")


def downscale(rgb: Tensor, scale: int, kernel: str, kernel_blur: float = 1.0) -> Tensor:
    """(N, C, H, W) to (N, C, H // scale, W // scale), grids centre-aligned.

    Args:
        rgb: rows and columns over a multiple of `scale` are cut off.
        scale: 1 returns it as it is.
        kernel: of `DOWNSCALE_KERNELS`; antialiased but for OpenCV's.
        kernel_blur: how much wider than usual the kernel is; OpenCV's has one width.
    """
    height, width = (n // scale * scale for n in rgb.shape[-2:])
    rgb = rgb[..., :height, :width]
    if scale == 1:
        return rgb
    if kernel in OPENCV:
        size = (height // scale, width // scale)
        return F.interpolate(rgb, size, mode=OPENCV[kernel], align_corners=False)
    taps = _shrinking_taps(scale, kernel, kernel_blur)
    reach = (len(taps) - scale) // 2
    rows = _strided(F.pad(rgb, (0, 0, reach, reach), mode="replicate"), taps, scale, -2)
    return _strided(F.pad(rows, (reach, reach, 0, 0), mode="replicate"), taps, scale, -1)


def _strided(x: Tensor, taps: Sequence[float], scale: int, axis: int) -> Tensor:
    """The filter along one axis at every `scale`-th place. Convolutions take ten times as long."""
    size = (x.shape[axis] - len(taps)) // scale + 1
    total = torch.zeros_like(x.narrow(axis, 0, size))
    for i, tap in enumerate(taps):
        total.add_(
            x.narrow(axis, i, (size - 1) * scale + 1).unfold(axis, 1, scale)[..., 0], alpha=tap
        )
    return total


@functools.lru_cache(maxsize=64)
def _shrinking_taps(scale: int, kernel: str, kernel_blur: float) -> list[float]:
    """Weights of the input samples around each output sample, which are the same for all."""
    widen = scale * kernel_blur
    reach = math.ceil(KERNELS[kernel].support * widen - scale / 2)
    places = [i - (scale - 1) / 2 for i in range(-reach, scale + reach)]
    taps = [KERNELS[kernel].weight(place / widen) for place in places]
    return [tap / sum(taps) for tap in taps]


def blur(x: Tensor, sigma: float | tuple[float, float]) -> Tensor:
    """Gaussian blur of (N, C, H, W), edges replicated; `sigma` in pixels, (down, across)."""
    down, across = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    if down > 0:
        taps = _gaussian_taps(down)
        reach = len(taps) // 2
        x = _strided(F.pad(x, (0, 0, reach, reach), mode="replicate"), taps, 1, -2)
    if across > 0:
        taps = _gaussian_taps(across)
        reach = len(taps) // 2
        x = _strided(F.pad(x, (reach, reach, 0, 0), mode="replicate"), taps, 1, -1)
    return x


def _gaussian_taps(sigma: float) -> list[float]:
    reach = max(1, round(3 * sigma))
    taps = [math.exp(-((n / sigma) ** 2) / 2) for n in range(-reach, reach + 1)]
    return [tap / sum(taps) for tap in taps]


def as_video(ycc: Tensor) -> Tensor:
    """(1, 3, H, W) as it comes back from 8-bit limited 4:2:0 planes."""
    planes = encode_planes(ycc, VIDEO_LAYOUT, VIDEO_COLOR, VIDEO_COLOR.matrix)
    return decode_planes(planes, VIDEO_LAYOUT, VIDEO_COLOR, VIDEO_COLOR.matrix)


def age(ycc: Tensor, rng: np.random.Generator) -> Tensor:
    """(1, 3, H, W) clean, even sizes, as an old file gives it back: softness, halos, noise, codec.

    Mild on purpose, most of the time: a network trained on ruins paints over everything.
    """
    strength = float(rng.beta(1.2, 2.0))
    x = ycc
    if rng.random() < 0.4:
        x = blur(x, (0.2 + 0.5 * strength * rng.random(), 0.2 + 0.8 * strength * rng.random()))
    if rng.random() < 0.2:
        halo = x - blur(x, (0.0, 1.0 + rng.random()))
        x = x + halo * torch.tensor([0.2 + 0.6 * strength, 0.0, 0.0])[:, None, None]
    if rng.random() < 0.3:
        x = torch.cat([x[:, :1], blur(x[:, 1:], (0.01, 0.5 + 1.5 * rng.random()))], 1)
    count = int(rng.choice([1, 3]))
    drift = rng.integers(-1, 2, 2) if rng.random() < 0.4 else np.zeros(2, int)
    shots = [
        torch.roll(x, tuple(int(d) * (i - count + 1) for d in drift), (2, 3)) for i in range(count)
    ]
    sigma = 0.02 * strength * rng.random() if rng.random() < 0.6 else 0.0
    seed = int(rng.integers(2**31))
    return _through_codec([_grain(s, sigma, seed + i) for i, s in enumerate(shots)], strength, rng)


def _grain(x: Tensor, sigma: float, seed: int) -> Tensor:
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)) * sigma
    if seed % 2:
        noise = blur(noise, 0.6) * 1.8  # film grain is not white
    noise[:, 1:] *= 0.5
    return x + noise


def _through_codec(shots: list[Tensor], strength: float, rng: np.random.Generator) -> Tensor:
    kind = rng.random()
    if kind < 0.6:
        options = {
            "crf": str(round(18 + 14 * strength)),
            "preset": str(rng.choice(["veryfast", "medium"])),
            "rc-lookahead": "0",
        }
        if rng.random() < 0.3:
            options["tune"] = "animation"
        return coded(shots, "libx264", options)
    codec = "mpeg2video" if kind < 0.9 else "mpeg4"
    return coded(shots, codec, _constant_quantizer(round(2 + 8 * strength)))


def _constant_quantizer(quantizer: int) -> dict[str, str]:
    return {"qmin": str(quantizer), "qmax": str(quantizer)}


def coded(shots: Sequence[Tensor], codec: str, options: Mapping[str, str]) -> Tensor:
    """The last of consecutive (1, 3, H, W) ycc pictures, after a codec has seen all of them."""
    pictures = []
    for shot in shots:
        planes = encode_planes(shot, VIDEO_LAYOUT, VIDEO_COLOR, VIDEO_COLOR.matrix)
        pictures.append([plane[0].numpy() for plane in planes])
    last = through_codec(pictures, codec, options)[-1]
    decoded = [torch.from_numpy(plane)[None] for plane in last]
    return decode_planes(decoded, VIDEO_LAYOUT, VIDEO_COLOR, VIDEO_COLOR.matrix)


def as_picture_file(ycc: Tensor, format_: str, quality: int) -> Tensor:
    """(1, 3, H, W) as it comes back from a lossy picture file: `JPEG` or `WEBP`, quality to 100."""
    pixels = to_uint8(to_rgb(ycc))[0].permute(1, 2, 0).numpy()
    kept = io.BytesIO()
    Image.fromarray(pixels).save(kept, format_, quality=quality)
    back = np.asarray(Image.open(kept).convert("RGB")).transpose(2, 0, 1)
    return to_ycc(torch.from_numpy(back.copy())[None].float() / 255)


def web(ycc: Tensor, rng: np.random.Generator) -> Tensor:
    """(1, 3, H, W) as from a site: enlarged and shrunk, softened, noisy, H.264 or a picture file.

    Ranges of the project's presets: blur sigma 0.2 to 1, noise sigma 1 to 6 levels, crf 18 to 30,
    sometimes coded twice.
    """
    strength = _strength(rng)
    x = _reworked(ycc, strength, rng)
    x = _web_codec(x, strength, rng)
    return _web_codec(x, strength, rng) if rng.random() < 0.15 else x


def _reworked(x: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Another size for a while, softness, noise; each sometimes, in any order."""
    for step in rng.permutation(3):
        if rng.random() >= 0.3:
            continue
        if step == 0:
            x = _through_size(x, 1 - 0.33 * strength, 1 - 0.33 * strength, rng)
        elif step == 1:
            x = blur(x, 0.2 + 0.8 * strength)
        else:
            x = _noisy(x, (1 + 5 * strength) / 255, rng)
    return x


def _web_codec(x: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    kind = rng.random()
    if kind < 0.2:
        format_ = "WEBP" if rng.random() < 0.3 else "JPEG"
        return as_picture_file(x, format_, round(95 - 35 * strength))
    shots = [_noisy(x, 0.5 / 255, rng) for _ in range(int(rng.choice([1, 3])))]
    if kind < 0.35:
        return coded(shots, "mpeg4", _constant_quantizer(round(2 + 4 * strength)))
    options = {
        "crf": str(round(18 + 12 * strength)),
        "preset": str(rng.choice(["veryfast", "medium"])),
        "rc-lookahead": "0",
    }
    if rng.random() < 0.5:
        options["tune"] = "animation"
    return coded(shots, "libx264", options)


def dvd(ycc: Tensor, rng: np.random.Generator) -> Tensor:
    """(1, 3, H, W) as from a DVD: softer than its grid, sharpened edges, MPEG-2.

    Edge enhancement 0.2 to 1, quantiser 2 to 10; sometimes traces of fields.
    """
    strength = _strength(rng)
    x = ycc
    if rng.random() < 0.5:
        x = _through_size(x, 1 - 0.1 * strength, 1 - 0.3 * strength, rng)
    if rng.random() < 0.5:
        x = _sharpened(x, 0.2 + 0.8 * strength, float(rng.uniform(0.8, 1.8)))
    if rng.random() < 0.5:
        x = torch.cat([x[:, :1], blur(x[:, 1:], (0.0, 0.5 + 1.5 * strength))], 1)
    if rng.random() < 0.1:
        x = _field_leftovers(x, rng)
    shots = [_noisy(x, 0.01 * strength, rng) for _ in range(int(rng.choice([1, 3])))]
    return coded(shots, "mpeg2video", _constant_quantizer(round(2 + 8 * strength)))


def vhs(ycc: Tensor, rng: np.random.Generator) -> Tensor:
    """(1, 3, H, W) as from tape or laser disc: composite video, noise, then MPEG-2 at 2 to 8."""
    strength = _strength(rng)
    deck = draw_deck(rng, strength)
    rgb = to_rgb(_noisy(ycc, 0.01 * strength, rng))
    first = int(rng.integers(2))
    shots = [
        to_ycc(play(rgb, deck, rng, frame=first + i)) for i in range(int(rng.choice([1, 1, 3])))
    ]
    return coded(shots, "mpeg2video", _constant_quantizer(round(2 + 6 * strength)))


MOST_WEAVE = 0.5
"""Pixels a film picture lies beside its place at strength 1, at most."""


def film(ycc: Tensor, rng: np.random.Generator) -> Tensor:
    """(1, 3, H, W) as from an old print: grain, weave, flicker and dust, then a codec.

    Three exposures, each with its own; the last is what is given back.
    """
    strength = _strength(rng)
    sigma, grain_blur = 0.03 * strength, float(rng.uniform(0.5, 1.0))
    softened = blur(ycc, 0.1 + 0.4 * strength)
    shots = []
    for _ in range(3):
        down, across = (float(v) for v in rng.uniform(-MOST_WEAVE, MOST_WEAVE, 2) * strength)
        shot = moved(softened, down, across)
        gain = 1 + 0.03 * strength * float(rng.uniform(-1, 1))
        shots.append(_dusty(_grainy(shot * gain, sigma, grain_blur, rng), strength, rng))
    if rng.random() < 0.5:
        return coded(shots, "mpeg2video", _constant_quantizer(round(2 + 6 * strength)))
    options = {"crf": str(round(16 + 10 * strength)), "preset": "veryfast", "rc-lookahead": "0"}
    return coded(shots, "libx264", options)


def _strength(rng: np.random.Generator) -> float:
    return float(rng.beta(1.2, 2.5))


def _noisy(x: Tensor, sigma: float, rng: np.random.Generator) -> Tensor:
    """Gaussian noise, half as much in the colours, now and then the same in all."""
    noise = torch.from_numpy(rng.standard_normal(x.shape, np.float32))
    noise[:, 1:] *= float(rng.choice([0.0, 0.5, 0.5]))
    return x.add(noise, alpha=sigma)


def _grainy(x: Tensor, sigma: float, grain_blur: float, rng: np.random.Generator) -> Tensor:
    """Film grain: blurred, strongest in the middle tones, none in black and white."""
    noise = blur(torch.from_numpy(rng.standard_normal(x.shape, np.float32)), grain_blur)
    noise = noise / noise.std() * sigma
    noise[:, 1:] *= 0.4
    y = x[:, :1].clamp(0, 1)
    return x + noise * (4 * y * (1 - y)).sqrt()


def _dusty(x: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Specks of a pixel or two and short hairs, black or white."""
    height, width = x.shape[2:]
    x = x.clone()
    for _ in range(rng.poisson(4 * strength * height * width / 400**2)):
        row, column = rng.uniform(0, height), rng.uniform(0, width)
        turn, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.2)
        length, radius = (
            int(rng.integers(1, 14)) if rng.random() < 0.3 else 1,
            rng.uniform(0.4, 1.2),
        )
        level, cover = float(rng.choice([0.05, 0.95])), float(rng.uniform(0.4, 0.9))
        for _ in range(length):
            _spot(x, row, column, radius, level, cover)
            row, column, turn = row + np.sin(turn), column + np.cos(turn), turn + bend
    return x


def _spot(x: Tensor, row: float, column: float, radius: float, level: float, cover: float) -> None:
    """Paint a grey dot, in place."""
    top, left = max(int(row - radius) - 1, 0), max(int(column - radius) - 1, 0)
    under = x[0, :, top : int(row + radius) + 3, left : int(column + radius) + 3]
    if not under.numel():
        return
    rows = torch.arange(under.shape[1])[:, None] + top - row
    columns = torch.arange(under.shape[2]) + left - column
    opaque = cover * (radius + 0.5 - (rows**2 + columns**2).sqrt()).clamp(0, 1)
    under.lerp_(torch.tensor([level, 0.0, 0.0])[:, None, None].expand_as(under), opaque.float())


def _through_size(
    x: Tensor, least_down: float, least_across: float, rng: np.random.Generator
) -> Tensor:
    """Made smaller, by these factors at most, and as large again: fewer details than pixels."""
    size = x.shape[2], x.shape[3]
    factors = rng.uniform(least_down, 1), rng.uniform(least_across, 1)
    less = [
        max(round(n * f / 16) * 16, 16) for n, f in zip(size, factors)
    ]  # few different matrices
    down, up = (str(k) for k in rng.choice(["triangle", "catmull-rom", "lanczos"], 2))
    return resize(resize(x, (less[0], less[1]), down), size, up)


def _sharpened(x: Tensor, amount: float, sigma: float) -> Tensor:
    """Luma with halos beside upright edges."""
    halo = x[:, :1] - blur(x[:, :1], (0.0, sigma))
    return torch.cat([x[:, :1] + amount * halo, x[:, 1:]], 1)


def _field_leftovers(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Every other line is mostly made of its neighbours, or has teeth of other moments."""
    if rng.random() < 0.5:
        padded = F.pad(x, (0, 0, 1, 1), mode="reflect")
        other = (padded[:, :, :-2] + padded[:, :, 2:]) / 2
    else:  # from before and after alike: teeth to one side only would move what they are on
        shift = int(rng.integers(1, 3))
        other = (x.roll(shift, 3) + x.roll(-shift, 3)) / 2
    first, share = int(rng.integers(2)), float(rng.uniform(0.3, 0.7))
    x = x.clone()
    x[:, :, first::2] = x[:, :, first::2].lerp(other[:, :, first::2], share)
    return x


DAMAGES: dict[str, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "web": web,
    "dvd": dvd,
    "vhs": vhs,
    "film": film,
    "mixed": age,
}
"""Name -> (1, 3, H, W) ycc of even sizes to the same damaged, decided by the generator.

Strengths are drawn from Beta(1.2, 2.5) times the ranges: mild most of the time, since a network
trained on ruins paints over everything. Nothing is moved but by `MOST_WEAVE`, the jitter of
`analog.MOST_JITTER`, and colours by `analog.MOST_COLOR_DELAY`; flat colours stay within 3 levels,
but for the flicker of `film`. `mixed` is what the released weights learned from.
"""
