"""Learning curves and ratios, against answers known beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainspot.common.seeds import generator
from trainspot.rehearse.cost import CostModel
from trainspot.rehearse.statistics import band, geometric_mean, median, ratio, reach

INF = float("inf")


def test_a_target_between_two_points_is_found_on_the_logarithm():
    # ln(error) falls from ln 100 to ln 1 over 20 labels: 10 is half way.
    assert reach([10, 30], [100.0, 1.0], 10.0) == pytest.approx(20.0)
    assert reach([10, 30, 40], [100.0, 1.0, 0.1], 1.0) == pytest.approx(30.0)


def test_a_target_at_the_start_or_out_of_reach():
    assert reach([10, 30], [1.0, 0.5], 2.0) == 10.0
    assert reach([10, 30], [4.0, 3.0], 2.0) == INF
    # The first crossing counts, even if the curve rises again.
    assert reach([0, 10, 20, 30], [4.0, 1.0, 4.0, 0.5], 2.0) == pytest.approx(5.0)


@given(
    st.lists(st.floats(0.01, 100.0), min_size=2, max_size=6),
    st.floats(0.01, 100.0),
    st.floats(0.1, 10.0),
)
def test_reach_does_not_depend_on_the_unit_and_lies_on_the_axis(errors, target, unit):
    spent = np.arange(1.0, len(errors) + 1)
    # Away from the points themselves, where rounding decides which side a target is on.
    if any(math.isclose(e, target, rel_tol=1e-6) for e in errors):
        return
    found = reach(spent, errors, target)
    scaled = reach(spent, np.array(errors) * unit, target * unit)
    assert found == scaled == INF or found == pytest.approx(scaled, rel=1e-6)
    assert (found == INF) == (min(errors) > target)
    assert found == INF or spent[0] <= found <= spent[-1]


def test_the_median_of_what_was_not_always_reached():
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([1.0, 2.0, 3.0, INF]) == 2.5
    assert median([1.0, INF]) == INF
    assert median([1.0, INF, INF]) == INF


def test_a_ratio_of_known_campaigns():
    base = np.array([100.0, 110.0, 120.0, 130.0, 140.0])
    found = ratio(base / 2, base, generator(1, "test"))
    assert found.value == pytest.approx(0.5)
    assert found.interval[0] == pytest.approx(0.5)  # paired: the seeds' own spread cancels
    assert found.interval[1] == pytest.approx(0.5)
    assert (found.seeds, found.wins) == (5, 5)


def test_the_interval_of_a_ratio_holds_what_the_seeds_say():
    rng = np.random.default_rng(3)
    ours, theirs = rng.lognormal(0.0, 0.3, 40), rng.lognormal(0.0, 0.3, 40)
    found = ratio(ours, theirs, generator(1, "test"))
    low, high = found.interval
    assert low < 1.0 < high
    assert 0.2 < high - low < 1.0
    same = ratio(ours, theirs, generator(1, "test"))
    assert same == found


def test_a_ratio_is_unknown_where_most_seeds_did_not_get_there():
    found = ratio([1.0, 2.0, 3.0], [INF, INF, 3.0], generator(1, "test"))
    assert found.value is None
    assert found.interval is None
    assert found.wins == 2
    assert ratio([1.0, 2.0], [2.0, 4.0], generator(1, "test")).interval is None


def test_the_average_of_ratios_is_geometric():
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)


def test_a_band_covers_what_all_seeds_have():
    curves = [
        (np.array([0.0, 10.0]), np.array([1.0, 1.0])),
        (np.array([5.0, 20.0]), np.array([4.0, 4.0])),
        (np.array([0.0, 20.0]), np.array([2.0, 2.0])),
    ]
    axis, middle, low, high = band(curves, 6)
    assert axis[0] == 5.0
    assert axis[-1] == 10.0
    np.testing.assert_allclose([middle[0], low[0], high[0]], [2.0, 1.0, 4.0])
    apart = [(np.array([0.0, 1.0]), np.ones(2)), (np.array([2.0, 3.0]), np.ones(2))]
    assert len(band(apart)[0]) == 0


def test_the_median_of_one_curve_is_the_curve():
    spent, error = np.array([42.0, 52.0, 61.0]), np.array([0.12, 0.08, 0.16])
    axis, middle, low, high = band([(spent, error)])
    assert len(axis) > 50
    for line in (middle, low, high):
        np.testing.assert_allclose(line[np.isin(axis, spent)], error)


def test_the_cost_of_labels():
    model = CostModel(seconds=3600.0, exponent=2.0)
    assert model.core_hours([8]) == pytest.approx(1.0)
    assert model.core_hours([16, 16]) == pytest.approx(8.0)
    assert CostModel(3600.0, 0.0).core_hours([1, 400]) == pytest.approx(2.0)
    assert "2" in model.words()


def test_the_cost_model_fits_what_was_measured():
    """Silicon at 16 Ry: 1.6, 4.7, 16.6 and 132 CPU-s for 8, 16, 32 and 64 atoms."""
    sizes, seconds = np.array([8, 16, 32, 64]), np.array([1.6, 4.7, 16.6, 132.0])
    predicted = np.array([3600.0 * CostModel().core_hours([n]) for n in sizes])
    assert np.all(np.abs(np.log(predicted / seconds)) < np.log(1.8))
