"""Where the time of a run goes, and how it stands beside a plain Lanczos enlargement.

One run measures, on the same film of the same length with the same encoder settings: decoding
alone, the network alone, encoding alone, the whole, and ffmpeg's `scale=lanczos`. Ratios within one
run are what counts; the machine's own speed is not.

    python benchmarks/throughput.py [--source FILE] [--seconds 90] [--scale 4]

It wants an ffmpeg program: on the PATH, in $REMASTER_FFMPEG, or from `pip install imageio-ffmpeg`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from remaster.frames import Frame
from remaster.media.external import find_ffmpeg, lanczos_command
from remaster.media.probe import probe
from remaster.media.reader import read_frames
from remaster.media.writer import Writer
from remaster.pipeline import RunOptions, Stopwatch, batches, enlarged, make_plan, run
from remaster.upscale import Upscaler

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "old_episode.mp4"
CRF, PRESET = 18, "veryfast"


@dataclass(frozen=True)
class Measure:
    """One part of the work, done alone."""

    name: str
    frames: int
    seconds: float
    cpu_seconds: float

    @property
    def fps(self) -> float:
        return self.frames / self.seconds


def cpu_seconds() -> float:
    """Processor time of this process and its finished children."""
    own, children = (
        resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def measure(name: str, work: Callable[[], int]) -> Measure:
    """Time `work`, which returns how many frames it made."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    frames = work()
    done = Measure(name, frames, time.perf_counter() - wall, cpu_seconds() - cpu)
    print(f"{name:24} {done.fps:8.1f} fps  {1000 * done.cpu_seconds / frames:7.1f} ms CPU a frame")
    return done


def looped(source: Path, seconds: float, folder: Path, ffmpeg: str) -> Path:
    """The film repeated to at least `seconds`, packets copied."""
    length = probe(source).duration_seconds
    assert length, f"{source} does not say how long it is"
    target = folder / f"looped{source.suffix}"
    times = str(math.ceil(seconds / length) - 1)
    command = [ffmpeg, "-v", "error", "-stream_loop", times, "-i", str(source), "-c", "copy"]
    subprocess.run([*command, str(target)], check=True)
    return target


def compare(
    source: Path, film: Path, scale: int, model: str, ffmpeg: str, folder: Path
) -> dict[str, object]:
    """All measures on `film`, which is `source` repeated; the table's numbers as a document."""
    options = RunOptions(
        scale=scale, model=model, crf=CRF, encoder_preset=PRESET, overwrite=True, reuse="off"
    )
    plan = make_plan(film, folder / "out.mkv", options)
    upscaler = Upscaler(plan.model, plan.source.video, plan.target, plan.device, plan.dtype)
    period = list(read_frames(probe(source)))
    times = [frame.pts for frame in read_frames(plan.source)]
    count = len(times)

    def network() -> int:
        endless = itertools.islice(itertools.cycle(period), count)
        with enlarged(plan, upscaler, batches(endless, 1), Stopwatch()) as results:
            return sum(len(batch) for batch in results)

    def finished() -> list[Frame]:
        with enlarged(plan, upscaler, batches(period, 1), Stopwatch()) as results:
            return [frame for batch in results for frame in batch.frames]

    def encode(pictures: list[Frame]) -> int:
        target = folder / "alone.mkv"
        with Writer(target, plan.source, plan.target, plan.encoding, overwrite=True) as writer:
            for pts, frame in zip(times, itertools.cycle(pictures)):
                writer.write(replace(frame, pts=pts))
            return writer.finish().frames

    def whole() -> int:
        return run(film, folder / "out.mkv", options).frames

    def lanczos() -> int:
        settings = {"preset": PRESET, "crf": str(CRF)}
        size = (plan.target.width, plan.target.height)
        target = folder / "lanczos.mkv"
        command = lanczos_command(film, target, *size, program=ffmpeg, options=settings)
        subprocess.run(command, check=True)
        return count

    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import remaster.pipeline"], check=True)
    start_up = time.perf_counter() - began
    parts = [measure("decode alone", lambda: sum(1 for _ in read_frames(plan.source)))]
    parts.append(measure("network alone", network))
    pictures = finished()
    parts.append(measure("encode alone", lambda: encode(pictures)))
    pictures.clear()
    total, other = measure("whole run", whole), measure("ffmpeg scale=lanczos", lanczos)
    ratios = {
        "cpu_whole_over_parts": total.cpu_seconds / sum(part.cpu_seconds for part in parts),
        "speed_whole_over_lanczos": total.fps / other.fps,
        "start_up_seconds": start_up,
    }
    for name, value in ratios.items():
        print(f"{name:28} {value:.3f}")
    return {"parts": [asdict(m) for m in (*parts, total, other)], **ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=EXAMPLE)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--model", default="auto")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    ffmpeg = find_ffmpeg()
    if ffmpeg is None:
        parser.error("no ffmpeg program: install one, or `pip install imageio-ffmpeg`")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = looped(arguments.source, arguments.seconds, folder, ffmpeg)
        figures = compare(
            arguments.source, film, arguments.scale, arguments.model, ffmpeg, folder
        )  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
