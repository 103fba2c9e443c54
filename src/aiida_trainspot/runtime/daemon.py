"""The daemon of a profile: its state, the remedy, and how it is started (decision 0040).

For AiiDA the daemon runs as long as its PID file exists. After a reboot, a power cut or a kill the
file remains, and its number may belong to another program. Only ``look`` reads this file; all
other code calls ``look``.
"""

from __future__ import annotations

import logging
import shlex
import sys
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil
from aiida.common.exceptions import ConfigurationError
from aiida.common.log import override_log_level
from aiida.engine.daemon.client import DaemonClient, DaemonException

from aiida_trainspot.runtime import processes
from aiida_trainspot.runtime.broker import silence
from aiida_trainspot.runtime.profile import PROFILE
from trainspot.common.errors import RunError

if TYPE_CHECKING:
    from aiida.manage.configuration.profile import Profile

_START: Final = 60
"""Seconds a daemon may take to start."""

_PAUSE: Final = 0.2
"""Seconds between two checks of a broker that starts."""

_ANSWER: Final = 5
"""Seconds the supervisor may take to answer; it takes some milliseconds."""


class State(Enum):
    """The state of a daemon."""

    RUNS = "runs"
    STOPPED = "stopped"
    DIED = "died"
    FOREIGN = "foreign"
    """The daemon died, and the number in its PID file belongs to another program."""

    IMPOSSIBLE = "impossible"
    """The profile has no broker."""


@dataclass(frozen=True)
class Daemon:
    """The state of the daemon of a profile.

    Attributes:
        profile: Name of the profile.
        state: See ``State``.
        pid: The number in the PID file, if the file exists.
        program: Name of the other program with this number.
    """

    profile: str
    state: State
    pid: int | None = None
    program: str = ""

    @property
    def runs(self) -> bool:
        """Whether the daemon runs."""
        return self.state is State.RUNS

    @property
    def what(self) -> str:
        """One clause about the state of the daemon."""
        of = f"profile '{self.profile}'"
        gone = f"the daemon of {of} was killed or died in a reboot: "
        return {
            State.RUNS: f"the daemon of {of} runs as process {self.pid}",
            State.STOPPED: f"the daemon of {of} is not running",
            State.DIED: f"{gone}process {self.pid} of its PID file does not exist",
            State.FOREIGN: f"{gone}process {self.pid} of its PID file is another program "
            f"({self.program})",
            State.IMPOSSIBLE: f"{of} has no broker and so cannot have a daemon",
        }[self.state]

    @property
    def remedy(self) -> str:
        """The command that helps; empty if the daemon runs."""
        if self.state is State.IMPOSSIBLE:
            return "run: verdi profile configure-broker core.zeromq"
        return "" if self.runs else f"run: {setup_command(self.profile)}"


def setup_command(profile: str) -> str:
    """The command that starts the daemon of a profile."""
    return "trainspot setup" + (f" -p {profile}" if profile != PROFILE else "")


def look(profile: Profile) -> Daemon:
    """Read the state of the daemon of a profile; changes nothing."""
    if profile.process_control_backend is None:
        return Daemon(profile.name, State.IMPOSSIBLE)
    pid = DaemonClient(profile).get_daemon_pid()
    if pid is None:  # no file, or a file left empty by a power cut, which AiiDA replaces
        return Daemon(profile.name, State.STOPPED)
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return Daemon(profile.name, State.DIED, pid)
        program = process.name()
        ours = _is_supervisor(process, profile)
    except (psutil.NoSuchProcess, ValueError):
        return Daemon(profile.name, State.DIED, pid)
    except psutil.AccessDenied:  # of another user
        ours, program = False, "of another user"
    return Daemon(profile.name, State.RUNS if ours else State.FOREIGN, pid, program)


def _is_supervisor(process: psutil.Process, profile: Profile) -> bool:
    """Whether a process supervises the workers of this profile, not of another profile."""
    if not processes.is_supervisor(process):
        return False
    return process.username() == psutil.Process().username() and processes.serves(process, profile)


def stall(profile: Profile) -> dict[str, str] | None:
    """Why no process of a profile can continue and what to do; ``None`` if all can."""
    daemon = look(profile)
    if not daemon.runs:
        return {"reason": daemon.what, "do": daemon.remedy}
    if not _is_young(daemon) and (why := silence(profile)):
        what = f"the broker of profile '{profile.name}' does not answer ({why})"
        return {"reason": what, "do": f"run: {setup_command(profile.name)}"}
    return None


def _is_young(daemon: Daemon) -> bool:
    """Whether a daemon has just started, so that its broker may still be starting."""
    try:
        return time.time() - psutil.Process(daemon.pid).create_time() < _START
    except psutil.NoSuchProcess:
        return False


# ── starting it ───────────────────────────────────────────────────────────────
def start(profile: Profile, workers: int) -> bool:
    """Start the daemon of a profile, unless it runs and its broker answers.

    First the remains of a dead daemon are removed: its PID files, even if their numbers belong to
    other programs now, and workers and a broker that have no supervisor any more.

    Returns:
        Whether the daemon was started.

    Raises:
        RunError: The daemon does not start.
    """
    daemon = look(profile)
    if daemon.state is State.IMPOSSIBLE:
        raise RunError(daemon.what, hint=daemon.remedy)
    is_well = daemon.runs and not silence(profile)
    if not is_well:
        if daemon.runs:
            stop(profile)
        client = DaemonClient(profile)
        processes.end(processes.orphans(profile))
        if daemon.state is State.FOREIGN:  # possibly the daemon of another profile
            Path(client.circus_pid_file).unlink(missing_ok=True)
        if processes.broker_of(profile) is None:
            # A worker that starts before the broker would connect to the old sockets.
            for file in processes.broker_files(profile):
                file.unlink(missing_ok=True)
        try:
            with override_log_level(logging.ERROR):  # no warning about the old PID file
                client.start_daemon(number_workers=workers, timeout=_START)
        except (DaemonException, ConfigurationError, OSError) as error:
            raise RunError(f"the daemon does not start: {error}") from error
        _wait_for_broker(profile)
    watch_over(profile)
    return not is_well


def _wait_for_broker(profile: Profile) -> None:
    """Wait until the broker, which the supervisor starts beside the workers, answers.

    Raises:
        RunError: The broker does not answer in time.
    """
    deadline = time.monotonic() + _START
    while why := silence(profile):
        if time.monotonic() > deadline:
            what = f"the daemon was started, but its broker does not answer ({why})"
            raise RunError(what, hint="see: verdi daemon logshow, verdi status")
        time.sleep(_PAUSE)


def stop(profile: Profile) -> None:
    """Stop the daemon of a profile, and wait until its workers have ended.

    Raises:
        RunError: The daemon does not stop.
    """
    try:
        DaemonClient(profile).stop_daemon(wait=True, timeout=_START)
    except (DaemonException, RuntimeError, OSError) as error:
        hint = f"end process {look(profile).pid}, and run: {setup_command(profile.name)}"
        raise RunError(f"the daemon does not stop: {error}", hint=hint) from error


# ── the watchdog that looks after campaigns ──────────────────────────────────
def watch_over(profile: Profile) -> bool:
    """Add our watchdog to the supervisor of a running daemon, unless it is there (decision 0041).

    ``trainspot setup``, ``run`` and ``status`` call this function. Every campaign calls it too when
    a worker starts or continues it, so that the watchdog also runs after ``verdi daemon start``.

    Returns:
        Whether the watchdog is there now; false if the supervisor does not answer.
    """
    client = DaemonClient(profile)
    name = f"{client.daemon_name}-trainspot-watchdog"
    command = shlex.join([sys.executable, "-m", "aiida_trainspot.runtime.watchdog", profile.name])
    options = {"copy_env": True, "numprocesses": 1}
    added = {"name": name, "cmd": command, "start": True, "options": options}
    try:
        answer = client.call_client({"command": "list", "properties": {}}, timeout=_ANSWER)
        if name not in answer.get("watchers", ()):
            answer = client.call_client({"command": "add", "properties": added}, timeout=_ANSWER)
    except (DaemonException, RuntimeError, OSError):
        return False
    return bool(answer.get("status") == "ok")
