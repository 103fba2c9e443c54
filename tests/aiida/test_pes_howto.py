"""The snippets of the how-to on datasets run as they stand there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from aiida.orm import load_node

from trainspot import io
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.data.lattice import periodic_projector
from trainspot.predictions.predictions import Predictions

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "datasets-in-aiida.md"


@pytest.fixture
def page(aiida_profile, labelled_frames, rng, tmp_path, monkeypatch):
    """What the page defines, run as one program beside the files that it names."""
    del aiida_profile
    atom = Frame.make([14], [[0, 0, 0]], labels=Labels(-3.5, [[0, 0, 0]], theory="made-up"))
    labelled = [frame.with_(split="train") for frame in labelled_frames]
    data = Dataset.from_frames([*labelled, atom])
    io.write(data, tmp_path / "labelled.extxyz")
    known = data.take(np.arange(12))
    columns = (known.column(name) for name in ("energy", "forces", "stress"))
    energy, forces, stress = (c + rng.normal(0, 0.2, (3, *c.shape)) for c in columns)
    projector = periodic_projector(known.column("cell"), known.column("pbc"))
    predictions = Predictions(
        known.column("id"), known.column("offsets"), energy, forces, stress, projector, tuple("abc")
    )
    predictions.write(tmp_path / "predictions.h5")
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 8
    (tmp_path / "page.py").write_text("\n".join(blocks), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return runpy.run_path("page.py"), data, predictions


def test_the_page_does_what_it_says(page, tmp_path):
    found, data, predictions = page
    node = load_node(found["node"].pk)
    assert node.ids == data.ids
    assert node.metadata == {"source": "my own calculations"}
    assert (len(found["cells"]), len(found["same"])) == (2, 1)
    assert found["again"].id == found["first"].id == data[0].id
    assert found["e0s"] == {14: -3.5}
    assert found["largest"] == max(abs(f.labels.forces).max() for f in data)
    assert found["pairs"] == 13 * 12 / 2
    assert found["mean_size"] == 97 / 13
    assert found["calm"].creator.process_label == "calm_frames"
    assert found["calm"].ids == data.ids  # normal numbers: none is beyond 5
    assert found["worst"].id in predictions.ids
    assert found["doubtful"].tolist() == [True] * 12 + [False]
    assert len(found["structures"]) == 13
    for name in ("for-mace.extxyz", "copy.h5"):
        assert io.read(tmp_path / name).ids == data.ids
    assert found["process"].is_finished_ok
    labels = {label for labels in found["steps"] for label in labels}
    assert {"supercell_2", "input_1", "rattle_3", "merge"} <= labels
    assert set(found["parents"]) == set(found["result"]["dataset"].ids)
    assert 0 < len(found["train"]) < len(found["result"]["dataset"]) == 14
    assert found["refused"] == {}
