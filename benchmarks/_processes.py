"""How much memory a program and its child processes hold at most."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_EVERY: Final = 0.02  # seconds between two looks
_MIB: Final = 2.0**10  # in kB


def can_measure() -> bool:
    """Whether the system tells the peak of each process (Linux does)."""
    return (_PROC / "self" / "status").exists()


def peak_memory(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a program; the peak resident memory (MiB) of its processes, each at its own time, summed.

    Pages that processes share count in each of them. The system keeps the peak of a process
    (``VmHWM``), so that nothing between two looks is missed but the last moment of its life.

    Args:
        command: The program and its arguments.
        environment: What is added to the variables of this process.

    Raises:
        CalledProcessError: It failed.
    """
    peaks: dict[int, float] = {}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env=os.environ | dict(environment)
    ) as program:
        while program.poll() is None:
            for pid in _family(program.pid):
                peaks[pid] = max(peaks.get(pid, 0.0), _peak(pid))
            time.sleep(_EVERY)
    if program.returncode:
        raise subprocess.CalledProcessError(program.returncode, command)
    return sum(peaks.values())


def _family(pid: int) -> Iterator[int]:
    """A process and all that it started, as long as they live."""
    yield pid
    for thread in (_PROC / str(pid) / "task").glob("*"):
        for child in _read(thread / "children").split():
            yield from _family(int(child))


def _peak(pid: int) -> float:
    for line in _read(_PROC / str(pid) / "status").splitlines():
        if line.startswith("VmHWM:"):
            return float(line.split()[1]) / _MIB
    return 0.0  # it has just ended


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
