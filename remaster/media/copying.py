"""Packets of the source's other streams, moved into the output unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from typing import Self

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Stream

from remaster.media.opening import demuxed, open_source
from remaster.media.packets import RESTART_SECONDS, Span, Tally, clock_starts_again, digest
from remaster.media.probe import Source, StreamInfo
from remaster.media.streams import PlannedStream, harmless_name, kept_tags, new_stream
from remaster.media.tracks import Track

__all__ = ["PacketCopier"]

_SEEK_MARGIN_SECONDS = 10
_INTERLEAVING_SECONDS = 30
"""How far apart in time packets may lie that are neighbours in a file."""

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
        self._pending: tuple[Fraction, Packet[Stream]] | None = None
        self.attachments: list[str] = []
        """Digests of the fonts and pictures which the header carries."""

    def __enter__(self) -> Self:
        self._input = self._resources.enter_context(open_source(self._source.path))
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """Of every stream that is fed with packets, in the order of the output."""
        return tuple(track.tally for track in self._tracks.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence per stream whose packets came out of order."""
        return tuple(
            f"{track.moved_packets} packets of the {track.info} are out of order in the source: "
            f"they come up to {float(track.moved_seconds):.2f} s late."
            for track in self._tracks.values()
            if track.moved_packets
        ) + (
            ("A stream that begins in the middle of the source is left out.",)
            if self._unannounced
            else ()
        )

    def add_stream(self, planned: PlannedStream, output: OutputContainer) -> None:
        """Give the output a stream, or an attachment, for a planned one."""
        source = self._input.streams[planned.stream.index]
        if planned.action == "attach":
            self._attach(planned.stream, source, output)
        elif planned.action != "drop":
            strict = output.format.name not in _EQUAL_TIMES_ALLOWED
            stream = new_stream(planned, source, output)
            self._tracks[source.index] = Track(planned, source, stream, strict)

    def start(self, output: OutputContainer) -> None:
        """Begin reading; the output's header is written, so that its time bases stand."""
        self._output = output
        self._packets = self._read()
        self._pending = next(self._packets, None)

    def advance(self, time: Fraction | None) -> None:
        """Mux what is due up to `time` (seconds of the output), or everything left."""
        while self._pending is not None and (time is None or self._pending[0] <= time):
            self._output.mux(self._pending[1])
            self._pending = next(self._packets, None)

    def _attach(self, info: StreamInfo, source: Stream, output: OutputContainer) -> None:
        is_font = info.kind == "attachment"
        data = _attached_file(source) if is_font else _first_payload(self._source, info.index)
        suffix = {"mjpeg": "jpg"}.get(info.codec, info.codec)
        mimetype = {"jpg": "image/jpeg"}.get(suffix, f"image/{suffix}")
        stated = info.metadata.get("filename", "attachment" if is_font else f"cover.{suffix}")
        name = harmless_name(stated)
        attachment = output.add_attachment(
            name,
            info.metadata.get("mimetype", "application/octet-stream" if is_font else mimetype),
            data,
        )
        attachment.metadata.update({**kept_tags(info.metadata), "filename": name})
        self.attachments.append(digest(data))

    def _read(self) -> Iterator[tuple[Fraction, Packet[Stream]]]:
        """(time in seconds of the output, packet ready to be muxed)."""
        if not self._tracks:
            return
        for stream in self._input.streams:
            if stream.index not in self._tracks:
                stream.discard = Discard.all
        self._seek()
        latest = Fraction(0)
        for packet in self._demuxed():
            track = self._tracks[packet.stream.index]
            due = track.due(packet, self._span)
            length = self._span.length
            if length is not None and due > length + _INTERLEAVING_SECONDS:
                return
            if track.goes_back(packet):
                if length is not None and length <= latest + RESTART_SECONDS:
                    return  # a part of joined parts, and it is over
                shift = self._span.shift - self._source.origin
                raise clock_starts_again(self._source, str(track.info), latest + shift, due + shift)
            latest = max(latest, due)
            ready = track.take(packet, self._span)
            if ready is not None:
                yield due, ready

    def _demuxed(self) -> Iterator[Packet[Stream]]:
        """Packets as the source holds them, up to where it can be read."""
        with suppress(av.FFmpegError):  # the reader reports a source that breaks off
            sources = [track.source for track in self._tracks.values()]
            for packet in demuxed(self._input, sources, self._unannounced):
                if packet.size:
                    yield packet

    def _seek(self) -> None:
        """Skip what lies before the span.

        Not where a subtitle may have begun long before, nor where a time may come twice.
        """
        position = round((self._span.shift - _SEEK_MARGIN_SECONDS) * av.time_base)
        is_sound = all(track.info.kind == "audio" for track in self._tracks.values())
        is_sure = is_sound and not self._source.may_restart
        if self._span.is_clipped and is_sure and position > 0:
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
