"""Several files, one after another: a bad one never stops the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from remaster.commands.console import one_line
from remaster.commands.inputs import Job, Work
from remaster.commands.program import FAILED, INTERRUPTED, SOME_FAILED, WRONG_USAGE
from remaster.commands.shows import Failure, Show, Summary
from remaster.errors import OptionsError, OutputError, RemasterError
from remaster.options import RunOptions
from remaster.report import failed_film, film_document

if TYPE_CHECKING:
    from remaster.pipeline import RunResult

__all__ = ["for_each", "remaster_files"]

UNEXPECTED = (OSError, RuntimeError, ValueError, MemoryError)
"""What the system and the libraries below raise for one film; none says that the next one fails.
Others are mistakes of ours, and stop with their traceback."""


def remaster_files(work: Work, options: RunOptions, show: Show) -> int:
    """Run every job and say how it went; the exit code of the whole."""
    from remaster.pipeline import run

    report = _Report(work, options) if work.folder is not None and options.report else None
    if report is not None:
        options = replace(options, report=None)  # one file tells of all films

    def remaster_picture(job: Job) -> None:
        from remaster.stills import enlarge_still, still_document

        with _folder_made(job.output.parent, made=work.folder is not None):
            result = enlarge_still(
                job.source,
                job.output,
                options,
                progress=show.still_progress,
                planned=show.still_plan,
            )
        show.still_done(result)
        if report is not None:
            report.add(still_document(result), is_picture=True)

    def remaster_file(job: Job) -> None:
        if job.is_picture:
            remaster_picture(job)
            return
        with _folder_made(job.output.parent, made=work.folder is not None):
            result: RunResult = run(
                job.source, job.output, options, progress=show.progress, planned=show.plan
            )
        show.done(result)
        if report is not None:
            report.add(film_document(result))

    def failed(job: Job, error: RemasterError) -> None:
        if report is not None:
            document = failed_film(str(job.source), str(job.output), one_line(error))
            report.add(document, is_picture=job.is_picture)

    def left(job: Job) -> str:
        is_pipe = job.output == Path("-")
        return (
            "what was piped is no whole film" if is_pipe else f"nothing was written to {job.output}"
        )

    return for_each(work, remaster_file, show, left=left, failed=failed)


class _Report:
    """What became of several films and pictures in one file, written anew after each."""

    def __init__(self, work: Work, options: RunOptions) -> None:
        """Raises OptionsError and OutputError for a file that cannot be written."""
        from remaster.plan import check_side_files

        assert options.report is not None
        self._path, self._overwrite = options.report, options.overwrite
        self._films: list[dict[str, object]] = []
        self._pictures: list[dict[str, object]] = []
        for job in work.jobs:
            check_side_files(job.source, job.output, options, folder_to_come=True)

    def add(self, document: dict[str, object], *, is_picture: bool = False) -> None:
        """Tell of one more film or picture. Raises OutputError."""
        from remaster.pipeline import write_report

        (self._pictures if is_picture else self._films).append(document)
        _make(list(reversed(_missing(self._path.parent))))
        write_report(self._path, self._films, self._pictures, overwrite=self._overwrite)
        self._overwrite = True  # it is ours by now


def for_each(
    work: Work,
    do: Callable[[Job], None],
    show: Show,
    *,
    left: Callable[[Job], str] | None = None,
    failed: Callable[[Job, RemasterError], None] | None = None,
) -> int:
    """Call `do` for every job; the exit code of the whole.

    Args:
        work: the jobs, and folders that could not be read, which count as failures.
        do: raises RemasterError for a job that cannot be done.
        show: is told of beginnings, failures and the end.
        left: what an interrupted job left behind, in words.
        failed: is told of jobs that could not be done; raises RemasterError where it cannot work.
    """
    is_batch = work.folder is not None
    codes: list[int] = []
    failures: list[Failure] = []
    count = len(work.jobs) + len(work.unreadable)

    def fail(source: Path, error: RemasterError) -> None:
        show.error(error)
        failures.append(Failure(source, one_line(error)))
        codes.append(WRONG_USAGE if isinstance(error, OptionsError) else FAILED)

    def fail_job(job: Job, error: RemasterError) -> None:
        fail(job.source, error)
        if failed is None:
            return
        try:
            failed(job, error)
        except RemasterError as another:
            show.error(another)

    def summarize() -> None:
        if is_batch:
            show.summary(Summary(codes.count(0), failures, count - len(codes)))

    if is_batch:
        show.batch(work)
    for folder, reason in work.unreadable:
        show.begin(folder, len(codes) + 1, count)
        fail(folder, RemasterError(f"{folder} cannot be read ({reason}): left out"))
    for job in work.jobs:
        show.begin(job.source, len(codes) + 1, count)
        try:
            do(job)
        except RemasterError as error:
            fail_job(job, error)
        except UNEXPECTED as error:
            fail_job(job, _unexpected(job.source, error))
        except KeyboardInterrupt:
            said = f"; {left(job)}" if left is not None else ""
            show.error(RemasterError(f"stopped{said}"))
            summarize()
            return INTERRUPTED
        else:
            codes.append(0)
    summarize()
    if not any(codes):
        return 0
    return max(codes) if all(codes) else SOME_FAILED


@contextmanager
def _folder_made(folder: Path, *, made: bool) -> Iterator[None]:
    """Have a folder, and none of those made for it that stayed empty.

    Raises OutputError when it cannot be made.
    """
    missing = _missing(folder) if made else []
    try:
        _make(list(reversed(missing)))
        yield
    finally:
        for each in missing:
            with suppress(OSError):  # it is not empty, or was never made
                each.rmdir()


def _missing(folder: Path) -> list[Path]:
    """A folder and those above it that are not there, the lowest first. Raises OutputError."""
    missing = []
    try:
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be reached ({error.strerror}): choose another --output."
        ) from error
    return missing


def _unexpected(source: Path, error: Exception) -> RemasterError:
    """A library's error as a line that names its type, with what was noted on its way."""
    words = [f"{source}: unexpected {type(error).__name__}", str(error)]
    said = ": ".join(word for word in words if word)
    return RemasterError("; ".join((said, *getattr(error, "__notes__", ()))))


def _make(folders: Sequence[Path]) -> None:
    try:
        for each in folders:
            each.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folders[-1]} cannot be made ({error.strerror}): choose another --output."
        ) from error
