"""A small film that shows what a run reused: for people who want to see what it decided."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

import av
import torch
from av.container import OutputContainer
from torch import Tensor

from remaster.frames import CELL, Frame, PixelLayout, VideoInfo
from remaster.media.containers import container_format
from remaster.media.encoders import choose_encoding
from remaster.media.film import FilmEncoder
from remaster.media.placed import Placed, explained
from remaster.media.placing import flush_to_disk

__all__ = ["FUSED", "HELD", "NEW", "PaintedFilm", "painted"]

NEW, FUSED, HELD = (110, 180), (180, 145), (118, 112)
"""(Cb, Cr) in 8-bit codes: red, violet, and a green so faint that pictures stay readable."""

_LAYOUT = PixelLayout("420", 8)


class PaintedFilm:
    """Frames as they come from the search for drawings, painted; a context manager.

    Nothing appears at `output` until `finish`.
    """

    def __init__(self, output: Path, video: VideoInfo, *, overwrite: bool) -> None:
        """`video`: of the frames that come; `output`: .mkv, .mp4 or .mov."""
        self._layout = video.layout
        self._shown = _shown(video)
        self._format = container_format(output)
        self._how = f"libx264 as {self._format}"
        self._placed = Placed(output, self._how, overwrite=overwrite)
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        encoding = choose_encoding(
            "libx264", _LAYOUT, crf=20, encoder_preset="veryfast", pix_fmt=None,
            container=self._format,
        )  # fmt: skip
        with ExitStack() as resources, explained(self._placed.path, self._how):
            self._partial = resources.enter_context(self._placed)
            self._container = av.open(f"file:{self._partial.absolute()}", "w", format=self._format)
            resources.callback(_abandon, self._container)
            self._film = FilmEncoder(self._container, self._shown, encoding)
            self._container.start_encoding()
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()

    def write(self, frame: Frame) -> None:
        """Add a frame; its planes may lie on any device. Raises OutputError."""
        size = (self._shown.height, self._shown.width)
        planes = painted(frame, self._layout, size)
        with explained(self._placed.path, self._how):
            self._container.mux(self._film.encode(replace(frame, planes=planes)))

    def finish(self) -> None:
        """Put the film in its place. Raises OutputError."""
        with explained(self._placed.path, self._how):
            self._container.mux(self._film.encode(None))
            self._container.close()
            flush_to_disk(self._partial)
        self._placed.put()


def painted(frame: Frame, layout: PixelLayout, size: tuple[int, int]) -> tuple[Tensor, ...]:
    """A frame's brightness under the colours of what became of its cells: 8-bit 4:2:0 planes.

    Args:
        frame: with planes of `layout`.
        size: even (rows, columns), at least the frame's; its last ones are repeated up to there.
    """
    luma = frame.planes[1 if layout.subsampling == "rgb" else 0].float().cpu()
    luma = luma.mul(2.0 ** (8 - layout.bit_depth)).round().clamp(0, 255).to(torch.uint8)
    cells = tuple(-(-side // CELL) for side in luma.shape)
    new = torch.ones(cells, dtype=torch.bool) if frame.changed is None else frame.changed.cpu()
    fused = torch.zeros_like(new) if frame.fused is None else frame.fused.cpu()
    chroma = (
        torch.where(new, torch.where(fused, FUSED[i], NEW[i]), HELD[i]).to(torch.uint8)
        for i in range(2)
    )
    small = (size[0] // 2, size[1] // 2)
    return (_grown(luma, size), *(_grown(_spread(plane, CELL // 2), small) for plane in chroma))


def _shown(video: VideoInfo) -> VideoInfo:
    """How the painted film is described: as the source, in 8-bit 4:2:0 with even sides."""
    color = video.color
    if color.matrix == "rgb":
        color = replace(color, matrix="bt709")
    return replace(
        video,
        width=video.width + video.width % 2,
        height=video.height + video.height % 2,
        layout=_LAYOUT,
        color=color,
        light=None,
    )


def _spread(cells: Tensor, side: int) -> Tensor:
    return cells.repeat_interleave(side, 0).repeat_interleave(side, 1)


def _grown(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut to a size, or with the last row and column again up to it."""
    rows, columns = (torch.arange(n).clamp_max(had - 1) for n, had in zip(size, plane.shape))
    return plane[rows][:, columns]


def _abandon(container: OutputContainer) -> None:
    with suppress(av.FFmpegError, OSError, ValueError):
        container.close()
