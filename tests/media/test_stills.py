"""Picture files: what is written is what is read, in every depth, with what they say beside it."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from remaster.errors import OutputError, SourceError, VerificationError
from remaster.media.still_reader import Labels, read_still
from remaster.media.still_writer import losses_of, write_still

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(
    height: int, width: int, channels: int, depth: int = 8, seed: int = 0
) -> NDArray[np.generic]:
    rng = np.random.default_rng(seed)
    dtype = np.uint8 if depth == 8 else np.uint16
    return rng.integers(0, 2**depth, (height, width, channels), dtype=dtype)


def exif(orientation: int = 1) -> Image.Exif:
    made, found = Image.Exif(), Image.Exif()
    made[0x0112] = orientation
    made[0x010F] = "a camera"
    made[0x8769] = {0xA002: 30, 0xA003: 20, 0x9003: "2001:02:03 04:05:06"}
    found.load(made.tobytes())
    return found


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), st.sampled_from([8, 16]),
    st.sampled_from([".png", ".tif"]), st.booleans(),
)  # fmt: skip
def test_every_pixel_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    height: int, width: int, channels: int, depth: int, ending: str, smooth: bool,
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("stills") / f"a{ending}"
    pixels = noise(height, width, channels, depth)
    if smooth:
        pixels = np.cumsum(pixels, 1, dtype=pixels.dtype) // 3
    write_still(path, pixels, Labels(), overwrite=False)
    found = read_still(path)
    if (channels, depth, ending) == (2, 16, ".tif"):  # nobody reads grey of that sort
        pixels = pixels[..., [0, 0, 0, 1]]
    assert found.pixels.dtype == pixels.dtype and np.array_equal(found.pixels, pixels)
    assert found.notes == ()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_others_read_what_is_written(tmp_path: Path, channels: int) -> None:
    pixels = noise(20, 30, channels)
    for ending in ("png", "tiff", "webp"):
        path = tmp_path / f"a.{ending}"
        write_still(path, pixels, Labels(), overwrite=False)
        with Image.open(path) as image:
            found = np.asarray(image)
        if ending == "webp" and channels < 3:
            found = found[..., [0, 3][:channels]]
        assert np.array_equal(found.reshape(pixels.shape), pixels)


def test_bands_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remaster.media.still_writer._BAND_BYTES", 1000)
    pixels = noise(45, 37, 3, 16)
    for ending in ("png", "tif", "jpg"):
        path = tmp_path / f"a.{ending}"
        shallow = (pixels >> 8).astype(np.uint8)
        write_still(path, shallow if ending == "jpg" else pixels, Labels(), overwrite=False)
        assert read_still(path).pixels.shape == pixels.shape


@pytest.mark.parametrize("ending", ["png", "webp", "jpg", "tif"])
def test_labels_survive(tmp_path: Path, ending: str) -> None:
    texts = (("Author", "寺沢"), ("Comment", "two\nlines"))
    labels = Labels(SRGB, exif().tobytes(), (300.0, 150.0), texts)
    pixels = noise(40, 60, 3)
    write_still(tmp_path / f"a.{ending}", pixels, labels, overwrite=False)
    found = read_still(tmp_path / f"a.{ending}").labels
    lost = " ".join(losses_of(f".{ending}", pixels, labels))
    assert found.icc == SRGB
    read = Image.Exif()
    read.load(found.exif)
    assert read[0x010F] == "a camera"
    if ending != "tif":
        details = read.get_ifd(0x8769)
        assert (details[0xA002], details[0xA003]) == (60, 40)
        assert details[0x9003] == "2001:02:03 04:05:06"
    assert ("EXIF" in lost) == (ending == "tif")
    if ending == "webp":
        assert found.dpi is None and "dpi" in lost
    else:
        assert found.dpi == pytest.approx((300, 150), abs=0.02)
    kept = {"png": texts, "jpg": texts[1:]}.get(ending, ())
    assert found.texts == kept
    assert ("texts" in lost) == (kept != texts)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_a_picture_lies_as_it_is_looked_at(tmp_path: Path, orientation: int, ending: str) -> None:
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :8], pixels[8:, 24:] = (255, 0, 0), (0, 0, 255)
    path = tmp_path / f"a.{ending}"
    Image.fromarray(pixels).save(path, exif=exif(orientation), quality=95, lossless=True)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    found = read_still(path)
    assert found.pixels.shape == expected.shape
    assert np.abs(found.pixels - expected).max() <= 2
    if found.labels.exif:
        read = Image.Exif()
        read.load(found.labels.exif)
        assert read.get(0x0112, 1) == 1


def test_a_deep_tiff_lies_as_it_is_looked_at(tmp_path: Path) -> None:
    pixels = noise(4, 6, 3, 16)
    path = tmp_path / "a.tif"
    write_still(path, pixels, Labels(), overwrite=False)
    data = path.read_bytes()
    entry = struct.pack("<HHIH", 274, 3, 1, 1)
    assert data.count(entry) == 1
    path.write_bytes(data.replace(entry, struct.pack("<HHIH", 274, 3, 1, 6)))
    assert np.array_equal(read_still(path).pixels, np.rot90(pixels, -1))


def saved(image: Image.Image, path: Path, **how: object) -> NDArray[np.generic]:
    image.save(path, **how)
    return read_still(path).pixels


def test_every_mode_has_its_channels(tmp_path: Path) -> None:
    grey, color = noise(9, 7, 1)[..., 0], noise(9, 7, 4)
    png = tmp_path / "a.png"
    assert np.array_equal(saved(Image.fromarray(grey), png)[..., 0], grey)
    assert np.array_equal(saved(Image.fromarray(color[..., :2]), png), color[..., :2])
    assert np.array_equal(saved(Image.fromarray(color), png), color)
    bitmap = Image.fromarray(grey > 127)
    assert np.array_equal(saved(bitmap, png)[..., 0], (grey > 127) * np.uint8(255))
    palette = Image.fromarray(color[..., :3]).quantize(16)
    assert np.array_equal(saved(palette, png), np.asarray(palette.convert("RGB")))
    assert saved(palette, png, transparency=3).shape == (9, 7, 4)
    assert saved(palette, tmp_path / "a.gif").shape == (9, 7, 3)
    assert np.array_equal(
        saved(Image.fromarray(color[..., :3]), tmp_path / "a.bmp"), color[..., :3]
    )
    keyed = saved(
        Image.fromarray(color[..., :3]), png, transparency=tuple(color[0, 0, :3].tolist())
    )
    assert keyed.shape == (9, 7, 4) and keyed[0, 0, 3] == 0 and keyed[8, 6, 3] == 255


def test_bands_are_read_as_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remaster.media.still_reader.BAND_ROWS", 5)
    colors = noise(23, 11, 4)
    palette = Image.fromarray(colors[..., :3]).quantize(16)
    png = tmp_path / "a.png"
    assert np.array_equal(saved(Image.fromarray(colors), png), colors)
    assert np.array_equal(saved(Image.fromarray(colors[..., :2]), png), colors[..., :2])
    found = saved(palette, png, transparency=3)
    with Image.open(png) as image:
        assert np.array_equal(found, np.asarray(image.convert("RGBA")))


def test_deep_greys_of_others(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)
    for ending in ("png", "tif"):
        found = saved(Image.fromarray(ramp), tmp_path / f"a.{ending}")
        assert found.dtype == np.uint16 and np.array_equal(found[..., 0], ramp)


def test_four_inks_become_three_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (20, 10), (0, 255, 255, 0)).save(path)
    found = read_still(path)
    assert found.notes == ("CMYK becomes R'G'B'",)
    red, green, blue = found.pixels[5, 5].tolist()
    assert red > 200 and max(green, blue) < 60
    assert not found.labels.icc


def frames(ending: str, path: Path) -> Path:
    pictures = [Image.fromarray(noise(8, 8, 3, seed=i)) for i in range(3)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    return path


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif"])
def test_what_moves_or_has_pages_is_refused(tmp_path: Path, ending: str) -> None:
    path = frames(ending, tmp_path / f"a.{ending}")
    with pytest.raises(SourceError, match=r"3 (pictures|pages)"):
        read_still(path)


def test_floats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(np.zeros((4, 4), np.float32)).save(path)
    with pytest.raises(SourceError, match="32 bits a channel"):
        read_still(path)


def damaged(tmp_path: Path) -> dict[str, bytes]:
    files = {"empty.png": b"", "words.png": b"these are words", "head.png": b"\x89PNG\r\n\x1a\n"}
    for ending in ("png", "jpg", "webp", "tif", "bmp", "gif"):
        memory = io.BytesIO()
        kind = {"jpg": "JPEG", "tif": "TIFF"}.get(ending, ending.upper())
        Image.fromarray(noise(40, 40, 3)).save(memory, kind)
        files[f"half.{ending}"] = memory.getvalue()[: len(memory.getvalue()) // 2]
    deep = tmp_path / "deep.png"
    write_still(deep, noise(40, 40, 3, 16), Labels(), overwrite=False)
    files["half16.png"] = deep.read_bytes()[:3000]
    return files


def test_damage_is_one_sentence(tmp_path: Path) -> None:
    for name, data in damaged(tmp_path).items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(SourceError) as error:
            read_still(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value), name
    for path in (tmp_path, tmp_path / "none.png"):
        with pytest.raises(SourceError, match=str(path)):
            read_still(path)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_flipped_bytes_never_surprise(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    ending = data.draw(st.sampled_from(["png", "tif"]))
    path = folder / f"a.{ending}"
    labels = Labels(SRGB[:200], exif().tobytes(), (72.0, 72.0), (("a", "b"),))
    write_still(path, noise(6, 6, 3, data.draw(st.sampled_from([8, 16]))), labels, overwrite=False)
    held = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        held[data.draw(st.integers(0, len(held) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(held)
    with suppress(SourceError):
        assert read_still(path).pixels.ndim == 3


def test_transparency_is_laid_on_white_where_there_is_none(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[..., 3] = 0
    pixels[:8] = (0, 0, 0, 255)
    write_still(tmp_path / "a.jpg", pixels, Labels(), overwrite=False)
    found = read_still(tmp_path / "a.jpg").pixels
    assert found[0, 0].max() < 3 and found[15, 0].min() > 252
    assert any("white" in words for words in losses_of(".jpg", pixels, Labels()))


def test_what_is_larger_than_any_source_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    path = tmp_path / "a.png"
    write_still(path, noise(20, 20, 3), Labels(), overwrite=False)
    assert Image.MAX_IMAGE_PIXELS == 50
    with pytest.raises(SourceError, match="million pixels"):
        read_still(path)


def test_what_others_would_not_read_is_not_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers = {"png": lambda file, *_: file.write(b"\x89PNG")}
    monkeypatch.setattr("remaster.media.still_writer._WRITERS", writers)
    with pytest.raises(VerificationError, match="cannot be read back"):
        write_still(tmp_path / "a.png", noise(4, 4, 3), Labels(), overwrite=False)

    def another(file: io.BufferedWriter, pixels: NDArray[np.uint8], *_: object) -> None:
        Image.fromarray(255 - pixels).save(file, "PNG")

    monkeypatch.setattr("remaster.media.still_writer._WRITERS", {"png": another})
    with pytest.raises(VerificationError, match="does not hold"):
        write_still(tmp_path / "a.png", noise(4, 4, 3), Labels(), overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_deep_transparency_by_a_colour_is_alpha(tmp_path: Path) -> None:
    pixels = noise(5, 5, 3, 16)
    path = tmp_path / "a.png"
    write_still(path, pixels, Labels(), overwrite=False)
    data, key = path.read_bytes(), pixels[2, 3].astype(">u2").tobytes()
    chunk = struct.pack(">I", 6) + b"tRNS" + key + struct.pack(">I", zlib.crc32(b"tRNS" + key))
    path.write_bytes(data.replace(data[33:], chunk + data[33:]))
    found = read_still(path).pixels
    assert found.shape == (5, 5, 4) and np.array_equal(found[..., :3], pixels)
    assert found[2, 3, 3] == 0 and found[0, 0, 3] == 65535


def test_lab_becomes_colours(tmp_path: Path) -> None:
    Image.new("LAB", (6, 6), (200, 128, 128)).save(tmp_path / "a.tif")
    found = read_still(tmp_path / "a.tif")
    assert found.notes == ("LAB becomes R'G'B'",)
    assert np.ptp(found.pixels[0, 0].astype(int)) < 6 and found.pixels[0, 0, 0] > 150


def test_nothing_is_replaced_and_nothing_left_over(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError):
        write_still(path, noise(4, 4, 3), Labels(), overwrite=False)
    assert path.read_bytes() == b"mine"
    for kept in tmp_path.glob("*.finished*"):
        kept.unlink()
    write_still(path, noise(4, 4, 3), Labels(), overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_text_of_png_that_others_wrote(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "page 1")
    info.add_itxt("Series", "第1巻")
    Image.fromarray(noise(4, 4, 3)).save(tmp_path / "a.png", pnginfo=info)
    assert read_still(tmp_path / "a.png").labels.texts == (("Title", "page 1"), ("Series", "第1巻"))
