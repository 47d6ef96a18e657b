"""The films on which the promises are tested: each is one that broke some program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.stream import Disposition

from remaster.frames import Color
from tests.clips import Sound, Subtitles, cover_picture, make_clip
from tests.promises.drawing import beep, drawn

FLASH = 9
"""The frame at which it flashes and beeps."""

SIZE = (96, 64)
NTSC, NTSC_FILM = Fraction(30000, 1001), Fraction(24000, 1001)
MS = Fraction(1, 1000)
UNEVEN = (0, 40, 120, 160, 500, 501, 543, 600, 740, 741, 900, 1041, 1500)
HELD = (*range(0, 520, 40), *range(7520, 8000, 42))
LINES = [(0.0, 0.2, "One"), (0.25, 0.5, "Two\nlines"), (0.55, 0.7, "a < b & c")]
BT709 = Color("bt709", "limited", "bt709", "bt709")
FULL = Color("bt709", "full", "bt709", "iec61966-2-1")
NTSC_COLOR = Color("smpte170m", "limited", "smpte170m", "smpte170m")
PAL_COLOR = Color("bt470bg", "limited", "bt470bg", "smpte170m")
HDR = Color("bt2020nc", "limited", "bt2020", "smpte2084", "topleft")
MASTERING = (
    "log-level=none:pools=1:hdr10=1:max-cll=1000,400:master-display="
    "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
)
CHAPTERS = ((0, 0.3, "Öffnung"), (0.3, 0.8, "Story"))
ALL_FLAGS = Disposition.default | Disposition.forced | Disposition.hearing_impaired


@dataclass(frozen=True)
class Case:
    """One promise, and a film on which it is easily broken."""

    promise: str
    source: str = "in.mkv"
    target: str = "out.mkv"
    clip: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `make_clip`."""

    run: Mapping[str, Any] = field(default_factory=dict)
    """Of `RunOptions`."""

    loses: frozenset[str] = frozenset()
    """What the target cannot hold; each must be said before work."""

    says: Sequence[str] = ()
    """Words of the notes and warnings."""

    turns_into: str = ""
    """The pixel format, where it is another by design."""

    size: tuple[int, int] | None = None
    """(width, height), where it is not that of the source times the scale asked for."""


def make_film(path: Path, clip: Mapping[str, Any]) -> Path:
    """A clip with numbers, bars, a flash and a beep, unless `clip` says otherwise."""
    given = dict(clip)
    rate, time_base = given.get("rate", Fraction(25)), given.get("time_base")
    pts = given.get("pts")
    flash = FLASH if pts is None or len(pts) > FLASH else 0
    at = float(pts[flash] * (time_base or 1 / rate)) if pts is not None else float(flash / rate)
    at += float(given.get("video_offset_seconds", 0))
    sounds = given.pop("audio", (Sound(),))
    given["audio"] = [_beeping(sound, at) for sound in sounds]
    given.setdefault("frames", 20)
    given.setdefault("size", SIZE)
    given.setdefault("picture", drawn(given.get("color"), (flash,)))
    return make_clip(path, **given)


def _beeping(sound: Sound, at_seconds: float) -> Sound:
    if sound.wave is not None:
        return sound
    fields = {**sound.__dict__, "wave": beep(at_seconds)}
    return Sound(**fields)


def sounds(*codecs: str) -> tuple[Sound, ...]:
    languages = ("jpn", "eng", "fre", "ger")
    return tuple(Sound(codec, language) for codec, language in zip(codecs, languages))


def everything(text_codec: str) -> dict[str, Any]:
    """All that a Matroska (`subrip`) or MP4 (`mov_text`) file says."""
    in_matroska = text_codec != "mov_text"
    texts = [
        Subtitles(LINES, text_codec, "eng", "Full", int(Disposition.default)),
        Subtitles(LINES[:1], text_codec, "fre", "Signs", int(Disposition.forced)),
    ]
    if in_matroska:
        texts.append(Subtitles(LINES, "ass", "ger", "Styled", int(Disposition.hearing_impaired)))
    return {
        "bframes": 2,
        "audio": (
            Sound("aac", "jpn", title="Original", flags=int(Disposition.default)),
            Sound("aac", "eng", title="Commentary", flags=int(Disposition.comment)),
        ),
        "subtitles": texts,
        "attachments": {"a font.ttf": b"FONT" * 99, "b.otf": b"OTF"} if in_matroska else None,
        "cover": cover_picture(),
        "chapters": CHAPTERS,
        "metadata": {"title": "Episode 1: é", "artist": "Studio", "date": "1987", "comment": "…"},
        "film_tags": {"language": "jpn", "title": "The film"},
        "film_flags": int(Disposition.default),
        "color": NTSC_COLOR,
    }


def _timing() -> list[Case]:
    rates = {
        "23.976": NTSC_FILM,
        "29.97": NTSC,
        "59.94": 2 * NTSC,
        "12.5": Fraction(25, 2),
        "120": Fraction(120),
    }
    cases = [
        Case(
            f"{name} frames a second keep their times in {target}",
            f"in.{target}",
            f"out.{target}",
            {"rate": rate, "bframes": 2},
        )
        for name, rate in rates.items()
        for target in ("mkv", "mp4")
    ]
    half = Fraction(1, 2)
    cases += [
        Case(
            f"uneven times stay uneven from {a} to {b}",
            f"in.{a}",
            f"out.{b}",
            {"time_base": MS, "pts": UNEVEN, "bframes": 2},
        )
        for a, b in (("mkv", "mkv"), ("mkv", "mp4"), ("mp4", "mkv"), ("mp4", "mov"))
    ]
    cases += [
        Case(
            f"a drawing held for 7 s among B-frames keeps its time in {target}",
            f"in.{target}",
            f"out.{target}",
            {"time_base": MS, "pts": HELD, "bframes": 2},
        )
        for target in ("mkv", "mp4")
    ]
    cases += [
        Case(
            f"pictures that begin late stay late from {a} to {b}",
            f"in.{a}",
            f"out.{b}",
            {"video_offset_seconds": half, "bframes": 2},
        )
        for a, b in (("mkv", "mp4"), ("mp4", "mkv"), ("mp4", "mp4"))
    ]
    cases += [
        Case(
            f"sound that begins late stays late from {a} to {b}",
            f"in.{a}",
            f"out.{b}",
            {"audio": (Sound(offset_seconds=Fraction(1, 5)),)},
        )
        for a, b in (("mkv", "mp4"), ("mp4", "mkv"))
    ]
    cases += [
        Case(
            "sound that begins before the film keeps its lead",
            "in.mp4",
            "out.mp4",
            {"audio": (Sound(offset_seconds=Fraction(-1, 20)),), "bframes": 2},
        ),
        Case(
            "an edit list keeps sound in step",
            "in.mp4",
            "out.mkv",
            {"bframes": 3, "audio": sounds("aac"), "muxer_options": {"use_editlist": "1"}},
        ),
        Case(
            "a file without an edit list keeps sound in step",
            "in.mp4",
            "out.mp4",
            {
                "bframes": 3,
                "muxer_options": {"use_editlist": "0", "movflags": "+negative_cts_offsets"},
            },
        ),
        Case(
            "a fragmented file is read whole",
            "in.mp4",
            "out.mp4",
            {"bframes": 2, "muxer_options": {"movflags": "+frag_keyframe+empty_moov"}},
        ),
        Case(
            "the last B-frames come out",
            "in.mkv",
            "out.mkv",
            {"bframes": 4, "options": {"b-adapt": "0", "x264-params": "b-pyramid=normal"}},
        ),
        Case(
            "the last B-frames come out of MP4",
            "in.mp4",
            "out.mp4",
            {"bframes": 4, "frames": 23, "options": {"b-adapt": "0"}},
        ),
        Case(
            "an open group of pictures loses nothing",
            "in.mkv",
            "out.mkv",
            {
                "frames": 40,
                "bframes": 3,
                "options": {"g": "8", "x264-params": "open-gop=1:b-adapt=0"},
            },
        ),
        Case(
            "an open group of HEVC loses nothing",
            "in.mkv",
            "out.mp4",
            {
                "frames": 30,
                "codec": "libx265",
                "bframes": 3,
                "options": {"g": "8", "x265-params": "open-gop=1:log-level=none:pools=1"},
            },
        ),
        Case(
            "a long still is one frame",
            "in.mkv",
            "out.mp4",
            {"time_base": MS, "pts": (0, 40, 80, 6000, 6040), "audio": ()},
        ),
        Case("one frame is a film", "in.mp4", "out.mkv", {"frames": 1, "audio": ()}),
        Case("one frame with sound is a film", "in.mkv", "out.mp4", {"frames": 1}),
        Case("two frames are a film", "in.mkv", "out.mp4", {"frames": 2, "bframes": 2}),
        Case("a film without sound stays without", "in.mp4", "out.mp4", {"audio": ()}),
    ]
    return cases


def _containers() -> list[Case]:
    mpeg2 = {"codec": "mpeg2video", "bframes": 2}
    return [
        Case(
            "an AVI film with sound is taken whole",
            "in.avi",
            "out.mkv",
            {"codec": "mpeg4", "audio": (Sound("mp2"),)},
        ),
        Case(
            "an AVI film with B-frames has times",
            "in.avi",
            "out.mp4",
            {"codec": "mpeg4", "bframes": 1, "audio": (Sound("libmp3lame"),)},
        ),
        Case(
            "an AVI film with PCM goes to MOV",
            "in.avi",
            "out.mov",
            {"codec": "mpeg4", "audio": (Sound("pcm_s16le"),)},
        ),
        Case(
            "a transport stream is counted from its start",
            "in.ts",
            "out.mkv",
            {"bframes": 2, "audio": sounds("aac", "ac3")},
        ),
        Case("a transport stream goes to MP4", "in.ts", "out.mp4", {"bframes": 2}),
        Case(
            "a broadcast in MPEG-2 keeps step",
            "in.ts",
            "out.mkv",
            {**mpeg2, "audio": sounds("mp2")},
        ),
        Case(
            "a DVD's VOB keeps step",
            "in.vob",
            "out.mkv",
            {**mpeg2, "audio": (Sound("ac3"), Sound("mp2"))},
        ),
        Case("a DVD's VOB goes to MP4", "in.vob", "out.mp4", {**mpeg2, "audio": (Sound("ac3"),)}),
        Case(
            "WebM stays WebM",
            "in.webm",
            "out.webm",
            {
                "codec": "libvpx-vp9",
                "audio": (Sound("libopus", "jpn"),),
                "subtitles": (Subtitles(LINES[:2], "webvtt"),),
            },
            {"codec": "libvpx-vp9", "encoder_preset": "8"},
        ),
        Case(
            "WebM goes to Matroska",
            "in.webm",
            "out.mkv",
            {"codec": "libvpx-vp9", "audio": (Sound("libopus"),)},
        ),
        Case(
            "VP8 goes to Matroska",
            "in.webm",
            "out.mkv",
            {"codec": "libvpx", "audio": (Sound("libopus"),)},
        ),
        Case(
            "MOV stays MOV",
            "in.mov",
            "out.mov",
            {"bframes": 2, "audio": (Sound("pcm_s16le", "jpn"), Sound("alac", "eng"))},
        ),
        Case(
            "ProRes goes to MOV",
            "in.mov",
            "out.mov",
            {
                "codec": "prores_ks",
                "pix_fmt": "yuv422p10le",
                "color": BT709,
                "audio": (Sound("pcm_s24le"),),
            },
            {"codec": "prores_ks"},
        ),
        Case(
            "a Motion-JPEG film is enlarged like any other",
            "in.avi",
            "out.mkv",
            {"codec": "mjpeg", "pix_fmt": "yuvj420p", "audio": (Sound("pcm_s16le"),)},
        ),
    ]


def _sounds() -> list[Case]:
    held = {
        "aac": "mkv mp4 mov",
        "ac3": "mkv mp4 mov",
        "eac3": "mkv mp4",
        "mp2": "mkv mp4 mov",
        "libmp3lame": "mkv mp4 mov",
        "flac": "mkv mp4",
        "alac": "mkv mp4 mov",
        "libopus": "mkv mp4 webm",
        "pcm_s16le": "mkv mov",
        "pcm_s24le": "mkv mov",
        "pcm_s16be": "mkv mov",
        "wavpack": "mkv",
        "pcm_mulaw": "mov",
    }
    cases = [
        Case(
            f"{codec} sound is the same to the bit in {target}",
            "in.mov" if codec == "pcm_mulaw" else "in.mkv",
            f"out.{target}",
            {"audio": (Sound(codec, "jpn"),)},
            {"codec": "libvpx-vp9", "encoder_preset": "8"} if target == "webm" else {},
        )
        for codec, targets in held.items()
        for target in targets.split()
        if not (codec == "pcm_s16be" and target == "mkv")
    ]
    return [
        *cases,
        Case(
            "four sounds in four languages keep their places",
            "in.mkv",
            "out.mp4",
            {"audio": sounds("aac", "ac3", "flac", "mp2")},
        ),
        Case(
            "surround sound keeps its channels",
            "in.mkv",
            "out.mp4",
            {"audio": (Sound("ac3", layout="5.1"), Sound("aac", layout="5.1"))},
        ),
        Case(
            "mono sound stays mono", "in.mkv", "out.mkv", {"audio": (Sound("flac", layout="mono"),)}
        ),
        Case(
            "sound longer than the film is kept to its end",
            "in.mkv",
            "out.mp4",
            {"audio_seconds": 2.0},
        ),
        Case(
            "sound shorter than the film ends where it ended",
            "in.mp4",
            "out.mkv",
            {"audio_seconds": 0.5},
        ),
    ]


def _pictures() -> list[Case]:
    formats = {
        "yuv420p": "libx264",
        "yuv422p": "libx264",
        "yuv444p": "libx264",
        "yuv420p10le": "libx264",
        "yuv422p10le": "libx264",
        "yuv444p10le": "libx264",
        "yuv420p12le": "libx265",
    }
    cases = [
        Case(
            f"{pix_fmt} stays {pix_fmt}",
            "in.mkv",
            "out.mkv",
            {"codec": "ffv1", "pix_fmt": pix_fmt, "color": BT709},
            {"codec": codec},
        )
        for pix_fmt, codec in formats.items()
    ]
    cases += [
        Case(
            "gray stays gray",
            "in.mkv",
            "out.mkv",
            {"codec": "ffv1", "pix_fmt": "gray", "color": BT709},
            {"codec": "ffv1"},
        ),
        Case(
            "gray looks gray where players want colour",
            "in.mkv",
            "out.mp4",
            {"codec": "ffv1", "pix_fmt": "gray", "color": BT709},
            turns_into="yuv420p",
        ),
        Case(
            "R'G'B' becomes 4:4:4 of the same colours",
            "in.mkv",
            "out.mkv",
            {"codec": "ffv1", "pix_fmt": "bgr0"},
            turns_into="yuv444p",
        ),
        Case(
            "ten-bit R'G'B' becomes ten-bit 4:4:4",
            "in.mkv",
            "out.mkv",
            {"codec": "ffv1", "pix_fmt": "gbrp10le"},
            turns_into="yuv444p10le",
        ),
    ]
    tags = {"BT.709": BT709, "full range": FULL, "NTSC": NTSC_COLOR, "PAL": PAL_COLOR}
    cases += [
        Case(
            f"{name} colours and tags survive in {target}",
            "in.mkv",
            f"out.{target}",
            {"color": color},
            {"codec": codec},
        )
        for name, color in tags.items()
        for target, codec in (("mkv", "libx264"), ("mp4", "libx265"))
    ]
    cases += [
        Case(
            f"HDR10 keeps its tags and its screen with {codec}",
            "in.mkv",
            f"out.{target}",
            {
                "codec": "libx265",
                "pix_fmt": "yuv420p10le",
                "color": HDR,
                "options": {"x265-params": MASTERING},
            },
            {"codec": codec},
        )
        for codec, target in (("libx265", "mkv"), ("libx264", "mp4"), ("libsvtav1", "mp4"))
    ]
    cases += [
        Case(
            "HDR10 that cannot be said is named",
            "in.mkv",
            "out.mkv",
            {
                "codec": "libx265",
                "pix_fmt": "yuv420p10le",
                "color": HDR,
                "options": {"x265-params": MASTERING},
            },
            {"codec": "ffv1"},
            loses=frozenset(["HDR10"]),
            says=["HDR10"],
        ),
        Case(
            "an untagged film leaves tagged with the same colours",
            "in.mp4",
            "out.mp4",
            says=["does not say its colour"],
        ),
        *(
            Case(
                f"a pixel aspect of {ratio} survives in {target}",
                "in.mp4",
                f"out.{target}",
                {"sar": ratio, "audio": (Sound("libopus"),)},
                {"codec": "libvpx-vp9", "encoder_preset": "8"} if target == "webm" else {},
            )
            for ratio, target in (
                (Fraction(8, 9), "mkv"),
                (Fraction(32, 27), "mp4"),
                (Fraction(16, 11), "webm"),
            )
        ),
        *(
            Case(
                f"a film turned by {turn} degrees stays turned in {target}",
                "in.mp4",
                f"out.{target}",
                {"rotation": turn},
            )
            for turn, target in ((90, "mp4"), (180, "mkv"), (270, "mov"), (270, "mkv"))
        ),
        *(
            Case(
                f"odd sizes come out as they are, {w} x {h}",
                "in.mkv",
                "out.mkv",
                {"codec": "ffv1", "pix_fmt": "yuv444p", "size": (w, h), "color": BT709},
            )
            for w, h in ((97, 65), (96, 65))
        ),
        Case(
            "an odd size gains its pixel and is told",
            "in.mkv",
            "out.mp4",
            {"codec": "ffv1", "pix_fmt": "yuv420p", "size": (97, 65), "color": BT709},
            says=["odd side"],
            size=(98, 66),
        ),
    ]
    return cases


def _rest() -> list[Case]:
    flags = {"audio": (Sound("aac", flags=int(ALL_FLAGS)), Sound("aac", "eng"))}
    dub = int(Disposition.dub | Disposition.visual_impaired)
    return [
        Case("everything in a Matroska film arrives in Matroska", clip=everything("subrip")),
        Case(
            "everything in an MP4 film arrives in MP4", "in.mp4", "out.mp4", everything("mov_text")
        ),
        Case(
            "everything in an MP4 film arrives in Matroska",
            "in.mp4",
            "out.mkv",
            everything("mov_text"),
            loses=frozenset(["cover names"]),
        ),
        Case(
            "what MP4 can hold of a Matroska film arrives, the rest is named",
            "in.mkv",
            "out.mp4",
            everything("subrip"),
            loses=frozenset(["attachments", "cover names"]),
            says=["attachment", "converted to mov_text", "file names"],
        ),
        Case(
            "what MOV can hold of a Matroska film arrives, the rest is named",
            "in.mkv",
            "out.mov",
            everything("subrip"),
            loses=frozenset(
                ["attachments", "cover names", "covers", "audio flags", "subtitle flags"]
            ),
            says=["attachment", "cover", "marked as"],
        ),
        Case("flags of sounds survive in Matroska", clip=flags),
        Case("flags of sounds survive in MP4", "in.mkv", "out.mp4", flags),
        Case(
            "dubs and descriptions stay marked",
            "in.mkv",
            "out.mp4",
            {"audio": (Sound("aac", flags=1), Sound("aac", "eng", flags=dub))},
        ),
        Case("custom tags survive in Matroska", clip={"metadata": {"CUSTOM": "a", "MOOD": "b"}}),
        Case(
            "custom tags that MP4 cannot say are named",
            "in.mkv",
            "out.mp4",
            {"metadata": {"title": "T", "MOOD": "b"}},
            loses=frozenset(["tags"]),
            says=["MOOD"],
        ),
        Case(
            "numbers of episodes survive in MP4",
            "in.mkv",
            "out.mp4",
            {
                "metadata": {
                    "show": "S",
                    "season_number": "2",
                    "episode_sort": "13",
                    "track": "3/12",
                }
            },
        ),
        Case(
            "a number that is none is named",
            "in.mkv",
            "out.mp4",
            {"metadata": {"season_number": "two"}},
            loses=frozenset(["tags"]),
            says=["SEASON_NUMBER"],
        ),
        Case(
            "a language that MOV has no word for is named",
            "in.mkv",
            "out.mov",
            {"audio": (Sound("aac", "fil"),)},
            loses=frozenset(["audio language"]),
            says=["language 'fil'"],
        ),
        Case(
            "chapters with gaps survive in Matroska",
            clip={"chapters": ((0.1, 0.2, "a"), (0.4, 0.5, "b"), (0.5, 0.8, ""))},
        ),
        Case(
            "chapters with gaps are named in MP4",
            "in.mkv",
            "out.mp4",
            {"chapters": ((0.1, 0.2, "a"), (0.4, 0.5, "b"))},
            loses=frozenset(["chapters"]),
            says=["chapters"],
        ),
        *(
            Case(
                f"{codec} texts arrive from {a} in {b}",
                f"in.{a}",
                f"out.{b}",
                {"subtitles": (Subtitles(LINES, codec),)},
            )
            for codec, a, b in (
                ("subrip", "mkv", "mkv"),
                ("subrip", "mkv", "mp4"),
                ("ass", "mkv", "mkv"),
                ("ass", "mkv", "mov"),
                ("mov_text", "mp4", "mkv"),
                ("mov_text", "mov", "mp4"),
            )
        ),
        Case(
            "webvtt texts arrive in MP4",
            "in.mkv",
            "out.mp4",
            {"subtitles": (Subtitles([(0.1, 0.4, "a &lt; <i>b</i>")], "webvtt"),)},
        ),
        Case(
            "subrip texts arrive in WebM",
            "in.mkv",
            "out.webm",
            {"subtitles": (Subtitles(LINES),), "audio": (Sound("libopus"),)},
            {"codec": "libvpx-vp9", "encoder_preset": "8"},
        ),
        Case(
            "DVD subtitles are the same to the bit",
            clip={"subtitles": (Subtitles([(0.1, 0.3, "x" * 40)], "dvd_subtitle"),)},
        ),
        Case(
            "pictured subtitles that MOV cannot hold are named",
            "in.mkv",
            "out.mov",
            {"subtitles": (Subtitles([(0.1, 0.3, "x" * 40)], "dvd_subtitle"),)},
            loses=frozenset(["streams"]),
            says=["dvd_subtitle"],
        ),
        *(
            Case(
                f"a part of {a} in {b} is cut to the frame",
                f"in.{a}",
                f"out.{b}",
                {
                    "frames": 50,
                    "bframes": 2,
                    "chapters": CHAPTERS,
                    "subtitles": (Subtitles(LINES, "mov_text" if a == "mp4" else "subrip"),),
                },
                {"start": Fraction(1, 5), "end": Fraction(6, 5)},
            )
            for a, b in (("mkv", "mkv"), ("mp4", "mp4"), ("mkv", "mp4"))
        ),
        Case(
            "a part of an uneven film is cut to the frame",
            "in.mkv",
            "out.mkv",
            {"time_base": MS, "pts": UNEVEN},
            {"start": Fraction(1, 10), "end": Fraction(1)},
        ),
    ]


def _real_enlargement() -> list[Case]:
    enlarged = {"model": "auto", "scale": 2}
    return [
        Case("the network keeps frames, colours and step", "in.mp4", "out.mp4",
             {"bframes": 2, "color": NTSC_COLOR, "frames": 12}, enlarged),
        Case("the network keeps ten bits and uneven times", "in.mkv", "out.mkv",
             {"time_base": MS, "pts": UNEVEN, "pix_fmt": "yuv420p10le", "color": BT709}, enlarged),
        Case("Lanczos keeps frames, colours and step", "in.mkv", "out.mp4",
             {"bframes": 2, "color": PAL_COLOR}, {"model": "lanczos", "scale": 2}),
        Case("Lanczos keeps odd films", "in.mkv", "out.mkv",
             {"codec": "ffv1", "pix_fmt": "yuv444p", "size": (97, 65), "color": BT709},
             {"model": "lanczos", "scale": 2}),
    ]  # fmt: skip


CASES = [*_timing(), *_containers(), *_sounds(), *_pictures(), *_rest(), *_real_enlargement()]
