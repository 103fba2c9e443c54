"""How good the committees are: RMSE per iteration, parity and error of the latest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.ticker import MaxNLocator

from trainspot.report.pages.panels import (
    SET_LABELS,
    absent,
    iteration_axis,
    padded,
    shared_legend,
    subtitle,
    zero_or_log,
)
from trainspot.report.pages.style import COLOURS, GREY, MARKERS, SETS, new, styled
from trainspot.report.quantities import QUANTITIES, Quantity, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from trainspot.report.findings.data import Cloud, ReportData

    Records = Sequence[dict[str, Any]]

COMMON: Final = "#AA4499"
_MANY: Final = 500
"""More points than this are drawn as an image inside the SVG."""


@styled
def rmse(data: ReportData) -> Figure:
    """RMSE of the members (mean ± std) per iteration and set, and on the final test frames."""
    figure = new(3.1)
    panels = figure.subplots(1, 3)
    for axes, quantity in zip(panels, QUANTITIES, strict=True):
        axes.set_title(quantity.title)
        heights = [_member_line(axes, data.records, name, quantity) for name in SETS]
        heights.append(_common_test_line(axes, data.records, quantity))
        shown = np.concatenate(heights)
        if not len(shown):
            absent(axes, "no labelled frames to compare with")
            continue
        axes.set(xlabel="Iteration", ylabel=f"RMSE ({quantity.unit})")
        iteration_axis(axes, data.records)
        if quantity.key in data.tolerance:
            level = data.tolerance[quantity.key] * quantity.scale
            axes.axhline(level, color=GREY, ls=":", lw=1.4, zorder=1, label="tolerance")
            shown = np.append(shown, level)
        zero_or_log(axes, shown)
    shared_legend(figure, panels)
    return figure


def _member_line(
    axes: Axes, records: Records, name: str, quantity: Quantity
) -> NDArray[np.float64]:
    """Draw one set; the upper ends of its bars, (k,), empty without data."""
    rows = [(r["n"], r.get("rmse", {}).get(name, {}).get(quantity.key) or {}) for r in records]
    points = [(n, one["mean"], one.get("std", 0.0)) for n, one in rows if "mean" in one]
    if not points:
        return np.zeros(0)
    n, mean, std = np.array(points, dtype=float).T
    axes.errorbar(
        n + 0.05 * (SETS.index(name) - 1),  # bars of the sets stay apart
        mean * quantity.scale,
        std * quantity.scale,
        color=COLOURS[name],
        marker=MARKERS[name],
        ms=5,
        label=name,
    )
    return np.asarray((mean + std) * quantity.scale)


def _common_test_line(axes: Axes, records: Records, quantity: Quantity) -> NDArray[np.float64]:
    rows = [(r["n"], (r.get("common_test") or {}).get(quantity.key)) for r in records]
    points = [(n, value) for n, value in rows if value is not None]
    if not points:
        return np.zeros(0)
    n, value = np.array(points, dtype=float).T
    height = np.asarray(value * quantity.scale)
    axes.plot(
        n,
        height,
        color=COMMON,
        ls="--",
        marker="D",
        ms=5,
        label="final test frames, committee mean",
    )
    return height


@styled
def parity(data: ReportData) -> Figure:
    """Predicted against reference, and the errors below, for the latest committee."""
    figure = new(5.15)
    grid = figure.subplots(2, 3, sharex="col", height_ratios=[2.7, 1.0])
    last = data.last_predictions
    for column, quantity in enumerate(QUANTITIES):
        top, bottom = grid[:, column]
        clouds = {} if last is None else data.clouds(last, quantity.key)
        if clouds:
            _parity_panel(top, bottom, clouds, quantity)
        else:
            top.set_title(quantity.title)
            absent(top, "no labels, or no predictions")
            bottom.set_axis_off()
    shared_legend(figure, grid[0])
    return figure


def _parity_panel(top: Axes, bottom: Axes, clouds: dict[str, Cloud], quantity: Quantity) -> None:
    for order, (name, cloud) in enumerate(clouds.items()):
        style: dict[str, Any] = {
            "s": float(np.clip(4000.0 / len(cloud.reference), 5.0, 24.0)),
            "color": COLOURS[name],
            "marker": MARKERS[name],
            "linewidths": 0,
            "alpha": 0.8,
            "rasterized": len(cloud.reference) > _MANY,
            "zorder": 2 + order,
            "label": SET_LABELS[name],
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
    errors = [f"{SET_LABELS[k]} {number(c.rmse * quantity.scale)}" for k, c in clouds.items()]
    subtitle(top, quantity.title, f"RMSE in {quantity.unit}", " · ".join(errors))
