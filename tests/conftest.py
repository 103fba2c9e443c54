"""Fixtures shared by all tests; keep this small, put a stage's fixtures beside its tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.calculators.emt import EMT
from hypothesis import settings

from trainspot import io
from trainspot.data.dataset import Dataset
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


@pytest.fixture(scope="session")
def copper_pool() -> Dataset:
    """48 rattled and strained cells of copper, labelled by EMT."""
    generator = np.random.default_rng(3)
    frames = []
    for number in range(48):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell * (1 + 0.02 * generator.uniform(-1, 1)), scale_atoms=True)
        atoms.positions += generator.normal(0, 0.04 + 0.002 * number, (4, 3))
        frame = Frame.from_atoms(atoms)
        atoms = frame.to_atoms()
        atoms.calc = EMT()
        labels = Labels(
            atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False), "emt"
        )
        frames.append(frame.with_(labels=labels))
    return Dataset.from_frames(frames)


@pytest.fixture
def pool_campaign(tmp_path, copper_pool):
    """Writes the file of a campaign on that pool, and the pool beside it."""

    def written(**changes: Any) -> Path:
        io.write(copper_pool, tmp_path / "frames.extxyz")
        content = {
            "name": "pool",
            "seed": 3,
            "explore": {"engine": "pool", "file": "frames.extxyz", "initial": 24},
            "label": {"engine": "pool"},
            "train": {"engine": "toy", "committee_size": 2},
            "evaluate": {"dtype": "float64"},
            "split": {"fractions": [0.4, 0.5, 0.1]},
            "tolerance": {"energy": 0.02, "forces": 0.02, "stress": None},
            "select": {"max_frames": 6, "audit": 2, "novelty": 0.8},
        }
        file = tmp_path / "campaign.yaml"
        file.write_text(yaml.safe_dump(content | changes))
        return file

    return written
