"""Opening a local media file or standard input, and nothing else, for reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import av
from av.container import InputContainer

from remaster.errors import SourceError
from remaster.media.matroska import late_parts
from remaster.media.piping import Opening, is_pipe, standard_input

__all__ = ["late_in_pipe", "open_source", "size_of"]

_FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,av1,ivf,flv,asf,ogg,rm,"
    "wtv,dv,nut,mxf,mxf_d10,gif,apng,yuv4mpegpipe,vc1,dirac,nuv,swf,bink,smk,"
    "film_cpk,thp,roq,fli"
)
"""Demuxers that read one file and nothing else: no playlist, no list of files, no text."""

_PIPE_BUFFER = 1 << 18
_LONGEST_PREFACE = 1 << 20
"""Bytes of an MP4 in front of its index or its pictures."""


@contextmanager
def open_source(path: Path, *, is_last: bool = False) -> Iterator[InputContainer]:
    """Open a local media file, or standard input for `-`, for reading; closed on the way out.

    Only the file protocol and formats that never open other files are allowed. Standard input can
    be opened again, and every time begins with its first byte, until once `is_last` is said: what
    nobody can ask for any more is then no longer kept.

    Raises SourceError when there is no such file or it is no media file.
    """
    if is_pipe(path):
        _check_pipe()
        opened = closing(standard_input().open(is_last=is_last))
        with opened as opening, _open_stream(opening) as container:
            yield container
        return
    _check_file(path)
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    try:
        container = av.open(
            f"file:{path.absolute()}", "r", container_options=options, metadata_errors="replace"
        )
    except (av.FFmpegError, OSError) as error:
        raise SourceError(
            f"{path} is not a media file that can be read ({error.strerror or error}): give a "
            f"video in MP4, MKV, MOV, AVI, WebM, TS or VOB."
        ) from error
    with container:
        yield container


def size_of(path: Path) -> int:
    """Bytes of a source; of standard input as many as have come."""
    return standard_input().received if is_pipe(path) else path.stat().st_size


def late_in_pipe() -> tuple[str, ...]:
    """Names of what a Matroska film in standard input holds behind its pictures."""
    with closing(standard_input().open()) as opening:
        return late_parts(opening.read_all)


def _open_stream(opening: Opening) -> InputContainer:
    """A container that is read from its first byte on, and never back."""
    options = {"protocol_whitelist": "pipe", "format_whitelist": _FORMATS}
    try:
        return av.open(
            opening,
            "r",
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


def _check_file(path: Path) -> None:
    if not path.exists():
        raise SourceError(f"There is no file {path}: check the name.")
    if path.is_dir():
        raise SourceError(f"{path} is a directory: give a video file.")
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty: it holds no video.")
