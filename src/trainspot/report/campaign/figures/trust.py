"""Error against disagreement: calibration pairs, line, tolerance, threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainspot.report.pages.panels import absent, shared_legend, square_log, subtitle
from trainspot.report.pages.style import GREY, LINE, MISSED, new, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from trainspot.report.campaign.rows import Fit, PairsPanel


@styled
def calibration(panels: Sequence[PairsPanel]) -> Figure:
    """Error against disagreement of the calibration pairs, with line, tolerance and threshold."""
    figure = new(3.85)
    grid = figure.subplots(1, 3)
    for axes, panel in zip(grid, panels, strict=True):
        if len(panel.delta):
            _panel(axes, panel)
        else:
            axes.set_title(panel.quantity.title)
            absent(axes, "no calibration pairs")
    shared_legend(figure, grid)
    return figure


def _panel(axes: Axes, panel: PairsPanel) -> None:
    fit, scale, unit = panel.fit, panel.quantity.scale, panel.quantity.unit
    delta, error = panel.delta * scale, panel.error * scale
    level = None if panel.tolerance is None else panel.tolerance * scale
    threshold = None if fit is None else fit.threshold * scale
    marks = np.array([value for value in (level, threshold) if value is not None])
    low, high = square_log(axes, [delta, error, marks])
    axes.scatter(delta, error, s=24, color=LINE, alpha=0.8, linewidths=0, zorder=4, label="pairs")
    if fit is not None and fit.fitted:
        ends = np.array([low, high])
        label = "error = slope × disagreement"
        axes.plot(ends, fit.slope * ends, color=LINE, lw=1.6, zorder=3, label=label)
    if level is not None:
        axes.axhline(level, color=GREY, ls=":", lw=1.5, zorder=2, label="tolerance ε")
    if threshold is not None:
        axes.axvline(threshold, color=MISSED, ls="--", lw=1.5, zorder=2, label="threshold τ")
    if level is not None and threshold is not None:
        span: dict[str, Any] = {"color": MISSED, "alpha": 0.12, "lw": 0, "zorder": 0}
        axes.fill_between([low, threshold], level, high, label="missed", **span)
    axes.set(xlabel=f"Disagreement ({unit})", ylabel=f"Error ({unit})")
    subtitle(axes, panel.quantity.title, *_summary(fit, len(delta)))


def _summary(fit: Fit | None, n_pairs: int) -> tuple[str, str]:
    """The text above the panel."""
    if fit is None:
        return f"{n_pairs} pairs", "not calibrated"
    rates = " · ".join(f"{name} {value:.2f}" for name, value in fit.rates.items())
    return rates, f"{fit.origin} · {fit.pairs} pairs · {fit.verdict}"
