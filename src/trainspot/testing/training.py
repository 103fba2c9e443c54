"""One training in a folder of its own, for the contract of trainers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainspot.common import processes
from trainspot.common.errors import (
    InputError,
    OutputMissingError,
    TrainingDivergedError,
    TrainingError,
)
from trainspot.train.base import TrainingResult
from trainspot.train.run import find_executable

if TYPE_CHECKING:
    from trainspot.data.dataset import Dataset
    from trainspot.testing.claims import Claims
    from trainspot.train.base import Trainer

_LONGEST = 1800  # s
_CLEAN = "clean"


@dataclass(frozen=True)
class Training:
    """A training of a trainer under test.

    Args:
        claims: About the trainer.
        engine: The trainer.
        settings: An instance of its ``Settings``.
        folder: Where it trains: exists, is empty.
    """

    claims: Claims
    engine: type[Trainer]
    settings: Any
    folder: Path

    def write(self, dataset: Dataset, seed: int, **files: Path) -> dict[str, bytes]:
        """Let the trainer write its inputs; returns the contents by relative path."""
        option = f" with '{min(files)}'" if files else ""
        with self.claims.works(f"write_inputs(){option}"):
            self.engine.write_inputs(self.folder, dataset, self.settings, seed, **files)
        for link in (path for path in sorted(self.folder.rglob("*")) if path.is_symlink()):
            self.claims(
                False,
                f"write_inputs() links to {link.readlink()} ({link.relative_to(self.folder)}): "
                "copy files, the training runs on another machine",
            )
        return _contents(self.folder)

    def run_program(self) -> None:
        """Run the trainer's program in the folder, in a process of its own.

        Raises:
            AssertionError: The program is missing, or ends with another status than 0.
        """
        process = self._program()
        words = " ".join([self.engine.executable, *self.engine.arguments(self.settings)])
        said = processes.error_line(process.stderr) or process.stderr.strip()[-200:]
        self.claims(
            process.returncode == 0, f"'{words}' ended with status {process.returncode}: {said}"
        )

    def _program(self) -> subprocess.CompletedProcess[str]:
        try:
            program = find_executable(self.engine.executable)
        except InputError as error:
            raise AssertionError(
                f"{self.claims.subject}: its program '{self.engine.executable}' is neither beside "
                "the interpreter nor on PATH"
            ) from error
        variables = processes.environment(threads=1) | processes.HUGE_PAGES | os.environ
        return subprocess.run(  # noqa: S603  (the command line that is tested)
            [program, *self.engine.arguments(self.settings)],
            cwd=self.folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST,
        )

    def read(self) -> TrainingResult:
        """The result of the training, read in a clean folder with the files of ``outputs()``."""
        with self.claims.works("read_outputs() where the training ran"):
            self._checked(self.engine.read_outputs(self.folder), self.folder)
        clean = self._clean(_CLEAN)
        try:
            result = self.engine.read_outputs(clean)
        except OutputMissingError as error:
            names = ", ".join(self.engine.outputs(self.settings))
            raise AssertionError(
                f"{self.claims.subject}: outputs() ({names}) leaves out what read_outputs() "
                f"needs, for example the model: {error}"
            ) from error
        self._checked(result, clean)
        with self.claims.works("progress() after the training"):
            share = self.engine.progress(self.folder, self.settings)
        self.claims(0.0 <= share <= 1.0, f"progress() is {share}, not a share")
        return result

    @property
    def clean(self) -> Path:
        """The clean folder that ``read`` makes."""
        return self._beside(_CLEAN)

    def _checked(self, result: Any, folder: Path) -> None:
        """Assert that this is a complete result whose files lie in the folder."""
        kind = type(result).__name__
        claims = self.claims
        claims(
            isinstance(result, TrainingResult),
            f"read_outputs() returned a {kind}, not a TrainingResult",
        )
        model, checkpoint = result.model, result.checkpoint
        inside = isinstance(model, Path) and model.is_file() and model.is_relative_to(folder)
        claims(inside, f"read_outputs() names no model file in the folder, but {model!r}")
        inside = checkpoint is None or (checkpoint.is_file() and checkpoint.is_relative_to(folder))
        claims(inside, f"read_outputs() names no checkpoint in the folder, but {checkpoint!r}")
        epochs = result.metrics
        are_mappings = isinstance(epochs, list) and all(isinstance(epoch, dict) for epoch in epochs)
        claims(are_mappings, "metrics are not a list of mappings")
        with claims.works("metrics written as JSON, which knows no infinite numbers,"):
            json.dumps(epochs, allow_nan=False)
        lines = result.warnings
        are_lines = isinstance(lines, list) and all(
            isinstance(line, str) and line and "\n" not in line for line in lines
        )
        claims(are_lines, "warnings are not a list of texts of one line each")

    def check_damaged_outputs(self) -> None:
        """Assert that missing or incomplete files raise errors of the documented types."""
        names = [path.relative_to(self.folder) for path in self._named()]
        for number, name in enumerate(names):
            for damage in ("missing", "cut off"):
                folder = self._clean(f"{damage.replace(' ', '_')}_{number}")
                path = folder / name
                half = path.read_bytes()[: path.stat().st_size // 2]
                path.unlink()
                if damage == "cut off":
                    path.write_bytes(half)
                self._reads_or_refuses(folder, path, damage)

    def _reads_or_refuses(self, folder: Path, path: Path, damage: str) -> None:
        """Read a folder with one damaged file; a damaged model must not be returned."""
        doing = f"read_outputs() where {path.name} is {damage}"
        with self.claims.works(f"{doing} (expected: a result or a TrainingError)"):
            try:
                result = self.engine.read_outputs(folder)
            except TrainingError:
                return
        self.claims(result.model != path, f"{doing} returns that file as the model")

    def is_empty(self) -> None:
        """Assert the contract for a folder without a training."""
        engine, claims = self.engine, self.claims
        with claims.works("progress() and read_checkpoint() of an empty folder"):
            share = engine.progress(self.folder, self.settings)
            checkpoint = engine.read_checkpoint(self.folder)
        claims(share == 0.0, f"progress() of an empty folder is {share}")
        claims(checkpoint is None, "read_checkpoint() finds a checkpoint in an empty folder")
        with claims.refuses(OutputMissingError, "read_outputs() of an empty folder"):
            engine.read_outputs(self.folder)

    def diverges(self) -> None:
        """Run the program and assert that ``read_outputs`` reports a divergence."""
        self._program()
        with self.claims.refuses(TrainingDivergedError, "a training that diverged"):
            self.engine.read_outputs(self._clean(_CLEAN))

    def _named(self) -> list[Path]:
        """The files that ``outputs()`` names."""
        patterns = self.engine.outputs(self.settings)
        paths = {path for pattern in patterns for path in self.folder.glob(pattern)}
        return sorted(path for path in paths if path.is_file())

    def _clean(self, name: str) -> Path:
        """A folder beside this one that holds only what ``outputs()`` names."""
        clean = self._beside(name)
        for path in self._named():
            copy = clean / path.relative_to(self.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        clean.mkdir(exist_ok=True)
        return clean

    def _beside(self, name: str) -> Path:
        return self.folder.with_name(f"{self.folder.name}_{name}")


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
