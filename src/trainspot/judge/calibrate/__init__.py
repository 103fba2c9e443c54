"""Calibration: from a tolerated error to a threshold on the disagreement.

A method (entry-point group ``trainspot.calibration``) turns pairs (Δ, e) and a tolerance ε into a
threshold τ on Δ. All methods share the rest, which this module does: it chooses the pairs that
count, computes the bootstrap interval and the verdict, and falls back to the tolerance when the
pairs do not support a threshold.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final

import numpy as np
from scipy.stats import spearmanr

from trainspot.common import plugins
from trainspot.common.contracts import Contract
from trainspot.common.errors import InputError
from trainspot.common.seeds import generator
from trainspot.judge.diagnostics import miscalibration_area, sigma_per_delta
from trainspot.judge.pairs import Pairs
from trainspot.judge.scoring import rates
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.predictions.calibration import MIN_PAIRS, Calibration
from trainspot.predictions.statistics import Array

GROUP: Final = "trainspot.calibration"
MIN_SPEARMAN: Final = 0.3
NEGLIGIBLE: Final = 1e-4
"""Smallest Δ and e of a pair, as a share of the tolerance. Smaller values are rounding noise:
symmetric frames give 0/0. Such pairs are left out before any ratio is formed."""

_RESAMPLES: Final = 500


class Method(Contract, abstract=True):
    """Base class of the calibration methods; the settings construct a method.

    Attributes:
        nominal: Share of the errors that e ≤ ε/τ · Δ should cover; ``None``: not defined.
        min_pairs: Number of pairs that the method needs, if more than ``MIN_PAIRS``; else 0.
        keeps_unanimous: Whether frames count whose members agree and are all wrong; their Δ is
            then 1e-4 ε.
    """

    nominal: float | None = None
    min_pairs: int = 0
    keeps_unanimous: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, settings: CalibrateSettings) -> None:
        """Keep the settings that the method needs."""

    @abstractmethod
    def threshold(self, delta: Array, error: Array, tolerance: float) -> Array:
        """τ of each resample.

        Args:
            delta: Δ > 0, (…, n).
            error: e > 0, (…, n).
            tolerance: ε.

        Returns:
            τ > 0, (…).
        """


def calibrate(
    pairs: Pairs, tolerance: Tolerance, settings: CalibrateSettings, seed: int
) -> dict[str, Calibration]:
    """The calibration of each property that has a tolerance.

    Args:
        pairs: Pairs; only those of held-out frames count.
        tolerance: ε of each property.
        settings: Method and its parameters.
        seed: Of the bootstrap; the thresholds do not depend on it.

    Raises:
        UnknownNameError: No such method.
    """
    method = _method(settings)
    return {
        name: _calibration(name, *pairs.of(name), epsilon, method, settings.method, seed)
        for name, epsilon in tolerance.given.items()
    }


def of_committee(calibrations: Mapping[str, Calibration], committee: str) -> dict[str, Calibration]:
    """The calibrations with the fingerprint of their committee; see ``Predictions.committee``."""
    return {
        name: replace(calibration, committee=committee)
        for name, calibration in calibrations.items()
    }


def check_committee(calibrations: Mapping[str, Calibration], committee: str, where: str) -> None:
    """Refuse thresholds that were fitted to the disagreement of another committee.

    Args:
        calibrations: The thresholds; the committee of each may be unknown.
        committee: The committee that made the predictions; empty if unknown.
        where: Place of the thresholds, for the error message.

    Raises:
        InputError: The thresholds are of another committee.
    """
    foreign = [
        name
        for name, calibration in calibrations.items()
        if calibration.committee not in {"", committee}
    ]
    if committee and foreign:
        raise InputError(
            f"the thresholds of {', '.join(foreign)} were fitted to another committee than that of "
            "the predictions",
            where=where,
            hint="evaluate the frames with that committee, calibrate the committee of the "
            "predictions, or give thresholds as numbers",
        )


def pairs_needed(settings: CalibrateSettings) -> int:
    """Smallest number of held-out frames for a fit of a threshold.

    Raises:
        UnknownNameError: No such method.
    """
    return max(MIN_PAIRS, _method(settings).min_pairs)


def _method(settings: CalibrateSettings) -> Method:
    return Method.implementation(plugins.load(GROUP, settings.method))(settings)


def _calibration(
    name: str, delta: Array, error: Array, epsilon: float, method: Method, label: str, seed: int
) -> Calibration:
    least = NEGLIGIBLE * epsilon
    kept = (delta > least) & (error > least)
    scaled = delta[kept], error[kept]
    if method.keeps_unanimous:  # all members agree and are wrong: always missed
        kept |= (delta <= least) & (error > epsilon)
    used, errors = np.maximum(delta[kept], least), error[kept]
    needed = max(MIN_PAIRS, method.min_pairs)
    enough = len(used) >= needed
    rho = spearman(used, errors)
    slope, interval, sigma = 1.0, None, None
    if enough:
        sigma = sigma_per_delta(*scaled) if len(scaled[0]) else None
        slope = epsilon / float(method.threshold(used, errors, epsilon))
        rng = generator(seed, "calibrate", name)
        rows = rng.integers(len(used), size=(_RESAMPLES, len(used)))
        resampled = epsilon / method.threshold(used[rows], errors[rows], epsilon)
        low, high = np.quantile(resampled, [0.025, 0.975])
        interval = (float(low), float(high))
    good = enough and rho >= MIN_SPEARMAN and math.isfinite(slope) and slope > 0
    threshold = epsilon / slope if good else epsilon
    score = rates(delta, error, threshold, epsilon)
    return Calibration(
        property=name,
        method=label,
        slope=slope,
        interval=interval,
        pairs=len(used),
        held_out=len(used),
        verdict="good" if good else "poor" if enough else "undetermined",
        threshold=threshold,
        fitted=good,
        tolerance=epsilon,
        spearman=rho,
        coverage=float(np.mean(errors <= slope * used)) if len(used) else None,
        tpr=score.tpr,
        ppv=score.ppv,
        tpr_interval=score.tpr_interval,
        ppv_interval=score.ppv_interval,
        nominal=method.nominal,
        sigma=sigma,
        miscalibration=miscalibration_area(*scaled, sigma) if sigma else None,
        needed=needed,
    )


def spearman(first: Array, second: Array) -> float:
    """Spearman's rank correlation; 0 with fewer than three values or a constant column."""
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)
