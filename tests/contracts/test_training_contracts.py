"""Every registered trainer and kind of model keeps its contract."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from trainspot.common import plugins
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.testing.potential import check_potential
from trainspot.testing.trainer import check_trainer
from trainspot.train import base
from trainspot.train.toy import ToySettings, ToyTrainer, fit


@pytest.fixture
def dataset(rng):
    """Rattled aluminium with EMT labels, in all three sets."""
    frames = []
    for split in ["train"] * 8 + ["validation"] * 2 + ["test"] * 2:
        atoms = bulk("Al", cubic=True)
        atoms.positions += rng.normal(0, 0.1, (4, 3))
        atoms.calc = EMT()
        labels = Labels(
            atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(False), "emt"
        )
        frames.append(Frame.from_atoms(atoms, labels=labels, split=split))
    return Dataset.from_frames(frames)


@pytest.fixture
def frames(dataset):
    """A crystal, a slab and a molecule."""
    crystal = dataset[0]
    slab = Frame.make(
        crystal.numbers, crystal.positions, crystal.cell * [[1], [1], [3]], (True, True, False)
    )
    return [crystal, slab, Frame.make([13, 13], [[0, 0, 0], [0, 1.6, 2.1]])]


@pytest.mark.parametrize("name", plugins.names(base.GROUP))
def test_trainer(name, dataset, tmp_path):
    check_trainer(name, dataset, tmp_path)


def test_toy_model(dataset, frames):  # MACE's is checked where MACE is trained
    check_potential(fit(dataset, ToySettings(), 1)[0], frames)


def test_a_trainer_that_learns_from_the_test_set_is_caught(dataset, tmp_path, monkeypatch):
    class Cheat(ToyTrainer):
        @classmethod
        def write_inputs(cls, directory, dataset, settings, seed, **kwargs):
            super().write_inputs(directory, dataset, settings, seed, **kwargs)
            (directory / "more").write_bytes(dataset.subset("test").column("energy").tobytes())

    monkeypatch.setattr(plugins, "load", lambda *_, **__: Cheat)
    with pytest.raises(AssertionError, match="no test labels"):
        check_trainer("toy", dataset, tmp_path)


def test_wrong_forces_are_caught(dataset, frames):
    model = fit(dataset, ToySettings(), 1)[0]
    right = model.predict
    model.predict = lambda prepared: [
        type(found)(found.energy, 1.01 * found.forces, found.stress) for found in right(prepared)
    ]
    with pytest.raises(AssertionError, match="forces"):
        check_potential(model, frames)
    model.predict = lambda prepared: [
        type(found)(found.energy, found.forces, np.zeros((3, 3))) for found in right(prepared)
    ]
    with pytest.raises(AssertionError, match="stress"):
        check_potential(model, frames)
