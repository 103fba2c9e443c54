"""``AseMdWorkChain``: molecular dynamics through ASE."""

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
    """One job for every ``runs_per_job`` runs."""

    engine = "ase"

    def job(self, runs: list[Run]) -> tuple[type[Process], dict[str, Any]]:
        """One calculation."""
        inputs = {name: self.inputs[name] for name in SHARED}
        inputs["schedule"] = Dict(scheduling.dump(runs))
        inputs["metadata"] = {"options": with_threads(self.inputs.options.get_dict())}
        return AseMdCalculation, inputs
