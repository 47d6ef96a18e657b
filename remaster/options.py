"""What one run is asked to do. Light to import: the command line reads its defaults here."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from remaster.errors import OptionsError

SMALLEST_SIDE, LARGEST_SIDE = 16, 16384
"""Of a film that is asked for by its size; pictures may have what their formats hold."""

LONGEST_SECONDS = 10**9
MOST_BATCH = 4096
PAINTED = (".mkv", ".mp4", ".mov")
"""Endings of `debug_reuse`."""

FORMATS = ("mkv", "mp4", "mov", "webm", "y4m")
DEINTERLACE = ("auto", "off")
REUSE = ("off", "exact", "drawings")
MODES = ("enhance", "enlarge", "double-enhance", "double-enlarge")
STILLS_WRITTEN = (".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff")
"""Endings of pictures that are written."""

PRECISIONS = ("auto", "fp32", "fp16", "bf16")


@dataclass(frozen=True)
class RunOptions:
    """What one run is asked to do; the command line's flags, with their defaults."""

    scale: int | None = None
    """Output pixels per source pixel along each axis, 1 to 16; 2 when no size is given."""

    height: int | None = None
    """Output height instead of a scale; the width follows."""

    size: tuple[int, int] | None = None
    """Output (width, height) instead of a scale; the display's aspect ratio is kept."""

    model: str = "auto"
    """`auto`, a name `remaster models` lists, `identity`, `lanczos`, `bicubic`, or a file."""

    reuse: str = "drawings"
    """What is computed once for several frames: `drawings`, what differs by noise alone; `exact`,
    what is the same to the bit; `off`, nothing."""

    smooth: float = 0.0
    """How far what does change is averaged with its neighbours in time; 0 to 1, 0 not at all."""

    batch: int = 0
    """Frames computed together; 0 chooses."""

    device: str = "auto"
    precision: str = "auto"
    codec: str = "libx264"
    crf: int | None = None
    encoder_preset: str | None = None
    pix_fmt: str | None = None
    start: Fraction | None = None
    end: Fraction | None = None
    duration: Fraction | None = None
    preview: Fraction | None = None
    """Seconds from the middle of the film instead of all of it."""

    overwrite: bool = False
    format: str | None = None
    """One of `FORMATS`, whatever the output's name ends in."""

    ffmpeg_encoder: str | None = None
    """Output arguments of an external ffmpeg, as a shell would read them."""

    deinterlace: str = "auto"
    """`auto` makes interlaced and telecined sources progressive; `off` leaves their fields."""

    report: Path | None = None
    """A JSON file for what the run did; a str will do."""

    debug_reuse: Path | None = None
    """A film (.mkv, .mp4, .mov) at the source's size that paints what was reused; a str will do."""

    mode: str | None = None
    """One of `MODES`, for pictures and networks that enlarge first; None: enlarge."""

    ensemble: bool = False
    """Pictures: the mean over all eight turns and flips."""

    denoise: bool = False
    """Pictures: OpenCV's denoisers behind the network; the double modes have them anyway."""

    denoise_strength: float = 7.0
    """Of non-local means, in levels, for brightness; 0 to 255."""

    denoise_color: float | None = None
    """The same for colour; None: as for brightness."""

    denoise_template: int = 3
    """Side in pixels, odd, of what non-local means compare."""

    denoise_search: int = 9
    """Side in pixels, odd, of where they look."""

    denoise_bilateral: float = 50.0
    """Both sigmas of the bilateral filter behind them; 0 leaves it out."""

    denoise_as_input: int = 1
    """Whether the double modes denoise between their passes too: 0 or 1."""

    def __post_init__(self) -> None:
        self._check_types()
        sizes = {"--scale": self.scale, "--height": self.height, "--size": self.size}
        given = [name for name, value in sizes.items() if value is not None]
        if len(given) > 1:
            raise OptionsError(f"{' and '.join(given)} say the same thing: give one of them")
        if self.scale is not None and not 1 <= self.scale <= 16:
            raise OptionsError(f"--scale is 1 to 16, not {self.scale}")
        if min(self.sides, default=1) < 1:
            raise OptionsError("a side of the output is at least 1 pixel")
        if self.end is not None and self.duration is not None:
            raise OptionsError("--end and --duration say the same thing: give one of them")
        if self.start is not None and self.start < 0:
            raise OptionsError(f"--start must not be negative, not {float(self.start):g}")
        if self.duration is not None and self.duration <= 0:
            raise OptionsError(f"--duration must be positive, not {float(self.duration):g}")
        if self.end is not None and self.end <= (self.start or 0):
            raise OptionsError(f"--end ({float(self.end):g} s) must come after --start")
        self._check_preview()
        if not 0 <= self.batch <= MOST_BATCH:
            raise OptionsError(f"--batch is a number of frames, up to {MOST_BATCH}")
        self._check_reuse()
        if self.deinterlace not in DEINTERLACE:
            raise OptionsError(
                f"--deinterlace is {' or '.join(DEINTERLACE)}, not {self.deinterlace!r}"
            )
        if self.precision not in PRECISIONS:
            raise OptionsError(f"--precision is {', '.join(PRECISIONS)}; not {self.precision!r}")

        self._check_encoder()
        self._check_stills()

    def _check_types(self) -> None:
        """Say what a caller from Python gave wrong; times may come as any number."""
        for names, kinds, words in (
            (("scale", "height", "crf", "batch", *_WINDOWS), int, "a whole number"),
            (("start", "end", "duration", "preview"), (int, float, Fraction), "seconds, a number"),
            (("smooth",), (int, float), "a number, 0 to 1"),
            (_STRENGTHS, (int, float), "a number, 0 to 255"),
            (("report", "debug_reuse"), (str, os.PathLike), "the name of a file"),
        ):
            for name in names:
                value = getattr(self, name)
                if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
                    raise OptionsError(f"{name} is {words}, not {value!r}")
        for name in ("start", "end", "duration", "preview"):
            value = getattr(self, name)
            if isinstance(value, float) and not math.isfinite(value):
                raise OptionsError(f"{name} is seconds, a number, not {value!r}")
            if value is not None and abs(value) >= LONGEST_SECONDS:
                raise OptionsError(f"{name} is seconds, fewer than {LONGEST_SECONDS}")
            if value is not None:
                object.__setattr__(self, name, Fraction(str(value)))
        for name in ("report", "debug_reuse"):
            path = getattr(self, name)
            if path is not None:
                object.__setattr__(self, name, _file(f"--{name.replace('_', '-')}", path))
        size = self.size
        if size is not None and (len(size) != 2 or not all(isinstance(n, int) for n in size)):
            raise OptionsError(f"size is (width, height) in pixels, not {size!r}")

    def _check_reuse(self) -> None:
        if self.reuse not in REUSE:
            raise OptionsError(f"--reuse is {', '.join(REUSE)}; not {self.reuse!r}")
        if not 0 <= self.smooth <= 1:
            raise OptionsError(f"--smooth is 0 to 1, not {self.smooth:g}")
        if self.debug_reuse is not None and self.reuse == "off":
            raise OptionsError("--debug-reuse shows what is reused: leave --reuse off out")
        if self.debug_reuse is not None and self.debug_reuse.suffix.lower() not in PAINTED:
            raise OptionsError(f"--debug-reuse {self.debug_reuse} must end in {', '.join(PAINTED)}")

    def _check_preview(self) -> None:
        if self.preview is None:
            return
        times = {"--start": self.start, "--end": self.end, "--duration": self.duration}
        given = [name for name, value in times.items() if value is not None]
        if given:
            raise OptionsError(
                f"--preview chooses the part itself: leave {' and '.join(given)} out"
            )
        if self.preview <= 0:
            raise OptionsError(f"--preview must be positive, not {float(self.preview):g}")

    def _check_encoder(self) -> None:
        if self.format is not None and self.format not in FORMATS:
            raise OptionsError(f"--format is {', '.join(FORMATS)}; not {self.format!r}")
        own = {
            "--codec": self.codec != RunOptions.codec,
            "--crf": self.crf is not None,
            "--encoder-preset": self.encoder_preset is not None,
        }
        given = [name for name, is_given in own.items() if is_given]
        if self.ffmpeg_encoder is not None and given:
            raise OptionsError(
                f"--ffmpeg-encoder says everything about the encoder: leave {given[0]} out"
            )

    def _check_stills(self) -> None:
        if self.mode is not None and self.mode not in MODES:
            raise OptionsError(f"--mode is {', '.join(MODES)}; not {self.mode!r}")
        sizes = (self.scale, self.height, self.size)
        if self.mode == "enhance" and any(size is not None for size in sizes):
            raise OptionsError(
                "--mode enhance keeps the size: leave --scale, --height and --size out, or choose "
                "--mode enlarge"
            )
        for name in _STRENGTHS:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 255:
                raise OptionsError(f"{_flag(name)} is 0 to 255, not {value:g}")
        for name in ("denoise_template", "denoise_search"):
            side = getattr(self, name)
            if not 1 <= side <= 99 or side % 2 == 0:
                raise OptionsError(f"{_flag(name)} is an odd number of pixels, 1 to 99; not {side}")
        if self.denoise_as_input not in (0, 1):
            raise OptionsError(f"--denoise-as-input is 0 or 1, not {self.denoise_as_input}")
        is_double = self.mode in ("double-enhance", "double-enlarge")
        changed = [name for name in (*_STRENGTHS, *_WINDOWS) if is_changed(self, name)]
        if changed and not self.denoise and not is_double:
            raise OptionsError(
                f"{_flag(changed[0])} belongs to --denoise, and to the double modes: give one"
            )
        if is_changed(self, "denoise_as_input") and not is_double:
            raise OptionsError("--denoise-as-input belongs to the double modes: leave it out")

    @property
    def sides(self) -> tuple[int, ...]:
        """Those of the output that are given."""
        return (*(() if self.height is None else (self.height,)), *(self.size or ()))

    @property
    def stop(self) -> Fraction | None:
        """The end in seconds, however it was given."""
        if self.duration is not None:
            return (self.start or Fraction(0)) + self.duration
        return self.end


def _file(option: str, given: str | os.PathLike[str]) -> Path:
    if os.fspath(given) in ("", "-"):
        raise OptionsError(f"{option} is the name of a file, not {os.fspath(given)!r}")
    return Path(given)


_STRENGTHS = ("denoise_strength", "denoise_color", "denoise_bilateral")
_WINDOWS = ("denoise_template", "denoise_search", "denoise_as_input")

FOR_FILMS = (
    "start", "end", "duration", "preview", "reuse", "smooth", "batch", "deinterlace", "codec",
    "crf", "encoder_preset", "pix_fmt", "ffmpeg_encoder", "format", "debug_reuse",
)  # fmt: skip
"""Options that mean nothing for a picture."""

FOR_STILLS = ("mode", "ensemble", "denoise", *_STRENGTHS, *_WINDOWS)
"""Options that mean nothing for a film."""


def is_changed(options: RunOptions, name: str) -> bool:
    """Whether an option has another value than its default."""
    return bool(getattr(options, name) != getattr(RunOptions, name))


def refuse(names: Iterable[str], path: Path, what: str) -> None:
    """Raise OptionsError for options that were given and mean nothing for a file.

    Args:
        what: the file is, `film` or `picture`; options of the other are looked for in `names`.
    """
    others, owner = (FOR_STILLS, "pictures") if what == "film" else (FOR_FILMS, "films")
    wrong = [name for name in names if name in others]
    if wrong:
        raise OptionsError(
            f"{_flag(wrong[0])} is for {owner}, and {path} is a {what}: leave it out"
        )


def refuse_sides(options: RunOptions, path: Path) -> None:
    """Raise OptionsError for an output size that no film has."""
    if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in options.sides):
        raise OptionsError(
            f"a side of a film is {SMALLEST_SIDE} to {LARGEST_SIDE} pixels, and {path} is a film: "
            "change --height or --size"
        )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
