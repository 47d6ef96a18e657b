"""In words, before work: what is said about a source that a container has no place for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from av.stream import Disposition

from remaster.media.holding import (
    HOLDINGS,
    file_tags,
    held_dispositions,
    held_language,
    held_tags,
    held_track_tags,
    spelled,
    track_tags,
)
from remaster.media.probe import Source, StreamInfo

__all__ = ["file_losses", "track_losses"]

_NOT_WORTH_A_WORD = ("encoder", "handler_name", "language", "creation_time", "source_id")
"""Tags of streams that say nothing to a viewer."""

_LARGEST_GAP_SECONDS = 0.01


def file_losses(source: Source, container: str) -> Iterator[str]:
    """Sentences about tags, chapters and covers, and about what lies inside the pictures."""
    holds = HOLDINGS[container]
    kept = held_tags(container, source.metadata, source.video.frame_rate)
    tags = file_tags(source.metadata)
    lost = sorted((key for key in tags if spelled(container, key) not in kept), key=str.lower)
    if lost:
        names = ", ".join(lost)
        yield f"Of the file's tags are left out, since {container} files cannot say them: {names}."
    if not holds.chapter_ends and _moved_chapters(source):
        yield (
            f"The chapters have gaps or overlap: in {container} files each ends where the next "
            f"begins, and the first begins at 0."
        )
    if source.unread_chapters:
        yield (
            f"{source.unread_chapters} chapters that lie inside others or in further editions "
            f"are left out."
        )
    named = [s for s in source.streams if s.is_cover and "filename" in s.metadata]
    if holds.covers and not holds.cover_names and named:
        yield f"The cover pictures lose their file names: {container} files keep the pictures."
    for words in source.lost_with_pictures:
        yield f"The pictures carry {words}: this is left out."


def track_losses(stream: StreamInfo, container: str, *, is_film: bool = False) -> Iterator[str]:
    """Sentences about the language, tags and flags of a stream that is kept."""
    holds = HOLDINGS[container]
    name = "film" if is_film else str(stream)
    why = f"{container} files cannot say it"
    language = stream.language
    if language and language != "und" and held_language(container, language) is None:
        yield f"The {name} loses its language {language!r}: {why}."
    if not stream.is_cover:
        kept = held_track_tags(container, stream.metadata, is_film=is_film)
        tags = track_tags(stream.metadata, is_film=is_film)
        lost = [
            key
            for key in tags
            if spelled(container, key) not in kept and key.lower() not in _NOT_WORTH_A_WORD
        ]
        if lost:
            yield f"The {name} loses of its tags {', '.join(sorted(lost))}: {why}."
        flags = Disposition(stream.disposition)
        unsaid = [
            flag.name or ""
            for flag in Disposition
            if flag & flags & ~held_dispositions(container, flags) & ~holds.dispositions
        ]
        if unsaid:
            yield f"The {name} is no longer marked as {', '.join(unsaid)}: {why}."


def _moved_chapters(source: Source) -> bool:
    chapters = source.chapters
    begins_late = bool(chapters) and chapters[0].start > _LARGEST_GAP_SECONDS
    return begins_late or any(
        abs(after.start - before.end) > _LARGEST_GAP_SECONDS for before, after in pairwise(chapters)
    )
