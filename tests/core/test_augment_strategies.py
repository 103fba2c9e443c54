"""Rattle, strain, vacancies, isolated atoms: what each strategy promises."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import kstest

from trainspot.augment.isolated import Isolated
from trainspot.augment.rattle import Rattle
from trainspot.augment.strain import Deformation, Strain
from trainspot.augment.supercell import Supercell
from trainspot.augment.vacancies import Removal, Vacancies
from trainspot.data.frames import Frame
from trainspot.data.lattice import periodic_projector
from trainspot.geometry import nearest_distances, overlapping, vacuum_gaps

SEED = st.integers(0, 2**32 - 1)


def generator(seed=1):
    return np.random.default_rng(seed)


def roomy(n=4):
    """Helium 3 Å apart: rattling by 0.3 d can never make atoms overlap."""
    return Frame.from_atoms(bulk("He", "sc", a=3.0).repeat(n))


def tilted_sheet():
    atoms = graphene(vacuum=8).repeat((2, 2, 1))
    atoms.positions[1::2, 2] += 0.8
    atoms.cell[2] += [3.0, -1.0, 0.0]  # vacuum is measured along the normal, not along this vector
    atoms.rotate(35, "x", rotate_cell=True)
    return Frame.from_atoms(atoms)


# ── rattle ────────────────────────────────────────────────────────────────────
def test_displacements_are_isotropic_and_uniform_in_length():
    parent = roomy()
    frames = list(Rattle(copies=40, strain=None, vacancies=None).generate([parent], generator()))
    moves = np.concatenate([frame.positions - parent.positions for frame in frames])
    lengths = np.linalg.norm(moves, axis=1)
    assert lengths.max() <= 0.3 * 3.0 + 1e-7
    assert kstest(lengths / (0.3 * 3.0), "uniform").pvalue > 0.01
    directions = moves / lengths[:, None]
    for axis in np.vstack([np.eye(3), [[1, 1, 1]] / np.sqrt(3)]):
        # Archimedes: on the sphere the projection on any axis is uniform in [-1, 1].
        assert kstest((directions @ axis + 1) / 2, "uniform").pvalue > 0.01


@given(seed=SEED, fraction=st.floats(0.01, 0.6))
@settings(max_examples=25, deadline=None)
def test_each_atom_keeps_its_own_bound(seed, fraction):
    """Different distances in one frame: the bound is that of the atom, images included."""
    parent = Frame.make([1, 1, 1], [[0, 0, 0], [1, 0, 0], [5, 0, 0]], np.diag([30, 3, 30.0]), True)
    nearest = nearest_distances(parent)
    assert nearest == pytest.approx([1.0, 1.0, 3.0])
    strategy = Rattle(copies=5, fraction=fraction, strain=None, vacancies=None)
    for frame in strategy.generate([parent], generator(seed)):
        moved = np.linalg.norm(frame.positions - parent.positions, axis=1)
        assert np.all(moved <= fraction * nearest + 1e-7)


@pytest.mark.parametrize("mode", ["isotropic", "axial", "full"])
@pytest.mark.parametrize("parent", [roomy(2), tilted_sheet()], ids=["bulk", "sheet"])
def test_the_bound_is_that_of_the_strained_structure(mode, parent):
    strategy = Rattle(copies=20, strain={"mode": mode, "range": (-0.1, 0.6)}, vacancies=None)
    shares = []
    for frame in strategy.generate([parent], generator()):
        done = frame.origin.parameters
        matrix = (
            np.array(done["deformation"])
            if mode != "isotropic"
            else (np.eye(3) + done["strain"] * periodic_projector(parent.cell, parent.pbc))
        )
        strained = Frame.make(
            parent.numbers, parent.positions @ matrix, parent.cell @ matrix, parent.pbc
        )
        assert np.allclose(frame.cell, strained.cell, atol=2e-8)
        moved = np.linalg.norm(frame.positions - strained.positions, axis=1)
        shares.append(moved / nearest_distances(strained))
    assert np.max(shares) <= 0.3 + 1e-6
    assert np.max(shares) > 0.28


def test_a_lone_atom_in_a_periodic_cell_is_rattled_against_its_images():
    parent = Frame.from_atoms(bulk("Cu"))
    frames = list(Rattle(copies=30, strain=None, vacancies=None).generate([parent], generator()))
    moved = [np.linalg.norm(frame.positions) for frame in frames]
    assert 0.2 * 2.55 < max(moved) <= 0.3 * 2.553


def test_a_free_atom_cannot_be_rattled():
    strategy = Rattle()
    assert not list(strategy.generate([Frame.make([1], [[0, 0, 0]])], generator()))
    assert "no neighbours" in strategy.take_notes()[0]


def test_compressed_large_cells_survive_because_overlaps_are_drawn_again():
    parent = Frame.from_atoms(bulk("C", a=3.57).repeat(4))
    strategy = Rattle(copies=8, strain={"range": (-0.15, -0.1)}, vacancies=None)
    frames = list(strategy.generate([parent], generator()))
    assert not any(overlapping(frame) for frame in frames)
    assert sum("drawn_again" in frame.origin.parameters for frame in frames) > 4


def test_vacancies_come_in_their_share_and_carry_their_name():
    parent = roomy(2)
    frames = list(Rattle().generate([parent], generator()))
    assert len(frames) == 50
    holed = [frame for frame in frames if frame.origin.strategy == "vacancies"]
    assert len(holed) == 15
    assert {len(frame) for frame in holed} == {6}
    assert {len(f) for f in frames if f.origin.strategy == "rattle"} == {8}
    assert len({tuple(frame.origin.parameters["removed"]) for frame in holed}) > 5


def test_share_of_vacancies_is_right_on_average_for_few_copies():
    counts = [Removal(share=0.3).chosen(1, generator(seed)).sum() for seed in range(500)]
    assert 0.22 < np.mean(counts) < 0.38


def test_vacancies_that_would_leave_too_little_are_noted():
    parent = Frame.from_atoms(bulk("Si"))
    strategy = Rattle(copies=10)
    frames = list(strategy.generate([parent], generator()))
    assert {frame.origin.strategy for frame in frames} == {"rattle"}
    assert "fewer than 3 atoms" in strategy.take_notes()[0]
    assert strategy.take_notes() == []


def test_more_structures_do_not_change_the_frames_of_the_first(silicon):
    strategy = Rattle(copies=3)
    one = [frame.id for frame in strategy.generate([silicon], generator())]
    two = [frame.id for frame in strategy.generate([silicon, roomy(2)], generator())]
    assert two[:3] == one


def test_origin_tells_parent_seed_and_what_was_done(silicon):
    frames = list(Rattle(copies=4).generate([silicon], generator()))
    assert {frame.origin.parent for frame in frames} == {silicon.id}
    assert len({frame.origin.seed for frame in frames}) == 4
    assert all({"fraction", "strain"} <= frame.origin.parameters.keys() for frame in frames)


# ── strain ────────────────────────────────────────────────────────────────────
@given(seed=SEED, mode=st.sampled_from(["isotropic", "axial", "full"]))
@settings(max_examples=30, deadline=None)
def test_strain_leaves_vacuum_alone_and_stays_in_range(seed, mode):
    parent = tilted_sheet()
    strategy = Strain(mode=mode, range=(-0.2, 0.4), copies=3)
    low, high = strategy.bounds(parent)
    for frame in strategy.generate([parent], generator(seed)):
        assert vacuum_gaps(frame) == pytest.approx(vacuum_gaps(parent), abs=1e-6)
        matrix = np.linalg.solve(parent.cell, frame.cell)
        assert np.allclose(frame.positions, parent.positions @ matrix, atol=1e-6)
        normal = np.cross(parent.cell[0], parent.cell[1])
        assert np.allclose(normal @ matrix, normal, atol=1e-5)
        factors = np.linalg.svd(matrix, compute_uv=False)
        assert low - 1e-6 <= factors.min() <= factors.max() <= high + 1e-6


@pytest.mark.parametrize("hand", [1, -1], ids=["right-handed", "left-handed"])
@pytest.mark.parametrize("periodic", [1, 3])
@pytest.mark.parametrize("mode", ["isotropic", "axial", "full"])
def test_modes_of_strain(mode, periodic, hand):
    cell = np.array([[4.0, 0, 0], [1.0, 5.0, 0], [0.5, -1.0, hand * 6.0]])
    pbc = np.arange(3) < periodic
    parent = Frame.make([6], [[0.5, 0.5, 0.5]], cell, pbc)
    before = np.linalg.norm(cell, axis=1)
    ratios, shears = [], []
    for frame in Strain(mode=mode, copies=200).generate([parent], generator()):
        after = np.linalg.norm(frame.cell, axis=1)
        ratios.append((after / before)[:periodic])
        matrix = np.linalg.solve(cell, frame.cell)
        assert np.linalg.matrix_rank(matrix - np.eye(3), tol=1e-6) <= periodic
        angles = (frame.cell @ frame.cell.T) / np.outer(after, after)
        shears.append(
            np.abs(angles - cell @ cell.T / np.outer(before, before))[:periodic, :periodic]
        )
    ratios = np.array(ratios)
    if mode == "isotropic" or periodic == 1:
        assert np.allclose(ratios, ratios[:, :1])
    else:
        assert np.ptp(ratios, axis=1).max() > 0.1
    if mode != "full":
        assert np.max(shears) < 1e-6
        assert kstest((ratios[:, 0] - 0.8) / 0.8, "uniform").pvalue > 0.01
    elif periodic == 3:
        assert np.max(shears) > 0.05
    assert ratios.min() >= 0.8 - 1e-6
    assert ratios.max() <= 1.6 + 1e-6


def test_clusters_cannot_be_strained():
    strategy = Strain()
    assert not list(strategy.generate([Frame.make([1, 1], [[0, 0, 0], [0, 0, 1]])], generator()))
    assert "no periodic direction" in strategy.take_notes()[0]


def test_what_is_not_strained_or_repeated_is_told():
    molecule = Frame.make([1, 1], [[0, 0, 0], [0, 0, 0.8]])
    frames = [molecule, Frame.from_atoms(bulk("Al")), molecule]
    for strategy, told in (
        (Rattle(copies=2), "rattle: 2 of 3 not strained: no periodic direction"),
        (Supercell(), "supercell: 2 of 3 not repeated: no periodic direction"),
    ):
        assert list(strategy.generate(frames, generator()))
        assert told in strategy.take_notes()
    unstrained = Rattle(copies=2, strain=None, vacancies=None)
    atom = [Frame.make([1], [[0, 0, 0]])]
    for strategy, given_ones in ((unstrained, frames[::2]), (Supercell(), frames[1:2] + atom)):
        assert list(strategy.generate(given_ones, generator()))
        assert strategy.take_notes() == []


@pytest.mark.parametrize("bad", [(0.2, 0.1), (-1.0, 0.0), (0.0, 0.0), (0.0, 11.0)])
def test_impossible_ranges_are_refused(bad):
    with pytest.raises(ValueError, match="range"):
        Deformation(range=bad)


# ── vacancies, isolated ───────────────────────────────────────────────────────
def test_vacancies_are_all_different_and_leave_the_rest_alone(silicon):
    strategy = Vacancies(copies=100, count=2)
    frames = list(strategy.generate([silicon], generator()))
    assert len(frames) == len({frame.id for frame in frames}) == 28  # 8 choose 2
    assert "only 28 different choices of vacancies" in strategy.take_notes()[0]
    for frame in frames:
        stay = np.delete(np.arange(8), frame.origin.parameters["removed"])
        assert np.array_equal(frame.positions, silicon.positions[stay])


def test_sites_of_vacancies_are_uniform():
    parent = roomy(2)
    removed = [
        f.origin.parameters["removed"]
        for s in range(60)
        for f in Vacancies(copies=4, count=1).generate([parent], generator(s))
    ]
    counts = np.bincount(np.ravel(removed), minlength=8)
    assert counts.min() > 12
    assert counts.sum() == 240


def test_three_atoms_must_remain():
    strategy = Vacancies(count=2)
    line = np.arange(5)[:, None] * np.array([[2.0, 0, 0]])
    assert list(strategy.generate([Frame.make([6] * 5, line)], generator()))
    assert not list(strategy.generate([Frame.make([6] * 4, line[:4])], generator()))
    assert strategy.take_notes()


def test_one_isolated_atom_per_element():
    frames = [Frame.from_atoms(bulk("NaCl", "rocksalt", a=5.6)), Frame.from_atoms(bulk("Na"))]
    made = list(Isolated(box=12.0).generate(frames, generator()))
    assert [frame.numbers.tolist() for frame in made] == [[11], [17]]
    for frame in made:
        assert np.array_equal(frame.cell, np.eye(3) * 12.0)
        assert not frame.pbc.any()
        assert not frame.arrays
    with pytest.raises(ValidationError, match="spin"):
        Isolated(spin="up")


def test_hunds_rule_gives_the_moment_of_the_free_atom():
    """Unpaired electrons of the ground state, which tell an atom from one without a moment."""
    known = {"H": 1, "C": 2, "N": 3, "O": 2, "Na": 1, "Si": 2, "Cl": 1, "Cr": 6, "Fe": 4, "Ne": 0}
    parent = Frame.from_atoms(Atoms(list(known), positions=np.eye(3)[[0] * 10] * 9))
    atoms = list(Isolated(spin="hund").generate([parent], generator()))
    moments = {f.to_atoms().symbols[0]: f.arrays["initial_magmoms"].tolist() for f in atoms}
    assert moments == {symbol: [float(n)] for symbol, n in known.items()}
    plain = Isolated().generate([parent], generator())
    same = {a.to_atoms().symbols[0] for a, b in zip(plain, atoms, strict=True) if a.id == b.id}
    assert same == {"Ne"}


def test_an_own_atom_keeps_its_spin_state_and_that_is_noted():
    own = Frame.make([14], [[1, 1, 1]], np.eye(3) * 20)
    strategy = Isolated(spin="hund")
    assert list(strategy.generate([own], generator())) == [own]
    assert "keeps its own spin state" in strategy.take_notes()[0]
    ready = own.with_(arrays={"initial_magmoms": [2.0]})
    assert list(strategy.generate([ready], generator())) == [ready]
    assert not strategy.take_notes()


def test_an_isolated_atom_of_the_user_is_used():
    own = Frame.make([14], [[1, 1, 1]], np.eye(3) * 20)
    assert list(Isolated().generate([Frame.from_atoms(bulk("Si")), own], generator())) == [own]
