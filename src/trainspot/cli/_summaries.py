"""A judgement and a calibration in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainspot.common.text import counted
from trainspot.judge.decision import NOVELTY_OF

if TYPE_CHECKING:
    from trainspot.judge.judgement import Judgement
    from trainspot.predictions.calibration import Calibration


def of_judgement(judgement: Judgement) -> str:
    """The counts of a judgement."""
    refused = ", ".join(f"{n} {cause}" for cause, n in judgement.refused.items()) or "none"
    counts = judgement.flagged_by.items()
    by = ", ".join(f"{name}: {n}" for name, n in counts if n and name not in NOVELTY_OF.values())
    flagged = f"{len(judgement.flagged)} flagged" + (f" ({by})" if by else "")
    repeated = judgement.near_duplicates
    screened = f", {n} for the screen audit" if (n := len(judgement.screen_audit)) else ""
    near = f"{repeated} near-duplicates, " if repeated else ""
    return (
        f"{judgement.explored} frames; refused: {refused}; {flagged}; {near}"
        f"{len(judgement.selected)} selected, {len(judgement.audit)} for the audit{screened}"
    )


def of_calibration(fit: Calibration) -> str:
    """The essentials of a calibration: threshold, where it comes from, rates, error bars."""
    threshold = f"threshold {fit.threshold:.4g} for a tolerance of {fit.tolerance:.4g}"
    if fit.fitted and fit.basis != "given":
        low, high = fit.interval or (float("nan"), float("nan"))
        how = f"slope {fit.slope:.3g} [{low:.3g}, {high:.3g}], {_reason(fit)}"
        return f"{fit.property}: {fit.verdict}, {threshold} ({how}, {_rates(fit)}){_bars(fit)}"
    if fit.basis == "largest ratio":
        how = f"from the largest error per disagreement, {fit.slope:.3g}; {_reason(fit)}"
        return f"{fit.property}: {fit.verdict}, {threshold}, {how}{_bars(fit)}"
    if fit.basis == "no pairs":
        return (
            f"{fit.property}: {fit.verdict}, every frame is flagged, because there is no pair of "
            f"error and disagreement; {fit.needed} are needed"
        )
    if fit.fitted:
        return f"{fit.property}: {threshold}, as given"
    return (
        f"{fit.property}: {fit.verdict}, no threshold could be fitted ({_reason(fit)}); the "
        f"tolerance of {fit.tolerance:.4g} is used instead"
    )


def _reason(fit: Calibration) -> str:
    """The pairs, and what they lack for a fit."""
    pairs = counted(fit.pairs, "pair")
    if missing := fit.missing():
        return f"{pairs}, a fit needs {missing} more"
    return f"{pairs}, Spearman {fit.spearman:.2f}"


def _rates(fit: Calibration) -> str:
    """TPR and PPV; those of earlier versions are of the pairs of the fit itself."""
    origin = "cross-validated" if fit.basis else "of these pairs"
    both = (("TPR", fit.tpr), ("PPV", fit.ppv))
    return f"{origin} " + ", ".join(
        f"{name} {'-' if value is None else f'{value:.2f}'}" for name, value in both
    )


def _bars(fit: Calibration) -> str:
    """The error bars and the frames behind them."""
    if fit.sigma is None or fit.bar_90 is None:
        return ""
    return (
        f"; error bars {fit.sigma:.3g}·Δ (68 %) and {fit.bar_90:.3g}·Δ (90 %), from "
        f"{counted(fit.bars_frames, f'{fit.bars_from} frame')}"
    )
