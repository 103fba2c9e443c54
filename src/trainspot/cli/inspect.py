"""``trainspot inspect``: show what a dataset consists of."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainspot.cli import _messages
from trainspot.cli.options import json_option, seed_option
from trainspot.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _page(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Only a page: a dataset named here by mistake would be overwritten."""
    del ctx, param
    if value is None:
        return None
    if value.suffix not in (".html", ".htm"):
        raise InputError(f"unknown suffix '{value.suffix}'", where=str(value), hint="use .html")
    if not value.absolute().parent.is_dir():
        raise InputError("no such folder", where=str(value.parent), hint="make it first")
    return value


@click.command()
@click.argument("frames", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_page,
    help="Also write an .html page with figures and pictures of frames.",
)
@click.option(
    "--augmentation",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The .augment.json record of these frames. Default: the one beside FRAMES.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=5000,
    show_default=True,
    help="Measure distances in at most this number of frames, drawn at random.",
)
@seed_option
@json_option
def inspect(
    frames: Path,
    output: Path | None,
    augmentation: Path | None,
    sample: int,
    seed: int,
    as_json: bool,
) -> None:
    """Show what FRAMES consists of: a dataset, or any file that ASE reads.

    Shows elements, sizes, densities, distances, labels, splits, strategies, and the frames that
    the augmentation refused. Memory does not grow with the dataset.
    """
    from trainspot.report.dataset.files import inspected

    with _progress(quiet=as_json) as progress:
        census = inspected(
            frames, page=output, record=augmentation, sample=sample, seed=seed, progress=progress
        )
    for doubt in census.doubts:
        _messages.warning(doubt.text)
    if as_json:
        click.echo(json.dumps(census.to_dict(), indent=1, ensure_ascii=False))
        return

    from trainspot.report.dataset import terminal

    terminal.show(census, _messages.terminal(highlight=False))
    if output is not None:
        click.echo(f"page: {output}")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A function of counted and all frames that moves a bar; ``None`` without a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("counting frames", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
