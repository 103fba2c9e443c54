"""``trainspot stop``: stop a campaign and keep its labels."""

from __future__ import annotations

import click

from aiida_trainspot.results.find import find
from aiida_trainspot.runtime.profile import load, profile_option
from trainspot.cli import _messages

_TIMEOUT = 60.0


@click.command()
@click.argument("identifier", metavar="ID")
@profile_option
def stop(identifier: str, profile: str | None) -> None:
    """Stop campaign ID and its jobs.

    Finished labels are kept: a later run of the same file uses them. Needs no running daemon.
    """
    loaded = load(profile)
    from aiida_trainspot.launch.stopping import end, open_in

    node = find(identifier)
    name = node.label or identifier
    if not open_in(node):
        _messages.say(f"{name} has ended already")
        return
    for line in end(node, loaded, patience=_TIMEOUT):
        _messages.warning(line)
    _messages.say(f"{name} is stopped; its finished labels are kept")
