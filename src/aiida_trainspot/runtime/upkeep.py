"""Repairs that let campaigns continue after a stop, a kill or a power cut (0031, 0041).

Three faults can stop a campaign while its daemon runs, and each is repaired here: the broker missed
the death of a worker; workers did not notice that their broker died and was replaced; the task of a
process was lost because the daemon stopped during the sending.
"""

from __future__ import annotations

import fcntl
import logging
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiida.common.log import override_log_level
from aiida.engine.daemon.client import DaemonClient, DaemonException
from aiida.manage import get_config, get_manager
from aiida.orm import CalcJobNode, ProcessNode, QueryBuilder, WorkChainNode
from aiida.plugins import BrokerFactory

from aiida_trainspot.runtime.broker import EMBEDDED, connected, is_held, knock, queued, send
from aiida_trainspot.runtime.daemon import look
from aiida_trainspot.runtime.processes import broker_of, workers_of

if TYPE_CHECKING:
    from aiida.manage.configuration.profile import Profile

_LATER: Final = 1.0
"""Seconds between the two checks that must both see a process without a task."""

_SETTLED: Final = 60.0
"""Seconds after which a running worker, or ``trainspot run``, has certainly sent a task."""

_TOGETHER: Final = 5.0
"""Largest delay, in seconds, between the starts of a daemon's broker and its first workers."""

_RESTART: Final = 120
"""Seconds that workers may take to finish their current step and to restart."""


def look_after(campaigns: Iterable[WorkChainNode]) -> list[str]:
    """Make sure that running campaigns can continue; repairs only what needs it.

    Args:
        campaigns: The campaigns to check; ended campaigns are skipped.

    Returns:
        The repairs, one line each.
    """
    running = [node for node in campaigns if not node.is_terminated]
    profile = get_manager().get_profile()
    if not running or profile is None:
        return []
    if not look(profile).runs:
        knock()
        return []
    with _alone(profile) as is_alone:
        if not is_alone:  # another process is doing this
            return []
        with suppress(ConnectionError, TimeoutError, DaemonException):
            return [*_hear_again(profile), *_take_up(profile, running)]
    return []


@contextmanager
def _alone(profile: Profile) -> Iterator[bool]:
    """Whether no other process looks after the campaigns of this profile at this moment."""
    path = Path(get_config().dirpath) / "daemon" / f"trainspot-{profile.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def _hear_again(profile: Profile) -> list[str]:
    """Restart workers that are still connected to a broker which died."""
    broker, workers = broker_of(profile), workers_of(profile)
    if broker is None or not workers:
        return []
    since, oldest = broker.create_time(), min(worker.create_time() for worker in workers)
    youngest = max(since, *(worker.create_time() for worker in workers))
    is_settled = time.time() - youngest > 2 * _SETTLED
    if oldest > since - _TOGETHER and not (is_settled and _listeners(profile) < len(workers)):
        return []
    DaemonClient(profile).restart_daemon(wait=True, timeout=_RESTART)
    return ["the workers had lost the broker; they were restarted"]


def _listeners(profile: Profile) -> float:
    """Number of workers that wait for tasks, counted by the broker; infinity without an answer.

    A worker that starts at the same time as a new broker may connect to the socket of the old one.
    """
    with override_log_level(logging.CRITICAL), BrokerFactory(EMBEDDED)(profile) as broker:
        counted = broker.probe_service_status().get("task_subscribers")
    return counted if isinstance(counted, int) else math.inf


def _take_up(profile: Profile, campaigns: list[WorkChainNode]) -> list[str]:
    """Send lost tasks again: every open process of a campaign must have a task.

    With a second task a process would run twice. So a task counts as lost only if two checks see no
    task of the process, no worker holds the process, and no sender can still be about to send the
    task: the sender has died since, or has had ample time.
    """
    with connected() as communicator:  # this also makes the broker look for dead workers
        if communicator is None or not (lost := _without_task(profile, campaigns)):
            return []
        time.sleep(_LATER)
        still = _without_task(profile, campaigns)
        lines = []
        for node in lost:
            if node.pk in {process.pk for process in still} and not is_held(communicator, node.pk):
                send(communicator, node.pk)
                lines.append(
                    f"{node.process_label} <{node.pk}> had lost its task and was restarted"
                )
    return lines


def _without_task(profile: Profile, campaigns: list[WorkChainNode]) -> list[ProcessNode]:
    tasks = queued(profile)
    if tasks is None:
        return []
    workers = [worker.create_time() for worker in workers_of(profile)]
    settled = max(time.time() - _SETTLED, min(workers, default=0.0))
    return [
        node
        for node in open_processes(campaigns)
        if node.pk not in tasks and node.mtime.timestamp() < settled and _is_whole(node)
    ]


def _is_whole(node: ProcessNode) -> bool:
    """Whether a process can continue from its checkpoint, and its parent waits for it."""
    parent = node.caller
    is_wanted = parent is None or not parent.is_terminated
    return is_wanted and node.checkpoint is not None and not node.is_sealed


def open_processes(campaigns: Iterable[WorkChainNode]) -> list[ProcessNode]:
    """The processes of these campaigns that run in workers and have not ended.

    The open processes of the profile are few; the descendants of a campaign can be many.
    """
    wanted = {node.pk for node in campaigns}
    active = {"attributes.process_state": {"in": ["created", "waiting", "running"]}}
    query = QueryBuilder().append((CalcJobNode, WorkChainNode), filters=active)
    return [
        node for node in query.all(flat=True) if wanted & {process.pk for process in _line(node)}
    ]


def _line(node: ProcessNode) -> Iterator[ProcessNode]:
    """A process, its caller, the caller of the caller, and so on."""
    above: ProcessNode | None = node
    while above is not None:
        yield above
        above = above.caller
