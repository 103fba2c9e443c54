"""The plug-ins that the how-to shows keep their contracts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from trainspot import Dataset, Frame
from trainspot.augment.plan import augment, parse_plan
from trainspot.common import plugins
from trainspot.judge.select import Judged
from trainspot.testing.augmentation import check_strategy
from trainspot.testing.calibration import check_calibration
from trainspot.testing.explorer import check_explorer
from trainspot.testing.selection import check_selection

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-an-engine.md"


class Point:
    """An entry point as a package would register it."""

    def __init__(self, name: str, content: object) -> None:
        self.name, self.load = name, lambda: content


@pytest.fixture
def page(monkeypatch) -> dict:
    """What the blocks of the page define, registered under the names that the page gives."""
    text = PAGE.read_text(encoding="utf-8")
    shown: dict = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), shown)
    lines = re.findall(r'points\."(trainspot\.\w+)"\]\n(\w+) = "[\w.]+:(\w+)"', text)
    points = {group: [Point(name, shown[content])] for group, name, content in lines}
    monkeypatch.setattr(plugins, "_registered", lambda _, group: points.get(group, []))
    return shown


def test_the_strategy(page):
    silicon = Frame.from_atoms(bulk("Si", cubic=True))
    made = augment(Dataset.from_frames([silicon]), parse_plan([{"kind": "breathe"}]), 1).dataset
    assert len(made) == 5
    check_strategy("breathe", [silicon, Frame.from_atoms(bulk("Al", cubic=True))])


def test_the_calibration(page):
    check_calibration("median")


def test_the_explorer_of_a_pool(page):
    check_explorer("small_frames")


def test_the_selection(page, labelled_frames):
    frames = Dataset.from_frames(sorted(labelled_frames, key=lambda frame: frame.id))
    check_selection("every_other", Judged(frames, np.linspace(2.0, 1.0, len(frames))))
