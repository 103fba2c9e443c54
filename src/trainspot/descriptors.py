"""Descriptors of frames and of atoms: the similarity of structures of any orientation and size.

The descriptor of a frame is the mean and the standard deviation of the SOAP power spectra of its
atoms. Both are invariant under rotations, translations, repetitions and permutations of atoms. The
mean alone hides changes of a few atoms. The descriptor of an atom is the direction of its spectrum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from pydantic import BaseModel, ConfigDict, Field

from trainspot.common.elements import check_known
from trainspot.common.errors import MissingExtraError
from trainspot.common.seeds import generator
from trainspot.data import lattice
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EXTRA: Final = "descriptors"
"""The extra that installs the library."""

MAX_EXACT: Final = 2048
"""Most columns of an atom's spectrum that are used directly; wider spectra are hashed."""

_HASHED: Final = 512
_BATCH: Final = 4096  # atoms in memory at a time
_DECIMALS: Final = 7  # below, machines and orders of summation differ
_ROWS: Final = 1024  # of a matrix of distances in memory at a time


class DescriptorSettings(BaseModel):
    """The descriptor of frames: SOAP power spectra, averaged over atoms."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cutoff: float = Field(5.0, gt=0.5, le=12.0, description="cutoff radius of the neighbours, Å")
    width: float = Field(0.5, gt=0.05, le=2.0, description="width of the Gaussian at each atom, Å")
    max_radial: int = Field(3, ge=1, le=12, description="highest radial basis function")
    max_angular: int = Field(3, ge=0, le=9, description="highest angular momentum")

    @property
    def block(self) -> int:
        """Columns of one pair of neighbour species."""
        return (self.max_radial + 1) ** 2 * (self.max_angular + 1)


def require() -> None:
    """Refuse to start work that needs descriptors if their library is missing.

    Raises:
        MissingExtraError: Contains the pip line that installs it.
    """
    if find_spec("featomic") is None or find_spec("fpsample") is None:
        raise MissingExtraError("the descriptor of frames", EXTRA)


def descriptors(
    dataset: Dataset,
    settings: DescriptorSettings | None = None,
    *,
    species: Sequence[str] | None = None,
) -> Floats:
    """One vector per frame; the Euclidean distance of two vectors measures their difference.

    With x_i the SOAP power spectrum of atom i (A. P. Bartók et al., Phys. Rev. B 87, 184115,
    2013) and v = (mean of x_i, standard deviation of x_i) over the atoms of a frame, a row is
    (v/‖v‖, ln ‖v‖). A small distance is thus the relative change of v: dimensionless, and
    comparable for dense and dilute structures. Vectors of two calls are comparable if settings and
    species are the same.

    This function is stable: its arguments and the meaning of its rows will not change.

    Args:
        dataset: N frames of any periodicity; labels have no effect.
        settings: Cutoff and basis; by default those of ``DescriptorSettings``.
        species: Chemical symbols with columns of their own; by default those of the dataset.
            With more than ``MAX_EXACT`` columns, from four species on, spectra are hashed to 512
            (K. Weinberger et al., ICML 2009): distances keep their proportions to some per cent.

    Returns:
        (N, D), rounded to 1e-7, so that machines agree.

    Raises:
        MissingExtraError: featomic is not installed.
        InputError: A frame holds a species that ``species`` lacks.
    """
    using = settings or DescriptorSettings()
    columns = _Columns(_numbers(dataset, species), using)
    vectors = np.zeros((len(dataset), 2 * columns.width + 1))
    row = 0
    for _, atoms in _spectra(dataset, columns):
        for x in atoms:
            vectors[row, :-1] = np.concatenate([x.mean(axis=0), x.std(axis=0)])
            row += 1
    norm = np.sqrt(np.square(vectors[:, :-1]).sum(axis=1))
    vectors[:, :-1] /= norm[:, None]
    vectors[:, -1] = np.log(norm)
    return np.round(vectors, _DECIMALS)


class AtomPoints(NamedTuple):
    """Descriptors of the atoms of some consecutive frames.

    Attributes:
        frame: Row of the frame of each atom in its dataset, (a,), ascending.
        atom: Index of each atom in its frame, (a,).
        numbers: Atomic numbers, (a,).
        points: Descriptors, (a, D).
    """

    frame: NDArray[np.int64]
    atom: NDArray[np.int64]
    numbers: NDArray[np.int64]
    points: Floats


def atom_descriptors(
    dataset: Dataset,
    settings: DescriptorSettings | None = None,
    *,
    species: Sequence[str] | None = None,
) -> Iterator[AtomPoints]:
    """One unit vector per atom; distances compare atoms of the same element.

    The vector is x/‖x‖ with x the SOAP power spectrum of the atom. Its columns are the pairs of
    neighbour species, without the species of the atom, so distances between atoms of different
    elements mean nothing. The length of x is left out: it grows with the density, which changes the
    direction too (measured in decision 0067).

    Args:
        dataset: Frames of any periodicity; labels have no effect.
        settings: As for ``descriptors``.
        species: As for ``descriptors``. With more than ``MAX_EXACT`` columns, from eight species
            on, spectra are hashed.

    Yields:
        The atoms of some frames at a time, all frames in order, rounded to 1e-7; about 4096 atoms
        are in memory.

    Raises:
        MissingExtraError: featomic is not installed.
        InputError: A frame holds a species that ``species`` lacks.
    """
    using = settings or DescriptorSettings()
    columns = _Columns(_numbers(dataset, species), using, by_centre=False)
    row = 0
    for batch, atoms in _spectra(dataset, columns):
        sizes = [len(frame) for frame in batch]
        vectors = np.concatenate(atoms)
        vectors /= np.sqrt(np.square(vectors).sum(axis=1))[:, None]
        yield AtomPoints(
            np.repeat(np.arange(row, row + len(batch)), sizes),
            np.concatenate([np.arange(size) for size in sizes]),
            np.concatenate([frame.numbers for frame in batch]).astype(np.int64),
            np.round(vectors, _DECIMALS),
        )
        row += len(batch)


def nearest(points: Floats, others: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Distance to the nearest of the other points, and its row; the first of equal distances.

    Args:
        points: (n, D).
        others: (m, D).

    Returns:
        Distances (n,), infinite if m = 0, and rows (n,), -1 if m = 0.
    """
    if not len(others):
        return np.full(len(points), np.inf), np.full(len(points), -1)
    rows = np.zeros(len(points), dtype=np.int64)
    squares = np.square(others).sum(axis=1)
    for start in range(0, len(points), _ROWS):
        block = points[start : start + _ROWS]
        # |a - b|² up to a constant of each row: one matrix product instead of n·m·D subtractions.
        rows[start : start + _ROWS] = np.round(squares - 2.0 * block @ others.T, 12).argmin(axis=1)
    return np.sqrt(np.square(points - others[rows]).sum(axis=1)), rows


def _spectrum(settings: DescriptorSettings) -> Any:
    try:
        import featomic  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("the descriptor of frames", EXTRA) from error
    return _soap(settings)


@cache
def _soap(settings: DescriptorSettings) -> Any:
    """The calculator of spectra; making one takes as long as its use for a hundred atoms."""
    from featomic import SoapPowerSpectrum

    radial = {"type": "Gto", "max_radial": settings.max_radial}
    smoothing = {"type": "ShiftedCosine", "width": 0.5}
    return SoapPowerSpectrum(
        cutoff={"radius": settings.cutoff, "smoothing": smoothing},
        density={"type": "Gaussian", "width": settings.width},
        basis={"type": "TensorProduct", "max_angular": settings.max_angular, "radial": radial},
    )


def _numbers(dataset: Dataset, species: Sequence[str] | None) -> list[int]:
    """Atomic numbers of the species, in order.

    Raises:
        InputError: A frame holds another species.
    """
    numbers = sorted(atomic_numbers[s] for s in (dataset.species if species is None else species))
    present = np.unique(dataset.column("numbers"))
    check_known(present, numbers, who="the descriptor", remedy="name all elements in 'species'")
    return numbers


def _spectra(dataset: Dataset, columns: _Columns) -> Iterator[tuple[list[Frame], list[Floats]]]:
    """Some frames at a time, with the spectra of the atoms of each, (n, width)."""
    spectrum = _spectrum(columns.settings)
    for batch in _batches(dataset):
        systems = [_boxed(frame, columns.settings.cutoff) for frame in batch]
        yield batch, columns.fill(spectrum.compute(systems), [len(frame) for frame in batch])


def _batches(dataset: Dataset) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    for frame in dataset:
        if batch and sum(map(len, batch)) + len(frame) > _BATCH:
            yield batch
            batch = []
        batch.append(frame)
    if batch:
        yield batch


def _boxed(frame: Frame, cutoff: float) -> Atoms:
    """The frame as input of featomic: periodic along all axes, images beyond the cutoff.

    Vectors without periodicity become normals of the two others, so long that no atom has images
    along them within the cutoff.
    """
    cell = lattice.full_cell(frame.cell, frame.pbc)
    for axis in np.flatnonzero(~frame.pbc):
        normal = lattice.normals(cell)[axis]
        normal = normal / lattice.lengths(normal)
        extent = float(np.ptp(frame.positions @ normal))
        cell[axis] = normal * (extent + cutoff + 1.0)
    return Atoms(frame.numbers, frame.positions, cell=cell, pbc=True)


class _Columns:
    """The columns of each block of featomic's result in the spectrum of an atom.

    ``by_centre``: Atoms of each element have columns of their own; else all atoms share columns.
    """

    def __init__(
        self, numbers: list[int], settings: DescriptorSettings, *, by_centre: bool = True
    ) -> None:
        self.settings = settings
        block = settings.block
        pairs = [(a, b) for i, a in enumerate(numbers) for b in numbers[i:]]
        keys: list[tuple[int, ...]] = [*pairs]
        if by_centre:
            keys = [(centre, *pair) for centre in numbers for pair in pairs]
        self._start = {key: i * block for i, key in enumerate(keys)}
        self._skipped = 0 if by_centre else 1
        self._block = block
        self._sorted: dict[tuple[int, ...], Any] = {}
        self._is_exact = len(keys) * block <= MAX_EXACT
        self.width = len(keys) * block if self._is_exact else _HASHED

    def fill(self, blocks: Any, sizes: list[int]) -> list[Floats]:
        """The spectra of the atoms of each frame, (n, width) each."""
        edges = np.concatenate([[0], np.cumsum(sizes)])
        spectra = np.zeros((int(edges[-1]), self.width))
        for key, block in blocks.items():
            samples = np.asarray(block.samples.values)
            rows = edges[samples[:, 0]] + samples[:, 1]
            columns = tuple(int(z) for z in key.values)[self._skipped :]
            self._add(spectra, rows, columns, np.asarray(block.values))
        return np.split(spectra, edges[1:-1])

    def _add(
        self, spectra: Floats, rows: NDArray[np.int64], key: tuple[int, ...], values: Floats
    ) -> None:
        if self._is_exact:
            start = self._start[key]
            spectra[rows, start : start + self._block] = values
            return
        # In scipy only the left factor of a product can be sparse.
        spectra[rows] += (self._sorting(key) @ values.T).T

    def _sorting(self, key: tuple[int, ...]) -> Any:
        """Maps each column, with a random sign, to a random column; depends on the key only."""
        from scipy.sparse import csr_array

        if key not in self._sorted:
            rng = generator(0, "descriptors", *key)
            target = rng.integers(self.width, size=self._block)
            signs = 2.0 * rng.integers(2, size=self._block) - 1.0
            shape = (self.width, self._block)
            self._sorted[key] = csr_array((signs, (target, np.arange(self._block))), shape=shape)
        return self._sorted[key]
