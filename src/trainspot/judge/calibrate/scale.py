"""A calibration by one number: the ratio of errors to disagreements."""

from __future__ import annotations

from typing import Final

import numpy as np

from trainspot.judge.calibrate import Method
from trainspot.judge.settings import CalibrateSettings
from trainspot.predictions.statistics import Array

KEPT: Final = 0.9
"""Share of the values, the smallest, that a trimmed mean is taken over."""


class Scale(Method):
    """τ = ε·R(Δ)/R(e), R the root mean square of the smallest nine tenths of the values.

    Errors and disagreements are trimmed separately, so that a few frames with extreme values do
    not decide the ratio (trimmed mean: J. W. Tukey, 1962).
    """

    def __init__(self, settings: CalibrateSettings) -> None:
        """The method has no parameters."""

    def threshold(self, delta: Array, error: Array, tolerance: float) -> Array:
        """See ``Method.threshold``."""
        return np.asarray(tolerance * _trimmed_rms(delta) / _trimmed_rms(error))


def _trimmed_rms(values: Array) -> Array:
    kept = int(np.ceil(KEPT * values.shape[-1]))
    smallest = np.sort(values, axis=-1)[..., :kept]
    # relative to the largest, whose square could overflow
    unit = smallest[..., -1:]
    return np.asarray(unit[..., 0] * np.sqrt(np.mean((smallest / unit) ** 2, axis=-1)))
