"""Frames that have everything, and how datasets compare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.constraints import FixAtoms, FixCartesian

from trainspot import io
from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.io.atoms import CONSTRAINTS

EXCERPT = Path(__file__).parent / "silicon" / "excerpt.extxyz"


def assert_same(first: Dataset, second: Dataset) -> None:
    """Every column the same, bit for bit."""
    assert set(first.columns) == set(second.columns)
    for name in first.columns:
        one, other = first.column(name), second.column(name)
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, err_msg=name)
        assert one.tobytes() == other.tobytes(), name


@pytest.fixture(scope="session")
def same():
    return assert_same


@pytest.fixture
def reports() -> Path:
    """Files that people reported."""
    return EXCERPT.parents[1] / "reports"


@pytest.fixture
def excerpt() -> Path:
    return EXCERPT


@pytest.fixture
def rich(rng) -> Dataset:
    """Frames with everything that a frame can have, and one with nothing."""
    origin = Origin("rattle", "1" * 64, {"scale": [1.5, 2], "a": (1,)}, 2**62 + 1, "77", 3)
    extras = {
        "spin": np.array([1, 2], np.int32),
        "v": rng.random((2, 3)),
        "b": np.array([1, 0], bool),
        "tensor": rng.random((2, 3, 3)),
        "one": rng.random((2, 1)),
        "half": rng.random(2).astype("f4"),
        "large": np.array([2**40, -1]),
        "name": np.array([b"a\xff", b"bc"]),
        "charges": rng.random(2),
        "momenta": rng.random((2, 3)),
        "tags": np.array([3, 4]),
        "masses": np.array([28.1, 16.0]),
        "move_mask": np.array([True, False]),
        "odd name": np.array([1, 2], "u1"),
    }
    constraints = [FixAtoms([0]).todict(), FixCartesian(1, (True, False, True)).todict()]
    info = {
        "a": np.arange(4).reshape(2, 2), "note": "ends in split=", "split": "mine", "energy": 1.0,
        "flag": True, "text": "12", "Si": 3, "n": 4, "x": 0.1, CONSTRAINTS: constraints,
    }  # fmt: skip
    labels = Labels(-1 / 3, rng.normal(size=(2, 3)), rng.normal(size=(3, 3)), "42")
    frame = Frame.make(
        [14, 8], rng.random((2, 3)), np.eye(3) * 4 + rng.random((3, 3)), [True, True, False],
        origin=origin, split="validation", arrays=extras, info=info, labels=labels,
    )  # fmt: skip
    bare = frame.with_(arrays={}, info={}, split=None, labels=Labels(), origin=Origin())
    symmetric = Labels(stress=np.full((3, 3), 0.1))
    known = bare.with_(labels=symmetric, origin=Origin("md", trajectory="a\nb"))
    atom = Frame.make([32], [[0.1, 0, 0]], labels=Labels(-3.0, np.zeros((1, 3)), theory="pbe scan"))
    return Dataset.from_frames([frame, bare, known, atom])


@pytest.fixture
def refusal():
    """What is said of a file that cannot be read: one line that begins with its name."""

    def refused(path) -> str:
        with pytest.raises(InputError) as caught:
            io.read(path)
        text = str(caught.value)
        assert text.startswith(str(path))
        assert "\n" not in text
        return text

    return refused
