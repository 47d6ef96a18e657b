"""The host: its cores and its memory, and settings of the process that computing depends on."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> None:
    """Tell glibc to keep large blocks instead of returning them to the system.

    Each layer frees and asks again for tens of megabytes; fresh pages would cost as much time as
    the arithmetic. Does nothing where the C library is another.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
    libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    libc.mallopt(M_TOP_PAD, 64 << 20)


def multiplies_bf16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware, so that oneDNN uses it."""
    import torch

    has_onednn = torch.backends.mkldnn.is_available()
    return has_onednn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def usable_cores() -> int:
    """Processor cores that this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def available_memory() -> int | None:
    """Bytes that this process can have, those it has already included; None: not known.

    The least of what the machine can spare and what the control groups around the process leave.
    Where the system does not say what is free, all that the machine has.
    """
    if sys.platform == "win32":
        return _windows_memory()
    machine = _meminfo_bytes("MemAvailable")
    if machine is None:
        with suppress(AttributeError, ValueError, OSError):
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return None
    return min([machine, *_group_rooms()]) + _resident_bytes()


def _meminfo_bytes(name: str) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None


def _resident_bytes() -> int:
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _group_rooms(root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> Iterator[int]:
    """What each control group around this process leaves, for both versions of the interface."""
    if own is None:
        own = ""
        with suppress(OSError):
            own = Path("/proc/self/cgroup").read_text()
    for line in own.splitlines():
        number, controllers, path = line.split(":", 2)
        version_2 = number == "0" and not controllers
        if not version_2 and "memory" not in controllers.split(","):
            continue
        top = root if version_2 else root / "memory"
        names = (
            ("memory.max", "memory.current", "inactive_file")
            if version_2
            else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        )
        inside = top / path.lstrip("/")
        for folder in (inside, *inside.parents):
            if folder.is_relative_to(top):
                with suppress(OSError, ValueError):
                    yield _group_room(folder, *names)


def _group_room(folder: Path, limit: str, used: str, reclaimable: str) -> int:
    """Raises ValueError where there is no limit, OSError where there is no such group."""
    most = int((folder / limit).read_text())
    cached = 0
    for line in (folder / "memory.stat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == reclaimable:
            cached = int(value)
    return max(most - int((folder / used).read_text()) + cached, 0)


def _windows_memory() -> int | None:
    """`ullAvailPhys` of GlobalMemoryStatusEx: the third of its numbers of eight bytes."""
    status = (ctypes.c_uint64 * 8)(64)
    windows = getattr(ctypes, "windll", None)
    if windows is None or not windows.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status[2])
