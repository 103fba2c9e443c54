"""The names a script takes from ``trainspot`` itself."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import trainspot


def test_frames_are_made_written_and_read_with_public_names_alone(tmp_path):
    from trainspot import Dataset, Frame, Labels, calculator, read, write

    frame = Frame.make([14], [[0, 0, 0]], 5.0 * np.eye(3), True, labels=Labels(energy=-1.0))
    write(Dataset.from_frames([frame]), tmp_path / "one.extxyz")
    assert read(tmp_path / "one.extxyz").ids == [frame.id]
    assert callable(calculator)


def test_every_public_name_exists_and_is_listed():
    assert all(getattr(trainspot, name) is not None for name in trainspot.__all__)
    assert dir(trainspot) == sorted(trainspot.__all__)


def test_another_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = trainspot.nonsense


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, trainspot; print([m for m in ('ase', 'h5py', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
