"""Processes that do not outlive the program they work for, and what programs run with."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

HUGE_PAGES: Final = {"THP_MEM_ALLOC_ENABLE": "1"}
"""Set before torch is imported, has it ask Linux for large pages (decision 0024)."""


def environment(threads: int | str) -> dict[str, str]:
    """Environment variables of a program that may use so many threads."""
    return {"MKL_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}


def ends_with_parent(command: list[str]) -> list[str]:
    """The command such that it ends with the process that starts it, even if that is killed.

    The kernel sees to it, where there is util-linux; elsewhere the command stays as it is.
    """
    setpriv = shutil.which("setpriv")
    return command if setpriv is None else [setpriv, "--pdeathsig", "TERM", *command]


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
