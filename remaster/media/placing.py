"""The output's place: nothing is there before it is whole, and nothing whole is thrown away."""

from __future__ import annotations

import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["flush_to_disk", "keep_beside", "partial_file", "put_in_place"]

_LONGEST_NAME_BYTES = 150
"""Of what we put into other names; a name may have 255."""

_STALE_SECONDS = 3600
"""Locks do not reach through every network drive, so a file that is written to is not stale."""


@contextmanager
def partial_file(output: Path) -> Iterator[Path]:
    """A new empty file beside `output`, removed on the way out if it is still there.

    Those which killed runs left for the same output are removed first.
    """
    _remove_stale(output)
    descriptor, partial = _locked_file(output)
    try:
        yield partial
    finally:
        if descriptor is not None:
            os.close(descriptor)
        partial.unlink(missing_ok=True)


def put_in_place(partial: Path, output: Path, *, overwrite: bool) -> None:
    """Give a finished file its name in one step.

    Raises FileExistsError when there is an output that may not be replaced.
    """
    if overwrite:
        partial.replace(output)
    else:
        _take_name(partial, output)


def keep_beside(partial: Path, output: Path, word: str) -> Path:
    """Name a finished file that may not have its place: NAME.word.mkv, or with a number."""
    stem = _shortened(output.stem)
    number = 1
    while True:
        ending = word if number == 1 else f"{word}-{number}"
        kept = output.with_name(f"{stem}.{ending}{output.suffix}")
        with suppress(FileExistsError):
            put_in_place(partial, kept, overwrite=False)
            return kept
        number += 1


def flush_to_disk(path: Path) -> None:
    """Make sure that a file, or a directory's list of files, survives a power cut."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_name(partial: Path, output: Path) -> None:
    """Rename, unless the name is taken, which a plain rename does not ask."""
    try:
        os.link(partial, output)
    except FileExistsError:
        raise
    except OSError:  # a drive without links, as FAT: an empty file takes the name
        os.close(os.open(output, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            partial.replace(output)
        except OSError:
            output.unlink()
            raise
    else:
        partial.unlink()


def _locked_file(output: Path) -> tuple[int | None, Path]:
    """A new file, and where the system has locks a descriptor that locks it."""
    while True:
        name = f".{_shortened(output.name)}.{secrets.token_hex(4)}.part"
        partial = output.absolute().parent / name
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        if sys.platform == "win32":
            os.close(descriptor)
            return None, partial
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, partial
        os.close(descriptor)  # another run took it for stale before it was locked


def _remove_stale(output: Path) -> None:
    """Remove what runs that were killed left behind: nobody holds its lock any more."""
    if sys.platform == "win32":
        return
    shape = re.compile(rf"\.{re.escape(_shortened(output.name))}\.[0-9a-f]{{8}}\.part")
    folder = output.absolute().parent
    names: list[str] = []
    with suppress(OSError):
        names = [name for name in os.listdir(folder) if shape.fullmatch(name)]
    for path in (folder / name for name in names):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(descriptor).st_mtime > _STALE_SECONDS:
                    path.unlink()
            finally:
                os.close(descriptor)


def _shortened(name: str) -> str:
    """The beginning of a name, so that a longer one that is made of it is allowed."""
    return os.fsencode(name)[:_LONGEST_NAME_BYTES].decode(errors="ignore")
