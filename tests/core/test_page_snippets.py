"""The Python snippets of pages that need no campaign run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.io import read as ase_read
from ase.io import write as ase_write

from trainspot import read

DOCS = Path(__file__).parents[2] / "docs"


def run(page: str, number: int = 0) -> dict:
    """What a block of Python of a page defines."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    found: dict = {}
    exec(compile(blocks[number], page, "exec"), found)
    return found


def test_the_six_names_write_and_read_a_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = run("reference/python.md")
    assert found["energies"].tolist() == [-34.7]
    assert read("mine.h5").ids == found["dataset"].ids


def test_a_stress_in_kbar_is_repaired(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    atoms = bulk("Si")
    atoms.info["REF_stress"] = -1602.1766 * np.eye(3)  # kbar, sign of VASP: 1 eV/Å³
    ase_write("train.extxyz", [atoms, bulk("Si")])
    run("how-to/inspect.md")
    repaired = ase_read("repaired.extxyz", ":")
    np.testing.assert_allclose(repaired[0].info["REF_stress"], np.eye(3), rtol=1e-5)
    assert "REF_stress" not in repaired[1].info
