"""The record of an augmentation: complete, checked, and about the frames it was made with."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainspot.augment import record as records
from trainspot.augment.plan import augment, parse_plan
from trainspot.augment.record import Fingerprint, Record
from trainspot.common.errors import DataError, InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.split import assign

PLAN = [
    {"kind": "input"},
    {"kind": "cluster", "copies": 12, "distance": 0.9},
    {"kind": "strain", "copies": 3},
    {"kind": "swap"},
    {"kind": "isolated"},
    {"kind": "isolated"},
    {"kind": "isolated"},
]
IDS = st.lists(st.integers(0, 2**256 - 1).map("{:064x}".format), max_size=6)


@pytest.fixture(scope="module")
def made():
    atoms = Frame.make([14, 14], [[0, 0, 0], [0, 0, 2.3]], np.eye(3) * 20, False)
    return augment(Dataset.from_frames([atoms]), parse_plan(PLAN), seed=3)


@pytest.fixture(scope="module")
def record(made):
    return Record.of(made, parse_plan(PLAN), seed=3, vacuum=15.0)


def test_it_counts_what_was_refused_by_step(made, record):
    assert record.frames == len(made.dataset)
    assert record.by_step["cluster_2"]["overlap"] > 0
    assert record.by_step["isolated_6"] == {"duplicate": 1}
    assert record.by_step["isolated_7"] == {"duplicate": 1}  # not that of the step before, too
    assert record.by_step.keys() == {"cluster_2", "isolated_6", "isolated_7"}
    for reason, count in record.refused.items():
        assert count == sum(step.get(reason, 0) for step in record.by_step.values())
    made_by_cluster = record.strategies["cluster"] + record.by_step["cluster_2"]["overlap"]
    assert made_by_cluster == 12
    assert any(note.startswith("strain: ") for note in record.notes)
    assert record.plan[1]["max_atoms"] == 10  # with its defaults


def test_it_comes_back_from_its_file(record, tmp_path):
    record.write(tmp_path / "frames.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["frames.h5.augment.json"]
    assert records.read(records.beside(tmp_path / "frames.h5")) == record


def test_the_fingerprint_is_that_of_the_frames_alone(made, record):
    split = assign(made.dataset, (0.8, 0.1, 0.1), 1)
    assert record.fingerprint == str(Fingerprint(split.ids))
    labelled = [f.with_(labels=Labels(1.0)) for f in made.dataset]
    assert record.fingerprint == str(Fingerprint(Dataset.from_frames(labelled).ids))
    assert record.fingerprint != str(Fingerprint(split.ids[1:]))


@given(IDS, st.randoms(use_true_random=False))
def test_a_fingerprint_knows_no_order(ids, random):
    shuffled = random.sample(ids, len(ids))
    pieces = Fingerprint(shuffled[:2])
    pieces.add(shuffled[2:])
    assert str(pieces) == str(Fingerprint(ids))
    assert len(str(pieces)) == 64


def test_a_fingerprint_stays_as_long_as_an_id():
    assert str(Fingerprint(["f" * 64, "0" * 63 + "3"])) == "0" * 63 + "2"


def test_what_is_no_id_is_refused():
    with pytest.raises(DataError, match="'xyz' is not the id"):
        Fingerprint(["xyz"])


def _without(key):
    return lambda told: told.pop(key)


def _with(**changes):
    return lambda told: told.update(changes)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without("format"), "not a record of an augmentation"),
        (_with(format="else"), "not a record of an augmentation"),
        (_with(version=2), "unknown version 2"),
        (_with(version="1"), "unknown version 1"),
        (_without("seed"), "damaged"),
        (_with(more=1), "damaged"),
        (_with(frames="12"), "damaged"),
        (_with(refused={"overlap": "3"}), "damaged"),
        (_with(by_step={"rattle_1": 3}), "damaged"),
        (_with(by_step=[1]), "damaged"),
        (_with(notes=[1]), "damaged"),
    ],
)
def test_damaged_records_are_refused(record, tmp_path, damage, message):
    told = record.to_dict()
    damage(told)
    path = tmp_path / "r.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        records.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe", b"{", b"[" * 100_000])
def test_files_that_are_no_records(tmp_path, content):
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a record of an augmentation"):
        records.read(path)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        records.read(tmp_path / "r.json")
