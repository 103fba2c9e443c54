"""The journal of a labelling run: nothing that was done is lost when the run is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from trainspot import io
from trainspot.common.errors import DataError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.label import journal
from trainspot.label.ase import AseLabelEngine, AseSettings

SETTINGS = AseSettings(calculator="emt")
PATIENCE = 300  # s
THEORY = AseLabelEngine.theory(SETTINGS)

# A calculator that computes copper and kills the whole run, as a scheduler would, at tungsten.
KILLER = """
import os, signal
from ase.calculators.emt import EMT

class Killer(EMT):
    def calculate(self, atoms=None, *args, **kwargs):
        if "W" in atoms.symbols:
            os.kill(os.getppid() if PARENT else os.getpid(), signal.SIGKILL)
        super().calculate(atoms, *args, **kwargs)
"""


@pytest.fixture(scope="module")
def asked() -> Dataset:
    """Two copper cells, aluminium on a slab without z periodicity, and two that EMT refuses."""
    frames = []
    for seed in range(2):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        frames.append(Frame.from_atoms(atoms))
    slab = bulk("Al", cubic=True)
    slab.pbc = (True, True, False)
    refused = [Frame.from_atoms(bulk(element)) for element in ("W", "Fe")]
    return Dataset.from_frames(
        [frames[0], refused[0], Frame.from_atoms(slab), *refused[1:], frames[1]]
    )


def written(path, asked):
    result_of = {}
    with journal.opened(path) as stream:

        def done(frame):
            journal.add(stream, frame)
            result_of[frame.id] = frame

        AseLabelEngine().label(asked, SETTINGS, done=done)
    return result_of


def test_a_journal_brings_back_every_frame_to_the_last_bit(asked, tmp_path):
    path = tmp_path / "journal"
    known = written(path, asked)
    found = journal.read(path, asked, THEORY)
    assert found.labelled.ids == [asked.ids[i] for i in (0, 2, 4)]
    assert found.failures.ids == [asked.ids[i] for i in (1, 3)]
    for frame in [*found.labelled, *found.failures]:
        expected = known[frame.id]
        assert frame.info == expected.info
        assert frame.labels.energy == expected.labels.energy
        assert frame.labels.theory == expected.labels.theory
        for name in ("forces", "stress"):
            np.testing.assert_array_equal(
                getattr(frame.labels, name), getattr(expected.labels, name)
            )


@pytest.fixture(scope="module")
def whole(asked, tmp_path_factory):
    path = tmp_path_factory.mktemp("journal") / "journal"
    written(path, asked)
    return path.read_bytes()


@given(cut=st.integers(0, 10_000), flip=st.integers(0, 10_000))
def test_a_torn_or_damaged_journal_gives_what_came_before(
    asked, whole, cut, flip, tmp_path_factory
):
    path = tmp_path_factory.mktemp("torn") / "journal"
    damaged = bytearray(whole[: cut % (len(whole) + 1)])
    intact = len(damaged)
    start = len(journal._START)  # damaged there, nothing tells it from a foreign file
    if len(damaged) > start and flip < 5000:
        intact = start + flip % (len(damaged) - start)
        damaged[intact] ^= 1
    path.write_bytes(damaged)
    lines = whole[:intact].count(b"\n")
    found = journal.read(path, asked, THEORY)
    assert sorted([*found.labelled.ids, *found.failures.ids]) == sorted(asked.ids[:lines])
    with journal.opened(path):  # what is torn is cut off, so that what is added can be read
        pass
    assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[:lines])


@pytest.mark.parametrize("content", [b"2\nLattice", b"x", b"a journey is a long way to go"])
def test_a_file_that_is_no_journal_is_left_alone(asked, tmp_path, content):
    path = tmp_path / "frames.extxyz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is no journal of a labelling run"):
        journal.read(path, asked, THEORY)
    with pytest.raises(DataError, match="is no journal of a labelling run"):
        journal.opened(path)
    assert path.read_bytes() == content


def test_a_journal_of_another_run_is_refused(asked, tmp_path):
    path = tmp_path / "journal"
    written(path, asked)
    with pytest.raises(DataError, match="journal:1: labels of another level of theory"):
        journal.read(path, asked, "other")
    with pytest.raises(DataError, match="journal:2: not a frame of this run"):
        journal.read(path, asked[[0, 2]], THEORY)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_command_that_is_killed_goes_on_where_it_was(asked, tmp_path, workers):
    (tmp_path / "killer.py").write_text(KILLER.replace("PARENT", str(workers > 1)))
    order = [asked[0], asked[4], asked[1], asked[2]]  # copper, copper, the killer, aluminium
    frames, kept = tmp_path / "frames.h5", tmp_path / "journal"
    io.write(Dataset.from_frames(order), frames)

    def run(calculator):
        return subprocess.run(
            [
                *(Path(sys.executable).with_name("trainspot"), "label", frames),
                *("--calculator", calculator, "--workers", str(workers)),
                *("-o", "out.h5", "--journal", kept),
            ],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,  # its processes must end with it, or its output never does
        )

    assert run("killer:Killer").returncode == -signal.SIGKILL
    settings = AseSettings(calculator="killer:Killer")
    found = journal.read(kept, io.read(frames), AseLabelEngine.theory(settings))
    assert set(found.labelled.ids) <= {asked.ids[0], asked.ids[4]}
    if workers == 1:
        assert found.labelled.ids == [asked.ids[0], asked.ids[4]]
    assert not (tmp_path / "out.h5").exists()

    # the same again, on a calculator that has been mended
    (tmp_path / "killer.py").write_text("from ase.calculators.emt import EMT as Killer\n")
    done = run("killer:Killer")
    assert done.returncode == 0, done.stderr
    count = len(found.labelled)
    taken = f"note: {count} label{'s' * (count != 1)} taken from the journal"
    assert taken in done.stderr
    assert io.read(tmp_path / "out.h5").is_labelled.sum() == 3
    assert not kept.exists()
