"""YAML that knows its lines, and what is written in it."""

from __future__ import annotations

import pytest

from trainspot.config import document


def test_lines_of_nested_lists_and_mappings(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a:\n  b: 1\n  c:\n    - d: 2\n    - 3\n")
    found = document.read(path)
    assert found.data == {"a": {"b": 1, "c": [{"d": 2}, 3]}}
    assert found.lines["a", "c", 0, "d"] == 4
    assert found.lines["a", "c", 1] == 5
    assert found.where(("a", "c", 1, "deeper")) == f"{path}:5"
    assert found.where(("z",)) == str(path)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("[Y, N, No]", ["Y", "N", False]),
        ("010", 8),
        ("1:30", 90),
        ("1e-3", 1e-3),
        (".5e2", 50.0),
        ("1_000", 1000),
        ("08", "08"),
    ],
)
def test_what_is_written_keeps_its_meaning(tmp_path, written, value):
    """Yttrium and nitrogen are texts; other readers of YAML differ here (decision 0058)."""
    path = tmp_path / "x.yaml"
    path.write_text(f"key: {written}\n")
    read = document.read(path).data["key"]
    assert (read, type(read)) == (value, type(value))


def test_anchors_and_merge_keys_work(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("base: &b {x: 1, y: 2}\nother: {<<: *b, y: 3}\n")
    assert document.read(path).data["other"] == {"x": 1, "y": 3}
