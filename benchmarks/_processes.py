"""How much memory a program holds at most."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_EVERY: Final = 0.02  # seconds between two looks
_MIB: Final = 2.0**10  # in kB


def can_measure() -> bool:
    """Whether the system tells the peak of a process (Linux does)."""
    return (_PROC / "self" / "status").exists()


def peak_memory(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a program; the peak resident memory of its process, MiB.

    Processes that it starts do not count: one that it forks holds the same pages for a moment. The
    system keeps the peak (``VmHWM``), so that nothing is missed but the last moment of its life.

    Args:
        command: The program and its arguments.
        environment: What is added to the variables of this process.

    Raises:
        CalledProcessError: It failed.
    """
    peak = 0.0
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env=os.environ | dict(environment)
    ) as program:
        while program.poll() is None:
            peak = max(peak, _peak(program.pid))
            time.sleep(_EVERY)
    if program.returncode:
        raise subprocess.CalledProcessError(program.returncode, command)
    return peak


def _peak(pid: int) -> float:
    try:
        status = (_PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace")
    except OSError:  # it has just ended
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return float(line.split()[1]) / _MIB
    return 0.0
