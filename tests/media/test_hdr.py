"""What HDR10 says of its screen reaches every encoder that can be told, as finely as it can say."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from remaster.errors import OutputError
from remaster.frames import Color, MasteringLight
from remaster.media import external_film
from remaster.media.external import find_ffmpeg
from remaster.media.hdr import is_same_light
from remaster.media.probe import probe
from remaster.pipeline import RunOptions, run
from tests.clips import make_clip

HDR = Color("bt2020nc", "limited", "bt2020", "smpte2084", "topleft")
SCREEN = (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450, 7, 6034567)
"""The greatest luminance lies between two steps of AV1."""

SPELLED = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(6034567,7)"
ENCODERS = {
    "libx264": "-c:v libx264 -preset ultrafast -pix_fmt yuv420p10le",
    "libx265": "-c:v libx265 -preset ultrafast -x265-params log-level=error:aq-mode=1",
    "libsvtav1": "-c:v libsvtav1 -preset 12 -svtav1-params tune=0",
}
needs_ffmpeg = pytest.mark.skipif(find_ffmpeg() is None, reason="no ffmpeg program")


def hdr_clip(path: Path, levels: str = "1000,400") -> Path:
    told = f"log-level=none:pools=1:hdr10=1:max-cll={levels}:master-display={SPELLED}"
    return make_clip(
        path, codec="libx265", pix_fmt="yuv420p10le", color=HDR, frames=6, audio=(),
        options={"x265-params": told},
    )  # fmt: skip


def silent_levels(path: Path) -> Path:
    """The clip with the light levels of a disc that does not say them: 0 and 0."""
    said, unsaid = bytes.fromhex("900403e80190"), bytes.fromhex("90040000030000")
    hdr_clip(path.with_suffix(".mkv"))
    stream = path.with_suffix(".hevc")
    with av.open(str(path.with_suffix(".mkv"))) as source, av.open(str(stream), "w") as output:
        track = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = track
                output.mux(packet)
    data = stream.read_bytes()
    assert said in data
    stream.write_bytes(data.replace(said, unsaid))
    return stream


@needs_ffmpeg
@pytest.mark.parametrize("codec", ENCODERS)
def test_a_program_is_told(tmp_path: Path, codec: str) -> None:
    source = hdr_clip(tmp_path / "in.mkv")
    asked = RunOptions(model="identity", ffmpeg_encoder=ENCODERS[codec])
    run(source, tmp_path / "out.mp4", asked)
    found = probe(tmp_path / "out.mp4").video.light
    name = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "av1"}[codec]
    assert is_same_light(found, MasteringLight(SCREEN, (1000, 400)), name)


@needs_ffmpeg
def test_a_program_that_does_not_listen_is_known_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_film, "light_options", lambda *_: {})
    source = hdr_clip(tmp_path / "in.mkv")
    asked = RunOptions(model="identity", ffmpeg_encoder=ENCODERS["libx265"])
    with pytest.raises(OutputError, match="cannot keep the HDR10 metadata"):
        run(source, tmp_path / "out.mkv", asked)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


@needs_ffmpeg
def test_where_it_cannot_be_told_it_is_a_note(tmp_path: Path) -> None:
    source = hdr_clip(tmp_path / "in.mkv")
    encoder = "-c:v ffv1 -pix_fmt yuv420p10le"
    result = run(source, tmp_path / "out.mkv", RunOptions(model="identity", ffmpeg_encoder=encoder))
    assert any("HDR10" in note for note in result.plan.notes)


@pytest.mark.parametrize("codec", ["libx265", "libsvtav1"])
def test_levels_of_nothing_are_not_said(tmp_path: Path, codec: str) -> None:
    source = silent_levels(tmp_path / "in")
    assert probe(source).video.light == MasteringLight(SCREEN, ())
    preset = "12" if codec == "libsvtav1" else "ultrafast"
    asked = RunOptions(model="identity", codec=codec, encoder_preset=preset)
    run(source, tmp_path / "out.mkv", asked)
    found = probe(tmp_path / "out.mkv").video.light
    name = "av1" if codec == "libsvtav1" else "hevc"
    assert is_same_light(found, MasteringLight(SCREEN, ()), name)


def test_the_steps_of_a_codec_are_allowed_and_no_more() -> None:
    wanted = MasteringLight(SCREEN, (1000, 400))
    near = MasteringLight((*SCREEN[:8], 8, SCREEN[9] + 20), (1000, 400))
    far = MasteringLight((*SCREEN[:9], SCREEN[9] + 80), (1000, 400))
    assert is_same_light(near, wanted, "av1")
    assert not is_same_light(near, wanted, "hevc")
    assert not is_same_light(far, wanted, "av1")
    assert not is_same_light(MasteringLight(SCREEN, (1000, 401)), wanted, "av1")
    assert not is_same_light(None, wanted, "av1")
    assert not is_same_light(MasteringLight((), (1000, 400)), wanted, "av1")
