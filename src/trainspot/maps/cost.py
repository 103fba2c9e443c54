"""What the kinetic SOREP of frames costs, estimated before anything is spent.

The estimate rests on counts that need no neighbour list: wave vectors, orbitals, and pairs of atoms
and of orbitals within the reach of their integrals. Its constants were measured on one core of a
server, on rattled hydrogen, carbon, silicon and molybdenum of 8 to 144 atoms; there, and for
sheets, slabs and molecules, it is within a factor of two or so.
It is the same on every machine, so that what is drawn does not depend on how busy one is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import gamma

from trainspot.maps import sorep
from trainspot.maps.orbitals import integrals, outer_shells

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from trainspot.data.dataset import Dataset

    Floats = NDArray[np.float64]

_FRAME: Final = 3e-3  # CPU-seconds a frame,
_WAVE: Final = 3e-4  # a wave vector,
_PAIR: Final = 1.3e-6  # a pair of atoms within reach,
_BLOCK: Final = 1.7e-7  # a pair of their orbitals,
_PHASE: Final = 7e-9  # the same for every wave vector,
_CUBE: Final = 8e-10  # the cube of the number of orbitals for every wave vector,
_TABLE: Final = 0.15  # and a table of integrals between two elements


def tables(numbers: Iterable[int]) -> float:
    """CPU-seconds for the integrals between elements, given by atomic number, about."""
    return _TABLE * len(set(numbers)) ** 2


def frames(dataset: Dataset) -> Floats:
    """CPU-seconds for each frame, about, (N,); every element must have orbitals.

    Pairs are counted as in matter that is uniform along the periodic directions. Along others it
    counts as thin, which overestimates thick slabs.
    """
    numbers, counts = _composition(dataset)
    orbitals = counts * [sum(2 * shell.angular + 1 for shell in outer_shells(z)) for z in numbers]
    reach = np.array([integrals(z, z).cutoff for z in numbers])
    reach = (reach[:, None] + reach) / 2
    waves, neighbours = np.ones(len(dataset)), np.ones((len(dataset), *reach.shape))
    cells, pbc = dataset.column("cell"), dataset.column("pbc")
    for axes in np.unique(pbc, axis=0):
        rows = np.flatnonzero((pbc == axes).all(axis=1))
        rank = int(axes.sum())
        if rank:
            vectors = cells[rows][:, axes]
            waves[rows] = _waves(vectors)
            size = np.sqrt(np.linalg.det(vectors @ vectors.swapaxes(1, 2)))
            ball = np.pi ** (rank / 2) / gamma(rank / 2 + 1) * reach**rank
            neighbours[rows] = ball / size[:, None, None]
    pairs, blocks = (0.5 * np.einsum("na,nb,nab->n", n, n, neighbours) for n in (counts, orbitals))
    each = _WAVE + _PHASE * blocks + _CUBE * orbitals.sum(axis=1) ** 3.0
    return np.asarray(_FRAME + _PAIR * pairs + _BLOCK * blocks + waves * each)


def _waves(vectors: Floats) -> Floats:
    """Wave vectors of lattices (k, d, 3), of k and -k one: (k,)."""
    divisions = sorep.divisions(vectors, sorep.SPACING)[1]
    own = 2 - divisions % 2  # points along an axis that are their own mirror images
    return np.asarray((divisions.prod(axis=1, dtype=float) + own.prod(axis=1)) / 2)


def _composition(dataset: Dataset) -> tuple[list[int], Floats]:
    """Elements present, and the atoms of each in every frame, (N, elements)."""
    numbers = dataset.column("numbers")
    found, place = np.unique(numbers, return_inverse=True)
    counts = np.zeros((len(dataset), len(found)))
    np.add.at(counts, (np.repeat(np.arange(len(dataset)), dataset.n_atoms), place.ravel()), 1.0)
    return found.tolist(), counts
