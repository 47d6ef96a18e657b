"""`remaster run --dry-run`: everything that a run would decide, and a short trial of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from remaster.commands.batch import for_each
from remaster.commands.console import clean, clock, columns, say, size_words
from remaster.commands.holdings import (
    color_fields,
    color_words,
    stream_document,
    stream_fates,
    streams_table,
)
from remaster.commands.inputs import Job, Work
from remaster.commands.shows import SHOWS, Bar, Summary
from remaster.media.containers import Y4M, container_format
from remaster.media.details import describe
from remaster.media.holding import held_tags
from remaster.media.probe import Chapter
from remaster.media.streams import plan_streams
from remaster.options import RunOptions
from remaster.pipeline import within_memory
from remaster.plan import Plan, make_plan
from remaster.report import counted
from remaster.stills import StillPlan, plan_still, seconds_for
from remaster.trial import Forecast, forecast

__all__ = ["forecast_files"]


def forecast_files(work: Work, options: RunOptions, progress: str) -> int:
    """Say for every job what would become of it; the exit code the run would have.

    With `progress` "json" a document a line on standard output.
    """

    expected: list[Forecast] = []

    def forecast_file(job: Job) -> None:
        if job.is_picture:
            still = plan_still(
                job.source, job.output, options, folder_to_come=work.folder is not None
            )
            about = _still_document(still)
            say(json.dumps(about) if progress == "json" else _still_words(about))
            return
        plan = make_plan(job.source, job.output, options, folder_to_come=work.folder is not None)
        plan = within_memory(plan, options)
        expected.append(forecast(plan, job.output, options))
        found = _document(plan, job, container_format(job.output, options.format), expected[-1])
        say(json.dumps(found) if progress == "json" else _words(found))

    code = for_each(work, forecast_file, _SHOWS[progress]())
    if work.folder is not None and expected and progress != "json":
        say(f"together  {_about(expected)}")
    return code


class _Bar(Bar):
    """Says what was refused, not how many were done."""

    def summary(self, summary: Summary) -> None:
        failed = summary.failures
        if failed:
            say(f"{len(failed)} of {summary.done + len(failed)} would fail")


_SHOWS = {**SHOWS, "bar": _Bar}


def _about(expected: Sequence[Forecast]) -> str:
    """Time, frames and size of some films together, in words."""
    seconds, frames, size = (
        sum(getattr(each, name) for each in expected) for name in ("seconds", "frames", "bytes")
    )
    return f"about {clock(seconds)} for {counted(frames, 'frame')}, {size_words(size)}"


def _document(plan: Plan, job: Job, container: str, expected: Forecast) -> dict[str, Any]:
    source, video, target = plan.source, plan.source.video, plan.target
    details = describe(source)
    planned = plan_streams(source, container)
    fates = stream_fates(source, planned)
    told = set(planned.warnings) - set(planned.losses)  # the table of streams says it
    return {
        "event": "forecast",
        "input": str(source.path),
        "output": str(job.output),
        "size": [video.width, video.height],
        "output_size": [target.width, target.height],
        "model": plan.model_name,
        "device": str(plan.device),
        "precision": str(plan.dtype).removeprefix("torch."),
        "encoder": {
            "codec": plan.encoding.codec,
            "pixel_format": plan.encoding.pixel_format,
            "options": dict(plan.encoding.options),
        },
        "reuse": plan.reuse,
        "smooth": plan.smooth,
        "color": color_fields(video.color),
        "color_assumed": list(source.guessed),
        "output_color": color_fields(target.color),
        "start": None if plan.start is None else float(plan.start),
        "end": None if plan.end is None else float(plan.end),
        "streams": [
            {**stream_document(stream, details), "becomes": {"output": fates[stream.index]}}
            for stream in source.streams
        ],
        "chapters": 0
        if container == Y4M
        else sum(_is_kept(chapter, plan) for chapter in source.chapters),
        "metadata": {}
        if container == Y4M
        else held_tags(container, source.metadata, video.frame_rate),
        "notes": [note for note in plan.notes if note not in told],
        "forecast": {
            **asdict(expected),
            "fps": round(expected.frames_per_second, 3),
            "about": _about([expected]),
        },
    }


def _still_document(plan: StillPlan) -> dict[str, Any]:
    still = plan.still
    return {
        "event": "forecast",
        "input": str(still.path),
        "output": str(plan.output),
        "size": [still.width, still.height],
        "output_size": list(plan.size),
        "model": plan.model_name,
        "device": str(plan.device),
        "precision": str(plan.dtype).removeprefix("torch."),
        "mode": plan.mode,
        "bit_depth": plan.bit_depth,
        "alpha": still.has_alpha,
        "notes": list(plan.notes),
        "forecast": {"seconds": seconds_for(plan)},
    }


def _still_words(found: Mapping[str, Any]) -> str:
    size, size_out = ("x".join(map(str, found[key])) for key in ("size", "output_size"))
    alpha = ", alpha kept" if found["alpha"] else ""
    mode = f", mode {found['mode']}" if found["mode"] is not None else ""
    facts = [
        ("picture", f"{size} to {size_out}, {found['bit_depth']} bits a channel{alpha}"),
        ("network", f"{found['model']} on {found['device']}, {found['precision']}{mode}"),
        *(("note", note) for note in found["notes"]),
        ("forecast", f"about {clock(found['forecast']['seconds'])}"),
    ]
    return "\n".join(
        [
            clean(f"{found['input']} -> {found['output']}"),
            *columns([(what, clean(words)) for what, words in facts], indent=2),
            "  nothing was written",
        ]
    )


REUSE = {
    "drawings": "drawings found and kept",
    "exact": "what repeats to the bit is kept",
    "off": "every frame computed",
}


def _is_kept(chapter: Chapter, plan: Plan) -> bool:
    """Whether some of a chapter lies in the part that is written."""
    begins_before_end = plan.end is None or chapter.start < plan.end
    return begins_before_end and (plan.start is None or chapter.end > plan.start)


def _words(found: Mapping[str, Any]) -> str:
    expected = found["forecast"]
    about = f"{expected['about']}, at {expected['fps']:.3g} fps"
    if expected["memory_bytes"] is not None:
        about += f", with {size_words(expected['memory_bytes'])} of memory"
    closing = [*(("note", clean(note)) for note in found["notes"]), ("forecast", about)]
    return "\n".join(
        [
            clean(f"{found['input']} -> {found['output']}"),
            *columns([(what, clean(words)) for what, words in _facts(found)], indent=2),
            "  streams",
            *streams_table(found["streams"], {"output": "becomes"}),
            *columns(closing, indent=2),
            "  nothing was written",
        ]
    )


def _facts(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    size, size_out = ("x".join(map(str, found[key])) for key in ("size", "output_size"))
    yield "picture", f"{size} to {size_out}"
    yield "network", f"{found['model']} on {found['device']}, {found['precision']}"
    smooth = f", what moves smoothed by {found['smooth']:g}" if found["smooth"] else ""
    yield "reuse", f"{REUSE[found['reuse']]}{smooth}"
    encoder = found["encoder"]
    settings = " ".join(f"{name}={value}" for name, value in encoder["options"].items())
    yield "encoder", f"{encoder['codec']} {encoder['pixel_format']}, {settings}".rstrip(", ")
    yield "colour", color_words(found["color"], found["color_assumed"])
    if found["output_color"] != found["color"]:
        changed = [
            f"{name} {after}"
            for name, after in found["output_color"].items()
            if found["color"][name] != after
        ]
        yield "", f"becomes {', '.join(changed)}"
    if found["start"] is not None or found["end"] is not None:
        begin = clock(found["start"] or 0)
        yield "part", f"{begin} to {clock(found['end']) if found['end'] else 'the end'}"
    if found["chapters"] or found["metadata"]:
        count = found["chapters"]
        chapters = f"{count} chapter{'s' * (count != 1)}" if count else ""
        tags = "the file's tags" if found["metadata"] else ""
        yield "kept", " and ".join(part for part in (chapters, tags) if part)
