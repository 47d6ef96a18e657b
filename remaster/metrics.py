"""How near a picture is to the truth: tensors in, numbers out."""

from __future__ import annotations

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
