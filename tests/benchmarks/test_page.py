"""The page of measured benchmarks says what the data say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def measured():
    path = ROOT / "docs" / "_ext" / "measured.py"
    spec = importlib.util.spec_from_file_location("measured", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_kept_results_become_rows(measured):
    documents = measured.documents()
    assert documents
    for document in documents:
        head, rows = measured.section(document)
        assert f"benchmarks/{document['benchmark']}.py" in head
        assert document["date"] in head
        assert [cells[0] for cells in rows] == [row["name"] for row in document["rows"]]
        assert {len(cells) for cells in rows} == {len(measured.HEADER)}
        for row in document["rows"]:
            assert row["work"] in measured.notes(document)


def test_a_missed_target_stands_out(measured):
    row = {
        "name": "x",
        "work": "w",
        "unit": "s",
        "ours": 0.5,
        "baseline": 1.0,
        "ratio": 2.0,
        "spread": [1.5, 2.5],
        "repeats": 5,
        "target": {"value": 20.0, "of": "ratio", "sense": "at least"},
        "met": False,
        "note": "",
    }
    cells = measured._cells(row)
    assert cells[-2:] == ("ratio at least 20", "**missed**")
    assert measured._cells(row | {"met": True})[-1] == "met"
    alone = measured._cells(row | {"baseline": None, "ratio": None, "target": None, "met": None})
    assert alone[3:5] == ("–", "–")
    assert alone[-2:] == ("–", "")
