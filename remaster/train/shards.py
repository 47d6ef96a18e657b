"""Clean pictures as uint8 on disk with an index, so that nothing is decoded while pairs are made.

`index.json` says what the shards were made of and where each picture lies; it is written last, so
a set is there whole or not at all. The same pictures as PNGs, or as one HDF5 of sub-images: the
layout of "Attention in Attention" training sets (`hr`, `lr_x2`, `lr_x4`, a picture a chunk).
"""

from __future__ import annotations

import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from remaster.errors import DataError, OptionsError, OutputError, RemasterError
from remaster.resampling import KERNELS, resize
from remaster.train.cleaning import without_blocking, without_upscaling
from remaster.train.harvest import harvest_film
from remaster.train.sources import ARCHIVES, Picture, SourceFile, read_picture

__all__ = [
    "Entry",
    "NothingUsable",
    "Shards",
    "kept_pictures",
    "open_shards",
    "stamp_of",
    "stamps_of",
    "sub_images",
    "write_h5",
    "write_harvest",
    "write_pictures",
]

Log = Callable[[str], None]

FORMAT = 2
SHARD_BYTES = 256 << 20
INDEX = "index.json"
SHARD_NAMES = "pictures-*.u8"

FRAMES_OF_ALL_FILMS = 2000
FRAMES_OF_ONE_FILM = (8, 200)
"""At least, at most."""

GROUNDS = 2
"""Backgrounds that each picture with alpha is set on."""

SECONDS_BETWEEN_LINES = 5.0
NAMES_SAID = 5


class NothingUsable(DataError):
    """No file gives a picture."""


@dataclass(frozen=True)
class Entry:
    """One picture of a set: where it lies and where it comes from."""

    shard: int
    offset: int
    height: int
    width: int
    source: str
    """The folder it came from."""

    name: str
    """Of its file."""

    time: float | None = None
    """In a film, seconds from its start."""

    number: int = 0
    """Of the picture it is, or is a part of, from 0 on in the whole set."""

    place: tuple[int, int] | None = None
    """(top, left) in that picture; None where it is the whole of it."""


class Shards(Sequence[Picture]):
    """A set of clean pictures; each is a read-only (H, W, 3) R'G'B' view of a file."""

    def __init__(self, paths: Sequence[Path], entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self.sources = tuple(entry.source for entry in entries)
        self._bytes: list[NDArray[np.uint8]] = [np.memmap(path, np.uint8, "r") for path in paths]

    def __len__(self) -> int:
        return len(self.entries)

    def shape(self, index: int) -> tuple[int, int]:
        """(height, width) of a picture, which is not read for it."""
        return self.entries[index].height, self.entries[index].width

    def __getitem__(self, index: int) -> Picture:  # type: ignore[override]  # no slices
        entry = self.entries[index]
        end = entry.offset + entry.height * entry.width * 3
        flat = np.asarray(self._bytes[entry.shard])[entry.offset : end]
        return flat.reshape(entry.height, entry.width, 3)


def open_shards(
    folder: Path, files: Sequence[SourceFile], *, side: int, step: int, seed: int, log: Log
) -> Shards:
    """What is in `folder` if it was made of the same files with the same numbers, else made anew.

    Args:
        side: of sub-images, taken every `step` pixels both ways; smaller pictures stay whole.
            0: all pictures stay whole.
        seed: decides which frames of a film are taken and what sprites are set on.
        log: is told what is left out and why, and every few seconds how far it is.

    Raises:
        OptionsError: the numbers make no sub-images.
        NothingUsable: no file holds a usable picture.
        DataError: `folder` cannot be written.
    """
    if side < 0 or (side and step < 1):
        raise OptionsError(
            f"there are no sub-images of {side} pixels every {step}; give a --side of 0 (whole "
            "pictures) or more, and a --step of 1 or more"
        )
    described = {"side": side, "step": step, "seed": seed, "files": stamps_of(files)}

    def gather(store: _Store) -> None:
        _Gathering(store, files, side, step, seed, log).run()

    found = _kept(folder, described, gather)
    size = sum(entry.height * entry.width * 3 for entry in found.entries)
    log(f"pictures: {len(found)} ({size / 1e6:.0f} MB), sources: {len(set(found.sources))}")
    return found


def kept_pictures(
    folder: Path,
    described: Mapping[str, Any],
    pictures: Callable[[], Iterable[Picture]],
) -> Shards:
    """What is in `folder` if it has this description, as JSON gives it back; else those `pictures`,
    each written as it comes.

    Raises:
        DataError: `folder` cannot be written.
    """

    def gather(store: _Store) -> None:
        for number, picture in enumerate(pictures()):
            store.add(picture, source=folder.name, name="", number=number)

    return _kept(folder, described, gather)


def stamps_of(files: Sequence[SourceFile]) -> list[list[Any]]:
    """What files are learnt from, as JSON gives it back: another one where one of them changed."""
    return [[*stamp_of(file.path), list(file.folders), list(file.part)] for file in files]


def stamp_of(path: Path) -> list[Any]:
    """What tells a file from another and from what it was; see `stamps_of`."""
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return [str(path.resolve()), found.st_size, found.st_mtime]


def _kept(folder: Path, wanted: Mapping[str, Any], gather: Callable[[_Store], None]) -> Shards:
    """The set in `folder` if it is the wanted one, else what `gather` stores."""
    described = {"format": FORMAT, **wanted}
    try:
        found = _read_index(folder, described)
        if found is None:
            _make(folder, described, gather)
            found = _read_index(folder, described)
    except OSError as error:
        raise DataError(
            f"pictures cannot be kept in {folder} ({error.strerror or error}); "
            "give a folder with room that may be written to"
        ) from error
    if found is None:
        raise DataError(
            f"{folder} was changed by another program while pictures were written there; "
            "let one training at a time use it"
        )
    return found


def _read_index(folder: Path, described: dict[str, Any]) -> Shards | None:
    """The set in a folder; None where it is another one, damaged or none at all."""
    try:
        index = json.loads((folder / INDEX).read_text())
        if index["described"] != described:
            return None
        entries = [_entry(each) for each in index["entries"]]
        paths = [folder / name for name, _ in index["shards"]]
        if any(path.stat().st_size != size for path, (_, size) in zip(paths, index["shards"])):
            return None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return Shards(paths, entries)


def _entry(fields: Mapping[str, Any]) -> Entry:
    """From JSON, which knows no tuples."""
    place = fields["place"]
    return Entry(**{**fields, "place": None if place is None else tuple(place)})


def _make(folder: Path, described: dict[str, Any], gather: Callable[[_Store], None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    _remove_shards(folder)
    with _Store(folder) as store:
        gather(store)
        index = {
            "described": described,
            "shards": [[path.name, size] for path, size in zip(store.paths, store.sizes)],
            "entries": [asdict(entry) for entry in store.entries],
        }
    partial = folder / f".{INDEX}.part"
    partial.write_text(json.dumps(index))
    partial.replace(folder / INDEX)


def _remove_shards(folder: Path) -> None:
    for path in folder.glob(SHARD_NAMES):
        path.unlink(missing_ok=True)


class _Store:
    """Pictures written one after the other into files of a bounded size; gone if it fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: list[Path] = []
        self.sizes: list[int] = []
        self.entries: list[Entry] = []
        self._file: BinaryIO | None = None

    def __enter__(self) -> _Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        if kind is not None:
            _remove_shards(self.folder)

    def add(
        self,
        picture: Picture,
        *,
        source: str,
        name: str,
        number: int,
        time: float | None = None,
        place: tuple[int, int] | None = None,
    ) -> None:
        """Append an (H, W, 3) picture; the rest as in `Entry`."""
        out = self._file
        if out is None or (self.sizes[-1] and self.sizes[-1] + picture.nbytes > SHARD_BYTES):
            out = self._next_file()
        height, width, _ = picture.shape
        where = (len(self.paths) - 1, self.sizes[-1])
        self.entries.append(Entry(*where, height, width, source, name, time, number, place))
        out.write(np.ascontiguousarray(picture).data)
        self.sizes[-1] += picture.nbytes

    def read(self, entry: Entry) -> Picture:
        """A picture that was added."""
        assert self._file is not None
        self._file.flush()
        count = entry.height * entry.width * 3
        flat = np.fromfile(self.paths[entry.shard], np.uint8, count, offset=entry.offset)
        return flat.reshape(entry.height, entry.width, 3)

    def _next_file(self) -> BinaryIO:
        if self._file is not None:
            self._file.close()
        self.paths.append(self.folder / f"pictures-{len(self.paths):03}.u8")
        self.sizes.append(0)
        self._file = self.paths[-1].open("wb")
        return self._file


@dataclass
class _Gathering:
    """Files on their way into a store, one picture in memory at a time."""

    store: _Store
    files: Sequence[SourceFile]
    side: int
    step: int
    seed: int
    log: Log
    unreadable: list[str] = field(default_factory=list)
    reduced: int = 0
    upscaled: int = 0
    stored: int = 0
    """Pictures, whole or in parts."""

    _said: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Opaque pictures first, so that those with alpha find backgrounds among them."""
        sprites = [file for number, file in enumerate(self.files) if self._opaque(number, file)]
        grounds = list(self.store.entries)
        for file in sprites:
            self._sprite(file, grounds)
        if not self.store.entries:
            few = (
                "the only file gives no picture"
                if len(self.files) == 1
                else (f"none of the {len(self.files)} files gives a picture")
            )
            raise NothingUsable(f"{few} that can be used; give other ones{self._reasons()}")
        self._report()

    def _opaque(self, number: int, file: SourceFile) -> bool:
        """Store the opaque pictures of a file; whether it is one with alpha, left for later."""
        if time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            count = len(self.store.entries)
            self.log(f"{number} of {len(self.files)} files read, {count} pictures")
        before = len(self.store.entries) + self.upscaled
        try:
            for picture, moment in self._read(file):
                if picture.shape[2] == 4:
                    return True
                self._add(picture, file, moment)
        except RemasterError as error:
            reason = str(error).removeprefix(f"{file.path} ")
            self.unreadable.append(f"{file.path.name} ({reason})")
        else:
            if len(self.store.entries) + self.upscaled == before:
                self.unreadable.append(f"{file.path.name} (no frame in it is sharp and new)")
        return False

    def _read(self, file: SourceFile) -> Iterator[tuple[Picture, float | None]]:
        if file.is_archive:
            yield from ((picture, None) for picture in read_h5(file.path))
        elif file.is_film:
            rng = self._rng(file)
            for still in harvest_film(file.path, self._frames_of_each, rng, part=file.part):
                yield still.picture, still.time
        else:
            yield read_picture(file.path), None

    @property
    def _frames_of_each(self) -> int:
        least, most = FRAMES_OF_ONE_FILM
        films = sum(file.is_film for file in self.files)
        return max(least, min(most, FRAMES_OF_ALL_FILMS // max(films, 1)))

    def _rng(self, file: SourceFile) -> np.random.Generator:
        """Of one file, whatever the others are."""
        name = "/".join([*file.folders, file.path.name])
        return np.random.default_rng([self.seed, zlib.crc32(name.encode(errors="surrogateescape"))])

    def _add(self, picture: Picture, file: SourceFile, moment: float | None) -> None:
        clean = self._clean(picture, file)
        if clean is not None:
            for place, part in self._parts(clean):
                self._put(part, file, place, moment)
            self.stored += 1

    def _parts(self, picture: Picture) -> Iterator[tuple[tuple[int, int] | None, Picture]]:
        """(place, sub-image); no place for one that stays whole."""
        for (top, left), part in sub_images(picture, self.side, self.step):
            yield (None if part.shape == picture.shape else (top, left)), part

    def _put(
        self,
        part: Picture,
        file: SourceFile,
        place: tuple[int, int] | None,
        moment: float | None = None,
    ) -> None:
        self.store.add(
            part,
            source=file.source,
            name=file.path.name,
            number=self.stored,
            time=moment,
            place=place,
        )

    def _clean(self, picture: Picture, file: SourceFile) -> Picture | None:
        """The picture at a size it holds the detail of; None where that would be too small.

        Sub-images were made by somebody who chose them, and frames of a small film are all there
        is of it: both stay.
        """
        if file.is_archive:
            return picture
        if file.path.suffix.lower() in (".jpg", ".jpeg"):
            picture = without_blocking(picture)
        clean, holds_detail = without_upscaling(picture)
        if not holds_detail and not file.is_film:
            self.upscaled += 1
            return None
        self.reduced += clean.shape != picture.shape
        return clean

    def _sprite(self, file: SourceFile, grounds: Sequence[Entry]) -> None:
        sprite = _cropped_to_alpha(read_picture(file.path))
        if not sprite.size:
            self.unreadable.append(f"{file.path.name} (wholly transparent)")
            return
        clean = self._clean(sprite, file)
        if clean is None:
            return
        rng = self._rng(file)
        for place, part in self._parts(clean):
            for _ in range(GROUNDS if part[..., 3].any() else 0):
                ground = self._ground(part.shape[:2], grounds, rng)
                self._put(_composed(part, ground), file, place)
        self.stored += 1

    def _ground(
        self, size: tuple[int, int], grounds: Sequence[Entry], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """(H, W, 3) levels: part of an opaque picture, or a ramp."""
        height, width = size
        fitting = [each for each in grounds if each.height >= height and each.width >= width]
        if fitting and rng.random() < 0.6:
            behind = self.store.read(fitting[rng.integers(len(fitting))])
            y = int(rng.integers(behind.shape[0] - height + 1))
            x = int(rng.integers(behind.shape[1] - width + 1))
            return behind[y : y + height, x : x + width].astype(np.float32)
        top, bottom = rng.integers(0, 256, (2, 3)).astype(np.float32)
        ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** rng.uniform(0.3, 3)
        return np.broadcast_to(top + (bottom - top) * ramp, (height, width, 3))

    def _reasons(self) -> str:
        if not self.unreadable:
            return ": what was upscaled is too small without that" if self.upscaled else ""
        more = len(self.unreadable) - NAMES_SAID
        names = ", ".join(self.unreadable[:NAMES_SAID]) + (f" and {more} more" if more > 0 else "")
        return f": {names}"

    def _report(self) -> None:
        if self.unreadable:
            count = f"{len(self.unreadable)} of {len(self.files)} files"
            self.log(f"{count} cannot be used and are left out{self._reasons()}")
        if self.reduced:
            self.log(f"{self.reduced} pictures had been upscaled and are taken at half their size")
        if self.upscaled:
            self.log(f"{self.upscaled} upscaled pictures are too small for that and left out")


def sub_images(picture: Picture, side: int, step: int) -> Iterator[tuple[tuple[int, int], Picture]]:
    """((top, left), part of side x side), one every `step` pixels; a smaller picture, or of side 0,
    whole.

    The last ones need not reach the right and lower edge.
    """
    height, width = picture.shape[:2]
    if not side or min(height, width) < side:
        yield (0, 0), picture
        return
    for top in range(0, height - side + 1, step):
        for left in range(0, width - side + 1, step):
            yield (top, left), picture[top : top + side, left : left + side]


def _cropped_to_alpha(sprite: Picture) -> Picture:
    """Without the rows and columns around it that are wholly transparent; (0, 0, 4) if all are."""
    rows = np.flatnonzero(sprite[..., 3].any(1))
    columns = np.flatnonzero(sprite[..., 3].any(0))
    if not len(rows):
        return sprite[:0, :0]
    return sprite[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _composed(sprite: Picture, ground: NDArray[np.float32]) -> Picture:
    """(H, W, 4) set on (H, W, 3)."""
    alpha = sprite[..., 3:].astype(np.float32) / 255
    return np.rint(sprite[..., :3] * alpha + ground * (1 - alpha)).astype(np.uint8)


def write_harvest(
    files: Sequence[SourceFile],
    output: Path,
    *,
    side: int,
    step: int,
    kernel: str,
    seed: int,
    log: Log,
    overwrite: bool = False,
) -> int:
    """Write what `open_shards` gives as PNGs into a folder, or as one file if `output` is a .h5;
    how many pictures.

    A folder is new or empty, so that two harvests never mix; `overwrite` is for a .h5.

    Raises:
        OutputError: `output` is there already.
        OptionsError: a number or the kernel is none that can be used.
        DataError: no file holds a usable picture, or `output` cannot be written.
    """
    is_archive = output.suffix.lower() in ARCHIVES
    if is_archive:
        _check_h5(side, kernel)
    try:
        _check_free(output, is_archive=is_archive, overwrite=overwrite)
        output.parent.mkdir(parents=True, exist_ok=True)
        kept = TemporaryDirectory(prefix=f".{output.name}.", suffix=".part", dir=output.parent)
    except OSError as error:
        raise DataError(
            f"{output} cannot be written ({error.strerror or error}); give a place with room"
        ) from error
    with kept as folder:
        shards = open_shards(Path(folder), files, side=side, step=step, seed=seed, log=log)
        if not is_archive:
            return write_pictures(shards, output)
        count, left_out = write_h5(shards, output, side=side, kernel=kernel)
    if left_out:
        log(f"{left_out} pictures smaller than {side} pixels are left out")
    return count


def _check_free(output: Path, *, is_archive: bool, overwrite: bool) -> None:
    """Raise OutputError for a .h5 that may not be replaced, and for a folder that is not empty."""
    if is_archive and output.exists() and not overwrite:
        raise OutputError(f"{output} exists: give -y to replace it, or another --output")
    if not is_archive and output.is_dir() and any(output.iterdir()):
        raise OutputError(
            f"{output} is not empty, and pictures of two harvests would mix in it, with -y too: "
            "empty it, or give another --output"
        )


def write_pictures(shards: Shards, folder: Path) -> int:
    """Every picture as folder/source/NAME-NUMBER.png, parts of one as NAME-NUMBER~TOP~LEFT.png, so
    that `split_sources` knows them; how many.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        for path, picture in zip(_paths(shards.entries, folder), shards):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.part")
            Image.fromarray(picture).save(partial, "PNG")
            partial.replace(path)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error.strerror or error}); give a folder with room"
        ) from error
    return len(shards)


def _paths(entries: Sequence[Entry], folder: Path) -> Iterator[Path]:
    """Of every picture a file of its own; the same picture on several grounds counts as parts."""
    pictures: dict[tuple[str, str], int] = {}
    numbers: dict[int, int] = {}
    times = Counter((entry.number, entry.place) for entry in entries)
    seen: Counter[tuple[int, tuple[int, int] | None]] = Counter()
    for entry in entries:
        stem = Path(entry.name).stem
        if entry.number not in numbers:
            number = pictures[entry.source, stem] = pictures.get((entry.source, stem), 0) + 1
            numbers[entry.number] = number
        key = entry.number, entry.place
        parts = list(entry.place or ((0, 0) if times[key] > 1 else ()))
        if times[key] > 1:
            parts.append(seen[key])
        seen[key] += 1
        ending = "".join(f"~{part}" for part in parts)
        yield folder / entry.source / f"{stem}-{numbers[entry.number]:04}{ending}.png"


def write_h5(shards: Shards, path: Path, *, side: int, kernel: str) -> tuple[int, int]:
    """The pictures of side x side in one file; (how many, how many of other sizes are left out).

    Datasets `hr` (N, side, side, 3), `lr_x2` and `lr_x4`, uint8 R'G'B', a picture a chunk; the
    attribute `kernel` names how the small ones were made.

    Raises:
        OptionsError: `kernel` is none, or `side` cannot be halved twice.
        DataError: h5py is missing, no picture is of that size, or the file cannot be written.
    """
    _check_h5(side, kernel)
    numbers = [n for n, e in enumerate(shards.entries) if (e.height, e.width) == (side, side)]
    if not numbers:
        raise DataError(
            f"no picture has {side} pixels each way; give larger ones or a smaller side"
        )
    h5py = _h5py()
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(partial, "w") as file:
            file.attrs["kernel"] = kernel
            for name, divisor in (("hr", 1), ("lr_x2", 2), ("lr_x4", 4)):
                one = (side // divisor, side // divisor, 3)
                data = file.create_dataset(name, (len(numbers), *one), "u1", chunks=(1, *one))
                for row, number in enumerate(numbers):
                    data[row] = _reduced(shards[number], divisor, kernel)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DataError(
            f"{path} cannot be written ({error.strerror or error}); give a place with room"
        ) from error
    return len(numbers), len(shards) - len(numbers)


def _check_h5(side: int, kernel: str) -> None:
    if kernel not in KERNELS:
        raise OptionsError(f"there is no kernel {kernel}; there are {', '.join(KERNELS)}")
    if side <= 0 or side % 4:
        raise OptionsError(f"sub-images of {side} cannot be halved twice; give a multiple of 4")
    _h5py()


def _reduced(picture: Picture, divisor: int, kernel: str) -> Picture:
    if divisor == 1:
        return picture
    height, width = picture.shape[:2]
    x = torch.from_numpy(picture.copy()).permute(2, 0, 1).float()
    small = resize(x, (height // divisor, width // divisor), kernel)
    return small.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()


def read_h5(path: Path) -> Iterator[Picture]:
    """The pictures of a file's dataset `hr`, one at a time.

    Raises:
        DataError: h5py is missing, or the file holds no uint8 `hr` of (N, H, W, 3).
    """
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            data = file.get("hr")
            is_set = isinstance(data, h5py.Dataset) and data.dtype == np.uint8
            if not is_set or data.ndim != 4 or data.shape[3] != 3:
                raise DataError(f"{path} holds no dataset hr of uint8 (N, H, W, 3)")
            for number in range(len(data)):
                yield data[number]
    except OSError as error:
        raise DataError(f"{path} cannot be read as HDF5: {error}") from error


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise DataError("HDF5 files need h5py; pip install 'remaster[h5]'") from error
    return h5py
