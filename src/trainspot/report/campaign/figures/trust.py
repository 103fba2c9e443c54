"""Whether disagreement tells the error: calibration pairs, line, tolerance, threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainspot.report.pages.panels import absent, shared_legend, square_log, subtitle, usable
from trainspot.report.pages.style import GREY, LINE, MISSED, new, styled
from trainspot.report.quantities import QUANTITIES, Quantity, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from trainspot.judge.calibrate import Calibration
    from trainspot.report.findings.data import IterationData, ReportData


@styled
def calibration(data: ReportData, iteration: IterationData) -> Figure:
    """Error against disagreement of the calibration pairs, with line, tolerance and threshold."""
    figure = new(3.85)
    panels = figure.subplots(1, 3)
    for axes, quantity in zip(panels, QUANTITIES, strict=True):
        tolerance = data.tolerance.get(quantity.key)
        delta, error = usable(iteration.pairs, quantity, tolerance)
        if len(delta):
            made, scale = iteration.calibration.get(quantity.key), quantity.scale
            _panel(axes, quantity, delta * scale, error * scale, made, tolerance)
        else:
            axes.set_title(quantity.title)
            absent(axes, "no calibration pairs")
    shared_legend(figure, panels)
    return figure


def _panel(
    axes: Axes,
    quantity: Quantity,
    delta: NDArray[np.float64],
    error: NDArray[np.float64],
    made: Calibration | None,
    tolerance: float | None,
) -> None:
    level = None if tolerance is None else tolerance * quantity.scale
    threshold = None if made is None else made.threshold * quantity.scale
    marks = np.array([value for value in (level, threshold) if value is not None])
    low, high = square_log(axes, [delta, error, marks])
    axes.scatter(delta, error, s=24, color=LINE, alpha=0.8, linewidths=0, zorder=4, label="pairs")
    if made is not None and made.fitted:
        ends = np.array([low, high])
        label = "error = slope × disagreement"
        axes.plot(ends, made.slope * ends, color=LINE, lw=1.6, zorder=3, label=label)
    if level is not None:
        axes.axhline(level, color=GREY, ls=":", lw=1.5, zorder=2, label="tolerance ε")
    if threshold is not None:
        axes.axvline(threshold, color=MISSED, ls="--", lw=1.5, zorder=2, label="threshold τ")
    if level is not None and threshold is not None:
        span: dict[str, Any] = {"color": MISSED, "alpha": 0.12, "lw": 0, "zorder": 0}
        axes.fill_between([low, threshold], level, high, label="missed", **span)
    axes.set(xlabel=f"Disagreement ({quantity.unit})", ylabel=f"Error ({quantity.unit})")
    subtitle(axes, quantity.title, *_summary(made, len(delta)))


def _summary(made: Calibration | None, n_pairs: int) -> tuple[str, str]:
    """What is written above the panel."""
    if made is None:
        return f"{n_pairs} pairs", "not calibrated"
    rates = (("TPR", made.tpr), ("PPV", made.ppv), ("ρ", made.spearman))
    shown = [f"{name} {value:.2f}" for name, value in rates if value is not None]
    fit = f"slope {number(made.slope)}" if made.fitted else "not fitted, τ = ε"
    return " · ".join(shown), f"{fit} · {made.pairs} pairs · {made.verdict}"
