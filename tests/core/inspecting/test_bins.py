"""Histograms and tallies of streams against counting everything at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trainspot.report.dataset.bins import Histogram, Tally

VALUES = arrays(
    np.float64,
    st.integers(1, 60),
    elements=st.floats(-1e12, 1e12, allow_subnormal=False)
    | st.floats(-1, 1, allow_subnormal=False)
    | st.integers(-50, 50).map(float),
)


def filled(values, width=0.01, pieces=1):
    histogram = Histogram(width)
    for part in np.array_split(values, pieces):
        histogram.add(part)
    return histogram


@given(VALUES, st.integers(1, 7))
def test_the_counts_are_those_of_all_values_at_once(values, pieces):
    found = filled(values, pieces=pieces)
    bins = np.floor(values / found.width) - round(found.edges[0] / found.width)
    assert found.counts.tolist() == np.bincount(bins.astype(int)).tolist()
    assert (found.least, found.largest) == (values.min(), values.max())
    assert found.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-9 * np.abs(values).max())
    assert len(found.counts) <= 2048


@given(VALUES)
def test_neither_order_nor_chunks_matter(values):
    one, other = filled(values), filled(values[::-1], pieces=5)
    assert one.width == other.width
    assert np.array_equal(one.edges, other.edges)
    assert np.array_equal(one.counts, other.counts)


@given(VALUES, st.floats(0, 1))
def test_quantiles_are_right_to_within_a_bin(values, share):
    found = filled(values)
    exact = np.quantile(values, share, method="inverted_cdf")
    assert abs(found.quantile(share) - exact) <= found.width * (1 + 1e-9)


@given(VALUES, st.integers(2, 40))
def test_joining_bins_loses_nothing(values, most):
    found = filled(values)
    coarse = found.joined(most)
    assert len(coarse.counts) <= most
    assert coarse.counts.sum() == len(values)
    bins = np.floor(values / coarse.width) - round(coarse.edges[0] / coarse.width)
    counted = np.bincount(bins.astype(int), minlength=len(coarse.counts))
    assert coarse.counts.tolist() == counted.tolist()
    assert found.counts.sum() == len(values)  # the finer one is as it was


def test_nothing_counted():
    empty = Histogram(1.0)
    empty.add([])
    assert empty.count == 0
    assert empty.to_dict() == {"count": 0}
    assert np.isnan(empty.mean)
    assert np.isnan(empty.quantile(0.5))


def test_values_of_any_size_are_counted():
    found = filled(np.array([1e-300, 1e300, -1e300, 0.0]))
    assert found.counts.sum() == 4


def test_a_tally_is_exact_until_it_is_full():
    tally = Tally(2)
    tally.add(["b", "a", "c", "a", "c", "b", "a"])
    assert tally.counts() == {"a": 3, "b": 2}
    assert list(tally.counts()) == ["a", "b"]
    assert (tally.others, len(tally)) == (2, 2)
