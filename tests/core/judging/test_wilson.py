"""The interval of a share: scipy's is that of Wilson's formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainspot.judge.scoring import wilson


def test_wilson_intervals():
    assert wilson(0, 0) is None
    low, high = wilson(8, 10)
    assert (low, high) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    assert {type(end) for end in (low, high, *wilson(0, 10))} == {float}


@given(st.integers(1, 5000), st.floats(0, 1))
def test_wilson_intervals_are_those_of_the_formula(trials, share):
    """[p + z²/2n ± z (p(1-p)/n + z²/4n²)^½] / (1 + z²/n), with p the share that was hit."""
    hits = round(share * trials)
    p, z = hits / trials, 1.959963984540054
    centre, scale = p + z**2 / (2 * trials), 1 + z**2 / trials
    width = z * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    expected = (centre - width) / scale, (centre + width) / scale
    assert wilson(hits, trials) == pytest.approx(expected, rel=1e-12, abs=1e-15)
