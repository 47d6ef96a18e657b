"""From a clean picture to what an old file holds of it; numpy's generator decides what happens."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from remaster.color import convert, decode_planes, encode_planes
from remaster.frames import Color, PixelLayout
from remaster.media.roundtrip import through_codec
from remaster.resampling import KERNELS

DOWNSCALES: dict[str, float] = {
    "box": 0.3,
    "catmull-rom": 0.3,
    "lanczos": 0.2,
    "triangle": 0.12,
    "mitchell": 0.08,
}
"""Kernel -> share. Nobody knows which one made a given master, so none may be relied on."""

OPENCV = {"opencv-linear": "bilinear", "opencv-cubic": "bicubic"}
"""OpenCV's INTER_LINEAR and INTER_CUBIC (a = -0.75): not antialiased, so they alias from 3 on."""

DOWNSCALE_KERNELS = (*DOWNSCALES, *OPENCV)

VIDEO_COLOR = Color("bt709", "limited", "bt709", "bt709")
VIDEO_LAYOUT = PixelLayout("420", 8)
STILL_LAYOUT = PixelLayout("444", 8)


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
    """The filter along one axis at every `scale`-th place; a convolution takes thrice as long."""
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
    sigmas = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    channels = x.shape[1]
    for axis, value in enumerate(sigmas):
        if value <= 0:
            continue
        reach = max(1, round(3 * value))
        taps = torch.exp(-((torch.arange(-reach, reach + 1.0) / value) ** 2) / 2)
        kernel = (taps / taps.sum()).expand(channels, 1, 1, -1)
        padding = (reach, reach, 0, 0)
        if axis == 0:
            kernel, padding = kernel.transpose(2, 3), (0, 0, reach, reach)
        x = F.conv2d(F.pad(x, padding, mode="replicate"), kernel, groups=channels)
    return x


def as_video(ycc: Tensor) -> Tensor:
    """(1, 3, H, W) as it comes back from 8-bit limited 4:2:0 planes."""
    planes = encode_planes(ycc, VIDEO_LAYOUT, VIDEO_COLOR, VIDEO_COLOR.matrix)
    return decode_planes(planes, VIDEO_LAYOUT, VIDEO_COLOR, VIDEO_COLOR.matrix)


def as_still(ycc: Tensor) -> Tensor:
    """(1, 3, H, W) as it comes back from 8-bit limited 4:4:4 planes."""
    planes = encode_planes(ycc, STILL_LAYOUT, VIDEO_COLOR, VIDEO_COLOR.matrix)
    return decode_planes(planes, STILL_LAYOUT, VIDEO_COLOR, VIDEO_COLOR.matrix)


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
    pictures = []
    for shot in shots:
        planes = encode_planes(shot, VIDEO_LAYOUT, VIDEO_COLOR, VIDEO_COLOR.matrix)
        pictures.append([plane[0].numpy() for plane in planes])
    kind = rng.random()
    if kind < 0.6:
        options = {
            "crf": str(round(18 + 14 * strength)),
            "preset": str(rng.choice(["veryfast", "medium"])),
            "rc-lookahead": "0",
        }
        if rng.random() < 0.3:
            options["tune"] = "animation"
        coded = through_codec(pictures, "libx264", options)
    else:
        codec = "mpeg2video" if kind < 0.9 else "mpeg4"
        quantizer = str(round(2 + 8 * strength))
        coded = through_codec(pictures, codec, {"qmin": quantizer, "qmax": quantizer})
    decoded = [torch.from_numpy(plane)[None] for plane in coded[-1]]
    return decode_planes(decoded, VIDEO_LAYOUT, VIDEO_COLOR, VIDEO_COLOR.matrix)


DAMAGES: dict[str, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "mixed": age,
}
"""Name -> (1, 3, H, W) ycc of even sizes to the same damaged, decided by the generator."""
