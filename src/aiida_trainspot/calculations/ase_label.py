"""``AseLabelCalculation``: many frames labelled by one job, ``trainspot label``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida.orm import Dict

from aiida_trainspot.calculations.base import Job, TrainspotCalculation, write_settings
from aiida_trainspot.data.pes import PESData

if TYPE_CHECKING:
    from pathlib import Path

    from aiida.engine.processes.process_spec import CalcJobProcessSpec

LABELLED = "labelled.h5"
FAILURES = "failures.h5"
JOURNAL = "journal"
"""Finished frames of a job that was cut off; other jobs leave no journal."""


class AseLabelCalculation(TrainspotCalculation):
    """Label the frames of a dataset with an ASE calculator."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Ports."""
        super().define(spec)
        spec.input("dataset", valid_type=PESData, help="Frames; those without labels are labelled.")
        spec.input("settings", valid_type=Dict, help="Settings of the label engine 'ase'.")
        # Not a node: the number of processes must not change the hash, as it changes no result.
        spec.input("workers", valid_type=int, non_db=True, default=1, help="Processes.")
        spec.output("labelled", valid_type=PESData, help="Frames with labels.")
        spec.output(
            "failures", valid_type=PESData, help="Frames without labels, each with the reason."
        )
        spec.inputs["metadata"]["options"]["parser_name"].default = "trainspot.ase_label"

    def write(self, directory: Path) -> Job:
        """Write the settings and describe the job; AiiDA copies the dataset from its node."""
        job = Job(arguments=[], retrieve_temporary=[LABELLED, FAILURES, JOURNAL])
        dataset = job.copy(self.inputs.dataset, "dataset.h5")
        settings = write_settings(directory, self.inputs.settings, "settings.json")
        job.arguments = ["label", dataset, "--engine", "ase", "--settings", settings]
        job.arguments += ["--workers", str(self.inputs.workers)]
        job.arguments += ["-o", LABELLED, "--failures", FAILURES, "--journal", JOURNAL]
        return job
