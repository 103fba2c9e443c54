"""The only conversion constants in the project.

Internal units are eV, Å, eV/Å, eV/Å³ (stress = (1/V) ∂E/∂ε, the sign of ASE), K, ps and fs;
pressures given by users are in kbar. Values are CODATA 2022, where ``e`` and ``k_B`` are exact.
"""

from typing import Final

EV_PER_A3_IN_GPA: Final = 160.2176634
"""1 eV/Å³ in GPa (exact: the elementary charge times 1e30 / 1e9)."""

EV_PER_A3_IN_KBAR: Final = 10.0 * EV_PER_A3_IN_GPA
"""1 eV/Å³ in kbar."""

BAR_PER_KBAR: Final = 1000.0
"""LAMMPS ``metal`` units take pressures in bar."""

RYDBERG_IN_EV: Final = 13.605693122990
"""1 Ry in eV."""

HARTREE_IN_EV: Final = 2.0 * RYDBERG_IN_EV
"""1 hartree in eV."""

KJ_PER_MOL_IN_EV: Final = 1.0 / 96.48533212331
"""1 kJ/mol in eV (exact: the Faraday constant in kC/mol)."""

KCAL_PER_MOL_IN_EV: Final = 4.184 * KJ_PER_MOL_IN_EV
"""1 kcal/mol in eV, of thermochemical calories."""

BOHR_IN_ANGSTROM: Final = 0.529177210544
"""1 bohr in Å."""

BOLTZMANN_EV_PER_K: Final = 8.617333262e-5
"""k_B in eV/K."""

FS_PER_PS: Final = 1000.0
"""Femtoseconds in a picosecond."""

U_PER_A3_IN_G_PER_CM3: Final = 1.66053906892
"""1 u/Å³ in g/cm³: the atomic mass constant times 1e27."""
