"""The ASE engine: order, failures, worker processes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from trainspot.common.errors import InputError, MissingExtraError, UnknownNameError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.label import calculators
from trainspot.label.ase import AseLabelEngine, AseSettings

EMT_SETTINGS = AseSettings(calculator="emt")


class Moody(Calculator):
    """Fails on silicon, and takes its process along on carbon."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        if "Si" in atoms.symbols:
            raise StopIteration("no silicon")
        if "C" in atoms.symbols:
            os._exit(3)
        self.results = {"energy": float(len(atoms)), "forces": np.zeros((len(atoms), 3))}


@pytest.fixture
def copper(rng) -> Dataset:
    frames = []
    for size in (1, 2, 3, 1, 2):
        atoms = bulk("Cu", cubic=True).repeat((size, 1, 1))
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        frames.append(Frame.from_atoms(atoms))
    return Dataset.from_frames(frames)


def test_labels_are_those_of_the_calculator(copper):
    result = AseLabelEngine().label(copper, EMT_SETTINGS)
    assert result.labelled.ids == copper.ids
    assert len(result.failures) == 0
    for frame in result.labelled:
        atoms = frame.to_atoms()
        atoms.calc = EMT()
        assert frame.labels.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
        np.testing.assert_allclose(frame.labels.forces, atoms.get_forces(), atol=1e-10)
        np.testing.assert_allclose(frame.labels.stress, atoms.get_stress(voigt=False), atol=1e-10)
        assert frame.labels.theory == AseLabelEngine.theory(EMT_SETTINGS)


def test_the_order_of_frames_changes_nothing(copper):
    forward = AseLabelEngine().label(copper, EMT_SETTINGS).labelled
    backward = AseLabelEngine().label(copper[::-1], EMT_SETTINGS).labelled[::-1]
    np.testing.assert_array_equal(forward.column("energy"), backward.column("energy"))
    np.testing.assert_array_equal(forward.column("forces"), backward.column("forces"))


def test_a_failure_is_data(copper):
    odd = Frame.from_atoms(bulk("W"))  # EMT does not know tungsten
    mixed = Dataset.from_frames([copper[0], odd, copper[1]])
    done = []
    result = AseLabelEngine().label(mixed, EMT_SETTINGS, done=done.append)
    assert result.labelled.ids == [copper[0].id, copper[1].id]
    assert result.failures.ids == [odd.id]
    assert "W" in result.failures[0].info["failure"]["reason"]
    assert [frame.id for frame in done] == mixed.ids
    assert ["failure" in frame.info for frame in done] == [False, True, False]
    again = AseLabelEngine().label(result.failures, AseSettings(calculator="lj"))
    assert "failure" not in again.labelled[0].info


def test_non_periodic_frames_have_no_stress():
    frame = Frame.from_atoms(molecule("H2O"))
    labels = AseLabelEngine().label(Dataset.from_frames([frame]), EMT_SETTINGS).labelled[0].labels
    assert labels.stress is None
    assert labels.forces is not None


def test_processes_give_the_same_labels_and_survive_a_crash(tmp_path, monkeypatch, copper):
    # the workers import the calculator by name
    source = tmp_path / "moody.py"
    source.write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    frames = [*copper, Frame.from_atoms(bulk("Si")), Frame.from_atoms(bulk("C"))]
    order = [5, 0, 1, 6, 2, 3, 4]
    mixed = Dataset.from_frames([frames[i] for i in order])
    settings = AseSettings(calculator="moody:Moody")
    result = AseLabelEngine().label(mixed, settings, workers=2)
    assert result.labelled.ids == copper.ids
    np.testing.assert_array_equal(result.labelled.column("energy"), copper.n_atoms)
    reasons = [frame.info["failure"]["reason"] for frame in result.failures]
    assert reasons == ["StopIteration: no silicon", "the process that computed this frame died"]


@pytest.mark.parametrize(
    ("name", "parameters", "error", "message"),
    [
        ("tersof", {}, UnknownNameError, "did you mean 'tersoff'"),
        ("no.such.module:Thing", {}, InputError, "cannot be imported"),
        ("ase.calculators.emt:Nothing", {}, InputError, "cannot be imported"),
        ("tersoff", {"potential": "/nowhere"}, InputError, "refuses its parameters"),
    ],
)
def test_a_calculator_that_cannot_be_made_stops_before_any_work(name, parameters, error, message):
    frames = Dataset.from_frames([Frame.from_atoms(bulk("Si"))])
    with pytest.raises(error, match=message):
        AseLabelEngine().label(frames, AseSettings(calculator=name, parameters=parameters))


def test_a_missing_extra_names_its_pip_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tblite.ase", None)
    with pytest.raises(MissingExtraError, match=r"trainspot\[tblite\]"):
        calculators.calculator("tblite", {})


def test_an_atom_alone_can_be_labelled():
    frame = Frame.from_atoms(Atoms("Cu", cell=[15] * 3))
    labelled = AseLabelEngine().label(Dataset.from_frames([frame]), EMT_SETTINGS).labelled
    assert 29 in labelled.e0s()


class Magnet(LennardJones):
    """Energy: minus the sum of the moments."""

    implemented_properties = (*LennardJones.implemented_properties, "magmom")

    def calculate(self, atoms=None, properties=None, system_changes=None):
        super().calculate(atoms, properties, system_changes)
        energy = -float(atoms.get_initial_magnetic_moments().sum())
        self.results |= {"energy": energy, "free_energy": energy}


def test_moments_reach_calculators_that_have_them(monkeypatch):
    monkeypatch.setitem(calculators._NAMED, "magnet", Magnet)
    pair = Frame.make([26, 26], [[0, 0, 0], [0, 0, 2.5]], arrays={"initial_magmoms": [3.0, -1.0]})
    atom = Frame.make([26], [[0, 0, 0]], arrays={"initial_magmoms": [4.0]})
    plain = Frame.make([26], [[0, 0, 1.0]])
    result = AseLabelEngine().label(
        Dataset.from_frames([pair, atom, plain]), AseSettings(calculator="magnet")
    )
    assert [frame.labels.energy for frame in result.labelled] == [-2.0, -4.0, 0.0]


def test_calculators_without_moments_say_so():
    atom = Frame.make([26], [[0, 0, 0]], arrays={"initial_magmoms": [4.0]})
    closed = Frame.make([2], [[0, 0, 0]], arrays={"initial_magmoms": [0.0]})
    result = AseLabelEngine().label(
        Dataset.from_frames([atom, closed]), AseSettings(calculator="lj")
    )
    assert result.labelled.ids == [closed.id]
    (failure,) = result.failures
    assert "calculator 'lj' has none; set spin: none" in failure.info["failure"]["reason"]
