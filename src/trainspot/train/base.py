"""The contract of a trainer, and the training data of all trainers.

A trainer writes the input files of one committee member into a folder, gives the arguments of its
program, and reads the results from the folder. Nothing here starts a process:
``trainspot.train.run`` starts it on this machine, AiiDA on others.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from trainspot.common.elements import symbols
from trainspot.common.errors import InputError
from trainspot.common.seeds import derive_seed
from trainspot.data.state import MOMENTS, worded
from trainspot.engine import COMMAND, Engine, Program

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pydantic import BaseModel

    from trainspot.data.dataset import Dataset

GROUP = "trainspot.train"
MIN_COMMITTEE = 2
FITTED = "fitted_reference_energy"
"""Metadata key of an isolated atom whose energy was fitted to frames, see ``bagging``."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of one training.

    Attributes:
        model: The model file.
        checkpoint: File from which the same training can continue, if the engine keeps one.
        metrics: One mapping for each epoch: ``epoch`` and the metrics of the engine, in its units.
        warnings: Warnings for the user, one line each.
    """

    model: Path
    checkpoint: Path | None = None
    metrics: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Trainer(Engine, abstract=True):
    """Base class of the engines in the entry-point group ``trainspot.train``.

    All methods are class methods: a trainer holds no state. ``trainspot.testing.check_trainer``
    tests a trainer against this contract.

    Attributes:
        name: Name in the entry-point group.
        Settings: pydantic model of the hyper-parameters.
        executable: Program that trains, beside the interpreter or on PATH.
        model_kind: Name of the model's kind in the group ``trainspot.models``.
        model_filename: File name of the model.
        default_code: AiiDA code that runs it unless the user names another.
        runs_in_process: Whether ``run`` trains in the calling process, without the program.
        takes_start: Whether a training can start from a model (``start``).
        keeps_checkpoints: Whether an interrupted training can continue (``read_checkpoint``).
        e0s_setting: Name of the setting for the energies of isolated atoms (eV, by symbol); empty
            if there is none.

    See ``trainspot.engine.Engine`` for the declarations of all engines.
    """

    group: ClassVar[str] = GROUP
    name: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]
    executable: ClassVar[str]
    model_kind: ClassVar[str]
    model_filename: ClassVar[str]
    default_code: ClassVar[str]
    runs_in_process: ClassVar[bool] = False
    takes_start: ClassVar[bool] = True
    keeps_checkpoints: ClassVar[bool] = False
    e0s_setting: ClassVar[str] = ""

    required: ClassVar[Mapping[str, str]] = {
        "name": "the name in the entry-point group",
        "Settings": "pydantic model of the hyper-parameters",
        "executable": "the program that trains",
        "model_kind": "name of the model's kind in the group trainspot.models",
        "model_filename": "the name under which the model is kept",
        "default_code": "the AiiDA code that runs it, label@computer",
    }
    capabilities: ClassVar[Mapping[str, str]] = {
        "runs_in_process": "run",
        "keeps_checkpoints": "read_checkpoint",
    }

    @classmethod
    @abstractmethod
    def write_inputs(
        cls,
        directory: Path,
        dataset: Dataset,
        settings: Any,
        seed: int,
        *,
        start: Path | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        """Write the input files of one member.

        The program trains on the split ``train``, validates on the split ``validation`` and never
        uses ``test``; see ``training_sets``. The energies of labelled isolated atoms are
        reference energies that the model reproduces; see ``reference_energies``. The same
        arguments give the same bytes.

        Args:
            directory: Existing folder in which the program will run.
            dataset: Frames with splits; unlabelled ones are left out.
            settings: An instance of ``Settings``.
            seed: The member's seed, in [0, 2**31).
            start: Model file whose weights the training starts from; see ``refuse_unsupported``.
            checkpoint: Checkpoint of the same member, from which the training continues.

        Raises:
            InputError: Nothing to train on, or a request that the trainer cannot fulfil.
        """

    @classmethod
    @abstractmethod
    def arguments(cls, settings: Any) -> list[str]:
        """Arguments of the executable, which runs in the member's folder."""

    @classmethod
    @abstractmethod
    def outputs(cls, settings: Any) -> list[str]:
        """Names and globs, relative to the folder, of the files that ``read_outputs`` reads.

        Only these files are retrieved from a job; they include the model.
        """

    @classmethod
    @abstractmethod
    def read_outputs(cls, directory: Path) -> TrainingResult:
        """Read the results of the program from the folder.

        Raises:
            OutputMissingError: A file is missing.
            OutputUnreadableError: A file cannot be read.
            TrainingDivergedError: The loss became infinite or not a number.
        """

    @classmethod
    @abstractmethod
    def with_half_batch(cls, settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """Settings that need less memory, as plain values; ``None`` if the batch is minimal."""

    @classmethod
    def program(cls) -> Program | None:
        """The executable of the default code; ``None`` for the command line of trainspot."""
        if cls.executable == COMMAND:
            return None
        return Program(cls.default_code.partition("@")[0], cls.executable, says="")

    @classmethod
    def run(cls, directory: Path) -> None:
        """Train the member whose inputs lie in ``directory``, if the class ``runs_in_process``.

        Raises:
            InputError: The inputs are missing or unusable, or the trainer has a program of its own.
        """
        del directory
        raise InputError(f"'{cls.name}' has a program of its own", hint=f"run {cls.executable}")

    @classmethod
    def progress(cls, directory: Path, settings: Any) -> float:
        """The finished share of a running training, 0 to 1; 0 if unknown."""
        del directory, settings
        return 0.0

    @classmethod
    def read_checkpoint(cls, directory: Path) -> Path | None:
        """The checkpoint of an interrupted training, if there is one; never raises."""
        del directory
        return None

    @classmethod
    def given_e0s(cls, settings: Any) -> Mapping[str, float] | None:
        """Energies (eV) of isolated atoms by symbol, if the settings give them; ``e0s_setting``."""
        e0s: Mapping[str, float] | None = dict(settings).get(cls.e0s_setting)
        return e0s

    @classmethod
    def refuse_unsupported(cls, start: Path | None, checkpoint: Path | None) -> None:
        """Refuse arguments of ``write_inputs`` that the trainer does not support.

        Raises:
            InputError: A model to start from without ``takes_start``, or a checkpoint without
                ``keeps_checkpoints``.
        """
        if start is not None and not cls.takes_start:
            raise InputError(
                f"the trainer '{cls.name}' cannot start from a model", hint="start from scratch"
            )
        if checkpoint is not None and not cls.keeps_checkpoints:
            raise InputError(f"the trainer '{cls.name}' keeps no checkpoints")


def member_seeds(seed: int, committee: int) -> list[int]:
    """Seeds of the members, in [0, 2**31), independent of the size of the committee.

    Raises:
        InputError: Fewer than two members, which have no disagreement.
    """
    if committee < MIN_COMMITTEE:
        raise InputError(
            f"a committee of {committee} cannot disagree", hint="ask for at least 2 members"
        )
    return [derive_seed(seed, "member", member) % 2**31 for member in range(committee)]


def training_sets(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """The labelled frames of the splits ``train`` and ``validation``.

    Raises:
        InputError: No labelled training frame, or labels of several levels of theory.
    """
    usable = dataset.labelled()
    train, validation = usable.subset("train"), usable.subset("validation")
    if not len(train):
        reason = (
            "no labelled frame is in the train split" if len(usable) else "no frame is labelled"
        )
        raise InputError(f"nothing to train on: {reason}", hint="label the frames, then split them")
    theories = sorted({*train.theories, *validation.theories})
    if len(theories) > 1:
        raise InputError(
            f"training frames with labels of {len(theories)} levels of theory: "
            + ", ".join(f"'{theory}'" for theory in theories),
            hint="keep the frames of one",
        )
    return train, validation


def mixed_states(dataset: Dataset) -> str:
    """A warning if labelled frames are in several charge or spin states, else empty.

    No potential here depends on charge or spin: for one geometry in two states it learns the mean.
    """
    states = Counter(
        worded({name: value for name, value in frame.state.items() if name != MOMENTS})
        for frame in dataset.frames(labelled=True)
    )
    if len(states) < 2:
        return ""
    listed = ", ".join(f"{name or 'not given'} ({n})" for name, n in states.most_common(3))
    more = f" and {len(states) - 3} more" if len(states) > 3 else ""
    return (
        f"labelled frames of {len(states)} charge or spin states: {listed}{more}; the potential "
        "does not know the state of a frame: keep the frames of one state"
    )


def reference_energies(train: Dataset) -> tuple[dict[int, float], list[str]]:
    """Energy (eV) of the isolated atom of each element, and warnings.

    The energies are those of labelled isolated atoms. The other elements are fitted by least
    squares of the total energies on the composition (with minimum norm if the fit is not unique).
    """
    numbers = np.unique(train.column("numbers")).astype(int).tolist()
    e0s = {z: e for z, e in train.e0s().items() if z in numbers}
    missing = [z for z in numbers if z not in e0s]
    if not missing:
        return dict(sorted(e0s.items())), _fitted_before(train)
    composition = _composition(train, numbers)
    energy = train.column("energy").astype(np.float64)
    fixed = np.array([e0s.get(z, 0.0) for z in numbers])
    unknown = np.isin(numbers, missing)
    fitted = np.linalg.lstsq(composition[:, unknown], energy - composition @ fixed, rcond=None)[0]
    e0s |= {z: float(e) for z, e in zip(missing, fitted, strict=True)}
    return dict(sorted(e0s.items())), [_fitted_warning(missing)]


def _fitted_before(train: Dataset) -> list[str]:
    """The warning for isolated atoms that have a fitted energy instead of a label."""
    atoms = train.take(train.is_isolated)
    fitted = sorted({int(atom.numbers[0]) for atom in atoms if atom.info.get(FITTED)})
    return [_fitted_warning(fitted)] if fitted else []


def _fitted_warning(numbers: list[int]) -> str:
    names = symbols(numbers)
    return f"no labelled isolated atom of {names}: reference energies fitted by least squares"


def _composition(dataset: Dataset, numbers: list[int]) -> NDArray[np.float64]:
    """Atoms of each element in each frame, (N, len(numbers))."""
    rows = np.repeat(np.arange(len(dataset)), dataset.n_atoms)
    columns = np.searchsorted(numbers, dataset.column("numbers"))
    counts = np.zeros((len(dataset), len(numbers)))
    np.add.at(counts, (rows, columns), 1.0)
    return counts
