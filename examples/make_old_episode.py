"""Draw a short episode and put it through old television: examples/old_episode.mp4.

    python examples/make_old_episode.py --output old_episode.mp4 --seed 121

576x432 at 25 frames a second, H.264 with visible noise, a small tune in AAC, and no word in the
file about its colours: BT.601, limited range, as such files are. It moves as limited animation
does: bodies are held, mouths, eyes and a hand move on twos to fours, the camera once, for less
than a second.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from remaster.train.drawing.character import Design, Pose, design_character
from remaster.train.drawing.script import Exposure, Shot, blinks, speech
from remaster.train.drawing.shots import Painter, fading, superimpose

HEIGHT, WIDTH = 432, 576
FRAME_RATE, NUM_FRAMES = 25, 240
SAMPLE_RATE = 44100
HOUR = "morning"

Picture = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]
Scene = tuple[Shot, Sequence[Exposure]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("old_episode.mp4"))
    parser.add_argument("--seed", type=int, default=121)
    options = parser.parse_args()
    write_episode(options.output, options.seed)


def write_episode(path: Path, seed: int) -> None:
    """The drawn episode of that seed, as an old file."""
    rng = np.random.default_rng(seed)
    flags = {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(str(path), "w", options=flags) as container:
        video = container.add_stream("libx264", rate=FRAME_RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"crf": "26", "preset": "medium", "threads": "1", "g": "100"}
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
        audio.bit_rate = 80_000
        audio.codec_context.thread_count = 1
        for rgb in draw_episode(seed, HEIGHT, WIDTH):
            picture = av.VideoFrame.from_ndarray(broadcast(rgb, rng), format="yuv420p")
            container.mux(video.encode(picture))
        container.mux(video.encode())
        for packet in encode_audio(audio, tune(rng, NUM_FRAMES / FRAME_RATE)):
            container.mux(packet)


def draw_episode(seed: int, height: int, width: int) -> Iterator[Picture]:
    """The clean (height, width, 3) frames; those of one drawing in a row share the array."""
    rng = np.random.default_rng([seed, 5])
    cast = [design_character(rng) for _ in range(3)]
    scenes = title(), greeting(cast[2]), street(cast[0], cast[1], rng), look_round(), reply(cast[0])
    for shot, exposures in scenes:
        painter, shown = Painter(shot, height, width), None
        for index, exposure in enumerate(exposures):
            seen = exposure, fading(shot, index)
            if seen != shown:
                shown, drawing = seen, painter.paint(exposure)
                picture = superimpose(drawing, seen[1], drawing, 0)
            yield picture


def title() -> Scene:
    """A held place; the title comes up on it."""
    shot = Shot(1565850781, "title", 36, "grove", HOUR)
    opacity = np.clip((np.arange(36) - 8) / 8, 0, 1)
    return shot, [Exposure((0.0, 0.0, 1.15), lettering=float(part)) for part in opacity]


def greeting(who: Design) -> Scene:
    """She waves on threes."""
    shot = Shot(204, "sway", 36, "hills", HOUR, (who,))
    swings = (-0.35, 0.0, 0.35, 0.6, 0.35, 0.0)
    pose = Pose(yaw=0.2, arms="wave", happy_eyes=True, eyes=0.0, mouth="wide", light=1.0)
    poses = [replace(pose, swing=swings[max(i - 6, 0) // 3 % 6]) for i in range(36)]
    return shot, [Exposure((0.0, 0.0, 1.1), (pose,)) for pose in poses]


def street(one: Design, other: Design, rng: np.random.Generator) -> Scene:
    """The second speaks, the first listens; both blink."""
    shot = Shot(687006447, "talk", 52, "town", HOUR, (one, other))
    listens = Pose(yaw=0.35, gaze=(0.3, 0.0), arms="chest")
    speaks = Pose(yaw=-0.35, gaze=(-0.3, 0.0), arms="chest")
    lids, own, mouths = blinks(rng, 52), blinks(rng, 52), speech(rng, 52)
    return shot, [
        Exposure(
            (0.1, 0.0, 1.15),
            (
                replace(listens, eyes=float(lids[i])),
                replace(speaks, eyes=float(own[i]), mouth=mouths[i] or speaks.mouth),
            ),
        )
        for i in range(52)
    ]


def look_round() -> Scene:
    """The camera rests, pans on ones, and rests."""
    shot = Shot(201, "pan", 36, "skyline", HOUR)
    eased = 0.5 - 0.5 * np.cos(np.pi * np.clip((np.arange(36) - 9) / 18, 0, 1))
    return shot, [Exposure((0.12 - 0.24 * float(part), 0.0, 1.2)) for part in eased]


def reply(who: Design) -> Scene:
    """Close: she speaks, blinks, smiles, and all goes dark."""
    shot = Shot(1228273492, "talk", 80, "grove", HOUR, (who,), fade_out=11)
    rng = np.random.default_rng(shot.seed)
    lids, mouths = blinks(rng, 80), speech(rng, 80)
    pose = Pose(yaw=0.25, gaze=(0.2, 0.0))
    poses = [
        replace(pose, eyes=float(lids[i]), mouth=mouths[i] if mouths[i] and i < 56 else pose.mouth)
        for i in range(80)
    ]
    return shot, [Exposure((0.0, 0.0, 1.15), (pose,)) for pose in poses]


def broadcast(rgb: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A clean (H, W, 3) picture as a tape of it: (3H/2, W) planes of limited-range 4:2:0."""
    r, g, b = np.moveaxis(rgb.astype(np.float32), 2, 0)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    cb, cr = 0.564 * (b - luma), 0.713 * (r - luma)
    luma = smooth(smooth(luma, 0.75, axis=1), 0.45, axis=0)
    luma = luma + 0.6 * (luma - smooth(luma, 1.8, axis=1))
    luma = luma + smooth(noise(rng, luma.shape), 0.55, axis=1) * (6.5 - luma / 90)
    chroma = []
    for plane in (cb, cr):
        bled = np.roll(smooth(smooth(plane, 2.4, axis=1), 0.8, axis=0), 1, axis=1)
        bled = bled + 9 * smooth(smooth(noise(rng, bled.shape), 3.0, axis=1), 1.0, axis=0)
        chroma.append(bled.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean(axis=(1, 3)))
    codes = [16 + luma * 219 / 255, *(128 + plane * 224 / 255 for plane in chroma)]
    planes = [np.clip(plane + 0.5, 16, 240).astype(np.uint8).ravel() for plane in codes]
    return np.concatenate(planes).reshape(HEIGHT * 3 // 2, WIDTH)


def noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Plane:
    return rng.standard_normal(shape, dtype=np.float32)


def smooth(plane: Plane, sigma: float, axis: int) -> Plane:
    """A Gaussian along one axis, edges held."""
    radius = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padding = [(radius, radius) if a == axis else (0, 0) for a in range(2)]
    padded = np.pad(plane, padding, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis=axis)
    return windows @ kernel.astype(np.float32)


def tune(rng: np.random.Generator, seconds: float) -> npt.NDArray[np.float32]:
    """(2, samples) a music box over slow chords, -1 to 1, fading at both ends."""
    count = int(seconds * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    sound = np.zeros((2, count))
    chords = ((57, 64, 69, 72), (53, 60, 65, 69), (60, 64, 67, 72), (55, 62, 67, 71))
    beat = 0.28
    for step in range(int(seconds / beat)):
        chord = chords[step // 8 % 4]
        note = chord[int(rng.integers(4))] + 12 * int(rng.random() < 0.6)
        if rng.random() < 0.8:
            sound += bell(time - step * beat, note) * rng.uniform([[0.3], [0.3]], [[0.8], [0.8]])
        if step % 8 == 0:
            swell = np.clip((time - step * beat) / 0.5, 0, 1) * np.exp(
                -np.clip(time - step * beat, 0, None) / 2
            )
            pad = sum(np.sin(2 * np.pi * pitch(n - 12) * time + n) for n in chord)
            sound += 0.16 * swell * pad
    for delay, share in ((0.11, 0.35), (0.19, 0.25), (0.31, 0.15)):
        shift = int(delay * SAMPLE_RATE)
        sound[:, shift:] += share * sound[::-1, :-shift]
    sound *= np.clip(time / 0.3, 0, 1) * np.clip((seconds - time) / 1.2, 0, 1)
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def bell(time: npt.NDArray[np.float64], note: int) -> npt.NDArray[np.float64]:
    """A struck tine that rings from time 0."""
    ringing = np.clip(time, 0, None)
    decay = np.exp(-3.2 * ringing) * (time > 0)
    frequency = 2 * np.pi * pitch(note)
    return decay * (
        np.sin(frequency * ringing)
        + 0.25 * np.exp(-6 * ringing) * np.sin(4.07 * frequency * ringing)
    )


def pitch(note: int) -> float:
    """Hertz of a MIDI note."""
    return 440.0 * 2 ** ((note - 69) / 12)


def encode_audio(stream: av.AudioStream, sound: npt.NDArray[np.float32]) -> list[av.Packet]:
    packets = []
    for start in range(0, sound.shape[1], 1024):
        block = np.ascontiguousarray(sound[:, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        packets += stream.encode(frame)
    return packets + stream.encode()


if __name__ == "__main__":
    main()
