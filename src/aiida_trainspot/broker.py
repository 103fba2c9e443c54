"""Making the embedded broker notice a daemon worker that was killed (decision 0031)."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from aiida.manage import get_manager
from aiida.plugins import BrokerFactory

_EMBEDDED: Final = "core.zeromq"
_NOBODY: Final = "trainspot-knock"
"""A recipient that nobody is: the broker itself answers, at once."""

_PATIENCE: Final = 2.0
"""Seconds to wait for that answer; it takes a millisecond."""


def knock() -> None:
    """Connect to the broker of the loaded profile, and leave.

    AiiDA's ZeroMQ broker looks for dead workers only when a connection breaks, and its look at
    the very moment of a death may come too early. The tasks of that worker then wait for the next
    broken connection: this one. Does nothing with another broker, or where none runs.
    """
    profile = get_manager().get_profile()
    if profile is None or profile.process_control_backend != _EMBEDDED:
        return
    with BrokerFactory(_EMBEDDED)(profile) as broker:
        if not broker.check_service_reachable():
            return
        with suppress(ConnectionError, TimeoutError):  # it is stopping or busy: another time
            broker.get_communicator().rpc_send(_NOBODY, None).exception(timeout=_PATIENCE)
