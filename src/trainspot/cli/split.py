"""``trainspot split``: split frames into train, validation and test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainspot.cli import _messages
from trainspot.cli.options import config_option, json_option, output_option, seed_option
from trainspot.common.text import counted

if TYPE_CHECKING:
    from trainspot.config.models import Campaign


@click.command()
@click.argument("frames", type=click.Path(path_type=Path))
@click.option(
    "--fractions",
    type=(float, float, float),
    default=(0.8, 0.1, 0.1),
    show_default=True,
    help="Shares of train, validation and test.",
)
@seed_option
@config_option
@output_option
@json_option
def split(
    frames: Path,
    fractions: tuple[float, float, float],
    seed: int,
    config: Campaign | None,
    output: Path,
    as_json: bool,
) -> None:
    """Split FRAMES into train, validation and test, in equal shares of each strategy.

    A frame that has a split keeps it.
    """
    del config  # its section has become the defaults of the options
    from trainspot import io
    from trainspot import split as splitting
    from trainspot.data.frames import SPLITS

    with io.opened(frames) as source:
        had_one = source.column("split") != 0
        dataset = splitting.assign(source, fractions, seed)
        io.write(dataset, output)
        splits = dataset.column("split")
        labels = io.counts(source)
    counts = {name: int((splits == code).sum()) for code, name in enumerate(SPLITS, start=1)}
    if as_json:
        with_labels = {f"with_{name}": count for name, count in labels.items() if name != "frames"}
        click.echo(json.dumps({"sets": counts, **with_labels}, indent=1))
        return
    io.tell_counts(labels, frames)
    listed = ", ".join(f"{count} {name}" for name, count in counts.items())
    kept = int(had_one.sum())
    had = f"; {kept} kept the split they had" if kept else ""
    click.echo(f"{counted(len(splits), 'frame')} ({listed}{had}) written to {output}")
    if not counts["validation"]:
        _messages.note("no validation frames: thresholds cannot be fitted; see --fractions")
