"""What travels through the pipeline: pictures with their times, and what is known about a video."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import torch

__all__ = ["CELL", "Color", "Frame", "FrameBatch", "MasteringLight", "PixelLayout", "VideoInfo"]


CELL = 8
"""Side, in luma samples, of the squares that `Frame.changed` speaks of."""


@dataclass(frozen=True)
class Color:
    """How code values become light, in FFmpeg's names; nothing here is ever "unspecified"."""

    matrix: str
    """`bt709`, `smpte170m`, `bt470bg`, `bt2020nc`, ...; `rgb` for R'G'B' planes."""

    range: str
    """`limited` or `full`."""

    primaries: str
    transfer: str
    chroma_location: str = "left"
    """Where a subsampled chroma sample sits in its luma square: `left`, `center` or `topleft`."""


@dataclass(frozen=True)
class PixelLayout:
    """How a picture is laid out in planes."""

    subsampling: str
    """`420`, `422`, `444` (Y, Cb, Cr), `rgb` (R, G, B) or `gray` (Y alone)."""

    bit_depth: int
    """8 to 12. Planes are uint8 at 8 bits and int16 above."""

    @property
    def num_planes(self) -> int:
        return 1 if self.subsampling == "gray" else 3

    @property
    def chroma_step(self) -> tuple[int, int]:
        """Luma samples per chroma sample, (down, across)."""
        return {"420": (2, 2), "422": (1, 2)}.get(self.subsampling, (1, 1))

    @property
    def dtype(self) -> torch.dtype:
        return torch.uint8 if self.bit_depth == 8 else torch.int16

    def plane_shapes(self, height: int, width: int) -> list[tuple[int, int]]:
        """(rows, columns) of each plane; odd sizes round up, as FFmpeg does."""
        down, across = self.chroma_step
        chroma = (-(-height // down), -(-width // across))
        return [(height, width), chroma, chroma][: self.num_planes]


@dataclass(frozen=True)
class MasteringLight:
    """What HDR10 says beside the colour tags; not used, carried."""

    display: tuple[int, ...]
    """CIE (x, y) of red, green, blue and white in 1/50000, then least and greatest luminance in
    1/10000 cd/m²; empty when the film does not say."""

    content: tuple[int, ...]
    """Brightest pixel and brightest frame's mean, in cd/m²; empty when the film does not say."""


@dataclass(frozen=True)
class VideoInfo:
    """One video stream, as read from a source or as asked of a writer."""

    width: int
    height: int
    time_base: Fraction
    """Seconds per unit of `pts`."""

    frame_rate: Fraction | None
    """Average frames a second, for encoders' hints and progress alone; times are `pts`."""

    sample_aspect_ratio: Fraction
    """Width of a pixel over its height."""

    layout: PixelLayout
    color: Color
    frame_count: int | None = None
    """What the container says or the rate suggests; an estimate."""

    light: MasteringLight | None = None


@dataclass(frozen=True)
class Frame:
    """One exposure: a time and a reference to planes.

    Planes are never changed once a frame holds them; a held drawing is two frames with the
    same planes.
    """

    pts: int
    """In the time base of its video."""

    planes: tuple[torch.Tensor, ...]
    """(H, W) each, code values in the layout's dtype: Y, Cb, Cr, or R, G, B, or Y alone.

    float32 code values where several exposures were averaged.
    """

    duration: int = 0
    """In the time base of its video; 0 when unknown."""

    changed: torch.Tensor | None = None
    """(ceil(H / 8), ceil(W / 8)) bool on the CPU: which squares of 8x8 luma samples may differ from
    the frame before; None when all may. Where none does, `planes` are those of the frame before."""

    fused: torch.Tensor | None = None
    """Of the same shape: which squares are the mean of several exposures; None when none is."""

    is_continued: bool = False
    """Whether the next frame in which something is new keeps most of this one's picture."""

    @property
    def is_all_new(self) -> bool:
        """Whether nothing of the frame before stays."""
        return self.changed is None or bool(self.changed.all())

    @property
    def is_held(self) -> bool:
        """Whether this is the picture of the frame before."""
        return self.changed is not None and not bool(self.changed.any())


@dataclass(frozen=True)
class FrameBatch:
    """Consecutive frames of one video, computed together."""

    frames: tuple[Frame, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def stacked(self) -> tuple[torch.Tensor, ...]:
        """The planes of all frames, (N, H, W) each."""
        return tuple(torch.stack(planes) for planes in zip(*(f.planes for f in self.frames)))

    def with_planes(self, stacked: tuple[torch.Tensor, ...]) -> FrameBatch:
        """The same frames with other pictures; `stacked` is (N, H, W) per plane."""
        return FrameBatch(
            tuple(
                replace(frame, planes=tuple(plane[i] for plane in stacked))
                for i, frame in enumerate(self.frames)
            )
        )
