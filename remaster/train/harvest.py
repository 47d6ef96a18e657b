"""Good frames scattered over a film: sharp, whole and each of another drawing.

The film is cut into stretches of equal length. In each a few frames are looked at, keyframes
first, since encoders give them the most bits; decord finds them without decoding what lies
between, and our own reader seeks where decord is missing or cannot open the file. What is taken is
always decoded by our own reader, in the film's own matrix, depth and siting.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from remaster.color import code_scale, decode_planes
from remaster.frames import Frame
from remaster.media.fields import Fields, Order
from remaster.media.interlacing import find_interlacing
from remaster.media.probe import Source, probe
from remaster.media.reader import FieldReport, read_frames
from remaster.train.cleaning import luma_of
from remaster.train.sources import Picture

__all__ = [
    "GRID",
    "Forward",
    "Look",
    "Luma",
    "Still",
    "cell_means",
    "extent",
    "harvest",
    "harvest_film",
    "looks_at",
    "luma_plane",
    "picture_box",
    "shows_same_drawing",
]

Luma = NDArray[np.float32]
"""(H, W) levels of 255."""

SPARE = 1.3
"""Stretches for each frame that is wanted: some hold nothing but fades and repeats."""

LEAST_SECONDS = 0.75
"""Of a stretch."""

LOOKS = (2, 3)
"""Frames looked at in a stretch: at least, and at most where it holds that many keyframes."""

WALKED = 24
"""Stretches at most of a file that cannot say how long it is, and is read from its beginning."""

NEAR = (-6, -3, 0, 3, 6)
"""Frames around one that tell whether it lies in a fade. Those before a keyframe are dear to decode
and left out."""

NEAR_SECONDS = 10
"""Up to which a film is read on rather than seeked in: keyframes are as far apart."""

HELD_FRAMES = 24
"""That are kept of what was read last."""

GRID = (36, 64)
"""Cells of a picture by which drawings are told apart."""

OTHER_LEVELS = 5.0
OTHER_SHARE = 0.06
"""Of the cells must differ by so many levels for another drawing; a mouth takes two hundredths."""

BLACK = 12.0
FLAT = 6.0
FAINT = 12.0
"""Levels: mean and spread of a picture, and its strong edges, below which nothing is to be seen."""

BLURRED = 0.8
"""Of the film's median sharpness. At most a quarter of the frames is dropped for it."""

KEYFRAME = 1.1
"""By how much sharper another frame must be to be preferred."""

FADING_LEVELS = 1.5
FADING = 0.25
"""How far a frame may lie beside the mean of those around it, over what they differ by."""

COMBED = 16
COMBED_SHARE = 0.01
"""Pixels of a block of 16x16, and share of such blocks, from which a picture of video is combed."""

BAR = 28.0
"""Levels up to which the brightest of a row of a bar may go."""

BAR_MARGIN = 2
"""Pixels beside a bar that are cut away with it."""


@dataclass(frozen=True)
class Still:
    """A frame of a film."""

    time: float
    """Seconds from the film's start."""

    picture: Picture


@dataclass(frozen=True)
class Look:
    """What a frame showed when it was looked at."""

    seconds: Fraction
    is_keyframe: bool
    sharpness: float
    """Of its strongest edges: 1 where they step from one pixel to the next, 0.25 over four."""

    cells: Luma
    """Means of `GRID`."""

    shows_something: bool
    is_fading: bool
    rows: Luma
    columns: Luma
    """The brightest of each, but for a few pixels."""

    @property
    def rank(self) -> float:
        return self.sharpness * (KEYFRAME if self.is_keyframe else 1)


def harvest(path: Path, count: int, rng: np.random.Generator) -> list[Picture]:
    """Up to `count` frames of a film, in order, as (H, W, 3) R'G'B'; see `harvest_film`."""
    return [still.picture for still in harvest_film(path, count, rng)]


def harvest_film(
    path: Path, count: int, rng: np.random.Generator, *, part: tuple[float, float] = (0.0, 1.0)
) -> Iterator[Still]:
    """Up to `count` good frames of a film, in order, decoded one at a time.

    Left out are black and flat frames, fades, the most blurred ones, pictures of two fields, and
    drawings that were taken already. Bars around the picture are cut away.

    Args:
        part: of the film's length, from and to.

    Raises:
        SourceError: the file is no film that can be decoded.
    """
    source = probe(path)
    begin, end = extent(source, part)
    places = _stretches(source, count, begin, end)
    stretches = _looks(source, places, rng)
    looks = [look for stretch in stretches for look in stretch]
    box = picture_box(looks)
    chosen = _thinned(_chosen(stretches, _least_sharpness(looks)), count, rng)
    interlacing = find_interlacing(source) if chosen else None
    is_woven = interlacing is not None and interlacing.may_be_combed
    film = Forward(source, interlacing.order if interlacing is not None and is_woven else None)
    is_video = interlacing is not None and interlacing.kind == "interlaced"
    for candidates in chosen:
        for look in candidates:
            picture = _decoded(film, look.seconds, is_video=is_video)
            if picture is not None:
                yield Still(float(look.seconds), np.ascontiguousarray(picture[box]))
                break


def extent(source: Source, part: tuple[float, float]) -> tuple[float, float]:
    """Seconds of a part of the film; read through where the container does not say its length."""
    length = source.duration_seconds
    if length is None:
        last = max((frame.pts for frame in read_frames(source)), default=0)
        length = float(last * source.video.time_base)
    return length * part[0], length * part[1]


def _stretches(source: Source, count: int, begin: float, end: float) -> list[tuple[float, float]]:
    """(from, to) in seconds."""
    fitting = int((end - begin) / LEAST_SECONDS)
    number = max(1, min(round(count * SPARE), fitting))
    if source.duration_seconds is None:
        number = min(number, WALKED)
    edges = np.linspace(begin, end, number + 1)
    return [(float(a), float(b)) for a, b in itertools.pairwise(edges)]


def _looks(
    source: Source, places: Sequence[tuple[float, float]], rng: np.random.Generator
) -> list[list[Look]]:
    """A few looks into each stretch; frames that cannot be decoded are passed over."""
    video = None if source.may_restart else _open_by_decord(source.path)
    starts = None if video is None else _starts(video, source)
    if starts is not None:
        found = _looks_by_decord(video, starts, places, rng)
        if any(found):
            return found
    film = Forward(source)
    return [
        [
            look
            for seconds in np.sort(rng.uniform(begin, end, LOOKS[0]))
            for look in looks_at(film, Fraction(float(seconds)).limit_denominator(10**6))
            if look.seconds < end  # the next frame may lie behind it
        ]
        for begin, end in places
    ]


def _open_by_decord(path: Path) -> Any:
    """A decord reader, or None where decord is missing or cannot open the file."""
    try:
        import decord
    except ImportError:
        return None
    try:
        decord.logging.set_level(decord.logging.QUIET)
        return decord.VideoReader(str(path), num_threads=1)
    except (RuntimeError, decord.DECORDError):
        return None


def _starts(video: Any, source: Source) -> NDArray[np.float64] | None:
    """Seconds of decord's frames; None where it cannot say them, as in AVI.

    It counts from the first frame, wherever in time that lies.
    """
    starts = np.array([video.get_frame_timestamp(n)[0] for n in range(len(video))], np.float64)
    first = next(read_frames(source), None)
    if first is None or not len(starts) or (np.diff(starts) <= 0).any() or starts[0] < -1:
        return None
    return starts - starts[0] + float(first.pts * source.video.time_base)


def _looks_by_decord(
    video: Any,
    starts: NDArray[np.float64],
    places: Sequence[tuple[float, float]],
    rng: np.random.Generator,
) -> list[list[Look]]:
    """Looks at keyframes where a stretch has some; nothing where decord fails."""
    keyframes = {int(n) for n in video.get_key_indices()}
    found = []
    last = -1  # decord would seek back to what was read
    for begin, end in places:
        numbers = np.flatnonzero((starts >= begin) & (starts < end))
        looks = []
        for number in _candidates(numbers[numbers > last], keyframes, rng):
            is_keyframe = number in keyframes
            near = [number + each for each in NEAR if each >= 0 or not is_keyframe]
            if near[0] <= last:
                continue
            last = near[-1]
            within = [each for each in near if 0 <= each < len(video)]
            try:
                batch = video.get_batch(within).asnumpy()
                # It would decode on without bound while this is looked at.
                video.seek(max((n for n in keyframes if n <= within[-1]), default=0))
            except RuntimeError:  # decord's own errors are such
                continue
            seconds = Fraction(float(starts[number])).limit_denominator(10**4)
            lumas = [luma_of(picture) for picture in batch]
            looks.append(_look(seconds, is_keyframe, lumas, within.index(number)))
        found.append(looks)
    return found


def _candidates(
    numbers: NDArray[np.intp], keyframes: set[int], rng: np.random.Generator
) -> list[int]:
    """Keyframes of a stretch drawn by lot, and other frames where there are too few."""
    least, most = LOOKS
    keys = [int(n) for n in numbers if int(n) in keyframes]
    picked = {int(n) for n in rng.permutation(keys)[:most]}
    others = [int(n) for n in rng.permutation(numbers)[:least]]
    return sorted(picked | set(others[: max(0, least - len(picked))]))


class Forward:
    """Frames of a film at rising times: read on where the next is near, seeked where it is far."""

    def __init__(self, source: Source, order: Order | None = None) -> None:
        self.source = source
        self._order = order
        self._frames: Iterator[Frame] = iter(())
        self._fields = FieldReport()
        self._held: deque[tuple[Fraction, Frame, bool]] = deque(maxlen=HELD_FRAMES)

    def between(self, begin: Fraction, end: Fraction) -> list[Frame]:
        """The frames with begin <= seconds < end, a few at most."""
        return [frame for frame, _ in self.judged(begin, end)]

    def judged(self, begin: Fraction, end: Fraction) -> list[tuple[Frame, bool]]:
        """(frame, whether one of its fields had to be made) of `between`."""
        held = self._held
        if not held or not held[0][0] < begin < held[-1][0] + NEAR_SECONDS:
            held.clear()
            self._frames = read_frames(
                self.source,
                start=max(begin, Fraction(0)),
                deinterlace=self._order,
                fields=self._fields,
            )
        while not held or held[-1][0] < end:
            made = self._fields.interpolated
            frame = next(self._frames, None)
            if frame is None:
                break
            seconds = frame.pts * self.source.video.time_base
            held.append((seconds, frame, self._fields.interpolated > made))
        return [(frame, is_made) for seconds, frame, is_made in held if begin <= seconds < end]


def looks_at(film: Forward, seconds: Fraction) -> Iterator[Look]:
    """The look at a time; none behind the last frame."""
    video = film.source.video
    step = 1 / (video.frame_rate or Fraction(25))
    near = film.between(seconds + (NEAR[0] - 1) * step, seconds + (NEAR[-1] + 1) * step)
    own = next((n for n, each in enumerate(near) if each.pts * video.time_base >= seconds), None)
    if own is not None:
        within = [own + each for each in NEAR if 0 <= own + each < len(near)]
        lumas = [luma_plane(film.source, near[n]) for n in within]
        yield _look(near[own].pts * video.time_base, False, lumas, within.index(own))


def luma_plane(source: Source, frame: Frame) -> Luma:
    """The luma, or the green, of a frame."""
    video = source.video
    is_rgb = video.color.matrix == "rgb"
    scale, offset = code_scale(video.color.range, video.layout.bit_depth, is_rgb=is_rgb)[0]
    codes = frame.planes[1 if is_rgb else 0].numpy().astype(np.float32)
    return ((codes - np.float32(offset)) * np.float32(255 / scale)).clip(0, 255)


def _look(seconds: Fraction, is_keyframe: bool, lumas: Sequence[Luma], own: int) -> Look:
    """Of one of the frames of `NEAR`."""
    luma = lumas[own]
    across, down = _edges(luma.T), _edges(luma)
    strong = max(across[0], down[0])
    return Look(
        seconds,
        is_keyframe,
        sharpness=min(across[1], down[1]),
        cells=cell_means(luma, GRID),
        shows_something=bool(luma.mean() > BLACK and luma.std() > FLAT and strong > FAINT),
        is_fading=any(_is_fading(*three) for three in zip(lumas, lumas[1:], lumas[2:])),
        rows=np.quantile(luma, 0.98, axis=1).astype(np.float32),
        columns=np.quantile(luma, 0.98, axis=0).astype(np.float32),
    )


def _edges(luma: Luma) -> tuple[float, float]:
    """(levels over four rows, share of them in the steepest of the four steps) of the strongest
    hundredth of the edges."""
    if luma.shape[0] < 6:
        return 0.0, 0.0
    steps = np.abs(np.diff(luma[:, ::2], axis=0))
    over_four = np.abs(luma[4:, ::2] - luma[:-4, ::2])
    steepest = np.maximum(np.maximum(steps[:-3], steps[1:-2]), np.maximum(steps[2:-1], steps[3:]))
    strong = over_four >= max(float(np.quantile(over_four, 0.99)), 1.0)
    if not strong.any():
        return 0.0, 0.0
    rise = float(over_four[strong].mean())
    return rise, float(np.minimum(steepest[strong] / over_four[strong], 1).mean())


def cell_means(luma: Luma, size: tuple[int, int]) -> Luma:
    """(rows, columns) means of nearly equal cells."""
    height, width = luma.shape
    rows = np.linspace(0, height, min(size[0], height) + 1).astype(int)[:-1]
    columns = np.linspace(0, width, min(size[1], width) + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(luma, rows, axis=0), columns, axis=1)
    counts = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))
    return (sums / counts).astype(np.float32)


def _is_fading(first: Luma, middle: Luma, last: Luma) -> bool:
    """Whether a frame halfway in time is halfway in light all over, as in fades and dissolves.

    What moves is not: its lines are at one place, then at another.
    """
    size = (first.shape[0] // 4, first.shape[1] // 4)
    if min(size) < 1:
        return False
    a, b, c = (cell_means(luma, size) for luma in (first, middle, last))
    change = np.abs(c - a)
    beside = np.abs(b - (a + c) / 2)
    return bool(change.mean() > FADING_LEVELS and beside.mean() < FADING * change.mean())


def picture_box(looks: Sequence[Look]) -> tuple[slice, slice]:
    """The part of the frame, in even pixels, that is not black all through the film."""
    seen = [look for look in looks if look.shows_something]
    if not seen:
        return slice(None), slice(None)
    return (
        _without_bars(np.stack([look.rows for look in seen])),
        _without_bars(np.stack([look.columns for look in seen])),
    )


def _without_bars(brightest: Luma) -> slice:
    """Of (looks, lines): from the first to the last line with a picture on it."""
    lit = np.flatnonzero(brightest.max(0) > BAR)
    length = brightest.shape[1]
    if not len(lit) or lit[-1] - lit[0] < length // 2:
        return slice(None)
    first = 0 if lit[0] == 0 else int(lit[0]) + BAR_MARGIN
    end = length if lit[-1] == length - 1 else int(lit[-1]) + 1 - BAR_MARGIN
    return slice(first + first % 2, end - end % 2)


def _least_sharpness(looks: Sequence[Look]) -> float:
    values = [look.sharpness for look in looks if look.shows_something and not look.is_fading]
    if not values:
        return 0.0
    return min(BLURRED * float(np.median(values)), float(np.quantile(values, 0.25)))


def _chosen(stretches: Sequence[Sequence[Look]], least: float) -> list[list[Look]]:
    """Of each stretch the usable looks, the best first; only drawings that were not taken yet."""
    taken: list[Luma] = []
    chosen = []
    for looks in stretches:
        usable = [
            look
            for look in looks
            if look.shows_something
            and not look.is_fading
            and look.sharpness >= least
            and not any(shows_same_drawing(look.cells, cells) for cells in taken)
        ]
        if usable:
            chosen.append(sorted(usable, key=lambda look: -look.rank))
            taken.append(chosen[-1][0].cells)
    return chosen


def shows_same_drawing(one: Luma, other: Luma) -> bool:
    """Whether two frames show one drawing but for a small part, in whatever light."""
    apart = one - other
    apart = np.abs(apart - np.median(apart))
    return bool((apart > OTHER_LEVELS).mean() < OTHER_SHARE)


def _thinned(chosen: list[list[Look]], count: int, rng: np.random.Generator) -> list[list[Look]]:
    """`count` of them by lot, in order."""
    kept = sorted(rng.permutation(len(chosen))[:count])
    return [chosen[n] for n in kept]


def _decoded(film: Forward, seconds: Fraction, *, is_video: bool) -> Picture | None:
    """The frame at a time, (H, W, 3); None where its two fields show two moments."""
    source = film.source
    half = 1 / (source.video.frame_rate or Fraction(25)) / 2
    near = film.judged(seconds - half, seconds + 4 * half)
    if not near:
        return None
    frame, is_made = near[0]
    if is_made or (is_video and _is_combed(source, frame)):
        return None
    planes = [plane[None] for plane in frame.planes]
    rgb = decode_planes(planes, source.video.layout, source.video.color, "rgb")[0]
    return rgb.mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def _is_combed(source: Source, frame: Frame) -> bool:
    """Whether a picture of a film of fields combs at all; fine hatching counts, too."""
    luma = frame.planes[0].numpy().astype(np.int16) >> (source.video.layout.bit_depth - 8)
    height, width = (length // 16 * 16 for length in luma.shape)
    fields = Fields(luma[:height:2, :width], luma[1:height:2, :width])
    return bool((fields.combing >= COMBED).mean() > COMBED_SHARE)
