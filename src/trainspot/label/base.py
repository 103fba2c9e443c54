"""What every label engine shares: settings, the fingerprint of a level of theory, failures.

An engine is a class in the entry-point group ``trainspot.label``. Its ``Settings`` model holds all
parameters; ``theory`` turns them into the fingerprint that is stored with each label. Engines that
run in plain Python derive from ``FrameEngine``.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from trainspot.common import plugins
from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.failure import Failure, failure_of, with_failure
from trainspot.data.frames import Frame, Labels
from trainspot.data.isolated import is_isolated_atom
from trainspot.data.lattice import periodic_projector
from trainspot.data.state import MOMENTS
from trainspot.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

GROUP: Final = "trainspot.label"

_THEORY_BYTES: Final = 64
_DIGEST: Final = 12


class EngineSettings(BaseModel):
    """Base of the settings of label engines: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    practical: ClassVar[frozenset[str]] = frozenset()
    """Names of fields that change how a label is obtained, not its numbers."""

    def decisive(self) -> dict[str, Any]:
        """Everything that changes the numbers, as JSON values."""
        return self.model_dump(mode="json", exclude=set(self.practical))

    def formerly_decisive(self) -> dict[str, Any]:
        """The decisive settings of the first versions, whose labels have their fingerprint."""
        return self.decisive()


@dataclass(frozen=True, slots=True)
class LabelResult:
    """The result of one round of labelling.

    Attributes:
        labelled: Frames with labels and their theory, in the order of the input.
        failures: Frames without labels, each with its ``Failure``; see ``failed``.
    """

    labelled: Dataset
    failures: Dataset


class LabelEngine(Engine, abstract=True):
    """Base class of the engines in the entry-point group ``trainspot.label``.

    An engine that labels in plain Python derives from ``FrameEngine``. One that needs AiiDA has
    its pure half here and its work chain in ``aiida.workflows``.
    ``trainspot.testing.check_label_engine`` tests an engine against this contract.

    Attributes:
        name: Name in the entry-point group.
        Settings: Settings model of the engine.
        default_code: AiiDA code that runs it unless the user names another.
        runs_in_process: Whether it labels in the calling process: true of a ``FrameEngine``.
        failures: Reason for each exit status of a calculation, in a few words ("did not reach
            self-consistency"); for engines whose calculations have such statuses.
        continued: Exit statuses after which the engine continues in another attempt, so that more
            attempts may help.
        looks_up: Whether labels are looked up in the file that ``pool_setting`` names. They cost
            nothing, so the labels of all explored frames are known: reports compare the committee
            with them. Only frames of the file can be labelled.

    See ``trainspot.engine.Engine`` for the declarations of all engines.
    """

    group: ClassVar[str] = GROUP
    name: ClassVar[str]
    Settings: ClassVar[type[EngineSettings]]
    default_code: ClassVar[str]
    runs_in_process: ClassVar[bool] = False
    failures: ClassVar[Mapping[int, str]] = {}
    continued: ClassVar[frozenset[int]] = frozenset()
    looks_up: ClassVar[bool] = False

    required: ClassVar[Mapping[str, str]] = {
        "name": "the name in the entry-point group",
        "Settings": "settings model, derived from EngineSettings",
        "default_code": "the AiiDA code that runs it, label@computer",
    }

    @staticmethod
    @abstractmethod
    def theory(settings: Any) -> str:
        """Fingerprint of the level of theory; at most 64 ASCII characters, see ``fingerprint``."""

    @classmethod
    def described(cls, settings: Any) -> str:
        """Name of the program or calculator, for messages."""
        del settings
        return cls.name

    @classmethod
    def has_stress(cls, settings: Any) -> bool:
        """Whether labels of periodic frames have stresses; true unless an engine can exclude it."""
        del settings
        return True

    @classmethod
    def includes_dispersion(cls, settings: Any) -> bool:
        """Whether the labels include a dispersion correction, which an explorer could add too."""
        del settings
        return False


class FrameEngine(LabelEngine, abstract=True):
    """An engine that labels frames in this process, without AiiDA."""

    runs_in_process: ClassVar[bool] = True

    @abstractmethod
    def label(
        self,
        dataset: Dataset,
        settings: Any,
        *,
        workers: int = 1,
        done: Callable[[Frame], None] | None = None,
    ) -> LabelResult:
        """Label every frame; a failure becomes a record, not an exception.

        Args:
            dataset: The frames; their present labels are ignored.
            settings: An instance of ``Settings``.
            workers: Number of processes.
            done: Called with each frame as soon as it is labelled or has failed.
        """


def engine(name: str, *, where: str = "") -> type[LabelEngine]:
    """The engine of this name.

    Raises:
        UnknownNameError: No such engine; the nearest is offered.
        MissingExtraError: A dependency of the engine is not installed.
        ContractError: The class does not derive from ``LabelEngine``.
    """
    return LabelEngine.implementation(plugins.load(GROUP, name, where=where))


def fingerprint(prefix: str, decisive: Mapping[str, Any]) -> str:
    """``prefix-`` and 12 hexadecimal digits of a canonical JSON of the decisive settings.

    Args:
        prefix: Engine and method, ASCII; shortened if the whole would exceed 64 characters.
        decisive: Settings that change the numbers, JSON values; the order of keys has no effect.

    Raises:
        InputError: A number is not finite.
    """
    try:
        text = json.dumps(decisive, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise InputError("a number in the label settings is not finite") from None
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    plain = prefix.encode("ascii", "replace").decode()[: _THEORY_BYTES - _DIGEST - 1]
    return f"{plain}-{digest}"


def former_theories(engine: LabelEngine, settings: EngineSettings) -> list[str]:
    """Fingerprints that earlier versions gave to the same level of theory.

    Args:
        engine: The engine.
        settings: Complete; see ``LabelEngine.theory``.
    """
    if settings.formerly_decisive() == settings.decisive():
        return []
    now = engine.theory(settings)
    prefix = now.rpartition("-")[0]
    former = fingerprint(prefix, settings.formerly_decisive())
    return [] if former == now else [former]


def renamed(dataset: Dataset, former: Iterable[str], theory: str) -> Dataset:
    """The dataset with the fingerprints of earlier versions replaced by the present one."""
    column = dataset.column("theory")
    old = np.isin(column, [name.encode() for name in former])
    if not old.any():
        return dataset
    return dataset.with_columns(theory=np.where(old, theory.encode(), column))


def failed(frame: Frame, reason: str, exit_status: int | None = None) -> Frame:
    """The frame without labels and with its ``Failure``.

    Args:
        frame: The frame that could not be labelled.
        reason: One line.
        exit_status: Exit status of the process that failed, if there was one.
    """
    line = " ".join(reason.split())[:500]
    return with_failure(frame.with_(labels=Labels()), Failure(line, exit_status))


def gathered(frames: Iterable[Frame]) -> LabelResult:
    """Sort frames into labelled and failed ones, keeping their order."""
    labelled: list[Frame] = []
    failures: list[Frame] = []
    for frame in frames:
        (failures if failure_of(frame) else labelled).append(frame)
    return LabelResult(Dataset.from_frames(labelled), Dataset.from_frames(failures))


def merged(known: Dataset, labelled: Dataset, failures: Dataset) -> Dataset:
    """The frames of ``known``, with new labels by frame id and without the failed frames.

    Args:
        known: Frames, each id once.
        labelled: Frames of ``known`` with new labels.
        failures: Frames of ``known`` that could not be labelled.
    """
    kept = known.without([*labelled.ids, *failures.ids])
    out = set(failures.ids)
    order = [identity for identity in known.ids if identity not in out]
    return Dataset.concatenate([kept, labelled]).select(order)


def atomic_moment(frame: Frame) -> float:
    """The starting magnetic moment, µB, of an isolated atom; 0 for any other frame.

    The moment belongs to the frame, not to the level of theory: in frames without a moment,
    spin-polarised and unpolarised calculations give the same numbers.
    """
    if not is_isolated_atom(frame) or MOMENTS not in frame.arrays:
        return 0.0
    return float(np.linalg.norm(frame.arrays[MOMENTS]))


def labels_of(
    frame: Frame,
    energy: float,
    forces: NDArray[np.float64],
    stress: NDArray[np.float64] | None,
    theory: str,
) -> Labels:
    """Labels with the stress reduced to the periodic directions of the frame.

    With three periodic axes the stress S is kept, without any it is dropped. With one or two it
    becomes P·S·P with the orthogonal projector P onto the plane (or line) of the periodic cell
    vectors, because only a strain inside this space has a meaning.

    Args:
        frame: The frame.
        energy: Total energy whose derivative gives the forces, eV.
        forces: (n, 3), eV/Å.
        stress: (3, 3), eV/Å³, sign of ASE, or ``None``.
        theory: Fingerprint.

    Raises:
        InputError: A shape is wrong or a number is not finite.
    """
    if not frame.pbc.any():
        stress = None
    if stress is not None:
        projector = periodic_projector(frame.cell, frame.pbc)
        stress = projector @ stress @ projector
        stress = (stress + stress.T) / 2.0
    return Labels(energy, forces, stress, theory).checked(len(frame))
