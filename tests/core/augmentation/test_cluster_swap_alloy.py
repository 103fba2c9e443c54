"""Clusters, swaps and alloys: what each promises, for any structure and seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ase.build import bulk, molecule, mx2
from ase.data import covalent_radii
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from trainspot.augment.plan import augment, parse_plan
from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.geometry import vacuum_gaps, with_vacuum

SALT = Frame.from_atoms(bulk("NaCl", "rocksalt", a=5.64, cubic=True))
SHEET = Frame.from_atoms(mx2("MoTe2", "2H", a=3.52, thickness=3.6, vacuum=10) * (2, 2, 1))
WATER = with_vacuum(Frame.from_atoms(molecule("H2O")), 15.0)
SILICON = Frame.from_atoms(bulk("Si", cubic=True))
UNABLE = "structures: fewer than three atoms, or one element"
ANY = st.sampled_from([SALT, SHEET, WATER])


def made(frames, seed=0, **item):
    found = augment(Dataset.from_frames(frames), parse_plan([item]), seed)
    assert all(frame.origin.strategy == item["kind"] for frame in found.dataset)
    return found


# ── clusters ──────────────────────────────────────────────────────────────────
@given(parent=ANY, seed=st.integers(0, 10**6), auto=st.booleans(), largest=st.integers(2, 12))
@settings(max_examples=6, deadline=None)
def test_clusters_grow_in_their_shells(parent, seed, auto, largest):
    distance = "auto" if auto else 3.0
    found = made([parent], seed, kind="cluster", distance=distance, max_atoms=largest)
    assert len(found.dataset) == 20
    assert not found.refused
    for frame in found.dataset:
        assert 2 <= len(frame) <= largest
        assert not frame.pbc.any()
        assert set(frame.numbers) <= set(parent.numbers)
        assert frame.origin.parent == parent.id
        radii = covalent_radii[frame.numbers]
        shortest = radii[:, None] + radii if auto else np.full((len(frame),) * 2, 3.0)
        apart = cdist(frame.positions, frame.positions)
        np.fill_diagonal(apart, np.inf)
        assert np.all(apart >= shortest - 1e-7)
        within = apart <= np.sqrt(3) * shortest + 1e-7
        reached = {0}
        for _ in range(len(frame)):
            reached |= {int(j) for i in reached for j in np.flatnonzero(within[i])}
        assert len(reached) == len(frame), "every atom hangs on another one"


def test_clusters_of_all_sizes_and_elements():
    found = made([SALT], kind="cluster", distance="auto", copies=200, max_atoms=5).dataset
    sizes = Counter(found.n_atoms.tolist())
    assert sorted(sizes) == [2, 3, 4, 5]
    assert min(sizes.values()) > 30
    assert 0.4 < np.mean(found.column("numbers") == 11) < 0.6


def test_the_shell_is_filled_uniformly():
    """In the shell [d, √3 d] half of the volume lies within ((1 + 3√3)/2)^⅓ d."""
    found = made([SILICON], kind="cluster", distance=3.0, copies=800, max_atoms=2).dataset
    apart = np.array([np.linalg.norm(f.positions[1] - f.positions[0]) for f in found])
    half = 3.0 * ((1 + 3 * np.sqrt(3)) / 2) ** (1 / 3)
    assert np.mean(apart < half) == pytest.approx(0.5, abs=0.05)
    directions = np.array([f.positions[1] - f.positions[0] for f in found])
    assert np.all(np.abs(np.mean(directions > 0, axis=0) - 0.5) < 0.06)


@pytest.mark.parametrize("vacuum", [6.0, 20.0])
def test_the_vacuum_of_clusters_is_that_of_the_plan(vacuum):
    data = Dataset.from_frames([SILICON])
    for frame in augment(data, parse_plan([{"kind": "cluster"}]), 1, vacuum=vacuum).dataset:
        assert vacuum_gaps(frame) == pytest.approx([vacuum] * 3, abs=1e-6)
        assert frame.positions.min(axis=0) == pytest.approx([vacuum / 2] * 3, abs=1e-6)


def test_clusters_closer_than_bonds_are_refused_and_counted():
    found = made([SHEET], kind="cluster", distance=0.5, max_atoms=2)
    assert found.refused["overlap"] + len(found.dataset) == 20
    assert found.refused["overlap"] > 10


# ── swaps ─────────────────────────────────────────────────────────────────────
@given(parent=ANY, seed=st.integers(0, 10**6), swaps=st.floats(0.01, 0.5), copies=st.integers(1, 4))
@settings(max_examples=12, deadline=None)
def test_swaps_change_the_order_and_keep_the_composition(parent, seed, swaps, copies):
    found = made([parent], seed, kind="swap", swaps=swaps, copies=copies)
    assert 1 <= len(found.dataset) <= copies
    assert len(found.dataset) == copies or "different exchanges" in found.notes[0]
    assert not found.refused.get("duplicate")
    for frame in found.dataset:
        changed = np.flatnonzero(frame.numbers != parent.numbers)
        assert sorted(frame.numbers) == sorted(parent.numbers)
        pairs = frame.origin.parameters["exchanged"]
        assert sorted(changed) == sorted(atom for pair in pairs for atom in pair)
        assert 1 <= len(pairs) <= max(1, round(swaps * len(parent) + 1e-9))
        np.testing.assert_array_equal(frame.positions, parent.positions)


def test_a_share_of_the_structures_is_swapped():
    cells = [bulk("NaCl", "rocksalt", a=a, cubic=True) for a in np.linspace(5.4, 5.9, 10)]
    salts = [Frame.from_atoms(cell) for cell in cells]
    found = made([*salts, SILICON], kind="swap", share=0.3)
    assert len(found.dataset) == 3
    assert found.notes == [f"swap: nothing to exchange in 1 of 11 {UNABLE}"]


def test_two_atoms_exchanged_are_the_same_structure():
    dimer = Frame.make([6, 8], [[0, 0, 0], [0, 0, 1.1]])
    found = made([dimer, Frame.from_atoms(bulk("NaCl", "rocksalt", a=5.6))], kind="swap", share=1)
    assert len(found.dataset) == 0
    assert found.notes[-1] == f"swap: nothing to exchange in 2 of 2 {UNABLE}"


def test_one_element_gives_nothing_and_says_so():
    found = made([SILICON], kind="swap")
    assert len(found.dataset) == 0
    assert found.notes == [f"swap: nothing to exchange in 1 of 1 {UNABLE}"]


def test_swaps_are_made_in_what_was_made_before():
    plan = parse_plan([{"kind": "rattle", "copies": 20}, {"kind": "swap", "share": 0.25}])
    found = augment(Dataset.from_frames([SALT]), plan, 1)
    rattled = {f.id for f in found.dataset if f.origin.strategy != "swap"}
    swapped = [f for f in found.dataset if f.origin.strategy == "swap"]
    assert len(rattled) == 20
    assert len(swapped) + found.refused.get("overlap", 0) == 5
    assert {f.origin.parent for f in swapped} <= rattled
    alone = augment(Dataset.from_frames([SALT]), plan[::-1], 1)
    parents = {f.origin.parent for f in alone.dataset if f.origin.strategy == "swap"}
    assert parents == {SALT.id}, "what comes later is not its business"


# ── alloys ────────────────────────────────────────────────────────────────────
@given(seed=st.integers(0, 10**6), copies=st.integers(1, 12))
@settings(max_examples=8, deadline=None)
def test_alloys_are_distinct_and_leave_fixed_elements_alone(seed, copies):
    found = made(
        [SALT], seed, kind="alloy", alloy_species=["Na", "K", "Li"], fixed_species=["Cl"],
        copies=copies,
    )  # fmt: skip
    assert len(set(found.dataset.ids)) == len(found.dataset) <= copies
    assert len(found.dataset) == copies or "different alloys" in found.notes[0]
    for frame in found.dataset:
        chlorine = SALT.numbers == 17
        np.testing.assert_array_equal(frame.numbers[chlorine], 17)
        assert set(frame.numbers[~chlorine]) <= {3, 11, 19}
        assert not np.array_equal(frame.numbers, SALT.numbers)


def test_of_few_alloys_all_are_found_but_the_input_itself():
    four = Frame.from_atoms(bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    item = {"kind": "alloy", "alloy_species": ["Na", "K"], "fixed_species": ["Cl"], "copies": 20}
    found = made([four], **item)
    assert len(found.dataset) == 2**4 - 1
    assert four.id not in found.dataset
    assert found.refused == {}
    assert found.notes[0].startswith("alloy: only 15 different alloys found for Cl4Na4")


def test_fractions_are_kept_as_nearly_as_sites_allow():
    gold = Frame.from_atoms(bulk("Au", cubic=True) * (2, 2, 2))
    found = made([gold], kind="alloy", alloy_species=["Au", "Cu"], copies=30,
                 fractions={"Au": 0.7, "Cu": 0.3})  # fmt: skip
    assert {int(np.sum(frame.numbers == 79)) for frame in found.dataset} == {22}
    assert len(found.dataset) == 30


def test_concentrations_cover_the_simplex():
    gold = Frame.from_atoms(bulk("Au", cubic=True) * (3, 3, 3))
    found = made([gold], kind="alloy", alloy_species=["Au", "Cu", "Ag"], copies=300).dataset
    share = np.array([np.mean(frame.numbers == 79) for frame in found])
    # uniform on the triangle: mean 1/3, and P(x > 1/2) = 1/4
    assert share.mean() == pytest.approx(1 / 3, abs=0.03)
    assert np.mean(share > 0.5) == pytest.approx(0.25, abs=0.06)


def test_what_cannot_be_alloyed_is_noted():
    found = made([SILICON, SALT], kind="alloy", alloy_species=["Ge", "C"], fixed_species=["Si"])
    assert any("every site of Si8" in note for note in found.notes)
    assert {frame.origin.parent for frame in found.dataset} == {SALT.id}


# ── all three ─────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "item",
    [
        {"kind": "cluster", "distance": "auto"},
        {"kind": "swap", "copies": 3},
        {"kind": "alloy", "alloy_species": ["Ge", "C"]},
    ],
)
def test_seeds_decide(item):
    ids = [made([SALT], seed, **item).dataset.ids for seed in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"kind": "cluster", "max_atoms": 1}, "cluster.max_atoms"),
        ({"kind": "cluster", "distance": -1.0}, "cluster.distance"),
        ({"kind": "cluster", "distance": "far"}, "cluster.distance"),
        ({"kind": "swap", "share": 0}, "swap.share"),
        ({"kind": "swap", "swaps": 0.6}, "swap.swaps"),
        ({"kind": "alloy"}, "alloy.alloy_species"),
        ({"kind": "alloy", "alloy_species": ["Ge"]}, "alloy.alloy_species"),
        ({"kind": "alloy", "alloy_species": ["Ge", "Xy"]}, "'Xy' is not an element"),
        ({"kind": "alloy", "alloy_species": ["Ge", "Ge"]}, "named twice"),
        (
            {"kind": "alloy", "alloy_species": ["Ge", "C"], "fixed_species": ["C"]},
            "names C, which is an element of the alloy",
        ),
        ({"kind": "alloy", "alloy_species": ["Ge", "C"], "fractions": {"Ge": 1.0}}, "different el"),
        (
            {"kind": "alloy", "alloy_species": ["Ge", "C"], "fractions": {"Ge": 0.7, "C": 0.7}},
            "sum to 1",
        ),
        ({"kind": "swap", "copy": 2}, "did you mean 'copies'"),
    ],
)
def test_bad_parameters_are_refused(item, message):
    with pytest.raises(InputError, match=message):
        parse_plan([item])
