"""What each container can say about a file and its streams: the one table of it.

What is not in the table is named before work starts, and nothing else is missing afterwards:
the writer hands a muxer what the table lets through, and the verification asks for exactly that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from av.stream import Disposition

__all__ = [
    "HOLDINGS",
    "Holding",
    "file_tags",
    "held_dispositions",
    "held_language",
    "held_tags",
    "held_track_tags",
    "normal_dispositions",
    "spelled",
    "track_tags",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ANY = None
_MATROSKA_FLAGS = (
    Disposition.default
    | Disposition.dub
    | Disposition.original
    | Disposition.comment
    | Disposition.forced
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
)
_MP4_FLAGS = (
    Disposition.default
    | Disposition.dub
    | Disposition.comment
    | Disposition.forced
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.captions
    | Disposition.descriptions
)
_MP4_TAGS = _words(
    "title artist album_artist composer album date comment genre copyright grouping lyrics "
    "description synopsis show episode_id network keywords location creation_time timecode "
    "episode_sort season_number media_type hd_video gapless_playback compilation track disc"
)
_MOV_TAGS = _words(
    "title artist album date comment genre copyright make model location creation_time timecode"
)
_MP4_TRACK_TAGS = frozenset(["title", "handler_name", "language"])
_MOV_LANGUAGES = _words(
    "alb amh ara arm asm aym aze baq bel ben bul bur cat ces chi dan dut dzo eng epo est fin "
    "fra geo ger gre grn guj heb hin hun ice ind iri ita jav jpn kan kas kaz khm kin kir kor "
    "kur lao lat lav lit mac mal mar may mlg mlt mol mon nep nor nya ori orm per pol por pus "
    "que ron run rus san sin slk slv smi snd som spa sve swa tam tat tel tgk tgl tha tib tir "
    "tuk tur uig ukr urd uzb vie wel yid"
)
"""Apple's old list; its words for Swedish and others are its own."""

_LETTERS = {
    "ar": "ara",
    "bg": "bul",
    "ca": "cat",
    "cs": "cze",
    "da": "dan",
    "de": "ger",
    "el": "gre",
    "en": "eng",
    "es": "spa",
    "et": "est",
    "fi": "fin",
    "fr": "fre",
    "he": "heb",
    "hi": "hin",
    "hr": "hrv",
    "hu": "hun",
    "id": "ind",
    "it": "ita",
    "ja": "jpn",
    "ko": "kor",
    "lt": "lit",
    "lv": "lav",
    "ms": "may",
    "nb": "nob",
    "nl": "dut",
    "no": "nor",
    "pl": "pol",
    "pt": "por",
    "ro": "rum",
    "ru": "rus",
    "sk": "slo",
    "sl": "slv",
    "sr": "srp",
    "sv": "swe",
    "ta": "tam",
    "th": "tha",
    "tr": "tur",
    "uk": "ukr",
    "ur": "urd",
    "vi": "vie",
    "zh": "chi",
}
"""ISO 639-1, which Matroska takes, to ISO 639-2."""

_APPLE_WORDS = {
    "bod": "tib",
    "cym": "wel",
    "cze": "ces",
    "deu": "ger",
    "ell": "gre",
    "eus": "baq",
    "fas": "per",
    "fre": "fra",
    "hye": "arm",
    "isl": "ice",
    "kat": "geo",
    "mkd": "mac",
    "msa": "may",
    "mya": "bur",
    "nld": "dut",
    "nob": "nor",
    "rum": "ron",
    "slo": "slk",
    "sqi": "alb",
    "swe": "sve",
    "zho": "chi",
}
"""ISO 639-2, both of its forms, to the words of Apple's list."""

_MATROSKA_NAMES = {"lead_performer": "performer", "part_number": "track"}
"""Names that FFmpeg reads as others."""

_MUXER_TAGS = (
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "duration",
    "software",
)
_DERIVED_TAGS = (
    *("duration", "bps", "number_of_", "_statistics_", "vendor_id", "encoding_tool"),
    *("timecode", "creation_time"),
)
"""Of a stream: found out from its packets, or from a tag of the file."""

_FILM_TAGS_OF_ITS_CODING = ("encoder", "stereo_mode", "alpha_mode", "rotate")
_WHOLE_NUMBERS = {
    **dict.fromkeys(("episode_sort", "season_number"), 1 << 31),
    **dict.fromkeys(("media_type", "hd_video", "gapless_playback", "compilation"), 1 << 7),
}
_PART_OF_WHOLE = re.compile(r"[1-9]\d{0,3}(/[1-9]\d{0,3})?")
_INSTANT = re.compile(r"(19[1-9]\d|20[0-3]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_TIMECODE = re.compile(r"\d\d:[0-5]\d:[0-5]\d([:;.])\d\d")


@dataclass(frozen=True)
class Holding:
    """What one container can say."""

    tags: frozenset[str] | None
    """Of the file, in lower case; None: any."""

    track_tags: frozenset[str] | None
    """Of a stream, in lower case; None: any."""

    dispositions: Disposition
    """Of a stream."""

    attachments: bool
    covers: bool
    cover_names: bool
    text_codec: str
    """What texts are converted to that it does not take as they are."""

    overlapping_texts: bool
    """Whether a text may begin before the one ahead of it is over."""

    chapter_ends: bool
    """Whether chapters have an end and a first start of their own."""

    untold_default: bool
    """Whether films or sounds may be without one that is played by default."""


HOLDINGS: Mapping[str, Holding] = {
    "matroska": Holding(
        _ANY,
        _ANY,
        _MATROSKA_FLAGS,
        attachments=True,
        covers=True,
        cover_names=True,
        text_codec="subrip",
        overlapping_texts=True,
        chapter_ends=True,
        untold_default=True,
    ),
    "webm": Holding(
        _ANY,
        _ANY,
        Disposition.default | Disposition.forced,
        attachments=False,
        covers=False,
        cover_names=False,
        text_codec="webvtt",
        overlapping_texts=True,
        chapter_ends=True,
        untold_default=True,
    ),
    "mp4": Holding(
        _MP4_TAGS,
        _MP4_TRACK_TAGS,
        _MP4_FLAGS,
        attachments=False,
        covers=True,
        cover_names=False,
        text_codec="mov_text",
        overlapping_texts=False,
        chapter_ends=False,
        untold_default=False,
    ),
    "mov": Holding(
        _MOV_TAGS,
        _MP4_TRACK_TAGS,
        Disposition.default,
        attachments=False,
        covers=False,
        cover_names=False,
        text_codec="mov_text",
        overlapping_texts=False,
        chapter_ends=False,
        untold_default=False,
    ),
}
"""FFmpeg's muxer to what it writes; measured, and held by tests."""


def held_tags(
    container: str, tags: Mapping[str, str], frame_rate: Fraction | None
) -> dict[str, str]:
    """A file's tags that a container keeps to the letter."""
    holds = HOLDINGS[container].tags
    return {
        spelled(container, key): value
        for key, value in file_tags(tags).items()
        if (holds is None or key.lower() in holds)
        and _is_writable(container, key.lower(), value, frame_rate)
    }


def file_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """A file's tags without those that say how it was written, and without empty ones."""
    return {key: value for key, value in tags.items() if value and key.lower() not in _MUXER_TAGS}


def track_tags(metadata: Mapping[str, str], *, is_film: bool = False) -> dict[str, str]:
    """A stream's tags without those that follow from its packets; of the film, from its coding.

    MP4 calls the title of a stream its name.
    """
    tags = {
        key: value
        for key, value in metadata.items()
        if value
        and not key.lower().startswith(_DERIVED_TAGS)
        and not (is_film and key.lower() in _FILM_TAGS_OF_ITS_CODING)
    }
    if not any(key.lower() == "title" for key in tags):
        for key in [key for key in tags if key.lower() == "name"]:
            tags["title"] = tags.pop(key)
    return tags


def held_track_tags(
    container: str, metadata: Mapping[str, str], *, is_film: bool = False
) -> dict[str, str]:
    """A stream's tags as a container keeps them; a language in its words."""
    holds = HOLDINGS[container].track_tags
    tags = {
        spelled(container, key): value
        for key, value in track_tags(metadata, is_film=is_film).items()
        if key.lower() != "language" and (holds is None or key.lower() in holds)
    }
    language = held_language(container, metadata.get("language"))
    return tags if language is None else {**tags, "language": language}


def held_language(container: str, language: str | None) -> str | None:
    """A language in a container's words; None where it has none for it."""
    if not language or language == "und":
        return None
    if container in ("matroska", "webm"):
        return language
    word = _LETTERS.get(language.lower(), language.lower())
    if container == "mov":
        word = _APPLE_WORDS.get(word, word)
        return word if word in _MOV_LANGUAGES else None
    return word if re.fullmatch("[a-z]{3}", word) else None


def held_dispositions(container: str, disposition: int) -> Disposition:
    """The flags of a stream that a container keeps."""
    return Disposition(disposition) & HOLDINGS[container].dispositions


def normal_dispositions(container: str, disposition: int) -> Disposition:
    """Flags as they are compared: MP4 has one word for two pairs of them."""
    flags = held_dispositions(container, disposition)
    if container == "mp4":
        for pair in (
            Disposition.hearing_impaired | Disposition.captions,
            Disposition.visual_impaired | Disposition.descriptions,
        ):
            flags = flags | pair if flags & pair else flags
    return flags


def spelled(container: str, key: str) -> str:
    """A tag's name as it is read again."""
    if container in ("matroska", "webm"):
        return _MATROSKA_NAMES.get(key.lower(), key.replace(" ", "_"))
    return key


def _is_writable(container: str, key: str, value: str, frame_rate: Fraction | None) -> bool:
    """Whether a tag's value is one that its place can take."""
    if key in ("stereo_mode", "encoding_tool"):
        return False  # of a stream, not of a file
    if key == "creation_time":
        return _INSTANT.fullmatch(value) is not None
    if container not in ("mp4", "mov"):
        return True
    if key == "timecode":
        return _is_timecode(value, frame_rate)
    if key in _WHOLE_NUMBERS:
        return value.isdecimal() and value == str(int(value)) and int(value) < _WHOLE_NUMBERS[key]
    return key not in ("track", "disc") or _PART_OF_WHOLE.fullmatch(value) is not None


def _is_timecode(value: str, frame_rate: Fraction | None) -> bool:
    """Whether it is one of this rate: frames are dropped from counting at 29.97 and 59.94 only."""
    match = _TIMECODE.fullmatch(value)
    if match is None or frame_rate is None or int(value[-2:]) >= round(frame_rate):
        return False
    return match[1] == ":" or round(frame_rate) % 30 == 0
