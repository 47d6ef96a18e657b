"""What the README says exists, and its two commands are one line each."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import click
import pytest

from remaster.checkpoint import read_card
from remaster.cli import main
from remaster.released import released
from remaster.train.options import SIZES

ROOT = Path(__file__).resolve().parents[1]
TEXTS = [ROOT / "README.md", ROOT / "weights" / "README.md", ROOT / "benchmarks" / "README.md"]


def first_block(heading: str) -> list[str]:
    section = re.search(rf"^## {heading}$(.*?)(^## |\Z)", TEXTS[0].read_text(), re.M | re.S)
    assert section, f"README has no '## {heading}'"
    block = re.search(r"^```sh\n(.*?)^```", section[1], re.M | re.S)
    assert block, f"'## {heading}' has no sh block"
    return block[1].strip().splitlines()


@pytest.mark.parametrize("heading", ["Quick start", "Tests"])
def test_one_line_does_it_all(heading: str) -> None:
    (line,) = first_block(heading)
    assert line.startswith("python3 -m venv")
    assert "constraints.txt" in line


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.parent.name)
def test_commands_in_texts_exist(path: Path) -> None:
    commands = dict(main.commands)
    called = re.findall(
        r"^\s*(?:\S*/)?remaster (\w+)([^\n`]*(?:\\\n[^\n`]*)*)", path.read_text(), re.M
    )
    for name, rest in called:
        if name not in commands:
            continue
        options = {o for p in commands[name].params if isinstance(p, click.Option) for o in p.opts}
        for flag in re.findall(r"(?<=\s)(--?[a-z][a-z-]*)", rest):
            assert flag in options, f"{path.name}: remaster {name} has no {flag}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.parent.name)
def test_nothing_is_left_to_fill_in(path: Path) -> None:
    assert not re.search(r"@[A-Z]+@", path.read_text())


def test_released_weights_are_in_their_table() -> None:
    text = TEXTS[1].read_text()
    for name, path in released().items():
        card = read_card(path)
        assert card.size in SIZES, name
        assert card.trained["sources"], name
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text, name


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.parent.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_run_option_is_in_the_readme() -> None:
    text = TEXTS[0].read_text()
    for parameter in main.commands["run"].params:
        if isinstance(parameter, click.Option):
            assert max(parameter.opts, key=len) in text, parameter.name
