"""The kinetic spectral operator representation (SOREP) of frames.

The descriptor of a frame is the density of states of the kinetic-energy operator in a basis of
atomic orbitals: a function of energy that needs no electronic structure calculation and does not
depend on order, position and orientation of the atoms. After A. Zadoks, A. Marrazzo and
N. Marzari, npj Computational Materials 10, 278 (2024), doi:10.1038/s41524-024-01446-9.

The descriptor works for any periodicity: phases run only along periodic vectors, so vacuum and box
size have no effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy.linalg import eigh, eigvalsh
from scipy.sparse import coo_matrix

from trainspot.common import processes
from trainspot.common.errors import MissingExtraError
from trainspot.common.plugins import extra_for
from trainspot.data.lattice import reduce_lattices
from trainspot.geometry import Pairs, pairs_within
from trainspot.maps.orbitals import Integrals, integrals, kinetic_energies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame

    Floats = NDArray[np.float64]
    Matrix = NDArray[np.float64] | NDArray[np.complex128]

WINDOW: Final = 180.0
"""eV; higher energies are core-like and depend little on the surroundings of an atom."""
WIDTH: Final = 3.0
"""eV; standard deviation of the Gaussian that broadens a level. Wide enough that cells of different
size of one crystal agree with a mesh that is affordable, see decision 0020."""
SPACING: Final = 0.35
"""1/Å; the mesh of wave vectors is at least as dense, 2π included."""
ENERGIES: Final[Floats] = np.arange(0.0, WINDOW + 0.5, 1.0)
"""eV; energies of the density of states, (181,)."""

_DEPENDENT: Final = 1e-4
"""Combinations of orbitals with a smaller eigenvalue of the overlap are left out. Only atoms that
nearly coincide have such combinations: twelve elements compressed by 20 % stay above 1e-2."""
_REAL: Final = 1e-9
_WORTH: Final = 16
"""Smallest number of frames for each process."""


class Levels(NamedTuple):
    """Kinetic energies of a frame.

    Attributes:
        energies: eV, (k,), of all wave vectors.
        weights: States per atom of each energy, (k,); the sum is the number of orbitals per atom,
            without linearly dependent ones.
    """

    energies: Floats
    weights: Floats


def describe(
    frames: Dataset, *, workers: int = 1, progress: Callable[[int], None] | None = None
) -> Floats:
    """The descriptors of frames.

    Args:
        frames: Any frames; cost grows with the third power of the number of atoms.
        workers: Number of processes; more than one needs a main module that can be imported,
            because processes are spawned.
        progress: Called repeatedly with the number of finished frames.

    Returns:
        Densities of states at ``ENERGIES``, states/eV/atom, (N, 181).

    Raises:
        MissingExtraError: PySCF is not installed.
        InputError: An element without a basis.
    """
    need()
    spectra = []
    for number, spectrum in enumerate(
        _spectra(frames, min(workers, len(frames) // _WORTH)), start=1
    ):
        spectra.append(spectrum)
        if progress is not None:
            progress(number)
    return np.array(spectra).reshape(len(frames), len(ENERGIES))


def need() -> None:
    """Import PySCF and threadpoolctl.

    Raises:
        MissingExtraError: A library is not installed.
    """
    try:
        import pyscf.gto  # noqa: F401
        import threadpoolctl  # noqa: F401
    except ModuleNotFoundError as error:
        if extra_for(error) != "map":
            raise
        name = "PySCF" if (error.name or "").startswith("pyscf") else error.name
        raise MissingExtraError(f"{name}, which the descriptor 'sorep' needs,", "map") from error


def _spectra(frames: Dataset, workers: int) -> Iterator[Floats]:
    if workers < 2:
        with _one_thread():
            yield from map(descriptor, frames)
        return
    with processes.pool(workers, _one_core) as pool:
        yield from pool.map(descriptor, frames, chunksize=4)


def _one_core() -> None:
    processes.keep_to_one_core()
    _one_thread()


def _one_thread() -> AbstractContextManager[Any]:
    """Limit BLAS to one thread: matrices are small, and waiting threads slow the others down.

    Two threads on two busy cores took 30 times as long for 64 atoms of silicon.
    """
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def descriptor(frame: Frame) -> Floats:
    """The density of states of one frame at ``ENERGIES``, states/eV/atom, (181,)."""
    energies, weights = levels(frame)
    near = energies < WINDOW + 6 * WIDTH
    distance = (ENERGIES[:, None] - energies[near]) / WIDTH
    gaussians = np.exp(-0.5 * distance**2) / (WIDTH * np.sqrt(2 * np.pi))
    return np.asarray(gaussians @ weights[near])


def levels(frame: Frame, spacing: float = SPACING) -> Levels:
    """The spectrum of the kinetic energy of a frame, T c = ε S c.

    The solution uses canonical orthogonalisation, which remains stable if close atoms have
    linearly dependent orbitals.

    Args:
        frame: Any periodicity.
        spacing: Largest distance of neighbouring wave vectors, 1/Å.
    """
    waves, shares = mesh(frame, spacing)
    assembly = _Assembly(frame)
    energies, weights = [], []
    for wave, share in zip(waves, shares, strict=True):
        eigenvalues = _solve(*assembly.matrices(wave))
        energies.append(eigenvalues)
        weights.append(np.full(len(eigenvalues), share / len(frame)))
    return Levels(np.concatenate(energies), np.concatenate(weights))


def mesh(frame: Frame, spacing: float = SPACING) -> tuple[Floats, Floats]:
    """A Γ-centred mesh of wave vectors along the reciprocal vectors of the reduced lattice.

    Only one of k and -k is kept, because their levels are equal.

    Args:
        frame: Any periodicity; only Γ for a frame without periodic directions.
        spacing: Largest distance of neighbours, 1/Å.

    Returns:
        Cartesian wave vectors, 1/Å, (k, 3), and weights, (k,), whose sum is 1.
    """
    vectors = frame.cell[frame.pbc]
    if not len(vectors):
        return np.zeros((1, 3)), np.ones(1)
    reciprocal, counts = (values[0] for values in divisions(vectors[None], spacing))
    grid = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1)
    points = grid.reshape(-1, len(counts))
    mirrored = -points % counts
    order = [int(np.ravel_multi_index(tuple(p), tuple(counts))) for p in mirrored]
    kept = [row for row, mirror in enumerate(order) if row <= mirror]
    shares = [1.0 if order[row] == row else 2.0 for row in kept]
    return (points[kept] / counts) @ reciprocal, np.array(shares) / len(points)


def divisions(vectors: Floats, spacing: float) -> tuple[Floats, NDArray[np.int64]]:
    """Numbers of mesh points along the reciprocal vectors of reduced lattices.

    Args:
        vectors: Periodic vectors of k lattices of one rank, Å, (k, d, 3).
        spacing: Largest distance of neighbours, 1/Å.

    Returns:
        Reciprocal vectors, 1/Å, (k, d, 3), and the points along each, (k, d).
    """
    reciprocal = 2 * np.pi * np.linalg.pinv(reduce_lattices(vectors)).swapaxes(1, 2)
    counts = np.ceil(np.linalg.norm(reciprocal, axis=2) / spacing - 1e-6)
    return np.asarray(reciprocal), counts.astype(np.int64).clip(1)


class _Assembly:
    """Overlap and kinetic energy of a frame: integrals once, phases for every wave vector.

    One row of ``parts`` is an element of a matrix, one column a lattice vector.

    Phases belong to lattice vectors, so that matrices are real if k and -k are equivalent, which
    is four times faster.
    """

    def __init__(self, frame: Frame) -> None:
        atoms = {int(z): kinetic_energies(int(z)) for z in np.unique(frame.numbers)}
        sizes = np.array([len(atoms[int(z)]) for z in frame.numbers])
        starts = np.concatenate([[0], np.cumsum(sizes)])
        self.size = int(starts[-1])
        self.onsite = np.concatenate([atoms[int(z)] for z in frame.numbers])
        tables = {(a, b): integrals(a, b) for a in atoms for b in atoms}
        pairs = pairs_within(frame, max(table.cutoff for table in tables.values()))
        parts = [_entries(frame, starts, pairs, *key, table) for key, table in tables.items()]
        places, overlap, kinetic, owner = (
            np.concatenate(values) for values in zip(*parts, strict=True)
        )
        sites = frame.positions
        shifts = pairs.vectors - (sites[pairs.second] - sites[pairs.first])
        # Pairs are many and lattice vectors few: only the phases of these depend on a wave vector.
        steps = np.rint(shifts @ np.linalg.pinv(frame.cell)).astype(np.int64)
        _, first, owned = np.unique(steps, axis=0, return_index=True, return_inverse=True)
        self.shifts = shifts[first]
        shape = (self.size**2, len(first))
        entries = (places, owned.ravel()[owner])
        self.parts = [coo_matrix((values, entries), shape).tocsr() for values in (overlap, kinetic)]

    def matrices(self, wave: Floats) -> tuple[Matrix, Matrix]:
        """Overlap and kinetic energy (eV) at a wave vector (1/Å)."""
        angles = self.shifts @ wave
        is_real = np.abs(np.sin(angles)).max(initial=0.0) < _REAL
        phases = np.cos(angles) if is_real else np.stack([np.cos(angles), np.sin(angles)], axis=1)
        matrices = []
        for part, diagonal in zip(self.parts, (1.0, self.onsite), strict=True):
            upper = part @ phases
            if not is_real:
                upper = upper.view(np.complex128)
            upper = upper.reshape(self.size, self.size)
            matrix = upper + upper.conj().T
            matrix[np.diag_indices(self.size)] += diagonal
            matrices.append(matrix)
        return matrices[0], matrices[1]


def _entries(
    frame: Frame, starts: NDArray[np.int64], pairs: Pairs, a: int, b: int, table: Integrals
) -> tuple[NDArray[np.int64], Floats, Floats, NDArray[np.int64]]:
    """Matrix elements of the pairs of two elements: position, overlap, kinetic, index of pair."""
    mine = np.flatnonzero(
        (frame.numbers[pairs.first] == a)
        & (frame.numbers[pairs.second] == b)
        & (pairs.distances < table.cutoff)
    )
    overlap, kinetic = table.blocks(pairs.vectors[mine])
    _, n, m = overlap.shape
    rows = starts[pairs.first[mine]][:, None, None] + np.arange(n)[:, None]
    columns = starts[pairs.second[mine]][:, None, None] + np.arange(m)
    return (
        (rows * starts[-1] + columns).ravel(),
        overlap.ravel(),
        kinetic.ravel(),
        np.repeat(mine, n * m),
    )


def _solve(overlap: Matrix, kinetic: Matrix) -> Floats:
    """The eigenvalues (eV) in the space where the overlap is well conditioned."""
    lowest = eigvalsh(overlap, subset_by_index=(0, 0), driver="evr", check_finite=False)[0]
    if lowest > _DEPENDENT:  # no combination is left out: eigenvectors are not needed
        return np.asarray(eigh(kinetic, overlap, eigvals_only=True, check_finite=False))
    values, vectors = eigh(overlap, driver="evd", check_finite=False)
    kept = values > _DEPENDENT
    orthonormal = vectors[:, kept] / np.sqrt(values[kept])
    reduced = orthonormal.conj().T @ kinetic @ orthonormal
    return np.asarray(eigvalsh(reduced, check_finite=False))
