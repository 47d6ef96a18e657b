"""The influence radius is where a change stops to show."""

from __future__ import annotations

import torch

from remaster.models import CelNet, CelNetConfig
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
