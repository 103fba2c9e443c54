"""Ending a campaign and all its processes, with or without a daemon."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import psutil
from aiida.common.exceptions import AiidaException
from aiida.common.log import override_log_level
from aiida.engine.daemon.execmanager import kill_calculation
from aiida.engine.processes import control
from aiida.orm import CalcJobNode, ProcessNode

from aiida_trainspot.runtime.broker import connected, is_held, silence
from aiida_trainspot.workflows.once import close
from trainspot.common.errors import RunError

if TYPE_CHECKING:
    from aiida.manage.configuration.profile import Profile
    from aiida.orm import WorkChainNode

_REASON: Final = "trainspot stop"
_INTERVAL: Final = 0.5


def open_in(campaign: WorkChainNode) -> list[ProcessNode]:
    """The open processes of a campaign and the campaign itself; parents come first."""
    descendants = sorted(campaign.called_descendants, key=lambda node: node.pk)
    return [node for node in (campaign, *descendants) if not node.is_terminated]


def end(campaign: WorkChainNode, profile: Profile, *, patience: float) -> list[str]:
    """End a campaign: workers end the processes they hold; the others are closed here.

    Args:
        campaign: The campaign; it may have ended and have open processes still.
        profile: The profile of the campaign.
        patience: Seconds that workers may take.

    Returns:
        Tasks for the user, one line each: jobs that may still run.

    Raises:
        RunError: A worker holds a process and does not end it.
    """
    if silence(profile):  # without a broker no worker answers or starts a process
        return list(_close_all(open_in(campaign)))
    deadline = time.monotonic() + patience
    left: list[str] = []
    asked = set[int]()
    while still := open_in(campaign):
        held = _held(still)
        ask = [node for node in held if node.pk not in asked and _is_first(node)]
        asked |= {node.pk for node in ask}
        # A busy worker may end a process without an answer in time, so the nodes are checked.
        with override_log_level(logging.CRITICAL):
            control.kill_processes(ask, msg_text=_REASON, timeout=patience / 2)
        pks = {node.pk for node in held}
        left += _close_all([node for node in open_in(campaign) if node.pk not in pks])
        if not open_in(campaign):
            break
        if time.monotonic() > deadline:
            hint = "an AiiDA worker is busy; try again, or run: verdi daemon restart"
            what = f"{campaign.label} has not ended within {patience:g} s"
            raise RunError(what, hint=hint)
        time.sleep(_INTERVAL)
    return left


def _held(nodes: list[ProcessNode]) -> list[ProcessNode]:
    """The processes that a worker holds; a calcfunction runs inside its parent."""
    with connected() as communicator:
        if communicator is None:
            return []
        held = [node for node in nodes if is_held(communicator, node.pk)]
    pks = {node.pk for node in held}
    inside = [n for n in nodes if n.pk not in pks and n.caller is not None and n.caller.pk in pks]
    return held + [node for node in inside if not isinstance(node, CalcJobNode)]


def _is_first(node: ProcessNode) -> bool:
    """Whether no open parent will end a process."""
    return node.caller is None or node.caller.is_terminated


def _close_all(nodes: list[ProcessNode]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, CalcJobNode):
            yield from _end_job(node)
        if not node.is_terminated:
            close(node, _REASON)


def _end_job(node: CalcJobNode) -> Iterator[str]:
    """Kill the job of a process on its computer."""
    job, computer = node.get_job_id(), node.computer
    if job is None or computer is None or _is_gone(node, job):
        return
    try:
        with node.get_transport() as transport, override_log_level(logging.CRITICAL):
            kill_calculation(node, transport)
    except (AiidaException, OSError, psutil.Error) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        yield f"job {job} on {computer.label} may still run: {reason}"


def _is_gone(node: CalcJobNode, job: str) -> bool:
    """Whether a job without a scheduler has ended; after a reboot another job has its number."""
    computer = node.computer
    if computer.scheduler_type != "core.direct" or computer.transport_type != "core.local":
        return False
    try:
        return psutil.Process(int(job)).cwd() != node.get_remote_workdir()
    except (psutil.Error, ValueError):
        return True
