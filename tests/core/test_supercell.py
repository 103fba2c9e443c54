"""Supercells: the optimum, against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase.build import bulk, graphene, make_supercell, mx2
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trainspot.augment.plan import parse_plan
from trainspot.augment.supercell import Supercell, hermite, repeated
from trainspot.common.errors import InputError
from trainspot.data.frames import Frame
from trainspot.data.lattice import image_distance, reduce_lattices
from trainspot.geometry import nearest_distances

PBC = st.tuples(st.booleans(), st.booleans(), st.booleans())


def brute_force(frame, min_length, max_atoms):
    """(image distance, atoms) of the best diagonal supercell, by trying all."""
    found = []
    most = max_atoms // len(frame)
    ranges = [range(1, most + 1) if periodic else (1,) for periodic in frame.pbc]
    for counts in itertools.product(*ranges):
        if np.prod(counts) <= most:
            cell = np.array(counts)[:, None] * frame.cell
            found.append((image_distance(cell, frame.pbc), int(np.prod(counts)) * len(frame)))
    good = [item for item in found if item[0] >= min_length - 1e-6]
    if good:
        return min(size for _, size in good), None
    best = max(distance for distance, _ in found)
    return min(size for distance, size in found if distance > best - 1e-6), best


@given(
    seed=st.integers(0, 10**6),
    pbc=PBC,
    n_atoms=st.integers(1, 3),
    min_length=st.floats(4, 14),
    max_atoms=st.integers(3, 30),
)
@settings(max_examples=40, deadline=None)
def test_diagonal_supercell_is_the_optimum(seed, pbc, n_atoms, min_length, max_atoms):
    rng = np.random.default_rng(seed)
    cell = rng.normal(size=(3, 3)) * 1.2 + np.eye(3) * 3
    assume(abs(np.linalg.det(cell)) > 8)
    frame = Frame.make([6] * n_atoms, rng.random((n_atoms, 3)) @ cell, cell, pbc)
    strategy = Supercell(min_length=min_length, max_atoms=max_atoms)
    (made,) = strategy.generate([frame], rng)
    atoms, best = brute_force(frame, min_length, max_atoms)
    assert len(made) == atoms
    if best is None:
        assert image_distance(made.cell, pbc) >= min_length - 1e-5
    elif any(pbc):
        assert image_distance(made.cell, pbc) == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("times", [2, 3])
def test_a_length_that_is_just_reached_is_enough(silicon, times):
    (made,) = Supercell(min_length=times * 5.43, max_atoms=600).generate([silicon], None)
    assert len(made) == 8 * times**3
    (made,) = Supercell(min_length=times * 5.43 + 1e-3, max_atoms=600).generate([silicon], None)
    assert len(made) > 8 * times**3


def test_diamond_is_repeated_alike_in_all_directions():
    (made,) = Supercell().generate([Frame.from_atoms(bulk("C", a=3.57))], None)
    assert made.origin.parameters["matrix"] == np.diag([6, 6, 6]).tolist()
    assert len(made) == 432
    assert image_distance(made.cell, made.pbc) == pytest.approx(15.146, abs=1e-3)


def test_sheets_are_not_repeated_along_their_vacuum():
    for atoms in (graphene(vacuum=3), mx2("MoTe2", vacuum=3)):
        frame = Frame.from_atoms(atoms)
        (made,) = Supercell().generate([frame], None)
        assert np.array_equal(made.cell[2], frame.cell[2])
        assert image_distance(made.cell, made.pbc) >= 18
        assert len(made) <= 450


@given(seed=st.integers(0, 10**6), limit=st.integers(3, 12))
@settings(max_examples=15, deadline=None)
def test_general_supercell_is_the_best_of_all_sublattices(seed, limit):
    """Thousands of random integer matrices reach no larger image distance."""
    rng = np.random.default_rng(seed)
    cell = rng.normal(size=(3, 3)) * 1.5 + np.eye(3) * 3
    assume(abs(np.linalg.det(cell)) > 8)
    frame = Frame.make([14], [[0, 0, 0]], cell, True)
    tried = rng.integers(-3, 4, (3000, 3, 3))
    sizes = np.abs(np.rint(np.linalg.det(tried)))
    tried = tried[(sizes > 0) & (sizes <= limit)]
    best = np.linalg.norm(reduce_lattices(tried @ cell)[:, 0], axis=1).max()
    strategy = Supercell(min_length=50, max_atoms=limit, shape="general")
    (made,) = strategy.generate([frame], rng)
    assert len(made) <= limit
    assert image_distance(made.cell, made.pbc) >= best - 1e-6
    assert np.linalg.det(made.origin.parameters.get("matrix", np.eye(3))) > 0


@pytest.mark.parametrize("name", ["NaCl", "sheet", "wire"])
def test_general_needs_no_more_atoms_than_diagonal(name):
    frame = {
        "NaCl": Frame.from_atoms(bulk("NaCl", "rocksalt", a=5.6)),
        "sheet": Frame.make([6], [[0, 0, 0]], [[2.0, 0, 0], [0, 7.0, 0], [0, 0, 9]], [1, 1, 0]),
        "wire": Frame.make([6, 6], [[0, 0, 0], [1.3, 0, 0]], np.diag([2.6, 9, 9]), [1, 0, 0]),
    }[name]
    (general,) = Supercell(min_length=12, shape="general").generate([frame], None)
    (diagonal,) = Supercell(min_length=12).generate([frame], None)
    assert len(general) <= len(diagonal)
    assert image_distance(general.cell, general.pbc) >= 12 - 1e-5
    assert np.linalg.det(general.cell) > 0
    assert len(general) < len(diagonal) or name == "wire"


@given(seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_repeated_is_the_same_crystal(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-3, 4, (3, 3))
    assume(0 < abs(round(np.linalg.det(matrix))) <= 20)
    frame = Frame.from_atoms(bulk("NaCl", "rocksalt", a=5.6))
    made = repeated(frame, matrix)
    theirs = make_supercell(frame.to_atoms(), matrix)
    assert len(made) == len(theirs) == 2 * abs(round(np.linalg.det(hermite(matrix))))
    assert np.allclose(made.cell, theirs.cell.array, atol=1e-6)
    assert np.allclose(nearest_distances(made), 2.8, atol=1e-6)
    assert np.bincount(made.numbers)[[11, 17]].tolist() == [len(made) // 2] * 2
    sodium = made.positions[::2] @ np.linalg.inv(made.cell)  # at the origin of the input
    assert sodium.min() > -1e-6
    assert sodium.max() < 1 - 1e-6 or not np.any(matrix - np.diag(np.diagonal(matrix)))


def test_extras_of_the_structure_are_repeated_and_results_are_not():
    arrays = {"initial_magmoms": np.array([1.0, -1.0]), "charges": np.array([0.1, 0.2])}
    frame = Frame.from_atoms(bulk("NaCl", "rocksalt", a=5.6), arrays=arrays)
    made = repeated(frame, np.diag([2, 1, 1]))
    assert made.arrays.keys() == {"initial_magmoms"}
    assert made.arrays["initial_magmoms"].tolist() == [1, -1, 1, -1]
    assert np.array_equal(made.positions[:2], frame.positions)


def test_a_structure_that_is_large_enough_comes_back_itself(silicon):
    strategy = Supercell(min_length=5)
    assert list(strategy.generate([silicon], None)) == [silicon]
    assert strategy.take_notes() == []
    strategy = Supercell(max_atoms=15)
    assert list(strategy.generate([silicon], None)) == [silicon]
    assert "cannot be repeated within 15 atoms" in strategy.take_notes()[0]


@pytest.mark.parametrize("bad", [{"min_length": 0}, {"max_atoms": 0}, {"shape": "round"}])
def test_bad_parameters_are_refused(bad):
    with pytest.raises(InputError, match="supercell"):
        parse_plan([{"kind": "supercell", **bad}])
