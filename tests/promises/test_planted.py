"""Faults put into the package on purpose: the checks that find none would find these.

Each breaks one promise. The reader of files must notice it, and so must the program itself where
it is of a kind that it can see in what it wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from remaster import pipeline, plan
from remaster.errors import OutputError, VerificationError
from remaster.frames import Frame
from remaster.media import film as film_module
from remaster.media import streams as streams_module
from remaster.media import writer as writer_module
from remaster.media.copying import PacketCopier
from remaster.media.film import FilmDescription, FilmEncoder
from remaster.media.tracks import Track
from remaster.media.writer import Writer
from remaster.options import RunOptions
from tests.clips import Sound
from tests.promises.cases import (
    HDR,
    MASTERING,
    MS,
    NTSC_COLOR,
    UNEVEN,
    everything,
    make_film,
)
from tests.promises.checking import differences, read

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Fault:
    """A fault, the promise that it breaks, and whether the program sees it itself."""

    name: str
    plant: Plant
    breaks: str
    words: str = ""
    """Of the error when the written file is read back; empty: the program cannot see it."""

    is_foreseen: bool = False
    """Whether the rehearsal sees it before work, too."""

    warns: str = ""
    """What the program says where it is not refused."""

    clip: Mapping[str, Any] = field(default_factory=lambda: {"color": NTSC_COLOR, "bframes": 2})
    source: str = "in.mkv"
    target: str = "out.mkv"


def on_film(change: Callable[[int, Packet[Stream]], bool]) -> Plant:
    """Every packet of the film, with its number, before it is muxed; False loses it."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        plain = FilmEncoder.encode
        counts = {"film": 0}

        def encode(self: FilmEncoder, frame: Frame | None) -> list[Packet[Any]]:
            kept = []
            for packet in plain(self, frame):
                counts["film"] += 1
                if change(counts["film"], packet):
                    kept.append(packet)
            return kept

        patch.setattr(FilmEncoder, "encode", encode)

    return plant


def on_stream(kind: str, change: Callable[[int, Packet[Stream]], bool]) -> Plant:
    """Every packet of the first stream of a kind, already counted, before it is muxed."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        plain = Track._counted
        seen: dict[int, int] = {}

        def counted(self: Track, packet: Packet[Stream], *rest: Any) -> Packet[Stream]:
            ready = plain(self, packet, *rest)
            if self.info.kind == kind and (not seen or self.info.index in seen):
                number = seen[self.info.index] = seen.get(self.info.index, 0) + 1
                if not change(number, ready):
                    ready.opaque = "lost"
            return ready

        def advance(self: PacketCopier, time: Fraction | None) -> None:
            while self._pending is not None and (time is None or self._pending[0] <= time):
                if self._pending[1] is not None and self._pending[1].opaque != "lost":
                    self._output.mux(self._pending[1])
                self._pending = next(self._packets, None)

        patch.setattr(Track, "_counted", counted)
        patch.setattr(PacketCopier, "advance", advance)

    return plant


def on_frames(change: Callable[[list[Frame]], list[Frame]]) -> Plant:
    """The frames of the source, as the pipeline gets them."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        plain = pipeline.read_frames

        def frames(*given: Any, **named: Any) -> Iterator[Frame]:
            yield from change(list(plain(*given, **named)))

        patch.setattr(pipeline, "read_frames", frames)

    return plant


def on_planes(change: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> Plant:
    def changed(frames: list[Frame]) -> list[Frame]:
        return [replace(frame, planes=change(frame.planes)) for frame in frames]

    return on_frames(changed)


def on_header(change: Callable[[Writer, OutputContainer], None]) -> Plant:
    """The output before its header is written."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        plain = Writer._add_streams

        def add_streams(self: Writer) -> None:
            plain(self)
            change(self, self._container)

        patch.setattr(Writer, "_add_streams", add_streams)

    return plant


def on_set_up(change: Callable[[FilmEncoder], None]) -> Plant:
    """The film's encoder before it is opened."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        plain = FilmEncoder._set_up

        def set_up(self: FilmEncoder, *rest: Any) -> None:
            plain(self, *rest)
            change(self)

        patch.setattr(FilmEncoder, "_set_up", set_up)

    return plant


def instead(owner: object, name: str, value: object) -> Plant:
    return lambda patch: patch.setattr(owner, name, value)


def without(name: str) -> Plant:
    """The film is described without one of its properties."""
    blank = getattr(FilmDescription(), name)

    def plant(patch: pytest.MonkeyPatch) -> None:
        plain = film_module.describe_film

        def describe(stream: Any, video: Any, container: str, description: Any) -> None:
            plain(stream, video, container, replace(description, **{name: blank}))

        patch.setattr(film_module, "describe_film", describe)

    return plant


def attached(change: Callable[[Any, bytes], tuple[str, str, bytes] | None]) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        def attach(self: PacketCopier, info: Any, output: OutputContainer) -> None:
            described, data = self.attachment(info)
            changed = change(described, data)
            if changed is not None:
                output.add_attachment(*changed)

        patch.setattr(PacketCopier, "_attach", attach)

    return plant


def skipped_stream(kind: str, which: int) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        plain = PacketCopier.add_stream
        seen = {"count": 0}

        def add_stream(self: PacketCopier, planned: Any, output: OutputContainer) -> None:
            if planned.stream.kind == kind:
                seen["count"] += 1
                if seen["count"] == which:
                    return
            plain(self, planned, output)

        patch.setattr(PacketCopier, "add_stream", add_stream)

    return plant


def reordered(patch: pytest.MonkeyPatch) -> None:
    plain = Writer._add_streams

    def add_streams(self: Writer) -> None:
        whole = self._source
        self._source = replace(whole, streams=tuple(sorted(whole.streams, key=_later_first)))
        index = next(i for i, s in enumerate(self._source.streams) if s.index == whole.video_index)
        assert self._source.streams[index].index == whole.video_index
        plain(self)
        self._source = whole

    patch.setattr(Writer, "_add_streams", add_streams)


def _later_first(stream: Any) -> tuple[bool, int]:
    return stream.kind != "video", -stream.index


def unfinished(patch: pytest.MonkeyPatch) -> None:
    plain = PacketCopier.advance

    def advance(self: PacketCopier, time: Fraction | None) -> None:
        if time is not None:
            plain(self, time)

    patch.setattr(PacketCopier, "advance", advance)


def plain_cover(patch: pytest.MonkeyPatch) -> None:
    plain = streams_module.new_stream

    def new_stream(planned: Any, *rest: Any) -> Stream:
        stream = plain(planned, *rest)
        if planned.stream.is_cover:
            stream.disposition = Disposition(0)
        return stream

    patch.setattr("remaster.media.copying.new_stream", new_stream)


def changed_data(packet: Packet[Stream], data: bytes) -> bool:
    """Other bytes of the same length in a packet."""
    packet.update(data)
    return True


def later(packet: Packet[Stream], seconds: Fraction) -> bool:
    shift = round(seconds / packet.time_base)
    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
    return True


def counted_times(number: int, packet: Packet[Stream]) -> bool:
    packet.pts = packet.dts = round((number - 1) * Fraction(1, 25) / packet.time_base)
    return True


def no_length(_: int, packet: Packet[Stream]) -> bool:
    packet.duration = 0
    return True


def no_key(_: int, packet: Packet[Stream]) -> bool:
    packet.is_keyframe = False
    return True


def flipped(number: int, packet: Packet[Stream]) -> bool:
    data = bytearray(bytes(packet))
    if number == 4:
        data[len(data) // 2] ^= 1
    return changed_data(packet, bytes(data))


def other_words(_: int, packet: Packet[Stream]) -> bool:
    data = bytes(packet)
    return changed_data(packet, data[:-1] + b"?")


def fewer_chapters(writer: Writer, output: OutputContainer) -> None:
    output.set_chapters(writer._chapters()[:-1])


def late_chapters(writer: Writer, output: OutputContainer) -> None:
    output.set_chapters([{**c, "start": c["start"] + 20} for c in writer._chapters()])


def renamed_chapters(writer: Writer, output: OutputContainer) -> None:
    output.set_chapters([{**c, "metadata": {"title": "X"}} for c in writer._chapters()])


def no_title(_: Writer, output: OutputContainer) -> None:
    output.metadata.pop("title")


def square(film: FilmEncoder) -> None:
    film.stream.codec_context.sample_aspect_ratio = Fraction(1)


def only_language(_: str, metadata: Mapping[str, str], **__: bool) -> dict[str, str]:
    return {"language": metadata.get("language", "und")}


def wrong_tag(name: str, number: int) -> Plant:
    plain = film_module.color_numbers
    return instead(film_module, "color_numbers", lambda color: {**plain(color), name: number})


def eight_bits(patch: pytest.MonkeyPatch) -> None:
    plain = plan.choose_encoding

    def choose(*given: Any, **named: Any) -> Any:
        return plain(*given, **{**named, "pix_fmt": "yuv420p"})

    patch.setattr(plan, "choose_encoding", choose)


def taken(change: Callable[[int, Packet[Stream]], bool]) -> Plant:
    """Every packet of sound before it is counted; False loses it."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        plain = Track.take
        numbers = {"audio": 0}

        def take(self: Track, packet: Packet[Stream], span: Any) -> Iterator[Packet[Stream]]:
            if self.info.kind == "audio":
                numbers["audio"] += 1
                if not change(numbers["audio"], packet):
                    return
            yield from plain(self, packet, span)

        patch.setattr(Track, "take", take)

    return plant


def another_codec(codec: str) -> Plant:
    """Sound that is copied under another name."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        plain = streams_module.new_stream

        def new_stream(planned: Any, source: Stream, output: OutputContainer) -> Stream:
            if planned.stream.kind != "audio":
                return plain(planned, source, output)
            return output.add_mux_stream(codec, rate=48000)

        patch.setattr("remaster.media.copying.new_stream", new_stream)

    return plant


def early_ends(writer: Writer, output: OutputContainer) -> None:
    output.set_chapters([{**c, "end": c["end"] - 20} for c in writer._chapters()])


def smaller(film: FilmEncoder) -> None:
    film.stream.codec_context.width -= 2


def finer_chroma(film: FilmEncoder) -> None:
    film.stream.codec_context.pix_fmt = "yuv444p"


def by_another_encoder(patch: pytest.MonkeyPatch) -> None:
    plain = FilmEncoder.__init__

    def init(self: FilmEncoder, output: Any, video: Any, encoding: Any, *rest: Any) -> None:
        other = replace(encoding, codec="mpeg4", options={})
        plain(self, output, video, other, *rest)

    patch.setattr(FilmEncoder, "__init__", init)


def swapped(frames: list[Frame]) -> list[Frame]:
    a, b = frames[5], frames[6]
    frames[5], frames[6] = replace(a, planes=b.planes), replace(b, planes=a.planes)
    return frames


def doubled(frames: list[Frame]) -> list[Frame]:
    again = replace(frames[-1], pts=frames[-1].pts + (frames[-1].pts - frames[-2].pts))
    return [*frames, again]


def as_full_range(planes: tuple[Any, ...]) -> tuple[Any, ...]:
    luma = ((planes[0].float() - 16) * 255 / 219).clamp(0, 255).to(planes[0].dtype)
    return (luma, *planes[1:])


FULL_MKV = everything("subrip")
FULL_MP4 = everything("mov_text")
FAULTS = [
    Fault(
        "the last frame is not read",
        on_frames(lambda f: f[:-1]),
        "frame count",
        warns="^1 pictures of the source gave no frame",
    ),
    Fault(
        "a frame is read twice",
        on_frames(doubled),
        "frame count",
        words="where the source has no picture",
    ),
    Fault(
        "a frame comes 10 ms late from the reader",
        on_frames(lambda f: [*f[:4], replace(f[4], pts=f[4].pts + 10), *f[5:]]),
        "frame times",
        words="where the source has no picture",
    ),
    Fault(
        "two pictures change places",
        on_frames(swapped),
        "frame order",
    ),
    Fault(
        "the last packet of the film is lost",
        on_film(lambda n, _: n != 20),
        "frame count",
        words=r"its number of frames \(19 instead of 20\)",
    ),
    Fault(
        "times are a counter over the rate",
        on_film(counted_times),
        "frame times",
        clip={"time_base": MS, "pts": UNEVEN, "color": NTSC_COLOR},
        words="Frame 2 was written -",
    ),
    Fault(
        "the film's late start becomes zero",
        on_film(lambda _, p: not p.pts or later(p, Fraction(-1, 2))),
        "frame times",
        clip={"video_offset_seconds": Fraction(1, 2), "color": NTSC_COLOR},
        target="out.mp4",
        words="Frame 0 was written -5",
    ),
    Fault(
        "the film comes 40 ms late",
        on_film(lambda _, p: later(p, Fraction(1, 25))),
        "frame times",
        words=r"Frame 0 was written \+40",
    ),
    Fault(
        "the sound comes 40 ms late",
        on_stream("audio", lambda _, p: later(p, Fraction(1, 25))),
        "beep at the flash",
        words=r"Packet 0 of the audio.* was written with \+40",
    ),
    Fault(
        "a packet of sound is lost",
        on_stream("audio", lambda n, _: n != 5),
        "audio bytes",
        words="its bytes of the audio",
    ),
    Fault(
        "a bit of sound is flipped",
        on_stream("audio", flipped),
        "audio bytes",
        words="its bytes of the audio",
    ),
    Fault(
        "the end of the sound is never asked for",
        unfinished,
        "audio bytes",
        words="its bytes of the audio",
    ),
    Fault(
        "the second sound is forgotten",
        skipped_stream("audio", 2),
        "streams",
        clip=FULL_MKV,
        words="its streams ",
    ),
    Fault(
        "the subtitles are forgotten",
        skipped_stream("subtitle", 1),
        "streams",
        clip=FULL_MKV,
        words="its streams ",
    ),
    Fault(
        "streams come in another order",
        reordered,
        "audio language",
        clip=FULL_MKV,
        words="its streams ",
    ),
    Fault(
        "sound is no longer marked as key",
        on_stream("audio", no_key),
        "audio key packets",
        words="another mark, as a key packet",
    ),
    Fault(
        "the matrix tag is another",
        wrong_tag("colorspace", 1),
        "colour tags",
        words=r"its colour matrix \(bt709 instead of smpte170m\)",
        is_foreseen=True,
    ),
    Fault(
        "the range tag is another",
        wrong_tag("color_range", 2),
        "colour tags",
        words=r"its colour range \(full instead of limited\)",
        is_foreseen=True,
    ),
    Fault(
        "the primaries tag is another",
        wrong_tag("color_primaries", 9),
        "colour tags",
        words=r"its colour primaries \(bt2020 instead of smpte170m\)",
        is_foreseen=True,
    ),
    Fault(
        "red and blue change places",
        on_planes(lambda p: (p[0], p[2], p[1])),
        "colours",
    ),
    Fault(
        "limited range is stretched to full",
        on_planes(as_full_range),
        "colours",
    ),
    Fault(
        "a text is cut",
        on_stream("subtitle", other_words),
        "text words",
        clip=FULL_MKV,
        words="its bytes of the subtitle",
    ),
    Fault(
        "a text of MP4 is cut",
        on_stream("subtitle", other_words),
        "text words",
        clip=FULL_MKV,
        target="out.mp4",
        words="its bytes of the subtitle",
    ),
    Fault(
        "texts have no end",
        on_stream("subtitle", no_length),
        "text lengths",
        clip=FULL_MKV,
        words="Packet 0 of the subtitle.* is shown for",
    ),
    Fault(
        "texts come late",
        on_stream("subtitle", lambda _, p: later(p, Fraction(1, 50))),
        "text times",
        clip=FULL_MKV,
        words=r"Packet 0 of the subtitle.* was written with \+20",
    ),
    Fault(
        "a chapter is missing",
        on_header(fewer_chapters),
        "chapters",
        clip=FULL_MKV,
        words="its number of chapters",
    ),
    Fault(
        "chapters begin late",
        on_header(late_chapters),
        "chapters",
        clip=FULL_MKV,
        words="its start of the chapter",
    ),
    Fault(
        "chapters have other names",
        on_header(renamed_chapters),
        "chapters",
        clip=FULL_MKV,
        words="its names of chapters",
    ),
    Fault(
        "fonts are missing",
        attached(lambda a, data: None if a.name.endswith("f") else (a.name, a.mimetype, data)),
        "attachments",
        clip=FULL_MKV,
        words="its attachments or covers",
    ),
    Fault(
        "a font has another name",
        attached(lambda a, data: (a.name.replace("b.otf", "c.otf"), a.mimetype, data)),
        "attachments",
        clip=FULL_MKV,
        words="its names and types of attachments",
    ),
    Fault(
        "a font has another type",
        attached(lambda a, data: (a.name, a.mimetype.replace("truetype", "t"), data)),
        "attachments",
        clip=FULL_MKV,
        words="its names and types of attachments",
    ),
    Fault(
        "the cover is missing",
        attached(lambda a, data: None if a.name == "cover.jpg" else (a.name, a.mimetype, data)),
        "covers",
        clip=FULL_MKV,
        words="its attachments or covers",
    ),
    Fault(
        "the cover is a film",
        plain_cover,
        "covers",
        clip=FULL_MP4,
        source="in.mp4",
        target="out.mp4",
        words="its attachments or covers",
    ),
    Fault(
        "languages are lost",
        instead(streams_module, "held_track_tags", lambda *_: {}),
        "audio language",
        clip=FULL_MKV,
        words="its language of the audio",
    ),
    Fault(
        "titles of streams are lost",
        instead(streams_module, "held_track_tags", only_language),
        "audio title",
        clip=FULL_MKV,
        words="its tag 'title' of the audio",
    ),
    Fault(
        "flags of streams are lost",
        instead(streams_module, "held_dispositions", lambda *_: Disposition(0)),
        "audio flags",
        clip=FULL_MKV,
        words="its flags of the audio",
    ),
    Fault(
        "the film's flags are lost",
        without("disposition"),
        "film flags",
        clip=FULL_MKV,
        words="its flags of the film",
    ),
    Fault(
        "the film's title is lost",
        on_header(lambda writer, _: writer._film.stream.metadata.pop("title") and None),
        "film title",
        clip=FULL_MKV,
        words="its tag 'title' of the film",
    ),
    Fault(
        "the title is lost",
        on_header(no_title),
        "tags",
        clip=FULL_MKV,
        words="its tag 'title' of the file",
    ),
    Fault(
        "the title is lost in MP4",
        on_header(no_title),
        "tags",
        clip=FULL_MP4,
        source="in.mp4",
        target="out.mp4",
        words="its tag 'title' of the file",
    ),
    Fault(
        "pixels become square",
        on_set_up(square),
        "pixel aspect",
        clip={"sar": Fraction(8, 9), "color": NTSC_COLOR},
        source="in.mp4",
        target="out.mp4",
        words="its pixel aspect ratio",
        is_foreseen=True,
    ),
    Fault(
        "the turn is dropped",
        without("rotation"),
        "rotation",
        clip={"rotation": 90, "color": NTSC_COLOR},
        source="in.mp4",
        target="out.mp4",
        words="its rotation",
    ),
    Fault(
        "ten bits become eight",
        eight_bits,
        "depth and sampling",
        clip={"pix_fmt": "yuv420p10le", "color": NTSC_COLOR},
    ),
    Fault(
        "the screen of HDR10 is forgotten",
        instead(film_module, "says_light", lambda _: False),
        "HDR10",
        clip={
            "codec": "libx265",
            "pix_fmt": "yuv420p10le",
            "color": HDR,
            "options": {"x265-params": MASTERING},
            "audio": (Sound(),),
        },
        words="its HDR10 metadata",
        is_foreseen=True,
    ),
    Fault("the film is made smaller", on_set_up(smaller), "size", words="its size"),
    Fault(
        "the film is in another codec",
        by_another_encoder,
        "film codec",
        words="its codec of the film",
    ),
    Fault(
        "chroma is finer than it was",
        on_set_up(finer_chroma),
        "depth and sampling",
        words="its depth or chroma sampling",
    ),
    Fault(
        "the transfer tag is another",
        wrong_tag("color_trc", 1),
        "colour tags",
        words=r"its colour transfer \(bt709 instead of smpte170m\)",
        is_foreseen=True,
    ),
    Fault(
        "the transfer tag is missing",
        wrong_tag("color_trc", 2),
        "colour tags",
        words="its colour tags that are missing",
        is_foreseen=True,
    ),
    Fault(
        "the film is no longer mirrored",
        without("mirror"),
        "rotation",
        words="its mirroring",
        clip={"matrix": (-1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30), "color": NTSC_COLOR},
        source="in.mp4",
        target="out.mp4",
    ),
    Fault(
        "chapters end early",
        on_header(early_ends),
        "chapters",
        words="its end of the chapter",
        clip=FULL_MKV,
    ),
    Fault(
        "no packet of a sound is written",
        on_stream("audio", lambda *_: False),
        "streams",
        words="its other streams",
        clip=FULL_MKV,
    ),
    Fault(
        "sound is called another codec",
        another_codec("pcm_u8"),
        "streams",
        words="its codec of the audio",
        clip={"color": NTSC_COLOR, "audio": (Sound("pcm_s16le"),)},
    ),
    Fault(
        "a packet of sound is not copied",
        taken(lambda n, _: n != 5),
        "audio bytes",
        words="its number of packets of the audio",
    ),
    Fault(
        "a bit of sound is flipped before it is counted",
        taken(flipped),
        "audio bytes",
        words="its bytes of the audio",
    ),
    Fault(
        "the film's language is lost",
        without("tags"),
        "film language",
        words="its language of the film",
        clip={"film_tags": {"language": "jpn"}, "color": NTSC_COLOR},
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_planted_fault_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    source, output = make_film(tmp_path / fault.source, fault.clip), tmp_path / fault.target
    options = RunOptions(model="identity", encoder_preset="ultrafast", overwrite=True)
    with monkeypatch.context() as patch:
        fault.plant(patch)
        patch.setattr(writer_module, "verify", lambda *_: ())
        patch.setattr(writer_module, "rehearse", lambda *_: None)
        pipeline.run(source, output, options)
    assert fault.breaks in differences(read(source), read(output), codec="h264")
    with monkeypatch.context() as patch:
        fault.plant(patch)
        patch.setattr(writer_module, "rehearse", lambda *_: None)
        if fault.words:
            with pytest.raises(VerificationError, match=fault.words):
                pipeline.run(source, output, options)
        else:
            said = pipeline.run(source, output, options).warnings
            assert any(re.search(fault.warns, words) for words in said) or not fault.warns
    with monkeypatch.context() as patch:
        fault.plant(patch)
        if fault.is_foreseen:
            with pytest.raises(OutputError, match="cannot keep the"):
                pipeline.run(source, output, options)


@pytest.mark.parametrize("clip", [FULL_MKV, {"color": NTSC_COLOR, "bframes": 2}])
def test_without_a_fault_nothing_is_found(tmp_path: Path, clip: Mapping[str, Any]) -> None:
    source, output = make_film(tmp_path / "in.mkv", clip), tmp_path / "out.mkv"
    pipeline.run(source, output, RunOptions(model="identity", encoder_preset="ultrafast"))
    assert differences(read(source), read(output)) == []
