"""Periodicity, lattices, distances and vacuum, against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import vesin
from ase.build import bulk, graphene
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trainspot import geometry
from trainspot.data import lattice
from trainspot.data.frames import Frame, Labels

COMBINATIONS = np.array([c for c in itertools.product(range(-5, 6), repeat=3) if any(c)])
PBC = st.tuples(st.booleans(), st.booleans(), st.booleans())
SEED = st.integers(0, 2**32 - 1)


def random_cell(seed):
    rng = np.random.default_rng(seed)
    cell = rng.normal(size=(3, 3)) * 1.5 + np.eye(3) * 4
    assume(abs(np.linalg.det(cell)) > 15)
    return cell, rng


def images(pbc, reach=4):
    ranges = [range(-reach, reach + 1) if periodic else (0,) for periodic in pbc]
    return np.array(list(itertools.product(*ranges)))


PLANES = [(True, True, True), (True, True, False), (False, True, True)]


@given(seed=SEED, pbc=PBC)
@settings(max_examples=60, deadline=None)
def test_image_distance_is_the_shortest_lattice_vector(seed, pbc):
    cell, rng = random_cell(seed)
    skew = np.eye(3, dtype=int)
    skew[0, 1], skew[1, 2], skew[0, 2] = rng.integers(-3, 4, 3)
    periodic = np.array(pbc)
    found = lattice.image_distance(cell, pbc)
    if not any(pbc):
        assert found == np.inf
        return
    vectors = COMBINATIONS[~COMBINATIONS[:, ~periodic].any(axis=1)] @ cell
    assert found == pytest.approx(np.linalg.norm(vectors, axis=1).min())
    if all(pbc):  # another basis of the same lattice
        assert lattice.image_distance(skew @ cell, pbc) == pytest.approx(found)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 7, 400]), st.sampled_from(PLANES))
def test_pairs_do_not_depend_on_how_skewed_the_cell_is(seed, tilt, pbc):
    rng = np.random.default_rng(seed)
    cell = np.round(np.diag([3.0, 3.3, 3.6]) + rng.uniform(-0.2, 0.2, (3, 3)), 8)
    sites = np.round(rng.uniform(0, 3, (3, 3)), 8)
    skewed = cell.copy()
    axes = np.flatnonzero(pbc)
    for target, source in itertools.pairwise(axes.tolist()):
        skewed[source] += tilt * skewed[target]
    plain, found = (
        geometry.pairs_within(Frame.make([6, 7, 8], sites, box, pbc), 5.0) for box in (cell, skewed)
    )
    assert _ends(found) == _ends(plain)


def test_a_skewed_cell_is_searched_as_a_compact_one(monkeypatch):
    """What a search costs grows with the length of the cell's vectors, without a bound."""
    searched = []

    class Spy(vesin.NeighborList):
        def compute(self, points, box, periodic, quantities):
            searched.append(lattice.lengths(box).max())
            return super().compute(points, box, periodic, quantities)

    monkeypatch.setattr(vesin, "NeighborList", Spy)
    cell = np.diag([3.0, 3.3, 3.6])
    cell[1] += 1000 * cell[0]
    for pbc, longest in ((True, 3.6), ((True, False, True), np.linalg.norm(cell[1]))):
        geometry.pairs_within(Frame.make([13], [[0, 0, 0]], cell, pbc), 5.0)
        assert searched.pop() == pytest.approx(longest)  # no vector but the periodic is another's


def _ends(pairs: geometry.Pairs) -> list[tuple]:
    """Each pair from either end, so that it does not matter which one it is listed from."""
    ends = zip(pairs.first, pairs.second, np.round(pairs.vectors, 3).tolist(), strict=True)
    return sorted(
        (*sorted((int(i), int(j))), *sorted([[x + 0.0 for x in v], [0.0 - x for x in v]]))
        for i, j, v in ends
    )


def test_image_distance_of_a_skewed_cell_is_shorter_than_its_vectors():
    cell = [[3.0, 0, 0], [8.9, 3.0, 0], [0, 0, 20.0]]
    assert lattice.image_distance(cell, True * np.ones(3, bool)) == pytest.approx(3.0)
    cell = [[5.0, 0, 0], [4.0, 1.0, 0], [0, 0, 20.0]]
    assert lattice.image_distance(cell, [True] * 3) == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize("kind", ["fcc", "bcc", "diamond"])
def test_reduction_survives_the_ties_of_symmetric_lattices(kind):
    cell = bulk("Si", kind, a=5.0).cell.array
    forms = [
        np.array([[a, b, c], [0, 2, d], [0, 0, 3]])
        for a, b, c, d in itertools.product((1, 2, 4), (0, 1), (0, 1, 2), (0, 1, 2))
    ]
    reduced = lattice.reduce_lattices(np.array(forms) @ cell)
    shortest = np.linalg.norm(COMBINATIONS @ reduced, axis=-1).min(axis=1)
    assert np.allclose(np.linalg.norm(reduced[:, 0], axis=1), shortest)
    assert np.allclose(abs(np.linalg.det(reduced)), abs(np.linalg.det(np.array(forms) @ cell)))


@given(seed=SEED, pbc=PBC, n_atoms=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_nearest_distances_include_own_images(seed, pbc, n_atoms):
    cell, rng = random_cell(seed)
    positions = rng.normal(size=(n_atoms, 3)) * 3
    frame = Frame.make([14] * n_atoms, positions, cell, pbc)
    shifts = images(pbc, 7) @ cell
    differences = positions[None, None] - positions[None, :, None] + shifts[:, None, None]
    distances = np.linalg.norm(differences, axis=-1)
    distances[distances < 1e-9] = np.inf
    expected = distances.min(axis=(0, 2))
    found = geometry.nearest_distances(frame)
    assert np.array_equal(np.isinf(found), np.isinf(expected))
    assert np.allclose(found, expected, atol=1e-6)


def test_nearest_distance_of_a_lone_periodic_atom_is_its_image():
    frame = Frame.from_atoms(bulk("Cu", "fcc", a=3.6))
    assert geometry.nearest_distances(frame) == pytest.approx([3.6 / np.sqrt(2)])


def test_far_neighbours_are_found():
    frame = Frame.make([1, 1, 1], [[0, 0, 0], [0.7, 0, 0], [40, 0, 0]])
    assert geometry.nearest_distances(frame) == pytest.approx([0.7, 0.7, 39.3])


@pytest.mark.parametrize("scale", [0.99, 1.01])
def test_overlap_limit(scale):
    limit = 0.6 * 2 * 1.11  # covalent radius of silicon 1.11 Å
    pair = Frame.make([14, 14], [[0, 0, 0], [0, 0, scale * limit]])
    image = Frame.make([14], [[0, 0, 0]], np.diag([scale * limit, 9, 9]), [True, False, False])
    mixed = Frame.make([14, 1], [[0, 0, 0], [scale * 0.6 * (1.11 + 0.31), 0, 0]])
    for frame in (pair, image, mixed):
        assert geometry.overlapping(frame) is (scale < 1)
    assert not geometry.overlapping(pair, factor=0.5)


def test_worst_contact_is_named():
    frame = Frame.make([14, 14, 1], [[0, 0, 0], [0, 0, 1.2], [0, 0, 1.3]])
    contact = geometry.worst_contact(frame)
    assert geometry.describe_contact(frame, contact) == "atoms 2 (Si) and 3 (H) are 0.10 Å apart"
    lone = Frame.make([14], [[0, 0, 0]], np.eye(3), True)
    text = geometry.describe_contact(lone, geometry.worst_contact(lone))
    assert text == "atom 1 (Si) and its periodic image are 1.00 Å apart"


@given(seed=SEED, pbc=PBC)
@settings(max_examples=60, deadline=None)
def test_projector_keeps_periodic_vectors_and_kills_their_normals(seed, pbc):
    cell, _ = random_cell(seed)
    projector = lattice.periodic_projector(cell, pbc)
    assert np.allclose(projector, projector.T)
    assert np.allclose(projector @ projector, projector)
    assert np.trace(projector) == pytest.approx(sum(pbc))
    for vector, periodic in zip(cell, pbc, strict=True):
        if periodic:
            assert np.allclose(vector @ projector, vector)
    both = lattice.periodic_projector(np.stack([cell, cell]), np.array([pbc, (True,) * 3]))
    assert np.allclose(both, [projector, np.eye(3)])


# ── incomplete cells ──────────────────────────────────────────────────────────
@given(seed=SEED, pbc=PBC, missing=PBC)
@settings(max_examples=60, deadline=None)
def test_missing_vectors_become_perpendicular_unit_vectors(seed, pbc, missing):
    cell, rng = random_cell(seed)
    cell[0] *= rng.choice([-1, 1])
    gone = np.array(missing) & ~np.array(pbc)
    cell[gone] = 0
    whole = lattice.full_cell(cell, np.array(pbc))
    assert np.array_equal(whole[~gone], cell[~gone])
    for axis in np.flatnonzero(gone):
        products = whole @ whole[axis]
        assert products[axis] == pytest.approx(1)
        assert np.delete(products, axis) == pytest.approx([0, 0])
    assert np.linalg.det(whole) > 0 or not gone.any()


def test_a_wire_along_an_axis_is_completed_by_the_axes():
    for axis in range(3):
        cell, pbc = np.zeros((3, 3)), np.arange(3) == axis
        cell[axis, axis] = 2.5
        expected = np.eye(3)
        expected[axis, axis] = 2.5
        assert np.array_equal(lattice.full_cell(cell, pbc), expected)


def test_boxes_of_wires_are_those_of_every_machine():
    """A value that must never change: the plain arithmetic of IEEE, no LAPACK."""
    cell = np.zeros((3, 3))
    cell[1] = [0.3, 2.1, -1.7]
    frame = Frame.make([6, 6], [[0, 0, 0], [0.4, 1.1, 0.2]], cell, [False, True, False])
    wide = geometry.with_vacuum(frame, 15.0)
    assert wide.id == "c52dd84e55d6e34e00080d2641de25aa10cfa25ad0d3a29203d168dd59ca4b78"


@pytest.mark.parametrize("zeros", [0, 1])
def test_dependent_vectors_count_as_missing_where_nothing_repeats_along_them(zeros):
    cell = np.array([[3.0, 0, 0], [1.0, 4.0, 0], [2.0, 4.0, 0]])
    pbc = np.array([True, not zeros, False])
    cell[1] *= not zeros
    cell[2] = [2.0, 4.0 * (not zeros), 0]
    whole = lattice.full_cell(cell, pbc)
    assert np.array_equal(whole[pbc], cell[pbc])
    assert np.linalg.det(whole) > 1


# ── vacuum ────────────────────────────────────────────────────────────────────
def sheet(gap, shift=0.0, tilt=0.0):
    atoms = graphene(vacuum=gap / 2)
    atoms.positions[1, 2] += 1.0  # buckled: 1 Å thick
    atoms.cell[2, 2] += 1.0
    atoms.positions[:, 2] += shift
    atoms.cell[2, 0] = tilt
    return atoms


@given(gap=st.floats(0.5, 14.9), tilt=st.floats(-5, 5))
@settings(max_examples=30, deadline=None)
def test_too_little_vacuum_is_enlarged_along_the_normal(gap, tilt):
    frame = Frame.from_atoms(sheet(gap, tilt=tilt))
    wide = geometry.with_vacuum(frame, 15.0)
    assert geometry.vacuum_gaps(frame) == pytest.approx([0, 0, gap], abs=1e-6)
    assert geometry.vacuum_gaps(wide) == pytest.approx([0, 0, 15.0], abs=1e-6)
    assert np.array_equal(wide.cell[:2], frame.cell[:2])
    assert np.array_equal(wide.positions, frame.positions)


def test_more_vacuum_is_never_shrunk():
    frame = Frame.from_atoms(sheet(25.0))
    assert geometry.with_vacuum(frame, 15.0) is frame


def test_a_layer_cut_by_the_boundary_is_whole():
    atoms = sheet(20.0, shift=-10.5)
    atoms.positions[:, 2] %= atoms.cell[2, 2]
    frame = Frame.from_atoms(atoms)
    assert np.ptp(frame.positions[:, 2]) > 15
    assert geometry.vacuum_gaps(frame)[2] == pytest.approx(20.0)
    wide = geometry.with_vacuum(frame, 15.0)
    assert np.array_equal(wide.cell, frame.cell)
    assert np.ptp(wide.positions[:, 2]) == pytest.approx(1.0)
    wider = geometry.with_vacuum(frame, 22.0)
    assert geometry.vacuum_gaps(wider)[2] == pytest.approx(22.0)
    assert wider.cell[2, 2] == pytest.approx(23.0)


def test_atoms_that_would_overlap_were_not_cut_off_by_the_boundary():
    """Two molecules in a box that is shorter than they are apart: they stay where they are."""
    frame = Frame.make(
        [8, 1, 8, 1], [[5, 5, z] for z in (0.2, 1.2, 8.0, 9.0)], np.diag([25.0, 25.0, 9.3]), False
    )
    assert geometry.vacuum_gaps(frame)[2] == pytest.approx(0.5)
    wide = geometry.with_vacuum(frame, 15.0)
    assert np.array_equal(wide.positions, frame.positions)
    assert geometry.vacuum_gaps(wide)[2] == pytest.approx(15.0)


@pytest.mark.parametrize("cell", [np.zeros((3, 3)), np.diag([2.0, 0, 0]), np.eye(3) * 0.5])
def test_clusters_without_a_usable_box_get_one(cell):
    frame = Frame.make([1, 8, 1], [[0, 0, 0], [1.0, 0, 0], [1.2, 1.0, 0]], cell)
    wide = geometry.with_vacuum(frame, 15.0)
    assert geometry.vacuum_gaps(wide) == pytest.approx([15.0] * 3)
    steps = [np.diff(some.positions, axis=0) for some in (frame, wide)]
    np.testing.assert_allclose(steps[0], steps[1], atol=2e-8)


def test_atoms_stand_in_the_middle_of_a_new_box():
    cell = np.zeros((3, 3))
    cell[2] = [0.0, 1.0, 3.0]
    frame = Frame.make([6, 8, 6], [[9, 9, 9.0], [9, 9.5, 10.1], [8, 9, 11.0]], cell, [0, 0, 1])
    wide = geometry.with_vacuum(frame, 10.0)
    whole = lattice.full_cell(frame.cell, frame.pbc)
    for axis in range(2):
        heights = wide.positions @ whole[axis]
        top = np.linalg.norm(wide.cell[axis])
        assert heights.min() == pytest.approx(5.0, abs=1e-6)
        assert heights.max() == pytest.approx(top - 5.0, abs=1e-6)


def test_a_wire_gets_vacuum_on_two_sides_only():
    frame = Frame.make(
        [6, 6], [[0, 0, 0], [0, 1.2, 1.0]], np.diag([2.5, 6, 6]), [True, False, False]
    )
    wide = geometry.with_vacuum(frame, 15.0)
    assert np.diag(wide.cell) == pytest.approx([2.5, 16.2, 16.0])


def test_changed_vacuum_drops_labels_but_not_split_and_extras():
    frame = Frame.from_atoms(
        sheet(5.0),
        labels=Labels(energy=-1.0),
        split="test",
        arrays={"tags": np.array([1, 2])},
    )
    wide = geometry.with_vacuum(frame, 15.0)
    assert not wide.labels
    assert wide.split == "test"
    assert wide.arrays["tags"].tolist() == [1, 2]
