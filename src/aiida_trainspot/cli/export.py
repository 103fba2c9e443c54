"""``trainspot export``: models, dataset, calibration and model card in one folder."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_trainspot.profile import find, load, profile_option


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

    The committee is the one that was judged last, with its calibration.
    """
    load(profile)
    from aiida_trainspot.collect import collect, committee
    from trainspot.report.export import export as write

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
    )
    for note in notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"export: {folder}")
    click.echo(f'in ASE: atoms.calc = trainspot.calculator("{folder}")')
