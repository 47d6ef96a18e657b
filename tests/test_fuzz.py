"""A small share of the fuzzing on every test run, and that it notices what it is for."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import MUTATIONS, mutated

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
FOLDER = Path(__file__).resolve().parents[1]


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz", *arguments]
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)


def test_damaged_films_end_in_a_sentence_or_a_film() -> None:
    done = fuzz("--count", "60", "--seed", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished" in done.stdout and "refused" in done.stdout


def test_damaged_weights_end_in_a_sentence_or_a_network() -> None:
    done = fuzz("--count", "60", "--seed", "7", "--weights")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "refused" in done.stdout


WRONG = (
    ("return 'finished', 'x'", "finished", "x"),
    ("os.kill(os.getpid(), 11)", "crash", "SIGSEGV"),
    ("os._exit(3)", "crash", "exit status"),
    ("time.sleep(60)", "hang", "killed"),
    ("raise KeyError('lost')", "error", "KeyError: 'lost'"),
    ("sys.exit(1)", "error", "SystemExit"),
    ("return 'finished', str(len(bytearray(3_000_000_000)))", "error", "MemoryError"),
    ("print('oops'); return 'finished', ''", "noise", "oops"),
    ("return fuzz._told(fuzz.RemasterError('two\\nlines'), 'refused')", "bad message", "two"),
)
"""(what a case does, how it is to be called, what is to be said of it)."""


def test_what_goes_wrong_is_noticed() -> None:
    code = "import json, os, sys, time\nfrom tests import fuzz\nfuzz.WALL_SECONDS = 3\n"
    for body, _, _ in WRONG:
        code += (
            f"def case():\n    {body}\n"
            f"outcome = fuzz.in_process(1, 'x', case)\n"
            f"print(json.dumps([outcome.kind, outcome.detail]), flush=True)\n"
        )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, check=True
    )
    for line, (body, kind, detail) in zip(done.stdout.splitlines(), WRONG, strict=True):
        found = json.loads(line)
        assert found[0] == kind and detail in found[1], (body, found)


def test_a_case_follows_from_its_seed_and_number() -> None:
    sources = [bytes(range(256)) * 8, b"other" * 300]
    cases = [mutated(sources, random.Random(f"0:{n}"), MUTATIONS) for n in range(300)]
    assert cases == [mutated(sources, random.Random(f"0:{n}"), MUTATIONS) for n in range(300)]
    assert len({data for _, _, data in cases}) > 280
    assert {name for _, names, _ in cases for name in names.split("+")} == {
        mutation.__name__ for mutation in MUTATIONS
    }
