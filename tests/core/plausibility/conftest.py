"""Frames with labels of EMT and of Lennard-Jones, and the same in other units."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels


def labelled(atoms, calculator=EMT):
    atoms = atoms.copy()
    atoms.calc = calculator()
    stress = atoms.get_stress(voigt=False) if atoms.pbc.all() else None
    labels = Labels(atoms.get_potential_energy(), atoms.get_forces(), stress, "emt")
    return Frame.make(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, labels=labels)


def shaken(atoms, n=30, strain=0.04, rattle=0.06, seed=0, calculator=EMT, turn=False):
    """Copies that are strained, rattled and turned."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        copy = atoms.copy()
        if copy.cell.rank == 3:
            tensor = rng.uniform(-strain, strain, (3, 3))
            copy.set_cell(copy.cell.array @ (np.eye(3) + (tensor + tensor.T) / 2), scale_atoms=True)
        copy.positions += rng.normal(0, rattle, copy.positions.shape)
        if turn:
            copy.rotate(rng.uniform(0, 360), rng.normal(size=3), rotate_cell=True)
        found.append(labelled(copy, calculator))
    return found


def pressed(atoms, factor):
    copy = atoms.copy()
    copy.set_cell(copy.cell.array * factor, scale_atoms=True)
    return copy


def lj():
    return LennardJones(sigma=3.4, epsilon=0.0104, rc=8.5, smooth=True)


def alloy():
    atoms = pressed(bulk("Cu", cubic=True), 1.06)
    atoms.numbers = [29, 79, 79, 29]
    return atoms


COPPER = bulk("Cu", cubic=True)

SOUND = {
    "strained and rattled": lambda: [*shaken(COPPER), labelled(Atoms("Cu"))],
    "strained alone": lambda: shaken(COPPER, rattle=0.0, n=12),
    "equation of state": lambda: [labelled(pressed(COPPER, x)) for x in np.linspace(0.94, 1.06, 9)],
    "rattled alone": lambda: shaken(COPPER * (2, 1, 1), strain=0.0),
    "far from one another": lambda: shaken(COPPER, strain=0.1, rattle=0.2),
    "turned": lambda: shaken(COPPER, turn=True),
    "under 500 GPa": lambda: shaken(pressed(COPPER, 0.75), rattle=0.03),
    "alloy": lambda: [*shaken(alloy()), *(labelled(Atoms(s)) for s in ("Cu", "Au"))],
    "slab": lambda: shaken(fcc111("Cu", (2, 2, 3), vacuum=8.0, periodic=False)),
    "molecules": lambda: [*shaken(molecule("H2O"), turn=True), *shaken(molecule("CH4"), turn=True)],
    "noble gas": lambda: shaken(bulk("Ar", a=5.3, cubic=True), calculator=lj),
    "dimers": lambda: [
        *(labelled(Atoms("Cu2", [[0, 0, 0], [0, 0, d]])) for d in np.linspace(1.2, 5, 25)),
        labelled(Atoms("Cu")),
    ],
}


@pytest.fixture(scope="session", params=SOUND)
def sound(request):
    """Data in eV and Å of very different kinds."""
    return Dataset.from_frames(SOUND[request.param]())


@pytest.fixture(scope="session")
def copper():
    return SOUND["strained and rattled"]()


@pytest.fixture(scope="session")
def shake():
    """Copper that is strained and rattled, so many frames."""
    return lambda n: shaken(COPPER, n)


@pytest.fixture(scope="session")
def water():
    return shaken(molecule("H2O"), turn=True)


@pytest.fixture(scope="session")
def in_units():
    """The same frames with labels that were divided by something; stress ``None``: without."""

    def changed(frames, energy=1.0, forces=1.0, stress=1.0):
        found = []
        for frame in frames:
            old = frame.labels
            e = energy(frame) if callable(energy) else energy
            kept = None if stress is None or old.stress is None else old.stress / stress
            labels = Labels(old.energy / e, old.forces / forces, kept, old.theory)
            found.append(frame.with_(labels=labels))
        return Dataset.from_frames(found)

    return changed
