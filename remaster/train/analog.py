"""Composite video: what a colour picture becomes on its way through one wire, line by line.

NTSC as in SMPTE 170M: luma and a subcarrier of 3.58 MHz that carries colour, sampled at four times
that frequency. Whoever takes the two apart again mistakes fine luma for colour (rainbows) and edges
of colour for luma (dots). The subcarrier's phase turns by half a cycle from line to line and from
frame to frame, so both alternate in time, and the mean of two frames hardly has them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from remaster.resampling import resize

SAMPLE_RATE_MHZ = 315 / 22
"""Four times the subcarrier."""

PIXEL_RATES_MHZ = (13.5, 12 + 3 / 11)
"""Of a line of 720 pixels (BT.601), and of one of 640 square ones."""

YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
"""R'G'B' to Y, I and Q (FCC 1953)."""

DECODERS = ("notch", "line", "comb")
"""How luma and colour are told apart: by a narrow notch, by samples two apart on the line, or by
the lines above and below (both alike: a comb of one would move the picture by half a line)."""

MARGIN = 32
"""Samples a line goes on beyond both edges: filters may not see the carrier end there."""

MOST_JITTER = 0.5
"""Pixels a line is moved sideways at strength 1, at most."""

MOST_COLOR_DELAY = (1.0, 3.0)
"""Pixels that colour lies (lower, further right) at strength 1, at most."""


@dataclass(frozen=True)
class Deck:
    """One way of recording and playing: what stays the same from frame to frame."""

    pixel_rate_mhz: float
    decoder: str
    luma_mhz: float
    color_mhz: tuple[float, float]
    """Bandwidths of I and Q."""

    phase: int
    """Of the subcarrier at the picture's corner, in quarters of a cycle."""

    ghost: float
    """Share of a second picture that comes later."""

    ghost_delay: float
    """Pixels."""

    jitter: float
    """Greatest move of a line, in pixels."""

    color_delay: tuple[float, float]
    """Pixels (down, across)."""

    noise: float
    """Standard deviation in luma, nominal; colour has more of it, in long streaks."""

    dropouts: float
    """Expected number of lines that lose the signal for a moment."""

    enhancement: float
    """Amount of horizontal sharpening."""

    enhancement_sigma: float
    """Of its blur, in samples."""

    is_ringing: bool
    """Whether the luma filter cuts sharply and rings beside edges."""


def draw_deck(rng: np.random.Generator, strength: float) -> Deck:
    """A deck at random; at strength 0 hardly more than the colour carrier's own damage."""
    is_tape = rng.random() < 0.5
    pixel_rate = PIXEL_RATES_MHZ[rng.integers(2)]
    return Deck(
        pixel_rate_mhz=pixel_rate,
        decoder=str(rng.choice(DECODERS)),
        luma_mhz=4.2 - 1.2 * strength**0.5 if is_tape else 4.2,
        color_mhz=(0.5 + 0.5 * (1 - strength), 0.5) if is_tape else (1.4, 0.5),
        phase=int(rng.integers(4)),
        ghost=float(rng.uniform(0.02, 0.15) * strength) if rng.random() < 0.3 else 0.0,
        ghost_delay=float(rng.uniform(2, 12)),
        jitter=float(rng.random() * MOST_JITTER * strength) if is_tape else 0.0,
        color_delay=(
            float(rng.random() * MOST_COLOR_DELAY[0] * strength),
            float(rng.random() * MOST_COLOR_DELAY[1] * strength),
        ),
        noise=float(rng.uniform(0.2, 1.0) * 0.025 * strength),
        dropouts=float(strength) if is_tape and rng.random() < 0.15 else 0.0,
        enhancement=float(rng.uniform(0.3, 1.5) * strength) if rng.random() < 0.5 else 0.0,
        enhancement_sigma=float(rng.uniform(1.0, 2.0)),
        is_ringing=bool(rng.random() < 0.3),
    )


def composite(rgb: Tensor, rng: np.random.Generator, *, frame: int, strength: float) -> Tensor:
    """(1, 3, H, W) R'G'B' in [0, 1] through a deck at random and back, at its place.

    Args:
        rgb: a part of a picture 720 or 640 pixels wide, at its own size.
        rng: decides the deck and its noise.
        frame: its number; odd ones have the subcarrier's other phase.
        strength: 0 to 1, how bad the deck is.
    """
    return play(rgb, draw_deck(rng, strength), rng, frame=frame)


def play(rgb: Tensor, deck: Deck, rng: np.random.Generator, *, frame: int) -> Tensor:
    """(1, 3, H, W) R'G'B' in [0, 1] through `deck`, with noise from `rng`; see `composite`."""
    height, width = rgb.shape[2:]
    samples = round(width * SAMPLE_RATE_MHZ / deck.pixel_rate_mhz)
    yiq = torch.einsum("ij,jhw->ihw", YIQ, rgb[0])
    y, i, q = F.pad(sampled(yiq, samples), (MARGIN, MARGIN), mode="replicate")
    carrier = _carrier(height, samples + 2 * MARGIN, deck.phase, frame)
    signal = modulated(lowpass(y, 4.2, is_sharp=True), lowpass(i, 1.4), lowpass(q, 0.5), carrier)
    per_pixel = samples / width
    signal = _with_noise(signal, deck, per_pixel, rng)
    y, color = separated(signal, deck.decoder)
    y = lowpass(y, deck.luma_mhz, is_sharp=deck.is_ringing)
    i, q = (lowpass(2 * color * c, mhz) for c, mhz in zip(carrier, deck.color_mhz))
    i, q = _with_streaks(torch.stack([i, q]), 2 * deck.noise, rng)
    if deck.enhancement:
        y = y + deck.enhancement * (y - _blurred(y, deck.enhancement_sigma))
    y, i, q = sampled(torch.stack([y, i, q])[..., MARGIN:-MARGIN], width)
    delayed = moved(torch.stack([i, q])[None], *deck.color_delay)[0]
    played = torch.cat([y[None], delayed])[None]
    if deck.jitter:
        played = moved(played, 0.0, _jitter(height, deck.jitter, rng))
    back = torch.linalg.inv(YIQ)
    return torch.einsum("ij,njhw->nihw", back, played).clamp(0, 1)


def sampled(x: Tensor, width: int) -> Tensor:
    """(C, H, W) at another number of samples to the line, centre-aligned."""
    return resize(x, (x.shape[-2], width), "lanczos")


def _carrier(height: int, samples: int, phase: int, frame: int) -> tuple[Tensor, Tensor]:
    """(cosine, sine) of the subcarrier, (H, samples): a quarter of a cycle each sample, a half each
    line and frame. Whole quarters, so only 0, 1 and -1 occur."""
    quarters = torch.arange(samples) + 2 * torch.arange(height)[:, None] + 2 * frame + phase
    cosine = torch.tensor([1.0, 0.0, -1.0, 0.0])
    return cosine[quarters % 4], cosine[(quarters - 1) % 4]


def modulated(y: Tensor, i: Tensor, q: Tensor, carrier: tuple[Tensor, Tensor]) -> Tensor:
    """The signal in the wire, (H, samples)."""
    return y + i * carrier[0] + q * carrier[1]


def separated(signal: Tensor, decoder: str) -> tuple[Tensor, Tensor]:
    """(luma, colour still on its carrier) of a signal, (H, samples) each."""
    if decoder == "notch":
        color = _filtered(signal, _band_taps(0.6))
        return signal - color, _filtered(signal, _band_taps(1.3))
    if decoder == "line":
        color = _filtered(signal, (-0.25, 0.0, 0.5, 0.0, -0.25))
        return signal - color, color
    above, below = signal[[1, *range(len(signal) - 1)]], signal[[*range(1, len(signal)), -2]]
    color = _filtered(signal / 2 - (above + below) / 4, _band_taps(1.3))
    return signal - color, color


def _with_noise(signal: Tensor, deck: Deck, per_pixel: float, rng: np.random.Generator) -> Tensor:
    """What happens on the tape and in the air: a ghost, noise, moments without signal."""
    if deck.ghost:
        # Whole cycles of the carrier: even colour stays what it is.
        delay = 4 * max(round(deck.ghost_delay * per_pixel / 4), 1)
        echo = F.pad(signal[:, :-delay], (delay, 0), mode="replicate")
        signal = (signal + deck.ghost * echo) / (1 + deck.ghost)
    noise = torch.from_numpy(rng.standard_normal(signal.shape, np.float32))
    signal = signal + deck.noise * noise
    for _ in range(rng.poisson(deck.dropouts)):
        line, length = int(rng.integers(signal.shape[0])), int(rng.integers(10, 80))
        start = int(rng.integers(max(signal.shape[1] - length, 1)))
        lost = signal[line, start : start + length]
        cover = torch.exp(-torch.arange(len(lost)) / (0.3 * length))
        lost.lerp_(torch.full_like(lost, float(rng.uniform(0.5, 1.0))), cover)
    return signal


def _with_streaks(x: Tensor, sigma: float, rng: np.random.Generator) -> Tensor:
    """(C, H, W) with noise whose power falls with frequency along the line."""
    noise = torch.from_numpy(rng.standard_normal(x.shape, np.float32))
    spectrum = torch.fft.rfft(noise)
    fall = torch.arange(1.0, spectrum.shape[-1] + 1) ** -0.5
    fall[0] = 0  # a whole line of another colour is another damage
    noise = torch.fft.irfft(spectrum * fall, x.shape[-1])
    return x + noise * (sigma / float(noise.std()))


def _jitter(height: int, most: float, rng: np.random.Generator) -> Tensor:
    """(H,) moves of the lines in pixels, wandering and never over `most`."""
    white = rng.standard_normal(height)
    wander = np.convolve(np.pad(white, 8, "wrap"), np.hanning(17) / np.hanning(17).sum(), "valid")
    moves = 3 * wander + 0.5 * white
    moves = moves - moves.mean()
    return torch.from_numpy(moves / max(np.abs(moves).max(), 1e-9) * most).float()


def moved(x: Tensor, down: float, across: float | Tensor) -> Tensor:
    """(N, C, H, W) moved by parts of a pixel, edges replicated; `across` one number or (H,)."""
    n, _, height, width = x.shape
    if isinstance(across, float) and not down and not across:
        return x
    rows = torch.arange(height) - down
    columns = torch.arange(width) - torch.as_tensor(across).expand(height)[:, None]
    grid = torch.stack(
        [
            (2 * columns + 1) / width - 1,
            ((2 * rows + 1) / height - 1)[:, None].expand(height, width),
        ],
        -1,
    )
    return F.grid_sample(
        x, grid.expand(n, -1, -1, -1), "bicubic", "border", align_corners=False
    )  # fmt: skip


def lowpass(x: Tensor, mhz: float, *, is_sharp: bool = False) -> Tensor:
    """(H, samples) without what lies above a frequency; a sharp cut rings beside edges."""
    return _filtered(x, _low_taps(mhz, is_sharp))


@functools.lru_cache(maxsize=64)
def _low_taps(mhz: float, is_sharp: bool) -> tuple[float, ...]:
    """A windowed sinc of unit sum, symmetric, so that nothing is moved or brightened."""
    cut = mhz / SAMPLE_RATE_MHZ
    reach = math.ceil((2.5 if is_sharp else 1.0) / cut)
    places = [n / (reach + 1) for n in range(-reach, reach + 1)]
    window = [0.5 + 0.5 * math.cos(math.pi * p) for p in places]
    taps = [_sinc(2 * cut * n) * w for n, w in zip(range(-reach, reach + 1), window)]
    return tuple(tap / sum(taps) for tap in taps)


def _sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0


@functools.lru_cache(maxsize=8)
def _band_taps(mhz: float) -> tuple[float, ...]:
    """What passes around the subcarrier, up to `mhz` away: 1 there, 0 for flat luma."""
    low = _low_taps(mhz, False)
    reach = len(low) // 2
    taps = [2 * tap * math.cos(math.pi / 2 * (k - reach)) for k, tap in enumerate(low)]
    flat = sum(taps)
    if flat:  # taken from the even taps, where the carrier's own response is left as it is
        taps[reach - 1] -= flat / 2
        taps[reach + 1] -= flat / 2
    return tuple(taps)


def _blurred(x: Tensor, sigma: float) -> Tensor:
    reach = round(3 * sigma)
    taps = [math.exp(-((n / sigma) ** 2) / 2) for n in range(-reach, reach + 1)]
    return _filtered(x, tuple(tap / sum(taps) for tap in taps))


def _filtered(x: Tensor, taps: tuple[float, ...]) -> Tensor:
    """(H, W) filtered along its lines, edges replicated; `taps` symmetric."""
    reach = len(taps) // 2
    padded = F.pad(x[:, None], (reach, reach), mode="replicate")
    return F.conv1d(padded, torch.tensor(taps)[None, None])[:, 0]
