"""The output's place: nothing is there before it is whole, and nothing whole is thrown away."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from remaster.errors import OutputError

if sys.platform != "win32":
    import fcntl

__all__ = [
    "LEAST_FREE_BYTES",
    "flush_to_disk",
    "free_bytes",
    "keep_beside",
    "partial_file",
    "put_in_place",
    "real_place",
]

LEAST_FREE_BYTES = 100_000
"""With less, no film is begun; hardly one is smaller."""

_LONGEST_NAME_BYTES = 150
"""Of what we put into other names; a name may have 255."""

_NO_FOLLOWING = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def real_place(output: Path) -> Path:
    """Where a film goes: behind a link, which stays what it is.

    Raises:
        OutputError: no file can have this name.
    """
    try:
        if not output.is_symlink():
            output.lstat()
            return output
        return output.resolve(strict=False)
    except FileNotFoundError:
        return output
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{output} cannot be written ({reason}): give another name.") from error


def free_bytes(folder: Path) -> int | None:
    """Room on a folder's disk; None where the system does not say."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


@contextmanager
def partial_file(output: Path) -> Iterator[Path]:
    """A new empty file beside `output`, removed on the way out if it is still there.

    Its name follows from the output's, so that what a killed run left is taken over, and it is
    locked, so that of two runs to one output the second learns it at once. Where the system has no
    such locks, each run has a file of its own and the second learns it at the end.

    Raises:
        OutputError: another run is writing to the same output.
    """
    partial = output.absolute().parent / _partial_name(output.name)
    descriptor = _open_locked(partial, output)
    if descriptor is None:
        partial = partial.with_name(_partial_name(output.name, secrets.token_hex(4)))
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    try:
        yield partial
    finally:
        if _is_at(descriptor, partial):  # and no file that the next run has begun
            _remove_open(descriptor, partial)
        else:
            os.close(descriptor)


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


def _open_locked(partial: Path, output: Path) -> int | None:
    """A descriptor of the empty file that holds its lock; None where there are no locks."""
    while True:
        descriptor = os.open(partial, os.O_CREAT | os.O_RDWR | _NO_FOLLOWING, 0o666)
        try:
            if not _lock(descriptor):
                _remove_open(descriptor, partial)
                return None
            if _is_at(descriptor, partial):
                os.ftruncate(descriptor, 0)
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise OutputError(
                f"Another run is writing to {output}: wait for its end, or write elsewhere."
            ) from None
        os.close(descriptor)  # the run before removed it, between our opening and our locking


def _lock(descriptor: int) -> bool:
    """Whether a lock could be had. Raises BlockingIOError when another process holds it."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # some network drives
        return False
    return True


def _remove_open(descriptor: int, path: Path) -> None:
    """Remove a file, while it is locked if the system can."""
    if os.name == "nt":
        os.close(descriptor)
        path.unlink(missing_ok=True)
    else:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    return False


def _partial_name(name: str, own: str = "") -> str:
    """Of names that differ in large and small letters alone, which may be one file, the same."""
    folded = os.fsencode(name.casefold())
    return f".{_shortened(name)}.{own or hashlib.blake2b(folded, digest_size=4).hexdigest()}.part"


def _shortened(name: str) -> str:
    """The beginning of a name, so that a longer one that is made of it is allowed."""
    return os.fsencode(name)[:_LONGEST_NAME_BYTES].decode(errors="ignore")
