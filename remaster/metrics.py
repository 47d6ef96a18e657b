"""How near a picture is to the truth: tensors in, numbers out.

Pictures are (N, C, H, W) in [0, 1], `sr` beside the truth `gt`; the numbers are (N,).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

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
    sr, gt = (_inside(x, border) for x in (sr, gt))
    return -10 * (sr - gt).square().mean((1, 2, 3)).clamp_min(1e-12).log10()


def ssim(sr: Tensor, gt: Tensor, *, border: int = 0) -> Tensor:
    """Structural similarity (Wang et al. 2004), (N, C, H, W) in [0, 1] to (N,).

    The paper's 11x11 Gaussian window of sigma 1.5 over whole windows only; K1 .01, K2 .03.
    """
    sr, gt = (_inside(x, border) for x in (sr, gt))
    sr, gt = sr.double(), gt.double()  # variances of nearly flat windows are small differences
    blurred = functools.partial(_filtered, taps=_gaussian(1.5, 5))
    mean_a, mean_b = blurred(sr), blurred(gt)
    var_a = blurred(sr * sr) - mean_a**2
    var_b = blurred(gt * gt) - mean_b**2
    covariance = blurred(sr * gt) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean((1, 2, 3))


def ssim_uniform(sr: Tensor, gt: Tensor) -> Tensor:
    """Structural similarity with 7x7 windows of equal weight, the mean of the channels.

    scikit-image's default: variances of a sample (over 48), whole windows only; K1 .01, K2 .03.
    """
    sr, gt = sr.double(), gt.double()
    mean_a, mean_b = (F.avg_pool2d(x, 7, 1) for x in (sr, gt))
    of_sample = 49 / 48
    var_a = (F.avg_pool2d(sr * sr, 7, 1) - mean_a**2) * of_sample
    var_b = (F.avg_pool2d(gt * gt, 7, 1) - mean_b**2) * of_sample
    covariance = (F.avg_pool2d(sr * gt, 7, 1) - mean_a * mean_b) * of_sample
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean((1, 2, 3))


EDGE = 0.1
"""What a step in luma has at least to be an edge; of full scale."""

LINE = 0.0125
"""How much darker than its surroundings a line is at least, in the difference of Gaussians."""

_FINE, _COARSE = 0.7, 1.12  # Gaussians whose difference answers to lines a pixel or two wide


def edge_psnr(sr: Tensor, gt: Tensor, *, border: int = 0) -> Tensor:
    """PSNR of luma, (N, 1, H, W), within a pixel of the truth's edges; nan where it has none.

    Edges are where Sobel's gradient exceeds `EDGE`, scaled so that a step answers with its height.
    """
    edges = _widened(_sobel(gt) > EDGE)
    sr, gt, edges = (_inside(x, border) for x in (sr, gt, edges.to(sr.dtype)))
    error = ((sr - gt).square() * edges).sum((1, 2, 3)) / edges.sum((1, 2, 3))
    return -10 * error.clamp_min(1e-12).log10()


def line_map(luma: Tensor) -> Tensor:
    """(N, 1, H, W) to (N, 1, H, W) bool: dark lines.

    Where a wide Gaussian is lighter than a narrow one (Winnemoeller et al. 2012, XDoG, without its
    soft threshold).
    """
    padded = F.pad(luma, (3,) * 4, mode="replicate")
    fine, coarse = (_filtered(padded, _gaussian(sigma, 3)) for sigma in (_FINE, _COARSE))
    return coarse - fine > LINE


def line_f_score(sr: Tensor, gt: Tensor, *, border: int = 0) -> Tensor:
    """How well the dark lines of luma, (N, 1, H, W), agree to within a pixel; 1 at best.

    Harmonic mean of the share of drawn lines that are true and of true lines that are drawn; 1
    where there are none in either, 0 where in one alone.
    """
    drawn, true = (_inside(line_map(x), border) for x in (sr, gt))
    right = (drawn & _widened(true)).sum((1, 2, 3)) / drawn.sum((1, 2, 3))
    found = (true & _widened(drawn)).sum((1, 2, 3)) / true.sum((1, 2, 3))
    score = 2 * right * found / (right + found)
    is_blank = ~(drawn | true).any(3).any(2).any(1)
    return torch.where(is_blank, 1.0, score.nan_to_num(0.0))


def gradient_ratio(sr: Tensor, gt: Tensor, *, border: int = 0) -> Tensor:
    """Energy of the differences between neighbours over the truth's: 1 at best, less is blur.

    nan where the truth is flat.
    """
    energies = [_gradient_energy(_inside(x, border)) for x in (sr, gt)]
    return torch.where(energies[1] > 0, energies[0] / energies[1], torch.nan)


def overshoot(sr: Tensor, gt: Tensor, *, border: int = 0) -> Tensor:
    """Energy of what lies beyond the truth's lightest and darkest in the 5x5 around: 0 at best.

    Halos and ringing, and no blur. Over the energy of the truth's gradients, so that it says how
    strong halos are beside the edges they lie at; nan where the truth is flat.
    """
    most, least = _most(gt, 5), -_most(-gt, 5)
    beyond = F.relu(sr - most) + F.relu(least - sr)
    energy = _inside(beyond, border).square().sum((1, 2, 3))
    true_energy = _gradient_energy(_inside(gt, border))
    return torch.where(true_energy > 0, energy / true_energy, torch.nan)


def _inside(x: Tensor, border: int) -> Tensor:
    return x[..., border:-border, border:-border] if border else x


def _widened(mask: Tensor) -> Tensor:
    """A pixel more each way."""
    return _most(mask.float(), 3) > 0


def _sobel(x: Tensor) -> Tensor:
    """(N, 1, H, W): size of the gradient, in what a step has of height; edges are repeated."""
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    across = (x[..., 2:] - x[..., :-2]) / 4
    down = (x[..., 2:, :] - x[..., :-2, :]) / 4
    across = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    down = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return torch.hypot(across, down)


def _most(x: Tensor, side: int) -> Tensor:
    """The largest value in the square around each pixel."""
    x = F.pad(x, (side // 2,) * 4, value=-math.inf)
    for axis in (2, 3):
        length = x.shape[axis] - side + 1
        parts = [x.narrow(axis, i, length) for i in range(side)]
        x = functools.reduce(torch.maximum, parts)
    return x


def _gaussian(sigma: float, reach: int) -> list[float]:
    """2 * reach + 1 taps of sum 1."""
    taps = [math.exp(-((i / sigma) ** 2) / 2) for i in range(-reach, reach + 1)]
    return [tap / sum(taps) for tap in taps]


def _filtered(x: Tensor, taps: Sequence[float]) -> Tensor:
    """Across and down by the same taps, over whole windows only."""
    # Sums of moved pictures: a convolution of one channel takes several times as long.
    for axis in (2, 3):
        length = x.shape[axis] - len(taps) + 1
        total = x.narrow(axis, 0, length) * taps[0]
        for i, tap in enumerate(taps[1:], 1):
            total = total.add_(x.narrow(axis, i, length), alpha=tap)
        x = total
    return x


def _gradient_energy(x: Tensor) -> Tensor:
    energies = [x.diff(dim=axis).square().sum((1, 2, 3)) for axis in (-1, -2)]
    return energies[0] + energies[1]
