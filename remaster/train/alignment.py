"""Pairs from an old and a better release of the same show, aligned in time, place and colour.

Time: small pictures of both films, free of light, are correlated, window by window, so that other
starts, cuts and speeds (PAL's) do not matter. Place: one size and start per axis for the film, and
a move for each pair (gate weave). Colour: the better release takes the old one's colours, so that a
network learns none of the difference. The better picture is resampled once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from remaster.color import decode_planes
from remaster.errors import DataError
from remaster.frames import Frame
from remaster.media.interlacing import find_interlacing
from remaster.media.probe import Source, probe
from remaster.media.reader import read_frames
from remaster.train.harvest import (
    GRID,
    Forward,
    Luma,
    cell_means,
    looks_at,
    luma_plane,
    picture_box,
    shows_same_drawing,
)
from remaster.train.registration import Placement, fit_color, likeness, refine, register, warp
from remaster.train.shards import Shards, kept_pictures, stamp_of
from remaster.train.sources import Picture

__all__ = ["Release", "aligned_pairs", "kept_pairs"]

Log = Callable[[str], None]

SIGNS_A_SECOND = 12
SIGN_GRID = (9, 12)
"""Cells of the small pictures by which films are laid side by side."""

SPEEDS = tuple(
    Fraction(*each) for each in ((1, 1), (25025, 24000), (24000, 25025), (25, 24), (24, 25))
)
"""Seconds of the better film per second of the old one: equal, or either one sped up for PAL."""

WINDOW_SECONDS = 4.0
SHORTEST_WINDOW_SECONDS = 1.0
FLAT = 4.0
"""Levels: spread of the cells of a picture that says nothing."""

ALIKE_IN_TIME = 0.75
"""Mean correlation of the small pictures of a window with those of its place in the other film."""

PLACES_FOR_BOXES = 8
PLACES_FOR_SPEED = 12
PLACES_FOR_SIZE = 5
SPARE = 1.5
"""Places tried for each pair that is wanted."""

NEAR_SECONDS = 0.13
"""Around the place that was found, within which the very frame is looked for."""

ALIKE = 0.9
"""Correlation of the lumas of a pair, aligned."""

MEAN_APART = 12.0
"""Levels by which a pair may differ in the mean."""

SPOT = 16
SPOT_APART = 50.0
SPOTS_SHARE = 0.004
"""Blocks of so many pixels that differ by so many levels (a subtitle, another mouth), and their
share from which a pair does not fit."""

ENLARGED = 0.95
"""Pixels of the better film per pixel of the truth, below which it is too small for the scale."""


@dataclass(frozen=True)
class Release:
    """One of the two films."""

    source: Source
    box: tuple[slice, slice]
    """Of the frame, without bars."""

    film: Forward
    """Its frames, of one moment each."""

    seconds: NDArray[np.float64]
    """Of each small picture."""

    signs: NDArray[np.float32]
    """(N, cells): small pictures of zero mean and unit length; zero where they say nothing."""


@dataclass(frozen=True)
class _Match:
    """Two moments that show the same."""

    lq_seconds: float
    gt_seconds: float
    score: float


def aligned_pairs(
    lq_path: Path,
    gt_path: Path,
    scale: int,
    count: int,
    rng: np.random.Generator,
    *,
    log: Log = lambda _: None,
) -> Iterator[tuple[Picture, Picture]]:
    """Up to `count` (lq, gt): (H, W, 3) of the old release as it is, (H scale, W scale, 3) of the
    better one, R'G'B', H and W even.

    Both films are read through once, some minutes for an episode. Pairs that do not fit after
    alignment are left out and counted in `log`.

    Raises:
        SourceError: a file is no film that can be decoded.
        DataError: the films do not show the same, or the better one is too small for `scale`.
    """
    lq, gt = _release(lq_path), _release(gt_path)
    moments = _moments(lq, round(count * SPARE), rng)
    speed = _speed(lq, gt, moments)
    found = [_match(lq, gt, moment, speed) for moment in moments]
    matches = [each for each in found if each is not None and each.score >= ALIKE_IN_TIME]
    place = _common_placement(lq, gt, matches)
    if place is None:
        raise DataError(
            f"{lq_path} and {gt_path} do not show the same anywhere; give two releases of one film"
        )
    if min(place.size) / scale < ENLARGED:
        raise DataError(
            f"{gt_path} has {min(place.size):.2f} pixels for each one of {lq_path}, too few for "
            f"scale {scale}; give a larger film or a smaller --scale"
        )
    given, unlike = 0, len(found) - len(matches)
    colors, taken = np.eye(3, 4), list[Luma]()
    for match in matches:
        if given == count:
            break
        pair = _pair(lq, gt, match, place, scale, colors)
        if pair is None:
            unlike += 1
            continue
        cells = cell_means(pair[0].mean(2, dtype=np.float32), GRID)
        if any(shows_same_drawing(cells, each) for each in taken):
            continue
        taken.append(cells)
        given += 1
        yield pair[0], pair[1]
    if unlike:
        log(f"{unlike} of {len(found)} places in {lq_path.name} do not fit and are left out")
    if not given:
        raise DataError(
            f"no frame of {lq_path} fits one of {gt_path} after alignment; give two releases of "
            "the same pictures"
        )


class _Couples(Sequence[tuple[Picture, Picture]]):
    """Pictures of a set, two by two."""

    def __init__(self, shards: Shards) -> None:
        self.shards = shards

    def __len__(self) -> int:
        return len(self.shards) // 2

    def __getitem__(self, index: int) -> tuple[Picture, Picture]:  # type: ignore[override]  # no slices
        return self.shards[2 * index], self.shards[2 * index + 1]


def kept_pairs(
    folder: Path,
    lq_path: Path,
    gt_path: Path,
    scale: int,
    count: int,
    *,
    seed: int,
    log: Log,
) -> Sequence[tuple[Picture, Picture]]:
    """The `aligned_pairs` of two releases, views of what is kept in `folder`; aligned only where
    nothing of the same films and numbers is there. Not more than a pair is in memory.

    Raises:
        SourceError: a file is no film that can be decoded.
        DataError: as `aligned_pairs`, only one pair was found, or `folder` cannot be written.
    """

    def pictures() -> Iterator[Picture]:
        given = 0
        rng = np.random.default_rng(seed)
        for pair in aligned_pairs(lq_path, gt_path, scale, count, rng, log=log):
            yield from pair
            given += 1
        if given < 2:
            raise DataError(
                f"hardly a picture of {lq_path.name} was found in {gt_path.name}: give two longer "
                "releases of the same show"
            )
        log(f"{given} pictures are in both {lq_path.name} and {gt_path.name}")

    described = {
        "releases": [stamp_of(path) for path in (lq_path, gt_path)],
        "scale": scale,
        "count": count,
        "seed": seed,
    }
    return _Couples(kept_pictures(folder, described, pictures))


def _release(path: Path) -> Release:
    """The film with its small pictures; it is read through."""
    source = probe(path)
    length = source.duration_seconds
    times = (
        []
        if length is None
        else [length * (n + 0.5) / PLACES_FOR_BOXES for n in range(PLACES_FOR_BOXES)]
    )
    film = Forward(source)
    looks = [
        look
        for seconds in times
        for look in looks_at(film, Fraction(seconds).limit_denominator(1000))
    ]
    box = picture_box(looks)
    interlacing = find_interlacing(source)
    order = interlacing.order if interlacing.may_be_combed else None
    seconds, signs = [], []
    tick = -1
    for frame in read_frames(source):
        moment = float(frame.pts * source.video.time_base)
        if int(moment * SIGNS_A_SECOND) == tick:
            continue
        tick = int(moment * SIGNS_A_SECOND)
        seconds.append(moment)
        signs.append(_sign(luma_plane(source, frame)[box]))
    return Release(source, box, Forward(source, order), np.array(seconds), np.stack(signs))


def _sign(luma: Luma) -> NDArray[np.float32]:
    every = max(1, min(luma.shape) // 120)
    cells = cell_means(luma[::every, ::every], SIGN_GRID).ravel()
    cells = cells - cells.mean()
    length = float(np.sqrt((cells**2).sum()))
    is_flat = length < FLAT * np.sqrt(len(cells))
    return np.zeros_like(cells) if is_flat else cells / np.float32(length)


def _signs_at(release: Release, seconds: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, cells) of the pictures that are shown at these times."""
    numbers = np.searchsorted(release.seconds, seconds + 1e-6, side="right") - 1
    return release.signs[numbers.clip(0, len(release.seconds) - 1)]


def _moments(lq: Release, number: int, rng: np.random.Generator) -> list[float]:
    """Times scattered over the old film, one in each of as many stretches."""
    begin, end = float(lq.seconds[0]), float(lq.seconds[-1])
    fitting = max(1, int((end - begin) * 2))
    edges = np.linspace(begin, end, min(max(number, PLACES_FOR_SPEED), fitting) + 1)
    return [float(rng.uniform(a, b)) for a, b in itertools.pairwise(edges)]


def _speed(lq: Release, gt: Release, moments: Sequence[float]) -> Fraction:
    """The one of `SPEEDS` at which windows are found again best."""
    step = max(1, len(moments) // PLACES_FOR_SPEED)
    some = moments[::step]

    def total(speed: Fraction) -> float:
        found = [_match(lq, gt, moment, speed) for moment in some]
        return sum(each.score for each in found if each is not None)

    return max(SPEEDS, key=total)


def _match(lq: Release, gt: Release, moment: float, speed: Fraction) -> _Match | None:
    """Where the window around a moment of the old film is found in the other; None if it says
    nothing."""
    length = float(gt.seconds[-1] - gt.seconds[0])
    whole = float(lq.seconds[-1] - lq.seconds[0])
    span = max(min(WINDOW_SECONDS, whole / 2, length / 2), SHORTEST_WINDOW_SECONDS)
    first = min(max(moment - span / 2, float(lq.seconds[0])), float(lq.seconds[-1]) - span)
    ticks = np.arange(max(2, round(span * float(speed) * SIGNS_A_SECOND)))
    window = _signs_at(lq, first + ticks / SIGNS_A_SECOND / float(speed))
    said = int(window.any(1).sum())
    if said < len(window) / 2:
        return None
    begin = float(gt.seconds[0])
    grid = begin + np.arange(round(length * SIGNS_A_SECOND) + 1) / SIGNS_A_SECOND
    products = _signs_at(gt, grid) @ window.T
    offsets = len(grid) - len(window) + 1
    if offsets < 1:
        return None
    scores = np.zeros(offsets)
    for column in range(len(window)):
        scores += products[column : column + offsets, column]
    best = int(scores.argmax())
    found = begin + best / SIGNS_A_SECOND + (moment - first) * float(speed)
    return _Match(moment, found, float(scores[best]) / said)


def _frames_near(release: Release, begin: float, end: float) -> list[Frame]:
    limits = (Fraction(each).limit_denominator(10**6) for each in (begin, end))
    return release.film.between(*limits)


def _matched_frames(lq: Release, gt: Release, match: _Match) -> tuple[Frame, list[Frame]] | None:
    """The old film's frame, and those of the other around its moment."""
    lq_frames = _frames_near(lq, match.lq_seconds, match.lq_seconds + 0.5)
    if not lq_frames:
        return None
    frame = lq_frames[0]
    late = float(frame.pts * lq.source.video.time_base) - match.lq_seconds
    at = match.gt_seconds + late
    near = _frames_near(gt, at - NEAR_SECONDS, at + NEAR_SECONDS)
    return (frame, near) if near else None


def _luma(release: Release, frame: Frame) -> Luma:
    return luma_plane(release.source, frame)[release.box]


def _rgb(release: Release, frame: Frame) -> NDArray[np.float32]:
    """(H, W, 3) in [0, 1], without bars; not clipped."""
    video = release.source.video
    planes = [plane[None] for plane in frame.planes]
    rgb = decode_planes(planes, video.layout, video.color, "rgb")[0].permute(1, 2, 0).numpy()
    return np.ascontiguousarray(rgb[release.box])


def _common_placement(lq: Release, gt: Release, matches: Sequence[_Match]) -> Placement | None:
    """Where the old film's pixels lie on the other's, by the median of some pairs; None where no
    pair is alike."""
    places: list[Placement] = []
    for match in sorted(matches, key=lambda each: -each.score):
        if len(places) == PLACES_FOR_SIZE:
            break
        frames = _matched_frames(lq, gt, match)
        if frames is None:
            continue
        one = _luma(lq, frames[0])
        others = [_luma(gt, each) for each in frames[1]]
        place = register(one, others[len(others) // 2])
        other = max(others, key=lambda each: likeness(one, warp(each, place, _shape(one))))
        place = refine(one, other, place)
        if likeness(one, warp(other, place, _shape(one))) >= ALIKE:
            places.append(place)
    if not places:
        return None
    numbers = np.median([[*place.size, *place.start] for place in places], axis=0)
    down, across, top, left = (float(number) for number in numbers)
    return Placement((down, across), (top, left))


def _shape(plane: NDArray[np.float32]) -> tuple[int, int]:
    return plane.shape[0], plane.shape[1]


def _pair(
    lq: Release,
    gt: Release,
    match: _Match,
    place: Placement,
    scale: int,
    colors: NDArray[np.float64],
) -> tuple[Picture, Picture] | None:
    """The pair at a moment; None where what is left after alignment is another picture."""
    frames = _matched_frames(lq, gt, match)
    if frames is None:
        return None
    one = _luma(lq, frames[0])
    lumas = [_luma(gt, each) for each in frames[1]]
    best = max(range(len(lumas)), key=lambda n: likeness(one, warp(lumas[n], place, _shape(one))))
    place = refine(one, lumas[best], place, moves_only=True)
    inside = place.covered(one.shape, lumas[best].shape)
    small = warp(lumas[best], place, _shape(one))[inside]
    if min(small.shape) < SPOT or likeness(one[inside], small) < ALIKE:
        return None
    old, better = _rgb(lq, frames[0]), _rgb(gt, frames[1][best])
    lq_rgb = old[inside]
    reduced = warp(better, place, _shape(one))[inside]
    colors = fit_color(lq_rgb, reduced, colors)
    if not _fits(lq_rgb, _recolored(reduced, colors)):
        return None
    fine = place.finer(scale)
    shape = one.shape[0] * scale, one.shape[1] * scale
    rows, columns = (slice(part.start * scale, part.stop * scale) for part in inside)
    truth = warp(better, fine, shape, "lanczos")[rows, columns]
    return _levels(lq_rgb), _levels(_recolored(truth, colors))


def _recolored(rgb: NDArray[np.float32], colors: NDArray[np.float64]) -> NDArray[np.float32]:
    matrix = colors.astype(np.float32)
    recolored: NDArray[np.float32] = rgb @ matrix[:, :3].T + matrix[:, 3]
    return recolored


def _fits(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether two aligned pictures are one but for noise: in the mean, and in every spot."""
    apart = np.abs(one - other).mean(2) * 255
    rows, columns = apart.shape[0] // SPOT, apart.shape[1] // SPOT
    cut = apart[: rows * SPOT, : columns * SPOT]
    spots = cut.reshape(rows, SPOT, columns, SPOT).mean((1, 3))
    return bool(apart.mean() <= MEAN_APART and (spots > SPOT_APART).mean() <= SPOTS_SHARE)


def _levels(rgb: NDArray[np.float32]) -> Picture:
    return np.ascontiguousarray(np.rint(rgb * 255).clip(0, 255).astype(np.uint8))
