"""Crystals and their lattice planes: ``crystal_of``, ``Crystal.surface``.

spglib gives the integers that relate a structure to its conventional and primitive cells. All
coordinates refer to the structure itself, so that they do not depend on the machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import spglib
from numpy.typing import NDArray

from trainspot.augment.supercell import hermite
from trainspot.data.frames import Frame
from trainspot.data.lattice import deform, lengths, normals
from trainspot.data.state import INHERITED

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_CENTRINGS: Final = 12
"""Plane indices of a primitive basis are multiples of 1/12: centring vectors of 1/2, 1/3, 1/4."""

_SAME: Final = 1e-6


class Surface(NamedTuple):
    """A family of lattice planes, with a matching basis of the primitive lattice.

    Attributes:
        row: Reciprocal vector in units of those dual to the frame's cell, (3,): its product with
            fractional coordinates is 0, 1, 2 … on successive lattice planes.
        coordinates: Basis in units of the frame's cell vectors, (3, 3): two vectors in the plane,
            reduced, and one to the next plane; right-handed.
        vectors: The same basis, Å, (3, 3).
        spacing: Distance between the planes, Å.
    """

    row: Floats
    coordinates: Floats
    vectors: Floats
    spacing: float


@dataclass(frozen=True, slots=True, eq=False)
class Crystal:
    """The symmetry of a frame that is periodic in three directions.

    Attributes:
        frame: The frame.
        sites: One atom for each set of atoms that differ by lattice translations, (n,).
        primitive: Basis of the primitive lattice in units of ``order`` th parts of the frame's
            cell vectors, (3, 3), rows.
        order: Lattice points in the frame's cell.
        conventional: Cell vectors of the frame in units of the conventional ones, (3, 3), columns.
        rotations: Of the space group, acting on fractional coordinates of the frame, (k, 3, 3);
            not whole numbers where the frame is a supercell of lower symmetry than the crystal.
        translations: Of the same symmetry operations, (k, 3).
    """

    frame: Frame
    sites: Integers
    primitive: Integers
    order: int
    conventional: Floats
    rotations: Floats
    translations: Floats

    def surface(self, miller: Sequence[int]) -> Surface:
        """The lattice planes of Miller indices (h k l) of the conventional cell.

        The normal is the reciprocal vector h b₁ + k b₂ + l b₃ of that cell; the first two vectors
        of the basis are a right-handed pair seen from its tip.
        """
        # Indices are covariant: those of a basis vector are its product with the reciprocal vector.
        raw = np.asarray(miller) @ self.conventional @ self.primitive.T / self.order
        whole = np.rint(raw * _CENTRINGS).astype(np.int64)
        indices = whole // np.gcd.reduce(whole)
        basis = _in_plane_first(indices)
        reduced = _reduced(self._vectors(basis @ self.primitive), basis)
        vectors = self._vectors(reduced @ self.primitive)
        normal = normals(vectors)[2]
        height = float((vectors[2] * normal).sum())
        if height < 0:
            reduced[1] = -reduced[1]
            vectors, height = self._vectors(reduced @ self.primitive), -height
        row = np.linalg.solve(self.primitive / self.order, indices.astype(np.float64))
        coordinates = reduced @ self.primitive / self.order
        return Surface(row, coordinates, vectors, height / float(lengths(normal)))

    def equivalent(self, one: Surface, other: Surface) -> bool:
        """Whether a symmetry of the crystal turns one family of planes into another."""
        turned = one.row @ self.rotations
        return bool(np.any(_alike(turned, other.row) | _alike(turned, -other.row)))

    def same_levels(self, surface: Surface) -> list[tuple[int, float]]:
        """Signs s and shifts t of the maps x → s x + t of levels (in spacings) by symmetries.

        Only symmetries that map the family of planes onto itself count; s = -1 turns it over.
        """
        turned = surface.row @ self.rotations
        shifts = self.translations @ surface.row
        mappings = []
        for sign in (1, -1):
            kept = _alike(turned, sign * surface.row)
            mappings += [(sign, float(shift)) for shift in np.unique(shifts[kept] % 1.0)]
        return mappings

    def _vectors(self, combinations: Integers) -> Floats:
        """Lattice vectors, given in ``order`` th parts of the cell vectors, in Å, (k, 3)."""
        result: Floats = deform(combinations.astype(np.float64), self.frame.cell) / self.order
        return result


def crystal_of(frame: Frame, symprec: float) -> Crystal | None:
    """The symmetry of a frame, ``None`` where spglib finds no description.

    Atoms are alike if they have the same element and the same inherited arrays (magnetic moments,
    charges, tags).

    Args:
        frame: Periodic in three directions.
        symprec: Largest distance of an atom from its symmetric position, Å.
    """
    fractions = np.linalg.solve(frame.cell.T, frame.positions.T).T
    with _quiet():
        symmetry = spglib.get_symmetry_dataset((frame.cell, fractions, _types(frame)), symprec)
    if symmetry is None:
        return None
    identity = np.all(symmetry.rotations == np.eye(3, dtype=np.int64), axis=(1, 2))
    pure = np.asarray(symmetry.translations, dtype=np.float64)[identity]
    order = len(pure)  # translations modulo the cell form a group of this order
    generators = np.vstack([np.rint(pure * order), order * np.eye(3)]).astype(np.int64)
    _, sites = np.unique(symmetry.mapping_to_primitive, return_index=True)
    return Crystal(
        frame,
        np.sort(sites),
        hermite(generators),
        order,
        np.asarray(symmetry.transformation_matrix, dtype=np.float64),
        *_space_group(symmetry),
    )


def _space_group(symmetry: spglib.SpglibDataset) -> tuple[Floats, Floats]:
    """Rotations (k, 3, 3) and translations (k, 3) of the crystal, in coordinates of the frame.

    spglib leaves out operations that do not map the frame's cell onto itself: most of them for a
    2×1×1 supercell of copper. The table of the space group, in the conventional cell x' = P x + p,
    has all.
    """
    with _quiet():
        table = spglib.get_symmetry_from_database(symmetry.hall_number)
    whole = (
        np.rint(symmetry.transformation_matrix * _CENTRINGS) / _CENTRINGS
    )  # P without distortions
    back = np.linalg.inv(whole)
    shift = np.asarray(symmetry.origin_shift, dtype=np.float64)
    turned = np.asarray(table["rotations"], dtype=np.float64)
    moved = turned @ shift + table["translations"] - shift
    return back @ turned @ whole, moved @ back.T


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warning of every spglib call: it will raise one day, not return ``None``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _types(frame: Frame) -> Integers:
    """A number for each kind of atom, (n,)."""
    inherited = [frame.arrays[name] for name in INHERITED if name in frame.arrays]
    columns = [column.reshape(len(frame), -1) for column in (frame.numbers, *inherited)]
    _, types = np.unique(np.concatenate(columns, axis=1), axis=0, return_inverse=True)
    return np.asarray(types, dtype=np.int64).reshape(-1)


def _alike(rows: Floats, row: Floats) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = np.all(np.abs(rows - row) < _SAME, axis=-1)
    return result


def _in_plane_first(indices: Integers) -> Integers:
    """A basis (3, 3) of whole numbers: products with the coprime indices are 0, 0 and 1.

    Euclid's algorithm on the indices, applied to the unit vectors at the same time.
    """
    table = np.column_stack([indices, np.eye(3, dtype=np.int64)])
    while np.count_nonzero(table[:, 0]) > 1:
        left = np.flatnonzero(table[:, 0])
        pivot = left[np.argmin(np.abs(table[left, 0]))]
        others = left[left != pivot]
        table[others] -= table[others, :1] // table[pivot, 0] * table[pivot]
    up = int(np.flatnonzero(table[:, 0])[0])
    table[up] *= table[up, 0]
    return np.vstack([np.delete(table[:, 1:], up, axis=0), table[up, 1:]])


def _reduced(vectors: Floats, basis: Integers) -> Integers:
    """The basis with its first two vectors reduced as by Gauss; ``vectors`` are the same in Å.

    Ties are not resolved, so that the result does not depend on rounding.
    """
    vectors, basis = vectors.copy(), basis.copy()
    while True:
        if lengths(vectors[1]) < lengths(vectors[0]) - _SAME:
            vectors[:2], basis[:2] = vectors[1::-1].copy(), basis[1::-1].copy()
        share = float((vectors[0] * vectors[1]).sum() / (vectors[0] * vectors[0]).sum())
        step = round(share) if abs(share) > 0.5 + _SAME else 0
        if not step:
            return basis
        vectors[1] -= step * vectors[0]
        basis[1] -= step * basis[0]
