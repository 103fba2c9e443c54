"""A small dataset of several origins, and what exploration met around it."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin


def made(seed, strategy, *, iteration=0, split=None, labelled=True, size=2):
    """A rattled silicon cell."""
    atoms = bulk("Si", cubic=size > 2) if size > 1 else Atoms("Si")
    atoms.rattle(0.05, seed=seed)
    labels = Labels(-5.0 * len(atoms) + 0.01 * seed, np.zeros((len(atoms), 3)), None, "x")
    return Frame.from_atoms(
        atoms,
        labels=labels if labelled else Labels(),
        origin=Origin(strategy, iteration=iteration),
        split=split,
        info={"group": f"g{seed % 2}"},
    )


@pytest.fixture(scope="session")
def dataset():
    """Six rattled frames, two strained, one from iteration 1, one without label, one atom."""
    frames = [made(n, "rattle", split="train" if n < 4 else "test") for n in range(6)]
    frames += [made(n, "strain", size=8) for n in (6, 7)]
    frames += [made(8, "md", iteration=1), made(9, "rattle", labelled=False)]
    return Dataset.from_frames([*frames, made(10, "isolated", size=1)])


@pytest.fixture(scope="session")
def explored():
    """Four frames of iteration 1, one of which is in the dataset."""
    return Dataset.from_frames(
        [made(n, "md", iteration=1, labelled=False) for n in (8, 20, 21, 22)]
    )
