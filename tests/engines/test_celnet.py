"""The engine gives what the network gives, as code values."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from remaster.color import code_scale
from remaster.engines import celnet as engines
from remaster.engines.celnet import CelNetEngine
from remaster.regions import Region
from tests.networks import celnet

CPU = torch.device("cpu")


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("unshuffle", [1, 2])
@pytest.mark.parametrize("scale", [2, 4, 6])
@pytest.mark.parametrize(("chroma", "depth"), [("420", 8), ("444", 8), ("420", 10)])
def test_codes_are_the_networks_planes_rounded(
    monkeypatch: pytest.MonkeyPatch,
    packed: bool,
    unshuffle: int,
    scale: int,
    chroma: str,
    depth: int,
) -> None:
    if not packed:
        monkeypatch.setattr(engines, "can_pack", lambda dtype: False)
    model = celnet(scale, unshuffle=unshuffle)
    codes, top = code_scale("limited", depth), 2**depth - 1
    engine = CelNetEngine(model, chroma, codes, top, CPU, torch.float32)
    ycc = torch.rand(2, 3, 20, 28) * 1.2 - 0.1
    ycc[:, 1:] -= 0.5
    luma, colors = model(ycc, chroma)
    planes, sums = engine(ycc)
    assert sums.shape == (2,)
    expected = [luma[:, 0], colors[:, 0], colors[:, 1]]
    for plane, truth, (gain, offset) in zip(planes, expected, codes):
        exact = (truth * gain + offset).clamp(0, top)
        assert plane.shape == truth.shape
        assert (plane.float() - exact).abs().max() <= 0.5 + 1e-2


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("unshuffle", [1, 2])
@pytest.mark.parametrize("chroma", ["420", "444"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@given(data=st.data())
@settings(max_examples=6, deadline=None)
def test_a_region_is_that_part_of_the_whole(
    packed: bool, unshuffle: int, chroma: str, dtype: torch.dtype, data: st.DataObject
) -> None:
    """Without padding where the frame goes on, with zeros where it ends: sums are the same ones."""
    with pytest.MonkeyPatch.context() as patched:
        if not packed:
            patched.setattr(engines, "can_pack", lambda dtype: False)
        model = celnet(2, unshuffle=unshuffle)
        engine = CelNetEngine(model, chroma, code_scale("limited", 8), 255, CPU, dtype)
    height, width = 44, 60
    ycc = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    ycc[:, 1:] -= 0.5
    top = data.draw(st.integers(0, height // 2 - 1)) * 2
    left = data.draw(st.integers(0, width // 2 - 1)) * 2
    bottom = data.draw(st.integers(top // 2 + 1, height // 2)) * 2
    right = data.draw(st.integers(left // 2 + 1, width // 2)) * 2
    inner = Region(top, left, bottom, right)
    outer = inner.grown(engine.reach * unshuffle, unshuffle, height, width)
    planes, total = engine(outer.cut(ycc), inner.halo(outer))
    assert total.isfinite().all()
    factors = (2, 1, 1) if chroma == "420" else (2, 2, 2)
    for plane, whole, factor in zip(planes, engine(ycc)[0], factors):
        expected = inner.cut(whole, factor)
        assert plane.shape == expected.shape
        difference = (plane.int() - expected.int()).abs()
        assert difference.max() <= 1
        assert (difference > 0).sum() <= 4 + 1e-3 * difference.numel()


def test_the_work_is_that_of_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted where the convolutions run."""
    monkeypatch.setattr(engines, "can_pack", lambda dtype: False)
    done = 0
    convolve = engines.F.conv2d

    def counting(x, weight, bias=None, *args, **kwargs):
        nonlocal done
        y = convolve(x, weight, bias, *args, **kwargs)
        done += y.shape[-2] * y.shape[-1] * weight.numel()
        return y

    for unshuffle in (1, 2):
        engine = CelNetEngine(
            celnet(2, unshuffle=unshuffle), "420", code_scale("full", 8), 255, CPU, torch.float32
        )
        for inner in (Region(0, 0, 48, 64), Region(20, 24, 28, 40), Region(0, 6, 12, 64)):
            outer = inner.grown(engine.reach * unshuffle, unshuffle, 48, 64)
            done = 0
            with monkeypatch.context() as patched:
                patched.setattr(engines.F, "conv2d", counting)
                engine(torch.rand(1, 3, outer.height, outer.width), inner.halo(outer))
            assert engine.products(inner.height, inner.width, inner.halo(outer)) == done


@pytest.mark.parametrize("depth", [8, 10])
def test_bfloat16_stays_within_a_level(depth: int) -> None:
    """The large part, the nearest pixel, is added in fp32: bf16 rounds only the difference."""
    model = celnet(4)
    codes, top = code_scale("limited", depth), 2**depth - 1
    ycc = torch.rand(1, 3, 24, 24) * 0.2 + 0.4
    ycc[:, 1:] -= 0.5
    exact, rough = (
        CelNetEngine(model, "420", codes, top, CPU, dtype)(ycc)[0]
        for dtype in (torch.float32, torch.bfloat16)
    )
    for a, b in zip(exact, rough):
        difference = (a.int() - b.int()).abs().float()
        assert difference.max() <= 2 ** (depth - 8)
        assert difference.mean() <= 0.2 * 2 ** (depth - 8)


def test_the_fused_operators_are_used_where_they_exist() -> None:
    """Not a requirement of the machine, but losing them silently would halve the speed."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch was built without oneDNN")
    assert engines.can_pack(torch.float32)


def test_what_is_not_finite_shows_in_the_sum() -> None:
    model = celnet(2)
    with torch.no_grad():
        model.head.weight[0, 0, 0, 0] = torch.inf
    engine = CelNetEngine(model, "420", code_scale("limited", 8), 255, CPU, torch.float32)
    assert not engine(torch.rand(1, 3, 16, 16))[1].isfinite().any()


@pytest.mark.cuda
def test_cuda_agrees_with_the_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    model, codes = celnet(4), code_scale("limited", 8)
    ycc = torch.rand(2, 3, 48, 64) * 0.8 + 0.1
    ycc[:, 1:] -= 0.5
    here, _ = CelNetEngine(model, "420", codes, 255, CPU, torch.float32)(ycc)
    cuda = torch.device("cuda")
    there, _ = CelNetEngine(model, "420", codes, 255, cuda, torch.float16)(ycc.to(cuda))
    for a, b in zip(here, there):
        assert (a.int() - b.cpu().int()).abs().max() <= 1  # fp16 rounds the difference alone
