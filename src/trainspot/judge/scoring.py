"""How well a threshold on the disagreement detects errors beyond the tolerance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import binomtest

from trainspot.judge.diagnostics import miscalibration_area
from trainspot.judge.pairs import Pairs
from trainspot.judge.settings import Tolerance
from trainspot.predictions.calibration import Calibration, Interval
from trainspot.predictions.statistics import Array


def wilson(hits: int, trials: int, confidence: float = 0.95) -> Interval | None:
    """Wilson's score interval of a proportion; ``None`` without trials.

    E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927).
    """
    if trials == 0:
        return None
    interval = binomtest(hits, trials).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Rates:
    """Success of a threshold τ at a tolerance ε (paper, equations 3 and 4).

    Attributes:
        tpr: Share of the frames with e > ε that have Δ > τ; ``None`` if there is no such frame.
        ppv: Share of the frames with Δ > τ that have e > ε; ``None`` if there is no such frame.
        tpr_interval: 95 % interval (Wilson) of ``tpr``.
        ppv_interval: 95 % interval (Wilson) of ``ppv``.
        pairs: Number of frames.
        miss_rate: Share of all frames that have e > ε and Δ ≤ τ; ``None`` without frames.
        miss_rate_interval: 95 % interval (Wilson) of ``miss_rate``.
        coverage: Share of the frames with e ≤ slope · Δ; ``None`` without a slope.
        coverage_interval: 95 % interval (Wilson) of ``coverage``.
        miscalibration: Area between expected and observed coverage, see
            ``judge.diagnostics``; ``None`` without a standard error.
        atom_coverage: Of forces: share of the atoms whose error is within the error bar, see
            ``judge.atoms``; 0.68 is ideal. ``None`` without a scale for atoms.
        atom_coverage_interval: 95 % interval of ``atom_coverage`` over frames.
        atoms: Number of atoms behind ``atom_coverage``.
    """

    tpr: float | None
    ppv: float | None
    tpr_interval: Interval | None
    ppv_interval: Interval | None
    pairs: int
    miss_rate: float | None = None
    miss_rate_interval: Interval | None = None
    coverage: float | None = None
    coverage_interval: Interval | None = None
    miscalibration: float | None = None
    atom_coverage: float | None = None
    atom_coverage_interval: Interval | None = None
    atoms: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def rates(delta: Array, error: Array, threshold: float, tolerance: float) -> Rates:
    """TPR and PPV of Δ > τ as a test for e > ε.

    Args:
        delta: Δ of each frame, (n,).
        error: e of each frame, (n,), same unit.
        threshold: τ.
        tolerance: ε.
    """
    flagged, wrong = delta > threshold, error > tolerance
    hits, n_flagged, n_wrong = (int(np.sum(x)) for x in (flagged & wrong, flagged, wrong))
    return Rates(
        tpr=hits / n_wrong if n_wrong else None,
        ppv=hits / n_flagged if n_flagged else None,
        tpr_interval=wilson(hits, n_wrong),
        ppv_interval=wilson(hits, n_flagged),
        pairs=len(delta),
        miss_rate=(n_wrong - hits) / len(delta) if len(delta) else None,
        miss_rate_interval=wilson(n_wrong - hits, len(delta)),
    )


def prospective(
    pairs: Pairs, calibrations: Mapping[str, Calibration], tolerance: Tolerance
) -> dict[str, Rates]:
    """Success of the thresholds on frames that were labelled after the judgement.

    The rates are unbiased for audit frames, because the audit draws flagged and other frames.

    Args:
        pairs: Predictions of the committee of the calibrations, before training on the labels.
        calibrations: The thresholds of the judgement; coverage needs a fitted threshold.
        tolerance: ε of each property.
    """
    return {
        name: _scored(*pairs.of(name), calibrations[name], epsilon)
        for name, epsilon in tolerance.given.items()
        if name in calibrations
    }


def _scored(delta: Array, error: Array, calibration: Calibration, epsilon: float) -> Rates:
    score = rates(delta, error, calibration.threshold, epsilon)
    if not calibration.fitted or not len(delta):
        return score
    covered = int(np.sum(error <= calibration.slope * delta))
    usable = delta > 0
    return replace(
        score,
        coverage=covered / len(delta),
        coverage_interval=wilson(covered, len(delta)),
        miscalibration=miscalibration_area(delta[usable], error[usable], calibration.sigma)
        if calibration.sigma
        else None,
    )
