"""Numbers of the figures on the judgement: pairs, rates, coverage, drift, committee sizes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from trainspot.common.properties import PROPERTIES
from trainspot.common.text import counted
from trainspot.judge.bars import NEGLIGIBLE
from trainspot.judge.calibrate import pairs_needed
from trainspot.judge.diagnostics import coverage_curve, rate_map
from trainspot.judge.settings import Tolerance
from trainspot.judge.sizes import SizeScore, by_size, comparable
from trainspot.report.campaign.rows import (
    CoveragePanel,
    DriftPanel,
    Fit,
    PairsPanel,
    RateColumn,
    Rates,
    SizePanel,
)
from trainspot.report.quantities import BY_KEY, QUANTITIES, Quantity, number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from trainspot.judge.pairs import Pairs
    from trainspot.predictions.calibration import Calibration
    from trainspot.report.findings.data import IterationData, ReportData

    Floats = NDArray[np.float64]

MOST_MAPS: Final = 5
"""Maps that stand side by side; more would be too narrow to read."""
_FEWEST: Final = 3
_FORCES: Final = BY_KEY["forces"]


def usable(pairs: Pairs | None, key: str, tolerance: float | None) -> tuple[Floats, Floats]:
    """Δ and e (eV, Å) of the pairs that a logarithmic axis can show.

    Pairs of symmetric frames are left out, as in the calibration: their Δ and e are rounding, and
    one such pair would stretch the axes over ten more decades.

    Args:
        pairs: Pairs of one committee.
        key: The property.
        tolerance: ε of the property, eV and Å; ``None``: the median replaces it.
    """
    if pairs is None:
        return np.zeros(0), np.zeros(0)
    both = np.array(pairs.of(key))
    both = both[:, (both > 0).all(axis=0)]
    if both.size:
        unit = np.median(both, axis=1, keepdims=True) if tolerance is None else tolerance
        both = both[:, (both > NEGLIGIBLE * unit).all(axis=0)]
    return both[0], both[1]


def fit(calibration: Calibration) -> Fit:
    """The values of a calibration that figures show."""
    named = {"TPR": calibration.tpr, "PPV": calibration.ppv, "ρ": calibration.spearman}
    return Fit(
        slope=calibration.slope,
        fitted=calibration.fitted,
        origin=_origin(calibration),
        threshold=calibration.threshold,
        tolerance=calibration.tolerance,
        pairs=calibration.pairs,
        verdict=calibration.verdict,
        rates={name: value for name, value in named.items() if value is not None},
    )


def _origin(calibration: Calibration) -> str:
    """The slope of a calibration, or what stands in for a fit."""
    if calibration.fitted:
        return f"slope {number(calibration.slope)}"
    if calibration.basis == "largest ratio":
        return f"largest ratio {number(calibration.slope)}"
    return "no pairs" if calibration.basis == "no pairs" else "not fitted, τ = ε"


def pairs(data: ReportData, iteration: IterationData) -> list[PairsPanel]:
    """Error against disagreement of the calibration pairs of an iteration."""
    panels = []
    for quantity in QUANTITIES:
        tolerance = data.tolerance.get(quantity.key)
        calibration = iteration.calibration.get(quantity.key)
        delta, error = usable(iteration.pairs, quantity.key, tolerance)
        shown = None if calibration is None else fit(calibration)
        panels.append(PairsPanel(quantity, delta, error, shown, tolerance))
    return panels


# ── rates ─────────────────────────────────────────────────────────────────────
def rates_of(iteration: IterationData) -> list[RateColumn]:
    """TPR and PPV of each property, from the calibration pairs of an iteration."""
    return [_column(iteration, quantity, quantity.title) for quantity in QUANTITIES]


def rates_along(data: ReportData) -> list[RateColumn]:
    """TPR and PPV of the forces for iterations, which are chosen evenly if there are many.

    Iterations whose forces have no fitted threshold, or too few pairs for a map, are left out.
    """
    columns = [
        _column(iteration, _FORCES, f"Iteration {iteration.n}")
        for iteration in data.iterations
        if (calibration := iteration.calibration.get("forces")) and calibration.fitted
    ]
    return _evenly([column for column in columns if column.rates is not None])


def rates_by_size(scores: Sequence[SizeScore]) -> list[RateColumn]:
    """TPR and PPV of the forces by number of members; sizes are chosen evenly if there are many.

    The pairs of all committees of a size are pooled: each frame counts once for each committee.
    TPR and PPV are then those of a committee of this size drawn at random, and exist even if a
    single committee flags no frame.

    Args:
        scores: Result of ``sizes``; sizes without judged forces or with too few pairs for a map
            are left out.
    """
    columns = []
    for score in scores:
        if calibrations := score.calibrations.get("forces"):
            tolerance = calibrations[0].tolerance
            parts = [usable(pairs, "forces", tolerance) for pairs in score.pairs]
            delta, error = (np.concatenate(values) for values in zip(*parts, strict=True))
            columns.append(
                RateColumn(
                    _FORCES,
                    f"{score.size} members",
                    counted(len(calibrations), "committee"),
                    _rates(delta, error),
                    list(map(fit, calibrations)),
                    _median_slope(calibrations),
                )
            )
    shown = _evenly([column for column in columns if column.rates is not None])
    return shown if len(shown) > 1 else [replace(column, detail="") for column in shown]


def _column(iteration: IterationData, quantity: Quantity, title: str) -> RateColumn:
    calibration = iteration.calibration.get(quantity.key)
    tolerance = calibration.tolerance if calibration else None
    delta, error = usable(iteration.pairs, quantity.key, tolerance)
    fitted = [calibration] if calibration else []
    return RateColumn(
        quantity,
        title,
        "",
        _rates(delta, error),
        list(map(fit, fitted)),
        _median_slope(fitted),
    )


def _rates(delta: Floats, error: Floats) -> Rates | None:
    if len(delta) < _FEWEST:
        return None
    grid = rate_map(delta, error)
    return Rates(grid.tolerance, grid.threshold, grid.tpr, grid.ppv)


def _median_slope(calibrations: Sequence[Calibration]) -> float | None:
    slopes = [calibration.slope for calibration in calibrations if calibration.fitted]
    return float(np.median(slopes)) if slopes else None


def _evenly(columns: list[RateColumn]) -> list[RateColumn]:
    """At most ``MOST_MAPS`` columns, with the first and the last."""
    places = np.linspace(0, len(columns) - 1, min(len(columns), MOST_MAPS)).round().astype(int)
    return [columns[place] for place in places]


# ── error bars and drift ──────────────────────────────────────────────────────
def coverage(iteration: IterationData) -> list[CoveragePanel]:
    """Observed against expected coverage of the error bars of an iteration."""
    panels = []
    for quantity in QUANTITIES:
        calibration = iteration.calibration.get(quantity.key)
        tolerance = calibration.tolerance if calibration else None
        delta, error = usable(iteration.pairs, quantity.key, tolerance)
        expected, observed, area = np.zeros(0), np.zeros(0), None
        if calibration is not None and calibration.sigma is not None and len(delta):
            expected, observed = coverage_curve(delta, error, calibration.sigma)
            area = calibration.miscalibration
        panels.append(CoveragePanel(quantity, expected, observed, area, len(delta)))
    return panels


def drift(data: ReportData) -> list[DriftPanel]:
    """Slope and rank correlation of every calibration, along iterations."""
    panels = []
    for quantity in QUANTITIES:
        along = [
            (it.n, it.calibration[quantity.key])
            for it in data.iterations
            if quantity.key in it.calibration
        ]
        rows = [
            (n, calibration.slope, *calibration.interval, calibration.spearman)
            for n, calibration in along
            if calibration.interval is not None
        ]
        columns = np.array(rows, dtype=np.float64).reshape(-1, 5).T
        panels.append(DriftPanel(quantity, [n for n, _ in along], *columns))
    return panels


# ── smaller committees ────────────────────────────────────────────────────────
def sizes(data: ReportData, iteration: IterationData) -> list[SizeScore]:
    """The calibrations of smaller committees on the calibration frames of an iteration.

    The method is that of the campaign; the pairs are those of ``comparable``. Before the first
    audit, the calibration of the whole committee equals that of the campaign, except for the
    bootstrap. Later, audit frames outside the training set count with the predictions of this
    committee.

    Returns:
        Scores by size; empty if too few pairs are left for a fit.
    """
    pairs, predictions = iteration.pairs, iteration.predictions
    if pairs is None or predictions is None or "forces" not in iteration.calibration:
        return []
    tolerances = {key: calibration.tolerance for key, calibration in iteration.calibration.items()}
    tolerance = Tolerance(**{key: tolerances.get(key) for key in PROPERTIES})
    method = iteration.calibration["forces"].method  # stored even if the settings are not
    settings = data.calibrate.model_copy(update={"method": method})
    frames = comparable(data.dataset, pairs, predictions)
    if len(frames) < pairs_needed(settings):
        return []
    return by_size(frames, predictions, tolerance, settings)


def readings(scores: Sequence[SizeScore]) -> list[SizePanel]:
    """Rank correlation, TPR and PPV of the force calibrations of smaller committees.

    Args:
        scores: Result of ``sizes``.
    """
    named: tuple[tuple[str, Callable[[Calibration], float | None]], ...] = (
        ("Rank correlation ρ", lambda calibration: calibration.spearman),
        ("TPR", lambda calibration: calibration.tpr),
        ("PPV", lambda calibration: calibration.ppv),
    )
    panels = []
    for title, reading in named:
        values = {
            score.size: [
                value
                for calibration in score.calibrations.get("forces", ())
                if (value := reading(calibration)) is not None
            ]
            for score in scores
        }
        values = {size: some for size, some in values.items() if some}
        means = {size: float(np.mean(some)) for size, some in values.items()}
        panels.append(SizePanel(title, values, means))
    return panels
