"""Calibration: from a tolerated error to a threshold on the disagreement.

A method (entry-point group ``trainspot.calibration``) turns pairs (Δ, e) and a tolerance ε into a
threshold τ on Δ. All methods share the rest, which this module does: it chooses the pairs that
count, computes the bootstrap interval and the verdict, and takes the largest ratio e/Δ when the
pairs do not support a fit (decision 0072).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
from scipy.stats import spearmanr

from trainspot.common import plugins
from trainspot.common.contracts import Contract
from trainspot.common.errors import InputError
from trainspot.common.seeds import generator
from trainspot.judge.bars import NEGLIGIBLE, Bars, bars, ranked
from trainspot.judge.pairs import Pairs
from trainspot.judge.scoring import rates
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.predictions.calibration import MIN_PAIRS, Basis, Calibration, Interval, Verdict
from trainspot.predictions.statistics import Array

GROUP: Final = "trainspot.calibration"
MIN_SPEARMAN: Final = 0.3
LARGE: Final = 0.95
"""Rank of the ratio e/Δ that stands in for a fit; with fewer than 19 pairs, the largest ratio."""

_RESAMPLES: Final = 500
_FOLDS: Final = 10


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
    pairs: Pairs,
    tolerance: Tolerance,
    settings: CalibrateSettings,
    seed: int,
    audit: Collection[str] = (),
) -> dict[str, Calibration]:
    """The calibration of each property that has a tolerance.

    Args:
        pairs: Pairs; only those of held-out frames count.
        tolerance: ε of each property.
        settings: Method and its parameters.
        seed: Of the bootstrap; the thresholds do not depend on it.
        audit: Ids of the frames among them that were drawn at random from what was explored.

    Raises:
        UnknownNameError: No such method.
    """
    method = _method(settings)
    pairs = pairs.by_id()  # the order of a file changes nothing
    return {
        name: _calibration(pairs, audit, name, epsilon, method, settings.method, seed)
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


@dataclass(frozen=True, eq=False)
class _Usable:
    """The pairs of a property that a method can use, and those of them with a ratio."""

    delta: Array
    error: Array

    @classmethod
    def of(cls, delta: Array, error: Array, epsilon: float, method: Method) -> _Usable:
        least = NEGLIGIBLE * epsilon
        kept = (delta > least) & (error > least)
        if method.keeps_unanimous:  # all members agree and are wrong: always missed
            kept |= (delta <= least) & (error > epsilon)
        return cls(np.maximum(delta[kept], least), error[kept])

    def __len__(self) -> int:
        return len(self.delta)


@dataclass(frozen=True)
class _Fit:
    """A threshold ε / slope, and where it comes from."""

    slope: float
    basis: Basis
    verdict: Verdict
    spearman: float


def _fit(pairs: _Usable, epsilon: float, method: Method) -> _Fit:
    """The fit of a method if enough pairs correlate, else the largest ratio e/Δ.

    The ratio counts as 1 if it is smaller: without a fit, no threshold is above the tolerance.
    Without any pair, every disagreement that is not rounding is beyond the threshold.
    """
    rho = spearman(pairs.delta, pairs.error)
    if not len(pairs):
        return _Fit(1.0 / NEGLIGIBLE, "no pairs", "undetermined", rho)
    enough = len(pairs) >= max(MIN_PAIRS, method.min_pairs)
    if enough and rho >= MIN_SPEARMAN:
        slope = epsilon / float(method.threshold(pairs.delta, pairs.error, epsilon))
        if math.isfinite(slope) and slope > 0:
            return _Fit(slope, "fit", "good", rho)
    large = max(ranked(pairs.error / pairs.delta, LARGE), 1.0)
    return _Fit(large, "largest ratio", "poor" if enough else "undetermined", rho)


def _calibration(
    pairs: Pairs,
    audit: Collection[str],
    name: str,
    epsilon: float,
    method: Method,
    label: str,
    seed: int,
) -> Calibration:
    delta, error = pairs.of(name)
    used = _Usable.of(delta, error, epsilon, method)
    fit = _fit(used, epsilon, method)
    slopes = _cross_validated(delta, error, epsilon, method)
    score = rates(delta, error, epsilon / slopes, epsilon)
    widths = bars(pairs, audit, name, epsilon)
    return Calibration(
        property=name,
        method=label,
        slope=fit.slope,
        interval=_interval(used, epsilon, method, seed, name) if fit.basis == "fit" else None,
        pairs=len(used),
        held_out=len(used),
        verdict=fit.verdict,
        threshold=epsilon / fit.slope,
        fitted=fit.basis == "fit",
        tolerance=epsilon,
        spearman=fit.spearman,
        coverage=float(np.mean(error <= slopes * delta)) if len(used) else None,
        tpr=score.tpr,
        ppv=score.ppv,
        tpr_interval=score.tpr_interval,
        ppv_interval=score.ppv_interval,
        nominal=method.nominal,
        needed=max(MIN_PAIRS, method.min_pairs),
        basis=fit.basis,
        **_widths(widths),
    )


def _widths(widths: Bars | None) -> dict[str, Any]:
    """The fields of a calibration that error bars fill."""
    if widths is None:
        return {}
    return {
        "sigma": widths.one_sigma,
        "bar_90": widths.ninety,
        "atom_sigma": widths.atom_one_sigma,
        "atom_bar_90": widths.atom_ninety,
        "atoms": widths.atoms,
        "miscalibration": widths.miscalibration,
        "bars_from": widths.source,
        "bars_frames": widths.frames,
    }


def _cross_validated(delta: Array, error: Array, epsilon: float, method: Method) -> Array:
    """For each pair the slope that the pairs of the other folds give, (n,)."""
    slopes = np.ones(len(delta))
    for fold in np.array_split(np.arange(len(delta)), min(_FOLDS, max(len(delta), 1))):
        others = np.delete(np.arange(len(delta)), fold)
        rest = _Usable.of(delta[others], error[others], epsilon, method)
        slopes[fold] = _fit(rest, epsilon, method).slope
    return slopes


def _interval(pairs: _Usable, epsilon: float, method: Method, seed: int, name: str) -> Interval:
    """95 % bootstrap interval of the slope."""
    rng = generator(seed, "calibrate", name)
    rows = rng.integers(len(pairs), size=(_RESAMPLES, len(pairs)))
    resampled = epsilon / method.threshold(pairs.delta[rows], pairs.error[rows], epsilon)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def spearman(first: Array, second: Array) -> float:
    """Spearman's rank correlation; 0 with fewer than three values or a constant column."""
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)
