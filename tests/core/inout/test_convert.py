"""``trainspot convert``: formats, levels of theory, views, and nothing written on errors."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from trainspot import io
from trainspot.cli import main
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels


def run(*arguments, fails=0):
    result = CliRunner().invoke(main, ["convert", *map(str, arguments)])
    assert result.exit_code == fails, result.output
    return result.output


@pytest.fixture
def atoms(labelled_frames):
    """Labelled silicon, one atom twice (its second spin state is lower), one unlabelled frame."""
    atom = Frame.make([14], [[0, 0, 0]], labels=Labels(-1.0, np.zeros((1, 3))))
    lower = Frame.make([14], [[1, 0, 0]], labels=Labels(-2.5, np.zeros((1, 3))))
    frames = [f.with_(labels=Labels(f.labels.energy, f.labels.forces)) for f in labelled_frames]
    frames = [f.with_(split="test" if i < 4 else "train") for i, f in enumerate(frames)]
    moved = Frame.make(frames[0].numbers, frames[0].positions + 0.25, frames[0].cell, True)
    return Dataset.from_frames([*frames, atom, lower, moved])


def test_an_existing_dataset_is_imported_with_its_level_of_theory(tmp_path, excerpt, same):
    output = run(excerpt, tmp_path / "a.h5", "--theory", "PBE")
    assert output.startswith("12 frames (12 labelled at the level of theory PBE) written to ")
    imported = io.read(tmp_path / "a.h5")
    same(imported, io.read(excerpt, theory="PBE"))
    for target in ("b.db", "c.h5"):
        run(tmp_path / "a.h5", tmp_path / target, "--theory", "PBE")
        same(imported, io.read(tmp_path / target))


def test_labels_without_a_name_get_it_in_our_format_too(tmp_path, atoms):
    io.write(atoms, tmp_path / "a.h5")
    run(tmp_path / "a.h5", tmp_path / "b.h5", "--theory", "scan")
    theories = io.read(tmp_path / "b.h5").column("theory").tolist()
    assert theories == [b"scan"] * 14 + [b""]
    assert io.read(tmp_path / "a.h5", theory="scan").column("theory").tolist() == theories
    output = run(tmp_path / "a.h5", tmp_path / "c.h5")
    assert "level of theory unnamed" in output
    assert "note: name the level of theory of these labels: --theory NAME" in output


@pytest.mark.parametrize("suffix", ["h5", "extxyz"])
def test_a_level_of_theory_is_not_overwritten(tmp_path, labelled_frames, suffix):
    source, target = tmp_path / f"a.{suffix}", tmp_path / "b.h5"
    io.write(Dataset.from_frames(labelled_frames), source)
    output = run(source, target, "--theory", "scan", fails=2)
    assert "is already labelled at the level of theory 'made-up', not 'scan'" in output
    assert not target.exists()


def test_views_and_figures(tmp_path, atoms, same):
    io.write(atoms, tmp_path / "a.h5")
    target = tmp_path / "b.aselmdb"
    found = json.loads(run(tmp_path / "a.h5", target, "--labelled", "--json"))
    assert found == {
        "frames": 14, "labelled": 14, "theories": [""], "atomic_numbers": [14], "e0s": {"14": -2.5},
        "with_energy": 14, "with_forces": 14, "with_stress": 0,
        "doubts": [],
    }  # fmt: skip
    same(io.read(target), atoms.labelled())
    output = run(tmp_path / "a.h5", target, "--split", "test")
    assert "--atomic_numbers='[14]' --E0s='{}'; add the energy of each element" in output
    same(io.read(target), atoms.subset("test"))
    assert "--E0s='{14: -2.5}'\n" in run(tmp_path / "a.h5", target)


def test_a_view_without_frames_writes_nothing(tmp_path, atoms):
    io.write(atoms, tmp_path / "a.h5")
    chosen = ["--split", "validation", "--labelled"]
    output = run(tmp_path / "a.h5", tmp_path / "b.h5", *chosen, fails=2)
    told = f"Error: {tmp_path / 'a.h5'}: has no labelled frame in the split validation"
    assert output.strip() == told
    io.write(Dataset.from_frames([frame.with_(split=None) for frame in atoms]), tmp_path / "a.h5")
    output = run(tmp_path / "a.h5", tmp_path / "b.h5", *chosen, fails=2)
    assert output.strip() == f"{told}; assign splits first: trainspot split"
    assert not (tmp_path / "b.h5").exists()


def test_a_file_may_be_replaced_by_itself(tmp_path, atoms):
    io.write(atoms, tmp_path / "a.h5")
    run(tmp_path / "a.h5", tmp_path / "a.h5", "--theory", "PBE")
    assert io.read(tmp_path / "a.h5").theories == ["PBE"]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("none.h5", "b.h5", "none.h5: no such file"),
        ("a.h5", "b.dat", "unknown dataset suffix '.dat'"),
        ("a.h5", "nowhere/b.h5", "no such folder"),
        (".", "b.h5", "is a folder"),
        ("text.h5", "b.h5", "not an HDF5 file, or damaged"),
        ("changed.h5", "b.h5", "the id of frame 1 is not that of its geometry"),
    ],
)
def test_bad_input_writes_nothing(tmp_path, atoms, source, target, message):
    for name in ("a.h5", "changed.h5"):
        io.write(atoms, tmp_path / name)
    with h5py.File(tmp_path / "changed.h5", "r+") as file:
        file["positions"][0, 0] = 0.25
    (tmp_path / "text.h5").write_text("nonsense")
    output = run(tmp_path / source, tmp_path / target, fails=2)
    assert message in output
    assert output.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"a.h5", "changed.h5", "text.h5"}
