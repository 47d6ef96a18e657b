"""Opening a local media file or standard input, and nothing else, for reading."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from remaster.errors import SourceError
from remaster.media.matroska import late_parts
from remaster.media.piping import Opening, is_pipe, standard_input

__all__ = ["MOST_SOURCE_PIXELS", "demuxed", "late_in_pipe", "open_source", "size_of"]

StreamT = TypeVar("StreamT", bound=Stream)

MOST_SOURCE_PIXELS = 8192 * 4608
"""Of one picture: 8K with room to spare. A few bytes can state more than any memory holds."""

_FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,av1,ivf,flv,asf,ogg,rm,"
    "wtv,dv,nut,mxf,mxf_d10,gif,apng,yuv4mpegpipe,vc1,dirac,nuv,swf,bink,smk,"
    "film_cpk,thp,roq,fli"
)
"""Demuxers that read one file and nothing else: no playlist, no list of files, no text."""

_PIPE_BUFFER = 1 << 18
_LONGEST_PREFACE = 1 << 20
"""Bytes of an MP4 in front of its index or its pictures."""

_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"[playlist]", b"<?xml", b"<MPD", b"<asx", b"<smil", b"#!")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_SPECIAL_FILES = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_MOST_BOXES = 10_000


@contextmanager
def open_source(
    path: Path, *, most_pixels: int | None = MOST_SOURCE_PIXELS, is_last: bool = False
) -> Iterator[InputContainer]:
    """Open a local media file, or standard input for `-`, for reading; closed on the way out.

    Only the file protocol and formats that never open other files are allowed. Decoders refuse
    pictures of more than `most_pixels` before they ask for their memory; None leaves them be.

    Standard input can be opened again, and every time begins with its first byte, until once
    `is_last` is said: what nobody can ask for any more is then no longer kept.

    Raises SourceError when there is no such file or it is no media file.
    """
    bound = {} if most_pixels is None else {"max_pixels": str(most_pixels)}
    if is_pipe(path):
        _check_pipe()
        opened = closing(standard_input().open(is_last=is_last))
        with opened as opening, _open_stream(opening, bound) as container:
            _bind(container, bound)
            yield container
        return
    _check_file(path)
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    try:
        container = av.open(
            f"file:{path.absolute()}",
            "r",
            options=bound,
            container_options=options,
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError) as error:
        raise _not_media(path, error) from error
    with container:
        _bind(container, bound)
        yield container


def _bind(container: InputContainer, bound: Mapping[str, str]) -> None:
    """Give options to the decoders of a container's pictures."""
    for stream in container.streams.video:
        if stream.codec_context is not None:
            stream.codec_context.options.update(bound)


def size_of(path: Path) -> int:
    """Bytes of a source; of standard input as many as have come."""
    return standard_input().received if is_pipe(path) else path.stat().st_size


def late_in_pipe() -> tuple[str, ...]:
    """Names of what a Matroska film in standard input holds behind its pictures."""
    with closing(standard_input().open()) as opening:
        return late_parts(opening.read_all)


def _open_stream(opening: Opening, bound: dict[str, str]) -> InputContainer:
    """A container that is read from its first byte on, and never back."""
    options = {"protocol_whitelist": "pipe", "format_whitelist": _FORMATS}
    try:
        return av.open(
            opening,
            "r",
            options=bound,
            container_options=options,
            metadata_errors="replace",
            buffer_size=_PIPE_BUFFER,
        )
    except (av.FFmpegError, OSError) as error:
        raise SourceError(
            f"What came through standard input is no film that can be read "
            f"({error.strerror or error}): pipe Y4M, MKV or TS."
        ) from error


def _check_pipe() -> None:
    with closing(standard_input().open()) as opening:
        head = opening.read_all(8)
        kind = head[4:]
        if not head:
            raise SourceError("Standard input is empty: the program before it wrote nothing.")
        if kind in (b"ftyp", b"wide", b"mdat", b"free", b"skip") and _index_comes_late():
            raise SourceError(
                "The MP4 in standard input has its index at its end, where a pipe cannot look: "
                "give the file itself, or pipe MKV."
            )


def _index_comes_late() -> bool:
    """Whether an MP4's pictures come before its index."""
    with closing(standard_input().open()) as opening:
        while opening.position < _LONGEST_PREFACE:
            head = opening.read_all(8)
            size, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind in (b"mdat", b"moov", b"moof") or size < 8:
                return kind == b"mdat"
            opening.read_all(min(size - 8, _LONGEST_PREFACE))
    return False


def demuxed(
    container: InputContainer,
    streams: StreamT | Sequence[StreamT],
    unannounced: list[int] | None = None,
) -> Iterator[Packet[StreamT]]:
    """Packets of streams, then an empty one of each.

    FLV and MPEG streams may bring a stream that was not there when they were opened. It has no
    place in an output whose header is written: its first packet is passed by, and counted by an
    entry in `unannounced`.
    """
    while True:
        try:
            yield from container.demux(streams)  # type: ignore[misc]
            return
        except IndexError:
            if unannounced is not None:
                unannounced.append(1)


def _check_file(path: Path) -> None:
    """Raise SourceError for anything but a regular file that can be read and is not empty.

    Nothing else is opened: a pipe would wait for ever, and a device has no end.
    """
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            path.open("rb").close()
    except FileNotFoundError:
        raise SourceError(_missing(path)) from None
    except PermissionError as error:
        raise SourceError(f"{path} may not be read: ask its owner for permission.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{path} cannot be opened ({reason}): check the name.") from error
    if stat.S_ISDIR(status.st_mode):
        raise SourceError(f"{path} is a directory: give a video file.")
    for is_kind, name in _SPECIAL_FILES:
        if is_kind(status.st_mode):
            raise SourceError(
                f"{path} is {name}: save the video as a file first, since it is read several times."
            )
    if status.st_size == 0:
        raise SourceError(f"{path} is empty: it holds no video.")


def _missing(path: Path) -> str:
    if path.is_symlink():
        return f"{path} is a link to {path.readlink()}, which does not exist: mend the link."
    if _ADDRESS.match(str(path)):
        return f"{path} is an address, and only local files are read: download the video first."
    return f"There is no file {path}: check the name."


def _not_media(path: Path, error: av.FFmpegError | OSError) -> SourceError:
    with path.open("rb") as file:
        begin = file.read(64).lstrip(b"\xef\xbb\xbf \r\n\t")
        if begin.startswith(_PLAYLISTS):
            return SourceError(
                f"{path} is a list of files or a text, and no video: give a video that it names."
            )
        if _lacks_index(file):
            return SourceError(
                f"{path} has no index (moov): its recording or copy was interrupted before the "
                f"end. Copy it again, or have a repair tool rebuild the index."
            )
    if isinstance(error, av.EOFError):
        return SourceError(
            f"{path} ends before its first picture: it was cut off, so copy it again."
        )
    return SourceError(
        f"{path} is not a media file that can be read ({error.strerror or error}): give a "
        f"video in MP4, MKV, MOV, AVI, WebM, TS or VOB."
    )


def _lacks_index(file: BinaryIO) -> bool:
    """Whether a file is an MP4 or MOV, by its boxes, without the one that says what it holds."""
    size, position, names = file.seek(0, 2), 0, set()
    for _ in range(_MOST_BOXES):
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            break
        names.add(head[4:8])
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8 or position + length > size:
            break
        position += length
    return bool(names & {b"ftyp", b"mdat"}) and b"moov" not in names
