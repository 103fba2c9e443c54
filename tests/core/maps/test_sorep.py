"""The kinetic SOREP: against PySCF's own integrals, and what a descriptor must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene
from ase.data import chemical_symbols
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigvalsh
from scipy.spatial.transform import Rotation

from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.maps import orbitals, sorep

WATER = Atoms("OH2", [[0.1, 0.2, 0.3], [0.9, 0.5, 0.1], [-0.2, -0.6, 0.8]])


def frame(atoms, pbc=None):
    atoms = atoms.copy()
    if pbc is not None:
        atoms.pbc = pbc
    return Frame.from_atoms(atoms)


def rattled(atoms, seed=1):
    atoms = atoms.copy()
    atoms.rattle(0.1, seed=seed)
    return atoms


def basis(structure):
    return {chemical_symbols[z]: orbitals._basis(int(z)) for z in np.unique(structure.numbers)}


def atoms_of(structure):
    symbols = [chemical_symbols[z] for z in structure.numbers]
    return list(zip(symbols, structure.positions.tolist(), strict=True))


# ── against PySCF, which sums lattice images itself ───────────────────────────
@pytest.mark.parametrize(
    "structure",
    [WATER, Atoms("TiGdC", [[0, 0, 0], [0.9, 1.4, 0.8], [-1.2, 0.7, 1.1]])],
    ids=["sp", "spdf"],
)
def test_levels_of_a_molecule_are_those_of_pyscf(structure):
    from pyscf import gto

    one = frame(structure)
    molecule = gto.M(atom=atoms_of(one), basis=basis(one), unit="angstrom", spin=None, verbose=0)
    expected = eigvalsh(molecule.intor("int1e_kin"), molecule.intor("int1e_ovlp"))
    energies, weights = sorep.levels(one)
    assert np.allclose(energies, expected * orbitals.HARTREE, rtol=1e-6, atol=1e-3)
    assert np.allclose(weights, 1 / 3)


@pytest.mark.parametrize(
    ("structure", "pbc", "spacing"),
    [
        (rattled(bulk("Si")), (1, 1, 1), 1.1),
        (rattled(bulk("TiO", "rocksalt", a=4.2)), (1, 1, 1), 1.6),
        (rattled(graphene(vacuum=30.0)), (1, 1, 0), 1.5),
    ],
    ids=["silicon", "d orbitals", "sheet"],
)
def test_levels_of_a_crystal_are_those_of_pyscf(structure, pbc, spacing):
    from pyscf.pbc import gto

    one = frame(structure, pbc)
    waves, shares = sorep.mesh(one, spacing)
    cell = gto.Cell(
        a=one.cell, atom=atoms_of(one), basis=basis(one), unit="angstrom", verbose=0,
        precision=1e-8, spin=None, dimension=int(one.pbc.sum()),
    )  # fmt: skip
    cell.build(dump_input=False, parse_arg=False)
    found = [
        cell.pbc_intor(f"int1e_{name}", kpts=waves * orbitals.BOHR) for name in ("kin", "ovlp")
    ]
    expected = np.concatenate([eigvalsh(t, s) for t, s in zip(*found, strict=True)])
    energies, weights = sorep.levels(one, spacing)
    assert len(waves) > 1
    assert np.allclose(energies, expected * orbitals.HARTREE, atol=0.02)
    assert np.allclose(weights, np.repeat(shares / len(one), len(energies) // len(waves)))


# ── what it must not depend on ────────────────────────────────────────────────
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(1, 1, 1), (1, 1, 0), (0, 0, 1), (0, 0, 0)]))
def test_rotated_moved_renumbered_is_the_same(seed, pbc):
    rng = np.random.default_rng(seed)
    atoms = bulk("SiC", "zincblende", a=4.4)
    atoms.rattle(0.1, rng=rng)
    order, vectors = rng.permutation(2), rng.permutation(3)
    turn = Rotation.random(random_state=seed).as_matrix()
    moved = Frame.make(
        atoms.numbers[order],
        ((atoms.positions + rng.normal(size=3)) @ turn.T)[order],
        (atoms.cell.array @ turn.T)[vectors],
        np.array(pbc, dtype=bool)[vectors],
    )
    assert np.allclose(
        sorep.descriptor(moved), sorep.descriptor(frame(atoms, pbc)), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(
    ("structure", "repeat", "pbc"),
    [
        (rattled(bulk("Si")), (2, 2, 2), (1, 1, 1)),
        (rattled(graphene(vacuum=4.0)), (2, 2, 1), (1, 1, 0)),
    ],
    ids=["bulk", "sheet"],
)
def test_a_repeated_cell_is_the_same_with_the_same_wave_vectors(structure, repeat, pbc):
    once, often = frame(structure, pbc), frame(structure.repeat(repeat), pbc)
    few, many = sorep.mesh(often, 1.55)[0], sorep.mesh(once, 1.55)[0]
    assert len(many) > len(few) == 1
    a, b = sorep.levels(once, 1.55), sorep.levels(often, 1.55)
    each = np.rint(a.weights / b.weights[0]).astype(int)  # states of the large cell that it is
    assert np.allclose(np.sort(np.repeat(a.energies, each)), np.sort(b.energies), atol=1e-2)


def test_repeated_cells_are_nearly_the_same_and_strained_ones_are_not():
    silicon = bulk("Si", cubic=True)
    one = sorep.descriptor(frame(silicon))
    strained = silicon.copy()
    strained.set_cell(1.02 * silicon.cell, scale_atoms=True)
    apart = np.linalg.norm(sorep.descriptor(frame(strained)) - one)
    assert np.linalg.norm(sorep.descriptor(frame(bulk("Si"))) - one) < 0.5 * apart


def test_neither_vacuum_nor_box_is_seen():
    small, large = graphene(vacuum=3.0), graphene(vacuum=12.0)
    assert np.allclose(
        sorep.descriptor(frame(small, (1, 1, 0))), sorep.descriptor(frame(large, (1, 1, 0)))
    )
    boxed = WATER.copy()
    boxed.set_cell([5.0, 6.0, 7.0])
    assert np.allclose(sorep.descriptor(frame(WATER)), sorep.descriptor(frame(boxed)))


# ── what it is ────────────────────────────────────────────────────────────────
def test_far_atoms_have_the_levels_of_atoms():
    apart = frame(Atoms("SiC", [[0, 0, 0], [40.0, 0, 0]]))
    energies, weights = sorep.levels(apart)
    atoms = np.concatenate([orbitals.kinetic_energies(14), orbitals.kinetic_energies(6)])
    assert np.allclose(energies, np.sort(atoms))
    assert weights.sum() == pytest.approx(4.0)


def test_the_descriptor_counts_states_per_atom():
    spectrum = sorep.descriptor(frame(bulk("Si")))
    energies, weights = sorep.levels(frame(bulk("Si")))
    assert spectrum.shape == sorep.ENERGIES.shape
    assert (spectrum >= 0).all()
    assert weights.sum() == pytest.approx(4.0)
    assert np.trapezoid(spectrum, sorep.ENERGIES) == pytest.approx(
        weights[energies < sorep.WINDOW].sum(), abs=0.02
    )


@pytest.mark.parametrize(
    ("symbol", "shells"),
    [
        ("H", ["1s"]),
        ("C", ["2s", "2p"]),
        ("Na", ["3s", "3p"]),
        ("Fe", ["4s", "4p", "3d"]),
        ("Ga", ["4s", "4p"]),
        ("Mo", ["5s", "5p", "4d"]),
        ("Gd", ["6s", "6p", "5d", "4f"]),
        ("Pt", ["6s", "6p", "5d"]),
        ("Pb", ["6s", "6p"]),
        ("U", ["7s", "7p", "6d", "5f"]),
    ],
)
def test_outer_shells(symbol, shells):
    found = orbitals.outer_shells(chemical_symbols.index(symbol))
    assert [f"{shell.main}{'spdf'[shell.angular]}" for shell in found] == shells


def test_atoms_that_coincide_lose_their_dependent_orbitals_alone():
    near, nearer, same = (
        sorep.levels(frame(Atoms("C2", [[0, 0, 0], [0, 0, z]]))) for z in (0.3, 1e-3, 0.0)
    )
    assert near.weights.sum() == pytest.approx(4.0)
    for one in (nearer, same):
        assert one.weights.sum() == pytest.approx(2.0)
        assert np.allclose(one.energies, np.sort(orbitals.kinetic_energies(6)), rtol=1e-2)


def test_nothing_is_left_out_of_a_compressed_crystal():
    sodium = bulk("Na")
    sodium.set_cell(0.8 * sodium.cell, scale_atoms=True)
    assert sorep.levels(frame(sodium)).weights.sum() == pytest.approx(4.0)


def test_wave_vectors_come_with_their_mirror_images():
    waves, shares = sorep.mesh(frame(bulk("Si")), 0.7)
    assert shares.sum() == pytest.approx(1.0)
    assert len(waves) == 14  # of 3 × 3 × 3: Γ and 13 pairs
    assert sorted(set(np.rint(27 * shares))) == [1, 2]
    assert np.array_equal(sorep.mesh(frame(WATER))[0], np.zeros((1, 3)))


# ── many frames ───────────────────────────────────────────────────────────────
def test_processes_share_the_work_and_change_nothing():
    dataset = Dataset.from_frames([frame(rattled(WATER, seed)) for seed in range(32)])
    told = []
    together = sorep.describe(dataset, workers=2, progress=told.append)
    assert told == list(range(1, 33))
    assert np.allclose(together, sorep.describe(dataset), atol=1e-12)
    assert sorep.describe(dataset[:0]).shape == (0, 181)


def test_one_thread_is_enough_and_more_come_back():
    from threadpoolctl import threadpool_info, threadpool_limits

    def threads():
        return [library["num_threads"] for library in threadpool_info()]

    seen = []
    dataset = Dataset.from_frames([frame(WATER), frame(rattled(WATER))])
    sorep.describe(dataset)  # loads the libraries that are counted
    with threadpool_limits(2):
        before = threads()
        sorep.describe(dataset, progress=lambda _: seen.append(threads()))
        after = threads()
    assert 2 in before
    assert after == before
    assert seen == [[1] * len(before)] * 2


def test_an_element_without_orbitals_is_refused():
    with pytest.raises(InputError, match="no orbitals for Bk; use the structural descriptor"):
        sorep.descriptor(frame(Atoms("Bk")))
