"""`remaster doctor`: whether everything that a run needs is here, and what would make it better."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from remaster.commands.console import clean, columns, one_line, say, size_words
from remaster.commands.program import FAILED
from remaster.engines.host import available_memory
from remaster.errors import RemasterError
from remaster.released import released, weights_folder

if TYPE_CHECKING:
    from remaster.models import Network

__all__ = ["Check", "checks", "examine"]

State = Literal["ok", "warning", "problem"]

_NEEDED = {"torch": (2, 6), "av": (18,), "numpy": (2,), "safetensors": (0, 5), "tqdm": (4,)}
"""Packages without which nothing works, and the oldest version that does."""

_WANTED = {
    "pillow": ((11,), "for pictures and training"),
    "ffmpeg-python": ((0, 2), "for --ffmpeg-encoder"),
}
"""Packages without which films are still enlarged."""

_EXTRAS = {
    "opencv": ("cv2", "for --denoise, the double modes and training m-SRCNN"),
    "h5": ("h5py", "for training sets in HDF5"),
    "tensorboard": ("tensorboard", "for train --tensorboard"),
}
"""Extras of the installation: what of them is imported, and what for."""

_IMPORTED_AS = {"ffmpeg-python": "ffmpeg", "pillow": "PIL"}
"""Names of modules, where a package has another."""

_LITTLE_MEMORY = 2e9
_LITTLE_DISK = 5e9
_HARDWARE = {"nvenc": "NVIDIA", "qsv": "Intel", "amf": "AMD", "videotoolbox": "Apple"}
_FFMPEG_SECONDS = 3
_MOST_CODES_OFF = 16
"""Of 255: networks sharpen the ends of a ramp; weights that are not those trained are far off."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    advice: str = ""
    """What to do about it."""


def examine(*, as_json: bool) -> int:
    """Print every check; the exit code: 1 when remaster cannot work here."""
    found = list(checks())
    if as_json:
        say(json.dumps({"works": _works(found), "checks": [asdict(check) for check in found]}))
    else:
        for check in found:
            said = f"{check.found}; {check.advice}" if check.advice else check.found
            say(columns([(check.state.ljust(7), check.name.ljust(11), clean(said))])[0])
        say("remaster works here" if _works(found) else "remaster cannot work here")
    return 0 if _works(found) else FAILED


def checks() -> Iterator[Check]:
    """Look at everything; what needs a package that is missing is left out."""
    yield Check("python", "ok", f"{platform.python_version()}, {platform.platform(terse=True)}")
    packages = [_package(name, oldest) for name, oldest in _NEEDED.items()]
    yield from packages
    yield from (_wanted(name, *of) for name, of in _WANTED.items())
    yield _decord()
    yield from (_extra(name, *of) for name, of in _EXTRAS.items())
    if not _works(packages):
        return
    for look in (_remaster, _libraries, _processor, _cuda, _encoders, _program):
        yield look()
    yield from _weights()
    yield _memory()
    yield from _disks()


def _works(found: list[Check]) -> bool:
    return all(check.state != "problem" for check in found)


def _package(name: str, oldest: tuple[int, ...]) -> Check:
    wanted = ".".join(map(str, oldest))
    try:
        version = importlib.metadata.version(name)
        importlib.import_module(_IMPORTED_AS.get(name, name))
    except (ImportError, OSError) as error:  # OSError: a library of the system is missing
        return Check(name, "problem", one_line(error), f"pip install '{name}>={wanted}'")
    if tuple(int(part) for part in re.findall(r"\d+", version)[: len(oldest)]) < oldest:
        return Check(name, "problem", f"{version} is too old", f"pip install '{name}>={wanted}'")
    return Check(name, "ok", version)


def _wanted(name: str, oldest: tuple[int, ...], purpose: str) -> Check:
    found = _package(name, oldest)
    if found.state == "ok":
        return found
    return replace(found, state="warning", advice=f"{purpose}, {found.advice}")


def _decord() -> Check:
    try:
        return Check("decord", "ok", importlib.metadata.version("decord"))
    except ImportError:
        return Check("decord", "ok", "not here; training reads videos with PyAV")


def _extra(name: str, module: str, purpose: str) -> Check:
    try:
        found = importlib.import_module(module)
    except (ImportError, OSError):
        return Check(module, "ok", "not here", f"{purpose}, pip install 'remaster[{name}]'")
    return Check(module, "ok", str(getattr(found, "__version__", "here")))


def _remaster() -> Check:
    try:
        return Check("remaster", "ok", importlib.metadata.version("remaster"))
    except ImportError:
        return Check("remaster", "ok", "from a folder, not installed")


def _libraries() -> Check:
    from remaster.media.libraries import ffmpeg_libraries

    return Check("ffmpeg libs", "ok", ffmpeg_libraries())


def _processor() -> Check:
    import torch

    from remaster.engines.host import multiplies_bf16
    from remaster.pipeline import workers

    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", bool)()
    cores = f"{workers()} core" + ("s" if workers() != 1 else "")
    if multiplies_bf16():
        return Check("processor", "ok", f"{cores}, bf16 in hardware{' (AMX)' * has_amx}")
    return Check("processor", "ok", f"{cores}, no bf16 in hardware: fp32 is used")


def _cuda() -> Check:
    import torch

    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        named = ", ".join(f"{each.name} {size_words(each.total_memory)}" for each in devices)
        return Check("cuda", "ok", f"{named} (CUDA {torch.version.cuda})")
    has_driver = shutil.which("nvidia-smi") is not None
    if torch.version.cuda is None:
        found = "this PyTorch is built without CUDA"
        advice = "for an NVIDIA card, install PyTorch as https://pytorch.org says"
        return Check("cuda", "warning" if has_driver else "ok", found, advice)
    found = f"PyTorch is built for CUDA {torch.version.cuda} but finds no device"
    return Check("cuda", "warning", found, "check the driver with nvidia-smi")


def _encoders() -> Check:
    from remaster.media.encoders import available_encoders, known_encoders

    there = available_encoders()
    missing = [name for name in known_encoders() if name not in there]
    software = [name for name in missing if not name.endswith(tuple(_HARDWARE))]
    makers = sorted({_HARDWARE[name.split("_")[-1]] for name in missing if name not in software})
    found = ", ".join(there)
    if software:
        found += f"; missing: {', '.join(software)}"
        return Check("encoders", "warning", found, "pip install --force-reinstall av has them all")
    none = "" if any(name.endswith(tuple(_HARDWARE)) for name in there) else "; none in hardware"
    if none:
        none += f" (they come with drivers of {', '.join(makers)})"
    return Check("encoders", "ok", found + none)


def _program() -> Check:
    from remaster.media.external import find_ffmpeg

    advice = "pip install 'remaster[ffmpeg]', or set REMASTER_FFMPEG"
    try:
        program = find_ffmpeg()
    except RemasterError as error:
        return Check("ffmpeg", "warning", one_line(error))
    if program is None:
        return Check("ffmpeg", "ok", "no program; not needed for a run", advice)
    try:
        done = subprocess.run(
            [program, "-version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_FFMPEG_SECONDS,
            stdin=subprocess.DEVNULL,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Check("ffmpeg", "warning", f"{program} does not run: {one_line(error)}", advice)
    match = re.match(r"ffmpeg version (\S+)", done.stdout)
    return Check("ffmpeg", "ok", f"{match[1] if match else 'unknown version'}, {program}")


def _weights() -> Iterator[Check]:
    if not released():
        yield Check("weights", "problem", f"none in {weights_folder()}", "install remaster again")
    for name, path in released().items():
        yield _weight(name, path)


def _weight(name: str, path: Path) -> Check:
    from remaster.checkpoint import load_model

    try:
        model, card = load_model(path)
    except RemasterError as error:
        return Check(name, "problem", one_line(error), "install remaster again")
    if not _enlarges(model):
        return Check(name, "problem", "gives wrong pictures", "install remaster again")
    found = f"x{card.scale} {card.arch}, {size_words(path.stat().st_size)}, loads and enlarges"
    return Check(name, "ok", found)


def _enlarges(model: Network) -> bool:
    """Whether a small ramp comes out as one: near what Lanczos, which needs no weights, makes."""
    import torch

    from remaster.frames import Color, Frame, FrameBatch, PixelLayout, VideoInfo
    from remaster.models.interpolation import Interpolation
    from remaster.paths import default_dtype
    from remaster.upscale import Upscaler

    side, device = 32, torch.device("cpu")
    color = Color("bt709", "limited", "bt709", "bt709")
    layout = PixelLayout("420", 8)
    small = VideoInfo(side, side, Fraction(1, 25), None, Fraction(1), layout, color)
    large = replace(small, width=side * model.scale, height=side * model.scale)
    ramp = torch.arange(side, dtype=torch.uint8).mul(6).add(20).expand(side, side).contiguous()
    gray = torch.full((side // 2, side // 2), 128, dtype=torch.uint8)
    frames = FrameBatch((Frame(0, (ramp, gray, gray)),))

    def enlarged(network: Network) -> list[torch.Tensor]:
        upscaler = Upscaler(network, small, large, device, default_dtype(device, network))
        return [plane.int() for plane in upscaler(frames).frames[0].planes]

    there, expected = enlarged(model), enlarged(Interpolation(model.scale, "lanczos"))
    return all((one - other).abs().max() <= _MOST_CODES_OFF for one, other in zip(there, expected))


def _memory() -> Check:
    free = available_memory()
    if free is None:
        return Check("memory", "ok", "this system does not say how much is free")
    if free < _LITTLE_MEMORY:
        return Check("memory", "warning", f"{size_words(free)} free", "close other programs")
    return Check("memory", "ok", f"{size_words(free)} free")


def _disks() -> Iterator[Check]:
    """Where films are written, mostly, and where programs put what is in between."""
    places: dict[str, Callable[[], str]] = {
        "disk here": os.getcwd,
        "disk temp": tempfile.gettempdir,
    }
    for name, place in places.items():
        try:
            free = shutil.disk_usage(place()).free
        except OSError as error:
            yield Check(name, "warning", one_line(error))
            continue
        is_little = free < _LITTLE_DISK
        advice = "a film needs some gigabytes" if is_little else ""
        yield Check(name, "warning" if is_little else "ok", f"{size_words(free)} free", advice)
