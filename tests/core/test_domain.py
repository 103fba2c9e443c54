"""Training atoms as points: the distance of the farthest atom of a frame."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial.distance import cdist

from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.descriptors import DescriptorSettings, atom_descriptors
from trainspot.predictions import domain
from trainspot.predictions.domain import TrainingAtoms

SETTINGS = DescriptorSettings()
CELL = bulk("MgO", "rocksalt", a=4.2, cubic=True).repeat((2, 1, 1))


def rattled(seed, atoms=CELL, amplitude=0.06):
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(0, amplitude, (len(atoms), 3))
    return Frame.from_atoms(moved)


def points(frames, species=("O", "Mg")):
    parts = list(atom_descriptors(Dataset.from_frames(frames), SETTINGS, species=species))
    return np.concatenate([p.numbers for p in parts]), np.concatenate([p.points for p in parts])


def test_atoms_are_unit_vectors_in_the_order_of_the_frames(monkeypatch):
    frames = [rattled(seed) for seed in range(3)] + [Frame.make([8], [[0.0, 0, 0]])]
    numbers, together = points(frames)
    assert numbers.tolist() == [z for frame in frames for z in frame.numbers]
    assert np.abs(np.linalg.norm(together, axis=1) - 1).max() < 1e-6
    monkeypatch.setattr("trainspot.descriptors._BATCH", 20)
    parts = list(atom_descriptors(Dataset.from_frames(frames), SETTINGS, species=["O", "Mg"]))
    assert len(parts) > 1
    assert np.array_equal(np.concatenate([p.points for p in parts]), together)
    assert np.concatenate([p.frame for p in parts]).tolist() == [0] * 16 + [1] * 16 + [2] * 16 + [3]
    assert np.concatenate([p.atom for p in parts]).tolist() == [*range(16)] * 3 + [0]


def test_species_that_do_not_occur_change_no_distance():
    frames = [rattled(0), rattled(1)]
    _, few = points(frames)
    _, many = points(frames, ("O", "Mg", "Si"))
    assert np.abs(cdist(few, few) - cdist(many, many)).max() < 1e-6


def test_the_farthest_atom_is_that_of_all_distances_to_atoms_of_its_element():
    training, frames = [rattled(seed) for seed in range(5)], [rattled(seed) for seed in (7, 8, 9)]
    atoms = TrainingAtoms.of(Dataset.from_frames(training), SETTINGS)
    distance, atom = atoms.farthest(Dataset.from_frames(frames))
    z, reference = points(training)
    for row, frame in enumerate(frames):
        numbers, mine = points([frame])
        apart = np.where(numbers[:, None] == z, cdist(mine, reference), np.inf).min(axis=1)
        assert distance[row] == pytest.approx(apart.max(), abs=1e-6)
        assert atom[row] == apart.argmax()


def test_one_displaced_atom_is_found_in_a_large_cell():
    crystal = CELL.repeat((1, 2, 2))
    training = Dataset.from_frames([rattled(seed, crystal) for seed in range(4)])
    moved = crystal.copy()
    moved.positions[11] += [0.9, 0.4, 0.0]
    atoms = TrainingAtoms.of(training, SETTINGS)
    usual, odd = atoms.farthest(Dataset.from_frames([rattled(9, crystal), rattled(9, moved)]))[0]
    assert odd > 2 * usual
    assert atoms.farthest(Dataset.from_frames([rattled(9, moved)])).atom[0] in (11, *_near(moved))


def _near(atoms):
    apart = atoms.get_distances(11, range(len(atoms)), mic=True)
    return np.flatnonzero(apart < 2.6).tolist()


def test_an_element_without_training_atoms_is_infinitely_far():
    atoms = TrainingAtoms.of(Dataset.from_frames([rattled(0)]), SETTINGS)
    other = CELL.copy()
    other.symbols[3] = "Ca"
    distance, atom = atoms.farthest(
        Dataset.from_frames([rattled(1), Frame.from_atoms(other), rattled(2)])
    )
    assert np.isinf(distance).tolist() == [False, True, False]
    assert atom[1] == 3
    nothing = TrainingAtoms.of(Dataset.from_frames([]), SETTINGS)
    assert np.isinf(nothing.farthest(Dataset.from_frames([rattled(1)])).distance).all()


def test_thinned_atoms_cover_all_training_atoms_in_any_order(monkeypatch):
    training = [rattled(seed) for seed in range(30)]
    frames = Dataset.from_frames([rattled(99), rattled(98)])
    full = TrainingAtoms.of(Dataset.from_frames(training), SETTINGS)
    monkeypatch.setattr(domain, "MOST_ATOMS", 40)
    monkeypatch.setattr("trainspot.descriptors._BATCH", 60)
    few = TrainingAtoms.of(Dataset.from_frames(training), SETTINGS)
    assert {z: len(kept) for z, kept in full.points.items()} == {8: 240, 12: 240}
    assert {z: len(kept) for z, kept in few.points.items()} == {8: 40, 12: 40}
    for z, kept in few.points.items():
        apart = cdist(full.points[z], kept).min(axis=1)
        spread = cdist(full.points[z], full.points[z][:40]).min(axis=1)
        assert apart.max() < spread.max()
    again = TrainingAtoms.of(Dataset.from_frames(training[::-1]), SETTINGS)
    assert all(np.array_equal(kept, few.points[z]) for z, kept in again.points.items())
    exact, near = full.farthest(frames).distance, few.farthest(frames).distance
    assert (near >= exact - 1e-6).all()
