"""Made-up committees: factories, because hypothesis calls a test many times."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from trainspot import io
from trainspot.data import lattice
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.predictions.predictions import Predictions
from trainspot.train.toy import ToySettings, ToyTrainer


def _dataset(
    n=6, seed=0, pbc=(True, True, True), sizes=None, split=None, tilt=0.0, parent="", iteration=0
):
    """Random frames on a stretched lattice (no overlaps), labelled with random numbers."""
    rng = np.random.default_rng(seed)
    frames = []
    for k in range(n):
        size = int(sizes[k]) if sizes is not None else int(rng.integers(1, 6))
        grid = np.array([[i, 0.0, 0.0] for i in range(size)]) * 3.0
        cell = np.diag([3.0 * size, 9.0, 9.0])
        cell[1, 0] = tilt
        positions = grid + rng.uniform(-0.2, 0.2, (size, 3))
        stress = rng.normal(0, 0.01, (3, 3))
        labels = Labels(
            rng.normal() * size,
            rng.normal(size=(size, 3)),
            stress + stress.T if np.any(pbc) else None,
            "made-up",
        )
        origin = Origin(strategy="md", parent=parent, iteration=iteration)
        numbers = [14] * size
        frames.append(
            Frame.make(numbers, positions, cell, pbc, labels=labels, split=split, origin=origin)
        )
    return Dataset.from_frames(frames)


def _predict(dataset, members=4, noise=0.1, bias=0.0, seed=1):
    """A committee that errs by ``bias`` in common and by ``noise`` member by member.

    Both may be numbers or one value a frame.
    """
    rng = np.random.default_rng(seed)
    n, n_atoms = len(dataset), dataset.n_atoms
    spread, shift = np.broadcast_to(noise, n), np.broadcast_to(bias, n)
    atoms = np.repeat(np.arange(n), n_atoms)

    def around(reference, *shape, rows=slice(None), scale=1.0):
        own = rng.normal(size=(members, *reference.shape))
        common = rng.normal(size=reference.shape)
        width = spread[rows].reshape(-1, *shape), shift[rows].reshape(-1, *shape)
        return reference + scale * (own * width[0] + common * width[1])

    projector = lattice.periodic_projector(dataset.column("cell"), dataset.column("pbc"))
    projector[~dataset.column("has_stress")] = 0.0
    stress = around(dataset.column("stress"), 1, 1, scale=0.01)
    return Predictions(
        dataset.column("id"),
        dataset.column("offsets"),
        around(dataset.column("energy"), scale=n_atoms),
        around(dataset.column("forces"), 1, rows=atoms),
        (stress + np.swapaxes(stress, -1, -2))
        / 2
        * dataset.column("pbc").any(axis=1)[:, None, None],
        projector,
        tuple(f"m{j}" for j in range(members)),
    )


@pytest.fixture(scope="session")
def make_dataset():
    return _dataset


@pytest.fixture(scope="session")
def predict():
    return _predict


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Rattled copper labelled with EMT, and three toy models trained on a part of it."""
    path = tmp_path_factory.mktemp("judging")
    rng = np.random.default_rng(0)
    frames = []
    for k in range(48):
        atoms = bulk("Cu", a=3.6 * (1 + rng.normal(0, 0.02)), cubic=True)
        atoms.positions += rng.normal(0, rng.uniform(0.02, 0.2), (4, 3))
        frame = Frame.from_atoms(atoms)
        atoms = frame.to_atoms()
        atoms.calc = EMT()
        labels = Labels(
            atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False), "emt"
        )
        frames.append(frame.with_(labels=labels, split="train" if k < 16 else "validation"))
    dataset = Dataset.from_frames(frames)
    io.write(dataset, path / "frames.h5")
    io.write(dataset.subset("validation"), path / "validation.extxyz")
    for j in range(3):
        work = path / f"run{j}"
        work.mkdir()
        ToyTrainer.write_inputs(work, dataset, ToySettings(), seed=j)
        ToyTrainer.run(work)
        (work / "model.toy").rename(path / f"m{j}.toy")
    return path
