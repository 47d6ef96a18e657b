"""Inputs that are no film, or lie about it: one sentence before work, or a film and a warning."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from PIL import Image
from safetensors.torch import save_file

from remaster.checkpoint import Card, load_model, save_model
from remaster.errors import CheckpointError, MemoryShortage, RemasterError, SourceError
from remaster.frames import Color, PixelLayout, VideoInfo
from remaster.media.encoders import Encoding
from remaster.media.external_film import ExternalEncoding
from remaster.media.opening import MOST_SOURCE_PIXELS, demuxed, open_source
from remaster.media.probe import probe
from remaster.media.streams import harmless_name
from remaster.memory import Need, check_memory, estimate
from remaster.models.interpolation import Interpolation
from remaster.options import RunOptions
from remaster.pipeline import run
from tests.clips import Sound, cover_picture, make_clip
from tests.networks import celnet

FAST = RunOptions(encoder_preset="ultrafast", model="identity", scale=1)


def refusal(path: Path, folder: Path) -> str:
    """What a whole run says of an input; nothing may have been written."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    with pytest.raises(SourceError) as caught:
        run(path, out / "out.mkv", FAST)
    message = str(caught.value)
    assert str(path) in message
    assert message.isprintable()
    assert list(out.iterdir()) == []
    return message


def cut_before_the_index(path: Path) -> None:
    make_clip(path)
    data = path.read_bytes()
    assert data.index(b"mdat") < data.index(b"moov")
    path.write_bytes(data[: data.index(b"moov") - 4])


def sound_alone(path: Path) -> None:
    with av.open(str(path), "w", format="matroska") as output:
        track = output.add_stream("pcm_s16le", rate=8000)
        assert isinstance(track, AudioStream)
        silence = AudioFrame.from_ndarray(
            np.zeros((1, 1600), np.int16), format="s16", layout="mono"
        )
        silence.rate = 8000
        output.mux(track.encode(silence))
        output.mux(track.encode(None))


def cover_alone(path: Path) -> None:
    """Sound with a picture on it, as in music."""
    with av.open(str(path), "w", format="mp4") as output:
        track = output.add_stream("aac", rate=48000)
        assert isinstance(track, AudioStream)
        art = output.add_mux_stream("mjpeg", width=32, height=32)
        art.disposition = av.stream.Disposition.attached_pic
        output.start_encoding()
        packet = Packet(cover_picture())
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = art, 0, 0, True
        output.mux(packet)
        silence = AudioFrame.from_ndarray(
            np.zeros((2, 1024), np.float32), format="fltp", layout="stereo"
        )
        silence.rate = 48000
        output.mux(track.encode(silence))
        output.mux(track.encode(None))


def header_alone(path: Path) -> None:
    make_clip(path, audio=())
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])  # the first cluster


def unknown_codec(path: Path) -> None:
    make_clip(path, audio=())
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))


def text(*lines: str) -> Callable[[Path], None]:
    return lambda path: path.write_text("\n".join(lines) + "\n") and None


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty.mp4": (Path.touch, "empty"),
    "garbage.mp4": (lambda path: path.write_bytes(bytes(range(256)) * 400), "not a media file"),
    "zeros.mkv": (lambda path: path.write_bytes(bytes(100_000)), "not a media file"),
    "interrupted.mp4": (cut_before_the_index, r"no index \(moov\).*interrupted.*again"),
    "sound.mkv": (sound_alone, "no video stream"),
    "music.mp4": (cover_alone, "no video stream"),
    "header.mkv": (header_alone, "ends before its first picture"),
    "codec.mp4": (unknown_codec, "no decoder"),
    "missing.mkv": (lambda path: None, "There is no file"),
    "folder.mkv": (Path.mkdir, "is a directory"),
    "link.mkv": (lambda path: path.symlink_to("nowhere.mkv"), "link to nowhere.mkv"),
    "loop.mkv": (lambda path: path.symlink_to(path), "cannot be opened"),
    "zero.mkv": (lambda path: path.symlink_to("/dev/zero"), "is a device"),
    "pipe.mkv": (os.mkfifo, "is a pipe"),
    "list.m3u8": (text("#EXTM3U", "#EXTINF:1,", "a.mp4", "#EXT-X-ENDLIST"), "list of files"),
    "list.mkv": (text("ffconcat version 1.0", "file a.mp4"), "list of files"),
    "list.xml": (text('<?xml version="1.0"?>', "<MPD></MPD>"), "list of files"),
    "x" * 300: (lambda path: None, "too long"),
    "http:": (lambda path: None, "There is no file"),
}


@pytest.mark.parametrize("name", BAD, ids=lambda name: name[:20])
def test_what_is_no_film_is_told_in_one_sentence(tmp_path: Path, name: str) -> None:
    make, words = BAD[name]
    make(tmp_path / name)
    message = refusal(tmp_path / name, tmp_path)
    assert re.search(words, message), message


def test_sockets_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.mkv"))
        assert "is a socket" in refusal(tmp_path / "s.mkv", tmp_path)
    for device in ("/dev/zero", "/dev/null"):
        assert "is a device" in refusal(Path(device), tmp_path)


def test_standard_input_is_no_file(tmp_path: Path) -> None:
    if not Path("/dev/stdin").exists():
        pytest.skip("a system without /dev/stdin")
    command = [sys.executable, "-m", "remaster", "run", "/dev/stdin", "-o", str(tmp_path / "o.mkv")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:
        _, said = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "is a pipe" in said


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/a.mp4", "rtsp://x/y", "data:/,x"])
def test_addresses_are_not_followed(tmp_path: Path, address: str) -> None:
    assert "only local files" in refusal(Path(address), tmp_path)


@pytest.mark.parametrize(
    "name", ["concat:a.mp4|b.mp4", "subfile,,start,0,end,9,,:a.mp4", "crypto:a"]
)
def test_protocols_are_names_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make_clip(tmp_path / "a.mp4")
    monkeypatch.chdir(tmp_path)
    refusal(Path(name), tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no users to be another of")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "secret.mp4")
    path.chmod(0)
    if os.access(path, os.R_OK):
        assert as_plain_user(
            "from remaster.media.probe import probe; probe(sys.argv[1])", path
        ).endswith("may not be read: ask its owner for permission.")
    else:
        assert "may not be read" in refusal(path, tmp_path)


def as_plain_user(statement: str, *arguments: object) -> str:
    """What a statement's error says without root's right to read and write everything."""
    if sys.platform != "linux":
        pytest.skip("root's rights can be given up on Linux only")
    code = (
        f"import sys\nfrom remaster.errors import RemasterError\n"
        f"import remaster.media.probe, remaster.media.writer\n"
        f"try:\n    {statement}\nexcept RemasterError as error:\n    print(error)\n"
    )
    give_up = (
        "import ctypes, os, sys\n"
        "for right in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH\n"
        "    if ctypes.CDLL(None).prctl(24, right, 0, 0, 0):  # PR_CAPBSET_DROP\n"
        "        sys.exit(77)\n"
        "os.execv(sys.executable, [sys.executable, '-c', *sys.argv[1:]])\n"
    )
    command = [sys.executable, "-c", give_up, code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("root's rights cannot be given up here")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# Pictures that are larger than any memory


def png(width: int, height: int) -> bytes:
    """A black picture of a byte a pixel, a thousandth of that in the file."""
    packer = zlib.compressobj(1)
    row = bytes(1 + width)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def jpeg(width: int, height: int) -> bytes:
    data = io.BytesIO()
    Image.new("L", (width, height)).save(data, "JPEG", quality=1)
    return data.getvalue()


def film_of(
    pictures: bytes | Sequence[bytes], codec: str, path: Path, size: tuple[int, int]
) -> None:
    """A film whose container states a size, each of its pictures these bytes."""
    each = [pictures] * 3 if isinstance(pictures, bytes) else pictures
    with av.open(str(path), "w") as output:
        stream = output.add_mux_stream(codec, width=size[0], height=size[1])
        stream.time_base = Fraction(1, 1000)
        output.start_encoding()
        for number, picture in enumerate(each):
            packet = Packet(picture)
            packet.stream, packet.time_base = stream, Fraction(1, 1000)
            packet.pts = packet.dts = number * 40
            packet.is_keyframe, packet.duration = True, 40
            output.mux(packet)


class Bits:
    """Bits of an H.264 parameter set, read and written as Exp-Golomb numbers."""

    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.position = 0

    def take(self) -> int:
        zeros = self.text.index("1", self.position) - self.position
        end = self.position + 2 * zeros + 1
        value = int(self.text[self.position + zeros : end], 2) - 1
        self.position = end
        return value

    def replace(self, value: int) -> None:
        begin = self.position
        self.take()
        written = f"{value + 1:b}"
        self.text = (
            self.text[:begin] + "0" * (len(written) - 1) + written + self.text[self.position :]
        )
        self.position = begin + 2 * len(written) - 1

    def bytes(self) -> bytes:
        text = self.text + "0" * (-len(self.text) % 8)
        return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


def h264_stating(path: Path, columns: int, rows: int) -> None:
    """A raw H.264 stream whose parameter set states so many macroblocks."""
    make_clip(path, audio=(), codec="libx264", options={"profile": "baseline"}, frames=4)
    data = path.read_bytes()
    begin = data.index(b"\x67")
    end = data.index(b"\0\0\0\1", begin)
    bits = Bits(data[begin + 4 : end].replace(b"\0\0\3", b"\0\0"))
    bits.take(), bits.take()  # its number, frame numbers
    if bits.take() == 0:  # picture order
        bits.take()
    bits.take()  # reference frames
    bits.position += 1
    bits.replace(columns - 1)
    bits.replace(rows - 1)
    path.write_bytes(data[: begin + 4] + bits.bytes() + data[end:])


SIDE = 8000
"""Far beyond the bound, and within FFmpeg's own, which is near 16384 x 16384."""

BOMBS: dict[str, Callable[[Path], object]] = {
    "stated.mov": lambda path: film_of(png(SIDE, SIDE), "png", path, (SIDE, SIDE)),
    "lying.mov": lambda path: film_of(png(SIDE, SIDE), "png", path, (64, 64)),
    "still.gif": lambda path: path.write_bytes(
        b"GIF89a" + struct.pack("<HHBBB", SIDE, SIDE, 0x80, 0, 0) + bytes(6)
        + b"," + struct.pack("<HHHHB", 0, 0, SIDE, SIDE, 0) + b"\x02\x02\x44\x01\0;"
    ),
    "jpeg.mov": lambda path: film_of(jpeg(SIDE, SIDE), "mjpeg", path, (64, 64)),
    "h264.h264": lambda path: h264_stating(path, SIDE // 16, SIDE // 16),
}  # fmt: skip


def most_resident(
    paths: Sequence[Path], most_pixels: str, *, piped: Path | None = None
) -> tuple[list[str], int]:
    """What `probe` says of files, and by how many MB a process grew meanwhile."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom remaster.media import opening, probe\n"
        "from remaster.errors import SourceError\n"
        "def peak():\n"
        "    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    return next(int(x.split()[1]) for x in lines if x.startswith('VmHWM'))\n"
        "before = peak()\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        f"        print(probe.probe(path, most_pixels={most_pixels}).video.width)\n"
        "    except SourceError as error:\n        print(error)\n"
        "print((peak() - before) // 1000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *paths],
        input=piped.read_bytes() if piped else b"",
        stdout=subprocess.PIPE,
        check=True,
    )
    *said, grown = done.stdout.decode().splitlines()
    return said, int(grown)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read a peak from")
def test_pictures_beyond_the_bound_are_refused_before_their_memory(tmp_path: Path) -> None:
    for name, make in BOMBS.items():
        make(tmp_path / name)
    paths = [tmp_path / name for name in BOMBS]
    said, grown = most_resident(paths, "opening.MOST_SOURCE_PIXELS")
    assert len(said) == len(paths) and all("8192x4608" in words for words in said), said
    assert grown < 100
    said, grown = most_resident([tmp_path / "still.gif"], "None")
    assert said == [str(SIDE)] and grown > 150, "the memory would be taken without the bound"


def y4m_stating(path: Path) -> None:
    path.write_bytes(f"YUV4MPEG2 W{SIDE} H{SIDE} F25:1 C420jpeg\nFRAME\n".encode() + bytes(10**8))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read a peak from")
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("lying.mkv", lambda path: film_of(jpeg(SIDE, SIDE), "mjpeg", path, (64, 64))),
        ("h264.h264", lambda path: h264_stating(path, SIDE // 16, SIDE // 16)),
        ("stated.y4m", y4m_stating),
    ],
)
def test_the_bound_holds_in_a_pipe(
    tmp_path: Path, name: str, make: Callable[[Path], object]
) -> None:
    make(tmp_path / name)
    said, grown = most_resident([Path("-")], "opening.MOST_SOURCE_PIXELS", piped=tmp_path / name)
    assert len(said) == 1 and "8192x4608" in said[0], said
    assert grown < (250 if name.endswith("y4m") else 100)  # Y4M's packet is the picture


def test_a_picture_that_grows_in_a_pipe_is_not_decoded(tmp_path: Path) -> None:
    """The first picture is small, what follows is not: it is damage, as in a file."""
    path = tmp_path / "grows.mkv"
    film_of([jpeg(64, 64), jpeg(SIDE, SIDE), jpeg(64, 64)], "mjpeg", path, (64, 64))
    code = (
        "import sys\nfrom remaster.media.probe import probe\n"
        "from remaster.media.reader import DamageReport, read_frames\n"
        "damage = DamageReport()\n"
        "for _ in read_frames(probe(sys.argv[1]), damage=damage): pass\n"
        "print(damage.failed_packets)\n"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code, name],
            input=path.read_bytes(),
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for name in (str(path), "-")
    ]
    assert found == [b"1\n", b"1\n"]


def test_the_bound_lets_8k_pass() -> None:
    assert 7680 * 4320 < 8192 * 4320 < MOST_SOURCE_PIXELS


def test_the_bound_is_for_sources_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the program wrote itself is read back, however large."""
    source = make_clip(tmp_path / "in.mkv", frames=3)
    with pytest.raises(SourceError, match="64x48"):
        probe(source, most_pixels=64 * 48 - 1)
    for function in (probe, open_source.__wrapped__):  # type: ignore[attr-defined]
        monkeypatch.setitem(function.__kwdefaults__, "most_pixels", 64 * 48)
    run(source, tmp_path / "out.mkv", RunOptions(scale=2, encoder_preset="ultrafast"))
    with pytest.raises(SourceError, match="128x96"):
        probe(tmp_path / "out.mkv")


# Lies about length and content


def test_a_truncated_film_is_finished_with_a_warning(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=100, audio=())
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 6 // 10])
    result = run(source, tmp_path / "out.mkv", FAST)
    assert 40 < result.frames < 100
    assert any("breaks off" in warning for warning in result.warnings)


@pytest.mark.parametrize("stated", [1, 1 << 31])
def test_a_stated_length_that_lies(tmp_path: Path, stated: int) -> None:
    """Durations of the film, its track and its media: one tick, or weeks."""
    source = make_clip(tmp_path / "in.mp4", frames=20, audio=())
    data = bytearray(source.read_bytes())
    for box, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
        at = data.index(box) + offset
        data[at : at + 4] = stated.to_bytes(4, "big")
    source.write_bytes(data)
    result = run(source, tmp_path / "out.mkv", FAST)
    assert result.frames == 20


def test_a_stated_size_that_lies_is_corrected_by_the_pictures(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=5, audio=(), size=(64, 48))
    data = source.read_bytes()
    for old, new in ((b"\xb0\x81\x40", b"\xb0\x81\x10"), (b"\xba\x81\x30", b"\xba\x81\x10")):
        assert data.count(old) == 1
        data = data.replace(old, new)
    source.write_bytes(data)
    run(source, tmp_path / "out.mkv", FAST)
    video = probe(tmp_path / "out.mkv").video
    assert (video.width, video.height) == (64, 48)


def test_a_crash_inside_a_library_is_not_silent(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=3)
    code = (
        "import os, signal, sys\nimport remaster.media.writer as writer\n"
        "from remaster.cli import main\n"
        "writer.Writer.write = lambda *_: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "main(sys.argv[1:])\n"
    )
    words = ["run", str(source), "-o", str(tmp_path / "out.mp4"), "--progress", "none"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == -11
    assert "Segmentation fault" in done.stderr
    run(source, tmp_path / "out.mp4", FAST)
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "out.mp4"]


# What fuzzing found


@pytest.mark.parametrize("name", ["in.nut", "in.avi", "in.mov"])
@pytest.mark.parametrize("target", ["out.mov", "out.mkv"])
def test_sound_that_is_cut_inside_a_sample(tmp_path: Path, name: str, target: str) -> None:
    """MOV counts PCM in samples, so a part of one is not written."""
    muxing = {"movflags": "faststart"} if name == "in.mov" else {}
    source = make_clip(tmp_path / name, audio=(Sound("pcm_s16le"),), frames=8, muxer_options=muxing)
    data = source.read_bytes()
    finished = 0
    for cut in range(len(data) - 1500, len(data) - 700, 197):
        source.write_bytes(data[:cut])
        run(source, tmp_path / target, replace(FAST, overwrite=True))
        finished += 1
    assert finished == 5


def test_a_stream_that_the_header_did_not_announce(tmp_path: Path) -> None:
    source = make_clip(
        tmp_path / "in.flv", frames=50, audio=(Sound("aac", offset_seconds=Fraction(1)),)
    )
    data = bytearray(source.read_bytes())
    assert data[4] == 5
    data[4] = 1  # pictures alone, it says
    source.write_bytes(data)
    assert run(source, tmp_path / "out.mkv", FAST).frames == 50


def test_packets_of_unannounced_streams_are_passed_by_and_counted() -> None:
    class Container:
        def __init__(self) -> None:
            self.packets = iter([1, 2, None, 3, None, 4])

        def demux(self, streams: object) -> Iterator[int]:
            for packet in self.packets:
                if packet is None:
                    raise IndexError("list index out of range")
                yield packet

    unannounced: list[int] = []
    assert list(demuxed(Container(), (), unannounced)) == [1, 2, 3, 4]  # type: ignore[arg-type]
    assert len(unannounced) == 2


def test_a_lone_packet_that_begins_before_the_part(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=4, audio=(Sound("flac"),))
    run(source, tmp_path / "out.mkv", replace(FAST, start=Fraction(1, 10)))


# Names inside a file


NAMES = {
    "../../x.ttf": "x.ttf",
    "/etc/passwd": "passwd",
    "..\\..\\x.ttf": "x.ttf",
    "C:\\Windows\\x.ttf": "x.ttf",
    "..": "attachment",
    "a/": "attachment",
    "a\nb\x1b[2J.ttf": "a_b_[2J.ttf",
    "right\u202eftt.ttf": "right_ftt.ttf",
    "思い出　フォント.ttf": "思い出　フォント.ttf",
    "Re:Zero.ttf": "Re:Zero.ttf",
}


@pytest.mark.parametrize("name", NAMES)
def test_attachments_lead_out_of_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert harmless_name(name) == NAMES[name]
    work = tmp_path / "a" / "b"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    source = make_clip(work / "in.mkv", frames=3, attachments={name: b"font" * 9, "b.ttf": b"more"})
    run(source, work / "out.mkv", FAST)
    with av.open(str(work / "out.mkv")) as container:
        found = {stream.name: stream.data for stream in container.streams.attachments}
    assert found == {NAMES[name]: b"font" * 9, "b.ttf": b"more"}
    assert sorted(os.listdir(work)) == ["in.mkv", "out.mkv"]
    assert sorted(os.listdir(tmp_path)) == ["a"]


# Weights


def weights(path: Path, header: dict[str, object] | bytes, body: bytes = b"") -> Path:
    document = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(document).to_bytes(8, "little") + document + body)
    return path


CARD = Card("celnet", {"scale": 2, "num_features": 16, "num_blocks": 2, "unshuffle": 1}, 2)


def metadata_of(card: Card) -> dict[str, str]:
    return {"remaster": json.dumps({"format": 1, **vars(card)})}


def header_of(card: Card, tensors: dict[str, object]) -> dict[str, object]:
    return {"__metadata__": metadata_of(card), **tensors}


def truncated_weights(path: Path) -> Path:
    save_model(path, celnet(2), CARD)
    path.write_bytes(path.read_bytes()[:-100])
    return path


BIG = Card("celnet", {"scale": 16, "num_features": 256, "num_blocks": 64, "unshuffle": 1}, 16)
LIE = {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}
BAD_WEIGHTS: dict[str, Callable[[Path], object]] = {
    "truncated": truncated_weights,
    "huge header": lambda path: path.write_bytes((1 << 62).to_bytes(8, "little") + b"{}"),
    "no header": lambda path: path.write_bytes(b"\x05"),
    "not json": lambda path: weights(path, b"x" * 64),
    "deep json": lambda path: weights(path, b"[" * 100_000),
    "deep card": lambda path: weights(path, {"__metadata__": {"remaster": "[" * 100_000}}),
    "lying shape": lambda path: weights(path, header_of(CARD, {"w": LIE}), bytes(4)),
    "huge network": lambda path: save_file(
        {"w": torch.ones(2)}, path, metadata=metadata_of(BIG)
    ),
    "endless network": lambda path: save_model(
        path, celnet(2), Card("celnet", {**CARD.config, "num_blocks": 10**9}, 2)
    ),
    "wrong types": lambda path: save_model(path, celnet(2), Card("celnet", {"scale": "2"}, 2)),
    "true scale": lambda path: save_model(path, celnet(2), Card("celnet", {**CARD.config}, True)),
    "integers": lambda path: save_file(
        {name: tensor.to(torch.int8) for name, tensor in celnet(2).state_dict().items()},
        path,
        metadata=metadata_of(CARD),
    ),
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_bad_weights_are_told_in_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / "w.safetensors"
    BAD_WEIGHTS[name](path)
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 600


def test_bad_weights_stop_a_run_before_work(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=2)
    truncated_weights(tmp_path / "w.safetensors")
    with pytest.raises(RemasterError, match=r"w\.safetensors"):
        run(source, tmp_path / "out.mp4", RunOptions(model=str(tmp_path / "w.safetensors")))
    assert sorted(os.listdir(tmp_path)) == ["in.mp4", "w.safetensors"]


# Memory


def test_a_run_that_does_not_fit_is_refused_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import remaster.pipeline as pipeline

    source = make_clip(tmp_path / "in.mp4", size=(320, 240), frames=2)
    monkeypatch.setattr(pipeline, "available_memory", lambda: 200_000_000)
    with pytest.raises(MemoryShortage, match=r"640x480.* GB .*--scale"):
        run(source, tmp_path / "out.mp4", RunOptions())
    assert os.listdir(tmp_path) == ["in.mp4"]


def test_memory_that_is_close_is_noted() -> None:
    need = Need(program=300, decoder=100, frames=100, network=200, encoder=300)
    assert check_memory(need, None, "it") is None
    assert check_memory(need, 2000, "it") is None
    assert "close" in (check_memory(need, 1100, "it") or "")
    assert "may be too little" in (check_memory(need, 900, "it") or "")
    assert "may be too little" in (check_memory(need, 600, "it") or "")
    with pytest.raises(MemoryShortage, match=r"it needs about .* are free.*--batch"):
        check_memory(need, 599, "it")


def test_an_encoder_outside_takes_the_machines_memory_too() -> None:
    video = VideoInfo(
        1920, 1080, Fraction(1, 1000), Fraction(25), Fraction(1), PixelLayout("420", 8),
        Color("bt709", "limited", "bt709", "bt709"),
    )  # fmt: skip

    def need(encoding: Encoding) -> Need:
        return estimate(
            video, video, encoding, Interpolation(1, "lanczos"), torch.device("cpu"), torch.float32,
            workers=1, cores=2, source_frames=1, target_frames=1,
        )  # fmt: skip

    def outside(codec: str, **options: str) -> int:
        return need(ExternalEncoding(codec, "yuv420p", options, "ffmpeg", "")).encoder

    def own(codec: str, **options: str) -> int:
        return need(Encoding(codec, "yuv420p", options)).encoder

    assert own("rawvideo") == 0
    for codec in ("libx264", "libx265", "libsvtav1", "ffv1"):
        assert outside(codec, preset="fast") > own(codec, preset="fast")
    assert outside("libx264") == outside("libx264", preset="medium"), "ffmpeg's own default"
    assert outside("libx264", **{"preset:v": "ultrafast"}) < outside("libx264")
    assert outside("libaom-av1") > 2 * outside("hevc_vaapi")


def test_the_need_grows_with_what_is_asked(tmp_path: Path) -> None:
    from remaster.pipeline import memory_need
    from remaster.plan import make_plan

    source = make_clip(tmp_path / "in.mp4", size=(320, 240), frames=1)
    needs = []
    for more in (
        {"scale": 2, "encoder_preset": "ultrafast"},
        {"scale": 2},
        {"scale": 4},
        {"scale": 4, "codec": "libsvtav1"},
    ):
        options = RunOptions(**more)  # type: ignore[arg-type]
        needs.append(memory_need(make_plan(source, tmp_path / "o.mkv", options), options).total)
    assert needs == sorted(needs) and len(set(needs)) == 4


@pytest.mark.parametrize("version", [1, 2])
def test_control_groups_bound_the_memory(tmp_path: Path, version: int) -> None:
    from remaster.engines.host import _group_rooms

    own = "0::/a/b\n" if version == 2 else "4:memory:/a/b\n1:cpu:/x\n"
    names = ("memory.max", "memory.current") if version == 2 else (
        "memory.limit_in_bytes", "memory.usage_in_bytes",
    )  # fmt: skip
    cached = "inactive_file" if version == 2 else "total_inactive_file"
    top = tmp_path if version == 2 else tmp_path / "memory"
    (top / "a" / "b").mkdir(parents=True)
    for folder, limit in ((top, "max"), (top / "a", "1000"), (top / "a" / "b", "5000")):
        (folder / names[0]).write_text(f"{limit}\n")
        (folder / names[1]).write_text("700\n")
        (folder / "memory.stat").write_text(f"anon 3\n{cached} 100\n")
    assert sorted(_group_rooms(tmp_path, own)) == [400, 4400]
