"""``ReportData``: a folder of plain files and back, and the clouds figures are made from."""

from __future__ import annotations

import numpy as np
import pytest

from trainspot.common.errors import DataError
from trainspot.judge.earlier import VERSION
from trainspot.report.findings.data import IterationData, ReportData


def test_a_folder_and_back(campaign, tmp_path):
    campaign.write(tmp_path / "kept")
    again = ReportData.read(tmp_path / "kept")
    rest = {key: value for key, value in campaign.status.items() if key != "iterations"}
    assert {key: again.status[key] for key in again.status if key != "iterations"} == rest
    assert again.records == campaign.records
    assert [one["version"] for one in again.status["iterations"]] == [VERSION] * 3
    assert again.dataset.ids == campaign.dataset.ids
    assert [it.n for it in again.iterations] == [1, 2, 3]
    for old, new in zip(campaign.iterations, again.iterations, strict=True):
        assert new.calibration == old.calibration
        assert np.array_equal(new.predictions.forces, old.predictions.forces)
        assert new.pairs.to_dict() == old.pairs.to_dict()


def test_iterations_without_predictions_or_pairs_survive(campaign, tmp_path):
    data = ReportData(campaign.status, campaign.dataset, [IterationData(10), IterationData(2)])
    data.write(tmp_path)
    assert [(it.n, it.predictions, it.pairs) for it in ReportData.read(tmp_path).iterations] == [
        (2, None, None),
        (10, None, None),
    ]


@pytest.mark.parametrize("damage", ["", "[1, 2]", "{"])
def test_a_damaged_folder_is_refused(campaign, tmp_path, damage):
    ReportData(campaign.status, campaign.dataset).write(tmp_path)
    (tmp_path / "status.json").write_text(damage)
    with pytest.raises(DataError, match=r"status\.json"):
        ReportData.read(tmp_path)


def test_clouds_hold_every_component_and_the_rmse_of_the_predictions(campaign):
    last = campaign.iterations[-1]
    clouds = campaign.clouds(last, "forces")
    frames = campaign.dataset.subset("test")
    assert list(clouds) == ["train", "validation", "test"]
    assert np.array_equal(clouds["test"].reference, frames.column("forces").ravel())
    expected = last.predictions.select(frames.ids).forces.mean(axis=0).ravel()
    assert np.allclose(clouds["test"].predicted, expected)
    error = clouds["test"].predicted - clouds["test"].reference
    assert clouds["test"].rmse == pytest.approx(np.sqrt(np.mean(error**2)))
    assert clouds["test"].frames == len(frames)


def test_isolated_atoms_stay_out_of_the_clouds(campaign):
    clouds = campaign.clouds(campaign.iterations[-1], "energy")
    shown = sum(cloud.frames for cloud in clouds.values())
    assert shown == len(campaign.dataset) - 1
    assert min(cloud.reference.max() for cloud in clouds.values()) < -105


def test_strategies_are_sorted_by_error(campaign):
    strategies = campaign.strategies(campaign.iterations[-1], "test")
    assert next(iter(strategies)) == "vacancies"
    errors = [error for error, _ in strategies.values()]
    assert errors == sorted(errors, reverse=True)
    assert sum(frames for _, frames in strategies.values()) == len(campaign.dataset.subset("test"))


def test_frames_that_left_the_dataset_are_not_compared(campaign):
    smaller = ReportData(campaign.status, campaign.dataset.subset("test"), campaign.iterations)
    assert list(smaller.clouds(campaign.iterations[-1], "forces")) == ["test"]


def test_damaged_figures_are_refused(campaign):
    with pytest.raises(DataError, match="not the figures of an iteration"):
        _ = ReportData({**campaign.status, "iterations": [{"n": "one"}]}, campaign.dataset).records


@pytest.mark.parametrize("damage", [{"quantile": 2.0}, {"sort": "x"}, [1]])
def test_calibration_settings_that_are_none_are_refused(campaign, damage):
    data = ReportData({**campaign.status, "calibrate": damage}, campaign.dataset)
    with pytest.raises(DataError, match="no calibration settings"):
        _ = data.calibrate
