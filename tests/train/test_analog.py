"""Composite video leaves flat colours and grey alone, and its faults alternate in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from remaster.train.analog import (
    DECODERS,
    MOST_JITTER,
    PIXEL_RATES_MHZ,
    YIQ,
    Deck,
    composite,
    draw_deck,
    lowpass,
    moved,
    play,
)

GOOD = Deck(
    pixel_rate_mhz=PIXEL_RATES_MHZ[0],
    decoder="notch",
    luma_mhz=4.2,
    color_mhz=(1.4, 0.5),
    phase=0,
    ghost=0.0,
    ghost_delay=4.0,
    jitter=0.0,
    color_delay=(0.0, 0.0),
    noise=0.0,
    dropouts=0.0,
    enhancement=0.0,
    enhancement_sigma=1.5,
    is_ringing=False,
)
LEVEL = 1 / 255


def through(rgb: Tensor, deck: Deck = GOOD, *, frame: int = 0, seed: int = 0) -> Tensor:
    return play(rgb, deck, np.random.default_rng(seed), frame=frame)


def flat(*color: float, size: tuple[int, int] = (32, 96)) -> Tensor:
    return torch.tensor(color)[None, :, None, None].expand(1, 3, *size).contiguous()


def color_energy(rgb: Tensor) -> float:
    """Root mean square of I and Q in the middle of the picture."""
    return float(
        torch.einsum("ij,njhw->nihw", YIQ, rgb)[:, 1:, 4:-4, 16:-16].square().mean().sqrt()
    )


def stripes(cycles_per_sample: float) -> Tensor:
    """Upright grey stripes of a frequency, in cycles per sample of four times the subcarrier."""
    cycles_per_pixel = cycles_per_sample * 315 / 22 / GOOD.pixel_rate_mhz
    wave = 0.5 + 0.3 * torch.cos(2 * torch.pi * cycles_per_pixel * torch.arange(192.0) + 0.3)
    return wave.expand(1, 3, 48, 192).contiguous()


@settings(deadline=None, max_examples=20)
@given(
    color=st.tuples(*[st.floats(0.1, 0.9)] * 3),
    decoder=st.sampled_from(DECODERS),
    phase=st.integers(0, 3),
    frame=st.integers(0, 5),
    ghost=st.sampled_from([0.0, 0.15]),
    enhancement=st.sampled_from([0.0, 1.5]),
    rate=st.sampled_from(PIXEL_RATES_MHZ),
)
def test_a_flat_field_survives_any_deck(
    color: tuple[float, float, float], decoder: str, phase: int, frame: int, ghost: float,
    enhancement: float, rate: float,
) -> None:  # fmt: skip
    deck = replace(
        GOOD, decoder=decoder, phase=phase, ghost=ghost, enhancement=enhancement,
        pixel_rate_mhz=rate, is_ringing=phase % 2 == 0, color_delay=(1.0, 2.5),
    )  # fmt: skip
    field = flat(*color)
    assert (through(field, deck, frame=frame) - field).abs().max() < 0.5 * LEVEL


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_grey_ramp_keeps_its_luma(decoder: str) -> None:
    ramp = torch.linspace(0.05, 0.95, 240).expand(1, 3, 32, 240).contiguous()
    played = through(ramp, replace(GOOD, decoder=decoder))
    assert (played - ramp).abs()[..., 8:-8].max() < 1.5 * LEVEL


@pytest.mark.parametrize("decoder", ["notch", "line"])
def test_fine_stripes_become_rainbows_that_two_frames_cancel(decoder: str) -> None:
    deck = replace(GOOD, decoder=decoder)
    grey = stripes(0.25 * 0.97)
    even, odd = (through(grey, deck, frame=n) for n in (0, 1))
    assert color_energy(grey) < 1e-4
    assert color_energy(even) > 0.05
    assert color_energy((even + odd) / 2) < 0.05 * color_energy(even)
    assert torch.equal(through(grey, deck, frame=2), even)
    assert color_energy(through(stripes(0.12), deck)) < 0.2 * color_energy(even)


def test_lines_above_and_below_hinder_rainbows_of_upright_stripes() -> None:
    grey = stripes(0.25 * 0.97)
    comb = through(grey, replace(GOOD, decoder="comb"))
    assert color_energy(comb) < 0.05 * color_energy(through(grey))
    assert float((comb - grey).abs()[..., 16:-16].max()) < 0.4


def test_edges_of_color_become_dots_that_alternate() -> None:
    picture = flat(0.8, 0.2, 0.2, size=(48, 192))
    picture[..., 96:] = torch.tensor([0.2, 0.3, 0.8])[:, None, None]
    even, odd = (
        torch.einsum("ij,njhw->nihw", YIQ, through(picture, frame=n))[0, 0] for n in (0, 1)
    )
    near, far = slice(90, 102), slice(20, 60)
    dots = (even - odd).abs()
    assert dots[:, near].max() > 4 * LEVEL
    assert dots[:, far].max() < 0.2 * LEVEL
    rows = (even - odd)[4:-4, near]
    assert (rows[::2] * rows[1::2]).mean() < 0  # the other way on the next line


def test_color_is_blurred_more_than_luma() -> None:
    grey, red = (flat(0.5, 0.5, 0.5, size=(32, 192)) for _ in range(2))
    grey[..., 96:] = 0.8
    red[..., 96:] = torch.tensor([0.9, 0.4, 0.4])[:, None, None]
    y = torch.einsum("ij,njhw->nihw", YIQ, through(grey))[0, 0, 16]
    i = torch.einsum("ij,njhw->nihw", YIQ, through(red))[0, 1, 16]

    def rise(line: Tensor) -> int:
        part = (line - line[40]) / (line[150] - line[40])
        return int(((part > 0.1) & (part < 0.9)).sum())

    assert rise(i) > 2 * rise(y) > 0


def test_lowpass_keeps_what_is_below_and_stops_what_is_above() -> None:
    n = torch.arange(400.0)
    for mhz in (0.5, 1.4, 4.2):
        for sharp in (False, True):
            low, high = (
                lowpass(
                    torch.cos(2 * torch.pi * f * mhz / (315 / 22) * n)[None], mhz, is_sharp=sharp
                )
                for f in (0.3, 2.0 if mhz < 4 else 1.6)
            )
            assert low[0, 100:-100].std() > 0.6
            assert high[0, 100:-100].std() < 0.1


@settings(deadline=None, max_examples=20)
@given(down=st.floats(-2, 2), across=st.floats(-2, 2))
def test_moving_moves_by_as_much(down: float, across: float) -> None:
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    dot = torch.exp(-((y - 20) ** 2 + (x - 25) ** 2) / 8)
    there = moved(dot[None, None], down, across)[0, 0]
    centre = [float((there * axis).sum() / there.sum()) for axis in (y, x)]
    assert centre == pytest.approx([20 + down, 25 + across], abs=0.06)  # what its kernel is


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), strength=st.floats(0, 1))
def test_decks_stay_in_their_ranges_and_pictures_in_place(seed: int, strength: float) -> None:
    deck = draw_deck(np.random.default_rng(seed), strength)
    assert deck.jitter <= MOST_JITTER * strength
    assert 0 <= deck.ghost <= 0.15 * strength
    assert deck.noise <= 0.025 * strength
    assert 3.0 <= deck.luma_mhz <= 4.2
    field = flat(0.3, 0.6, 0.5)
    one, two = (
        composite(field, np.random.default_rng(seed), frame=1, strength=strength) for _ in range(2)
    )
    assert torch.equal(one, two)
    assert one.shape == field.shape
    assert float(one.min()) >= 0
    assert float(one.max()) <= 1
    if not deck.dropouts:
        assert (one.mean((0, 2, 3)) - field.mean((0, 2, 3))).abs().max() < 2 * LEVEL


def test_lines_jitter_by_no_more_than_they_may() -> None:
    ramp = torch.linspace(0, 1, 256).expand(1, 3, 64, 256).contiguous()
    deck = replace(GOOD, jitter=0.4)
    off = (through(ramp, deck) - through(ramp)).mean(1)[0, :, 40:-40] * 255
    assert 0.3 < float(off.abs().max()) < 0.45
    assert abs(float(off.mean())) < 0.05


def test_a_ghost_comes_later_and_noise_is_noise() -> None:
    picture = flat(0.4, 0.4, 0.4, size=(16, 160))
    picture[..., 60:63] = 0.9
    ghost = through(picture, replace(GOOD, ghost=0.15, ghost_delay=8.0)) - through(picture)
    line = ghost.mean((0, 1, 2))
    assert 66 <= int(line.argmax()) <= 73
    assert line[:55].abs().max() < 0.02
    noisy = through(flat(0.5, 0.5, 0.5, size=(64, 128)), replace(GOOD, noise=0.02))
    assert 0.005 < float(noisy.std()) < 0.08


def test_a_lost_signal_is_a_short_bright_line() -> None:
    field = flat(0.2, 0.2, 0.2, size=(64, 160))
    lost = through(field, replace(GOOD, dropouts=3.0), seed=1) - field
    bright = (lost.mean(1)[0] > 0.15).any(1).sum()
    assert 1 <= int(bright) <= 8
