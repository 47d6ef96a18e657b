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

from remaster.models.celnet import CelNet, CelNetConfig
from remaster.models.network import Network

__all__ = ["MODELS", "CelNet", "CelNetConfig", "Network"]

MODELS: dict[str, tuple[type[CelNet], type[CelNetConfig]]] = {"celnet": (CelNet, CelNetConfig)}
"""Name -> (network, its configuration)."""
