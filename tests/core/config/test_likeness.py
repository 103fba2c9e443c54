"""How far two campaign files are alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainspot.config.document import Document
from trainspot.config.likeness import differences, label_differences
from trainspot.config.load import resolve

BASE = {
    "name": "one",
    "structures": ["Si.cif"],
    "label": {"engine": "quantumespresso", "ecutwfc": 12.0, "ecutrho": 48.0},
    "train": {"engine": "toy"},
    "explore": {"engine": "ase"},
}


def made(**changes):
    written = dict(BASE)
    for name, change in changes.items():
        old = written.get(name)
        written[name] = {**old, **change} if isinstance(old, dict) else change
    return resolve(Document(Path("c.yaml"), written)).campaign


@pytest.mark.parametrize(
    ("changes", "decisive", "practical"),
    [
        ({}, [], []),
        ({"structures": ["other/Si.cif"]}, [], []),
        ({"name": "two"}, [], ["name"]),
        ({"label": {"electron_maxstep": 99}}, [], ["label.electron_maxstep"]),
        (
            {"label": {"parameters": {"ELECTRONS": {"mixing_ndim": 4}}}},
            [],
            ["label.parameters"],
        ),
        ({"explore": {"max_concurrent": 2}}, [], ["explore.max_concurrent"]),
        ({"label": {"degauss": 0.1}, "name": "two"}, ["label.degauss"], []),
        ({"tolerance": {"forces": 0.7}}, ["tolerance.forces"], []),
        ({"augment": []}, ["augment"], []),
    ],
)
def test_what_differs_in_results_and_what_only_in_how_they_come(changes, decisive, practical):
    assert differences(made(), made(**changes)) == (decisive, practical)


def test_labels_differ_by_the_values_of_a_protocol():
    changed = label_differences(made(), made(label={"ecutwfc": 14.0, "electron_maxstep": 9}))
    assert changed == ["label.ecutwfc (12.0 → 14.0)"]
    assert label_differences(made(), made(tolerance={"forces": 0.7})) == []
    by_protocol = label_differences(made(), made(label={"protocol": "fast"}))
    assert "label.degauss (0.0125 → 0.0275)" in by_protocol
