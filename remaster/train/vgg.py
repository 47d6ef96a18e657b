"""The feature loss of VGG19: how alike two pictures look to a network that knows things.

The architecture is here (Simonyan and Zisserman 2015, arXiv 1409.1556); its weights are not part of
the program. They are read from a safetensors file with torchvision's names, `features.0.weight` and
on, others beside them being ignored; where torchvision is at hand, this writes it:

    import torchvision as v, safetensors.torch as s
    s.save_file(v.models.vgg19(weights="DEFAULT").state_dict(), "vgg19.safetensors")
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from remaster.checkpoint import load_tensors
from remaster.errors import CheckpointError

_WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)
"""Filters of each convolution of 3x3; 0 halves the picture."""

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet."""

_SCALE = 1 / 12.75
"""Of features, so that their loss is of the size of pixels' (Ledig et al. 2017)."""


class VGG19Features(nn.Module):
    """R'G'B' (N, 3, H, W) in [0, 1] to what conv5_4 gives after its ReLU, (N, 512, H/16, W/16)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width in _WIDTHS:
            if width:
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
                inputs = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        deviation = torch.tensor(_DEVIATION).view(1, 3, 1, 1)
        self.register_buffer("deviation", deviation, persistent=False)
        self.requires_grad_(False)

    def forward(self, rgb: Tensor) -> Tensor:
        features: Tensor = self.features((rgb.float() - self.mean) / self.deviation)
        return features


def load_vgg19(path: Path) -> VGG19Features:
    """The network with weights from a file.

    Raises:
        CheckpointError: the file is missing or damaged, or its weights are no VGG19's.
    """
    if not path.is_file():
        raise CheckpointError(
            f"there is no file of VGG19's weights at {path}: see the documentation of "
            "remaster.train.vgg for the line that writes it, or leave --vgg out for a loss that "
            "needs none"
        )
    tensors = load_tensors(path)
    network = VGG19Features()
    own = network.state_dict()
    if any(name not in tensors or tensors[name].shape != own[name].shape for name in own):
        raise CheckpointError(f"{path} does not hold VGG19's weights under torchvision's names")
    network.load_state_dict({name: tensors[name] for name in own})
    return network.eval()


def vgg_loss(network: VGG19Features, sr: Tensor, gt: Tensor) -> Tensor:
    """Mean squared difference of scaled features; the gradient reaches `sr` alone."""
    with torch.no_grad():
        wanted = network(gt) * _SCALE
    return F.mse_loss(network(sr) * _SCALE, wanted)
