"""Y4M, what encoders and filters take from a pipe: a line of text, then pictures alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Self

import av
from torch import Tensor

from remaster.errors import OptionsError, OutputError, SourceError, VerificationError
from remaster.frames import Frame, PixelLayout, VideoInfo
from remaster.media.encoders import Encoding
from remaster.media.film import is_same_picture
from remaster.media.formats import is_planar, layout_of, planar_format
from remaster.media.holding import file_tags
from remaster.media.opening import demuxed, open_source
from remaster.media.packets import Span
from remaster.media.piping import PipeOutput, is_pipe, standard_output
from remaster.media.placed import Placed, explained
from remaster.media.placing import flush_to_disk
from remaster.media.probe import Source
from remaster.media.writer import Written, check_output

__all__ = ["Y4mWriter", "even_rate", "header", "y4m_encoding", "y4m_notes"]

_CHROMA = {"left": "420mpeg2", "center": "420jpeg", "topleft": "420paldv"}
_RANGES = {"limited": "LIMITED", "full": "FULL"}
_FRAME = b"FRAME\n"
_DEFAULT_RATE = Fraction(25)
_USUAL_RATES = (
    *(Fraction(1000 * rate, 1001) for rate in (24, 30, 60)),
    *(Fraction(rate) for rate in (12, 15, 24, 25, 30, 50, 60)),
)
_NEAR = Fraction(1, 100)
_ROUNDING_SECONDS = Fraction(1, 500)
"""By how much times may lie off their rate: Matroska rounds each to a millisecond."""

_HOW = "plain pictures as Y4M"


def y4m_encoding(layout: PixelLayout, pix_fmt: str | None) -> Encoding:
    """Pictures as they are, R'G'B' as 4:4:4. Raises OptionsError for a format Y4M has no word for.

    Args:
        layout: of the source.
        pix_fmt: FFmpeg's pixel format, None for that of `layout`.
    """
    if pix_fmt is None:
        is_rgb = layout.subsampling == "rgb"
        pix_fmt = planar_format(PixelLayout("444", layout.bit_depth) if is_rgb else layout)
    asked = layout_of(pix_fmt)
    if asked.subsampling == "rgb" or pix_fmt != planar_format(asked) or not is_planar(pix_fmt):
        raise OptionsError(
            f"--pix-fmt {pix_fmt} does not go into Y4M: give yuv420p, yuv422p, yuv444p or gray, "
            f"or one of them with 10le or 12le."
        )
    return Encoding("rawvideo", pix_fmt, {})


def y4m_notes(source: Source, video: VideoInfo) -> tuple[str, ...]:
    """What Y4M cannot say of a film, beside the streams that it leaves out."""
    color = video.color
    notes = [
        f"Y4M says nothing of the colour's matrix, primaries and transfer: tell the next program "
        f"{color.matrix}, {color.primaries}, {color.transfer}",
        f"Y4M has one rate and no times: {video.frame_rate or _DEFAULT_RATE} frames a second, "
        f"beginning at 0",
    ]
    tags = file_tags(source.metadata)
    lost = {"chapters": source.chapters, "tags": tags, "rotation": source.rotation}
    names = [name for name, value in lost.items() if value]
    if names:
        notes.append(f"Y4M cannot hold the {' and the '.join(names)}")
    return tuple(notes)


def even_rate(source: Source, start: Fraction | None, end: Fraction | None) -> Fraction | None:
    """The one rate of a part's pictures, found in their times; None where nothing says it.

    A pipe cannot be looked through beforehand: its rate is the one it states, and `Y4mWriter` says
    how far its pictures were off. What a file states is believed where its pictures agree: it is
    often a mean that counts how long the last one is held.

    Raises OptionsError where a picture of a file lies more than half a picture off.
    """
    stated = source.video.frame_rate
    if is_pipe(source.path):
        return stated
    times: list[Fraction] = []
    with open_source(source.path) as container, suppress(av.FFmpegError):
        place = source.timeline.placer()
        for packet in demuxed(container, container.streams[source.video_index]):
            place(packet)
            if packet.size and packet.pts is not None:
                times.append(packet.pts * packet.time_base - source.origin)
    until = end if end is not None else max(times, default=Fraction(0)) + 1
    kept = sorted(time for time in times if (start or times[0]) <= time < until)
    found: list[_Grid] = []
    for rates in _likely_rates(kept, stated):
        found += [_Grid.through(kept, rate) for rate in rates]
        if found and _off(min(found, key=_off)) <= _ROUNDING_SECONDS:
            break
    if not found:
        return stated
    grid = min(found, key=_off)
    if grid.is_left:
        raise OptionsError(
            f"{source.name} has a variable frame rate (at {float(grid.where):.3f} s a picture is "
            f"{float(grid.farthest) * 1000:.0f} ms off {float(grid.rate):.3f} a second), which "
            f"Y4M cannot say: give --format mkv."
        )
    return grid.rate


def _likely_rates(
    times: Sequence[Fraction], stated: Fraction | None
) -> Iterator[Sequence[Fraction]]:
    """A usual rate that is stated, usual ones near the measured one, any other, the measured one.

    A stated rate that is not usual may be a mean, close to a usual one in a short film.
    """
    said = () if stated is None else (stated,)
    half = len(times) // 2
    if not half:
        yield said
        return
    if stated in _USUAL_RATES:
        yield said
    steps = sorted((late - early) / half for early, late in zip(times, times[half:]))
    step = steps[len(steps) // 2]  # the median: a picture that is held moves few of them
    if step > 0:
        yield tuple(rate for rate in _USUAL_RATES if abs(rate * step - 1) <= _NEAR)
    yield said
    if step > 0:
        yield ((1 / step).limit_denominator(1001),)


def _off(grid: _Grid) -> Fraction:
    return abs(grid.farthest)


def header(video: VideoInfo) -> bytes:
    """The first line of a Y4M stream."""
    rate = video.frame_rate or _DEFAULT_RATE
    aspect = video.sample_aspect_ratio
    words = [
        f"YUV4MPEG2 W{video.width} H{video.height}",
        f"F{rate.numerator}:{rate.denominator} Ip A{aspect.numerator}:{aspect.denominator}",
        f"C{_color_space(video)} XCOLORRANGE={_RANGES[video.color.range]}",
    ]
    return (" ".join(words) + "\n").encode()


class Y4mWriter:
    """Writes one film's pictures; has the face of `Writer` and keeps its promises for files."""

    def __init__(
        self,
        output: Path,
        source: Source,
        video: VideoInfo,
        encoding: Encoding,
        *,
        overwrite: bool,
        start: Fraction | None = None,
        end: Fraction | None = None,
        named: str | None = None,
    ) -> None:
        """As `Writer`. Raises OptionsError and OutputError."""
        check_output(output, source, overwrite=overwrite, named=named)
        assert layout_of(encoding.pixel_format) == video.layout
        self._placed = None if is_pipe(output) else Placed(output, _HOW, overwrite=overwrite)
        self._output = output if self._placed is None else self._placed.path
        self._video = video
        self._span = Span.of(source, start, end)
        self._header = header(video)
        self._grid = _Grid(video.frame_rate or _DEFAULT_RATE)
        self._resources = ExitStack()
        self._pipe: PipeOutput | None = None
        self._frames = 0
        self._last: int | None = None
        self._digest = hashlib.blake2b(digest_size=16)
        self._planes: tuple[Tensor, ...] = ()
        self._data = b""
        """The bytes of `_planes`, the picture before."""

    def __enter__(self) -> Self:
        with ExitStack() as resources, self._explained():
            if self._placed is None:
                descriptor = resources.enter_context(standard_output())
                self._pipe = PipeOutput(descriptor, holds_header=False)
            else:
                self._partial = resources.enter_context(self._placed)
                self._file: BinaryIO = resources.enter_context(self._partial.open("wb"))
            self._send(self._header)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()

    def write(self, frame: Frame) -> None:
        """Add one picture. Raises OutputError when the disk is full or nobody reads the pipe."""
        assert self._last is None or frame.pts > self._last, "frames come in order"
        self._last = frame.pts
        self._frames += 1
        self._grid.add(frame.pts * self._video.time_base)
        if not self._data or not is_same_picture(frame.planes, self._planes):
            parts = (plane.numpy().tobytes() for plane in frame.planes)
            self._planes, self._data = frame.planes, b"".join((_FRAME, *parts))
        self._digest.update(memoryview(self._data)[len(_FRAME) :])
        with self._explained():
            self._send(self._data)

    def finish(self) -> Written:
        """Read a file back, and put it in its place; a pipe is finished as it is.

        Raises OutputError, and VerificationError when what was written is not what was asked.
        """
        if not self._frames:
            raise OutputError(f"No frame was written to {self._output}: the part chosen is empty.")
        if self._pipe is not None:
            return self._written(self._pipe.sent)
        with self._explained():
            self._file.close()
            flush_to_disk(self._partial)
            size = self._partial.stat().st_size
        assert self._placed is not None
        with self._placed.verified():
            self._verify()
        self._placed.put()
        return self._written(size)

    def _written(self, size: int) -> Written:
        return Written(
            self._output, self._frames, size, self._warnings(), is_read_back=self._pipe is None
        )

    def _warnings(self) -> tuple[str, ...]:
        if not self._grid.is_left:
            return ()
        return (
            f"The pictures are not evenly spaced, which Y4M cannot say: at "
            f"{float(self._grid.where):.3f} s one is {float(self._grid.farthest) * 1000:.0f} ms "
            f"off its time.",
        )

    def _send(self, data: bytes) -> None:
        target = self._file if self._pipe is None else self._pipe
        target.write(data)

    def _verify(self) -> None:
        """Hold every byte of the file against what was to be written."""
        digest, frames, reason = hashlib.blake2b(digest_size=16), 0, ""
        found: tuple[int, int, str | None, Fraction | None] | None
        try:
            with open_source(self._partial) as container:
                stream = container.streams.video[0]
                found = (stream.width, stream.height, stream.pix_fmt, stream.average_rate)
                for packet in container.demux(stream):
                    if packet.size:
                        digest.update(memoryview(packet))
                        frames += 1
        except (av.FFmpegError, SourceError) as error:
            found, reason = None, f" ({error})"
        video = self._video
        wanted = (video.width, video.height, planar_format(video.layout), self._grid.rate)
        if (found, frames, digest.digest()) == (wanted, self._frames, self._digest.digest()):
            return
        raise VerificationError(f"The written file is not what was to be written{reason}")

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._output, _HOW)


class _Grid:
    """How far times lie from those that one rate gives, counted from the first."""

    def __init__(self, rate: Fraction) -> None:
        self.rate = rate
        self.farthest = Fraction(0)
        self.where = Fraction(0)
        self._first: Fraction | None = None
        self._count = 0

    @classmethod
    def through(cls, times: Iterable[Fraction], rate: Fraction) -> Self:
        """The grid of a rate with these times on it."""
        grid = cls(rate)
        for time in times:
            grid.add(time)
        return grid

    def add(self, time: Fraction) -> None:
        """`time` in seconds, one after the other."""
        self._first = time if self._first is None else self._first
        off = time - self._first - self._count / self.rate
        if abs(off) > abs(self.farthest):
            self.farthest, self.where = off, time
        self._count += 1

    @property
    def is_left(self) -> bool:
        """Whether a time lies more than half a picture off."""
        return abs(self.farthest) * self.rate > Fraction(1, 2)


def _color_space(video: VideoInfo) -> str:
    layout = video.layout
    name = "mono" if layout.subsampling == "gray" else layout.subsampling
    if layout.bit_depth == 8:
        return _CHROMA.get(video.color.chroma_location, name) if name == "420" else name
    if name == "mono":
        return f"mono{layout.bit_depth}"
    return f"{name}p{layout.bit_depth} XYSCSS={name}P{layout.bit_depth}"
