"""The calibration of the paper: a line through the origin."""

from __future__ import annotations

import numpy as np

from trainspot.judge.calibrate import Method
from trainspot.judge.settings import CalibrateSettings
from trainspot.predictions.statistics import Array


class Regression(Method):
    """Δ = a·e by least squares, a = Σ Δe / Σ e², and τ = a·ε."""

    def __init__(self, settings: CalibrateSettings) -> None:
        """The method has no parameters."""

    def threshold(self, delta: Array, error: Array, tolerance: float) -> Array:
        """See ``Method.threshold``."""
        slope = np.sum(delta * error, axis=-1) / np.sum(error**2, axis=-1)
        return np.asarray(slope * tolerance)
