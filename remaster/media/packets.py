"""What packets hold, apart from the container that carries them."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass, field
from fractions import Fraction

from av.packet import Packet
from av.stream import Stream

from remaster.media.probe import Source, StreamInfo

__all__ = [
    "FORMATS_WITHOUT_PTS",
    "NO_TIME",
    "RESTART_SECONDS",
    "Attachment",
    "Span",
    "Tally",
    "digest",
    "payload",
]

RESTART_SECONDS = 1
"""A time that lies further back belongs to another clock; less is a fault of one packet."""

NO_TIME = -(1 << 63)
"""In a tally, of a packet whose container does not say it."""

FORMATS_WITHOUT_PTS = ("avi", "h264", "hevc", "m4v", "mpegvideo", "vc1", "dirac", "obu")
"""Demuxers of files that say only when a picture is decoded."""

_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Span:
    """The part of a source that is written, and how its times move."""

    shift: Fraction
    """Seconds subtracted from the source's times."""

    length: Fraction | None
    """Seconds from there to the end of the part; None: to the end of the source."""

    is_clipped: bool
    """Whether what lies before second 0 of the output is left out."""

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the source."""
        return self.length is None and not self.is_clipped

    @staticmethod
    def of(source: Source, start: Fraction | None, end: Fraction | None) -> Span:
        """`start` and `end` in seconds, `source.origin` already subtracted."""
        begin = start or Fraction(0)
        return Span(source.origin + begin, None if end is None else end - begin, begin > 0)


@dataclass(frozen=True, order=True)
class Attachment:
    """A font or a picture that lies in a file's header."""

    name: str
    mimetype: str
    description: str
    digest: str


def digest(data: bytes) -> str:
    """A short fingerprint of bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _has_adts_header(data: bytes) -> bool:
    """Whether a muxer can take the header off (ISO/IEC 14496-3, 1.A.2)."""
    if len(data) < 9 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return False
    length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    knows_rate = (data[2] >> 2) & 15 < 13
    has_blocks_with_checksums = not data[1] & 1 and data[6] & 3
    return knows_rate and length >= 7 and not has_blocks_with_checksums


def payload(packet: Packet[Stream], stream: StreamInfo) -> bytes:
    """The bytes of a packet that every container keeps; empty for a mere filler.

    AAC in a transport stream carries a header on each packet, which other containers keep once; a
    packet whose header is damaged is no sound.
    MP4 fills the gaps between subtitles with empty ones. A file cut off may end inside a sample
    of PCM, which is no sound.
    """
    data = bytes(packet)
    if stream.sample_bytes > 1:
        return data[: len(data) // stream.sample_bytes * stream.sample_bytes]
    if stream.codec == "mov_text" and data[:2] == b"\0\0":
        return b""
    if stream.codec == "aac" and not stream.has_header:
        if _has_adts_header(data):
            return data[7 if data[1] & 1 else 9 :]
        return b"" if stream.needs_packet_headers else data
    return data


@dataclass
class Tally:
    """What went through one stream."""

    stream: StreamInfo
    converted_to: str = ""
    """The codec its packets are written in; empty: their own."""

    packets: int = 0
    times: array[int] = field(default_factory=lambda: array("q"))
    """When each packet is shown or heard, in microseconds: a film has millions of them."""

    lengths: array[int] = field(default_factory=lambda: array("q"))
    """Of subtitles, how long each lasts, in microseconds; 0 where it is not said."""

    key_changes: array[int] = field(default_factory=lambda: array("q"))
    """Numbers of the packets that can be decoded without those before them where the one before
    cannot, and the other way round; the first is expected to."""

    end: int = 0
    """When the last packet is over, in microseconds."""

    _digest: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def count(self, data: bytes) -> None:
        """Count a packet by what it holds alone."""
        self.packets += 1
        self._digest.update(data)

    def add(self, data: bytes, time: Fraction | None, length: Fraction, is_key: bool) -> None:
        """Count a packet; its time, if it has one, and its length in seconds."""
        if is_key == len(self.key_changes) % 2:
            self.key_changes.append(self.packets)
        self.count(data)
        self.times.append(NO_TIME if time is None else round(time * _MICROSECONDS))
        if self.stream.kind == "subtitle":
            self.lengths.append(round(length * _MICROSECONDS))
        self.end = round(((time or 0) + length) * _MICROSECONDS)

    @property
    def codec(self) -> str:
        """In which its packets are written."""
        return self.converted_to or self.stream.codec

    @property
    def digest(self) -> str:
        """Of all payloads, one after the other: some containers cut PCM into other packets."""
        return self._digest.hexdigest()
