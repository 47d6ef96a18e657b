"""The networks, one file each, and the one table that names them.

Every network says what the pipeline has to know:

* `eats`: `planes` (N, 3, H, W ycc in; luma and chroma planes out), `rgb` (N, 3, H, W in [0, 1] in
  and out) or `luma` (N, 1, H, W in [0, 1] in and out; chroma is enlarged beside it);
* `scale`: output pixels per input pixel, along each axis;
* `grid`: height and width of its input are multiples of this;
* `padding`: pixels of replicated edge it wants around the frame;
* `receptive_radius`: an output pixel depends on no input pixel further from its own than this;
* `measured_radius`: what differs further away than this moves hardly an output pixel by half a
  level; None where that was not measured on the trained weights;
* `precision`, `adds_to_source`: which arithmetic it can be run in;
* `sees_whole_image`: it pools over the image, so it cannot be run on regions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remaster.models.a2n import A2N, A2NConfig
from remaster.models.celnet import CelNet, CelNetConfig
from remaster.models.network import Network
from remaster.models.srcnn import MSRCNN, SRCNN, MSRCNNConfig, SRCNNConfig
from remaster.models.srpggan import SRPGGAN, SRPGGANConfig
from remaster.models.srresnet import SRResNet, SRResNetConfig
from remaster.models.waifu2x import UpConv7, UpConv7Config, UpCUNet, UpCUNetConfig

__all__ = ["MODELS", "CelNet", "CelNetConfig", "Network"]

MODELS: dict[str, tuple[Callable[[Any], Network], Callable[..., Any]]] = {
    "celnet": (CelNet, CelNetConfig),
    "srcnn": (SRCNN, SRCNNConfig),
    "m-srcnn": (MSRCNN, MSRCNNConfig),
    "srresnet": (SRResNet, SRResNetConfig),
    "srpggan": (SRPGGAN, SRPGGANConfig),
    "a2n": (A2N, A2NConfig),
    "upconv_7": (UpConv7, UpConv7Config),
    "upcunet": (UpCUNet, UpCUNetConfig),
}
"""Name -> (network, its configuration)."""
