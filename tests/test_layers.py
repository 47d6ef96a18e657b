"""Imports run down only, and each library has one door."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "remaster"

LEVELS = {
    "cli": 7,
    "commands": 6,
    "commands.configuration": 6,
    "commands.program": 6,
    "commands.shows": 6,
    "commands.completion": 6,
    "commands.training": 6,
    "trial": 5,
    "__main__": 8,
    "": 6,  # the package itself: what `import remaster` offers
    "pipeline": 5,
    "report": 5,  # it describes a result; the types alone
    "plan": 4,
    "memory": 4,
    "train.loop": 5,
    "train.evaluate": 5,
    "train.figures": 5,
    "train.crops": 5,
    "train.sources": 4,
    "train.harvest": 4,
    "train.cleaning": 4,
    "train.shards": 4,
    "train.alignment": 4,
    "train.registration": 2,
    "train.pairs": 4,
    "train.analog": 2,
    "train.degrade": 4,
    "train.steps": 4,
    "train.validation": 5,
    "train.distributed": 2,
    "train.influence": 4,
    "stills": 5,
    "tiling": 3,
    "denoising": 1,
    "media": 3,
    "media.piping": 3,
    "smoothing": 3,
    "drawings": 3,
    "likeness": 2,
    "squares": 0,
    "weave": 1,
    "upscale": 3,
    "chains": 3,
    "enlarging": 3,
    "paths": 3,
    "transfer": 2,
    "regions": 2,
    "color": 2,
    "engines": 2,
    "metrics": 2,
    "steadiness": 2,
    "checkpoint": 2,
    "train.losses": 2,
    "train.adversarial": 2,
    "train.vgg": 2,
    "train.drawing": 2,
    "train.options": 2,
    "train.recipes": 2,
    "train.material": 5,
    "train": 2,
    "models": 1,
    "frames": 0,
    "errors": 0,
    "options": 0,
    "released": 0,
    "resampling": 0,  # kernels: the networks start from them, colour and sizes use them
}
DOORS = {
    "av": {"media"},
    "click": {
        "cli",
        "commands.program",
        "commands.configuration",
        "commands.completion",
        "commands.training",
    },
    # upscale and pipeline only guard their counters, and piping what two threads read from one pipe
    "threading": {"transfer", "upscale", "pipeline", "media.piping"},
    "queue": {"transfer"},
    "concurrent": {"transfer"},
    "safetensors": {"checkpoint"},
    "decord": {"train.harvest"},
    "h5py": {"train.shards"},
    "cv2": {"denoising"},
    "ffmpeg": {"media"},
    "tqdm": {"commands.shows"},
    "ctypes": {"engines"},
}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def room(module: str) -> str:
    """The entry of LEVELS a module belongs to: the longest one that begins its name."""
    while module not in LEVELS:
        assert "." in module, f"{module} has no level in this table"
        module = module.rpartition(".")[0]
    return module


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name for name in submodules if name.startswith("remaster") and is_module(name)]
            yield from found or [node.module]


def is_module(name: str) -> bool:
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=module_name)
def test_imports_run_down(path: Path) -> None:
    own = room(module_name(path))
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "remaster":
            other = room(rest)
            assert other == own or LEVELS[other] <= LEVELS[own], f"{own} imports {name}"
        elif top in DOORS:
            assert own in DOORS[top], f"{own} imports {name}; only {DOORS[top]} may"


def modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split()[-2000:])


def test_help_does_not_wait_for_torch() -> None:
    statement = (
        "from click.testing import CliRunner; from remaster.cli import main; "
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0"
    )
    assert not modules_after(statement) & {"torch", "av", "numpy"}


def test_running_does_not_import_training() -> None:
    assert not any(
        m.startswith("remaster.train") for m in modules_after("import remaster.pipeline")
    )
