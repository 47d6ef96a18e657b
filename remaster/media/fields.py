"""Which moments the two fields of a picture show, seen from how rows comb when interleaved.

Two fields of one moment interleave into a smooth picture; fields of two moments into combs. So the
rows of each picture are counted as combs with each other and with those of its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import cast

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane

__all__ = ["Choice", "Counts", "Fields", "Order", "Step", "choose", "rows", "step"]

Counts = npt.NDArray[np.int32]
"""Combed pixels in each block of 16x16, 0 to 256."""

SMALLEST_SIDE = 16
_BLOCK_ROWS, _BLOCK_COLUMNS = 8, 16
"""Of one field."""

_COLUMNS_LOOKED_AT = 960
_LEVELS = 10
"""Of 256: by how much a pixel must differ from both rows beside it, the same way."""

_NOISE = 6
"""Combed pixels by which blocks of one drawing differ, exposure to exposure."""

_VISIBLE = 16
_SHARE = 0.2
_STEADY_LEANING = 0.3
_SHARE_OF_STEADY_MOTION = 0.05
"""Combing of a picture of two moments, over that of its fields with those farthest away."""

_LEANING = 0.1
"""Progressive pictures measure below 0.04, interlaced ones in motion above 0.15."""


class Order(Enum):
    """Which field of a picture is the earlier one."""

    TOP_FIRST = "tff"
    BOTTOM_FIRST = "bff"


class Choice(Enum):
    """Where the second field of a shown picture comes from."""

    DECODED = "decoded"
    PREVIOUS = "previous"
    NEXT = "next"
    INTERPOLATED = "interpolated"


@dataclass(frozen=True)
class Fields:
    """The luma of a picture, cut into its fields."""

    top: npt.NDArray[np.int16]
    bottom: npt.NDArray[np.int16]

    @classmethod
    def of(cls, picture: VideoFrame) -> Fields:
        """The fields of a planar picture, as 8 bits, whole blocks of them alone."""
        depth = picture.format.components[0].bits
        every = -(-picture.width // _COLUMNS_LOOKED_AT)
        luma = rows(picture.planes[0], depth)[:, ::every] >> (depth - 8)
        height = luma.shape[0] // 2 // _BLOCK_ROWS * _BLOCK_ROWS
        width = luma.shape[1] // _BLOCK_COLUMNS * _BLOCK_COLUMNS
        cut = luma[: 2 * height, :width].astype(np.int16)
        return cls(cut[::2], cut[1::2])

    @cached_property
    def combing(self) -> Counts:
        """Of the picture as it is."""
        return _combing(self.top, self.bottom)


@dataclass(frozen=True)
class Step:
    """From one picture to the next: how their fields comb crosswise."""

    late_top: Counts
    """The later picture's top field interleaved with the earlier one's bottom field."""

    late_bottom: Counts
    still: Counts
    """The least combing of either picture in itself."""

    difference: float
    """Mean between the pictures, in levels of 256."""

    def near(self, order: Order) -> Counts:
        """Combing of the two fields that follow one another, if the order is the true one."""
        return self.late_top if order is Order.TOP_FIRST else self.late_bottom

    def far(self, order: Order) -> Counts:
        """Combing of the two fields farthest apart."""
        return self.late_bottom if order is Order.TOP_FIRST else self.late_top

    @cached_property
    def moving(self) -> npt.NDArray[np.bool_]:
        """Blocks in which the step shows."""
        most = np.maximum(self.late_top, self.late_bottom)
        apart = np.abs(self.late_top - self.late_bottom)
        floor = _noise(most)
        return (most - self.still > floor) | (apart > floor)

    @cached_property
    def lean(self) -> float | None:
        """Of fields in motion: 1 says top first, -1 bottom first, 0 progressive; None: still."""
        top, bottom = (int(each[self.moving].sum()) for each in (self.late_top, self.late_bottom))
        if max(top, bottom) < 4 * _VISIBLE:
            return None
        apart = bottom - top
        return apart / max(top, bottom) if abs(apart) >= 3 * _VISIBLE else 0.0

    def lean_to(self, order: Order) -> float:
        """How strongly the step shows fields in that order."""
        lean = self.lean or 0.0
        return lean if order is Order.TOP_FIRST else -lean

    def shows_one_moment(self, own: Counts, steps: list[Step], lean: float) -> bool:
        """Whether a picture beside this step moves in it with both its fields alike.

        `own` is its combing, `lean` the stronger one of its steps. A cut says nothing: any two
        shots comb alike, crosswise.
        """
        if self.lean is None or abs(self.lean) > lean / 3:
            return False
        most = np.maximum(self.late_top, self.late_bottom)[self.moving].sum()
        is_cut = self.difference > 3 * min(each.difference for each in steps) + 4
        return not is_cut and bool(2 * own[self.moving].sum() < most)


def step(earlier: Fields, later: Fields) -> Step:
    """What two neighbouring pictures of one size say."""
    return Step(
        late_top=_combing(later.top, earlier.bottom),
        late_bottom=_combing(earlier.top, later.bottom),
        still=np.minimum(earlier.combing, later.combing),
        difference=float(
            np.abs(later.top[::4] - earlier.top[::4]).mean()
            + np.abs(later.bottom[::4] - earlier.bottom[::4]).mean()
        )
        / 2,
    )


def choose(before: Step | None, own: Counts, after: Step | None, order: Order) -> Choice:
    """What makes one picture of one moment, the moment of its earlier field.

    `own` is its combing; `before` and `after` are the steps from and to its neighbours, None at
    an end.
    """
    steps = [each for each in (before, after) if each is not None]
    moving = np.logical_and.reduce([each.moving for each in steps] or [np.zeros(own.shape, bool)])
    matches = []
    if before is not None and abs(before.lean or 0) > _LEANING:
        matches.append((Choice.PREVIOUS, before.near(order), before.far(order)))
    if after is not None and abs(after.lean or 0) > _LEANING:
        matches.append((Choice.NEXT, after.far(order), after.near(order)))
    gains = [_gain(own, partner) for _, partner, _ in matches]
    if any(gains):
        choice, partner, other = matches[gains.index(max(gains))]
        left = moving & (partner >= _VISIBLE) & (own - partner < (other - partner) // 4)
        return Choice.INTERPOLATED if 4 * partner[left].sum() > max(gains) else choice
    if _is_combed(own, steps, moving, order):
        return Choice.INTERPOLATED
    return Choice.DECODED


def _gain(own: Counts, partner: Counts) -> int:
    """Combed pixels that another partner saves; 0 unless it hardly costs any elsewhere."""
    saved = own - partner
    saved[np.abs(saved) <= _noise(np.maximum(own, partner))] = 0
    won, lost = int(saved.clip(0).sum()), int(-saved.clip(max=0).sum())
    return won - lost if saved.max() >= _VISIBLE and won >= 4 * lost else 0


def _noise(counts: Counts) -> Counts:
    """By how much the combing of one drawing differs, exposure to exposure."""
    return np.maximum(counts // 4, _NOISE)


def _is_combed(own: Counts, steps: list[Step], moving: npt.NDArray[np.bool_], order: Order) -> bool:
    """Whether a picture whose field has no better partner shows two moments.

    Such a picture differs from both its neighbours, and leans to its order in both steps.
    """
    leans = [each.lean_to(order) for each in steps]
    strongest, weakest = max(leans, default=0.0), min(leans, default=0.0)
    if strongest < _LEANING or not (own[moving] >= _VISIBLE).any():
        return False
    if any(each.shows_one_moment(own, steps, strongest) for each in steps):
        return False
    is_steady = len(steps) == 2 and weakest > max(_STEADY_LEANING, strongest / 2)
    share = _SHARE_OF_STEADY_MOTION if is_steady else _SHARE
    combing = own[moving].sum()
    return any(
        lean > _LEANING and combing > share * each.far(order)[moving].sum()
        for each, lean in zip(steps, leans)
    )


def rows(plane: VideoPlane, bit_depth: int) -> npt.NDArray[np.unsignedinteger]:
    """(H, W) view of a plane's samples, writable where the picture is."""
    dtype: type[np.unsignedinteger] = np.uint8 if bit_depth == 8 else np.uint16
    view = np.frombuffer(cast("memoryview", plane), dtype).reshape(plane.height, -1)
    return (view[::-1] if plane.line_size < 0 else view)[:, : plane.width]


def _combing(top: npt.NDArray[np.int16], bottom: npt.NDArray[np.int16]) -> Counts:
    below = top - bottom
    above = top[1:] - bottom[:-1]
    combed = np.zeros((2, *top.shape), bool)
    for mask, beside in ((combed[0, 1:], below[1:]), (combed[1, :-1], below[:-1])):
        np.greater(np.minimum(beside, above), _LEVELS, out=mask)
        mask |= np.maximum(beside, above) < -_LEVELS
    return _per_block(combed)


def _per_block(mask: npt.NDArray[np.bool_]) -> Counts:
    """Sums over blocks: eight bytes at a time, since none of their sums exceeds a byte."""
    _, height, width = mask.shape
    eights = mask.view(np.uint64).reshape(2, height // _BLOCK_ROWS, _BLOCK_ROWS, width // 8)
    columns = eights.sum((0, 2), dtype=np.uint64).view(np.uint8)
    return columns.reshape(height // _BLOCK_ROWS, -1, _BLOCK_COLUMNS).sum(2, dtype=np.int32)
