"""Base of the training workchains of all engines: restarts, and when to give up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import ProcessHandlerReport, process_handler
from aiida.orm import CalcJobNode, Int, SinglefileData

from aiida_trainspot import exit_codes
from aiida_trainspot.calculations.train import TrainCalculation, bag_port
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.workflows.jobs import RestartWorkChain, job_ports, with_threads
from aiida_trainspot.workflows.preflight import Foresees
from trainspot.common.processes import HUGE_PAGES, kills_for_memory

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

_CODES = TrainCalculation.exit_codes


class TrainMemberWorkChain(Foresees, RestartWorkChain):
    """Train one member, and continue or repeat failed jobs, always with the same settings.

    Subclasses set ``_process_class`` to their ``TrainCalculation``.
    """

    _process_class: type[TrainCalculation]

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Ports and outline."""
        super().define(spec)
        spec.input("dataset", valid_type=PESData, help="Frames with splits.")
        job_ports(spec, cls._process_class.check_settings)
        spec.input("seed", valid_type=Int, help="The member's seed, in [0, 2**31).")
        spec.input("start", valid_type=SinglefileData, required=False, help="Model to start from.")
        bag_port(spec)
        spec.expose_outputs(cls._process_class, include=("model", "checkpoint", "metrics"))
        exit_codes.declare(spec, exit_codes.TRAINING_DIVERGED, exit_codes.OUT_OF_MEMORY)

    def setup(self) -> None:
        """Collect the inputs of the first job."""
        super().setup()
        self.ctx.inputs = {
            "dataset": self.inputs.dataset,
            "code": self.inputs.code,
            "settings": self.inputs.settings,
            "seed": self.inputs.seed,
            "metadata": {"options": with_threads(self.inputs.options.get_dict(), **HUGE_PAGES)},
        }
        for name in ("start", "bag"):
            if name in self.inputs:
                self.ctx.inputs[name] = self.inputs[name]

    def run_process(self) -> Any:
        """Submit the next job; see ``BaseRestartWorkChain``."""
        self.ctx.kills_before = kills_for_memory()
        return super().run_process()

    @process_handler(priority=400, exit_codes=[_CODES.ERROR_OUT_OF_WALLTIME])
    def continue_from_checkpoint(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Continue the job from its checkpoint; give up if it made no progress."""
        if not self._goes_on(node):
            self.report(f"{node.process_label}<{node.pk}> ran out of time without progress")
            return ProcessHandlerReport(True, exit_codes.OUT_OF_WALLTIME.because())
        return ProcessHandlerReport(True)

    @process_handler(
        priority=395, exit_codes=[_CODES.ERROR_KILLED, _CODES.ERROR_SCHEDULER_NODE_FAILURE]
    )
    def go_on_after_a_kill(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Repeat a killed job without changes, from its checkpoint.

        Lack of memory is assumed if the kernel of this machine reports it, or if the job is killed
        a second time without progress.
        """
        here = node.computer is not None and node.computer.transport_type == "core.local"
        kills = kills_for_memory() if here else None
        before = self.ctx.get("kills_before")
        if kills is not None and before is not None and kills > before:
            reason = "killed while the kernel killed processes for lack of memory"
            return ProcessHandlerReport(True, exit_codes.OUT_OF_MEMORY.because(reason))
        if self._goes_on(node):
            self.ctx.killed_in_vain = 0
            return ProcessHandlerReport(True)
        if self.ctx.get("killed_in_vain", 0):
            reason = "killed again without progress"
            return ProcessHandlerReport(True, exit_codes.OUT_OF_MEMORY.because(reason))
        self.ctx.killed_in_vain = 1
        self.report(f"{node.process_label}<{node.pk}> was killed; it is repeated as it was")
        return ProcessHandlerReport(True)

    @process_handler(priority=390, exit_codes=[_CODES.ERROR_OUT_OF_MEMORY])
    def pass_on_memory(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Return the exit code: the stage chooses a smaller batch for the whole committee."""
        return ProcessHandlerReport(True, node.exit_code)

    def _goes_on(self, node: CalcJobNode) -> bool:
        """Use the checkpoint of a job, if it is later than the checkpoint the job started from."""
        checkpoint = node.outputs.checkpoint if "checkpoint" in node.outputs else None
        before = self.ctx.inputs.get("checkpoint")
        if checkpoint is None or (before is not None and before.filename == checkpoint.filename):
            return False
        self.report(f"{node.process_label}<{node.pk}> continues from {checkpoint.filename}")
        self.ctx.inputs["checkpoint"] = checkpoint
        return True
