"""``trainspot run``: submit a campaign."""

from __future__ import annotations

import json
from pathlib import Path

import click

from aiida_trainspot.runtime.profile import load, profile_option
from trainspot.cli import _messages
from trainspot.cli.options import json_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--wait",
    is_flag=True,
    help="Show the progress until the campaign ends; Ctrl-C leaves it running.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Submit even if the same campaign runs already; everything is computed twice.",
)
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

    Starts the AiiDA daemon if necessary. To continue an interrupted campaign, run the same file
    again: finished calculations are not repeated. If a campaign with the same file still runs,
    --wait shows its progress; without --wait the command ends with an error.
    """
    from trainspot.config.load import load as load_campaign
    from trainspot.config.load import read_inputs

    loaded = load_campaign(file)
    dataset = read_inputs(loaded)
    aiida_profile = load(profile)
    from aiida.engine import submit
    from aiida.manage import get_config_option

    from aiida_trainspot.cli._watch import watch
    from aiida_trainspot.launch import builder, checks
    from aiida_trainspot.launch import running as campaigns
    from aiida_trainspot.runtime import daemon

    remarks = checks.check(loaded, dataset, thorough=False, with_daemon=False)
    checks.refuse(remarks)
    before = daemon.look(aiida_profile)
    if daemon.start(aiida_profile, get_config_option("daemon.default_workers")):
        what = "the broker of the daemon did not answer" if before.runs else before.what
        _messages.note(f"started the daemon, because {what}")
    remarks += checks.on_daemon()
    checks.refuse(remarks)
    inputs = builder.get_builder(loaded, dataset=dataset)
    with campaigns.one_at_a_time():
        twin = None if again else campaigns.twin(inputs)
        if twin is None:
            for remark in remarks:
                if remark.level == "warning":
                    _messages.warning(remark.text)
            node = submit(inputs)
        elif wait and twin.is_same:
            node = twin.node
            _messages.say(f"{twin}: showing its progress")
        else:
            raise twin.refusal()
    click.echo(json.dumps({"id": node.uuid, "pk": node.pk}) if as_json else node.uuid)
    if not wait:
        _messages.say(f"to watch it: trainspot status {node.pk} --watch")
        return
    context.exit(watch(node))
