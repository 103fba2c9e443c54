"""Split-conformal calibration: a bound on missed frames, without assumptions on the errors."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from trainspot.judge.calibrate import Method
from trainspot.judge.settings import CalibrateSettings
from trainspot.predictions.statistics import Array


class Conformal(Method):
    """τ = ε/q, q the ⌈(n+1)(1-α)⌉-th smallest ratio e/Δ of the n pairs.

    If the next frame is exchangeable with the pairs, P(e > q·Δ) ≤ α. A frame that errs beyond ε
    and is not flagged (Δ ≤ ε/q) has e > q·Δ, so frames are missed with a probability of at most
    α, ``calibrate.miss_rate`` (V. Vovk, A. Gammerman, G. Shafer, *Algorithmic Learning in a
    Random World*, 2005). Below (1-α)/α pairs there is no such ratio.

    A frame whose members agree and are all wrong is missed at every threshold. Its pair counts as
    one of the largest ratios. A frame whose Δ and e are both rounding cannot be missed and does
    not count.
    """

    keeps_unanimous: ClassVar[bool] = True

    def __init__(self, settings: CalibrateSettings) -> None:
        """Keep the miss rate α."""
        self.nominal = 1.0 - settings.miss_rate
        self.min_pairs = math.ceil(self.nominal / settings.miss_rate - 1e-9)

    def threshold(self, delta: Array, error: Array, tolerance: float) -> Array:
        """See ``Method.threshold``."""
        ratio = np.sort(error / delta, axis=-1)
        rank = math.ceil((ratio.shape[-1] + 1) * self.nominal - 1e-9)
        return np.asarray(tolerance / ratio[..., rank - 1])
