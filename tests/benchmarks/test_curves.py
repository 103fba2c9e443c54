"""Learning curves averaged over seeds: what is needed, and how surely."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

FILE = Path(__file__).parents[2] / "benchmarks" / "_curves.py"

_spec = importlib.util.spec_from_file_location("_curves_of_benchmarks", FILE)
_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _module  # dataclasses look themselves up there
_spec.loader.exec_module(_module)
Curves, compare, needs = _module.Curves, _module.compare, _module.needs

SPENT = np.array([40.0, 50.0, 60.0, 70.0, 80.0])


def halving(every, n=6, noise=0.0, seed=0):
    """Curves that start at 0.8 and halve every so many labels."""
    rng = np.random.default_rng(seed)
    ideal = 0.8 * 0.5 ** ((SPENT - 40.0) / every)
    return Curves.of([(SPENT, ideal * np.exp(rng.normal(0, noise, 5))) for _ in range(n)])


def test_what_is_needed_is_where_the_mean_curve_reaches_the_error():
    found = needs(halving(10.0), halving(20.0), 0.75)
    # Ours ends at 0.05, theirs at 0.2: two halvings, of which three quarters are 1.5.
    assert found.error == pytest.approx(0.8 * 0.5**1.5, rel=1e-3)
    assert found.ours == pytest.approx(55.0, abs=0.1)
    assert found.theirs == pytest.approx(70.0, abs=0.1)
    assert found.ratio == pytest.approx(55 / 70, rel=1e-2)
    assert found.beyond == pytest.approx(0.5, rel=1e-2)


def test_a_lucky_iteration_does_not_count():
    steady = np.array([0.8, 0.4, 0.4, 0.4, 0.1])
    lucky = np.array([0.8, 0.1, 0.4, 0.9, 0.1])
    ours, theirs = (Curves.of([(SPENT, error)] * 4) for error in (lucky, steady))
    found = needs(ours, theirs, 0.75)
    # It was there at 50 labels, and was not at 60 and 70.
    assert 70 < found.ours <= 80
    assert needs(ours, theirs, 1.0).ours == pytest.approx(80, abs=0.3)


def test_a_campaign_that_ends_early_keeps_its_error():
    short = Curves.of([(SPENT[:2], [0.8, 0.4])] * 3)
    long = Curves.of([(SPENT, [0.8, 0.7, 0.6, 0.5, 0.4])] * 3)
    assert needs(short, long, 1.0).ours == pytest.approx(50, abs=0.3)
    half = Curves.of([(SPENT, [0.8, 0.4, 0.2, 0.1, 0.1]), (SPENT[:1], [0.8])])
    # In the mean of the logarithms one that stopped holds the other back.
    assert np.exp(half.mean(np.arange(2))[-1]) == pytest.approx(np.sqrt(0.8 * 0.1))


def test_nothing_is_needed_before_the_first_point():
    errors = [0.5, 0.3, 0.2, 0.15, 0.1]
    dear = Curves.of([(10 * SPENT, errors), (10 * SPENT + 40, errors)])
    cheap = Curves.of([(SPENT, [0.9, 0.6, 0.4, 0.3, 0.25])] * 2)
    found = needs(cheap, dear, 0.1)
    assert found.theirs == 420.0  # the mean of where its seeds start
    assert found.ours < 60.0
    early = Curves.of([([40, 41, 80], [0.9, 0.01, 0.01]), ([60, 70, 80], [0.9, 0.9, 0.9])])
    assert early.needed(early.mean(np.arange(2)), np.log(0.5), np.arange(2)) == 50.0


def test_arms_that_learn_nothing_have_no_ratio():
    flat = Curves.of([(SPENT, np.full(5, 0.8))] * 6)
    assert needs(halving(10.0), flat, 0.75) is None
    found = compare([(halving(10.0), flat)], 0.75, np.random.default_rng(0))
    assert found.ratio is found.interval is found.beyond is found.beyond_interval is None


def test_the_interval_covers_the_truth_and_narrows_with_seeds():
    def interval(n):
        pairs = [(halving(10, n, 0.4, 1), halving(15, n, 0.4, 2)), (halving(10, n, 0.4, 3),) * 2]
        found = compare(pairs, 0.75, np.random.default_rng(0), resamples=200)
        assert found.interval[0] < found.ratio < found.interval[1]
        assert found.ratio == pytest.approx(np.sqrt(found.systems[0].ratio), rel=1e-6)
        return found.interval

    low, high = interval(40)
    truth = np.sqrt(needs(halving(10), halving(15), 0.75).ratio)
    assert low < truth < high < 1.0
    few = interval(5)
    assert few[1] - few[0] > 1.5 * (high - low)


def test_seeds_are_drawn_in_pairs():
    """What a seed does to both arms cancels."""
    curves = halving(12.0, 8, 0.5)
    found = compare([(curves, curves)], 0.75, np.random.default_rng(0), resamples=50)
    assert found.ratio == 1.0
    assert found.interval == (1.0, 1.0)


@given(st.integers(0, 10**6), st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_both_always_reach_what_is_compared(seed, way):
    ours, theirs = halving(9.0, 3, 0.3, seed), halving(14.0, 3, 0.3, seed + 1)
    found = needs(ours, theirs, way)
    assert found is not None
    assert 40 <= found.ours <= 80
    assert 40 <= found.theirs <= 80
    swapped = needs(theirs, ours, way)
    assert swapped.ratio == pytest.approx(1 / found.ratio)
