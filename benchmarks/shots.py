"""Drawn shots with exact truth, damaged as old files are: what finding held drawings is held to.

    python benchmarks/shots.py --folder DIR [--data DIR] [--only NAME ...] [--sheet FILE]

Every shot is a list of pictures at twice the size of the films made of it, 24 a second; frames
that show one drawing share the array. The films are the pictures' area means in 4:2:0, limited
range, BT.601, unnamed in the file, through each of DAMAGES. All is kept in DIR, drawn once.
`dialogue_720p24` is no drawing of ours: it is shrunk from the clip of that name in --data.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from remaster.color import encode_planes
from remaster.frames import Color, PixelLayout
from remaster.resampling import KERNELS, resize
from remaster.train.drawing.character import Design, Pose, design_character
from remaster.train.drawing.script import Exposure, Shot, expose
from remaster.train.drawing.shots import Painter, superimpose

Picture = npt.NDArray[np.uint8]
Planes = tuple[torch.Tensor, ...]

FRAME_RATE = 24
HEIGHT, WIDTH = 576, 768
"""Of the truth; films have half of both."""

FOLDER = Path(tempfile.gettempdir()) / "shots"
LAYOUT = PixelLayout("420", 8)
COLOR = Color("smpte170m", "limited", "smpte170m", "smpte170m")


# ---- what is drawn


def cast(seed: int) -> Design:
    return design_character(np.random.default_rng([seed, 41]))


def stage(seed: int, place: str, *people: int, close: bool = False, particles: str = "") -> Shot:
    """A setup with some people in it, near or half-length."""
    kind = "talk" if close else "sway"
    return Shot(seed, kind, 72, place, "noon", tuple(map(cast, people)), particles)


def paint(shot: Shot, exposures: Sequence[Exposure]) -> list[Picture]:
    """One picture an exposure; equal exposures share it."""
    painter, seen = Painter(shot, HEIGHT, WIDTH), dict[Exposure, Picture]()
    for exposure in exposures:
        if exposure not in seen:
            seen[exposure] = painter.paint(exposure)
    return [seen[exposure] for exposure in exposures]


CAMERA = (0.0, 0.0, 1.1)
POSE = Pose(yaw=0.25, mouth="smile", gaze=(0.2, 0.0))


def one(shot: Shot, pose: Pose = POSE) -> Picture:
    return paint(shot, [Exposure(CAMERA, (pose,) * len(shot.cast))])[0]


def hold(length: int) -> list[Picture]:
    """Someone who turns, nods and waves over a held place, each drawing `length` frames long."""

    def pose(number: int) -> Pose:
        turn = 2 * np.pi * number * length / 48
        return replace(
            POSE,
            yaw=0.1 + 0.35 * float(np.sin(turn)),
            roll=0.06 * float(np.sin(2 * turn)),
            sway=0.12 * float(np.sin(3 * turn)),
            arms=("down", "chest", "wave", "hip")[number * length // 18 % 4],
        )

    shot = stage(40 + length, ("hills", "room", "meadow", "street")[length - 1], length)
    return paint(shot, [Exposure(CAMERA, (pose(i // length),)) for i in range(72)])


def mouth() -> list[Picture]:
    return speaking(51, "classroom", 3, 72)


def speaking(seed: int, place: str, person: int, count: int) -> list[Picture]:
    """Mouths held two to four frames, and blinks, over a held body."""
    shot = replace(stage(seed, place, person, close=True), num_frames=count)
    return paint(shot, [replace(e, camera=CAMERA) for e in expose(shot, FRAME_RATE)])


def blink() -> list[Picture]:
    lids = np.ones(72)
    for at in (30, 61):
        lids[at : at + 6] = (0.5, 0.5, 0.0, 0.0, 0.5, 0.5)
    shot = stage(61, "room", 7, close=True)
    return paint(shot, [Exposure(CAMERA, (replace(POSE, eyes=float(lid)),)) for lid in lids])


def petals() -> list[Picture]:
    shot = stage(71, "grove", 5, particles="petals")
    clock = np.arange(72) // 2 * 2 / FRAME_RATE
    return paint(shot, [Exposure(CAMERA, (POSE,), float(seconds)) for seconds in clock])


def rolling_credits() -> list[Picture]:
    """One pixel of the film a frame."""
    shot = replace(stage(81, "sea"), kind="credits")
    rolled = 0.4 + np.arange(72) * 2 / HEIGHT
    return paint(shot, [Exposure(CAMERA, lettering=float(by)) for by in rolled])


def still() -> list[Picture]:
    return [one(stage(91, "street", 2, 5))] * 72


def cut() -> list[Picture]:
    setups = stage(101, "room", 4), stage(102, "sea", 6, close=True), stage(103, "town")
    return [picture for shot in setups for picture in [one(shot)] * 24]


def cross_fade() -> list[Picture]:
    before, after = one(stage(111, "meadow", 1)), one(stage(112, "skyline", 8, close=True))
    mixed = [superimpose(after, 1, before, 1 - (i + 1) / 25) for i in range(24)]
    return [before] * 24 + mixed + [after] * 24


def fade_black() -> list[Picture]:
    picture = one(stage(121, "hills", 9))
    rising = [superimpose(picture, i / 24, picture, 0) for i in range(24)]
    return rising + [picture] * 24 + rising[::-1]


def flash() -> list[Picture]:
    """White for two frames once, bright and then less bright another time."""
    picture = one(stage(131, "street", 11, close=True))
    white = np.full_like(picture, 255)
    bright, less = (superimpose(picture, 1, white, share) for share in (0.7, 0.3))
    return [*[picture] * 20, white, white, *[picture] * 26, bright, less, *[picture] * 22]


# ---- what the camera does: one picture drawn large, sampled anew for every frame

ROOM = 2
"""Samples of the large picture to one of the truth, along each axis, at the widest."""


def sampling(size_in: int, size_out: int, step: float, centre: float) -> npt.NDArray[np.float32]:
    """(size_out, size_in): every `step` samples round `centre`, Catmull-Rom as wide as the step."""
    kernel, width = KERNELS["catmull-rom"], max(step, 1.0)
    at = centre + (np.arange(size_out) - (size_out - 1) / 2) * step
    distance = (np.arange(size_in) - at[:, None]) / width
    near = np.abs(distance) < kernel.support
    assert at[0] >= 0 and at[-1] <= size_in - 1, "the frame leaves the sheet"
    matrix = np.zeros(distance.shape)
    matrix[near] = [kernel.weight(x) for x in distance[near]]
    return (matrix / matrix.sum(1, keepdims=True)).astype(np.float32)


def filmed(
    shot: Shot, size: tuple[int, int], views: Sequence[tuple[float, float, float]]
) -> list[Picture]:
    """A place of (height, width) in pixels of the truth, seen by each (x, y, enlargement).

    x and y are pixels of the truth from its middle to that of the frame.
    """
    height, width = (ROOM * side for side in size)
    # The frame's height is one unit of the scene, at any height of the sheet.
    sheet = Painter(shot, height, width).paint(Exposure((0.0, 0.0, height / ROOM / HEIGHT)))
    large = np.ascontiguousarray(sheet.transpose(2, 0, 1), np.float32)
    pictures = []
    for x, y, enlargement in views:
        step = ROOM / enlargement
        down = sampling(height, HEIGHT, step, (height - 1) / 2 + ROOM * y)
        across = sampling(width, WIDTH, step, (width - 1) / 2 + ROOM * x)
        seen = np.clip(down @ large @ across.T + 0.5, 0, 255).astype(np.uint8)
        pictures.append(np.ascontiguousarray(seen.transpose(1, 2, 0)))
    return pictures


def pan(place: str, right: float, down: float = 0.0, count: int = 72) -> list[Picture]:
    """The camera moves so many pixels of the film a frame."""
    middle = (count - 1) / 2
    views = [(2 * right * (i - middle), 2 * down * (i - middle), 1.0) for i in range(count)]
    width = WIDTH + 8 + 2 * round(abs(right) * count)
    height = HEIGHT + 8 + 2 * round(abs(down) * count)
    return filmed(stage(141, place), (height, width), views)


def zoom(place: str, rate: float) -> list[Picture]:
    """The camera nears, by that share a frame."""
    return filmed(
        stage(151, place), (HEIGHT + 8, WIDTH + 8), [(0, 0, (1 + rate) ** i) for i in range(72)]
    )


def dialogue() -> list[Picture]:
    """What an episode is like: one speaks, the other speaks, the place, both keep still."""
    return [
        *speaking(161, "room", 2, 36),
        *speaking(162, "classroom", 9, 36),
        *pan("street", 1.5, count=24),
        *[one(stage(163, "street", 2, 9))] * 24,
    ]


SHOTS: dict[str, Callable[[], list[Picture]]] = {
    "hold_ones": lambda: hold(1),
    "hold_twos": lambda: hold(2),
    "hold_threes": lambda: hold(3),
    "hold_fours": lambda: hold(4),
    "mouth": mouth,
    "blink": blink,
    "petals": petals,
    "pan_0.05": lambda: pan("town", 0.05),
    "pan_0.1": lambda: pan("meadow", -0.1),
    "pan_0.2": lambda: pan("skyline", 0.0, 0.2),
    "pan_0.5": lambda: pan("street", 0.4, -0.3),
    "pan_1": lambda: pan("hills", 1.0),
    "pan_3": lambda: pan("town", -3.0),
    "pan_8": lambda: pan("meadow", 8.0, count=48),
    "zoom_slow": lambda: zoom("street", 0.0005),
    "zoom": lambda: zoom("town", 0.005),
    "cross_fade": cross_fade,
    "fade_black": fade_black,
    "flash": flash,
    "credits": rolling_credits,
    "still": still,
    "cut": cut,
    "dialogue": dialogue,
    "print": lambda: speaking(171, "grove", 4, 72),
}
PRINTS = {"print": (0.15, 0.7)}
"""Shots whose films are made from a print: it weaves by so many of their pixels and its light pumps
by so many levels, root mean square. The truth keeps still."""

REAL = "dialogue_720p24"
REAL_SIZE = (648, 1152)


def shrunk(clip: Path) -> list[Picture]:
    """The frames of a clip at REAL_SIZE."""
    pictures = []
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            rgb = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1).float()
            small = resize(rgb, REAL_SIZE, "catmull-rom").add(0.5).clamp(0, 255)
            pictures.append(small.byte().permute(1, 2, 0).contiguous().numpy())
    return pictures


# ---- truth, kept


def truth(name: str, folder: Path = FOLDER, data: Path | None = None) -> list[Picture]:
    """The frames of a shot, (H, W, 3) uint8 R'G'B'; those of one drawing share the array.

    Drawn the first time and read from `folder` after that. REAL wants `data`, the folder with
    its clip somewhere below, the first time.
    """
    path = folder / f"{name}.truth.mkv"
    if not path.exists():
        pictures = SHOTS[name]() if name in SHOTS else shrunk(clip_in(data))
        keep(pictures, path)
    with av.open(str(path)) as container:
        drawings = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [drawings[number] for number in np.load(path.with_suffix(".npy"))]


def clip_in(data: Path | None) -> Path:
    found = sorted(data.rglob(f"{REAL}.mp4")) if data else []
    if not found:
        raise FileNotFoundError(f"{REAL} is made from {REAL}.mp4: name its folder with --data")
    return found[0]


def keep(pictures: list[Picture], path: Path) -> None:
    """Each drawing once, losslessly, and beside it the drawing's number for every frame."""
    numbers: dict[bytes, int] = {}
    drawings: list[Picture] = []
    order = []
    for picture in pictures:
        number = numbers.setdefault(picture.tobytes(), len(drawings))
        if number == len(drawings):
            drawings.append(picture)
        order.append(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path.with_suffix(".npy"), np.array(order))
    frames = (av.VideoFrame.from_ndarray(drawing, format="rgb24") for drawing in drawings)
    encode((frame.reformat(format="bgr0") for frame in frames), path, Damage("ffv1"))


def on_a_print(
    pictures: Sequence[Picture], shift: float, light: float, rng: np.random.Generator
) -> Iterator[Planes]:
    """The films' frames, each a little displaced and a little brighter or darker."""
    height, width = pictures[0].shape[:2]
    place = np.zeros(3)
    for picture in pictures:
        place = 0.6 * place + 0.8 * rng.normal(size=3) * (2 * shift, 2 * shift, light)
        sheet = np.pad(picture.astype(np.float32), ((8, 8), (8, 8), (0, 0)), "edge")
        down = sampling(height + 16, height, 1, (height + 15) / 2 + place[0])
        across = sampling(width + 16, width, 1, (width + 15) / 2 + place[1])
        seen = down @ sheet.transpose(2, 0, 1) @ across.T + place[2] * 255 / 219
        yield lq_planes(seen.clip(0, 255).transpose(1, 2, 0))


def lq_planes(rgb: npt.NDArray[np.uint8 | np.float32]) -> Planes:
    """(H, W, 3) at the truth's size to the film's Y, Cb, Cr: uint8 (h, w) each."""
    picture = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1).float().div(255)[None]
    height, width = rgb.shape[:2]
    small = resize(picture, (height // 2, width // 2), "box")
    return tuple(plane[0] for plane in encode_planes(small, LAYOUT, COLOR, "rgb"))


@functools.lru_cache(maxsize=2)
def truth_planes(name: str, folder: Path = FOLDER, data: Path | None = None) -> list[Planes]:
    """The undamaged film; frames of one drawing share their planes."""
    pictures = truth(name, folder, data)
    made = {id(picture): lq_planes(picture) for picture in {id(p): p for p in pictures}.values()}
    return [made[id(picture)] for picture in pictures]


# ---- damage


@dataclass(frozen=True)
class Damage:
    """What a film went through."""

    codec: str
    options: tuple[tuple[str, str], ...] = ()
    scale: int = 0
    """MPEG-2's quantiser, the same for every picture."""

    grain: float = 0.0
    """Sigma of fresh noise in levels of luma; half of it in chroma."""


def x264(crf: int, grain: float = 0.0) -> Damage:
    options = ("crf", str(crf)), ("preset", "medium"), ("threads", "1")
    return Damage("libx264", options, grain=grain)


def mpeg2(scale: int) -> Damage:
    return Damage("mpeg2video", (("g", "15"), ("bf", "2")), scale=scale)


DAMAGES: dict[str, Damage] = {
    "clean": Damage("ffv1"),
    "x264_18": x264(18),
    "x264_23": x264(23),
    "x264_28": x264(28),
    "mpeg2_4": mpeg2(4),
    "mpeg2_6": mpeg2(6),
    "mpeg2_8": mpeg2(8),
    "grain_2": x264(23, 2),
    "grain_4": x264(23, 4),
    "grain_6": x264(23, 6),
}


def damaged(name: str, damage: str, folder: Path = FOLDER, data: Path | None = None) -> Path:
    """The film of a shot after one of DAMAGES, made where `folder` does not hold it yet."""
    path = folder / f"{name}.{damage}.mkv"
    if not path.exists():
        how, rng = DAMAGES[damage], np.random.default_rng(sum(map(ord, name)))
        planes: Iterable[Planes] = truth_planes(name, folder, data)
        if name in PRINTS:
            planes = on_a_print(truth(name, folder, data), *PRINTS[name], rng)
        encode((exposure(frame, how.grain, rng) for frame in planes), path, how)
    return path


def exposure(planes: Planes, grain: float, rng: np.random.Generator) -> av.VideoFrame:
    """Planes as a frame to encode, with fresh grain."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, "yuv420p")
    for target, plane, sigma in zip(frame.planes, planes, (grain, grain / 2, grain / 2)):
        codes = plane.numpy()
        if sigma:
            noisy = codes + rng.normal(0, sigma, codes.shape)
            codes = np.clip(np.round(noisy), 0, 255).astype(np.uint8)
        padded = np.zeros((target.height, target.line_size), np.uint8)
        padded[:, : target.width] = codes
        target.update(padded)
    return frame


def encode(frames: Iterator[av.VideoFrame], path: Path, how: Damage) -> None:
    """A Matroska film; whole, or not at its path."""
    unfinished = path.with_suffix(".part")
    with av.open(str(unfinished), "w", format="matroska") as container:
        first = next(frames)
        stream = container.add_stream(how.codec, rate=FRAME_RATE)
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        stream.options = dict(how.options)
        if how.scale:
            context = stream.codec_context
            context.qmin = context.qmax = how.scale
            context.flags |= av.codec.context.Flags.qscale.value
            context.global_quality = how.scale * 118
        for number, frame in enumerate(itertools.chain((first,), frames)):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    unfinished.rename(path)


# ---- the program


def contact_sheet(names: Sequence[str], folder: Path, path: Path) -> None:
    """Three frames of every shot, one row a shot, two shots side by side."""
    size = (192, 144)
    sheet = Image.new("RGB", (6 * size[0], -(-len(names) // 2) * size[1]))
    for index, name in enumerate(names):
        pictures = truth(name, folder)
        for column, share in enumerate((0.15, 0.5, 0.85)):
            shown = Image.fromarray(pictures[int(share * len(pictures))]).resize(size)
            sheet.paste(shown, ((index % 2 * 3 + column) * size[0], index // 2 * size[1]))
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--data", type=Path, help=f"a folder with {REAL}.mp4 in it")
    parser.add_argument("--only", nargs="*", metavar="NAME", choices=[*SHOTS, REAL])
    parser.add_argument("--sheet", type=Path, help="also a picture with frames of each")
    arguments = parser.parse_args()
    names = arguments.only or [*SHOTS, *([REAL] if arguments.data else [])]
    for name in names:
        pictures = truth(name, arguments.folder, arguments.data)
        films = [damaged(name, how, arguments.folder, arguments.data) for how in DAMAGES]
        drawings = len({id(picture) for picture in pictures})
        size = sum(film.stat().st_size for film in films) / 1e6
        print(f"{name:16} {len(pictures):4} frames {drawings:4} drawings {size:6.1f} MB of films")
    if arguments.sheet:
        contact_sheet(names, arguments.folder, arguments.sheet)


if __name__ == "__main__":
    main()
