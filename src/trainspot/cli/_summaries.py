"""A judgement and a calibration in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainspot.judge.judgement import Judgement
    from trainspot.predictions.calibration import Calibration


def of_judgement(judgement: Judgement) -> str:
    """The counts of a judgement."""
    refused = ", ".join(f"{n} {cause}" for cause, n in judgement.refused.items()) or "none"
    by = ", ".join(f"{name}: {n}" for name, n in judgement.flagged_by.items() if n)
    flagged = f"{len(judgement.flagged)} flagged" + (f" ({by})" if by else "")
    repeated = judgement.near_duplicates
    near = f"{repeated} near-duplicates, " if repeated else ""
    return (
        f"{judgement.explored} frames; refused: {refused}; {flagged}; {near}"
        f"{len(judgement.selected)} selected, {len(judgement.audit)} for the audit"
    )


def of_calibration(fit: Calibration) -> str:
    """The essentials of a calibration, or why no threshold was fitted."""
    if not fit.fitted:
        poor = fit.verdict == "poor"
        why = f"Spearman {fit.spearman:.2f}" if poor else f"{fit.needed} are needed"
        return (
            f"{fit.property}: {fit.verdict}, no threshold could be fitted ({fit.pairs} "
            f"pairs, {why}); the tolerance of {fit.tolerance:.4g} is used instead"
        )
    low, high = fit.interval or (float("nan"), float("nan"))
    rates = ", ".join(
        f"{name} {'-' if value is None else f'{value:.2f}'}"
        for name, value in (("TPR", fit.tpr), ("PPV", fit.ppv))
    )
    return (
        f"{fit.property}: {fit.verdict}, threshold {fit.threshold:.4g} for a tolerance of "
        f"{fit.tolerance:.4g} (slope {fit.slope:.3g} [{low:.3g}, {high:.3g}], "
        f"{fit.pairs} pairs, Spearman {fit.spearman:.2f}, {rates})"
    )
