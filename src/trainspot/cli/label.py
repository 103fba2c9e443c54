"""``trainspot label``: energies, forces and stresses from an engine that runs in plain Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainspot import io
from trainspot.cli.options import config_option, given, output_option
from trainspot.config import document
from trainspot.dataset import Dataset
from trainspot.errors import InputError, RunError
from trainspot.label import base

if TYPE_CHECKING:
    from trainspot.config.models import Campaign

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("frames", type=click.Path(path_type=Path))
@click.option("--engine", default="ase", show_default=True, help="Label engine.")
@click.option("--calculator", help="Engine ase: a name such as tblite, or module:Class.")
@click.option("--settings", "settings_file", type=FILE, help="Engine settings, JSON or YAML.")
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Processes.")
@click.option("--failures", "failures_file", type=FILE, help="Where frames go that failed.")
@output_option
@config_option
def label(
    frames: Path,
    engine: str,
    calculator: str | None,
    settings_file: Path | None,
    workers: int,
    failures_file: Path | None,
    output: Path,
    config: Campaign | None,
) -> None:
    """Label the unlabelled frames of a dataset; each geometry is computed once.

    A frame that fails is left out and reported, with its reason, in --failures.
    """
    for path in filter(None, (output, failures_file)):
        io.check_output(path)
    found = base.engine(engine)
    if not isinstance(runner := found(), base.FrameEngine):
        raise InputError(
            f"engine '{engine}' does not run in plain Python",
            hint="use it in a campaign: trainspot run",
        )
    same = config is not None and config.label.engine == engine
    raw: dict[str, Any] = config.label.settings.model_dump() if config and same else {}
    raw |= document.read(settings_file).data if settings_file else {}
    if calculator is not None and (given("calculator") or "calculator" not in raw):
        raw["calculator"] = calculator
    settings = base.parse_settings(found.Settings, raw, where=str(settings_file or "settings"))

    known = Dataset.from_frames([]).merge(io.read(frames))
    todo = known.unlabelled()
    stderr = click.get_text_stream("stderr")
    with click.progressbar(length=len(todo), file=stderr, hidden=not stderr.isatty()) as bar:
        result = runner.label(todo, settings, workers=workers, progress=lambda *_: bar.update(1))
    if failures_file is None:  # nothing is lost: a failed frame stays, without labels
        io.write(known.merge(result.labelled), output)
    else:
        io.write(base.merged(known, result.labelled, result.failures), output)
        io.write(result.failures, failures_file)
    _report(len(result.labelled), result.failures, output)


def _report(labelled: int, failures: Dataset, output: Path) -> None:
    click.echo(f"{labelled} frames labelled, {len(failures)} failed: {output}")
    for first in failures[:1]:
        where, reason = f"frame {first.id[:12]}", first.info["failure"]["reason"]
        if not labelled:
            raise RunError("no frame could be labelled", where=where, hint=reason)
        click.echo(f"first failure: {where}: {reason}", err=True)
