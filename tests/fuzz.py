"""Small files of every kind, damaged on purpose, through whole runs.

    python -m tests.fuzz --count 2000 --seed 0
    python -m tests.fuzz --weights --count 400

Every case is made from its seed and number alone, and is run in a process of its own, forked from
one that has everything imported. A case is sound when the run ends in time and within memory, in
one sentence or with a film that was verified, and leaves nothing else in its folder.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from remaster.checkpoint import load_model
from remaster.errors import CheckpointError, RemasterError, VerificationError
from remaster.media.encoders import choose_encoding
from remaster.media.probe import probe
from remaster.media.reader import read_frames
from remaster.options import RunOptions
from remaster.pipeline import run
from remaster.released import released
from tests.clips import Sound, Subtitles, cover_picture, make_clip

WALL_SECONDS = 20
MEMORY_BYTES = 1_500_000_000
LONGEST_MESSAGE = 600

SOUND_KINDS = ("finished", "refused")
"""How a case may end; `unverified` is sound too, but worth a look: a check found a difference."""

Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], None]


@dataclass(frozen=True)
class Outcome:
    """How one case ended."""

    number: int
    name: str
    kind: str
    """`finished`, `refused`, `unverified`, or what is wrong: `error`, `crash`, `hang`, ..."""

    detail: str
    seconds: float
    peak_bytes: int


def make_seeds(folder: Path) -> list[Path]:
    """Short clips of every container and codec that can be made here."""
    texts = (Subtitles([(0.0, 0.2, "One"), (0.2, 0.3, "Two")]),)
    chapters = [(0.0, 0.2, "Opening"), (0.2, 0.4, "Story")]
    clips: dict[str, dict[str, object]] = {
        "h264.mp4": {"bframes": 2, "cover": cover_picture(), "chapters": chapters},
        "h264.mkv": {
            "subtitles": texts, "attachments": {"font.ttf": b"\0\1\0\0" * 40},
            "chapters": chapters, "audio": (Sound("ac3"),), "metadata": {"title": "Clip"},
        },
        "hevc.mkv": {"codec": "libx265", "pix_fmt": "yuv420p10le", "audio": (Sound("libopus"),)},
        "mpeg2.ts": {"codec": "mpeg2video", "bframes": 1, "audio": (Sound("mp2"),)},
        "mpeg2.vob": {"codec": "mpeg2video", "audio": (Sound("ac3"),)},
        "mpeg4.avi": {"codec": "mpeg4", "bframes": 1, "audio": (Sound("mp2"),)},
        "vp9.webm": {"codec": "libvpx-vp9", "audio": (Sound("libopus"),)},
        "prores.mov": {
            "codec": "prores_ks", "pix_fmt": "yuv422p10le", "audio": (Sound("pcm_s16le"),),
            "sar": Fraction(8, 9),
        },
        "ffv1.mkv": {"codec": "ffv1", "audio": (Sound("flac"),), "size": (63, 47)},
        "h264.ts": {"audio": (Sound("aac"),)},
        "h264.flv": {},
        "av1.mkv": {"codec": "libsvtav1", "options": {"preset": "12"}, "audio": ()},
        "mjpeg.avi": {
            "codec": "mjpeg", "pix_fmt": "yuvj420p", "audio": (Sound("pcm_s16le"),)
        },
        "wmv2.asf": {"codec": "wmv2", "audio": (Sound("mp2"),)},
        "mpeg2.mxf": {"codec": "mpeg2video", "audio": (Sound("pcm_s16le"),)},
        "ffv1.nut": {"codec": "ffv1", "pix_fmt": "yuv444p", "audio": (Sound("pcm_s16le"),)},
        "still.gif": {"codec": "gif", "pix_fmt": "gray", "audio": ()},
        "still.apng": {"codec": "apng", "pix_fmt": "rgb24", "audio": ()},
        "raw.hevc": {"codec": "libx265", "audio": ()},
        "raw.m4v": {"codec": "mpeg4", "audio": ()},
        "raw.ivf": {"codec": "libvpx-vp9", "audio": ()},
    }  # fmt: skip
    return [make_clip(folder / name, frames=8, **more) for name, more in clips.items()]  # type: ignore[arg-type]


def _place(data: bytearray, random_: random.Random) -> int:
    """A position: half of the time near the beginning, where headers are."""
    near = min(len(data), 600)
    return random_.randrange(near if random_.random() < 0.5 else len(data))


def flip_bits(data: bytearray, random_: random.Random, others: Sequence[bytes]) -> None:
    for _ in range(random_.choice((1, 1, 3, 10, 100))):
        data[_place(data, random_)] ^= 1 << random_.randrange(8)


def truncate(data: bytearray, random_: random.Random, others: Sequence[bytes]) -> None:
    del data[_place(data, random_) :]


def splice_header(data: bytearray, random_: random.Random, others: Sequence[bytes]) -> None:
    """The beginning of one file on the rest of another."""
    other = random_.choice(others)
    length = random_.randrange(1, min(len(other), 2000))
    data[: random_.choice((0, length))] = other[:length]


def swap_blocks(data: bytearray, random_: random.Random, others: Sequence[bytes]) -> None:
    length = random_.choice((16, 188, 512, 2048))
    a, b = sorted((_place(data, random_), _place(data, random_)))
    if a + length <= b and b + length <= len(data):
        data[a : a + length], data[b : b + length] = data[b : b + length], data[a : a + length]
    else:
        data[a:b] = data[a:b][::-1]


def repeat_block(data: bytearray, random_: random.Random, others: Sequence[bytes]) -> None:
    a = _place(data, random_)
    data[a:a] = data[a : a + random_.choice((1, 4, 188, 1000))] * random_.choice((1, 2, 20))


def zero_range(data: bytearray, random_: random.Random, others: Sequence[bytes]) -> None:
    a = _place(data, random_)
    length = min(random_.choice((1, 4, 64, 1000)), len(data) - a)
    data[a : a + length] = bytes([random_.choice((0, 0, 255))]) * length


def change_number(data: bytearray, random_: random.Random, others: Sequence[bytes]) -> None:
    """Two, four or eight bytes become a number that sizes, counts and times dislike."""
    width = random_.choice((2, 4, 8))
    top = 1 << 8 * width
    value = random_.choice((0, 1, 16384, top // 2 - 1, top // 2, top - 1, random_.randrange(top)))
    a = _place(data, random_)
    data[a : a + width] = value.to_bytes(width, random_.choice(("big", "little")))


MUTATIONS: Sequence[Mutation] = (
    flip_bits, truncate, splice_header, swap_blocks, repeat_block, zero_range, change_number,
)  # fmt: skip


def mutated(
    sources: Sequence[bytes], random_: random.Random, mutations: Sequence[Mutation]
) -> tuple[int, str, bytes]:
    """(which source, names of what was done, the damaged bytes); one to three changes."""
    index = random_.randrange(len(sources))
    data, names = bytearray(sources[index]), []
    for _ in range(random_.choice((1, 1, 1, 2, 3))):
        mutation = random_.choice(mutations)
        if data:
            mutation(data, random_, sources)
        names.append(mutation.__name__)
    return index, "+".join(names), bytes(data)


def run_film(path: Path, folder: Path, random_: random.Random) -> tuple[str, str]:
    """(kind, detail) of a whole run on a file; the output goes to an empty folder."""
    model, scale = random_.choice((("identity", 1), ("lanczos", 2)))
    output = folder / f"out{random_.choice(('.mkv', '.mkv', '.mp4', '.mov'))}"
    options = RunOptions(model=model, scale=scale, encoder_preset="ultrafast")
    if random_.random() < 0.15:
        options = RunOptions(
            model=model, scale=scale, encoder_preset="ultrafast", start=Fraction(1, 10)
        )
    try:
        result = run(path, output, options)
    except RemasterError as error:
        is_unverified = isinstance(error, VerificationError)
        litter = sorted(os.listdir(folder))
        if litter and not (is_unverified and litter == [f"out.unverified{output.suffix}"]):
            return "litter", f"{litter} after: {error}"
        return _told(error, "unverified" if is_unverified else "refused")
    if os.listdir(folder) != [output.name]:
        return "litter", str(sorted(os.listdir(folder)))
    frames = sum(1 for _ in read_frames(probe(output)))
    if frames != result.frames:
        return "wrong film", f"{frames} frames instead of {result.frames}"
    return "finished", f"{frames} frames; {'; '.join(result.warnings)}"


def load_weights(path: Path, folder: Path, random_: random.Random) -> tuple[str, str]:
    try:
        model, card = load_model(path)
    except CheckpointError as error:
        return _told(error, "refused")
    assert model.scale == card.scale
    return "finished", card.arch


def _told(error: RemasterError, kind: str) -> tuple[str, str]:
    message = str(error)
    if not message or len(message) > LONGEST_MESSAGE or not message.isprintable():
        return "bad message", repr(message)
    return kind, message


def change_words(data: bytearray, random_: random.Random, others: Sequence[bytes]) -> None:
    """A number or a word of the header becomes another; the header's length stays right."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= len(data) - 8:
        return
    header = bytes(data[8 : 8 + length])
    words = (b"F32", b"16", b"5", b'"celnet"', b"num_features", b"scale", b"shape", b"[", b"0")
    other = (b"F16", b"I64", b"-1", b"99999999999", b"null", b"1e308", b"2.0", b"{}", b"255", b"")
    header = header.replace(random_.choice(words), random_.choice(other), random_.choice((1, -1)))
    data[: 8 + length] = len(header).to_bytes(8, "little") + header


def _in_child(case: Callable[[], tuple[str, str]], write: int) -> None:
    """Run a case and send (kind, detail); never returns."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if _has_proc() else 0
    if pages:
        limit = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    said = io.StringIO()
    sys.stdout = sys.stderr = said
    sys.unraisablehook = lambda what: print("unraisable", what.exc_value, what.object)
    warnings.simplefilter("error")
    try:
        kind, detail = case()
        if said.getvalue():
            kind, detail = "noise", said.getvalue()
    except BaseException:  # noqa: BLE001 - whatever it is, it is the finding
        kind, detail = "error", traceback.format_exc()
    os.write(write, json.dumps([kind, detail[-4000:]]).encode())
    os._exit(0)


def _has_proc() -> bool:
    return Path("/proc/self/statm").exists()


def in_process(number: int, name: str, case: Callable[[], tuple[str, str]]) -> Outcome:
    """Run a case in a fork of this process, within time and memory."""
    began = time.monotonic()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _in_child(case, write)
    os.close(write)
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        seconds = time.monotonic() - began
        if done:
            break
        if seconds > WALL_SECONDS:
            os.kill(child, signal.SIGKILL)
            done, status, usage = os.wait4(child, 0)
            break
        time.sleep(0.004)
    with os.fdopen(read, "rb") as pipe:
        sent = pipe.read()
    peak = usage.ru_maxrss * 1024
    if seconds > WALL_SECONDS:
        kind, detail = "hang", f"killed after {seconds:.0f} s"
    elif os.WIFSIGNALED(status):
        kind, detail = "crash", signal.Signals(os.WTERMSIG(status)).name
    elif not sent:
        kind, detail = "crash", f"exit status {status}"
    else:
        kind, detail = json.loads(sent)
    if peak > MEMORY_BYTES:
        kind, detail = "memory", f"{peak / 1e6:.0f} MB; {kind}: {detail}"
    return Outcome(number, name, kind, detail, seconds, peak)


def film_case(number: int, seed: int, sources: Sequence[Path], folder: Path) -> Outcome:
    """One damaged film through a whole run."""
    random_ = random.Random(f"{seed}:{number}")
    index, done, data = mutated([p.read_bytes() for p in sources], random_, MUTATIONS)
    return _case(number, sources[index], done, data, folder, random_, run_film)


def weights_case(number: int, seed: int, sources: Sequence[Path], folder: Path) -> Outcome:
    """One damaged weights file."""
    random_ = random.Random(f"weights:{seed}:{number}")
    mutations = (*MUTATIONS, *[change_words] * 6)
    index, done, data = mutated([p.read_bytes() for p in sources], random_, mutations)
    return _case(number, sources[index], done, data, folder, random_, load_weights)


def _case(
    number: int,
    source: Path,
    done: str,
    data: bytes,
    folder: Path,
    random_: random.Random,
    case: Callable[[Path, Path, random.Random], tuple[str, str]],
) -> Outcome:
    path, out = folder / f"in{source.suffix}", folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    path.write_bytes(data)
    try:
        return in_process(number, f"{source.name} {done}", lambda: case(path, out, random_))
    finally:
        path.unlink()


def fuzz(
    numbers: Sequence[int], seed: int, *, weights: bool = False, keep: Path | None = None
) -> list[Outcome]:
    """Run the cases of these numbers; damaged files of what went wrong are put into `keep`."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as name:
        folder = Path(name)
        (folder / "seeds").mkdir()
        (folder / "work").mkdir()
        sources = sorted(released().values()) if weights else make_seeds(folder / "seeds")
        case = weights_case if weights else film_case
        _warm_up()
        outcomes = []
        for count, number in enumerate(numbers, 1):
            outcome = case(number, seed, sources, folder / "work")
            outcomes.append(outcome)
            if outcome.kind not in SOUND_KINDS:
                print(f"{number}: {outcome.name}: {outcome.kind}: {outcome.detail}", flush=True)
                if keep is not None:
                    _keep(number, seed, sources, weights, keep)
            if sys.stderr.isatty():
                print(f"\r{count} of {len(numbers)}", end="", file=sys.stderr)
    return outcomes


def _keep(number: int, seed: int, sources: Sequence[Path], weights: bool, folder: Path) -> None:
    random_ = random.Random(f"weights:{seed}:{number}" if weights else f"{seed}:{number}")
    mutations = (*MUTATIONS, *[change_words] * 6) if weights else MUTATIONS
    index, _, data = mutated([p.read_bytes() for p in sources], random_, mutations)
    folder.mkdir(exist_ok=True)
    (folder / f"{seed}-{number}{sources[index].suffix}").write_bytes(data)


def _warm_up() -> None:
    """Fill caches that every fork would fill again."""
    from remaster.frames import PixelLayout

    for container in ("matroska", "mp4", "mov"):
        choose_encoding(
            "libx264", PixelLayout("420", 8), crf=None, encoder_preset=None, pix_fmt=None,
            container=container,
        )  # fmt: skip


def summary(outcomes: Sequence[Outcome]) -> str:
    """A table: files by rows, endings by columns; then the slowest and the largest."""
    kinds = sorted({o.kind for o in outcomes}, key=lambda k: (k not in SOUND_KINDS, k))
    names = sorted({o.name.split()[0] for o in outcomes})
    counts = Counter((o.name.split()[0], o.kind) for o in outcomes)
    rows = [["", *kinds]]
    rows += [[name, *(str(counts[name, kind]) for kind in kinds)] for name in names]
    rows += [["all", *(str(sum(o.kind == kind for o in outcomes)) for kind in kinds)]]
    lines = ["  ".join(f"{cell:>12}" for cell in row) for row in rows]
    slowest = max(outcomes, key=lambda o: o.seconds)
    largest = max(outcomes, key=lambda o: o.peak_bytes)
    lines.append(f"slowest: {slowest.seconds:.1f} s (number {slowest.number}, {slowest.name})")
    lines.append(
        f"largest: {largest.peak_bytes / 1e6:.0f} MB (number {largest.number}, {largest.name})"
    )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*", help="numbers to repeat")
    parser.add_argument("--weights", action="store_true", help="weights files instead of films")
    parser.add_argument("--keep", type=Path, help="folder for files of cases that went wrong")
    arguments = parser.parse_args()
    began = time.monotonic()
    numbers = arguments.only if arguments.only else range(arguments.count)
    outcomes = fuzz(numbers, arguments.seed, weights=arguments.weights, keep=arguments.keep)
    print(summary(outcomes))
    print(f"{len(outcomes)} cases in {time.monotonic() - began:.0f} s")
    return any(o.kind not in (*SOUND_KINDS, "unverified") for o in outcomes)


if __name__ == "__main__":
    sys.exit(main())
