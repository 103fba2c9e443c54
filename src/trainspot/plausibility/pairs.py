"""Pairs of similar frames: energy differences from forces and stress.

Along a path between two frames of the same atoms, dE = -Σ F·dr + V σ:dε, with dr at fixed strain.
Forces and stress are known at both ends of the path, so the trapezoidal rule gives ΔE with an error
of third order in the difference. If energies, forces and stress have inconsistent units, a slope
differs from 1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from trainspot.data.dataset import CHUNK, Dataset
from trainspot.data.lattice import full_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MAX_FRAMES: Final = 300
"""The most frames that are compared."""

_MAX_GROUPS: Final = 2000  # groups of frames with the same atoms
_PER_GROUP: Final = 40  # pairs of neighbours in the file from each group
_MAX_ATOMS: Final = 200_000
_MAX_STEP: Final = 1.0  # Å; for larger steps the trapezoidal rule is inaccurate
_MAX_STRAIN: Final = 0.25
_STILL: Final = 1e-6  # a smaller strain, or step in Å, is rounding
_NEIGHBOURS: Final = 8  # closest pairs of each frame


_Row = tuple[float, int, int, list[float]]
"""Distance, the indices of the two frames, and the values for ``Pairs``."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of frames; both frames of a pair are in one group.

    Attributes:
        energy: Difference of the energies in the file, (p,).
        work: The same from the forces, -Σ F·Δr, (p,).
        strain: The same from the stress, V σ:ε, (p,); NaN if unknown.
        virial: The same if the stress were a virial with the sign of a stress, (p,).
        step: Largest displacement of an atom, Å, (p,).
        bend: Difference between both ends of the path in work and strain, (p, 2).
        features: Differences of the cells' lengths, angles and volumes, (p, 9), for pairs without
            stress; the energy change with strain is nearly a linear function of them.
        frames: Numbers of the two frames, (p, 2).
        group: Number of the group, (p,).
        atoms: Atoms in each frame, (p,).
    """

    energy: Floats
    work: Floats
    strain: Floats
    virial: Floats
    step: Floats
    bend: Floats
    features: Floats
    frames: NDArray[np.int64]
    group: NDArray[np.int64]
    atoms: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.energy)

    def take(self, chosen: NDArray[np.bool_]) -> Pairs:
        """A selection of the pairs."""
        return Pairs(*(getattr(self, field.name)[chosen] for field in fields(self)))


def drawn(dataset: Dataset, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Rows of frames with the same atoms in the same order, in groups; a few hundred at most.

    Neighbours in the file are drawn together, because neighbours in a trajectory are similar.

    Args:
        dataset: Any dataset.
        rng: Generator for the draw.
    """
    groups: dict[bytes, _Group] = {}
    for row, key in _keys(dataset):
        if key not in groups:
            if len(groups) == _MAX_GROUPS:
                continue
            groups[key] = _Group()
        groups[key].add(row, rng)
    chosen: list[NDArray[np.int64]] = []
    frames = atoms = 0
    sizes = dataset.n_atoms
    for group in sorted(groups.values(), key=lambda group: -group.count):
        rows = np.unique(np.array(group.pairs, dtype=np.int64).ravel())
        if len(rows) < 2:
            continue
        frames, atoms = frames + len(rows), atoms + int(sizes[rows].sum())
        if chosen and (frames > MAX_FRAMES or atoms > _MAX_ATOMS):
            break
        chosen.append(rows)
    return chosen


def collected(dataset: Dataset, groups: list[NDArray[np.int64]]) -> Pairs:
    """The pairs of similar frames in each group."""
    parts = [_pairs_of(dataset.take(rows), rows, number) for number, rows in enumerate(groups)]
    parts = parts or [_table([], np.zeros(1, np.int64), 0, 0)]
    names = [field.name for field in fields(Pairs)]
    return Pairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class _Group:
    """Frames of the same atoms: their number, and some neighbour pairs (reservoir sampling)."""

    __slots__ = ("count", "last", "pairs")

    def __init__(self) -> None:
        self.count, self.last = 0, -1
        self.pairs: list[tuple[int, int]] = []

    def add(self, row: int, rng: np.random.Generator) -> None:
        if self.last >= 0:
            pair = (self.last, row)
            if len(self.pairs) < _PER_GROUP:
                self.pairs.append(pair)
            elif (place := int(rng.integers(self.count))) < _PER_GROUP:
                self.pairs[place] = pair
        self.count, self.last = self.count + 1, row


def _keys(dataset: Dataset) -> Iterator[tuple[int, bytes]]:
    """Rows with an energy and forces or a stress, and a key that comparable frames share."""
    columns = dataset.columns
    for start in range(0, len(dataset), CHUNK):
        rows = slice(start, min(start + CHUNK, len(dataset)))
        edges = np.asarray(columns["offsets"][start : rows.stop + 1])
        numbers = np.asarray(columns["numbers"][edges[0] : edges[-1]])
        theory, pbc = np.asarray(columns["theory"][rows]), np.asarray(columns["pbc"][rows])
        comparable = np.asarray(columns["has_forces"][rows]) | np.asarray(
            columns["has_stress"][rows]
        )
        comparable &= np.asarray(columns["has_energy"][rows]) & (
            (np.diff(edges) > 1) | pbc.any(axis=1)
        )
        for k in np.flatnonzero(comparable).tolist():
            atoms = numbers[edges[k] - edges[0] : edges[k + 1] - edges[0]].tobytes()
            yield start + k, b"\0".join((bytes(theory[k]), pbc[k].tobytes(), atoms))


@dataclass(frozen=True, eq=False)
class _Frames:
    """The frames of a group, m of n atoms, in working cells (see ``_working``)."""

    cells: Floats
    places: Floats  # in units of the working cell
    forces: Floats
    stress: Floats
    volumes: Floats
    energies: Floats
    features: Floats  # see ``Pairs``
    has_forces: NDArray[np.bool_]
    has_stress: NDArray[np.bool_]
    pbc: NDArray[np.bool_]


def _pairs_of(group: Dataset, names: NDArray[np.int64], number: int) -> Pairs:
    members = _frames(group)
    compared = (_compared(members, i, j) for i, j in combinations(range(len(group)), 2))
    used, closest = np.zeros(len(group), dtype=np.int64), []
    for row in sorted(filter(None, compared), key=lambda row: row[0]):
        _, i, j, _ = row
        if min(used[i], used[j]) < _NEIGHBOURS:
            used[[i, j]] += 1
            closest.append(row)
    return _table(closest, names, number, int(group.n_atoms[0]))


def _table(rows: list[_Row], names: NDArray[np.int64], number: int, atoms: int) -> Pairs:
    values = np.array([row[3] for row in rows], dtype=np.float64).reshape(-1, 16)
    ends = names[np.array([row[1:3] for row in rows], dtype=np.int64).reshape(-1, 2)]
    energy, work, strain, virial, step = values[:, :5].T
    same = np.full((2, len(rows)), [[number], [atoms]], dtype=np.int64)
    return Pairs(
        energy, work, strain, virial, step, values[:, 5:7], values[:, 7:], ends, same[0], same[1]
    )


def _frames(group: Dataset) -> _Frames:
    m, n = len(group), int(group.n_atoms[0])
    pbc = group.column("pbc")[0]
    cells = np.stack([_working(cell, pbc) for cell in group.column("cell")])
    positions = group.column("positions").reshape(m, n, 3)
    return _Frames(
        cells,
        np.linalg.solve(cells.transpose(0, 2, 1)[:, None], positions[..., None])[..., 0],
        group.column("forces").reshape(m, n, 3),
        group.column("stress"),
        np.abs(np.linalg.det(group.column("cell"))),
        group.column("energy"),
        _features(cells),
        group.column("has_forces"),
        group.column("has_stress"),
        pbc,
    )


def _working(cell: Floats, pbc: NDArray[np.bool_]) -> Floats:
    """The periodic vectors, and unit vectors perpendicular to them: vacuum has no strain."""
    return full_cell(np.where(pbc[:, None], cell, 0.0), pbc)


def _compared(members: _Frames, i: int, j: int) -> _Row | None:
    """A row of the table for two frames, with their distance; ``None`` if too far apart."""
    step = members.places[j] - members.places[i]
    step -= np.where(members.pbc, np.rint(step), 0.0)
    step -= step.mean(axis=0)
    here, there = members.cells[i], members.cells[j]
    if not members.pbc.any():  # a molecule may have turned
        before = members.places[i] - members.places[i].mean(axis=0)
        turn = _turn(before.T @ (before + step))
        step = (before + step) @ turn.T - before
    else:
        turn = _turn(np.linalg.solve(here, there))
        there = there @ turn.T
    first, last = np.linalg.solve(here, there - here), np.linalg.solve(there, there - here)
    strain = float(np.abs(first + first.T).max()) / 2
    far = float(np.sqrt(np.square(step @ here).sum(axis=1).max()))
    if far > _MAX_STEP or strain > _MAX_STRAIN:
        return None
    if far > _STILL and not (members.has_forces[i] and members.has_forces[j]):
        return None
    works = [
        -float((members.forces[i] * (step @ here)).sum()),
        -float((members.forces[j] @ turn.T * (step @ there)).sum()),
    ]
    ends = [
        float(np.trace(members.stress[i] @ first)),
        float(np.trace(turn @ members.stress[j] @ turn.T @ last)),
    ]
    pressed = [members.volumes[i] * ends[0], members.volumes[j] * ends[1]]
    has_strain_work = strain < _STILL or (members.has_stress[i] and members.has_stress[j])
    values = [
        float(members.energies[j] - members.energies[i]),
        sum(works) / 2,
        sum(pressed) / 2 if has_strain_work else np.nan,
        sum(ends) / 2,
        far,
        abs(works[1] - works[0]),
        abs(pressed[1] - pressed[0]),
        *(members.features[j] - members.features[i]).tolist(),
    ]
    return far + 4 * strain, i, j, values


def _turn(matrix: Floats) -> Floats:
    """The rotation in a deformation of row vectors (polar decomposition)."""
    left, _, right = np.linalg.svd(matrix)
    if np.linalg.det(left @ right) < 0:
        left[:, -1] *= -1.0
    turn: Floats = left @ right
    return turn


def _features(cells: Floats) -> Floats:
    """Lengths, angles and powers of the volume of working cells, (m, 9)."""
    metric = (cells @ cells.transpose(0, 2, 1))[:, *np.triu_indices(3)]
    volume = np.abs(np.linalg.det(cells))[:, None]
    return np.concatenate([metric, volume ** np.array([1.0, 2.0, 3.0])], axis=1)
