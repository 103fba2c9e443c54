"""Files that appear whole or not at all: what a full disk and a closed folder leave."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
from ase.build import bulk

from trainspot.common.atomic_write import replacing
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame


def test_a_file_takes_its_place_at_the_end(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with replacing(target) as path:
        path.write_text("new")
        assert target.read_text() == "old"
        assert path.suffix == target.suffix
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def fail(path, named):
    path.write_text("half")
    if named == "by HDF5":
        raise RuntimeError(f"Can't close (unable to extend file, errno = {errno.ENOSPC}, no)")
    raise OSError(errno.ENOSPC, "something long", str(path) if named else None)


@pytest.mark.parametrize("named", [None, "itself", "by HDF5"])
def test_an_error_names_the_file_that_was_wanted(tmp_path, named):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with (
        pytest.raises(OSError, match="No space left on device") as caught,
        replacing(target) as path,
    ):
        fail(path, named)
    assert caught.value.filename == str(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "error",
    [
        OSError("a column ends"),
        FileNotFoundError(errno.ENOENT, "none", "other.txt"),
        RuntimeError("a bug"),
    ],
)
def test_errors_about_something_else_stay_as_they_are(tmp_path, error):
    with pytest.raises(type(error)) as caught, replacing(tmp_path / "a.txt"):
        raise error
    assert caught.value is error


@pytest.fixture
def frames(tmp_path):
    """A file of frames that needs more than 64 kB in every format."""
    rng = np.random.default_rng(1)
    atoms = bulk("Si", cubic=True).repeat(3)
    many = [
        Frame.make(atoms.numbers, rng.uniform(0, 16, (216, 3)), atoms.cell, True)
        for _ in "abcd" * 5
    ]
    hdf5.write(Dataset.from_frames(many), tmp_path / "given.h5")
    return tmp_path / "given.h5"


LIMITED = """
import resource
from trainspot.cli import main
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
try:
    main()
finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
"""
"""The command, while no file may grow beyond 64 kB, which to a program is as a full disk."""


@pytest.mark.parametrize("suffix", [".h5", ".extxyz", ".db", ".aselmdb"])
@pytest.mark.parametrize("command", ["convert", "split"])
def test_a_full_disk_is_one_line_and_leaves_nothing(frames, suffix, command):
    wanted = frames.with_name(f"wanted{suffix}")
    arguments = (
        [str(frames), str(wanted)] if command == "convert" else [str(frames), "-o", str(wanted)]
    )
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, command, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {wanted}: ")
    assert done.stderr.count("\n") == 1
    assert list(frames.parent.iterdir()) == [frames]
