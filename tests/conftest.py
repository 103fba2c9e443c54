"""Fixtures shared by all tests; keep this small, put a stage's fixtures beside its tests."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import settings

from trainspot.data.frames import Frame, Labels

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
    return {
        "name": "toy",
        "seed": 11,
        "structures": ["al.cif"],
        "augment": [
            {"kind": "input"},
            {"kind": "isolated"},
            {
                "kind": "rattle",
                "fraction": 0.1,
                "copies": 24,
                "strain": {"range": [-0.04, 0.06]},
                "vacancies": {"count": 1, "share": 0.25},
            },
        ],
        "split": {"fractions": [0.36, 0.52, 0.12]},
        "label": {"engine": "ase", "calculator": "emt"},
        "train": {"engine": "toy", "committee_size": 3},
        "explore": {
            "engine": "ase",
            "starts": 4,
            "temperature": [300, 1200],
            "time": 0.05,
            "sample_every": 0.01,
            "timestep": 2.0,
        },
        "evaluate": {"dtype": "float64"},
        "tolerance": {"energy": 0.02, "forces": 0.05, "stress": None},
        "select": {"max_frames": 8, "audit": 2, "novelty": 0.8},
        "stop": {"max_iterations": 3},
    }
