"""A file on its way to its place, for every kind of writer: one set of promises and messages."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import av

from remaster.errors import OutputError, RemasterError, VerificationError
from remaster.media.piping import broken_pipe, is_pipe
from remaster.media.placing import (
    flush_to_disk,
    keep_beside,
    partial_file,
    put_in_place,
    real_place,
)

__all__ = ["Placed", "explained"]

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def explained(output: Path, how: str) -> Iterator[None]:
    """Say in words what a library says in numbers.

    Args:
        output: what is written to.
        how: for messages, as in `libx264 as matroska`.
    """
    named = "standard output" if is_pipe(output) else str(output)
    try:
        yield
    except BrokenPipeError as error:
        raise broken_pipe() from error
    except UnicodeError as error:
        raise OutputError(
            f"The name {output} cannot be said in this terminal's character set: set "
            f"LC_ALL=C.UTF-8."
        ) from error
    except (av.FFmpegError, OSError, ValueError) as error:
        if getattr(error, "errno", None) in _FULL_DISK:
            raise OutputError(
                f"The disk is full, {named} could not be finished: free some space or write "
                f"elsewhere."
            ) from error
        if not output.absolute().parent.is_dir():
            raise OutputError(
                f"The directory of {output} is gone, removed or on a drive that was taken away, "
                f"and the film with it: run again, to a place that stays."
            ) from error
        raise OutputError(
            f"{named} could not be written with {how}: {getattr(error, 'strerror', None) or error}."
        ) from error


class Placed:
    """A file beside its place; a context manager that gives the partial file's path.

    Leaving it removes the file, unless `put` gave it its name or `verified` kept it.
    """

    def __init__(self, output: Path, how: str, *, overwrite: bool, what: str = "film") -> None:
        """As in `explained`.

        Args:
            output: where the file goes, behind a link if it is one.
            what: it is, for messages.
        """
        self.path = real_place(output)
        self._how = how
        self._what = what
        self._overwrite = overwrite
        self._resources = ExitStack()

    def __enter__(self) -> Path:
        with explained(self.path, self._how):
            self._partial = self._resources.enter_context(partial_file(self.path))
        return self._partial

    def __exit__(self, *exception: object) -> None:
        self._resources.close()

    @contextmanager
    def verified(self) -> Iterator[None]:
        """While a finished film is checked: whatever is raised, the film is kept.

        Raises VerificationError for a difference, and for a check that could not be made.
        """
        try:
            yield
        except VerificationError as error:
            raise VerificationError(
                f"{error}; it is kept as {self._keep('unverified')} instead of put in place: "
                f"watch it, and report this."
            ) from error
        except (RemasterError, av.FFmpegError, OSError) as error:
            reason = str(getattr(error, "strerror", None) or error).rstrip(".")
            raise VerificationError(
                f"The film is finished and could not be verified ({reason}); it is kept as "
                f"{self._keep('unverified')} instead of put in place: watch it, and rename it."
            ) from error
        except BaseException as error:  # raised again: hours of work outlive a mistake of ours
            error.add_note(
                f"The finished film, not verified, is kept as {self._keep('unverified')}."
            )
            raise

    def put(self) -> None:
        """Give the finished file its name; another one, rather than lose it.

        Raises OutputError.
        """
        with explained(self.path, self._how):
            try:
                put_in_place(self._partial, self.path, overwrite=self._overwrite)
            except OSError as error:
                is_taken = isinstance(error, FileExistsError)
                reason = "exists by now" if is_taken else f"cannot be put there ({error.strerror})"
                raise OutputError(
                    f"{self.path} {reason}, so the finished {self._what} is kept as "
                    f"{self._keep('finished')}: rename it, or give -y where an output may be "
                    f"replaced."
                ) from error
            with suppress(OSError):  # some network drives: it is in its place all the same
                flush_to_disk(self.path.absolute().parent)

    def _keep(self, word: str) -> Path:
        with explained(self.path, self._how):
            return keep_beside(self._partial, self.path, word)
