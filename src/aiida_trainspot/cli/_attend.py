"""What every command does that looks at campaigns: see to it that they move, or say why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from aiida.manage import get_manager

from aiida_trainspot.runtime import daemon
from aiida_trainspot.runtime.upkeep import look_after

if TYPE_CHECKING:
    from aiida.orm import WorkChainNode


def attend(campaigns: list[WorkChainNode]) -> dict[str, str] | None:
    """Take up what was lost, and say so on stderr.

    Returns:
        Why nothing moves (``reason``) and what to type (``do``); ``None`` if something can, if
        nothing runs, or if a Python session runs it, as it must where there is no broker.
    """
    running = [node for node in campaigns if not node.is_terminated]
    profile = get_manager().get_profile()
    if not running or profile is None or profile.process_control_backend is None:
        return None
    stalled = daemon.stall(profile)
    if stalled is None:
        daemon.watch_over(profile)
    for line in look_after(running):
        click.echo(f"note: {line}", err=True)
    return stalled


def in_words(stalled: dict[str, str]) -> str:
    """One line about a campaign that cannot move."""
    return f"nothing moves: {stalled['reason']}; {stalled['do']}"
