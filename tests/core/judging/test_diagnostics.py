"""Rank correlation, rates and coverage, against values by hand."""

from __future__ import annotations

import numpy as np
import pytest

from trainspot.judge.calibrate import calibrate, spearman
from trainspot.judge.diagnostics import miscalibration_area, rate_map
from trainspot.judge.pairs import collect_pairs
from trainspot.judge.scoring import rates
from trainspot.judge.settings import CalibrateSettings, Tolerance


def test_spearman_of_ranks():
    rng = np.random.default_rng(0)
    x = rng.random(50)
    assert spearman(x, np.exp(5 * x)) == pytest.approx(1.0)
    assert spearman(x, -x) == pytest.approx(-1.0)
    assert spearman(x[:2], x[:2]) == 0.0
    assert spearman(x, np.ones(50)) == 0.0


def test_a_real_committee_is_calibrated(make_dataset, predict):
    """Members that err alike are under-dispersed: the slope says by how much."""
    width = np.exp(np.random.default_rng(0).normal(-2, 0.7, 300))
    dataset = make_dataset(300, sizes=[5] * 300, split="validation")
    p = predict(dataset, noise=width, bias=3 * width)
    found = calibrate(collect_pairs(dataset, p), Tolerance(), CalibrateSettings(quantile=0.5), 0)
    expected = np.sqrt(3**2 + 1 / 4)  # e² = bias² + noise²/M, Δ² = noise²
    assert found["forces"].slope == pytest.approx(expected, rel=0.1)
    assert found["stress"].fitted


def test_rates_by_hand():
    found = rates(np.array([1, 1, 0, 0, 1.0]), np.array([9, 0, 9, 0, 9.0]), 0.5, 5.0)
    assert (found.tpr, found.ppv, found.pairs) == (2 / 3, 2 / 3, 5)
    nothing = rates(np.zeros(3), np.zeros(3), 0.5, 5.0)
    assert (nothing.tpr, nothing.ppv, nothing.tpr_interval) == (None, None, None)


def test_miscalibration_of_known_cases():
    delta = np.ones(4000)
    error = np.abs(np.random.default_rng(0).normal(size=4000))
    assert miscalibration_area(delta, error, 1.0) < 0.01
    assert miscalibration_area(delta, error, 1e-9) == pytest.approx(0.5, abs=0.01)
    assert miscalibration_area(delta, error, 1e9) == pytest.approx(0.5, abs=0.01)
    # errors that all equal σ: observed coverage jumps from 0 to 1 where 68.27 % are expected
    step = 0.6827**2 / 2 + (1 - 0.6827) ** 2 / 2
    assert miscalibration_area(delta, delta, 1.0) == pytest.approx(step, abs=0.01)
    assert miscalibration_area(delta[:0], error[:0], 1.0) is None


def test_rate_map_agrees_with_the_rates():
    delta, error = np.exp(np.random.default_rng(0).normal(-3, 0.7, (2, 80)))
    found = rate_map(delta, error, 7)
    for i, epsilon in enumerate(found.tolerance):
        for j, tau in enumerate(found.threshold):
            one = rates(delta, error, tau, epsilon)
            for mine, theirs in ((one.tpr, found.tpr[i, j]), (one.ppv, found.ppv[i, j])):
                assert np.isnan(theirs) if mine is None else theirs == pytest.approx(mine)
    assert np.all(np.isnan(found.tpr[-1])), "no error exceeds the largest tolerance"
    assert np.all(np.isnan(found.ppv[:, -1]))
