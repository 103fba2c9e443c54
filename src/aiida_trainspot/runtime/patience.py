"""Questions to services that may never answer, and one line about those that do not."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from trainspot.common.errors import RunError, TrainspotError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

AGAIN: Final = "nothing is lost; see verdi status, and try again when it answers"
"""What to do about a service that does not answer."""


def within(seconds: float, question: Callable[..., str], *args: Any) -> str:
    """The answer to a question, or that there was none in time; who asks then waits no longer.

    Args:
        seconds: How long to wait.
        question: Says what is wrong, or nothing. What it raises is raised.
        args: Its arguments.
    """
    said: list[str] = []
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            said.append(question(*args))
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that asked)
            raised.append(error)

    thread = threading.Thread(target=ask, daemon=True)  # does not keep the program from ending
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    return said[0] if said else f"no answer within {seconds:g} s"


class Answering:
    """While a command runs, a database or broker that fails it is one line, not a traceback."""

    def __enter__(self) -> None:
        """Nothing yet: what it asks about is imported only where something failed."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Say who did not answer.

        Raises:
            RunError: A service did not.
        """
        if not isinstance(error, Exception) or isinstance(error, TrainspotError):
            return
        who = _silent(error)
        if who:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise RunError(f"{who} does not answer ({reason})", hint=AGAIN) from error


def _silent(error: Exception) -> str:
    """Which service an error comes from, or nothing."""
    database = sys.modules.get("sqlalchemy.exc")
    if database is not None and isinstance(error, (database.DBAPIError, database.TimeoutError)):
        return "the database"
    errors = sys.modules.get("aiida.common.exceptions")
    if errors is not None and isinstance(error, errors.UnreachableStorage):
        return "the database"
    engine = sys.modules.get("aiida.engine.daemon.client")
    if engine is not None and isinstance(error, engine.DaemonException):
        return "the daemon"
    is_of_a_file = isinstance(error, OSError) and error.filename is not None
    if isinstance(error, ConnectionError | TimeoutError) and not is_of_a_file:
        return "the broker"
    return ""
