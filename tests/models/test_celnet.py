"""CelNet begins as Catmull-Rom and keeps its promises of size and cost."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from remaster.models import MODELS, CelNet, CelNetConfig
from remaster.resampling import resize
from remaster.train.options import SIZES
from tests.networks import celnet


@pytest.mark.parametrize("unshuffle", [1, 2])
@pytest.mark.parametrize("scale", [2, 4])
def test_without_its_tails_it_is_catmull_rom(scale: int, unshuffle: int) -> None:
    model = CelNet(CelNetConfig(scale, 16, 1, unshuffle))
    for name in model.sizes:
        nn.init.zeros_(model.tail(name).weight)
    x = torch.rand(1, 3, 24, 32)
    inner = (..., slice(4 * scale, -4 * scale), slice(4 * scale, -4 * scale))
    luma, full = model(x, "444")
    enlarged = resize(x, (24 * scale, 32 * scale), "catmull-rom")
    assert (torch.cat([luma, full], 1) - enlarged)[inner].abs().max() < 1e-5
    _, half = model(x, "420")
    sited = resize(
        x[:, 1:], (12 * scale, 16 * scale), "catmull-rom", shift=(0, -0.5 / scale), antialias=False
    )
    inner = (..., slice(2 * scale, -2 * scale), slice(2 * scale, -2 * scale))
    assert (half - sited)[inner].abs().max() < 1e-5


def test_luma_is_the_same_with_either_chroma() -> None:
    model, x = celnet(2), torch.rand(1, 3, 16, 18)
    assert torch.equal(model(x, "420")[0], model(x, "444")[0])


def test_a_batch_is_its_pictures() -> None:
    model, x = celnet(4), torch.rand(3, 3, 16, 18)
    for whole, *parts in zip(model(x), *(model(one) for one in x.split(1))):
        assert torch.allclose(whole, torch.cat(parts), atol=1e-6)


@pytest.mark.parametrize("scale", [2, 4])
def test_fast_costs_at_most_thirty_thousand_multiplications_a_pixel(scale: int) -> None:
    config = CelNetConfig(scale, **SIZES["fast"][scale])
    model = CelNet(config)
    used = [p for name, p in model.named_parameters() if p.ndim == 4 and "444" not in name]
    assert sum(p.numel() for p in used) / config.unshuffle**2 <= 30_000


def test_wrong_configurations_are_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        CelNetConfig(scale=3)
    with pytest.raises(ValueError, match="unshuffle"):
        CelNetConfig(unshuffle=3)


def test_the_table_names_what_it_builds() -> None:
    for network, config in MODELS.values():
        assert network(config()).scale == config().scale
