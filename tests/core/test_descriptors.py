"""Descriptors of frames: what they are blind to, what they see, and how they fail."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from trainspot import descriptors as module
from trainspot.common.errors import InputError, MissingExtraError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.descriptors import DescriptorSettings, descriptors, nearest, require

SEEDS = st.integers(0, 10**6)
PERIODICITIES = st.sampled_from([(1, 1, 1), (1, 1, 0), (0, 1, 0), (0, 0, 0)])


def make(seed, pbc=(1, 1, 1), n=6, numbers=(14, 8)):
    """A few atoms on a jittered grid in a skewed cell."""
    rng = np.random.default_rng(seed)
    grid = np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(2)])[:n]
    cell = np.diag([5.2, 5.6, 6.0]) + rng.uniform(-0.6, 0.6, (3, 3))
    scaled = (grid + rng.uniform(-0.12, 0.12, (n, 3)) + 0.25) / 2
    return Frame.make(rng.choice(numbers, n), scaled @ cell, cell, np.array(pbc, dtype=bool))


def of(*frames, **options):
    return descriptors(Dataset.from_frames(frames), **options)


@given(seed=SEEDS, pbc=PERIODICITIES)
def test_blind_to_rotation_translation_and_order(seed, pbc):
    frame, rng = make(seed, pbc), np.random.default_rng(seed)
    turn = Rotation.random(random_state=seed).as_matrix()
    order = rng.permutation(len(frame))
    moved = (frame.positions @ turn.T + rng.uniform(-9, 9, 3))[order]
    other = Frame.make(frame.numbers[order], moved, frame.cell @ turn.T, frame.pbc)
    first, second = of(frame, other)
    assert np.abs(first - second).max() < 1e-6


@given(seed=SEEDS, pbc=PERIODICITIES, axis=st.integers(0, 2))
def test_blind_to_repetition_along_periodic_axes(seed, pbc, axis):
    frame = make(seed, pbc)
    times = np.ones(3, dtype=int)
    times[axis] += pbc[axis]
    first, second = of(frame, Frame.from_atoms(frame.to_atoms().repeat(times)))
    assert np.abs(first - second).max() < 1e-6


@given(seed=SEEDS, pbc=PERIODICITIES)
def test_vacuum_is_what_separates_images_along_open_axes(seed, pbc):
    """An open axis is the limit of a wide periodic one, whatever cell vector is written there."""
    frame = make(seed, pbc)
    wide = frame.cell.copy()
    for axis in np.flatnonzero(~frame.pbc):
        wide[axis] *= 6.0
    box = Frame.make(frame.numbers, frame.positions, wide, True)
    bare = Frame.make(frame.numbers, frame.positions, frame.cell * frame.pbc[:, None], frame.pbc)
    first, second, third = of(frame, box, bare)
    assert np.abs(first - second).max() < 1e-6
    assert np.abs(first - third).max() < 1e-6


def test_sees_species_strain_displacement_and_a_single_odd_atom():
    silicon = bulk("Si", cubic=True).repeat(2)
    carbon, strained, rattled, hole = (silicon.copy() for _ in range(4))
    carbon.symbols[0] = "C"
    strained.set_cell(silicon.cell * 1.02, scale_atoms=True)
    rattled.rattle(0.05, seed=1)
    del hole[0]
    frames = [Frame.from_atoms(a) for a in (silicon, carbon, strained, rattled, hole)]
    found = of(*frames)
    distances = cdist(found[:1], found[1:])[0]
    assert distances.min() > 0.01


def test_a_distance_is_a_relative_change():
    """A displacement of 0.005 Å is 0.001 of a vector, half of it half, in any material."""
    rng = np.random.default_rng(3)
    for atoms in (bulk("Si", cubic=True).repeat(2), bulk("Cu", cubic=True).repeat(2)):
        step = rng.normal(0, 0.005 / np.sqrt(3), (len(atoms), 3))
        frames = [
            Frame.make(atoms.numbers, atoms.positions + share * step, atoms.cell, True)
            for share in (0.0, 0.5, 1.0)
        ]
        found = of(*frames)
        half, whole = np.sqrt(np.square(found[1:] - found[0]).sum(axis=1))
        assert whole == pytest.approx(2 * half, rel=0.1)
        assert 1e-4 < whole < 3e-3


def test_single_atoms_dimers_and_large_cells():
    alone = Frame.make([14], [[0.0, 0, 0]])
    crystal = Frame.from_atoms(bulk("Si"))
    big = Frame.from_atoms(bulk("Si", cubic=True).repeat((4, 4, 3)))
    dimer = Frame.make([14, 14], [[0, 0, 0], [2.3, 0, 0.0]])
    found = of(alone, crystal, big, dimer)
    assert np.isfinite(found).all()
    assert np.abs(found[1] - found[2]).max() < 1e-6
    assert cdist(found, found)[np.triu_indices(4, 1)].max() > 0.1


def test_a_row_does_not_depend_on_its_company(monkeypatch):
    frames = [make(seed, n=4 + seed % 4) for seed in range(6)]
    together = of(*frames)
    assert np.array_equal(np.concatenate([of(f, species=["O", "Si"]) for f in frames]), together)
    monkeypatch.setattr(module, "_BATCH", 7)
    assert np.array_equal(of(*frames), together)


def test_empty_and_foreign_species():
    assert of(species=["Si"]).shape == (0, 129)
    with pytest.raises(InputError, match="does not know O; it knows Si; name all elements in"):
        of(make(0), species=["Si"])


def test_settings_change_what_is_seen():
    frame = make(1, numbers=(14,))
    small = descriptors(Dataset.from_frames([frame]), DescriptorSettings(max_radial=1))
    assert small.shape == (1, 2 * 4 * 4 + 1)
    near = descriptors(Dataset.from_frames([frame]), DescriptorSettings(cutoff=3.0))
    assert not np.allclose(near, of(frame))


def test_many_species_are_hashed_and_distances_keep_their_proportions(monkeypatch):
    frames = [make(seed, n=8, numbers=(3, 8, 14, 22, 28)) for seed in range(12)]
    hashed = of(*frames)
    assert hashed.shape == (12, 2 * 512 + 1)
    monkeypatch.setattr(module, "MAX_EXACT", 10**6)
    ratio = cdist(hashed, hashed) / np.maximum(cdist(of(*frames), of(*frames)), 1e-12)
    ratio = ratio[np.triu_indices(12, 1)]
    assert ratio.std() / ratio.mean() < 0.1
    assert ratio.min() > 0.5


def test_nearest_is_the_nearest(rng, monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 4)
    points, others = rng.normal(size=(11, 5)), rng.normal(size=(7, 5))
    others[5] = others[2]
    distances, rows = nearest(points, others)
    expected = cdist(points, others)
    assert np.allclose(distances, expected.min(axis=1))
    assert np.array_equal(rows, expected.argmin(axis=1))
    assert 5 not in rows
    nowhere = nearest(points, others[:0])
    assert np.isinf(nowhere[0]).all()
    assert (nowhere[1] == -1).all()


def test_without_the_library_the_pip_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "featomic", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'trainspot\[descriptors\]'"):
        of(make(0))
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'trainspot\[descriptors\]'"):
        require()


def test_the_library_is_imported_when_it_is_used():
    code = "import sys, trainspot.descriptors as d; d.require(); print('featomic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
