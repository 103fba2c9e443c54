"""Slabs: parameters, what is noted, and what the input says beyond its geometry."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule

from trainspot.augment.plan import augment, parse_plan
from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.data.lattice import image_distance
from trainspot.geometry import vacuum_gaps

DIAMOND = Frame.from_atoms(bulk("C", a=3.567, cubic=True))
COPPER = Frame.from_atoms(bulk("Cu", cubic=True))
SMALL = {"thickness": 6.0, "min_length": 1.0}  # a single repeat unit of the surface


def made(frames, seed=1, vacuum=15.0, **item):
    plan = parse_plan([{"kind": "slab", **item}])
    return augment(Dataset.from_frames(frames), plan, seed, vacuum=vacuum)


def test_surfaces_are_repeated_as_far_as_atoms_allow():
    parent = Frame.from_atoms(bulk("C", a=3.567))
    (slab,) = made([parent], miller=[(1, 1, 1)]).dataset
    assert len(slab) == 6 * 2 * 36
    assert image_distance(slab.cell, slab.pbc) == pytest.approx(6 * 3.567 / np.sqrt(2), abs=1e-5)
    (slab,) = made([parent], miller=[(1, 1, 1)], min_length=9.0).dataset
    assert len(slab) == 6 * 2 * 16
    (slab,) = made([parent], miller=[(1, 1, 1)], max_atoms=30).dataset
    assert len(slab) <= 30


def test_what_does_not_fit_is_noted():
    found = made([DIAMOND], max_atoms=11)
    assert len(found.dataset) == 0
    assert len(found.notes) == 3
    assert "(1 1 1) of C8" in found.notes[0]
    assert "at least 12 atoms for 10.0 Å, more than 11" in found.notes[0]


@pytest.mark.parametrize(
    "atoms", [graphene(vacuum=5), molecule("H2O"), Atoms("C", cell=[0, 0, 2.5], pbc=(0, 0, 1))]
)
def test_only_crystals_are_cut(atoms):
    found = made([Frame.from_atoms(atoms), COPPER], **SMALL)
    assert len(found.dataset) == 3
    assert "is not periodic in three directions" in found.notes[-1]


def test_overlapping_atoms_have_no_symmetry():
    """Closer than the tolerance, two atoms cannot be told apart."""
    frame = Frame.make([1, 1], [[0, 0, 0], [0.5, 0, 0]], np.eye(3) * 4, True)
    found = made([frame], symprec=0.9)
    assert len(found.dataset) == 0
    assert found.notes == [f"slab: no symmetry found for H2 {frame.id[:8]} within 0.9 Å"]


# ── what the input says ───────────────────────────────────────────────────────
def test_moments_make_atoms_different_and_are_inherited():
    """An antiferromagnet has a larger cell than its lattice of atoms."""
    plain = Frame.from_atoms(bulk("Fe", cubic=True))
    ordered = plain.with_(arrays={"initial_magmoms": np.array([2.0, -2.0])})
    (slab,) = made([ordered], miller=[(1, 0, 0)], **SMALL).dataset
    moments = slab.arrays["initial_magmoms"]
    heights = np.round(slab.positions[:, 2] / 1.435).astype(int)
    assert set(moments[heights % 2 == 0]) | set(moments[heights % 2 == 1]) == {2.0, -2.0}
    assert all(len(set(moments[heights == h])) == 1 for h in np.unique(heights))
    (slab,) = made([plain], miller=[(1, 0, 0)], **SMALL).dataset
    assert not slab.arrays


@pytest.mark.parametrize(
    "item",
    [
        {"miller": [[1, 1, 1]]},
        {"thickness": 12.0},
        {"min_length": 6.0},
        {"max_atoms": 100},
        {"terminations": "all"},
        {"symprec": 0.5},
    ],
)
def test_every_parameter_changes_something(item):
    atoms = bulk("C", a=3.567, cubic=True)
    atoms.positions[0] += [0.05, 0.02, 0.0]
    parent = Frame.from_atoms(atoms)
    assert made([parent], **item).dataset.ids != made([parent]).dataset.ids


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"miller": []}, "slab.miller"),
        ({"miller": [[1, 1]]}, "slab.miller"),
        ({"miller": [[0, 0, 0]]}, "0 0 0 are no plane"),
        ({"miller": [[1, 0, 99]]}, "between -50 and 50"),
        ({"thickness": 0}, "slab.thickness"),
        ({"min_length": -1}, "slab.min_length"),
        ({"max_atoms": 0}, "slab.max_atoms"),
        ({"terminations": "none"}, "slab.terminations"),
        ({"symprec": 0}, "slab.symprec"),
        ({"symprecs": 1}, "did you mean 'symprec'"),
    ],
)
def test_bad_parameters_are_refused(item, message):
    with pytest.raises(InputError, match=message):
        parse_plan([{"kind": "slab", **item}])


def test_vacuum_is_that_of_the_plan():
    for vacuum in (8.0, 22.0):
        found = made([COPPER], vacuum=vacuum, **SMALL).dataset
        assert [vacuum_gaps(slab)[2] for slab in found] == pytest.approx([vacuum] * 3, abs=1e-6)
