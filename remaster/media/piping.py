"""Standard input as a source, standard output as an output: `-` in place of a path.

A pipe gives its bytes once, while several parts of a run each want the source from its first one:
what was read is kept, in a temporary file without a name, as long as one of them may still ask.
"""

from __future__ import annotations

import os
import select
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from remaster.errors import OutputError, SourceError

__all__ = [
    "Opening",
    "PipeInterrupted",
    "PipeOutput",
    "StandardInput",
    "broken_pipe",
    "is_pipe",
    "is_same_file",
    "is_terminal",
    "spoken",
    "standard_input",
    "standard_output",
    "stop_standard_input",
]

_PIPE = Path("-")
_BLOCK = 1 << 20
_LOOK_SECONDS = 0.2
"""How often a wait for more looks up whether anybody still wants it."""


class PipeInterrupted(KeyboardInterrupt, Exception):
    """Ctrl-C in the middle of a call from FFmpeg, which brings only an Exception back."""


def is_pipe(path: Path) -> bool:
    """Whether a path is `-`: standard input, or standard output."""
    return path == _PIPE


def spoken(path: Path) -> str:
    """A source's name in messages."""
    return "standard input" if is_pipe(path) else str(path)


def is_terminal(descriptor: int) -> bool:
    """Whether a descriptor is a terminal's; a closed one is none."""
    return os.isatty(descriptor)


def is_same_file(source: Path, output: Path) -> bool:
    """Whether an output that exists is the source, also where that is redirected to us."""
    if is_pipe(source):
        return os.path.samestat(os.fstat(0), output.stat())
    return output.samefile(source)


def broken_pipe() -> OutputError:
    """The error for a standard output that nobody reads any more."""
    return OutputError(
        "Standard output was closed before the film was finished: the program behind it ended."
    )


class Opening:
    """One part's own pass through standard input: a file that can be read and not sought."""

    def __init__(self, pipe: StandardInput) -> None:
        self._pipe = pipe
        self.position = 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are any; none at the end."""
        try:
            return self._pipe.read(self, size)
        except KeyboardInterrupt as error:
            raise PipeInterrupted from error

    def read_all(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end."""
        data = bytearray()
        while len(data) < size and (more := self.read(size - len(data))):
            data += more
        return bytes(data)

    def close(self) -> None:
        self._pipe.close(self)


class StandardInput:
    """A pipe that several openings read, from any thread, each at its own position."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._state = threading.Lock()
        self._waiting = threading.Lock()  # one thread waits for the pipe; the others for it
        self._kept = _Kept()
        self._openings: set[Opening] = set()
        self._is_settled = False
        self._is_over = False
        self._stop = threading.Event()

    @property
    def received(self) -> int:
        """How many bytes have come out of the pipe so far."""
        return self._kept.end

    def open(self, *, is_last: bool = False) -> Opening:
        """Begin at the first byte.

        Behind the last opening nothing is kept but what those that are open have before them.
        Raises SourceError when the last one was opened already.
        """
        with self._state:
            if self._is_settled:
                raise SourceError(
                    "Standard input can be read once, and it was: give the file itself."
                )
            opening = Opening(self)
            self._openings.add(opening)
            self._is_settled = is_last
            return opening

    def close(self, opening: Opening) -> None:
        """Nothing is kept for this one any more."""
        with self._state:
            self._openings.discard(opening)
            self._forget()

    def read(self, opening: Opening, size: int) -> bytes:
        """The next bytes of an opening; waits for the pipe where they have not come yet."""
        while True:
            with self._state:
                data = self._kept.read(opening.position, size)
                if data or self._is_over:
                    return self._given(opening, data)
            with self._waiting:
                with self._state:
                    if opening.position < self._kept.end or self._is_over:
                        continue
                data = self._fetch(size)
                with self._state:
                    if self._stop.is_set():
                        return b""
                    self._is_over = not data
                    if self._is_settled and self._openings == {opening}:
                        self._kept.pass_by(len(data))
                        return self._given(opening, data)
                    self._kept.append(data)

    def stop(self) -> None:
        """End every wait and keep nothing: what is read from here on is the end."""
        self._stop.set()
        with self._state:
            self._is_over = True
            self._kept.close()

    def _given(self, opening: Opening, data: bytes) -> bytes:
        opening.position += len(data)
        self._forget()
        return data

    def _forget(self) -> None:
        if self._is_settled:
            positions = [opening.position for opening in self._openings]
            self._kept.drop(min(positions, default=self._kept.end))

    def _fetch(self, size: int) -> bytes:
        while not self._stop.is_set():
            if _has_data(self._descriptor):
                with suppress(BlockingIOError):
                    return os.read(self._descriptor, size)
        return b""


class _Kept:
    """Bytes [begin, end) of a stream, in a temporary file that is no larger than they ever are."""

    def __init__(self) -> None:
        self.begin = self.end = 0
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as this
        self._places: dict[int, int] = {}
        """Number of a block of the stream to its place in the file."""

        self._free: list[int] = []

    def append(self, data: bytes) -> None:
        """Raises SourceError when the disk is full."""
        view = memoryview(data)
        try:
            while view:
                block, within = divmod(self.end, _BLOCK)
                part = view[: _BLOCK - within]
                self._file.seek(self._place(block) * _BLOCK + within)
                self.end += self._file.write(part)
                view = view[len(part) :]
        except OSError as error:
            raise SourceError(
                f"What was piped in cannot be kept in {tempfile.gettempdir()} ({error.strerror}): "
                f"set TMPDIR to a folder with room, or give the file itself."
            ) from error

    def read(self, position: int, size: int) -> bytes:
        """At most `size` bytes from a position in [begin, end]."""
        if self._file.closed:
            return b""
        assert position >= self.begin, "what is dropped is asked for by nobody"
        block, within = divmod(position, _BLOCK)
        size = min(size, self.end - position, _BLOCK - within)
        if size <= 0:
            return b""
        self._file.seek(self._places[block] * _BLOCK + within)
        return self._file.read(size)

    def pass_by(self, size: int) -> None:
        """Count bytes that nobody asks for again."""
        self.end += size
        self.drop(self.end)

    def close(self) -> None:
        self.drop(self.end)
        self._file.close()

    def drop(self, before: int) -> None:
        """Forget what lies before a position."""
        self.begin = before
        for block in [each for each in self._places if (each + 1) * _BLOCK <= before]:
            self._free.append(self._places.pop(block))
        if self.begin == self.end and (self._places or self._free) and not self._file.closed:
            self._places.clear()
            self._free.clear()
            self._file.truncate(0)

    def _place(self, block: int) -> int:
        if block not in self._places:
            self._places[block] = self._free.pop() if self._free else len(self._places)
        return self._places[block]


@lru_cache(maxsize=1)
def standard_input() -> StandardInput:
    """This process's own. Raises SourceError where nothing can come."""
    try:
        os.fstat(0)
    except OSError as error:
        raise SourceError("Standard input is closed: pipe a film into it.") from error
    if is_terminal(0):
        raise SourceError(
            "Standard input is a terminal: pipe a film into it, as in "
            "remaster run - -o hd.mkv < old_episode.mkv."
        )
    return StandardInput(0)


def stop_standard_input() -> None:
    """Let a thread that waits for more of it end, and forget what was kept."""
    if standard_input.cache_info().currsize:
        standard_input().stop()
        standard_input.cache_clear()


@contextmanager
def standard_output() -> Iterator[int]:
    """A descriptor of standard output for the film alone.

    Whatever else is printed there meanwhile, by any library, goes to standard error.
    Raises OutputError when standard output is closed.
    """
    try:
        own = os.dup(1)
    except OSError as error:
        raise _closed_output() from error
    if sys.stdout is None:  # closed from the beginning; by now its number may be another file's
        os.close(own)
        raise _closed_output()
    try:
        with suppress(OSError, ValueError):  # Python's may be closed, or another's
            sys.stdout.flush()
        with suppress(OSError):
            os.dup2(2, 1)
        yield own
    finally:
        os.dup2(own, 1)
        os.close(own)


def _closed_output() -> OutputError:
    return OutputError("Standard output is closed: pipe it into something.")


class PipeOutput:
    """Where a muxer writes to; cannot seek, and holds back what comes before `release`.

    PyAV closes no file without `close`, and takes one without `seek` for a pipe.
    """

    def __init__(self, descriptor: int, *, holds_header: bool = True) -> None:
        self._descriptor = descriptor
        self._header: BytesIO | None = BytesIO() if holds_header else None
        self._has_failed = False
        self.sent = 0
        """Bytes so far."""

    def write(self, data: bytes) -> int:
        """Raises OSError once, BrokenPipeError where nobody reads; then does nothing."""
        if self._has_failed:
            return len(data)
        if self._header is not None:
            return self._header.write(data)
        try:
            _send(self._descriptor, data)
        except OSError:
            self._has_failed = True
            raise
        except KeyboardInterrupt as error:
            self._has_failed = True
            raise PipeInterrupted from error
        self.sent += len(data)
        return len(data)

    def release(self, complete: Callable[[BinaryIO], None]) -> None:
        """Let the header go when `complete` has put into it what the muxer left out."""
        assert self._header is not None, "it goes once"
        header, self._header = self._header, None
        complete(header)
        self.write(header.getvalue())

    def break_off(self) -> None:
        """Send nothing more: the end that a muxer writes would make half a film look whole."""
        self._has_failed = True


def _has_data(descriptor: int) -> bool:
    """Whether a read gives something, or the end, at once; looks for a short while."""
    if sys.platform == "win32":  # where only sockets can be waited for
        return True
    return bool(select.select([descriptor], [], [], _LOOK_SECONDS)[0])


def _send(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
