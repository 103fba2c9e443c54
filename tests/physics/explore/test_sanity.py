"""Decks that contradict their model are refused before the first step, in one line.

Units after deepmd-kit #43 and its pull request #2775: any units ran, with eV taken for kcal/mol.
"""

from __future__ import annotations

import pytest

from trainspot.common.errors import InputError
from trainspot.explore.driver import execute
from trainspot.explore.engine import open_lammps
from trainspot.explore.sanity import check_masses
from trainspot.explore.steps import parse, sections

pytestmark = pytest.mark.engine

DECK = """\
# trainspot model={model} elements={elements}
{start}
units {units}
{style}
boundary {boundary}
lattice {lattice} 4.05
region box block 0 2 0 2 {thick}
create_box 2 box
create_atoms 1 box basis 1 2
{masses}
pair_style zero 5.0 nocoeff
pair_coeff * *
{more}
fix integrate all nve
run 1
"""
GOOD = {
    "elements": "Ar,Kr",
    "start": "",
    "units": "metal",
    "lattice": "fcc",
    "thick": "0 2",
    "style": "atom_style atomic",
    "boundary": "p p p",
    "masses": "mass 1 39.948\nmass 2 83.798",
    "more": "",
}


@pytest.fixture
def run(lj, monkeypatch):
    """Runs a deck with a model of known physics, and returns what was said and how far it got."""
    monkeypatch.setattr("trainspot.models.potential.load", lambda *_, **__: lj)

    def run(**changes):
        text = DECK.format(**GOOD | {"model": "x.lj"} | changes)
        found = sections(parse(text))
        lmp = open_lammps(["-screen", "none", "-log", "none"])
        try:
            failures = execute(found, lmp)
            return failures, int(lmp.extract_global("ntimestep"))
        finally:
            lmp.close()

    return run


def test_a_sound_deck_runs_without_a_word(run, capsys):
    assert run() == ([], 1)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("units", ["real", "lj", "si", "electron", "cgs", "micro", "nano"])
def test_units_other_than_metal_are_refused_where_they_are_written(run, units):
    with pytest.raises(InputError) as error:
        run(units=units)
    assert str(error.value) == (
        f"deck:3: trainspot models are in eV and Å, not in `units {units}`; write `units metal`, "
        "with times in ps, pressures in bar and masses in g/mol"
    )


def test_units_of_a_variable_or_none_at_all_are_refused_too(run):
    with pytest.raises(InputError, match=r"deck:1: .*`units real`; write `units metal`"):
        run(units="${u}", start="variable u string real")
    with pytest.raises(InputError, match=r"deck:5: .*`units lj`; write `units metal`"):
        run(style="clear\n# trainspot model=x elements=Ar,Kr")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masses": "mass 1 39.948"}, r"atom type 2 \(Kr\) has no mass; write `mass 2 83.798`"),
        (
            {"masses": "mass 1 83.798\nmass 2 39.948"},
            r"the mass of atom type 1 is 83.798, not that of Ar \(39.948\), but that of Kr; write",
        ),
        ({"masses": "mass * 1.0"}, r"the mass of atom type 1 is 1, not that of Ar \(39.948\); "),
        ({"elements": "Ar"}, r"elements= names 1 element \(Ar\) for 2 atom types; name one"),
        ({"elements": "Ar,Kr,Xe"}, r"names 3 elements \(Ar,Kr,Xe\) for 2 atom types"),
        ({"elements": "Ar,krypton"}, "there is no element 'krypton'"),
        ({"elements": "Ar,U"}, "the model does not know U; it knows H, He, Li"),
        ({"style": "atom_style atomic\natom_modify id no"}, "atoms without ids"),
        (
            {"style": "atom_style ellipsoid", "masses": ""},
            "`atom_style ellipsoid` has no plain atoms; write",
        ),
        ({"style": "dimension 2", "thick": "-0.1 0.1", "lattice": "sq2"}, "three-dimensional"),
    ],
)
def test_types_masses_and_styles_that_disagree_are_named(run, changes, message):
    with pytest.raises(InputError, match=rf"deck:1: .*{message}"):
        run(**changes)


def test_a_time_step_meant_in_fs_is_refused_where_it_runs(run):
    with pytest.raises(InputError, match=r"deck:\d+: a time step of 1 ps; 1 fs is `timestep 0.001"):
        run(more="timestep 1.0")


def test_isotopes_run_with_a_note(run, capsys):
    assert run(masses="mass 1 36.0\nmass 2 83.8") == ([], 1)
    assert capsys.readouterr().err == (
        "trainspot-lmp: note: deck:1: the mass of atom type 1 is 36, not that of Ar (39.948); "
        "an isotope?\n"
    )


def test_other_masses_run_if_they_are_meant(run, capsys):
    assert run(masses="mass * 1.0", elements="Ar,Kr masses=any") == ([], 1)
    assert capsys.readouterr().err.count("note: deck:1: the mass of atom type") == 2
    with pytest.raises(InputError, match="deck:1: masses=all; known: masses=any"):
        run(elements="Ar,Kr masses=all")


def test_a_crystal_that_ends_at_its_boundary_is_noted(run, capsys):
    assert run(boundary="p p f") == ([], 1)
    assert "the box ends at the atoms along z" in capsys.readouterr().err


class Masses:
    """A LAMMPS that is asked for masses only."""

    def __init__(self, *masses):
        self._masses = [0.0, *masses]

    def extract_setting(self, name):
        return 0

    def extract_atom(self, name):
        return self._masses


@pytest.mark.parametrize(
    ("element", "mass"),
    [("H", 2.014), ("H", 3.016), ("Li", 6.015), ("B", 10.013), ("C", 14.003), ("Ca", 47.95)],
)
def test_isotopes_of_light_elements_are_known(element, mass):
    (note,) = check_masses(Masses(mass), [element], "here", free=False)
    assert note.endswith("an isotope?")


@pytest.mark.parametrize(("element", "mass"), [("Si", 28), ("Cu", 63.5), ("H", 1), ("Fe", 55.8)])
def test_rounded_masses_are_no_isotopes(element, mass):
    assert not [*check_masses(Masses(mass), [element], "here", free=False)]
