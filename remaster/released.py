"""Where the released weights lie. Light to import: the shell's completion asks it."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

__all__ = ["released", "weights_folder"]


def weights_folder() -> Path:
    """The folder of released weights: inside an installed package, or in the repository."""
    packaged = Path(str(importlib.resources.files("remaster"))) / "_weights"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[1] / "weights"


def released() -> dict[str, Path]:
    """The released weights by name, in alphabetical order."""
    return {path.stem: path for path in sorted(weights_folder().glob("*.safetensors"))}
