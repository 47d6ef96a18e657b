"""The output file: the film encoded, everything else copied, in place only when verified."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from remaster.errors import OutputError, VerificationError
from remaster.frames import Frame, VideoInfo
from remaster.media import matroska
from remaster.media.copying import PacketCopier
from remaster.media.encoders import Encoding, container_format
from remaster.media.film import FilmEncoder, needs_pixel_aspect
from remaster.media.packets import Span
from remaster.media.placing import (
    LEAST_FREE_BYTES,
    flush_to_disk,
    free_bytes,
    keep_beside,
    partial_file,
    put_in_place,
    real_place,
)
from remaster.media.probe import Source
from remaster.media.rehearsal import rehearse
from remaster.media.streams import StreamPlan, plan_streams
from remaster.media.verify import Expectation, verify

if TYPE_CHECKING:
    from av.container.core import Chapter as ContainerChapter

__all__ = ["Writer", "Written", "check_output"]

_CHAPTER_TICK = Fraction(1, 1000)
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FILM_TAGS = ("title", "language")
_MUXER_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
_MUXER_OPTIONS = {
    "mp4": {"movflags": "+faststart+write_colr"},
    "mov": {"movflags": "+faststart+write_colr"},
    "matroska": {"avoid_negative_ts": "disabled"},
    "webm": {"avoid_negative_ts": "disabled"},
}
"""Matroska by default moves the whole film when the sound begins before it."""


@dataclass(frozen=True)
class Written:
    """What a finished file holds."""

    path: Path
    frames: int
    bytes: int
    warnings: tuple[str, ...]


def check_output(output: Path, source: Source, *, overwrite: bool) -> None:
    """Raise OutputError or OptionsError for a path that a film cannot be written to."""
    container_format(output)
    place = real_place(output)
    folder = place.absolute().parent
    if not folder.is_dir():
        raise OutputError(f"There is no directory {folder}: create it, or write elsewhere.")
    if place.is_dir():
        raise OutputError(f"{output} is a directory: give a file name.")
    if place.exists():
        if not place.is_file():
            raise OutputError(f"{output} is a pipe or a device, not a file: give another name.")
        if place.samefile(source.path):
            raise OutputError(f"{output} is the input itself: write to another file.")
        if not overwrite:
            raise OutputError(f"{output} exists: give -y to replace it, or write to another file.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"The directory {folder} cannot be written to: write elsewhere.")
    free = free_bytes(folder)
    if free is not None and free < LEAST_FREE_BYTES:
        raise OutputError(
            f"The disk of {folder} is full ({free / 1000:.0f} kB free): free some space, or write "
            f"elsewhere."
        )


class Writer:
    """Writes one film; a context manager.

    Nothing appears at `output` until `finish` has verified the whole file. Leaving the context
    without `finish` removes the unfinished file and leaves an older output untouched. A finished
    file that cannot have its place is kept under another name.
    """

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
    ) -> None:
        """Check everything that can be checked before work starts.

        Args:
            output: .mkv, .mp4, .mov or .webm.
            source: where sound, subtitles, chapters and the rest come from.
            video: the film as it is to be written.
            encoding: from `choose_encoding`.
            overwrite: whether an existing output may be replaced.
            start, end: seconds, `source.origin` subtracted: the part that is written. The times
                of the frames given to `write` count from `start`.

        Raises OptionsError and OutputError.
        """
        check_output(output, source, overwrite=overwrite)
        self._output = real_place(output)
        self._source = source
        self._video = video
        self._encoding = encoding
        self._overwrite = overwrite
        self._format = container_format(output)
        self._span = Span.of(source, start, end)
        self._resources = ExitStack()
        self.plan: StreamPlan = plan_streams(source, self._format)
        rehearse(video, encoding, self._format)

    def __enter__(self) -> Self:
        with ExitStack() as resources, self._explained():
            self._partial = resources.enter_context(partial_file(self._output))
            self._container = av.open(
                f"file:{self._partial.absolute()}",
                "w",
                format=self._format,
                container_options=self._muxer_options(),
            )
            resources.callback(_abandon, self._container)
            self._copier = resources.enter_context(PacketCopier(self._source, self._span))
            self._add_streams()
            self._container.start_encoding()
            self._copier.start(self._container)
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._resources.close()

    def write(self, frame: Frame) -> None:
        """Encode one frame; planes on the CPU as `layout_of(encoding.pixel_format)` says.

        Raises OutputError when the disk is full or the encoder fails.
        """
        with self._explained():
            self._mux(self._film.encode(frame))

    def finish(self) -> Written:
        """Flush, verify, and put the file in its place.

        Raises OutputError, and VerificationError when what was written is not what was asked.
        """
        if not self._film.pts:
            raise OutputError(f"No frame was written to {self._output}: the part chosen is empty.")
        with self._explained():
            self._mux(self._film.encode(None))
            self._copier.advance(None)
            self._container.close()
            if needs_pixel_aspect(self._video, self._format):
                with self._partial.open("r+b") as file:
                    matroska.write_pixel_aspect(file, self._video.sample_aspect_ratio)
            flush_to_disk(self._partial)
        self._verify()
        size = self._partial.stat().st_size
        self._place()
        warnings = (*self.plan.warnings, *self._copier.warnings)
        return Written(self._output, len(self._film.pts), size, warnings)

    def _verify(self) -> None:
        chapters = [
            (chapter["start"] * _CHAPTER_TICK, chapter["metadata"].get("title", ""))
            for chapter in self._chapters()
        ]
        expected = Expectation(
            container=self._format,
            video=self._video,
            pts=self._film.pts,
            rotation=self._source.rotation,
            language=self._source.streams[self._source.video_index].language,
            tallies=self._copier.tallies,
            attachments=self._copier.attachments,
            chapters=chapters,
        )
        try:
            verify(self._partial, expected)
        except VerificationError as error:
            with self._explained():
                kept = keep_beside(self._partial, self._output, "unverified")
            raise VerificationError(
                f"{error}; it is kept as {kept} instead of put in place: watch it, and report this."
            ) from error

    def _place(self) -> None:
        """Give the finished file its name; under another one, rather than lose it."""
        with self._explained():
            try:
                put_in_place(self._partial, self._output, overwrite=self._overwrite)
            except OSError as error:
                kept = keep_beside(self._partial, self._output, "finished")
                is_taken = isinstance(error, FileExistsError)
                reason = "exists by now" if is_taken else f"cannot be put there ({error.strerror})"
                raise OutputError(
                    f"{self._output} {reason}, so the finished film is kept as {kept}: rename it, "
                    f"or give -y where an output may be replaced."
                ) from error
            flush_to_disk(self._output.absolute().parent)

    def _muxer_options(self) -> dict[str, str]:
        options = dict(_MUXER_OPTIONS[self._format])
        if needs_pixel_aspect(self._video, self._format):
            options.update(matroska.MUXER_OPTIONS)
        return options

    def _add_streams(self) -> None:
        """The streams of the output, in the order of the source, and what describes the file."""
        planned = {each.stream.index: each for each in self.plan.streams}
        for info in self._source.streams:
            if info.index == self._source.video_index:
                self._film = FilmEncoder(
                    self._container,
                    self._video,
                    self._encoding,
                    rotation=self._source.rotation,
                    tags={key: info.metadata[key] for key in _FILM_TAGS if key in info.metadata},
                )
            elif info.index in planned:
                self._copier.add_stream(planned[info.index], self._container)
        tags = self._source.metadata
        self._container.metadata.update(
            {key: value for key, value in tags.items() if key.lower() not in _MUXER_TAGS}
        )
        self._container.set_chapters(self._chapters())

    def _chapters(self) -> list[ContainerChapter]:
        """The source's chapters that lie in the part which is written, clipped to it."""
        begin = self._span.shift - self._source.origin
        length = self._span.length
        chapters: list[ContainerChapter] = []
        for chapter in self._source.chapters:
            start, end = max(chapter.start - begin, Fraction(0)), chapter.end - begin
            end = end if length is None else min(end, length)
            if end > start:
                chapters.append(
                    {
                        "id": len(chapters) + 1,
                        "start": round(start / _CHAPTER_TICK),
                        "end": round(end / _CHAPTER_TICK),
                        "time_base": _CHAPTER_TICK,
                        "metadata": dict(chapter.metadata),
                    }
                )
        return chapters

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        """The film's packets, each behind everything else that is due before it."""
        for packet in packets:
            ticks = packet.dts if packet.dts is not None else packet.pts
            if ticks is not None:
                self._copier.advance(ticks * packet.time_base)
            self._container.mux(packet)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in words what a library says in numbers."""
        try:
            yield
        except (av.FFmpegError, OSError, ValueError) as error:
            if getattr(error, "errno", None) in _FULL_DISK:
                raise OutputError(
                    f"The disk is full, {self._output} could not be finished: free some space "
                    f"or write elsewhere."
                ) from error
            if not self._output.absolute().parent.is_dir():
                raise OutputError(
                    f"The directory of {self._output} is gone, removed or on a drive that was "
                    f"taken away, and the film with it: run again, to a place that stays."
                ) from error
            raise OutputError(
                f"{self._output} could not be written with {self._encoding.codec} as "
                f"{self._format}: {getattr(error, 'strerror', None) or error}."
            ) from error


def _abandon(container: OutputContainer) -> None:
    """Close a container whose file is thrown away, so that its errors matter no more."""
    with suppress(av.FFmpegError, OSError, ValueError):
        container.close()
