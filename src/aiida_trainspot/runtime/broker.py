"""What can be asked of the broker: whether it answers, what is queued, who is dead (0031, 0041)."""

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
"""A recipient that nobody is: the broker itself answers, at once."""

PATIENCE: Final = 2.0
"""Seconds to wait for that answer; it takes a millisecond."""

_LONG: Final = 10.0
"""Seconds after which nobody will wait any more."""


def knock() -> None:
    """Connect to the broker of the loaded profile, and leave.

    AiiDA's ZeroMQ broker looks for dead workers only when a connection breaks, and its look at
    the very moment of a death may come too early. The tasks of that worker then wait for the next
    broken connection: this one. Does nothing with another broker, or where none runs.
    """
    with suppress(ConnectionError, TimeoutError), connected():  # it stops or is busy: another time
        pass


def silence(profile: Profile) -> str:
    """Why the broker of a profile does not answer, or nothing; takes a bounded time.

    Args:
        profile: The loaded one.
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
    """A connection to the embedded broker that has answered; ``None`` where none runs.

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
    """The processes that have a task, waiting or with a worker; ``None`` if that is not known.

    AiiDA's own list of tasks is not for a broker that runs: making it puts the tasks that workers
    hold back into the queue. So the files are read, and nothing is touched. A task that moves
    between the folders meanwhile is seen in one of them.
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
            if file.suffix != ".json":  # it is being written: its sender has not been answered
                continue
            try:
                pks.add(int(json.loads(file.read_text(encoding="utf8"))["body"]["args"]["pid"]))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError):
                return None
    return pks


def is_held(communicator: Communicator, pk: int) -> bool:
    """Whether a worker holds a process: it answers for it, or is too busy to."""
    failure = _failure(RemoteProcessThreadController(communicator).get_status(pk))
    return failure is None or isinstance(failure, TimeoutError)


def send(communicator: Communicator, pk: int) -> bool:
    """Send the task of a process; whether the broker has confirmed that it is on its disk."""
    controller = RemoteProcessThreadController(communicator)
    confirmed = controller.continue_process(pk, nowait=False, no_reply=False)
    return _failure(confirmed) is None


def _failure(answer: Future[Any], patience: float = PATIENCE) -> BaseException | None:
    """What was answered instead of a result; a ``TimeoutError`` if nothing was."""
    try:
        return answer.exception(timeout=patience)
    except TimeoutError as error:
        return error
