"""The command line: flags to options, one call, words and an exit code."""

from __future__ import annotations

import faulthandler
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from remaster.commands.completion import completion_script
from remaster.commands.configuration import (
    ENVIRONMENT,
    check_environment,
    read_configuration,
    without_overruled,
)
from remaster.commands.console import say, tell
from remaster.commands.inputs import Job, Work, find_work
from remaster.commands.program import PROGRESS, GroupedCommand, Program
from remaster.commands.shows import SHOWS
from remaster.commands.training import (
    TrainCommand,
    changes,
    describe_recipe,
    list_recipes,
    recipe_options,
)
from remaster.errors import OptionsError
from remaster.options import (
    DEINTERLACE,
    FORMATS,
    MODES,
    PRECISIONS,
    REUSE,
    RunOptions,
    refuse,
    refuse_sides,
)
from remaster.released import released
from remaster.train.options import PRECISIONS as PRECISIONS_OF_TRAINING
from remaster.train.options import SIZES, TrainOptions
from remaster.train.recipes import RECIPES

EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some of several files failed, 130 interrupted."
)
MODELS_WITHOUT_WEIGHTS = ("auto", "identity", "lanczos", "bicubic")


LONGEST_SAID = 40
"""Characters of a wrong value that its error repeats."""


class Seconds(click.ParamType[Fraction]):
    """A time: seconds, or [HH:]MM:SS[.mmm]."""

    name = "time"
    form = re.compile(
        r"(?P<sign>-?)((?P<hours>[0-9]{1,6}):(?=[0-9]{1,2}:))?((?P<minutes>[0-9]{1,6}):"
        r"(?=[0-9]{1,2}(\.|$)))?(?P<seconds>[0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9})"
    )

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> Fraction:
        if isinstance(value, Fraction):
            return value
        found = self.form.fullmatch(str(value))
        if found is None:
            said = _shortened(str(value))
            self.fail(f"{said!r} is no time: give seconds or HH:MM:SS.mmm", param, context)
        minutes = int(found["hours"] or 0) * 60 + int(found["minutes"] or 0)
        total = minutes * 60 + Fraction(found["seconds"])
        return -total if found["sign"] else total


class Named(click.Path):
    """A path; an empty one, as of an unset variable, is not the current folder."""

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> Any:
        if value in ("", b""):
            self.fail("a name is empty: give a file or a folder", param, context)
        return super().convert(value, param, context)


class FrameSize(click.ParamType[tuple[int, int]]):
    """A size in pixels, WIDTHxHEIGHT."""

    name = "WxH"
    form = re.compile(r"([0-9]{1,6})[xX]([0-9]{1,6})")

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, int]:
        found = self.form.fullmatch(str(value))
        if found is None:
            said = _shortened(str(value))
            self.fail(f"{said!r} is no size: give WIDTHxHEIGHT, as in 1440x1080", param, context)
        return int(found[1]), int(found[2])


def _shortened(given: str) -> str:
    return given if len(given) <= LONGEST_SAID else f"{given[:LONGEST_SAID]}..."


def complete_model(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[Any]]:
    """Names of networks, or files where none begins so."""
    names = {*MODELS_WITHOUT_WEIGHTS, *released()}
    names |= {name.rsplit("-x", 1)[0] for name in released()}
    found = [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


class RunCommand(GroupedCommand):
    """`remaster run`: its options by subject, and told also by the environment."""

    groups: Mapping[str, Sequence[str]] = {
        "Output": ("output", "overwrite", "format"),
        "Size": ("scale", "height", "size"),
        "Part": ("preview", "start", "end", "duration"),
        "Picture": ("model", "reuse", "smooth", "deinterlace", "device", "precision", "batch"),
        "Pictures": (
            "mode",
            "ensemble",
            "denoise",
            "denoise_strength",
            "denoise_color",
            "denoise_template",
            "denoise_search",
            "denoise_bilateral",
            "denoise_as_input",
        ),
        "Encoder": ("codec", "crf", "encoder_preset", "pix_fmt", "ffmpeg_encoder"),
        "Command": ("dry_run", "progress", "report", "debug_reuse", "config", "help"),
    }

    def invoke(self, ctx: click.Context) -> Any:
        ctx.meta[PROGRESS] = ctx.params.get("progress")
        check_environment(ctx)
        return super().invoke(ctx)


def say_version(context: click.Context, _parameter: click.Parameter, is_asked: bool) -> None:
    """The version of what is installed, also where it only lies in a folder; then exit."""
    if not is_asked or context.resilient_parsing:
        return
    from importlib import metadata

    try:
        version = metadata.version("remaster")
    except metadata.PackageNotFoundError:
        version = "unknown: it runs from a folder, not installed"
    say(f"remaster, version {version}")
    context.exit()


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=say_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Enlarge and restore old anime, and lose nothing else the file held.

    Example: remaster run old_episode.mp4 -o hd.mp4 --scale 4
    """


@main.command(cls=RunCommand, epilog=EPILOG, context_settings={"auto_envvar_prefix": ENVIRONMENT})
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=Named(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(),
    help="Output file (.mp4, .mkv, .mov, .webm, .y4m; for a picture .png, .webp, .jpg, .tif); for "
    "several inputs or a folder, a folder; - for standard output.",
)  # fmt: skip
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    help="Format of the output.  [default: by its name; mkv through a pipe]",
)
@click.option(
    "-s", "--scale", type=int, help="Enlarge this many times along each axis.  [default: 2]"
)
@click.option("--height", type=int, help="Output height instead of a scale, as in 1080.")
@click.option("--size", type=FrameSize(), help="Output size instead of a scale.")
@click.option(
    "-m",
    "--model",
    default=RunOptions.model,
    shell_complete=complete_model,
    show_default=True,
    help="A name `remaster models` lists, or a .safetensors file.",
)
@click.option(
    "--reuse",
    type=click.Choice(REUSE),
    default=RunOptions.reuse,
    show_default=True,
    help="Compute once what is drawn once (drawings), what repeats to the bit (exact), or each "
    "frame (off).",
)
@click.option(
    "--smooth",
    type=float,
    default=RunOptions.smooth,
    show_default=True,
    metavar="0..1",
    help="Less noise and flicker in what moves, from its neighbours in time.",
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
@click.option(
    "--ffmpeg-encoder",
    metavar='"ARGS"',
    help='An ffmpeg program encodes instead, as in "-c:v libx264 -crf 18 -tune animation".',
)
@click.option("--start", type=Seconds(), help="First moment to keep: seconds or HH:MM:SS.mmm.")
@click.option("--end", type=Seconds(), help="First moment not to keep.")
@click.option("--duration", type=Seconds(), help="Length to keep, instead of --end.")
@click.option(
    "--deinterlace",
    type=click.Choice(DEINTERLACE),
    default=RunOptions.deinterlace,
    show_default=True,
    help="Make interlaced and telecined sources progressive, frame for frame.",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    help="Of SRCNN and m-SRCNN: enhance at the same size, enlarge, or either twice.  "
    "[default: enlarge]",
)
@click.option("--ensemble", is_flag=True, help="The mean over all eight turns and flips; slow.")
@click.option(
    "--denoise", is_flag=True, help="OpenCV's denoisers at the end; the double modes have them."
)
@click.option(
    "--denoise-strength", type=float, default=RunOptions.denoise_strength, show_default=True,
    metavar="0..255", help="Of non-local means.",
)  # fmt: skip
@click.option(
    "--denoise-color", type=float, metavar="0..255", help="The same for colour.  [default: equal]"
)
@click.option(
    "--denoise-template", type=int, default=RunOptions.denoise_template, show_default=True,
    help="Side of what they compare, in pixels, odd.",
)  # fmt: skip
@click.option(
    "--denoise-search", type=int, default=RunOptions.denoise_search, show_default=True,
    help="Side of where they look, in pixels, odd.",
)  # fmt: skip
@click.option(
    "--denoise-bilateral", type=float, default=RunOptions.denoise_bilateral, show_default=True,
    metavar="0..255", help="Sigmas of the bilateral filter; 0 leaves it out.",
)  # fmt: skip
@click.option(
    "--denoise-as-input", type=int, default=RunOptions.denoise_as_input, show_default=True,
    metavar="0|1", help="Whether the double modes denoise between their passes.",
)  # fmt: skip
@click.option(
    "--preview", type=Seconds(), help="Only this long a part, from the middle of the film."
)
@click.option("-y", "--overwrite", is_flag=True, help="Replace an existing output.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Write nothing: say what would be done, how long it takes and how large it becomes.",
)
@click.option(
    "--report", type=Named(path_type=Path), metavar="FILE",
    help="Write what was done, reused and needed as JSON.",
)  # fmt: skip
@click.option(
    "--debug-reuse", type=Named(path_type=Path), metavar="FILE",
    help="Write a small film that paints what was reused, new and fused.",
)  # fmt: skip
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=read_configuration,
    help="A TOML file whose [run] table gives options; what is typed goes before it.",
)
@click.option(
    "--progress",
    type=click.Choice(["bar", "json", "none"]),
    default="bar",
    show_default=True,
    help="Shown on standard error.",
)
def run(inputs: tuple[Path, ...], output: str, dry_run: bool, progress: str, **flags: Any) -> None:
    """Remaster video files, pictures, or folders of them; - is standard input.

    \b
    Examples: remaster run old_episode.mp4 -o hd.mp4 --scale 4
              remaster run season1/ -o season1_hd/ --height 1080
              remaster run page.png -o big.png
    """
    try:
        options = RunOptions(**without_overruled(click.get_current_context(), flags, output))
        work = find_work(
            inputs,
            output,
            named=options.format,
            holds=lambda suffix: _holds(suffix, options),
        )
        _check_kinds(work, flags, options)
        _check_pipes(work, options, dry_run)
        if work.folder is not None and options.debug_reuse is not None:
            raise OptionsError("--debug-reuse is one film: give one input, and a file behind -o")
    except OptionsError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
    _stop_as_ctrl_c_does()
    _tell_crashes()
    if dry_run:
        from remaster.commands.forecasts import forecast_files

        sys.exit(forecast_files(work, options, progress))
    from remaster.commands.batch import remaster_files

    sys.exit(remaster_files(work, options, SHOWS[progress]()))


def _holds(suffix: str, options: RunOptions) -> bool:
    """Whether a file with this ending holds what the encoder makes; unknown encoders wait."""
    if options.ffmpeg_encoder is not None:
        return suffix != ".webm"  # the others hold what most programs make
    from remaster.media.encoders import can_hold

    return can_hold(suffix, options.codec)


def _check_kinds(work: Work, flags: Mapping[str, Any], options: RunOptions) -> None:
    """Raise OptionsError for an option that was given, wherever, and means nothing for a file, and
    for a size that no film has."""
    source_of = click.get_current_context().get_parameter_source
    given = [name for name in flags if source_of(name) not in (None, ParameterSource.DEFAULT)]
    for job in work.jobs:
        refuse(given, job.source, "picture" if job.is_picture else "film")
        if not job.is_picture:
            refuse_sides(options, job.source)


def _check_pipes(work: Work, options: RunOptions, dry_run: bool) -> None:
    """Raise OptionsError for what needs a source that can be read more than once."""
    asked = "--dry-run" if dry_run else "--preview" if options.preview is not None else None
    if asked is not None and any(job.source == Path("-") for job in work.jobs):
        raise OptionsError(f"{asked} looks into the middle of the film: give a file, not a pipe")


def _stop_as_ctrl_c_does() -> None:
    """A kill, and a terminal that closes, end a run as tidily; nohup keeps its meaning."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _tell_crashes() -> None:
    """A crash inside a library, which nothing here can catch, at least says where it was.

    What such a run leaves is its hidden .part file, which the next run to the same output takes
    over.
    """
    with suppress(OSError, ValueError, AttributeError, RuntimeError):  # no terminal to say it to
        if not faulthandler.is_enabled():
            faulthandler.enable(all_threads=False)


@main.command()
def models() -> None:
    """List the networks and encoders that can be used here.

    Example: remaster models
    """
    from remaster.checkpoint import read_card
    from remaster.media.encoders import available_encoders

    for name, path in released().items():
        card = read_card(path)
        say(f"{name:12} x{card.scale}  {card.arch}, {path.stat().st_size / 1000:.0f} kB")
    say("identity     x1  changes nothing: shows what survives the trip")
    say("lanczos      any scale, no network\nbicubic      any scale, no network")
    say(f"encoders: {', '.join(available_encoders())}")


@main.command(cls=TrainCommand, epilog=EPILOG)
@click.argument("data", metavar="[DATA...]", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Weights to write, .safetensors.",
)
@click.option(
    "-r",
    "--recipe",
    type=click.Choice(list(RECIPES)),
    default=TrainOptions.recipe,
    show_default=True,
    help="What is trained, and how; `remaster recipes` lists them.",
)
@click.option("-s", "--scale", type=int, help="Enlargement.  [default: the recipe's first]")
@click.option(
    "--size",
    type=click.Choice(list(SIZES)),
    default=TrainOptions.size,
    show_default=True,
    help="Size of the default network.",
)
@click.option("--iterations", type=int, help="How long to train.  [default: the recipe's]")
@click.option(
    "--max-seconds",
    type=float,
    help="How long to train, by the clock; the same command goes on where it stopped.",
)
@click.option(
    "--start", type=click.Path(path_type=Path), metavar="WEIGHTS", help="Go on from these weights."
)
@click.option(
    "--vgg", type=click.Path(path_type=Path), metavar="FILE",
    help="VGG19's weights, .safetensors with torchvision's names, for recipes that use them.",
)  # fmt: skip
@click.option(
    "--hold-out", multiple=True, metavar="FOLDER",
    help="Name of a source folder never trained on.  [default: chosen]",
)  # fmt: skip
@click.option(
    "--pairs", type=click.Path(path_type=Path), nargs=2, metavar="LQ GT",
    help="An old and a better release of the same show, instead of DATA.",
)  # fmt: skip
@click.option(
    "--pool",
    type=int,
    default=TrainOptions.pool,
    show_default=True,
    help="Pairs prepared before the first step.",
)
@click.option(
    "--validate-every", type=float, default=TrainOptions.validate_every, show_default=True,
    help="Seconds between scores on what is held out, with a sheet and a curve.",
)  # fmt: skip
@click.option(
    "-y", "--overwrite", is_flag=True,
    help="Replace weights that are there and are not this training's own.",
)  # fmt: skip
@click.option("--tensorboard", is_flag=True, help="Log for TensorBoard too (extra tensorboard).")
@click.option("--device", default=TrainOptions.device, show_default=True, help="auto, cpu, cuda.")
@click.option(
    "--precision", type=click.Choice(PRECISIONS_OF_TRAINING), default=TrainOptions.precision,
    show_default=True,
)  # fmt: skip
@click.option(
    "--threads", type=int, default=TrainOptions.threads, help="Processor threads.  [default: all]"
)
@click.option("--seed", type=int, default=TrainOptions.seed, show_default=True)
@recipe_options
def train(data: tuple[Path, ...], output: Path, **flags: Any) -> None:
    """Fit a network on folders of pictures and videos.

    \b
    Examples: remaster train stills/ episodes/ -o mine-x2.safetensors --max-seconds 3600
              remaster train stills/ -o a2n.safetensors --recipe a2n --scale 2 --batch 8
    """
    try:
        options = TrainOptions(data, output, changes=changes(flags), **flags)
    except OptionsError as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
    from remaster.train.loop import fit

    _stop_as_ctrl_c_does()
    fit(options, tell)


@main.command()
@click.argument("recipe", required=False, type=click.Choice(list(RECIPES)))
def recipes(recipe: str | None) -> None:
    """List the recipes of `remaster train`, or every number of one.

    \b
    Examples: remaster recipes
              remaster recipes a2n
    """
    say("\n".join(list_recipes() if recipe is None else describe_recipe(recipe)))


@main.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1, shell_complete=complete_model)
@click.option(
    "--data",
    multiple=True,
    required=True,
    type=Named(path_type=Path),
    help="Folder of pictures and videos, or one of them; may be given several times, as may "
    "--folder, --scale and --kernel.",
)
@click.option(
    "--folder", "folders", multiple=True, metavar="NAME",
    help="Name of a source folder to score on.  [default: all]",
)  # fmt: skip
@click.option(
    "-s", "--scale", "scales", type=int, multiple=True,
    help="2, 3 or 4, or a network's own; networks over luma serve all of them.  [default: the "
    "networks' own]",
)  # fmt: skip
@click.option(
    "--protocol",
    type=click.Choice(["clean", "msrcnn"]),
    default="clean",
    show_default=True,
    help="Antialiased, rounded, on luma; or as the authors of m-SRCNN measured.",
)
@click.option(
    "--kernel", "kernels", multiple=True, metavar="NAME",
    help="What shrinks the truth.  [default: box, catmull-rom, lanczos, triangle]",
)  # fmt: skip
@click.option(
    "--damage", default="clean", show_default=True, metavar="NAME",
    help="What is done to the shrunk pictures: clean, web, dvd, vhs, film or mixed.",
)  # fmt: skip
@click.option(
    "--side",
    type=int,
    default=512,
    show_default=True,
    help="Middle part of each picture that is used, in pixels; 0: whole pictures.",
)
@click.option(
    "--frames", type=int, default=48, show_default=True,
    help="How many of a video, from its start, or that of its part held out of training.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the damage.")
@click.option(
    "-o", "--output", type=Named(path_type=Path), metavar="FOLDER",
    help="Write table.md, values.csv, results.json and crops.png there.",
)  # fmt: skip
@click.option("-y", "--overwrite", is_flag=True, help="Replace those that are there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of the table.")
def evaluate(**flags: Any) -> None:
    """Score networks beside interpolations on pictures and clips.

    MODEL is a .safetensors file or a name `remaster models` lists. Nearest neighbour, bilinear,
    bicubic and Lanczos are always in the table.

    Example: remaster evaluate mine-x2.safetensors --data stills/ --folder kept_back
    """
    from remaster.commands.evaluation import EvaluateOptions
    from remaster.commands.evaluation import evaluate as evaluate_models

    evaluate_models(EvaluateOptions(**flags))


@main.command()
@click.argument("data", metavar="DATA...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=Named(path_type=Path),
    help="Folder of PNGs, new or empty; or one file NAME.h5 with the small pictures, too.",
)
@click.option(
    "--side",
    type=int,
    default=480,
    show_default=True,
    help="Pixels of a sub-image each way; 0 keeps pictures whole.",
)
@click.option(
    "--step", type=int, default=200, show_default=True, help="Pixels from one to the next."
)
@click.option(
    "--kernel",
    default="catmull-rom",
    show_default=True,
    help="How the small pictures of an .h5 are made.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "-y", "--overwrite", is_flag=True,
    help="Replace an existing NAME.h5; a folder that holds anything is always left alone.",
)  # fmt: skip
def harvest(data: tuple[Path, ...], output: Path, **flags: Any) -> None:
    """Gather clean pictures from folders of pictures and videos.

    Training needs no such step; it is for looking at what it learns from, and for other programs.

    Example: remaster harvest episodes/ -o frames/
    """
    from remaster.train.shards import write_harvest
    from remaster.train.sources import list_sources

    files = list_sources(data)
    count = write_harvest(files, output, log=tell, **flags)
    say(f"wrote {count} pictures to {output}")


@main.command(epilog=EPILOG)
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="A JSON document a line.")
def probe(files: tuple[Path, ...], as_json: bool) -> None:
    """Say what files hold, and what a remaster keeps of it.

    Example: remaster probe old_episode.mkv
    """
    if Path("-") in files:
        raise click.UsageError("probe looks at a file more than once: give a file, not a pipe")
    from remaster.commands.batch import for_each
    from remaster.commands.holdings import print_holdings

    work = Work([Job(path, path) for path in files])
    show = SHOWS["json" if as_json else "none"]()
    sys.exit(for_each(work, lambda job: print_holdings(job.source, as_json=as_json), show))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def doctor(as_json: bool) -> None:
    """Check that remaster can work here, and how well.

    Example: remaster doctor
    """
    from remaster.commands.doctor import examine

    sys.exit(examine(as_json=as_json))


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script for a shell's completion.

    Example: remaster completion bash > ~/.local/share/bash-completion/completions/remaster
    """
    say(completion_script(shell, main))
