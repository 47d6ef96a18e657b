"""The film encoded by an ffmpeg program: pictures go to its input, packets come from its output.

Both ways are NUT, which keeps exact times, the shape of pixels and what a decoder must know. The
program's first packets bring the parameters that the output's header needs, so a header is written
behind them: what it says is what the packets are.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import IO, Self, cast

import av
import torch
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from remaster.errors import OptionsError, OutputError
from remaster.frames import Frame, PixelLayout, VideoInfo
from remaster.media import matroska
from remaster.media.arguments import read_arguments
from remaster.media.containers import CONTAINERS
from remaster.media.encoders import Encoding, formats_in_memory, nearest_format
from remaster.media.external import encoder_command, find_ffmpeg, pixel_formats_of
from remaster.media.film import (
    ASSUMED_RATE,
    MATROSKA,
    FilmDescription,
    Pictures,
    color_numbers,
    describe_film,
)
from remaster.media.formats import layout_of, planar_format
from remaster.media.hdr import light_options, says_light
from remaster.media.piping import PipeOutput
from remaster.media.rehearsal import forgotten_in
from remaster.transfer import Arrivals, arrivals

__all__ = ["ExternalEncoding", "ExternalFilmEncoder", "external_encoding", "rehearse_external"]

_REHEARSED_FRAMES = 3
_REHEARSAL_SECONDS = 60
"""For a few plain pictures; a program that takes longer hangs."""

_GOODBYE_SECONDS = 10
_PREFIX = re.compile(r"^(\[[^\]]*\]\s*)+")
_AFTERMATH = (
    "Could not write header",
    "Error sending frames",
    "Task finished",
    "Terminating thread",
    "Could not open encoder before EOF",
    "Nothing was written",
    "Conversion failed",
    "Error while opening encoder",
    "Error opening output",
)
"""What ffmpeg says of an error it has named already."""

_HEADER_ALONE = {"probesize": "32", "analyzeduration": "0"}


@dataclass(frozen=True)
class ExternalEncoding(Encoding):
    """Everything an encoder of an ffmpeg program is told; `options` by ffmpeg's own names."""

    program: str
    filters: str


def external_encoding(text: str, layout: PixelLayout, pix_fmt: str | None) -> ExternalEncoding:
    """What `--ffmpeg-encoder` asks for, for pictures of a layout.

    Args:
        text: output arguments of ffmpeg.
        layout: of the source; kept where the encoder takes it.
        pix_fmt: FFmpeg's pixel format; None for what the arguments say, else the nearest.

    Raises OptionsError for arguments that are refused, and where there is no such program, or no
    such encoder in it.
    """
    arguments = read_arguments(text)
    if pix_fmt is not None and arguments.pixel_format is not None:
        raise OptionsError("--pix-fmt and the -pix_fmt of --ffmpeg-encoder: give one of them")
    program = find_ffmpeg()
    if program is None:
        raise OptionsError(
            "--ffmpeg-encoder needs an ffmpeg program and there is none: pip install "
            "'remaster[ffmpeg]' brings one, and $REMASTER_FFMPEG names any other."
        )
    offered = [name for name in pixel_formats_of(program, arguments.codec) if _is_known(name)]
    chosen = pix_fmt or arguments.pixel_format
    if chosen is None:
        formats = formats_in_memory(offered) or (planar_format(layout),)
        chosen = nearest_format(arguments.codec, formats, layout)
        if layout_of(chosen).bit_depth == 8 < layout.bit_depth:
            raise OptionsError(
                f"The source has {layout.bit_depth} bits and {arguments.codec} takes 8: add "
                f"-pix_fmt {chosen} to --ffmpeg-encoder to let them go."
            )
    elif (offered and chosen not in offered) or layout_of(chosen).subsampling == "rgb":
        raise OptionsError(
            f"The pixel format {chosen} does not go with {arguments.codec}, which takes: "
            f"{', '.join(formats_in_memory(offered))}."
        )
    return ExternalEncoding(
        arguments.codec, chosen, dict(arguments.options), program, arguments.filters
    )


def rehearse_external(video: VideoInfo, encoding: ExternalEncoding, container_format: str) -> None:
    """Encode a few plain pictures of the real size, and mux them in memory.

    Raises OutputError when the program fails, hangs, changes size, count or times, or when the
    container cannot hold what comes out or forgets what `video` says.
    """
    step = _usual_step(video)
    pts = [number * step for number in range(_REHEARSED_FRAMES)]
    said = _encoded(video, encoding, pts)
    try:
        with av.open(io.BytesIO(said), "r", format="nut", container_options=_HEADER_ALONE) as found:
            template = _template(found, encoding)
            size = (template.codec_context.width, template.codec_context.height)
            packets = [packet for packet in found.demux(template) if packet.size]
            times = sorted(_ticks(packet, video) for packet in packets)
            if size != (video.width, video.height) or times != pts:
                raise OutputError(
                    f"{encoding.codec} made {len(times)} pictures of {size[0]}x{size[1]} of "
                    f"{len(pts)} of {video.width}x{video.height}, or gave them other times: leave "
                    f"filters and rates out of --ffmpeg-encoder."
                )
            memory = io.BytesIO()
            with av.open(memory, "w", format=container_format) as output:
                stream = _add_stream(output, template, video, encoding)
                describe_film(stream, video, container_format, FilmDescription())
                output.start_encoding()
                for packet, dts in zip(packets, _decoding_times(pts, step, template)):
                    _stamp(packet, video, _ticks(packet, video), dts, step)
                    packet.stream = stream
                    output.mux(packet)
        forgotten = forgotten_in(memory, video, encoding, container_format)
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(
            f"A {container_format} file cannot hold video from {encoding.codec} "
            f"({getattr(error, 'strerror', None) or error}): write to another of "
            f"{', '.join(CONTAINERS)}."
        ) from error
    if forgotten:
        raise OutputError(
            f"A {container_format} file with {encoding.codec} cannot keep the "
            f"{' and the '.join(forgotten)} of this film: use another encoder."
        )


class ExternalFilmEncoder:
    """Frames in, packets out, as `FilmEncoder`, by a program; a context manager."""

    stream: VideoStream
    """In the output, after `add_stream`."""

    def __init__(self, video: VideoInfo, encoding: ExternalEncoding) -> None:
        self._video = video
        self._encoding = encoding
        self._layout = layout_of(encoding.pixel_format)
        self._step = _usual_step(video)
        self._first = 0
        self._durations: dict[int, int] = {}
        self._template: VideoStream | None = None
        self._received = 0
        self._resources = ExitStack()
        self.pts: list[int] = []
        """Of every frame so far, in `video.time_base`."""

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            self._errors = resources.enter_context(tempfile.TemporaryFile())
            self._process = subprocess.Popen(
                _command(self._video, self._encoding),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,  # Ctrl-C is for us to answer
            )
            resources.enter_context(self._process)
            self._opened = resources.enter_context(ExitStack())  # closed behind its thread
            self._arrivals: Arrivals[InputContainer | Packet[VideoStream]] = (
                resources.enter_context(arrivals(_received(_stdout(self._process))))
            )
            resources.callback(self._process.kill)
            assert self._process.stdin is not None
            self._pipe = PipeOutput(self._process.stdin.fileno(), holds_header=False)
            self._nut = _Nut(self._pipe, self._video, self._layout)
            resources.callback(self._nut.abandon)
            resources.callback(self._pipe.break_off)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()

    def add_stream(
        self,
        container: OutputContainer,
        description: FilmDescription | None = None,
    ) -> None:
        """Add the film's stream to a container; the first packets must have come."""
        assert self._template is not None, "packets say what the stream is"
        self.stream = _add_stream(container, self._template, self._video, self._encoding)
        said = description or FilmDescription()
        if container.format.name in MATROSKA:
            title = said.tags.get("title", "") + matroska.RATE_MARK
            said = replace(said, tags={**said.tags, "title": title})
        describe_film(self.stream, self._video, container.format.name, said)

    @property
    def codec(self) -> str:
        """FFmpeg's name of what the program made; the first packets must have come."""
        assert self._template is not None, "packets say what the stream is"
        return self._template.codec_context.codec.canonical_name

    def encode(self, frame: Frame | None) -> list[Packet[VideoStream]]:
        """Packets that are ready after one more frame, or after the last with None.

        Raises OutputError when the program fails.
        """
        with self._explained():
            if frame is None:
                self._finish_input()
                came = self._arrivals.rest()
                self._check_end()
            else:
                self._send(frame)
                came = self._arrivals.ready()
        packets = []
        for item in came:
            if isinstance(item, InputContainer):
                self._template = _template(self._opened.enter_context(item), self._encoding)
            else:
                packets.append(self._stamped(item))
        return packets

    def _send(self, frame: Frame) -> None:
        assert not self.pts or frame.pts > self.pts[-1], "frames come in order"
        self._first = self.pts[0] if self.pts else frame.pts
        self.pts.append(frame.pts)
        self._durations[frame.pts] = frame.duration or self._step
        moved = Frame(frame.pts - self._first, frame.planes, frame.duration)  # NUT counts from 0
        self._nut.write(moved, self._durations[frame.pts])

    def _finish_input(self) -> None:
        self._nut.finish()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _check_end(self) -> None:
        """Raise OutputError unless the program ended well and gave every frame back."""
        code = self._process.wait()
        if code:
            raise self._failure()

    def _stamped(self, packet: Packet[VideoStream]) -> Packet[VideoStream]:
        """A packet on the film's clock, with a decoding time and the frame's own length."""
        assert self._template is not None
        pts = _ticks(packet, self._video) + self._first
        duration = self._durations.pop(pts, None)
        if duration is None:
            raise OutputError(
                f"{self._encoding.codec} gave a picture at {float(pts * self._video.time_base):.3f}"
                f" s, where no frame is, or twice: use another encoder."
            )
        delay = self._template.codec_context.reorder_depth
        due = self._received - delay
        dts = self.pts[due] if due >= 0 else self.pts[0] + due * self._step
        if dts > pts:
            raise OutputError(
                f"{self._encoding.codec} reorders pictures further than it said: add -bf 0 to "
                f"--ffmpeg-encoder."
            )
        self._received += 1
        _stamp(packet, self._video, pts, dts, duration)
        return packet

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise self._failure() from error

    def _failure(self) -> OutputError:
        """The error for a program that ended too early, in its own last words."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GOODBYE_SECONDS)
        self._errors.seek(0)
        return _failed(self._encoding, self._process.poll(), self._errors.read())


class _Nut:
    """Raw pictures on their way to a program."""

    def __init__(self, target: PipeOutput | io.BytesIO, video: VideoInfo, layout: PixelLayout):
        self._pictures = Pictures(video, layout)
        self._container = av.open(target, "w", format="nut")
        stream = self._container.add_stream("rawvideo", rate=video.frame_rate or ASSUMED_RATE)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height = video.width, video.height
        context.pix_fmt = planar_format(layout)
        context.time_base = video.time_base
        self._stream = stream

    def write(self, frame: Frame, duration: int) -> None:
        self._container.mux(self._stream.encode(self._pictures.of(frame, duration)))

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        with suppress(av.FFmpegError, OSError, ValueError):
            self._container.close()


class _Incoming:
    """A program's output as FFmpeg reads it; without `seek` it is taken for a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, size: int) -> bytes:
        return os.read(self._descriptor, size)


def _received(output: IO[bytes]) -> Iterator[InputContainer | Packet[VideoStream]]:
    """What a program's NUT describes, open until its receiver closes it; then its packets."""
    incoming = _Incoming(output.fileno())
    container = av.open(incoming, "r", format="nut", container_options=_HEADER_ALONE)
    yield container
    for packet in container.demux(container.streams.video[0]):
        if packet.size:
            yield packet


def _is_known(pixel_format: str) -> bool:
    """Whether our FFmpeg knows a format of the other, which may be newer, and it is in memory."""
    try:
        return bool(av.VideoFormat(pixel_format, 64, 64).components)
    except ValueError:
        return False


def _stdout(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def _command(video: VideoInfo, encoding: ExternalEncoding) -> list[str]:
    color, ratio = video.color, video.sample_aspect_ratio
    ranges = {"limited": "tv", "full": "pc"}
    filters = [
        f"setparams=range={ranges[color.range]}:color_primaries={color.primaries}"
        f":color_trc={color.transfer}:colorspace={color.matrix}",
        f"setsar={ratio.numerator}/{ratio.denominator}",
        encoding.filters,
    ]
    return encoder_command(
        encoding.program,
        encoding.codec,
        encoding.pixel_format,
        video.time_base,
        ",".join(filter(None, filters)),
        {**_with_light(video, encoding), "chroma_sample_location": color.chroma_location},
    )


def _with_light(video: VideoInfo, encoding: ExternalEncoding) -> dict[str, str]:
    """The user's options, and behind the user's own words to the encoder those of HDR10."""
    options = dict(encoding.options)
    if video.light is not None and says_light(encoding.codec):
        for name, words in light_options(encoding.codec, video.light).items():
            key = f"{name}:v" if f"{name}:v" in options else name
            options[key] = ":".join(filter(None, (options.get(key), words)))
    return options


def _encoded(video: VideoInfo, encoding: ExternalEncoding, pts: list[int]) -> bytes:
    """What the program makes of plain pictures. Raises OutputError when it fails or hangs."""
    layout = layout_of(encoding.pixel_format)
    planes = tuple(
        torch.full(shape, 1 << (layout.bit_depth - 1), dtype=layout.dtype)
        for shape in layout.plane_shapes(video.height, video.width)
    )
    pictures = io.BytesIO()
    nut = _Nut(pictures, video, layout)
    for each in pts:
        nut.write(Frame(each, planes), _usual_step(video))
    nut.finish()
    try:
        done = subprocess.run(
            _command(video, encoding),
            input=pictures.getvalue(),
            capture_output=True,
            timeout=_REHEARSAL_SECONDS,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OutputError(
            f"{encoding.program} hangs: it has not encoded {len(pts)} pictures with "
            f"{encoding.codec} in {_REHEARSAL_SECONDS} s."
        ) from error
    except OSError as error:
        raise OutputError(f"{encoding.program} does not start ({error.strerror}).") from error
    if done.returncode or not done.stdout:
        raise _failed(encoding, done.returncode, done.stderr)
    return done.stdout


def _failed(encoding: ExternalEncoding, code: int | None, said: bytes) -> OutputError:
    lines = [_PREFIX.sub("", line).strip() for line in said.decode(errors="replace").splitlines()]
    told = [line for line in lines if line]
    reasons = [line for line in told if not line.startswith(_AFTERMATH)]
    ending = "still runs" if code is None else f"ended with code {code}"
    reason = next(iter(reversed(reasons or told)), "it said nothing")
    return OutputError(
        f"{encoding.program} {ending} before the film was encoded with {encoding.codec}: "
        f"{reason.rstrip('.')}."
    )


def _usual_step(video: VideoInfo) -> int:
    return max(1, round(1 / (video.frame_rate or ASSUMED_RATE) / video.time_base))


def _ticks(packet: Packet[VideoStream], video: VideoInfo) -> int:
    """A packet's time in units of `video.time_base`. Raises OutputError when it lies between."""
    if packet.pts is None:
        raise OutputError("ffmpeg gave a packet without a time: use another encoder.")
    time = packet.pts * packet.time_base / video.time_base
    if time.denominator != 1:
        raise OutputError(
            f"ffmpeg moved a picture to {float(time * video.time_base):.6f} s: leave filters and "
            f"rates out of --ffmpeg-encoder."
        )
    return int(time)


def _template(container: InputContainer, encoding: Encoding) -> VideoStream:
    """The stream of a program's NUT. Raises OutputError for a codec unknown here."""
    stream = container.streams.video[0] if container.streams.video else None
    if stream is None or stream.codec_context is None:
        raise OutputError(
            f"What {encoding.codec} makes cannot be read here, so it could not be verified: use "
            f"another encoder."
        )
    return stream


def _decoding_times(pts: list[int], step: int, template: VideoStream) -> list[int]:
    delay = template.codec_context.reorder_depth
    return [(number - delay) * step for number in range(len(pts))]


def _stamp(
    packet: Packet[VideoStream], video: VideoInfo, pts: int, dts: int, duration: int
) -> None:
    packet.time_base = video.time_base
    packet.pts, packet.dts, packet.duration = pts, dts, duration


def _add_stream(
    container: OutputContainer, template: VideoStream, video: VideoInfo, encoding: Encoding
) -> VideoStream:
    """A stream for packets that are made already, tagged as the film."""
    stream = cast("VideoStream", container.add_stream_from_template(cast("Stream", template), True))
    stream.time_base = video.time_base
    context = stream.codec_context
    context.width, context.height = video.width, video.height
    context.pix_fmt = encoding.pixel_format
    context.sample_aspect_ratio = video.sample_aspect_ratio
    for name, number in color_numbers(video.color).items():
        setattr(context, name, number)
    if context.codec.canonical_name == "hevc" and container.format.name in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # what Apple's players ask for
    return stream
