"""Pictures enlarged: depth, alpha and labels kept, modes as their authors had them, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms

from remaster import stills
from remaster.checkpoint import Card, load_model, save_model
from remaster.denoising import Denoising, denoised
from remaster.errors import (
    MemoryShortage,
    OptionsError,
    OutputError,
    RemasterError,
    SourceError,
)
from remaster.media.still_reader import Labels, read_still
from remaster.media.still_writer import write_still
from remaster.models.srcnn import MSRCNN, SRCNN, MSRCNNConfig, SRCNNConfig
from remaster.options import RunOptions
from remaster.pipeline import run
from remaster.stills import enlarge_still, plan_still
from tests.clips import make_clip

Array = NDArray[Any]


def picture(path: Path, pixels: Array, labels: Labels | None = None) -> Path:
    write_still(path, pixels, labels or Labels(), overwrite=True)
    return path


def noise(height: int, width: int, channels: int = 3, depth: int = 8) -> Array:
    rng = np.random.default_rng(7)
    return rng.integers(0, 2**depth, (height, width, channels)).astype(f"uint{depth}")


def smooth(height: int = 24, width: int = 32) -> Array:
    """Soft colours: nothing that a kernel would clip."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 3 + k) * np.cos(y / 4 - k) for k in range(3)]
    return (128 + 70 * np.stack(waves, 2)).astype(np.uint8)


def enlarged(source: Path, output: Path, **options: Any) -> Array:
    enlarge_still(source, output, RunOptions(**options))
    return read_still(output).pixels


def weights(folder: Path, enlargement: str = "bilinear", arch: str = "m-srcnn") -> str:
    """A file of random ones; what they give follows what they are fed."""
    torch.manual_seed(5)
    model: SRCNN | MSRCNN
    if arch == "srcnn":
        model = SRCNN(SRCNNConfig(2, "canonical", enlargement))
    else:
        model = MSRCNN(MSRCNNConfig(2, enlargement))
    path = folder / f"{arch}-{enlargement}.safetensors"
    config = {"scale": 2, "enlargement": enlargement}
    config |= {"variant": "canonical"} if arch == "srcnn" else {}
    save_model(path, model, Card(arch, config, 2))
    return str(path)


# What is kept


def test_a_deep_ramp_stays_deep_and_rises(tmp_path: Path) -> None:
    row = np.linspace(1000, 64000, 400).astype(np.uint16)
    for channels in (1, 3):
        source = picture(tmp_path / "a.png", np.tile(row[None, :, None], (12, 1, channels)))
        for model in ("lanczos", "auto"):
            found = enlarged(source, tmp_path / "b.png", model=model, overwrite=True)
            assert found.dtype == np.uint16 and found.shape == (24, 800, channels)
            middle = found[12, 16:-16].astype(int)
            assert len(np.unique(middle[:, 0])) > 700  # 8 bits have 256
            if model == "lanczos":
                assert (np.diff(middle, axis=0) >= 0).all()
        found = enlarged(  # x2, then Lanczos
            source, tmp_path / "b.png", size=(700, 21), model="bicubic", overwrite=True
        )
        places = (np.arange(700) + 0.5) * 400 / 700 - 0.5
        wanted = np.interp(places, np.arange(400), row)
        assert np.abs(found[10, 9:-9, 0] - wanted[9:-9]).max() < 20  # a level of 8 bits is 257


@pytest.mark.parametrize("endings", [("png", "tif"), ("tif", "png"), ("png", "png")])
def test_identity_keeps_every_number(tmp_path: Path, endings: tuple[str, str]) -> None:
    for channels in (1, 2, 3, 4):
        for depth in (8, 16):
            pixels = noise(9, 13, channels, depth)
            pixels[..., -1:] |= 1 if channels in (2, 4) else 0  # nothing hidden
            source = picture(tmp_path / f"a.{endings[0]}", pixels)
            pixels = read_still(source).pixels
            output = tmp_path / f"b.{endings[1]}"
            found = enlarged(source, output, model="identity", overwrite=True)
            expected = read_still(picture(tmp_path / f"c.{endings[1]}", pixels)).pixels
            assert found.dtype == expected.dtype
            assert np.abs(found.astype(int) - expected).max() <= (depth == 16)


def test_grey_stays_grey_and_palettes_become_colours(tmp_path: Path) -> None:
    grey = picture(tmp_path / "a.png", smooth()[..., :1])
    assert enlarged(grey, tmp_path / "b.png").shape == (48, 64, 1)
    Image.fromarray(smooth()).quantize(8).save(tmp_path / "p.png")
    assert enlarged(tmp_path / "p.png", tmp_path / "q.png").shape == (48, 64, 3)
    for name, notes in (("a.png", ()), ("p.png", ("the palette becomes R'G'B'",))):
        plan = plan_still(tmp_path / name, tmp_path / "new.png", RunOptions())
        assert plan.losses == plan.notes == notes


def test_edges_of_alpha_have_no_fringe(tmp_path: Path) -> None:
    """A white disc on nothing, whose hidden colour is black, stays white to its last pixel."""
    y, x = np.mgrid[:40, :40]
    inside = (y - 20) ** 2 + (x - 20) ** 2 < 14**2
    pixels = np.where(inside[..., None], 255, 0).astype(np.uint8).repeat(4, 2)
    source = picture(tmp_path / "a.png", pixels)
    for model in ("auto", "lanczos"):
        for options in ({"scale": 2}, {"scale": 3}, {"size": (100, 90)}):
            found = enlarged(source, tmp_path / "b.png", model=model, overwrite=True, **options)
            shows = found[..., 3] > 0
            assert found[..., :3][shows].min() >= 250, (model, options)
            assert 0.9 < found[..., 3].mean() / pixels[..., 3].mean() < 1.1
            assert (found[..., 3] == 255).any() and (found[..., 3] == 0).any()


def test_labels_survive(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010E] = "page 1"
    labels = Labels(profile, exif.tobytes(), (300.0, 300.0), (("Title", "第1話"),))
    source = picture(tmp_path / "a.png", smooth(), labels)
    for ending in ("png", "webp", "jpg", "tif"):
        result = enlarge_still(source, tmp_path / f"b.{ending}", RunOptions(model="bicubic"))
        found = read_still(tmp_path / f"b.{ending}").labels
        assert found.icc == profile
        assert b"page 1" in found.exif
        said = " ".join(result.plan.notes)
        assert (found.dpi is None) == ("dpi" in said)
        assert (found.texts == ()) == ("texts" in said)
        assert len(result.plan.notes) <= 1


def test_a_turned_photograph_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(smooth(20, 30)).save(tmp_path / "a.jpg", exif=exif)
    assert enlarged(tmp_path / "a.jpg", tmp_path / "b.jpg").shape == (60, 40, 3)
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.getexif().get(0x0112, 1) == 1
        assert image.size == (40, 60)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (1, 200)])
def test_small_pictures(tmp_path: Path, size: tuple[int, int]) -> None:
    source = picture(tmp_path / "a.png", noise(*size, 4))
    for options in ({}, {"scale": 3}, {"model": "lanczos"}, {"ensemble": True}):
        found = enlarged(source, tmp_path / "b.png", overwrite=True, **options)
        times = options.get("scale", 2)
        assert found.shape == (size[0] * times, size[1] * times, 4)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"scale": 3}, (90, 63)),
        ({"height": 50}, (71, 50)),
        ({"size": (61, 47)}, (61, 47)),
        ({"size": (20, 16)}, (20, 16)),
        ({"size": (14, 10)}, (14, 10)),
        ({"height": 7}, (10, 7)),
        ({"height": 1}, (1, 1)),
        ({"model": "identity"}, (30, 21)),
        ({}, (60, 42)),
    ],
)
def test_every_size_can_be_asked_for(
    tmp_path: Path, options: dict[str, Any], size: tuple[int, int]
) -> None:
    source = picture(tmp_path / "a.png", smooth(21, 30))
    with Image.open(source) as image:
        expected = np.asarray(image.resize(size, Image.Resampling.BICUBIC)).astype(int)
    found = enlarged(source, tmp_path / "b.png", **options)
    assert found.shape == (size[1], size[0], 3)
    assert np.abs(found - expected).mean() < 6  # the same picture, at the same place


def test_sides_of_a_film_have_other_bounds(tmp_path: Path) -> None:
    film = make_clip(tmp_path / "a.mkv", frames=1)
    still = picture(tmp_path / "a.png", noise(1, 2, 1))
    for options in ({"height": 15}, {"size": (16, 17000)}):
        with pytest.raises(OptionsError, match="16 to 16384"):
            run(film, tmp_path / "b.mkv", RunOptions(**options))
        plan_still(still, tmp_path / "b.png", RunOptions(**options))
    for options in ({"height": 0}, {"size": (20, 0)}):
        with pytest.raises(OptionsError, match="at least 1 pixel"):
            RunOptions(**options)
    with pytest.raises(OptionsError, match="65500"):
        plan_still(still, tmp_path / "b.png", RunOptions(height=65501))


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"size": (1000, 1000)}, "from 4:3 to 1:1"),
        ({"size": (1001, 333)}, "from 4:3 to 3.006:1"),
        ({"size": (320, 243)}, "from 4:3 to 1.317:1"),
        ({"size": (500, 375)}, None),
        ({"size": (501, 376)}, None),
        ({"height": 77}, None),
        ({"scale": 3}, None),
        ({"height": 3}, None),
    ],
)
def test_a_change_of_aspect_is_said(
    tmp_path: Path, options: dict[str, Any], note: str | None
) -> None:
    source = picture(tmp_path / "a.png", noise(120, 160, 1))
    for model in ("fast-x2", weights(tmp_path)):
        plan = plan_still(source, tmp_path / "b.png", RunOptions(model=model, **options))
        said = [each for each in plan.notes if "aspect" in each]
        assert said == ([] if note is None else [f"the aspect changes {note}"])


# m-SRCNN's modes


def test_sizes_of_the_modes(tmp_path: Path) -> None:
    source, model = picture(tmp_path / "a.png", smooth(20, 30)), weights(tmp_path)
    for mode, options, size in (
        ("enhance", {}, (20, 30)),
        ("enlarge", {}, (40, 60)),
        ("enlarge", {"scale": 3}, (60, 90)),
        ("enlarge", {"height": 31}, (31, 46)),
        ("double-enhance", {"scale": 2}, (40, 60)),
        ("double-enlarge", {"scale": 1}, (20, 30)),
        ("double-enlarge", {"size": (33, 22)}, (22, 33)),
    ):
        found = enlarged(
            source, tmp_path / "b.png", mode=mode, model=model, overwrite=True, **options
        )
        assert found.shape == (*size, 3), mode


def opencv_enhanced(model: SRCNN | MSRCNN, bgr: Array, fed: Array | None = None) -> Array:
    """As the authors' program: luma of 8 bits through the network at this size; but rounded."""
    cv2 = pytest.importorskip("cv2")
    ycc = cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb)
    luma = ycc[..., 0] if fed is None else fed
    x = torch.from_numpy(luma / np.float32(255))[None, None]
    with torch.inference_mode():
        y = model(x.float())[0, 0].numpy() * 255
    ycc[..., 0] = np.rint(y).clip(0, 255).astype(np.uint8)
    return cv2.cvtColor(ycc, cv2.COLOR_YCrCb2BGR)


@pytest.mark.parametrize("arch", ["srcnn", "m-srcnn"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_enlarging_is_the_authors_way(tmp_path: Path, arch: str, times: int) -> None:
    """Against OpenCV's functions, step for step, within what their 8 bits between steps cost."""
    cv2 = pytest.importorskip("cv2")
    model_path = weights(tmp_path, "bicubic", arch)
    model, _ = load_model(Path(model_path))
    assert isinstance(model, (SRCNN, MSRCNN))
    at_one = stills.at_scale(model, 1)
    assert isinstance(at_one, (SRCNN, MSRCNN))
    source = picture(tmp_path / "a.png", smooth())
    bgr = smooth()[..., ::-1].copy()
    large = cv2.resize(bgr, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    expected = opencv_enhanced(at_one, large)[..., ::-1].astype(int)
    options = {"mode": "enhance"} if times == 1 else {"mode": "enlarge", "scale": times}
    found = enlarged(source, tmp_path / "b.png", model=model_path, **options).astype(int)
    assert np.abs(found - expected).mean() < 1
    assert np.abs(found - expected).max() <= 6


def test_a_network_is_fed_by_its_own_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also at sizes that no whole number reaches; chroma is cubic in each."""
    cv2 = pytest.importorskip("cv2")
    source = picture(tmp_path / "a.png", smooth(20, 30))
    for name, kernel in (("bilinear", cv2.INTER_LINEAR), ("bicubic", cv2.INTER_CUBIC)):
        fed: list[Array] = []

        def forward(self: SRCNN, luma: torch.Tensor, fed: list[Array] = fed) -> torch.Tensor:
            fed.append(self.enlarged(luma)[0, 0].numpy())
            return torch.from_numpy(fed[-1])[None, None]

        monkeypatch.setattr(SRCNN, "forward", forward)
        for size in ((45, 31), (60, 40)):
            path = weights(tmp_path, name, "srcnn")
            found = enlarged(
                source, tmp_path / "b.png", model=path, mode="enlarge", size=size, overwrite=True
            )
            bgr = smooth(20, 30)[..., ::-1].astype(np.float32)
            ycc = cv2.cvtColor(bgr / 255, cv2.COLOR_BGR2YCrCb)
            luma = cv2.resize(ycc[..., 0], size, interpolation=kernel)
            assert np.abs(fed[-1] - luma).max() < 1e-3, (name, size)
            chroma = cv2.resize(ycc[..., 1:], size, interpolation=cv2.INTER_CUBIC)
            whole = np.concatenate([luma[..., None], chroma], 2)
            expected = cv2.cvtColor(whole, cv2.COLOR_YCrCb2BGR)[..., ::-1] * 255
            assert np.abs(found - expected).max() <= 1.5, (name, size)


def test_the_double_modes_step_by_step(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    source, model = picture(tmp_path / "a.png", smooth()), weights(tmp_path)
    common: dict[str, Any] = {"model": model, "overwrite": True}
    once = enlarged(source, tmp_path / "b.png", mode="enlarge", **common)
    for between in (0, 1):
        fed = denoised(once) if between else once
        middle = picture(tmp_path / "m.png", fed)
        again = enlarged(middle, tmp_path / "c.png", mode="enhance", **common)
        expected = denoised(denoised(again), Denoising().final)
        found = enlarged(
            source, tmp_path / "d.png", mode="double-enhance", denoise_as_input=between, **common
        )
        assert np.abs(found.astype(int) - expected).max() <= 2
        twice = enlarged(middle, tmp_path / "c.png", mode="enlarge", **common)
        half = cv2.resize(twice, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_CUBIC)
        found = enlarged(
            source, tmp_path / "d.png", mode="double-enlarge", denoise_as_input=between, **common
        )
        assert np.abs(found.astype(int) - denoised(half)).mean() < 0.5


def test_halving_skips_no_softening(tmp_path: Path) -> None:
    """The double enlargement's last step is OpenCV's cubic kernel, not widened."""
    cv2 = pytest.importorskip("cv2")
    common: dict[str, Any] = {"model": weights(tmp_path, arch="srcnn"), "overwrite": True}
    source = picture(tmp_path / "a.png", noise(20, 30))
    once = picture(tmp_path / "m.png", enlarged(source, tmp_path / "b.png", **common))
    twice = enlarged(once, tmp_path / "c.png", mode="enlarge", **common)
    half = cv2.resize(twice, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_CUBIC)
    found = enlarged(
        source, tmp_path / "d.png", mode="double-enlarge", denoise_as_input=0,
        denoise_strength=0.0, denoise_bilateral=0.0, **common,
    )  # fmt: skip
    assert np.abs(found.astype(int) - half).max() <= 1


def test_an_ensemble_is_the_same_from_every_side(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png", noise(14, 20))
    turned = picture(tmp_path / "t.png", np.rot90(noise(14, 20)))
    for is_same in (False, True):
        options = {"ensemble": is_same, "overwrite": True}
        one = enlarged(source, tmp_path / "b.png", **options).astype(int)
        other = np.rot90(enlarged(turned, tmp_path / "b.png", **options), -1).astype(int)
        assert (np.abs(one - other).max() <= 1) == is_same


@pytest.mark.parametrize(
    ("precision", "dtype"), [("auto", torch.float32), ("bf16", torch.bfloat16)]
)
def test_precision_is_as_it_is_asked_for(
    tmp_path: Path, precision: str, dtype: torch.dtype
) -> None:
    source = picture(tmp_path / "a.png", smooth())
    options = RunOptions(precision=precision)
    assert plan_still(source, tmp_path / "b.png", options).dtype == dtype
    found = enlarged(source, tmp_path / "b.png", precision=precision)
    assert np.abs(found - enlarged(source, tmp_path / "c.png").astype(int)).max() <= 8


def test_denoising_is_what_its_options_say(tmp_path: Path) -> None:
    rough = (smooth() + np.random.default_rng(0).normal(0, 6, (24, 32, 3))).clip(0, 255)
    source = picture(tmp_path / "a.png", rough.astype(np.uint8))
    plain = enlarged(source, tmp_path / "b.png", model="bicubic")
    found = enlarged(
        source, tmp_path / "c.png", model="bicubic", denoise=True, denoise_strength=12.0,
        denoise_color=3.0, denoise_template=5, denoise_search=11, denoise_bilateral=20.0,
    )  # fmt: skip
    assert np.array_equal(found, denoised(plain, Denoising(12, 3, 5, 11, 20)))
    same = enlarged(source, tmp_path / "d.png", model="bicubic", denoise=True, denoise_strength=9.0)
    assert np.array_equal(same, denoised(plain, Denoising(9, 9)))


def test_denoised_greys_and_deep_pictures_stay_so(tmp_path: Path) -> None:
    for pixels in (noise(16, 16, 1), noise(16, 16, 3, 16), noise(16, 16, 4)):
        source = picture(tmp_path / "a.png", pixels)
        result = enlarge_still(
            source,
            tmp_path / "b.png",
            RunOptions(model="bicubic", denoise=True, overwrite=True),
        )
        found = read_still(tmp_path / "b.png").pixels
        assert (found.shape[2], found.dtype) == (pixels.shape[2], pixels.dtype)
        assert any("8 bits" in note for note in result.plan.notes) == (pixels.dtype == np.uint16)


# What is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "enhance", "model": "fast-x2"}, "SRCNN"),
        ({"codec": "libx265"}, "--codec is for films"),
        ({"reuse": "off"}, "--reuse is for films"),
        ({"start": 1}, "--start is for films"),
        ({"format": "mkv"}, "--format is for films"),
        ({"model": "best"}, "neither"),
        ({"device": "abacus"}, "--device"),
        ({"scale": 16, "height": None, "model": "lanczos"}, None),
    ],
)
def test_options_that_cannot_be_met(
    tmp_path: Path, options: dict[str, Any], words: str | None
) -> None:
    source = picture(tmp_path / "a.png", noise(4, 6))
    if words is None:
        assert enlarged(source, tmp_path / "b.png", **options).shape == (64, 96, 3)
        return
    with pytest.raises(OptionsError, match=words):
        enlarge_still(source, tmp_path / "b.png", RunOptions(**options))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "sharpen"},
        {"mode": "enhance", "scale": 2},
        {"denoise_strength": 3.0},
        {"denoise": True, "denoise_template": 4},
        {"denoise": True, "denoise_bilateral": -1.0},
        {"denoise": True, "denoise_as_input": 0},
        {"mode": "double-enhance", "denoise_as_input": 2},
        {"denoise": True, "denoise_search": 2.5},
    ],
)
def test_options_that_no_picture_meets(options: dict[str, Any]) -> None:
    with pytest.raises(OptionsError):
        RunOptions(**options)


@pytest.mark.parametrize("name", ["mode", "ensemble", "denoise"])
def test_films_have_no_modes(tmp_path: Path, name: str) -> None:
    source = make_clip(tmp_path / "a.mkv", frames=1)
    value = "enlarge" if name == "mode" else True
    with pytest.raises(OptionsError, match=f"--{name} is for pictures"):
        run(source, tmp_path / "b.mkv", RunOptions(**{name: value}))


@pytest.mark.parametrize("output", ["b.mkv", "b", "b.bmp", "-"])
def test_outputs_that_are_no_pictures(tmp_path: Path, output: str) -> None:
    source = picture(tmp_path / "a.png", noise(4, 4))
    with pytest.raises(OptionsError, match="let it end in"):
        enlarge_still(source, tmp_path / output)


def test_nothing_is_replaced_unasked_and_nothing_half_done_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = picture(tmp_path / "a.png", noise(8, 8))
    (tmp_path / "b.png").write_bytes(b"mine")
    for output in ("b.png", "a.png"):
        with pytest.raises(OutputError):
            enlarge_still(source, tmp_path / output)
    with pytest.raises(OutputError, match="input itself"):
        enlarge_still(source, source, RunOptions(overwrite=True))
    assert (tmp_path / "b.png").read_bytes() == b"mine"

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zlib.compressobj", broken)
    with pytest.raises(OutputError, match="disk is full"):
        enlarge_still(source, tmp_path / "c.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_sizes_beyond_reason_are_refused_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = picture(tmp_path / "a.png", noise(1, 5000, 1))
    with pytest.raises(OptionsError, match="65500"):
        plan_still(source, tmp_path / "b.png", RunOptions(scale=16))
    with pytest.raises(OptionsError, match="16383"):
        plan_still(source, tmp_path / "b.webp", RunOptions(scale=4))
    monkeypatch.setattr(stills, "available_memory", lambda: 1000)
    with pytest.raises(MemoryShortage, match="GB are free"):
        plan_still(source, tmp_path / "b.png", RunOptions())


def test_damaged_sources_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    whole = picture(tmp_path / "b.png", noise(50, 50)).read_bytes()
    (tmp_path / "b.png").write_bytes(whole[:4000])
    for name in ("a.png", "b.png", "none.png"):
        with pytest.raises(SourceError, match=name):
            enlarge_still(tmp_path / name, tmp_path / "out.png")


# What is said


def test_a_report_tells_of_a_picture(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png", noise(8, 8, 3, 16))
    told: list[tuple[int, int]] = []
    enlarge_still(
        source,
        tmp_path / "b.jpg",
        RunOptions(report=tmp_path / "did.json"),
        progress=lambda done, total: told.append((done, total)),
    )
    (said,) = json.loads((tmp_path / "did.json").read_text())["pictures"]
    assert said["output_size_px"] == [16, 16] and said["bit_depth"] == 8
    assert "16 bits become 8" in said["notes"][0]
    assert said["bytes"] == (tmp_path / "b.jpg").stat().st_size
    assert told == [(1, 1)]


def test_planning_writes_nothing(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png", noise(8, 8))
    plan = plan_still(source, tmp_path / "new" / "b.png", RunOptions(), folder_to_come=True)
    assert stills.seconds_for(plan) > 0
    assert stills.seconds_for(replace(plan, size=(16, 16))) > 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(RemasterError):
        plan_still(source, tmp_path / "new" / "b.png", RunOptions())
