"""ASE calculators: of one model, and of a committee with calibrated error bars.

``trainspot.calculator(folder)`` loads a folder of ``trainspot export``; in ``trainspot-lmp`` and
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
from ase.stress import full_3x3_to_voigt_6_stress

from trainspot.common.elements import check_known
from trainspot.common.errors import NonFiniteError
from trainspot.common.properties import PROPERTIES
from trainspot.data.frames import Frame, Labels
from trainspot.models.committee import CommitteePotential
from trainspot.models.potential import Potential, caution
from trainspot.predictions.error_bars import FORMER_RATIO, NOVELTY, RATIO


def calculator(
    folder: Path | str, *, dtype: str = "float64", device: str = "cpu", novelty: bool = True
) -> CommitteeCalculator:
    """The ASE calculator of an exported committee.

    Args:
        folder: The folder of ``trainspot export``.
        dtype: ``float64`` or ``float32``.
        device: ``cpu`` or ``cuda``.
        novelty: Whether each calculation computes the novelty of the structure, if the folder has
            ``novelty.h5``; ``False`` saves its time (see ``CommitteeCalculator``).

    Raises:
        InputError: No exported folder, or a model kind that is not installed.
        DataError: A file is damaged.
    """
    committee = CommitteePotential.load(Path(folder), dtype=dtype, device=device)
    if not novelty:
        committee.domain = None
    return CommitteeCalculator(committee)


class PotentialCalculator(Calculator):  # type: ignore[misc]  # ASE is not typed
    """A potential as an ASE calculator (energy eV, forces eV/Å, stress eV/Å³)."""

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    who: ClassVar[str] = "the model"
    """Its name in error messages."""

    def __init__(self, model: Potential) -> None:
        """Wrap a loaded member."""
        super().__init__()
        self.model = model

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Predict everything at once.

        Raises:
            InputError: An element that the model lacks.
            NonFiniteError: A predicted value is infinite or not a number.
        """
        super().calculate(atoms, properties, system_changes)
        check_known(np.unique(self.atoms.numbers), self.model.numbers, who=self.who)
        labels, bars = self._predicted(self._frame())
        assert labels.energy is not None
        assert labels.forces is not None
        if not (np.isfinite(labels.energy) and np.all(np.isfinite(labels.forces))):
            raise NonFiniteError(
                f"{self.who} predicted non-finite values",
                hint="the structure is far outside what it was trained on",
            )
        self.results = {
            "energy": labels.energy,
            "free_energy": labels.energy,
            "forces": labels.forces,
        }
        if labels.stress is not None:
            self.results["stress"] = full_3x3_to_voigt_6_stress(labels.stress)
        self.results |= bars

    def _frame(self) -> Frame:
        atoms = self.atoms
        return unrounded(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)

    def _predicted(self, frame: Frame) -> tuple[Labels, dict[str, Any]]:
        """The labels, and further results by name."""
        return self.model.predict(self.model.prepare([frame]))[0], {}


def unrounded(numbers: Any, positions: Any, cell: Any, pbc: Any) -> Frame:
    """A frame for one prediction: without id and rounding, which would heat a run."""
    return Frame(np.array(numbers), np.array(positions), np.array(cell), np.array(pbc), id="")


class CommitteeCalculator(PotentialCalculator):
    """The mean of a committee, with error bars, for ASE.

    ``results`` has ``energy`` (eV), ``free_energy``, ``forces`` (n, 3) in eV/Å and, with periodic
    axes, ``stress`` (6,) in eV/Å³, all means over the members; and error bars (for their meaning
    see ``CommitteePotential``):

    - ``energy_uncertainty``: of the total energy, eV;
    - ``forces_uncertainty``: of each atom, (n,), eV/Å;
    - ``frame_forces_uncertainty``: of the root mean square over all atoms, eV/Å;
    - ``stress_uncertainty``: eV/Å³;
    - the same names with ``_90`` at the end: 90 % of the errors are smaller, against 68 % above.
      Only with a calibration;
    - ``threshold_ratio``: the largest disagreement over its threshold: above 1 a campaign would
      have labelled this structure. Only with a calibration. ``excess`` is its former name, and
      has the same value;
    - ``novelty``: distance of the structure from the training frames over its threshold. Only if
      the folder has ``novelty.h5`` and the extra ``descriptors`` is installed.

    Above a novelty of 1 the structure is outside of what the committee was trained on, and nothing
    is known about its errors: all error bars are NaN, and ``threshold_ratio`` is at least the
    novelty. Novelty takes about 0.2 ms per atom and at least some ms.

    A committee of one has no error bars. The bar of a property without calibration is a raw
    disagreement, and the constructor warns of it.

    Args:
        committee: The members with their calibration.
    """

    who: ClassVar[str] = "the committee"

    def __init__(self, committee: CommitteePotential) -> None:
        """Keep the committee."""
        super().__init__(committee)
        self.committee = committee
        text = caution(committee.calibrated) if len(committee.members) > 1 else ""
        if text:
            warnings.warn(text, stacklevel=3)  # the line that calls trainspot.calculator

    @property
    def is_calibrated(self) -> dict[str, bool]:
        """Properties with a calibrated error bar; other bars are raw disagreements."""
        return {name: name in self.committee.calibrated for name in PROPERTIES}

    def _frame(self) -> Frame:
        Frame.from_atoms(self.atoms)  # refuses invalid structures, such as dependent cell vectors
        return super()._frame()

    def _predicted(self, frame: Frame) -> tuple[Labels, dict[str, Any]]:
        labels, bars = self.committee.predict_with_bars(self.committee.prepare([frame]))[0]
        novelty = self.committee.novelty([frame])
        if len(self.committee.members) < 2:
            return labels, {} if novelty is None else {NOVELTY: float(novelty[0])}
        if novelty is not None:
            bars = bars.with_novelty(float(novelty[0]))
        wide = bars.energy_90
        results = {
            "energy_uncertainty": bars.energy * len(frame),
            "forces_uncertainty": bars.forces,
            "frame_forces_uncertainty": bars.frame_forces,
            "stress_uncertainty": bars.stress,
            "energy_uncertainty_90": None if wide is None else wide * len(frame),
            "forces_uncertainty_90": bars.forces_90,
            "frame_forces_uncertainty_90": bars.frame_forces_90,
            "stress_uncertainty_90": bars.stress_90,
            **dict.fromkeys((RATIO, FORMER_RATIO), bars.threshold_ratio),
            NOVELTY: bars.novelty,
        }
        return labels, {name: value for name, value in results.items() if value is not None}
