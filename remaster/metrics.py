"""How near a picture is to the truth, and how steady it is in time: tensors in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def luma(rgb: Tensor) -> Tensor:
    """(N, 3, H, W) R'G'B' in [0, 1] to (N, 1, H, W) BT.601 luma in 16..235 / 255.

    The `Y` of every super-resolution table (MATLAB's rgb2ycbcr).
    """
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=rgb.dtype, device=rgb.device)
    return (rgb * weights[:, None, None]).sum(1, keepdim=True).add(16.0).div(255.0)


def psnr(sr: Tensor, gt: Tensor, *, border: int = 0) -> Tensor:
    """(N, C, H, W) in [0, 1] to (N,) decibels, `border` pixels left out on each side."""
    if border:
        sr, gt = (x[..., border:-border, border:-border] for x in (sr, gt))
    return -10 * (sr - gt).square().mean((1, 2, 3)).clamp_min(1e-12).log10()


def ssim(sr: Tensor, gt: Tensor, *, border: int = 0) -> Tensor:
    """Structural similarity (Wang et al. 2004), (N, C, H, W) in [0, 1] to (N,).

    The paper's 11x11 Gaussian window of sigma 1.5 over whole windows only; K1 .01, K2 .03.
    """
    if border:
        sr, gt = (x[..., border:-border, border:-border] for x in (sr, gt))
    taps = torch.exp(-(torch.arange(-5.0, 6.0, dtype=sr.dtype, device=sr.device) ** 2) / 4.5)
    taps /= taps.sum()
    channels = sr.shape[1]

    def blurred(x: Tensor) -> Tensor:
        kernel = taps.expand(channels, 1, 1, 11)
        x = F.conv2d(x, kernel, groups=channels)
        return F.conv2d(x, kernel.transpose(2, 3), groups=channels)

    mean_a, mean_b = blurred(sr), blurred(gt)
    var_a = blurred(sr * sr) - mean_a**2
    var_b = blurred(gt * gt) - mean_b**2
    covariance = blurred(sr * gt) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean((1, 2, 3))


LEVELS = 255
"""Levels in [0, 1]: the unit of what is said about time."""

TILE = 16
"""Pixels across a tile that `held_by_noise` judges as one."""

_QUIET_TILES = 0.125  # the median of the calmest quarter
_IN_SPACE = 1.6  # noise in time over noise in space, at most: compressed grain has 1.7
_LEAST_NOISE = 1.0  # levels; what compression alone makes
_MEAN_SIZE, _MEAN_DIFFERENCE, _ROUNDING = 1.6, 0.5, 0.4


def held_in_truth(gt: Tensor, previous_gt: Tensor) -> Tensor:
    """Where the truth is the same in both frames: (N, C, H, W) to (N, 1, H, W) bool."""
    return (gt == previous_gt).all(1, keepdim=True)


def held_by_noise(source: Tensor, previous_source: Tensor) -> Tensor:
    """Where two frames differ by no more than noise, for want of a truth: (N, 1, H, W) bool.

    Give the *source* of the pictures under test, not the pictures: a picture that flickers, or is
    blurred, must not choose where it is looked at. A tile of 16 pixels is held when its mean |d| is
    at most 1.6 noise levels and its |mean d| at most half a one, each with 0.4 levels for rounding.
    The noise of a pair of frames is the median over the calmest quarter of its tiles, at most 1.6
    times what bends in the calmest tiles of either frame (so a pan is not noise) and at least one
    level (compression).

    Args:
        source, previous_source: (N, C, H, W) in [0, 1].
    """
    difference = (source - previous_source) * LEVELS
    size = _tiles(difference.abs()).amax(1, keepdim=True)
    signed = _tiles(difference).abs().amax(1, keepdim=True)
    in_time = size.flatten(1).quantile(_QUIET_TILES, 1) / (2 / math.pi**0.5)
    in_space = torch.maximum(_bend(source), _bend(previous_source))
    noise = torch.minimum(in_time, in_space * _IN_SPACE).clamp_min(_LEAST_NOISE)
    noise = noise[:, None, None, None]
    is_small = size <= _MEAN_SIZE * noise + _ROUNDING
    held = is_small & (signed <= _MEAN_DIFFERENCE * noise + _ROUNDING)
    held = held.repeat_interleave(TILE, 2).repeat_interleave(TILE, 3)
    return held[..., : source.shape[2], : source.shape[3]]


def hold_flicker(sr: Tensor, previous_sr: Tensor, held: Tensor) -> Tensor:
    """Mean |S_t - S_{t-1}| where the drawing is held: (N, C, H, W) in [0, 1] to (N,) levels.

    A perfect restorer has 0; white noise of deviation s has 2 s / sqrt(pi).

    Args:
        held: (N, 1, H, W) bool, see `held_in_truth` and `held_by_noise`; one of another size, as
            judged from the source, is brought to this one by nearest neighbour.

    Returns:
        nan where nothing is held.
    """
    changes = _changes(sr, previous_sr)
    return (changes * _at_size(held, sr)).sum((1, 2, 3)) / _at_size(held, sr).sum((1, 2, 3))


def temporal_difference(sr: Tensor, previous_sr: Tensor, gt: Tensor, previous_gt: Tensor) -> Tensor:
    """Mean |(S_t - S_{t-1}) - (H_t - H_{t-1})|: (N, C, H, W) in [0, 1] to (N,) levels.

    How far the picture changes otherwise than the truth, everywhere; 0 for a perfect restorer. It
    rewards blur, so it says something beside PSNR alone.
    """
    return _changes(sr - gt, previous_sr - previous_gt).mean((1, 2, 3))


@dataclass(frozen=True)
class Steadiness:
    """What a film does in time."""

    hold_flicker: float
    """Levels; every held pixel of every pair of frames counts the same. nan when none is held."""

    temporal_difference: float
    """Levels; nan without truth and for less than two frames."""

    held: float
    """Share of pixels that are held; nan for less than two frames."""

    pairs: int
    """Of consecutive frames."""


def steadiness(frames: Iterable[tuple[Tensor, Tensor]]) -> Steadiness:
    """Of a film beside its truth, holding two frames at a time.

    Args:
        frames: (picture, truth) in order of time, (1, C, H, W) in [0, 1] each.
    """
    total = _Total()
    previous = None
    for sr, gt in frames:
        if previous is not None:
            total.add(sr, previous[0], held_in_truth(gt, previous[1]))
            total.difference += float(temporal_difference(sr, previous[0], gt, previous[1]).sum())
        previous = (sr, gt)
    return total.result(has_truth=True)


def steadiness_without_truth(frames: Iterable[tuple[Tensor, Tensor]]) -> Steadiness:
    """Of a film beside the source it was made from, holding two frames at a time.

    What is held is judged from the source by `held_by_noise`, so the figures of two ways to make
    the film out of one source are about the same pixels.

    Args:
        frames: (picture, source) in order of time, (1, C, H, W) and (1, C', h, w) in [0, 1].
    """
    total = _Total()
    previous = None
    for sr, source in frames:
        if previous is not None:
            total.add(sr, previous[0], held_by_noise(source, previous[1]))
        previous = (sr, source)
    return total.result(has_truth=False)


@dataclass
class _Total:
    flicker: float = 0.0
    held: int = 0
    seen: int = 0
    difference: float = 0.0
    pairs: int = 0

    def add(self, sr: Tensor, previous_sr: Tensor, held: Tensor) -> None:
        held = _at_size(held, sr)
        self.flicker += float((_changes(sr, previous_sr) * held).sum())
        self.held += int(held.sum())
        self.seen += held.numel()
        self.pairs += len(sr)

    def result(self, *, has_truth: bool) -> Steadiness:
        return Steadiness(
            self.flicker / self.held if self.held else math.nan,
            self.difference / self.pairs if has_truth and self.pairs else math.nan,
            self.held / self.seen if self.seen else math.nan,
            self.pairs,
        )


def _changes(x: Tensor, previous: Tensor) -> Tensor:
    """(N, 1, H, W): mean |change| of a pixel's channels, in levels."""
    return (x - previous).abs().mean(1, keepdim=True) * LEVELS


def _at_size(held: Tensor, sr: Tensor) -> Tensor:
    if held.shape[2:] == sr.shape[2:]:
        return held
    return F.interpolate(held.to(sr.dtype), list(sr.shape[2:]), mode="nearest-exact") > 0


def _tiles(x: Tensor) -> Tensor:
    """Means over tiles, those at the end over what there is."""
    return F.avg_pool2d(x, TILE, ceil_mode=True)


def _bend(x: Tensor) -> Tensor:
    """(N,) levels: deviation of the noise by what a straight line does not explain, across."""
    if x.shape[3] < 3:
        return x.new_zeros(len(x))
    bend = (x[..., :-2] + x[..., 2:] - 2 * x[..., 1:-1]) * LEVELS
    tiles = (_tiles(bend * bend) / 6).sqrt().amax(1)
    return tiles.flatten(1).quantile(_QUIET_TILES, 1)
