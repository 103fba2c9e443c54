"""Base of our parsers: files as paths, errors as exit codes, and killed jobs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiida.engine import CalcJob
from aiida.parsers import Parser

from aiida_trainspot import exit_codes
from aiida_trainspot.calculations.base import ENDED, STDERR
from trainspot.common.errors import (
    NonFiniteError,
    OutputMissingError,
    TrainingDivergedError,
    TrainspotError,
)
from trainspot.common.processes import cut_off_by, error_line

if TYPE_CHECKING:
    from aiida.engine import ExitCode

    from aiida_trainspot.exit_codes import Exit

_OF_ERROR: Final[tuple[tuple[type[TrainspotError], Exit], ...]] = (
    (OutputMissingError, exit_codes.OUTPUT_MISSING),
    (TrainingDivergedError, exit_codes.TRAINING_DIVERGED),
    (NonFiniteError, exit_codes.NON_FINITE),
)

_OF_CUT: Final[Mapping[str, Exit]] = {
    "walltime": exit_codes.OUT_OF_WALLTIME,
    "memory": exit_codes.OUT_OF_MEMORY,
    "killed": exit_codes.KILLED,
}


def interruption(status: int | None, stderr: str) -> Exit | None:
    """The exit code of a job that was cut off; ``None`` if the job was not cut off.

    Args:
        status: Exit status that AiiDA derived from the scheduler's accounting, if any.
        stderr: Standard errors of scheduler and program.
    """
    codes = CalcJob.exit_codes
    if status == codes.ERROR_SCHEDULER_OUT_OF_WALLTIME.status:
        return exit_codes.OUT_OF_WALLTIME
    said = cut_off_by(stderr)
    if status == codes.ERROR_SCHEDULER_OUT_OF_MEMORY.status and said != "walltime":
        return exit_codes.OUT_OF_MEMORY
    return _OF_CUT.get(said) if said else None


class TrainspotParser(Parser):
    """Base of our parsers: subclasses implement ``read`` and may implement ``salvage``."""

    @abstractmethod
    def read(self, directory: Path, temporary: Path | None) -> None:
        """Read the retrieved files and attach the outputs with ``self.out``.

        Args:
            directory: The retrieved files.
            temporary: The files retrieved for the parser only, if the job asked for any.

        Raises:
            TrainspotError: ``OutputMissingError`` ends with 303, ``TrainingDivergedError`` with
                305, ``NonFiniteError`` with 306, any other with 304.
        """

    def salvage(self, directory: Path, temporary: Path | None) -> None:
        """Attach usable files of a failed job, such as a checkpoint. By default none."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach the outputs, or return an exit code with the reason why there are none."""
        folder = kwargs.get("retrieved_temporary_folder")
        temporary = Path(folder) if folder else None
        with self.retrieved.base.repository.as_path() as directory:
            try:
                self.read(directory, temporary)
            except TrainspotError as error:
                self.salvage(directory, temporary)
                return self._failure(error, directory)
        cut_off = interruption(self.node.exit_status, "")  # killed after all files were written
        return cut_off.because() if cut_off else None

    def _failure(self, error: TrainspotError, directory: Path) -> ExitCode | None:
        program = _text(directory / STDERR)
        scheduler = self.node.get_scheduler_stderr() or ""
        cut_off = interruption(self.node.exit_status, f"{scheduler}\n{program}")
        if cut_off:
            return cut_off.because(str(error))
        if self.node.exit_status:  # the scheduler's own reason, such as a dead node
            return None
        if isinstance(error, OutputMissingError) and not (directory / ENDED).exists():
            return exit_codes.KILLED.because(
                str(error)
            )  # its shell ended too: the machine went down
        code = next((c for kind, c in _OF_ERROR if isinstance(error, kind)), None)
        said = error_line(program)
        if code is exit_codes.TRAINING_DIVERGED:  # the error quotes the log already
            detail = error.what
        else:
            detail = f"{error} ({STDERR}: {said})" if said else str(error)
        return (code or exit_codes.OUTPUT_UNREADABLE).because(detail)


def required(directory: Path, name: str) -> Path:
    """The path of a file that the program must have written.

    Raises:
        OutputMissingError: The file does not exist, or is empty.
    """
    path = directory / name
    if not path.is_file() or not path.stat().st_size:
        raise OutputMissingError("the program did not write this file", where=name)
    return path


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
