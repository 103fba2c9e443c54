"""Outer-shell atomic orbitals and their overlap and kinetic-energy integrals between two atoms.

The orbitals are the contracted Gaussians of the ANO-RCC sets that PySCF carries (Roos et al.,
J. Phys. Chem. A 108, 2851 (2004) and companions): of each element the valence s and p, the d of
transition metals and the f of lanthanides and actinides.

Integrals between two atoms depend only on their distance, up to a rotation. PySCF computes them
once for each pair of elements, on a grid of distances, and other distances are interpolated: sums
of lattice images with PySCF for every frame cost at least ten times more.
"""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from ase.data import chemical_symbols
from scipy.interpolate import CubicSpline
from scipy.special import sph_harm_y

from trainspot.common.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BOHR: Final = 0.529177210903
"""Å."""
HARTREE: Final = 27.211386245988
"""eV."""

BASIS: Final = "ano"  # PySCF's name for ANO-RCC
_NEGLIGIBLE: Final = 1e-6  # of an overlap, and of a kinetic energy in hartree
_STEP: Final = 0.05  # bohr
_FARTHEST: Final = 60.0  # bohr
_NOBLE: Final = (0, 2, 10, 18, 36, 54, 86, 118)


class Shell(NamedTuple):
    """Quantum numbers n and l of a shell of 2 l + 1 orbitals."""

    main: int
    angular: int


def outer_shells(number: int) -> list[Shell]:
    """The valence shells of an element.

    These are s and p of the last period, the open d shell of groups 3 to 12, and the f shell of
    lanthanides and actinides. Hydrogen and helium have only s.

    Args:
        number: Atomic number, from 1.
    """
    period = sum(number > filled for filled in _NOBLE[:-1])
    place = number - _NOBLE[period - 1]
    shells = [Shell(period, 0)] + ([Shell(period, 1)] if period > 1 else [])
    if (period in (4, 5) and 3 <= place <= 12) or (period > 5 and 3 <= place <= 26):
        shells.append(Shell(period - 1, 2))
    if period > 5 and 3 <= place <= 17:
        shells.append(Shell(period - 2, 3))
    return shells


def has_orbitals(number: int) -> bool:
    """Whether the basis set has the element with this atomic number."""
    try:
        _basis(number)
    except InputError:
        return False
    return True


@functools.cache
def _basis(number: int) -> list[Any]:
    """The outer shells of an element in the format of PySCF.

    Raises:
        InputError: The basis set lacks the element.
    """
    from pyscf.gto import basis
    from pyscf.lib.exceptions import BasisNotFoundError

    symbol = chemical_symbols[number]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a hint at other sources of a basis
            shells = basis.load(BASIS, symbol)
    except BasisNotFoundError:
        raise InputError(
            f"the ANO-RCC basis has no orbitals for {symbol}",
            hint="use the structural descriptor",
        ) from None
    primitives: dict[int, Any] = {}
    for angular, *rows in shells:
        primitives.setdefault(angular, rows)
    return [
        [
            shell.angular,
            *([row[0], row[shell.main - shell.angular]] for row in primitives[shell.angular]),
        ]
        for shell in outer_shells(number)
    ]


@dataclass(frozen=True, slots=True)
class Integrals:
    """Overlap and kinetic energy between the orbitals of two elements at any separation.

    Attributes:
        rows: Angular momenta of the shells of the first element.
        columns: Those of the second.
        cutoff: Å; larger distances have negligible integrals (1e-6 in overlap and hartree).
        radial: The expansion coefficients of every pair of shells against distance (bohr), for
            overlap and kinetic energy (hartree), see ``blocks``.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    cutoff: float
    radial: CubicSpline

    def blocks(self, vectors: Floats) -> tuple[Floats, Floats]:
        r"""Integrals between an atom at the origin and atoms of the other element around it.

        The integral of a scalar operator between orbitals on two atoms is
        Σ_L f_L(R) Σ_M G(l m, l' m', L M) Y_LM(R̂) with the Gaunt coefficients G of real
        harmonics and L = \|l - l'\|, \|l - l'\| + 2, …, l + l'.

        Args:
            vectors: From the first atom to the second, Å, (p, 3). A zero vector needs no direction.

        Returns:
            Overlap, (p, rows, columns), and kinetic energy in eV, same shape.
        """
        distances = np.linalg.norm(vectors, axis=1)
        units = vectors / np.where(distances > 0, distances, 1.0)[:, None]
        harmonics = _harmonics(max(self.rows) + max(self.columns), units)
        radial = self.radial(distances / BOHR)
        starts, stops = _edges(self.rows), _edges(self.columns)
        values = np.empty((2, len(vectors), starts[-1], stops[-1]))
        place = 0
        for a, l1 in enumerate(self.rows):
            for b, l2 in enumerate(self.columns):
                block = values[:, :, starts[a] : starts[a + 1], stops[b] : stops[b + 1]]
                block[...] = 0.0
                for degree in _degrees(l1, l2):
                    angular = harmonics[degree] @ _gaunt(l1, l2, degree).reshape(2 * degree + 1, -1)
                    shaped = angular.reshape(-1, 2 * l1 + 1, 2 * l2 + 1)
                    block += radial[:, place].T[:, :, None, None] * shaped
                    place += 1
        return values[0], values[1] * HARTREE


@functools.cache
def integrals(first: int, second: int) -> Integrals:
    """The integrals between two elements, by atomic number.

    Raises:
        InputError: An element without a basis.
    """
    from pyscf import gto

    distances = np.arange(_STEP, _FARTHEST, _STEP)
    names = f"{chemical_symbols[first]}1", f"{chemical_symbols[second]}2"
    along = [(names[1], (0.0, 0.0, z)) for z in distances]
    single, many = (
        gto.M(atom=atoms, basis={name: _basis(number)}, unit="bohr", spin=None, verbose=0)
        for atoms, name, number in (
            ([(names[0], (0.0, 0.0, 0.0))], names[0], first),
            (along, names[1], second),
        )
    )
    rows, columns = (tuple(s.angular for s in outer_shells(n)) for n in (first, second))
    raw = np.stack([gto.intor_cross(f"{name}_sph", single, many) for name in _OPERATORS])
    raw = raw.reshape(len(_OPERATORS), raw.shape[1], len(distances), -1).transpose(2, 0, 1, 3)
    starts, stops = _edges(rows), _edges(columns)
    radial = [
        _radial(raw[:, :, starts[a] : starts[a + 1], stops[b] : stops[b + 1]], l1, l2)
        for a, l1 in enumerate(rows)
        for b, l2 in enumerate(columns)
    ]
    values = np.concatenate(radial, axis=1)
    large = np.flatnonzero(np.abs(values).max(axis=(1, 2)) > _NEGLIGIBLE)
    last = min(int(large[-1]) + 2, len(distances))
    return Integrals(
        rows,
        columns,
        float(distances[last - 1]) * BOHR,
        CubicSpline(distances[:last], values[:last]),
    )


_OPERATORS: Final = ("int1e_ovlp", "int1e_kin")


@functools.cache
def kinetic_energies(number: int) -> Floats:
    """Kinetic energies (eV) of the orbitals of an isolated atom, one for each orbital."""
    from pyscf import gto

    atom = gto.M(
        atom=[(f"{chemical_symbols[number]}1", (0.0, 0.0, 0.0))],
        basis={f"{chemical_symbols[number]}1": _basis(number)},
        spin=None,
        verbose=0,
    )
    return np.asarray(np.diag(atom.intor("int1e_kin_sph"))) * HARTREE


def _radial(block: Floats, l1: int, l2: int) -> Floats:
    """Expansion coefficients f_L(R) from integrals with the second atom on the z axis.

    Args:
        block: (distances, operators, 2 l1 + 1, 2 l2 + 1), in PySCF's order of m.
        l1: Of the first shell.
        l2: Of the second.

    Returns:
        (distances, L, operators).
    """
    degrees = _degrees(l1, l2)
    orders = range(min(l1, l2) + 1)
    design = np.array(
        [
            [
                _gaunt(l1, l2, d)[d, l1 + m, l2 + m] * np.sqrt((2 * d + 1) / (4 * np.pi))
                for d in degrees
            ]
            for m in orders
        ]
    )
    values = np.stack([block[..., _place(l1, m), _place(l2, m)] for m in orders], axis=1)
    return np.linalg.solve(design, values)


def _place(l1: int, m: int) -> int:
    """Position of order m in PySCF: x, y, z for p, else from -l to l."""
    return (2, 0)[m] if l1 == 1 else l1 + m


def _degrees(l1: int, l2: int) -> range:
    return range(abs(l1 - l2), l1 + l2 + 1, 2)


def _edges(angular: tuple[int, ...]) -> list[int]:
    return [0, *np.cumsum([2 * l1 + 1 for l1 in angular]).tolist()]


def _harmonics(highest: int, units: Floats) -> list[Floats]:
    """Real spherical harmonics of unit vectors (p, 3): for each degree (p, 2 L + 1), m from -L."""
    theta = np.arccos(np.clip(units[:, 2], -1.0, 1.0))
    phi = np.arctan2(units[:, 1], units[:, 0])
    harmonics = []
    for degree in range(highest + 1):
        complex_ones = [sph_harm_y(degree, m, theta, phi) for m in range(degree + 1)]
        signed = [np.sqrt(2) * (-1) ** m * y for m, y in enumerate(complex_ones)]
        harmonics.append(
            np.stack(
                [y.imag for y in signed[:0:-1]]
                + [complex_ones[0].real]
                + [y.real for y in signed[1:]],
                axis=1,
            )
        )
    return harmonics


@functools.cache
def _gaunt(l1: int, l2: int, degree: int) -> Floats:
    """Integrals of three real harmonics over the sphere, (2 L + 1, 2 l1 + 1, 2 l2 + 1).

    The product quadrature is exact for polynomials of degree l1 + l2 + L <= 12.
    """
    nodes, weights = np.polynomial.legendre.leggauss(8)
    angles = np.arange(16) * np.pi / 8
    z, phi = (part.ravel() for part in np.meshgrid(nodes, angles, indexing="ij"))
    s = np.sqrt(1 - z**2)
    ys = _harmonics(max(l1, l2, degree), np.stack([s * np.cos(phi), s * np.sin(phi), z], axis=1))
    w = np.repeat(weights, 16) * np.pi / 8
    return np.asarray(np.einsum("p,pM,pm,pn->Mmn", w, ys[degree], ys[l1], ys[l2]))
