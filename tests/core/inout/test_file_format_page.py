"""The reader on the page about the dataset file works as it stands there, and the page is whole."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import pytest

from trainspot import io
from trainspot.data.columns import PER_ATOM, PER_FRAME, TEXT
from trainspot.data.frames import SPLITS
from trainspot.predictions import files
from trainspot.predictions.error_bars import Trust

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
    lines = page.partition("## Predictions")[0].splitlines()
    rows = {
        name: cells[1].strip()
        for cells in (line.strip("|").split("|") for line in lines if "`" in line)
        if len(cells) == 4
        for name in re.findall(r"`(\w+)`", cells[0])
    }
    expected = {n: types.get(t, t) for n, (t, _) in (PER_FRAME | PER_ATOM).items()}
    assert rows == expected
    assert all(f"`{name}_offsets`" in page for name in TEXT)


def test_all_of_the_predictions_is_described(page, tmp_path):
    trust = dict.fromkeys(("energy", "forces", "stress"), Trust(1.0, 1.0, wide=2.0))
    with files.writing(tmp_path / "p.h5", np.array([2, 3]), ["a", "b"], trust=trust, novelty=True):
        pass
    columns: set[str] = set()
    with h5py.File(tmp_path / "p.h5") as file:
        file.visititems(lambda name, at: columns.add(name) if hasattr(at, "shape") else None)
        attributes = {*file.attrs, *file["calibrated/forces"].attrs}
    section = page.partition("## Predictions")[2]
    table = [line for line in section.splitlines() if line.startswith("| `")]
    found = {name for row in table for name in re.findall(r"^\| `([\w/]+)`", row)}
    for group in ("disagreement", "calibrated"):
        (row,) = (row for row in table if row.startswith(f"| `{group}/NAME`"))
        found |= {f"{group}/{name}" for name in re.findall(r"`([a-z]\w+)`", row.split("|")[4])}
        found -= {f"{group}/NAME", f"{group}/scale"}
    assert "calibrated/NAME_90" in found
    found |= {f"calibrated/{name}_90" for name in trust}
    found -= {"calibrated/NAME_90"}
    assert found == columns
    assert all(f"`{name}`" in section for name in attributes)
