"""``trainspot stop``: end a campaign cleanly."""

from __future__ import annotations

import click

from aiida_trainspot.profile import find, load, profile_option
from trainspot.errors import RunError

_TIMEOUT = 30.0


@click.command()
@click.argument("identifier", metavar="ID")
@profile_option
def stop(identifier: str, profile: str | None) -> None:
    """End the campaign ID and its jobs; what is labelled stays and is found by a later run."""
    load(profile)
    from aiida.engine.processes import control

    node = find(identifier)
    if node.is_terminated:
        click.echo(f"{node.label} has ended already", err=True)
        return
    try:
        control.kill_processes([node], msg_text="trainspot stop", timeout=_TIMEOUT)
    except control.ProcessTimeoutException as error:
        raise RunError("the daemon does not answer", hint="see: verdi daemon status") from error
    click.echo(f"{node.label} is being stopped; its finished labels are kept", err=True)
