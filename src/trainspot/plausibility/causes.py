"""From a slope to units that explain it, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

from trainspot.common.units import (
    BOHR_IN_ANGSTROM,
    EV_PER_A3_IN_GPA,
    EV_PER_A3_IN_KBAR,
    HARTREE_IN_EV,
    KCAL_PER_MOL_IN_EV,
    KJ_PER_MOL_IN_EV,
    RYDBERG_IN_EV,
)

if TYPE_CHECKING:
    from trainspot.plausibility.slopes import Slope, Slopes

ENERGIES: Final = {
    "eV": 1.0,
    "Hartree": HARTREE_IN_EV,
    "Rydberg": RYDBERG_IN_EV,
    "kcal/mol": KCAL_PER_MOL_IN_EV,
    "kJ/mol": KJ_PER_MOL_IN_EV,
    "meV": 1e-3,
}
"""Factors from energies in these units to eV."""

FORCES: Final = {
    "eV/Å": 1.0,
    "Hartree/bohr": HARTREE_IN_EV / BOHR_IN_ANGSTROM,
    "Rydberg/bohr": RYDBERG_IN_EV / BOHR_IN_ANGSTROM,
    "eV/bohr": 1.0 / BOHR_IN_ANGSTROM,
    "Hartree/Å": HARTREE_IN_EV,
    "kcal/mol/Å": KCAL_PER_MOL_IN_EV,
    "kJ/mol/Å": KJ_PER_MOL_IN_EV,
    "kJ/mol/nm": KJ_PER_MOL_IN_EV / 10.0,
    "meV/Å": 1e-3,
}
"""Factors from forces in these units to eV/Å."""

STRESSES: Final = {
    "eV/Å³": 1.0,
    "kbar": 1.0 / EV_PER_A3_IN_KBAR,
    "GPa": 1.0 / EV_PER_A3_IN_GPA,
    "bar": 1e-3 / EV_PER_A3_IN_KBAR,
    "MPa": 1e-3 / EV_PER_A3_IN_GPA,
    "Pa": 1e-9 / EV_PER_A3_IN_GPA,
    "Hartree/bohr³": HARTREE_IN_EV / BOHR_IN_ANGSTROM**3,
    "Rydberg/bohr³": RYDBERG_IN_EV / BOHR_IN_ANGSTROM**3,
    "Hartree/Å³": HARTREE_IN_EV,
    "kcal/mol/Å³": KCAL_PER_MOL_IN_EV,
}
"""Factors from stresses in these units to eV/Å³."""

VIRIAL: Final = "virial"

_TOGETHER: Final = {
    "Hartree": ("Hartree/bohr", "Hartree/bohr³"),
    "Rydberg": ("Rydberg/bohr", "Rydberg/bohr³"),
    "kcal/mol": ("kcal/mol/Å", "kcal/mol/Å³"),
    "kJ/mol": ("kJ/mol/nm", ""),
}
"""Units of forces and stresses that belong to units of energies, so that all are one mistake."""

_NEAR: Final = math.log(1.35)  # a slope equals a factor up to the error of finite steps
_FAR: Final = math.log(4.0)  # finite steps between frames do not explain such a slope
_MOST: Final = 3  # mistakes at the same time
_OFFERED: Final = 3  # explanations at most


@dataclass(frozen=True)
class Cause:
    """One explanation.

    Attributes:
        energy: Unit of the energies.
        forces: Unit and sign of the forces.
        stress: Unit and sign of the stresses; ``virial`` for virials.
        mistakes: Number of deviations from the expected units and signs.
        distance: Distance from the slopes, in logarithms.
    """

    energy: str
    forces: tuple[str, float]
    stress: tuple[str, float]
    mistakes: int
    distance: float

    @property
    def factors(self) -> dict[str, float]:
        """Factors that correct the properties with unexpected units, by property."""
        by_property = {
            "energy": ENERGIES[self.energy],
            "forces": FORCES[self.forces[0]] * self.forces[1],
            "stress": STRESSES.get(self.stress[0], math.nan) * self.stress[1],
        }
        return {name: factor for name, factor in by_property.items() if factor != 1.0}

    @property
    def words(self) -> str:
        """The units, and the remedy."""
        parts, factors = [], self.factors
        if "energy" in factors:
            parts.append(f"energies in {self.energy} (multiply by {factors['energy']:.6g})")
        if "forces" in factors:
            unit, sign = self.forces
            kind = "forces" if sign > 0 else "gradients"
            of = f" in {unit}" if unit != "eV/Å" else " instead of forces"
            parts.append(f"{kind}{of} (multiply by {factors['forces']:.6g})")
        if "stress" in factors:
            parts.append(self._stress(factors["stress"]))
        return " and ".join(parts)

    def _stress(self, factor: float) -> str:
        unit, sign = self.stress
        if unit == VIRIAL:
            return f"virials in eV (divide by {'-' * (sign < 0)}the volume)"
        unit_words = f" in {unit}" if unit != "eV/Å³" else ""
        turned = " with the sign of VASP, positive under compression" if sign < 0 else ""
        return f"stresses{unit_words}{turned} (multiply by {factor:.6g})"


def explanations(slopes: Slopes) -> list[Cause]:
    """The simplest causes of contradictions between the labels, the nearest first."""
    causes = []
    units = product(ENERGIES, FORCES, (1.0, -1.0), (*STRESSES, VIRIAL), (1.0, -1.0))
    for energy, force, turned, stress, sign in units:
        if stress == VIRIAL and energy != "eV":
            continue
        cause = _cause(slopes, energy, (force, turned), (stress, sign))
        if cause is not None:
            causes.append(cause)
    if not causes:
        return []
    least = min(cause.mistakes for cause in causes)
    if least > 1 and not is_sure(slopes):
        return []
    best = sorted((c for c in causes if c.mistakes == least), key=lambda c: c.distance)
    return [c for c in best if c.distance < best[0].distance + _NEAR / 2][:_OFFERED]


def _cause(
    slopes: Slopes, energy: str, forces: tuple[str, float], stress: tuple[str, float]
) -> Cause | None:
    """The cause with these units if it explains the slopes; without a slope, units are expected."""
    off = 0.0
    for slope, (unit, sign), factors in (
        (slopes.forces, forces, FORCES),
        (slopes.virial if stress[0] == VIRIAL else slopes.stress, stress, STRESSES),
    ):
        if slope is None or not slope.is_significant:
            if (unit, sign) not in {("eV/Å", 1.0), ("eV/Å³", 1.0)}:
                return None
            continue
        distance = _off(slope, sign * factors.get(unit, 1.0) / ENERGIES[energy])
        if distance is None:
            return None
        off += distance
    mistakes = (energy != "eV") + (forces[1] < 0) + (stress[1] < 0)
    mistakes += forces[0] != "eV/Å" and not _goes(energy, forces[0])
    mistakes += stress[0] != "eV/Å³" and not _goes(energy, stress[0])
    return Cause(energy, forces, stress, mistakes, off) if 0 < mistakes <= _MOST else None


def _goes(energy: str, unit: str) -> bool:
    return unit in _TOGETHER.get(energy, ())


def is_sure(slopes: Slopes) -> bool:
    """Whether a slope is so far from 1 that some label must be wrong."""
    contradicting = [
        slope for slope in (slopes.forces, slopes.stress) if slope and slope.contradicts
    ]
    return any(slope.value <= 0 or abs(math.log(slope.value)) > _FAR for slope in contradicting)


def _off(slope: Slope, factor: float) -> float | None:
    """Distance of a slope from a factor; ``None`` if too large, or for opposite signs."""
    if slope.value * factor <= 0:
        return None
    off = abs(math.log(slope.value / factor))
    return off if off < _NEAR else None
