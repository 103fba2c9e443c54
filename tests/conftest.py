"""Fixtures shared by all tests; keep this small, put a stage's fixtures beside its tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import bulk
from hypothesis import settings

from trainspot.data.frames import Frame, Labels

TOY = Path(__file__).with_name("toy.yaml")

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


@pytest.fixture(scope="session")
def toy_campaign() -> dict:
    """A whole campaign on aluminium with engines that take seconds: EMT, toy trainer, ASE MD."""
    return yaml.safe_load(TOY.read_text(encoding="utf-8"))


@pytest.fixture
def copper(rng) -> list[Frame]:
    """Four rattled cells of copper, which EMT knows."""
    frames = []
    for _ in range(4):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        frames.append(Frame.from_atoms(atoms))
    return frames
