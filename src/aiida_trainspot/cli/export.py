"""``trainspot export``: write models, dataset, calibration and model card into one folder."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_trainspot.results.find import find
from aiida_trainspot.runtime.profile import load, profile_option
from trainspot.cli import _messages
from trainspot.common.text import counted


@click.command()
@click.argument("identifier", metavar="ID")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write; an earlier export is replaced.",
)
@profile_option
def export(identifier: str, output: Path, profile: str | None) -> None:
    """Write the committee and the dataset of campaign ID into a folder for ASE and LAMMPS.

    The folder has the last calibrated committee, its calibration, and all labelled frames. This
    also works while the campaign runs and after a failure. Without a trained committee, the folder
    has the dataset only.
    """
    load(profile)
    from aiida_trainspot.results.campaign import collect, committee, failures
    from trainspot.report.exported.export import export as write

    node = find(identifier)
    data = collect(node)
    chosen = committee(node, data)
    notes = [chosen.note] if chosen.note else []
    folder = write(
        output,
        dataset=data.dataset,
        models=chosen.models,
        calibration=chosen.calibration,
        status={**data.status, "notes": [*data.notes, *notes]},
        failures=failures(node).without(data.dataset.ids),
        domain=chosen.domain,
        no_novelty=chosen.no_novelty,
    )
    for note in notes:
        _messages.note(note)
    click.echo(f"export: {folder}")
    labelled = int(data.dataset.is_labelled.sum())
    click.echo(f"labelled: {labelled} of {counted(len(data.dataset), 'frame')}")
    if chosen.models:
        click.echo(f'in ASE: atoms.calc = trainspot.calculator("{folder}")')
