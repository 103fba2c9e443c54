"""Supercells: the smallest repetition whose periodic images are far enough apart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainspot.augment.base import Scope, Strategy, child, title
from trainspot.data.frames import Frame
from trainspot.data.isolated import is_isolated_atom
from trainspot.data.lattice import image_distance, lengths, reduce_lattices

Integers = NDArray[np.int64]

_SAME: Final = 1e-6
"""Å; image distances closer than this are equal."""

# Image distance of the densest lattice of d dimensions, d-th power, per volume of its cell
# (a line, the hexagonal and the face-centred cubic lattice): no lattice can do better.
_DENSEST: Final = (1.0, 1.0, 2 / math.sqrt(3), math.sqrt(2))


class Supercell(Strategy):
    """Repeat along the periodic directions until periodic images are ``min_length`` apart.

    The supercell with the fewest atoms is used. If ``max_atoms`` does not allow the distance, the
    supercell with the largest distance within this limit is used.
    """

    scope: ClassVar[Scope] = Scope.PREPARE

    kind: Literal["supercell"] = "supercell"
    min_length: float = Field(
        18.0,
        gt=0,
        le=1000,
        description="smallest distance between an atom and its periodic images, Å; smaller "
        "if max_atoms does not allow it",
    )
    max_atoms: int = Field(
        450, ge=1, le=100_000, description="largest number of atoms in a supercell"
    )
    shape: Literal["diagonal", "general"] = Field(
        "diagonal",
        description="diagonal: repeat the cell vectors; general: any integer matrix, which "
        "needs fewer atoms for skewed or elongated cells",
    )

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """One supercell per frame; a frame that is large enough is passed on unchanged."""
        del rng
        self.note_molecules(frames, "repeated")
        for frame in frames:
            matrix = self.matrix(frame)
            if _index(matrix) == 1:
                self._explain(frame)
                yield frame
            else:
                yield repeated(frame, matrix)

    def matrix(self, frame: Frame) -> Integers:
        """The integer matrix H of the supercell, new cell = H · cell, (3, 3)."""
        axes = np.flatnonzero(frame.pbc)
        matrix = np.eye(3, dtype=np.int64)
        most = self.max_atoms // len(frame)
        if len(axes) and most > 1 and self._is_short(frame):
            search = _diagonal if self.shape == "diagonal" else _general
            matrix[np.ix_(axes, axes)] = search(frame.cell[axes], self._enough, most)
        return matrix

    @property
    def _enough(self) -> float:
        return self.min_length - _SAME

    def _is_short(self, frame: Frame) -> bool:
        near = image_distance(frame.cell, frame.pbc) < self._enough
        return near and not is_isolated_atom(frame)

    def _explain(self, frame: Frame) -> None:
        if self._is_short(frame):
            self.note(f"{title(frame)} cannot be repeated within {self.max_atoms} atoms")


def repeated(frame: Frame, matrix: Integers) -> Frame:
    """The supercell of an integer matrix H (new cell = H · cell).

    Whole copies of the frame follow one another, the one at the origin first; their origins lie
    inside the new cell.
    """
    steps = _translations(matrix)
    cell = _combined(matrix, frame.cell)
    shifts = _combined(steps, frame.cell)
    if np.count_nonzero(matrix - np.diag(np.diagonal(matrix))):
        turns = np.floor(steps @ np.linalg.inv(matrix) + 1e-9).astype(np.int64)
        shifts = _combined(steps - turns @ matrix, frame.cell)
    positions = (shifts[:, None, :] + frame.positions[None, :, :]).reshape(-1, 3)
    return child(
        frame,
        "supercell",
        positions=positions,
        cell=cell,
        sites=np.tile(np.arange(len(frame)), len(steps)),
        parameters={"matrix": matrix.tolist()},
    )


def _combined(integers: Integers, cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integer combinations of cell vectors, (k, 3), rounded alike on every machine."""
    i, j, k = (integers[:, axis, None].astype(np.float64) for axis in range(3))
    result: NDArray[np.float64] = i * cell[0] + j * cell[1] + k * cell[2]
    return result


def _translations(matrix: Integers) -> Integers:
    """One lattice translation for each copy of the cell in the supercell, (|det H|, 3)."""
    size = np.diagonal(hermite(matrix))
    return np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), axis=-1).reshape(-1, 3)


def hermite(matrix: Integers) -> Integers:
    """The upper triangular basis (d, d), positive on the diagonal, of the lattice of integer rows.

    Args:
        matrix: (k, d), rows that span d dimensions.
    """
    rows = np.array(matrix, dtype=np.int64)
    rank = rows.shape[1]
    for column in range(rank):
        while np.any(rows[column + 1 :, column]):
            below = np.flatnonzero(rows[column:, column]) + column
            pivot = below[np.argmin(np.abs(rows[below, column]))]
            rows[[column, pivot]] = rows[[pivot, column]]
            rows[column + 1 :] -= (
                rows[column + 1 :, column, None] // rows[column, column] * rows[column]
            )
        if rows[column, column] < 0:
            rows[column] *= -1
    return rows[:rank]


# ── the search ────────────────────────────────────────────────────────────────
def _diagonal(cell: NDArray[np.float64], enough: float, most: int) -> Integers:
    """The best repetition (d, d) of d cell vectors: see ``Supercell``."""
    candidates = _repetitions(len(cell), most)
    distances = lengths(reduce_lattices(candidates[:, :, None] * cell)[:, 0])
    sizes = candidates.prod(axis=1)
    good = distances >= enough
    if good.any():
        pool = np.flatnonzero(good & (sizes == sizes[good].min()))
    else:
        pool = np.flatnonzero(distances >= distances.max() - _SAME)
        pool = pool[sizes[pool] == sizes[pool].min()]
    pool = pool[distances[pool] >= distances[pool].max() - _SAME]
    best = min(candidates[pool].tolist(), key=lambda n: (sum(n), n))
    return np.diag(np.array(best, dtype=np.int64))


def _repetitions(rank: int, most: int) -> Integers:
    """All (k, rank) numbers of repetitions with at most ``most`` cells."""
    repetitions: list[tuple[int, ...]] = [()]
    for _ in range(rank):
        repetitions = [
            (*head, n) for head in repetitions for n in range(1, most // math.prod(head) + 1)
        ]
    return np.array(repetitions, dtype=np.int64)


def _general(cell: NDArray[np.float64], enough: float, most: int) -> Integers:
    """The best integer matrix (d, d), among all sublattices of at most ``most`` cells.

    Sizes that are too small even for the densest lattice packing are skipped. The matrix gives the
    reduced basis of the best sublattice.
    """
    rank = len(cell)
    volume = math.sqrt(float(np.linalg.det(cell @ cell.T)))

    def bound(size: int) -> float:
        return float((_DENSEST[rank] * size * volume) ** (1 / rank)) + _SAME

    for size in range(1, most + 1):
        if bound(size) >= enough:
            distance, basis = _best_of_size(cell, size, enough)
            if distance >= enough:
                return basis
    matrix = _diagonal(cell, enough, most)  # a good start prunes most candidates
    best = float(lengths(reduce_lattices((matrix @ cell)[None])[0, 0]))
    for size in range(most, 0, -1):
        if bound(size) < best - _SAME:
            break
        distance, basis = _best_of_size(cell, size, best)
        if distance > best + _SAME or (distance >= best - _SAME and size < _index(matrix)):
            best, matrix = distance, basis
    return matrix


def _index(matrix: Integers) -> int:
    """Number of unit cells in a supercell."""
    return round(abs(float(np.linalg.det(matrix))))


def _best_of_size(cell: NDArray[np.float64], size: int, at_least: float) -> tuple[float, Integers]:
    """The sublattice of index ``size`` with the largest image distance, and its reduced basis.

    Candidates with a basis vector shorter than ``at_least`` are skipped; -1 without candidates.
    """
    bases = _sublattices(cell, size, at_least - _SAME)
    if not len(bases):
        return -1.0, np.eye(len(cell), dtype=np.int64)
    reduced = reduce_lattices(bases.astype(np.float64) @ cell)
    distances = lengths(reduced[:, 0])
    pool = np.flatnonzero(distances >= distances.max() - _SAME)
    compact = np.round(lengths(reduced[pool]).sum(axis=1), 6)
    chosen = pool[np.lexsort((pool, compact))[0]]
    basis = np.rint(reduced[chosen] @ np.linalg.pinv(cell)).astype(np.int64)
    if round(np.linalg.det(basis)) < 0:
        basis = -basis if len(basis) % 2 else basis * np.array([[-1]] + [[1]] * (len(basis) - 1))
    return float(distances[chosen]), basis


def _sublattices(cell: NDArray[np.float64], size: int, at_least: float) -> Integers:
    """Bases (k, rank, rank) of all sublattices of an index with large image distances.

    Each sublattice has one Hermite normal form. Forms are built from the last row up, and dropped
    as soon as a combination of their rows is shorter than ``at_least``.
    """
    rank = len(cell)
    sublattices = [np.zeros((0, rank, rank), dtype=np.int64)]
    for diagonal in _factorisations(rank, size):
        bases = np.zeros((1, 0, rank), dtype=np.int64)
        for axis in reversed(range(rank)):
            free = np.argwhere(np.ones(diagonal[axis + 1 :]))
            rows = np.zeros((len(free), rank), dtype=np.int64)
            rows[:, axis] = diagonal[axis]
            rows[:, axis + 1 :] = free
            rows = rows[lengths(rows @ cell) >= at_least]
            heads = np.repeat(rows[:, None, :], len(bases), axis=0)
            tails = np.tile(bases, (len(rows), 1, 1))
            bases = np.concatenate([heads, tails], axis=1)
            bases = _spread(bases, cell, at_least)
        sublattices.append(bases)
    return np.concatenate(sublattices)


def _spread(bases: Integers, cell: NDArray[np.float64], at_least: float) -> Integers:
    """The bases with no vector shorter than ``at_least`` among sums of rows, signs free."""
    rows = bases.shape[1]
    vectors = bases.astype(np.float64) @ cell
    gram = np.einsum("kix,kjx->kij", vectors, vectors).reshape(len(bases), rows * rows)
    # Half of all combinations: the others are their negatives.
    signs = np.array(list(itertools.product((-1, 0, 1), repeat=rows))[: 3**rows // 2])
    squares = gram @ np.einsum("ci,cj->ijc", signs, signs).reshape(rows * rows, -1)
    far: Integers = bases[squares.min(axis=1) >= max(at_least, 0.0) ** 2]
    return far


def _factorisations(rank: int, size: int) -> list[tuple[int, ...]]:
    """All ordered factorisations of a number into ``rank`` factors."""
    if rank == 1:
        return [(size,)]
    divisors = [n for n in range(1, size + 1) if size % n == 0]
    return [(n, *rest) for n in divisors for rest in _factorisations(rank - 1, size // n)]
