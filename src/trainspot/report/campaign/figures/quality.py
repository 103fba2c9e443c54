"""Figures on the accuracy of the committees: RMSE per iteration, parity and error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.ticker import MaxNLocator

from trainspot.data.frames import SPLITS
from trainspot.report.pages.panels import (
    SPLIT_LABELS,
    absent,
    iteration_axis,
    padded,
    shared_legend,
    subtitle,
    zero_or_log,
)
from trainspot.report.pages.style import COLOURS, GREY, MARKERS, new, styled
from trainspot.report.quantities import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from trainspot.report.campaign.rows import ErrorPanel, Line, ParityPanel
    from trainspot.report.findings.cloud import Cloud
    from trainspot.report.quantities import Quantity

COMMON: Final = "#AA4499"
_MANY: Final = 500
"""More points than this are drawn as an image inside the SVG."""


@styled
def rmse(errors: Sequence[ErrorPanel], iterations: Sequence[int]) -> Figure:
    """RMSE of the members (mean ± std) per iteration and split, and on the final test frames.

    Args:
        errors: A panel for each property.
        iterations: All iterations, which the axes span.
    """
    figure = new(3.1)
    panels = figure.subplots(1, 3)
    for axes, panel in zip(panels, errors, strict=True):
        axes.set_title(panel.quantity.title)
        scale = panel.quantity.scale
        lines = [*panel.splits.values(), *([panel.common] if panel.common else [])]
        if not lines:
            absent(axes, "no labelled frames to compare with")
            continue
        for name, line in panel.splits.items():
            _member_line(axes, line, name, scale)
        if panel.common is not None:
            _common_test_line(axes, panel.common, scale)
        shown = np.concatenate([line.value + line.spread for line in lines]) * scale
        axes.set(xlabel="Iteration", ylabel=f"RMSE ({panel.quantity.unit})")
        iteration_axis(axes, iterations)
        if panel.tolerance is not None:
            level = panel.tolerance * scale
            axes.axhline(level, color=GREY, ls=":", lw=1.4, zorder=1, label="tolerance")
            shown = np.append(shown, level)
        zero_or_log(axes, shown)
    shared_legend(figure, panels)
    return figure


def _member_line(axes: Axes, line: Line, name: str, scale: float) -> None:
    axes.errorbar(
        line.n + 0.05 * (SPLITS.index(name) - 1),  # bars of the splits stay apart
        line.value * scale,
        line.spread * scale,
        color=COLOURS[name],
        marker=MARKERS[name],
        ms=5,
        label=name,
    )


def _common_test_line(axes: Axes, line: Line, scale: float) -> None:
    axes.plot(
        line.n,
        line.value * scale,
        color=COMMON,
        ls="--",
        marker="D",
        ms=5,
        label="final test frames, committee mean",
    )


@styled
def parity(panels: Sequence[ParityPanel]) -> Figure:
    """Predicted against reference, and the errors below, for each property."""
    figure = new(5.15)
    grid = figure.subplots(2, 3, sharex="col", height_ratios=[2.7, 1.0])
    for (top, bottom), panel in zip(grid.T, panels, strict=True):
        if panel.clouds:
            _parity_panel(top, bottom, panel.clouds, panel.quantity)
        else:
            top.set_title(panel.quantity.title)
            absent(top, "no labels, or no predictions")
            bottom.set_axis_off()
    shared_legend(figure, grid[0])
    return figure


def _parity_panel(top: Axes, bottom: Axes, clouds: Mapping[str, Cloud], quantity: Quantity) -> None:
    for order, (name, cloud) in enumerate(clouds.items()):
        style: dict[str, Any] = {
            "s": float(np.clip(4000.0 / len(cloud.reference), 5.0, 24.0)),
            "color": COLOURS[name],
            "marker": MARKERS[name],
            "linewidths": 0,
            "alpha": 0.8,
            "rasterized": len(cloud.reference) > _MANY,
            "zorder": 2 + order,
            "label": SPLIT_LABELS[name],
        }
        top.scatter(cloud.reference, cloud.predicted, **style)
        error = (cloud.predicted - cloud.reference) * quantity.scale
        bottom.scatter(cloud.reference, error, **style)
    low, high = padded([v for c in clouds.values() for v in (c.reference, c.predicted)])
    top.plot([low, high], [low, high], color=GREY, lw=1.0, zorder=1)
    top.set(xlim=(low, high), ylim=(low, high), ylabel=f"Predicted ({quantity.base_unit})")
    top.set_box_aspect(1)
    top.xaxis.set_major_locator(MaxNLocator(4))
    top.yaxis.set_major_locator(MaxNLocator(4))
    bottom.axhline(0, color=GREY, lw=1.0, zorder=1)
    bottom.set(xlabel=f"Reference ({quantity.base_unit})", ylabel=f"Error ({quantity.unit})")
    worst = max(float(np.abs(c.predicted - c.reference).max()) for c in clouds.values())
    bottom.set_ylim(-1.15 * worst * quantity.scale or -1.0, 1.15 * worst * quantity.scale or 1.0)
    bottom.yaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    errors = [f"{SPLIT_LABELS[k]} {number(c.rmse * quantity.scale)}" for k, c in clouds.items()]
    subtitle(top, quantity.title, f"RMSE in {quantity.unit}", " · ".join(errors))
