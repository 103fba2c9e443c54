"""The structures that a committee was trained on, as points in descriptor space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from trainspot.common.errors import MissingExtraError
from trainspot.data.dataset import Dataset
from trainspot.descriptors import (
    EXTRA,
    DescriptorSettings,
    atom_descriptors,
    descriptors,
    nearest,
)
from trainspot.predictions.statistics import Array

Points = NDArray[np.float32]

DIMENSIONS: Final = ("0D", "1D", "2D", "3D")
"""Names of the numbers of periodic directions: clusters, wires, slabs, crystals."""

MOST_ATOMS: Final = 2000
"""Most training atoms of an element that distances are measured to."""

MOST_FRAMES: Final = 2000
"""Most training frames that a ``Domain`` keeps."""

_BUFFER: Final = 4  # times MOST_ATOMS: atoms in memory before they are thinned


def dimensions(frames: Dataset) -> NDArray[np.int64]:
    """The number of periodic directions of each frame, (N,); an index of ``DIMENSIONS``."""
    return np.asarray(frames.column("pbc").sum(axis=1), dtype=np.int64)


def limits(thresholds: Mapping[str, float], frames: Dataset) -> Array:
    """The threshold of each frame, (N,), from those by dimension; infinite without a threshold."""
    by_dimension = [thresholds.get(name, np.inf) for name in DIMENSIONS]
    return np.asarray(np.array(by_dimension)[dimensions(frames)])


class Farthest(NamedTuple):
    """The atom of each frame that is farthest from the training atoms.

    Attributes:
        distance: Distance of this atom to the nearest training atom of its element, (N,); infinite
            without training atoms of this element.
        atom: Its index in its frame, (N,).
    """

    distance: Array
    atom: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TrainingAtoms:
    """The training atoms of each element, thinned.

    Attributes:
        species: Chemical symbols that the points know, in the order of atomic numbers.
        settings: Settings of the descriptor.
        points: For each atomic number the descriptors of its atoms, (k, D); at most
            ``MOST_ATOMS``.
    """

    species: tuple[str, ...]
    settings: DescriptorSettings
    points: Mapping[int, Points]

    @classmethod
    def of(cls, training: Dataset, settings: DescriptorSettings) -> TrainingAtoms:
        """The atoms of some frames; the order of the frames has no effect.

        Beyond ``MOST_ATOMS`` of an element, farthest-point sampling keeps those that cover the
        others best (Y. Eldar et al., IEEE Trans. Image Process. 6, 1305, 1997).

        Raises:
            MissingExtraError: featomic or fpsample is not installed.
        """
        numbers = sorted({int(z) for z in training.column("numbers")})
        species = tuple(chemical_symbols[z] for z in numbers)
        covers = {z: _Cover() for z in numbers}
        ordered = training.select(sorted(set(training.ids)))
        for atoms in atom_descriptors(ordered, settings, species=species):
            for z in np.unique(atoms.numbers).tolist():
                covers[z].add(atoms.points[atoms.numbers == z].astype(np.float32))
        return cls(species, settings, {z: cover.result() for z, cover in covers.items()})

    def farthest(self, frames: Dataset) -> Farthest:
        """The atom of each frame that is farthest from the training atoms of its element.

        Args:
            frames: N frames, of any elements.

        Raises:
            MissingExtraError: featomic is not installed.
        """
        distance = np.zeros(len(frames))
        atom = np.zeros(len(frames), dtype=np.int64)
        foreign = np.array([self._foreign(numbers) for numbers in _numbers(frames)], dtype=np.int64)
        distance[foreign >= 0], atom[foreign >= 0] = np.inf, foreign[foreign >= 0]
        rows = np.flatnonzero(foreign < 0)
        for atoms in atom_descriptors(frames.take(rows), self.settings, species=self.species):
            away = self._away(atoms.numbers, atoms.points)
            order = np.lexsort((-atoms.atom, away, atoms.frame))  # the last of each frame counts
            last = order[np.append(np.diff(atoms.frame[order]) > 0, True)]
            distance[rows[atoms.frame[last]]] = away[last]
            atom[rows[atoms.frame[last]]] = atoms.atom[last]
        return Farthest(distance, atom)

    def _foreign(self, numbers: NDArray[np.int64]) -> int:
        """Index of the first atom of an element without training atoms, else -1."""
        return next((k for k, z in enumerate(numbers.tolist()) if z not in self.points), -1)

    def _away(self, numbers: NDArray[np.int64], points: Array) -> Array:
        """Distance of each atom to the nearest training atom of its element, (a,)."""
        away = np.zeros(len(numbers))
        for z in np.unique(numbers).tolist():
            mine = numbers == z
            exact = points[mine].astype(np.float32).astype(np.float64)
            away[mine] = nearest(exact, self.points[z].astype(np.float64))[0]
        return away


@dataclass(frozen=True, eq=False)
class Domain:
    """The training frames in descriptor space, and the distances beyond which a frame is outside.

    An exported committee has its domain, so that novelty is judged in production as the campaign
    judged it.

    Attributes:
        species: Chemical symbols of the training frames, in the order of atomic numbers.
        settings: Settings of the descriptors.
        thresholds: For each of ``DIMENSIONS`` the distance to the nearest training frame beyond
            which a frame is outside; empty: whole frames are not compared.
        atom_thresholds: The same for atoms and the training atoms of their element.
        frames: Descriptors of the training frames, (m, D), if frames are compared.
        atoms: The training atoms, if atoms are compared.
    """

    species: tuple[str, ...]
    settings: DescriptorSettings
    thresholds: Mapping[str, float]
    atom_thresholds: Mapping[str, float]
    frames: Points | None
    atoms: TrainingAtoms | None

    @classmethod
    def of(
        cls,
        training: Dataset,
        settings: DescriptorSettings,
        thresholds: Mapping[str, float],
        atom_thresholds: Mapping[str, float],
    ) -> Domain:
        """The domain of a committee that was trained on some frames.

        Beyond ``MOST_FRAMES`` farthest-point sampling keeps the frames that cover the others best.

        Raises:
            MissingExtraError: featomic or fpsample is not installed.
        """
        ordered = training.select(sorted(set(training.ids)))
        frames = atoms = None
        if thresholds:
            frames = descriptors(ordered, settings).astype(np.float32)
            if len(frames) > MOST_FRAMES:
                frames = frames[_sample(frames, MOST_FRAMES)]
        if atom_thresholds:
            atoms = TrainingAtoms.of(training, settings)
        species = tuple(chemical_symbols[z] for z in np.unique(training.column("numbers")))
        return cls(species, settings, dict(thresholds), dict(atom_thresholds), frames, atoms)

    def novelty(self, frames: Dataset) -> Array:
        """The larger ratio of distance to threshold, (N,): above 1 a frame is outside.

        Infinite for a frame with an element that no training frame has.

        Raises:
            MissingExtraError: featomic is not installed.
        """
        ratios = [np.zeros(len(frames))]
        if self.frames is not None:
            ratios.append(self._frame_distances(frames) / limits(self.thresholds, frames))
        if self.atoms is not None:
            distances = self.atoms.farthest(frames).distance
            ratios.append(distances / limits(self.atom_thresholds, frames))
        return np.asarray(np.max(ratios, axis=0))

    def _frame_distances(self, frames: Dataset) -> Array:
        assert self.frames is not None
        known = {atomic_numbers[symbol] for symbol in self.species}
        inside = np.array([known >= set(numbers.tolist()) for numbers in _numbers(frames)], bool)
        points = descriptors(frames.take(inside), self.settings, species=self.species)
        distance = np.full(len(frames), np.inf)
        distance[inside] = nearest(points, self.frames.astype(np.float64))[0]
        return distance


def _numbers(frames: Dataset) -> Iterator[NDArray[np.int64]]:
    edges = np.concatenate([[0], np.cumsum(frames.n_atoms)])
    numbers = frames.column("numbers")
    return (numbers[a:b] for a, b in pairwise(edges.tolist()))


class _Cover:
    """Points that cover all points that were added, in bounded memory."""

    def __init__(self) -> None:
        self._parts: list[Points] = []
        self._size = 0
        self._near = 0.0  # points closer than this to a kept point are left out

    def add(self, points: Points) -> None:
        if self._near > 0.0:
            kept = self._parts[0]
            away = nearest(points.astype(np.float64), kept.astype(np.float64))[0]
            points = points[away > self._near]
        self._parts.append(points)
        self._size += len(points)
        if self._size > _BUFFER * MOST_ATOMS:
            self._thin()

    def result(self) -> Points:
        self._thin()
        return self._parts[0]

    def _thin(self) -> None:
        points = np.unique(np.concatenate(self._parts), axis=0)
        if len(points) > MOST_ATOMS:
            kept = points[_sample(points, MOST_ATOMS)]
            away = nearest(points.astype(np.float64), kept.astype(np.float64))[0]
            self._near = float(away.max()) / 2.0
            points = kept
        self._parts, self._size = [points], len(points)


def _sample(points: Points, n: int) -> NDArray[np.int64]:
    """Rows of the farthest points, beginning with the first."""
    try:
        import fpsample
    except ModuleNotFoundError as error:
        raise MissingExtraError("the descriptor of atoms", EXTRA) from error
    return np.asarray(fpsample.fps_sampling(points, n, start_idx=0), dtype=np.int64)
