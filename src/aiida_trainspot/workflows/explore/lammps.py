"""``LammpsMdWorkChain``: all runs; ``LammpsRunWorkChain``: one job and its restarts."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, ClassVar

from aiida.engine import ProcessHandlerReport, process_handler
from aiida.orm import CalcJobNode, Dict, SinglefileData, Str

from aiida_trainspot import exit_codes
from aiida_trainspot.calculations.lammps import LammpsMdCalculation
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.workflows.explore.base import SHARED, ExploreEngineWorkChain
from aiida_trainspot.workflows.jobs import RestartWorkChain, job_ports, with_threads
from trainspot.common.validation import parse_settings
from trainspot.explore import schedule as scheduling
from trainspot.explore.lammps import INPUT, LammpsExplorer, LammpsSettings

if TYPE_CHECKING:
    from aiida.engine import Process
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

    from trainspot.explore.schedule import Run

_CODES = LammpsMdCalculation.exit_codes


class LammpsRunWorkChain(RestartWorkChain):
    """Some runs in one job, which continues from its restart files after it was cut off.

    This work chain has no outputs: its calculations return the frames, and its parent gathers them.
    """

    _process_class: ClassVar[type[LammpsMdCalculation]] = LammpsMdCalculation
    HOPELESS: ClassVar[tuple[int, ...]] = (
        *RestartWorkChain.HOPELESS,
        _CODES.ERROR_PARSER_DETECTED_LAMMPS_RUN_ERROR.status,
    )

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Ports and outline."""
        super().define(spec)
        spec.input("starts", valid_type=PESData, help="Start frames of the runs.")
        spec.input("schedule", valid_type=Dict, help="The runs of this job.")
        spec.input("model", valid_type=SinglefileData, help="The member that drives the runs.")
        spec.input("kind", valid_type=Str, help="Kind of the model.")
        job_ports(spec)

    def setup(self) -> None:
        """Inputs of the first job."""
        super().setup()
        runs = scheduling.parse(self.inputs.schedule.get_dict())
        self.ctx.progress = self.ctx.continued = self.ctx.restart = None
        self.ctx.inputs = self._inputs(runs)

    def _inputs(
        self, runs: list[Run], restart: SinglefileData | None = None, continued: str = ""
    ) -> dict[str, Any]:
        """Deck and files for these runs; the run ``continued`` continues from ``restart``."""
        settings: LammpsSettings = parse_settings(LammpsSettings, self.inputs.settings.get_dict())
        with self.inputs.starts.opened() as starts:
            texts = LammpsExplorer.inputs(
                starts,
                runs,
                settings,
                self.inputs.model.filename,
                self.inputs.kind.value,
                {continued: restart.filename} if restart else None,
            )
        script = _file(INPUT, texts.pop(INPUT))
        files = {f"data_{n}": _file(*item) for n, item in enumerate(texts.items())}
        files["model"] = self.inputs.model
        if restart is not None:
            files["restart"] = restart
        return {
            "code": self.inputs.code,
            "script": script,
            "files": files,
            "starts": self.inputs.starts,
            "schedule": Dict(scheduling.dump(runs)).store(),
            "metadata": {"options": with_threads(self.inputs.options.get_dict())},
        }

    @process_handler(priority=400, exit_codes=[_CODES.ERROR_OUT_OF_WALLTIME, _CODES.ERROR_KILLED])
    def continue_runs(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """Continue the unfinished runs, unless the last attempt made no progress."""
        results = calculation.outputs.results.get_dict()
        runs = scheduling.parse(calculation.inputs.schedule.get_dict())
        left = [run for run in runs if run.trajectory in results["cut_off"]]
        if results["restart"] is not None:
            self.ctx.continued = results["restart"]
            self.ctx.restart = calculation.outputs.restart
        elif self.ctx.continued and self.ctx.continued["trajectory"] not in results["cut_off"]:
            self.ctx.continued = self.ctx.restart = None  # the run of this restart file has ended
        progress = [results["cut_off"], self.ctx.continued]
        if progress == self.ctx.progress:
            self.report("no progress since the last attempt")
            return ProcessHandlerReport(True, exit_codes.OUT_OF_WALLTIME.because("no progress"))
        self.ctx.progress = progress
        continued = self.ctx.continued or {"trajectory": "", "step": 0}
        self.ctx.inputs = self._inputs(left, self.ctx.restart, continued["trajectory"])
        self.report(f"{len(left)} runs left, the first from step {continued['step']}")
        return ProcessHandlerReport(True)


class LammpsMdWorkChain(ExploreEngineWorkChain):
    """One job for every ``runs_per_job`` runs."""

    engine = "lammps"

    def job(self, runs: list[Run]) -> tuple[type[Process], dict[str, Any]]:
        """One job with its restarts."""
        inputs = {name: self.inputs[name] for name in (*SHARED, "options")}
        return LammpsRunWorkChain, inputs | {"schedule": Dict(scheduling.dump(runs))}


def _file(name: str, text: str) -> SinglefileData:
    # stored, because a checkpoint of the workchain keeps only stored nodes
    return SinglefileData(io.BytesIO(text.encode()), filename=name).store()
