"""``trainspot stop``: end a campaign cleanly."""

from __future__ import annotations

import logging
import time

import click

from aiida_trainspot.profile import find, load, profile_option
from trainspot.errors import RunError

_TIMEOUT = 60.0
_INTERVAL = 0.5


@click.command()
@click.argument("identifier", metavar="ID")
@profile_option
def stop(identifier: str, profile: str | None) -> None:
    """End the campaign ID and its jobs; what is labelled stays and is found by a later run."""
    load(profile)
    from aiida.common.log import override_log_level
    from aiida.engine.processes import control

    node = find(identifier)
    if node.is_terminated:
        click.echo(f"{node.label} has ended already", err=True)
        return
    deadline = time.monotonic() + _TIMEOUT
    # A busy worker may answer late or not at all and still obey, so the node is asked instead.
    with override_log_level(logging.CRITICAL):
        control.kill_processes([node], msg_text="trainspot stop", timeout=_TIMEOUT / 2)
    while not node.is_terminated:
        if time.monotonic() > deadline:
            hint = "see whether the daemon runs: verdi daemon status"
            raise RunError(f"{node.label} has not ended within {_TIMEOUT:g} s", hint=hint)
        time.sleep(_INTERVAL)
    click.echo(f"{node.label} is stopped; its finished labels are kept", err=True)
