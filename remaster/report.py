"""What a run did, in figures: for a line on the terminal, and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remaster.pipeline import RunResult

__all__ = ["Reuse", "counted", "failed_film", "film_document", "result_fields"]


def counted(number: int, what: str) -> str:
    """As in `1 frame` and `2 frames`."""
    return f"{number} {what}{'s' * (number != 1)}"


@dataclass(frozen=True)
class Reuse:
    """What was computed once for several frames."""

    mode: str
    """`off`, `exact` or `drawings`: what the run did, whatever was asked for."""

    frames: int
    drawings: int
    """Frames in which something was new."""

    new_share: float
    """Share of all squares of all frames that were new, 0 to 1."""

    fused_share: float
    """Share of all squares that were new and shown as the mean of several exposures, 0 to 1."""

    network_work: float
    """Of the network, over what it would have been with every frame computed whole."""

    network_core_seconds: float
    """Spent in the network, all its threads together."""

    largest_accepted_levels: float
    """Largest difference, in 8-bit levels, between what was held and what it was held for."""

    def __str__(self) -> str:
        if self.mode == "off":
            return f"{counted(self.frames, 'frame')}, each computed whole"
        words = (
            f"{counted(self.frames, 'frame')}, something new in {self.drawings}: "
            f"{self.new_share:.0%} of the picture; the network did {self.network_work:.0%} of the "
            "work of all frames"
        )
        if self.mode == "exact" or not self.largest_accepted_levels:
            return words
        return f"{words}; taken for noise: up to {self.largest_accepted_levels:.1f} levels of 255"

    def document(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def result_fields(result: RunResult) -> dict[str, object]:
    """What came of a film, as JSON has it."""
    return {
        "output": str(result.output),
        "frames": result.frames,
        "bytes": result.bytes,
        "seconds": round(result.seconds, 3),
        "start_up_seconds": round(result.start_up_seconds, 3),
        "fps": round(result.frames_per_second, 3),
        "busy_seconds": {k: round(v, 3) for k, v in result.busy_seconds.items()},
        "reuse": result.reuse.document(),
        "advice": result.advice,
        "warnings": list(result.warnings),
        "read_back": result.is_read_back,
    }


def film_document(result: RunResult) -> dict[str, object]:
    """A film of a report: what it was made of, with what, and what came of it."""
    plan = result.plan
    return {
        "source": str(plan.source.path),
        "source_size_px": [plan.source.video.width, plan.source.video.height],
        "output_size_px": [plan.target.width, plan.target.height],
        "model": plan.model_name,
        "device": str(plan.device),
        "precision": str(plan.dtype).removeprefix("torch."),
        "codec": plan.encoding.codec,
        "smooth": plan.smooth,
        "notes": list(plan.notes),
        **result_fields(result),
    }


def failed_film(source: str, output: str, error: str) -> dict[str, object]:
    """A film or picture of a report that could not be made, and why."""
    return {"source": source, "output": output, "error": error}
