"""A potential with known physics, and runs of one kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from vesin import NeighborList

from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.explore.schedule import Plan, schedule
from trainspot.train.toy import ToySettings, fit


class LennardJones:
    """Smoothly cut Lennard-Jones whose size depends on the element, so that types matter."""

    kind = "lj"
    cutoff = 5.0
    numbers = tuple(range(1, 87))
    graph_key = "lj"

    def prepare(self, frames):
        return list(frames)

    def predict(self, prepared):
        return [self._labels(frame) for frame in prepared]

    def _labels(self, frame):
        box = np.where(frame.pbc[:, None], frame.cell, 0.0)
        neighbours = NeighborList(cutoff=self.cutoff, full_list=True)
        i, j, r, vectors = neighbours.compute(
            points=frame.positions, box=box, periodic=frame.pbc, quantities="ijdD"
        )
        size = 2.0 * (frame.numbers[i] * frame.numbers[j] / 18**2) ** 0.05
        x, cut = (size / r) ** 6, 1 - (r / self.cutoff) ** 2
        energy = 0.4 * (x * x - x)
        slope = 0.4 * (-12 * x * x + 6 * x) / r * cut**2 - energy * 4 * cut * r / self.cutoff**2
        along = (slope / r)[:, None] * vectors
        forces = np.zeros_like(frame.positions)
        np.add.at(forces, i, along)
        stress = None
        if frame.pbc.any():
            stress = 0.5 * along.T @ vectors / abs(np.linalg.det(frame.cell))
        return Labels(float(0.5 * (energy * cut**2).sum()), forces, stress)


@pytest.fixture(scope="session")
def lj():
    return LennardJones()


@pytest.fixture
def argon() -> Frame:
    """32 atoms near their equilibrium, slightly off their sites."""
    atoms = bulk("Ar", "fcc", a=3.13, cubic=True) * (2, 2, 2)
    atoms.rattle(0.02, seed=3)
    return Frame.from_atoms(atoms)


@pytest.fixture
def mixed() -> Frame:
    """Four elements in an unusual order, in a strongly skewed, rotated, left-handed cell."""
    rng = np.random.default_rng(5)
    atoms = bulk("Ar", "fcc", a=3.15, cubic=True) * (2, 2, 1)
    atoms.numbers = rng.permutation([18, 6, 14, 8] * 4)
    atoms.set_cell(np.array([[1, 0, 0], [2, 1, 0], [-1, 3, 1]]) @ atoms.cell.array)
    atoms.rotate(73, (1, 2, 3), rotate_cell=True)
    atoms.rattle(0.03, seed=4)
    cell = atoms.cell.array[[1, 0, 2]]
    assert np.linalg.det(cell) < 0
    return Frame.make(atoms.numbers, atoms.positions, cell, pbc=True)


@pytest.fixture
def sheet() -> Frame:
    """Two layers, periodic in a and c, a tilted vector across the vacuum."""
    atoms = bulk("Ar", "fcc", a=3.13, cubic=True) * (2, 1, 2)
    cell = atoms.cell.array.copy()
    cell[1] = [1.0, 25.0, -2.0]
    return Frame.make(atoms.numbers, atoms.positions, cell, (True, False, True))


@pytest.fixture
def cluster() -> Frame:
    """A tetrahedron without any cell."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.79
    return Frame.from_atoms(Atoms("Ar4", corners))


@pytest.fixture
def one_run():
    """Makes one run from a frame; keywords go to the plan, then to the run."""

    def make(
        frame, *, temperature=60.0, pressure=0.0, time=0.1, sample=0.02, ensemble="auto", **kw
    ):
        plan = Plan(
            starts=1,
            temperature=(temperature, temperature),
            pressure=(pressure, pressure),
            time=time,
            sample_every=sample,
            ensemble=ensemble,
        )
        (run,) = schedule(Dataset.from_frames([frame]), plan, seed=11)
        return replace(run, **kw)

    return make


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory, lj):
    """A toy model of three elements, in a file."""
    frames = []
    for seed in range(8):
        atoms = bulk("Ar", "fcc", a=3.13, cubic=True) * (2, 1, 1)
        atoms.numbers = [18, 6, 14, 18, 6, 14, 18, 14]
        atoms.rattle(0.05, seed=seed)
        frame = Frame.from_atoms(atoms)
        (labels,) = lj.predict(lj.prepare([frame]))
        frames.append(frame.with_(labels=labels, split="train"))
    model, *_ = fit(Dataset.from_frames(frames), ToySettings(), 1)
    path = tmp_path_factory.mktemp("toy") / "model.toy"
    model.save(path)
    return path, frames[0]
