"""Crops show the same lively square of everything."""

from __future__ import annotations

import numpy as np
import torch

from remaster.train.crops import ENLARGED, GAP, SIDE, TITLE, Crops, draw_crops, liveliest


def test_the_liveliest_square_is_where_something_happens() -> None:
    picture = torch.full((1, 3, 300, 400), 90, dtype=torch.uint8)
    picture[..., 180:260, 232:320] = torch.randint(0, 255, (1, 3, 80, 88), dtype=torch.uint8)
    top, left = liveliest(picture, 96)
    assert 164 <= top <= 180 and 224 <= left <= 232


def test_a_picture_smaller_than_a_square_is_shown_whole() -> None:
    sheet = Crops("small")
    sheet.show("truth", torch.randint(0, 255, (1, 3, 64, 70), dtype=torch.uint8))
    assert sheet.squares["truth"].shape == (64, 70, 3)
    assert draw_crops([sheet], {}).width == SIDE * ENLARGED + 2 * GAP


def test_squares_lie_in_their_places_enlarged_by_nearest() -> None:
    picture = torch.randint(0, 255, (1, 3, 120, 160), dtype=torch.uint8)
    sheet = Crops("a picture")
    sheet.show("truth", picture)
    sheet.show("inverse", 255 - picture)
    image = np.asarray(draw_crops([sheet], {("a picture", "inverse"): "3.1"}))
    side, y = SIDE * ENLARGED, GAP + 2 * TITLE
    first = image[y : y + side, GAP : GAP + side]
    second = image[y : y + side, 2 * GAP + side : 2 * (GAP + side)]
    assert np.array_equal(first[::ENLARGED, ::ENLARGED], sheet.squares["truth"])
    assert np.array_equal(first, 255 - second)
    top, left = sheet.place or (-1, -1)
    expected = picture[0, :, top : top + SIDE, left : left + SIDE].permute(1, 2, 0).numpy()
    assert np.array_equal(sheet.squares["truth"], expected)


def test_names_are_written_above_and_strange_ones_do_no_harm() -> None:
    def made(title: str, name: str, words: str) -> np.ndarray:
        sheet = Crops(title)
        sheet.show(name, torch.zeros(1, 3, 96, 96, dtype=torch.uint8))
        return np.asarray(draw_crops([sheet], {(title, name): words}))

    plain = made("a", "b", "1")
    assert (plain[:TITLE] != plain[0, 0]).any()
    assert not np.array_equal(plain, made("a", "b", "2"))
    made("夕方.png", "ネット" * 40, "…")
