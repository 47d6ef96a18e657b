"""Memory of whole runs: the estimate held against what is taken, and a film ten times as long.

    python benchmarks/memory.py [--source FILE] [--seconds 10] [--long]

Each run is a process of its own; its peak is the largest resident size the system saw. Prints
estimate / measured, and with --long measured of ten times the length / measured. It wants an
ffmpeg program: on the PATH, in $REMASTER_FFMPEG, or from `pip install imageio-ffmpeg`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

# Nothing large is imported here: a child's peak begins with what its parent had.

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "old_episode.mp4"
RUNS = (
    ("576x432", "auto", 2, "libx264", "medium"),
    ("576x432", "auto", 4, "libx264", "medium"),
    ("576x432", "auto", 4, "libx264", "veryfast"),
    ("576x432", "lanczos", 4, "libx264", "veryfast"),
    ("1280x720", "auto", 2, "libx264", "medium"),
    ("1280x720", "lanczos", 2, "libx264", "medium"),
    ("576x432", "auto", 4, "libx265", "medium"),
    ("576x432", "auto", 2, "libsvtav1", "8"),
)
"""(size, model, scale, codec, preset)."""


def film(source: Path, size: str, seconds: float, folder: Path) -> Path:
    """The source repeated to `seconds` at a size."""
    target = folder / f"{size}-{seconds:g}.mkv"
    if not target.exists():
        code = "from remaster.media.external import find_ffmpeg; print(find_ffmpeg() or '')"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        if not found.stdout.strip():
            sys.exit("no ffmpeg program: install one, or `pip install imageio-ffmpeg`")
        subprocess.run(
            [found.stdout.strip(), "-v", "error", "-stream_loop", "-1", "-i", str(source)]
            + ["-t", f"{seconds:g}", "-vf", f"scale={size.replace('x', ':')}"]
            + ["-c:v", "libx264", "-preset", "veryfast", "-c:a", "copy", str(target)],
            check=True,
        )
    return target


def measure_here(
    source: Path, output: Path, model: str, scale: int, codec: str, preset: str
) -> None:
    """One run in this process; a document with its estimate and its peak, in bytes."""
    import resource

    from remaster.options import RunOptions
    from remaster.pipeline import memory_need, run

    options = RunOptions(
        model=model, scale=scale, codec=codec, encoder_preset=preset, overwrite=True
    )
    result = run(source, output, options)
    need = memory_need(result.plan, options)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    document = {"made": result.frames, "peak": peak, "total": need.total}
    print(json.dumps(document))


def measure(source: Path, output: Path, how: tuple[str, int, str, str]) -> dict[str, int]:
    """The same in a process of its own."""
    words = [str(word) for word in (source, output, *how)]
    done = subprocess.run(
        [sys.executable, __file__, "--one", *words], stdout=subprocess.PIPE, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=EXAMPLE)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--long", action="store_true", help="also ten times as long")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of runs, from 0")
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        source, output, model, scale, codec, preset = arguments.one
        measure_here(Path(source), Path(output), model, int(scale), codec, preset)
        return
    print(f"{'run':48} {'estimate':>9} {'measured':>9} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, (size, *how) in enumerate(RUNS):
            if arguments.only and number not in arguments.only:
                continue
            settings = (str(how[0]), int(how[1]), str(how[2]), str(how[3]))
            short = film(arguments.source, size, arguments.seconds, folder)
            seen = measure(short, folder / "out.mkv", settings)
            line = f"{size} {settings[0]} x{settings[1]} {settings[2]} {settings[3]}"
            estimate, peak = seen["total"] / 1e9, seen["peak"] / 1e9
            print(f"{line:48} {estimate:6.2f} GB {peak:6.2f} GB {estimate / peak:6.2f}", flush=True)
            if arguments.long:
                long = film(arguments.source, size, 10 * arguments.seconds, folder)
                more = measure(long, folder / "out.mkv", settings)
                print(
                    f"    {more['made']} frames instead of {seen['made']}: "
                    f"{more['peak'] / seen['peak']:.3f} of the memory",
                    flush=True,
                )


if __name__ == "__main__":
    main()
