"""Enlarge and restore old anime, and lose nothing else the file held.

import remaster
result = remaster.run("old_episode.mp4", "hd.mp4", remaster.RunOptions(scale=4))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remaster.errors import RemasterError

if TYPE_CHECKING:
    from remaster.pipeline import Progress, RunOptions, RunResult, run

__all__ = ["Progress", "RemasterError", "RunOptions", "RunResult", "run"]


def __getattr__(name: str) -> Any:
    """Import the pipeline, and torch with it, when it is first asked for."""
    if name in __all__:
        from remaster import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
