"""A progress bar on the terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function of finished parts and all parts that moves a bar; hidden without a terminal."""
    stderr = click.get_text_stream("stderr")
    with click.progressbar(length=1, label=what, file=stderr, hidden=not stderr.isatty()) as bar:

        def show(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield show
        show(bar.length or 1, bar.length or 1)
