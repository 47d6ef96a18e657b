"""Training pairs: pictures and video frames from folders, pictures the program draws, and the pool.

A pool is two memory-mapped arrays beside the weights: `lq` (N, 3, P, P) float16 ycc and `gt`
(N, 3, P s, P s) uint8 R'G'B'. It is built once from a seed, so that nothing is decoded in the loop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from remaster.color import convert, decode_planes
from remaster.errors import DataError
from remaster.media.probe import probe
from remaster.media.reader import read_frames
from remaster.train.degrade import DOWNSCALES, age, as_still, as_video, blur, downscale
from remaster.train.drawing import draw_frame

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
VIDEOS = {".mp4", ".mkv", ".mov", ".avi", ".webm", ".ts", ".vob", ".m4v", ".mpg"}

MOST_VIDEO_FRAMES = 1200
"""Frames of all videos together that are kept in memory."""

Picture = NDArray[np.uint8]
"""(H, W, 3) R'G'B', or (H, W, 4) with alpha."""


@dataclass(frozen=True)
class SourceFile:
    """One file of the training material."""

    path: Path
    folders: tuple[str, ...]
    """Names of the folders it lies in, from the root that was given down to its own."""

    @property
    def source(self) -> str:
        """The folder it lies in: files of one folder come from one hand."""
        return self.folders[-1]


def list_sources(roots: Sequence[Path]) -> list[SourceFile]:
    """Every picture and video under `roots`, sorted.

    Raises:
        DataError: a root is missing, or nothing usable lies under any of them.
    """
    files = []
    for root in roots:
        if not root.exists():
            raise DataError(f"there is nothing at {root}; give files and folders")
        top = root.resolve() if root.is_dir() else root.resolve().parent
        candidates = sorted(root.rglob("*")) if root.is_dir() else [root]
        for path in candidates:
            if path.suffix.lower() in PICTURES | VIDEOS and path.is_file():
                below = path.resolve().relative_to(top).parent.parts
                files.append(SourceFile(path, (top.name, *below)))
    if not files:
        raise DataError(f"no pictures or videos under {', '.join(map(str, roots))}")
    return files


def split_sources(
    files: Sequence[SourceFile], hold_out: Sequence[str]
) -> tuple[list[SourceFile], list[SourceFile]]:
    """(to learn from, held out): a file is held out if any folder around it is named so.

    Raises:
        DataError: a name is that of no folder, or nothing is left to learn from.
    """
    known = {name for file in files for name in file.folders}
    wrong = sorted(set(hold_out) - known)
    if wrong:
        raise DataError(
            f"there is no folder {', '.join(wrong)} to hold out; "
            f"there are {', '.join(sorted(known))}"
        )
    held = [file for file in files if set(file.folders) & set(hold_out)]
    kept = [file for file in files if file not in held]
    if not kept:
        raise DataError("everything is held out; nothing is left to learn from")
    return kept, held


def read_picture(path: Path) -> Picture:
    """A picture file as R'G'B', with alpha where it has any that matters.

    Raises:
        DataError: the file cannot be read as a picture.
    """
    try:
        with Image.open(path) as image:
            has_alpha = "A" in image.getbands() or "transparency" in image.info
            pixels = np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from error
    if has_alpha and (pixels[..., 3] == 255).all():
        return pixels[..., :3]
    return pixels


def read_scattered(path: Path, count: int, rng: np.random.Generator) -> list[Picture]:
    """Up to `count` frames spread over a video, in order, as R'G'B'.

    decord seeks; where it is not installed or cannot open the file, our own reader goes through it.
    """
    try:
        import decord
    except ImportError:
        return _read_by_reader(path, count)
    try:
        video = decord.VideoReader(str(path), num_threads=1)
    except (RuntimeError, decord.DECORDError):
        return _read_by_reader(path, count)
    edges = np.linspace(0, len(video), count + 1)
    picks = sorted({int(rng.uniform(a, b)) for a, b in zip(edges, edges[1:])})
    try:
        return list(video.get_batch(picks).asnumpy())
    except (RuntimeError, decord.DECORDError):
        return _read_by_reader(path, count)


def _read_by_reader(path: Path, count: int) -> list[Picture]:
    source = probe(path)
    total = source.video.frame_count or 1000
    wanted = {int((i + 0.5) * total / count) for i in range(count)}
    pictures = []
    for i, frame in enumerate(read_frames(source)):
        if i in wanted:
            planes = [plane[None] for plane in frame.planes]
            rgb = decode_planes(planes, source.video.layout, source.video.color, "rgb")
            pictures.append(to_uint8(rgb)[0].permute(1, 2, 0).numpy())
    return pictures


def to_uint8(x: Tensor) -> Tensor:
    return x.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def to_ycc(rgb: Tensor) -> Tensor:
    """(N, 3, H, W) R'G'B' in [0, 1] to BT.709 ycc."""
    return convert(rgb, "rgb", "bt709")


class Album:
    """All training material in memory, and a way to draw one clean picture from it at random."""

    def __init__(self, files: Sequence[SourceFile], *, drawn: float, least_side: int = 0) -> None:
        """Read the files; pictures with a side under `least_side` are left out and counted.

        Raises:
            DataError: a file cannot be read, or nothing is large enough.
        """
        self.drawn, self.least_side = drawn, least_side
        self.opaque: dict[str, list[Picture]] = {}
        self.sprites: dict[str, list[Picture]] = {}
        self.own: list[Picture] = []
        self.too_small = 0
        videos = sum(file.path.suffix.lower() in VIDEOS for file in files)
        per_video = max(4, min(48, MOST_VIDEO_FRAMES // max(videos, 1)))
        rng = np.random.default_rng(0)
        for file in files:
            is_video = file.path.suffix.lower() in VIDEOS
            read = (
                read_scattered(file.path, per_video, rng) if is_video else [read_picture(file.path)]
            )
            for picture in read:
                if min(picture.shape[:2]) < least_side:
                    self.too_small += 1
                    continue
                kind = self.sprites if picture.shape[2] == 4 else self.opaque
                kind.setdefault(file.source, []).append(picture)
        if not (self.opaque or self.sprites):
            raise DataError(
                f"none of the {self.too_small} pictures has {least_side} pixels on each side, "
                "which the scale and the patch need; give larger ones, or a smaller --patch"
            )

    def pick(self, rng: np.random.Generator) -> Picture:
        """One clean (H, W, 3) picture: drawn here, a background, or a sprite set on one."""
        if rng.random() < self.drawn:
            return self._drawn(rng)
        folders = sorted(set(self.opaque) | set(self.sprites))
        counts = [len(self.opaque.get(f, [])) + len(self.sprites.get(f, [])) for f in folders]
        weights = np.sqrt(counts) / np.sqrt(counts).sum()
        folder = folders[rng.choice(len(folders), p=weights)]
        pictures = self.opaque.get(folder, []) + self.sprites.get(folder, [])
        picture = pictures[rng.integers(len(pictures))]
        return picture if picture.shape[2] == 3 else self._composed(picture, rng)

    def _drawn(self, rng: np.random.Generator) -> Picture:
        """A drawing; a few hundred are kept, since drawing is slower than cropping."""
        if len(self.own) < 300:
            height = max(int(rng.integers(420, 900)), self.least_side)
            self.own.append(draw_frame(int(rng.integers(2**31)), height, height * 4 // 3))
            return self.own[-1]
        return self.own[rng.integers(len(self.own))]

    def _composed(self, sprite: Picture, rng: np.random.Generator) -> Picture:
        height, width = sprite.shape[:2]
        backgrounds = [p for group in self.opaque.values() for p in group]
        fitting = [p for p in backgrounds if p.shape[0] >= height and p.shape[1] >= width]
        if fitting and rng.random() < 0.6:
            behind = fitting[rng.integers(len(fitting))]
            y = int(rng.integers(behind.shape[0] - height + 1))
            x = int(rng.integers(behind.shape[1] - width + 1))
            ground = behind[y : y + height, x : x + width].astype(np.float32)
        else:
            top, bottom = rng.integers(0, 256, (2, 3)).astype(np.float32)
            ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** rng.uniform(0.3, 3)
            ground = np.broadcast_to(top + (bottom - top) * ramp, (height, width, 3))
        alpha = sprite[..., 3:].astype(np.float32) / 255
        mixed = sprite[..., :3] * alpha + ground * (1 - alpha)
        return np.rint(mixed).astype(np.uint8)


def augment(picture: Picture, rng: np.random.Generator, minimum: int) -> Tensor:
    """A clean (1, 3, H, W) in [0, 1] from a picture: another size, colour and softness.

    Enlarging never happens; H and W stay at least `minimum`.
    """
    height, width = picture.shape[:2]
    if rng.random() < 0.5:
        factor = max(rng.uniform(0.5, 1.0), minimum / min(height, width))
        if factor < 1:
            size = (round(width * factor), round(height * factor))
            picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    rgb = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
    if rng.random() < 0.1:
        rgb = rgb[:, torch.from_numpy(rng.permutation(3))]
    if rng.random() < 0.5:
        grey = rgb.mean(1, keepdim=True)
        rgb = (grey + (rgb - grey) * rng.uniform(0.3, 1.2)).clamp(0, 1) ** rng.uniform(0.7, 1.4)
    if rng.random() < 0.05:
        rgb = rgb.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    if rng.random() < 0.3:
        rgb = blur(rgb, float(rng.uniform(0.2, 0.7)))
    return rgb.contiguous()


@dataclass(frozen=True)
class Pool:
    """Pairs ready to train on."""

    lq: NDArray[np.float16]
    gt: Picture
    scale: int

    def __len__(self) -> int:
        return len(self.lq)

    def batch(self, size: int, patch: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(B, 3, patch, patch) ycc and (B, 3, patch s, patch s) ycc: crops, flipped and turned."""
        s, room = self.scale, self.lq.shape[-1] - patch
        lqs: list[NDArray[np.float16]] = []
        gts: list[Picture] = []
        for index in rng.integers(len(self), size=size):
            y, x = (int(v) * 2 for v in rng.integers(room // 2 + 1, size=2))
            lq = self.lq[index, :, y : y + patch, x : x + patch]
            gt = self.gt[index, :, y * s : (y + patch) * s, x * s : (x + patch) * s]
            turns, flip = int(rng.integers(4)), bool(rng.integers(2))
            columns = slice(None, None, -1 if flip else 1)
            lqs.append(np.rot90(lq, turns, (1, 2))[:, :, columns])
            gts.append(np.rot90(gt, turns, (1, 2))[:, :, columns])
        lq_batch = torch.from_numpy(np.stack(lqs)).float()
        gt_batch = torch.from_numpy(np.stack(gts)).float().div_(255)
        return lq_batch, to_ycc(gt_batch)


def least_side(scale: int, side: int) -> int:
    """Pixels a picture must have each way to give a pair of (side, side) and its enlargement."""
    return side * scale + 2 * scale


def pairs(
    album: Album, scale: int, side: int, damaged: float, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.float16], Picture]]:
    """Endless (lq, gt) crops: (3, side, side) and (3, side s, side s)."""
    unit = 2 * scale
    while True:
        rgb = augment(album.pick(rng), rng, least_side(scale, side))
        top, left = (int(rng.integers(max(n - 1080, 0) + 1)) for n in rgb.shape[2:])
        rgb = rgb[..., top : top + 1080, left : left + 1080]
        height, width = (n // unit * unit for n in rgb.shape[2:])
        gt = to_uint8(rgb[..., :height, :width])
        kernel = str(rng.choice(list(DOWNSCALES), p=list(DOWNSCALES.values())))
        small = to_uint8(downscale(gt.float() / 255, scale, kernel)).float() / 255
        lq = to_ycc(small)
        if rng.random() < damaged:
            lq = age(lq, rng)
        else:
            lq = as_video(lq) if rng.random() < 0.7 else as_still(lq)
        yield from _crops(lq[0].half().numpy(), gt[0].numpy(), scale, side, rng)


def _crops(
    lq: NDArray[np.float16], gt: Picture, scale: int, side: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.float16], Picture]]:
    """The livelier half of some random crops, and a few of the others: flat ones teach little."""
    room = [lq.shape[1] - side, lq.shape[2] - side]
    places = [tuple(int(rng.integers(r // 2 + 1)) * 2 for r in room) for _ in range(24)]
    scored = []
    for y, x in places:
        truth = gt[:, y * scale : (y + side) * scale, x * scale : (x + side) * scale]
        steps = np.abs(np.diff(truth[1].astype(np.int16), axis=1)).mean()
        scored.append((steps, y, x, truth))
    scored.sort(key=lambda item: -item[0])
    for rank, (_, y, x, truth) in enumerate(scored):
        if rank < 10 or rng.random() < 0.12:
            yield lq[:, y : y + side, x : x + side].copy(), truth.copy()


def open_pool(
    folder: Path,
    described: Mapping[str, object],
    make_album: Callable[[], Album],
    *,
    count: int,
    scale: int,
    side: int,
    damaged: float,
    seed: int,
    progress: Callable[[int], None],
) -> Pool:
    """The pool kept in `folder`; built there unless one of the same description is."""
    note, lq_path, gt_path = folder / "pool.json", folder / "lq.npy", folder / "gt.npy"
    if not (note.is_file() and json.loads(note.read_text()) == described):
        note.unlink(missing_ok=True)
        album, rng = make_album(), np.random.default_rng(seed)
        shape = (count, 3, side, side)
        lq = np.lib.format.open_memmap(lq_path, "w+", np.float16, shape)
        big = (count, 3, side * scale, side * scale)
        gt = np.lib.format.open_memmap(gt_path, "w+", np.uint8, big)
        endless = pairs(album, scale, side, damaged, rng)
        for i, (small, truth) in zip(range(count), endless):
            lq[i], gt[i] = small, truth
            progress(i + 1)
        lq.flush()
        gt.flush()
        note.write_text(json.dumps(described))
    return Pool(np.load(lq_path, mmap_mode="r"), np.load(gt_path, mmap_mode="r"), scale)
