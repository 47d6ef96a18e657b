"""The protocols do what they say, and what is known to be better comes out better."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import structural_similarity
from torch import Tensor

from remaster.errors import DataError, OptionsError
from remaster.models.srcnn import MSRCNN, SRCNN, MSRCNNConfig, SRCNNConfig
from remaster.train import evaluate
from remaster.train.drawing import draw_frame
from remaster.train.evaluate import (
    PROTOCOLS,
    Trial,
    at_scale,
    clean_interpolations,
    clean_network,
    clean_pair,
    clean_values,
    damaged,
    enlarge,
    find_material,
    mean_values,
    methods_of,
    msrcnn_interpolations,
    msrcnn_network,
    msrcnn_pair,
    msrcnn_values,
    read_truth,
    score,
    wrongly_fed,
)
from remaster.train.sources import SourceFile
from tests.clips import make_clip
from tests.networks import Blurring, celnet


def drawn(seed: int = 1, height: int = 96, width: int = 128) -> Tensor:
    """(1, 3, height, width) uint8: a part of a drawing."""
    frame = draw_frame(seed, 2 * height, 2 * width)[height // 2 :, width // 2 :]
    return torch.from_numpy(frame[:height, :width].copy()).permute(2, 0, 1)[None]


def as_image(x: Tensor) -> np.ndarray:
    return np.ascontiguousarray(x[0].permute(1, 2, 0).numpy())


def copying(model: SRCNN | MSRCNN) -> SRCNN | MSRCNN:
    """The network with weights that give luma back as it was enlarged."""
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    for layer in model.layers:
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.data[0, 0, layer.weight.shape[2] // 2, layer.weight.shape[3] // 2] = 1
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("kernel", PROTOCOLS["clean"].kernels)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_clean_pairs_fit_and_keep_flat_colours(kernel: str, scale: int) -> None:
    gt = torch.full((1, 3, 71, 90), 130, dtype=torch.uint8)
    lq, truth = clean_pair(gt, scale, kernel)
    assert (lq == 130).all()
    assert tuple(truth.shape[2:]) == tuple(n * scale for n in lq.shape[2:])
    assert all(n % 2 == 0 for n in lq.shape[2:])


def test_clean_interpolations_are_what_their_names_say() -> None:
    lq = drawn(height=24, width=32)
    made = {name: method(lq) for name, method in clean_interpolations(2).items()}
    assert list(made) == ["nearest", "bilinear", "bicubic", "lanczos"]
    assert torch.equal(made["nearest"], lq.repeat_interleave(2, 2).repeat_interleave(2, 3))
    inner = (slice(8, -8), slice(8, -8))  # Pillow cuts the kernel at the edge instead of repeating
    for name, own in (
        ("bilinear", Image.Resampling.BILINEAR),
        ("bicubic", Image.Resampling.BICUBIC),
        ("lanczos", Image.Resampling.LANCZOS),
    ):
        expected = np.asarray(Image.fromarray(as_image(lq)).resize((64, 48), own)).astype(int)
        assert np.abs(as_image(made[name]).astype(int) - expected)[inner].max() <= 1, name


FACTORS = {2: 0.5, 3: 0.3333, 4: 0.25}
FLAGS = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def by_factor(image: np.ndarray, factor: float, flag: int = cv2.INTER_LINEAR) -> np.ndarray:
    """As the authors of m-SRCNN call it: OpenCV decides the size."""
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=flag)


def apart(one: np.ndarray, other: np.ndarray) -> int:
    """Levels that two pictures of one shape differ by at most."""
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("scale", FACTORS)
@pytest.mark.parametrize("size", [(96, 128), (97, 131), (99, 133), (511, 101), (512, 512)])
def test_msrcnn_shrinks_as_opencv_does_by_a_factor(scale: int, size: tuple[int, int]) -> None:
    gt = drawn(2, *size)
    lq, truth = msrcnn_pair(gt, scale)
    assert apart(as_image(lq), by_factor(as_image(gt), FACTORS[scale])) <= 1
    assert torch.equal(truth, gt)


@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(st.integers(64, 400), st.integers(64, 400)),
    scale=st.sampled_from(list(FACTORS)),
    seed=st.integers(0, 99),
)
def test_msrcnn_sizes_and_levels_are_those_of_opencv(
    size: tuple[int, int], scale: int, seed: int
) -> None:
    """Noise, where a sample that is taken a little beside its place shows."""
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    lq, gt = msrcnn_pair(torch.from_numpy(image).permute(2, 0, 1)[None], scale)
    small = by_factor(image, FACTORS[scale])
    assert apart(as_image(lq), small) <= 1
    large = as_image(msrcnn_interpolations(scale)["nearest"](lq))
    smallest = min(image.shape, large.shape)
    one, other = (
        cv2.resize(x, (smallest[1], smallest[0]), interpolation=cv2.INTER_NEAREST)
        for x in (image, large)
    )
    error = np.square(one.astype(float) - other).mean()
    values = msrcnn_values(torch.from_numpy(large).permute(2, 0, 1)[None], gt, scale)
    assert values["psnr_rgb"] == pytest.approx(10 * math.log10(255**2 / error), abs=1e-4)


@pytest.mark.parametrize("scale", FACTORS)
@pytest.mark.parametrize("size", [(192, 256), (191, 255), (193, 250)])
def test_msrcnn_scores_interpolations_as_its_authors_do(scale: int, size: tuple[int, int]) -> None:
    """Their evaluation from the picture to the figures, in OpenCV's and scikit-image's words."""
    gt = drawn(9, *size)
    image = as_image(gt)
    small = by_factor(image, FACTORS[scale])
    large = {name: by_factor(small, scale, flag) for name, flag in FLAGS.items()}
    own = score(
        [gt], msrcnn_interpolations(scale), scale, "opencv-linear", protocol=PROTOCOLS["msrcnn"]
    )
    smallest = min(each.shape for each in (image, *large.values()))
    size = (smallest[1], smallest[0])
    truth = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
    for name, each in large.items():
        each = cv2.resize(each, size, interpolation=cv2.INTER_NEAREST)
        error = np.square(each.astype(float) - truth).mean()
        expected = 10 * math.log10(255**2 / error)
        assert own[name]["psnr_rgb"] == pytest.approx(expected, abs=0.02), name
        expected = structural_similarity(truth, each, channel_axis=2)
        assert own[name]["ssim_rgb"] == pytest.approx(expected, abs=1e-3), name


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_msrcnn_enlarges_as_opencv_does(scale: int) -> None:
    lq = drawn(3, 30, 41)
    for name, flag in FLAGS.items():
        expected = by_factor(as_image(lq), scale, flag)
        made = as_image(msrcnn_interpolations(scale)[name](lq))
        assert apart(made, expected) <= (0 if name == "nearest" else 1), name


@pytest.mark.parametrize("enlargement", ["bilinear", "bicubic"])
def test_msrcnn_draws_luma_of_what_it_is_fed_and_leaves_its_chroma(enlargement: str) -> None:
    """The authors' steps in OpenCV's own words, for a network that darkens a little."""
    model = copying(SRCNN(SRCNNConfig(2, "canonical", enlargement)))
    for layer in model.layers:
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.data *= 0.95
    image = np.random.default_rng(4).integers(0, 256, (30, 40, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 1.0)  # colours that change from pixel to pixel
    lq = torch.from_numpy(image).permute(2, 0, 1)[None]
    made = as_image(msrcnn_network(model)(lq)).astype(int)

    def expected(kernel: str) -> np.ndarray:
        ycc = cv2.cvtColor(by_factor(image, 2, FLAGS[kernel]), cv2.COLOR_RGB2YCrCb)
        y = ycc[..., 0].astype(np.float32) / 255
        ycc[..., 0] = (y * np.float32(0.95) ** 3 * 255).clip(0, 255).astype(np.uint8)
        return cv2.cvtColor(ycc, cv2.COLOR_YCrCb2RGB).astype(int)

    difference = np.abs(made - expected(enlargement))
    assert difference.max() <= 3 and difference.mean() < 0.45  # OpenCV rounds in fixed point
    other = {"bilinear": "bicubic", "bicubic": "bilinear"}[enlargement]
    assert np.abs(made - expected(other)).mean() > 2 * difference.mean()
    (wrong,) = wrongly_fed(model).values()
    difference = np.abs(as_image(msrcnn_network(wrong)(lq)).astype(int) - expected(other))
    assert difference.max() <= 3 and difference.mean() < 0.45


@pytest.mark.parametrize("enlargement", ["bilinear", "bicubic"])
def test_msrcnn_keeps_colours_as_opencv_converts_them(enlargement: str) -> None:
    """To the bit, noise and flat colours alike, once the enlarged picture is the same."""
    model = copying(SRCNN(SRCNNConfig(2, "canonical", enlargement)))
    image = np.random.default_rng(5).integers(0, 256, (64, 96, 3), np.uint8)
    image[:, 48:] = image[:, 48:49] // 16 * 17
    lq = torch.from_numpy(image).permute(2, 0, 1)[None]
    large = as_image(msrcnn_interpolations(2)[enlargement](lq))
    ycc = cv2.cvtColor(large, cv2.COLOR_RGB2YCrCb)
    ycc[..., 0] = (ycc[..., 0].astype(np.float32) / 255 * 255).astype(np.uint8)
    expected = cv2.cvtColor(ycc, cv2.COLOR_YCrCb2RGB)
    assert np.array_equal(as_image(msrcnn_network(model)(lq)), expected)


def test_msrcnn_repeats_nothing_beyond_the_edge() -> None:
    """As with Keras' `same` convolutions, which see black there."""
    model = copying(SRCNN(SRCNNConfig(2, "canonical", "bilinear")))
    model.layers[0].weight.data[0, 0] = 1 / 81  # type: ignore[union-attr]
    made = msrcnn_network(model)(torch.full((1, 3, 16, 16), 200, dtype=torch.uint8))
    assert (made[..., 8:-8, 8:-8] >= 199).all()
    assert (made[..., 0, 0] < 100).all()


def test_msrcnn_truncates() -> None:
    class Between(Blurring):
        def forward(self, x: Tensor) -> Tensor:
            return torch.full((1, 3, x.shape[2] * 2, x.shape[3] * 2), 100.9 / 255)

    lq = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    assert (msrcnn_network(Between("rgb"))(lq) == 100).all()
    assert (clean_network(Between("rgb"))(lq) == 101).all()


def test_msrcnn_brings_what_differs_to_the_smallest_by_nearest() -> None:
    gt = drawn(5, 100, 133)
    lq, _ = msrcnn_pair(gt, 3)
    sr = msrcnn_interpolations(3)["bicubic"](lq)
    assert sr.shape != gt.shape
    size = (sr.shape[3], sr.shape[2])
    small = cv2.resize(as_image(gt), size, interpolation=cv2.INTER_NEAREST)
    values = msrcnn_values(sr, gt, 3)
    error = np.square(small.astype(float) - as_image(sr)).mean()
    assert values["psnr_rgb"] == pytest.approx(10 * math.log10(255**2 / error), abs=1e-3)
    expected = structural_similarity(small, as_image(sr), channel_axis=2)
    assert values["ssim_rgb"] == pytest.approx(expected, abs=1e-5)


def test_the_seven_ways_to_enlarge_come_in_their_known_order() -> None:
    """Nearest is worst and bicubic best, in both protocols, on what was drawn smoothly."""
    gt = drawn(6, 192, 256)
    for name, headline in (("clean", "psnr_y"), ("msrcnn", "psnr_rgb")):
        protocol = PROTOCOLS[name]
        lq, truth = protocol.shrunk(gt, 2, protocol.kernels[0])
        values = {
            each: protocol.values(method(lq), truth, 2)[headline]
            for each, method in protocol.interpolations(2).items()
        }
        assert values["nearest"] < values["bicubic"]
        assert values["bilinear"] < values["bicubic"]


def test_networks_over_luma_serve_every_scale_and_others_their_own() -> None:
    for model in (SRCNN(SRCNNConfig(2)), MSRCNN(MSRCNNConfig(2, "bicubic"))):
        assert at_scale(model, 2) is model
        other = at_scale(model, 3)
        assert other is not None and other.scale == 3
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name])
        assert enlarge(other, torch.rand(1, 3, 8, 10)).shape == (1, 3, 24, 30)
    assert at_scale(celnet(), 2) is not None
    assert at_scale(celnet(), 3) is None


def test_a_wrongly_fed_network_sees_the_other_enlargement() -> None:
    model = copying(SRCNN(SRCNNConfig(2, "canonical", "bilinear")))
    ((kernel, other),) = wrongly_fed(model).items()
    assert kernel == "bicubic"
    y = torch.rand(1, 1, 16, 16)
    expected = torch.nn.functional.interpolate(y, scale_factor=2.0, mode="bicubic")
    assert torch.allclose(other(y), expected.clamp_min(0), atol=1e-6)
    assert not torch.allclose(other(y), model(y), atol=1e-3)
    assert wrongly_fed(celnet()) == {}


def test_methods_are_interpolations_networks_and_wrong_feeds() -> None:
    models = {"a": SRCNN(SRCNNConfig(2)), "b": celnet()}
    usual = ["nearest", "bilinear", "bicubic", "lanczos"]
    clean = PROTOCOLS["clean"]
    assert list(methods_of(clean, models, 2)) == [*usual, "a", "a (fed bicubic)", "b"]
    assert list(methods_of(clean, models, 4)) == [*usual, "a", "a (fed bicubic)"]
    assert list(methods_of(PROTOCOLS["msrcnn"], {}, 3)) == usual[:3]


@pytest.mark.parametrize("model", [celnet(), Blurring("rgb"), Blurring("luma")])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_networks_of_every_diet_are_measured(name: str, model: torch.nn.Module) -> None:
    protocol = PROTOCOLS[name]
    methods = methods_of(protocol, {"own": model}, 2)  # type: ignore[dict-item]
    values = score([drawn()], methods, 2, protocol.kernels[0], protocol=protocol)
    assert list(values) == list(methods)
    for each in values.values():
        assert tuple(each) == protocol.measures
        assert all(math.isfinite(value) for value in each.values())


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000), size=st.tuples(st.integers(64, 99), st.integers(64, 99)))
def test_the_truth_itself_scores_best(seed: int, size: tuple[int, int]) -> None:
    gt = drawn(seed, *size)
    best = clean_values(gt, gt, 2)
    assert best["psnr_y"] == pytest.approx(120) and best["overshoot"] == 0
    assert best["line_f"] == 1 and best["ssim_y"] == pytest.approx(1)
    best = msrcnn_values(gt, gt, 2)
    assert best["ssim_rgb"] == pytest.approx(1)


def test_a_clip_is_the_mean_of_its_frames_and_what_happens_in_time() -> None:
    still, other = drawn(7), drawn(8)
    methods = clean_interpolations(2)
    film = score([still, still, other], methods, 2, "box")
    alone = [score([frame], methods, 2, "box") for frame in (still, still, other)]
    for name in methods:
        expected = mean_values([each[name] for each in alone])
        assert {k: film[name][k] for k in expected} == pytest.approx(expected)
        assert film[name]["hold_flicker"] == 0
        assert film[name]["temporal_difference"] > 0
        assert "hold_flicker" not in alone[0][name]


def test_measuring_leaves_nothing_that_training_stumbles_over() -> None:
    methods = methods_of(PROTOCOLS["clean"], {"own": celnet(4)}, 4)
    score([drawn(11)], methods, 4, "mitchell")
    model = celnet(4).requires_grad_(True)
    small = evaluate.to_ycc(torch.rand(1, 3, 24, 32, requires_grad=True))
    padded = torch.nn.functional.pad(small, (model.padding,) * 4, mode="replicate")
    sum(part.square().mean() for part in model(padded, "444")).backward()


def test_damage_is_one_film_for_one_seed() -> None:
    lq = drawn(12)
    assert torch.equal(damaged(lq, "clean", (0,)), lq)
    for number in (0, 1):
        again = [damaged(lq, "mixed", (3,), number) for _ in range(2)]
        assert torch.equal(*again)
    first, second = (damaged(lq, "mixed", (3,), number) for number in (0, 1))
    assert not torch.equal(first, second)
    values = [clean_values(each, lq, 8)["psnr_y"] for each in (first, second)]
    assert abs(values[0] - values[1]) < 2  # the same strength
    assert not torch.equal(damaged(lq, "mixed", (4,)), first)


def test_damage_keeps_the_picture_in_its_place() -> None:
    lq = drawn(13, 128, 160)
    for number in range(4):
        old = damaged(lq, "mixed", (5,), number)
        scores = {
            shift: clean_values(old.roll(shift, (2, 3)), lq, 8)["psnr_y"]
            for shift in ((0, 0), (0, 2), (2, 0), (-2, 0), (0, -2))
        }
        assert max(scores, key=lambda shift: scores[shift]) == (0, 0)


def test_a_trial_damages_by_name_whatever_else_is_measured() -> None:
    frames = [drawn(14)]
    methods = clean_interpolations(2)
    trial = Trial(PROTOCOLS["clean"], 2, ("box",), methods, "mixed")
    one, same = (trial.rows("s", "a.png", frames)[0].values for _ in range(2))
    other = trial.rows("s", "b.png", frames)[0].values
    assert one == same != other
    assert trial.rows("s", "a.png", frames)[0].method == "nearest"


def test_unknown_damage_and_scale_are_refused() -> None:
    with pytest.raises(OptionsError, match=r"--damage is one of clean, .*'acid'"):
        damaged(drawn(), "acid", (0,))
    with pytest.raises(OptionsError, match="not 8"):
        msrcnn_pair(drawn(), 8)


def write(path: Path, picture: np.ndarray) -> SourceFile:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(picture).save(path)
    return SourceFile(path, (path.parent.name,))


def test_material_is_what_lies_in_the_folders(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name / "a.png", as_image(drawn()))
    found = find_material([tmp_path], ["two"])
    assert [file.source for file in found] == ["two"]
    assert len(find_material([tmp_path], [])) == 2
    assert len(find_material([tmp_path, tmp_path / "two"], [])) == 2
    with pytest.raises(DataError, match=r"no folder three to score on; there are one, .*two"):
        find_material([tmp_path], ["one", "three"])
    with pytest.raises(DataError, match="nowhere"):
        find_material([tmp_path / "nowhere"], [])


def test_truth_is_the_middle_and_sprites_lie_on_grey(tmp_path: Path) -> None:
    picture = as_image(drawn(1, 100, 140))
    (truth,) = read_truth(write(tmp_path / "s" / "a.png", picture), 64, 1)
    assert np.array_equal(as_image(truth), picture[18:82, 38:102])
    (whole,) = read_truth(write(tmp_path / "s" / "a.png", picture), 0, 1)
    assert np.array_equal(as_image(whole), picture)
    sprite = np.dstack([picture, np.zeros((100, 140), np.uint8)])
    (grey,) = read_truth(write(tmp_path / "s" / "b.png", sprite), 64, 1)
    assert (grey == 128).all()
    assert read_truth(write(tmp_path / "s" / "c.png", picture[:40]), 64, 1) == []


def test_truth_of_a_video_is_its_first_frames(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", size=(96, 80), frames=6)
    file = SourceFile(path, (tmp_path.name,))
    frames = read_truth(file, 64, 4)
    assert [tuple(frame.shape) for frame in frames] == [(1, 3, 64, 64)] * 4
    assert not torch.equal(frames[0], frames[1])
    assert len(read_truth(file, 64, 40)) == 6
    small = make_clip(tmp_path / "b.mkv", size=(64, 48), frames=2)
    assert read_truth(SourceFile(small, ("x",)), 64, 4) == []


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi"])
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(24000, 1001)])
def test_truth_of_a_part_of_a_video_lies_in_it(tmp_path: Path, name: str, rate: Fraction) -> None:
    path = make_clip(
        tmp_path / name, size=(96, 80), frames=50, rate=rate, audio=(),
        codec="mpeg4" if name.endswith("avi") else "libx264", options={"g": "12"},
    )  # fmt: skip
    whole = read_truth(SourceFile(path, ("x",)), 0, 99)
    assert len(whole) == 50
    for part, numbers in (((0.9, 1.0), range(45, 50)), ((0.5, 0.9), range(25, 45))):
        frames = read_truth(SourceFile(path, ("x",), part), 0, 99)
        places = [[torch.equal(each, other) for other in whole].index(True) for each in frames]
        assert set(places) <= set(numbers)
        assert len(places) >= len(numbers) - 1 and places == sorted(places)
        (first,) = read_truth(SourceFile(path, ("x",), part), 0, 1)
        assert torch.equal(first, frames[0])
    with pytest.raises(DataError, match=r"x/a\....#0.999-1 holds no frame"):
        read_truth(SourceFile(path, ("x",), (0.999, 1.0)), 0, 9)
