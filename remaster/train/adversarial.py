"""What discriminators and critics are trained by, and what generators learn from them.

Judgements are (N,) logits or numbers without bounds, larger for truer pictures; all in fp32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Judge = Callable[[Tensor], Tensor]
"""Pictures (N, C, H, W) to (N,)."""


@dataclass(frozen=True)
class Labels:
    """What a discriminator is told: soft labels, some of them exchanged."""

    true: tuple[float, float] = (1.0, 1.0)
    """Drawn anew for every picture, uniformly; may exceed 1."""

    false: tuple[float, float] = (0.0, 0.0)
    flipped: float = 0.0
    """Share of the pictures whose labels are exchanged."""

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(N,) labels of true and of false pictures, on the CPU."""
        true, false = (
            low + (high - low) * torch.rand(count, generator=generator)
            for low, high in (self.true, self.false)
        )
        flip = torch.rand(count, generator=generator) < self.flipped
        return torch.where(flip, false, true), torch.where(flip, true, false)


HARD_LABELS = Labels()
SOFT_LABELS = Labels((0.85, 1.10), (0.0, 0.15), 0.05)
"""Of the anime SRGAN."""


def discriminator_loss(
    of_gt: Tensor, of_sr: Tensor, labels: Labels, generator: torch.Generator
) -> Tensor:
    """Cross entropy of logits with soft labels: log D(x) + log(1 - D(G(z))), negated."""
    true, false = (label.to(of_gt.device) for label in labels.draw(len(of_gt), generator))
    return F.binary_cross_entropy_with_logits(
        of_gt.float(), true
    ) + F.binary_cross_entropy_with_logits(of_sr.float(), false)


def adversarial_loss(of_sr: Tensor) -> Tensor:
    """-log D(G(z)): its gradient stays where the discriminator is sure (Goodfellow et al. 2014)."""
    return F.softplus(-of_sr.float()).mean()


def critic_loss(of_gt: Tensor, of_sr: Tensor) -> Tensor:
    """E D(G(z)) - E D(x) (Arjovsky et al. 2017, arXiv 1701.07875)."""
    return of_sr.float().mean() - of_gt.float().mean()


def wasserstein_loss(of_sr: Tensor) -> Tensor:
    """-E D(G(z)), of the generator."""
    return -of_sr.float().mean()


def gradient_penalty(critic: Judge, gt: Tensor, sr: Tensor, generator: torch.Generator) -> Tensor:
    """Mean over pictures of (|gradient of the critic| - 1)^2, between each truth and its like.

    Gulrajani et al. 2017, arXiv 1704.00028, eq. 3, without its factor (10). The point between is
    drawn uniformly, one a picture; the norm is over all of a picture. In fp32 under autocast too.
    """
    share = torch.rand(len(gt), 1, 1, 1, generator=generator).to(gt.device)
    with torch.autocast(gt.device.type, enabled=False):
        between = torch.lerp(sr.detach().float(), gt.detach().float(), share).requires_grad_()
        judged = critic(between).sum()
        (gradient,) = torch.autograd.grad(judged, between, create_graph=True)
        norm = gradient.flatten(1).square().sum(1).add(1e-12).sqrt()
        return (norm - 1).square().mean()
