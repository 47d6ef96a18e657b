"""Picture files written: PNG and TIFF in 8 and 16 bits by rows, WebP without loss, JPEG.

PNG: RFC 2083 and the third edition's eXIf; TIFF: revision 6.0, strips of zlib with differences.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from remaster.errors import OutputError, SourceError, VerificationError
from remaster.media.placed import Placed, explained
from remaster.media.placing import flush_to_disk
from remaster.media.still_reader import ORIENTATION, Labels, Pixels, read_still

__all__ = ["LARGEST_SIDES", "holds_depth", "losses_of", "write_still"]

Bytes = npt.NDArray[np.uint8]

LARGEST_SIDES = {"png": 65500, "tiff": 65500, "webp": 16383, "jpeg": 65500}
"""Of each format, in pixels: their own bounds, or as far as anyone opens them."""

_KINDS = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg", ".tif": "tiff",
          ".tiff": "tiff"}  # fmt: skip
_NAMES = {"png": "PNG", "tiff": "TIFF", "webp": "WebP", "jpeg": "JPEG"}
JPEG_QUALITY = 95
WHITE = 255
_BAND_BYTES = 1 << 22
_MOST_TIFF_BYTES = (1 << 32) - (1 << 20)
_METRE_INCHES = 0.0254
_EXIF_PREFIX = b"Exif\x00\x00"
_WIDTH, _HEIGHT, _EXIF_FOLDER = 0xA002, 0xA003, 0x8769
_PNG_COLORS = {1: 0, 2: 4, 3: 2, 4: 6}


def kind_of(ending: str) -> str:
    """`png`, `tiff`, `webp` or `jpeg`, by an ending that is one of theirs."""
    return _KINDS[ending.lower()]


def holds_depth(ending: str) -> int:
    """Bits of a channel that a file with this ending can have."""
    return 16 if kind_of(ending) in ("png", "tiff") else 8


def losses_of(ending: str, pixels: Pixels, labels: Labels) -> Iterator[str]:
    """What a file with this ending does not hold of such a picture, in words."""
    kind = kind_of(ending)
    if pixels.dtype == np.uint16 and holds_depth(ending) == 8:
        yield f"16 bits become 8: {_NAMES[kind]} holds no more"
    if kind == "jpeg" and pixels.shape[2] in (2, 4):
        yield "the alpha channel is laid on white: JPEG holds none"
    if kind == "jpeg":
        yield f"JPEG keeps no picture exactly (quality {JPEG_QUALITY}, 4:4:4)"
    if kind == "webp" and labels.dpi is not None:
        yield "the resolution in dpi is left out: WebP holds none"
    if kind == "tiff" and _more_than_tags(labels.exif):
        yield "of EXIF the description, camera, software, date, artist and copyright are kept"
    comments = [text for text in labels.texts if text[0] == "Comment"]
    if (kind in ("webp", "tiff") and labels.texts) or (
        kind == "jpeg" and len(comments) < len(labels.texts)
    ):
        yield f"texts are left out: {_NAMES[kind]} holds none of the kind"


def write_still(output: Path, pixels: Pixels, labels: Labels, *, overwrite: bool) -> int:
    """Write a picture by its name's ending, read it back, and give it its place; its bytes.

    Raises:
        OutputError: it cannot be written. VerificationError: what was read back differs.
    """
    kind = kind_of(output.suffix)
    pixels = _held(pixels, kind)
    placed = Placed(output, _NAMES[kind], overwrite=overwrite, what="picture")
    with placed as partial:
        with explained(output, _NAMES[kind]), partial.open("wb") as file:
            _WRITERS[kind](file, pixels, labels)
        _check(partial, output, pixels, kind)
        with explained(output, _NAMES[kind]):
            flush_to_disk(partial)
            size = partial.stat().st_size
        placed.put()
    return size


def _held(pixels: Pixels, kind: str) -> Pixels:
    """Grey as R'G'B' where a format, or its usual readers, have no grey of the sort."""
    is_deep_with_alpha = pixels.shape[2] == 2 and pixels.dtype == np.uint16
    if pixels.shape[2] < 3 and (kind == "webp" or (kind == "tiff" and is_deep_with_alpha)):
        return np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:]], 2)
    return pixels


def _check(partial: Path, output: Path, pixels: Pixels, kind: str) -> None:
    """Read the file back: every pixel where it keeps them exactly, else the size."""
    try:
        found = read_still(partial, is_ours=True).pixels
    except SourceError as error:
        raise VerificationError(f"{output} cannot be read back ({error}): report this") from error
    same = found.shape[:2] == pixels.shape[:2]
    if kind in ("png", "tiff"):
        same = found.dtype == pixels.dtype and np.array_equal(found, pixels)
    elif kind == "webp":
        colors = pixels.shape[2] - (pixels.shape[2] in (2, 4))
        same = same and np.array_equal(found[..., :colors], pixels[..., :colors])
    if not same:
        raise VerificationError(f"{output} does not hold what was made: report this")


def _write_png(file: BinaryIO, pixels: Pixels, labels: Labels) -> None:
    height, width, channels = pixels.shape
    depth = 8 * pixels.dtype.itemsize
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(
        file, b"IHDR", struct.pack(">IIBBBBB", width, height, depth, _PNG_COLORS[channels], 0, 0, 0)
    )
    if labels.icc:
        _chunk(file, b"iCCP", b"icc\x00\x00" + zlib.compress(labels.icc))
    if labels.dpi is not None:
        across, down = (round(value / _METRE_INCHES) for value in labels.dpi)
        _chunk(file, b"pHYs", struct.pack(">IIB", across, down, 1))
    if labels.exif:
        _chunk(file, b"eXIf", _exif_for(labels.exif, width, height).removeprefix(_EXIF_PREFIX))
    for key, text in labels.texts:
        keyword = key.encode("latin-1", "replace")[:79]
        if keyword:
            coded = zlib.compress(text.encode("utf-8", "replace"))
            _chunk(file, b"iTXt", keyword + b"\x00\x01\x00\x00\x00" + coded)
    packer = zlib.compressobj(6)
    for band in _filtered(pixels):
        packed = packer.compress(band)
        if packed:
            _chunk(file, b"IDAT", packed)
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, name: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + name + data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(name))))


def _filtered(pixels: Pixels) -> Iterator[bytes]:
    """Bands of rows as PNG packs them: each row by the filter whose differences are smallest."""
    step = pixels.dtype.itemsize * pixels.shape[2]
    above = np.zeros((1, step * (pixels.shape[1] + 1)), np.uint8)
    for rows in _bands(pixels):
        deep = pixels[rows].astype(pixels.dtype.newbyteorder(">"), copy=False)
        lines = np.ascontiguousarray(deep).view(np.uint8).reshape(rows.stop - rows.start, -1)
        padded = np.pad(lines, ((0, 0), (step, 0)))
        upper = np.concatenate([above, padded[:-1]])
        above = padded[-1:]
        left, up, corner = padded[:, :-step], upper[:, step:], upper[:, :-step]
        choices = [lines, lines - left, lines - up, lines - _paeth(left, up, corner)]
        costs = [np.abs(each.view(np.int8).astype(np.int16)).sum(1) for each in choices]
        best = np.argmin(costs, 0)
        chosen = np.choose(best[:, None], choices)
        numbers = np.array([0, 1, 2, 4], np.uint8)[best][:, None]
        yield np.concatenate([numbers, chosen], 1).tobytes()


def _paeth(left: Bytes, up: Bytes, corner: Bytes) -> Bytes:
    """The neighbour nearest to left + up - corner (RFC 2083, 6.6)."""
    a, b, c = (each.astype(np.int16) for each in (left, up, corner))
    to_a, to_b, to_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    is_a = (to_a <= to_b) & (to_a <= to_c)
    return np.where(is_a, left, np.where(to_b <= to_c, up, corner))


def _bands(pixels: Pixels) -> Iterator[slice]:
    """Rows that are worked on together, all bands but the last of `_band_rows`."""
    step = _band_rows(pixels)
    for top in range(0, len(pixels), step):
        yield slice(top, min(top + step, len(pixels)))


def _band_rows(pixels: Pixels) -> int:
    return max(_BAND_BYTES // pixels[0].nbytes, 1)


def _write_tiff(file: BinaryIO, pixels: Pixels, labels: Labels) -> None:
    if pixels.nbytes > _MOST_TIFF_BYTES:
        raise OutputError("TIFF holds at most 4 GB: give a name that ends in .png")
    height, width, channels = pixels.shape
    file.write(struct.pack("<2sHI", b"II", 42, 0))
    offsets, counts = [], []
    for rows in _bands(pixels):
        differences = pixels[rows].copy()
        differences[:, 1:] -= pixels[rows][:, :-1]
        packed = zlib.compress(differences.astype(differences.dtype.newbyteorder("<")).tobytes(), 6)
        offsets.append(file.tell())
        counts.append(len(packed))
        file.write(packed + b"\x00" * (len(packed) % 2))
    colors = channels - (channels in (2, 4))
    entries: dict[int, tuple[int, Sequence[int] | bytes]] = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [8 * pixels.dtype.itemsize] * channels),
        259: (3, [8]),
        262: (3, [1 if colors == 1 else 2]),
        273: (4, offsets),
        274: (3, [1]),
        277: (3, [channels]),
        278: (4, [_band_rows(pixels)]),
        279: (4, counts),
        284: (3, [1]),
        317: (3, [2]),
    }
    if channels != colors:
        entries[338] = (3, [2])
    if labels.dpi is not None:
        for tag, value in zip((282, 283), labels.dpi):
            entries[tag] = (5, [round(value * 1000), 1000])
        entries[296] = (3, [2])
    if labels.icc:
        entries[34675] = (7, labels.icc)
    for tag, text in _tiff_texts(labels.exif):
        entries[tag] = (2, text.encode("utf-8", "replace") + b"\x00")
    _write_folder(file, entries)


def _write_folder(file: BinaryIO, entries: dict[int, tuple[int, Sequence[int] | bytes]]) -> None:
    """An image file directory at the end of the file, and its place in the header."""
    codes = {3: "H", 4: "I", 5: "I"}
    fields = []
    for tag in sorted(entries):
        kind, values = entries[tag]
        data = values if isinstance(values, bytes) else struct.pack(
            f"<{len(values)}{codes[kind]}", *values
        )  # fmt: skip
        count = len(values) // 2 if kind == 5 else len(values)
        if len(data) > 4:
            place = file.tell()
            file.write(data + b"\x00" * (len(data) % 2))
            data = struct.pack("<I", place)
        fields.append(struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\x00"))
    place = file.tell()
    file.write(struct.pack("<H", len(fields)) + b"".join(fields) + struct.pack("<I", 0))
    file.seek(4)
    file.write(struct.pack("<I", place))


def _write_jpeg(file: BinaryIO, pixels: Pixels, labels: Labels) -> None:
    height, width = pixels.shape[:2]
    comments = [text for key, text in labels.texts if key == "Comment"]
    _image(_on_white(pixels)).save(
        file,
        "JPEG",
        quality=JPEG_QUALITY,
        subsampling=0,
        optimize=True,
        **_said(labels, width, height),
        **({"dpi": _dots(labels.dpi)} if labels.dpi is not None else {}),
        **({"comment": comments[0].encode("utf-8", "replace")[:65000]} if comments else {}),
    )


def _write_webp(file: BinaryIO, pixels: Pixels, labels: Labels) -> None:
    height, width = pixels.shape[:2]
    _image(pixels).save(
        file, "WEBP", lossless=True, exact=True, quality=80, **_said(labels, width, height)
    )


def _said(labels: Labels, width: int, height: int) -> dict[str, bytes]:
    said = {}
    if labels.icc:
        said["icc_profile"] = labels.icc
    if labels.exif:
        said["exif"] = _exif_for(labels.exif, width, height)
    return said


def _dots(dpi: tuple[float, float]) -> tuple[int, int]:
    across, down = (min(max(round(value), 1), 65535) for value in dpi)
    return across, down


def _on_white(pixels: Pixels) -> Pixels:
    if pixels.shape[2] not in (2, 4):
        return pixels
    found = np.empty((*pixels.shape[:2], pixels.shape[2] - 1), np.uint8)
    for rows in _bands(pixels):
        alpha = pixels[rows][..., -1:].astype(np.float32) / 255
        found[rows] = np.rint(pixels[rows][..., :-1] * alpha + WHITE * (1 - alpha))
    return found


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _exif_for(exif: bytes, width: int, height: int) -> bytes:
    """With the new size where it says one."""
    found = Image.Exif()
    found.load(exif)
    found.pop(ORIENTATION, None)
    details = found.get_ifd(_EXIF_FOLDER)
    for tag, side in ((_WIDTH, width), (_HEIGHT, height)):
        if tag in details:
            details[tag] = side
    return found.tobytes()


def _tiff_texts(exif: bytes) -> Iterator[tuple[int, str]]:
    if not exif:
        return
    found = Image.Exif()
    found.load(exif)
    for tag in (270, 271, 272, 305, 306, 315, 33432):
        if isinstance(found.get(tag), str):
            yield tag, found[tag].replace("\x00", "")


def _more_than_tags(exif: bytes) -> bool:
    if not exif:
        return False
    found = Image.Exif()
    found.load(exif)
    return len(found) > len(list(_tiff_texts(exif)))


_WRITERS = {"png": _write_png, "tiff": _write_tiff, "webp": _write_webp, "jpeg": _write_jpeg}
