"""Opening a local media file, and nothing else, for reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer

from remaster.errors import SourceError

__all__ = ["open_source"]

_FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,av1,ivf,flv,asf,ogg,rm,"
    "wtv,dv,nut,mxf,mxf_d10,gif,apng,yuv4mpegpipe,vc1,dirac,nuv,swf,bink,smk,"
    "film_cpk,thp,roq,fli"
)
"""Demuxers that read one file and nothing else: no playlist, no list of files, no text."""


@contextmanager
def open_source(path: Path) -> Iterator[InputContainer]:
    """Open a local media file for reading; closed on the way out.

    Only the file protocol and formats that never open other files are allowed.

    Raises SourceError when there is no such file or it is no media file.
    """
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


def _check_file(path: Path) -> None:
    if not path.exists():
        raise SourceError(f"There is no file {path}: check the name.")
    if path.is_dir():
        raise SourceError(f"{path} is a directory: give a video file.")
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty: it holds no video.")
