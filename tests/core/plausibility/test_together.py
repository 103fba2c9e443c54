"""Energies, forces and stresses that do not belong together, shown by similar frames.

Sources: mlearn #64, matpes #6 (stresses in kbar with the sign of VASP), mace #994, QUIP #227.
"""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from trainspot import io
from trainspot.common.units import (
    BOHR_IN_ANGSTROM,
    EV_PER_A3_IN_GPA,
    EV_PER_A3_IN_KBAR,
    HARTREE_IN_EV,
    KCAL_PER_MOL_IN_EV,
    RYDBERG_IN_EV,
)
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.plausibility import doubts

HARTREE_BOHR = HARTREE_IN_EV / BOHR_IN_ANGSTROM


def test_data_in_ev_and_angstrom_are_not_doubted(sound, in_units):
    assert doubts(sound) == []
    assert doubts(in_units(sound, stress=None)) == []


@pytest.mark.parametrize(
    ("stress", "words"),
    [
        (-1.0, "stresses with the sign of VASP, positive under compression (multiply by -1)?"),
        (1 / EV_PER_A3_IN_KBAR, "stresses in kbar (multiply by 0.000624151)?"),
        (-1 / EV_PER_A3_IN_KBAR, "stresses in kbar with the sign of VASP, positive under"),
        (1 / EV_PER_A3_IN_GPA, "stresses in GPa (multiply by 0.00624151)?"),
        (-1 / EV_PER_A3_IN_GPA, "stresses in GPa with the sign of VASP"),
    ],
)
def test_stresses_in_other_units_or_of_the_other_sign(copper, in_units, stress, words):
    (doubt,) = doubts(in_units(copper, stress=stress))
    assert doubt.kind == "stress-against-energy"
    assert doubt.factor == pytest.approx(stress)
    text = "stresses contradict the energies: between similar frames V·σ·ε is "
    assert doubt.text.startswith(text)
    assert words in doubt.text
    assert "\n" not in doubt.text


@pytest.mark.parametrize(
    ("changes", "kind", "factor", "words"),
    [
        (
            {"energy": HARTREE_IN_EV},
            "forces-and-stress-against-energy",
            HARTREE_IN_EV,
            "energies in Hartree (multiply by 27.2114)?",
        ),
        (
            {"energy": HARTREE_IN_EV, "forces": HARTREE_BOHR},
            "forces-and-stress-against-energy",
            None,
            "energies in Hartree (multiply by 27.2114) and forces in Hartree/bohr (multiply by 51",
        ),
        (
            {"energy": RYDBERG_IN_EV, "forces": HARTREE_BOHR / 2},
            "forces-and-stress-against-energy",
            None,
            "energies in Rydberg (multiply by 13.6057) and forces in Rydberg/bohr",
        ),
        (
            {"energy": HARTREE_IN_EV, "forces": HARTREE_BOHR, "stress": -1 / EV_PER_A3_IN_KBAR},
            "forces-and-stress-against-energy",
            None,
            "and stresses in kbar with the sign of VASP",
        ),
        (
            {"energy": KCAL_PER_MOL_IN_EV, "forces": KCAL_PER_MOL_IN_EV},
            "stress-against-energy",
            None,
            "energies in kcal/mol (multiply by 0.0433641) and forces in kcal/mol/Å",
        ),
        (
            {"forces": HARTREE_BOHR},
            "forces-against-energy",
            HARTREE_BOHR,
            "forces in Hartree/bohr (multiply by 51.4221)?",
        ),
        (
            {"forces": -1.0},
            "forces-against-energy",
            -1.0,
            "gradients instead of forces (multiply by -1)?",
        ),
        ({"energy": len}, "energy-per-atom", None, "energies per atom (multiply each by its"),
    ],
)
def test_energies_and_forces_in_other_units(copper, in_units, changes, kind, factor, words):
    found = doubts(in_units(copper, **changes))[0]
    assert (found.kind, words in found.text) == (kind, True), found.text
    assert found.factor == (None if factor is None else pytest.approx(factor))


def test_energies_in_hartree_where_cells_differ_and_no_stress_is_known(in_units, shake):
    """The slope is that of bohr, and all units that have it are said."""
    frames = shake(60)
    assert doubts(in_units(frames, stress=None)) == []
    found = in_units(frames, energy=HARTREE_IN_EV, forces=HARTREE_BOHR, stress=None)
    (doubt,) = doubts(found)
    assert "forces contradict the energies: between similar frames -F·Δr is about 0.5" in doubt.text
    assert "energies in Hartree (multiply by 27.2114) and forces in Hartree/bohr" in doubt.text


def test_molecules_that_turn_tell_as_well(water, in_units):
    assert doubts(in_units(water)) == []
    (doubt,) = doubts(in_units(water, forces=KCAL_PER_MOL_IN_EV))
    assert "forces in kcal/mol/Å (multiply by 0.0433641)?" in doubt.text


def test_a_dataset_on_disk_is_doubted_alike(copper, in_units, tmp_path):
    found = in_units(copper, stress=-1.0)
    io.write(found, tmp_path / "a.h5")
    with io.opened(tmp_path / "a.h5") as dataset:
        assert doubts(dataset) == doubts(found)


def test_labels_that_mean_nothing_tell_nothing(labelled_frames):
    kinds = {doubt.kind for doubt in doubts(Dataset.from_frames(labelled_frames))}
    assert kinds <= {"stress-unit"}
    assert doubts(Dataset.from_frames([])) == []


def test_cells_of_one_atom_and_no_forces_tell_their_stress():
    found = []
    for x in np.linspace(0.94, 1.06, 9):
        atoms = bulk("Cu")
        atoms.set_cell(atoms.cell.array * x, scale_atoms=True)
        atoms.calc = EMT()
        stress = -atoms.get_stress(voigt=False)
        labels = Labels(atoms.get_potential_energy(), None, stress, "emt")
        found.append(Frame.from_atoms(atoms).with_(labels=labels))
    (doubt,) = doubts(Dataset.from_frames(found))
    assert doubt.factor == -1.0
