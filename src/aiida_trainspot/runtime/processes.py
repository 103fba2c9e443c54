"""The processes of AiiDA's daemon, identified by their command lines."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil
from aiida.manage import get_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiida.manage.configuration.profile import Profile

_SUPERVISORS: Final = {"start-circus", "circusd"}
_SERVANTS: Final = ("worker", "broker")
"""Commands of ``verdi daemon`` that the supervisor starts, in the order of ending them."""

_END: Final = 10.0
"""Seconds a process may take to end before it is killed."""


def is_supervisor(process: psutil.Process) -> bool:
    """Whether a process is the supervisor of a daemon, of any profile."""
    return bool(_SUPERVISORS & set(process.cmdline()))


def serves(process: psutil.Process, profile: Profile) -> bool:
    """Whether AiiDA started a process for this profile of this configuration."""
    command, folder = process.cmdline(), process.environ().get("AIIDA_PATH")
    is_same = folder is None or Path(folder).resolve() == Path(get_config().dirpath).resolve()
    return is_same and ("-p" not in command or command[command.index("-p") + 1] == profile.name)


def end(processes: list[psutil.Process]) -> None:
    """Terminate processes, and kill those that do not end."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(processes, timeout=_END)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def orphans(profile: Profile) -> list[psutil.Process]:
    """Processes of a profile without a supervisor, in this order: workers, broker, helper."""
    ranked = [
        (rank, process)
        for rank, process in _servants(profile)
        if (parent := process.parent()) is None or not is_supervisor(parent)
    ]
    return [process for _, process in sorted(ranked, key=lambda pair: pair[0])]


def workers_of(profile: Profile) -> list[psutil.Process]:
    """The living workers of a profile."""
    return [process for rank, process in _servants(profile) if rank == 0]


def _servants(profile: Profile) -> Iterator[tuple[int, psutil.Process]]:
    """Processes that were started for a profile, each with its position in the order of ending."""
    log = get_config().filepaths(profile)["circus"]["log"]
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
            command = process.cmdline()
            if (
                log in command
            ):  # the supervisor's helper, which measures the load of the other processes
                yield len(_SERVANTS), process
                continue
            rank = _SERVANTS.index(command[command.index("daemon") + 1])
            if serves(process, profile):
                yield rank, process


def broker_files(profile: Profile) -> tuple[Path, Path]:
    """PID file of the embedded broker of a profile, and the folder of its sockets."""
    folder = Path(get_config().filepaths(profile)["broker_service"]["dir"])
    return folder / "broker.pid", folder / "broker.sockets"


def broker_of(profile: Profile) -> psutil.Process | None:
    """The embedded broker of a profile; ``None`` if it ended or its number has a new owner."""
    try:
        pid = int(broker_files(profile)[0].read_text(encoding="utf8").split()[-1])
        process = psutil.Process(pid)
        is_broker = "broker" in process.cmdline() and serves(process, profile)
        return process if is_broker and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
