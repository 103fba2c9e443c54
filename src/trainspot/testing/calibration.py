"""The contract test of calibration methods."""

from __future__ import annotations

import numpy as np

from trainspot.common import plugins
from trainspot.judge.calibrate import GROUP, Method
from trainspot.judge.settings import CalibrateSettings


def check_calibration(name: str) -> None:
    """Assert the contract of the calibration method registered as ``name``.

    - an exact proportion e = s·Δ gives τ = ε/s;
    - thresholds are positive and finite, one for each resample;
    - thresholds do not depend on the order of the pairs, and scale with Δ;
    - ``nominal`` is a share or ``None``, and ``min_pairs`` a number of pairs.
    """
    method_class = Method.implementation(plugins.load(GROUP, name))
    method = method_class(CalibrateSettings(method=name))
    assert method.nominal is None or 0.0 < method.nominal < 1.0, "nominal is a share"
    assert isinstance(method.min_pairs, int), "min_pairs is a number"
    assert method.min_pairs >= 0, "min_pairs is a number"
    rng = np.random.default_rng(0)
    delta = rng.uniform(0.01, 0.2, 40)
    error = 3.0 * delta * rng.uniform(0.5, 1.5, 40)

    exact = method.threshold(delta, 3.0 * delta, 0.1)
    np.testing.assert_allclose(exact, 0.1 / 3.0)

    rows = rng.integers(40, size=(7, 40))
    resampled = method.threshold(delta[rows], error[rows], 0.1)
    assert resampled.shape == (7,), "one threshold for each resample"
    assert np.all(np.isfinite(resampled) & (resampled > 0)), "thresholds are positive numbers"
    one_by_one = [method.threshold(delta[row], error[row], 0.1) for row in rows]
    np.testing.assert_allclose(resampled, one_by_one)

    whole = method.threshold(delta, error, 0.1)
    np.testing.assert_allclose(method.threshold(delta[::-1], error[::-1], 0.1), whole)
    np.testing.assert_allclose(method.threshold(5.0 * delta, error, 0.1), 5.0 * whole)
