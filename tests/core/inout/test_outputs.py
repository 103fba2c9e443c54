"""One rule for all programs: a step whose SCF cycle did not converge is not a label."""

from __future__ import annotations

import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from trainspot import io
from trainspot.common.errors import InputError
from trainspot.io import reading, scf


@pytest.mark.parametrize(
    ("form", "failed"),
    [
        ("orca-output", "SCF NOT CONVERGED AFTER 125 CYCLES"),
        ("gaussian-out", "Convergence failure -- run terminated."),
        ("nwchem-out", "Calculation failed to converge"),
        ("abinit-out", "scprqt: nstep= 3 was not enough SCF cycles to converge;"),
        ("gpaw-out", "positions:\nDid not converge!"),
        ("castep-castep", "*Warning* max. SCF cycles performed but system has not reached the"),
        ("gamess-us-out", "SCF IS UNCONVERGED, TOO MANY ITERATIONS"),
        ("aims-output", "Begin self-consistency loop: Initialization\nSCF not converged"),
        ("espresso-out", "Program PWSCF\nconvergence NOT achieved after 100 iterations"),
    ],
)  # fmt: skip
def test_an_output_that_did_not_converge_gives_no_label(tmp_path, form, failed):
    (tmp_path / "out").write_text(f"{failed}\n")
    read = scf.default_read(tmp_path / "out", form)
    with pytest.raises(InputError, match=r"out: no label in 1 step: SCF cycle did not converge"):
        scf.images(tmp_path / "out", form, read, "out")


def test_steps_that_cannot_be_told_apart_are_refused(tmp_path):
    (tmp_path / "out").write_text("positions:\npositions:\nDid not converge!\n")
    with pytest.raises(InputError, match="1 of its SCF cycles did not converge, and it is unclear"):
        scf.images(tmp_path / "out", "gpaw-out", lambda _: [bulk("Si")] * 3, "out")
    found = scf.images(tmp_path / "out", "gpaw-out", lambda _: [bulk("Si"), bulk("Ge")], "out")
    assert [atoms.get_chemical_formula() for atoms in found] == ["Si2"]


def test_a_cycle_that_is_begun_anew_is_one_step(tmp_path):  # testdata/aims/relax.out of ASE
    begin = "Begin self-consistency loop: Re-initialization.\n"
    again = "Self-consistency cycle not yet converged - restarting mixer to attempt better\n"
    good, bad = "Self-consistency cycle converged.\n", "Self-consistency cycle not yet converged\n"
    (tmp_path / "out").write_text(begin + again + begin + good + begin + bad + begin + good)
    images = [bulk(name) for name in ("Si", "Ge", "Cu")]
    found = scf.images(tmp_path / "out", "aims-output", lambda _: images, "out")
    assert [atoms.get_chemical_formula() for atoms in found] == ["Si2", "Cu"]


@pytest.mark.parametrize("name", ["a.out", "a.log", "a.txt"])
def test_outputs_of_one_suffix_are_told_apart_by_their_content(tmp_path, name):
    text = (
        "x Invoking FHI-aims ...\nBegin self-consistency loop: Initialization\nSCF not converged\n"
    )
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="no label in 1 step: SCF cycle did not converge"):
        io.read(tmp_path / name)


def test_an_output_that_does_not_tell_is_said_to(tmp_path, caplog):
    atoms = molecule("H2O")
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0)
    (tmp_path / "out").write_text("nothing")
    assert scf.images(tmp_path / "out", "qbox", lambda _: [atoms], "out") == [atoms]
    assert "does not show whether its SCF cycles converged" in caplog.text


def test_an_outcar_without_any_sign_of_convergence_is_said_not_to_tell(tmp_path, reports, caplog):
    text = (reports / "scf" / "OUTCAR").read_text()
    lines = [x for x in text.splitlines(True) if "aborting loop" not in x and "NELM " not in x]
    (tmp_path / "OUTCAR").write_text("".join(lines))
    assert len(io.read(tmp_path / "OUTCAR")) == 4
    assert "it does not show whether" in caplog.text
    (tmp_path / "OUTCAR").write_text(
        text.replace("because EDIFF is reached", "EDIFF was not reached")
    )
    with pytest.raises(InputError, match="no label in 4 steps"):
        io.read(tmp_path / "OUTCAR")


def test_forms_with_a_rule_are_forms_of_ase():
    assert set(scf.RULES) <= set(reading.ioformats)
