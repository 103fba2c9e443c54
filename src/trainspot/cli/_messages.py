"""Lines on the terminal that are no result: notes, warnings and log messages.

Results go to standard output. Everything else goes to stderr through the functions of this module,
one line each, whether a command says it or a logger of ``trainspot``.
"""

from __future__ import annotations

import logging
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console


def note(text: str) -> None:
    """Something the user should know: ``note: …``."""
    say(f"note: {text}")


def warning(text: str) -> None:
    """Something that may make the results wrong: ``warning: …``."""
    say(f"warning: {text}")


def say(text: str) -> None:
    """One line on stderr."""
    click.echo(" ".join(text.split()), err=True)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """One line; with ``--json`` information is left out, because the JSON has it."""
        if record.levelno >= logging.WARNING:
            note(record.getMessage())
            return
        context = click.get_current_context(silent=True)
        if context is None or not context.params.get("as_json"):
            say(record.getMessage())


@contextmanager
def shown() -> Iterator[None]:
    """Show what is logged while a command runs."""
    logger, handler = logging.getLogger("trainspot"), _Handler()
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def terminal(**options: Any) -> Console:
    """Standard output for tables. A closed output raises ``BrokenPipeError``, see ``read``."""
    from rich.console import Console

    class Terminal(Console):
        def on_broken_pipe(self) -> None:  # rich would end with status 1
            raise BrokenPipeError

    return Terminal(**options)


@contextmanager
def read() -> Iterator[None]:
    """End quietly when the reader of the output is gone: `trainspot … | head` is no error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not _is_left():
            raise
        raise SystemExit(0) from None


def _is_left() -> bool:
    """Whether the reader of our output is gone; whatever is still written is then dropped."""
    left = False
    for stream in (sys.stdout, sys.stderr):
        try:
            number = stream.fileno()
        except (OSError, ValueError, AttributeError):
            continue
        poll = select.poll()
        poll.register(number, select.POLLOUT)
        if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
            left = True
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)  # or Python would complain again as it ends
            os.close(nowhere)
    return left
