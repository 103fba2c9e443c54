"""``trainspot check``: check a campaign before it costs anything."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aiida_trainspot.runtime.profile import load, profile_option
from trainspot.cli import _messages
from trainspot.cli.options import json_option
from trainspot.common.text import counted


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@profile_option
@json_option
@click.pass_context
def check(context: click.Context, file: Path, profile: str | None, as_json: bool) -> None:
    """Check the campaign in FILE: its settings, structures, codes and pseudopotentials.

    Nothing is submitted. Exit status 2 if the campaign cannot run.
    """
    from trainspot.config.load import load as load_campaign
    from trainspot.config.load import read_inputs

    loaded = load_campaign(file)
    dataset = read_inputs(loaded)
    load(profile)
    from aiida_trainspot.launch import checks

    remarks = checks.check(loaded, dataset)
    errors = [remark for remark in remarks if remark.level == "error"]
    if as_json:
        rows = [{"level": remark.level, "text": remark.text} for remark in remarks]
        click.echo(json.dumps({"ok": not errors, "remarks": rows}, indent=2, ensure_ascii=False))
    else:
        for remark in remarks:
            if remark.level == "note":
                click.echo(f"note: {remark.text}")
            else:
                _messages.say(f"{remark.level}: {remark.text}")
        if not errors:
            species = ", ".join(dataset.species)
            click.echo(f"{file}: ready ({counted(len(dataset), 'structure')} of {species})")
    context.exit(2 if errors else 0)
