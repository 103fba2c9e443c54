"""What the training workchains of all engines share: restarts, and when to give up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida.engine import ProcessHandlerReport, process_handler
from aiida.orm import CalcJobNode, Dict, Int, SinglefileData

from aiida_trainspot import exit_codes
from aiida_trainspot.calculations.train import TrainCalculation
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.workflows.jobs import RestartWorkChain, job_ports, with_threads
from trainspot.processes import HUGE_PAGES

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

_CODES = TrainCalculation.exit_codes


class TrainMemberWorkChain(RestartWorkChain):
    """Train one member, continuing and retrying where that helps.

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
        spec.input("start", valid_type=SinglefileData, required=False)
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
        if "start" in self.inputs:
            self.ctx.inputs["start"] = self.inputs.start

    @process_handler(priority=400, exit_codes=[_CODES.ERROR_OUT_OF_WALLTIME])
    def continue_from_checkpoint(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Continue where the job was cut off; give up where it made no progress."""
        done = node.outputs.checkpoint if "checkpoint" in node.outputs else None
        before = self.ctx.inputs.get("checkpoint")
        if done is None or (before is not None and before.filename == done.filename):
            self.report(f"{node.process_label}<{node.pk}> ran out of time without progress")
            return ProcessHandlerReport(True, exit_codes.OUT_OF_WALLTIME.because())
        self.report(f"{node.process_label}<{node.pk}> continues from {done.filename}")
        self.ctx.inputs["checkpoint"] = done
        return ProcessHandlerReport(True)

    @process_handler(priority=390, exit_codes=[_CODES.ERROR_OUT_OF_MEMORY])
    def halve_the_batch(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Retry with half the batch, until there is nothing to halve."""
        trainer = self._process_class.trainer()
        smaller = trainer.with_half_batch(self.ctx.inputs["settings"].get_dict())
        if smaller is None:
            return ProcessHandlerReport(True, exit_codes.OUT_OF_MEMORY.because())
        self.report(f"{node.process_label}<{node.pk}> ran out of memory: half the batch")
        self.ctx.inputs["settings"] = Dict(smaller).store()  # a checkpoint keeps stored nodes only
        return ProcessHandlerReport(True)
