"""The commands ``augment`` and ``split`` on files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import bulk
from click.testing import CliRunner

from trainspot import io
from trainspot.cli import main


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Run the command line in an empty folder that holds ``si.cif``."""
    monkeypatch.chdir(tmp_path)
    bulk("Si", cubic=True).write("si.cif")
    return lambda *arguments: CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.mark.parametrize("suffix", [".h5", ".extxyz"])
def test_from_a_structure_to_a_split_set(call, tmp_path, suffix):
    made, done = f"a{suffix}", f"b{suffix}"
    result = call("augment", "si.cif", "-o", made, "--seed", 3)
    assert result.exit_code == 0, result.output
    assert "\n76 frames (1 supercell" in result.output
    result = call("split", made, "-o", done, "--json")
    assert result.exit_code == 0, result.output
    assert sum(json.loads(result.output)["sets"].values()) == 76
    before, after = io.read(tmp_path / made), io.read(tmp_path / done)
    assert after.ids == before.ids
    assert np.all(after.column("split") > 0)


def test_json_report_and_seed(call, tmp_path):
    reports = [
        call("augment", "si.cif", "-o", f"{seed}.h5", "--seed", seed, "--json") for seed in (1, 2)
    ]
    assert json.loads(reports[0].output)["strategies"]["vacancies"] == 15
    assert json.loads(reports[0].output)["refused"] == {}
    ids = [set(io.read(tmp_path / f"{seed}.h5").ids) for seed in (1, 2)]
    assert len(ids[0] & ids[1]) == 6  # supercell, slabs, atom, input


def test_a_campaign_file_gives_the_strategies_and_the_shares(call, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "structures: [si.cif]\nseed: 9\nsplit: {fractions: [0.5, 0.25, 0.25]}\n"
        "augment: [{kind: rattle, copies: 8, vacancies: null}]\n"
    )
    assert call("augment", "si.cif", "-o", "a.h5", "--config", "c.yaml").exit_code == 0
    result = call("split", "a.h5", "-o", "b.h5", "--config", "c.yaml", "--json")
    assert json.loads(result.output)["sets"] == {"train": 4, "validation": 2, "test": 2}
    assert io.read(tmp_path / "a.h5").counts("strategy") == {"rattle": 8}


def test_overlapping_atoms_name_the_file_and_write_nothing(call, tmp_path):
    atoms = bulk("Si", cubic=True)
    atoms.positions[3] = atoms.positions[0] + 0.1
    atoms.write("bad.cif")
    result = call("augment", "si.cif", "bad.cif", "-o", "a.h5")
    assert result.exit_code == 2
    assert "bad.cif, structure 1 (Si8): overlapping atoms: atoms 1 (Si) and 4 (Si)" in result.output
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_a_plan_that_makes_nothing_says_why_and_writes_nothing(call, tmp_path, json_):
    (tmp_path / "c.yaml").write_text(
        "structures: [si.cif]\naugment: [{kind: swap}, {kind: vacancies, count: 7}]\n"
    )
    result = call("augment", "si.cif", "-o", "a.h5", "--config", "c.yaml", *json_)
    assert result.exit_code == 1
    assert not result.stdout
    *notes, error = result.stderr.splitlines()
    assert notes[0].startswith("note: swap: nothing to exchange in 1 of 1 structures")
    assert notes[1].startswith("note: vacancies: fewer than 3 atoms would remain in Si8")
    assert len(notes) == 2
    assert error == "Error: no strategy made a frame; see the notes above"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml", "si.cif"]


def test_a_plan_of_which_everything_is_refused_counts_it(call, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "structures: [si.cif]\naugment: [{kind: strain, copies: 3, range: [-0.8, -0.7]}]\n"
    )
    result = call("augment", "si.cif", "-o", "a.h5", "--config", "c.yaml")
    assert result.exit_code == 1
    assert "refused: 3 overlap of strain_1" in result.output
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["augment", "nope.cif", "-o", "a.h5"], "nope.cif: no such file"),
        (
            ["augment", "nope.cif", "-o", "a.csv"],
            "unknown dataset suffix '.csv'",
        ),  # looked at first
        (["augment", "si.cif", "-o", "a.h5", "--vacuum", "-1"], "--vacuum"),
        (
            ["split", "si.cif", "-o", "a.h5", "--fractions", "1", "1", "1"],
            "are not shares of a split",
        ),
    ],
)
def test_bad_calls_are_one_line(call, tmp_path, arguments, message):
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "a.h5").exists()
