"""Frames that each change part of the one before, computed from what a network made of that.

What every layer gave for the last frame is kept. Where nothing within the influence radius changed
it stays; elsewhere every layer is computed anew, square by square, and nothing around them again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from remaster.engines.celnet import BEHIND, CelNetEngine
from remaster.engines.features import Features, Squares
from remaster.enlarging import Enlarger
from remaster.frames import CELL, Frame
from remaster.paths import Planes
from remaster.regions import NO_HALO, Region, boxes
from remaster.squares import Mask, changes_most, grown
from remaster.transfer import Turn

__all__ = ["Assignment", "Chain", "Chains", "Tiles"]


class Chain:
    """What is kept from one frame to the next."""

    def __init__(self, first: Turn) -> None:
        self.features: Features | None = None
        """None before the first frame is computed, and for good once one did not come out."""

        self.last = first
        """The turn of the last frame so far."""

    @property
    def is_broken(self) -> bool:
        return self.features is None


@dataclass(frozen=True)
class Assignment:
    """A frame that is to be computed, and its chain and turn there, if it has one."""

    frame: Frame
    chain: Chain | None = None
    turn: Turn | None = None
    begins: bool = False
    """Whether it is the first of its chain."""


@dataclass(frozen=True)
class Tiles:
    """Squares of `CELL` source pixels, on a grid over the frame, at the network's scale."""

    rows: Tensor
    """(N,) int64 on the CPU: of the grid."""

    columns: Tensor
    planes: Planes
    """(N, h, w) each; what lies past the frame's edges is of no use."""


class Chains:
    """Assigns frames to chains, in their order, and computes them, in turns.

    Args:
        enlarger: of the frames; its path is the engine's.
        radius: source pixels around a changed sample whose output is computed anew.
    """

    def __init__(self, enlarger: Enlarger, engine: CelNetEngine, radius: int) -> None:
        self._enlarger, self._engine = enlarger, engine
        self._reach, self._beyond = -(-radius // CELL), -(-enlarger.padding // CELL)
        self._chain: Chain | None = None

    def assigned(self, frame: Frame) -> Assignment:
        """To be asked for in the frames' order; whatever has a turn must then be computed."""
        if frame.is_held:
            return Assignment(frame)
        is_new = frame.changed is None or changes_most(frame.changed.numpy())
        if is_new:
            chain = Chain(Turn()) if frame.is_continued else None
        else:
            chain = self._chain
            if chain is not None:
                chain.last = Turn(chain.last, behind=BEHIND)
        self._chain = chain if frame.is_continued else None
        return Assignment(frame) if chain is None else Assignment(frame, chain, chain.last, is_new)

    def begun(self, frame: Frame, chain: Chain, turn: Turn) -> Planes | None:
        """All of a chain's first frame; None if it did not come out sound.

        Raises what memory shortage raises; the turn is over in any case.
        """
        enlarger, padded = self._enlarger, self._enlarger.padded
        try:
            picture = enlarger.picture(_alone(frame.planes), padded)
            (planes, total), features = self._engine.remembered(picture)
            enlarger.count(self._engine.products(padded.height, padded.width, NO_HALO))
            shown = enlarger.whole.moved(enlarger.padding, enlarger.padding)
            planes, sound = enlarger.checked(picture, padded, planes, total, padded, shown)
            if not bool(sound):
                return None
            chain.features = features
        finally:
            turn.over()
        return tuple(plane[0] for plane in planes)

    def renewed(self, frame: Frame, chain: Chain, turn: Turn) -> Tiles | None:
        """What is new in a frame; None if it, or one before it, did not come out sound.

        Raises what memory shortage raises; the turn is over in any case.
        """
        tiles = None
        try:
            turn.wait(0)
            if chain.features is not None:
                tiles = self._renewed(frame, chain.features, turn)
                turn.wait_for_before()
                if chain.is_broken:  # by the one before, while this was under way
                    tiles = None
        finally:
            if tiles is None:
                chain.features = None
            turn.over()
        return tiles

    def _renewed(self, frame: Frame, features: Features, turn: Turn) -> Tiles | None:
        enlarger, engine = self._enlarger, self._engine
        codes, grid, before = _alone(frame.planes), engine.grid, enlarger.padding
        places, num_shown = self._squares(frame)
        corners = torch.from_numpy(places)
        tops, lefts = ((axis * CELL + before) // grid for axis in corners.unbind(1))
        squares = Squares(tops, lefts, CELL // grid)
        pictures = (
            (enlarger.picture(codes, part), part.top // grid, part.left // grid)
            for part in self._changed(frame)
        )
        result, seen = engine.renewed(features, pictures, squares, num_shown, turn)
        planes, total = result
        enlarger.count(engine.renewed_products(squares, num_shown))
        if not bool((total.isfinite() & enlarger.looks_sound(seen, planes[0])).all()):
            return None
        rows, columns = corners[:num_shown].unbind(1)
        return Tiles(rows, columns, planes)

    def _influenced(self, frame: Frame) -> Mask:
        """Squares to compute, with `_beyond` rows and columns more on each side of the frame."""
        assert frame.changed is not None, "all of it is new"
        return grown(np.pad(frame.changed.numpy(), self._beyond), self._reach)

    def _squares(self, frame: Frame) -> tuple[npt.NDArray[np.int64], int]:
        """(N, 2) rows and columns of squares to compute, and how many, the first, are shown.

        The others lie in the padding, which repeats the frame's edges and changes with them.
        """
        mask = self._influenced(frame)
        places = np.argwhere(mask) - self._beyond
        size = np.array(mask.shape) - 2 * self._beyond
        hidden = ((places < 0) | (places >= size)).any(1)
        return places[np.argsort(hidden, kind="stable")], int((~hidden).sum())

    def _changed(self, frame: Frame) -> Iterator[Region]:
        """Regions of the padded frame that hold every sample of the picture that changed."""
        assert frame.changed is not None, "all of it is new"
        reach, before = self._enlarger.decoding_reach, self._enlarger.padding
        whole, padded = self._enlarger.whole, self._enlarger.padded
        for rows, columns in boxes(frame.changed.numpy()):
            inner = Region(
                *(CELL * edge for edge in (rows.start, columns.start, rows.stop, columns.stop))
            )
            region = inner.grown(reach, self._enlarger.path.grid, whole.height, whole.width)
            yield Region(
                region.top + before if region.top else 0,
                region.left + before if region.left else 0,
                region.bottom + before if region.bottom < whole.height else padded.height,
                region.right + before if region.right < whole.width else padded.width,
            )


def _alone(planes: Planes) -> Planes:
    return tuple(plane[None] for plane in planes)
