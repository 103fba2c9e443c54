"""``trainspot run``: submit a campaign, and watch it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aiida_trainspot.profile import load, profile_option
from trainspot.cli.options import json_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--wait", is_flag=True, help="Watch it until it ends; Ctrl-C only stops watching.")
@profile_option
@json_option
@click.pass_context
def run(context: click.Context, file: Path, wait: bool, profile: str | None, as_json: bool) -> None:
    """Check and submit the campaign in FILE.

    A daemon is started if none runs. Running it again with the same file repeats nothing that is
    in the cache: that is how an
    interrupted campaign goes on.
    """
    from trainspot.config.load import load as load_campaign
    from trainspot.config.load import read_inputs

    loaded = load_campaign(file)
    dataset = read_inputs(loaded)
    known = load(profile)
    from aiida.engine import submit
    from aiida.manage import get_config_option

    from aiida_trainspot import builder, checks, daemon
    from aiida_trainspot.cli._watch import watch

    remarks = checks.check(loaded, dataset, thorough=False, with_daemon=False)
    checks.refuse(remarks)
    found = daemon.look(known)
    if daemon.start(known, get_config_option("daemon.default_workers")):
        what = "the daemon had no broker that answers" if found.runs else found.what
        click.echo(f"note: {what}; it was started anew", err=True)
    remarks += checks.on_daemon()
    for remark in remarks:
        if remark.level == "warning":
            click.echo(f"warning: {remark.text}", err=True)
    checks.refuse(remarks)
    node = submit(builder.get_builder(loaded, dataset=dataset))
    click.echo(json.dumps({"id": node.uuid, "pk": node.pk}) if as_json else node.uuid)
    if not wait:
        click.echo(f"follow it: trainspot status {node.pk} --watch", err=True)
        return
    context.exit(watch(node))
