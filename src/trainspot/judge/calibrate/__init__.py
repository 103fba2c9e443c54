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
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any, ClassVar, Final, Literal

import numpy as np
from scipy.stats import spearmanr

from trainspot.common import plugins
from trainspot.common.contracts import Contract
from trainspot.common.errors import DataError, InputError
from trainspot.common.seeds import generator
from trainspot.judge.diagnostics import miscalibration_area, sigma_per_delta
from trainspot.judge.pairs import Pairs
from trainspot.judge.scoring import Interval, rates
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.predictions.statistics import Array

GROUP: Final = "trainspot.calibration"
MIN_PAIRS: Final = 12
MIN_SPEARMAN: Final = 0.3
NEGLIGIBLE: Final = 1e-4
"""Smallest Δ and e of a pair, as a share of the tolerance. Smaller values are rounding noise:
symmetric frames give 0/0. Such pairs are left out before any ratio is formed."""

_RESAMPLES: Final = 500

Verdict = Literal["good", "poor", "undetermined"]


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


@dataclass(frozen=True)
class Calibration:
    """The threshold of one property, and its quality.

    Attributes:
        property: energy, forces or stress.
        method: Name of the method.
        slope: Error per disagreement: e ≈ slope · Δ and τ = ε / slope for every method.
        interval: 95 % bootstrap interval of the slope; ``None`` if undetermined.
        pairs: Number of pairs used.
        held_out: Number of these pairs that were in no training set of the committee (all).
        verdict: good; poor: Δ and e hardly correlate; undetermined: too few pairs.
        threshold: τ; without a fit, the tolerance.
        fitted: Whether the threshold comes from the pairs.
        tolerance: ε.
        spearman: Rank correlation of Δ and e (0 if one of them is constant or pairs are missing).
        coverage: Share of the pairs with e ≤ slope · Δ.
        tpr: Of the threshold on the same pairs, see ``scoring.Rates``.
        ppv: The same.
        tpr_interval: The same.
        ppv_interval: The same.
        nominal: Share of the errors that slope · Δ should cover, see ``Method``.
        sigma: Standard error per disagreement: 68 % of the pairs have e ≤ sigma · Δ, for every
            method; ``None`` if undetermined.
        miscalibration: Area between expected and observed coverage, see ``judge.diagnostics``.
        atom_sigma: Of forces: standard error of a single atom per disagreement about that atom;
            see ``judge.atoms``.
        atoms: Number of atoms in the fit of ``atom_sigma``.
        needed: Smallest number of pairs for a fit.
        committee: The committee that disagrees, see ``Predictions.committee``; empty if unknown.
    """

    property: str
    method: str
    slope: float
    interval: Interval | None
    pairs: int
    held_out: int
    verdict: Verdict
    threshold: float
    fitted: bool
    tolerance: float
    spearman: float
    coverage: float | None
    tpr: float | None
    ppv: float | None
    tpr_interval: Interval | None
    ppv_interval: Interval | None
    nominal: float | None = None
    sigma: float | None = None
    miscalibration: float | None = None
    atom_sigma: float | None = None
    atoms: int | None = None
    needed: int = MIN_PAIRS
    committee: str = ""

    @classmethod
    def given(cls, name: str, threshold: float) -> Calibration:
        """A calibration with a threshold that the user gave."""
        content: dict[str, Any] = dict.fromkeys(field.name for field in fields(cls))
        content |= {"property": name, "method": "given", "threshold": threshold, "fitted": True}
        content |= {"pairs": 0, "held_out": 0, "spearman": 0.0, "slope": 1.0, "needed": 0}
        content["committee"] = ""
        return cls(**content | {"tolerance": threshold, "verdict": "undetermined"})

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Calibration:
        """The inverse of ``to_dict``.

        Raises:
            DataError: Something is missing.
        """
        try:
            required = [field.name for field in fields(cls) if field.default is MISSING]
            values: dict[str, Any] = {name: content[name] for name in required}
            values |= {
                f.name: content.get(f.name, f.default) for f in fields(cls) if f.name not in values
            }
        except (KeyError, TypeError) as error:
            raise DataError("this is not a calibration") from error
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**values)


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
