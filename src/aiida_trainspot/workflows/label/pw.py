"""``PwBaseWorkChain`` of aiida-quantumespresso, made safe against workers that die."""

from __future__ import annotations

from aiida.plugins import WorkflowFactory

from aiida_trainspot.workflows.once import SubmitsOnce


class PwBaseWorkChain(SubmitsOnce, WorkflowFactory("quantumespresso.pw.base")):  # type: ignore[misc]
    """The same in everything but this: a step that is repeated submits no second calculation."""
