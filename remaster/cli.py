"""The command line: flags to options, one call, words and an exit code."""

from __future__ import annotations

import faulthandler
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from remaster.errors import OptionsError, RemasterError
from remaster.options import PRECISIONS, RunOptions
from remaster.train.options import SIZES, TrainOptions

if TYPE_CHECKING:
    from remaster.pipeline import Progress, RunResult
    from remaster.plan import Plan

FAILED, WRONG_USAGE, SOME_FAILED, INTERRUPTED = 1, 2, 3, 130
EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some of several files failed, 130 interrupted."
)


class Seconds(click.ParamType[Fraction]):
    """A time: seconds, or [HH:]MM:SS[.mmm]."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> Fraction:
        try:
            total = Fraction(0)
            for part in str(value).split(":"):
                total = total * 60 + Fraction(part)
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r} is no time: give seconds or HH:MM:SS.mmm", param, context)
        return total


class FrameSize(click.ParamType[tuple[int, int]]):
    """A size in pixels, WIDTHxHEIGHT."""

    name = "WxH"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, int]:
        width, _, height = str(value).lower().partition("x")
        if not (width.isdigit() and height.isdigit()):
            self.fail(f"{value!r} is no size: give WIDTHxHEIGHT, as in 1440x1080", param, context)
        return int(width), int(height)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(package_name="remaster")
def main() -> None:
    """Enlarge and restore old anime, and lose nothing else the file held."""


def _one_line(error: RemasterError) -> str:
    return " ".join(str(error).split())


def fail(error: RemasterError) -> None:
    """One line on standard error."""
    click.echo(f"remaster: {_one_line(error)}", err=True)


@main.command(epilog=EPILOG)
@click.argument(
    "inputs", metavar="INPUT...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path),
    help="Output file (.mp4, .mkv, .mov, .webm); a folder for several inputs.",
)  # fmt: skip
@click.option(
    "-s", "--scale", type=int, help="Enlarge this many times along each axis.  [default: 2]"
)
@click.option("--height", type=int, help="Output height instead of a scale, as in 1080.")
@click.option("--size", type=FrameSize(), help="Output size instead of a scale.")
@click.option(
    "-m",
    "--model",
    default=RunOptions.model,
    show_default=True,
    help="A name `remaster models` lists, or a .safetensors file.",
)
@click.option(
    "--reuse",
    type=click.Choice(["off"]),
    default=RunOptions.reuse,
    show_default=True,
    help="Reuse of what did not change.",
)
@click.option(
    "--batch",
    type=int,
    default=RunOptions.batch,
    help="Frames computed together.  [default: chosen]",
)
@click.option(
    "--device", default=RunOptions.device, show_default=True, help="auto, cpu, cuda or cuda:N."
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default=RunOptions.precision,
    show_default=True,
)
@click.option(
    "-c",
    "--codec",
    default=RunOptions.codec,
    show_default=True,
    help="libx264, libx265, libsvtav1, libvpx-vp9, prores_ks, ffv1 (lossless), or a hardware "
    "encoder `remaster models` lists.",
)
@click.option(
    "--crf", type=int, help="Quality of the encoder; smaller is better.  [default: the codec's]"
)
@click.option("--encoder-preset", help="The encoder's own preset, as in veryfast or 8.")
@click.option(
    "--pix-fmt", help="FFmpeg's pixel format.  [default: the source's depth and sampling]"
)
@click.option("--start", type=Seconds(), help="First moment to keep: seconds or HH:MM:SS.mmm.")
@click.option("--end", type=Seconds(), help="First moment not to keep.")
@click.option("--duration", type=Seconds(), help="Length to keep, instead of --end.")
@click.option("-y", "--overwrite", is_flag=True, help="Replace an existing output.")
@click.option(
    "--progress",
    type=click.Choice(["bar", "json", "none"]),
    default="bar",
    show_default=True,
    help="Shown on standard error.",
)
def run(inputs: tuple[Path, ...], output: Path, progress: str, **flags: Any) -> None:
    """Remaster video files.

    Example: remaster run old_episode.mp4 -o hd.mp4 --scale 4
    """
    try:
        options = RunOptions(**flags)
        outputs = _outputs(inputs, output)
    except OptionsError as error:
        raise click.UsageError(str(error)) from error
    _stop_as_ctrl_c_does()
    _tell_crashes()
    show = SHOWS[progress]()
    codes = [_run_one(*pair, options, show) for pair in zip(inputs, outputs)]
    if any(codes):
        sys.exit(max(codes) if all(codes) else SOME_FAILED)


def _stop_as_ctrl_c_does() -> None:
    """A kill, and a terminal that closes, end a run as tidily; nohup keeps its meaning."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _outputs(inputs: tuple[Path, ...], output: Path) -> list[Path]:
    """Where each input goes: the output itself, or under its own name in a folder."""
    is_folder = _is_folder(output)
    if len(inputs) == 1 and not is_folder:
        return [output]
    if not is_folder:
        raise OptionsError(f"{output} must be an existing folder, since there are several inputs")
    kept = (".mp4", ".mov", ".webm")
    names = [p.with_suffix(p.suffix if p.suffix in kept else ".mkv").name for p in inputs]
    if len(set(names)) < len(names):
        raise OptionsError("two inputs would have the same output name; run them one by one")
    return [output / name for name in names]


def _tell_crashes() -> None:
    """A crash inside a library, which nothing here can catch, at least says where it was.

    What such a run leaves is its hidden .part file, which the next run to the same output takes
    over.
    """
    with suppress(OSError, ValueError, AttributeError, RuntimeError):  # no terminal to say it to
        if not faulthandler.is_enabled():
            faulthandler.enable(all_threads=False)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no file can have: the run says so
        return False


def _run_one(source: Path, output: Path, options: RunOptions, show: Show) -> int:
    """Run one file and say how it went; the exit code it stands for."""
    from remaster.pipeline import run as run_file

    show.begin(source)
    try:
        result = run_file(source, output, options, progress=show.progress, planned=show.plan)
    except RemasterError as error:
        show.error(error)
        return WRONG_USAGE if isinstance(error, OptionsError) else FAILED
    except KeyboardInterrupt:
        show.error(RemasterError(f"stopped; nothing was written to {output}"))
        sys.exit(INTERRUPTED)
    show.done(result)
    return 0


class Show:
    """What is said of a run: here warnings and errors alone (`--progress none`)."""

    def begin(self, source: Path) -> None:
        self.source = source

    def plan(self, plan: Plan) -> None:
        pass

    def progress(self, state: Progress) -> None:
        pass

    def done(self, result: RunResult) -> None:
        for warning in result.warnings:
            click.echo(f"warning: {warning}", err=True)

    def error(self, error: RemasterError) -> None:
        fail(error)


class Bar(Show):
    """Notes, a bar and a report, for people."""

    def begin(self, source: Path) -> None:
        from tqdm import tqdm

        super().begin(source)
        self.bar = tqdm(unit=" frames", desc=source.name, disable=True)

    def plan(self, plan: Plan) -> None:
        from tqdm import tqdm

        video, target = plan.source.video, plan.target
        click.echo(
            f"{plan.source.path.name}: {video.width}x{video.height} to "
            f"{target.width}x{target.height} with {plan.model_name} on {plan.device}, "
            f"{str(plan.dtype).removeprefix('torch.')}, "
            f"{plan.encoding.codec} {plan.encoding.pixel_format}",
            err=True,
        )
        for note in plan.notes:
            click.echo(f"note: {note}", err=True)
        self.bar = tqdm(unit=" frames", desc=self.source.name, disable=None, dynamic_ncols=True)

    def progress(self, state: Progress) -> None:
        self.bar.total = max(state.total, state.frames) if state.total else None
        self.bar.update(state.frames - self.bar.n)

    def done(self, result: RunResult) -> None:
        self.bar.close()
        super().done(result)
        click.echo(_report(result))

    def error(self, error: RemasterError) -> None:
        self.bar.close()
        super().error(error)


class Lines(Show):
    """A JSON document a line, for programs."""

    def _say(self, event: str, **fields: object) -> None:
        document = {"event": event, "input": str(self.source), **fields}
        click.echo(json.dumps(document), err=True)

    def plan(self, plan: Plan) -> None:
        size = [plan.target.width, plan.target.height]
        self._say(
            "plan", size=size, model=plan.model_name, device=str(plan.device), notes=plan.notes
        )

    def progress(self, state: Progress) -> None:
        self._say(
            "progress",
            frames=state.frames,
            total=state.total,
            fps=round(state.frames_per_second, 2),
            seconds_left=state.seconds_left and round(state.seconds_left, 1),
        )

    def done(self, result: RunResult) -> None:
        self._say("done", **_summary(result))

    def error(self, error: RemasterError) -> None:
        self._say("error", message=_one_line(error))


SHOWS: dict[str, type[Show]] = {"bar": Bar, "json": Lines, "none": Show}


def _summary(result: RunResult) -> dict[str, object]:
    return {
        "output": str(result.output),
        "frames": result.frames,
        "bytes": result.bytes,
        "seconds": round(result.seconds, 3),
        "start_up_seconds": round(result.start_up_seconds, 3),
        "fps": round(result.frames_per_second, 3),
        "busy_seconds": {k: round(v, 3) for k, v in result.busy_seconds.items()},
        "advice": result.advice,
        "warnings": result.warnings,
    }


def _report(result: RunResult) -> str:
    busy = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in result.busy_seconds.items())
    return (
        f"{result.output}: {result.frames} frames in {result.seconds:.1f} s "
        f"({result.frames_per_second:.1f} fps), {result.bytes / 1e6:.1f} MB, verified\n"
        f"time inside, threads added up: {busy}\n{result.advice}"
    )


@main.command()
def models() -> None:
    """List the networks and encoders that can be used here."""
    from remaster.checkpoint import read_card, released
    from remaster.media.encoders import available_encoders

    for name, path in released().items():
        card = read_card(path)
        click.echo(f"{name:12} x{card.scale}  {card.arch}, {path.stat().st_size / 1000:.0f} kB")
    click.echo("identity     x1  changes nothing: shows what survives the trip")
    click.echo("lanczos      any scale, no network\nbicubic      any scale, no network")
    click.echo(f"encoders: {', '.join(available_encoders())}")


@main.command()
@click.argument("data", metavar="DATA...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Weights to write, .safetensors.",
)
@click.option("-s", "--scale", type=int, default=TrainOptions.scale, show_default=True)
@click.option(
    "--size",
    type=click.Choice(list(SIZES)),
    default=TrainOptions.size,
    show_default=True,
    help="Size of the network.",
)
@click.option(
    "--hold-out", multiple=True, metavar="FOLDER", help="Name of a source folder never trained on."
)
@click.option(
    "--minutes",
    type=float,
    default=TrainOptions.minutes,
    show_default=True,
    help="How long to train; the same command goes on where it stopped.",
)
@click.option("--batch", type=int, default=TrainOptions.batch, show_default=True)
@click.option(
    "--patch",
    type=int,
    default=TrainOptions.patch,
    show_default=True,
    help="Side of a patch in source pixels.",
)
@click.option(
    "--pool",
    type=int,
    default=TrainOptions.pool,
    show_default=True,
    help="Pairs prepared before the first step.",
)
@click.option(
    "--drawn",
    type=float,
    default=TrainOptions.drawn,
    show_default=True,
    help="Share of pictures the program draws itself.",
)
@click.option(
    "--damaged",
    type=float,
    default=TrainOptions.damaged,
    show_default=True,
    help="Share of pairs that went through noise and a codec.",
)
@click.option("--learning-rate", type=float, default=TrainOptions.learning_rate, show_default=True)
@click.option(
    "--ema",
    type=float,
    default=TrainOptions.ema,
    show_default=True,
    help="Decay of the weights' moving average.",
)
@click.option(
    "--threads", type=int, default=TrainOptions.threads, help="Processor threads.  [default: all]"
)
@click.option("--seed", type=int, default=TrainOptions.seed, show_default=True)
def train(data: tuple[Path, ...], output: Path, **flags: Any) -> None:
    """Fit a network on folders of pictures and videos.

    Example: remaster train stills/ episodes/ -o mine-x2.safetensors --minutes 60
    """
    from remaster.train.loop import fit

    try:
        options = TrainOptions(data, output, **flags)
    except OptionsError as error:
        raise click.UsageError(str(error)) from error
    _or_fail(lambda: fit(options, lambda line: click.echo(line, err=True)))
    click.echo(f"wrote {output}")


@main.command()
@click.argument("weights", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--data",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of pictures.",
)
@click.option(
    "--folder", "folders", multiple=True, required=True, help="Name of a source folder to score on."
)
@click.option(
    "--side",
    type=int,
    default=512,
    show_default=True,
    help="Middle part of each picture that is used.",
)
def score(
    weights: tuple[Path, ...], data: tuple[Path, ...], folders: tuple[str, ...], side: int
) -> None:
    """Score weights on pictures they never saw, beside bicubic and Lanczos."""
    from remaster.train.evaluate import as_table, held_out_pictures
    from remaster.train.evaluate import score as score_weights

    def work() -> None:
        pictures = held_out_pictures(data, folders, side)
        click.echo(as_table([s for path in weights for s in score_weights(path, pictures)]))

    _or_fail(work)


def _or_fail(work: Callable[[], object]) -> None:
    try:
        work()
    except RemasterError as error:
        fail(error)
        sys.exit(1)
