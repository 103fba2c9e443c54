"""Repairs of running campaigns, which each command that shows campaigns makes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida.manage import get_manager

from aiida_trainspot.runtime import daemon
from aiida_trainspot.runtime.upkeep import look_after
from trainspot.cli import _messages

if TYPE_CHECKING:
    from aiida.orm import WorkChainNode


def attend(campaigns: list[WorkChainNode]) -> dict[str, str] | None:
    """Restart lost processes and workers, with a note for each repair.

    Returns:
        Why the campaigns cannot continue (``reason``) and what to type (``do``). ``None`` if they
        can, if none runs, or if the profile has no broker, because a Python session runs them then.
    """
    running = [node for node in campaigns if not node.is_terminated]
    profile = get_manager().get_profile()
    if not running or profile is None or profile.process_control_backend is None:
        return None
    stalled = daemon.stall(profile)
    if stalled is None:
        daemon.watch_over(profile)
    for line in look_after(running):
        _messages.note(line)
    return stalled


def in_words(stalled: dict[str, str]) -> str:
    """One line about a campaign that cannot continue."""
    return f"the campaign cannot continue: {stalled['reason']}; {stalled['do']}"
