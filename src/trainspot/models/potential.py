"""The contract of a trained model of any program, and functions that load one.

Implementations are registered in the entry-point group ``trainspot.models``; evaluation,
exploration and the production calculator use models only through this contract.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from trainspot.common import plugins
from trainspot.common.contracts import Contract
from trainspot.common.errors import ContractError, InputError
from trainspot.common.properties import PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Sequence
    from pathlib import Path

    from trainspot.data.frames import Frame, Labels

GROUP = "trainspot.models"


class Potential(Contract, abstract=True):
    """One trained member: base class of the kinds in the entry-point group ``trainspot.models``.

    ``trainspot.testing.check_potential`` tests a kind against this contract.

    Attributes:
        kind: Name in the entry-point group ``trainspot.models``.
        cutoff: Å; largest distance of two atoms that interact directly.
        numbers: Atomic numbers of the elements of the model.
        graph_key: Members with equal keys share the result of ``prepare``.
    """

    kind: ClassVar[str]
    cutoff: float
    numbers: tuple[int, ...]
    graph_key: Hashable

    required: ClassVar[Mapping[str, str]] = {"kind": "the name in the entry-point group"}

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the file looks like a model of this kind (cheap, reads no weights).

        Accepts any file and folder; never raises.
        """

    @classmethod
    @abstractmethod
    def load(cls, path: Path, *, dtype: str = "float64", device: str = "cpu") -> Self:
        """Load a member.

        Args:
            path: The model file.
            dtype: ``float64`` or ``float32``.
            device: ``cpu`` or ``cuda``.

        Raises:
            DataError: The file is damaged or no model of this kind.
        """

    @abstractmethod
    def prepare(self, frames: Sequence[Frame]) -> Any:
        """Neighbour lists and other data that members with one ``graph_key`` share.

        Raises:
            InputError: An element that the model lacks.
        """

    @abstractmethod
    def predict(self, prepared: Any) -> list[Labels]:
        """Energy (eV), forces (eV/Å) and stress (eV/Å³; absent where no axis is periodic)."""


@dataclass(frozen=True)
class ErrorBars:
    """Standard errors of a prediction: about two thirds of the errors are smaller.

    Attributes:
        energy: eV/atom.
        forces: Of the force on each atom, (n,), eV/Å, root mean square over its components.
        frame_forces: Of the forces of the whole frame, root mean square over its atoms, eV/Å. Its
            scale differs from the scale of single atoms.
        stress: eV/Å³; ``None`` where no axis is periodic.
        threshold_ratio: The largest Δ/τ over the judged properties: above 1 a campaign would have
            labelled the frame; ``None`` without thresholds.
        novelty: Distance of the frame from the training frames over its threshold, if it is known:
            above 1 the frame is outside.
        energy_90: As ``energy``, for nine tenths of the errors; ``None`` without calibration, and
            with one of an earlier version.
        forces_90: As ``forces``, for nine tenths of the errors.
        frame_forces_90: As ``frame_forces``, for nine tenths of the errors.
        stress_90: As ``stress``, for nine tenths of the errors.
    """

    energy: float
    forces: NDArray[np.float64]
    frame_forces: float
    stress: float | None
    threshold_ratio: float | None
    energy_90: float | None = None
    forces_90: NDArray[np.float64] | None = None
    frame_forces_90: float | None = None
    stress_90: float | None = None
    novelty: float | None = None

    def with_novelty(self, novelty: float) -> ErrorBars:
        """The bars of a frame with this novelty.

        ``threshold_ratio`` is at least the novelty. A frame outside, with a novelty above 1, has no
        error bars: they are NaN.
        """
        ratio = novelty if self.threshold_ratio is None else max(self.threshold_ratio, novelty)
        judged = replace(self, threshold_ratio=ratio, novelty=novelty)
        if novelty <= 1.0:
            return judged
        names = {entry.name for entry in fields(self)} - {"threshold_ratio", "novelty"}
        bars = {name: getattr(self, name) for name in names}
        return replace(judged, **{n: math.nan * v for n, v in bars.items() if v is not None})


class Uncertain(Potential, abstract=True):
    """A potential with error bars.

    Attributes:
        calibrated: Properties whose bars were fitted to true errors; others are raw disagreements.
    """

    calibrated: frozenset[str]

    @abstractmethod
    def predict_with_bars(self, prepared: Any) -> list[tuple[Labels, ErrorBars]]:
        """Predictions as from ``predict``, each with its error bars, without novelty."""

    def novelty(self, frames: Sequence[Frame]) -> NDArray[np.float64] | None:
        """Distance of each frame from the training frames over its threshold, (N,).

        Above 1 a frame is outside. ``None``: the model does not know its training frames.
        """
        del frames
        return None


class Composite(Potential, abstract=True):
    """A kind whose models are folders of members; evaluation uses the members separately."""

    @classmethod
    @abstractmethod
    def files(cls, path: Path) -> list[Path]:
        """The model files of the members, in order; ``DataError`` if the folder is damaged."""


def caution(calibrated: Collection[str]) -> str:
    """A warning for users of error bars that are not calibrated, else ``""``.

    Args:
        calibrated: See ``Uncertain``.
    """
    raw = ", ".join(name for name in PROPERTIES if name not in calibrated)
    return raw and f"error bars of {raw} are not calibrated: raw disagreements, mostly too small"


def kind_of(path: Path) -> str:
    """The registered kind that recognises a model file, or a folder that is one.

    Raises:
        InputError: The file does not exist, or no kind recognises it.
    """
    if not path.exists():
        raise InputError("no such model file", where=str(path))
    hint = f"kinds: {', '.join(plugins.names(GROUP))}"
    for name in plugins.names(GROUP):
        try:
            plugin = potential_kind(name)
        except ContractError as error:  # of another package; perhaps the kind of this file
            hint += f"; kind '{name}' cannot be used: {error}"
            continue
        except InputError:
            continue  # not installed here
        if plugin.recognises(path):
            return name
    raise InputError("no installed model kind recognises this file", where=str(path), hint=hint)


def potential_kind(name: str) -> type[Potential]:
    """The kind of models registered under a name.

    Raises:
        UnknownNameError: No such kind; the message offers the nearest.
        MissingExtraError: A dependency of the kind is not installed.
        ContractError: The class does not derive from ``Potential``.
    """
    return Potential.implementation(plugins.load(GROUP, name))


def members(paths: Iterable[Path]) -> list[Path]:
    """Model files, with each folder replaced by the models in it.

    The folder of ``trainspot train`` or of ``trainspot export`` thus means its committee. A folder
    that is a model without members stays.

    Raises:
        InputError: A folder without models.
        DataError: The folder of an export is damaged.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        if _recognised(path):
            plugin = potential_kind(kind_of(path))
            files += plugin.files(path) if issubclass(plugin, Composite) else [path]
            continue
        inside = [file for file in path.iterdir() if file.is_file() and _recognised(file)]
        if not inside:
            raise InputError(
                "no model in this folder",
                where=str(path),
                hint="give model files, or the folder of trainspot train or export",
            )
        files += sorted(inside, key=lambda file: (len(file.name), file.name))
    return files


def _recognised(path: Path) -> bool:
    try:
        return bool(kind_of(path))
    except InputError:
        return False


def load(path: Path, *, kind: str = "", dtype: str = "float64", device: str = "cpu") -> Potential:
    """Load one member of a named kind, or of the kind that recognises the file.

    Raises:
        InputError: See ``kind_of``.
        DataError: The file is damaged.
    """
    return potential_kind(kind or kind_of(path)).load(path, dtype=dtype, device=device)
