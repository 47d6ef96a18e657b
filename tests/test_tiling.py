"""A picture in tiles is the picture whole, and resampling in bands is resampling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from remaster import tiling
from remaster.errors import MemoryShortage, RemasterError
from remaster.models.a2n import A2N, A2NConfig
from remaster.models.interpolation import Interpolation
from remaster.models.network import Network
from remaster.models.srcnn import MSRCNN, SRCNN, MSRCNNConfig, SRCNNConfig
from remaster.models.srresnet import SRResNet, SRResNetConfig
from remaster.models.waifu2x import UpConv7, UpConv7Config
from remaster.resampling import resize
from remaster.tiling import BICUBIC, LANCZOS, LINEAR, OPENCV_CUBIC, Tiled, extended, resampled
from tests.networks import Blurring, celnet

CPU, FP32 = torch.device("cpu"), torch.float32


def noise(height: int, width: int, channels: int = 3, depth: int = 8) -> NDArray[np.generic]:
    rng = np.random.default_rng(height * width)
    return rng.integers(0, 2**depth, (height, width, channels)).astype(f"uint{depth}")


NETWORKS: dict[str, Callable[[], Network]] = {
    "celnet": lambda: celnet(2, unshuffle=2),
    "celnet x4": lambda: celnet(4),
    "lanczos x3": lambda: Interpolation(3, "lanczos"),
    "srcnn": lambda: SRCNN(SRCNNConfig(2, enlargement="bicubic")),
    "m-srcnn x1": lambda: MSRCNN(MSRCNNConfig(1)),
    "srresnet": lambda: SRResNet(SRResNetConfig(num_blocks=2)),
    "upconv_7": lambda: UpConv7(UpConv7Config()),
    "blurring": lambda: Blurring("rgb", 3),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("ensemble", [False, True])
def test_tiles_are_the_whole(name: str, ensemble: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = NETWORKS[name]().eval().requires_grad_(False)
    pixels = noise(61, 83)
    whole = Tiled(model, CPU, FP32, ensemble=ensemble)(pixels, np.uint16)
    monkeypatch.setattr(tiling, "MOST_PIXELS", 30 * 30 * model.scale**2)
    cut = Tiled(model, CPU, FP32, ensemble=ensemble)
    assert cut.count(61, 83) >= 6
    told: list[int] = []
    found = cut(pixels, np.uint16, lambda: told.append(1))
    assert len(told) == cut.count(61, 83)
    assert whole.std() > 1000
    assert np.abs(found.astype(int) - whole).max() <= 2  # of 65535: rounding of fp32


def test_a_network_that_sees_everything_is_given_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = A2N(A2NConfig(scale=2)).eval().requires_grad_(False)
    monkeypatch.setattr(tiling, "MOST_PIXELS", 64)
    assert Tiled(model, CPU, FP32).count(40, 40) == 1


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.sampled_from([8, 16]))
def test_the_smallest_pictures(height: int, width: int, channels: int, depth: int) -> None:
    pixels = noise(height, width, channels, depth)
    for model in (celnet(2, unshuffle=2), SRCNN(SRCNNConfig(3)).eval().requires_grad_(False)):
        found = Tiled(model, CPU, FP32)(pixels, pixels.dtype)
        assert found.shape == (height * model.scale, width * model.scale, channels)


def test_nothing_is_lost_on_the_way() -> None:
    pixels = np.arange(65536, dtype=np.uint16).reshape(128, 512, 1)
    colors = np.concatenate([pixels, pixels[::-1], pixels[:, ::-1]], 2)
    for given_ in (pixels, colors):
        found = Tiled(Interpolation(1, "catmull-rom"), CPU, FP32)(given_, np.uint16)
        assert np.abs(found.astype(int) - given_).max() <= 1
        shallow = (given_ >> 8).astype(np.uint8)
        found = Tiled(Interpolation(1, "catmull-rom"), CPU, FP32)(shallow, np.uint8)
        assert np.array_equal(found, shallow)


class Failing(Blurring):
    """Runs out of memory for more than so many pixels."""

    most = 900

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] * x.shape[-2] > self.most:
            raise MemoryError
        return super().forward(x)


def test_where_memory_is_short_tiles_become_smaller() -> None:
    pixels = noise(50, 70)
    expected = Tiled(Blurring("rgb"), CPU, FP32)(pixels, np.uint16)
    found = Tiled(Failing("rgb"), CPU, FP32)(pixels, np.uint16)
    assert np.abs(found.astype(int) - expected).max() <= 2
    hopeless = Failing("rgb")
    hopeless.most = 10
    with pytest.raises(MemoryShortage, match="does not fit in memory"):
        Tiled(hopeless, CPU, FP32)(pixels, np.uint8)


class Broken(Blurring):
    """No numbers where its arithmetic is narrow, or anywhere."""

    always = False

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y * torch.nan if self.always or x.dtype != FP32 else y


def test_what_is_no_number_is_computed_again_or_refused() -> None:
    pixels = noise(20, 20)
    found = Tiled(Broken("rgb"), CPU, torch.bfloat16)(pixels, np.uint8)
    assert np.array_equal(found, Tiled(Blurring("rgb"), CPU, FP32)(pixels, np.uint8))
    broken = Broken("rgb")
    broken.always = True
    with pytest.raises(RemasterError, match="no numbers"):
        Tiled(broken, CPU, FP32)(pixels, np.uint8)


def test_an_ensemble_is_the_mean_of_eight() -> None:
    model = SRResNet(SRResNetConfig(num_blocks=1)).eval().requires_grad_(False)
    pixels = noise(12, 17)
    x = torch.from_numpy(pixels / 255).float().permute(2, 0, 1)[None]
    total = torch.zeros(1, 3, 24, 34) if model.scale == 2 else torch.zeros(1, 3, 48, 68)
    for turns in range(4):
        for flip in ([], [-1]):
            y = model(torch.rot90(x, turns, (-2, -1)).flip(flip))
            total += torch.rot90(y.flip(flip), -turns, (-2, -1))
    expected = (total[0] / 8).clamp(0, 1).permute(1, 2, 0).numpy() * 65535
    found = Tiled(model, CPU, FP32, ensemble=True)(pixels, np.uint16)
    assert np.abs(found - expected).max() <= 2
    turned = Tiled(model, CPU, FP32, ensemble=True)(np.rot90(pixels).copy(), np.uint16)
    assert np.abs(turned.astype(int) - np.rot90(found)).max() <= 2


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 30), st.integers(1, 30), st.integers(1, 60), st.integers(1, 60),
    st.sampled_from(["lanczos", "catmull-rom", "triangle"]), st.booleans(),
)  # fmt: skip
def test_bands_resample_as_resize_does(
    height: int, width: int, rows: int, columns: int, name: str, antialias: bool
) -> None:
    pixels = noise(height, width, 3, 16)
    kernel = {"lanczos": LANCZOS, "catmull-rom": BICUBIC, "triangle": LINEAR}[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "BAND_NUMBERS", 500)
        found = resampled(pixels, (rows, columns), kernel, np.uint16, antialias=antialias)
    x = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)
    y = resize(x, (rows, columns), name, antialias=antialias).clamp(0, 65535).permute(1, 2, 0)
    assert np.abs(found - y.numpy()).max() <= 0.6


@pytest.mark.parametrize(
    ("kernel", "mode"), [(OPENCV_CUBIC, cv) for cv in ("bicubic",)] + [(LINEAR, "bilinear")]
)
@pytest.mark.parametrize("size", [(60, 45), (41, 100), (10, 15)])
def test_opencvs_kernels(kernel: object, mode: str, size: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2")
    pixels = noise(20, 30)
    found = resampled(pixels, size, kernel, np.uint8, antialias=False)  # type: ignore[arg-type]
    how = cv2.INTER_CUBIC if mode == "bicubic" else cv2.INTER_LINEAR
    expected = cv2.resize(pixels, size[::-1], interpolation=how)
    assert np.abs(found.astype(int) - expected).max() <= 1
    x = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
    y = F.interpolate(x, size, mode=mode, align_corners=False)[0].clamp(0, 255)
    assert np.abs(found - y.permute(1, 2, 0).numpy()).max() <= 0.51


def test_depths_change_without_a_shift() -> None:
    shallow = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    deep = resampled(shallow, (16, 16), LANCZOS, np.uint16)
    assert np.array_equal(deep, shallow.astype(np.uint16) * 257)
    assert np.array_equal(resampled(deep, (16, 16), LANCZOS, np.uint8), shallow)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_hidden_colours_come_from_what_shows(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    colors = rng.integers(100, 120, (height, width, 3)).astype(np.uint8)
    alpha = np.where(rng.random((height, width, 1)) < 0.3, 200, 0).astype(np.uint8)
    shows = alpha[..., 0] > 0
    wild = colors.copy()
    wild[~shows] = rng.integers(0, 256, (int((~shows).sum()), 3))
    found = extended(wild, alpha)
    assert np.array_equal(found[shows], colors[shows])
    if shows.any():
        assert found.min() >= 100 and found.max() < 120
    else:
        assert np.array_equal(found, wild)
