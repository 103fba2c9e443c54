"""A temporary AiiDA profile for a benchmark: made by our own set-up, gone when the block ends."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def temporary_profile(*, workers: int = 0) -> Iterator[Any]:
    """A fresh profile, as ``trainspot setup`` makes it, in a folder of its own.

    AiiDA must not have been imported, because it looks for its folder when it is. The folder lies
    where ``TMPDIR`` says: it should be a disk, for AiiDA writes and waits for the disk.

    Args:
        workers: Daemon workers; 0 for no daemon.

    Yields:
        The computer ``localhost``.
    """
    if "aiida" in sys.modules:
        raise RuntimeError("AiiDA was imported before its folder was settled")
    with tempfile.TemporaryDirectory(prefix="trainspot-bench-") as folder:
        home = Path(folder)
        os.environ["AIIDA_PATH"] = str(home)
        # AiiDA starts its daemon with the ``verdi`` on PATH: let it be the one beside this Python.
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        (home / ".aiida").mkdir()
        logging.getLogger("alembic").setLevel(logging.WARNING)
        from aiida_trainspot.setup import installation

        profile, _ = installation.make_profile("benchmark", may_make=True)
        computer, _ = installation.make_computer()
        if workers:
            installation.start_daemon(profile, workers, restart=False)
        try:
            yield computer
        finally:
            _close(profile.name, stop_daemon=bool(workers))


def _close(name: str, *, stop_daemon: bool) -> None:
    from aiida.engine.daemon.client import get_daemon_client
    from aiida.manage import get_manager

    if stop_daemon:
        get_daemon_client(name).stop_daemon(wait=True)
    get_manager().reset_profile()
