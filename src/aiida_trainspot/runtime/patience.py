"""Limited waiting for services, and a one-line error for a service that does not answer."""

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
    """The answer to a question, or a clause that says that no answer came in time.

    Args:
        seconds: How long to wait.
        question: Returns what is wrong, or an empty text. Its exceptions are raised here.
        args: The arguments of ``question``.
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
    """Turns failures of the database or the broker during a command into one line of error."""

    def __enter__(self) -> None:
        """Do nothing: the modules with the errors are imported only after a failure."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Say which service did not answer.

        Raises:
            RunError: A service did not answer.
        """
        if not isinstance(error, Exception) or isinstance(error, TrainspotError):
            return
        service = _silent(error)
        if service:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise RunError(f"{service} does not answer ({reason})", hint=AGAIN) from error


def _silent(error: Exception) -> str:
    """The service that an error comes from, or an empty text."""
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
