"""Quality of calibrated disagreements: coverage, miscalibration, rates over all thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import norm

from trainspot.predictions.statistics import Array

ONE_SIGMA: Final = 0.6827
"""Share of normal errors within one standard deviation."""

_LEVELS: Final = np.linspace(0.0, 1.0, 101)


def coverage_curve(delta: Array, error: Array, sigma_per_delta: float) -> tuple[Array, Array]:
    """Expected and observed share of errors within z standard errors, for all z.

    The standard error is σ = s·Δ. Errors are assumed to be half-normal: P(e ≤ zσ) = 2Φ(z) - 1
    (K. Tran et al., Mach. Learn.: Sci. Technol. 1, 025006, 2020).

    Args:
        delta: Δ > 0, (n,).
        error: e ≥ 0, (n,), same unit.
        sigma_per_delta: s.

    Returns:
        Expected and observed shares, (101,) each; the observed are NaN without pairs.
    """
    if not len(delta):
        return _LEVELS, np.full_like(_LEVELS, np.nan)
    z = np.sort(error / (sigma_per_delta * delta))
    limits = norm.ppf(0.5 + 0.5 * _LEVELS)
    return _LEVELS, np.searchsorted(z, limits, side="right") / len(z)


def miscalibration_area(delta: Array, error: Array, sigma_per_delta: float) -> float | None:
    """Area between the coverage curve and the diagonal: 0 is perfect, 1/2 the worst.

    Arguments as for ``coverage_curve``; ``None`` without pairs.
    """
    if not len(delta):
        return None
    expected, observed = coverage_curve(delta, error, sigma_per_delta)
    return float(np.trapezoid(np.abs(observed - expected), expected))


def sigma_per_delta(delta: Array, error: Array) -> float:
    """Factor s of σ = s·Δ with which 68.27 % of the pairs (n > 0) have e ≤ σ."""
    return float(np.quantile(error / delta, ONE_SIGMA))


@dataclass(frozen=True, eq=False)
class RateMap:
    """TPR and PPV of Δ > τ as a test for e > ε, over tolerances and thresholds.

    Attributes:
        tolerance: ε, (m,).
        threshold: τ, (k,).
        tpr: (m, k); NaN where no error exceeds ε.
        ppv: (m, k); NaN where no disagreement exceeds τ.
    """

    tolerance: Array
    threshold: Array
    tpr: Array
    ppv: Array


def rate_map(delta: Array, error: Array, size: int = 60) -> RateMap:
    """The maps of the paper's figure 5, on logarithmic axes that span the pairs.

    Args:
        delta: Δ > 0, (n,), n > 0.
        error: e > 0, (n,).
        size: Points along each axis.
    """
    epsilon = np.geomspace(0.9 * error.min(), 1.1 * error.max(), size)
    tau = np.geomspace(0.9 * delta.min(), 1.1 * delta.max(), size)
    wrong = (error > epsilon[:, None]).astype(np.float64)
    flagged = (delta > tau[:, None]).astype(np.float64)
    hits = wrong @ flagged.T
    n_wrong, n_flagged = wrong.sum(axis=1)[:, None], flagged.sum(axis=1)[None, :]
    nothing = np.full_like(hits, np.nan)
    return RateMap(
        epsilon,
        tau,
        np.divide(hits, n_wrong, out=nothing.copy(), where=n_wrong > 0),
        np.divide(hits, n_flagged, out=nothing, where=n_flagged > 0),
    )
