"""Whatever the network eats and however little memory there is, every frame comes out right."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from remaster.color import decode_planes, encode_planes
from remaster.errors import MemoryShortage
from remaster.frames import Color, Frame, FrameBatch, PixelLayout, VideoInfo
from remaster.models.interpolation import Interpolation
from remaster.models.network import Network
from remaster.resampling import resize
from remaster.upscale import Upscaler
from tests.networks import Blurring, celnet

CPU = torch.device("cpu")
SD = Color("smpte170m", "limited", "smpte170m", "smpte170m")
HD = Color("bt709", "limited", "smpte170m", "smpte170m")


def video(width: int, height: int, layout: PixelLayout, color: Color) -> VideoInfo:
    return VideoInfo(width, height, Fraction(1, 25), Fraction(25), Fraction(1), layout, color)


def smooth_picture(height: int, width: int) -> Tensor:
    """(1, 3, H, W) R'G'B' without sharp edges, so that resampling order does not matter."""
    small = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(5)) * 0.8 + 0.1
    return resize(small, (height, width), "mitchell").clamp(0, 1)


def batch_of(source: VideoInfo, count: int = 2) -> tuple[FrameBatch, Tensor]:
    rgb = smooth_picture(source.height, source.width)
    planes = encode_planes(rgb, source.layout, source.color, "rgb")
    frames = tuple(Frame(10 * i, tuple(p[0] for p in planes)) for i in range(count))
    return FrameBatch(frames), rgb


LAYOUTS = [PixelLayout("420", 8), PixelLayout("422", 10), PixelLayout("444", 8)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("kind", ["planes", "rgb", "luma", "interpolation"])
@pytest.mark.parametrize("size", [(96, 64), (75, 51)])
def test_every_kind_of_network_keeps_the_picture(
    kind: str, layout: PixelLayout, size: tuple[int, int]
) -> None:
    models: dict[str, Network] = {
        "planes": celnet_without_tails(),
        "rgb": Blurring("rgb"),
        "luma": Blurring("luma"),
        "interpolation": Interpolation(2, "lanczos"),
    }
    source = video(*size, layout, SD)
    target = replace(source, width=2 * size[0], height=2 * size[1], color=HD)
    batch, rgb = batch_of(source)
    result = Upscaler(models[kind], source, target, CPU, torch.float32)(batch)
    assert [f.pts for f in result.frames] == [0, 10]
    shapes = layout.plane_shapes(target.height, target.width)
    assert [tuple(p.shape) for p in result.frames[0].planes] == shapes
    assert all(p.dtype == layout.dtype for p in result.frames[0].planes)
    out = decode_planes(result.stacked(), layout, HD, "rgb")[:1]
    expected = resize(rgb, (target.height, target.width), "catmull-rom")
    assert (out - expected).abs().mean() < 0.01
    assert (out - expected)[..., 8:-8, 8:-8].abs().max() < 0.06


def celnet_without_tails() -> Network:
    model = celnet(2)
    for name in model.sizes:
        model.tail(name).weight.zero_()
    return model


@pytest.mark.parametrize(
    "layout", [*LAYOUTS, PixelLayout("gray", 8), PixelLayout("rgb", 8)], ids=str
)
@pytest.mark.parametrize("wanted", [PixelLayout("420", 8), PixelLayout("444", 10)], ids=str)
def test_any_layout_becomes_any_other(layout: PixelLayout, wanted: PixelLayout) -> None:
    color = Color("rgb", "full", "bt709", "bt709") if layout.subsampling == "rgb" else SD
    source = video(40, 32, layout, color)
    target = replace(source, width=100, height=80, layout=wanted, color=HD)  # not a scale of 2
    batch, rgb = batch_of(source, 1)
    if layout.subsampling == "gray":
        rgb = decode_planes(batch.stacked(), layout, color, "rgb")
    result = Upscaler(celnet_without_tails(), source, target, CPU, torch.float32)(batch)
    out = decode_planes(result.stacked(), wanted, HD, "rgb")
    assert (out - resize(rgb, (80, 100), "catmull-rom")).abs().mean() < 0.02


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("range_", ["limited", "full"])
@pytest.mark.parametrize("matrix", ["smpte170m", "bt709"])
def test_color_bars_through_the_identity(matrix: str, range_: str, bits: int) -> None:
    bars = torch.tensor([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)]).float() * 0.75
    rgb = bars.T[None, :, None, :].repeat_interleave(16, 3).expand(1, 3, 48, 128)
    layout = PixelLayout("420", bits)
    source = video(128, 48, layout, Color(matrix, range_, matrix, matrix))
    planes = encode_planes(rgb.contiguous(), layout, source.color, "rgb")
    batch = FrameBatch((Frame(0, tuple(p[0] for p in planes)),))
    for color in (source.color, replace(source.color, matrix="bt709")):
        target = replace(source, color=color)
        out = Upscaler(Interpolation(1, "catmull-rom"), source, target, CPU, torch.float32)(batch)
        back = decode_planes(out.stacked(), layout, color, "rgb")
        error = (back - decode_planes(batch.stacked(), layout, source.color, "rgb")).abs() * 255
        assert error.mean() <= 2
        patches = error.view(1, 3, 48, 8, 16)[..., 4:12].mean((2, 4))
        assert patches.max() <= 4


class Starving(Network):
    """Fails for want of memory while its input has too many pixels."""

    eats = "rgb"
    scale = 2
    receptive_radius = 1

    def __init__(self, limit: int, error: Exception) -> None:
        super().__init__()
        self.limit, self.error, self.failures = limit, error, 0
        self.inner = Blurring("rgb")

    def __deepcopy__(self, memo: dict[int, object]) -> Starving:
        return self

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] * x.shape[2] * x.shape[3] > self.limit:
            self.failures += 1
            raise self.error
        return self.inner(x)


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
]


@pytest.mark.parametrize("error", ERRORS, ids=["cuda", "cpu"])
def test_memory_shortage_loses_no_frame(error: Exception) -> None:
    source = video(64, 96, PixelLayout("420", 8), SD)
    target = replace(source, width=128, height=192)
    batch, _ = batch_of(source, 3)
    model = Starving(64 * 40, error)
    result = Upscaler(model, source, target, CPU, torch.float32)(batch)
    assert model.failures >= 2
    assert [f.pts for f in result.frames] == [0, 10, 20]
    rich = Upscaler(Starving(10**9, error), source, target, CPU, torch.float32)(batch)
    for a, b in zip(result.stacked(), rich.stacked()):
        assert (a.int() - b.int()).abs().max() <= 1


def test_at_the_floor_the_error_says_what_to_do() -> None:
    source = video(64, 96, PixelLayout("420", 8), SD)
    target = replace(source, width=128, height=192)
    batch, _ = batch_of(source, 2)
    with pytest.raises(MemoryShortage, match="smaller --scale"):
        Upscaler(Starving(0, ERRORS[0]), source, target, CPU, torch.float32)(batch)


def test_other_errors_are_not_taken_for_memory() -> None:
    source = video(64, 96, PixelLayout("420", 8), SD)
    target = replace(source, width=128, height=192)
    batch, _ = batch_of(source, 1)
    with pytest.raises(RuntimeError, match="shapes"):
        Upscaler(Starving(0, RuntimeError("shapes")), source, target, CPU, torch.float32)(batch)


def test_a_batch_that_did_not_fit_is_not_tried_again() -> None:
    source = video(64, 32, PixelLayout("420", 8), SD)
    target = replace(source, width=128, height=64)
    model = Starving(64 * 32 * 2, ERRORS[0])  # two frames fit, four do not
    upscaler = Upscaler(model, source, target, CPU, torch.float32)
    for _ in range(3):
        assert len(upscaler(batch_of(source, 4)[0])) == 4
    assert model.failures == 1


@pytest.mark.parametrize("rgb", [(1.0, 0, 0), (0, 1.0, 0), (1.0, 0, 1.0)])
def test_pure_colors_are_no_cause_for_alarm(rgb: tuple[float, float, float]) -> None:
    source = video(64, 48, PixelLayout("444", 8), SD)
    target = replace(source, width=128, height=96)
    picture = torch.tensor(rgb)[None, :, None, None].expand(1, 3, 48, 64)
    planes = encode_planes(picture, source.layout, SD, "rgb")
    upscaler = Upscaler(Blurring("rgb"), source, target, CPU, torch.float32)
    upscaler(FrameBatch((Frame(0, tuple(p[0] for p in planes)),)))
    assert upscaler.repeated == upscaler.kept == []


class Sick(Network):
    """Gives nonsense in bf16 and a picture in fp32."""

    eats = "rgb"
    scale = 2
    receptive_radius = 3

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value, self.inner = value, Blurring("rgb")

    def forward(self, x: Tensor) -> Tensor:
        out = self.inner(x)
        return torch.full_like(out, self.value) if x.dtype == torch.bfloat16 else out


@pytest.mark.parametrize("value", [float("nan"), 0.0, 0.5, 1.0])
def test_a_frame_that_came_out_wrong_is_computed_again(value: float) -> None:
    source = video(64, 48, PixelLayout("420", 8), SD)
    target = replace(source, width=128, height=96)
    batch, _ = batch_of(source, 2)
    sick = Upscaler(Sick(value), source, target, CPU, torch.bfloat16)
    well = Upscaler(Sick(value), source, target, CPU, torch.float32)
    for a, b in zip(sick(batch).stacked(), well(batch).stacked()):
        assert torch.equal(a, b)
    assert sick.repeated == [0, 10]
    assert well.repeated == well.kept == []


def test_a_black_frame_may_stay_black() -> None:
    source = video(64, 48, PixelLayout("420", 8), SD)
    target = replace(source, width=128, height=96)
    shapes = source.layout.plane_shapes(48, 64)
    planes = tuple(torch.full(s, v, dtype=torch.uint8) for s, v in zip(shapes, (16, 128, 128)))
    upscaler = Upscaler(celnet_without_tails(), source, target, CPU, torch.float32)
    result = upscaler(FrameBatch((Frame(0, planes),)))
    assert [int(p.max()) for p in result.frames[0].planes] == [16, 128, 128]
    assert upscaler.repeated == upscaler.kept == []


@pytest.mark.parametrize("size", [(16, 16), (17, 16), (33, 19)])
def test_the_smallest_and_oddest_frames(size: tuple[int, int]) -> None:
    source = video(*size, PixelLayout("420", 8), SD)
    target = replace(source, width=4 * size[0], height=4 * size[1])
    batch, _ = batch_of(source, 1)
    result = Upscaler(celnet(4), source, target, CPU, torch.float32)(batch)
    expected = source.layout.plane_shapes(target.height, target.width)
    assert [tuple(p.shape) for p in result.frames[0].planes] == expected


def test_strips_are_the_whole_frame() -> None:
    source = video(50, 77, PixelLayout("420", 8), SD)
    target = replace(source, width=200, height=308, color=HD)
    batch, _ = batch_of(source, 1)
    whole = Upscaler(celnet(4), source, target, CPU, torch.float32)
    striped = Upscaler(celnet(4), source, target, CPU, torch.float32)
    striped._rows = 16
    for a, b in zip(whole(batch).stacked(), striped(batch).stacked()):
        assert (a.int() - b.int()).abs().max() <= 1  # fp32 sums in another order may round apart
        assert (a != b).float().mean() < 1e-4
