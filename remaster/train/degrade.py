"""From a clean picture to what an old file holds of it; numpy's generator decides what happens."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from remaster.color import decode_planes, encode_planes
from remaster.frames import Color, PixelLayout
from remaster.media.roundtrip import through_codec
from remaster.resampling import resize

DOWNSCALES: dict[str, float] = {
    "box": 0.3,
    "catmull-rom": 0.3,
    "lanczos": 0.2,
    "triangle": 0.12,
    "mitchell": 0.08,
}
"""Kernel -> share. Nobody knows which one made a given master, so none may be relied on."""

VIDEO_COLOR = Color("bt709", "limited", "bt709", "bt709")
VIDEO_LAYOUT = PixelLayout("420", 8)
STILL_LAYOUT = PixelLayout("444", 8)


def downscale(rgb: Tensor, scale: int, kernel: str) -> Tensor:
    """(N, 3, H, W) to (N, 3, H / scale, W / scale), antialiased."""
    return resize(rgb, (rgb.shape[-2] // scale, rgb.shape[-1] // scale), kernel)


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
