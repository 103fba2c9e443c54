"""Periodicity, vacuum, periodic images and distances, safe for any triclinic cell.

Lengths are Å. Neighbour lists come from vesin. Products that end up in coordinates are written out
(``deform``): BLAS may round differently elsewhere, and frame ids depend on the 1e-8 Å grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from trainspot.data.frames import Frame

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

OVERLAP_FACTOR: Final = 0.6
"""Two atoms overlap when they are closer than this times the sum of their covalent radii."""

_SCREEN_CUTOFF: Final = 1.5  # Å; shorter lists cost vesin more, because its cells get tiny
_FIRST_CUTOFF: Final = 3.0  # Å; where the search for nearest neighbours starts
_INSIDE_LAYER: Final = 5.0  # Å; a wider gap between planes of atoms is vacuum
_SKEWED: Final = 4.0**2  # of lengths over volume, squared: below, a search hardly notices
_SHRINKS: Final = 1 - 1e-12  # a reduction that gains less is rounding
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
    """The worst overlap in a frame: atoms ``first`` and ``second`` at ``distance`` Å."""

    first: int
    second: int
    distance: float


# ── linear algebra ────────────────────────────────────────────────────────────
def deform(vectors: Floats, matrix: Floats) -> Floats:
    """``vectors @ matrix`` for row vectors (n, 3), with the same rounding on every machine."""
    x, y, z = vectors[..., 0:1], vectors[..., 1:2], vectors[..., 2:3]
    product: Floats = x * matrix[0] + y * matrix[1] + z * matrix[2]
    return product


def lengths(vectors: Floats) -> Floats:
    """Euclidean lengths along the last axis, with the same rounding on every machine."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    result: Floats = np.sqrt(x * x + y * y + z * z)
    return result


def normals(cell: Floats) -> Floats:
    """For each cell vector the cross product of the two others, in cyclic order, (…, 3, 3), Å²."""
    u, v = cell[..., [1, 2, 0], :], cell[..., [2, 0, 1], :]
    following, last = [1, 2, 0], [2, 0, 1]
    result: Floats = u[..., following] * v[..., last] - u[..., last] * v[..., following]
    return result


def full_cell(cell: Floats, pbc: NDArray[np.bool_]) -> Floats:
    """A cell of three independent vectors, (3, 3), with the same rounding on every machine.

    Missing vectors become unit vectors perpendicular to the others. Those of a wire turn its
    vector t right-handed: the first is the Cartesian axis farthest from t (of equals the one that
    follows in cyclic order) without its part along t, the second their cross product. Where the
    vectors are not independent, the non-periodic ones count as missing.

    Args:
        cell: Å, (3, 3); missing vectors are zero.
        pbc: (3,); periodic vectors are independent.
    """
    whole = _completed(cell)
    if abs(float((whole[0] * normals(whole)[0]).sum())) < _SLACK:
        whole = _completed(np.where(pbc[:, None], cell, 0.0))
    return whole


def _completed(cell: Floats) -> Floats:
    """The cell with missing vectors filled in; vectors that are dependent stay so."""
    missing = np.flatnonzero(~cell.any(axis=1))
    if len(missing) == 3:
        return np.eye(3)
    whole = np.array(cell, dtype=np.float64)
    if len(missing) == 2:
        axis = int(np.flatnonzero(whole.any(axis=1))[0])
        following = (axis + np.arange(1, 4)) % 3
        along = whole[axis] / lengths(whole[axis])
        away = np.eye(3)[following[np.argmin(np.abs(along[following]))]]
        away = away - along * (along * away).sum()
        whole[following[0]] = away / lengths(away)
        missing = following[1:2]
    for axis in missing.tolist():
        normal = normals(whole)[axis]
        whole[axis] = normal / max(float(lengths(normal)), _SLACK)
    return whole


def periodic_projector(cell: ArrayLike, pbc: ArrayLike) -> Floats:
    """The projector onto the space spanned by the periodic cell vectors.

    Args:
        cell: Å, (…, 3, 3), rows are vectors.
        pbc: (…, 3).

    Returns:
        (…, 3, 3), symmetric, dimensionless: the identity for bulk, I - nn for a sheet with normal
        n, tt for a wire along t, zero without periodicity.
    """
    vectors = np.asarray(cell, dtype=np.float64)
    periodic = np.asarray(pbc, dtype=np.bool_)
    rank = periodic.sum(axis=-1)[..., None, None]
    sheet = np.eye(3) - _outer(normals(vectors), ~periodic)
    wire = np.where(rank == 1, _outer(vectors, periodic), 0.0)
    return np.where(rank == 3, np.eye(3), np.where(rank == 2, sheet, wire))


def _outer(vectors: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """vv/|v|² of the sum v of the chosen rows (meant for exactly one chosen row)."""
    vector = np.where(chosen[..., None], vectors, 0.0).sum(axis=-2)
    norm = lengths(vector)[..., None]
    unit = vector / np.where(norm > 0, norm, 1.0)
    result: Floats = unit[..., :, None] * unit[..., None, :]
    return result


# ── lattices ──────────────────────────────────────────────────────────────────
def reduce_lattices(bases: ArrayLike) -> Floats:
    """Minkowski-reduced bases of many lattices at once.

    Pairs are reduced as by Gauss; in three dimensions the longest vector is also shortened by
    sums of the two others (Semaev, LNCS 2146, 181 (2001)). Afterwards the rows are sorted by length
    and the first is a shortest non-zero vector of the lattice.

    Args:
        bases: Å, (k, d, 3) with 1 ≤ d ≤ 3 independent rows each.

    Returns:
        (k, d, 3).
    """
    reduced = np.array(bases, dtype=np.float64)
    rank = reduced.shape[1]
    open_ = np.arange(len(reduced))
    while len(open_):
        basis = _by_length(reduced[open_])
        before = _squares(basis).sum(axis=1)
        for i in range(rank):
            for j in range(i + 1, rank):
                overlap = np.einsum("kx,kx->k", basis[:, i], basis[:, j])
                share = overlap / np.einsum("kx,kx->k", basis[:, i], basis[:, i])
                # Ties gain nothing, and would leave pairs that were reduced before.
                steps = np.where(np.abs(share) > 0.5 + _SLACK, np.rint(share), 0.0)
                basis[:, j] -= steps[:, None] * basis[:, i]
        after = _squares(basis).sum(axis=1)
        settled = np.flatnonzero(after >= before * _SHRINKS)
        if rank == 3:
            basis[settled] = _shorten_last(_by_length(basis[settled]))
            after[settled] = _squares(basis[settled]).sum(axis=1)
        reduced[open_] = basis
        open_ = open_[after < before * _SHRINKS]
    return _by_length(reduced)


def _squares(bases: Floats) -> Floats:
    squares: Floats = np.einsum("kdx,kdx->kd", bases, bases)
    return squares


def _by_length(bases: Floats) -> Floats:
    order = np.argsort(_squares(bases), axis=1, kind="stable")
    return np.take_along_axis(bases, order[:, :, None], axis=1)


def _shorten_last(bases: Floats) -> Floats:
    """Add to the third row the sum of the two others, signs free, that makes it shortest."""
    signs = np.array([(0, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)], dtype=np.float64)
    sums = np.einsum("sd,kdx->skx", signs, bases[:, :2])
    options = bases[:, 2] + sums
    best = np.argmin(np.einsum("skx,skx->sk", options, options), axis=0)
    bases[:, 2] = options[best, np.arange(len(bases))]
    return bases


def image_distance(cell: ArrayLike, pbc: ArrayLike) -> float:
    """The distance from an atom to its nearest periodic image, Å; infinite without periodicity.

    This is the shortest non-zero vector of the lattice, which for a skewed cell is shorter than
    every cell vector.
    """
    periodic = np.asarray(pbc, dtype=np.bool_)
    if not periodic.any():
        return float("inf")
    basis = np.asarray(cell, dtype=np.float64)[periodic]
    return float(lengths(reduce_lattices(basis[None])[0, 0]))


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
    """The cell, or where it is skewed a reduced one of its lattice: far fewer images are near."""
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
    # Nobody is farther from a neighbour than from its own image, or than the frame is wide.
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
    """The smallest distance of each atom in a list of pairs, (n,), Å; infinite if in none."""
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


def worst_contact(frame: Frame, factor: float = OVERLAP_FACTOR) -> Contact | None:
    """The pair farthest below its limit (``contact_limits``), or ``None`` if no atoms overlap."""
    pairs = pairs_within(frame, max(contact_reach(frame.numbers, factor), _SCREEN_CUTOFF))
    depth = contact_limits(frame.numbers, pairs, factor) - pairs.distances
    if not len(depth) or depth.max() <= 0:
        return None
    worst = int(np.argmax(depth))
    return Contact(int(pairs.first[worst]), int(pairs.second[worst]), float(pairs.distances[worst]))


def overlapping(frame: Frame, factor: float = OVERLAP_FACTOR) -> bool:
    """Whether any two atoms, or an atom and an image, are closer than ``contact_limits``."""
    return worst_contact(frame, factor) is not None


def describe_contact(frame: Frame, contact: Contact) -> str:
    """The contact in words, atoms counted from 1: ``atoms 1 (Si) and 4 (C) are 0.31 Å apart``."""
    atoms = (contact.first, contact.second)
    first, second = (f"{k + 1} ({chemical_symbols[frame.numbers[k]]})" for k in atoms)
    far = f"{contact.distance:.{2 if contact.distance >= 0.1 else 4}f} Å apart"
    if contact.first == contact.second:
        return f"atom {first} and its periodic image are {far}"
    return f"atoms {first} and {second} are {far}"


# ── vacuum ────────────────────────────────────────────────────────────────────
def vacuum_gaps(frame: Frame) -> Floats:
    """The empty space along each axis, Å, (3,), measured along the normal of the other two.

    A layer that is cut by the cell's boundary counts as whole: where a gap of more than 5 Å
    between the atoms is larger than the one at the boundary, it is the gap. A missing cell vector
    is no gap at all. Periodic axes: zero.
    """
    gaps = np.zeros(3)
    whole = full_cell(frame.cell, frame.pbc)
    for axis in np.flatnonzero(~frame.pbc):
        layer = _layer(frame, whole, int(axis))
        gaps[axis] = max(layer.room - layer.extent, 0.0)
    return gaps


def with_vacuum(frame: Frame, gap: float) -> Frame:
    """The frame with at least ``gap`` Å of vacuum along every non-periodic axis.

    Too little is enlarged along the cell vector, more is never shrunk; where there was no vector,
    the atoms come to stand in the middle of the new one. Atoms that a boundary cut off from their
    layer are brought back. A frame that is right already is returned itself; otherwise labels and
    info of the old geometry are not kept.
    """
    if frame.pbc.all():
        return frame
    whole = full_cell(frame.cell, frame.pbc)
    cell, positions = frame.cell.copy(), frame.positions
    for axis in np.flatnonzero(~frame.pbc):
        layer = _layer(frame, whole, int(axis))
        positions = positions + layer.turns[:, None] * whole[axis]
        if layer.extent + gap - layer.room > _SLACK:
            cell[axis] = whole[axis] * ((layer.extent + gap) / layer.height)
            if not layer.room:  # the new vector is a unit vector so far, normal to the others
                lowest = deform(positions, whole[axis][:, None]).min()
                positions = positions + (gap / 2 - lowest) * whole[axis]
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
        height: Of the completed cell, Å.
        room: The same, but 0 where the frame has no vector of its own, Å.
        extent: Thickness of the atoms, Å.
        turns: Cell vectors to add to each atom so that none is cut off from its layer, (n,).
    """

    height: float
    room: float
    extent: float
    turns: Floats


def _layer(frame: Frame, whole: Floats, axis: int) -> _Layer:
    normal = normals(whole)[axis]
    normal = normal / lengths(normal)
    height = float((normal * whole[axis]).sum())
    if height < 0:
        normal, height = -normal, -height
    x, y, z = frame.positions.T
    levels = x * normal[0] + y * normal[1] + z * normal[2]
    extent = float(np.ptp(levels))
    still = np.zeros(len(frame))
    if not np.array_equal(whole[axis], frame.cell[axis]):
        return _Layer(height, 0.0, extent, still)
    if extent >= height:  # atoms reach out of the box: they are meant as they stand
        return _Layer(height, height, extent, still)
    wrapped = (levels / height) % 1.0
    order = np.argsort(wrapped, kind="stable")
    gaps = np.diff(wrapped[order], append=wrapped[order[0]] + 1.0)
    # As they stand is best, unless another gap is larger and too large to lie inside a layer.
    if gaps.max() * height <= max(height - extent + _SLACK, _INSIDE_LAYER):
        return _Layer(height, height, extent, still)
    start = wrapped[order[(int(np.argmax(gaps)) + 1) % len(order)]]
    joined = wrapped + (wrapped < start)
    turns = np.rint(joined - levels / height)
    turns -= turns.min()
    if _collide(frame, turns[:, None] * whole[axis]):  # they were no parts of one layer
        return _Layer(height, height, extent, still)
    return _Layer(height, height, float((1.0 - gaps.max()) * height), turns)


def _collide(frame: Frame, shifts: Floats) -> bool:
    """Whether atoms overlap only when they are shifted."""
    moved = Frame.make(frame.numbers, frame.positions + shifts, frame.cell, frame.pbc)
    return overlapping(moved) and not overlapping(frame)
