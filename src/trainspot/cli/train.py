"""``trainspot train``: a committee of potentials from labelled frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainspot import io
from trainspot.cli._doubts import tell
from trainspot.cli.options import config_option, folder_option, seed_option
from trainspot.common.text import counted
from trainspot.common.validation import parse_settings
from trainspot.config import document
from trainspot.split import assign
from trainspot.train import run
from trainspot.train.base import member_seeds, mixed_states

if TYPE_CHECKING:
    from trainspot.config.models import Campaign

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("frames", type=_FILE)
@click.option("--engine", default="mace", show_default=True, help="Trainer.")
@click.option("--committee", default=4, show_default=True, help="Members, at least 2.")
@click.option("--settings", "settings_file", type=_FILE, help="Hyper-parameters, JSON or YAML.")
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Members at a time.")
@click.option("--start", multiple=True, type=_FILE, help="Model to start from, or one a member.")
@seed_option
@folder_option
@config_option
def train(
    frames: Path,
    engine: str,
    committee: int,
    settings_file: Path | None,
    workers: int,
    start: tuple[Path, ...],
    seed: int,
    output: Path,
    config: Campaign | None,
) -> None:
    """Train a committee on the labelled frames of a dataset, into the folder OUTPUT.

    Frames without a set are given one first, and kept with it as OUTPUT/dataset.h5; the test set
    is never touched.
    """
    found = run.trainer(engine)
    same = config is not None and config.train.engine == engine
    raw: dict[str, Any] = config.train.settings.model_dump() if config and same else {}
    raw |= document.read(settings_file).data if settings_file else {}
    settings = parse_settings(found.Settings, raw, where=str(settings_file or "settings"))
    seeds = member_seeds(seed, committee)
    if config and config.train.start == "foundation" and not start:
        start = (Path(config.train.foundation or ""),)
    shares = config.split.fractions if config else (0.8, 0.1, 0.1)
    given = io.merged(
        io.read(frames), str(frames), tell=lambda text: click.echo(f"note: {text}", err=True)
    )
    if text := mixed_states(given):
        click.echo(f"warning: {text}", err=True)
    tell(given, found.given_e0s(settings))
    dataset = assign(given, shares, seed=seed)
    stderr = click.get_text_stream("stderr")
    with click.progressbar(length=1000, file=stderr, hidden=not stderr.isatty()) as bar:

        def show(shares: list[float]) -> None:
            bar.update(int(1000 * sum(shares) / len(shares)) - bar.pos)

        results = run.train_committee(
            found,
            dataset,
            settings,
            output,
            seeds=seeds,
            workers=workers,
            start=start,
            progress=show,
        )
    io.tell_counts(given, frames)
    for warning in dict.fromkeys(text for result in results for text in result.warnings):
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{counted(len(results), 'member')} trained: {output}")
    if drawn := int((given.column("split") != dataset.column("split")).sum()):
        # Whoever calibrates without these sets takes training frames for frames never seen.
        frames = output / "dataset.h5"
        io.write(dataset, frames)
        click.echo(f"{counted(drawn, 'frame')} had no set: go on with {frames}, which has all sets")
    click.echo(f"next: trainspot evaluate {frames} --models {output} -o predictions.h5")
