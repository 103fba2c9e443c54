"""Distances, contacts and vacuum in frames, safe for any triclinic cell.

Lengths are Å. Neighbour lists come from vesin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from trainspot.data.frames import Frame
from trainspot.data.lattice import (
    deform,
    full_cell,
    image_distance,
    lengths,
    normals,
    reduce_lattices,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

OVERLAP_FACTOR: Final = 0.6
"""Two atoms overlap when they are closer than this times the sum of their covalent radii."""

OVERLAP_FLOOR: Final = 0.4
"""Below this times the sum of their covalent radii, two atoms overlap whatever else is known."""

_SCREEN_CUTOFF: Final = 1.5  # Å; shorter lists cost vesin more, because its cells get tiny
_FIRST_CUTOFF: Final = 3.0  # Å; where the search for nearest neighbours starts
_INSIDE_LAYER: Final = 5.0  # Å; a wider gap between planes of atoms is vacuum
_SKEWED: Final = 4.0**2  # of lengths over volume, squared: below, a search hardly notices
_SLACK: Final = 1e-6  # Å; lengths closer than this are equal


class Pairs(NamedTuple):
    """Pairs of atoms, each once; an atom and its own image are a pair.

    Attributes:
        first: Index i, (p,).
        second: Index j, (p,).
        vectors: From i to the image of j, Å, (p, 3).
        distances: Å, (p,).
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vectors: Floats
    distances: Floats


class Contact(NamedTuple):
    """An overlap in a frame: atoms ``first`` and ``second`` at ``distance`` Å."""

    first: int
    second: int
    distance: float


# ── distances ─────────────────────────────────────────────────────────────────
def pairs_within(frame: Frame, cutoff: float) -> Pairs:
    """All pairs closer than ``cutoff`` Å, periodic images included, each pair once."""
    from vesin import NeighborList  # here, because it imports torch where that is installed

    finder = NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    cell = _compact(frame.cell, frame.pbc)
    indices, vectors, distances = finder.compute(frame.positions, cell, frame.pbc, quantities="PDd")
    first, second = indices.astype(np.int64).T
    return Pairs(first, second, vectors, distances)


def _compact(cell: Floats, pbc: NDArray[np.bool_]) -> Floats:
    """The cell, or a reduced cell of a skewed lattice, which has far fewer images nearby."""
    products = cell[pbc] @ cell[pbc].T
    if np.prod(np.diag(products)) > _SKEWED * np.linalg.det(products):
        cell = cell.copy()
        cell[pbc] = reduce_lattices(cell[pbc][None])[0]
    return cell


def nearest_distances(frame: Frame) -> Floats:
    """Distance of each atom to its nearest neighbour, own periodic images included, (n,), Å.

    Infinite for an atom that has neither neighbours nor images.
    """
    spread = float(lengths(np.ptp(frame.positions, axis=0)))
    # The nearest neighbour is no farther than the own image, or than the extent of the frame.
    limit = min(image_distance(frame.cell, frame.pbc), spread if len(frame) > 1 else np.inf)
    if not np.isfinite(limit):
        return np.full(len(frame), np.inf)
    limit += _SLACK
    cutoff = min(_FIRST_CUTOFF, limit)
    while True:
        nearest = nearest_of(pairs_within(frame, cutoff), len(frame))
        if cutoff >= limit or np.all(np.isfinite(nearest)):
            return nearest
        cutoff = min(2 * cutoff, limit)


def nearest_of(pairs: Pairs, n_atoms: int) -> Floats:
    """The smallest distance of each atom in a list of pairs, (n,), Å; infinite without a pair."""
    nearest = np.full(n_atoms, np.inf)
    np.minimum.at(nearest, pairs.first, pairs.distances)
    np.minimum.at(nearest, pairs.second, pairs.distances)
    return nearest


def contact_limits(
    numbers: NDArray[np.int64], pairs: Pairs, factor: float = OVERLAP_FACTOR
) -> Floats:
    """The distance below which each pair overlaps, ``factor`` times the covalent radii, (p,), Å."""
    radii = covalent_radii[numbers]
    limits: Floats = factor * (radii[pairs.first] + radii[pairs.second])
    return limits


def contact_reach(numbers: NDArray[np.int64], factor: float = OVERLAP_FACTOR) -> float:
    """The largest of the ``contact_limits`` that any pair of these species can have, Å."""
    return 2 * factor * float(covalent_radii[numbers].max())


def contacts(frame: Frame, factor: float = OVERLAP_FACTOR) -> list[Contact]:
    """All pairs below their limit (``contact_limits``), the pair farthest below it first."""
    pairs = pairs_within(frame, max(contact_reach(frame.numbers, factor), _SCREEN_CUTOFF))
    depth = contact_limits(frame.numbers, pairs, factor) - pairs.distances
    rows = np.flatnonzero(depth > 0)
    deepest = rows[np.argsort(-depth[rows], kind="stable")]
    columns = (pairs.first[deepest], pairs.second[deepest], pairs.distances[deepest])
    return list(map(Contact, *(column.tolist() for column in columns)))


def worst_contact(frame: Frame, factor: float = OVERLAP_FACTOR) -> Contact | None:
    """The pair farthest below its limit (``contact_limits``), or ``None`` if no atoms overlap."""
    return next(iter(contacts(frame, factor)), None)


def overlapping(frame: Frame, factor: float = OVERLAP_FACTOR) -> bool:
    """Whether any two atoms, or an atom and an image, are closer than ``contact_limits``."""
    return worst_contact(frame, factor) is not None


def describe_contact(frame: Frame, contact: Contact) -> str:
    """The contact in words, see ``contact_words``."""
    atoms = (contact.first, contact.second)
    first, second = (chemical_symbols[frame.numbers[k]] for k in atoms)
    return contact_words(atoms, (first, second), contact.distance)


def contact_words(atoms: tuple[int, int], elements: tuple[str, str], distance: float) -> str:
    """A contact in words, counted from 1: ``atoms 1 (Si) and 4 (C) are 0.31 Å apart``.

    Args:
        atoms: Indices of the two atoms, from 0; equal for an atom close to its own image.
        elements: Symbols of the two atoms.
        distance: Distance, Å.
    """
    first, second = (f"{k + 1} ({symbol})" for k, symbol in zip(atoms, elements, strict=True))
    far = f"{distance:.{2 if distance >= 0.1 else 4}f} Å apart"
    if atoms[0] == atoms[1]:
        return f"atom {first} and its periodic image are {far}"
    return f"atoms {first} and {second} are {far}"


# ── vacuum ────────────────────────────────────────────────────────────────────
def vacuum_gaps(frame: Frame) -> Floats:
    """The empty space along each axis, Å, (3,), along the normal of the other two axes.

    A layer across the boundary of the cell counts as one piece: if a gap of more than 5 Å between
    the atoms is larger than the gap at the boundary, it counts instead. Zero for a missing cell
    vector and for periodic axes.
    """
    gaps = np.zeros(3)
    completed = full_cell(frame.cell, frame.pbc)
    for axis in np.flatnonzero(~frame.pbc):
        layer = _layer(frame, completed, int(axis))
        gaps[axis] = max(layer.room - layer.extent, 0.0)
    return gaps


def with_vacuum(frame: Frame, gap: float) -> Frame:
    """The frame with at least ``gap`` Å of vacuum along every non-periodic axis.

    A smaller gap grows along the cell vector, a larger gap stays. Along a new vector the atoms are
    in the middle of the cell. Atoms beyond a boundary move back to their layer. A frame that needs
    no change is returned itself; otherwise labels and info of the old geometry are lost.
    """
    if frame.pbc.all():
        return frame
    completed = full_cell(frame.cell, frame.pbc)
    cell, positions = frame.cell.copy(), frame.positions
    for axis in np.flatnonzero(~frame.pbc):
        layer = _layer(frame, completed, int(axis))
        positions = positions + layer.turns[:, None] * completed[axis]
        if layer.extent + gap - layer.room > _SLACK:
            cell[axis] = completed[axis] * ((layer.extent + gap) / layer.height)
            if not layer.room:  # the new vector is a unit vector so far, normal to the others
                lowest = deform(positions, completed[axis][:, None]).min()
                positions = positions + (gap / 2 - lowest) * completed[axis]
    if np.array_equal(positions, frame.positions) and np.array_equal(cell, frame.cell):
        return frame
    return Frame.make(
        frame.numbers,
        positions,
        cell,
        frame.pbc,
        origin=frame.origin,
        split=frame.split,
        arrays=frame.arrays,
    )


class _Layer(NamedTuple):
    """The atoms seen along the normal of two cell vectors.

    Attributes:
        height: Height of the completed cell, Å.
        room: The same, but 0 if the frame has no cell vector here, Å.
        extent: Thickness of the layer, Å.
        turns: Number of cell vectors to add to each atom so that the layer is in one piece, (n,).
    """

    height: float
    room: float
    extent: float
    turns: Floats


def _layer(frame: Frame, completed: Floats, axis: int) -> _Layer:
    normal = normals(completed)[axis]
    normal = normal / lengths(normal)
    height = float((normal * completed[axis]).sum())
    if height < 0:
        normal, height = -normal, -height
    x, y, z = frame.positions.T
    levels = x * normal[0] + y * normal[1] + z * normal[2]
    extent = float(np.ptp(levels))
    still = np.zeros(len(frame))
    if not np.array_equal(completed[axis], frame.cell[axis]):
        return _Layer(height, 0.0, extent, still)
    if extent >= height:  # atoms beyond the cell: their positions are intended
        return _Layer(height, height, extent, still)
    wrapped = (levels / height) % 1.0
    order = np.argsort(wrapped, kind="stable")
    gaps = np.diff(wrapped[order], append=wrapped[order[0]] + 1.0)
    # No change unless another gap is larger, and too large for a gap inside a layer.
    if gaps.max() * height <= max(height - extent + _SLACK, _INSIDE_LAYER):
        return _Layer(height, height, extent, still)
    start = wrapped[order[(int(np.argmax(gaps)) + 1) % len(order)]]
    joined = wrapped + (wrapped < start)
    turns = np.rint(joined - levels / height)
    turns -= turns.min()
    if _collide(frame, turns[:, None] * completed[axis]):  # not parts of one layer
        return _Layer(height, height, extent, still)
    return _Layer(height, height, float((1.0 - gaps.max()) * height), turns)


def _collide(frame: Frame, shifts: Floats) -> bool:
    """Whether a shift of the atoms causes an overlap."""
    moved = Frame.make(frame.numbers, frame.positions + shifts, frame.cell, frame.pbc)
    return overlapping(moved) and not overlapping(frame)
