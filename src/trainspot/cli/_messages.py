"""What the science logs, on the terminal, a line each; and an output that nobody reads any more."""

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


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """One line; information is left out where a program reads, which has it in the JSON."""
        is_note = record.levelno >= logging.WARNING
        context = click.get_current_context(silent=True)
        if not is_note and context is not None and context.params.get("as_json"):
            return
        text = " ".join(record.getMessage().split())
        click.echo(f"note: {text}" if is_note else text, err=True)


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
    """Standard output for tables; where nobody reads it any more, ``read`` decides what follows."""
    from rich.console import Console

    class Terminal(Console):
        def on_broken_pipe(self) -> None:  # rich would end with status 1
            raise BrokenPipeError

    return Terminal(**options)


@contextmanager
def read() -> Iterator[None]:
    """End quietly where nobody reads the output any more: `trainspot … | head` is no error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not _is_left():
            raise
        raise SystemExit(0) from None


def _is_left() -> bool:
    """Whether nobody reads our output any more; what is still to be written goes nowhere then."""
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
