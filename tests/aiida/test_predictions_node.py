"""``PredictionsData``: predictions of a committee as one node, and those of earlier versions."""

from __future__ import annotations

import numpy as np
import pytest
from aiida.orm import SinglefileData, load_node
from aiida.plugins import DataFactory

from aiida_trainspot.data.predictions import PredictionsData, predicted_ids, read_predictions
from trainspot.common.errors import DataError
from trainspot.data.dataset import Dataset
from trainspot.data.lattice import periodic_projector
from trainspot.predictions.predictions import Predictions


@pytest.fixture
def predictions(aiida_profile, labelled_frames):
    dataset = Dataset.from_frames(labelled_frames)
    energy, forces, stress = (
        np.stack([dataset.column(name) + k for k in range(3)])
        for name in ("energy", "forces", "stress")
    )
    projector = periodic_projector(dataset.column("cell"), dataset.column("pbc"))
    ids, offsets = dataset.column("id"), dataset.column("offsets")
    return Predictions(ids, offsets, energy, forces, stress, projector, ("a", "b", "c"))


def test_predictions_come_back_from_a_stored_node(predictions):
    made = PredictionsData(predictions).store()
    node = load_node(made.pk)
    assert type(node) is DataFactory("trainspot.predictions") is PredictionsData
    np.testing.assert_array_equal(node.predictions.forces, predictions.forces)
    assert node.predictions.members == ("a", "b", "c")
    assert node.ids == predictions.ids
    assert node.filename == "predictions.h5"


def test_a_file_is_kept_byte_for_byte(predictions, tmp_path):
    predictions.write(tmp_path / "any.h5")
    from_file = PredictionsData(tmp_path / "any.h5").store()
    content = from_file.get_content(mode="rb")
    assert content == (tmp_path / "any.h5").read_bytes()
    again = PredictionsData(predictions).store()
    assert again.base.caching.get_hash() == from_file.base.caching.get_hash()


def test_plain_files_of_earlier_versions_are_read(predictions, tmp_path):
    predictions.write(tmp_path / "p.h5")
    node = SinglefileData(tmp_path / "p.h5").store()
    np.testing.assert_array_equal(read_predictions(node).energy, predictions.energy)
    assert predicted_ids(node) == predictions.ids


def test_a_damaged_file_is_told_when_it_is_read(aiida_profile, tmp_path):
    (tmp_path / "bad.h5").write_bytes(b"no predictions")
    node = PredictionsData(tmp_path / "bad.h5")
    with pytest.raises(DataError):
        _ = node.predictions
