"""Figures on the quality of the judgement: coverage, drift, committee size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from trainspot.report.pages.panels import absent, iteration_axis, subtitle
from trainspot.report.pages.style import GREY, LINE, new, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from trainspot.report.campaign.rows import CoveragePanel, DriftPanel, SizePanel

_WEAK: Final = 0.3  # below this rank correlation no threshold is fitted


@styled
def coverage(panels: Sequence[CoveragePanel]) -> Figure:
    """Observed against expected coverage of the error bars."""
    figure = new(3.5)
    for axes, panel in zip(figure.subplots(1, 3), panels, strict=True):
        title = panel.quantity.title
        axes.set_title(title)
        if not len(panel.expected):
            absent(axes, "no error bars")
            continue
        axes.plot([0, 1], [0, 1], color=GREY, lw=1.0, ls=":")
        axes.fill_between(
            panel.expected, panel.expected, panel.observed, color=LINE, alpha=0.18, lw=0
        )
        axes.plot(panel.expected, panel.observed, color=LINE, lw=1.8)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Expected share of errors within the bar")
        axes.set_ylabel("Observed share")
        axes.set_box_aspect(1)
        area = "–" if panel.area is None else f"{panel.area:.3f}"
        subtitle(axes, title, f"miscalibration area {area} · {panel.pairs} pairs")
    return figure


@styled
def drift(panels: Sequence[DriftPanel]) -> Figure:
    """Slope with its interval and rank correlation of every calibration, along iterations."""
    figure = new(3.9)
    grid = figure.subplots(2, 3, sharex=True)
    for (top, bottom), panel in zip(grid.T, panels, strict=True):
        top.set_title(panel.quantity.title)
        if not len(panel.n):
            absent(top, "nothing fitted")
            bottom.set_axis_off()
            continue
        _drift_panels(top, bottom, panel)
        iteration_axis(top, panel.iterations)
        bottom.set_xlabel("Iteration")
    grid[0, 0].set_ylabel("Slope e/Δ")
    grid[1, 0].set_ylabel("Rank correlation ρ")
    return figure


def _drift_panels(top: Axes, bottom: Axes, panel: DriftPanel) -> None:
    bars = np.abs(np.stack([panel.low, panel.high]) - panel.slope)
    top.errorbar(panel.n, panel.slope, bars, color=LINE, marker="o", ms=5, lw=1.4)
    top.set_ylim(0, 1.15 * float(panel.high.max()))
    bottom.plot(panel.n, panel.spearman, color=LINE, marker="o", ms=5, lw=1.4)
    bottom.axhline(_WEAK, color=GREY, ls=":", lw=1.2)
    bottom.set_ylim(min(0.0, float(panel.spearman.min())) - 0.05, 1.05)


@styled
def committee_sizes(panels: Sequence[SizePanel]) -> Figure:
    """Rank correlation, TPR and PPV of the force calibration against the number of members."""
    figure = new(2.9)
    for axes, panel in zip(figure.subplots(1, 3), panels, strict=True):
        axes.set_title(panel.title)
        if not panel.values:
            absent(axes, "no committees to compare")
            continue
        for size, values in panel.values.items():
            axes.scatter([size] * len(values), values, s=14, color=LINE, alpha=0.45, lw=0)
        axes.plot(list(panel.means), list(panel.means.values()), color=LINE, marker="o", ms=6)
        axes.set(xlabel="Members", ylim=(-0.03, 1.05))
        axes.set_xticks(list(panel.values))
    return figure
