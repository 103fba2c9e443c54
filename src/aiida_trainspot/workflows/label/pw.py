"""``PwBaseWorkChain`` of aiida-quantumespresso with repairs after failures of the machine."""

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
    _CODES.ERROR_OUTPUT_FILES,  # neither the text nor the XML is complete
    _CODES.ERROR_OUTPUT_STDOUT_INCOMPLETE,
    _CODES.ERROR_OUTPUT_STDOUT_MISSING,
    CalcJob.exit_codes.ERROR_SCHEDULER_NODE_FAILURE,
]


class PwBaseWorkChain(SubmitsOnce, WorkflowFactory("quantumespresso.pw.base")):  # type: ignore[misc]
    """The parent work chain with two changes.

    A repeated step does not submit a second calculation. If a power cut or a node failure killed
    pw.x, the calculation runs once more.
    """

    @process_handler(priority=605, exit_codes=_CUT_OFF)
    def repeat_what_was_cut_off(self, calculation: CalcJobNode) -> ProcessHandlerReport | None:
        """Repeat a killed pw.x once; a pw.x that failed by itself has a reason in its stderr."""
        said = calculation.get_scheduler_stderr() or ""
        was_killed = cut_off_by(said) == "killed" or not error_line(said)
        if not was_killed or self.ctx.get("was_cut_off", False):
            return None
        self.ctx.was_cut_off = True
        self.report(f"{calculation.process_label}<{calculation.pk}> was killed; it is repeated")
        return ProcessHandlerReport(True)
