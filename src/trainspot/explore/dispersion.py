"""Dispersion corrections during molecular dynamics, as LAMMPS pair styles.

D2: S. Grimme, J. Comput. Chem. 27, 1787 (2006), through ``pair_style momb`` with its Morse part
switched off:  E = -s₆ Σ_{i<j} C₆ij / r⁶ · 1 / (1 + exp(-d (r / Rᵣ - 1))),
C₆ij = √(C₆i C₆j), Rᵣ = R₀i + R₀j.  D3 through ``pair_style dispersion/d3``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from math import sqrt
from typing import Final, Literal

from ase.data import chemical_symbols

from trainspot.common.errors import InputError

Dispersion = Literal["d2", "d3"]

S6_PBE: Final = 0.75
DAMPING: Final = 20.0
CUTOFF: Final = 20.0
"""Å."""

EV_A6: Final = 1e6 / 96485.33212
"""1 J nm⁶/mol in eV Å⁶ (the faraday constant, C/mol)."""

D3_CUTOFFS: Final = (30.0, 20.0)
"""Å: for pairs and for coordination numbers."""

# Table 1 of the paper, hydrogen to xenon: C₆ in J nm⁶/mol, R₀ in Å.
_C6_R0: Final[dict[str, tuple[float, float]]] = {
    "H": (0.14, 1.001),
    "He": (0.08, 1.012),
    "Li": (1.61, 0.825),
    "Be": (1.61, 1.408),
    "B": (3.13, 1.485),
    "C": (1.75, 1.452),
    "N": (1.23, 1.397),
    "O": (0.70, 1.342),
    "F": (0.75, 1.287),
    "Ne": (0.63, 1.243),
    "Na": (5.71, 1.144),
    "Mg": (5.71, 1.364),
    "Al": (10.79, 1.639),
    "Si": (9.23, 1.716),
    "P": (7.84, 1.705),
    "S": (5.57, 1.683),
    "Cl": (5.07, 1.639),
    "Ar": (4.61, 1.595),
    "K": (10.80, 1.485),
    "Ca": (10.80, 1.474),
    **{chemical_symbols[z]: (10.80, 1.562) for z in range(21, 31)},
    "Ga": (16.99, 1.650),
    "Ge": (17.10, 1.727),
    "As": (16.37, 1.760),
    "Se": (12.64, 1.771),
    "Br": (12.47, 1.749),
    "Kr": (12.01, 1.727),
    "Rb": (24.67, 1.628),
    "Sr": (24.67, 1.606),
    **{chemical_symbols[z]: (24.67, 1.639) for z in range(39, 49)},
    "In": (37.32, 1.672),
    "Sn": (38.71, 1.804),
    "Sb": (38.44, 1.881),
    "Te": (31.74, 1.892),
    "I": (31.50, 1.892),
    "Xe": (29.99, 1.881),
}


def d2_pair(first: str, second: str) -> tuple[float, float]:
    """C₆ij (eV Å⁶) and Rᵣ (Å) of two elements.

    Raises:
        InputError: An element beyond xenon, without values in the paper.
    """
    try:
        (c6_i, r0_i), (c6_j, r0_j) = _C6_R0[first], _C6_R0[second]
    except KeyError as error:
        raise InputError(
            f"Grimme's D2 has no coefficients for {error.args[0]}",
            where="explore: dispersion",
            hint="use dispersion: d3",
        ) from None
    return sqrt(c6_i * c6_j) * EV_A6, r0_i + r0_j


def pair_style(dispersion: Dispersion) -> str:
    """Arguments of ``pair_style`` (alone, or as a part of ``hybrid/overlay``)."""
    if dispersion == "d2":
        return f"momb {CUTOFF} {S6_PBE} {DAMPING}"
    return f"dispersion/d3 original pbe {D3_CUTOFFS[0]} {D3_CUTOFFS[1]}"


def pair_coefficients(
    dispersion: Dispersion, elements: Sequence[str], *, hybrid: bool
) -> list[str]:
    """The ``pair_coeff`` lines; ``elements`` in the order of the atom types.

    Raises:
        InputError: An element without coefficients.
    """
    if dispersion == "d3":
        style = "dispersion/d3 " if hybrid else ""
        return [f"pair_coeff * * {style}{' '.join(elements)}"]
    style = "momb " if hybrid else ""
    lines = []
    for (i, first), (j, second) in combinations_with_replacement(enumerate(elements, 1), 2):
        c6, radius = d2_pair(first, second)
        # D0, alpha, r0 belong to the Morse part: D0 = 0 switches it off.
        lines.append(f"pair_coeff {i} {j} {style}0.0 1.0 1.0 {c6!r} {radius!r}")
    return lines
