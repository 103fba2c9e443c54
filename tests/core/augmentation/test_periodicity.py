"""Emptiness along periodic directions, which a file may have by mistake."""

from __future__ import annotations

import pytest
from ase.build import bulk, graphene_nanoribbon, molecule
from ase.io import read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from trainspot.augment.periodicity import WIDE, empty_space, note
from trainspot.data.frames import Frame


def sheared_sheet(shift=(0.0, 0.0), turn=0.0):
    """Two atoms in a plane, 12 Å from the next, in a cell whose third vector may lean."""
    cell = [[3.0, 0.0, 0.0], [1.0, 3.0, 0.0], [*shift, 12.0]]
    return Frame.make([6, 6], [[0, 0, turn], [1.5, 1.5, turn]], cell, True)


@given(
    shift=st.tuples(*[st.floats(-9.0, 9.0)] * 2),
    turn=st.floats(-30.0, 30.0),
)
@settings(max_examples=40, deadline=None)
def test_it_is_measured_along_the_normal_wherever_the_atoms_are(shift, turn):
    gap, axis = empty_space(sheared_sheet(shift, turn))
    assert gap == pytest.approx(12.0, abs=1e-6)
    assert axis == "c"


@pytest.mark.parametrize(
    "atoms",
    [bulk("Si"), bulk("NaCl", "rocksalt", a=5.64), molecule("H2O"), bulk("Cu") * (4, 4, 4)],
)
def test_crystals_and_molecules_have_none(atoms):
    assert empty_space(Frame.from_atoms(atoms))[0] < WIDE
    assert note([Frame.from_atoms(atoms)]) == ""


def test_only_periodic_directions_count():
    ribbon = graphene_nanoribbon(3, 2, vacuum=6)
    assert empty_space(Frame.from_atoms(ribbon))[0] < WIDE
    ribbon.pbc = True
    assert empty_space(Frame.from_atoms(ribbon))[0] >= 12.0


def test_what_a_cif_makes_of_a_sheet(tmp_path):
    atoms = bulk("Cu")
    atoms.cell[2] = [0.0, 0.0, 20.0]
    atoms.pbc = [True, True, False]
    write(tmp_path / "sheet.cif", atoms)
    assert "a periodic direction" in note([Frame.from_atoms(read(tmp_path / "sheet.cif"))])
