"""An exported committee in production: an ASE calculator with calibrated error bars.

``trainspot.calculator(folder)`` loads what ``trainspot export`` wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from trainspot import potential
from trainspot.dataset import Dataset
from trainspot.errors import DataError, InputError, NonFiniteError
from trainspot.evaluate.batch import evaluate
from trainspot.frames import Frame
from trainspot.potential import Potential

MODELS: Final = "models"
CALIBRATION: Final = "calibration.json"
FORMAT: Final = "trainspot-calibration"
FORMAT_VERSION: Final = 1


class CommitteeCalculator(Calculator):  # type: ignore[misc]  # ASE is not typed
    """The mean of a committee, with error bars, for ASE.

    ``results`` has ``energy`` (eV), ``free_energy``, ``forces`` (n, 3) in eV/Å and, with periodic
    axes, ``stress`` (6,) in eV/Å³, all means over the members; and error bars:

    - ``energy_uncertainty``: of the total energy, eV;
    - ``forces_uncertainty``: of each atom, (n,), eV/Å: its root mean square over the atoms is the
      calibrated disagreement of the frame;
    - ``stress_uncertainty``: eV/Å³.

    Each is slope × disagreement (formula: ``trainspot.evaluate.statistics``, sample variance). The
    slope was fitted on frames like those of the test set; far from them the bar is a hint at best.
    A committee of one has no error bars.

    Args:
        members: The committee.
        slopes: Error per disagreement of each property; 1 where nothing is known.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(
        self, members: Sequence[Potential], slopes: Mapping[str, float] | None = None
    ) -> None:
        """Keep the members and the slopes."""
        super().__init__()
        if not members:
            raise InputError("a committee needs at least one model")
        self.members = list(members)
        self.slopes = dict(slopes or {})

    @property
    def is_calibrated(self) -> dict[str, bool]:
        """For which properties the error bar is calibrated, not a raw disagreement."""
        return {name: name in self.slopes for name in ("energy", "forces", "stress")}

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """All properties and error bars of a structure.

        Raises:
            InputError: An element the models do not know.
            NonFiniteError: A member predicts something that is not a number.
        """
        super().calculate(atoms, properties, system_changes)
        frame = Frame.from_atoms(self.atoms)
        found = evaluate(Dataset.from_frames([frame]), self.members)
        if not found.is_finite.all():
            raise NonFiniteError(
                "the committee predicts numbers that are not finite",
                hint="the structure is far outside what it was trained on",
            )
        energy, forces = float(found.energy.mean()), found.forces.mean(axis=0)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        if found.has_stress.any():
            stress = found.stress.mean(axis=0)[0]
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)
        if len(self.members) < 2:
            return
        disagreement = found.disagreement()
        atomwise = np.sqrt(found.forces.var(axis=0, ddof=1).mean(axis=1))
        total = float(disagreement["energy"][0]) * len(frame)
        self.results["energy_uncertainty"] = self.slopes.get("energy", 1.0) * total
        self.results["forces_uncertainty"] = self.slopes.get("forces", 1.0) * atomwise
        if "stress" in self.results:
            raw = float(disagreement["stress"][0])
            self.results["stress_uncertainty"] = self.slopes.get("stress", 1.0) * raw


def calculator(
    folder: Path | str, *, dtype: str = "float64", device: str = "cpu"
) -> CommitteeCalculator:
    """The ASE calculator of an exported committee.

    Args:
        folder: What ``trainspot export`` wrote.
        dtype: ``float64`` or ``float32``.
        device: ``cpu`` or ``cuda``.

    Raises:
        InputError: Not such a folder, or a model kind that is not installed.
        DataError: A file is damaged.
    """
    root = Path(folder)
    content = read_calibration(root)
    members = [
        potential.load(root / MODELS / name, dtype=dtype, device=device)
        for name in content["models"]
    ]
    fitted = {
        name: float(one["slope"]) for name, one in content["properties"].items() if one["fitted"]
    }
    return CommitteeCalculator(members, fitted)


def read_calibration(root: Path) -> dict[str, Any]:
    """``calibration.json`` of an exported folder, checked.

    Raises:
        InputError: There is none.
        DataError: It is damaged or not ours.
    """
    path = root / CALIBRATION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(
            f"no {CALIBRATION} here", where=str(root), hint="give a folder of 'trainspot export'"
        ) from None
    except ValueError as error:
        raise DataError("not JSON, or damaged", where=str(path)) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError("not a calibration of ours", where=str(path))
    if int(content.get("format_version", 0)) > FORMAT_VERSION:
        raise DataError("written by a newer trainspot", where=str(path))
    try:
        good = all(Path(name).name == name for name in content["models"])
        good = good and all(
            {"slope", "fitted"} <= one.keys() for one in content["properties"].values()
        )
    except (KeyError, TypeError, AttributeError):
        good = False
    if not good:
        raise DataError("the list of models or properties is damaged", where=str(path))
    return content
