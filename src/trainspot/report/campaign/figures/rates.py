"""TPR and PPV over all tolerances and thresholds: last, along iterations, by committee size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from trainspot.common.text import counted
from trainspot.judge.diagnostics import rate_map
from trainspot.report.pages.panels import absent, plain_log, subtitle, usable
from trainspot.report.pages.style import MISSED, new, styled
from trainspot.report.quantities import BY_KEY, QUANTITIES, Quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from trainspot.judge.calibrate import Calibration
    from trainspot.judge.diagnostics import RateMap
    from trainspot.judge.sizes import SizeScore
    from trainspot.report.findings.data import IterationData, ReportData

    Floats = NDArray[np.float64]

_RATES: Final = ("tpr", "ppv")
_FEWEST: Final = 3
MOST_MAPS: Final = 5
"""Maps that stand side by side; more would be too narrow to read."""


class _Column(NamedTuple):
    """The two maps of one iteration or committee size.

    Attributes:
        title: What it is of; the rate follows.
        detail: A line under the title; empty for none.
        delta: Δ > 0 of the forces, (n,), eV/Å.
        error: e > 0, the same.
        calibrations: What was fitted to these pairs, or to parts of them.
    """

    title: str
    detail: str
    delta: Floats
    error: Floats
    calibrations: Sequence[Calibration]


@styled
def rate_maps(iteration: IterationData) -> Figure:
    """TPR and PPV over all tolerances and thresholds (the insets of the paper's figure 5)."""
    figure = new(5.6)
    grid = figure.subplots(2, 3)
    mesh = None
    for column, quantity in enumerate(QUANTITIES):
        made = iteration.calibration.get(quantity.key)
        delta, error = usable(iteration.pairs, quantity, made.tolerance if made else None)
        for axes, key in zip(grid[:, column], _RATES, strict=True):
            if len(delta) < _FEWEST:
                axes.set_title(quantity.title)
                absent(axes, "too few pairs")
                continue
            mesh = _draw_map(axes, rate_map(delta, error), quantity, key)
            _map_axes(axes, quantity, made, key)
    if mesh is not None:
        bar = figure.colorbar(mesh, ax=grid, shrink=0.6, pad=0.02)
        bar.set_label("TPR, PPV")
    return figure


@styled
def force_rate_maps(iterations: Sequence[IterationData]) -> Figure:
    """The same maps of the forces alone, one column an iteration, on common axes."""
    columns = []
    for one in iterations:
        made = one.calibration["forces"]
        pairs = usable(one.pairs, BY_KEY["forces"], made.tolerance)
        columns.append(_Column(f"Iteration {one.n}", "", *pairs, [made]))
    return _side_by_side(columns)


@styled
def size_rate_maps(scores: Sequence[SizeScore]) -> Figure:
    """The same maps of the forces, one column a committee size, on common axes.

    Where several committees of a size were tried, their pairs are pooled: every frame counts once
    for each of them, so that TPR and PPV are those of a committee of this size drawn at random, and
    stay defined where single committees flag nothing. Each committee has its dot; the line is that
    of the median slope.

    Args:
        scores: As ``mapped_sizes`` chooses them, at least one.
    """
    columns = []
    for score in scores:
        made = score.calibrations["forces"]
        detail = counted(len(made), "committee") if len(scores) > 1 else ""
        columns.append(_Column(f"{score.size} members", detail, *_pooled(score), made))
    return _side_by_side(columns)


def mapped(data: ReportData) -> list[IterationData]:
    """Iterations whose forces have a fitted threshold and a map; evenly chosen if many."""
    found = [
        it for it in data.iterations
        if (made := it.calibration.get("forces")) and made.fitted
        and len(usable(it.pairs, BY_KEY["forces"], made.tolerance)[0]) >= _FEWEST
    ]  # fmt: skip
    return [found[row] for row in _evenly(len(found))]


def mapped_sizes(scores: Sequence[SizeScore]) -> list[SizeScore]:
    """Committee sizes that have a map of the forces; evenly chosen if many, ends included."""
    found = [
        score for score in scores
        if "forces" in score.calibrations and len(_pooled(score)[0]) >= _FEWEST
    ]  # fmt: skip
    return [found[row] for row in _evenly(len(found))]


def _evenly(count: int) -> list[int]:
    """At most ``MOST_MAPS`` of so many rows, the first and the last among them."""
    rows: list[int] = np.linspace(0, count - 1, min(count, MOST_MAPS)).round().astype(int).tolist()
    return rows


def _pooled(score: SizeScore) -> tuple[Floats, Floats]:
    """Δ and e (eV/Å) of the forces, of all committees of a size one after the other."""
    tolerance = score.calibrations["forces"][0].tolerance
    parts = [usable(pairs, BY_KEY["forces"], tolerance) for pairs in score.pairs]
    delta, error = (np.concatenate(column) for column in zip(*parts, strict=True))
    return delta, error


def _side_by_side(columns: Sequence[_Column]) -> Figure:
    """TPR above PPV of the forces, for each column, on common axes."""
    detailed = any(column.detail for column in columns)
    figure = new(4.6 if detailed else 4.4)
    grid = figure.subplots(2, len(columns), sharex=True, sharey=True, squeeze=False)
    forces = BY_KEY["forces"]
    mesh, spans = None, []
    for panels, column in zip(grid.T, columns, strict=True):
        found = rate_map(column.delta, column.error)
        spans.append([*found.threshold[[0, -1]], *found.tolerance[[0, -1]]])
        for axes, key in zip(panels, _RATES, strict=True):
            axes.set(xscale="log", yscale="log", facecolor="#BDBDBD")
            axes.set_title(f"{column.title}: {key.upper()}")
            axes.grid(visible=False)
            mesh = _draw_map(axes, found, forces, key)
            ends = found.threshold[[0, -1]] * forces.scale
            _draw_calibrations(axes, forces, column.calibrations, ends)
        if column.detail:
            subtitle(panels[0], f"{column.title}: {_RATES[0].upper()}", column.detail)
        panels[1].set_xlabel(f"Threshold τ ({forces.unit})")
    for axes in grid[:, 0]:
        axes.set_ylabel(f"Tolerance ε ({forces.unit})")
    low, high = np.min(spans, axis=0) * forces.scale, np.max(spans, axis=0) * forces.scale
    axes = grid[0, 0]
    axes.set(xlim=(low[0], high[1]), ylim=(low[2], high[3]))
    for axis, ratio in ((axes.xaxis, high[1] / low[0]), (axes.yaxis, high[3] / low[2])):
        most = 300 if len(columns) < 5 else 100
        plain_log(axis, (1.0, 3.0) if ratio < most else (1.0,))
    if mesh is not None:
        figure.colorbar(mesh, ax=grid, shrink=0.6, pad=0.02).set_label("TPR, PPV")
    return figure


def _draw_map(axes: Axes, found: RateMap, quantity: Quantity, key: str) -> QuadMesh:
    return axes.pcolormesh(
        found.threshold * quantity.scale,
        found.tolerance * quantity.scale,
        getattr(found, key),
        cmap="cividis", vmin=0.0, vmax=1.0, shading="nearest", rasterized=True,
    )  # fmt: skip


def _draw_calibrations(
    axes: Axes, quantity: Quantity, made: Sequence[Calibration], ends: Floats
) -> None:
    """What was used as dots, and the median calibration as a line between two thresholds."""
    slopes = [one.slope for one in made if one.fitted]
    if slopes:
        axes.plot(ends, float(np.median(slopes)) * ends, color="white", lw=1.4, ls="-")
    size, edge = (8.0, 1.5) if len(made) == 1 else (5.0, 0.8)
    for one in made:
        axes.plot(
            [one.threshold * quantity.scale], [one.tolerance * quantity.scale],
            marker="o", ms=size, mfc=MISSED, mec="white", mew=edge, ls="",
        )  # fmt: skip


def _map_axes(axes: Axes, quantity: Quantity, made: Calibration | None, key: str) -> None:
    axes.set(xscale="log", yscale="log")
    axes.set(
        xlabel=f"Threshold τ ({quantity.unit})",
        ylabel=f"Tolerance ε ({quantity.unit})",
        title=f"{quantity.title}: {key.upper()}",
    )
    limits = axes.get_xlim(), axes.get_ylim()
    for axis, (low, high) in zip((axes.xaxis, axes.yaxis), limits, strict=True):
        plain_log(axis, (1.0, 3.0) if high < 300 * low else (1.0,))
    axes.grid(visible=False)
    if made is not None:
        _draw_calibrations(axes, quantity, [made], np.array(limits[0]))
    axes.set(xlim=limits[0], ylim=limits[1])
