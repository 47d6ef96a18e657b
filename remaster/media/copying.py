"""Packets of the source's other streams, moved into the output unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from itertools import chain
from typing import Self

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Disposition, Stream

from remaster.media.holding import track_tags
from remaster.media.opening import demuxed, open_source
from remaster.media.packets import (
    Attachment,
    Span,
    Tally,
    digest,
)
from remaster.media.piping import is_pipe
from remaster.media.probe import Source, StreamInfo
from remaster.media.streams import PlannedStream, harmless_name, new_stream
from remaster.media.tracks import Track

__all__ = ["PacketCopier"]

_SEEK_MARGIN_SECONDS = 10
_INTERLEAVING_SECONDS = 30
"""How far apart in time packets may lie that are neighbours in a file."""

_PACKETS_BEHIND = 16
"""So many in a row are no damaged times."""

_EQUAL_TIMES_ALLOWED = ("matroska", "webm")


class PacketCopier:
    """Feeds an output with streams of a source, in step with the film.

    Opens the source a second time; a context manager.
    """

    def __init__(self, source: Source, span: Span) -> None:
        self._source = source
        self._span = span
        self._tracks: dict[int, Track] = {}
        self._resources = ExitStack()
        self._unannounced: list[int] = []
        self._refused = 0
        self._pending: tuple[Fraction, Packet[Stream] | None] | None = None

    def __enter__(self) -> Self:
        self._input = self._resources.enter_context(open_source(self._source.path))
        self._covers = {  # read at once: later a pipe may be past them
            info.index: _first_payload(self._source, info.index)
            for info in self._source.streams
            if info.is_cover
        }
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """Of every stream that is fed with packets, in the order of the output."""
        return tuple(track.tally for track in self._tracks.values())

    @property
    def subtitles_by_default(self) -> tuple[bool, ...]:
        """Of every subtitle stream in the output, whether it is shown unless told otherwise."""
        return tuple(
            bool(track.info.disposition & Disposition.default)
            for track in self._tracks.values()
            if track.info.kind == "subtitle"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about streams whose times were damaged, and about those that came late."""
        told = [words for track in self._tracks.values() for words in track.warnings]
        if self._refused:
            told.append(f"{self._refused} packets were refused by the container as damaged.")
        if self._unannounced:
            told.append("A stream that begins in the middle of the source is left out.")
        return tuple(told)

    def add_stream(self, planned: PlannedStream, output: OutputContainer) -> None:
        """Give the output a stream, or an attachment, for a planned one."""
        source = self._input.streams[planned.stream.index]
        if planned.action == "attach":
            self._attach(planned.stream, output)
        elif planned.action != "drop":
            strict = output.format.name not in _EQUAL_TIMES_ALLOWED
            stream = new_stream(planned, source, output)
            self._tracks[source.index] = Track(
                planned, source, stream, container=output.format.name, strict=strict
            )

    def start(self, output: OutputContainer) -> None:
        """Begin reading; the output's header is written, so that its time bases stand."""
        self._output = output
        if not self._tracks:
            self._resources.close()  # a pipe keeps nothing for this opening any more
        self._packets = chain(self._read(), self._left())
        self._pending = next(self._packets, None)

    def advance(self, time: Fraction | None) -> None:
        """Mux what is due up to `time` (seconds of the output), or everything left."""
        while self._pending is not None and (time is None or self._pending[0] <= time):
            if self._pending[1] is not None:
                try:
                    self._output.mux(self._pending[1])
                except av.InvalidDataError:  # no reason to lose the film: it is kept unverified
                    self._refused += 1
            self._pending = next(self._packets, None)

    def attachment(self, info: StreamInfo) -> tuple[Attachment, bytes]:
        """A font or a cover of the source, as it is to be attached."""
        source = self._input.streams[info.index]
        is_font = info.kind == "attachment"
        data = _attached_file(source) if is_font else self._covers[info.index]
        suffix = {"mjpeg": "jpg"}.get(info.codec, info.codec)
        mimetype = {"jpg": "image/jpeg"}.get(suffix, f"image/{suffix}")
        tags = {key.lower(): value for key, value in info.metadata.items()}
        described = Attachment(
            harmless_name(tags.get("filename") or ("attachment" if is_font else f"cover.{suffix}")),
            tags.get("mimetype") or ("application/octet-stream" if is_font else mimetype),
            tags.get("title", ""),
            digest(data),
        )
        return described, data

    def _attach(self, info: StreamInfo, output: OutputContainer) -> None:
        described, data = self.attachment(info)
        attachment = output.add_attachment(described.name, described.mimetype, data)
        for key, value in track_tags(info.metadata).items():
            attachment.metadata.setdefault(key, value)

    def _read(self) -> Iterator[tuple[Fraction, Packet[Stream] | None]]:
        """(time in seconds of the output, packet ready to be muxed or None for the film's).

        A pipe's film packets tell how far it is read: a search for the next subtitle must not
        read far ahead of the pictures, since all of that would have to be kept.
        """
        if not self._tracks:
            return
        for stream in self._input.streams:
            if stream.index not in self._followed:
                stream.discard = Discard.all
        self._seek()
        over: dict[int, int] = {}
        for packet in self._demuxed():
            track = self._tracks.get(packet.stream.index)
            if track is None:
                yield self._film_time(packet), None
                continue
            for steady in track.steadied(packet):
                due = track.due(steady, self._span)
                if self._is_over(due, track.info.index, over):
                    return
                for ready in track.take(steady, self._span):
                    yield due, ready

    def _is_over(self, due: Fraction, index: int, over: dict[int, int]) -> bool:
        """Whether every sound lies behind the part that is written, for several packets running."""
        length = self._span.length
        if length is None:
            return False
        is_behind = due > length + _INTERLEAVING_SECONDS
        over[index] = over.get(index, 0) + 1 if is_behind else 0
        heard = [each for each, track in self._tracks.items() if track.info.kind == "audio"]
        return all(over.get(each, 0) >= _PACKETS_BEHIND for each in heard or self._tracks)

    def _left(self) -> Iterator[tuple[Fraction, Packet[Stream]]]:
        """What tracks hold back until they know what follows."""
        for track in self._tracks.values():
            for steady in track.last_steadied():
                for ready in track.take(steady, self._span):
                    yield Fraction(0), ready
            for ready in track.flush():
                yield Fraction(0), ready

    @property
    def _followed(self) -> tuple[int, ...]:
        """Index in the source of every stream that is read."""
        film = [self._source.video_index] if is_pipe(self._source.path) else []
        return (*self._tracks, *film)

    def _film_time(self, packet: Packet[Stream]) -> Fraction:
        ticks = packet.dts if packet.dts is not None else packet.pts
        return (ticks or 0) * packet.time_base - self._span.shift

    def _demuxed(self) -> Iterator[Packet[Stream]]:
        """Packets as the source holds them, up to where it can be read."""
        with suppress(av.FFmpegError):  # the reader reports a source that breaks off
            place = self._source.timeline.placer()
            sources = [self._input.streams[i] for i in self._followed]
            for packet in demuxed(self._input, sources, self._unannounced):
                if packet.size:
                    place(packet)
                    yield packet

    def _seek(self) -> None:
        """Skip what lies before the span.

        Not where a subtitle may have begun long before, nor where a time may come twice.
        """
        position = round((self._span.shift - _SEEK_MARGIN_SECONDS) * av.time_base)
        is_sound = all(track.info.kind == "audio" for track in self._tracks.values())
        is_sure = is_sound and not self._source.may_restart
        can_seek = not is_pipe(self._source.path)
        if self._span.is_clipped and is_sure and can_seek and position > 0:
            self._input.seek(position)


def _attached_file(stream: Stream) -> bytes:
    assert isinstance(stream, AttachmentStream)
    return stream.data


def _first_payload(source: Source, index: int) -> bytes:
    """The first packet of a stream: the whole of a cover picture."""
    with open_source(source.path) as container:
        for packet in demuxed(container, container.streams[index]):
            if packet.size:
                return bytes(packet)
    return b""
