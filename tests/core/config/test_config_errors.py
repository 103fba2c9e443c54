"""Bad campaign files: one line with file and line, exit status 2, nothing written."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from trainspot.cli import main

# What is wrong → the line of the file it stands on (the head has two), and what the message says.
WRONG = {
    "lable: {}\n": (3, "unknown key 'lable'; did you mean 'label'?"),
    "label: {engine: quantumexpresso}\n": (
        3,
        "unknown engine 'quantumexpresso'; did you mean 'quantumespresso'?",
    ),
    "label: {protokol: fast}\n": (3, "unknown key 'protokol'; did you mean 'protocol'?"),
    "label:\n  settings:\n    protokol: fast\n": (5, "did you mean 'protocol'?"),
    "label: {max_concurent: 2}\n": (3, "did you mean 'max_concurrent'?"),
    "label: {engine: ase}\n": (3, "label.calculator is missing"),
    "label: {engine: ase, calculator: emt, settings: {calculator: emt}}\n": (
        3,
        "'calculator' is given twice: in the section and under 'settings'",
    ),
    "label: {max_concurrent: 0}\n": (
        3,
        "label.max_concurrent must be at least 1 or must be 'auto'",
    ),
    "label: {min_success: 1.5}\n": (3, "label.min_success must be at most 1.0, not 1.5"),
    "train:\n  committee_size: 1\n": (4, "train.committee_size must be at least 2, not 1"),
    "train: {committee_size: two}\n": (3, "train.committee_size must be a whole number, not 'two'"),
    "train: {bagging: 0.7, committee_size: 3}\n": (
        3,
        "3 members cannot leave out a share of 0.7 each; give a share from 0 to 0.667",
    ),
    "train: {bagging: -0.1}\n": (3, "4 members cannot leave out a share of -0.1 each"),
    "train: {start: scratsh}\n": (3, "must be 'scratch', 'previous' or 'foundation'"),
    "train: {code: mace}\n": (3, "train.code must look like label@computer, not 'mace'"),
    "train: 5\n": (3, "train must be a mapping of keys to values, not 5"),
    "tolerance: {forces: -0.1}\n": (3, "tolerance.forces must be greater than 0.0, not -0.1"),
    "tolerance: {forces: .inf}\n": (3, "tolerance.forces must be a finite number"),
    "tolerance: {force: 0.1}\n": (3, "unknown key 'force'; did you mean 'forces'?"),
    "explore: {temperature: [500, 100]}\n": (3, "temperature: the first number must not exceed"),
    "explore: {timestep: -1}\n": (3, "explore.timestep must be greater than 0"),
    "split: {fractions: [0.5, 0.1, 0.1]}\n": (3, "the three shares must be ≥ 0 and sum to 1"),
    "split: {fractions: [0.0, 0.5, 0.5]}\n": (3, "the share of the training set must not be 0"),
    "calibrate: {method: quantil}\n": (3, "did you mean 'quantile'?"),
    "select: {method: randon}\n": (3, "did you mean 'random'?"),
    "select: {audit: -1}\n": (3, "select.audit must be"),
    "resources: {cluster: {acount: x}}\n": (3, "unknown key 'acount'; did you mean 'account'?"),
    "resources:\n  cluster: {walltime: 0}\n": (4, "resources.cluster.walltime must be at least 1"),
    "evaluate: {dtype: float16}\n": (3, "evaluate.dtype must be 'float32' or 'float64'"),
    "protocol: papr\n": (3, "unknown protocol 'papr'; did you mean 'paper'?"),
    "protocol: [fast]\n": (3, "unknown protocol"),
    "seed: -1\ntrain: {committee_size: 1}\n": (3, "seed must be at least 0, not -1"),
    "augment: 5\n": (3, "augment must be a list, not 5"),
    "augment:\n  - {kind: input}\n  - {kind: ratle}\n": (5, "did you mean 'rattle'?"),
    "augment:\n  - {kind: rattle, fractoin: 0.1}\n": (4, "did you mean 'fraction'?"),
    "augment:\n  - {kind: rattle, fraction: -0.1}\n": (4, "rattle.fraction"),
    "augment: [{copies: 3}]\n": (3, "a strategy needs a 'kind'"),
    "dataset: frames.h5\n": (None, "give 'structures' or 'dataset', not both"),
    "name: twice\n": (3, "key 'name' stands twice"),
    "? [label]\n: {}\n": (3, "not valid YAML: a key must be a text"),
    "label: {engine: [\n": (4, "not valid YAML"),
    "seed: !!python/object:os.system {}\n": (3, "not valid YAML"),
}


# In place of the line with the structures.
WRONG_STRUCTURES = {
    "[{file: si.cif, perodic: [true, true, false]}]": "unknown key 'perodic'; did you mean 'period",
    "[{fil: si.cif}]": "structures.0.file is missing",
    "[{file: si.cif, periodic: TTF}]": "structures.0.periodic must be a list, not 'TTF'",
    "[{file: si.cif, periodic: [true, x, false]}]": "structures.0.periodic.1 must be a valid bool",
    "[si.cif, 3]": "structures.1 must be a text, not 3",
}


@pytest.mark.parametrize("text", WRONG_STRUCTURES)
def test_mistakes_in_structures_are_one_line_with_their_place(text, campaign_file):
    path = campaign_file(head=f"name: silicon\nstructures: {text}\n")
    status, lines = show(path)
    assert status == 2
    assert len(lines) == 1
    assert f"{path}:2: " in lines[0]
    assert WRONG_STRUCTURES[text] in lines[0]


def show(path):
    result = CliRunner().invoke(main, ["config", "show", str(path)])
    return result.exit_code, result.stderr.strip().splitlines()


@pytest.mark.parametrize("text", WRONG)
def test_every_mistake_is_one_line_with_its_place(text, campaign_file, folder):
    path = campaign_file(text)
    before = sorted(folder.iterdir())
    status, lines = show(path)
    line, message = WRONG[text]
    assert status == 2
    assert len(lines) == 1, lines
    assert message in lines[0]
    assert f"{path}:{line}: " in lines[0] if line else f"{path}: " in lines[0]
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"- a\n- b\n", "not a YAML mapping"),
        (b"", "not a YAML mapping"),
        (b"1: x\n", "not a YAML mapping"),
        (b"\xff\xfe\x00", "cannot be read as text"),
        (b"name: silicon\n", "no structures"),
        (b"name: silicon\nstructures: []\n", "no structures"),
    ],
)
def test_a_file_that_is_no_campaign(content, message, tmp_path):
    path = tmp_path / "c.yaml"
    if content is not None:
        path.write_bytes(content)
    status, lines = show(path)
    assert status == 2
    assert len(lines) == 1
    assert str(path) in lines[0]
    assert message in lines[0]


def test_the_first_of_several_mistakes_is_named_and_the_others_counted(campaign_file):
    path = campaign_file("train: {committee_size: 1}\nseed: -1\nlable: {}\n")
    _, (line,) = show(path)
    assert re.search(r":3: train\.committee_size .*\(and 2 more\)$", line)


def test_the_message_says_what_the_value_is_for(campaign_file):
    _, (line,) = show(campaign_file("train: {committee_size: 1}\n"))
    assert line.endswith("number of committee members; a disagreement needs at least two")
