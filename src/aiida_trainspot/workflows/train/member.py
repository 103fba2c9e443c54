"""What the training workchains of all engines share: restarts, and when to give up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import BaseRestartWorkChain, ProcessHandlerReport, process_handler, while_
from aiida.orm import AbstractCode, CalcJobNode, Dict, Int, SinglefileData

from aiida_trainspot import exit_codes
from aiida_trainspot.calculations.train import TrainCalculation
from aiida_trainspot.data.pes import PESData

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

_CODES = TrainCalculation.exit_codes


class TrainMemberWorkChain(BaseRestartWorkChain):
    """Train one member, continuing and retrying where that helps.

    Subclasses set ``_process_class`` to their ``TrainCalculation``.
    """

    _process_class: type[TrainCalculation]

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Ports and outline."""
        super().define(spec)
        spec.input("dataset", valid_type=PESData, help="Frames with splits.")
        spec.input("code", valid_type=AbstractCode, help="The engine's program.")
        spec.input(
            "settings",
            valid_type=Dict,
            default=lambda: Dict({}),
            validator=cls._process_class.check_settings,
            help="Hyper-parameters of the engine.",
        )
        spec.input(
            "options",
            valid_type=Dict,
            default=lambda: Dict({}),
            help="`metadata.options` of the jobs: resources, max_wallclock_seconds, …",
        )
        spec.input("seed", valid_type=Int, help="The member's seed, in [0, 2**31).")
        spec.input("start", valid_type=SinglefileData, required=False)
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )
        spec.expose_outputs(cls._process_class, include=("model", "checkpoint", "metrics"))
        exit_codes.declare(
            spec,
            exit_codes.OUTPUT_MISSING,
            exit_codes.OUTPUT_UNREADABLE,
            exit_codes.TRAINING_DIVERGED,
            exit_codes.OUT_OF_WALLTIME,
            exit_codes.OUT_OF_MEMORY,
        )

    def setup(self) -> None:
        """Collect the inputs of the first job."""
        super().setup()
        self.ctx.inputs = {
            "dataset": self.inputs.dataset,
            "code": self.inputs.code,
            "settings": self.inputs.settings,
            "seed": self.inputs.seed,
            "metadata": {"options": with_threads(self.inputs.options.get_dict())},
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

    @process_handler(
        priority=300,
        exit_codes=[
            _CODES.ERROR_OUTPUT_MISSING,
            _CODES.ERROR_OUTPUT_UNREADABLE,
            _CODES.ERROR_TRAINING_DIVERGED,
        ],
    )
    def give_up(self, node: CalcJobNode) -> ProcessHandlerReport:
        """The same inputs would end the same way: pass the reason on instead of repeating it."""
        return ProcessHandlerReport(True, node.exit_code)


def with_threads(options: dict[str, Any]) -> dict[str, Any]:
    """Job options in which the program uses as many threads as cores were asked for."""
    cores = str(options.get("resources", {}).get("num_cores_per_mpiproc", 1))
    threads = {"MKL_NUM_THREADS": cores, "OMP_NUM_THREADS": cores}
    return options | {"environment_variables": threads | options.get("environment_variables", {})}
