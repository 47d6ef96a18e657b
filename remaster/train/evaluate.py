"""Scores of networks on pictures and clips, beside the interpolations anyone has.

Two protocols. `clean`: shrunk with an antialiased kernel, enlarged, rounded to 8 bits, held against
the truth on BT.601 luma without the outer pixels. `msrcnn`: as the authors of m-SRCNN did, with
OpenCV's resizers, that is no antialiasing, truncation and R'G'B' whole; its figures compare with
theirs alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from remaster.color import convert, decode_planes
from remaster.errors import DataError, OptionsError
from remaster.media.probe import Source, probe
from remaster.media.reader import read_frames
from remaster.metrics import (
    edge_psnr,
    gradient_ratio,
    line_f_score,
    luma,
    overshoot,
    psnr,
    ssim,
    ssim_uniform,
)
from remaster.models import Network
from remaster.models.srcnn import ENLARGEMENTS, MSRCNN, SRCNN
from remaster.regions import pad
from remaster.resampling import KERNELS as RESAMPLERS
from remaster.resampling import resize
from remaster.steadiness import Watch
from remaster.train.degrade import DAMAGES, downscale, to_uint8, to_ycc
from remaster.train.harvest import extent
from remaster.train.sources import WHOLE, SourceFile, list_sources, read_picture

KERNELS = ("box", "catmull-rom", "lanczos", "triangle")
LEAST_SIDE = 64
CLEAN = "clean"
"""No damage."""

Method = Callable[[Tensor], Tensor]
"""(1, 3, h, w) uint8 R'G'B' to (1, 3, h s, w s) uint8."""

Values = dict[str, float]
"""Measure -> value."""


def enlarge(model: Network, rgb: Tensor) -> Tensor:
    """(N, 3, H, W) R'G'B' in [0, 1] through any network, as (N, 3, H s, W s), not clamped.

    Luma networks get BT.601 luma; chroma beside it is enlarged by Catmull-Rom.
    """
    padded, frame = pad(rgb, model.padding, model.grid)
    if model.eats == "rgb":
        return frame.cut(model(padded), model.scale)
    if model.eats == "luma":
        ycc = convert(padded, "rgb", "smpte170m")
        size = (padded.shape[-2] * model.scale, padded.shape[-1] * model.scale)
        chroma = resize(ycc[:, 1:], size, "catmull-rom")
        large = torch.cat([model(ycc[:, :1]), chroma], 1)
        return convert(frame.cut(large, model.scale), "smpte170m", "rgb")
    y, chroma = model(to_ycc(padded), "444")
    ycc = torch.cat([frame.cut(part, model.scale) for part in (y, chroma)], 1)
    return convert(ycc, "bt709", "rgb")


def at_scale(model: Network, scale: int) -> Network | None:
    """The same weights for another scale, which the networks over enlarged luma serve; or None."""
    if model.scale == scale:
        return model
    if isinstance(model, (SRCNN, MSRCNN)):
        return _rebuilt(model, scale=scale)
    return None


def wrongly_fed(model: Network) -> Mapping[str, Network]:
    """Kernel -> the network fed by that one, of those it was not trained behind.

    Empty for networks that enlarge by themselves.
    """
    if not isinstance(model, (SRCNN, MSRCNN)):
        return {}
    others = [kernel for kernel in ENLARGEMENTS if kernel != model.enlargement]
    return {kernel: _rebuilt(model, enlargement=kernel) for kernel in others}


def _rebuilt(model: SRCNN | MSRCNN, **changes: object) -> Network:
    kind: Callable[[object], Network] = type(model)
    other = kind(dataclasses.replace(model.config, **changes))  # type: ignore[arg-type]
    other.load_state_dict(model.state_dict())
    return other.eval().requires_grad_(False)


@dataclass(frozen=True)
class Protocol:
    """How the truth is made small, what makes it large again, and how that is judged."""

    kernels: tuple[str, ...]
    """What shrinks, when nothing else is asked for."""

    all_kernels: tuple[str, ...]
    shrunk: Callable[[Tensor, int, str], tuple[Tensor, Tensor]]
    """(1, 3, H, W) uint8, scale, kernel to (small picture, truth)."""

    interpolations: Callable[[int], dict[str, Method]]
    network: Callable[[Network], Method]
    values: Callable[[Tensor, Tensor, int], Values]
    """(enlarged, truth, scale), both uint8, to what is measured."""

    measures: tuple[str, ...]
    """What `values` has, the one that gains are said of first."""


_INTERPOLATIONS = {
    "nearest": "box",
    "bilinear": "triangle",
    "bicubic": "catmull-rom",
    "lanczos": "lanczos",
}


def clean_pair(gt: Tensor, scale: int, kernel: str) -> tuple[Tensor, Tensor]:
    """(1, 3, H, W) uint8 to what `kernel` makes of it, even sides, and the part of it that is."""
    height, width = (n // (2 * scale) * 2 * scale for n in gt.shape[2:])
    gt = gt[..., :height, :width]
    return to_uint8(downscale(gt.float() / 255, scale, kernel)), gt


def clean_interpolations(scale: int) -> dict[str, Method]:
    """By the name people know, bicubic being Catmull-Rom and Lanczos of three lobes."""

    def by(kernel: str) -> Method:
        return lambda lq: to_uint8(resize(lq.float() / 255, _times(lq, scale), kernel))

    return {name: by(kernel) for name, kernel in _INTERPOLATIONS.items()}


def clean_network(model: Network) -> Method:
    """A network, rounded."""
    return lambda lq: to_uint8(enlarge(model, lq.float() / 255))


def clean_values(sr: Tensor, gt: Tensor, scale: int) -> Values:
    """Of (1, 3, H, W) uint8 beside its truth: everything on luma, `scale` outer pixels left out."""
    pair = luma(sr.float() / 255), luma(gt.float() / 255)
    measures = {
        "psnr_y": psnr,
        "ssim_y": ssim,
        "edge_psnr": edge_psnr,
        "line_f": line_f_score,
        "gradient_ratio": gradient_ratio,
        "overshoot": overshoot,
    }
    return {name: float(measure(*pair, border=scale)) for name, measure in measures.items()}


SHRUNK_TO = {2: 0.5, 3: 0.3333, 4: 0.25}
"""Scale -> factor, as the authors of m-SRCNN wrote it: at 3 it is not the inverse."""


def msrcnn_pair(gt: Tensor, scale: int, _kernel: str = "") -> tuple[Tensor, Tensor]:
    """OpenCV's INTER_LINEAR by `fx`, not to a size: (1, 3, H, W) uint8 to small, truth.

    It skips pixels below a half, and rounds halves up. OpenCV does so in fixed point: a value may
    differ from its by one level.
    """
    if scale not in SHRUNK_TO:
        raise OptionsError(f"the msrcnn protocol is for --scale 2, 3 and 4, not {scale}")
    factor = SHRUNK_TO[scale]
    small = _linear(_linear(gt.float(), 2, factor), 3, factor)
    return small.add(0.5).to(torch.uint8), gt


def _linear(x: Tensor, axis: int, factor: float) -> Tensor:
    """An axis by INTER_LINEAR: the length is rounded, halves to even, the steps stay 1 / factor."""
    length = x.shape[axis]
    centres = torch.arange(round(length * factor), dtype=torch.float64) + 0.5
    places = (centres / factor - 0.5).clamp(0, length - 1)
    before = places.long()
    after = (before + 1).clamp_max(length - 1)
    share = (places - before).to(x.dtype).reshape([-1 if n == axis else 1 for n in range(x.ndim)])
    return torch.lerp(x.index_select(axis, before), x.index_select(axis, after), share)


def _nearest(x: Tensor, size: Sequence[int]) -> Tensor:
    """(N, C, H, W) by INTER_NEAREST; PyTorch's own steps are too coarse to agree at every size."""
    for axis, length in zip((2, 3), size):
        step = 1 / (length / x.shape[axis])  # as OpenCV reckons it
        places = (torch.arange(length, dtype=torch.float64) * step).long()
        x = x.index_select(axis, places.clamp_max(x.shape[axis] - 1))
    return x


def msrcnn_interpolations(scale: int) -> dict[str, Method]:
    """OpenCV's INTER_NEAREST, INTER_LINEAR and INTER_CUBIC (a = -0.75), rounded as it does."""

    def by(mode: str) -> Method:
        return lambda lq: to_uint8(F.interpolate(lq.float() / 255, _times(lq, scale), mode=mode))

    return {name: by(name) for name in ("nearest", "bilinear", "bicubic")}


def msrcnn_network(model: Network) -> Method:
    """A network as those authors run it: the whole picture enlarged to 8 bits, its full-range luma
    drawn and truncated, its chroma left as that enlarged it.

    Networks that do not enlarge first give R'G'B', truncated.
    """
    if not isinstance(model, (SRCNN, MSRCNN)):
        return lambda lq: _truncated(enlarge(model, lq.float() / 255))
    enlarged = msrcnn_interpolations(model.scale)[model.enlargement]
    drawn = _rebuilt(model, scale=1)

    def method(lq: Tensor) -> Tensor:
        ycc = _to_ycrcb(enlarged(lq))
        y = _truncated(drawn(ycc[:, :1].float() / 255))
        return _from_ycrcb(torch.cat([y, ycc[:, 1:]], 1))

    return method


def _to_ycrcb(rgb: Tensor) -> Tensor:
    """OpenCV's RGB2YCrCb of (N, 3, H, W) uint8, to the bit: full range, and the differences taken
    from luma that is rounded already."""
    r, g, b = rgb.int().split(1, 1)
    y = _shifted(4899 * r + 9617 * g + 1868 * b)  # .299, .587, .114
    cr, cb = _shifted(11682 * (r - y)), _shifted(9241 * (b - y))  # .713, .564
    return torch.cat([y, cr + 128, cb + 128], 1).clamp(0, 255).to(torch.uint8)


def _from_ycrcb(ycc: Tensor) -> Tensor:
    """OpenCV's YCrCb2RGB of (N, 3, H, W) uint8, to the bit."""
    y, cr, cb = ycc.int().sub(torch.tensor([0, 128, 128])[:, None, None]).split(1, 1)
    r, b = y + _shifted(22987 * cr), y + _shifted(29049 * cb)  # 1.403, 1.773
    g = y + _shifted(-11698 * cr - 5636 * cb)  # .714, .344
    return torch.cat([r, g, b], 1).clamp(0, 255).to(torch.uint8)


def _shifted(x: Tensor) -> Tensor:
    """Over 2^14, halves up."""
    return (x + (1 << 13)) >> 14


def msrcnn_values(sr: Tensor, gt: Tensor, _scale: int) -> Values:
    """Of (1, 3, H, W) uint8, brought to the smaller of the two sizes by nearest neighbour.

    Smaller is what is less high, and only of equal heights what is less wide, as the authors' code
    has it.
    """
    size = min(tuple(sr.shape[2:]), tuple(gt.shape[2:]))
    pair = [_nearest(x.float() / 255, size) for x in (sr, gt)]
    return {"psnr_rgb": float(psnr(*pair)), "ssim_rgb": float(ssim_uniform(*pair))}


def _times(lq: Tensor, scale: int) -> tuple[int, int]:
    return lq.shape[2] * scale, lq.shape[3] * scale


def _truncated(x: Tensor) -> Tensor:
    return x.clamp(0, 1).mul(255).to(torch.uint8)


PROTOCOLS = {
    "clean": Protocol(
        KERNELS, tuple(RESAMPLERS), clean_pair, clean_interpolations, clean_network, clean_values,
        ("psnr_y", "ssim_y", "edge_psnr", "line_f", "gradient_ratio", "overshoot"),
    ),
    "msrcnn": Protocol(
        ("opencv-linear",), ("opencv-linear",), msrcnn_pair, msrcnn_interpolations, msrcnn_network,
        msrcnn_values, ("psnr_rgb", "ssim_rgb"),
    ),
}  # fmt: skip

IN_TIME = ("hold_flicker", "temporal_difference")
"""What is measured of clips alone, in levels of luma."""


def methods_of(protocol: Protocol, models: Mapping[str, Network], scale: int) -> dict[str, Method]:
    """Everything that enlarges `scale` times: interpolations, networks, and networks fed wrongly.

    Networks that do not serve the scale are left out.
    """
    methods = protocol.interpolations(scale)
    for name, own in models.items():
        model = at_scale(own, scale)
        if model is not None:
            methods[name] = protocol.network(model)
            for kernel, other in wrongly_fed(model).items():
                methods[f"{name} (fed {kernel})"] = protocol.network(other)
    return methods


def damaged(lq: Tensor, damage: str, seed: Sequence[int], frame: int = 0) -> Tensor:
    """(1, 3, h, w) uint8, even sides, through a preset of `degrade`.

    One seed is one film: every frame has the same draws. That its noise is another each time, the
    picture is moved round by whole macroblocks before, and back.
    """
    if damage == CLEAN:
        return lq
    if damage not in DAMAGES:
        known = ", ".join([CLEAN, *DAMAGES])
        raise OptionsError(f"--damage is one of {known}, not {damage!r}")
    moved = (frame * 7 * 16, frame * 5 * 16)
    ycc = to_ycc(lq.float() / 255).roll(moved, (2, 3))
    old = DAMAGES[damage](ycc, np.random.default_rng(seed))
    return to_uint8(convert(old.roll([-n for n in moved], (2, 3)), "bt709", "rgb"))


@torch.no_grad()
def score(
    frames: Sequence[Tensor],
    methods: Mapping[str, Method],
    scale: int,
    kernel: str,
    *,
    protocol: Protocol = PROTOCOLS["clean"],
    damage: str = CLEAN,
    seed: Sequence[int] = (0,),
    show: Callable[[str, Tensor], None] | None = None,
) -> dict[str, Values]:
    """Each method on one picture, or on consecutive frames of one clip.

    Args:
        frames: (1, 3, H, W) uint8 R'G'B', the truth.
        methods: by name; all enlarge `scale` times.
        show: is given the first frame of the truth, as `truth`, and of every method.

    Returns:
        Method -> means over the frames; of clips `IN_TIME` too.
    """
    totals: dict[str, list[Values]] = {name: [] for name in methods}
    watches = {name: Watch(has_truth=True) for name in methods}
    for number, whole in enumerate(frames):
        lq, gt = protocol.shrunk(whole, scale, kernel)
        lq = damaged(lq, damage, seed, number)
        if show is not None and number == 0:
            show("truth", gt)
        for name, method in methods.items():
            sr = method(lq)
            totals[name].append(protocol.values(sr, gt, scale))
            if show is not None and number == 0:
                show(name, sr)
            if len(frames) > 1:
                size = min(tuple(sr.shape[2:]), tuple(gt.shape[2:]))
                pair = [_nearest(x.float() / 255, size) for x in (sr, gt)]
                watches[name].see(*(luma(x) for x in pair))
    means = {name: mean_values(values) for name, values in totals.items()}
    if len(frames) > 1:
        for name, watch in watches.items():
            film = watch.result()
            in_time = (film.hold_flicker, film.temporal_difference)
            means[name] |= dict(zip(IN_TIME, in_time))
    return means


def mean_values(values: Sequence[Values]) -> Values:
    """Means by measure, over those that could be measured; nan where none could."""
    found: dict[str, list[float]] = {}
    for each in values:
        for name, value in each.items():
            found.setdefault(name, []).extend([] if math.isnan(value) else [value])
    return {name: sum(v) / len(v) if v else math.nan for name, v in found.items()}


def find_material(data: Sequence[Path], folders: Sequence[str]) -> list[SourceFile]:
    """Every picture and video under `data` that lies in one of `folders`; all without any.

    Raises:
        DataError: a folder does not exist, or nothing usable lies there.
    """
    files = list_sources(data)
    known = {name for file in files for name in file.folders}
    wrong = sorted(set(folders) - known)
    if wrong:
        raise DataError(
            f"there is no folder {', '.join(wrong)} to score on; there are "
            f"{', '.join(sorted(known))}"
        )
    chosen = [file for file in files if not folders or set(file.folders) & set(folders)]
    return list({file.path.resolve(): file for file in chosen}.values())


def read_truth(file: SourceFile, side: int, frames: int) -> list[Tensor]:
    """The middle of a picture, or of the first frames of a video, or of its part, at most `side`
    pixels a side; 0: all.

    Sprites are set on mid grey. (1, 3, h, w) uint8 R'G'B' each; none where a side has less than
    LEAST_SIDE pixels.

    Raises:
        DataError: the file cannot be read, or the part holds no frame. SourceError: the video
            cannot.
    """
    if file.is_film:
        return [_middle(frame, side) for frame in _first_frames(file, frames)]
    pixels = torch.from_numpy(read_picture(file.path).copy()).permute(2, 0, 1)[None].float()
    if pixels.shape[1] == 4:
        alpha = pixels[:, 3:] / 255
        pixels = pixels[:, :3] * alpha + 128 * (1 - alpha)
    if min(pixels.shape[2:]) < LEAST_SIDE:
        return []
    return [_middle(pixels.round().to(torch.uint8), side)]


def _middle(pixels: Tensor, side: int) -> Tensor:
    if side == 0:
        return pixels
    top, left = (max((n - side) // 2, 0) for n in pixels.shape[2:])
    return pixels[..., top : top + side, left : left + side]


def _first_frames(file: SourceFile, count: int) -> Iterator[Tensor]:
    source = probe(file.path)
    layout, color = source.video.layout, source.video.color
    if min(source.video.width, source.video.height) < LEAST_SIDE:
        return
    start, end = _seconds(source, file.part)
    film = read_frames(source, start=start, end=end)
    frame = None
    for frame in itertools.islice(film, count):
        planes = [plane[None] for plane in frame.planes]
        yield to_uint8(decode_planes(planes, layout, color, "rgb"))
    if frame is None:
        raise DataError(f"{file.name_on_cards} holds no frame; give others with --folder")


def _seconds(source: Source, part: tuple[float, float]) -> tuple[Fraction | None, Fraction | None]:
    """When a part begins and ends; None where the film does.

    Half a frame less at each cut: the frame that lies there may be of the other part, too.
    """
    if part == WHOLE:
        return None, None
    begin, end = (Fraction(each).limit_denominator(10**6) for each in extent(source, part))
    half = 1 / (source.video.frame_rate or Fraction(25)) / 2
    return begin + half if part[0] > 0 else None, end - half if part[1] < 1 else None


@dataclass(frozen=True)
class Row:
    """One method on one picture, or clip, shrunk by one kernel."""

    scale: int
    kernel: str
    method: str
    source: str
    picture: str
    frames: int
    values: Values


@dataclass(frozen=True)
class Trial:
    """What is scored how; the same for every picture."""

    protocol: Protocol
    scale: int
    kernels: tuple[str, ...]
    methods: Mapping[str, Method]
    damage: str = CLEAN
    seed: int = 0

    def rows(
        self,
        source: str,
        picture: str,
        frames: Sequence[Tensor],
        show: Callable[[str, Tensor], None] | None = None,
    ) -> list[Row]:
        """Every kernel and method on one picture or clip; `show` sees what the first kernel left.

        What damages it depends on its name and the seed, not on what else is measured.
        """
        seed = (self.seed, zlib.crc32(picture.encode(errors="surrogateescape")))
        return [
            Row(self.scale, kernel, name, source, picture, len(frames), values)
            for kernel in self.kernels
            for name, values in score(
                frames,
                self.methods,
                self.scale,
                kernel,
                protocol=self.protocol,
                damage=self.damage,
                seed=seed,
                show=show if kernel == self.kernels[0] else None,
            ).items()
        ]
