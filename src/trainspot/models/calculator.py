"""ASE calculators: of one model, and of a committee with calibrated error bars.

``trainspot.calculator(folder)`` loads what ``trainspot export`` wrote; in ``trainspot-lmp`` and
``trainspot explore`` the folder itself is a model, of the kind ``committee``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import chemical_symbols
from ase.stress import full_3x3_to_voigt_6_stress

from trainspot.common.errors import InputError, NonFiniteError
from trainspot.data.frames import Frame
from trainspot.models.committee import CommitteePotential
from trainspot.models.potential import Potential, caution
from trainspot.predictions.error_bars import FORMER_RATIO, RATIO
from trainspot.predictions.predictions import PROPERTIES


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
    return CommitteeCalculator(CommitteePotential.load(Path(folder), dtype=dtype, device=device))


class PotentialCalculator(Calculator):  # type: ignore[misc]
    """A potential as an ASE calculator (energy eV, forces eV/Å, stress eV/Å³)."""

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, model: Potential) -> None:
        """Wrap a loaded member."""
        super().__init__()
        self.model = model

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Predict everything at once.

        Raises:
            NonFiniteError: The model predicted infinite or not-a-number values.
        """
        super().calculate(atoms, properties, system_changes)
        frame = unrounded(
            self.atoms.numbers, self.atoms.positions, self.atoms.cell.array, self.atoms.pbc
        )
        labels = self.model.predict(self.model.prepare([frame]))[0]
        assert labels.energy is not None
        assert labels.forces is not None
        self.results = {
            "energy": labels.energy,
            "free_energy": labels.energy,
            "forces": labels.forces,
        }
        if labels.stress is not None:
            self.results["stress"] = full_3x3_to_voigt_6_stress(labels.stress)
        if not (np.isfinite(labels.energy) and np.all(np.isfinite(labels.forces))):
            raise NonFiniteError("the model predicted non-finite values")


def unrounded(numbers: Any, positions: Any, cell: Any, pbc: Any) -> Frame:
    """A frame for one prediction: no id, and off the grid, whose rounding would heat a run."""
    return Frame(np.array(numbers), np.array(positions), np.array(cell), np.array(pbc), id="")


class CommitteeCalculator(Calculator):  # type: ignore[misc]  # ASE is not typed
    """The mean of a committee, with error bars, for ASE.

    ``results`` has ``energy`` (eV), ``free_energy``, ``forces`` (n, 3) in eV/Å and, with periodic
    axes, ``stress`` (6,) in eV/Å³, all means over the members; and error bars (what they cover:
    see ``CommitteePotential``):

    - ``energy_uncertainty``: of the total energy, eV;
    - ``forces_uncertainty``: of each atom, (n,), eV/Å;
    - ``frame_forces_uncertainty``: of the root mean square over all atoms, eV/Å;
    - ``stress_uncertainty``: eV/Å³;
    - ``threshold_ratio``: the largest disagreement over its threshold: above 1 a campaign would
      have labelled this structure. Only with a calibration. ``excess`` is its former name, and
      has the same value.

    A committee of one has no error bars. Where a property is not calibrated its bar is a raw
    disagreement, and making the calculator warns of it.

    Args:
        committee: The members and what is known of their errors.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, committee: CommitteePotential) -> None:
        """Keep the committee."""
        super().__init__()
        self.committee = committee
        text = caution(committee.calibrated) if len(committee.members) > 1 else ""
        if text:
            warnings.warn(text, stacklevel=3)  # of who called trainspot.calculator

    @property
    def is_calibrated(self) -> dict[str, bool]:
        """For which properties the error bar is calibrated, not a raw disagreement."""
        return {name: name in self.committee.calibrated for name in PROPERTIES}

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
        foreign = sorted(set(frame.numbers.tolist()) - set(self.committee.numbers))
        if foreign:
            names = ", ".join(chemical_symbols[z] for z in foreign)
            raise InputError(
                f"the committee does not know {names}", hint="train it on frames with this element"
            )
        labels, bars = self.committee.predict_with_bars(self.committee.prepare([frame]))[0]
        assert labels.energy is not None
        assert labels.forces is not None
        if not (np.isfinite(labels.energy) and np.all(np.isfinite(labels.forces))):
            raise NonFiniteError(
                "the committee predicts numbers that are not finite",
                hint="the structure is far outside what it was trained on",
            )
        self.results = {
            "energy": labels.energy,
            "free_energy": labels.energy,
            "forces": labels.forces,
        }
        if labels.stress is not None:
            self.results["stress"] = full_3x3_to_voigt_6_stress(labels.stress)
        if len(self.committee.members) < 2:
            return
        self.results["energy_uncertainty"] = bars.energy * len(frame)
        self.results["forces_uncertainty"] = bars.forces
        self.results["frame_forces_uncertainty"] = bars.frame_forces
        if bars.stress is not None:
            self.results["stress_uncertainty"] = bars.stress
        if bars.threshold_ratio is not None:
            self.results |= dict.fromkeys((RATIO, FORMER_RATIO), bars.threshold_ratio)
