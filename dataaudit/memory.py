"""How much memory a run may take: as asked, else a quarter of what is free.

Free is what the machine has left, or what the container, the job or the address space may still take,
whichever is least. It is looked up once, when a run begins: what the run itself takes is part of its share.
Everybody asks `memory_limit`; whoever would take more refuses before the work (`require_memory`), and whoever
keeps much says so (`hold`), by sizes that the data alone decide: a run takes the same way each time.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dataaudit.errors import TooLarge

SHARE: Final = 4  # a run takes a quarter of what is free
HINT: Final = "give more with --memory, or use fewer rows, fewer columns (--features) or --basis linear"
TRAIN_SHARE: Final = 0.75  # of what may be taken, for training rows where test rows come to them
SEARCHED: Final = 150  # bytes of a cell of rows whose slices are searched
FEWEST_SEARCHED: Final = 20_000  # rows of which they are, whatever memory there is
_UNBOUNDED: Final = 2**60  # control groups of version 1 write a number of pages for none
GROUPS: Final = (  # where control groups are, versions 2 and 1, and the files with limit and use
    (Path("/sys/fs/cgroup"), "", "memory.max", "memory.current"),
    (Path("/sys/fs/cgroup/memory"), "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)
_given: int | None = None  # bytes that the run may take
_held = 0  # bytes of it that stages have taken and keep


@contextmanager
def limited(size: int | None) -> Iterator[None]:
    """Set what may be taken for a run, all of its threads included; None leaves it, or takes the share."""
    global _given, _held
    before, _given, _held = (_given, _held), memory_limit() if size is None else size, 0
    try:
        yield
    except MemoryError as error:
        raise _exhausted() from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):  # what torch raises in place of a MemoryError
            raise
        raise _exhausted() from error
    finally:
        _given, _held = before


def memory_limit() -> int:
    """Return the bytes that a stage may take."""
    return free_memory() // SHARE if _given is None else max(0, _given - _held)


def hold(size: float) -> None:
    """Take note of what a run keeps until its end: rows, features; the stages to come share the rest."""
    global _held  # noqa: PLW0603 - as above
    if _given is not None:
        _held += int(size)


def require_memory(needed: int, what: str, limit: int) -> None:
    """Refuse what would not fit."""
    if needed > limit:
        raise TooLarge(f"{what} needs {in_bytes(needed)}, {in_bytes(limit)} may be used", HINT)


def in_bytes(size: float) -> str:
    """Return a size for people, in powers of 1024."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.0f} MiB"


def _exhausted() -> TooLarge:
    free = f"{in_bytes(free_memory())} are free now"
    return TooLarge(f"there is not enough memory: {free}", f"close what else runs, or {HINT}")


def free_memory() -> int:
    """Return the bytes that this process could still take."""
    return max(0, min(_of_machine(), *_of_groups(), _of_addresses()))


def _of_machine() -> int:
    """Return what the machine has left; where it does not say, half of what is installed."""
    if os.name == "nt":
        return _of_windows()
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _of_windows() -> int:
    class Status(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "c", "d", "e", "f", "g")),
        ]

    status = Status(length=ctypes.sizeof(Status))
    ctypes.CDLL("kernel32").GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.free)


def _of_groups() -> Iterator[int]:
    """Yield what the control groups of Linux leave: of the container, the job or the service, and above."""
    names = group_names()
    for root, controller, most, used in GROUPS:
        here = root / names.get(controller, "/").lstrip("/")
        for group in (here, *here.parents):
            with suppress(OSError, ValueError):  # no such file, or "max"
                bound = int((group / most).read_text(encoding="ascii"))
                if bound < _UNBOUNDED:
                    yield bound - int((group / used).read_text(encoding="ascii")) + _cached(group)
            if group == root:
                break


def group_names() -> dict[str, str]:
    """Return the control groups of this process by controller, which version 2 leaves empty."""
    names = dict[str, str]()
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            names |= dict.fromkeys(controllers.split(","), path)
    return names


def _cached(group: Path) -> int:
    """Return the bytes of files that a group holds and that make room when they have to."""
    for line in (group / "memory.stat").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0


def _of_addresses() -> int:
    """Return what `ulimit -v` leaves of the address space."""
    try:
        import resource  # noqa: PLC0415 - Windows has none

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most == resource.RLIM_INFINITY:
            return _UNBOUNDED
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        return most - pages * resource.getpagesize()
    except (ImportError, OSError, ValueError):
        return _UNBOUNDED
