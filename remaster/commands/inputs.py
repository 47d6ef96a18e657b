"""Which files a command line means, in which order, and where each goes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from remaster.commands.console import clean
from remaster.errors import OptionsError, SourceError
from remaster.options import STILLS_WRITTEN

__all__ = ["PICTURE_SUFFIXES", "VIDEO_SUFFIXES", "Job", "Work", "find_work", "natural_key"]

VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".divx", ".ts", ".m2ts", ".mts",
    ".m2t", ".vob", ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".mpv", ".evo", ".wmv", ".asf",
    ".flv", ".f4v", ".ogv", ".ogm", ".rm", ".rmvb", ".3gp", ".3g2", ".dv", ".mxf", ".nut", ".wtv",
    ".y4m", ".h264", ".264", ".hevc", ".h265", ".265", ".vc1", ".ivf", ".obu",
})  # fmt: skip
"""What is taken from a folder; a file that is named itself is always tried."""

PICTURE_SUFFIXES = frozenset({
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".gif",
})  # fmt: skip
"""Pictures, and what is taken from a folder that holds no videos."""

PICTURES_KEPT = (".png", ".webp", ".tif", ".tiff")
"""Endings, all without loss, that a picture in a folder takes over; others become .png."""

KEPT = (".mkv", ".mp4", ".mov", ".webm")
"""Endings that an output takes over from its input."""

WRITTEN = (*KEPT, ".y4m")
"""Endings of outputs; an output that has one is a file."""

_OWN_REMAINS = re.compile(r".\.(unverified|finished)(-\d+)?$")


@dataclass(frozen=True)
class Job:
    """One film, or picture, to make."""

    source: Path
    output: Path
    is_picture: bool = False


@dataclass
class Work:
    """Everything that one command line asks for."""

    jobs: list[Job] = field(default_factory=list)
    left_alone: list[Path] = field(default_factory=list)
    """Files and links in the folders that, by their names, are not what is looked for there."""

    unreadable: list[tuple[Path, str]] = field(default_factory=list)
    """Folders, and what is in them, that could not be read, and why."""

    folder: Path | None = None
    """Where everything goes, when the command line means more than one file."""


def find_work(
    inputs: Sequence[Path],
    output: str,
    *,
    named: str | None = None,
    holds: Callable[[str], bool] = lambda _: True,
) -> Work:
    """The jobs of a command line, before any work.

    Args:
        inputs: files and folders, as given; folders are searched with their sub-folders, which
            come again in the output. One that holds videos is a folder of films, whose pictures
            are left alone; else its pictures are meant.
        output: a file for one file, else a folder, which need not exist.
        named: the format of all outputs, as in `mkv`, whatever their inputs end in.
        holds: whether a file with this ending (`.mp4`) holds what the encoder makes; an input's
            ending that does not becomes .mkv.

    Raises:
        OptionsError: two inputs would become one output, or a folder was needed.
        SourceError: the folders hold no video and no picture.
    """
    target = Path(output)
    _check_place(target)
    several = len(inputs) > 1 or _is_folder(inputs[0])
    if tuple(inputs) == (Path("-"),) and named is None and target.suffix.lower() in STILLS_WRITTEN:
        raise OptionsError(
            "pictures do not come through pipes: give the picture's file instead of -, or the name "
            "of a film behind -o"
        )
    if not several and not target.is_dir() and not output.endswith(("/", os.sep)):
        return Work([Job(inputs[0], target, _is_still(inputs[0], target))])
    if Path("-") in (target, *inputs):
        raise OptionsError(
            "a pipe holds one film, and standard input has no name: give one input, and -o a file "
            "or -"
        )
    _check_folder(target)
    ending = f".{named}" if named is not None else None
    work = Work(folder=target)
    for given in inputs:
        if _is_folder(given):
            _check_apart(given, target)
            under = Path() if len(inputs) == 1 else Path(given.resolve().name)
            for path in _searched(given, target, work):
                work.jobs.append(
                    _job(path, target / under / path.relative_to(given), ending, holds)
                )
        else:
            work.jobs.append(_job(given, target / given.name, ending, holds))
    if not work.jobs and not work.unreadable:
        named = " and ".join(str(path) for path in inputs)
        raise SourceError(f"{named}: no video and no picture is there, by the endings of the names")
    _drop_repeated(work)
    _check_collisions(work.jobs)
    return work


def natural_key(path: Path) -> list[tuple[list[str | int], str]]:
    """Sorts as people count: ep2 before ep10, folder by folder."""
    return [(_number_key(part), part) for part in path.parts]


def _number_key(name: str) -> list[str | int]:
    words = re.split(r"([0-9]+)", name.casefold())
    return [int(word) if place % 2 else word for place, word in enumerate(words)]


def _is_folder(given: Path) -> bool:
    """What cannot be looked at is tried as a film, which says why it cannot be read."""
    try:
        return given.is_dir()
    except OSError:
        return False


def _check_place(target: Path) -> None:
    """Raise OptionsError for an output whose place cannot even be looked at."""
    try:
        target.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionsError(
            f"--output {target} cannot be reached ({reason}): choose another"
        ) from error


def _check_folder(target: Path) -> None:
    if target.is_dir():
        return
    if target.exists():
        raise OptionsError(f"--output {target} is a file: several inputs need a folder")
    if target.suffix.lower() in (*WRITTEN, *STILLS_WRITTEN):
        what = "film" if target.suffix.lower() in WRITTEN else "picture"
        raise OptionsError(
            f"--output {target} is the name of a {what}, and several inputs need a folder: leave "
            f"the {target.suffix} out"
        )


def _check_apart(given: Path, target: Path) -> None:
    if target.is_dir() and target.samefile(given):
        raise OptionsError(f"--output {target} is the input folder itself: choose another")


def _searched(folder: Path, target: Path, work: Work) -> Iterator[Path]:
    """Videos in a folder and below, or else pictures, in natural order; the rest is noted in
    `work`.

    Links to folders are left alone, so that none leads in circles, and so is where we write.
    """
    videos: list[Path] = []
    pictures: list[Path] = []
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            entries = sorted(current.iterdir())
        except OSError as error:
            work.unreadable.append((current, error.strerror or "no reason given"))
            continue
        for path in entries:
            if path.name.startswith("."):
                continue
            try:
                if path.is_dir() and not path.is_symlink():
                    if not (target.is_dir() and path.samefile(target)):
                        waiting.append(path)
                elif path.is_file() and _is_video(path):
                    videos.append(path)
                elif path.is_file() and _is_picture(path):
                    pictures.append(path)
                else:
                    work.left_alone.append(path)
            except OSError as error:  # its folder may be listed and not entered
                work.unreadable.append((path, error.strerror or "no reason given"))
    if videos:
        work.left_alone += pictures
    work.left_alone.sort(key=natural_key)
    yield from sorted(videos or pictures, key=natural_key)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not _OWN_REMAINS.search(path.stem)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not _OWN_REMAINS.search(path.stem)


def _is_still(source: Path, output: Path) -> bool:
    """Whether one file is a picture; of a GIF, which may move, the output decides."""
    is_film = source.suffix.lower() == ".gif" and output.suffix.lower() not in STILLS_WRITTEN
    return source.suffix.lower() in PICTURE_SUFFIXES and not is_film


def _job(source: Path, output: Path, ending: str | None, holds: Callable[[str], bool]) -> Job:
    suffix = source.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return Job(source, output.with_suffix(suffix if suffix in PICTURES_KEPT else ".png"), True)
    if ending is None and suffix in KEPT and holds(suffix):
        return Job(source, output)
    return Job(source, output.with_suffix(ending or ".mkv"))


def _drop_repeated(work: Work) -> None:
    """A file that is named twice for the same output is one job."""
    unique: dict[tuple[str, Path], Job] = {}
    for job in work.jobs:
        unique.setdefault((os.path.realpath(job.source), job.output), job)
    work.jobs = list(unique.values())


def _check_collisions(jobs: Sequence[Job]) -> None:
    """Raise OptionsError that names all inputs which would become one output, or for an output
    that is an input."""
    sources = {os.path.realpath(job.source): job.source for job in jobs}
    places: dict[str, list[Job]] = {}
    for job in jobs:
        places.setdefault(os.path.normcase(os.path.realpath(job.output)), []).append(job)
    clashes = [_clash(each) for each in places.values() if len(each) > 1]
    if clashes:
        raise OptionsError(f"{'; '.join(clashes)}: rename all but one, or run them apart")
    for job in jobs:
        place = os.path.realpath(job.output)
        if place in sources:
            raise OptionsError(
                f"{clean(str(job.source))} would be written over the input "
                f"{clean(str(sources[place]))}: choose another --output"
            )


def _clash(jobs: Sequence[Job]) -> str:
    """Two or more of them that would become one output, in words."""
    *names, last = (clean(str(job.source)) for job in jobs)
    both = "both" if len(jobs) == 2 else "all"
    return f"{', '.join(names)} and {last} would {both} become {clean(str(jobs[0].output))}"
