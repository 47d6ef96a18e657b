"""Whole runs: frames in are frames out, at their own times, tagged, and nothing is left behind."""

from __future__ import annotations

import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import remaster.pipeline as pipeline
from remaster.color import decode_planes, encode_planes
from remaster.errors import OptionsError, OutputError, RemasterError, SourceError
from remaster.frames import Color, Frame, FrameBatch, PixelLayout
from remaster.media.interlacing import find_interlacing
from remaster.media.probe import probe
from remaster.media.reader import read_frames
from remaster.pipeline import Progress, RunOptions, run
from remaster.plan import choose_model
from remaster.resampling import resize
from tests.clips import Sound, make_clip

FAST = RunOptions(encoder_preset="ultrafast")
VARIABLE = [0, 40, 60, 140, 150, 170, 300, 340, 500, 520]


def times(path: Path) -> list[Fraction]:
    source = probe(path)
    return [frame.pts * source.video.time_base for frame in read_frames(source)]


def frames_of(path: Path) -> list[Frame]:
    return list(read_frames(probe(path)))


def assert_same_times(source: Path, output: Path) -> None:
    before, after = times(source), times(output)
    assert len(before) == len(after)
    assert all(abs(a - b) <= Fraction(1, 1000) for a, b in zip(before, after))


CLIPS = {
    "plain": ("mp4", {}),
    "b-frames": ("mp4", {"bframes": 3}),
    "offset": ("mkv", {"video_offset_seconds": Fraction(1, 2)}),
    "late sound": ("mp4", {"audio": (Sound("aac", offset_seconds=Fraction(1, 2)),)}),
    "variable": ("mkv", {"pts": VARIABLE, "time_base": Fraction(1, 1000)}),
    "two tracks": ("mkv", {"audio": (Sound("ac3", "jpn"), Sound("libopus", "eng"))}),
    "pcm": ("mov", {"audio": (Sound("pcm_s16le"),)}),
    "ten bits": ("mkv", {"pix_fmt": "yuv420p10le"}),
    "silent": ("mp4", {"audio": ()}),
    "odd": ("mkv", {"size": (63, 47), "codec": "ffv1"}),
}


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_comes_out_at_its_time(tmp_path: Path, name: str) -> None:
    suffix, details = CLIPS[name]
    source = make_clip(tmp_path / f"in.{suffix}", frames=10, **details)  # type: ignore[arg-type]
    output = tmp_path / f"out.{suffix}"
    seen: list[Progress] = []
    result = run(source, output, FAST, progress=seen.append)
    assert_same_times(source, output)
    before, after = probe(source).video, probe(output)
    assert result.frames == seen[-1].frames == len(times(source))
    assert after.guessed == ()
    assert (after.video.width, after.video.height) == (
        2 * before.width,
        2 * before.height,
    )
    assert after.video.layout.bit_depth == before.layout.bit_depth
    assert set(result.busy_seconds) == {"decode", "drawings", "network", "encode"}
    assert result.advice


@pytest.mark.parametrize("name", ["fast", "lanczos", "bicubic", "identity", "fast-x4"])
def test_every_model_gives_the_size_asked_for(tmp_path: Path, name: str) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=3)
    for options, size in (
        (replace(FAST, scale=2), (128, 96)),
        (replace(FAST, scale=3), (192, 144)),
        (replace(FAST, height=120), (160, 120)),
        (replace(FAST, size=(200, 120)), (200, 120)),
    ):
        run(source, tmp_path / "out.mkv", replace(options, model=name, overwrite=True))
        video = probe(tmp_path / "out.mkv").video
        assert (video.width, video.height) == size
        shape = Fraction(video.width, video.height) * video.sample_aspect_ratio
        assert shape == Fraction(64, 48)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 6, 8])
def test_the_nearest_network_is_chosen(scale: int) -> None:
    name, model = choose_model("auto", scale)
    assert name == f"fast-x{2 if scale <= 2 else 4}"
    assert model.scale == (2 if scale <= 2 else 4)


@pytest.mark.parametrize("model", ["auto", "identity"])
def test_the_picture_is_the_sources(tmp_path: Path, model: str) -> None:
    """Same place, same colours: an enlargement shrunk again is the source."""
    source = make_clip(tmp_path / "in.mkv", size=(96, 64), frames=3, codec="ffv1", picture=patches)
    options = RunOptions(model=model, scale=2 if model == "auto" else 1, codec="ffv1")
    run(source, tmp_path / "out.mkv", options)
    before, after = (rgb_frames(p) for p in (source, tmp_path / "out.mkv"))
    small = torch.nn.functional.interpolate(after, before.shape[2:], mode="area")
    inside = (small - before).view(3, 3, 4, 16, 6, 16)[..., 4:12, :, 4:12].mean((3, 5))
    assert inside.abs().max() * 255 < 4


def patches(index: int, layout: object, size: tuple[int, int]) -> list[object]:
    generator = torch.Generator().manual_seed(index)
    planes = []
    for shape in layout.plane_shapes(*size):  # type: ignore[attr-defined]
        side = shape[0] // 4
        values = torch.randint(60, 190, (4, 6), generator=generator)
        planes.append(values.repeat_interleave(side, 0).repeat_interleave(side, 1).numpy())
    return planes


def rgb_frames(path: Path) -> torch.Tensor:
    video = probe(path).video
    stacks = zip(*(frame.planes for frame in frames_of(path)))
    return decode_planes([torch.stack(s) for s in stacks], video.layout, video.color, "rgb")


def test_a_part_is_its_frames_counted_from_its_start(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=30, bframes=2)
    options = replace(FAST, start=Fraction(3, 10), end=Fraction(9, 10), model="identity", scale=1)
    run(source, tmp_path / "out.mp4", options)
    kept = [t for t in times(source) if Fraction(3, 10) <= t < Fraction(9, 10)]
    for wanted, got in zip(kept, times(tmp_path / "out.mp4")):
        assert abs(wanted - Fraction(3, 10) - got) <= Fraction(1, 1000)
    assert len(times(tmp_path / "out.mp4")) == len(kept)


def test_a_part_without_frames_is_refused(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=5)
    with pytest.raises(SourceError, match="no frame"):
        run(source, tmp_path / "out.mp4", replace(FAST, start=Fraction(50)))
    assert not (tmp_path / "out.mp4").exists()


def test_sd_made_hd_is_bt709_and_says_so(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", size=(400, 300), frames=2)
    result = run(source, tmp_path / "out.mp4", replace(FAST, scale=4))
    assert probe(tmp_path / "out.mp4").video.color == Color(
        "bt709", "limited", "bt470bg", "smpte170m", "left"
    )
    assert any("bt470bg" in note for note in result.plan.notes)


class Trouble(Exception):
    pass


@pytest.mark.parametrize("where", ["reader", "network", "writer", "caller"])
def test_trouble_anywhere_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=12)
    old = tmp_path / "out.mp4"
    old.write_bytes(b"old")

    def fail(*args: object, **kwargs: object) -> None:
        raise Trouble(where)

    if where == "reader":
        monkeypatch.setattr(pipeline, "read_frames", lambda *a, **k: failing_frames(source))
    elif where == "network":
        monkeypatch.setattr(pipeline.Upscaler, "compute", fail)
    elif where == "writer":
        monkeypatch.setattr(pipeline.Writer, "finish", fail)
    with pytest.raises(Trouble):
        run(
            source, old, replace(FAST, overwrite=True), progress=fail if where == "caller" else None
        )
    assert old.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]
    assert not [t for t in threading.enumerate() if t.name.startswith("remaster")]


def failing_frames(source: Path):  # type: ignore[no-untyped-def]
    yield from frames_of(source)[:3]
    raise Trouble("reader")


def test_refusals_come_before_work(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=2)
    (tmp_path / "old.mp4").write_bytes(b"old")
    cases = [
        (tmp_path / "old.mp4", RunOptions(), OutputError, "-y"),
        (source, RunOptions(overwrite=True), OutputError, "input itself"),
        (tmp_path / "out.avi", RunOptions(), RemasterError, r"\.avi"),
        (tmp_path / "o.mp4", RunOptions(model="best"), OptionsError, "fast-x2"),
        (tmp_path / "o.mp4", RunOptions(model="no.safetensors"), RemasterError, "no weights"),
        (tmp_path / "o.mp4", RunOptions(device="cuda:7"), OptionsError, "CUDA"),
        (tmp_path / "o.mp4", RunOptions(device="abacus"), OptionsError, "abacus"),
        (tmp_path / "o.mp4", RunOptions(codec="theora"), OptionsError, "theora"),
        (tmp_path / "o.webm", RunOptions(), RemasterError, "webm"),
    ]
    for output, options, error, text in cases:
        with pytest.raises(error, match=text):
            run(source, output, options)
    assert (tmp_path / "old.mp4").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"scale": 2, "height": 1080}, "--scale and --height"),
        ({"scale": 0}, "--scale"),
        ({"size": (0, 1080)}, "at least 1 pixel"),
        ({"end": Fraction(1), "duration": Fraction(1)}, "--end and --duration"),
        ({"start": Fraction(5), "end": Fraction(5)}, "--end"),
        ({"start": Fraction(-1)}, "--start"),
        ({"duration": Fraction(0)}, "--duration"),
        ({"batch": -1}, "--batch"),
        ({"precision": "fp8"}, "--precision"),
        ({"reuse": "all"}, "--reuse is off, exact, drawings"),
        ({"smooth": 1.5}, "--smooth"),
        ({"smooth": -0.1}, "--smooth"),
        ({"smooth": float("nan")}, "--smooth"),
        ({"reuse": "off", "debug_reuse": "a.mkv"}, "--reuse off"),
        ({"debug_reuse": "a.webm"}, "--debug-reuse a.webm"),
        ({"debug_reuse": ""}, "--debug-reuse"),
        ({"report": "-"}, "--report"),
        ({"scale": 17}, "--scale"),
    ],
)
def test_options_that_make_no_sense_are_named(wrong: dict[str, object], text: str) -> None:
    with pytest.raises(OptionsError, match=text):
        RunOptions(**wrong)  # type: ignore[arg-type]


def test_batches_do_not_change_the_picture(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=7)
    for batch in (1, 3):
        options = RunOptions(codec="ffv1", batch=batch, precision="fp32")
        run(source, tmp_path / f"{batch}.mkv", options)
    for a, b in zip(frames_of(tmp_path / "1.mkv"), frames_of(tmp_path / "3.mkv")):
        for x, y in zip(a.planes, b.planes):
            assert (x.int() - y.int()).abs().max() <= 1  # fp32 sums may round apart


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p10le"])
def test_the_identity_changes_no_bit(tmp_path: Path, pix_fmt: str) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=4, codec="ffv1", pix_fmt=pix_fmt)
    run(source, tmp_path / "out.mkv", RunOptions(model="identity", codec="ffv1"))
    for a, b in zip(frames_of(source), frames_of(tmp_path / "out.mkv")):
        assert all(torch.equal(x, y) for x, y in zip(a.planes, b.planes))


@pytest.mark.parametrize(("model", "most"), [("lanczos", 0), ("bicubic", 0), ("fast", 3)])
def test_flat_ten_bit_pictures_stay_flat(tmp_path: Path, model: str, most: int) -> None:
    """No bf16 in the pixels themselves: 801 of 1023 is 801, not 800 or 804.

    A network has learned how to end a flat only to a fraction of an 8-bit level, four codes.
    """

    def flat(index: int, layout: object, size: tuple[int, int]) -> list[object]:
        shapes = layout.plane_shapes(*size)  # type: ignore[attr-defined]
        return [np.full(shape, 801 - 300 * (i > 0), np.uint16) for i, shape in enumerate(shapes)]

    source = make_clip(
        tmp_path / "in.mkv", frames=1, codec="ffv1", pix_fmt="yuv420p10le", picture=flat
    )
    run(source, tmp_path / "out.mkv", RunOptions(model=model, codec="ffv1"))
    for plane, value in zip(frames_of(tmp_path / "out.mkv")[0].planes, (801, 501, 501)):
        assert (plane.int() - value).abs().max() <= most
        assert abs(float(plane.float().mean()) - value) < 0.5


def test_precision_and_batch_reach_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    whole = pipeline.Upscaler.compute

    def spy(self: pipeline.Upscaler, batch: FrameBatch) -> tuple[pipeline.Patch, ...]:
        seen.append((self.dtype, len(batch)))
        return whole(self, batch)

    monkeypatch.setattr(pipeline.Upscaler, "compute", spy)
    source = make_clip(tmp_path / "in.mp4", frames=5)
    run(source, tmp_path / "out.mp4", replace(FAST, precision="fp32", batch=2))
    assert sorted(seen, key=str) == sorted([(torch.float32, n) for n in (2, 2, 1)], key=str)


def test_odd_sizes_that_were_asked_for_are_refused(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=1)
    for options in (replace(FAST, height=1081), replace(FAST, size=(201, 120))):
        with pytest.raises(OptionsError, match="even"):
            run(source, tmp_path / "out.mp4", options)


def test_what_cannot_be_kept_is_said_before_work(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mov", frames=1, codec="prores_ks", pix_fmt="yuva444p10le")
    notes: list[str] = []
    options = RunOptions(pix_fmt="yuv420p")
    run(source, tmp_path / "out.mp4", options, planned=lambda plan: notes.extend(plan.notes))
    assert any("alpha" in note for note in notes)


def test_lanczos_to_any_size_is_one_pass(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", size=(64, 48), frames=1, codec="ffv1")
    run(source, tmp_path / "out.mkv", RunOptions(model="lanczos", height=120, codec="ffv1"))
    before, after = (frames_of(p)[0].planes[0].float() for p in (source, tmp_path / "out.mkv"))
    assert (resize(before, (120, 160), "lanczos").round() - after).abs().max() <= 1


BARS = [(i >> 2 & 1, i >> 1 & 1, i & 1) for i in range(8)]
BAR_COLORS = {
    "tagged 601": Color("smpte170m", "limited", "smpte170m", "smpte170m"),
    "tagged 709": Color("bt709", "limited", "bt709", "bt709"),
    "full 601": Color("bt470bg", "full", "bt470bg", "smpte170m"),
    "full 709": Color("bt709", "full", "bt709", "bt709"),
    "untagged": None,
}


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("name", BAR_COLORS)
@pytest.mark.parametrize("options", [{"model": "identity"}, {"model": "lanczos", "scale": 9}])
def test_color_bars_come_back_by_the_tags(
    tmp_path: Path, options: dict[str, object], name: str, pix_fmt: str
) -> None:
    """Nine times as large is HD, so BT.601 becomes BT.709 on the way."""
    color = BAR_COLORS[name]
    written_as = color or Color("bt470bg", "limited", "bt470bg", "smpte170m")
    rgb = torch.tensor(BARS).float().mul(0.75).T[None, :, None, :].repeat_interleave(16, 3)

    def bars(index: int, layout: PixelLayout, size: tuple[int, int]) -> list[np.ndarray]:
        planes = encode_planes(rgb.expand(1, 3, 96, 128), layout, written_as, "rgb")
        return [plane[0].numpy().astype(np.uint16) for plane in planes]

    source = make_clip(
        tmp_path / "in.mkv", size=(128, 96), frames=2, codec="ffv1", pix_fmt=pix_fmt, color=color,
        picture=bars,
    )  # fmt: skip
    run(source, tmp_path / "out.mp4", RunOptions(crf=4, encoder_preset="ultrafast", **options))  # type: ignore[arg-type]
    out = rgb_frames(tmp_path / "out.mp4")[-1]
    matrix = probe(tmp_path / "out.mp4").video.color.matrix
    assert matrix == ("bt709" if "scale" in options else written_as.matrix)
    side = out.shape[2] // 8
    middles = [out[:, 8:-8, i * side + side // 4 : (i + 1) * side - side // 4] for i in range(8)]
    found = torch.stack([middle.mean((1, 2)) for middle in middles])
    error = (found - torch.tensor(BARS) * 0.75).abs()
    assert error.mean() * 255 <= 2
    assert error.max() * 255 <= 4


def combed_film(index: int, layout: PixelLayout, size: tuple[int, int]) -> list[np.ndarray]:
    """Telecined: of every five pictures, two have fields of two drawings."""
    group, place = divmod(index, 5)
    top, bottom = ((0, 0), (1, 1), (1, 2), (2, 3), (3, 3))[place]
    planes = drawn_bar(8 * group + 2 * top, layout, size)
    for plane, other in zip(planes, drawn_bar(8 * group + 2 * bottom, layout, size)):
        plane[1::2] = other[1::2]
    return planes


def drawn_bar(moment: int, layout: PixelLayout, size: tuple[int, int]) -> list[np.ndarray]:
    planes = []
    for height, width in layout.plane_shapes(*size):
        x = np.mgrid[0:height, 0:width][1] * size[1] // width
        planes.append(np.where((x - 3 * moment) % 48 < 9, 60, 180).astype(np.uint16))
    return planes


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_combed_film_comes_out_progressive(tmp_path: Path, suffix: str) -> None:
    source = make_clip(
        tmp_path / "in.mkv", size=(96, 64), frames=30, bframes=2, picture=combed_film
    )
    output = tmp_path / f"out.{suffix}"
    result = run(source, output, replace(FAST, model="identity", crf=4))
    assert_same_times(source, output)
    assert any("telecined" in note and "progressive" in note for note in result.plan.notes)
    assert any("12 frames got a field back" in warning for warning in result.warnings)
    with av.open(str(output)) as container:
        assert not any(picture.interlaced_frame for picture in container.decode(video=0))
    assert not find_interlacing(probe(output)).may_be_combed
    for index, frame in enumerate(frames_of(output)):
        group, place = divmod(index, 5)
        film = drawn_bar(8 * group + 2 * (0, 1, 1, 2, 3)[place], PixelLayout("420", 8), (64, 96))
        assert np.abs(frame.planes[0].numpy() - film[0].astype(float)).mean() < 4


def test_fields_are_left_where_that_is_asked_for(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", size=(96, 64), frames=30, picture=combed_film)
    options = RunOptions(model="identity", codec="ffv1", deinterlace="off")
    result = run(source, tmp_path / "out.mkv", options)
    said = [text for text in (*result.plan.notes, *result.warnings) if "telecined" in text]
    assert len(said) == 2 and all("off" in text for text in said)
    for before, after in zip(frames_of(source), frames_of(tmp_path / "out.mkv"), strict=True):
        assert torch.equal(before.planes[0], after.planes[0])


def test_nothing_is_said_of_progressive_film(tmp_path: Path) -> None:
    result = run(make_clip(tmp_path / "in.mkv"), tmp_path / "out.mkv", FAST)
    assert not result.plan.deinterlaces
    assert not any("progressive" in text for text in (*result.plan.notes, *result.warnings))


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_a_preview_is_the_middle_with_its_sound(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / f"in.{suffix}", frames=100, options={"g": "30"})
    run(source, tmp_path / "part.mkv", replace(FAST, start=Fraction(3, 2), end=Fraction(5, 2)))
    run(source, tmp_path / "preview.mkv", replace(FAST, preview=Fraction(1)))
    part, preview = (tmp_path / name for name in ("part.mkv", "preview.mkv"))
    assert abs(len(times(preview)) - 25) <= 1
    if suffix != "ts":  # its pictures begin a little after its sound, so the middle does too
        assert times(preview) == times(part)
    assert probe(preview).duration_seconds == pytest.approx(1, abs=0.1)
    assert len(probe(preview).streams) == 2


def test_a_preview_longer_than_the_film_is_the_film(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=10)
    assert run(source, tmp_path / "out.mkv", replace(FAST, preview=Fraction(60))).frames == 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 2.5},
        {"scale": "4"},
        {"start": "5:00"},
        {"end": float("nan")},
        {"size": (640,)},
        {"crf": True},
        {"preview": Fraction(2), "end": Fraction(3)},
        {"smooth": True},
        {"smooth": "much"},
        {"report": 3},
        {"debug_reuse": b"a.mkv"},
    ],
    ids=str,
)
def test_wrong_options_are_errors_that_name_them(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionsError, match=next(iter(wrong))):
        RunOptions(**wrong)  # type: ignore[arg-type]


def test_files_may_be_texts() -> None:
    options = RunOptions(report="a.json", debug_reuse="b.mkv")  # type: ignore[arg-type]
    assert (options.report, options.debug_reuse) == (Path("a.json"), Path("b.mkv"))


def test_times_may_be_any_number() -> None:
    assert RunOptions(start=0.1, duration=2).start == Fraction(1, 10)  # type: ignore[arg-type]
