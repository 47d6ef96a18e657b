"""The output file: the film encoded, everything else copied, in place only when verified."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from remaster.errors import OutputError, VerificationError
from remaster.frames import Frame, VideoInfo
from remaster.media import matroska, mp4
from remaster.media.copying import PacketCopier
from remaster.media.encoders import Encoding, container_format
from remaster.media.external_film import (
    ExternalEncoding,
    ExternalFilmEncoder,
    rehearse_external,
)
from remaster.media.film import (
    ASSUMED_RATE,
    MATROSKA,
    FilmDescription,
    FilmEncoder,
    needs_pixel_aspect,
)
from remaster.media.holding import HOLDINGS, held_dispositions, held_tags, held_track_tags
from remaster.media.packets import Span
from remaster.media.piping import (
    PipeOutput,
    is_pipe,
    is_same_file,
    is_terminal,
    standard_output,
)
from remaster.media.placed import Placed, explained
from remaster.media.placing import LEAST_FREE_BYTES, flush_to_disk, free_bytes, real_place
from remaster.media.probe import Chapter, Source
from remaster.media.rehearsal import rehearse
from remaster.media.streams import StreamPlan, plan_streams
from remaster.media.verify import Expectation, verify

if TYPE_CHECKING:
    from av.container.core import Chapter as ContainerChapter

__all__ = ["Writer", "Written", "check_output", "check_place"]

_CHAPTER_TICK = Fraction(1, 1000)
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
    is_read_back: bool = True
    """Whether it was read again as a whole; what goes through a pipe cannot be."""


def check_output(
    output: Path,
    source: Source,
    *,
    overwrite: bool,
    named: str | None = None,
    folder_to_come: bool = False,
) -> None:
    """Raise OutputError or OptionsError for a path that a film cannot be written to.

    `folder_to_come`: its folder need not be there yet, only one that it can be made in.
    """
    container_format(output, named)
    if is_pipe(output):
        if is_terminal(1):
            raise OutputError(
                "Standard output is a terminal: pipe the film into a program or a file, or name "
                "a file with -o."
            )
        return
    check_place(output, source.path, overwrite=overwrite, folder_to_come=folder_to_come)


def check_place(
    output: Path, source: Path, *, overwrite: bool, folder_to_come: bool = False
) -> None:
    """Raise OutputError for a path that no file can be written to, or that is the source's.

    `folder_to_come`: its folder need not be there yet, only one that it can be made in.
    """
    place = real_place(output)
    folder = place.absolute().parent
    while folder_to_come and not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError(f"There is no directory {folder}: create it, or write elsewhere.")
    if place.is_dir():
        raise OutputError(f"{output} is a directory: give a file name.")
    if place.exists():
        if not place.is_file():
            raise OutputError(f"{output} is a pipe or a device, not a file: give another name.")
        if is_same_file(source, place):
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
        named: str | None = None,
    ) -> None:
        """Check everything that can be checked before work starts.

        Args:
            output: .mkv, .mp4, .mov or .webm; `-` for standard output.
            source: where sound, subtitles, chapters and the rest come from.
            video: the film as it is to be written.
            encoding: from `choose_encoding`.
            overwrite: whether an existing output may be replaced.
            start, end: seconds, `source.origin` subtracted: the part that is written. The times
                of the frames given to `write` count from `start`.
            named: the format, `mkv`, `mp4`, `mov` or `webm`, whatever the output's name ends in.

        Raises OptionsError and OutputError.
        """
        check_output(output, source, overwrite=overwrite, named=named)
        self._source = source
        self._video = video
        self._encoding = encoding
        self._format = container_format(output, named)
        how = f"{encoding.codec} as {self._format}"
        self._placed = None if is_pipe(output) else Placed(output, how, overwrite=overwrite)
        self._output = output if self._placed is None else self._placed.path
        self._pipe: PipeOutput | None = None
        self._film: FilmEncoder | ExternalFilmEncoder
        self._external: ExternalFilmEncoder | None = None
        self._has_begun = False
        self._muxed: list[int] = []
        self._span = Span.of(source, start, end)
        self._resources = ExitStack()
        self.plan: StreamPlan = plan_streams(source, self._format)
        if isinstance(encoding, ExternalEncoding):
            rehearse_external(video, encoding, self._format)
        else:
            rehearse(video, encoding, self._format)

    def __enter__(self) -> Self:
        with ExitStack() as resources, self._explained():
            self._container = av.open(
                self._target(resources),
                "w",
                format=self._format,
                container_options=self._muxer_options(),
            )
            resources.callback(_abandon, self._container)
            self._copier = resources.enter_context(PacketCopier(self._source, self._span))
            if isinstance(self._encoding, ExternalEncoding):
                external = ExternalFilmEncoder(self._video, self._encoding)
                self._external = self._film = resources.enter_context(external)
            else:
                self._begin()
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pipe is not None:
            self._pipe.break_off()
        self._resources.close()

    def write(self, frame: Frame) -> None:
        """Encode one frame; planes on the CPU as `layout_of(encoding.pixel_format)` says.

        Raises OutputError when the disk is full or the encoder fails.
        """
        with self._explained():
            self._mux(self._film.encode(frame))

    def finish(self, *, is_intact: bool = False) -> Written:
        """Flush, verify, and put the file in its place.

        `is_intact`: all that was written was read without damage, so that the time of every frame
        must be that of a picture in the source.

        Raises OutputError, and VerificationError when what was written is not what was asked.
        """
        if not self._film.pts:
            raise OutputError(f"No frame was written to {self._output}: the part chosen is empty.")
        with self._explained():
            self._mux(self._film.encode(None))
            self._copier.advance(None)
            self._container.close()
        warnings = (*self.plan.warnings, *self._copier.warnings, *self._untold())
        if self._pipe is not None:
            self._check_count()
            return Written(
                self._output, len(self._film.pts), self._pipe.sent, warnings, is_read_back=False
            )
        with self._explained():
            with self._partial.open("r+b") as file:
                self._complete_header(file)
                if not HOLDINGS[self._format].untold_default:
                    mp4.enable_subtitles(file, self._copier.subtitles_by_default)
            flush_to_disk(self._partial)
            size = self._partial.stat().st_size
        assert self._placed is not None
        with self._placed.verified():
            warnings += verify(self._partial, self._expectation(is_intact))
        self._placed.put()
        return Written(self._output, len(self._film.pts), size, warnings)

    def _target(self, resources: ExitStack) -> str | PipeOutput:
        """What the muxer writes to: a file beside the output, or standard output."""
        if self._placed is None:
            self._pipe = PipeOutput(resources.enter_context(standard_output()))
            return self._pipe
        self._partial = resources.enter_context(self._placed)
        return f"file:{self._partial.absolute()}"

    def _complete_header(self, file: BinaryIO) -> None:
        """Write what a Matroska muxer could not be told."""
        if needs_pixel_aspect(self._video, self._format):
            matroska.write_pixel_aspect(file, self._video.sample_aspect_ratio)
        if self._external is not None and self._format in MATROSKA:
            matroska.write_frame_rate(file, self._video.frame_rate or ASSUMED_RATE)

    def _check_count(self) -> None:
        """Every frame was given to the muxer as one packet, at its own time."""
        if sorted(self._muxed) != list(self._film.pts):
            raise VerificationError(
                f"{len(self._muxed)} pictures came out of {self._encoding.codec} for "
                f"{len(self._film.pts)} frames, or at other times: use another encoder, and "
                f"report this."
            )

    def _expectation(self, is_intact: bool) -> Expectation:
        return Expectation(
            source=self._source,
            span=self._span,
            is_intact=is_intact,
            container=self._format,
            video=self._video,
            codec=self._codec,
            encoder=self._encoding.codec,
            pts=self._film.pts,
            rotation=self._source.rotation,
            mirror=self._source.mirror,
            tags=self._tags(),
            streams=[planned.stream for planned in self.plan.having("copy", "convert")],
            tallies=self._copier.tallies,
            attachments=self._attachments,
            chapters=[_as_read(chapter) for chapter in self._chapters()],
        )

    def _muxer_options(self) -> dict[str, str]:
        options: dict[str, str] = dict(_MUXER_OPTIONS[self._format])
        if self._format in MATROSKA:
            options.update(matroska.MUXER_OPTIONS)
        return options

    def _begin(self) -> None:
        """Write the header; an external encoder must have said its parameters by then."""
        self._attachments = [
            self._copier.attachment(planned.stream)[0] for planned in self.plan.having("attach")
        ]
        self._add_streams()
        if self._external is not None:
            self._codec = self._external.codec
        else:
            self._codec = av.Codec(self._encoding.codec, "w").canonical_name
        self._container.start_encoding()
        if self._pipe is not None:
            self._pipe.release(self._complete_header)
        self._copier.start(self._container)
        self._has_begun = True

    def _add_streams(self) -> None:
        """The streams of the output, in the order of the source, and what describes the file."""
        planned = {each.stream.index: each for each in self.plan.streams}
        for info in self._source.streams:
            if info.index == self._source.video_index:
                description = FilmDescription(
                    rotation=self._source.rotation,
                    mirror=self._source.mirror,
                    tags=held_track_tags(self._format, info.metadata, is_film=True),
                    disposition=held_dispositions(self._format, info.disposition),
                )
                if self._external is not None:
                    self._external.add_stream(self._container, description)
                else:
                    self._film = FilmEncoder(
                        self._container, self._video, self._encoding, description
                    )
            elif info.index in planned:
                self._copier.add_stream(planned[info.index], self._container)
        self._container.metadata.update(self._tags())
        self._container.set_chapters(self._chapters())

    def _tags(self) -> dict[str, str]:
        """Of the file; a part that begins later has no timecode, since it would be wrong."""
        tags = held_tags(self._format, self._source.metadata, self._video.frame_rate)
        if self._span.is_clipped:
            return {key: value for key, value in tags.items() if key.lower() != "timecode"}
        return tags

    def _untold(self) -> Iterator[str]:
        if self._span.is_clipped and any(k.lower() == "timecode" for k in self._source.metadata):
            yield "The timecode is left out, since the part begins later than the source."

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
        if packets and not self._has_begun:
            self._begin()
        for packet in packets:
            packet.stream = self._film.stream
            if packet.pts is not None:
                self._muxed.append(round(packet.pts * packet.time_base / self._video.time_base))
            ticks = packet.dts if packet.dts is not None else packet.pts
            if ticks is not None:
                self._copier.advance(ticks * packet.time_base)
            self._container.mux(packet)

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._output, f"{self._encoding.codec} as {self._format}")


def _as_read(chapter: ContainerChapter) -> Chapter:
    begin, end = (chapter[name] * _CHAPTER_TICK for name in ("start", "end"))
    return Chapter(begin, end, chapter["metadata"])


def _abandon(container: OutputContainer) -> None:
    """Close a container whose file is thrown away, so that its errors matter no more."""
    with suppress(av.FFmpegError, OSError, ValueError):
        container.close()
