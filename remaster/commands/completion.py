"""The scripts that let a shell ask us what may come next on a line."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

__all__ = ["completion_script"]


def completion_script(shell: str, command: click.Command) -> str:
    """The script for `bash`, `zsh` or `fish`, without asking whether that shell is here."""
    found = get_completion_class(shell)
    assert found is not None
    complete = found(command, {}, "remaster", "_REMASTER_COMPLETE")
    return ShellComplete.source(complete).strip()
