"""``trainspot status``: show the progress and the results of a campaign."""

from __future__ import annotations

import json

import click

from aiida_trainspot.results.find import campaigns, find
from aiida_trainspot.runtime.profile import load, profile_option
from trainspot.cli import _messages
from trainspot.cli.options import json_option
from trainspot.common.text import counted


@click.command()
@click.argument("identifier", metavar="[ID]", required=False)
@click.option(
    "--watch", "-w", "live", is_flag=True, help="Update the display until the campaign ends."
)
@profile_option
@json_option
@click.pass_context
def status(
    context: click.Context, identifier: str | None, live: bool, profile: str | None, as_json: bool
) -> None:
    """Show the progress of campaign ID (pk, uuid or name). Without ID, list all campaigns."""
    load(profile)

    from aiida_trainspot.cli._attend import attend, in_words
    from aiida_trainspot.cli._watch import closing, table, watch
    from aiida_trainspot.results.status import status as report
    from trainspot.campaign.exit import exit_of

    if identifier is None:
        latest = campaigns()
        stalled = attend(latest)
        rows = [
            report(node) | {"pk": node.pk, "stalled": None if node.is_terminated else stalled}
            for node in latest
        ]
        if as_json:
            click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        for row in () if as_json else rows:
            ended = exit_of(row)
            ending = ended.label if ended else row["stage"]
            count = counted(len(row["iterations"]), "iteration")
            click.echo(f"{row['pk']:6}  {row['id'][:8]}  {row['name']:24} {ending}, {count}")
        if stalled and not as_json:
            _messages.say(in_words(stalled))
        if not rows and not as_json:
            _messages.say("no campaigns yet; start one: trainspot run FILE")
        return
    node = find(identifier)
    if live and not as_json:
        context.exit(watch(node))
    stalled = attend([node])
    now = report(node) | {"stalled": None if node.is_terminated else stalled}
    if as_json:
        click.echo(json.dumps(now, indent=2, ensure_ascii=False))
        return
    console = _messages.terminal()
    console.print(table(now))
    console.print(*closing(now, node.pk), sep="\n", soft_wrap=True)
