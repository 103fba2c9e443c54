"""MACE trains on the LMDB database that ``trainspot convert`` writes, with the flags it prints."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from click.testing import CliRunner

from trainspot import io
from trainspot.cli import main
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.models.mace import MacePotential
from trainspot.train.run import find_executable

pytestmark = pytest.mark.engine

# As small as MACE can be.
TINY = shlex.split(
    "--name=tiny --r_max=4.0 --num_channels=2 --max_L=0 --max_ell=1 --correlation=2"
    " --num_radial_basis=4 --MLP_irreps=4x0e --radial_MLP='[8]' --batch_size=3"
    " --valid_batch_size=2 --max_num_epochs=1 --device=cpu --default_dtype=float64 --seed=1"
    " --loss=universal --compute_stress=True"
)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Strained copper-gold with EMT labels, and both isolated atoms."""
    rng, frames = np.random.default_rng(3), []
    for row in range(6):
        atoms = bulk("Cu", a=3.8, cubic=True)
        atoms.numbers[0] = 79
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.uniform(-0.05, 0.05, (3, 3))), True)
        atoms.calc = EMT()
        stress = atoms.get_stress(voigt=False)
        labels = Labels(atoms.get_potential_energy(), atoms.get_forces(), stress, "emt")
        split = "validation" if row < 2 else "train"
        info = {"note": "ünlike", "table": {"a": [1, 2]}, "kept": np.arange(3)}
        frames.append(Frame.from_atoms(atoms, labels=labels, split=split, info=info))
    for number, energy in ((29, 3.51), (79, 3.8)):
        labels = Labels(energy, np.zeros((1, 3)), theory="emt")
        frames.append(Frame.make([number], [[0, 0, 0]], labels=labels, split="train"))
    return Dataset.from_frames(frames)


@pytest.fixture(scope="module")
def folder(dataset, tmp_path_factory) -> tuple[Path, list[str]]:
    """Both sets as databases, and the flags that the command prints."""
    path = tmp_path_factory.mktemp("lmdb")
    io.write(dataset, path / "all.h5")
    for split in ("validation", "train"):
        target = path / f"{split}.aselmdb"
        arguments = ["convert", str(path / "all.h5"), str(target), "--split", split]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
    flags = shlex.split(result.output.splitlines()[-1].removeprefix("MACE needs "))
    assert flags == ["--atomic_numbers=[29, 79]", "--E0s={29: 3.51, 79: 3.8}"]
    return path, flags


def test_mace_reads_every_label(dataset, folder):
    from mace.data import LMDBDataset
    from mace.tools import AtomicNumberTable

    path, _ = folder
    found = LMDBDataset(str(path / "train.aselmdb"), r_max=4.0, z_table=AtomicNumberTable([29, 79]))
    frames = list(dataset.frames(split="train"))
    assert len(found) == len(frames) == 6
    for item, frame in zip((found[n] for n in range(6)), frames, strict=True):
        labels = frame.labels
        np.testing.assert_allclose(item.positions, frame.positions, rtol=1e-6)
        np.testing.assert_allclose(item.energy, labels.energy, rtol=1e-6)
        np.testing.assert_allclose(item.forces, labels.forces, rtol=1e-6, atol=1e-6)
        assert float(item.energy_weight) == float(item.forces_weight) == 1.0
        assert float(item.stress_weight) == float(labels.stress is not None)
        if labels.stress is not None:
            np.testing.assert_allclose(item.stress[0], labels.stress, rtol=1e-5, atol=1e-7)


def test_mace_trains_on_the_database(dataset, folder):
    path, flags = folder
    files = ["--train_file=train.aselmdb", "--valid_file=validation.aselmdb"]
    program = find_executable("mace_run_train")
    done = subprocess.run(
        [program, *TINY, *files, *flags], cwd=path, env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    model = MacePotential.load(path / "tiny.model")
    assert model.numbers == (29, 79)
    energies = [label.energy for label in model.predict(model.prepare(list(dataset)[-2:]))]
    np.testing.assert_allclose(energies, [3.51, 3.8], atol=1e-6)  # of the isolated atoms
