"""The daemon of a profile: what has become of it, what to type, and starting it (decision 0040).

AiiDA takes its daemon for running as long as its PID file is there. After a reboot, a power cut or
a kill the file stays, and its number may belong to another program by now. Whoever wants to know
asks ``look``, and nobody else reads that file.
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
"""Seconds between two looks at a broker that starts."""

_ANSWER: Final = 5
"""Seconds the supervisor may take to answer; it takes some milliseconds."""


class State(Enum):
    """What has become of a daemon."""

    RUNS = "runs"
    STOPPED = "stopped"
    DIED = "died"
    FOREIGN = "foreign"
    """It died, and the number in its PID file is that of another program."""

    IMPOSSIBLE = "impossible"
    """The profile has no broker."""


@dataclass(frozen=True)
class Daemon:
    """What was found.

    Attributes:
        profile: Name of its profile.
        state: See ``State``.
        pid: The number in its PID file, if there is one.
        program: Name of the other program which has this number.
    """

    profile: str
    state: State
    pid: int | None = None
    program: str = ""

    @property
    def runs(self) -> bool:
        """Whether it does."""
        return self.state is State.RUNS

    @property
    def what(self) -> str:
        """One clause that says what has become of it."""
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
        """What to type, or nothing if it runs."""
        if self.state is State.IMPOSSIBLE:
            return "run: verdi profile configure-broker core.zeromq"
        return "" if self.runs else f"run: {setup_command(self.profile)}"


def setup_command(profile: str) -> str:
    """The command that starts the daemon of a profile."""
    return "trainspot setup" + (f" -p {profile}" if profile != PROFILE else "")


def look(profile: Profile) -> Daemon:
    """See what has become of the daemon of a profile; nothing is changed."""
    if profile.process_control_backend is None:
        return Daemon(profile.name, State.IMPOSSIBLE)
    pid = DaemonClient(profile).get_daemon_pid()
    if pid is None:  # no file, or one that a power cut left empty, which AiiDA writes anew
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
    """Whether a process supervises the workers of this profile, and not those of another one."""
    if not processes.is_supervisor(process):
        return False
    return process.username() == psutil.Process().username() and processes.serves(process, profile)


def stall(profile: Profile) -> dict[str, str] | None:
    """Why nothing moves in a profile and what to type, or ``None`` if it can."""
    daemon = look(profile)
    if not daemon.runs:
        return {"reason": daemon.what, "do": daemon.remedy}
    if not _is_young(daemon) and (why := silence(profile)):
        what = f"the broker of profile '{profile.name}' does not answer ({why})"
        return {"reason": what, "do": f"run: {setup_command(profile.name)}"}
    return None


def _is_young(daemon: Daemon) -> bool:
    """Whether a daemon has just begun, so that its broker may still be starting."""
    try:
        return time.time() - psutil.Process(daemon.pid).create_time() < _START
    except psutil.NoSuchProcess:
        return False


# ── starting it ───────────────────────────────────────────────────────────────
def start(profile: Profile, workers: int) -> bool:
    """Start the daemon of a profile; one that runs and whose broker answers is left alone.

    What a dead one left goes first: its PID files, also where their numbers were given to other
    programs, and workers and a broker that nobody supervises any more.

    Returns:
        Whether it was started.

    Raises:
        RunError: It does not start.
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
        if daemon.state is State.FOREIGN:  # perhaps the daemon of another profile
            Path(client.circus_pid_file).unlink(missing_ok=True)
        if processes.broker_of(profile) is None:
            # A worker that starts before the broker would connect to the sockets of the dead one.
            for file in processes.broker_files(profile):
                file.unlink(missing_ok=True)
        try:
            with override_log_level(logging.ERROR):  # it would remark on the stale file
                client.start_daemon(number_workers=workers, timeout=_START)
        except (DaemonException, ConfigurationError, OSError) as error:
            raise RunError(f"the daemon does not start: {error}") from error
        _wait_for_broker(profile)
    watch_over(profile)
    return not is_well


def _wait_for_broker(profile: Profile) -> None:
    """Wait until the broker, which the supervisor starts beside the workers, answers.

    Raises:
        RunError: It does not.
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
        RunError: It does not stop.
    """
    try:
        DaemonClient(profile).stop_daemon(wait=True, timeout=_START)
    except (DaemonException, RuntimeError, OSError) as error:
        hint = f"end process {look(profile).pid}, and run: {setup_command(profile.name)}"
        raise RunError(f"the daemon does not stop: {error}", hint=hint) from error


# ── who looks after campaigns in it ──────────────────────────────────────────
def watch_over(profile: Profile) -> bool:
    """Have the supervisor of a running daemon keep our watchdog, unless it does (decision 0041).

    ``trainspot setup``, ``run`` and ``status`` ask for this, and every campaign when a worker takes
    it up, so that the watchdog is also there where ``verdi daemon start`` started the daemon.

    Returns:
        Whether it is there now; not where the supervisor does not answer.
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
