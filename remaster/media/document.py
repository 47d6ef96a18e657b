"""A JSON document as a file: there when it is whole, never half."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from remaster.media.placed import Placed, explained
from remaster.media.placing import flush_to_disk

__all__ = ["write_document"]


def write_document(path: Path, document: Mapping[str, object], *, overwrite: bool) -> None:
    """Write a document in one step.

    Raises OutputError when it cannot be written, or when there is a file that may not be replaced.
    """
    text = json.dumps(document, indent=2, ensure_ascii=True) + "\n"
    placed = Placed(path, "JSON", overwrite=overwrite, what="report")
    with placed as partial:
        with explained(path, "JSON"):
            partial.write_text(text, encoding="ascii")
            flush_to_disk(partial)
        placed.put()
