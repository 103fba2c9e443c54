"""``AseMdCalculation``: some runs of a schedule in one job, ``trainspot explore --schedule``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida.orm import Dict, SinglefileData, Str

from aiida_trainspot.calculations.base import Job, TrainspotCalculation, write_settings
from aiida_trainspot.data.pes import PESData

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.engine.processes.process_spec import CalcJobProcessSpec

EXPLORED = "explored.h5"
FAILURES = "failures.h5"


class AseMdCalculation(TrainspotCalculation):
    """Molecular dynamics through ASE."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Ports."""
        super().define(spec)
        spec.input("starts", valid_type=PESData, help="Start frames of the runs.")
        spec.input("schedule", valid_type=Dict, help="The runs, in order.")
        spec.input("model", valid_type=SinglefileData, help="The member that drives the runs.")
        spec.input("kind", valid_type=Str, help="Kind of the model.")
        spec.input(
            "settings",
            valid_type=Dict,
            default=lambda: Dict({}),
            help="Settings of the engine ase.",
        )
        spec.output("explored", valid_type=PESData, help="Kept frames, unlabelled.")
        spec.output("failures", valid_type=PESData, help="Start frames of runs that failed.")
        spec.inputs["metadata"]["options"]["parser_name"].default = "trainspot.ase_md"

    def write(self, directory: Path) -> Job:
        """Write schedule and settings; see ``TrainspotCalculation.write``."""
        job = Job(arguments=[], retrieve_temporary=[EXPLORED, FAILURES])
        job.arguments = [
            *("explore", job.copy(self.inputs.starts, "starts.h5")),
            *("--schedule", write_settings(directory, self.inputs.schedule, "schedule.json")),
            *("--settings", write_settings(directory, self.inputs.settings, "settings.json")),
            *("--model", job.copy(self.inputs.model, self.inputs.model.filename)),
            *("--kind", self.inputs.kind.value),
            *("-o", EXPLORED, "--failures", FAILURES),
        ]
        return job
