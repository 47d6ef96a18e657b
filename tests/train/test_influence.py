"""The influence radius is where a change stops to show."""

from __future__ import annotations

import torch

from remaster.models import CelNet, CelNetConfig
from remaster.models.interpolation import Interpolation
from remaster.train.influence import influence_radius


def test_the_influence_radius_is_where_a_change_stops_to_show() -> None:
    pictures = torch.rand(24, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    pictures[:, 1:] -= 0.5
    model = CelNet(CelNetConfig(2, 16, 3)).eval().requires_grad_(False)
    for name in model.sizes:
        model.tail(name).weight.zero_()
    # Catmull-Rom alone: two pixels of luma; of chroma as much, of what reached four pixels before
    assert influence_radius(model, pictures) in (2, 4, 6)
    for name in model.sizes:
        torch.nn.init.normal_(model.tail(name).weight)
    assert influence_radius(model, pictures) in (8, None)
    assert influence_radius(model, pictures[..., :16, :16]) is None


def test_a_kernel_reaches_as_far_as_its_support() -> None:
    """Of grey pictures; rounded up to even: 0, 2 and 3 pixels."""
    pictures = torch.rand(16, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    pictures[:, 1:] = 0
    for kernel, reach in (("box", 0), ("catmull-rom", 2), ("lanczos", 4)):
        assert influence_radius(Interpolation(2, kernel), pictures) == reach, kernel


def test_a_change_of_nothing_reaches_nowhere() -> None:
    alike = torch.full((4, 3, 48, 48), 0.3)
    assert influence_radius(Interpolation(2, "lanczos"), alike) == 0
