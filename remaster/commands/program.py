"""How the program as a whole answers: every failure one line and a code, also as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from remaster.commands import console
from remaster.errors import OptionsError, RemasterError

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "PROGRESS",
    "SOME_FAILED",
    "WRONG_USAGE",
    "GroupedCommand",
    "Program",
]

LONGEST_FLAGS = 30
PROGRESS = "remaster.progress"
"""Key of `click.Context.meta` under which a command that knows leaves its --progress."""

FAILED, WRONG_USAGE, SOME_FAILED, INTERRUPTED = 1, 2, 3, 130


class Program(click.Group):
    """A group of commands that says every failure in one line, as words or as JSON."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **named: Any) -> NoReturn:
        """Run and exit; see `click.Command.main`."""
        console.open_missing()
        code = self._code(args, *rest, **{**named, "standalone_mode": False})
        problem = console.trouble()
        if problem is not None and code == 0:
            console.tell(f"remaster: {problem}")
            code = FAILED
        sys.exit(code)

    def _code(self, args: Sequence[str] | None, *rest: Any, **named: Any) -> int:
        arguments = sys.argv[1:] if args is None else args
        self._progress: str | None = None
        is_json = _asks_for_json(arguments)
        try:
            code = super().main(args, *rest, **named)
        except click.exceptions.NoArgsIsHelpError as error:
            console.tell(error.format_message())
            return WRONG_USAGE
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            configured = (context.default_map or {}) if context is not None else {}
            is_json = _asks_for_json(arguments, self._progress or configured.get("progress"))
            hint = f" (see {context.command_path} --help)" if context is not None else ""
            _fail(error.format_message().rstrip(".") + hint, is_json)
            return error.exit_code
        except RemasterError as error:
            _fail(str(error), _asks_for_json(arguments, self._progress))
            return WRONG_USAGE if isinstance(error, OptionsError) else FAILED
        except SystemExit as error:
            code = error.code
        except OSError as error:
            _fail(str(error), _asks_for_json(arguments, self._progress))
            return FAILED
        except (KeyboardInterrupt, click.Abort) as error:
            notes = getattr(error.__cause__ or error, "__notes__", ())
            _fail("; ".join(("stopped", *notes)), _asks_for_json(arguments, self._progress))
            return INTERRUPTED
        return code if isinstance(code, int) else 0

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an interruption gets through without click's own words."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise click.Abort from error
        finally:
            self._progress = ctx.meta.get(PROGRESS)


class GroupedCommand(click.Command):
    """A command whose help shows its options by subject."""

    groups: Mapping[str, Sequence[str]] = {}
    """Heading to names of options; those which no heading has join the last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each heading, all in the same columns."""
        options = {
            each.name: record
            for each in self.get_params(ctx)
            if isinstance(each, click.Option) and (record := each.get_help_record(ctx))
        }
        named = {name for names in self.groups.values() for name in names}
        last = list(self.groups)[-1]
        column = min(max(len(flags) for flags, _ in options.values()), LONGEST_FLAGS)
        for heading, names in self.groups.items():
            more = [name for name in options if name not in named] if heading == last else []
            records = [options[name] for name in (*names, *more) if name in options]
            with formatter.section(heading):
                formatter.write_dl([(flags.ljust(column), words) for flags, words in records])


def _fail(message: str, is_json: bool) -> None:
    line = console.one_line(RemasterError(message))
    if is_json:
        console.tell(json.dumps({"event": "error", "message": line}))
    else:
        console.tell(f"remaster: {line}")


def _asks_for_json(arguments: Sequence[str], known: str | None = None) -> bool:
    """Whether errors are for programs, found out although the arguments may be wrong.

    `known` is --progress as far as a file or the parsed command line says it; what is typed goes
    before it, and of that the last.
    """
    options = list(arguments)
    options = options[: options.index("--")] if "--" in options else options
    if "--json" in options:
        return True
    if options[:1] != ["run"]:
        return False
    typed = None
    for option, value in zip(options, [*options[1:], ""]):
        name, is_joined, joined = option.partition("=")
        if name == "--progress":
            typed = joined if is_joined else value
    return (typed or os.environ.get("REMASTER_RUN_PROGRESS") or known) == "json"
