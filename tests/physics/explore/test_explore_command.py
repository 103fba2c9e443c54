"""``trainspot explore``: trajectories for people, schedules for jobs, one line for mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from click.testing import CliRunner

from trainspot import io
from trainspot.cli import main
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.explore.schedule import Plan, dump, schedule
from trainspot.models.potential import load


@pytest.fixture
def explored(tmp_path, toy_model, monkeypatch):
    """Runs the command in a folder with a start structure and a model."""
    path, frame = toy_model
    monkeypatch.chdir(tmp_path)
    io.write(Dataset.from_frames([frame]), tmp_path / "start.extxyz")

    def run(*words):
        return CliRunner().invoke(main, ["explore", "--model", str(path), *map(str, words)])

    return run


def test_a_trajectory_carries_energy_forces_and_momenta(explored, toy_model):
    done = explored("start.extxyz", "--temperature", 50, "--time", 0.03, "--sample-every", 0.01,
              "--ensemble", "nve", "--seed", 3, "-o", "t.extxyz")  # fmt: skip
    assert done.exit_code == 0, done.output
    images = ase.io.read("t.extxyz", ":")
    model = load(toy_model[0])
    assert len(images) == 3
    for atoms in images:
        frame = Frame.from_atoms(atoms)
        (labels,) = model.predict(model.prepare([frame]))
        assert atoms.info["frame_id"] == frame.id
        assert atoms.get_potential_energy() == pytest.approx(labels.energy, abs=1e-6)
        assert np.allclose(atoms.get_forces(), labels.forces, atol=1e-6)
        assert atoms.get_momenta().any()
    total = [atoms.get_total_energy() for atoms in images]
    assert np.ptp(total) < 0.05 * images[0].get_kinetic_energy()


def test_hdf5_is_the_dataset_and_the_seed_decides(explored):
    words = ("start.extxyz", "--time", 0.02, "--sample-every", 0.01)
    for name, seed in (("a.h5", 1), ("b.h5", 1), ("c.h5", 2)):
        assert explored(*words, "--seed", seed, "-o", name).exit_code == 0
    first, same, other = (io.read(name) for name in ("a.h5", "b.h5", "c.h5"))
    assert first.ids == same.ids != other.ids
    assert first.counts("strategy") == {"md": 2}
    assert not first.is_labelled.any()


def test_single_atoms_are_left_out_with_a_note(explored, toy_model):
    _, frame = toy_model
    atom = Frame.make(frame.numbers[:1], [[5.0, 5.0, 5.0]], np.eye(3) * 10, False)
    io.write(Dataset.from_frames([frame, atom]), "both.h5")
    words = ("--time", 0.02, "--sample-every", 0.01, "-o", "t.h5")
    done = explored("both.h5", *words)
    assert done.exit_code == 0, done.output
    assert "note: 1 isolated atom left out: one atom alone has nothing to explore" in done.stderr
    assert "2 frames from 1 run: t.h5" in done.stdout
    io.write(Dataset.from_frames([atom]), "atom.h5")
    assert "a single atom cannot be explored" in explored("atom.h5", *words).stderr


def test_a_schedule_is_followed(explored, toy_model):
    _, frame = toy_model
    starts = Dataset.from_frames([frame])
    runs = schedule(starts, Plan(starts=2, time=0.02, sample_every=0.01), 8)
    io.write(starts, "starts.h5")
    Path("s.json").write_text(json.dumps(dump(runs)))
    done = explored("starts.h5", "--schedule", "s.json", "-o", "e.h5", "--failures", "f.h5")
    assert done.exit_code == 0, done.output
    assert io.read("e.h5").counts("trajectory") == {run.trajectory: 2 for run in runs}
    assert len(io.read("f.h5")) == 0


def test_a_campaign_file_gives_the_defaults(explored):
    Path("c.yaml").write_text(
        "structures: [start.extxyz]\n"
        "seed: 5\n"
        "label: {engine: ase, calculator: emt}\n"
        "train: {engine: toy}\n"
        "explore: {engine: ase, temperature: [40, 60], time: 0.02, sample_every: 0.01,"
        " thermostat_time: 30.0}\n"
    )
    done = explored("start.extxyz", "--config", "c.yaml", "-o", "t.h5", "--time", 0.03)
    assert done.exit_code == 0, done.output
    frames = io.read("t.h5")
    assert len(frames) == 3
    assert 40 <= frames[0].origin.parameters["temperature"] <= 60


def test_a_failed_run_is_an_error_unless_failures_are_asked_for(explored):
    Path("limits.json").write_text(json.dumps({"max_volume_ratio": 1.0 + 1e-12}))
    words = ("start.extxyz", "--time", 0.02, "--sample-every", 0.01, "--settings", "limits.json")
    done = explored(*words, "-o", "t.extxyz")
    assert done.exit_code == 1
    assert "1 of 1 runs failed" in done.output
    assert "exploded after 0.01 ps: volume" in done.output
    assert explored(*words, "-o", "e.h5", "--failures", "f.h5").exit_code == 0
    assert io.read("f.h5")[0].info["failure"]["exit_status"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing.cif", "-o", "t.h5"), "nothing.cif: no such file"),
        (("start.extxyz", "-o", "t.pdf"), "unknown dataset suffix"),
        (("start.extxyz", "-o", "t.h5", "--temperature", "hot"), "neither a number nor LOW:HIGH"),
        (("start.extxyz", "-o", "t.h5", "--temperature", "-5"), "temperature: must not"),
        (("start.extxyz", "-o", "t.h5", "--time", "-1"), "greater than 0"),
        (("start.extxyz", "-o", "t.h5", "--kind", "tyo"), "did you mean 'toy'"),
        (("start.extxyz", "-o", "t.h5", "--schedule", "start.extxyz"), "not a schedule"),
        (("atom.extxyz", "-o", "t.h5"), "a single atom cannot be explored"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(explored, tmp_path, words, message):
    ase.io.write("atom.extxyz", ase.Atoms("Si"))
    before = sorted(tmp_path.iterdir())
    done = explored(*words)
    assert done.exit_code == 2
    assert message in done.output
    assert done.output.strip().count("\n") == 0
    assert sorted(tmp_path.iterdir()) == before
