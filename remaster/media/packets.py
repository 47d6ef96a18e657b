"""What packets hold, apart from the container that carries them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from fractions import Fraction

from av.packet import Packet
from av.stream import Stream

from remaster.media.probe import Source, StreamInfo

__all__ = ["Span", "Tally", "digest", "payload"]


@dataclass(frozen=True)
class Span:
    """The part of a source that is written, and how its times move."""

    shift: Fraction
    """Seconds subtracted from the source's times."""

    length: Fraction | None
    """Seconds from there to the end of the part; None: to the end of the source."""

    is_clipped: bool
    """Whether what lies before second 0 of the output is left out."""

    @staticmethod
    def of(source: Source, start: Fraction | None, end: Fraction | None) -> Span:
        """`start` and `end` in seconds, `source.origin` already subtracted."""
        begin = start or Fraction(0)
        return Span(source.origin + begin, None if end is None else end - begin, begin > 0)


def digest(data: bytes) -> str:
    """A short fingerprint of bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def payload(packet: Packet[Stream], stream: StreamInfo) -> bytes:
    """The bytes of a packet that every container keeps; empty for a mere filler.

    AAC in a transport stream carries a header on each packet, which other containers keep once.
    MP4 fills the gaps between subtitles with empty ones.
    """
    data = bytes(packet)
    if stream.codec == "mov_text" and data[:2] == b"\0\0":
        return b""
    is_adts = stream.codec == "aac" and not stream.has_header and len(data) > 9
    if is_adts and data[0] == 0xFF and data[1] & 0xF0 == 0xF0:
        return data[7 if data[1] & 1 else 9 :]
    return data


@dataclass
class Tally:
    """What went through one stream."""

    stream: StreamInfo
    is_converted: bool = False
    packets: int = 0
    _digest: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def add(self, data: bytes) -> None:
        self.packets += 1
        self._digest.update(data)

    @property
    def digest(self) -> str:
        """Of all payloads, one after the other: some containers cut PCM into other packets."""
        return self._digest.hexdigest()
