"""``trainspot augment``: make a diverse set of frames from a few structures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainspot.cli import _messages
from trainspot.cli.options import (
    config_option,
    json_option,
    output_option,
    periodic_option,
    seed_option,
)
from trainspot.common.errors import RunError
from trainspot.common.text import counted

if TYPE_CHECKING:
    from trainspot.augment.steps import Augmented
    from trainspot.config.models import Campaign


@click.command()
@click.argument("structures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--vacuum",
    type=click.FloatRange(min=0),
    default=15.0,
    show_default=True,
    help="Vacuum in Å along each non-periodic direction; a wider vacuum is kept.",
)
@periodic_option
@seed_option
@config_option
@output_option
@json_option
def augment(
    structures: tuple[Path, ...],
    vacuum: float,
    periodic: tuple[bool, bool, bool] | None,
    seed: int,
    config: Campaign | None,
    output: Path,
    as_json: bool,
) -> None:
    """Make new frames from STRUCTURES (any file that ASE reads).

    The strategies come from the campaign file of --config. The default is: the inputs, supercells,
    rattled and strained copies with vacancies, clusters, slabs, swaps of unlike atoms, and
    isolated atoms. A file beside the output, with the suffix .augment.json, records what each
    strategy made and refused; `trainspot inspect` shows it.
    """
    from trainspot import io
    from trainspot.augment import plan as plans
    from trainspot.augment.record import Record
    from trainspot.data.dataset import Dataset

    io.check_output(output)
    parts = []
    for path in structures:
        parts.append(io.with_periodicity(io.read(path), periodic, str(path)))
        plans.check_inputs(parts[-1], str(path))
    items = plans.DEFAULT_PLAN if config is None else list(config.augment or [])
    plan = plans.parse_plan(items)
    inputs = Dataset.concatenate(parts)
    augmented = plans.augment(inputs, plan, seed, vacuum=vacuum)
    if not as_json or not len(augmented.dataset):
        for note in augmented.notes:
            _messages.note(note)
    if not len(augmented.dataset):
        _tell_refused(augmented, err=True)
        raise RunError("no strategy made a frame", hint="see the notes above")
    io.tell_counts(inputs, structures[0] if len(structures) == 1 else f"{len(structures)} files")
    record = Record.of(augmented, plan, seed=seed, vacuum=vacuum)
    io.write(augmented.dataset, output)
    record.write(output)
    if as_json:
        click.echo(json.dumps(record.to_dict(), indent=1, ensure_ascii=False))
        return
    listed = ", ".join(f"{count} {name}" for name, count in record.strategies.items())
    click.echo(f"{counted(len(augmented.dataset), 'frame')} ({listed}) written to {output}")
    _tell_refused(augmented)


def _tell_refused(augmented: Augmented, *, err: bool = False) -> None:
    """One line, on the error output if ``err``; none if nothing was refused."""
    if augmented.refused:
        refused = ", ".join(
            f"{count} {reason} of {step}"
            for step, reasons in augmented.by_step.items()
            for reason, count in reasons.items()
        )
        click.echo(f"refused: {refused}", err=err)
