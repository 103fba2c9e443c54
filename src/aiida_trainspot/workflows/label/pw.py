"""``PwBaseWorkChain`` of aiida-quantumespresso, made safe against workers and machines that die."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida.engine import CalcJob, ProcessHandlerReport, process_handler
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_trainspot.workflows.once import SubmitsOnce
from trainspot.common.processes import cut_off_by, error_line

if TYPE_CHECKING:
    from aiida.orm import CalcJobNode

_CODES = CalculationFactory("quantumespresso.pw").exit_codes
_CUT_OFF = [
    _CODES.ERROR_OUTPUT_FILES,  # neither the text nor the XML is whole
    _CODES.ERROR_OUTPUT_STDOUT_INCOMPLETE,
    _CODES.ERROR_OUTPUT_STDOUT_MISSING,
    CalcJob.exit_codes.ERROR_SCHEDULER_NODE_FAILURE,
]


class PwBaseWorkChain(SubmitsOnce, WorkflowFactory("quantumespresso.pw.base")):  # type: ignore[misc]
    """The same in everything but this.

    A step that is repeated submits no second calculation, and a pw.x that was killed, by a power
    cut or with its node, is run once more.
    """

    @process_handler(priority=605, exit_codes=_CUT_OFF)
    def repeat_what_was_cut_off(self, calculation: CalcJobNode) -> ProcessHandlerReport | None:
        """Run it once more as it was; what ended of its own says why on its standard error."""
        said = calculation.get_scheduler_stderr() or ""
        was_killed = cut_off_by(said) == "killed" or not error_line(said)
        if not was_killed or self.ctx.get("was_cut_off", False):
            return None
        self.ctx.was_cut_off = True
        self.report(f"{calculation.process_label}<{calculation.pk}> was killed; it is repeated")
        return ProcessHandlerReport(True)
