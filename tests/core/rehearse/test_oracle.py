"""What can stand in for DFT, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from trainspot.common.errors import InputError, UnknownNameError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.label.ase import AseLabelEngine
from trainspot.rehearse import oracle
from trainspot.rehearse.oracle import OraclePotential, check, parse
from trainspot.train.toy import ToySettings, fit


@pytest.fixture
def copper():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=3)
    return Frame.from_atoms(atoms)


@pytest.fixture
def model(labelled_frames, tmp_path):
    frames = [frame.with_(split="train") for frame in labelled_frames]
    made, _, _ = fit(Dataset.from_frames(frames), ToySettings(), 1)
    made.save(tmp_path / "model.toy")
    return tmp_path / "model.toy"


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [
        ("tersoff", "tersoff", {}),
        ("lj:sigma=2.5,epsilon=0.01", "lj", {"sigma": 2.5, "epsilon": 0.01}),
        ("emt:asap_cutoff=true", "emt", {"asap_cutoff": True}),
        ("ase.calculators.emt:EMT", "ase.calculators.emt:EMT", {}),
        (
            "ase.calculators.lj:LennardJones:rc=6.0",
            "ase.calculators.lj:LennardJones",
            {"rc": 6.0},
        ),
    ],
)
def test_calculators(text, name, parameters):
    settings = parse(text)
    assert (settings.calculator, settings.parameters) == (name, parameters)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tersof", "did you mean 'tersoff'"),
        ("emt:asap_cutoff", "'asap_cutoff' is not KEY=VALUE"),
        ("tersoff:potential=none.tersoff", "refuses its parameters"),
        ("no.such.module:Class", "cannot be imported"),
        ("models/none.model", "no such model file"),
        ("lj:sigma=[", "cannot be read"),
    ],
)
def test_what_is_no_oracle_is_refused_in_one_line(text, says):
    with pytest.raises((InputError, UnknownNameError)) as caught:
        parse(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_file_labels(model, silicon):
    settings = parse(str(model))
    labelled = AseLabelEngine().label(Dataset.from_frames([silicon]), settings).labelled
    member = oracle.potential.load(model)
    expected = member.predict(member.prepare([silicon]))[0]
    assert labelled[0].labels.energy == pytest.approx(expected.energy)
    np.testing.assert_allclose(labelled[0].labels.forces, expected.forces, atol=1e-12)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="no installed model kind"):
        parse(str(tmp_path / "notes.txt"))


def test_an_oracle_that_does_not_know_an_element_is_refused(silicon):
    with pytest.raises(InputError, match="cannot compute Si8"):
        check(Dataset.from_frames([silicon]), parse("emt"))


def test_the_oracle_as_a_potential_is_the_calculator(copper):
    driver = OraclePotential(parse("emt"), [29])
    larger = Frame.from_atoms(bulk("Cu", cubic=True).repeat((2, 1, 1)))
    for frame in (copper, larger, copper):  # another size in between: nothing is left over
        found = driver.predict(driver.prepare([frame]))[0]
        atoms = frame.to_atoms()
        atoms.calc = EMT()
        assert found.energy == pytest.approx(atoms.get_potential_energy())
        np.testing.assert_allclose(found.forces, atoms.get_forces(), atol=1e-12)
        np.testing.assert_allclose(found.stress, atoms.get_stress(voigt=False), atol=1e-12)


def test_an_oracle_is_not_a_file(tmp_path):
    assert not OraclePotential.recognises(tmp_path)
    with pytest.raises(InputError, match="not a model file"):
        OraclePotential.load(tmp_path)
