"""Cells and lattices of any shape, periodic in any number of directions.

Lengths are Å. ``deform`` writes out the products for coordinates: BLAS may round differently on
other machines, and frame ids depend on the 1e-8 Å grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

_SHRINKS: Final = 1 - 1e-12  # a smaller reduction is rounding
_SLACK: Final = 1e-6  # Å; lengths closer than this are equal


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

    Missing vectors become unit vectors perpendicular to the others. For a wire along t they form a
    right-handed system with t: the first is the Cartesian axis farthest from t (of equals the next
    in cyclic order) without its part along t, the second is the cross product. If the vectors are
    not independent, the non-periodic vectors count as missing.

    Args:
        cell: Å, (3, 3); missing vectors are zero.
        pbc: (3,); periodic vectors are independent.
    """
    completed = _completed(cell)
    if abs(float((completed[0] * normals(completed)[0]).sum())) < _SLACK:
        completed = _completed(np.where(pbc[:, None], cell, 0.0))
    return completed


def _completed(cell: Floats) -> Floats:
    """The cell with unit vectors for missing ones; dependent vectors stay dependent."""
    missing = np.flatnonzero(~cell.any(axis=1))
    if len(missing) == 3:
        return np.eye(3)
    completed = np.array(cell, dtype=np.float64)
    if len(missing) == 2:
        axis = int(np.flatnonzero(completed.any(axis=1))[0])
        following = (axis + np.arange(1, 4)) % 3
        along = completed[axis] / lengths(completed[axis])
        away = np.eye(3)[following[np.argmin(np.abs(along[following]))]]
        away = away - along * (along * away).sum()
        completed[following[0]] = away / lengths(away)
        missing = following[1:2]
    for axis in missing.tolist():
        normal = normals(completed)[axis]
        completed[axis] = normal / max(float(lengths(normal)), _SLACK)
    return completed


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
                # A step at a tie gains nothing and would undo reduced pairs.
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
    """Add the sum of the first two rows, with the best signs, that makes the third row shortest."""
    signs = np.array([(0, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)], dtype=np.float64)
    sums = np.einsum("sd,kdx->skx", signs, bases[:, :2])
    options = bases[:, 2] + sums
    best = np.argmin(np.einsum("skx,skx->sk", options, options), axis=0)
    bases[:, 2] = options[best, np.arange(len(bases))]
    return bases


def image_distance(cell: ArrayLike, pbc: ArrayLike) -> float:
    """The distance from an atom to its nearest periodic image, Å; infinite without periodicity.

    This is the length of the shortest non-zero lattice vector. In a skewed cell it is shorter than
    every cell vector.
    """
    periodic = np.asarray(pbc, dtype=np.bool_)
    if not periodic.any():
        return float("inf")
    basis = np.asarray(cell, dtype=np.float64)[periodic]
    return float(lengths(reduce_lattices(basis[None])[0, 0]))
