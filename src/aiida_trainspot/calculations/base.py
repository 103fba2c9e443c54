"""Base of our CalcJobs: input files, one program, output files, one set of exit codes."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.engine import CalcJob
from aiida.orm import AbstractCode, Dict, SinglefileData

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.common.folders import Folder
    from aiida.engine.processes.process_spec import CalcJobProcessSpec

STDOUT = "trainspot.out"
STDERR = "trainspot.err"
ENDED = "trainspot.ended"
"""File with the exit status of the program, which the job script writes at the end."""


@dataclass
class Job:
    """The inputs and outputs of one run of a program.

    Attributes:
        arguments: The arguments on the command line of the executable.
        retrieve: Names, patterns, or (pattern, folder, depth) of files to keep in ``retrieved``
            (stdout and stderr always).
        retrieve_temporary: Files for the parser only, in ``retrieved_temporary_folder``.
        copies: (uuid, name in the node, name in the working directory) of nodes' files.
        provenance_exclude: Files in the working directory that the node need not keep.
    """

    arguments: list[str]
    retrieve: list[str | tuple[str, str, int]] = field(default_factory=list)
    retrieve_temporary: list[str] = field(default_factory=list)
    copies: list[tuple[str, str, str]] = field(default_factory=list)
    provenance_exclude: list[str] = field(default_factory=list)

    def copy(self, node: PESData | SinglefileData, name: str) -> str:
        """Copy the only file of a node to ``name``, without storing it a second time."""
        inside = node.FILENAME if isinstance(node, PESData) else node.filename
        self.copies.append((node.uuid, inside, name))
        return name


def write_settings(directory: Path, settings: Dict | Mapping[str, Any], name: str) -> str:
    """Write settings as JSON with sorted keys (equal settings, equal bytes); return ``name``."""
    content = settings.get_dict() if isinstance(settings, Dict) else dict(settings)
    text = json.dumps(content, sort_keys=True, indent=2)
    (directory / name).write_text(text + "\n", encoding="utf-8")
    return name


class TrainspotCalculation(CalcJob):
    """Base of our CalcJobs: subclasses add ports in ``define`` and implement ``write``."""

    CACHE_VERSION: ClassVar[int] = 1

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the code, one process by default, and the exit codes."""
        super().define(spec)
        spec.input("code", valid_type=AbstractCode, help="The program to run.")
        options = spec.inputs["metadata"]["options"]
        options["resources"].default = lambda: {"num_machines": 1, "num_mpiprocs_per_machine": 1}
        options["output_filename"].default = STDOUT
        options["withmpi"].default = False
        exit_codes.declare(
            spec,
            exit_codes.OUTPUT_MISSING,
            exit_codes.OUTPUT_UNREADABLE,
            exit_codes.TRAINING_DIVERGED,
            exit_codes.NON_FINITE,
            exit_codes.OUT_OF_WALLTIME,
            exit_codes.OUT_OF_MEMORY,
            exit_codes.KILLED,
        )

    @abstractmethod
    def write(self, directory: Path) -> Job:
        """Write the input files into ``directory`` and describe the job.

        The files must depend on ``self.inputs`` only: no clock, no paths, no unordered sets.
        """

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Turn the ``Job`` of the subclass into AiiDA's description of a calculation."""
        job = self.write(Path(folder.abspath))
        code = CodeInfo()
        code.code_uuid = self.inputs.code.uuid
        code.cmdline_params = job.arguments
        code.stdout_name = STDOUT
        code.stderr_name = STDERR
        info = CalcInfo()
        info.codes_info = [code]
        info.local_copy_list = job.copies
        info.append_text = f'echo "$?" > {ENDED}'
        info.retrieve_list = [*job.retrieve, STDOUT, STDERR, ENDED]
        info.retrieve_temporary_list = job.retrieve_temporary
        info.provenance_exclude_list = job.provenance_exclude
        return info
