"""The parser of ``LammpsMdCalculation``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida.orm import Dict, SinglefileData
from aiida.parsers import Parser

from aiida_trainspot import exit_codes
from aiida_trainspot.calculations.base import STDERR
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.parsers.base import interruption
from trainspot.common.errors import DataError
from trainspot.data.dataset import Dataset
from trainspot.explore import deck, schedule
from trainspot.explore.frames import failed
from trainspot.explore.lammps import OUTPUT, LammpsExplorer, Outcome, Output, latest_restart

if TYPE_CHECKING:
    from aiida.engine import ExitCode

    from trainspot.explore.schedule import Run

RESTART = "continue.restart"


class LammpsMdParser(Parser):
    """Attaches complete and failed runs of the deck; runs that were cut off give exit code 400."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach frames and failures of all runs, and the restart of the run that was cut off."""
        folder = Path(kwargs["retrieved_temporary_folder"])
        output, complaint = self._text(OUTPUT), self._text(STDERR)
        scheduler = self.node.get_scheduler_stderr() or ""
        cut_off = interruption(self.node.exit_status, f"{scheduler}\n{complaint}")
        if not output.strip() and cut_off is None:
            return exit_codes.OUTPUT_MISSING.because(complaint.strip() or OUTPUT)
        try:
            unfinished = self._attach(folder, Output.read(output))
        except DataError as error:
            return exit_codes.OUTPUT_UNREADABLE.because(str(error))
        if not unfinished:
            return None
        if cut_off is None and complaint.startswith("trainspot-lmp: "):
            refused = self.exit_codes.ERROR_PARSER_DETECTED_LAMMPS_RUN_ERROR
            return refused.format(error=" " + complaint.partition("\n")[0])
        return (cut_off or exit_codes.OUT_OF_WALLTIME).because(f"{unfinished} runs unfinished")

    def _text(self, name: str) -> str:
        repository = self.retrieved.base.repository
        if name not in repository.list_object_names():
            return ""
        return repository.get_object_content(name, "rb").decode("utf-8", errors="replace")

    def _attach(self, folder: Path, output: Output) -> int:
        """Attach the outputs; return the number of runs that are neither complete nor failed."""
        runs = schedule.parse(self.node.inputs.schedule.get_dict())
        starts = self.node.inputs.starts.dataset
        kept, failures = [], []
        results: dict[str, Any] = {"complete": [], "failed": [], "cut_off": [], "restart": None}
        for run in runs:
            start = starts[starts.index(run.start)]
            frames, problem = LammpsExplorer.cut(folder / deck.names_of(run).dump, start, run)
            outcome = output.outcome(run)
            kept.append(frames)
            state = _state(outcome, problem)
            results[state].append(run.trajectory)
            if state == "failed":
                failures.append(failed(start, run, outcome.failure or problem))
            elif state == "cut_off" and outcome.step >= 0:
                results["restart"] = self._restart(folder, run)
        self.out("explored", PESData(Dataset.concatenate(kept)))
        self.out("failures", PESData(failures))
        self.out("results", Dict(results))
        return len(results["cut_off"])

    def _restart(self, folder: Path, run: Run) -> dict[str, Any] | None:
        latest = latest_restart(folder, run)
        if latest is None:
            return None
        path, step = latest
        self.out("restart", SinglefileData(path, filename=RESTART))
        return {"trajectory": run.trajectory, "step": step}


def _state(outcome: Outcome, problem: str) -> str:
    if outcome.failure or problem:
        return "failed"
    return "complete" if outcome.complete else "cut_off"
