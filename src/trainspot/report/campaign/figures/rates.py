"""TPR and PPV over tolerances and thresholds: latest, by iteration, by committee size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from trainspot.report.pages.panels import absent, plain_log, subtitle
from trainspot.report.pages.style import MISSED, new, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from trainspot.report.campaign.rows import RateColumn, Rates

_RATES: Final = ("tpr", "ppv")


@styled
def rate_maps(columns: Sequence[RateColumn]) -> Figure:
    """TPR and PPV over all tolerances and thresholds (the insets of the paper's figure 5).

    Args:
        columns: One column for each property, each with separate axes.
    """
    figure = new(5.6)
    grid = figure.subplots(2, 3)
    mesh = None
    for panels, column in zip(grid.T, columns, strict=True):
        for axes, key in zip(panels, _RATES, strict=True):
            if column.rates is None:
                axes.set_title(column.title)
                absent(axes, "too few pairs")
                continue
            mesh = _draw_map(axes, column.rates, column.quantity.scale, key)
            _map_axes(axes, column, key)
    if mesh is not None:
        bar = figure.colorbar(mesh, ax=grid, shrink=0.6, pad=0.02)
        bar.set_label("TPR, PPV")
    return figure


@styled
def side_by_side(columns: Sequence[RateColumn]) -> Figure:
    """TPR above PPV of one property, for each column, on common axes.

    Args:
        columns: Columns of iterations or committee sizes, at least one, all of one property and
            with rates.
    """
    detailed = any(column.detail for column in columns)
    figure = new(4.6 if detailed else 4.4)
    grid = figure.subplots(2, len(columns), sharex=True, sharey=True, squeeze=False)
    quantity = columns[0].quantity
    mesh, spans = None, []
    for panels, column in zip(grid.T, columns, strict=True):
        rates = column.rates
        assert rates is not None
        spans.append([*rates.threshold[[0, -1]], *rates.tolerance[[0, -1]]])
        for axes, key in zip(panels, _RATES, strict=True):
            axes.set(xscale="log", yscale="log", facecolor="#BDBDBD")
            axes.set_title(f"{column.title}: {key.upper()}")
            axes.grid(visible=False)
            mesh = _draw_map(axes, rates, quantity.scale, key)
            _draw_calibrations(axes, column, rates.threshold[[0, -1]] * quantity.scale)
        if column.detail:
            subtitle(panels[0], f"{column.title}: {_RATES[0].upper()}", column.detail)
        panels[1].set_xlabel(f"Threshold τ ({quantity.unit})")
    for axes in grid[:, 0]:
        axes.set_ylabel(f"Tolerance ε ({quantity.unit})")
    low, high = np.min(spans, axis=0) * quantity.scale, np.max(spans, axis=0) * quantity.scale
    axes = grid[0, 0]
    axes.set(xlim=(low[0], high[1]), ylim=(low[2], high[3]))
    for axis, ratio in ((axes.xaxis, high[1] / low[0]), (axes.yaxis, high[3] / low[2])):
        most = 300 if len(columns) < 5 else 100
        plain_log(axis, (1.0, 3.0) if ratio < most else (1.0,))
    if mesh is not None:
        figure.colorbar(mesh, ax=grid, shrink=0.6, pad=0.02).set_label("TPR, PPV")
    return figure


def _draw_map(axes: Axes, rates: Rates, scale: float, key: str) -> QuadMesh:
    return axes.pcolormesh(
        rates.threshold * scale,
        rates.tolerance * scale,
        getattr(rates, key),
        cmap="cividis", vmin=0.0, vmax=1.0, shading="nearest", rasterized=True,
    )  # fmt: skip


def _draw_calibrations(axes: Axes, column: RateColumn, ends: NDArray[np.float64]) -> None:
    """Draw used thresholds as dots, and the median calibration as a line."""
    scale = column.quantity.scale
    if column.slope is not None:
        axes.plot(ends, column.slope * ends, color="white", lw=1.4, ls="-")
    size, edge = (8.0, 1.5) if len(column.fits) == 1 else (5.0, 0.8)
    for fit in column.fits:
        axes.plot(
            [fit.threshold * scale], [fit.tolerance * scale],
            marker="o", ms=size, mfc=MISSED, mec="white", mew=edge, ls="",
        )  # fmt: skip


def _map_axes(axes: Axes, column: RateColumn, key: str) -> None:
    unit = column.quantity.unit
    axes.set(xscale="log", yscale="log")
    axes.set(
        xlabel=f"Threshold τ ({unit})",
        ylabel=f"Tolerance ε ({unit})",
        title=f"{column.title}: {key.upper()}",
    )
    limits = axes.get_xlim(), axes.get_ylim()
    for axis, (low, high) in zip((axes.xaxis, axes.yaxis), limits, strict=True):
        plain_log(axis, (1.0, 3.0) if high < 300 * low else (1.0,))
    axes.grid(visible=False)
    _draw_calibrations(axes, column, np.array(limits[0]))
    axes.set(xlim=limits[0], ylim=limits[1])
