"""``trainspot export``: models, dataset, calibration and model card in one folder."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_trainspot.runtime.profile import find, load, profile_option
from trainspot.common.text import counted


@click.command()
@click.argument("identifier", metavar="ID")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder; an earlier export is replaced.",
)
@profile_option
def export(identifier: str, output: Path, profile: str | None) -> None:
    """Write what campaign ID made into a folder, ready for ASE and LAMMPS.

    The committee is the one that was judged last, with its calibration. However the campaign
    ended, and while it runs, the dataset has all that is labelled; without a committee it comes
    alone.
    """
    load(profile)
    from aiida_trainspot.results.campaign import collect, committee, failures
    from trainspot.report.exported.export import export as write

    node = find(identifier)
    found = collect(node)
    chosen = committee(node, found)
    notes = [chosen.note] if chosen.note else []
    folder = write(
        output,
        dataset=found.dataset,
        models=chosen.models,
        calibration=chosen.calibration,
        status={**found.status, "notes": [*found.notes, *notes]},
        failures=failures(node).without(found.dataset.ids),
    )
    for note in notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"export: {folder}")
    labelled = int(found.dataset.is_labelled.sum())
    click.echo(f"labelled: {labelled} of {counted(len(found.dataset), 'frame')}")
    if chosen.models:
        click.echo(f'in ASE: atoms.calc = trainspot.calculator("{folder}")')
