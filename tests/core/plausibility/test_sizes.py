"""Energies, stresses and distances that no matter has.

Sources of the files in ``data``: ACEsuit/mace #994 (stress in kbar), #262 (atomic units),
#581 (isolated atoms of another zero); pymatgen #2175, #3963, aiida-core #1256 (rounded CIF).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from trainspot import io
from trainspot.common.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV, KCAL_PER_MOL_IN_EV
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.plausibility import doubts
from trainspot.plausibility.sizes import all_electron

DATA = Path(__file__).parent / "data"


def the_doubt(dataset):
    (found,) = doubts(dataset)
    assert "\n" not in found.text
    return found


def test_stresses_in_kbar_that_like_frames_cannot_tell():
    found = the_doubt(io.read(DATA / "stress-in-kbar.extxyz"))
    assert found.kind == "stress-unit"
    assert found.text.startswith(
        "stresses reach 112.9 eV/Å³, 18085 GPa (beyond 1 eV/Å³ in 12 of 12 frames); the energies "
        "of similar frames change far less with strain: in kbar (multiply them by 0.000624151) or "
        "in GPa (by 0.00624151)?"
    )


def test_atomic_units():
    found = the_doubt(io.read(DATA / "atomic-units.extxyz"))
    assert (found.kind, found.factor) == ("length-unit", BOHR_IN_ANGSTROM)
    assert "no two atoms are closer than 1.86 Å (H–O), 1.9 times the length of a bond" in found.text
    assert "energies of -5.75 eV/atom by 27.2114, forces by 51.4221" in found.text


def test_isolated_atoms_of_another_zero():
    found = the_doubt(io.read(DATA / "atoms-of-another-zero.extxyz"))
    assert found.kind == "energy-above-atoms"
    assert found.text.startswith("12 frames lie +685.1 eV/atom above the isolated atoms (median), ")
    assert found.text.endswith("or give train.e0s")


def test_reference_energies_that_are_given_count_instead():
    dataset = io.read(DATA / "atoms-of-another-zero.extxyz")
    assert doubts(dataset, atoms={1: -1.0, 8: -2.0}) == []


def test_a_cif_file_with_rounded_coordinates():
    found = the_doubt(io.read(DATA / "rounded.cif"))
    assert found.kind == "atoms-twice"
    assert "are 0.0025 Å apart (1 of 1 frame measured has such a pair)" in found.text
    assert "A CIF file with rounded coordinates needs more digits, 1/3 and 2/3 as" in found.text


def shifted(frames, atoms=0.0, matter=0.0):
    """Frames with other zeros of the energies, of single atoms and of the rest, eV/atom."""
    found = []
    for frame in frames:
        shift = atoms if len(frame) == 1 else matter * len(frame)
        old = frame.labels
        found.append(frame.with_(labels=Labels(old.energy + shift, old.forces, old.stress, "emt")))
    return Dataset.from_frames(found)


def test_atoms_of_another_method_on_either_side(copper):
    assert doubts(shifted(copper, -7000.0, -7000.0)) == []  # all electrons, of one method
    above, below = the_doubt(shifted(copper, -2045.0)), the_doubt(shifted(copper, matter=-470.0))
    assert "30 frames lie +2042 eV/atom above the isolated atoms" in above.text
    assert "30 frames lie 473.4 eV/atom below the isolated atoms" in below.text
    assert "a mixture of total and cohesive energies" in below.text


def test_stresses_in_kbar_do_not_hide_atoms_of_another_method(copper, in_units):
    found = doubts(in_units(shifted(copper, -2045.0), stress=1 / 1602.1766))
    assert [doubt.kind for doubt in found] == ["stress-against-energy", "energy-above-atoms"]


def test_some_frames_of_another_zero(copper):
    mixed = Dataset.concatenate([shifted(copper[:20], matter=-2000.0), shifted(copper[20:])])
    kinds = {doubt.kind for doubt in doubts(mixed)}
    assert "energy-below-atoms" in kinds or "energy-two-zeros" in kinds
    alone = Dataset.concatenate([shifted(copper[:12], matter=-2000.0), shifted(copper[12:30])])
    assert "energy-two-zeros" in {doubt.kind for doubt in doubts(alone)}
    few = Dataset.concatenate([shifted(copper[:2], matter=300.0), shifted(copper[2:])])
    (found,) = (doubt for doubt in doubts(few) if doubt.kind == "energy-above-atoms")
    assert found.text.startswith("2 of 30 frames lie more than 100 eV/atom above")


def of_all_electrons(water, unit):
    """Water as a program with all electrons has it, in some unit."""
    total = float(all_electron(np.array([8, 1, 1])).sum()) * HARTREE_IN_EV
    found = []
    for frame in water:
        old = frame.labels
        labels = Labels((total + old.energy) / unit, old.forces / unit, None, "hf")
        found.append(frame.with_(labels=labels))
    return Dataset.from_frames(found)


def test_energies_of_all_electrons_tell_their_unit(water):
    assert doubts(of_all_electrons(water, 1.0)) == []
    kcal = the_doubt(of_all_electrons(water, KCAL_PER_MOL_IN_EV))
    assert (kcal.kind, kcal.factor) == ("energy-unit", pytest.approx(KCAL_PER_MOL_IN_EV))
    assert "in kcal/mol? Then multiply them by 0.0433641" in kcal.text
    hartree = the_doubt(of_all_electrons(water, HARTREE_IN_EV))
    assert hartree.factor == pytest.approx(HARTREE_IN_EV)
    assert "those of all electrons in Hartree? Then multiply them by 27.2114" in hartree.text


def test_energies_of_free_atoms_by_formula():
    """Hartree-Fock limits, Hartree."""
    known = {6: -37.689, 8: -74.809, 14: -288.854, 18: -526.817, 29: -1638.964}
    found = all_electron(np.array([*known]))
    np.testing.assert_allclose(found, [*known.values()], rtol=0.007)


def scaled(frames, factor):
    return Dataset.from_frames(
        Frame.make(f.numbers, f.positions * factor, f.cell * factor, f.pbc) for f in frames
    )


def test_lengths_in_other_units(copper, water):
    for frames in (copper, water):
        assert doubts(scaled(frames, 1.0)) == []
        assert "lengths in bohr?" in the_doubt(scaled(frames, 1 / BOHR_IN_ANGSTROM)).text
        assert "lengths in nm" in the_doubt(scaled(frames, 0.1)).text
        assert "by bohr twice?" in the_doubt(scaled(frames, BOHR_IN_ANGSTROM)).text


def test_what_is_wide_by_nature_is_not_taken_for_bohr():
    apart = [Atoms("Xe2", [[0, 0, 0], [0, 0, d]]) for d in (4.2, 4.4, 5.0)]
    apart += [Atoms("Cu2", [[0, 0, 0], [0, 0, d]]) for d in (2.2, 3.0, 4.0, 5.0)]
    assert doubts(Dataset.from_frames(map(Frame.from_atoms, apart))) == []


def test_an_atom_and_its_image_are_named():
    frame = Frame.make([29], [[0, 0, 0]], np.diag([0.01, 9.0, 9.0]), True)
    more = [Frame.make([29] * 4, np.eye(4)[:, :3] * 3.0 + k, np.eye(3) * 9, True) for k in range(9)]
    assert (
        "atom 1 (Cu) and its periodic image of frame 1"
        in the_doubt(
            Dataset.from_frames(
                [Frame.make([29, 29], [[0, 0, 0], [0, 4, 4]], frame.cell, True), *more]
            )
        ).text
    )
