"""Shells ask, and get what may come next."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from remaster.cli import main


def completed(words: str) -> list[str]:
    """What bash would be given after this line; its last word is not finished."""
    environment = {
        "_REMASTER_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    result = CliRunner().invoke(main, [], env=environment, prog_name="remaster")
    return [line.partition(",")[2] for line in result.output.splitlines()]


def test_commands_and_options() -> None:
    assert completed("remaster pro") == ["probe"]
    assert completed("remaster run --mo") == ["--model", "--mode"]
    assert {"--preview", "--precision", "--progress"} == set(completed("remaster run --pr"))


def test_models() -> None:
    assert completed("remaster run --model fa") == ["fast", "fast-x2", "fast-x4"]
    assert completed("remaster run --model l") == ["lanczos"]


def test_asking_does_not_wait_for_torch() -> None:
    code = "import sys; from remaster.cli import main, complete_model; complete_model(0, 0, 'f'); "
    code += "print([name for name in ('torch', 'av', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert f"_REMASTER_COMPLETE={shell}_complete" in result.output
    if shutil.which(shell) and shell != "zsh":
        check = subprocess.run([shell, "-n"], input=result.output, text=True, env=os.environ)
        assert check.returncode == 0
