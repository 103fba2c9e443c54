"""Fixtures shared by all tests; keep this small, put a stage's fixtures beside its tests."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import settings

from trainspot.frames import Frame, Labels

# A busy machine is not a failure, and the same commit must give the same verdict twice.
settings.register_profile("trainspot", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("trainspot")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def silicon() -> Frame:
    """The conventional cell of silicon: 8 atoms, periodic."""
    return Frame.from_atoms(bulk("Si", a=5.43, cubic=True))


@pytest.fixture
def labelled_frames(silicon, rng):
    """Twelve rattled silicon cells with made-up labels of one level of theory."""
    frames = []
    for _ in range(12):
        positions = silicon.positions + rng.normal(0, 0.05, (8, 3))
        labels = Labels(rng.normal(), rng.normal(size=(8, 3)), np.eye(3) * rng.normal(), "made-up")
        frames.append(Frame.make(silicon.numbers, positions, silicon.cell, True, labels=labels))
    return frames
