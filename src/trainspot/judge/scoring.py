"""How well a threshold on the disagreement detects errors beyond the tolerance."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
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
        coverage: Share of the frames with e ≤ slope · Δ; ``None`` without a fit.
        coverage_interval: 95 % interval (Wilson) of ``coverage``.
        within_sigma: Share of the frames whose error is within the 68 % bar; ``None`` without bars.
        within_sigma_interval: 95 % interval (Wilson) of ``within_sigma``.
        within_90: Share of the frames whose error is within the 90 % bar; ``None`` without bars.
        within_90_interval: 95 % interval (Wilson) of ``within_90``.
        miscalibration: Area between expected and observed coverage, see
            ``judge.diagnostics``; ``None`` without a standard error.
        atom_coverage: Of forces: share of the atoms whose error is within the error bar, see
            ``judge.atoms``; 0.68 is ideal. ``None`` without a scale for atoms.
        atom_coverage_interval: 95 % interval of ``atom_coverage`` over frames.
        atoms: Number of atoms behind ``atom_coverage``.
        atom_within_90: Of forces: share of the atoms whose error is within the 90 % bar.
        atom_within_90_interval: 95 % interval of ``atom_within_90`` over frames.
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
    within_sigma: float | None = None
    within_sigma_interval: Interval | None = None
    within_90: float | None = None
    within_90_interval: Interval | None = None
    miscalibration: float | None = None
    atom_coverage: float | None = None
    atom_coverage_interval: Interval | None = None
    atoms: int | None = None
    atom_within_90: float | None = None
    atom_within_90_interval: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def rates(delta: Array, error: Array, threshold: float | Array, tolerance: float) -> Rates:
    """TPR and PPV of Δ > τ as a test for e > ε.

    Args:
        delta: Δ of each frame, (n,).
        error: e of each frame, (n,), same unit.
        threshold: τ, of all frames or of each, (n,).
        tolerance: ε.
    """
    return _counted(delta > threshold, error > tolerance)


def flag_rates(pairs: Pairs, flagged: Collection[str], tolerance: Tolerance) -> Rates:
    """TPR, PPV and miss rate of the flags that a judgement raised, for whatever reason.

    A frame is wrong if the error of any property exceeds its tolerance.

    Args:
        pairs: Frames that were labelled after the judgement.
        flagged: Ids of the frames that the judgement flagged, by disagreement or novelty.
        tolerance: ε of each property.
    """
    raised = np.array([identity in flagged for identity in pairs.frame_ids], dtype=np.bool_)
    wrong = np.zeros(len(pairs), dtype=np.bool_)
    for name, epsilon in tolerance.given.items():
        wrong |= np.nan_to_num(pairs.error[name], nan=0.0) > epsilon
    return _counted(raised, wrong)


def _counted(flagged: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> Rates:
    hits, n_flagged, n_wrong = (int(np.sum(x)) for x in (flagged & wrong, flagged, wrong))
    return Rates(
        tpr=hits / n_wrong if n_wrong else None,
        ppv=hits / n_flagged if n_flagged else None,
        tpr_interval=wilson(hits, n_wrong),
        ppv_interval=wilson(hits, n_flagged),
        pairs=len(wrong),
        miss_rate=(n_wrong - hits) / len(wrong) if len(wrong) else None,
        miss_rate_interval=wilson(n_wrong - hits, len(wrong)),
    )


def prospective(
    pairs: Pairs, calibrations: Mapping[str, Calibration], tolerance: Tolerance
) -> dict[str, Rates]:
    """Success of the threshold of each property on frames that were labelled after the judgement.

    Novelty has no part in these rates; see ``flag_rates`` for the flags that were raised.

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
    if not len(delta):
        return score
    if calibration.fitted:
        covered = int(np.sum(error <= calibration.slope * delta))
        score = replace(
            score, coverage=covered / len(delta), coverage_interval=wilson(covered, len(delta))
        )
    if calibration.sigma is None:
        return score
    usable = delta > 0
    score = replace(
        score,
        miscalibration=miscalibration_area(delta[usable], error[usable], calibration.sigma),
    )
    if calibration.bar_90 is None:
        return score
    inside = [int(np.sum(error <= b * delta)) for b in (calibration.sigma, calibration.bar_90)]
    return replace(
        score,
        within_sigma=inside[0] / len(delta),
        within_sigma_interval=wilson(inside[0], len(delta)),
        within_90=inside[1] / len(delta),
        within_90_interval=wilson(inside[1], len(delta)),
    )
