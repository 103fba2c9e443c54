"""``AseMdWorkChain``: molecular dynamics through ASE, the runs shared between a few jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.orm import Dict

from aiida_trainspot.calculations.ase_md import AseMdCalculation
from aiida_trainspot.workflows.explore.base import SHARED, ExploreEngineWorkChain
from aiida_trainspot.workflows.jobs import with_threads
from trainspot.explore import schedule as scheduling

if TYPE_CHECKING:
    from aiida.engine import Process

    from trainspot.explore.schedule import Run


class AseMdWorkChain(ExploreEngineWorkChain):
    """As many jobs as may run at the same time; a job costs more than a short run."""

    engine = "ase"

    def groups(self, runs: list[Run]) -> list[list[Run]]:
        """Deal the runs like cards."""
        jobs = min(self.inputs.max_concurrent.value, len(runs))
        return [runs[number::jobs] for number in range(jobs)]

    def job(self, runs: list[Run]) -> tuple[type[Process], dict[str, Any]]:
        """One calculation."""
        inputs = {name: self.inputs[name] for name in SHARED}
        inputs["schedule"] = Dict(scheduling.dump(runs))
        inputs["metadata"] = {"options": with_threads(self.inputs.options.get_dict())}
        return AseMdCalculation, inputs
