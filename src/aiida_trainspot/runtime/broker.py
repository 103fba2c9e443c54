"""Questions to the broker: does it answer, what is queued, which workers died (0031, 0041)."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiida.common.log import override_log_level
from aiida.manage import get_config, get_manager
from aiida.plugins import BrokerFactory
from plumpy.process_comms import RemoteProcessThreadController

from aiida_trainspot.runtime.patience import within
from aiida_trainspot.runtime.processes import broker_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from aiida.manage.configuration.profile import Profile
    from kiwipy import Communicator

EMBEDDED: Final = "core.zeromq"
_NOBODY: Final = "trainspot-knock"
"""A recipient that does not exist: the broker itself answers at once."""

PATIENCE: Final = 2.0
"""Seconds to wait for this answer, which takes a millisecond."""

_LONG: Final = 10.0
"""Longest time, in seconds, to wait for any answer."""


def knock() -> None:
    """Open a connection to the broker of the loaded profile and close it again.

    AiiDA's ZeroMQ broker looks for dead workers only when a connection breaks. If it looks too
    early after the death of a worker, the tasks of this worker wait until the next connection
    breaks. This function breaks one. It does nothing with another broker or without a broker.
    """
    with (
        suppress(ConnectionError, TimeoutError),
        connected(),
    ):  # it stops or is busy: try again later
        pass


def silence(profile: Profile) -> str:
    """Why the broker of a profile does not answer; empty if it does. The time is limited.

    Args:
        profile: The loaded profile.
    """
    if profile.process_control_backend is None:
        return "it has none"
    if profile.process_control_backend == EMBEDDED:
        supervised = profile.process_control_config.get("supervised_by_daemon", True)
        if supervised and broker_of(profile) is None:
            return "it has died"
        ask = _ask_embedded
    else:
        ask = _ask_service
    return within(_LONG, ask, profile)


def _ask_embedded(profile: Profile) -> str:
    del profile
    try:
        with connected(_LONG) as communicator:
            return "" if communicator is not None else "it has died"
    except (ConnectionError, TimeoutError):
        return f"no answer within {_LONG:g} s"


def _ask_service(profile: Profile) -> str:
    with (
        override_log_level(logging.CRITICAL),
        BrokerFactory(str(profile.process_control_backend))(profile) as broker,
    ):
        return "" if broker.check_service_reachable() else "no connection"


@contextmanager
def connected(patience: float = PATIENCE) -> Iterator[Communicator | None]:
    """A connection to the embedded broker, which has answered; ``None`` if no broker runs.

    Raises:
        ConnectionError: It is not ready.
        TimeoutError: It does not answer.
    """
    profile = get_manager().get_profile()
    if profile is None or profile.process_control_backend != EMBEDDED:
        yield None
        return
    with BrokerFactory(EMBEDDED)(profile) as broker:
        if not broker.check_service_reachable():
            yield None
            return
        communicator = broker.get_communicator()
        if isinstance(_failure(communicator.rpc_send(_NOBODY, None), patience), TimeoutError):
            raise TimeoutError
        yield communicator


def queued(profile: Profile) -> set[int] | None:
    """The processes with a task that waits or that a worker holds; ``None`` if unknown.

    AiiDA's own list of tasks must not be used while the broker runs: it puts the tasks of the
    workers back into the queue. So this function only reads the files. It sees a task that moves
    from one folder to the other in the meantime in at least one of them.
    """
    if profile.process_control_backend != EMBEDDED:
        return None
    tasks = Path(get_config().filepaths(profile)["broker_service"]["dir"]) / "storage" / "tasks"
    pks = set[int]()
    for folder in ("pending", "processing", "pending"):
        try:
            files = sorted((tasks / folder).iterdir())
        except OSError:
            return None
        for file in files:
            if file.suffix != ".json":  # still being written: the broker has not confirmed it
                continue
            try:
                pks.add(int(json.loads(file.read_text(encoding="utf8"))["body"]["args"]["pid"]))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError):
                return None
    return pks


def is_held(communicator: Communicator, pk: int) -> bool:
    """Whether a worker holds a process: the worker answers, or is too busy to answer."""
    failure = _failure(RemoteProcessThreadController(communicator).get_status(pk))
    return failure is None or isinstance(failure, TimeoutError)


def send(communicator: Communicator, pk: int) -> bool:
    """Send the task of a process; return whether the broker has confirmed that it is stored."""
    controller = RemoteProcessThreadController(communicator)
    confirmed = controller.continue_process(pk, nowait=False, no_reply=False)
    return _failure(confirmed) is None


def _failure(answer: Future[Any], patience: float = PATIENCE) -> BaseException | None:
    """The error in an answer, if any; a ``TimeoutError`` if there was no answer."""
    try:
        return answer.exception(timeout=patience)
    except TimeoutError as error:
        return error
