"""What every method makes of the liveliest square of a picture, side by side beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SIDE = 96
"""Pixels of the truth that are shown, each way."""

ENLARGED = 2
TITLE, GAP = 16, 4
LONGEST_LABEL = 30
GROUND, INK = (250, 250, 250), (20, 20, 20)


@dataclass
class Crops:
    """The same square of the truth and of what each method made of it."""

    title: str
    squares: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    """Method -> (side, side, 3) R'G'B'; `truth` first."""

    place: tuple[int, int] | None = None

    def show(self, name: str, picture: Tensor) -> None:
        """Keep the square of a (1, 3, H, W) uint8; the first one that comes says where it is."""
        if self.place is None:
            self.place = liveliest(picture, SIDE)
        top, left = self.place
        square = picture[0, :, top : top + SIDE, left : left + SIDE]
        self.squares[name] = square.permute(1, 2, 0).contiguous().numpy()


def liveliest(picture: Tensor, side: int) -> tuple[int, int]:
    """(top, left) of the square of (1, 3, H, W) uint8 in which neighbours differ most."""
    grey = picture.float().mean(1, keepdim=True)
    steps = grey.diff(dim=2)[..., :-1].abs() + grey.diff(dim=3)[..., :-1, :].abs()
    rows, columns = (min(side - 1, n) for n in steps.shape[2:])
    stride = 8
    busy = F.avg_pool2d(steps, (rows, columns), stride)[0, 0]
    index = int(busy.argmax())
    return index // busy.shape[1] * stride, index % busy.shape[1] * stride


def draw_crops(rows: Sequence[Crops], said: Mapping[tuple[str, str], str]) -> Image.Image:
    """All of them, each square enlarged by nearest neighbour under its name.

    Args:
        rows: at least one, each with at least one square.
        said: (title, method) -> a few words to stand behind the name.
    """
    tile = SIDE * ENLARGED
    width = max(len(row.squares) for row in rows) * (tile + GAP) + GAP
    height = len(rows) * (2 * TITLE + tile + GAP) + GAP
    sheet = Image.new("RGB", (width, height), GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for number, row in enumerate(rows):
        y = GAP + number * (2 * TITLE + tile + GAP)
        draw.text((GAP, y), _drawable(row.title), INK, font)
        for column, (name, square) in enumerate(row.squares.items()):
            x = GAP + column * (tile + GAP)
            label = " ".join([_shortened(name), said.get((row.title, name), "")])
            draw.text((x, y + TITLE), _drawable(label), INK, font)
            image = Image.fromarray(square)
            size = (image.width * ENLARGED, image.height * ENLARGED)
            sheet.paste(image.resize(size, Image.Resampling.NEAREST), (x, y + 2 * TITLE))
    return sheet


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 3]}..."


def _drawable(text: str) -> str:
    """What the font without files can draw: letters beyond Latin-1 become question marks."""
    return text.encode("latin-1", "replace").decode("latin-1")
