"""The reader on the page about the dataset file works as it stands there, and the page is whole."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from trainspot import io
from trainspot.columns import PER_ATOM, PER_FRAME, TEXT
from trainspot.frames import SPLITS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "file-format.md"


@pytest.fixture
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_reader_reads(page, rich, tmp_path):
    io.write(rich, tmp_path / "frames.h5")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE)) <= {"h5py", "numpy"}
    names: dict = {}
    exec(compile(code, "page", "exec"), names)
    found = list(names["read"](tmp_path / "frames.h5"))
    assert len(found) == len(rich) == 4
    for frame, expected in zip(found, rich, strict=True):
        assert frame["id"].decode() == expected.id
        assert frame["theory"].decode() == expected.labels.theory
        assert (None, *SPLITS)[frame["split"]] == expected.split
        for name in ("numbers", "positions", "cell", "pbc"):
            np.testing.assert_array_equal(frame[name], getattr(expected, name))
        assert frame.get("energy") == expected.labels.energy
        assert ("forces" in frame) == (expected.labels.forces is not None)
        if "forces" in frame:
            np.testing.assert_array_equal(frame["forces"], expected.labels.forces)


def test_every_column_is_described(page):
    types = {"f8": "float64", "?": "bool", "u1": "uint8", "i4": "int32", "i8": "int64"}
    rows = {
        name: cells[1].strip()
        for cells in (line.strip("|").split("|") for line in page.splitlines() if "`" in line)
        if len(cells) == 4
        for name in re.findall(r"`(\w+)`", cells[0])
    }
    expected = {n: types.get(t, t) for n, (t, _) in (PER_FRAME | PER_ATOM).items()}
    assert rows == expected
    assert all(f"`{name}_offsets`" in page for name in TEXT)
