"""Processes that end with the program that started them, and the environment of programs."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

Cut = Literal["walltime", "memory", "killed"]
"""Why a program was cut off; ``killed`` stands for a kill without a known reason."""

_TRACEBACK: Final = "Traceback (most recent call last)"
_NO_REASON: Final = re.compile(rf"\w*Warning\b|\bWARNING\b|^{re.escape(_TRACEBACK)}")
THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that limit the threads of numerical libraries."""

HUGE_PAGES: Final = {"THP_MEM_ALLOC_ENABLE": "1"}
"""Makes torch ask Linux for large pages if it is set before the import (decision 0024)."""

# What schedulers, shells and libraries write when a job is cut off. Walltime is looked for first,
# because a job out of time is killed in the end as well, and memory before a bare kill.
_SIGNS: Final[Mapping[Cut, re.Pattern[str]]] = {
    "walltime": re.compile(
        r"due to time limit|walltime .*exceeded|exceeded .*walltime|cpu time limit exceeded",
        re.IGNORECASE,
    ),
    "memory": re.compile(
        r"out[ _]of[ _]memory|outofmemoryerror|oom[-_ ]kill|exceeded .*memory limit|memoryerror"
        r"|bad_alloc|cannot allocate memory|defaultcpuallocator: (?:can't|not enough)",
        re.IGNORECASE,
    ),
    # The text does not say who killed it: an administrator, a watchdog, a preemption, the kernel.
    "killed": re.compile(
        r"^.*\bkilled\s*$|:\s+\d+\s+(?:killed|terminated)\b|\bsignal (?:9|15)\b|\bsigkill\b"
        r"|\bcancelled at\b|due to preemption",
        re.IGNORECASE | re.MULTILINE,
    ),
}
_COUNTERS: Final = Path("/proc/vmstat")


def environment(threads: int | str) -> dict[str, str]:
    """Environment variables of a program that may use this number of threads.

    AiiDA hashes them as part of its jobs: with one more name, finished jobs would run again.
    """
    return {"MKL_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}


def cores() -> int:
    """The cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):  # Linux: the cores that a batch system or taskset grants
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_to_one_core(*, always: bool = True) -> None:
    """Limit the numerical libraries of this process to one thread; for one of several processes.

    Libraries read the limit at their import: call this function before.

    Args:
        always: Replace a limit that the user has set.
    """
    for name in THREADS:
        if always or name not in os.environ:
            os.environ[name] = "1"


def ends_with_parent(command: list[str]) -> list[str]:
    """The command in a form that ends with the process that starts it, even after kill -9.

    With util-linux 2.33 or newer the kernel ends the command; without, the command stays unchanged.
    The parent is the thread that starts the command.
    """
    setpriv = shutil.which("setpriv")
    return [*_guard(setpriv), *command] if setpriv else command


@cache
def _guard(setpriv: str) -> tuple[str, ...]:
    """The words in front of a command; none if this ``setpriv`` is too old."""
    guard = (setpriv, "--pdeathsig", "TERM")
    tried = subprocess.run([*guard, setpriv, "--version"], capture_output=True, check=False)  # noqa: S603
    return () if tried.returncode else guard


def error_line(stderr: str) -> str:
    """The line that says why a program failed, or nothing.

    This is the line of its last traceback that names the exception; without a traceback, the last
    line that is not part of a warning. An indented line of source follows a warning.
    """
    lines = stderr.splitlines()
    starts = [row for row, line in enumerate(lines) if line.startswith(_TRACEBACK)]
    for line in lines[starts[-1] + 1 :] if starts else ():
        if line.strip() == line != "":
            return line
    for line in reversed(lines):
        if line.strip() and not line[0].isspace() and not _NO_REASON.search(line):
            return line.strip()
    return ""


def cut_off_by(text: str) -> Cut | None:
    """Why a program was cut off, from the error output of program, shell and scheduler."""
    return next((cut for cut, sign in _SIGNS.items() if sign.search(text)), None)


def kills_for_memory() -> int | None:
    """Number of processes that this kernel killed for lack of memory; ``None`` if unknown."""
    try:
        counters = _COUNTERS.read_text(encoding="ascii").split()
    except OSError:
        return None
    counts = dict(zip(counters[::2], counters[1::2], strict=False))
    return int(counts["oom_kill"]) if "oom_kill" in counts else None


def pool(
    workers: int, initializer: Callable[..., None] | None = None, initargs: tuple[Any, ...] = ()
) -> ProcessPoolExecutor:
    """A pool of spawned processes, which end with this process, even if kill -9 ends it.

    Args:
        workers: Number of processes.
        initializer: Each process calls it first.
        initargs: Arguments of the initializer.
    """
    # spawn, not fork: calculators and torch start threads, and a fork of them deadlocks
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, _start, (initializer, initargs))


def _start(initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
