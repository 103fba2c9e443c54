"""How far the judge can be trusted: rates over all thresholds, coverage, drift, committee size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trainspot.judge.diagnostics import coverage_curve, rate_map
from trainspot.judge.settings import Tolerance
from trainspot.judge.sizes import SizeScore, by_size
from trainspot.report.figures.panels import absent, iteration_axis, plain_log, subtitle
from trainspot.report.quantities import BY_KEY, QUANTITIES, Quantity
from trainspot.report.style import GREY, LINE, MISSED, new, styled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from trainspot.judge.calibrate import Calibration
    from trainspot.judge.diagnostics import RateMap
    from trainspot.report.data import IterationData, ReportData

_RATES = ("tpr", "ppv")
_FEWEST: Final = 3
MOST_MAPS: Final = 5
"""Iterations whose maps stand side by side; more would be too narrow to read."""


@styled
def rate_maps(iteration: IterationData) -> Figure:
    """TPR and PPV over all tolerances and thresholds (the insets of the paper's figure 5)."""
    figure = new(5.6)
    grid = figure.subplots(2, 3)
    mesh = None
    for column, quantity in enumerate(QUANTITIES):
        delta, error = _usable(iteration, quantity)
        for axes, key in zip(grid[:, column], _RATES, strict=True):
            if len(delta) < _FEWEST:
                axes.set_title(quantity.title)
                absent(axes, "too few pairs")
                continue
            mesh = _draw_map(axes, rate_map(delta, error), quantity, key)
            _map_axes(axes, quantity, iteration.calibration.get(quantity.key), key)
    if mesh is not None:
        bar = figure.colorbar(mesh, ax=grid, shrink=0.6, pad=0.02)
        bar.set_label("TPR, PPV")
    return figure


@styled
def force_rate_maps(iterations: Sequence[IterationData]) -> Figure:
    """The same maps of the forces alone, one column an iteration, on common axes."""
    figure = new(4.4)
    grid = figure.subplots(2, len(iterations), sharex=True, sharey=True, squeeze=False)
    forces = BY_KEY["forces"]
    mesh, spans = None, []
    for column, iteration in zip(grid.T, iterations, strict=True):
        found = rate_map(*_usable(iteration, forces))
        made = iteration.calibration["forces"]
        spans.append([*found.threshold[[0, -1]], *found.tolerance[[0, -1]]])
        for axes, key in zip(column, _RATES, strict=True):
            axes.set(xscale="log", yscale="log", facecolor="#BDBDBD")
            axes.set_title(f"Iteration {iteration.n}: {key.upper()}")
            axes.grid(visible=False)
            mesh = _draw_map(axes, found, forces, key)
            _draw_calibration(axes, forces, made, found.threshold[[0, -1]] * forces.scale)
        column[1].set_xlabel(f"Threshold τ ({forces.unit})")
    for axes in grid[:, 0]:
        axes.set_ylabel(f"Tolerance ε ({forces.unit})")
    low, high = np.min(spans, axis=0) * forces.scale, np.max(spans, axis=0) * forces.scale
    axes = grid[0, 0]
    axes.set(xlim=(low[0], high[1]), ylim=(low[2], high[3]))
    for axis, ratio in ((axes.xaxis, high[1] / low[0]), (axes.yaxis, high[3] / low[2])):
        most = 300 if len(iterations) < 5 else 30
        plain_log(axis, (1.0, 3.0) if ratio < most else (1.0,))
    if mesh is not None:
        figure.colorbar(mesh, ax=grid, shrink=0.6, pad=0.02).set_label("TPR, PPV")
    return figure


def mapped(data: ReportData) -> list[IterationData]:
    """Iterations whose forces have a fitted threshold and a map; evenly chosen if many."""
    found = [
        it for it in data.iterations
        if (made := it.calibration.get("forces")) and made.fitted
        and len(_usable(it, BY_KEY["forces"])[0]) >= _FEWEST
    ]  # fmt: skip
    rows = np.linspace(0, len(found) - 1, min(len(found), MOST_MAPS)).round().astype(int)
    return [found[row] for row in rows]


def _draw_map(axes: Axes, found: RateMap, quantity: Quantity, key: str) -> QuadMesh:
    return axes.pcolormesh(
        found.threshold * quantity.scale,
        found.tolerance * quantity.scale,
        getattr(found, key),
        cmap="cividis", vmin=0.0, vmax=1.0, shading="nearest", rasterized=True,
    )  # fmt: skip


def _draw_calibration(
    axes: Axes, quantity: Quantity, made: Calibration, ends: NDArray[np.float64]
) -> None:
    """What was used as a dot, and the calibration as a line between two thresholds as shown."""
    if made.fitted:
        axes.plot(ends, made.slope * ends, color="white", lw=1.4, ls="-")
    axes.plot(
        [made.threshold * quantity.scale], [made.tolerance * quantity.scale],
        marker="o", ms=8, mfc=MISSED, mec="white", mew=1.5,
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
        _draw_calibration(axes, quantity, made, np.array(limits[0]))
    axes.set(xlim=limits[0], ylim=limits[1])


@styled
def coverage(iteration: IterationData) -> Figure:
    """Observed against expected coverage of the error bars."""
    figure = new(3.5)
    for axes, quantity in zip(figure.subplots(1, 3), QUANTITIES, strict=True):
        made = iteration.calibration.get(quantity.key)
        delta, error = _usable(iteration, quantity)
        axes.set_title(quantity.title)
        if made is None or made.sigma is None or not len(delta):
            absent(axes, "no error bars")
            continue
        expected, observed = coverage_curve(delta, error, made.sigma)
        axes.plot([0, 1], [0, 1], color=GREY, lw=1.0, ls=":")
        axes.fill_between(expected, expected, observed, color=LINE, alpha=0.18, lw=0)
        axes.plot(expected, observed, color=LINE, lw=1.8)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Expected share of errors within the bar")
        axes.set_ylabel("Observed share")
        axes.set_box_aspect(1)
        area = "–" if made.miscalibration is None else f"{made.miscalibration:.3f}"
        subtitle(axes, quantity.title, f"miscalibration area {area} · {len(delta)} pairs")
    return figure


@styled
def drift(data: ReportData) -> Figure:
    """Slope with its interval and rank correlation of every calibration, along iterations."""
    figure = new(3.9)
    grid = figure.subplots(2, 3, sharex=True)
    for column, quantity in enumerate(QUANTITIES):
        top, bottom = grid[:, column]
        top.set_title(quantity.title)
        made = [(it.n, it.calibration[quantity.key]) for it in data.iterations
                if quantity.key in it.calibration]  # fmt: skip
        fitted = [(n, one) for n, one in made if one.interval is not None]
        if not fitted:
            absent(top, "nothing fitted")
            bottom.set_axis_off()
            continue
        _drift_panels(top, bottom, fitted)
        iteration_axis(top, [{"n": n} for n, _ in made])
        bottom.set_xlabel("Iteration")
    grid[0, 0].set_ylabel("Slope e/Δ")
    grid[1, 0].set_ylabel("Rank correlation ρ")
    return figure


def _drift_panels(top: Axes, bottom: Axes, fitted: Sequence[tuple[int, Calibration]]) -> None:
    n = [number_ for number_, _ in fitted]
    slope = np.array([one.slope for _, one in fitted])
    ends = np.array([one.interval for _, one in fitted], dtype=float).T
    bars = np.abs(ends - slope)
    top.errorbar(n, slope, bars, color=LINE, marker="o", ms=5, lw=1.4)
    top.set_ylim(0, 1.15 * float(ends.max()))
    bottom.plot(n, [one.spearman for _, one in fitted], color=LINE, marker="o", ms=5, lw=1.4)
    bottom.axhline(0.3, color=GREY, ls=":", lw=1.2)
    bottom.set_ylim(min(0.0, *(one.spearman for _, one in fitted)) - 0.05, 1.05)


@styled
def committee_sizes(data: ReportData, iteration: IterationData) -> Figure:
    """Rank correlation, TPR and PPV of the force calibration against the number of members."""
    figure = new(2.9)
    scores = sizes(data, iteration)
    readings: tuple[tuple[str, Callable[[Calibration], float | None]], ...] = (
        ("Rank correlation ρ", lambda one: one.spearman),
        ("TPR", lambda one: one.tpr),
        ("PPV", lambda one: one.ppv),
    )
    for axes, (title, reading) in zip(figure.subplots(1, 3), readings, strict=True):
        axes.set_title(title)
        rows = [
            (score.size, [v for one in score.calibrations["forces"]
                          if (v := reading(one)) is not None])
            for score in scores if "forces" in score.calibrations
        ]  # fmt: skip
        rows = [(size, values) for size, values in rows if values]
        if not rows:
            absent(axes, "no committees to compare")
            continue
        for size, values in rows:
            axes.scatter([size] * len(values), values, s=14, color=LINE, alpha=0.45, lw=0)
        axes.plot([s for s, _ in rows], [np.mean(v) for _, v in rows], color=LINE, marker="o", ms=6)
        axes.set(xlabel="Members", ylim=(-0.03, 1.05))
        axes.set_xticks([size for size, _ in rows])
    return figure


def sizes(data: ReportData, iteration: IterationData) -> list[SizeScore]:
    """The calibrations of smaller committees on the held-out frames of an iteration.

    They are fitted as the campaign fits its own, so that those of the whole committee are its own.
    """
    if iteration.predictions is None or "forces" not in iteration.calibration:
        return []
    known = {key: made.tolerance for key, made in iteration.calibration.items()}
    tolerance = Tolerance(**{key: known.get(key) for key in ("energy", "forces", "stress")})
    frames = data.dataset.labelled()
    frames = frames.take(frames.n_atoms > 1)
    method = iteration.calibration["forces"].method  # known even where the settings are not
    settings = data.calibrate.model_copy(update={"method": method})
    return by_size(frames, iteration.predictions, tolerance, settings)


def _usable(
    iteration: IterationData, quantity: Quantity
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Δ and e (eV, Å) of the pairs that have a logarithm."""
    if iteration.pairs is None:
        return np.zeros(0), np.zeros(0)
    delta, error = iteration.pairs.of(quantity.key)
    good: Any = (delta > 0) & (error > 0)
    return delta[good], error[good]
