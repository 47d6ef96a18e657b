"""Losses: (prediction, target) of equal shape to a scalar, mean reduction."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def charbonnier_loss(sr: Tensor, gt: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Mean sqrt(d^2 + eps^2), a smooth L1 (Lai et al. 2017, arXiv 1704.03915, eq. 5).

    In fp32: at 16 bits eps^2 would vanish, and the gradient with it become 0/0.
    """
    return ((sr.float() - gt.float()).square() + epsilon**2).sqrt().mean()


@functools.lru_cache(maxsize=4)
def random_filters(count: int = 24, seed: int = 71) -> Tensor:
    """(count, 1, 3, 3) fixed filters of -1, 0 and 1, a tenth of them 0; the first an identity.

    Juefei-Xu et al. 2017, "Local binary convolutional neural networks" (arXiv 1608.06049).
    """
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (count, 1, 3, 3), generator=generator).float() * 2 - 1
    filters = signs * (torch.rand(count, 1, 3, 3, generator=generator) >= 0.1)
    filters[0] = 0
    filters[0, 0, 1, 1] = 1
    return filters


def random_filter_loss(sr: Tensor, gt: Tensor) -> Tensor:
    """Charbonnier between the responses of every channel to `random_filters`.

    Every local contrast counts, in all directions, without any learned feature. Taken at every
    other row and column: neighbouring responses say nearly the same.
    """
    difference = (sr.float() - gt.float()).flatten(0, 1)[:, None]
    difference = F.conv2d(difference, random_filters().to(difference), stride=2)
    return charbonnier_loss(difference, torch.zeros_like(difference))


def mse_loss(sr: Tensor, gt: Tensor) -> Tensor:
    """Mean d^2."""
    return (sr.float() - gt.float()).square().mean()


def l1_loss(sr: Tensor, gt: Tensor) -> Tensor:
    """Mean |d|."""
    return (sr.float() - gt.float()).abs().mean()


def gradient_loss(sr: Tensor, gt: Tensor) -> Tensor:
    """Mean |d| of the differences between neighbours, across and down."""
    difference = sr.float() - gt.float()
    return sum((difference.diff(dim=axis).abs().mean() for axis in (-1, -2)), sr.new_zeros(()))


def fft_loss(sr: Tensor, gt: Tensor, side: int = 32) -> Tensor:
    """Mean |d| of the spectrum of every square of `side`: real and imaginary part, and magnitude.

    Orthonormal, so the weight does not depend on the size. Pictures smaller than a square are one;
    what does not fill a square is left out.
    """
    spectra = [torch.fft.rfft2(_squares(x.float(), side), norm="ortho") for x in (sr, gt)]
    parts = (torch.view_as_real(spectra[0]) - torch.view_as_real(spectra[1])).abs().mean()
    # Away from 0, where a magnitude has no gradient.
    magnitudes = [torch.view_as_real(s).square().sum(-1).add(1e-8).sqrt() for s in spectra]
    return parts + (magnitudes[0] - magnitudes[1]).abs().mean()


def _squares(x: Tensor, side: int) -> Tensor:
    """(N, C, H, W) to (N, C, rows, columns, h, w)."""
    h, w = (min(side, n) for n in x.shape[-2:])
    return x.unfold(2, h, h).unfold(3, w, w)


def line_weights(gt: Tensor) -> Tensor:
    """(N, C, H, W) to (N, 1, H, W): up to four times as much on dark lines, of mean 1 a picture.

    Lines are where a difference of Gaussians of luma (the mean of channels) is dark, widened by a
    pixel (Winnemoeller et al. 2012, XDoG).
    """
    luma = gt.float().mean(1, keepdim=True)
    fine, coarse = _blurred(luma, 0.7), _blurred(luma, 1.12)
    lines = (40 * (coarse - fine)).clamp(0, 1)
    weights = 1 + 3 * F.max_pool2d(lines, 3, 1, 1)
    return weights / weights.mean((1, 2, 3), keepdim=True)


def _blurred(x: Tensor, sigma: float) -> Tensor:
    """One channel, by a Gaussian; edges are repeated."""
    reach = round(3 * sigma)
    taps = (
        torch.arange(-reach, reach + 1, device=x.device).float().div(sigma).square().mul(-0.5).exp()
    )
    taps = taps / taps.sum()
    x = F.pad(x, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(x, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))


def line_weighted_loss(sr: Tensor, gt: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Charbonnier, weighed by `line_weights`: lines are a few hundredths of the pixels."""
    error = ((sr.float() - gt.float()).square() + epsilon**2).sqrt()
    return (line_weights(gt) * error).mean()


def overshoot_loss(sr: Tensor, gt: Tensor, side: int = 5) -> Tensor:
    """Mean of what lies beyond the lightest and darkest truth around: halos, and nothing else."""
    most = F.max_pool2d(gt.float(), side, 1, side // 2)
    least = -F.max_pool2d(-gt.float(), side, 1, side // 2)
    return (F.relu(sr.float() - most) + F.relu(least - sr.float())).mean()


def artifact_weights(sr: Tensor, gt: Tensor, averaged: Tensor) -> Tensor:
    """(N, 1, H, W), without gradient: where a GAN makes up what is not there.

    Liang et al. 2022, LDL, arXiv 2203.09195, eqs. 3 to 6: the local variance of the error, times
    its variance over the picture to the fifth root, where the averaged weights do better.
    """
    with torch.no_grad():
        error, better = (
            (gt.float() - x.float()).abs().sum(1, keepdim=True) for x in (sr, averaged)
        )
        whole = error.var((1, 2, 3), keepdim=True).pow(0.2)
        padded = F.pad(error, (3,) * 4, mode="reflect")
        mean, squares = (F.avg_pool2d(x, 7, 1) for x in (padded, padded.square()))
        local = (squares - mean.square()).clamp_min(0) * 49 / 48
        weights: Tensor = whole * local * (error >= better)
        return weights


def artifact_loss(sr: Tensor, gt: Tensor, averaged: Tensor) -> Tensor:
    """Mean |d|, weighed by `artifact_weights`."""
    weights = artifact_weights(sr, gt, averaged)
    return (weights * (sr.float() - gt.float()).abs()).mean()


def feature_matching_loss(of_sr: Sequence[Tensor], of_gt: Sequence[Tensor]) -> Tensor:
    """Mean |d| of a discriminator's features, in the mean of its layers; the truth's are fixed."""
    each = [l1_loss(a, b.detach()) for a, b in zip(of_sr, of_gt, strict=True)]
    return torch.stack(each).mean()
