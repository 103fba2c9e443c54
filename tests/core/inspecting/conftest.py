"""A small dataset with a bit of everything."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, graphene, molecule

from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin


def labels_for(frame, rng, theory="pbe"):
    n = len(frame)
    return Labels(-4.0 * n + rng.normal(), rng.normal(size=(n, 3)), np.eye(3) * 0.01, theory)


@pytest.fixture
def mixed(rng) -> list[Frame]:
    """Bulk NaCl, a graphene sheet, water and isolated atoms; bulk and water are labelled."""
    frames = []
    for k in range(6):
        atoms = bulk("NaCl", "rocksalt", a=5.64 + 0.05 * k, cubic=True)
        atoms.rattle(0.05, seed=k)
        frame = Frame.from_atoms(
            atoms, split="train" if k % 2 else "test", origin=Origin("rattle", "a" * 64, {}, k)
        )
        frames.append(frame.with_(labels=labels_for(frame, rng)))
    sheet = graphene(a=2.46, size=(2, 2, 1), vacuum=7.5)
    sheet.pbc = (True, True, False)
    frames.append(Frame.from_atoms(sheet))
    water = Frame.from_atoms(molecule("H2O"), origin=Origin("md", trajectory="t"))
    frames.append(water.with_(labels=labels_for(water, rng)))
    for symbol, energy in (("Na", -1.3), ("Cl", -2.4), ("H", -0.5), ("O", -3.0)):
        atom = Frame.make(
            [{"Na": 11, "Cl": 17, "H": 1, "O": 8}[symbol]], [[7.5] * 3], np.eye(3) * 15
        )
        atom = atom.with_(
            labels=Labels(energy, np.zeros((1, 3)), None, "pbe"), origin=Origin("isolated")
        )
        frames.append(atom)
    return frames


@pytest.fixture
def dataset(mixed) -> Dataset:
    return Dataset.from_frames(mixed)
