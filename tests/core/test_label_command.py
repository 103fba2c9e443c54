"""``trainspot label`` on files."""

from __future__ import annotations

import json
from pathlib import Path

import ase.io
import pytest
from ase.build import bulk
from click.testing import CliRunner

from trainspot import io
from trainspot.cli import main


@pytest.fixture
def frames(tmp_path):
    """Three rattled copper cells, one of them twice, and tungsten, which EMT does not know."""
    images = []
    for seed in range(3):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        images.append(atoms)
    path = tmp_path / "frames.extxyz"
    ase.io.write(path, [*images, bulk("W"), images[0]])
    return path


def run(*arguments):
    return CliRunner().invoke(main, ["label", *map(str, arguments)])


def test_frames_are_labelled_once_and_failures_kept_apart(frames, tmp_path):
    output, failures = tmp_path / "out.h5", tmp_path / "failures.h5"
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"calculator": "emt", "parameters": {}}))
    result = run(frames, "--settings", settings, "-o", output, "--failures", failures)
    assert result.exit_code == 0, result.output
    assert "3 frames labelled, 1 failed" in result.output
    labelled = io.read(output)
    assert len(labelled) == len(set(labelled.ids)) == 3
    assert labelled.is_labelled.all()
    assert io.read(failures).species == ["W"]
    again = run(output, "--calculator", "emt", "-o", tmp_path / "again.h5")
    assert "0 frames labelled (3 had labels already), 0 failed" in again.output
    assert (tmp_path / "again.h5").read_bytes() == output.read_bytes()


def test_failures_without_a_file_of_their_own_stay_unlabelled(frames, tmp_path):
    output = tmp_path / "out.h5"
    result = run(frames, "--calculator", "emt", "-o", output)
    assert result.exit_code == 0, result.output
    kept = io.read(output)
    assert (len(kept), int(kept.is_labelled.sum())) == (4, 3)
    assert "3 frames labelled, 1 failed" in result.output
    assert "--failures" not in result.output, "one failure has been told already"


def test_a_calculator_takes_parameters_as_an_oracle_does(frames, tmp_path):
    settings = tmp_path / "s.json"
    settings.write_text(json.dumps({"calculator": "lj", "parameters": {"sigma": 2.3}}))
    run(frames, "--calculator", "lj:sigma=2.3", "-o", tmp_path / "words.h5")
    run(frames, "--settings", settings, "-o", tmp_path / "file.h5")
    assert (tmp_path / "words.h5").read_bytes() == (tmp_path / "file.h5").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "quantumespresso"], "campaign"),
        (["--engine", "quantumespreso"], "did you mean 'quantumespresso'"),
        (["--calculator", "emu"], "did you mean 'emt'"),
        ([], "no calculator; give --calculator: eam, emt, "),
        (["--calculator", "lj:sigma"], "--calculator: 'sigma' is not KEY=VALUE"),
        (["--calculator", "emt", "--failures", "x.txt"], "suffix"),
        (["--settings", "nowhere.json"], "no such file"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(frames, tmp_path, arguments, message):
    output = tmp_path / "out.h5"
    result = run(frames, *arguments, "-o", output)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--failures", "out.h5"], "--failures out.h5: is the name of another file"),
        (["--failures", "frames.extxyz"], "--failures frames.extxyz: is the name of another file"),
        (["--journal", "out.h5"], "--journal out.h5: is the name of another file"),
        (["--journal", "./frames.extxyz"], "--journal frames.extxyz: is the name of another file"),
        (
            ["--failures", "f.h5", "--journal", "f.h5"],
            "--journal f.h5: is the name of another file",
        ),
        (["--journal", "notes.txt"], "notes.txt: is no journal of a labelling run"),
        (["--journal", "nowhere/journal"], "nowhere: no such folder"),
    ],
)
def test_no_file_is_lost_to_another(frames, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("precious")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    result = run(frames.name, "--calculator", "emt", *arguments, "-o", "out.h5")
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert result.output.count("\n") == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_nothing_labelled_is_a_failed_run(tmp_path):
    path = tmp_path / "w.extxyz"
    ase.io.write(path, bulk("W"))
    failures = tmp_path / "failures.h5"
    result = run(path, "--calculator", "emt", "-o", tmp_path / "o.h5", "--failures", failures)
    assert result.exit_code == 1
    assert "(W): no frame could be labelled; " in result.output
    assert len(io.read(failures)) == 1


def test_elements_that_a_calculator_does_not_know_are_named(tmp_path):
    ase.io.write(tmp_path / "m.extxyz", [bulk("MgO", "rocksalt", a=a) for a in (4.2, 4.3)])
    result = run(tmp_path / "m.extxyz", "--calculator", "tersoff", "-o", tmp_path / "o.h5")
    assert result.exit_code == 1
    assert "calculator 'tersoff' raised StopIteration; perhaps it has no parameters for O, Mg" in (
        result.output
    )


def test_several_failures_tell_where_the_other_reasons_are(tmp_path):
    images = [bulk("Cu"), bulk("W"), bulk("Mo")]
    ase.io.write(tmp_path / "m.extxyz", images)
    result = run(tmp_path / "m.extxyz", "--calculator", "emt", "-o", tmp_path / "o.h5")
    assert result.exit_code == 0
    assert "to see the reason of each failure, give --failures FILE" in result.stderr


def test_labels_with_a_former_name_of_their_theory_are_of_that_theory(frames, tmp_path):
    """Earlier versions counted names of files and numbers of steps to the level of theory."""
    settings = tmp_path / "settings.json"
    written = {"calculator": "emt", "parameters": {"asap_cutoff": False}}
    old, new = tmp_path / "old.h5", tmp_path / "new.h5"
    settings.write_text(json.dumps(written))
    run(frames, "--settings", settings, "-o", old, "--failures", tmp_path / "failures.h5")
    settings.write_text(json.dumps(written | {"practical_parameters": ["asap_cutoff"]}))
    assert run(old, "--settings", settings, "-o", new).exit_code == 0
    before, after = io.read(old), io.read(new)
    assert before.ids == after.ids
    assert len(after.theories) == 1
    assert before.theories != after.theories
    plain = tmp_path / "plain.h5"
    run(frames, "--calculator", "emt", "-o", plain)
    assert io.read(plain).theories == after.theories
