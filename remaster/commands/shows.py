"""What is said of a run while it goes on: for people, for programs, or as little as possible."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from remaster.commands.console import clean, columns, one_line, say, size_words, tell
from remaster.commands.inputs import Work
from remaster.errors import RemasterError
from remaster.report import counted, result_fields

if TYPE_CHECKING:
    from remaster.pipeline import Progress, RunResult
    from remaster.plan import Plan
    from remaster.stills import StillPlan, StillResult

__all__ = ["SHOWS", "Failure", "Show", "Summary"]

NAMED_AT_MOST = 3
LONGEST_LABEL = 40


@dataclass(frozen=True)
class Failure:
    """A file that was not done, and why."""

    source: Path
    reason: str

    @property
    def reason_alone(self) -> str:
        """The reason without the name that it begins with, for a line that has it already."""
        return self.reason.removeprefix(clean(str(self.source))).lstrip(": ")


@dataclass(frozen=True)
class Summary:
    """How several files went."""

    done: int
    failures: Sequence[Failure]
    not_done: int

    def __str__(self) -> str:
        counts = {"done": self.done, "failed": len(self.failures), "not done": self.not_done}
        return ", ".join(f"{n} {what}" for what, n in counts.items() if n or what == "done")


class Show:
    """Warnings and errors alone (`--progress none`)."""

    def batch(self, work: Work) -> None:
        """Several files are to be done."""

    def begin(self, source: Path, number: int = 1, count: int = 1) -> None:
        """A file's turn comes: the `number`-th of `count`."""
        self.source, self.number, self.count = source, number, count
        self.told: Sequence[str] = ()
        """Notes that were said of it; once is enough."""

    def plan(self, plan: Plan) -> None:
        """It is decided what is done with it."""

    def progress(self, state: Progress) -> None:
        """Another batch of frames is written."""

    def done(self, result: RunResult) -> None:
        """The file is finished."""
        for warning in result.warnings:
            if warning not in self.told:
                tell(f"warning: {self._named(clean(warning))}")

    def still_plan(self, plan: StillPlan) -> None:
        """It is decided what is done with a picture."""

    def still_progress(self, done: int, total: int) -> None:
        """Another tile of a picture is computed."""

    def still_done(self, result: StillResult) -> None:
        """The picture is finished."""
        for loss in result.plan.losses:
            if loss not in self.told:
                tell(f"warning: {self._named(clean(loss))}")

    def error(self, error: RemasterError) -> None:
        """The file cannot be done."""
        tell(f"remaster: {self._named(one_line(error))}")

    def summary(self, summary: Summary) -> None:
        """All files had their turn."""

    def _named(self, message: str) -> str:
        """With the file it is about, where there are several and it does not say so itself."""
        name = str(self.source)
        said = self.count == 1 or name in message or clean(name) in message
        return message if said else f"{clean(name)}: {message}"


class Bar(Show):
    """Notes, a bar and a report."""

    def __init__(self) -> None:
        self._told_for: dict[tuple[str, ...], str] = {}
        """Notes to the name of the file that they were first told for."""

    def batch(self, work: Work) -> None:
        """Say how many films and pictures go where, and what is left alone."""
        pictures = sum(job.is_picture for job in work.jobs)
        counts = {"film": len(work.jobs) - pictures, "picture": pictures}
        said = [counted(n, what) for what, n in counts.items() if n]
        left = _left_alone(work.left_alone, "pictures" if pictures else "videos")
        tell(f"{' and '.join(said) or '0 films'} to {clean(str(work.folder))}{left}")

    def begin(self, source: Path, number: int = 1, count: int = 1) -> None:
        """Wait with the bar until something is known."""
        super().begin(source, number, count)
        self.bar = _bar("", disable=True)

    def plan(self, plan: Plan) -> None:
        """Say what is done, in a line, and what is noteworthy."""
        video, target = plan.source.video, plan.target
        place = f"[{self.number}/{self.count}] " if self.count > 1 else ""
        tell(
            f"{place}{clean(plan.source.path.name)}: {video.width}x{video.height} to "
            f"{target.width}x{target.height} with {clean(plan.model_name)} on {plan.device}, "
            f"{str(plan.dtype).removeprefix('torch.')}, "
            f"{plan.encoding.codec} {plan.encoding.pixel_format}"
        )
        self._tell_notes(plan.notes)
        self.bar = _bar(self.source.name, disable=None)

    def still_plan(self, plan: StillPlan) -> None:
        """Say what is done with a picture, in a line, and what is lost."""
        still, place = plan.still, f"[{self.number}/{self.count}] " if self.count > 1 else ""
        mode = f" ({plan.mode})" if plan.mode is not None else ""
        tell(
            f"{place}{clean(still.path.name)}: {still.width}x{still.height} to "
            f"{plan.size[0]}x{plan.size[1]} with {clean(plan.model_name)}{mode} on {plan.device}, "
            f"{str(plan.dtype).removeprefix('torch.')}, {plan.bit_depth} bits a channel"
        )
        self._tell_notes(plan.notes)
        self.bar = _bar(self.source.name, disable=None, unit=" tiles")

    def still_progress(self, done: int, total: int) -> None:
        """Move the bar."""
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def still_done(self, result: StillResult) -> None:
        """Report, in a line."""
        self.bar.close()
        super().still_done(result)
        say(
            f"{clean(str(result.plan.output))}: {result.plan.size[0]}x{result.plan.size[1]} in "
            f"{result.seconds:.1f} s, {size_words(result.bytes)}, verified"
        )

    def _tell_notes(self, notes: tuple[str, ...]) -> None:
        """Every note; those of a file before in a word, since a season's are all alike."""
        self.told = notes
        before = self._told_for.get(notes) if notes else None
        if before is not None:
            tell(f"notes: as for {clean(before)}")
            return
        self._told_for[notes] = self.source.name
        for note in notes:
            tell(f"note: {clean(note)}")

    def progress(self, state: Progress) -> None:
        """Move the bar."""
        self.bar.total = max(state.total, state.frames) if state.total else None
        self.bar.update(state.frames - self.bar.n)

    def done(self, result: RunResult) -> None:
        """Report: in full for one file, a line for each of several."""
        self.bar.close()
        super().done(result)
        report = _report(result)
        lines = "\n".join(report if self.count == 1 else report[:1])
        if result.is_read_back:
            say(lines)
        else:
            tell(lines)  # a pipe holds the film alone

    def error(self, error: RemasterError) -> None:
        """Clear the bar away before the error."""
        self.bar.close()
        super().error(error)

    def summary(self, summary: Summary) -> None:
        """Say how many were done, and list those which were not."""
        say(str(summary))
        rows = [(clean(str(f.source)), f.reason_alone) for f in summary.failures]
        if rows:
            say("\n".join(columns(rows, indent=2)))


class Lines(Show):
    """A JSON document a line, for programs."""

    def batch(self, work: Work) -> None:
        """Say what is going to be done."""
        _emit(
            "batch",
            inputs=[str(job.source) for job in work.jobs],
            outputs=[str(job.output) for job in work.jobs],
            left_alone=[str(path) for path in work.left_alone],
        )

    def plan(self, plan: Plan) -> None:
        """Say what is decided."""
        size = [plan.target.width, plan.target.height]
        self._say(
            "plan", size=size, model=plan.model_name, device=str(plan.device), notes=plan.notes
        )

    def progress(self, state: Progress) -> None:
        """Say how far it is."""
        self._say(
            "progress",
            frames=state.frames,
            total=state.total,
            fps=round(state.frames_per_second, 2),
            seconds_left=state.seconds_left and round(state.seconds_left, 1),
        )

    def done(self, result: RunResult) -> None:
        """Say what came of it."""
        self._say("done", **result_fields(result))

    def still_plan(self, plan: StillPlan) -> None:
        """Say what is decided."""
        self._say(
            "plan",
            size=plan.size,
            model=plan.model_name,
            device=str(plan.device),
            notes=plan.notes,
        )

    def still_progress(self, done: int, total: int) -> None:
        """Say how far it is."""
        self._say("progress", tiles=done, total=total)

    def still_done(self, result: StillResult) -> None:
        """Say what came of it."""
        self._say(
            "done",
            output=str(result.plan.output),
            bytes=result.bytes,
            seconds=round(result.seconds, 3),
        )

    def error(self, error: RemasterError) -> None:
        """Say why it cannot be done."""
        self._say("error", message=one_line(error))

    def summary(self, summary: Summary) -> None:
        """Say how all of them went."""
        _emit(
            "summary",
            done=summary.done,
            failed=len(summary.failures),
            not_done=summary.not_done,
            failures=[{"input": str(f.source), "message": f.reason} for f in summary.failures],
        )

    def _say(self, event: str, **fields: object) -> None:
        _emit(event, input=str(self.source), **fields)


SHOWS: dict[str, type[Show]] = {"bar": Bar, "json": Lines, "none": Show}
"""Values of --progress."""


def _emit(event: str, **fields: object) -> None:
    tell(json.dumps({"event": event, **fields}))


def _bar(name: str, disable: bool | None, unit: str = " frames") -> Any:
    """A progress bar on standard error; with `disable` None only on a terminal."""
    from tqdm import tqdm

    stream = sys.stderr
    encoding = getattr(stream, "encoding", None) or "utf-8"
    shown = clean(name).encode(encoding, "backslashreplace").decode(encoding)
    knows_width = shutil.get_terminal_size((0, 0)).columns > 0  # some terminals say 0
    return tqdm(
        unit=unit,
        desc=shown if len(shown) <= LONGEST_LABEL else f"{shown[: LONGEST_LABEL - 3]}...",
        file=cast("TextIO", stream),
        disable=True if stream is None else disable,
        dynamic_ncols=knows_width,
        ncols=None if knows_width else 80,
        nrows=None if knows_width else 24,
        leave=False,
    )


def _left_alone(paths: Sequence[Path], what: str) -> str:
    if not paths:
        return ""
    named = ", ".join(clean(path.name) for path in paths[:NAMED_AT_MOST])
    more = len(paths) - NAMED_AT_MOST
    return f"; left alone, by their names no {what}: {named}" + (
        f" and {more} more" if more > 0 else ""
    )


def _report(result: RunResult) -> list[str]:
    busy = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in result.busy_seconds.items())
    return [
        f"{clean(str(result.output))}: {counted(result.frames, 'frame')} in {result.seconds:.1f} s "
        f"({result.frames_per_second:.1f} fps), {result.bytes / 1e6:.1f} MB, "
        f"{'verified' if result.is_read_back else 'counted, not read back: it is a pipe'}",
        str(result.reuse),
        f"time inside, threads added up: {busy}",
        result.advice,
    ]
