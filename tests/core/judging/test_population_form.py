"""Δ with the divisor M instead of M-1 decides the same (decision 0027)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainspot.common import plugins
from trainspot.judge.calibrate import GROUP, calibrate
from trainspot.judge.judgement import threshold_ratios
from trainspot.judge.pairs import collect_pairs
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.predictions.calibration import MIN_PAIRS
from trainspot.predictions.error_bars import Trust, calibrated

SCALE_FREE = (
    *("pairs", "verdict", "fitted", "spearman", "tpr", "ppv", "tpr_interval"),
    *("ppv_interval", "nominal", "miscalibration"),
)


def committee(make_dataset, predict, members, seed, n=40):
    """Frames with a set and predictions whose disagreement ranks their errors."""
    dataset = make_dataset(n, seed=seed, split="validation")
    width = np.random.default_rng(seed).lognormal(-2.0, 0.8, n)
    return dataset, predict(dataset, members, noise=width, bias=width, seed=seed)


def both_forms(dataset, predictions):
    """Pairs as they are collected, and the same with the population form of Δ."""
    pairs = collect_pairs(dataset, predictions)
    population = predictions.select(pairs.frame_ids).disagreement(ddof=0)
    return pairs, replace(pairs, delta={name: population[name] for name in pairs.delta})


@pytest.mark.parametrize("method", plugins.names(GROUP))
@given(members=st.integers(2, 8), seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_fitted_on_either_form_everything_decided_is_the_same(
    make_dataset, predict, method, members, seed
):
    dataset, predictions = committee(make_dataset, predict, members, seed)
    pairs, population = both_forms(dataset, predictions)
    tolerance = Tolerance(energy=0.15, forces=0.2, stress=0.002)
    how = CalibrateSettings(method=method)
    sample, other = (calibrate(one, tolerance, how, seed) for one in (pairs, population))
    ratio = np.sqrt((members - 1) / members)
    for name, one in sample.items():
        if one.fitted:
            assert other[name].threshold == pytest.approx(ratio * one.threshold)
            assert other[name].slope == pytest.approx(one.slope / ratio)
            assert other[name].interval == pytest.approx([edge / ratio for edge in one.interval])
            assert other[name].sigma == pytest.approx(one.sigma / ratio)
            # the pair that a quantile goes through lies on the line: rounding decides about it
            assert abs(other[name].coverage - one.coverage) < 1.5 / one.pairs
            for field in SCALE_FREE:
                assert getattr(other[name], field) == pytest.approx(getattr(one, field)), field

    # what is flagged, the order in which it stands out, and the predicted errors
    fitted = {name: one for name, one in sample.items() if one.fitted}
    delta = predictions.disagreement(ddof=0)
    for name, values in threshold_ratios(predictions, fitted).items():
        np.testing.assert_allclose(delta[name] / other[name].threshold, values)
    bars = [
        calibrated(
            predictions.disagreement(ddof),
            predictions.has_stress,
            {name: Trust(made[name].sigma, made[name].threshold) for name in fitted},
        )
        for ddof, made in ((1, sample), (0, other))
    ]
    assert bars[0].keys() == bars[1].keys()
    for name, values in bars[0].items():
        np.testing.assert_allclose(bars[1][name], values)


def test_the_committees_above_are_calibrated(make_dataset, predict):
    """Else nothing would have been compared."""
    dataset, predictions = committee(make_dataset, predict, members=4, seed=1)
    pairs, _ = both_forms(dataset, predictions)
    found = calibrate(pairs, Tolerance(energy=0.15, forces=0.2), CalibrateSettings(), 0)
    assert found["forces"].fitted
    assert 0 < (threshold_ratios(predictions, found)["forces"] > 1).sum() < len(dataset)


def test_where_nothing_is_fitted_the_form_matters(make_dataset, predict):
    """The tolerance itself is the threshold then, and the smaller form flags less."""
    dataset, predictions = committee(make_dataset, predict, members=2, seed=3)
    few = collect_pairs(dataset[: MIN_PAIRS - 1], predictions)
    found = calibrate(few, Tolerance(forces=0.15), CalibrateSettings(), 0)["forces"]
    assert not found.fitted
    flagged = [predictions.disagreement(ddof)["forces"] > found.threshold for ddof in (0, 1)]
    assert flagged[0].sum() < flagged[1].sum()
    assert not np.any(flagged[0] & ~flagged[1])
