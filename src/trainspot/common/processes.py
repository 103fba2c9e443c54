"""Processes that do not outlive the program they work for, and what programs run with."""

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
"""Why a program was cut off; ``killed`` is all that is known of a kill without a reason."""

_TRACEBACK: Final = "Traceback (most recent call last)"
_NO_REASON: Final = re.compile(rf"\w*Warning\b|\bWARNING\b|^{re.escape(_TRACEBACK)}")
THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that limit the threads of numerical libraries."""

HUGE_PAGES: Final = {"THP_MEM_ALLOC_ENABLE": "1"}
"""Set before torch is imported, has it ask Linux for large pages (decision 0024)."""

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
    # Who killed it is not said: an administrator, a watchdog, a preemption, the kernel.
    "killed": re.compile(
        r"^.*\bkilled\s*$|:\s+\d+\s+(?:killed|terminated)\b|\bsignal (?:9|15)\b|\bsigkill\b"
        r"|\bcancelled at\b|due to preemption",
        re.IGNORECASE | re.MULTILINE,
    ),
}
_COUNTERS: Final = Path("/proc/vmstat")


def environment(threads: int | str) -> dict[str, str]:
    """Environment variables of a program that may use so many threads.

    They are hashed as part of AiiDA jobs: with one more name, finished jobs would run again.
    """
    return {"MKL_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}


def cores() -> int:
    """The cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):  # Linux: what a batch system or taskset leaves
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_to_one_core(*, always: bool = True) -> None:
    """Limit the numerical libraries of this process, one of several, to one thread.

    Libraries read the limit when they are imported: call it before.

    Args:
        always: Also where the user has set another limit.
    """
    for name in THREADS:
        if always or name not in os.environ:
            os.environ[name] = "1"


def ends_with_parent(command: list[str]) -> list[str]:
    """The command such that it ends with the process that starts it, even if that is killed.

    The kernel sees to it, where there is util-linux 2.33 or newer; elsewhere the command stays as
    it is. What counts as the parent is the thread that starts the command.
    """
    setpriv = shutil.which("setpriv")
    return [*_guard(setpriv), *command] if setpriv else command


@cache
def _guard(setpriv: str) -> tuple[str, ...]:
    """What to put before a command; nothing if this ``setpriv`` is too old."""
    guard = (setpriv, "--pdeathsig", "TERM")
    tried = subprocess.run([*guard, setpriv, "--version"], capture_output=True, check=False)  # noqa: S603
    return () if tried.returncode else guard


def error_line(stderr: str) -> str:
    """The line in which a program says why it failed, or nothing.

    That is the last line of its last traceback that names an exception; without any traceback, the
    last line that is no warning. Warnings come with a line of source below, which is indented.
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
    """Why a program was cut off, from what it, its shell and its scheduler wrote as errors."""
    return next((cut for cut, sign in _SIGNS.items() if sign.search(text)), None)


def kills_for_memory() -> int | None:
    """How many processes this kernel has killed for want of memory; ``None`` if it does not say."""
    try:
        counters = _COUNTERS.read_text(encoding="ascii").split()
    except OSError:
        return None
    counts = dict(zip(counters[::2], counters[1::2], strict=False))
    return int(counts["oom_kill"]) if "oom_kill" in counts else None


def pool(
    workers: int, initializer: Callable[..., None] | None = None, initargs: tuple[Any, ...] = ()
) -> ProcessPoolExecutor:
    """A pool of spawned processes; they end with this process, even if that is killed with -9.

    Args:
        workers: Their number.
        initializer: Called first in each of them.
        initargs: Its arguments.
    """
    # spawn, not fork: calculators and torch start threads, and forking those deadlocks
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
