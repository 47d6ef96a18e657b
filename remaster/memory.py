"""How much memory a run will need, from the sizes of its parts; nothing is decoded to learn it.

Terms come from peak resident memory over the number of pixels, on two cores: CelNet, the kernels,
and encoders at some presets (x264 ultrafast, veryfast, medium, slow; x265 ultrafast, medium;
SVT-AV1 6 and 10; one each of the others). Presets between, beyond, and more cores are extrapolated
(`benchmarks/memory.py` holds whole runs against the sum). The sum is a bound to plan with, not a
promise: an encoder's depends on its settings, and a decoder's on what the stream asks for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from remaster.drawings import frames_ahead
from remaster.errors import MemoryShortage
from remaster.frames import PixelLayout, VideoInfo
from remaster.media.encoders import Encoding
from remaster.media.external_film import ExternalEncoding
from remaster.media.formats import layout_of
from remaster.models.celnet import CelNet
from remaster.models.network import Network
from remaster.upscale import MOST_PIXELS, can_keep_features

__all__ = ["Need", "check_memory", "estimate"]

PROGRAM_BYTES = 290_000_000
"""Python, torch and FFmpeg's libraries, loaded."""

DECODER_FRAMES = 17
"""Sixteen that others may refer to, and the one at work; and one more for each thread."""

MOST_DECODER_THREADS = 16

CELNET_PIXEL_BYTES = 120
CELNET_LAYERS_ALIVE = 5
"""Layers of features held at once, those of the threads' own buffers included."""

RESAMPLED_PIXEL_BYTES = 32
"""For each pixel of a kernel's output: planes in floating point, before and after."""

RESAMPLED_SOURCE_BYTES = 40

DRAWINGS_FLOAT_FRAMES = 4
"""Means and differences of exposures."""

COMPILED_LAYERS_BYTES = 400_000_000
"""oneDNN's, one for each layer and size of region, as many as it keeps, and what they leave."""

SMALL_PIXEL_BYTES = 4
"""For each pixel of a frame: four planes of int16 at half size, in which drawings are looked for;
as many frames are kept as are read ahead."""

SMOOTHING_SAMPLE_BYTES = 140
"""For each sample of a picture: two frames each side, how they differ, and what lives while that is
found."""

CANVAS_FRAMES = 2
"""Finished pictures beside those that wait: the one that is held, and the next being made of it."""

ENCODER_BASE_BYTES = 40_000_000
X264_BYTES = {
    "ultrafast": 14,
    "superfast": 50,
    "veryfast": 86,
    "faster": 110,
    "fast": 150,
    "medium": 178,
    "slow": 214,
    "slower": 250,
    "veryslow": 290,
    "placebo": 320,
}
"""For each pixel of 8-bit 4:2:0, without those of the threads; longer look-aheads hold more."""

X264_THREAD_BYTES = 11
X265_BYTES = {"ultrafast": 110, "superfast": 120, "veryfast": 150, "faster": 160, "fast": 170}
X265_BYTES_BEYOND = 220
X265_THREAD_BYTES = 14
X265_FRAME_THREADS = ((32, 6), (16, 5), (8, 3), (4, 2), (0, 1))
"""x265 takes so many from so many cores on."""

SVT_BYTES = ((9, 1100), (3, 800), (0, 500))
"""From so many cores on."""

OTHER_ENCODERS_BYTES = {"libvpx-vp9": 150, "prores_ks": 12, "ffv1": 40}
UNKNOWN_ENCODER_BYTES = 320
"""An ffmpeg program's software encoder that was not measured; as much as x264's slowest."""

HARDWARE_ENCODER_BYTES = 60
_HARDWARE_ENCODERS = (
    "_nvenc",
    "_qsv",
    "_amf",
    "_videotoolbox",
    "_vaapi",
    "_vulkan",
    "_v4l2m2m",
    "_d3d12va",
    "_rkmpp",
    "_omx",
    "_mediacodec",
    "_mf",
)
EXTERNAL_PROGRAM_BYTES = 60_000_000
"""An ffmpeg program, loaded; its memory is the machine's, too."""

CLOSE = 0.8
"""Of what is available: a note from there on."""

SURE = 0.6
"""Of an estimate: what a run needs at the very least. Only where this does not fit is it refused,
since nothing could be said against the refusal."""


@dataclass(frozen=True)
class Need:
    """Bytes a run will need in the machine's own memory, by part."""

    program: int
    decoder: int
    frames: int
    """Decoded and finished ones, waiting between the stages."""

    network: int
    encoder: int
    reuse: int = 0
    """Looking for drawings, smoothing, and the picture that is held."""

    @property
    def total(self) -> int:
        stages = self.decoder + self.frames + self.reuse + self.network + self.encoder
        return self.program + stages


def estimate(
    source: VideoInfo,
    target: VideoInfo,
    encoding: Encoding,
    model: Network,
    device: torch.device,
    dtype: torch.dtype,
    *,
    workers: int,
    cores: int,
    source_frames: int,
    target_frames: int,
    reuse: str = "off",
    smooths: bool = False,
) -> Need:
    """What a run will need.

    Args:
        source, target, encoding, model, device, dtype: as in a `Plan`.
        workers: frames computed at once on a CPU.
        cores: processor cores that decoder and encoder will find.
        source_frames, target_frames: decoded and finished frames that may wait between stages.
        reuse: `off`, `exact` or `drawings`.
        smooths: whether what changes is smoothed.
    """
    on_cpu = device.type == "cpu"
    decoder_frames = DECODER_FRAMES + min(cores, MOST_DECODER_THREADS)
    frames = source_frames * _frame_bytes(source) + target_frames * _frame_bytes(target)
    network = workers * _network_bytes(source, target, model, dtype) if on_cpu else 0
    # At worst every other frame begins a chain.
    chains = workers // 2 + 1
    reused = _reuse_bytes(
        source, target, model, dtype, source_frames, chains, reuse, smooths=smooths
    )
    return Need(
        PROGRAM_BYTES,
        decoder_frames * _frame_bytes(source),
        frames,
        network,
        _encoder_bytes(target, encoding, cores),
        reused if on_cpu else 0,
    )


def check_memory(need: Need, available: int | None, description: str) -> str | None:
    """A note when `need` comes close to the memory `available` (bytes, None: not known).

    Args:
        description: of the run, as in `576x432 to 2304x1728 with libx264`.

    Raises:
        MemoryShortage: even `SURE` of it does not fit.
    """
    if available is None or need.total <= CLOSE * available:
        return None
    figures = (
        f"{description} needs about {_gigabytes(need.total)} of memory and "
        f"{_gigabytes(available)} are free"
    )
    advice = (
        "close other programs, or choose a smaller --scale or --batch, a faster --encoder-preset "
        "or another --codec"
    )
    if SURE * need.total > available:
        raise MemoryShortage(f"{figures}: {advice}")
    short = "which is close" if need.total <= available else "which may be too little"
    return f"{figures}, {short}: if it fails, {advice}"


def _frame_bytes(video: VideoInfo) -> int:
    return math.ceil(video.width * video.height * _sample_bytes(video.layout))


def _sample_bytes(layout: PixelLayout) -> float:
    """Bytes for each pixel: all planes of it."""
    samples = {"420": 1.5, "422": 2.0, "gray": 1.0}.get(layout.subsampling, 3.0)
    return samples * layout.dtype.itemsize


def _network_bytes(source: VideoInfo, target: VideoInfo, model: Network, dtype: torch.dtype) -> int:
    """Of one frame that is computed: what lives at once beside it."""
    pixels = source.width * source.height
    if not model.sees_whole_image:
        halo = 2 * model.receptive_radius * source.width
        pixels = min(pixels, MOST_PIXELS["cpu"] + halo)
    if isinstance(model, CelNet):
        features = CELNET_LAYERS_ALIVE * model.config.num_features / model.config.unshuffle**2
        numbers = features + 1.5 * model.scale**2
        per_pixel = CELNET_PIXEL_BYTES + numbers * dtype.itemsize
    else:
        per_pixel = RESAMPLED_SOURCE_BYTES + RESAMPLED_PIXEL_BYTES * model.scale**2
    reached = (source.width * model.scale, source.height * model.scale)
    between = 0
    if abs(target.width - reached[0]) > 1 or abs(target.height - reached[1]) > 1:
        between = RESAMPLED_PIXEL_BYTES * max(target.width * target.height, reached[0] * reached[1])
    return math.ceil(pixels * per_pixel) + between


def _features_bytes(source: VideoInfo, model: Network, dtype: torch.dtype) -> int:
    """What a chain keeps of a frame: every layer's features, and the picture."""
    if not can_keep_features(model, source, torch.device("cpu"), dtype):
        return 0
    assert isinstance(model, CelNet)
    pixels = source.width * source.height
    features = model.config.num_features * (2 * model.config.num_blocks + 1)
    per_pixel = features * dtype.itemsize / model.config.unshuffle**2
    return math.ceil(pixels * (per_pixel + 3 * torch.float32.itemsize))


def _reuse_bytes(
    source: VideoInfo,
    target: VideoInfo,
    model: Network,
    dtype: torch.dtype,
    waiting: int,
    chains: int,
    reuse: str,
    *,
    smooths: bool,
) -> int:
    """Of the stages before the network, and of the canvas; what they give waits in float32."""
    frame = _frame_bytes(source)
    samples = frame // source.layout.dtype.itemsize
    floats = samples * torch.float32.itemsize
    taken = 0
    if reuse != "off":
        taken += CANVAS_FRAMES * _frame_bytes(target)
    if reuse == "drawings":
        noise_ahead, fused_ahead = frames_ahead(source)
        taken += (noise_ahead + fused_ahead) * frame + DRAWINGS_FLOAT_FRAMES * floats
        taken += noise_ahead * SMALL_PIXEL_BYTES * source.width * source.height
        taken += COMPILED_LAYERS_BYTES + chains * _features_bytes(source, model, dtype)
    if smooths:
        taken += SMOOTHING_SAMPLE_BYTES * samples
    if smooths or reuse == "drawings":
        taken += waiting * (floats - frame)
    return taken


def _encoder_bytes(target: VideoInfo, encoding: Encoding, cores: int) -> int:
    """Look-ahead, references and the frames its threads work on."""
    layout = layout_of(encoding.pixel_format)
    options, codec = encoding.options, encoding.codec
    preset = options.get("preset:v", options.get("preset", "medium"))
    if codec == "rawvideo":  # Y4M: pictures go out as they are
        return 0
    if codec == "libx264":
        per_pixel = X264_BYTES.get(preset, max(X264_BYTES.values()))
        per_pixel += X264_THREAD_BYTES * math.ceil(1.5 * cores)
    elif codec == "libx265":
        per_pixel = X265_BYTES.get(preset, X265_BYTES_BEYOND)
        per_pixel += X265_THREAD_BYTES * _by_cores(X265_FRAME_THREADS, cores)
    elif codec == "libsvtav1":
        per_pixel = _by_cores(SVT_BYTES, cores)
    elif codec.endswith(_HARDWARE_ENCODERS):
        per_pixel = HARDWARE_ENCODER_BYTES
    else:
        per_pixel = OTHER_ENCODERS_BYTES.get(codec, UNKNOWN_ENCODER_BYTES)
    share = _sample_bytes(layout) / 1.5
    base = ENCODER_BASE_BYTES
    if isinstance(encoding, ExternalEncoding):
        base += EXTERNAL_PROGRAM_BYTES
    return base + math.ceil(target.width * target.height * per_pixel * share)


def _by_cores(table: tuple[tuple[int, int], ...], cores: int) -> int:
    return next(value for least, value in table if cores >= least)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
