"""What a trained model must offer, whatever program made it, and how one is loaded.

Implementations are found in the entry-point group ``trainspot.models``; evaluation, exploration
and the production calculator use models only through this contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from trainspot.common import plugins
from trainspot.common.errors import InputError
from trainspot.common.properties import PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Sequence
    from pathlib import Path

    from trainspot.data.frames import Frame, Labels

GROUP = "trainspot.models"


@runtime_checkable
class Potential(Protocol):
    """One trained member.

    Attributes:
        kind: Name in the entry-point group ``trainspot.models``.
        cutoff: Å; atoms farther apart than this do not see each other directly.
        numbers: Atomic numbers the model knows.
        graph_key: Members with equal keys share what ``prepare`` returns.
    """

    kind: str
    cutoff: float
    numbers: tuple[int, ...]
    graph_key: Hashable

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the file looks like a model of this kind (cheap, reads no weights)."""

    @classmethod
    def load(cls, path: Path, *, dtype: str = "float64", device: str = "cpu") -> Potential:
        """Load a member; ``DataError`` if the file is not what it should be."""

    def prepare(self, frames: Sequence[Frame]) -> Any:
        """Neighbour lists and whatever else members with one ``graph_key`` can share."""

    def predict(self, prepared: Any) -> list[Labels]:
        """Energy (eV), forces (eV/Å) and stress (eV/Å³; absent where no axis is periodic)."""


@dataclass(frozen=True)
class ErrorBars:
    """Standard errors of a prediction: about two thirds of the errors are smaller.

    Attributes:
        energy: eV/atom.
        forces: Of the force on each atom, (n,), eV/Å, root mean square over its components.
        frame_forces: Of the forces of the whole frame, root mean square over its atoms, eV/Å. Its
            scale is another than that of single atoms.
        stress: eV/Å³; ``None`` where no axis is periodic.
        excess: The largest Δ/τ over the judged properties: above 1 a campaign would have labelled
            the frame; ``None`` if no threshold is known.
    """

    energy: float
    forces: NDArray[np.float64]
    frame_forces: float
    stress: float | None
    excess: float | None


@runtime_checkable
class Uncertain(Protocol):
    """A potential that knows how far to trust it.

    Attributes:
        calibrated: Properties whose bars were fitted to true errors; others are raw disagreements.
    """

    calibrated: frozenset[str]

    def predict_with_bars(self, prepared: Any) -> list[tuple[Labels, ErrorBars]]:
        """Predictions as of ``predict``, each with its error bars."""


@runtime_checkable
class Composite(Protocol):
    """A kind of which a model is a folder of members; evaluation takes these one by one."""

    @classmethod
    def files(cls, path: Path) -> list[Path]:
        """The model files of the members, in order; ``DataError`` if the folder is damaged."""


def caution(calibrated: Collection[str]) -> str:
    """What a user of error bars must be told before using them, or ``""`` if all is well.

    Args:
        calibrated: See ``Uncertain``.
    """
    raw = ", ".join(name for name in PROPERTIES if name not in calibrated)
    return raw and f"error bars of {raw} are not calibrated: raw disagreements, mostly too small"


def kind_of(path: Path) -> str:
    """The registered kind that recognises a model file, or a folder that is one.

    Raises:
        InputError: The file does not exist or nothing recognises it.
    """
    if not path.exists():
        raise InputError("no such model file", where=str(path))
    for name in plugins.names(GROUP):
        try:
            plugin = plugins.load(GROUP, name)
        except InputError:
            continue  # not installed here: cannot recognise anything
        if plugin.recognises(path):
            return name
    raise InputError(
        "no installed model kind recognises this file",
        where=str(path),
        hint=f"kinds: {', '.join(plugins.names(GROUP))}",
    )


def members(paths: Iterable[Path]) -> list[Path]:
    """Model files, with each folder replaced by the models in it.

    So the folder of ``trainspot train`` or of ``trainspot export`` stands for its committee. A
    folder that is a model without members stays.

    Raises:
        InputError: A folder without models.
        DataError: The folder of an export is damaged.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        if _recognised(path):
            plugin = plugins.load(GROUP, kind_of(path))
            found += plugin.files(path) if isinstance(plugin, Composite) else [path]
            continue
        inside = [one for one in path.iterdir() if one.is_file() and _recognised(one)]
        if not inside:
            raise InputError(
                "no model in this folder",
                where=str(path),
                hint="give model files, or the folder of trainspot train or export",
            )
        found += sorted(inside, key=lambda one: (len(one.name), one.name))
    return found


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
    plugin = plugins.load(GROUP, kind or kind_of(path))
    model: Potential = plugin.load(path, dtype=dtype, device=device)
    return model
