"""The parser of ``AseMdCalculation``."""

from __future__ import annotations

from pathlib import Path

from aiida_trainspot.calculations.ase_md import EXPLORED, FAILURES
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.parsers.base import TrainspotParser, required
from trainspot.common.errors import DataError
from trainspot.explore import schedule


class AseMdParser(TrainspotParser):
    """Attaches the two datasets, if they belong to this schedule."""

    def read(self, directory: Path, temporary: Path | None) -> None:
        """See ``TrainspotParser.read``."""
        folder = temporary or directory
        explored = PESData.from_file(required(folder, EXPLORED))
        failures = PESData.from_file(required(folder, FAILURES))
        runs = schedule.parse(self.node.inputs.schedule.get_dict())
        foreign = set(explored.dataset.counts("trajectory")) - {run.trajectory for run in runs}
        if foreign:
            raise DataError("holds frames of runs that are not in the schedule", where=EXPLORED)
        self.out("explored", explored)
        self.out("failures", failures)
