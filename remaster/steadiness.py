"""How steady a film is in time: tensors in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

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


class Watch:
    """A film seen frame by frame; holds two of them."""

    def __init__(self, *, has_truth: bool) -> None:
        """What stands beside each picture: its truth, or the source it was made from.

        From truth it is known what is held; from a source it is judged by `held_by_noise`, so that
        two ways to make the film out of one source are watched at the same pixels.
        """
        self.has_truth = has_truth
        self.previous: tuple[Tensor, Tensor] | None = None
        self.flicker = self.difference = 0.0
        self.held = self.seen = self.pairs = 0

    def see(self, sr: Tensor, beside: Tensor) -> None:
        """The next (1, C, H, W) in [0, 1], and its truth, or its source of any size."""
        if self.previous is not None:
            before, before_beside = self.previous
            judge = held_in_truth if self.has_truth else held_by_noise
            held = _at_size(judge(beside, before_beside), sr)
            self.flicker += float((_changes(sr, before) * held).sum())
            self.held += int(held.sum())
            self.seen += held.numel()
            self.pairs += len(sr)
            if self.has_truth:
                changes = temporal_difference(sr, before, beside, before_beside)
                self.difference += float(changes.sum())
        self.previous = (sr, beside)

    def result(self) -> Steadiness:
        return Steadiness(
            self.flicker / self.held if self.held else math.nan,
            self.difference / self.pairs if self.has_truth and self.pairs else math.nan,
            self.held / self.seen if self.seen else math.nan,
            self.pairs,
        )


def steadiness(frames: Iterable[tuple[Tensor, Tensor]]) -> Steadiness:
    """Of a film beside its truth, holding two frames at a time.

    Args:
        frames: (picture, truth) in order of time, (1, C, H, W) in [0, 1] each.
    """
    return _watched(frames, has_truth=True)


def steadiness_without_truth(frames: Iterable[tuple[Tensor, Tensor]]) -> Steadiness:
    """Of a film beside the source it was made from, holding two frames at a time.

    Args:
        frames: (picture, source) in order of time, (1, C, H, W) and (1, C', h, w) in [0, 1].
    """
    return _watched(frames, has_truth=False)


def _watched(frames: Iterable[tuple[Tensor, Tensor]], *, has_truth: bool) -> Steadiness:
    watch = Watch(has_truth=has_truth)
    for sr, beside in frames:
        watch.see(sr, beside)
    return watch.result()


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
