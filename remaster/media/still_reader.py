"""Picture files: their pixels with all bits and alpha, and what they say beside them.

Pillow reads what has 8 bits a channel, and what a file says; FFmpeg's decoders read 16 bits, of
which Pillow keeps 8 in colour. No demuxer is used, so no file can name another.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, UnidentifiedImageError

from remaster.errors import SourceError

__all__ = ["ORIENTATION", "Labels", "Pixels", "Still", "read_still"]

Pixels = npt.NDArray[Any]
"""(H, W, C) uint8 or uint16: 1 grey, 2 grey and alpha, 3 R'G'B', 4 R'G'B' and alpha; colours are
not multiplied by alpha."""

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
MOST_PIXELS = 178_000_000
"""Of a source: 10000x17800. Pillow refuses more, since a few bytes can state any size."""

MOST_BYTES = 1 << 31
BAND_ROWS = 256

ORIENTATION, RESOLUTIONS = 0x0112, (0x011A, 0x011B, 0x0128)
_XMP, _EXTRA_SAMPLES, _BITS = 700, 338, 258
_TOLD_BY_TIFF = (270, 271, 272, 305, 306, 315, 33432)
"""Description, make, model, software, date, artist, copyright: TIFF's tags that are no layout."""

_EXIF_FOLDER, _GPS_FOLDER = 0x8769, 0x8825
_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, LookupError, TypeError,
    ArithmeticError, AttributeError, RuntimeError, Image.DecompressionBombError, av.FFmpegError,
)  # fmt: skip
"""What the readers raise for damaged files."""

_WORDY = ("PNG", "GIF", "JPEG")


@dataclass(frozen=True)
class Labels:
    """What a picture file says beside its pixels."""

    icc: bytes = b""
    """Colour profile, as it is."""

    exif: bytes = b""
    """With an orientation of 1: the pixels lie as they are looked at."""

    dpi: tuple[float, float] | None = None
    """Pixels an inch, across and down, as the file said; enlarging does not change them."""

    texts: tuple[tuple[str, str], ...] = ()
    """Keywords and texts, as PNG has them; a comment is `Comment`."""


@dataclass(frozen=True)
class Still:
    """A picture file, read."""

    path: Path
    pixels: Pixels
    labels: Labels = field(default_factory=Labels)
    notes: tuple[str, ...] = ()
    """What reading left behind, in words."""

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def has_alpha(self) -> bool:
        return self.pixels.shape[2] in (2, 4)

    @property
    def bit_depth(self) -> int:
        """8 or 16."""
        return 8 * self.pixels.dtype.itemsize


def read_still(path: Path, *, is_ours: bool = False) -> Still:
    """A picture file, turned as it is looked at.

    `is_ours`: it was just written, so that its size is true, however large.

    Raises:
        SourceError: it is missing, damaged, moves, or holds what is not read.
    """
    data = _bytes(path)
    with (
        _understood(path),
        _any_size(is_ours),
        Image.open(io.BytesIO(data), formats=FORMATS) as image,
    ):
        _check_single(path, image)
        exif = _exif(image)
        orientation = exif.pop(ORIENTATION, 1)
        image.load()
        bits = _bits_of(image, data)
        pixels, icc, notes = _pixels(path, image, data, bits)
        labels = Labels(icc, _exif_bytes(exif), _dpi(image), _texts(image))
        if "xmp" in image.info or (image.format == "TIFF" and _XMP in _tags(image)):
            notes.append("XMP is left out")
        if image.format == "TIFF" and pixels.dtype == np.uint8:
            orientation = 1  # Pillow has turned it
    return Still(path, _turned(pixels, orientation), labels, tuple(notes))


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise SourceError(f"{path} is no file: give a picture file")
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise SourceError(f"{path} has {size / 1e9:.1f} GB, more than any picture: left alone")
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror})") from error
    if not data:
        raise SourceError(f"{path} is an empty file")
    return data


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Whatever a reader raises is one sentence about the file; its warnings are nobody's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except SourceError:
        raise
    except UnidentifiedImageError as error:
        raise SourceError(f"{path} is no PNG, JPEG, WebP, TIFF, BMP or GIF picture") from error
    except Image.DecompressionBombError as error:
        raise SourceError(
            f"{path} states more than {MOST_PIXELS / 1e6:.0f} million pixels: cut it into parts"
        ) from error
    except _BROKEN as error:
        raise SourceError(f"{path} is damaged and cannot be read as a picture: {error}") from error


@contextmanager
def _any_size(is_ours: bool) -> Iterator[None]:
    """Lift Pillow's bound, which it keeps for all, where it does not apply."""
    bound = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = None if is_ours else bound
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = bound


def _check_single(path: Path, image: Image.Image) -> None:
    count = getattr(image, "n_frames", 1)
    if count > 1 and image.format == "TIFF":
        raise SourceError(f"{path} holds {count} pages: save them as files of their own")
    if count > 1 and image.format in ("GIF", "PNG", "WEBP"):
        advice = "let -o end in .mkv" if image.format == "GIF" else "convert it to a video first"
        raise SourceError(
            f"{path} is an animation of {count} pictures: {advice}, or save one picture of it"
        )


def _tags(image: Image.Image) -> dict[int, object]:
    return dict(getattr(image, "tag_v2", {}))


def _bits_of(image: Image.Image, data: bytes) -> int:
    """Bits of a channel."""
    if image.format == "PNG":
        return data[24]
    if image.format == "TIFF":
        bits = _tags(image).get(_BITS, 1)
        return max(bits) if isinstance(bits, tuple) else int(str(bits))
    return 8


def _pixels(
    path: Path, image: Image.Image, data: bytes, bits: int
) -> tuple[Pixels, bytes, list[str]]:
    """The pixels as they lie in the file, their colour profile, and what was left behind."""
    icc: bytes = image.info.get("icc_profile") or b""
    if image.mode in ("F", "I") or bits not in (1, 2, 4, 8, 16):
        raise SourceError(
            f"{path} has {bits} bits a channel, whole numbers of 8 or 16 are read: convert it"
        )
    if image.mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        notes = [] if image.mode == "YCbCr" else [f"{image.mode} becomes R'G'B'"]
        notes += ["16 bits become 8"] if bits == 16 else []
        return np.asarray(_as_rgb(image, icc)), b"", notes
    if bits == 16:
        return _deep_pixels(path, image, data), icc, []
    is_grey = image.mode in ("1", "L", "LA", "La")
    has_alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    mode = ("L" if is_grey else "RGB") + ("A" if has_alpha else "")
    notes = ["the palette becomes R'G'B'"] if image.mode in ("P", "PA") else []
    return _as_array(image, mode), icc, notes


def _as_array(image: Image.Image, mode: str) -> Pixels:
    """(H, W, C) uint8 in one of Pillow's modes; in bands, since Pillow copies twice on the way."""
    width, height = image.size
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode]
    found = np.empty((height, width, channels), np.uint8)
    for top in range(0, height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, height)
        band = np.asarray(image.crop((0, top, width, bottom)).convert(mode))
        found[top:bottom] = band.reshape(-1, width, channels)
    return found


def _as_rgb(image: Image.Image, icc: bytes) -> Image.Image:
    """By the file's profile where that can be used, into sRGB; else by the plain formula."""
    if image.mode == "YCbCr":
        return image.convert("RGB")
    srgb = ImageCms.createProfile("sRGB")
    try:
        if image.mode == "LAB":
            own: object = ImageCms.createProfile("LAB")
        else:
            own = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        changed = ImageCms.profileToProfile(image, own, srgb, outputMode="RGB")  # type: ignore[arg-type]
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")
    assert changed is not None
    return changed


def _deep_pixels(path: Path, image: Image.Image, data: bytes) -> Pixels:
    """(H, W, C) uint16, by FFmpeg's decoder."""
    assert image.format is not None
    decoder = av.CodecContext.create(image.format.lower(), "r")
    assert isinstance(decoder, av.VideoCodecContext)
    frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    name = frames[0].format.name if frames else "nothing"
    order = {"gbrp16": (2, 0, 1), "gbrap16": (2, 0, 1, 3)}.get(name[:-2], (0,))
    channels = {"gray16": 1, "ya16": 2, "rgb48": 3, "rgba64": 4}.get(name[:-2], 1)
    if name[:-2] not in ("gray16", "ya16", "rgb48", "rgba64", "gbrp16", "gbrap16"):
        raise SourceError(f"{path}: 16 bits a channel as {name} are not read: save it as PNG")
    planes = []
    for plane in (frames[0].planes[i] for i in order):
        rows = np.frombuffer(bytes(plane), dtype=">u2" if name.endswith("be") else "<u2")
        rows = rows.reshape(plane.height, -1)[:, : plane.width * channels]
        planes.append(rows.reshape(plane.height, plane.width, channels).astype(np.uint16))
    pixels = np.concatenate(planes, 2)
    extra = _tags(image).get(_EXTRA_SAMPLES, 2)
    if pixels.shape[2] in (2, 4) and extra in (1, (1,)):  # colours multiplied by alpha
        alpha = np.maximum(pixels[..., -1:].astype(np.float64), 1)
        plain = np.minimum(np.rint(pixels[..., :-1] * (65535 / alpha)), 65535)
        pixels[..., :-1] = plain.astype(np.uint16)
    return pixels


def _exif(image: Image.Image) -> Image.Exif:
    """What describes the picture; of a TIFF, whose own tags these are, none that say how it lies
    in the file."""
    found = image.getexif()
    kept = Image.Exif()
    for tag in found:
        is_layout = image.format == "TIFF" and tag not in (*_TOLD_BY_TIFF, ORIENTATION)
        if tag in (_EXIF_FOLDER, _GPS_FOLDER):
            kept[tag] = dict(found.get_ifd(tag))
        elif tag not in RESOLUTIONS and not is_layout:
            kept[tag] = found[tag]
    return kept


def _exif_bytes(exif: Image.Exif) -> bytes:
    return exif.tobytes() if len(exif) else b""


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    found = image.info.get("dpi")
    if not isinstance(found, tuple) or len(found) != 2:
        return None
    across, down = (float(value) for value in found)
    sound = all(math.isfinite(value) and 1 < value < 1e6 for value in (across, down))
    return (across, down) if sound else None


def _texts(image: Image.Image) -> tuple[tuple[str, str], ...]:
    texts = getattr(image, "text", {}) if image.format == "PNG" else {}
    found = [(str(key), str(text)) for key, text in texts.items() if key != "XML:com.adobe.xmp"]
    comment = image.info.get("comment")
    if image.format in _WORDY and isinstance(comment, bytes) and comment:
        found.append(("Comment", comment.decode("utf-8", "replace")))
    return tuple(found)


def _turned(pixels: Pixels, orientation: object) -> Pixels:
    """As EXIF says that it is to be looked at (orientations 1 to 8)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
