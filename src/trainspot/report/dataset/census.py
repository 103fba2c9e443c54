"""Counting a dataset in one pass, in constant memory: ``take_census``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import atomic_masses, chemical_symbols
from ase.formula import Formula

from trainspot.augment.periodicity import REMEDY, WIDE, empty_space
from trainspot.augment.record import Fingerprint
from trainspot.common.properties import PROPERTIES
from trainspot.common.seeds import generator
from trainspot.common.text import counted
from trainspot.common.units import U_PER_A3_IN_G_PER_CM3
from trainspot.data.dataset import CHUNK
from trainspot.data.frames import SPLITS
from trainspot.plausibility.sizes import energies_of_atoms
from trainspot.report.dataset.bins import Histogram, Tally
from trainspot.report.dataset.distances import Distances

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from trainspot.augment.record import Record
    from trainspot.data.dataset import Dataset
    from trainspot.plausibility import Doubt

SAMPLE: Final = 5000
"""Frames whose distances are measured, where nobody says otherwise."""

EXAMPLES: Final = 4
"""Frames of each strategy that are drawn."""

NO_SPLIT: Final = "none"
_ALL_SPLITS: Final = (NO_SPLIT, *SPLITS)

_MOST_WORDS: Final = 5000  # different formulae, strategies or levels of theory
_MOST_DRAWN: Final = 16  # number of strategies with pictures of frames
_SMALLEST_FORCE: Final = 1e-6  # eV/Å; below it a force is zero by symmetry


@dataclass
class Census:
    """The counts of a dataset.

    Attributes:
        source: Name of the file.
        frames: Number of frames.
        atoms: Number of atoms in all frames.
        elements: Symbol → (atoms, frames with the element), by atomic number.
        formulae: Frames by chemical formula, up to the limit of a tally.
        periodicity: Frames by number of periodic directions.
        sizes: Number of atoms of each frame.
        volume: Volume of frames with three periodic directions, Å³ per atom.
        density: Density of the same frames, g/cm³.
        energy: Energy of labelled frames of more than one atom, eV/atom.
        cohesive: This energy minus the energies of the isolated atoms, if these are labelled.
        forces: log10 of the length of the force on an atom in eV/Å.
        still: Atoms whose force is zero.
        stress: Components of the stress, eV/Å³.
        labels: Frames with an energy, with forces, with a stress.
        theories: Labelled frames by level of theory.
        strategies: Strategy → split → frames.
        distances: See ``Distances``; of a sample if there are many frames.
        atom_energies: Level of theory → atomic number → energy of the isolated atom, eV.
        examples: Strategy → rows of frames to draw.
        fingerprint: Fingerprint of the frames, see ``Fingerprint``.
        record: Record of the augmentation that made the dataset, if there is one.
        remarks: Remarks for the reader, one sentence each.
        doubts: Values that may have other units than eV and Å, or different energy zeros.
        seed: Seed of all random numbers.
    """

    source: str
    seed: int = 0
    frames: int = 0
    atoms: int = 0
    elements: dict[str, tuple[int, int]] = field(default_factory=dict)
    formulae: Tally = field(default_factory=lambda: Tally(_MOST_WORDS))
    periodicity: dict[int, int] = field(default_factory=dict)
    sizes: Histogram = field(default_factory=lambda: Histogram(1.0))
    volume: Histogram = field(default_factory=lambda: Histogram(0.05))
    density: Histogram = field(default_factory=lambda: Histogram(0.01))
    energy: Histogram = field(default_factory=lambda: Histogram(1e-3))
    cohesive: Histogram = field(default_factory=lambda: Histogram(1e-3))
    forces: Histogram = field(default_factory=lambda: Histogram(1 / 64))
    still: int = 0
    stress: Histogram = field(default_factory=lambda: Histogram(1e-5))
    labels: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, PROPERTIES), 0))
    theories: Tally = field(default_factory=lambda: Tally(_MOST_WORDS))
    strategies: dict[str, dict[str, int]] = field(default_factory=dict)
    distances: Distances = field(default_factory=Distances)
    atom_energies: dict[str, dict[int, float]] = field(default_factory=dict)
    examples: dict[str, list[int]] = field(default_factory=dict)
    fingerprint: Fingerprint = field(default_factory=Fingerprint)
    record: Record | None = None
    remarks: list[str] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)

    @property
    def sampled(self) -> bool:
        """Whether distances were measured in a part of the frames."""
        return self.distances.frames < self.frames

    @property
    def energies(self) -> tuple[Histogram, bool]:
        """Energies per atom, and whether they are relative to the isolated atoms.

        They are relative if the isolated atoms of all elements of every labelled frame of more
        than one atom are labelled at the level of theory of the frame.
        """
        relative = 0 < self.energy.count == self.cohesive.count
        return (self.cohesive, True) if relative else (self.energy, False)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        energies, relative = self.energies
        return {
            "source": self.source,
            "frames": self.frames,
            "atoms": self.atoms,
            "elements": {
                symbol: {"atoms": atoms, "frames": frames}
                for symbol, (atoms, frames) in self.elements.items()
            },
            "formulae": self.formulae.counts(),
            "other_formulae": self.formulae.others,
            "periodic_directions": {str(k): n for k, n in sorted(self.periodicity.items())},
            "atoms_per_frame": self.sizes.to_dict(),
            "volume_per_atom": self.volume.to_dict(),
            "density": self.density.to_dict(),
            "labels": dict(self.labels),
            "theories": self.theories.counts(),
            "energy_per_atom": energies.to_dict() | {"relative_to_isolated_atoms": relative},
            "force": _of_logarithms(self.forces, self.still),
            "stress": self.stress.to_dict(),
            "isolated_atoms": {
                theory: {chemical_symbols[z]: energy for z, energy in sorted(by_element.items())}
                for theory, by_element in sorted(self.atom_energies.items())
            },
            "nearest_neighbours": self.distances.to_dict() | {"sampled": self.sampled},
            "strategies": {name: dict(splits) for name, splits in self.strategies.items()},
            "sets": {
                name: sum(splits.get(name, 0) for splits in self.strategies.values())
                for name in _ALL_SPLITS
            },
            "augmentation": self.record.to_dict() if self.record else None,
            "fingerprint": str(self.fingerprint),
            "remarks": list(self.remarks),
            "doubts": [doubt.to_dict() for doubt in self.doubts],
            "seed": self.seed,
        }


def take_census(
    dataset: Dataset,
    source: str,
    *,
    sample: int = SAMPLE,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Census:
    """Count a dataset; only a few hundred frames are in memory at a time.

    Args:
        dataset: In memory, or opened lazily.
        source: Name of the file, for the reader.
        sample: Largest number of frames whose distances are measured, drawn at random.
        seed: Seed of all random numbers.
        progress: Called with the number of frames that have been counted.
    """
    census = Census(source, seed)
    census.atom_energies = energies_of_atoms(dataset)
    chosen = _sampled(len(dataset), sample, seed)
    counters = _Elements(), _Examples(seed)
    start = wide = 0
    for chunk in dataset.chunks(CHUNK):
        _count_frames(census, chunk)
        for counter in counters:
            counter.add(chunk, start)
        stop = start + len(chunk)
        rows = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, stop)] - start
        measured = list(chunk.take(rows))
        census.distances.add(measured)
        wide += sum(empty_space(frame)[0] >= WIDE for frame in measured)
        start = stop
        if progress:
            progress(stop)
    if wide:
        census.remarks.append(
            f"{wide} of {counted(census.distances.frames, 'frame')} measured: {WIDE:g} Å or more "
            f"without atoms along a periodic direction; {REMEDY}."
        )
    elements, examples = counters
    census.elements, census.examples = elements.counts(), examples.rows()
    census.strategies = dict(
        sorted(census.strategies.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    )
    return census


def _sampled(frames: int, most: int, seed: int) -> NDArray[np.int64]:
    """Rows in ascending order; all rows if they are few enough."""
    if frames <= most:
        return np.arange(frames)
    rng = generator(seed, "inspect", "distances")
    return np.sort(rng.choice(frames, most, replace=False))


def _count_frames(census: Census, chunk: Dataset) -> None:
    """Count the data of each frame."""
    sizes, numbers = chunk.n_atoms, chunk.column("numbers").astype(np.int64)
    starts = chunk.column("offsets")[:-1]
    census.frames += len(chunk)
    census.atoms += len(numbers)
    census.fingerprint.add(chunk.ids)
    census.sizes.add(sizes)
    census.formulae.add(_formulae(numbers, sizes))
    directions, counts = np.unique(chunk.column("pbc").sum(axis=1), return_counts=True)
    for k, count in zip(directions.tolist(), counts.tolist(), strict=True):
        census.periodicity[k] = census.periodicity.get(k, 0) + count
    bulk = chunk.column("pbc").all(axis=1)
    volumes = np.abs(np.linalg.det(chunk.column("cell")[bulk]))
    masses = np.add.reduceat(atomic_masses[numbers], starts)
    census.volume.add(volumes / sizes[bulk])
    census.density.add(masses[bulk] / volumes * U_PER_A3_IN_G_PER_CM3)
    _count_labels(census, chunk)
    splits = chunk.column("split").tolist()
    for strategy, place in zip(chunk.column("strategy").tolist(), splits, strict=True):
        row = census.strategies.setdefault(strategy.decode(), {})
        name = _ALL_SPLITS[place]
        row[name] = row.get(name, 0) + 1


def _count_labels(census: Census, chunk: Dataset) -> None:
    masks = {name: chunk.column(f"has_{name}") for name in PROPERTIES}
    for name, mask in masks.items():
        census.labels[name] += int(mask.sum())
    any_label = np.any(list(masks.values()), axis=0)
    theories = [name.decode() for name in chunk.column("theory").tolist()]
    census.theories.add(theories[row] for row in np.flatnonzero(any_label))
    sizes, energies = chunk.n_atoms, chunk.column("energy")
    several = np.flatnonzero(masks["energy"] & (sizes > 1))
    census.energy.add(energies[several] / sizes[several])
    numbers, edges = chunk.column("numbers"), chunk.column("offsets")
    relative = []
    for row in several.tolist():
        atom_energies = census.atom_energies.get(theories[row], {})
        kinds, counts = np.unique(numbers[edges[row] : edges[row + 1]], return_counts=True)
        if all(z in atom_energies for z in kinds.tolist()):
            apart = sum(
                atom_energies[z] * n for z, n in zip(kinds.tolist(), counts.tolist(), strict=True)
            )
            relative.append((energies[row] - apart) / sizes[row])
    census.cohesive.add(relative)
    census.stress.add(chunk.column("stress")[masks["stress"]][:, *np.triu_indices(3)])
    with_forces = np.repeat(masks["forces"], sizes)
    lengths = np.linalg.norm(chunk.column("forces")[with_forces], axis=1)
    moving = lengths > _SMALLEST_FORCE
    census.still += int(np.count_nonzero(~moving))
    census.forces.add(np.log10(lengths[moving]))


def _formulae(numbers: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[str]:
    """Chemical formula of each frame, in the order of metals and Hill (``MoTe2``, ``C6H6``)."""
    start, formulae, by_counts = 0, [], dict[bytes, str]()
    for size in sizes.tolist():
        counts = np.bincount(numbers[start : start + size])
        key = counts.tobytes()
        if key not in by_counts:
            present = {chemical_symbols[z]: int(counts[z]) for z in np.flatnonzero(counts)}
            by_counts[key] = Formula.from_dict(present).format("metal")
        formulae.append(by_counts[key])
        start += size
    return formulae


def _of_logarithms(forces: Histogram, still: int) -> dict[str, Any]:
    """A histogram of log10 lengths, converted to eV/Å."""
    content = forces.to_dict() | {"zero": still}
    for name in ("least", "median", "largest"):
        if name in content:
            content[name] = 10.0 ** content[name]
    if "edges" in content:
        content["edges"] = [10.0**edge for edge in content["edges"]]
        del content["mean"]  # of the logarithms
    return content


class _Elements:
    """Atoms of each element, and frames that have any."""

    def __init__(self) -> None:
        self._atoms = np.zeros(len(chemical_symbols), dtype=np.int64)
        self._frames = np.zeros(len(chemical_symbols), dtype=np.int64)

    def add(self, chunk: Dataset, start: int) -> None:
        del start
        numbers = chunk.column("numbers").astype(np.int64)
        frame = np.repeat(np.arange(len(chunk)), chunk.n_atoms)
        self._atoms += np.bincount(numbers, minlength=len(chemical_symbols))
        present = np.unique(np.stack([frame, numbers]), axis=1)[1]
        self._frames += np.bincount(present, minlength=len(chemical_symbols))

    def counts(self) -> dict[str, tuple[int, int]]:
        return {
            chemical_symbols[z]: (int(self._atoms[z]), int(self._frames[z]))
            for z in np.flatnonzero(self._atoms).tolist()
        }


class _Examples:
    """A few rows of each strategy, each row equally likely (reservoir sampling)."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._rows: dict[str, list[int]] = {}
        self._met: dict[str, int] = {}
        self._rngs: dict[str, np.random.Generator] = {}

    def add(self, chunk: Dataset, start: int) -> None:
        for row, strategy in enumerate(chunk.column("strategy").tolist(), start=start):
            name = strategy.decode()
            if name not in self._rows:
                if len(self._rows) == _MOST_DRAWN:
                    continue
                self._rows[name], self._met[name] = [], 0
                self._rngs[name] = generator(self._seed, "inspect", "examples", name)
            self._met[name] += 1
            kept = self._rows[name]
            if len(kept) < EXAMPLES:
                kept.append(row)
            elif (place := int(self._rngs[name].integers(self._met[name]))) < EXAMPLES:
                kept[place] = row

    def rows(self) -> dict[str, list[int]]:
        return {name: sorted(rows) for name, rows in self._rows.items()}


def splits_of(strategies: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The splits that occur, in their order, ``none`` last."""
    return [name for name in (*SPLITS, NO_SPLIT) if any(name in row for row in strategies.values())]
