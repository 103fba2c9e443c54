"""Calibration: planted error models are found again, and bad data never makes a bad threshold."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from trainspot.cli._summaries import of_calibration
from trainspot.common import plugins
from trainspot.common.errors import DataError, UnknownNameError
from trainspot.judge.calibrate import GROUP, calibrate
from trainspot.judge.pairs import Pairs
from trainspot.judge.scoring import prospective
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.predictions.calibration import Calibration

FORCES = Tolerance(energy=None, forces=0.1, stress=None)
METHODS = plugins.names(GROUP)


def pairs_of(delta, error, held_out=None):
    """Pairs of forces only."""
    n = len(delta)
    nothing = np.full(n, np.nan)
    return Pairs(
        tuple(f"{k:064d}" for k in range(n)),
        {"energy": nothing, "forces": np.asarray(delta, float), "stress": nothing},
        {"energy": nothing, "forces": np.asarray(error, float), "stress": nothing},
        np.ones(n, bool) if held_out is None else np.asarray(held_out),
    )


def planted(n=4000, slope=2.0, spread=0.3, seed=0):
    """Δ log-normal, e = slope·Δ times a log-normal factor of median 1."""
    rng = np.random.default_rng(seed)
    delta = 0.05 * np.exp(rng.normal(0, 0.7, n))
    return delta, slope * delta * np.exp(rng.normal(0, spread, n))


def fit(delta, error, method="quantile", seed=0, **more):
    return calibrate(
        pairs_of(delta, error), FORCES, CalibrateSettings(method=method, **more), seed
    )["forces"]


@pytest.mark.parametrize("slope", [0.5, 2.0, 5.0])
def test_planted_slope_of_the_median(slope):
    delta, error = planted(slope=slope)
    found = fit(delta, error, quantile=0.5)
    assert found.slope == pytest.approx(slope, rel=0.03)
    assert found.threshold == pytest.approx(0.1 / found.slope)
    assert found.interval[0] < slope < found.interval[1]
    assert found.interval[1] - found.interval[0] < 0.1 * slope
    assert (found.verdict, found.fitted) == ("good", True)


def test_planted_quantile_is_the_coverage():
    delta, error = planted(spread=0.5)
    for q in (0.5, 0.67, 0.9):
        assert fit(delta, error, quantile=q).coverage == pytest.approx(q, abs=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_exact_proportion_is_recovered_by_every_method(method):
    delta = np.linspace(0.01, 0.2, 40)
    found = fit(delta, 3.0 * delta, method)
    assert found.slope == pytest.approx(3.0)
    assert found.interval == pytest.approx((3.0, 3.0))
    assert (found.tpr, found.ppv) == (1.0, 1.0)
    assert found.spearman == pytest.approx(1.0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("slope", "spread"), [(2.0, 0.3), (1.2, 0.6)])
def test_planted_slope_and_rates_of_every_method(method, slope, spread):
    """What the model implies for each method, within four standard errors of so many pairs.

    Rates scatter because frames are counted, and because they are taken at a fitted threshold.
    """
    count = 8000
    found = fit(*planted(count, slope, spread, seed=1), method)
    expected, error = planted_slope(method, slope, spread, count)
    assert found.slope == pytest.approx(expected, rel=4 * error)
    tau = 0.1 / expected
    exact = planted_rates(tau, slope, spread)
    near = planted_rates(tau * (1 + error), slope, spread)
    measured = (found.tpr, found.tpr_interval), (found.ppv, found.ppv_interval)
    for (rate, interval), p, moved, share in zip(
        measured, exact[:2], near[:2], exact[2:], strict=True
    ):
        scatter = math.sqrt(p * (1 - p) / (share * count)) + abs(moved - p)
        assert rate == pytest.approx(p, abs=4 * scatter)
        assert scatter < 0.02, "else the comparison says nothing"
        assert interval[0] < rate < interval[1]


def planted_rates(tau, slope, spread):
    """TPR and PPV at ε = 0.1 of ``planted`` without sampling, and the shares they are taken of.

    Those are the shares of wrong and of flagged frames.
    """
    center = math.log(0.05)
    wrong = norm.sf(math.log(0.1 / slope), center, math.hypot(0.7, spread))
    flagged = norm.sf(math.log(tau), center, 0.7)
    both, _ = quad(
        lambda x: norm.pdf(x, center, 0.7) * norm.cdf((math.log(slope / 0.1) + x) / spread),
        math.log(tau),
        center + 8 * 0.7,
    )
    return both / wrong, both / flagged, wrong, flagged


def planted_slope(method, slope, spread, count):
    """The slope ε/τ that a method finds in infinitely many pairs of ``planted``, in closed form.

    And its relative standard error with so many pairs, from the influence of single pairs on the
    logarithm of the slope, averaged over a fine grid of the two normal variables.
    """
    steps = norm.ppf((np.arange(600) + 0.5) / 600)
    delta = 0.05 * np.exp(0.7 * steps[:, None])
    error = slope * delta * np.exp(spread * steps)
    defaults = CalibrateSettings()
    if method == "regression":  # Σ e² / Σ Δe
        found = slope * math.exp(1.5 * spread**2)
        influence = (error**2 - found * delta * error) / np.mean(error**2)
    elif method == "scale":  # moments of a log-normal variable below its 0.9 quantile
        cut, wide = norm.ppf(0.9), math.hypot(0.7, spread)
        kept = norm.cdf(cut - 2 * wide) / norm.cdf(cut - 2 * 0.7)
        found = slope * math.exp(spread**2) * math.sqrt(kept)
        influence = 0.5 * (trimmed(error, slope * 0.05, wide, cut) - trimmed(delta, 0.05, 0.7, cut))
    else:
        p = {"quantile": defaults.quantile, "conformal": 1 - defaults.miss_rate}[method]
        found = slope * math.exp(spread * norm.ppf(p))
        influence = (p - (error <= found * delta)) * spread / norm.pdf(norm.ppf(p))
    return found, math.sqrt(np.mean(influence**2) / count)


def trimmed(values, median, width, cut):
    """Influence on the logarithm of the mean square below the quantile exp(cut·width)·median."""
    largest = (median * math.exp(cut * width)) ** 2
    below = median**2 * math.exp(2 * width**2) * norm.cdf(cut - 2 * width)
    return (np.minimum(values**2, largest) - below - (1 - norm.cdf(cut)) * largest) / below


def test_higher_quantile_misses_less():
    delta, error = planted(spread=0.6)
    low, high = fit(delta, error, quantile=0.5), fit(delta, error, quantile=0.9)
    assert high.threshold < low.threshold
    assert high.tpr > low.tpr
    assert high.ppv < low.ppv


@pytest.mark.parametrize("method", METHODS)
def test_symmetric_frames_are_masked(method):
    """0/0 pairs, and rounding noise, change neither threshold nor count."""
    delta, error = planted(60)
    noise = np.array([0.0, 0.0, 1e-6, 0.05, 0.0])
    other = np.array([0.0, 1e-7, 0.04, 0.0, 1e-16])
    clean = fit(delta, error, method)
    dirty = fit(np.append(delta, noise), np.append(error, other), method)
    assert dirty.pairs == clean.pairs == 60
    assert dirty.threshold == clean.threshold


@pytest.mark.parametrize("method", METHODS)
@given(
    n=st.integers(0, 30),
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["zero", "constant", "random", "nan", "inf", "huge", "tiny"]),
)
@settings(max_examples=60, deadline=None)
def test_thresholds_are_always_positive_numbers(method, n, seed, kind):
    rng = np.random.default_rng(seed)
    delta, error = rng.random((2, n))
    if kind == "zero":
        delta = np.zeros(n)
    elif kind == "constant":
        delta, error = np.ones(n), np.ones(n)
    elif kind in ("nan", "inf"):
        delta[rng.random(n) < 0.5] = float(kind)
        error[rng.random(n) < 0.5] = float(kind)
    elif kind == "huge":
        delta, error = delta * 1e150, error * 1e-3
    elif kind == "tiny":
        delta = delta * 1e-200
    found = fit(delta, error, method)
    assert np.isfinite(found.threshold)
    assert found.threshold > 0
    assert found.fitted or found.threshold <= 0.1
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))


def test_too_few_pairs_give_the_threshold_of_the_largest_ratio():
    delta, error = planted(11)
    found = fit(delta, error)
    assert (found.verdict, found.fitted, found.basis) == ("undetermined", False, "largest ratio")
    assert (found.pairs, found.missing(), found.interval) == (11, 1, None)
    assert found.threshold == pytest.approx(0.1 / np.max(error / delta))
    assert fit(*planted(12)).fitted
    assert "11 pairs, a fit needs 1 more" in of_calibration(found)


def test_no_pair_at_all_flags_every_disagreement():
    found = fit(np.zeros(0), np.zeros(0))
    assert (found.verdict, found.fitted, found.basis) == ("undetermined", False, "no pairs")
    assert found.is_blind()
    assert found.threshold == pytest.approx(1e-4 * 0.1)
    assert "every frame is flagged" in of_calibration(found)


def test_without_a_fit_no_threshold_is_above_the_tolerance():
    assert fit(np.full(5, 0.1), np.full(5, 0.001)).threshold == 0.1


def test_uncorrelated_pairs_give_the_threshold_of_a_large_ratio():
    rng = np.random.default_rng(3)
    delta, error = rng.uniform(0.05, 0.1, 200), rng.uniform(0.1, 0.2, 200)
    found = fit(delta, error)
    assert (found.verdict, found.fitted, found.basis) == ("poor", False, "largest ratio")
    assert abs(found.spearman) < 0.3
    # The rank of conformal prediction: the 191st smallest of 200.
    assert found.slope == np.sort(error / delta)[190]
    assert found.threshold == pytest.approx(0.1 / found.slope)
    assert np.mean((error > 0.1) & (delta <= found.threshold)) <= 0.05


def test_a_poor_fit_flags_what_the_tolerance_would_let_pass():
    """Frames of a kind that was not trained on: the committee agrees and is wrong."""
    rng = np.random.default_rng(8)
    delta = rng.uniform(0.02, 0.04, 30)
    found = fit(delta, rng.uniform(0.15, 0.3, 30))
    assert found.verdict == "poor"
    assert np.mean(delta > found.threshold) > 0.9
    assert not np.any(delta > 0.1)


def test_rates_are_those_of_frames_outside_the_fit():
    """One pair decides the slope of a fit by the largest ratio; without it, it is not covered."""
    found = fit(np.full(5, 0.05), np.array([0.08, 0.09, 0.1, 0.11, 1.0]))
    assert found.slope == pytest.approx(20.0)
    assert found.coverage == pytest.approx(0.8)


def test_bars_come_from_the_audit_alone_if_it_is_large_enough():
    rng = np.random.default_rng(9)
    delta = rng.uniform(0.02, 0.1, 80)
    error = 2.0 * delta
    error[:12] = 5.0 * delta[:12]
    pairs = pairs_of(delta, error)
    few, enough = pairs.frame_ids[:11], pairs.frame_ids[:12]
    of_validation = calibrate(pairs, FORCES, CalibrateSettings(), 0, few)["forces"]
    assert (of_validation.bars_from, of_validation.bars_frames) == ("validation", 69)
    of_audit = calibrate(pairs, FORCES, CalibrateSettings(), 0, enough)["forces"]
    assert (of_audit.bars_from, of_audit.bars_frames) == ("audit", 12)
    assert (of_audit.sigma, of_audit.bar_90) == (pytest.approx(5.0), pytest.approx(5.0))
    assert of_validation.sigma == pytest.approx(2.0)
    assert of_audit.threshold == of_validation.threshold
    assert "from 12 audit frames" in of_calibration(of_audit)
    assert "from 69 validation frames" in of_calibration(of_validation)


def test_bars_do_not_need_a_correlation():
    rng = np.random.default_rng(10)
    delta, error = rng.uniform(0.05, 0.1, 4000), rng.uniform(0.1, 0.2, 4000)
    half = calibrate(pairs_of(delta[:2000], error[:2000]), FORCES, CalibrateSettings(), 0)["forces"]
    assert half.verdict == "poor"
    for scale, share in ((half.sigma, 0.6827), (half.bar_90, 0.9)):
        assert np.mean(error[2000:] <= scale * delta[2000:]) == pytest.approx(share, abs=0.04)


def test_training_frames_are_ignored():
    delta, error = planted(40)
    both = pairs_of(
        np.append(delta, delta), np.append(error, error / 100), [True] * 40 + [False] * 40
    )
    found = calibrate(both, FORCES, CalibrateSettings(), 0)["forces"]
    assert (found.pairs, found.held_out) == (40, 40)
    assert found.threshold == fit(delta, error).threshold


def test_seed_changes_the_interval_only():
    delta, error = planted(50)
    first, again, other = fit(delta, error), fit(delta, error), fit(delta, error, seed=1)
    assert first == again
    assert first.interval != other.interval
    assert replace(first, interval=None) == replace(other, interval=None)


def test_unknown_method_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'quantile'"):
        fit(*planted(20), method="quantil")


def test_json_round_trip():
    found = fit(*planted(20))
    assert Calibration.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    older = {key: value for key, value in found.to_dict().items() if key != "needed"}
    assert Calibration.from_dict(older).needed == 12
    with pytest.raises(DataError):
        Calibration.from_dict({"slope": 1.0})
    given = Calibration.given("forces", 0.2)
    assert Calibration.from_dict(given.to_dict()) == given
    assert "threshold 0.2" in of_calibration(given)


# ── scoring ───────────────────────────────────────────────────────────────────
def test_prospective_rates_use_the_thresholds_of_the_time():
    delta, error = np.array([0.2, 0.2, 0.01, 0.01]), np.array([0.5, 0.01, 0.5, 0.01])
    known = {"forces": Calibration.given("forces", 0.1)}
    found = prospective(pairs_of(delta, error), known, Tolerance())
    assert found.keys() == {"forces"}
    one = found["forces"]
    assert (one.tpr, one.ppv, one.miss_rate, one.pairs) == (0.5, 0.5, 0.25, 4)
    assert json.loads(json.dumps(one.to_dict(), allow_nan=False))["tpr"] == 0.5


# ── the plug-ins beyond the defaults ──────────────────────────────────────────
@pytest.mark.parametrize("miss_rate", [0.05, 0.1, 0.3])
def test_conformal_keeps_its_promise(miss_rate):
    """Over many draws of 40 pairs, new frames are missed with a probability of at most α.

    e > q·Δ alone has the probability 1 - ⌈41(1-α)⌉/41; the miss itself is rarer.
    """
    exceeded, missed = [], []
    for seed in range(400):
        delta, error = planted(40 + 200, spread=0.8, seed=seed)
        made = fit(delta[:40], error[:40], "conformal", miss_rate=miss_rate)
        delta, error = delta[40:], error[40:]
        exceeded.append(np.mean(error > made.slope * delta))
        missed.append(np.mean((error > 0.1) & (delta <= 0.1 / made.slope)))
    expected = 1 - np.ceil(41 * (1 - miss_rate)) / 41
    assert np.mean(exceeded) == pytest.approx(expected, abs=0.015)
    assert np.mean(missed) < np.mean(exceeded)
    assert np.mean(missed) <= miss_rate


def test_conformal_keeps_its_promise_where_members_agree_and_are_wrong():
    """Some frames are wrong and unanimous, which no threshold finds: they count as missed."""
    missed = []
    for seed in range(300):
        delta, error = planted(40 + 200, slope=4.0, spread=0.4, seed=seed)
        blind = np.random.default_rng(seed).random(len(delta)) < 0.1
        delta[blind], error[blind] = 1e-9, 0.3
        made = fit(delta[:40], error[:40], "conformal", miss_rate=0.2)
        assert made.pairs == 40
        delta, error = delta[40:], error[40:]
        if made.fitted:
            missed.append(np.mean((error > 0.1) & (delta <= made.threshold)))
    assert len(missed) > 100
    assert np.mean(missed) <= 0.2


def test_conformal_needs_pairs_for_small_miss_rates():
    made = fit(*planted(18), "conformal", miss_rate=0.05)
    assert (made.verdict, made.fitted, made.basis) == ("undetermined", False, "largest ratio")
    assert "18 pairs, a fit needs 1 more" in of_calibration(made)
    assert fit(*planted(19), "conformal", miss_rate=0.05).fitted


def test_scale_withstands_exploded_frames():
    delta, error = planted(100, slope=2.0, spread=0.1)
    clean = fit(delta, error, "scale")
    error[np.argsort(delta)[-5:]] *= 1000
    dirty = fit(delta, error, "scale")
    assert clean.slope == pytest.approx(2.0, rel=0.1)
    assert dirty.slope == pytest.approx(clean.slope, rel=0.15)
    assert fit(delta, error, "regression").slope > 100


def test_sigma_covers_one_standard_deviation_whatever_the_method():
    rng = np.random.default_rng(5)
    delta = rng.uniform(0.02, 0.1, 5000)
    error = np.abs(rng.normal(0, 3.0 * delta))
    for method in METHODS:
        made = fit(delta, error, method)
        assert made.sigma == pytest.approx(3.0, rel=0.05), method
        assert made.miscalibration < 0.01, method


def test_prospective_scores_coverage_and_misses():
    made = fit(*planted(500, spread=0.5))
    delta, error = planted(3000, spread=0.5, seed=9)
    found = prospective(pairs_of(delta, error), {"forces": made}, FORCES)["forces"]
    assert found.coverage == pytest.approx(0.67, abs=0.05)
    assert found.coverage_interval[0] < found.coverage < found.coverage_interval[1]
    assert found.miss_rate == np.mean((error > 0.1) & (delta <= made.threshold))
    assert found.miss_rate_interval[0] < found.miss_rate < found.miss_rate_interval[1]
    assert 0 < found.miscalibration < 0.5
    nothing = prospective(pairs_of([], []), {"forces": made}, FORCES)["forces"]
    assert (nothing.coverage, nothing.miss_rate, nothing.pairs) == (None, None, 0)
    guess = fit(*planted(5))
    assert prospective(pairs_of(delta, error), {"forces": guess}, FORCES)["forces"].coverage is None
