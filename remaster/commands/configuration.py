"""Options from a TOML file and from the environment, checked as strictly as those typed."""

from __future__ import annotations

import datetime
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from remaster.options import RunOptions

__all__ = ["ENVIRONMENT", "check_environment", "read_configuration", "without_overruled"]

ENVIRONMENT = "REMASTER_RUN"
"""What the names of environment variables begin with; `REMASTER_RUN_CRF` is --crf."""

_NEVER = ("config", "help")

_SIZES = ("scale", "height", "size")
_ENDS = ("end", "duration")
_PART = ("start", "end", "duration")
_ENCODER = ("codec", "crf", "encoder_preset")

_STRENGTH = {
    ParameterSource.DEFAULT_MAP: 1,  # a file
    ParameterSource.ENVIRONMENT: 2,
    ParameterSource.COMMANDLINE: 3,
    ParameterSource.PROMPT: 3,
}


def read_configuration(
    context: click.Context, _parameter: click.Parameter, path: Path | None
) -> Path | None:
    """Take a file's `[run]` table for the defaults of a command; a callback for --config.

    Raises click.UsageError, with the file and the key, for a file that cannot be read, a table or
    key that is unknown, and a value of another type than the option's.
    """
    if path is not None and not context.resilient_parsing:
        context.default_map = {**(context.default_map or {}), **_values(path, context)}
    return path


def check_environment(context: click.Context) -> None:
    """Raise click.UsageError for a variable that looks like an option and is none."""
    known = {f"{ENVIRONMENT}_{name.upper()}" for name in _options(context)}
    known |= {f"{ENVIRONMENT}_CONFIG"}
    for name in sorted(os.environ):
        if name.startswith(f"{ENVIRONMENT}_") and name not in known:
            raise click.UsageError(
                f"the environment variable {name} belongs to no option: unset it, or correct it",
                context,
            )


def without_overruled(
    context: click.Context, flags: Mapping[str, Any], output: str
) -> dict[str, Any]:
    """The options of a run without those that others overrule, which then have their defaults.

    What says the same in another way goes by where it was said, as one option does: typed before
    the environment, that before the file. Those said in one place are left to be refused.
    """
    strength = {
        name: _STRENGTH.get(context.get_parameter_source(name), 0)  # type: ignore[arg-type]
        for name in (*flags, "output")
    }
    kept = dict(flags)

    def drop(*names: str) -> None:
        for name in names:
            kept[name], strength[name] = getattr(RunOptions, name), 0

    def strongest(names: Sequence[str]) -> int:
        return max(strength[name] for name in names)

    for names in (_SIZES, _ENDS):
        drop(*(name for name in names if strength[name] < strongest(names)))
    for one, others in (("preview", _PART), ("ffmpeg_encoder", _ENCODER)):
        if strength[one] < strongest(others):
            drop(one)
        elif strength[one]:
            drop(*(name for name in others if strength[name] < strength[one]))
    if kept["reuse"] == "off" and strength["reuse"] != strength["debug_reuse"]:
        drop(min("reuse", "debug_reuse", key=lambda name: strength[name]))
    named = "output" if kept["format"] is None else "format"
    if kept["format"] == "y4m" or (named == "output" and output.lower().endswith(".y4m")):
        drop(*(n for n in (*_ENCODER, "ffmpeg_encoder") if strength[n] < strength[named]))
    return kept


def _options(context: click.Context) -> dict[str, click.Option]:
    parameters = context.command.get_params(context)
    return {
        parameter.name: parameter
        for parameter in parameters
        if isinstance(parameter, click.Option) and parameter.name and parameter.name not in _NEVER
    }


def _values(path: Path, context: click.Context) -> dict[str, Any]:
    document = _read(path, context)
    table = document.get("run", {})
    strangers = [name for name in document if name != "run"]
    if strangers or not isinstance(table, dict):
        name = strangers[0] if strangers else "run"
        raise click.UsageError(f"{path}: {name!r} is not known; options stand in [run]", context)
    options = _options(context)
    values = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in options:
            raise click.UsageError(f"{path}: {key!r} is no option of run", context)
        if name in values:
            raise click.UsageError(f"{path}: {key!r} is there twice", context)
        values[name] = _value(path, key, value, options[name], context)
    return values


def _read(path: Path, context: click.Context) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}", context) from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, numbers without an end
        raise click.UsageError(f"{path} is not TOML: {error}", context) from error


def _value(path: Path, key: str, value: Any, option: click.Option, context: click.Context) -> Any:
    kinds, words = _kind(option)
    is_flag_for_number = isinstance(value, bool) and bool not in kinds
    if not isinstance(value, kinds) or is_flag_for_number:
        raise click.UsageError(f"{path}: {key} is {words}, not {value!r}", context)
    if isinstance(value, str) and "\0" in value:
        raise click.UsageError(f"{path}: {key} holds a NUL character: take it out", context)
    try:
        option.type.convert(str(value) if str in kinds else value, option, context)
    except click.BadParameter as error:
        raise click.UsageError(f"{path}: {key}: {error.message}", context) from error
    return str(value) if str in kinds else value


def _kind(option: click.Option) -> tuple[tuple[type, ...], str]:
    """What TOML may give for an option, and how it is called."""
    if option.is_flag:
        return (bool,), "true or false"
    if option.type is click.INT:
        return (int,), "a whole number"
    if option.type is click.FLOAT:
        return (int, float), "a number"
    if option.type.name == "time":
        return (str, int, float, datetime.time), "a time"
    return (str,), "a text in quotes"
