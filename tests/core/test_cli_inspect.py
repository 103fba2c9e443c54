"""The command ``inspect``: any file, one clear line for bad ones, and nothing overwritten."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest
from ase.build import bulk, molecule
from click.testing import CliRunner

from trainspot import io
from trainspot.cli import main
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame

PLAN = """\
structures: [si.cif]
augment: [{kind: input}, {kind: rattle, copies: 4}, {kind: isolated}, {kind: isolated}]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with an augmented dataset and its record."""
    folder = tmp_path_factory.mktemp("made")
    bulk("Si", cubic=True).write(folder / "si.cif")
    (folder / "c.yaml").write_text(PLAN)
    arguments = ["augment", "si.cif", "--config", "c.yaml", "-o", "a.h5", "--json"]
    places = {"si.cif", "c.yaml", "a.h5"}
    arguments = [str(folder / a) if a in places else a for a in arguments]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == json.loads((folder / "a.h5.augment.json").read_text())
    return folder


@pytest.fixture
def call(made, tmp_path, monkeypatch):
    """Run the command line in a copy of that folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [str(a) for a in arguments])


def test_tables_and_page(call, tmp_path):
    result = call("inspect", "a.h5", "-o", "a.html")
    assert result.exit_code == 0, result.output
    assert "a.h5: 6 frames, " in result.output
    assert "isolated_4" in result.output
    assert "page: a.html" in result.output
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "isolated_4" in text
    assert text.count('src="data:image/png') == 6


def test_json(call):
    told = json.loads(call("inspect", "a.h5", "--json").output)
    assert told["frames"] == 6
    assert told["augmentation"]["by_step"] == {"isolated_4": {"duplicate": 1}}
    assert told["strategies"]["rattle"] == {"none": 3}
    assert told["strategies"]["vacancies"] == {"none": 1}
    assert told["remarks"] == []


def test_a_record_of_other_frames_is_left_out_with_a_remark(call, tmp_path):
    dataset = io.read(tmp_path / "a.h5")
    io.write(dataset[1:], tmp_path / "a.h5")
    told = json.loads(call("inspect", "a.h5", "--json").output)
    assert told["augmentation"] is None
    assert told["remarks"] == ["a.h5.augment.json is about other frames and was left out."]
    named = call("inspect", "a.h5", "--json", "--augmentation", "a.h5.augment.json")
    told = json.loads(named.output)
    assert told["augmentation"]["frames"] == 6
    assert told["remarks"] == ["The record of the augmentation is about other frames, 6 of them."]


def test_a_split_set_is_still_what_was_made(call):
    assert call("split", "a.h5", "-o", "b.extxyz").exit_code == 0
    result = call("inspect", "b.extxyz", "--json", "--augmentation", "a.h5.augment.json")
    told = json.loads(result.output)
    assert told["remarks"] == []
    assert told["augmentation"]["frames"] == told["frames"] == 6


def test_any_file_that_ase_reads(call, tmp_path):
    molecule("H2O").write(tmp_path / "water.xyz")
    result = call("inspect", "water.xyz")
    assert result.exit_code == 0, result.output
    assert "molecule, cluster or atom" in result.output


def test_the_sample_follows_the_seed(call):
    told = [
        json.loads(call("inspect", "a.h5", "--json", "--sample", 2, "--seed", seed).output)
        for seed in (0, 0, 1, 2, 3)
    ]
    found = [json.dumps(one["nearest_neighbours"]) for one in told]
    assert all(one["nearest_neighbours"]["frames"] == 2 for one in told)
    assert found[0] == found[1]
    assert len(set(found)) > 1


def _damaged(path, column, value):
    with h5py.File(path, "a") as file:
        file[column][:] = value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.h5"], "nope.h5: no such file"),
        (["c.yaml"], "c.yaml: "),
        (["text.h5"], "text.h5: not an HDF5 file, or damaged"),
        (["empty.h5"], "empty.h5: contains no frames"),
        (["words.h5"], "words.h5: column 'strategy' holds a damaged text"),
        (["ids.h5"], "ids.h5: the id of frame 1 is not that of its geometry"),
        (["info.h5"], "info.h5: the texts of frame 1 are damaged"),
        (["a.h5", "-o", "a.h5"], "a.h5: unknown suffix '.h5'; use .html"),
        (["a.h5", "-o", "no/a.html"], "no: no such folder"),
        (["a.h5", "-o", "x.html", "--augmentation", "no.json"], "no.json: no such file"),
        (["a.h5", "-o", "x.html", "--augmentation", "c.yaml"], "c.yaml: not a record"),
        (["a.h5", "--sample", "0"], "--sample"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(call, tmp_path, arguments, message):
    (tmp_path / "text.h5").write_text("no")
    hdf5.write(Dataset.from_frames([]), tmp_path / "empty.h5")
    frame = Frame.from_atoms(bulk("Si"), info={"a": 1})
    for name in ("words.h5", "ids.h5", "info.h5"):
        hdf5.write(Dataset.from_frames([frame]), tmp_path / name)
    _damaged(tmp_path / "words.h5", "strategy", b"\xff\xfe")
    _damaged(tmp_path / "ids.h5", "id", b"zz")
    _damaged(tmp_path / "info.h5", "info", ord("{"))
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    if "-o" not in arguments:
        arguments = [*arguments, "-o", "page.html"]
    result = call("inspect", *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_broken_record_beside_the_file_is_an_error(call, tmp_path):
    (tmp_path / "a.h5.augment.json").write_text("{}")
    result = call("inspect", "a.h5")
    assert result.exit_code == 2
    assert "a.h5.augment.json: not a record of an augmentation" in result.output


def test_a_page_that_cannot_be_written_is_no_fault_of_the_dataset(call, tmp_path):
    (tmp_path / "a.html").mkdir()
    result = call("inspect", "a.h5", "-o", "a.html")
    assert result.exit_code == 2
    assert "a.html" in result.output
    assert np.all([".part" not in path.name for path in tmp_path.iterdir()])
