"""``LammpsMdCalculation``: aiida-lammps' raw calculation with our deck and our parser."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from aiida.orm import Dict, SinglefileData
from aiida_lammps.calculations.raw import LammpsRawCalculation

from aiida_trainspot import exit_codes
from aiida_trainspot.calculations.base import STDERR
from aiida_trainspot.data.pes import PESData

if TYPE_CHECKING:
    from aiida.common.datastructures import CalcInfo
    from aiida.common.folders import Folder
    from aiida.engine.processes.process_spec import CalcJobProcessSpec


class LammpsMdCalculation(LammpsRawCalculation):
    """Runs of a schedule in one deck.

    ``script`` and ``files`` are the deck and its input files, as in the parent class. The parser
    uses ``starts`` and ``schedule`` to assign the results to the runs.
    """

    CACHE_VERSION: ClassVar[int] = 1

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Ports and exit codes beyond those of the parent."""
        super().define(spec)
        spec.input("starts", valid_type=PESData, help="Start frames of the runs.")
        spec.input("schedule", valid_type=Dict, help="The runs of the deck, in order.")
        spec.output("explored", valid_type=PESData, required=False, help="Kept frames.")
        spec.output(
            "failures", valid_type=PESData, required=False, help="Start frames of failed runs."
        )
        spec.output(
            "restart",
            valid_type=SinglefileData,
            required=False,
            help="Restart file of the run that was cut off.",
        )
        options = spec.inputs["metadata"]["options"]
        options["parser_name"].default = "trainspot.lammps"
        options["resources"].default = lambda: {"num_machines": 1, "num_mpiprocs_per_machine": 1}
        options["withmpi"].default = False
        exit_codes.declare(
            spec,
            exit_codes.OUTPUT_MISSING,
            exit_codes.OUTPUT_UNREADABLE,
            exit_codes.OUT_OF_WALLTIME,
            exit_codes.OUT_OF_MEMORY,
            exit_codes.KILLED,
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """As in the parent class; dumps and restart files are for the parser only."""
        info = super().prepare_for_submission(folder)
        info.codes_info[0].stderr_name = STDERR
        info.retrieve_list.append(STDERR)
        info.retrieve_temporary_list = [("md-*.dump", ".", 0), ("md-*.restart", ".", 0)]
        return info
