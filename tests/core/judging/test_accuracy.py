"""Disagreement and error beside the frames of a dataset."""

from __future__ import annotations

import numpy as np
import pytest

from trainspot.common.errors import InputError
from trainspot.common.properties import PROPERTIES
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Labels
from trainspot.predictions.accuracy import accuracy


def test_every_number_stands_beside_its_frame(make_dataset, predict):
    """Against the formulas written out, for frames in another order and among strangers."""
    dataset, strangers = make_dataset(8, seed=1), make_dataset(3, seed=2)
    predictions = predict(Dataset.concatenate([strangers, dataset]))
    order = [5, 1, 7, 1, 0]  # one of them twice
    shuffled = dataset.take(order)
    found = accuracy(shuffled, predictions)
    assert len(found) == 5
    assert list(found.frame_ids) == shuffled.ids
    assert found.predicted.all()
    for row, frame in enumerate(shuffled):
        at = predictions.ids.index(frame.id)
        start, stop = predictions.offsets[at : at + 2]
        energy = predictions.energy[:, at] / len(frame)
        forces = predictions.forces[:, start:stop]
        assert found.disagreement["energy"][row] == pytest.approx(energy.std(ddof=1))
        spread = np.sqrt(forces.var(axis=0, ddof=1).mean())
        assert found.disagreement["forces"][row] == pytest.approx(spread)
        error = abs(energy.mean() - frame.labels.energy / len(frame))
        assert found.error["energy"][row] == pytest.approx(error)
        error = np.sqrt(np.square(forces.mean(axis=0) - frame.labels.forces).mean())
        assert found.error["forces"][row] == pytest.approx(error)
        error = np.sqrt(
            np.square(predictions.stress[:, at].mean(axis=0) - frame.labels.stress).mean()
        )
        assert found.error["stress"][row] == pytest.approx(error)


def test_what_is_not_known_is_not_a_number(make_dataset, predict):
    dataset = make_dataset(6)
    predictions = predict(dataset.take([0, 1, 2, 3]))
    frames = [
        frame.with_(labels=Labels()) if k in (1, 5) else frame for k, frame in enumerate(dataset)
    ]
    found = accuracy(Dataset.from_frames(frames), predictions)
    assert found.predicted.tolist() == [True] * 4 + [False] * 2
    for name in PROPERTIES:
        assert np.isnan(found.error[name]).tolist() == [False, True, False, False, True, True]
    for values in found.disagreement.values():
        assert np.isnan(values).tolist() == [False] * 4 + [True] * 2


def test_clusters_have_no_stress_and_broken_members_no_finite_error(make_dataset, predict):
    dataset = make_dataset(3, pbc=(False, False, False))
    predictions = predict(dataset)
    predictions.forces[1, 0] = np.nan
    found = accuracy(dataset, predictions)
    assert np.isnan(found.error["stress"]).all()
    assert found.disagreement["forces"][0] == np.inf
    assert found.error["energy"][0] == np.inf
    assert np.isfinite(found.error["forces"][1:]).all()


def test_a_single_model_has_errors_and_no_disagreement(make_dataset, predict):
    dataset = make_dataset(3)
    found = accuracy(dataset, predict(dataset, members=1))
    assert found.disagreement == {}
    assert np.isfinite(found.error["forces"]).all()


def test_labels_of_a_copy_count_for_the_frame(make_dataset, predict):
    dataset = make_dataset(2)
    bare = dataset[0].with_(labels=Labels())
    found = accuracy(Dataset.from_frames([bare, *dataset, bare]), predict(dataset))
    assert found.error["energy"][0] == found.error["energy"][1] == found.error["energy"][3] > 0


def test_predictions_of_other_frames_are_refused(make_dataset, predict):
    with pytest.raises(InputError, match="no frame of this dataset was predicted"):
        accuracy(make_dataset(3), predict(make_dataset(3, seed=5)))
