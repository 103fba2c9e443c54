"""``trainspot run``: submit a campaign, and watch it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aiida_trainspot.runtime.profile import load, profile_option
from trainspot.cli.options import json_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--wait", is_flag=True, help="Watch it until it ends; Ctrl-C only stops watching.")
@click.option("--again", is_flag=True, help="Submit it though it runs already: all is paid twice.")
@profile_option
@json_option
@click.pass_context
def run(
    context: click.Context,
    file: Path,
    wait: bool,
    again: bool,
    profile: str | None,
    as_json: bool,
) -> None:
    """Check and submit the campaign in FILE.

    A daemon is started if none runs. Running it again with the same file repeats nothing that was
    computed: that is how an interrupted campaign goes on. While a campaign with the same file still
    runs, --wait follows that one, and without --wait nothing is submitted.
    """
    from trainspot.config.load import load as load_campaign
    from trainspot.config.load import read_inputs

    loaded = load_campaign(file)
    dataset = read_inputs(loaded)
    known = load(profile)
    from aiida.engine import submit
    from aiida.manage import get_config_option

    from aiida_trainspot.cli._watch import watch
    from aiida_trainspot.launch import builder, checks
    from aiida_trainspot.launch import running as campaigns
    from aiida_trainspot.runtime import daemon

    remarks = checks.check(loaded, dataset, thorough=False, with_daemon=False)
    checks.refuse(remarks)
    before = daemon.look(known)
    if daemon.start(known, get_config_option("daemon.default_workers")):
        what = "the daemon had no broker that answers" if before.runs else before.what
        click.echo(f"note: {what}; it was started anew", err=True)
    remarks += checks.on_daemon()
    checks.refuse(remarks)
    inputs = builder.get_builder(loaded, dataset=dataset)
    with campaigns.one_at_a_time():
        found = None if again else campaigns.twin(inputs)
        if found is None:
            for remark in remarks:
                if remark.level == "warning":
                    click.echo(f"warning: {remark.text}", err=True)
            node = submit(inputs)
        elif wait and found.is_same:
            node = found.node
            click.echo(f"{found}: following it", err=True)
        else:
            raise found.refusal()
    click.echo(json.dumps({"id": node.uuid, "pk": node.pk}) if as_json else node.uuid)
    if not wait:
        click.echo(f"follow it: trainspot status {node.pk} --watch", err=True)
        return
    context.exit(watch(node))
