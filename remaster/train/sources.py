"""The files a training learns from: found, told apart by source, held out, and read as pictures.

A source is a folder: what lies in one folder comes from one hand, so it is learnt from or held out
together. A film alone is parted in time.
"""

from __future__ import annotations

import hashlib
import re
import struct
import warnings
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from remaster.errors import DataError

__all__ = [
    "ARCHIVES",
    "FILMS",
    "PICTURES",
    "WHOLE",
    "Picture",
    "SourceFile",
    "list_sources",
    "read_picture",
    "split_sources",
]

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
FILMS = {".mp4", ".mkv", ".mov", ".avi", ".webm", ".ts", ".vob", ".m4v", ".mpg", ".mpeg"}
ARCHIVES = {".h5", ".hdf5"}

HELD_SHARE = 0.1
"""About what is held out where nobody says what."""

FEWEST_TO_PART = 4
"""Pictures of a single source from which on whole ones are held out."""

PICTURES_OF_A_FILM = 50
"""As many pictures a film counts for when sources are weighed against each other."""

WHOLE = (0.0, 1.0)
"""All of a film."""

Picture = NDArray[np.uint8]
"""(H, W, 3) R'G'B', or (H, W, 4) with alpha."""

_PART = re.compile(r"~\d+~\d+(~\d+)?(?=\.\w+$)")
"""In the name of a part of a picture: its place there, and which of several backgrounds it has."""

_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,  # Pillow's word for a broken PNG
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_PART_ON_CARDS = re.compile(r"#(\d(?:\.\d+)?)-(\d(?:\.\d+)?)")
"""Behind a name on a card."""


@dataclass(frozen=True)
class SourceFile:
    """One file of the training material."""

    path: Path
    folders: tuple[str, ...]
    """Names of the folders it lies in, from the root that was given down to its own."""

    part: tuple[float, float] = WHOLE
    """Of a film, in shares of its length: from, to."""

    @property
    def source(self) -> str:
        """The folder it lies in: files of one folder come from one hand."""
        return self.folders[-1]

    @property
    def name_on_cards(self) -> str:
        """All folders and the name, and of a film which part: `data/show/ep.mkv#0.9-1`."""
        name = "/".join((*self.folders, self.path.name))
        return name if self.part == WHOLE else f"{name}#{self.part[0]:g}-{self.part[1]:g}"

    def part_among(self, names: Collection[str]) -> tuple[float, float] | None:
        """The part of a whole file that is among the names on a card; None where none is."""
        name = self.name_on_cards
        if name in names:
            return WHOLE
        parts = (
            _PART_ON_CARDS.fullmatch(each, len(name)) for each in names if each.startswith(name)
        )
        for found in parts:
            if found is not None and 0 <= float(found[1]) < float(found[2]) <= 1:
                return float(found[1]), float(found[2])
        return None

    @property
    def is_film(self) -> bool:
        return self.path.suffix.lower() in FILMS

    @property
    def is_archive(self) -> bool:
        return self.path.suffix.lower() in ARCHIVES


def list_sources(roots: Sequence[Path]) -> list[SourceFile]:
    """Every picture, film and archive under `roots`, sorted, each once; hidden files are not looked
    at.

    Raises:
        DataError: a root is missing, or nothing usable lies under any of them.
    """
    files: dict[Path, SourceFile] = {}
    for root in roots:
        for file in _files_under(root):
            files.setdefault(file.path.resolve(), file)
    if not files:
        names = ", ".join(map(str, roots))
        raise DataError(f"no pictures or videos under {names}; give folders that hold some")
    return list(files.values())


def _files_under(root: Path) -> Iterator[SourceFile]:
    if not root.exists():
        raise DataError(f"there is nothing at {root}; give files and folders")
    is_folder = root.is_dir()
    top = root if is_folder else root.parent
    for path in sorted(root.rglob("*")) if is_folder else [root]:
        below = path.relative_to(top)
        is_hidden = any(part.startswith(".") for part in below.parts)
        if path.suffix.lower() in PICTURES | FILMS | ARCHIVES and not is_hidden and path.is_file():
            yield SourceFile(path, (top.resolve().name, *below.parent.parts))


def split_sources(
    files: Sequence[SourceFile], hold_out: Sequence[str]
) -> tuple[list[SourceFile], list[SourceFile]]:
    """(to learn from, held out): a file is held out if any folder around it is named so.

    Where `hold_out` names nothing, about a tenth is held out, the same one for the same names:
    whole sources where there are two or more, files of a single one, the end of a film alone.
    Files that are parts of one picture, NAME~TOP~LEFT.png as `remaster harvest` writes them, stay
    together. Of fewer than four pictures in one folder nothing is held out.

    Raises:
        DataError: a name is that of no folder, or nothing is left to learn from.
    """
    if not hold_out:
        return _split_by_chance(files)
    known = {name for file in files for name in file.folders}
    wrong = sorted(set(hold_out) - known)
    if wrong:
        raise DataError(
            f"there is no folder {', '.join(wrong)} to hold out; "
            f"there are {', '.join(sorted(known))}"
        )
    held = [file for file in files if set(file.folders) & set(hold_out)]
    kept = [file for file in files if not set(file.folders) & set(hold_out)]
    if not kept:
        raise DataError(
            "everything is held out and nothing is left to learn from; hold out fewer folders"
        )
    return kept, held


def _split_by_chance(
    files: Sequence[SourceFile],
) -> tuple[list[SourceFile], list[SourceFile]]:
    names = _held_sources(files)
    if names:
        return (
            [file for file in files if file.source not in names],
            [file for file in files if file.source in names],
        )
    pictures = {_picture_of(file) for file in files}
    if len(pictures) >= FEWEST_TO_PART:
        count = max(1, round(HELD_SHARE * len(pictures)))
        chosen = set(sorted(pictures, key=lambda each: (_lot(each[-1]), each))[:count])
        return (
            [file for file in files if _picture_of(file) not in chosen],
            [file for file in files if _picture_of(file) in chosen],
        )
    cut = 1 - HELD_SHARE
    return (
        [replace(file, part=(0.0, cut)) if file.is_film else file for file in files],
        [replace(file, part=(cut, 1.0)) for file in files if file.is_film],
    )


def _held_sources(files: Sequence[SourceFile]) -> set[str]:
    """Names of the sources to hold out; none where there is but one.

    Drawn by lot while they stay within about a tenth of everything; the smallest where none does.
    """
    weights: dict[str, int] = {}
    for file in files:
        weight = PICTURES_OF_A_FILM if file.is_film else 1
        weights[file.source] = weights.get(file.source, 0) + weight
    if len(weights) < 2:
        return set()
    wanted = HELD_SHARE * sum(weights.values())
    held: set[str] = set()
    weight = 0
    for name in sorted(weights, key=_lot):
        if weight + weights[name] <= 1.25 * wanted:
            held.add(name)
            weight += weights[name]
    return held or {min(weights, key=lambda name: (weights[name], _lot(name)))}


def _picture_of(file: SourceFile) -> tuple[str, ...]:
    """Folders and name of the picture that a file is, or is a part of."""
    return *file.folders, _PART.sub("", file.path.name)


def _lot(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()


def read_picture(path: Path) -> Picture:
    """A picture file as R'G'B', upright, with alpha where it has any that matters.

    Grey, palette and CMYK pictures become R'G'B'; more than 8 bits are rounded to 8.

    Raises:
        DataError: the file cannot be read as a picture.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")  # of odd metadata and large pictures
            ImageOps.exif_transpose(image, in_place=True)
            pixels = _as_rgb(image)
    except _BROKEN as error:
        is_unknown = isinstance(error, UnidentifiedImageError)  # its words have the path once more
        reason = "of no known kind" if is_unknown else getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read as a picture: {reason}") from error
    if pixels.shape[2] == 4 and (pixels[..., 3] == 255).all():
        return pixels[..., :3]
    return pixels


def _as_rgb(image: Image.Image) -> Picture:
    """(H, W, 3), or (H, W, 4) where the file has alpha."""
    if image.mode.startswith("I") or image.mode == "F":
        levels = np.asarray(image).astype(np.float64)
        return _from_deep_grey(levels, is_16_bit=image.mode.startswith("I;16"))
    has_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if has_alpha else "RGB"))


def _from_deep_grey(levels: NDArray[np.float64], *, is_16_bit: bool) -> Picture:
    """(H, W) in 16 bits, or in a wider type, where the largest tells whether white is 1, 255 or
    65535: Pillow's own conversion would clip them."""
    top = np.inf if is_16_bit else levels.max(initial=0)
    white = 1.0 if top <= 1 else 255.0 if top <= 255 else 65535.0
    grey = np.rint(np.nan_to_num(levels) * 255 / white).clip(0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
