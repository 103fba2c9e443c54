"""Training a committee on this machine: one subprocess for each member, some at a time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trainspot.common import plugins, processes
from trainspot.common.errors import (
    InputError,
    TrainingDivergedError,
    TrainingError,
    TrainspotError,
)
from trainspot.engine import Engine
from trainspot.train.base import GROUP, Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydantic import BaseModel

    from trainspot.data.dataset import Dataset
    from trainspot.train.bagging import Bag
    from trainspot.train.base import TrainingResult

STDOUT: Final = "train.out"
STDERR: Final = "train.err"
_POLL: Final = 0.2  # s
_KILLED: Final = frozenset({-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGKILL})
"""Exit statuses of a program that was killed, as seen by its parent or by a shell."""


def trainer(name: str, *, where: str = "") -> type[Trainer]:
    """The trainer registered under a name.

    Raises:
        UnknownNameError: No such trainer; the message offers the nearest.
        MissingExtraError: A dependency of the trainer is not installed.
        ContractError: The class does not derive from ``Trainer``.
    """
    return Trainer.implementation(plugins.load(GROUP, name, where=where))


def train_committee(
    engine: type[Trainer],
    dataset: Dataset,
    settings: BaseModel,
    directory: Path,
    *,
    seeds: Sequence[int],
    workers: int = 1,
    start: Sequence[Path] = (),
    bags: Sequence[Bag] = (),
    progress: Callable[[list[float]], None] | None = None,
) -> list[TrainingResult]:
    """Train a committee; member j works in ``directory/member_j``.

    Afterwards ``directory`` holds the models as ``member_j.KIND`` and ``metrics.json``.

    Args:
        engine: The trainer, see ``trainer``.
        dataset: Frames with splits.
        settings: An instance of ``engine.Settings``.
        directory: Created if necessary; must be empty.
        seeds: One for each member, see ``base.member_seeds``.
        workers: Members that train at the same time.
        start: One model file for all members, or one for each.
        bags: The training frames that each member leaves out, see ``bagging.bags``; by default
            all members are trained on all training frames.
        progress: Called repeatedly with the finished share of each training.

    Raises:
        InputError: Nothing to train on, a folder in use, … Nothing has been written.
        TrainingError: A member failed; the others have been stopped. A training that is killed
            without a sign of missing memory first continues from its checkpoint, with the same
            settings.
    """
    committee = len(seeds)
    if len(bags) not in (0, committee):
        raise InputError(f"{len(bags)} bags for {committee} members")
    _check_files(directory, start, committee)
    program = find_executable(engine.executable, engine)
    folders = [directory / f"member_{member}" for member in range(committee)]
    starts: list[Path | None] = (
        [*start] * committee if len(start) == 1 else [*start] or [None] * committee
    )

    def write(folder: Path, **checkpoint: Path | None) -> None:
        member = folders.index(folder)
        options = {"start": starts[member], **checkpoint}
        frames = bags[member].of(dataset) if bags else dataset
        engine.write_inputs(folder, frames, settings, seeds[member], **options)

    try:
        for folder in folders:
            folder.mkdir(parents=True)
            write(folder)
    except InputError:
        shutil.rmtree(directory)
        raise
    command = [program, *engine.arguments(settings)]
    report = progress or (lambda _: None)
    attempts = _Attempts(engine, write)
    for running in _run(engine, command, folders, workers, attempts.go_on):
        report([engine.progress(folder, settings) for folder in running])
    results = [engine.read_outputs(folder) for folder in folders]
    for folder, text in attempts.warnings().items():
        results[folders.index(folder)].warnings.append(text)
    for member, twin in twins([result.model.read_bytes() for result in results]).items():
        results[member].warnings.append(twin_warning(twin))
    report([1.0] * committee)
    _collect(engine, directory, results)
    return results


def _check_files(directory: Path, start: Sequence[Path], committee: int) -> None:
    """Refuse missing or too few start models, and a folder in use."""
    if len(start) not in (0, 1, committee):
        raise InputError(f"{len(start)} models to start {committee} members from")
    for path in start:
        if not path.is_file():
            raise InputError("no such model file", where=str(path))
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError("exists and is not empty", where=str(directory), hint="name another")


class _Attempts:
    """Killed trainings, with the checkpoint of each."""

    def __init__(self, engine: type[Trainer], write: Callable[..., None]) -> None:
        self.engine, self.write = engine, write
        self.reached: dict[Path, Path | None] = {}

    def go_on(self, folder: Path) -> bool:
        """Prepare a killed training to continue, unless its last attempt made no progress."""
        checkpoint = self.engine.read_checkpoint(folder)
        if folder in self.reached and self.reached[folder] == checkpoint:
            return False
        self.reached[folder] = checkpoint
        self.write(folder, checkpoint=checkpoint)
        return True

    def warnings(self) -> dict[Path, str]:
        """One warning for each folder."""
        return {
            folder: f"{folder.name} was killed and "
            + (f"went on from {checkpoint.name}" if checkpoint else "began again")
            + ", with the same settings"
            for folder, checkpoint in self.reached.items()
        }


def find_executable(name: str, engine: type[Engine] | None = None) -> str:
    """The program beside this interpreter, else on PATH.

    Args:
        name: Name of the file.
        engine: The engine that needs the program, for the error message.

    Raises:
        InputError: The program is in neither place; the message names the remedy.
    """
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    path = beside or shutil.which(name)
    if path is None:
        raise (engine or Engine).missing(f"the program '{name}'")
    return path


def _run(
    engine: type[Trainer],
    command: list[str],
    folders: list[Path],
    workers: int,
    goes_on: Callable[[Path], bool],
) -> Iterator[list[Path]]:
    """Run the command in every folder; yield all folders repeatedly until all are finished.

    A program that is killed without a sign of missing memory is started again if ``goes_on``
    returns true.
    """
    waiting, running = list(folders), dict[Path, subprocess.Popen[bytes]]()
    try:
        while waiting or running:
            while waiting and len(running) < max(1, workers):
                folder = waiting.pop(0)
                running[folder] = _start(command, folder)
            for folder, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[folder]
                if _was_killed(process.returncode, folder) and goes_on(folder):
                    waiting.insert(0, folder)
                else:
                    _check(engine, process.returncode, command[0], folder)
            yield folders
            if running:
                time.sleep(_POLL)
    finally:  # a failure or an interruption: leave no orphans
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    variables = processes.environment(threads=1) | processes.HUGE_PAGES | os.environ
    with (folder / STDOUT).open("ab") as out, (folder / STDERR).open("ab") as err:
        return subprocess.Popen(  # noqa: S603  (our own command line)
            processes.ends_with_parent(command), cwd=folder, env=variables, stdout=out, stderr=err
        )


def _was_killed(status: int, folder: Path) -> bool:
    """Whether a program was killed for an unknown reason."""
    text = (folder / STDERR).read_text(errors="replace")
    return status in _KILLED and processes.cut_off_by(text) in (None, "killed")


def _check(engine: type[Trainer], status: int, program: str, folder: Path) -> None:
    if not status:
        return
    try:
        engine.read_outputs(folder)
    except TrainingDivergedError as error:  # the log explains the crash better
        raise TrainingDivergedError(error.what, where=folder.name, hint=error.hint) from error
    except TrainspotError:
        pass  # a failed program need not have written outputs
    text = (folder / STDERR).read_text(errors="replace")
    said = processes.error_line(text)
    hint = f"see {folder / STDERR}"
    if processes.cut_off_by(text) == "memory":
        hint = f"it ran out of memory: lower batch_size, or --workers; {hint}"
    raise TrainingError(
        f"{Path(program).name} ended with status {status}{f': {said}' if said else ''}",
        where=folder.name,
        hint=hint,
    )


def twins(models: Sequence[bytes | str]) -> dict[int, int]:
    """Members whose model equals that of an earlier member, and that member.

    Args:
        models: Contents of the model files, or their hashes.
    """
    first = [models.index(model) for model in models]
    return {member: twin for member, twin in enumerate(first) if twin != member}


def check_differ(models: Sequence[bytes | str]) -> None:
    """Refuse a committee of one and the same model.

    Args:
        models: Contents of the model files, or their hashes.

    Raises:
        TrainingError: All members are equal, so that they agree on everything.
    """
    if len(set(models)) == 1:
        raise TrainingError(
            f"all {len(models)} members are the same model, so they never disagree",
            hint="let the trainer use the seed: its settings leave nothing to chance",
        )


def twin_warning(twin: int) -> str:
    """Tell that a member is the same as an earlier one."""
    return (
        f"the same model as member_{twin}: these two members never disagree; the trainer must use "
        "the seed"
    )


def _collect(engine: type[Trainer], directory: Path, results: list[TrainingResult]) -> None:
    """Copy models and metrics into the folder of the committee."""
    suffix = Path(engine.model_filename).suffix
    report: dict[str, Any] = {}
    for member, result in enumerate(results):
        name = f"member_{member}"
        shutil.copyfile(result.model, directory / f"{name}{suffix}")
        report[name] = {"epochs": result.metrics, "warnings": result.warnings}
    text = json.dumps(report, indent=2, sort_keys=True)
    (directory / "metrics.json").write_text(text + "\n", encoding="utf-8")
