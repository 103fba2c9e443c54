"""The conversion constants agree with each other and with ASE's."""

from __future__ import annotations

import ase.units
import pytest

from trainspot.common import units


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (units.EV_PER_A3_IN_GPA, 1 / ase.units.GPa),
        (units.EV_PER_A3_IN_KBAR, 1 / (1000 * ase.units.bar)),
        (units.RYDBERG_IN_EV, ase.units.Rydberg),
        (units.BOHR_IN_ANGSTROM, ase.units.Bohr),
        (units.BOLTZMANN_EV_PER_K, ase.units.kB),
    ],
)
def test_constants_agree_with_ase(ours, theirs):
    # ASE uses an older CODATA set: the last digits differ, nothing else may
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_pressure_in_the_documented_number():
    assert pytest.approx(1602.1766, abs=1e-4) == units.EV_PER_A3_IN_KBAR


def test_atomic_unit_of_pressure():
    in_gpa = units.RYDBERG_IN_EV / units.BOHR_IN_ANGSTROM**3 * units.EV_PER_A3_IN_GPA
    assert in_gpa == pytest.approx(14710.5, rel=1e-4)  # 1 Ry/bohr³, what pw.x converts with


def test_small_factors():
    assert units.BAR_PER_KBAR == 1000
    assert units.FS_PER_PS == 1000
