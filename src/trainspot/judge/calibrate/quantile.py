"""The default calibration: a quantile of the ratio of error to disagreement."""

from __future__ import annotations

import numpy as np

from trainspot.judge.calibrate import Method
from trainspot.judge.settings import CalibrateSettings
from trainspot.predictions.statistics import Array


class Quantile(Method):
    """τ = ε / q(e/Δ): at the threshold a share q of the frames has an error below ε."""

    def __init__(self, settings: CalibrateSettings) -> None:
        """Keep the quantile."""
        self.nominal = self._quantile = settings.quantile

    def threshold(self, delta: Array, error: Array, tolerance: float) -> Array:
        """See ``Method.threshold``."""
        return np.asarray(tolerance / np.quantile(error / delta, self._quantile, axis=-1))
