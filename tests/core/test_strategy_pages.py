"""Every augmentation strategy has a page: picture, parameters, a plan that makes its frames."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import bulk, graphene, mx2
from PIL import Image

from trainspot.augment.base import GROUP
from trainspot.augment.plan import augment, parse_plan
from trainspot.common import plugins
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame

DOCS = Path(__file__).parents[2] / "docs"
PAGES = DOCS / "how-to" / "augment"
PICTURES = DOCS / "images" / "strategies"
KINDS = [
    name
    for name in plugins.names(GROUP)
    if plugins.load(GROUP, name).__module__.startswith("trainspot.")
]
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def sheet(atoms) -> Frame:
    atoms.center(vacuum=7.5, axis=2)
    atoms.pbc = (True, True, False)
    return Frame.from_atoms(atoms)


STRUCTURES = {
    "silicon.cif": lambda: Frame.from_atoms(bulk("Si")),
    "graphene.extxyz": lambda: sheet(graphene(a=2.46)),
    "nitride.extxyz": lambda: sheet(graphene("BN", a=2.5)),
    "sheet.extxyz": lambda: sheet(mx2("MoTe2", "2H", a=3.52, thickness=3.6)),
}


@pytest.fixture(scope="module")
def pictures():
    """The script that makes the pictures."""
    path = DOCS / "images" / "make_strategies.py"
    spec = importlib.util.spec_from_file_location("make_strategies", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", KINDS)
def test_a_strategy_has_a_page_with_a_picture_and_its_parameters(kind):
    text = (PAGES / f"{kind}.md").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert f"`{kind}`" in text.splitlines()[0]
    assert f"(../../images/strategies/{kind}.png)" in text
    assert f"```{{include}} ../../_generated/strategy-{kind}.md\n```" in text
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["Parameters", "What it cannot do"]
    assert re.search(rf"^{kind}$", (PAGES / "index.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_of_a_page_makes_frames_of_its_strategy(kind):
    (snippet,) = YAML.findall((PAGES / f"{kind}.md").read_text(encoding="utf-8"))
    campaign = yaml.safe_load(snippet)
    inputs = Dataset.from_frames([STRUCTURES[name]() for name in campaign["structures"]])
    items = [item | ({"copies": 6} if "copies" in item else {}) for item in campaign["augment"]]
    made = augment(inputs, parse_plan(items), seed=1)
    assert made.dataset.counts("strategy")[kind] > 0
    commands = re.findall(r"\$ trainspot augment (.*) --config", (PAGES / f"{kind}.md").read_text())
    assert commands == [" ".join(campaign["structures"])]


def test_pictures_are_small_and_there_for_all(pictures):
    assert set(pictures.PICTURES) == set(KINDS)
    files = sorted(PICTURES.iterdir())
    assert [path.stem for path in files] == sorted(KINDS)
    assert sum(path.stat().st_size for path in files) < 1_000_000


def test_pictures_come_from_the_script(pictures, tmp_path):
    for kind in ("isolated", "vacancies"):
        made, kept = (
            Image.open(f).convert("L")
            for f in (pictures.write(kind, tmp_path), PICTURES / f"{kind}.png")
        )
        assert made.size == kept.size
        # other versions of the libraries may smooth edges differently
        assert np.abs(np.asarray(made, float) - np.asarray(kept, float)).mean() < 2.0
