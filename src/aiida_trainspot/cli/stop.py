"""``trainspot stop``: end a campaign cleanly."""

from __future__ import annotations

import click

from aiida_trainspot.results.find import find
from aiida_trainspot.runtime.profile import load, profile_option

_TIMEOUT = 60.0


@click.command()
@click.argument("identifier", metavar="ID")
@profile_option
def stop(identifier: str, profile: str | None) -> None:
    """End the campaign ID and its jobs; what is labelled stays and is found by a later run.

    No daemon is needed for it.
    """
    loaded = load(profile)
    from aiida_trainspot.launch.stopping import end, open_in

    node = find(identifier)
    name = node.label or identifier
    if not open_in(node):
        click.echo(f"{name} has ended already", err=True)
        return
    for line in end(node, loaded, patience=_TIMEOUT):
        click.echo(f"warning: {line}", err=True)
    click.echo(f"{name} is stopped; its finished labels are kept", err=True)
