"""`remaster evaluate`: networks and interpolations on pictures and clips, in figures."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from remaster.checkpoint import Card, load_model, read_card
from remaster.commands.console import say, tell
from remaster.errors import DataError, OptionsError, OutputError, SourceError
from remaster.models import Network
from remaster.released import released
from remaster.report import counted
from remaster.train.crops import Crops, draw_crops
from remaster.train.degrade import DAMAGES
from remaster.train.evaluate import (
    CLEAN,
    LEAST_SIDE,
    PROTOCOLS,
    Row,
    Trial,
    at_scale,
    find_material,
    methods_of,
    read_truth,
)
from remaster.train.figures import COLUMNS, as_csv, as_document, as_table, summarize
from remaster.train.sources import WHOLE, SourceFile

__all__ = ["EvaluateOptions", "evaluate"]

WRITTEN = ("table.md", "values.csv", "results.json", "crops.png")
"""In the output folder."""

SHOWN = 4
"""Pictures of which crops are drawn, of each scale."""

TOLD_EVERY_SECONDS = 5.0
USUAL_SCALES = (2, 3, 4)
"""Anything can be measured at; others take a network of that scale."""


@dataclass(frozen=True)
class EvaluateOptions:
    """What `remaster evaluate` is asked."""

    models: tuple[str, ...]
    """Weights files, or names of released weights."""

    data: tuple[Path, ...]
    folders: tuple[str, ...] = ()
    """Names of source folders; everything under `data` without any."""

    scales: tuple[int, ...] = ()
    """Those of the networks without any."""

    protocol: str = "clean"
    kernels: tuple[str, ...] = ()
    """The protocol's own without any."""

    damage: str = CLEAN
    side: int = 512
    """Middle part of each picture that is used, in pixels; 0: all of it."""

    frames: int = 48
    """Of a video, from its start, or that of its part that was held out of training."""

    output: Path | None = None
    """Folder for `WRITTEN`."""

    overwrite: bool = False
    """Replace those that are there."""

    as_json: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise OptionsError(f"--protocol is clean or msrcnn, not {self.protocol!r}")
        known = PROTOCOLS[self.protocol].all_kernels
        for kernel in self.kernels:
            if kernel not in known:
                raise OptionsError(
                    f"--kernel of the {self.protocol} protocol is {_one_of(known)}, not {kernel!r}"
                )
        if self.damage not in (CLEAN, *DAMAGES):
            raise OptionsError(f"--damage is {_one_of((CLEAN, *DAMAGES))}, not {self.damage!r}")
        if self.damage != CLEAN and self.protocol != "clean":
            raise OptionsError("--damage goes with --protocol clean; msrcnn has none")
        if self.side != 0 and self.side < LEAST_SIDE:
            raise OptionsError(
                f"--side is at least {LEAST_SIDE}, or 0 for whole pictures, not {self.side}"
            )
        if self.frames < 1:
            raise OptionsError(f"--frames is at least 1, not {self.frames}")
        if self.seed < 0:
            raise OptionsError(f"--seed is at least 0, not {self.seed}")
        for scale in self.scales:
            if self.protocol == "msrcnn" and scale > 4:
                raise OptionsError(f"--protocol msrcnn is for --scale 2, 3 and 4, not {scale}")


def evaluate(options: EvaluateOptions) -> None:
    """Measure, tell how far it is, say the table, and write what is asked for.

    Raises:
        OptionsError: a model is not for a scale that is asked for.
        CheckpointError: a file holds no weights.
        DataError: there is nothing to measure on.
        OutputError: the folder cannot be written to, or holds what it must not replace.
    """
    if options.output is not None and not options.overwrite:
        _check_free(options.output)
    networks, cards = load_models(options.models, options.scales)
    trials = make_trials(options, networks)
    files = find_material(options.data, options.folders)
    if not options.folders:
        held = held_back(cards, files)
        if held:
            tell(f"{len(held)} files that were held out of training; --folder chooses others")
        files = held or files
    for line in seen_before(cards, files):
        tell(f"warning: {line}")
    if options.output is not None:
        with _named(options.output):
            options.output.mkdir(parents=True, exist_ok=True)  # now, not after an hour
    rows, crops = measured(trials, files, options)
    headline = trials[0].protocol.measures[0]
    summaries = summarize(rows, headline)
    title = described(options, rows)
    document = {"setup": title, **as_document(rows, summaries)}
    table = f"{title}\n\n{as_table(summaries, headline)}"
    say(json.dumps(document, allow_nan=False) if options.as_json else table)
    if options.output is None:
        return
    with _named(options.output):
        write_text(options.output / "table.md", f"{table}\n")
        write_text(options.output / "values.csv", as_csv(rows))
        text = json.dumps(document, indent=1, allow_nan=False)
        write_text(options.output / "results.json", f"{text}\n")
        write_crops(options.output / "crops.png", crops, rows, headline)
    tell(f"wrote {options.output}: {', '.join(WRITTEN)}")


def _check_free(folder: Path) -> None:
    """Raise OutputError where one of `WRITTEN` is there."""
    with _named(folder):
        there = [name for name in WRITTEN if (folder / name).exists()]
    if there:
        raise OutputError(
            f"{folder} holds {', '.join(there)}: give -y to replace what is there, or another "
            "folder with --output"
        )


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """What the system refuses there, in a sentence."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written to ({error.strerror}); give another folder with --output"
        ) from error


def load_models(
    names: Sequence[str], scales: Sequence[int] = ()
) -> tuple[dict[str, Network], dict[str, Card]]:
    """Name in the table -> network, and -> card."""
    networks, cards = {}, {}
    taken = {name for protocol in PROTOCOLS.values() for name in protocol.interpolations(2)}
    for path in dict.fromkeys(path for name in names for path in find_weights(name, scales)):
        name = path.stem if path.stem not in taken else str(path)
        taken.add(name)
        networks[name], cards[name] = load_model(path)
    return networks, cards


def find_weights(name: str, scales: Sequence[int] = ()) -> list[Path]:
    """A weights file, that of a released name, or of a family's every scale (of these, if any).

    Raises:
        OptionsError: it is none of them.
    """
    weights = released()
    if name.endswith(".safetensors") or name in weights:
        return [weights.get(name, Path(name))]
    family = "fast" if name == "auto" else name  # as `run` does
    found = {
        scale: path
        for stem, path in weights.items()
        if stem.rpartition("-x")[0] == family and (scale := read_card(path).scale)
    }
    if not found:
        raise OptionsError(
            f"the model {name!r} is neither a .safetensors file nor one of {', '.join(weights)}; "
            "interpolations are always in the table"
        )
    return [path for scale, path in found.items() if not scales or scale in scales] or list(
        found.values()
    )


def make_trials(options: EvaluateOptions, networks: Mapping[str, Network]) -> list[Trial]:
    """One for each scale that is asked for, or that the networks have.

    Raises:
        OptionsError: a network serves none of the scales.
    """
    own = {model.scale for model in networks.values() if model.scale > 1}
    scales = options.scales or tuple(sorted(own)) or (2,)
    protocol = PROTOCOLS[options.protocol]
    for scale in scales:
        if scale not in USUAL_SCALES and scale not in own:
            raise OptionsError(
                f"--scale is 2, 3 or 4, or that of a network that is given, not {scale}"
            )
    for name, model in networks.items():
        if not any(at_scale(model, scale) for scale in scales):
            raise OptionsError(
                f"{name} enlarges {model.scale} times, and --scale asks for "
                f"{_one_of([str(s) for s in scales])}: leave --scale out, or give weights for it"
            )
    if options.protocol == "msrcnn" and max(scales) > 4:
        raise OptionsError(f"--protocol msrcnn is for --scale 2, 3 and 4, not {max(scales)}")
    kernels = options.kernels or protocol.kernels
    return [
        Trial(protocol, s, kernels, methods_of(protocol, networks, s), options.damage, options.seed)
        for s in scales
    ]


def _told(card: Card, name: str) -> set[str]:
    """A list of names on a card; empty where it has none."""
    told = card.trained.get(name, []) if isinstance(card.trained, dict) else []
    return {str(each) for each in told} if isinstance(told, list) else set()


def held_back(cards: Mapping[str, Card], files: Sequence[SourceFile]) -> list[SourceFile]:
    """Those, and of films those parts, that every model's card names as held out of its training;
    none where none does."""
    named = [held for card in cards.values() if (held := _told(card, "held_files"))]
    found = []
    for file in files:
        parts = [part for held in named if (part := file.part_among(held))]
        if named and len(parts) == len(named):
            begins, ends = zip(*parts)
            if max(begins) < min(ends):
                found.append(replace(file, part=(max(begins), min(ends))))
    return found


def seen_before(cards: Mapping[str, Card], files: Sequence[SourceFile]) -> list[str]:
    """A sentence for every model that was trained on some of what it is measured on.

    Cards name the folders that were learnt from, and of two releases of one show the files.
    """
    lines = []
    for name, card in cards.items():
        learnt, held = _told(card, "sources"), _told(card, "held_files")
        unknown = [file for file in files if not _is_held(file, held)]
        seen = sorted({each for f in unknown for each in (f.source, f.path.name)} & learnt)
        if seen:
            lines.append(
                f"{name} was trained on {', '.join(seen)}: what it scores there says little; "
                "choose others with --folder"
            )
    return lines


def _is_held(file: SourceFile, held: set[str]) -> bool:
    part = replace(file, part=WHOLE).part_among(held)
    return part is not None and part[0] <= file.part[0] and file.part[1] <= part[1]


def measured(
    trials: Sequence[Trial], files: Sequence[SourceFile], options: EvaluateOptions
) -> tuple[list[Row], list[Crops]]:
    """Every file by every trial, one file in memory at a time.

    Files that cannot be read, and small ones, are told of and left out.

    Raises:
        DataError: nothing is left.
    """
    rows: list[Row] = []
    crops: list[Crops] = []
    shown = {len(files) * i // SHOWN for i in range(SHOWN)}
    too_small = 0
    last_told = time.monotonic()
    for number, (file, name) in enumerate(zip(files, names_of(files))):
        try:
            frames = read_truth(file, options.side, options.frames)
        except (DataError, SourceError) as error:
            tell(f"warning: left out: {error}")
            continue
        if not frames:
            too_small += 1
            continue
        for trial in trials:
            sheet = Crops(f"{name} x{trial.scale} {trial.kernels[0]}")
            rows += trial.rows(file.source, name, frames, sheet.show if number in shown else None)
            if sheet.squares:
                crops.append(sheet)
        if time.monotonic() - last_told >= TOLD_EVERY_SECONDS:
            tell(f"{number + 1} of {len(files)} files measured")
            last_told = time.monotonic()
    if too_small:
        tell(f"warning: left out: {too_small} files with a side under {LEAST_SIDE} pixels")
    if not rows:
        raise DataError(
            f"there is no picture of {LEAST_SIDE} pixels a side to score on among "
            f"{len(files)} files; give others with --data or --folder"
        )
    return rows, crops


def names_of(files: Sequence[SourceFile]) -> list[str]:
    """As on cards, or the whole path where that is not one file's alone."""
    names = [file.name_on_cards for file in files]
    return [name if names.count(name) == 1 else str(file.path) for name, file in zip(names, files)]


def described(options: EvaluateOptions, rows: Sequence[Row]) -> str:
    """One line above the table."""
    clips = {row.picture for row in rows if row.frames > 1}
    pictures = {row.picture for row in rows} - clips
    counts = [(len(pictures), "picture"), (len(clips), "clip")]
    what = " and ".join(counted(n, word) for n, word in counts if n)
    sources = sorted({row.source for row in rows})
    part = f"the middle {options.side} pixels" if options.side else "whole pictures"
    damage = "" if options.damage == CLEAN else f", damaged as {options.damage}"
    many = len(sources) > 8
    where = f"{len(sources)} sources" if many else ", ".join(sources)
    return (
        f"Protocol {options.protocol}{damage}: {what} ({part}) of {where}; "
        "in brackets the 95 % bootstrap interval of the mean."
    )


def write_text(path: Path, text: str) -> None:
    """The whole file or none of it."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def write_crops(path: Path, crops: Sequence[Crops], rows: Sequence[Row], headline: str) -> None:
    """The sheet of crops, each with its method's headline on the picture it is of."""
    form = COLUMNS[headline][1]
    said = {
        (f"{row.picture} x{row.scale} {row.kernel}", row.method): form.format(row.values[headline])
        for row in rows
    }
    if crops:
        partial = path.with_name(f".{path.name}.part")
        draw_crops(crops, said).save(partial, "PNG")
        partial.replace(path)


def _one_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
