"""VGG19's features: the right size, read from a file of the usual names, and never trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from remaster.errors import CheckpointError
from remaster.train.vgg import VGG19Features, load_vgg19, vgg_loss


@pytest.fixture(scope="module")
def network() -> VGG19Features:
    torch.manual_seed(0)
    return VGG19Features().eval()


def test_it_has_the_size_of_vgg19(network: VGG19Features) -> None:
    assert sum(p.numel() for p in network.parameters()) == 20_024_384
    assert network(torch.rand(1, 3, 32, 48)).shape == (1, 512, 2, 3)


def test_weights_come_from_a_file_of_the_usual_names(
    network: VGG19Features, tmp_path: Path
) -> None:
    path = tmp_path / "vgg19.safetensors"
    save_file({**network.state_dict(), "classifier.0.weight": torch.zeros(1)}, path)
    again, x = load_vgg19(path), torch.rand(1, 3, 32, 32)
    assert torch.equal(again(x), network(x))


def test_the_loss_leads_the_picture_alone(network: VGG19Features) -> None:
    gt = torch.rand(1, 3, 32, 32, requires_grad=True)
    sr = torch.rand(1, 3, 32, 32, requires_grad=True)
    vgg_loss(network, sr, gt).backward()
    assert sr.grad is not None
    assert float(sr.grad.abs().sum()) > 0
    assert gt.grad is None
    assert all(p.grad is None for p in network.parameters())
    assert float(vgg_loss(network, gt, gt).detach()) == 0


def test_what_is_no_file_of_it_is_refused(network: VGG19Features, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no file of VGG19"):
        load_vgg19(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_vgg19(tmp_path / "text.safetensors")
    save_file({"features.0.weight": torch.zeros(3)}, tmp_path / "small.safetensors")
    with pytest.raises(CheckpointError, match="does not hold VGG19"):
        load_vgg19(tmp_path / "small.safetensors")
