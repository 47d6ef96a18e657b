"""Networks have the sizes their papers count, reach as far as they say, come back as they were."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from remaster.checkpoint import Card, load_model, save_model
from remaster.models import MODELS, Network
from remaster.models.a2n import A2N, A2NConfig, AttentionBlock
from remaster.models.critics import Discriminator, DiscriminatorConfig, GrowingCritic
from remaster.models.srcnn import MSRCNN, SRCNN, MSRCNNConfig, SRCNNConfig
from remaster.models.srpggan import SRPGGAN, SRPGGANConfig
from remaster.models.srresnet import SRResNet, SRResNetConfig, icnr_
from remaster.models.waifu2x import UpConv7, UpConv7Config, UpCUNet, UpCUNetConfig


def srgan(num_blocks: int, scale: int = 4) -> SRResNetConfig:
    return SRResNetConfig(scale, num_blocks, tail="norm", end="linear")


COUNTS: list[tuple[type[nn.Module], Any, int]] = [
    (SRCNN, SRCNNConfig(), 85_889),
    (SRCNN, SRCNNConfig(variant="canonical"), 57_281),
    (MSRCNN, MSRCNNConfig(), 127_347),
    (MSRCNN, MSRCNNConfig(out_channels=1), 127_281),
    (SRResNet, SRResNetConfig(), 956_431),
    (SRResNet, srgan(15), 1_475_349),
    (SRResNet, srgan(16), 1_549_462),
    (SRResNet, srgan(8), 956_558),
    (SRResNet, srgan(8, 8), 1_104_271),
    (A2N, A2NConfig(2), 1_036_443),
    (A2N, A2NConfig(3), 1_036_443),
    (A2N, A2NConfig(4), 1_047_459),
    (A2N, A2NConfig(2, modest=True), 831_643),
    (A2N, A2NConfig(4, modest=True), 842_659),
    (UpConv7, UpConv7Config(), 552_483),
    (UpCUNet, UpCUNetConfig(), 1_284_598),
    (Discriminator, DiscriminatorConfig(), 5_215_425),
    (Discriminator, DiscriminatorConfig(norm=False), 5_211_713),
    (Discriminator, DiscriminatorConfig("poster"), 6_985_665),
    (Discriminator, DiscriminatorConfig("poster", norm=False), 6_981_441),
    (Discriminator, DiscriminatorConfig(slope=0.01, head="dense"), 5_215_425),
]
SMALL: dict[str, list[dict[str, Any]]] = {
    "celnet": [{"num_blocks": 1}],
    "srcnn": [{"scale": s, "enlargement": e} for s, e in ((1, "bilinear"), (2, "bicubic"))]
    + [{"scale": 3, "variant": "canonical"}],
    "m-srcnn": [{"scale": 2}, {"scale": 1}, {"scale": 4, "enlargement": "bicubic"}],
    "srresnet": [
        {"scale": 2, "num_blocks": 1, "num_features": 8},
        {"scale": 4, "num_blocks": 2, "num_features": 8, "norm": False, "end": "linear"},
        {"scale": 8, "num_blocks": 1, "num_features": 8, "tail": "norm", "icnr": False},
    ],
    "srpggan": [{"scale": s, "num_blocks": 1, "num_features": 8} for s in (2, 4, 8)],
    "a2n": [
        {"scale": s, "num_features": 8, "num_upsampling_features": 4, "num_blocks": 2}
        for s in (2, 3, 4)
    ],
    "upconv_7": [{}],
    "upcunet": [{}],
}
CASES = [
    pytest.param(name, config, id=f"{name} {config}") for name in SMALL for config in SMALL[name]
]


def built(name: str, config: dict[str, Any]) -> Network:
    torch.manual_seed(1)
    network, configuration = MODELS[name]
    return network(configuration(**config)).eval()


def enlarged(model: Network, x: Tensor) -> Tensor:
    result = model(x)
    return result[0] if isinstance(result, tuple) else result


def channels(model: Network) -> int:
    return 1 if model.eats == "luma" else 3


@pytest.mark.parametrize(("network", "config", "count"), COUNTS)
def test_sizes_are_those_of_the_papers(network: type[nn.Module], config: Any, count: int) -> None:
    assert sum(p.numel() for p in network(config).parameters()) == count


@pytest.mark.parametrize(("modest", "count"), [(False, 62_860), (True, 50_060)])
def test_a_block_of_attention_has_its_size(modest: bool, count: int) -> None:
    assert sum(p.numel() for p in AttentionBlock(40, modest=modest).parameters()) == count


def test_every_network_is_tried() -> None:
    assert set(SMALL) == set(MODELS)


@pytest.mark.parametrize(("name", "config"), CASES)
def test_a_network_comes_back_as_it_was(name: str, config: dict[str, Any], tmp_path: Path) -> None:
    model = built(name, config)
    for module in model.modules():  # as after a training
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.normal_()
    path = tmp_path / "w.safetensors"
    own = dataclasses.asdict(model.config)  # type: ignore[call-overload]
    save_model(path, model, Card(name, own, model.scale))
    again, card = load_model(path)
    assert card.config == own
    x = torch.rand(1, channels(model), 16, 20)
    with torch.no_grad():
        assert torch.equal(enlarged(again, x), enlarged(model, x))


@pytest.mark.parametrize(("name", "config"), CASES)
def test_a_network_enlarges_by_its_scale(name: str, config: dict[str, Any]) -> None:
    model, s = built(name, config), built(name, config).scale
    with torch.no_grad():
        x = torch.rand(2, channels(model), 18, 22)
        y = enlarged(model, x)
        assert y.shape[2:] == (18 * s, 22 * s)
        assert torch.allclose(y[:1], enlarged(model, x[:1]), atol=1e-5)  # a batch is its pictures


@pytest.mark.parametrize(("name", "config"), CASES)
def test_a_network_reaches_no_further_than_it_says(name: str, config: dict[str, Any]) -> None:
    model = built(name, config)
    if model.sees_whole_image or name == "celnet":  # celnet's is tested with its engine
        return
    if isinstance(model, SRPGGAN):
        model.alpha.fill_(0.5)
    radius, side = model.receptive_radius, 2 * model.receptive_radius + 9
    x = torch.rand(1, channels(model), side, side, requires_grad=True)
    middle = side // 2
    y = enlarged(model, x)
    block = y[..., middle * model.scale : (middle + 1) * model.scale, :][
        ..., middle * model.scale : (middle + 1) * model.scale
    ]
    (gradient,) = torch.autograd.grad((block * torch.rand_like(block)).sum(), x)
    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten() - middle
    assert int(rows.abs().max()) <= radius
    assert int(rows.abs().max()) >= radius - 1  # and no promise is idle


@pytest.mark.parametrize("wrong", [{"scale": 5}, {"scale": "2"}, {"scale": 0}, {"nonsense": 1}])
@pytest.mark.parametrize("name", MODELS)
def test_wrong_configurations_are_refused(name: str, wrong: dict[str, Any]) -> None:
    if wrong == {"scale": 5} and name in ("srcnn", "m-srcnn"):
        return
    with pytest.raises((ValueError, TypeError)):
        MODELS[name][1](**wrong)


@pytest.mark.parametrize("factor", [2, 3])
def test_icnr_begins_with_constant_blocks(factor: int) -> None:
    layer = nn.Conv2d(5, 3 * factor**2, 3, padding=1)
    icnr_(layer, factor)
    y = F.pixel_shuffle(layer(torch.rand(1, 5, 7, 6)), factor)
    small = F.interpolate(y[..., ::factor, ::factor], scale_factor=factor, mode="nearest")
    assert torch.equal(y, small)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_stage_fades_in_from_what_was_before(stage: int) -> None:
    model = SRPGGAN(SRPGGANConfig(8, 1, 8)).eval()
    x = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        before = F.interpolate(model.at_stage(x, stage - 1, 1.0), scale_factor=2.0)
        assert torch.equal(model.at_stage(x, stage, 0.0), before)
        whole = model.at_stage(x, stage, 1.0)
        for parameter in model.to_rgb[stage - 1].parameters():
            parameter.normal_()
        assert torch.equal(model.at_stage(x, stage, 1.0), whole)
    model.at_stage(x, stage, 0.5).sum().backward()
    gradients = [p.grad for p in model.trunk.parameters()]
    assert all(g is not None and bool(g.isfinite().all()) for g in gradients)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_growing_critic_fades_in_from_what_it_thought_before(stage: int) -> None:
    critic, side = GrowingCritic(3), 32 * 2**stage
    x = torch.rand(2, 3, side, side)
    with torch.no_grad():
        before = critic(F.avg_pool2d(x, 2), stage - 1, 1.0)
        assert torch.allclose(critic(x, stage, 0.0), before, atol=1e-6)
        assert critic(x, stage, 1.0).shape == (2,)


def test_a_critic_judges_pictures_one_by_one() -> None:
    critic = Discriminator(DiscriminatorConfig(norm=False))
    x = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(critic(x), torch.cat([critic(one) for one in x.split(1)]), atol=1e-5)


def test_a_flat_head_is_for_one_size() -> None:
    discriminator = Discriminator(DiscriminatorConfig(head="flat", flat_side=32))
    assert discriminator(torch.rand(2, 3, 32, 32)).shape == (2,)
    with pytest.raises(RuntimeError):
        discriminator(torch.rand(2, 3, 64, 64))


def test_m_srcnn_uses_its_first_channel() -> None:
    model = MSRCNN(MSRCNNConfig()).eval()
    x = torch.rand(1, 1, 9, 11)
    assert torch.equal(model(x), model.every_channel(x)[:, :1])


@pytest.mark.parametrize(("enlargement", "off"), [("bilinear", 1e-6), ("bicubic", 0.01)])
def test_the_enlargement_is_part_of_the_network(enlargement: str, off: float) -> None:
    """Pixel centres stay where they were; OpenCV's bicubic bends a ramp a little."""
    model = SRCNN(SRCNNConfig(2, enlargement=enlargement))
    ramp = torch.arange(12.0).expand(1, 1, 12, 12) / 12
    inner = model.enlarged(ramp)[0, 0, 8, 6:-6]
    expected = ((torch.arange(6, 18) + 0.5) / 2 - 0.5) / 12
    assert (inner - expected).abs().max() < off
    assert (inner - expected).abs().max() > off / 100 or enlargement == "bilinear"
